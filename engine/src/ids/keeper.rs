//! The thread that makes runs of sealed segments and merges them. Nothing waits for it and it keeps nobody waiting; killed at any moment
//! it leaves at most files that the next start removes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use florin_core::dedup::old::{Run, RunSummary};
use florin_core::dedup::run::{RunDraft, RunEntry};
use florin_core::frame::{DraftHead, FrameView, RowError};
use florin_planted::{Fault, planted};
use florin_wal::{LogReader, ReadError, SealedSegment};

use super::Shelf;
use super::merge::{Merged, first_to_merge};
use super::run_file::{RunError, RunFile, RunPlace, file_name};
use crate::background::Background;
use crate::pace::{Gait, Pace, Stopped};

/// How often to look for segments that were sealed.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long to leave alone what failed, because the disk is full or something is damaged.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Rows from which on a run is made though there are more sealed segments.
const RUN_ROWS: u64 = 1 << 20;
/// Segments without a run that are no cause for haste: their ids take memory, 50 bytes each.
const FINE_SEGMENTS: u64 = 16;

/// What runs there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IdStats {
    /// Runs.
    pub runs: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Bytes of memory for their filters, ranges and first hashes.
    pub memory: u64,
    /// Last sealed segment that is in runs.
    pub segment: u64,
    /// Runs made of segments since the start, merged ones not counted.
    pub made: u64,
    /// Merges since the start.
    pub merged: u64,
    /// Runs that were found damaged and are still to be made again.
    pub damaged: u64,
    /// Runs that were made again since the start.
    pub remade: u64,
    /// Ids that were looked up in runs since the start.
    pub looked_up: u64,
    /// Those of them that no row has.
    pub in_vain: u64,
}

/// What was made since the start.
#[derive(Default)]
pub(crate) struct Tally {
    pub made: AtomicU64,
    pub merged: AtomicU64,
    pub remade: AtomicU64,
}

/// The thread, from outside.
pub(crate) struct IdsKeeping {
    shelf: Arc<Shelf>,
    tally: Arc<Tally>,
    thread: Background,
}

impl IdsKeeping {
    /// How far it is.
    pub(crate) fn stats(&self) -> IdStats {
        let runs = self.shelf.runs();
        let (looked_up, in_vain) = self.shelf.counts();
        IdStats {
            runs: runs.len() as u64,
            bytes: runs.iter().map(|run| run.bytes).sum(),
            memory: runs.iter().map(|run| run.memory()).sum(),
            segment: runs.last().map_or(0, |run| run.place.segment),
            made: self.tally.made.load(Relaxed),
            merged: self.tally.merged.load(Relaxed),
            damaged: runs.iter().filter(|run| run.is_rotten()).count() as u64,
            remade: self.tally.remade.load(Relaxed),
            looked_up,
            in_vain,
        }
    }

    /// Ends the thread. It looks up between frames and chunks.
    pub(crate) fn stop(&mut self) {
        self.thread.stop();
    }
}

/// Why there is no run (yet).
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the engine stops")]
    Stopped,
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Row(#[from] RowError),
    #[error(transparent)]
    Run(RunError),
}

impl From<Stopped> for KeepError {
    fn from(Stopped: Stopped) -> KeepError {
        KeepError::Stopped
    }
}

impl From<RunError> for KeepError {
    fn from(error: RunError) -> KeepError {
        if let RunError::Stopped = error { KeepError::Stopped } else { KeepError::Run(error) }
    }
}

/// Starts the thread. `adopt` is told which runs there are whenever they change, once they can be asked.
pub(crate) fn start_keeping_ids(
    reader: LogReader,
    shelf: Arc<Shelf>,
    adopt: Box<dyn Fn(Vec<Arc<Run>>) + Send>,
) -> std::io::Result<IdsKeeping> {
    let tally = Arc::new(Tally::default());
    let (log, shared, told) = (reader.clone(), Arc::clone(&shelf), Arc::clone(&tally));
    let keeper = move |pace| Keeper::new(reader, shared, pace, RUN_ROWS, adopt, told);
    let thread = Background::start("florin-ids", &log, |pace| keeper(pace).run())?;
    Ok(IdsKeeping { shelf, tally, thread })
}

/// What the thread does.
pub(crate) struct Keeper {
    reader: LogReader,
    shelf: Arc<Shelf>,
    pace: Pace,
    /// Rows from which on a run is made though there is more to make it of.
    rows: u64,
    /// Whether the runs are durable: those that the start found need not be.
    is_settled: bool,
    adopt: Box<dyn Fn(Vec<Arc<Run>>) + Send>,
    tally: Arc<Tally>,
    payload: Vec<u8>,
    vouchers: Vec<u8>,
}

impl Keeper {
    /// Adds to the runs of a shelf.
    pub(crate) fn new(
        reader: LogReader,
        shelf: Arc<Shelf>,
        pace: Pace,
        rows: u64,
        adopt: Box<dyn Fn(Vec<Arc<Run>>) + Send>,
        tally: Arc<Tally>,
    ) -> Keeper {
        Keeper { reader, shelf, pace, rows, is_settled: false, adopt, tally, payload: Vec::new(), vouchers: Vec::new() }
    }

