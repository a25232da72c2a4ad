//! The payload of a frame, to the byte: fixed rows, an extension area, a voucher area. docs/format-log.md describes it.
//!
//! This file has the rows. Encoding (`encode`) takes a finished round; decoding (`decode`) takes bytes that may be anything
//! and answers with a record or an error. Both work row by row, so that a reader can take one transaction out of a frame
//! without the others.

mod decode;
mod encode;

pub use decode::{ControlFrameRecord, FrameView, OpenRecord, Record, RowBytes, RowError};
pub use encode::{ControlFrame, FrameDraft, encoded_bytes};

use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::{LOG_ROW_BYTES, POSTING_RECORD_BYTES, VOUCHER_RECORD_BYTES};

/// What a posting did, inside a row. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogEntry {
    /// Version of the account after it.
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
    /// No flag is defined yet: 0.
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
    /// Bytes of the voucher.
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
    /// Transfer: debit account. Journal: number of postings. Control record: bytes of the record.
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

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

/// The UTC date of a time, days since 1970-01-01.
pub fn date_of(time_ns: u64) -> u16 {
    u16::try_from(time_ns / DAY_NS).unwrap_or(u16::MAX)
}

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
