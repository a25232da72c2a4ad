//! The thread that folds sealed segments into the next snapshot. Nothing waits for it and it keeps nobody waiting; killed at any
//! moment it leaves at most an unfinished folder, which the next snapshot removes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use florin_core::frame::{DraftHead, FrameView, RowError};
use florin_core::snapshot::{Fold, SnapshotRecord};
use florin_wal::{LogReader, ReadError, SealedSegment};

use super::manifest::{FORMAT, hex};
use super::state_file::{STATE_FILE, StateWriter};
use super::{SnapshotError, SnapshotFolder, SnapshotManifest};
use crate::background::Background;
use crate::pace::{Gait, Pace, Stopped};

/// How often to look for segments that were sealed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to leave alone what failed, because the disk is full or something is damaged.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Accounts, holds and postings that changed from which on a snapshot is made before its time: they take some 100 bytes each.
const CHANGES_MAX: usize = 2_000_000;

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

#[derive(Default)]
struct Tally {
    frame: AtomicU64,
    folded: AtomicU64,
    made: AtomicU64,
    bytes: AtomicU64,
    us: AtomicU64,
}

/// The thread, from outside.
pub(crate) struct Keeping {
    tally: Arc<Tally>,
    thread: Background,
}

impl Keeping {
    /// How far it is.
    pub(crate) fn stats(&self) -> SnapshotStats {
        let Tally { frame, folded, made, bytes, us } = &*self.tally;
        let [frame, folded, made, bytes, us] = [frame, folded, made, bytes, us].map(|word| word.load(Relaxed));
        SnapshotStats { frame, folded, made, bytes, us }
    }

    /// Ends the thread. It looks up between frames and chunks.
    pub(crate) fn stop(&mut self) {
        self.thread.stop();
    }
}

