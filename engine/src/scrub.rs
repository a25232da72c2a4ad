//! The scrub: a thread that goes round and round through all files that are not written any more (sealed segments, snapshots, runs of ids,
//! indexes), reads them slowly to the last byte, and says what is no longer what was written while there is still a copy to restore it
//! from. Segments are read past the page cache, which would hide what the disk has lost.
//!
//! It never changes a file, holds no lock while it reads, and never holds anybody up. Where it is stands in memory only: a start begins a new
//! round. Of each file it says the first thing that is wrong, once a round.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use florin_wal::{LogReader, SegmentScrub};

use crate::background::Background;
use crate::clock::wall_ns;
use crate::history::catalog::Catalog;
use crate::ids::Shelf;
use crate::pace::{Gait, Pace, Stopped};
use crate::snapshots::SnapshotFolder;

/// Bytes a second unless configured: 100 GB of log in three hours, and one part in a hundred of what a disk gives.
pub const SCRUB_BYTES_PER_SECOND_DEFAULT: u64 = 10_000_000;
/// Between two rounds: a small ledger is not read over and over.
const REST_DEFAULT: Duration = Duration::from_secs(3600);

/// How files are read again.
#[derive(Clone, Debug)]
pub struct ScrubOptions {
    /// Most bytes a second; 0 = no scrub.
    pub bytes_per_second: u64,
    /// Between the end of a round and the next one.
    pub rest: Duration,
}

impl Default for ScrubOptions {
    fn default() -> ScrubOptions {
        ScrubOptions { bytes_per_second: SCRUB_BYTES_PER_SECOND_DEFAULT, rest: REST_DEFAULT }
    }
}

/// What the scrub has read and found since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScrubStats {
    /// Rounds completed.
    pub rounds: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damage found, each once a round.
    pub damage: u64,
    /// When the last round ended, nanoseconds since 1970-01-01 UTC; 0 = none has.
    pub round_ended_ns: u64,
    /// The file that is being read; empty between rounds.
    pub file: String,
    /// What was found last: file, offset, what is wrong; empty = nothing.
    pub last_damage: String,
}

#[derive(Default)]
struct Tally {
    rounds: AtomicU64,
    bytes: AtomicU64,
    damage: AtomicU64,
    round_ended_ns: AtomicU64,
    /// The file that is being read, and what was found last.
    texts: Mutex<(String, String)>,
}

impl Tally {
    fn texts(&self) -> MutexGuard<'_, (String, String)> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, file: String) {
        self.texts().0 = file;
    }

    /// Counts what is wrong, and says it and what can be done, unless who mends it has said so.
    fn found(&self, what: &str, advice: Option<&str>) {
        advice.iter().for_each(|advice| eprintln!("florin: the scrub found damage: {what}; {advice}"));
        self.texts().1 = what.into();
        self.damage.fetch_add(1, Relaxed);
    }
}

/// The thread, from outside.
pub(crate) struct Scrubbing {
    tally: Arc<Tally>,
    thread: Background,
}

impl Scrubbing {
    /// How far it is.
    pub(crate) fn stats(&self) -> ScrubStats {
        let Tally { rounds, bytes, damage, round_ended_ns, .. } = &*self.tally;
        let [rounds, bytes, damage, round_ended_ns] =
            [rounds, bytes, damage, round_ended_ns].map(|word| word.load(Relaxed));
        let (file, last_damage) = self.tally.texts().clone();
        ScrubStats { rounds, bytes, damage, round_ended_ns, file, last_damage }
    }

    /// Ends the thread. It looks up with each megabyte or so.
    pub(crate) fn stop(&mut self) {
        self.thread.stop();
    }
}

