//! The runs of a ledger: which there are, and what they say of an id. Shared by the thread that makes them and those that ask.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use florin_core::account::hash_id;
use florin_core::dedup::old::Run;
use florin_core::dedup::run::RunEntry;
use florin_wal::{FrameHead, LedgerId};

use super::run_file::{RunError, RunFile, rows_of};
use crate::files::{Files, RealFiles};

/// What runs say of an id's hash.
pub(crate) struct Said {
    /// Entries with it, the oldest first.
    pub entries: Vec<RunEntry>,
    /// Rows of runs that cannot say it: what they say of the id, only the log tells.
    pub unread: Vec<RangeInclusive<u64>>,
}

const FOLDER: &str = "ids";

/// The runs.
#[derive(Debug)]
pub(crate) struct Shelf {
    files: Arc<dyn Files>,
    folder: PathBuf,
    ledger: LedgerId,
    /// Seed of their hashes.
    seed: u64,
    /// In order, covering all rows from the first on without a gap.
    runs: RwLock<Vec<Arc<RunFile>>>,
    /// Ids that were looked up, and those of them that no row has.
    looked_up: AtomicU64,
    in_vain: AtomicU64,
}

impl Shelf {
    /// The runs in a data directory of rows up to one, and why some were left aside: they are made again. `seed` is for the first run of
    /// all.
    pub fn open(data: &Path, ledger: LedgerId, seed: u64, upto: u64) -> Result<(Shelf, Vec<RunError>), RunError> {
        Shelf::open_on(RealFiles::shared(), data, ledger, seed, upto)
    }

    /// As [`Shelf::open`], on any files.
    pub fn open_on(
        files: Arc<dyn Files>,
        data: &Path,
        ledger: LedgerId,
        seed: u64,
        upto: u64,
    ) -> Result<(Shelf, Vec<RunError>), RunError> {
        let folder = data.join(FOLDER);
        let mut names = names(&*files, &folder)?;
        let (mut runs, mut refused): (Vec<Arc<RunFile>>, Vec<RunError>) = (Vec::new(), Vec::new());
        names.sort_unstable_by_key(by_rows);
        let mut covered = 0;
        for (first, last, name) in &names {
            if *first != covered + 1 {
                continue;
            }
            let path = folder.join(name);
            if *last > upto {
                let reason = "it goes beyond the point that the ledger is as of";
                refused.push(RunError::Damaged { file: path, offset: 0, reason });
                continue;
            }
            match RunFile::open(&*files, &path, ledger) {
                Ok(run) if rows_of(name) != Some((run.run.summary.first, run.run.summary.last)) => {
                    refused.push(RunError::Damaged {
                        file: path,
                        offset: 0,
                        reason: "its name is that of another run",
                    });
                }
                Ok(run) if runs.first().is_some_and(|before| before.place.seed != run.place.seed) => {
                    refused.push(RunError::Damaged {
                        file: path,
                        offset: 0,
                        reason: "its seed is not that of the other runs",
                    });
                }
                Ok(run) => {
                    covered = run.run.summary.last;
                    runs.push(Arc::new(run));
                }
                Err(error) => refused.push(error),
            }
        }
        let seed = runs.first().map_or(seed, |run| run.place.seed);
        let (looked_up, in_vain) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok((Shelf { files, folder, ledger, seed, runs: RwLock::new(runs), looked_up, in_vain }, refused))
    }

    /// What they are on.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.files
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The ledger.
    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// Seed of the hashes of ids.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The runs, in order.
    pub fn runs(&self) -> Vec<Arc<RunFile>> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is in memory of them.
    pub fn in_memory(&self) -> Vec<Arc<Run>> {
        self.runs().iter().map(|file| Arc::clone(&file.run)).collect()
    }

    /// Changes which runs there are.
    pub fn put(&self, runs: Vec<Arc<RunFile>>) {
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
    }

    /// The last frame that they cover; 0 if there are none.
    pub fn last_frame(&self) -> u64 {
        self.runs().last().map_or(0, |run| run.place.frame)
    }

    /// A run that ends with a frame of this number, but not with this one: it is of another log.
    pub fn of_another_log(&self, frame: &FrameHead) -> Option<PathBuf> {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        let at = runs.partition_point(|run| run.place.frame < frame.number);
        let run = runs.get(at).filter(|run| run.place.frame == frame.number)?;
        run.is_of_another_log(frame).then(|| run.path.clone())
    }

    /// What all runs say of an id's hash. A run with a damaged block there is made again; the blocks that are whole go on answering.
    pub fn look_up(&self, institution: u32, id: u128) -> Said {
        let hash = hash_id(institution, id, self.seed);
        let mut said = Said { entries: Vec::new(), unread: Vec::new() };
        for run in self.runs() {
            match run.look_up(hash) {
                Ok(entries) => said.entries.extend(entries),
                Err(error) => {
                    run.reject(&error);
                    let summary = &run.run.summary;
                    said.unread.push(summary.first..=summary.last);
                }
            }
        }
        said
    }

    /// Counts a look-up, and whether a row has the id.
    pub fn count(&self, found: bool) {
        self.looked_up.fetch_add(1, Relaxed);
        self.in_vain.fetch_add(u64::from(!found), Relaxed);
    }

    /// Ids that were looked up, and those of them that no row has: what the filters could not exclude.
    pub fn counts(&self) -> (u64, u64) {
        (self.looked_up.load(Relaxed), self.in_vain.load(Relaxed))
    }
}

/// The file of a run, by its name.
pub(crate) struct Published {
    pub first: u64,
    pub last: u64,
    pub path: PathBuf,
}

/// The runs in a data directory, in the order of their rows: of several that cover a row the one that begins first, and of those the longest.
/// The others are left of a merge; the next start removes them.
pub(crate) fn published(data: &Path) -> Result<Vec<Published>, RunError> {
    let folder = data.join(FOLDER);
    let mut names = names(&RealFiles, &folder)?;
    names.sort_unstable_by_key(by_rows);
    let mut covered = 0;
    names.retain(|(first, last, _)| {
        let counts = *first > covered;
        covered = if counts { *last } else { covered };
        counts
    });
    let with_path = |(first, last, name): (u64, u64, String)| Published { first, last, path: folder.join(name) };
    Ok(names.into_iter().map(with_path).collect())
}

/// Of runs that begin at the same row the longest is first: the others were merged into it.
fn by_rows((first, last, _): &(u64, u64, String)) -> (u64, u64) {
    (*first, u64::MAX - last)
}

/// First row, last row and name of the runs in a folder.
fn names(files: &dyn Files, folder: &Path) -> Result<Vec<(u64, u64, String)>, RunError> {
    let names = match files.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(RunError::io(folder))?,
    };
    // A name that is not UTF-8 is none of ours.
    let ours = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(ours.filter_map(|name| rows_of(&name).map(|(first, last)| (first, last, name))).collect())
}
