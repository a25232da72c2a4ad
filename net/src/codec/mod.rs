//! From payloads to values and back, one file per kind of payload. No sockets, no clocks, no state.
//!
//! Requests are decoded for the server and encoded for the client; replies the other way round. What a peer sent is
//! never trusted: every length is checked before it is used.

pub mod accounts;
pub mod assets;
pub mod balances;
pub mod errors;
pub mod hello;
pub mod institutions;
pub mod posts;
pub mod questions;
pub mod replies;
pub mod requests;
pub mod rows;
pub mod snapshots;
pub mod statements;
pub mod transactions;

use florin_core::account::HeldResult;
use florin_core::entry::RowKind;
use zerocopy::little_endian::{I128, U128};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Why a reply cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// The payload is longer or shorter than its rows say.
    #[error("a {what} reply of {bytes} bytes does not hold what it counts")]
    Length {
        /// Which reply.
        what: &'static str,
        /// Bytes of the payload, or what was left of it.
        bytes: usize,
    },
    /// A field has a value that this version does not know.
    #[error("the reply's {field} has a value that is not known here")]
    Value {
        /// The field.
        field: &'static str,
    },
}

/// Takes `count` rows from the front of `bytes`.
fn take_rows<'a, T>(bytes: &mut &'a [u8], count: usize, what: &'static str) -> Result<&'a [T], ReplyError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    match <[T]>::ref_from_prefix_with_elems(bytes, count) {
        Ok((rows, rest)) => {
            *bytes = rest;
            Ok(rows)
        }
        Err(_) => Err(ReplyError::Length { what, bytes: bytes.len() }),
    }
}

/// Takes one row from the front of `bytes`.
fn take_row<'a, T>(bytes: &mut &'a [u8], what: &'static str) -> Result<&'a T, ReplyError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    Ok(&take_rows::<T>(bytes, 1, what)?[0])
}

/// Takes `count` bytes from the front of `bytes`.
fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize, what: &'static str) -> Result<&'a [u8], ReplyError> {
    take_rows::<u8>(bytes, count, what)
}

/// Nothing may be left.
fn finish(bytes: &[u8], what: &'static str) -> Result<(), ReplyError> {
    if bytes.is_empty() { Ok(()) } else { Err(ReplyError::Length { what, bytes: bytes.len() }) }
}

/// What an entry did to what is held or left to reverse. Its amount is the entry's own, so it is not sent twice.
fn held_result(kind: RowKind, amount: U128, freed: U128, left: U128, held: I128) -> HeldResult {
    match kind {
        RowKind::Transfer | RowKind::Journal | RowKind::Open | RowKind::Control | RowKind::Change => {
            HeldResult::default()
        }
        _ => HeldResult { amount: amount.get(), freed: freed.get(), left: left.get(), held: held.get() },
    }
}

/// A text in a fixed field.
fn take_text<'a>(field: &'a [u8], length: u8, name: &'static str) -> Result<&'a str, ReplyError> {
    let bytes = field.get(..usize::from(length)).ok_or(ReplyError::Value { field: name })?;
    str::from_utf8(bytes).map_err(|_| ReplyError::Value { field: name })
}

/// A text as a fixed field: cut at a character if it is too long.
fn put_text<const N: usize>(text: &str) -> ([u8; N], u8) {
    let mut end = text.len().min(N).min(usize::from(u8::MAX));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    (field, end as u8)
}
