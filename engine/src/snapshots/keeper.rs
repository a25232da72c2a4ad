//! The thread that folds sealed segments into the next snapshot, every so many of them or when one is asked for. Only who asks waits for
//! it, and it keeps nobody waiting; killed at any moment it leaves at most an unfinished folder, which the next snapshot removes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use florin_core::frame::{DraftHead, FrameView, RowError};
use florin_core::snapshot::{Fold, SnapshotRecord};
use florin_planted::{Fault, planted};
use florin_wal::{LogReader, ReadError, SealedSegment};

use super::manifest::{FORMAT, hex};
use super::report::{SnapshotReport, SnapshotStats, Tally};
use super::state_file::{STATE_FILE, StateWriter};
use super::{SnapshotError, SnapshotFolder, SnapshotManifest};
use crate::background::Background;
use crate::handle::{OnReply, Reply};
use crate::pace::{Gait, Pace, Stopped};

/// How often to look for segments that were sealed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to leave alone what failed, because the disk is full or something is damaged.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Accounts, holds and postings that changed from which on a snapshot is made before its time: they take some 100 bytes each.
const CHANGES_MAX: usize = 2_000_000;

/// Somebody who waits for a snapshot of all frames up to one. They stand in sealed segments, or will at once.
pub(crate) struct Order {
    upto: u64,
    on_reply: OnReply,
}

/// The thread, from outside.
pub(crate) struct Keeping {
    tally: Arc<Tally>,
    /// Bounded by the permits of those who ask.
    orders: Sender<Order>,
    thread: Background,
}

impl Keeping {
    /// How far it is.
    pub(crate) fn stats(&self) -> SnapshotStats {
        let Tally { frame, folded, made, bytes, us } = &*self.tally;
        let [frame, folded, made, bytes, us] = [frame, folded, made, bytes, us].map(|word| word.load(Relaxed));
        SnapshotStats { frame, folded, made, bytes, us }
    }

    /// Asks for a snapshot of all frames up to one, which is durable and not in the segment that is being written, or no longer once that
    /// was closed. Orders that wait together have one snapshot.
    pub(crate) fn order(&self, upto: u64, on_reply: OnReply) {
        if let Err(refused) = self.orders.send(Order { upto, on_reply }) {
            (refused.into_inner().on_reply)(Reply::Stopping);
        }
    }

    /// Ends the thread. It looks up between frames and chunks, and tells who still waits.
    pub(crate) fn stop(&mut self) {
        self.thread.stop();
    }
}

/// Why there is no snapshot (yet).
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
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

/// Starts the thread, which makes a snapshot of every so many segments after the one that recovery went on from; 0 = only of what is asked
/// for.
pub(crate) fn start_keeping(
    reader: LogReader,
    folder: SnapshotFolder,
    base: Option<SnapshotManifest>,
    every: u64,
    seed: u64,
) -> std::io::Result<Keeping> {
    let (orders, ordered) = unbounded();
    let tally = Arc::new(Tally::default());
    tally.frame.store(base.as_ref().map_or(0, |base| base.frame), Relaxed);
    let log = reader.clone();
    let told = Arc::clone(&tally);
    let keeper = move |pace| Keeper { tally: told, ..Keeper::new(reader, folder, base, every, seed, pace, ordered) };
    let thread = Background::start("florin-snapshot", &log, |pace| keeper(pace).run())?;
    Ok(Keeping { tally, orders, thread })
}

/// What the thread does.
pub(crate) struct Keeper {
    reader: LogReader,
    folder: SnapshotFolder,
    pace: Pace,
    /// The newest snapshot.
    base: Option<SnapshotManifest>,
    /// Whether that is durable: one that recovery found need not be.
    is_settled: bool,
    /// What changed since, up to the end of `segment`; none before its first frame.
    fold: Option<Fold>,
    segment: u64,
    every: u64,
    seed: u64,
    ordered: Receiver<Order>,
    /// Who waits for the snapshot that is made next.
    waiting: Vec<Order>,
    tally: Arc<Tally>,
    payload: Vec<u8>,
    vouchers: Vec<u8>,
}

impl Keeper {
    /// Goes on from `base`, the newest snapshot, every so many segments and whenever something is ordered.
    pub(crate) fn new(
        reader: LogReader,
        folder: SnapshotFolder,
        base: Option<SnapshotManifest>,
        every: u64,
        seed: u64,
        pace: Pace,
        ordered: Receiver<Order>,
    ) -> Keeper {
        Keeper {
            reader,
            folder,
            pace,
            base,
            is_settled: false,
            fold: None,
            segment: 0,
            every,
            seed,
            ordered,
            waiting: Vec::new(),
            tally: Arc::default(),
            payload: Vec::new(),
            vouchers: Vec::new(),
        }
    }

