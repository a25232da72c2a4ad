//! Which sealed segments have an index: their facts in memory, about 150 bytes a segment, and the files of those that were
//! asked last. Shared by the threads that read history and the one that builds indexes. An index that turns out not to be
//! what was written is left aside from that moment on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use florin_wal::{LedgerId, LogReader, SealedSegment};

use super::entries::Bound;
use super::index::Facts;
use super::index::file::{IndexError, IndexFile};

/// Files of indexes that are kept open: more than the segments that one question looks into, far fewer than a process may
/// have open.
const OPEN_FILES_MAX: usize = 64;
/// What the name of an index ends with while it is written.
const UNFINISHED: &str = ".idx.new";

/// How far the index of a segment is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Whether there is one was not looked at yet.
    Unknown,
    /// It is to be built.
    Missing,
    /// It can be used.
    Ready(Facts),
}

struct Known {
    segment: SealedSegment,
    progress: Progress,
}

impl Known {
    fn end(&self) -> u64 {
        self.segment.first_sequence + self.segment.count
    }
}

/// Rows that stand in one sealed segment, or behind all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Ordinal of the segment; behind the last sealed one, the next.
    pub ordinal: u64,
    /// Its first row.
    pub first: u64,
    /// Its last row.
    pub last: u64,
}

/// The sealed segments and their indexes.
pub struct Catalog {
    folder: PathBuf,
    ledger: LedgerId,
    /// By ordinal, from 1.
    known: RwLock<Vec<Known>>,
    /// Most recently used last.
    open: Mutex<Vec<Arc<IndexFile>>>,
    /// Indexes that can be used.
    ready: AtomicU64,
}

impl Catalog {
    /// A catalog of no segments.
    pub fn new(data: &Path, ledger: LedgerId) -> Catalog {
        let folder = data.join("log");
        Catalog { folder, ledger, known: RwLock::default(), open: Mutex::default(), ready: AtomicU64::new(0) }
    }

    /// The ledger.
    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// Sealed segments that are known, and how many of them have an index.
    pub fn counts(&self) -> (u64, u64) {
        (self.known().len() as u64, self.ready.load(Relaxed))
    }

    fn known(&self) -> RwLockReadGuard<'_, Vec<Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<IndexFile>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes segments in that were sealed meanwhile.
    pub fn grow(&self, reader: &LogReader) {
        let count = self.known().len() as u64;
        let sealed = reader.sealed(count);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for segment in sealed {
            assert_eq!(segment.ordinal, known.len() as u64 + 1, "segments follow each other");
            known.push(Known { segment, progress: Progress::Unknown });
        }
    }

    /// Where a row stands.
    pub fn place(&self, sequence: u64) -> Place {
        let known = self.known();
        let at = known.partition_point(|k| k.end() <= sequence);
        match known.get(at) {
            Some(k) => Place { ordinal: k.segment.ordinal, first: k.segment.first_sequence, last: k.end() - 1 },
            None => {
                Place { ordinal: known.len() as u64 + 1, first: known.last().map_or(1, Known::end), last: u64::MAX }
            }
        }
    }

    /// The first row of the segments without an index that stand without a gap up to this one.
    pub fn first_without_index(&self, ordinal: u64) -> u64 {
        let known = self.known();
        let before = known.iter().take(ordinal as usize - 1);
        match before.rev().find(|k| matches!(k.progress, Progress::Ready(_))) {
            Some(ready) => ready.end(),
            None => 1,
        }
    }

    /// Of the segments with ordinals from `low` up to before `top`, the first that lies after a bound with all behind it;
    /// `top` if there is none. A guess where a segment has no index, or dates of institutions differ.
    pub fn first_after(&self, bound: &Bound, low: u64, top: u64) -> u64 {
        let known = self.known();
        let is_after = |ordinal: &u64| match &known[*ordinal as usize - 1] {
            Known { segment, progress: Progress::Ready(facts) } if segment.count > 0 => {
                facts.first_booked_at > bound.time || facts.smallest_date > bound.date
            }
            _ => true,
        };
        (low..top).rev().take_while(is_after).last().unwrap_or(top)
    }