/// Why there is no snapshot (yet).
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("the engine stops")]
    Stopped,
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Row(#[from] RowError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("{0}")]
    Fold(&'static str),
}

impl From<Stopped> for KeepError {
    fn from(Stopped: Stopped) -> KeepError {
        KeepError::Stopped
    }
}

/// Starts the thread, which makes a snapshot of every so many segments, at least 1, after the one that recovery went on from.
pub(crate) fn start_keeping(
    reader: LogReader,
    folder: SnapshotFolder,
    base: Option<SnapshotManifest>,
    every: u64,
    seed: u64,
) -> std::io::Result<Keeping> {
    assert!(every >= 1, "a snapshot is made at the end of a segment");
    let tally = Arc::new(Tally::default());
    tally.frame.store(base.as_ref().map_or(0, |base| base.frame), Relaxed);
    let log = reader.clone();
    let told = Arc::clone(&tally);
    let keeper = move |pace| Keeper {
        pace,
        reader,
        folder,
        base,
        fold: None,
        segment: 0,
        every,
        seed,
        tally: told,
        payload: Vec::new(),
        vouchers: Vec::new(),
    };
    let thread = Background::start("florin-snapshot", &log, |pace| keeper(pace).run())?;
    Ok(Keeping { tally, thread })
}

struct Keeper {
    reader: LogReader,
    folder: SnapshotFolder,
    pace: Pace,
    /// The newest snapshot.
    base: Option<SnapshotManifest>,
    /// What changed since, up to the end of `segment`; none before its first frame.
    fold: Option<Fold>,
    segment: u64,
    every: u64,
    seed: u64,
    tally: Arc<Tally>,
    payload: Vec<u8>,
    vouchers: Vec<u8>,
}

impl Keeper {
    fn run(mut self) {
        let mut told = String::new();
        loop {
            let rest = match self.step() {
                Ok(()) => {
                    told.clear();
                    LOOK_EVERY
                }
                Err(KeepError::Stopped) => return,
                Err(error) => {
                    // What was folded may be what is wrong: from the last good snapshot on again.
                    self.fold = None;
                    self.check_base();
                    let error = error.to_string();
                    if error != told {
                        eprintln!("florin: no snapshot can be made: {error}; it is tried again every minute");
                        told = error;
                    }
                    RETRY_AFTER
                }
            };
            if self.pace.rest(rest).is_err() {
                return;
            }
        }
    }

    fn step(&mut self) -> Result<(), KeepError> {
        if self.fold.is_none() {
            self.begin()?;
        }
        for segment in self.reader.sealed(self.segment) {
            self.pace.go(gait(&self.reader, self.segment, self.every));
            self.fold_segment(&segment)?;
            self.segment = segment.ordinal;
            let since = self.segment.saturating_sub(self.base.as_ref().map_or(0, |base| base.segment));
            let fold = self.fold.as_ref().expect("it was begun");
            let is_new = fold.position().last_round > self.base.as_ref().map_or(0, |base| base.frame);
            if is_new && (since >= self.every || fold.changes() >= CHANGES_MAX) {
                self.make(&segment)?;
            }
            self.tally.folded.store(self.segment, Relaxed);
        }
        Ok(())
    }

    /// A snapshot that has become unreadable is no base for the next: an older one is, or the log alone.
    fn check_base(&mut self) {
        let keys = self.reader.keys();
        let is_good = |frame: u64| self.folder.check(frame, keys).ok();
        if self.base.as_ref().is_some_and(|base| is_good(base.frame).is_none()) {
            let frames = self.folder.positions().unwrap_or_default();
            self.base = frames.into_iter().rev().find_map(is_good);
        }
    }

    /// Begins to fold at the newest snapshot.
    fn begin(&mut self) -> Result<(), KeepError> {
        let mut fold = Fold::new(self.seed);
        self.segment = 0;
        if let Some(base) = &self.base {
            let records = self.folder.records(base)?;
            fold = Fold::after(base.position(), self.seed);
            for record in records {
                if !fold.register(&record?) {
                    break;
                }
            }
            // Its segment may have become longer: a restored log goes on in its last one.
            self.segment = base.segment - 1;
        }
        self.fold = Some(fold);
        Ok(())
    }

    fn fold_segment(&mut self, segment: &SealedSegment) -> Result<(), KeepError> {
        let Keeper { reader, pace, fold, payload, vouchers, .. } = self;
        let fold = fold.as_mut().expect("it was begun");
        let first = segment.first_frame.max(fold.position().last_round + 1);
        for number in first..segment.first_frame + segment.frames {
            let frame = reader.read_frame(number, payload, vouchers)?;
            let head = DraftHead {
                number,
                first_sequence: frame.head.first_sequence,
                count: frame.head.count,
                time: frame.head.time_ns,
            };
            fold.frame(&FrameView::new(head, payload, vouchers)?)?;
            pace.keep(payload.len() + vouchers.len())?;
        }
        Ok(())
    }

    /// Makes the snapshot at the end of a segment, and removes those that are no longer needed.
    fn make(&mut self, segment: &SealedSegment) -> Result<(), KeepError> {
        let begun = Instant::now();
        let fold = self.fold.take().expect("it was begun");
        let next = fold.next();
        let frame = fold.position().last_round;
        let written = self.write(fold, segment);
        if written.is_err() {
            // Nobody needs a part of it, and space may be what was missing.
            let _ = self.folder.keep_only(&self.folder.positions()?);
        }
        let manifest = written?;
        let kept = [Some(frame), self.base.as_ref().map(|base| base.frame)];
        self.folder.keep_only(&kept.into_iter().flatten().collect::<Vec<u64>>())?;
        let tally = &self.tally;
        tally.bytes.store(manifest.bytes, Relaxed);
        tally.us.store(begun.elapsed().as_micros() as u64, Relaxed);
        tally.frame.store(manifest.frame, Relaxed);
        tally.made.fetch_add(1, Relaxed);
        (self.base, self.fold) = (Some(manifest), Some(next));
        Ok(())
    }

    fn write(&mut self, fold: Fold, segment: &SealedSegment) -> Result<SnapshotManifest, KeepError> {
        let position = fold.position();
        let path = self.folder.begin(position.last_round)?;
        let mut writer = StateWriter::create(path.join(STATE_FILE))?;
        let Keeper { pace, reader, every, .. } = self;
        let sink = |record: SnapshotRecord| {
            let bytes = writer.push(&record)?;
            if bytes > 0 {
                pace.go(gait(reader, segment.ordinal, *every));
            }
            Ok(pace.keep(bytes)?)
        };
        match &self.base {
            Some(base) => {
                let before = self.folder.records(base)?.map(|record| record.map_err(KeepError::from));
                fold.merge(before, sink, KeepError::Fold)?;
            }
            None => fold.merge(std::iter::empty(), sink, KeepError::Fold)?,
        }
        let digest = writer.finish()?;
        let manifest = SnapshotManifest {
            format: FORMAT,
            ledger: self.reader.ledger(),
            segment: segment.ordinal,
            frame: position.last_round,
            sequence: position.last_sequence,
            booked_at_ns: position.last_booked_at,
            head: hex(&segment.last_mac),
            accounts: writer.accounts,
            records: writer.records,
            bytes: writer.bytes,
            digest,
        };
        self.folder.publish(&path, &manifest, self.reader.keys())?;
        Ok(manifest)
    }
}

/// How fast to go on behind a segment. A start would have to go through what was not folded: more than a snapshot's worth of it is
/// worth some haste.
fn gait(reader: &LogReader, segment: u64, every: u64) -> Gait {
    Gait::for_backlog(reader.sealed(segment).len() as u64, every)
}
