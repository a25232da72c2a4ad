//! The fixed rows of the protocol that are not already rows of florin-core. Little-endian, no alignment, no padding.
//!
//! Rows of requests (`TransferRow`, `ItemRow`, `PostingRow`, `AccountRow`, `ChangeRow`) are in `florin_core::request`.

#![allow(missing_docs, reason = "each field is described in docs/protocol.md, next to its offset")]

use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Payload of a hello. 104 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HelloRow {
    pub version_min: U16,
    pub version_max: U16,
    pub authentication: u8,
    pub name_length: u8,
    pub reserved: [u8; 2],
    pub challenge: [u8; 32],
    pub name: [u8; 64],
}

/// Payload of the reply to hello. 160 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct HelloReplyRow {
    pub version: U16,
    pub authentication: u8,
    pub name_length: u8,
    pub institution: U32,
    pub request_bytes_max: U32,
    pub reply_bytes_max: U32,
    pub transactions_max: U32,
    pub openings_max: U32,
    pub look_up_accounts_max: U32,
    pub list_accounts_max: U32,
    pub look_up_transactions_max: U32,
    pub statement_entries_max: U32,
    pub in_flight_requests_max: U32,
    pub postings_max: U16,
    pub voucher_bytes_max: U16,
    pub control_bytes_max: U32,
    pub transaction_page_max: U32,
    pub watch_wait_ms_max: U32,
    pub attributes_bytes_max: U16,
    pub reason_bytes_max: U16,
    pub challenge: [u8; 32],
    pub name: [u8; 64],
}

/// Payload of the listing of accounts. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ListRow {
    pub after: U64,
    pub limit: U32,
    pub reserved: [u8; 4],
}

/// Payload of a statement request. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StatementRow {
    pub account: U128,
    pub from_sequence: U64,
    pub from_version: U64,
    pub first: U64,
    pub last: U64,
    pub limit: U32,
    pub span: u8,
    pub order: u8,
    pub reserved: [u8; 10],
}

/// In [`StatementRow::span`]: all entries.
pub const SPAN_ALL: u8 = 0;
/// In [`StatementRow::span`]: by number of the entry.
pub const SPAN_VERSIONS: u8 = 1;
/// In [`StatementRow::span`]: by booked-at.
pub const SPAN_TIMES: u8 = 2;
/// In [`StatementRow::span`]: by accounting date.
pub const SPAN_DATES: u8 = 3;

/// Payload of a request for a balance at a moment. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BalanceAtRow {
    pub account: U128,
    pub moment: U64,
    pub kind: u8,
    pub reserved: [u8; 7],
}

/// In [`BalanceAtRow::kind`]: a time.
pub const MOMENT_TIME: u8 = 1;
/// In [`BalanceAtRow::kind`]: an accounting date.
pub const MOMENT_DATE: u8 = 2;

/// Payload of a look-up by reference, and of one of what names a transaction. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RelatedRow {
    pub id: U128,
    pub after: U64,
    pub limit: U32,
    pub reserved: [u8; 4],
}

/// Payload of a watch. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct WatchRow {
    pub after: U64,
    pub limit: U32,
    pub wait_ms: U32,
}

/// A run of results. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RunRow {
    pub count: U32,
    pub outcome: U16,
    pub flags: u8,
    pub reserved: u8,
    pub detail: U16,
    pub reserved_detail: [u8; 6],
    pub sequence: U64,
    pub booked_at: U64,
}

/// In the flags of a [`RunRow`] or [`TransactionReplyRow`]: the result of an earlier request with the same id.
pub const REPEAT: u8 = 1;

/// Version and balance after a posting. The top bit of the version is [`RESULT_ALARM`]. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostingResultRow {
    pub version: U64,
    pub balance: I128,
}

/// In [`PostingResultRow::version`]: the balance crossed the account's alarm level.
pub const RESULT_ALARM: u64 = 1 << 63;

/// An account in a reply, without its attributes; all zeros where there is none. 240 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AccountReplyRow {
    pub account: U128,
    pub owner: U128,
    pub floor: I128,
    pub ceiling: I128,
    pub alarm: I128,
    pub posted: I128,
    pub held: I128,
    pub incoming: I128,
    pub version: U64,
    pub opened: U64,
    pub last_entry: U64,
    pub institution: U32,
    pub asset: U32,
    pub subject: U32,
    pub found: u8,
    pub normal_side: u8,
    pub category: u8,
    pub status: u8,
    pub limit_flags: u8,
    pub label_length: u8,
    pub attributes_length: U16,
    pub reserved: [u8; 4],
    pub label: [u8; 64],
}

/// A transaction in a reply; all zeros where there is none. 144 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransactionReplyRow {
    pub id: U128,
    pub reference: U128,
    pub link: U128,
    pub voucher_digest: [u8; 32],
    pub sequence: U64,
    pub booked_at: U64,
    pub link_sequence: U64,
    pub institution: U32,
    pub principal: U32,
    pub timeout: U32,
    pub outcome: U16,
    pub detail: U16,
    pub code: U16,
    pub accounting_date: U16,
    pub value_date: U16,
    pub posting_count: U16,
    pub voucher_length: U16,
    pub voucher_bytes: U16,
    pub found: u8,
    pub kind: u8,
    pub flags: u8,
    pub reserved: [u8; 9],
}