/// Starts the thread.
pub(crate) fn start_scrubbing(
    options: &ScrubOptions,
    reader: &LogReader,
    snapshots: SnapshotFolder,
    shelf: Arc<Shelf>,
    catalog: Arc<Catalog>,
) -> std::io::Result<Scrubbing> {
    let tally = Arc::new(Tally::default());
    let (log, rest, gait) = (reader.apart(), options.rest, Gait::at_rate(options.bytes_per_second));
    let told = Arc::clone(&tally);
    let scrubber = move |mut pace: Pace| {
        pace.go(gait);
        Scrubber { segments: log.scrub(), log, snapshots, shelf, catalog, pace, tally: told }
    };
    let body = move |pace| {
        let mut scrubber = scrubber(pace);
        // It ends with the engine only.
        while scrubber.round().and_then(|()| scrubber.pace.rest(rest)).is_ok() {}
    };
    let thread = Background::start("florin-scrub", reader, body)?;
    Ok(Scrubbing { tally, thread })
}

struct Scrubber {
    log: LogReader,
    segments: SegmentScrub,
    snapshots: SnapshotFolder,
    shelf: Arc<Shelf>,
    catalog: Arc<Catalog>,
    pace: Pace,
    tally: Arc<Tally>,
}

impl Scrubber {
    /// Reads all files that there are now.
    fn round(&mut self) -> Result<(), Stopped> {
        self.scrub_segments()?;
        self.scrub_snapshots()?;
        self.scrub_runs()?;
        self.scrub_indexes()?;
        self.tally.begin(String::new());
        self.tally.round_ended_ns.store(wall_ns(), Relaxed);
        self.tally.rounds.fetch_add(1, Relaxed);
        Ok(())
    }

    fn scrub_segments(&mut self) -> Result<(), Stopped> {
        for segment in self.log.sealed(0) {
            self.tally.begin(format!("log/{:010}.seg", segment.ordinal));
            let Scrubber { segments, pace, tally, .. } = self;
            if let Some(rot) = segments.check(&segment, &mut keep(pace, tally))? {
                let advice = "payments go on, but answers that need it fail, and so does a start that reads it: restore the file from \
                              a backup before";
                tally.found(&rot.to_string(), Some(advice));
            }
        }
        Ok(())
    }

    fn scrub_snapshots(&mut self) -> Result<(), Stopped> {
        let positions = match self.snapshots.positions() {
            Ok(positions) => positions,
            Err(error) => {
                self.tally.found(&error.to_string(), Some("look after the disk"));
                return Ok(());
            }
        };
        for frame in positions {
            self.tally.begin(format!("snapshots/{frame:020}"));
            let Scrubber { snapshots, log, pace, tally, .. } = self;
            if let Err(error) = snapshots.scrub(frame, log.keys(), &mut keep(pace, tally))? {
                let advice =
                    "nothing is lost: a start takes an older one or the log, and the next snapshot is made without it";
                tally.found(&error.to_string(), Some(advice));
            }
        }
        Ok(())
    }

    fn scrub_runs(&mut self) -> Result<(), Stopped> {
        // One that is known to be damaged is being made again.
        for run in self.shelf.runs().into_iter().filter(|run| !run.is_rotten()) {
            self.tally.begin(run.path.display().to_string());
            let Scrubber { pace, tally, .. } = self;
            if let Err(error) = run.check(&mut keep(pace, tally))?
                && run.reject(&error)
            {
                tally.found(&error.to_string(), None);
            }
        }
        Ok(())
    }

    fn scrub_indexes(&mut self) -> Result<(), Stopped> {
        for segment in self.log.sealed(0) {
            let path = self.catalog.path(segment.ordinal).display().to_string();
            self.tally.begin(path.clone());
            let Scrubber { catalog, pace, tally, .. } = self;
            if let Some(error) = catalog.check(segment.ordinal, &mut keep(pace, tally))? {
                tally.found(&format!("{path} {error}"), None);
            }
        }
        Ok(())
    }
}

/// Counts bytes that were read and keeps the pace.
fn keep<'a>(pace: &'a mut Pace, tally: &'a Tally) -> impl FnMut(usize) -> Result<(), Stopped> + 'a {
    move |bytes| {
        tally.bytes.fetch_add(bytes as u64, Relaxed);
        pace.keep_always(bytes)
    }
}
