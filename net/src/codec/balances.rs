//! An account's balance at a moment. No payload = no account.

use florin_core::entry::BalanceAt;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U32, U64, U128};

use super::rows::BalanceAtReplyRow;
use super::{ReplyError, finish, take_row};

/// Appends the payload. The header's count is 1.
pub fn encode(balance: &BalanceAt, out: &mut Vec<u8>) {
    let row = BalanceAtReplyRow {
        account: U128::new(balance.account),
        posted: I128::new(balance.posted),
        version: U64::new(balance.version),
        sequence: U64::new(balance.sequence),
        booked_at: U64::new(balance.booked_at),
        position: U64::new(balance.position),
        asset: U32::new(balance.asset),
        reserved: [0; 4],
    };
    out.extend_from_slice(row.as_bytes());
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Option<BalanceAt>, ReplyError> {
    const WHAT: &str = "balance";
    match count {
        0 => return finish(payload, WHAT).map(|()| None),
        1 => {}
        _ => return Err(ReplyError::Value { field: "count" }),
    }
    let row: &BalanceAtReplyRow = take_row(&mut payload, WHAT)?;
    finish(payload, WHAT)?;
    Ok(Some(BalanceAt {
        account: row.account.get(),
        asset: row.asset.get(),
        version: row.version.get(),
        sequence: row.sequence.get(),
        booked_at: row.booked_at.get(),
        posted: row.posted.get(),
        position: row.position.get(),
    }))
}
