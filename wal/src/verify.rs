//! The same walk and verdict as recovery, read-only, for `florin verify` and `florin log`. It takes no lock: beside a
//! running writer the end of the log moves, so a verdict on the tail needs the lock, held by the caller.

use crate::ahead::walk_ahead;
use crate::disk::{IoMode, IoReport};
use crate::error::RecoverError;
use crate::evidence;
use crate::frame::Frame;
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::on_disk::LogOnDisk;
use crate::past::scan_upto;
use crate::point::Point;
use crate::recover::read_watermark;
use crate::report::RecoveryReport;
use crate::segments::segment_name;
use crate::storage::{Access, Storage};
use crate::tail;
use crate::walk::Part;
use std::path::Path;

/// What a scan found: what a recovery would report. The torn tail is still there.
pub type ScanReport = RecoveryReport;

/// Checks the whole log, gives each frame to `each`, in order, and writes nothing. Of a ledger as of a point: the log up to there.
pub fn scan<E>(data: &Path, each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>) -> Result<ScanReport, RecoverError<E>> {
    let LogOnDisk { manifest, keys, disk } = LogOnDisk::open(data, IoMode::Buffered)?;
    let io = disk.report().clone();
    match Point::load(data, manifest.ledger, &keys)? {
        Some(point) => scan_upto(&disk, io, (&manifest, &keys), (data, &point), each),
        None => scan_on(&disk, io, &manifest, &keys, each),
    }
}

/// As [`scan`], on any storage.
pub fn scan_on<E>(
    storage: &dyn Storage,
    io: IoReport,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<ScanReport, RecoverError<E>> {
    let watermark = read_watermark(storage, manifest)?;
    let walked = walk_ahead(storage, manifest, keys, Access::Read, Part::ALL, each)?;
    if walked.has_no_beginning() {
        let (file, reason) = (segment_name(1), "the first segment is missing");
        return Err(RecoverError::Segment { file, offset: 0, reason });
    }
    if let Some(damage) = evidence::damage(storage, &walked, &watermark, (0, 0), Access::Read)? {
        return Err(RecoverError::Damaged(Box::new(damage)));
    }
    let tail = tail::inspect(storage, &walked, Access::Read)?;
    Ok(walked.report(tail.torn, io))
}
