//! A page of a statement: the account, its entries, the account's attributes, then voucher and reason of each entry. No
//! payload = no account.

use florin_core::entry::{RowKind, StatementEntry, StatementPage, StatementToken};
use florin_core::request::{Action, Side};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U16, U32, U64, U128};

use super::rows::{ENTRY_ALARM, ENTRY_FORCED, EntryRow, StatementHeadRow};
use super::{ReplyError, accounts, finish, held_result, take_bytes, take_row, take_rows};

/// No action has this number: the entry is not of an account change.
const NO_ACTION: u8 = 0;

fn reason(entry: &StatementEntry) -> &str {
    entry.change.as_ref().map_or("", |(_, reason)| reason)
}

fn row(entry: &StatementEntry) -> EntryRow {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    EntryRow {
        id: U128::new(entry.id),
        amount: U128::new(entry.amount),
        balance: I128::new(entry.balance),
        counterparty: U128::new(entry.counterparty),
        reference: U128::new(entry.reference),
        link: U128::new(entry.link),
        freed: U128::new(entry.held.freed),
        left: U128::new(entry.held.left),
        held: I128::new(entry.held.held),
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
        reason_bytes: U16::new(reason(entry).len() as u16),
        kind: entry.kind as u8,
        side: entry.side as u8,
        flags: flag(entry.forced, ENTRY_FORCED) | flag(entry.alarm, ENTRY_ALARM),
        action: entry.change.as_ref().map_or(NO_ACTION, |(action, _)| *action as u8),
        reserved: [0; 10],
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
    out.extend_from_slice(&page.account.attributes);
    for entry in &page.entries {
        out.extend_from_slice(&entry.voucher);
        out.extend_from_slice(reason(entry).as_bytes());
    }
}

/// The entry of a row and its texts, which are taken from the front of `rest`.
fn entry(row: &EntryRow, rest: &mut &[u8]) -> Result<StatementEntry, ReplyError> {
    let kind = RowKind::from_byte(row.kind).ok_or(ReplyError::Value { field: "kind" })?;
    let voucher = take_bytes(rest, usize::from(row.voucher_bytes.get()), "voucher")?;
    let reason = take_bytes(rest, usize::from(row.reason_bytes.get()), "reason")?;
    let change = match row.action {
        NO_ACTION if reason.is_empty() => None,
        action => {
            let action = Action::from_byte(action).ok_or(ReplyError::Value { field: "action" })?;
            let reason = str::from_utf8(reason).map_err(|_| ReplyError::Value { field: "reason" })?;
            Some((action, reason.into()))
        }
    };
    Ok(StatementEntry {
        sequence: row.sequence.get(),
        version: row.version.get(),
        kind,
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
        voucher: voucher.to_vec(),
        link: row.link.get(),
        forced: row.flags & ENTRY_FORCED != 0,
        alarm: row.flags & ENTRY_ALARM != 0,
        held: held_result(kind, row.amount, row.freed, row.left, row.held),
        change,
    })
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Option<StatementPage>, ReplyError> {
    const WHAT: &str = "statement";
    if payload.is_empty() && count == 0 {
        return Ok(None);
    }
    let head: &StatementHeadRow = take_row(&mut payload, WHAT)?;
    let rows: &[EntryRow] = take_rows(&mut payload, count as usize, WHAT)?;
    let account = accounts::record(&head.account, &mut payload)?.ok_or(ReplyError::Value { field: "found" })?;
    let entries = rows.iter().map(|row| entry(row, &mut payload)).collect::<Result<_, _>>()?;
    finish(payload, WHAT)?;
    Ok(Some(StatementPage {
        account,
        entries,
        next: match head.has_next {
            0 => None,
            1 => Some(StatementToken { sequence: head.next_sequence.get(), version: head.next_version.get() }),
            _ => return Err(ReplyError::Value { field: "has next" }),
        },
        position: head.position.get(),
    }))
}