    /// The index of a segment, if it can be used.
    pub fn index(&self, ordinal: u64) -> Option<Arc<IndexFile>> {
        let segment = match self.known().get(ordinal as usize - 1) {
            Some(Known { segment, progress: Progress::Ready(_) }) => *segment,
            _ => return None,
        };
        let mut open = self.open();
        let index = match open.iter().position(|index| index.segment.ordinal == ordinal) {
            Some(at) => open.remove(at),
            None => match IndexFile::open(&self.path(ordinal), self.ledger, &segment) {
                Ok(index) => Arc::new(index),
                Err(error) => {
                    drop(open);
                    self.reject(ordinal, &error);
                    return None;
                }
            },
        };
        if open.len() == OPEN_FILES_MAX {
            open.remove(0);
        }
        open.push(Arc::clone(&index));
        Some(index)
    }

    /// Leaves an index aside, which cannot be believed.
    pub fn reject(&self, ordinal: u64, error: &IndexError) {
        if self.set(ordinal, Progress::Missing) {
            eprintln!("florin: {} is left aside: {error}", self.path(ordinal).display());
        }
    }

    /// Reads the index of a segment to its end, if it has one. One that has rotted is left aside, so that it is built again: gives why.
    /// `keep` is told how many bytes were read since it was told last; its error ends the reading.
    pub fn check<E>(
        &self,
        ordinal: u64,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<IndexError>, E> {
        let segment = match self.known().get(ordinal as usize - 1) {
            Some(Known { segment, progress: Progress::Ready(_) }) => *segment,
            _ => return Ok(None),
        };
        // Not one of the files that are kept open for questions.
        let checked = match IndexFile::open(&self.path(ordinal), self.ledger, &segment) {
            Ok(index) => index.check(keep)?,
            Err(error) => Err(error),
        };
        let wrong = checked.err();
        wrong.iter().for_each(|error| self.reject(ordinal, error));
        Ok(wrong)
    }

    /// Looks whether a segment has an index.
    pub fn look(&self, segment: &SealedSegment) {
        match IndexFile::open(&self.path(segment.ordinal), self.ledger, segment) {
            Ok(index) => {
                self.set(segment.ordinal, Progress::Ready(index.header().facts));
            }
            Err(error) => {
                if !matches!(error, IndexError::Missing) {
                    eprintln!("florin: {} is left aside: {error}", self.path(segment.ordinal).display());
                }
                self.set(segment.ordinal, Progress::Missing);
            }
        }
    }

    /// Says how far an index is; whether it was `Ready` before.
    fn set(&self, ordinal: u64, progress: Progress) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut known[ordinal as usize - 1].progress, progress);
        let is_ready = |progress: Progress| u64::from(matches!(progress, Progress::Ready(_)));
        self.ready.fetch_add(is_ready(progress), Relaxed);
        self.ready.fetch_sub(is_ready(before), Relaxed);
        drop(known);
        // A file that was opened before is not the one that counts from now on.
        self.open().retain(|index| index.segment.ordinal != ordinal);
        is_ready(before) == 1
    }

    /// The newest segment for which a step is due, and how far its index is.
    pub fn newest(&self, due: impl Fn(u64, Progress) -> bool) -> Option<(SealedSegment, Progress)> {
        let known = self.known();
        let found = known.iter().rev().find(|k| due(k.segment.ordinal, k.progress));
        found.map(|k| (k.segment, k.progress))
    }

    /// File of an index.
    pub fn path(&self, ordinal: u64) -> PathBuf {
        self.folder.join(format!("{ordinal:010}.idx"))
    }

    /// Name of an index while it is written.
    pub fn unfinished(&self, ordinal: u64) -> PathBuf {
        self.folder.join(format!("{ordinal:010}{UNFINISHED}"))
    }

    /// Gives a finished index its name, durably, and uses it from now on.
    pub fn publish(&self, segment: &SealedSegment) -> std::io::Result<()> {
        std::fs::rename(self.unfinished(segment.ordinal), self.path(segment.ordinal))?;
        File::open(&self.folder)?.sync_all()?;
        self.look(segment);
        Ok(())
    }

    /// Removes what a crash left of indexes that were being written.
    pub fn remove_unfinished(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(UNFINISHED)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
