//! Accounts in replies: the position that the answer reflects, one row per account, then the attributes of all of them.
//!
//! A reply holds as many of the accounts as fit into a reply, at least one; its count says how many. A page of a
//! listing always fits.

use florin_core::entry::{AccountRecord, CATEGORIES, Status};
use florin_core::request::{HAS_ALARM, HAS_CEILING, NO_FLOOR, Side};
use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromZeros, IntoBytes};

use super::rows::AccountReplyRow;
use super::{ReplyError, finish, put_text, take_bytes, take_row, take_rows, take_text};
use crate::limits::{POSITION_BYTES, REPLY_BYTES_MAX};

/// Accounts that were asked for by id, and the last sequence number that the answer reflects.
pub type Found = (Vec<Option<AccountRecord>>, u64);

/// The row of an account. Its attributes follow after all rows.
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
        incoming: I128::new(record.incoming),
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
        attributes_length: U16::new(record.attributes.len() as u16),
        reserved: [0; 4],
        label,
    }
}

/// The account of a row and its attributes, which are taken from the front of `rest`; or none.
pub fn record(row: &AccountReplyRow, rest: &mut &[u8]) -> Result<Option<AccountRecord>, ReplyError> {
    let attributes = take_bytes(rest, usize::from(row.attributes_length.get()), "attributes")?;
    match row.found {
        0 if attributes.is_empty() => return Ok(None),
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
        incoming: row.incoming.get(),
        version: row.version.get(),
        opened: row.opened.get(),
        last_entry: row.last_entry.get(),
        label: take_text(&row.label, row.label_length, "label")?.into(),
        attributes: attributes.into(),
    }))
}

/// Appends the payload of a look-up's or a listing's reply for the first accounts that fit, and returns how many those
/// are.
pub fn encode<'a>(
    accounts: impl Iterator<Item = Option<&'a AccountRecord>> + Clone,
    position: u64,
    out: &mut Vec<u8>,
) -> u32 {
    let mut bytes = POSITION_BYTES;
    let fits = |account: &Option<&AccountRecord>| {
        bytes += size_of::<AccountReplyRow>() + account.map_or(0, |record| record.attributes.len());
        bytes <= REPLY_BYTES_MAX
    };
    let count = accounts.clone().take_while(fits).count();
    out.extend_from_slice(&position.to_le_bytes());
    let none = AccountReplyRow::new_zeroed();
    for account in accounts.clone().take(count) {
        match account {
            Some(record) => out.extend_from_slice(row(record).as_bytes()),
            None => out.extend_from_slice(none.as_bytes()),
        }
    }
    for record in accounts.take(count).flatten() {
        out.extend_from_slice(&record.attributes);
    }
    count as u32
}

/// Reads the payload of a look-up's reply.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Found, ReplyError> {
    let position: &U64 = take_row(&mut payload, "accounts")?;
    let rows: &[AccountReplyRow] = take_rows(&mut payload, count as usize, "accounts")?;
    let accounts = rows.iter().map(|row| record(row, &mut payload)).collect::<Result<_, _>>()?;
    finish(payload, "accounts")?;
    Ok((accounts, position.get()))
}

/// Reads the payload of a listing's reply, in which every row is an account.
pub fn decode_page(count: u32, payload: &[u8]) -> Result<(Vec<AccountRecord>, u64), ReplyError> {
    let (accounts, position) = decode(count, payload)?;
    let found: Option<Vec<_>> = accounts.into_iter().collect();
    Ok((found.ok_or(ReplyError::Value { field: "found" })?, position))
}
