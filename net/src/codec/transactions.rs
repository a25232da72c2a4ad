//! Transactions in replies: a head, one row per transaction, then the postings of all of them, then the vouchers.
//!
//! A reply to a look-up holds as many of the ids asked for as fit into a reply, at least one; its count says how many.
//! The client asks again for the rest. A page that does not fit is cut too, and says that there is more.

use florin_core::entry::{PostingRecord, RowKind, TransactionPage, TransactionRecord};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostingResult, Side};
use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromZeros, IntoBytes};

use super::rows::{
    POSTING_ALARM, PageHeadRow, PostingReplyRow, REPEAT, TRANSACTION_FINAL, TRANSACTION_FORCED, TRANSACTION_TAKES_ALL,
    TransactionReplyRow,
};
use super::{ReplyError, finish, held_result, take_bytes, take_row, take_rows};
use crate::limits::{POSITION_BYTES, REPLY_BYTES_MAX};

/// Transactions in the order asked, and the last sequence number that the answer reflects.
pub type Found = (Vec<Option<TransactionRecord>>, u64);

fn reply_bytes(transaction: Option<&TransactionRecord>) -> usize {
    let more = |t: &TransactionRecord| t.postings.len() * size_of::<PostingReplyRow>() + t.voucher.len();
    size_of::<TransactionReplyRow>() + transaction.map_or(0, more)
}

fn row(record: &TransactionRecord) -> TransactionReplyRow {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    TransactionReplyRow {
        id: U128::new(record.id),
        reference: U128::new(record.reference),
        link: U128::new(record.link),
        voucher_digest: record.voucher_digest,
        sequence: U64::new(record.result.sequence),
        booked_at: U64::new(record.result.booked_at),
        link_sequence: U64::new(record.link_sequence),
        institution: U32::new(record.institution),
        principal: U32::new(record.principal),
        timeout: U32::new(record.timeout),
        outcome: U16::new(record.result.outcome.number()),
        detail: U16::new(record.result.detail),
        code: U16::new(record.code),
        accounting_date: U16::new(record.accounting_date),
        value_date: U16::new(record.value_date),
        posting_count: U16::new(record.postings.len() as u16),
        voucher_length: U16::new(record.voucher_length),
        voucher_bytes: U16::new(record.voucher.len() as u16),
        found: 1,
        kind: record.kind as u8,
        flags: flag(record.result.repeat, REPEAT)
            | flag(record.forced, TRANSACTION_FORCED)
            | flag(record.is_final, TRANSACTION_FINAL)
            | flag(record.takes_all, TRANSACTION_TAKES_ALL),
        reserved: [0; 9],
    }
}

fn posting_row(posting: &PostingRecord) -> PostingReplyRow {
    PostingReplyRow {
        account: U128::new(posting.account),
        amount: U128::new(posting.amount),
        balance: I128::new(posting.result.balance),
        freed: U128::new(posting.held.freed),
        left: U128::new(posting.held.left),
        held: I128::new(posting.held.held),
        version: U64::new(posting.result.version),
        previous: U64::new(posting.previous),
        asset: U32::new(posting.asset),
        side: posting.side as u8,
        index: posting.index,
        flags: if posting.result.alarm { POSTING_ALARM } else { 0 },
        reserved: 0,
    }
}

/// How many of the first transactions fit into a reply after a head of `head` bytes.
fn fitting<'a>(transactions: impl Iterator<Item = Option<&'a TransactionRecord>>, head: usize) -> usize {
    let mut bytes = head;
    let fits = |transaction: &Option<&TransactionRecord>| {
        bytes += reply_bytes(*transaction);
        bytes <= REPLY_BYTES_MAX
    };
    transactions.take_while(fits).count()
}

/// Appends rows, postings and vouchers.
fn encode_all<'a>(transactions: impl Iterator<Item = Option<&'a TransactionRecord>> + Clone, out: &mut Vec<u8>) {
    let none = TransactionReplyRow::new_zeroed();
    for transaction in transactions.clone() {
        match transaction {
            Some(record) => out.extend_from_slice(row(record).as_bytes()),
            None => out.extend_from_slice(none.as_bytes()),
        }
    }
    for posting in transactions.clone().flatten().flat_map(|record| &record.postings) {
        out.extend_from_slice(posting_row(posting).as_bytes());
    }
    for record in transactions.flatten() {
        out.extend_from_slice(&record.voucher);
    }
}

/// Appends the payload for the first transactions that fit, and returns how many those are.
pub fn encode(transactions: &[Option<TransactionRecord>], position: u64, out: &mut Vec<u8>) -> u32 {
    let all = transactions.iter().map(Option::as_ref);
    let count = fitting(all.clone(), POSITION_BYTES);
    out.extend_from_slice(&position.to_le_bytes());
    encode_all(all.take(count), out);
    count as u32
}

