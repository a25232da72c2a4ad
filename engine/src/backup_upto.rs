//! Restore to a point in time: the ledger as of a frame, for reads only. To go on from there would be another ledger with the same name.

use std::path::Path;

use florin_wal::{Frame, KeyRing, LedgerManifest, Point, copy_log_upto, find_frame};

use crate::backup::{BackupError, BackupReport, check_empty, finish};
use crate::snapshots::SnapshotFolder;
use crate::start::view;

/// Up to where a ledger is restored: the last frame that is wholly at or before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upto {
    /// This frame.
    Frame(u64),
    /// The row with this sequence number.
    Sequence(u64),
    /// This time of booking, nanoseconds since 1970-01-01 UTC.
    Time(u64),
}

/// What was restored up to a point.
#[derive(Clone, Debug)]
pub struct PointReport {
    /// What was copied, up to the point.
    pub copied: BackupReport,
    /// The point.
    pub point: Point,
    /// Whether the backup ends with it.
    pub is_end: bool,
}

/// Makes a ledger as of a point in a new or empty folder, from a backup and the keys that belong to it. It is served for reads only.
pub fn restore_upto(from: &Path, keys: &Path, to: &Path, upto: Upto) -> Result<PointReport, BackupError> {
    check_empty(to)?;
    let ledger = LedgerManifest::load(from)?.ledger;
    let ring = KeyRing::load_folder(keys)?;
    let mut unreadable = None;
    let found = find_frame(from, &ring, &mut |frame: &Frame<'_>| match booked_at(frame) {
        Ok(booked_at) => is_within(frame, booked_at, upto).then_some(booked_at),
        Err(reason) => {
            unreadable = Some(BackupError::Frame { frame: frame.head.number, reason });
            None
        }
    })?;
    if let Some(error) = unreadable {
        return Err(error);
    }
    let found = found.ok_or(BackupError::BeforeAll)?;
    let (frame, sequence) = (found.head.number, found.head.next_sequence() - 1);
    let is_behind = match upto {
        Upto::Frame(wanted) => wanted > frame,
        Upto::Sequence(wanted) => wanted > sequence,
        // The log does not say that nothing more was booked by then, nor that anything was.
        Upto::Time(_) => false,
    };
    if found.is_last && is_behind {
        return Err(BackupError::BehindAll { frame, sequence });
    }
    let (log, point) = copy_log_upto(from, &ring, to, &found)?;
    let snapshots = SnapshotFolder::new(from, ledger);
    let (snapshot, refused) = snapshots.copy_newest(&ring, &SnapshotFolder::new(to, ledger), point.frame)?;
    finish(keys, to, "point.lock")?;
    let snapshots_refused = refused.iter().map(|error| error.to_string()).collect();
    Ok(PointReport { copied: BackupReport { log, snapshot, snapshots_refused }, point, is_end: found.is_last })
}

fn is_within(frame: &Frame<'_>, booked_at: u64, upto: Upto) -> bool {
    match upto {
        Upto::Frame(wanted) => frame.head.number <= wanted,
        Upto::Sequence(wanted) => frame.head.next_sequence() - 1 <= wanted,
        Upto::Time(wanted) => booked_at <= wanted,
    }
}

/// Booked-at of the last row of a frame.
fn booked_at(frame: &Frame<'_>) -> Result<u64, String> {
    let view = view(frame).map_err(|error| error.to_string())?;
    match view.head().count {
        0 => Ok(frame.head.time_ns),
        count => view.row(count - 1).booked_at().map_err(|error| error.to_string()),
    }
}
