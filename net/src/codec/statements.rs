//! A page of a statement: the account, then its entries, newest first, then their vouchers. No payload = no account.

use florin_core::entry::{RowKind, StatementEntry, StatementPage, StatementToken};
use florin_core::request::Side;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U16, U32, U64, U128};

use super::rows::{EntryRow, StatementHeadRow};
use super::{ReplyError, accounts, finish, take_bytes, take_row, take_rows};

fn row(entry: &StatementEntry) -> EntryRow {
    EntryRow {
        id: U128::new(entry.id),
        amount: U128::new(entry.amount),
        balance: I128::new(entry.balance),
        counterparty: U128::new(entry.counterparty),
        reference: U128::new(entry.reference),
        sequence: U64::new(entry.sequence),
        version: U64::new(entry.version),
        previous: U64::new(entry.previous),
        booked_at: U64::new(entry.booked_at),
        asset: U32::new(entry.asset),
        principal: U32::new(entry.principal),
        code: U16::new(entry.code),
        accounting_date: U16::new(entry.accounting_date),
        value_date: U16::new(entry.value_date),
        voucher_bytes: U16::new(entry.voucher.len() as u16),
        kind: entry.kind as u8,
        side: entry.side as u8,
        reserved: [0; 14],
    }
}

/// Appends the payload. The header's count is the number of entries.
pub fn encode(page: &StatementPage, out: &mut Vec<u8>) {
    let head = StatementHeadRow {
        account: accounts::row(&page.account),
        position: U64::new(page.position),
        next_sequence: U64::new(page.next.map_or(0, |next| next.sequence)),
        next_version: U64::new(page.next.map_or(0, |next| next.version)),
        has_next: u8::from(page.next.is_some()),
        reserved: [0; 7],
    };
    out.extend_from_slice(head.as_bytes());
    for entry in &page.entries {
        out.extend_from_slice(row(entry).as_bytes());
    }
    for entry in &page.entries {
        out.extend_from_slice(&entry.voucher);
    }
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Option<StatementPage>, ReplyError> {
    const WHAT: &str = "statement";
    if payload.is_empty() && count == 0 {
        return Ok(None);
    }
    let head: &StatementHeadRow = take_row(&mut payload, WHAT)?;
    let rows: &[EntryRow] = take_rows(&mut payload, count as usize, WHAT)?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        entries.push(StatementEntry {
            sequence: row.sequence.get(),
            version: row.version.get(),
            kind: RowKind::from_byte(row.kind).ok_or(ReplyError::Value { field: "kind" })?,
            id: row.id.get(),
            side: Side::from_byte(row.side).ok_or(ReplyError::Value { field: "side" })?,
            amount: row.amount.get(),
            asset: row.asset.get(),
            balance: row.balance.get(),
            counterparty: row.counterparty.get(),
            previous: row.previous.get(),
            reference: row.reference.get(),
            code: row.code.get(),
            principal: row.principal.get(),
            booked_at: row.booked_at.get(),
            accounting_date: row.accounting_date.get(),
            value_date: row.value_date.get(),
            voucher: take_bytes(&mut payload, usize::from(row.voucher_bytes.get()), WHAT)?.to_vec(),
        });
    }
    finish(payload, WHAT)?;
    Ok(Some(StatementPage {
        account: accounts::record(&head.account)?.ok_or(ReplyError::Value { field: "found" })?,
        entries,
        next: match head.has_next {
            0 => None,
            1 => Some(StatementToken { sequence: head.next_sequence.get(), version: head.next_version.get() }),
            _ => return Err(ReplyError::Value { field: "has next" }),
        },
        position: head.position.get(),
    }))
}
