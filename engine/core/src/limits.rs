//! Every limit of the ledger in one place, each with its unit and its reason, checked against each other when compiled.

/// Largest amount of one posting, minor units: 2^100 − 1. Small enough that undecided sums cannot leave an `i128`.
pub const AMOUNT_MAX: u128 = (1 << 100) - 1;
/// Largest magnitude of a balance, minor units: 2^126 − 1. The outermost limit, never forced.
pub const BALANCE_MAX: i128 = (1 << 126) - 1;
/// Fewest postings of a transaction: money comes from somewhere and goes somewhere.
pub const POSTINGS_MIN: usize = 2;
/// Most postings of one transaction, so that an index fits a byte with two values to spare.
pub const POSTINGS_MAX: usize = 254;
/// Longest voucher of a transaction, bytes.
pub const VOUCHER_BYTES_MAX: usize = 4 * 1024;
/// Longest label of an account, bytes of UTF-8.
pub const LABEL_BYTES_MAX: usize = 64;
/// Longest attributes of an account, bytes.
pub const ATTRIBUTES_BYTES_MAX: usize = 1024;
/// Longest reason of an account change, bytes of UTF-8.
pub const REASON_BYTES_MAX: usize = 200;
/// Most expiries of one round, so that payments go on beside a million holds that are due together.
pub const ROUND_EXPIRIES_MAX: usize = 1_024;
/// Most institutions of one ledger: each stays in memory.
pub const INSTITUTIONS_MAX: usize = 10_000;
/// Longest name of an institution, bytes of UTF-8.
pub const INSTITUTION_NAME_BYTES_MAX: usize = 64;
/// Longest control record, bytes of JSON.
pub const CONTROL_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a request's payload.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most transactions, openings or ids in one request; 8,190 transfer rows of 128 bytes fit into a request.
pub const REQUEST_ITEMS_MAX: usize = 8_190;
/// A round closes at so many transactions, or a quarter of those that wait, while shards have little to do and much is left.
pub const ROUND_TRANSACTIONS_FEW: usize = 2_048;
/// A round closes at this many transactions.
pub const ROUND_TRANSACTIONS_MAX: usize = 8_190;
/// A round closes at this many bytes of requests.
pub const ROUND_REQUEST_BYTES_MAX: usize = 1 << 20;
/// A round closes at this many postings.
pub const ROUND_POSTINGS_MAX: usize = 20_000;
/// Most bytes of one frame of the log.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// Most rounds that may be undecided at one time.
pub const OPEN_ROUNDS_MAX: usize = 3;
/// Most shards of one ledger process.
pub const SHARDS_MAX: usize = 64;
/// Most decimal places of an asset.
pub const SCALE_MAX: u8 = 18;
/// Longest code of an asset, bytes.
pub const ASSET_CODE_BYTES_MAX: usize = 16;
/// Most assets of one ledger: each stays in memory.
pub const ASSETS_MAX: usize = 10_000;

/// Bytes of a transfer in a request.
pub const TRANSFER_ROW_BYTES: usize = 128;
/// Bytes of a row of the log.
pub const LOG_ROW_BYTES: usize = 176;
/// Bytes of a posting record in a frame's extension area.
pub const POSTING_RECORD_BYTES: usize = 72;
/// Bytes of a link record in a frame's extension area.
pub const LINK_RECORD_BYTES: usize = 32;
/// Bytes of a posting record of a hold, an increase, a capture, a release, an expiry or a reversal.
pub const HELD_RECORD_BYTES: usize = 128;
/// Bytes of a change record in a frame's extension area.
pub const CHANGE_RECORD_BYTES: usize = 64;
/// Bytes of a voucher record in a frame's extension area.
pub const VOUCHER_RECORD_BYTES: usize = 40;

// A balance plus everything that can be undecided beside it stays inside an i128: no sum of the votes can wrap.
const _: () = assert!(
    (OPEN_ROUNDS_MAX as u128) * (ROUND_POSTINGS_MAX as u128 + POSTINGS_MAX as u128) * AMOUNT_MAX
        < (i128::MAX - BALANCE_MAX) as u128
);
// The same holds for what is left of holds: no posting of a hold ever has more than AMOUNT_MAX left.
// The sum of one side of a transaction fits too.
const _: () = assert!((POSTINGS_MAX as u128) * AMOUNT_MAX < i128::MAX as u128);
const _: () = assert!(REQUEST_ITEMS_MAX * TRANSFER_ROW_BYTES <= REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_ITEMS_MAX <= ROUND_TRANSACTIONS_MAX);
const _: () = assert!(VOUCHER_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(LABEL_BYTES_MAX <= u8::MAX as usize);
// Any one item fits a frame, even one of the smallest segment (64 KiB less two blocks); rounds are bounded by the frame.
const _: () = assert!(
    LOG_ROW_BYTES + POSTINGS_MAX * HELD_RECORD_BYTES + LINK_RECORD_BYTES + VOUCHER_RECORD_BYTES + VOUCHER_BYTES_MAX
        <= 48 * 1024
);
const _: () = assert!(POSTING_RECORD_BYTES <= HELD_RECORD_BYTES && ROUND_EXPIRIES_MAX <= ROUND_TRANSACTIONS_MAX);
const _: () = assert!(LOG_ROW_BYTES + CONTROL_BYTES_MAX <= 48 * 1024);
