//! The payload of a frame, to the byte: fixed rows, an extension area, a voucher area. docs/format-log.md describes it.
//!
//! This file has the rows. Encoding (`encode`) takes a finished round; decoding (`decode`) takes bytes that may be anything
//! and answers with a record or an error. Both work row by row, so that a reader can take one transaction out of a frame
//! without the others.

mod decode;
mod encode;

pub use crate::institution::date_of;
pub use decode::{ControlFrameRecord, FrameView, OpenRecord, Record, RowBytes, RowError};
pub use encode::{ControlFrame, FrameDraft, encoded_bytes, encoded_bytes_named};

use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::*;

/// What a posting did, inside a row. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogEntry {
    /// Version of the account after it; bit 63: the entry crossed the alarm level.
    pub version: U64,
    /// Balance after, normal side, minor units.
    pub balance: I128,
    /// Sequence number of the row with the account's previous entry, or of its opening.
    pub previous: U64,
}

/// What all rows end with. 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RowTail {
    /// The tenant.
    pub institution: U32,
    /// Asset number; 0 in journals and control records.
    pub asset: U32,
    /// Who asked.
    pub principal: U32,
    /// Business code.
    pub code: U16,
    /// [`RowKind`].
    pub kind: u8,
    /// Bits [`FORCED`], [`FINAL`], [`ALL`], [`LINKED`].
    pub flags: u8,
    /// [`Outcome`].
    pub outcome: U16,
    /// Booked-at, nanoseconds after the frame's time.
    pub time_offset: U32,
    /// Days since 1970-01-01.
    pub accounting_date: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Business reference, 0 = none.
    pub reference: U128,
    /// Bytes of the voucher. Account change: bytes of reason and data together.
    pub voucher_length: U16,
    /// Offset of the row's extension from the start of the payload, 0 = none.
    pub extension: U32,
}

/// A transaction or control record in a frame. 176 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogRow {
    /// Id.
    pub id: U128,
    /// Transfer: debit account. Journal and what has to do with holds and reversals: number of posting records. Control record:
    /// bytes of the record. Account change: the account.
    pub debit: U128,
    /// Transfer: credit account. Otherwise 0.
    pub credit: U128,
    /// Transfer: minor units. Otherwise 0.
    pub amount: U128,
    /// Transfer: the debit entry. If refused: `version` is the index of the posting whose account refused.
    pub debit_entry: LogEntry,
    /// Transfer: the credit entry.
    pub credit_entry: LogEntry,
    /// The rest.
    pub tail: RowTail,
}

/// An account opening in a frame. 176 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OpenRow {
    /// The account.
    pub account: U128,
    /// Owner, 0 = none.
    pub owner: U128,
    /// Floor, 0 if there is none.
    pub floor: I128,
    /// Ceiling, 0 unless flagged.
    pub ceiling: I128,
    /// Alarm level, 0 unless flagged.
    pub alarm: I128,
    /// Subject, 0 = none.
    pub subject: U32,
    /// 0 debit, 1 credit.
    pub normal_side: u8,
    /// Category.
    pub category: u8,
    /// As in [`AccountRow`].
    pub limit_flags: u8,
    /// Bytes of the label, which stands at `extension`.
    pub label_length: u8,
    /// Zero.
    pub reserved: [u8; 40],
    /// The rest.
    pub tail: RowTail,
}

/// A posting of a journal, in the extension area. 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogPosting {
    /// The account.
    pub account: U128,
    /// Minor units.
    pub amount: U128,
    /// Asset number.
    pub asset: U32,
    /// 0 debit, 1 credit.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// What it did; zeros if refused.
    pub entry: LogEntry,
}

/// What a transaction names, in the extension area after any voucher record. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogLink {
    /// Id of the hold or original, or of a related transaction; 0 = none.
    pub id: U128,
    /// Sequence number of the row of the hold or original; 0 in posts, holds and refusals.
    pub sequence: U64,
    /// Timeout of a hold, seconds, 0 = none.
    pub timeout: U32,
    /// Zero.
    pub reserved: U32,
}

/// A posting of a hold, increase, capture, release, expiry or reversal, in the extension area. 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogHeld {
    /// The account. In the refusal of an item that names postings by index: 0.
    pub account: U128,
    /// Held, added, captured or reversed, minor units; as asked for in a refusal.
    pub amount: U128,
    /// Freed, minor units.
    pub freed: U128,
    /// What is left of the hold's posting, or to reverse of the original's.
    pub left: U128,
    /// What holds reserve on the posting's side of the account, after it.
    pub held: I128,
    /// What it did; zeros if refused.
    pub entry: LogEntry,
    /// Asset number. 0 as `account`.
    pub asset: U32,
    /// 0 debit, 1 credit: the side that it posts on, or holds. 0 as `account`.
    pub side: u8,
    /// Index of the posting in the hold or original.
    pub index: u8,
    /// Zero.
    pub reserved: [u8; 10],
}

/// What an account change asked for, in the extension area; reason and data follow. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogChange {
    /// As in [`crate::request::ChangeRow`], as are the others.
    pub floor: I128,
    /// New ceiling.
    pub ceiling: I128,
    /// New alarm level.
    pub alarm: I128,
    /// What was changed.
    pub action: u8,
    /// New status.
    pub status: u8,
    /// Which limits were set.
    pub sets: u8,
    /// Flags of the limits.
    pub limit_flags: u8,
    /// Whether it was forced.
    pub flags: U16,
    /// Bytes of the reason.
    pub reason_length: U16,
    /// Bytes of the new label or attributes.
    pub data_length: U16,
    /// Zero.
    pub reserved: [u8; 6],
}

/// Row flag: limits and freezes were skipped.
pub const FORCED: u8 = 1;
/// Row flag: a capture freed what it left.
pub const FINAL: u8 = 2;
/// Row flag: all that was left of a hold, or a whole original.
pub const ALL: u8 = 4;
/// Row flag: there is a link record.
pub const LINKED: u8 = 8;

/// Where the voucher of a row is, in the extension area before any postings. 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogVoucher {
    /// Offset in the voucher area; 0 if refused, when only the digest is kept.
    pub offset: U32,
    /// Zero.
    pub reserved: U32,
    /// BLAKE3 of the voucher.
    pub digest: [u8; 32],
}

const _: () = assert!(size_of::<LogRow>() == LOG_ROW_BYTES);
const _: () = assert!(size_of::<OpenRow>() == LOG_ROW_BYTES);
const _: () = assert!(size_of::<LogPosting>() == POSTING_RECORD_BYTES);
const _: () = assert!(size_of::<LogVoucher>() == VOUCHER_RECORD_BYTES);
const _: () = assert!(size_of::<LogLink>() == LINK_RECORD_BYTES);
const _: () = assert!(size_of::<LogHeld>() == HELD_RECORD_BYTES);
const _: () = assert!(size_of::<LogChange>() == CHANGE_RECORD_BYTES);

/// The head of a frame, as far as the core decides it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DraftHead {
    /// Number of the round and frame.
    pub number: u64,
    /// First sequence number.
    pub first_sequence: u64,
    /// How many rows.
    pub count: u32,
    /// Booked-at of the first row.
    pub time: u64,
}