    fn run(mut self) {
        let mut told = String::new();
        loop {
            let rest = match self.look() {
                Ok(()) => {
                    told.clear();
                    LOOK_EVERY
                }
                Err(KeepError::Stopped) => break,
                Err(error) => {
                    let error = error.to_string();
                    self.tell(|_| Reply::SnapshotFailed(error.clone()));
                    if error != told {
                        eprintln!("florin: no snapshot can be made: {error}; it is tried again every minute");
                        told = error;
                    }
                    RETRY_AFTER
                }
            };
            match self.pace.rest_or(rest, &self.ordered) {
                Ok(order) => self.waiting.extend(order),
                Err(Stopped) => break,
            }
        }
        self.waiting.extend(self.ordered.try_iter());
        self.tell(|_| Reply::Stopping);
    }

    /// Answers all who wait.
    fn tell(&mut self, reply: impl Fn(&Order) -> Reply) {
        for order in self.waiting.drain(..) {
            let reply = reply(&order);
            (order.on_reply)(reply);
        }
    }

    /// Does all that there is to do; what failed is left so that it can be tried again.
    pub(crate) fn look(&mut self) -> Result<(), KeepError> {
        let done = self.step();
        if !matches!(done, Ok(()) | Err(KeepError::Stopped)) {
            // What was folded may be what is wrong: from the last good snapshot on again.
            self.fold = None;
            self.check_base();
        }
        done
    }

    fn step(&mut self) -> Result<(), KeepError> {
        self.waiting.extend(self.ordered.try_iter());
        if self.every == 0 && self.waiting.is_empty() {
            return Ok(());
        }
        if let Some(base) = self.base.as_ref().filter(|_| !self.is_settled && !planted(Fault::FoundNotSynced)) {
            self.folder.settle(base.frame)?;
        }
        self.is_settled = true;
        let had = self.newest();
        match self.waiting.iter().map(|order| order.upto).max() {
            None => self.fold_sealed(None)?,
            Some(upto) if upto <= had => {}
            Some(upto) => {
                while !self.reader.await_sealed(upto, LOOK_EVERY) {
                    self.pace.rest(Duration::ZERO)?;
                }
                self.fold_sealed(Some(upto))?;
            }
        }
        if let Some(base) = &self.base {
            let us = self.tally.us.load(Relaxed);
            let report = |is_new: bool| SnapshotReport {
                frame: base.frame,
                sequence: base.sequence,
                booked_at: base.booked_at_ns,
                accounts: base.accounts,
                records: base.records,
                bytes: base.bytes,
                us: if is_new { us } else { 0 },
                is_new,
                folder: self.folder.path(base.frame),
            };
            for order in std::mem::take(&mut self.waiting) {
                (order.on_reply)(Reply::Snapshot(Some(report(order.upto > had))));
            }
        }
        Ok(())
    }

    /// The last frame of the newest snapshot, 0 if there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.frame)
    }

    /// Folds sealed segments, all of them or those up to a frame that is wanted, and makes a snapshot wherever it is time for one, and
    /// at the end of the wanted frame's segment.
    fn fold_sealed(&mut self, upto: Option<u64>) -> Result<(), KeepError> {
        if self.fold.is_none() {
            self.begin()?;
        }
        // What is wanted may have been folded before, without a snapshot.
        let folded = self.segment.saturating_sub(1);
        let is_folded = |fold: &Fold| upto.is_some_and(|upto| fold.position().last_round >= upto);
        let from = if self.fold.as_ref().is_some_and(is_folded) { folded } else { self.segment };
        for segment in self.reader.sealed(from) {
            self.pace.go(gait(&self.reader, self.segment, self.every, &self.waiting));
            self.fold_segment(&segment)?;
            self.segment = segment.ordinal;
            let since = self.segment.saturating_sub(self.base.as_ref().map_or(0, |base| base.segment));
            let fold = self.fold.as_ref().expect("it was begun");
            let (position, changes) = (fold.position().last_round, fold.changes());
            let is_wanted = upto.is_some_and(|upto| position >= upto);
            let is_due = self.every > 0 && since >= self.every;
            if position > self.newest() && (is_wanted || is_due || changes >= CHANGES_MAX) {
                self.make(&segment)?;
            }
            self.tally.folded.store(self.segment, Relaxed);
            if is_wanted {
                break;
            }
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
            // Or nobody who asks would have the segment closed that the next one needs.
            self.tally.frame.store(self.newest(), Relaxed);
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
        let mut writer = StateWriter::create(&*self.folder.files, path.join(STATE_FILE))?;
        let Keeper { pace, reader, every, waiting, .. } = self;
        let sink = |record: SnapshotRecord| {
            let bytes = writer.push(&record)?;
            if bytes > 0 {
                pace.go(gait(reader, segment.ordinal, *every, waiting));
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
        if planted(Fault::OlderRemovedFirst) {
            self.folder.keep_only(&[position.last_round])?;
        }
        self.folder.publish(&path, &manifest, self.reader.keys())?;
        Ok(manifest)
    }
}

/// How fast to go on behind a segment. Who asked waits, and a start would have to go through what was not folded: more than a snapshot's
/// worth of it is worth some haste.
fn gait(reader: &LogReader, segment: u64, every: u64, waiting: &[Order]) -> Gait {
    if waiting.is_empty() { Gait::for_backlog(reader.sealed(segment).len() as u64, every) } else { Gait::HURRIED }
}
