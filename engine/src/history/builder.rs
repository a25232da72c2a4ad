//! The thread that builds the indexes of sealed segments, newest first. Nothing waits for it and it keeps nobody waiting:
//! it has the lowest priority for the processor, rests most of the time while the log is written, and works on files that
//! nobody else writes. Killed at any moment it leaves at most an unfinished file, which the next start removes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use florin_wal::{LogReader, SealedSegment};

use super::catalog::{Catalog, Progress};
use super::index::build::{BuildError, Sorted};
use crate::background::Background;
use crate::pace::Pace;

/// How often to look for segments that were sealed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to leave alone what could not be built, because the disk is full or a segment is damaged.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// How far the indexes are, and what they cost since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IndexStats {
    /// Segments that are sealed.
    pub sealed: u64,
    /// Those of them that have an index.
    pub indexed: u64,
    /// Indexes built.
    pub built: u64,
    /// Microseconds that building took, pauses included.
    pub build_us: u64,
}

#[derive(Default)]
struct Tally {
    built: AtomicU64,
    build_us: AtomicU64,
}

/// The thread, from outside.
pub struct Building {
    catalog: Arc<Catalog>,
    tally: Arc<Tally>,
    thread: Background,
}

impl Building {
    /// How far it is.
    pub fn stats(&self) -> IndexStats {
        let (sealed, indexed) = self.catalog.counts();
        let (built, build_us) = (self.tally.built.load(Relaxed), self.tally.build_us.load(Relaxed));
        IndexStats { sealed, indexed, built, build_us }
    }

    /// Ends the thread. It looks up between frames, so this takes no longer than sorting one segment.
    pub fn stop(&mut self) {
        self.thread.stop();
    }
}

/// Starts the thread.
pub fn start_building(reader: LogReader, catalog: Arc<Catalog>, build: bool) -> std::io::Result<Building> {
    let tally = Arc::new(Tally::default());
    // What an earlier process left, before anything is written under these names again.
    if build && let Err(error) = catalog.remove_unfinished() {
        eprintln!("florin: an unfinished index could not be removed: {error}");
    }
    let (log, shared, told) = (reader.clone(), Arc::clone(&catalog), Arc::clone(&tally));
    let builder = move |pace| Builder {
        pace,
        reader,
        catalog: shared,
        tally: told,
        build,
        unchecked: BTreeSet::new(),
        failed: BTreeSet::new(),
        retry_at: None,
        told: BTreeSet::new(),
    };
    let thread = Background::start("florin-index", &log, |pace| builder(pace).run())?;
    Ok(Building { catalog, tally, thread })
}

struct Builder {
    reader: LogReader,
    catalog: Arc<Catalog>,
    tally: Arc<Tally>,
    pace: Pace,
    build: bool,
    /// Segments whose index was found, and not read to its end.
    unchecked: BTreeSet<u64>,
    /// Segments that could not be indexed; left alone until then.
    failed: BTreeSet<u64>,
    retry_at: Option<Instant>,
    /// Segments of which it was said that they cannot be indexed.
    told: BTreeSet<u64>,
}

impl Builder {
    fn run(mut self) {
        while let Ok(did_something) = self.step() {
            if !did_something && self.pace.rest(LOOK_EVERY).is_err() {
                return;
            }
        }
    }

    /// The next thing to do: look at what is there, build what is missing, check what was found; the newest first.
    fn step(&mut self) -> Result<bool, BuildError> {
        self.pace.rest(Duration::ZERO)?;
        self.catalog.grow(&self.reader);
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            (self.retry_at, self.failed) = (None, BTreeSet::new());
        }
        if let Some((segment, _)) = self.catalog.newest(|_, progress| progress == Progress::Unknown) {
            self.catalog.look(&segment);
            self.unchecked.insert(segment.ordinal);
            return Ok(true);
        }
        let missing = |ordinal: u64, progress| progress == Progress::Missing && !self.failed.contains(&ordinal);
        if let Some((segment, _)) = self.catalog.newest(missing).filter(|_| self.build) {
            self.try_build(&segment)?;
            return Ok(true);
        }
        match self.unchecked.pop_last() {
            Some(ordinal) => self.check(ordinal).map(|()| true),
            None => Ok(false),
        }
    }

    fn try_build(&mut self, segment: &SealedSegment) -> Result<(), BuildError> {
        let built = self.build(segment);
        self.unchecked.remove(&segment.ordinal);
        if let Err(error) = &built {
            // Nobody needs the rest of it, and space may be what was missing.
            let _ = std::fs::remove_file(self.catalog.unfinished(segment.ordinal));
            if matches!(error, BuildError::Stopped) {
                return built;
            }
            if self.told.insert(segment.ordinal) {
                let file = self.catalog.path(segment.ordinal);
                eprintln!("florin: {} cannot be built: {error}; it is tried again every minute", file.display());
            }
            self.failed.insert(segment.ordinal);
            self.retry_at.get_or_insert(Instant::now() + RETRY_AFTER);
            return Ok(());
        }
        Ok(())
    }

    fn build(&mut self, segment: &SealedSegment) -> Result<(), BuildError> {
        let begun = Instant::now();
        let Builder { reader, pace, catalog, tally, .. } = self;
        let mut keep = |bytes| Ok(pace.keep(bytes)?);
        let sorted = Sorted::read(reader, segment, &mut keep)?;
        sorted.write(catalog.ledger(), &catalog.unfinished(segment.ordinal), &mut keep)?;
        // Before it can be used: whoever sees that all are ready sees what they cost.
        self.told.remove(&segment.ordinal);
        tally.built.fetch_add(1, Relaxed);
        tally.build_us.fetch_add(begun.elapsed().as_micros() as u64, Relaxed);
        Ok(catalog.publish(segment)?)
    }

    /// Reads an index that was found to its end: one that has rotted is built again before anybody asks it.
    fn check(&mut self, ordinal: u64) -> Result<(), BuildError> {
        let Builder { catalog, pace, .. } = self;
        catalog.check(ordinal, &mut |bytes| pace.keep(bytes))?;
        Ok(())
    }
}
