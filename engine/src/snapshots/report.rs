//! What is told of snapshots.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

/// What snapshots there are and what they cost since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotStats {
    /// Last frame of the newest, 0 if there is none.
    pub frame: u64,
    /// Ordinal of the last segment that was folded, and that a snapshot was made of if it was time.
    pub folded: u64,
    /// Snapshots made since the start.
    pub made: u64,
    /// Bytes of the last one made.
    pub bytes: u64,
    /// Microseconds that making the last one took, pauses included.
    pub us: u64,
}

/// The same while it is counted.
#[derive(Default)]
pub(super) struct Tally {
    pub frame: AtomicU64,
    pub folded: AtomicU64,
    pub made: AtomicU64,
    pub bytes: AtomicU64,
    pub us: AtomicU64,
}

/// A snapshot that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotReport {
    /// Last frame that it covers.
    pub frame: u64,
    /// Last sequence number.
    pub sequence: u64,
    /// Booked-at of that row, nanoseconds since 1970-01-01 UTC.
    pub booked_at: u64,
    /// Accounts in it.
    pub accounts: u64,
    /// Records in it, accounts and all others.
    pub records: u64,
    /// Bytes of its state.
    pub bytes: u64,
    /// Microseconds that making it took, 0 if it was there.
    pub us: u64,
    /// Whether it was made now; else nothing had become durable since it was.
    pub is_new: bool,
    /// Where it is.
    pub folder: PathBuf,
}
