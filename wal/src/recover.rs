//! From files to a running log: recovery, then the opening group, then the threads. Nothing is served before all that
//! was recovered is durable.

use crate::ahead::walk_ahead;
use crate::block::Blocks;
use crate::disk::{IoMode, IoReport};
use crate::disk_thread::{DISK_THREAD, DiskThread};
use crate::error::{LogFailure, RecoverError, StartError};
use crate::evidence;
use crate::format::{SegmentHead, WatermarkSlot};
use crate::frame::Frame;
use crate::group::{GroupWriter, LogEnd};
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::limits::{FIRST_SEGMENT, FRAME_BYTES_DEFAULT, OUTSTANDING_FRAMES_MAX, WRITTEN_APART_BYTES, frame_bytes_max};
use crate::lock::DataLock;
use crate::on_disk::LogOnDisk;
use crate::pack::format::PackHead;
use crate::pack::shelf::Packs;
use crate::reader::LogReader;
use crate::report::RecoveryReport;
use crate::room::RoomKeeper;
use crate::segments::{Segments, segment_name};
use crate::spare::SpareMaker;
use crate::stats::Counters;
use crate::storage::{Access, Storage};
use crate::tail;
use crate::thread::{GroupTimes, WriterThread, count, fresh_salt};
use crate::walk::{Part, Walked};
use crate::watermark::{self, WATERMARK_FILE, Watermark, WatermarkError};
use crate::writer::{LogWriter, Next, Shared};
use crossbeam::channel;
use florin_planted::{Fault, planted};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How a log is run.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How it is written.
    pub io: IoMode,
    /// Segments kept filled ahead of the one in use; at least 1.
    pub spares: usize,
    /// Largest frame, payload and vouchers together, in bytes. Small segments allow less: see
    /// [`LogWriter::frame_bytes_max`].
    pub frame_bytes_max: usize,
    /// Frames that may be outstanding before an append waits, and buffers that the pool keeps; 1 to 256.
    pub buffers: usize,
    /// Last frame of the newest snapshot, 0 if there is none: a log that ends before it has lost something.
    pub snapshot: u64,
    /// Last frame of the newest run of ids, 0 if there is none: likewise.
    pub ids: u64,
    /// The last frame of which the caller knows all that it and those before it did: what stands in segments before its own is not read.
    /// The caller compares the frame's MAC with the one that it knows. 0: all is read.
    pub known: u64,
    /// Bytes of a group from which on it is written by a thread of its own, so that the next one is laid out meanwhile.
    pub written_apart_from: usize,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            io: IoMode::Auto,
            spares: 1,
            frame_bytes_max: FRAME_BYTES_DEFAULT,
            buffers: 4,
            snapshot: 0,
            ids: 0,
            known: 0,
            written_apart_from: WRITTEN_APART_BYTES,
        }
    }
}

/// A log that was read to its end, found whole and made durable.
pub struct Recovered {
    storage: Arc<dyn Storage>,
    lock: DataLock,
    options: LogOptions,
    keys: KeyRing,
    manifest: LedgerManifest,
    watermark: WatermarkSlot,
    end: LogEnd,
    heads: Vec<SegmentHead>,
    packs: Vec<PackHead>,
    ready_upto: u64,
    report: RecoveryReport,
}

