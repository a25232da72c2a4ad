//! Transactions in replies: position, one row per id, then the postings of all of them, then the vouchers.
//!
//! A reply holds as many of the ids asked for as fit into a reply, at least one; its count says how many. The client
//! asks again for the rest.

use florin_core::entry::{PostingRecord, RowKind, TransactionRecord};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostingResult, Side};
use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromZeros, IntoBytes};

use super::rows::{PostingReplyRow, REPEAT, TransactionReplyRow};
use super::{ReplyError, finish, take_bytes, take_row, take_rows};
use crate::limits::{POSITION_BYTES, REPLY_BYTES_MAX};

/// Transactions in the order asked, and the last sequence number that the answer reflects.
pub type Found = (Vec<Option<TransactionRecord>>, u64);

fn reply_bytes(transaction: &Option<TransactionRecord>) -> usize {
    let more = |t: &TransactionRecord| t.postings.len() * size_of::<PostingReplyRow>() + t.voucher.len();
    size_of::<TransactionReplyRow>() + transaction.as_ref().map_or(0, more)
}

fn row(record: &TransactionRecord) -> TransactionReplyRow {
    TransactionReplyRow {
        id: U128::new(record.id),
        reference: U128::new(record.reference),
        voucher_digest: record.voucher_digest,
        sequence: U64::new(record.result.sequence),
        booked_at: U64::new(record.result.booked_at),
        institution: U32::new(record.institution),
        principal: U32::new(record.principal),
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
        flags: if record.result.repeat { REPEAT } else { 0 },
        reserved: [0; 5],
    }
}

/// Appends the payload for the first transactions that fit, and returns how many those are.
pub fn encode(transactions: &[Option<TransactionRecord>], position: u64, out: &mut Vec<u8>) -> u32 {
    let mut bytes = POSITION_BYTES;
    let fits = |transaction: &&Option<TransactionRecord>| {
        bytes += reply_bytes(transaction);
        bytes <= REPLY_BYTES_MAX
    };
    let count = transactions.iter().take_while(fits).count();
    let answered = &transactions[..count];
    out.extend_from_slice(&position.to_le_bytes());
    let none = TransactionReplyRow::new_zeroed();
    for transaction in answered {
        match transaction {
            Some(record) => out.extend_from_slice(row(record).as_bytes()),
            None => out.extend_from_slice(none.as_bytes()),
        }
    }
    for posting in answered.iter().flatten().flat_map(|record| &record.postings) {
        let row = PostingReplyRow {
            account: U128::new(posting.account),
            amount: U128::new(posting.amount),
            balance: I128::new(posting.result.balance),
            version: U64::new(posting.result.version),
            previous: U64::new(posting.previous),
            asset: U32::new(posting.asset),
            side: posting.side as u8,
            reserved: [0; 3],
        };
        out.extend_from_slice(row.as_bytes());
    }
    for record in answered.iter().flatten() {
        out.extend_from_slice(&record.voucher);
    }
    count as u32
}

fn posting(row: &PostingReplyRow) -> Result<PostingRecord, ReplyError> {
    Ok(PostingRecord {
        account: row.account.get(),
        amount: row.amount.get(),
        asset: row.asset.get(),
        side: Side::from_byte(row.side).ok_or(ReplyError::Value { field: "side" })?,
        result: PostingResult { version: row.version.get(), balance: row.balance.get() },
        previous: row.previous.get(),
    })
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Found, ReplyError> {
    const WHAT: &str = "transactions";
    let position: &U64 = take_row(&mut payload, WHAT)?;
    let rows: &[TransactionReplyRow] = take_rows(&mut payload, count as usize, WHAT)?;
    let mut transactions = Vec::with_capacity(rows.len());
    for row in rows {
        if row.found > 1 {
            return Err(ReplyError::Value { field: "found" });
        }
        if row.found == 0 && (row.posting_count.get() != 0 || row.voucher_bytes.get() != 0) {
            return Err(ReplyError::Value { field: "posting count" });
        }
        let postings: &[PostingReplyRow] = take_rows(&mut payload, usize::from(row.posting_count.get()), WHAT)?;
        if row.found == 0 {
            transactions.push(None);
            continue;
        }
        transactions.push(Some(TransactionRecord {
            institution: row.institution.get(),
            principal: row.principal.get(),
            kind: RowKind::from_byte(row.kind).ok_or(ReplyError::Value { field: "kind" })?,
            id: row.id.get(),
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
            postings: postings.iter().map(posting).collect::<Result<_, _>>()?,
            voucher: Vec::new(),
            voucher_length: row.voucher_length.get(),
            voucher_digest: row.voucher_digest,
        }));
    }
    for (row, transaction) in rows.iter().zip(&mut transactions) {
        if let Some(record) = transaction {
            record.voucher = take_bytes(&mut payload, usize::from(row.voucher_bytes.get()), WHAT)?.to_vec();
        }
    }
    finish(payload, WHAT)?;
    Ok((transactions, position.get()))
}
