//! Every size of the protocol in one place, each with its unit and its reason, checked against each other when
//! compiled.

use florin_core::limits::{
    ASSETS_MAX, ATTRIBUTES_BYTES_MAX, CONTROL_BYTES_MAX, INSTITUTION_NAME_BYTES_MAX, INSTITUTIONS_MAX, POSTINGS_MAX,
    REASON_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX, VOUCHER_BYTES_MAX,
};
use florin_core::request::{AccountRow, ChangeRow, ItemRow, PostingRow};
use florin_engine::{LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, STATEMENT_ENTRIES_MAX};

use crate::codec::rows::{
    AccountReplyRow, AssetRow, EntryRow, InstitutionRow, PageHeadRow, PostingReplyRow, PostingResultRow, RunRow,
    StatementHeadRow, TransactionReplyRow,
};

/// The one version of the protocol that exists.
pub const VERSION: u8 = 1;
/// Bytes of a header, in both directions.
pub const HEADER_BYTES: usize = 48;
/// Most bytes of a reply's payload: room for the largest page of a statement, 1,000 entries with a voucher of 4 KiB
/// each.
pub const REPLY_BYTES_MAX: usize = 5 << 20;
/// Most openings in one request.
pub const OPENINGS_MAX: usize = REQUEST_BYTES_MAX / size_of::<AccountRow>();
/// Most account changes in one request.
pub const CHANGES_MAX: usize = REQUEST_BYTES_MAX / size_of::<ChangeRow>();
/// Most results in one reply.
pub const RESULTS_MAX: usize = if CHANGES_MAX > REQUEST_ITEMS_MAX { CHANGES_MAX } else { REQUEST_ITEMS_MAX };
/// Bytes of the id before a control record.
pub const CONTROL_ID_BYTES: usize = 16;
/// Longest name of a client or a server in a hello, bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest text of an error reply, bytes of UTF-8.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 512;
/// Most bytes that the look-up of one transaction can answer with.
pub const TRANSACTION_REPLY_BYTES_MAX: usize =
    size_of::<TransactionReplyRow>() + POSTINGS_MAX * size_of::<PostingReplyRow>() + VOUCHER_BYTES_MAX;
/// Most bytes that the look-up of one account can answer with.
pub const ACCOUNT_REPLY_BYTES_MAX: usize = size_of::<AccountReplyRow>() + ATTRIBUTES_BYTES_MAX;
/// Most bytes of one entry of a statement: an account change has a reason and no voucher.
pub const ENTRY_REPLY_BYTES_MAX: usize = size_of::<EntryRow>() + VOUCHER_BYTES_MAX;
/// Longest path of a folder in a reply, bytes: Linux has none that is longer.
pub const FOLDER_BYTES_MAX: usize = 4096;
/// Bytes before the rows of a look-up's reply: the position.
pub const POSITION_BYTES: usize = 8;

/// Bytes that a connection reads into before it may ask for more: a wake reads as much as this holds.
pub const READ_CHUNK_BYTES: usize = 64 << 10;
/// Payloads up to this many bytes are copied out of the read buffer, so that a small one never keeps a chunk alive.
pub const COPY_BYTES_MAX: usize = 4 << 10;
/// Read chunks that are kept for the next connection that has something to read.
pub const SPARE_CHUNKS_MAX: usize = 32;
/// Buffers for frames larger than a chunk that are kept for the next ones.
pub const SPARE_FRAMES_MAX: usize = 8;
/// A write buffer that grew beyond this is given back after the write.
pub const SPARE_WRITE_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read and thrown away after an error reply, so that the reply is not lost to a reset.
pub const LINGER_BYTES_MAX: usize = 4 << 20;
/// Refused connections that are waited for at one time, so that they can read why.
pub const REFUSED_LINGERING_MAX: usize = 64;

// Every reply fits; the look-ups of transactions and accounts are cut to what fits, and one of them always does.
// Posting results that do not fit are left out.
const _: () = assert!(RESULTS_MAX * size_of::<RunRow>() <= REPLY_BYTES_MAX && OPENINGS_MAX <= RESULTS_MAX);
const _: () = assert!(
    REQUEST_ITEMS_MAX * (size_of::<RunRow>() + 2 * size_of::<PostingResultRow>()) <= REPLY_BYTES_MAX,
    "the posting results of a full request of transfers fit"
);
const _: () = assert!(POSITION_BYTES + ACCOUNT_REPLY_BYTES_MAX <= REPLY_BYTES_MAX);
const _: () = assert!(POSITION_BYTES + LIST_ACCOUNTS_MAX as usize * ACCOUNT_REPLY_BYTES_MAX <= REPLY_BYTES_MAX);
const _: () = assert!(size_of::<PageHeadRow>() + TRANSACTION_REPLY_BYTES_MAX <= REPLY_BYTES_MAX);
const _: () = assert!(POSITION_BYTES <= size_of::<PageHeadRow>() && REASON_BYTES_MAX <= VOUCHER_BYTES_MAX);
const _: () = assert!(
    size_of::<StatementHeadRow>() + ATTRIBUTES_BYTES_MAX + STATEMENT_ENTRIES_MAX as usize * ENTRY_REPLY_BYTES_MAX
        <= REPLY_BYTES_MAX
);
const _: () = assert!(ASSETS_MAX * size_of::<AssetRow>() <= REPLY_BYTES_MAX);
const _: () = assert!(INSTITUTIONS_MAX * size_of::<InstitutionRow>() <= REPLY_BYTES_MAX);
const _: () = assert!(INSTITUTION_NAME_BYTES_MAX <= NAME_BYTES_MAX && FOLDER_BYTES_MAX <= u16::MAX as usize);
// Every request fits.
const _: () = assert!(LOOK_UP_ACCOUNTS_MAX * 16 <= REQUEST_BYTES_MAX);
const _: () = assert!(LOOK_UP_TRANSACTIONS_MAX * 16 <= REQUEST_BYTES_MAX);
const _: () = assert!(CONTROL_ID_BYTES + CONTROL_BYTES_MAX <= REQUEST_BYTES_MAX);
const _: () =
    assert!(size_of::<ItemRow>() + POSTINGS_MAX * size_of::<PostingRow>() + VOUCHER_BYTES_MAX <= REQUEST_BYTES_MAX);
const _: () = assert!(size_of::<ChangeRow>() + REASON_BYTES_MAX + ATTRIBUTES_BYTES_MAX <= REQUEST_BYTES_MAX);
// Sums of lengths fit the header's u32, and a small payload fits a chunk with its header.
const _: () = assert!(REPLY_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(HEADER_BYTES + COPY_BYTES_MAX <= READ_CHUNK_BYTES);