/// Reads the log, all of it unless [`LogOptions::known`] says otherwise, checks everything and gives each frame to `apply`, in order. Acknowledged data that is damaged
/// is refused and nothing changed; a torn tail is overwritten with zeros. Run twice or interrupted, it finds the same.
pub fn recover<E>(
    data: &Path,
    lock: DataLock,
    options: LogOptions,
    apply: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Recovered, RecoverError<E>> {
    let LogOnDisk { manifest, keys, disk } = LogOnDisk::open(data, options.io)?;
    let io = disk.report().clone();
    recover_on(Arc::new(disk), io, manifest, keys, lock, options, apply)
}

/// As [`recover`], on any storage.
pub fn recover_on<E>(
    storage: Arc<dyn Storage>,
    io: IoReport,
    manifest: LedgerManifest,
    keys: KeyRing,
    lock: DataLock,
    options: LogOptions,
    apply: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Recovered, RecoverError<E>> {
    assert!(options.spares >= 1, "a log without a spare stops at the end of each segment");
    assert!((1..=OUTSTANDING_FRAMES_MAX).contains(&options.buffers), "1 to 256 frames may be outstanding");
    let watermark = read_watermark(&*storage, &manifest)?;
    // Past the cache: after a failed sync it may hold what the disk does not.
    let walked = walk_ahead(&*storage, &manifest, &keys, Access::Blocks, Part::behind(options.known), apply)?;
    if walked.has_no_beginning() {
        let (file, reason) = (segment_name(FIRST_SEGMENT), "the first segment is missing");
        return Err(RecoverError::Segment { file, offset: 0, reason });
    }
    if let Some(damage) =
        evidence::damage(&*storage, &walked, &watermark, (options.snapshot, options.ids), Access::Blocks)?
        && !planted(Fault::EvidenceIgnored)
    {
        return Err(RecoverError::Damaged(Box::new(damage)));
    }
    let tail = tail::inspect(&*storage, &walked, Access::Blocks)?;
    tail::settle(&*storage, &walked, &tail)?;
    let report = walked.report(tail.torn.clone(), io);
    let Walked { end, heads, packs, .. } = walked;
    let ready_upto = tail.ready_upto;
    Ok(Recovered { storage, lock, options, keys, manifest, watermark, end, heads, packs, ready_upto, report })
}

/// The watermark of this ledger.
pub(crate) fn read_watermark<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
) -> Result<WatermarkSlot, RecoverError<E>> {
    watermark::read(storage, manifest.ledger).map_err(|error| match error {
        WatermarkError::Io(source) => RecoverError::Io { file: WATERMARK_FILE.into(), offset: 0, source },
        WatermarkError::Bad(reason) => RecoverError::Watermark { reason },
    })
}

impl Recovered {
    /// What was found.
    pub fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// What the directory holds.
    pub fn manifest(&self) -> &LedgerManifest {
        &self.manifest
    }

    /// Largest frame, payload and vouchers together, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        frame_bytes_max(self.manifest.segment_bytes, self.options.frame_bytes_max)
    }

    /// Writes and syncs the opening group, then starts the writer thread and the allocator. `on_durable` is called on
    /// the writer thread with the last durable frame after each group with frames, and how long that took. `on_failure` is called once if the
    /// log fails; the writer has then stopped for good.
    pub fn start(
        self,
        on_durable: Box<dyn Fn(u64, GroupTimes) + Send>,
        on_failure: Box<dyn FnOnce(LogFailure) + Send>,
    ) -> Result<(LogWriter, LogReader), StartError> {
        let frame_bytes_max = self.frame_bytes_max();
        let Recovered { storage, lock, options, keys, manifest, watermark, end, heads, packs, ready_upto, .. } = self;
        let (last_frame, next_sequence) = (end.last_frame, end.next_sequence);
        let room = Arc::new(RoomKeeper::new(manifest.segment_bytes, end.position(), ready_upto));
        let shared = Arc::new(Shared {
            durable: AtomicU64::new(last_frame),
            room: Arc::clone(&room),
            segments: Segments::new(heads),
            packs: Arc::new(Packs::new(packs)),
            counters: Counters::default(),
        });
        let mut spares =
            SpareMaker::new(Arc::clone(&storage), Arc::clone(&room), manifest.segment_bytes, options.spares as u64);
        let watermark = Watermark::open(&*storage, watermark)?;
        let mut group = GroupWriter::open(Arc::clone(&storage), keys.clone(), watermark, end)?;
        let begins = !group.fits_empty();
        if begins {
            let ordinal = group.next_segment();
            spares
                .ready_now(ordinal)
                .map_err(|source| LogFailure::NoRoom { file: segment_name(ordinal), source: Arc::new(source) })?;
            group.begin_segment(fresh_salt()?)?;
        }
        if begins || !planted(Fault::OpeningGroupMissing) {
            let opening = group.write()?;
            count(&shared, &opening);
            if let Some(head) = opening.began {
                shared.segments.push(head);
            }
        }
        let position = group.end().position();
        shared.counters.segment.store(position.segment, std::sync::atomic::Ordering::Relaxed);
        room.change(|state| state.position = position);

        let pool = channel::bounded(options.buffers);
        for _ in 0..options.buffers {
            // Touched now: a first touch in the middle of a round costs more than the round.
            let mut payload = Blocks::touched(frame_bytes_max);
            payload.clear();
            let _ = pool.0.try_send((payload, Vec::new()));
        }
        let (send, frames) = channel::bounded(options.buffers);
        let thread = |name: &'static str| std::thread::Builder::new().name(name.into());
        let failed = |name| move |source| StartError::Thread { name, source };
        let allocator = thread("log-spares").spawn(move || spares.run()).map_err(failed("log-spares"))?;
        let reader = LogReader::new(storage, keys, manifest, Arc::clone(&shared));
        let disk = DiskThread::start().map_err(failed(DISK_THREAD))?;
        let body = WriterThread {
            group,
            disk,
            apart_from: options.written_apart_from,
            frames,
            shared: Arc::clone(&shared),
            on_durable,
            first_appended: Instant::now(),
        };
        let writer = thread("log-writer").spawn(move || body.run(on_failure)).map_err(|source| {
            room.change(|state| state.stopped = true);
            StartError::Thread { name: "log-writer", source }
        })?;
        let next = Mutex::new(Next { number: last_frame + 1, sequence: next_sequence });
        let (frames, writer, allocator) = (Some(send), Some(writer), Some(allocator));
        Ok((LogWriter { shared, frame_bytes_max, next, frames, pool, writer, allocator, _lock: lock }, reader))
    }
}
