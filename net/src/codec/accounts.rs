//! Accounts in replies: the position that the answer reflects, then one row per account.

use florin_core::entry::{AccountRecord, CATEGORIES, Status};
use florin_core::request::{HAS_ALARM, HAS_CEILING, NO_FLOOR, Side};
use zerocopy::little_endian::{I128, U32, U64, U128};
use zerocopy::{FromZeros, IntoBytes};

use super::rows::AccountReplyRow;
use super::{ReplyError, finish, put_text, take_row, take_rows, take_text};

/// Accounts that were asked for by id, and the last sequence number that the answer reflects.
pub type Found = (Vec<Option<AccountRecord>>, u64);

/// The row of an account.
pub fn row(record: &AccountRecord) -> AccountReplyRow {
    let (label, label_length) = put_text(&record.label);
    let limit = |value: Option<i128>| I128::new(value.unwrap_or(0));
    let flag = |value: Option<i128>, flag: u8| if value.is_some() { flag } else { 0 };
    AccountReplyRow {
        account: U128::new(record.account),
        owner: U128::new(record.owner),
        floor: limit(record.floor),
        ceiling: limit(record.ceiling),
        alarm: limit(record.alarm),
        posted: I128::new(record.posted),
        held: I128::new(record.held),
        version: U64::new(record.version),
        opened: U64::new(record.opened),
        last_entry: U64::new(record.last_entry),
        institution: U32::new(record.institution),
        asset: U32::new(record.asset),
        subject: U32::new(record.subject),
        found: 1,
        normal_side: record.normal_side as u8,
        category: record.category,
        status: record.status as u8,
        limit_flags: if record.floor.is_none() { NO_FLOOR } else { 0 }
            | flag(record.ceiling, HAS_CEILING)
            | flag(record.alarm, HAS_ALARM),
        label_length,
        reserved: [0; 6],
        label,
    }
}

/// The account of a row, or none.
pub fn record(row: &AccountReplyRow) -> Result<Option<AccountRecord>, ReplyError> {
    match row.found {
        0 => return Ok(None),
        1 => {}
        _ => return Err(ReplyError::Value { field: "found" }),
    }
    if usize::from(row.category) >= CATEGORIES.len() {
        return Err(ReplyError::Value { field: "category" });
    }
    let limit = |flag: u8, value: I128| (row.limit_flags & flag != 0).then(|| value.get());
    Ok(Some(AccountRecord {
        institution: row.institution.get(),
        account: row.account.get(),
        asset: row.asset.get(),
        subject: row.subject.get(),
        normal_side: Side::from_byte(row.normal_side).ok_or(ReplyError::Value { field: "normal side" })?,
        category: row.category,
        status: Status::from_byte(row.status).ok_or(ReplyError::Value { field: "status" })?,
        owner: row.owner.get(),
        floor: (row.limit_flags & NO_FLOOR == 0).then(|| row.floor.get()),
        ceiling: limit(HAS_CEILING, row.ceiling),
        alarm: limit(HAS_ALARM, row.alarm),
        posted: row.posted.get(),
        held: row.held.get(),
        version: row.version.get(),
        opened: row.opened.get(),
        last_entry: row.last_entry.get(),
        label: take_text(&row.label, row.label_length, "label")?.into(),
    }))
}

/// Appends the payload of a look-up's or a listing's reply. The header's count is the number of rows.
pub fn encode<'a>(accounts: impl Iterator<Item = Option<&'a AccountRecord>>, position: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&position.to_le_bytes());
    let none = AccountReplyRow::new_zeroed();
    for account in accounts {
        match account {
            Some(record) => out.extend_from_slice(row(record).as_bytes()),
            None => out.extend_from_slice(none.as_bytes()),
        }
    }
}

/// Reads the payload of a look-up's reply.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Found, ReplyError> {
    let position: &U64 = take_row(&mut payload, "accounts")?;
    let rows: &[AccountReplyRow] = take_rows(&mut payload, count as usize, "accounts")?;
    finish(payload, "accounts")?;
    Ok((rows.iter().map(record).collect::<Result<_, _>>()?, position.get()))
}

/// Reads the payload of a listing's reply, in which every row is an account.
pub fn decode_page(count: u32, payload: &[u8]) -> Result<(Vec<AccountRecord>, u64), ReplyError> {
    let (accounts, position) = decode(count, payload)?;
    let found: Option<Vec<_>> = accounts.into_iter().collect();
    Ok((found.ok_or(ReplyError::Value { field: "found" })?, position))
}