/// In [`TransactionReplyRow::flags`]: limits and freezes were skipped.
pub const TRANSACTION_FORCED: u8 = 2;
/// In [`TransactionReplyRow::flags`]: what it left of its hold was freed.
pub const TRANSACTION_FINAL: u8 = 4;
/// In [`TransactionReplyRow::flags`]: it stands for all that was left of its hold, or for its whole original.
pub const TRANSACTION_TAKES_ALL: u8 = 8;

/// A posting of a transaction in a reply. 120 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostingReplyRow {
    pub account: U128,
    pub amount: U128,
    pub balance: I128,
    pub freed: U128,
    pub left: U128,
    pub held: I128,
    pub version: U64,
    pub previous: U64,
    pub asset: U32,
    pub side: u8,
    pub index: u8,
    pub flags: u8,
    pub reserved: u8,
}

/// In [`PostingReplyRow::flags`]: the balance crossed the account's alarm level.
pub const POSTING_ALARM: u8 = 1;

/// What stands before the transactions of a page: where the answer stands and where the next page begins. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PageHeadRow {
    pub position: U64,
    pub seen: U64,
    pub more: u8,
    pub reserved: [u8; 7],
}

/// What stands before the entries of a statement: the account, where the answer stands, where the next page begins.
/// 272 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StatementHeadRow {
    pub account: AccountReplyRow,
    pub position: U64,
    pub next_sequence: U64,
    pub next_version: U64,
    pub has_next: u8,
    pub reserved: [u8; 7],
}

/// An entry of a statement. 208 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EntryRow {
    pub id: U128,
    pub amount: U128,
    pub balance: I128,
    pub counterparty: U128,
    pub reference: U128,
    pub link: U128,
    pub freed: U128,
    pub left: U128,
    pub held: I128,
    pub sequence: U64,
    pub version: U64,
    pub previous: U64,
    pub booked_at: U64,
    pub asset: U32,
    pub principal: U32,
    pub code: U16,
    pub accounting_date: U16,
    pub value_date: U16,
    pub voucher_bytes: U16,
    pub reason_bytes: U16,
    pub kind: u8,
    pub side: u8,
    pub flags: u8,
    pub action: u8,
    pub reserved: [u8; 10],
}

/// In [`EntryRow::flags`]: limits and freezes were skipped.
pub const ENTRY_FORCED: u8 = 1;
/// In [`EntryRow::flags`]: the balance crossed the account's alarm level.
pub const ENTRY_ALARM: u8 = 2;

/// An account's balance at a moment. 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BalanceAtReplyRow {
    pub account: U128,
    pub posted: I128,
    pub version: U64,
    pub sequence: U64,
    pub booked_at: U64,
    pub position: U64,
    pub asset: U32,
    pub reserved: [u8; 4],
}

/// An institution. 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InstitutionRow {
    pub number: U32,
    pub open_day: U16,
    pub name_length: u8,
    pub reserved: u8,
    pub name: [u8; 64],
}

/// An asset. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AssetRow {
    pub number: U32,
    pub scale: u8,
    pub code_length: u8,
    pub reserved: [u8; 2],
    pub code: [u8; 16],
}

/// A snapshot that was asked for; the path of its folder follows. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SnapshotReplyRow {
    pub frame: U64,
    pub sequence: U64,
    pub booked_at: U64,
    pub accounts: U64,
    pub records: U64,
    pub bytes: U64,
    pub us: U64,
    pub is_new: u8,
    pub reserved: [u8; 5],
    pub folder_length: U16,
}

/// What stands before the text of an error reply. 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ErrorRow {
    pub code: U16,
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<HelloRow>() == 104);
const _: () = assert!(size_of::<HelloReplyRow>() == 160);
const _: () = assert!(size_of::<ListRow>() == 16);
const _: () = assert!(size_of::<StatementRow>() == 64);
const _: () = assert!(size_of::<BalanceAtRow>() == 32);
const _: () = assert!(size_of::<RelatedRow>() == 32);
const _: () = assert!(size_of::<WatchRow>() == 16);
const _: () = assert!(size_of::<RunRow>() == 32);
const _: () = assert!(size_of::<PostingResultRow>() == 24);
const _: () = assert!(size_of::<AccountReplyRow>() == 240);
const _: () = assert!(size_of::<TransactionReplyRow>() == 144);
const _: () = assert!(size_of::<PostingReplyRow>() == 120);
const _: () = assert!(size_of::<PageHeadRow>() == 24);
const _: () = assert!(size_of::<StatementHeadRow>() == 272);
const _: () = assert!(size_of::<EntryRow>() == 208);
const _: () = assert!(size_of::<BalanceAtReplyRow>() == 72);
const _: () = assert!(size_of::<AssetRow>() == 24);
const _: () = assert!(size_of::<InstitutionRow>() == 72);
const _: () = assert!(size_of::<SnapshotReplyRow>() == 64);
const _: () = assert!(size_of::<ErrorRow>() == 4);