    fn run(mut self) {
        let mut told = String::new();
        loop {
            let rest = match self.look() {
                Ok(()) => {
                    told.clear();
                    LOOK_EVERY
                }
                Err(KeepError::Stopped) => return,
                Err(error) => {
                    let error = error.to_string();
                    if error != told {
                        eprintln!("florin: runs of ids cannot be made: {error}; it is tried again every minute");
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

    /// Does all that there is to do. A run that turns out to be damaged is made again at once.
    pub(crate) fn look(&mut self) -> Result<(), KeepError> {
        loop {
            match self.step() {
                Err(KeepError::Run(error)) if self.found_damage(&error) => {}
                done => return done,
            }
        }
    }

    fn step(&mut self) -> Result<(), KeepError> {
        if !self.is_settled && !planted(Fault::FoundNotSynced) {
            self.settle()?;
        }
        self.remove_strangers()?;
        loop {
            self.pace.rest(Duration::ZERO)?;
            if let Some(damaged) = self.shelf.runs().into_iter().find(|run| run.is_rotten()) {
                self.remake(&damaged)?;
            } else if let Some(first) =
                first_to_merge(&self.shelf.runs().iter().map(|run| run.entries()).collect::<Vec<_>>())
            {
                self.merge(first)?;
            } else if !self.make()? {
                return Ok(());
            }
        }
    }

    /// Makes durable that the runs are there: whoever published one may have been killed before its name was, and what was merged into it
    /// is removed next.
    fn settle(&mut self) -> Result<(), RunError> {
        let (files, folder) = (self.shelf.files(), self.shelf.folder());
        if files.exists(folder) {
            files.sync_folder(folder).map_err(RunError::io(folder))?;
            self.sync_data()?;
        }
        self.is_settled = true;
        Ok(())
    }

    /// Makes durable that there is a folder for runs, whoever made it.
    fn sync_data(&self) -> Result<(), RunError> {
        let data = self.shelf.folder().parent().expect("it is in the data directory");
        self.shelf.files().sync_folder(data).map_err(RunError::io(data))
    }

    /// Whether an error is damage to a run that nobody had found; it is made again then.
    fn found_damage(&self, error: &RunError) -> bool {
        let runs = self.shelf.runs();
        runs.iter().find(|run| error.file() == Some(&run.path)).is_some_and(|run| run.reject(error))
    }

    /// Removes files that are none of the runs: unfinished, merged into others, or damaged.
    fn remove_strangers(&self) -> Result<(), RunError> {
        let (files, folder) = (self.shelf.files(), self.shelf.folder());
        if !files.exists(folder) {
            return Ok(());
        }
        let known: Vec<_> = self.shelf.runs().iter().map(|run| run.path.clone()).collect();
        for name in files.list(folder).map_err(RunError::io(folder))? {
            let path = folder.join(name);
            let is_run = path.extension().is_some_and(|end| end == "run" || end == "new");
            if is_run && !known.contains(&path) {
                files.remove(&path).map_err(RunError::io(&path))?;
            }
        }
        Ok(())
    }

    /// Makes a run of the next sealed segments; false if there are none.
    fn make(&mut self) -> Result<bool, KeepError> {
        let runs = self.shelf.runs();
        let (covered, segment) = runs.last().map_or((0, 0), |run| (run.run.summary.last, run.place.segment));
        // A restored log goes on in the segment where it ended: what is behind the run of it is still to be covered.
        let sealed = self.reader.sealed(segment.saturating_sub(1));
        let behind = |segment: &&SealedSegment| segment.first_sequence + segment.count > covered + 1;
        let mut draft = RunDraft::after(covered, self.shelf.seed());
        let mut last = None;
        self.pace.go(Gait::for_backlog(sealed.len() as u64, FINE_SEGMENTS));
        for segment in sealed.iter().filter(behind) {
            self.take(&mut draft, segment)?;
            last = Some(*segment);
            if draft.rows() >= self.rows {
                break;
            }
        }
        let Some(last) = last else { return Ok(false) };
        let place = RunPlace {
            seed: self.shelf.seed(),
            segment: last.ordinal,
            frame: last.first_frame + last.frames - 1,
            mac: last.last_mac,
        };
        let run = self.write_draft(&place, draft)?;
        self.put(runs.into_iter().chain([run]).collect());
        self.tally.made.fetch_add(1, Relaxed);
        Ok(true)
    }

    fn take(&mut self, draft: &mut RunDraft, segment: &SealedSegment) -> Result<(), KeepError> {
        for number in segment.first_frame..segment.first_frame + segment.frames {
            self.take_frame(draft, number)?;
        }
        Ok(())
    }

    /// Takes a frame over, unless the draft begins behind it, and gives its chain MAC.
    fn take_frame(&mut self, draft: &mut RunDraft, number: u64) -> Result<[u8; 32], KeepError> {
        let Keeper { reader, pace, payload, vouchers, .. } = self;
        let frame = reader.read_frame(number, payload, vouchers)?;
        let head = DraftHead {
            number,
            first_sequence: frame.head.first_sequence,
            count: frame.head.count,
            time: frame.head.time_ns,
        };
        if head.first_sequence >= draft.next_row() {
            draft.frame(&FrameView::new(head, payload, vouchers)?)?;
        }
        pace.keep(payload.len() + vouchers.len())?;
        Ok(frame.head.mac)
    }

    /// Makes a damaged run again, of the frames that it covers: in parts that fit into memory, which are merged into its place. Until then
    /// nothing else knows of the parts; the next start removes them if this one does not come to it.
    fn remake(&mut self, damaged: &RunFile) -> Result<(), KeepError> {
        self.pace.go(Gait::HURRIED);
        let RunSummary { first, last, .. } = damaged.run.summary;
        let mut number = self.reader.frame_of_sequence(first)?.expect("a run is of durable rows").head.number;
        let mut parts: Vec<Arc<RunFile>> = Vec::new();
        let mut covered = first - 1;
        while covered < last {
            let mut draft = RunDraft::after(covered, self.shelf.seed());
            let mut place = damaged.place;
            while draft.next_row() <= last && draft.rows() < self.rows {
                (place.frame, place.mac) = (number, self.take_frame(&mut draft, number)?);
                number += 1;
            }
            covered = draft.next_row() - 1;
            parts.push(self.write_draft(&place, draft)?);
        }
        let end = parts.last().map(|part| (part.run.summary.last, part.place));
        assert_eq!(end, Some((last, damaged.place)), "the log is the one that the run was made of");
        let remade = match &parts[..] {
            [whole] => Arc::clone(whole),
            parts => self.write_merged(parts)?,
        };
        let runs = self.shelf.runs();
        let put = |run: Arc<RunFile>| if run.path == damaged.path { Arc::clone(&remade) } else { run };
        self.put(runs.into_iter().map(put).collect());
        self.tally.remade.fetch_add(1, Relaxed);
        eprintln!("florin: {} was made again", damaged.path.display());
        for part in parts.iter().filter(|part| part.path != remade.path) {
            self.shelf.files().remove(&part.path).map_err(RunError::io(&part.path))?;
        }
        Ok(())
    }

    /// Merges the runs from one on into a single one.
    fn merge(&mut self, first: usize) -> Result<(), KeepError> {
        let runs = self.shelf.runs();
        let (kept, merged) = runs.split_at(first);
        let run = self.write_merged(merged)?;
        self.put(kept.iter().cloned().chain([run]).collect());
        self.tally.merged.fetch_add(1, Relaxed);
        // Those who still read them keep them open.
        for run in merged {
            self.shelf.files().remove(&run.path).map_err(RunError::io(&run.path))?;
        }
        Ok(())
    }

    fn write_draft(&mut self, place: &RunPlace, draft: RunDraft) -> Result<Arc<RunFile>, RunError> {
        let (summary, entries) = draft.finish();
        let count = entries.len() as u64;
        self.write(place, &summary, (count, entries.into_iter().map(Ok)))
    }

    /// Writes what several runs that follow each other have as one.
    fn write_merged(&mut self, merged: &[Arc<RunFile>]) -> Result<Arc<RunFile>, RunError> {
        let summary = RunSummary::merged(merged.iter().map(|run| &run.run.summary));
        let place = merged.last().expect("several are merged").place;
        let count = merged.iter().map(|run| run.entries()).sum();
        self.write(&place, &summary, (count, Merged::of(merged)))
    }

    /// Writes a run and publishes it by its name, in the place of another one if that is its name too.
    fn write(
        &mut self,
        place: &RunPlace,
        summary: &RunSummary,
        entries: (u64, impl Iterator<Item = Result<RunEntry, RunError>>),
    ) -> Result<Arc<RunFile>, RunError> {
        let folder = self.shelf.folder();
        if !self.shelf.files().exists(folder) {
            self.shelf.files().make_folder(folder).map_err(RunError::io(folder))?;
        }
        self.sync_data()?;
        let Keeper { shelf, pace, .. } = self;
        let (files, folder) = (shelf.files(), shelf.folder());
        let path = folder.join(file_name(summary.first, summary.last));
        let unfinished = path.with_extension("new");
        let keep = &mut |bytes| pace.keep(bytes).map_err(|Stopped| RunError::Stopped);
        let file = files.create(&unfinished).map_err(RunError::io(&unfinished))?;
        let written = RunFile::write((&unfinished, file), shelf.ledger(), place, summary, entries, keep);
        if let Err(error) = written {
            // Nobody needs a part of it, and space may be what was missing.
            let _ = files.remove(&unfinished);
            return Err(error);
        }
        files.rename(&unfinished, &path).map_err(RunError::io(&path))?;
        files.sync_folder(folder).map_err(RunError::io(folder))?;
        RunFile::open(&**files, &path, shelf.ledger()).map(Arc::new)
    }

    fn put(&self, runs: Vec<Arc<RunFile>>) {
        self.shelf.put(runs);
        (self.adopt)(self.shelf.in_memory());
    }
}
