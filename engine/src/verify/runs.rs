//! Runs of old ids against the log. The rows of the log give the same entries as the run has if both have the same sums: so no more than a
//! run's filter, ranges and first hashes is in memory, of one run at a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use florin_core::dedup::old::{Run, RunSummary};
use florin_core::dedup::run::{RunTally, entries_of};
use florin_core::frame::Record;
use florin_wal::{Frame, FrameHead, LedgerId, Point};

use super::{VerifyError, could_not};
use crate::files::RealFiles;
use crate::ids::{Published, RunError, RunFile, published};
use crate::start::random_seed;

/// A run of old ids against the rows of the log that it covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedRun {
    /// Its file.
    pub file: PathBuf,
    /// The first row that it covers, by its name.
    pub first: u64,
    /// The last row that it covers, by its name.
    pub last: u64,
    /// Its entries; 0 if it cannot be read.
    pub entries: u64,
    /// Why it is not what the log says, if it is not: file, offset where there is one, and what.
    pub wrong: Option<String>,
    /// Whether it is good, but of another log, or of one that went further.
    pub foreign: bool,
}

/// The runs of a ledger, and what was found of each.
pub(super) struct Runs {
    ledger: LedgerId,
    keys: [u64; 2],
    /// Seed of the hashes of the first run.
    seed: Option<u64>,
    /// Those whose rows are still to come.
    waiting: VecDeque<Published>,
    /// Those whose rows are being read: one, if they are what they should be.
    open: Vec<OpenRun>,
    checked: Vec<CheckedRun>,
}

/// A run whose rows are being read.
struct OpenRun {
    file: RunFile,
    /// What the log gives it.
    given: RunTally,
    /// The first row whose id it would not find.
    missed: Option<(u64, u128)>,
}

impl Runs {
    /// Those of a data directory up to its point, if it has one.
    pub fn find(data: &Path, ledger: LedgerId, point: Option<&Point>) -> Result<Runs, VerifyError> {
        let mut waiting = VecDeque::from(published(data).map_err(could_not)?);
        waiting.retain(|run| point.is_none_or(|point| run.last <= point.sequence));
        let keys = [random_seed(), random_seed()];
        Ok(Runs { ledger, keys, seed: None, waiting, open: Vec::new(), checked: Vec::new() })
    }

    /// Opens the runs that cover rows of the frame that comes next.
    pub fn begin(&mut self, frame: &FrameHead) {
        while self.waiting.front().is_some_and(|run| run.first < frame.next_sequence()) {
            let run = self.waiting.pop_front().expect("there is one");
            match self.opened(&run) {
                Ok(file) => self.open.push(OpenRun { file, given: RunTally::new(self.keys), missed: None }),
                Err(error) => self.checked.push(refused(run, &error)),
            }
        }
    }

    fn opened(&mut self, run: &Published) -> Result<RunFile, RunError> {
        let file = RunFile::open(&RealFiles, &run.path, self.ledger)?;
        let reason = match &file.run.summary {
            summary if (summary.first, summary.last) != (run.first, run.last) => "its name is that of another run",
            _ if *self.seed.get_or_insert(file.place.seed) != file.place.seed => {
                "its seed is not that of the other runs"
            }
            _ => return Ok(file),
        };
        Err(RunError::Damaged { file: run.path.clone(), offset: 0, reason })
    }

    /// Takes a row of the log over.
    pub fn row(&mut self, record: &Record, sequence: u64) {
        for OpenRun { file, given, missed } in &mut self.open {
            let Run { summary, filter } = &*file.run;
            if !(summary.first..=summary.last).contains(&sequence) {
                continue;
            }
            for (id, entry) in entries_of(record, sequence, file.place.seed) {
                given.add(entry);
                let is_found = filter.may_have(entry.hash) && summary.ranges.gap_of(id).is_none();
                if !is_found {
                    missed.get_or_insert((sequence, id));
                }
            }
        }
    }

    /// Judges the runs that end with a frame, once its rows were taken over.
    pub fn end(&mut self, frame: &Frame<'_>) {
        for run in self.open.extract_if(.., |run| run.file.place.frame <= frame.head.number) {
            let is_of_another_log =
                run.file.place.frame != frame.head.number || run.file.is_of_another_log(&frame.head);
            self.checked.push(match is_of_another_log {
                true => foreign(&run.file, "it is of another log"),
                false => judged(&run.file, run.difference(frame.place.segment)),
            });
        }
    }

    /// What was found of each, once the log was read to its end.
    pub fn checked(mut self) -> Vec<CheckedRun> {
        while let Some(run) = self.waiting.pop_front() {
            let checked = match self.opened(&run) {
                Ok(file) => foreign(&file, "the log ends before it"),
                Err(error) => refused(run, &error),
            };
            self.checked.push(checked);
        }
        self.checked.extend(self.open.iter().map(|run| foreign(&run.file, "the log ends before it")));
        self.checked.sort_by_key(|run| run.first);
        self.checked
    }
}

impl OpenRun {
    /// What it says that the log does not, whose last row of it is in a segment; or where it is damaged.
    fn difference(&self, segment: u64) -> Option<String> {
        let OpenRun { file, given, missed } = self;
        let of_file = |what: String| Some(format!("{}: {what}", file.path.display()));
        // All other blocks were read when it was opened.
        let mut has = given.emptied();
        if let Err(error) = file.entries_in_order(|entry| has.add(entry)) {
            return Some(error.to_string());
        }
        let (ids, said) = (file.run.summary.ids, file.place.segment);
        match missed {
            Some((row, id)) => of_file(format!("row {row} has the id {id:#x}, which its filter or ranges leave out")),
            None if has.entries != given.entries || ids != given.used => of_file(format!(
                "it has {} entries and says {ids} ids; the rows that it covers give {} and {}",
                has.entries, given.entries, given.used
            )),
            None if has != *given => of_file("its entries are not those of the rows that it covers".into()),
            None if said != segment => {
                of_file(format!("it says that it ends in segment {said}; its last row is in segment {segment}"))
            }
            None => None,
        }
    }
}

fn judged(file: &RunFile, wrong: Option<String>) -> CheckedRun {
    let RunSummary { first, last, .. } = file.run.summary;
    CheckedRun { file: file.path.clone(), first, last, entries: file.entries(), wrong, foreign: false }
}

fn foreign(file: &RunFile, why: &str) -> CheckedRun {
    let wrong = Some(format!("{}: {why}", file.path.display()));
    CheckedRun { foreign: true, ..judged(file, wrong) }
}

fn refused(Published { first, last, path }: Published, error: &RunError) -> CheckedRun {
    CheckedRun { file: path, first, last, entries: 0, wrong: Some(error.to_string()), foreign: false }
}

#[cfg(test)]
mod tests;
