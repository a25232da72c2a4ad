//! A log up to a point: checked as in a recovery, then read, never written. What is behind the point is neither read nor touched.

use crate::ahead::walk_ahead;
use crate::disk::{IoMode, IoReport};
use crate::error::{Damage, PointError, Proof, RecoverError};
use crate::frame::Frame;
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::lock::DataLock;
use crate::on_disk::LogOnDisk;
use crate::pack::shelf::Packs;
use crate::point::Point;
use crate::reader::LogReader;
use crate::report::RecoveryReport;
use crate::room::RoomKeeper;
use crate::segments::{Segments, segment_name};
use crate::stats::Counters;
use crate::storage::{Access, Storage};
use crate::walk::{Part, Walked};
use crate::writer::Shared;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A log that was read up to its point. There is no writer.
pub struct PastLog {
    /// Reads it, up to the point.
    pub reader: LogReader,
    /// What was found up to there.
    pub report: RecoveryReport,
    /// Freed last.
    pub lock: DataLock,
}

/// Reads the log up to the point, checks everything and gives each frame to `apply`, in order. Nothing is written.
pub fn recover_upto<E>(
    data: &Path,
    lock: DataLock,
    point: &Point,
    apply: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<PastLog, RecoverError<E>> {
    let LogOnDisk { manifest, keys, disk } = LogOnDisk::open(data, IoMode::Buffered)?;
    let io = disk.report().clone();
    let walked = walk_to_point(&disk, &manifest, &keys, (data, point), apply)?;
    let report = walked.report(None, io);
    let room = RoomKeeper::new(manifest.segment_bytes, walked.end.position(), walked.stop.segment);
    room.change(|state| state.stopped = true);
    let shared = Arc::new(Shared {
        durable: AtomicU64::new(walked.end.last_frame),
        room: Arc::new(room),
        segments: Segments::new(walked.heads),
        packs: Arc::new(Packs::new(walked.packs)),
        counters: Counters::default(),
    });
    let reader = LogReader::new(Arc::new(disk), keys, manifest, shared);
    Ok(PastLog { reader, report, lock })
}

/// The same check without a log to read from.
pub(crate) fn scan_upto<E>(
    storage: &dyn Storage,
    io: IoReport,
    (manifest, keys): (&LedgerManifest, &KeyRing),
    point: (&Path, &Point),
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<RecoveryReport, RecoverError<E>> {
    Ok(walk_to_point(storage, manifest, keys, point, each)?.report(None, io))
}

fn walk_to_point<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    (data, point): (&Path, &Point),
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Walked, RecoverError<E>> {
    let walked = walk_ahead(storage, manifest, keys, Access::Read, Part::upto(point.frame), each)?;
    let (end, stop) = (&walked.end, &walked.stop);
    if end.last_frame < point.frame {
        let (file, offset, reason) = match stop.bad {
            Some(reason) => (segment_name(stop.segment), stop.offset, reason),
            None => (segment_name(stop.segment + 1), 0, stop.next),
        };
        return Err(RecoverError::Damaged(Box::new(Damage {
            file,
            offset,
            reason,
            last_good_frame: end.last_frame,
            acknowledged_upto: Some(point.frame),
            proof: Proof::Point { frame: point.frame },
        })));
    }
    if !point.is_at(&end.mac) || end.next_sequence != point.sequence + 1 {
        let reason = format!("frame {} of the log is not the one that it names: it is of another log", point.frame);
        return Err(RecoverError::Point(PointError::Text { file: Point::file(data), reason }));
    }
    Ok(walked)
}