/// Appends the payload of a page, cut to what fits, and returns how many transactions it has.
pub fn encode_page(page: &TransactionPage, out: &mut Vec<u8>) -> u32 {
    let all = page.transactions.iter().map(Some);
    let count = fitting(all.clone(), size_of::<PageHeadRow>());
    // The next page begins with the first transaction that did not fit.
    let cut = page.transactions.get(count);
    let head = PageHeadRow {
        position: U64::new(page.position),
        seen: U64::new(cut.map_or(page.seen, |first| first.result.sequence.saturating_sub(1))),
        more: u8::from(page.more || cut.is_some()),
        reserved: [0; 7],
    };
    out.extend_from_slice(head.as_bytes());
    encode_all(all.take(count), out);
    count as u32
}

fn posting(kind: RowKind, row: &PostingReplyRow) -> Result<PostingRecord, ReplyError> {
    Ok(PostingRecord {
        account: row.account.get(),
        amount: row.amount.get(),
        asset: row.asset.get(),
        side: Side::from_byte(row.side).ok_or(ReplyError::Value { field: "side" })?,
        result: PostingResult {
            version: row.version.get(),
            balance: row.balance.get(),
            alarm: row.flags & POSTING_ALARM != 0,
        },
        previous: row.previous.get(),
        index: row.index,
        held: held_result(kind, row.amount, row.freed, row.left, row.held),
    })
}

/// The transaction of a row and its postings, or none.
fn transaction(
    row: &TransactionReplyRow,
    postings: &[PostingReplyRow],
) -> Result<Option<TransactionRecord>, ReplyError> {
    match row.found {
        0 if postings.is_empty() && row.voucher_bytes.get() == 0 => return Ok(None),
        1 => {}
        _ => return Err(ReplyError::Value { field: "found" }),
    }
    let kind = RowKind::from_byte(row.kind).ok_or(ReplyError::Value { field: "kind" })?;
    Ok(Some(TransactionRecord {
        institution: row.institution.get(),
        principal: row.principal.get(),
        kind,
        id: row.id.get(),
        link: row.link.get(),
        link_sequence: row.link_sequence.get(),
        timeout: row.timeout.get(),
        forced: row.flags & TRANSACTION_FORCED != 0,
        is_final: row.flags & TRANSACTION_FINAL != 0,
        takes_all: row.flags & TRANSACTION_TAKES_ALL != 0,
        result: ItemResult {
            outcome: Outcome::from_number(row.outcome.get()).ok_or(ReplyError::Value { field: "outcome" })?,
            repeat: row.flags & REPEAT != 0,
            detail: row.detail.get(),
            sequence: row.sequence.get(),
            booked_at: row.booked_at.get(),
        },
        reference: row.reference.get(),
        code: row.code.get(),
        accounting_date: row.accounting_date.get(),
        value_date: row.value_date.get(),
        postings: postings.iter().map(|row| posting(kind, row)).collect::<Result<_, _>>()?,
        voucher: Vec::new(),
        voucher_length: row.voucher_length.get(),
        voucher_digest: row.voucher_digest,
    }))
}

/// Reads `count` rows, their postings and vouchers, up to the end.
fn decode_all(count: u32, mut payload: &[u8]) -> Result<Vec<Option<TransactionRecord>>, ReplyError> {
    const WHAT: &str = "transactions";
    let rows: &[TransactionReplyRow] = take_rows(&mut payload, count as usize, WHAT)?;
    let mut transactions = Vec::with_capacity(rows.len());
    for row in rows {
        let postings = take_rows(&mut payload, usize::from(row.posting_count.get()), WHAT)?;
        transactions.push(transaction(row, postings)?);
    }
    for (row, transaction) in rows.iter().zip(&mut transactions) {
        if let Some(record) = transaction {
            record.voucher = take_bytes(&mut payload, usize::from(row.voucher_bytes.get()), WHAT)?.to_vec();
        }
    }
    finish(payload, WHAT)?;
    Ok(transactions)
}

/// Reads the payload of a look-up.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Found, ReplyError> {
    let position: &U64 = take_row(&mut payload, "transactions")?;
    Ok((decode_all(count, payload)?, position.get()))
}

/// Reads the payload of a page.
pub fn decode_page(count: u32, mut payload: &[u8]) -> Result<TransactionPage, ReplyError> {
    let head: &PageHeadRow = take_row(&mut payload, "transaction page")?;
    let found: Option<Vec<_>> = decode_all(count, payload)?.into_iter().collect();
    Ok(TransactionPage {
        transactions: found.ok_or(ReplyError::Value { field: "found" })?,
        seen: head.seen.get(),
        more: match head.more {
            0 => false,
            1 => true,
            _ => return Err(ReplyError::Value { field: "more" }),
        },
        position: head.position.get(),
    })
}
