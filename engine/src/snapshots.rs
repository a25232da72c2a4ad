//! Snapshots on disk: `snapshots/POSITION/state` and its `manifest.json`, by whose rename it is published. Recovery goes on from the
//! newest good one; a thread folds the next from sealed segments while payments run (`keeper`). `docs/format-snapshot.md` gives
//! the bytes.
//!
//! What always holds: a snapshot says nothing that the log does not say; it is of durable frames only; one is removed only when a
//! newer one and the one that this was made of are there.

mod keeper;
mod manifest;
mod report;
mod state_file;

pub(crate) use keeper::{Keeper, Keeping, start_keeping};
pub use manifest::SnapshotManifest;
pub use report::{SnapshotReport, SnapshotStats};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use florin_core::replay::Ledger;
use florin_core::snapshot::SnapshotRecord;
use florin_core::state_hash::LogPosition;
use florin_planted::{Fault, planted};
use florin_wal::{KeyRing, LedgerId};

use crate::files::{Files, RealFiles};
use manifest::MANIFEST_FILE;
use state_file::{STATE_FILE, StateReader};

const SNAPSHOT_FOLDER: &str = "snapshots";

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what was written for this ledger.
    #[error("{} at offset {offset}: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

impl SnapshotError {
    fn io(file: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
        let file = file.to_path_buf();
        move |source| SnapshotError::Io { file, source }
    }
}

/// The snapshots of a ledger.
#[derive(Clone, Debug)]
pub struct SnapshotFolder {
    files: Arc<dyn Files>,
    folder: PathBuf,
    ledger: LedgerId,
}

/// A snapshot that was taken over, and those that could not be.
pub struct Recovered {
    /// The ledger, and the snapshot that it is from; none if there is no good one.
    pub base: Option<(Ledger, SnapshotManifest)>,
    /// Newer ones, and why they were left aside.
    pub refused: Vec<SnapshotError>,
}

impl SnapshotFolder {
    /// Of a data directory.
    pub fn new(data: &Path, ledger: LedgerId) -> SnapshotFolder {
        SnapshotFolder::on(RealFiles::shared(), data, ledger)
    }

    /// As [`SnapshotFolder::new`], on any files.
    #[doc(hidden)]
    pub fn on(files: Arc<dyn Files>, data: &Path, ledger: LedgerId) -> SnapshotFolder {
        SnapshotFolder { files, folder: data.join(SNAPSHOT_FOLDER), ledger }
    }

    /// Positions of all that were published, oldest first: their last frames.
    pub fn positions(&self) -> Result<Vec<u64>, SnapshotError> {
        let mut positions = Vec::new();
        for (name, path) in self.entries()? {
            if let Some(frame) = position_of(&name).filter(|_| self.files.exists(&path.join(MANIFEST_FILE))) {
                positions.push(frame);
            }
        }
        positions.sort_unstable();
        Ok(positions)
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>, SnapshotError> {
        let names = match self.files.list(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            names => names.map_err(SnapshotError::io(&self.folder))?,
        };
        Ok(names.into_iter().map(|name| (name.to_string_lossy().into_owned(), self.folder.join(name))).collect())
    }

    /// Where a snapshot is, or would be.
    pub fn path(&self, frame: u64) -> PathBuf {
        self.folder.join(format!("{frame:020}"))
    }

    /// The manifest of a snapshot, checked.
    pub fn manifest(&self, frame: u64, keys: &KeyRing) -> Result<SnapshotManifest, SnapshotError> {
        SnapshotManifest::load(&*self.files, &self.path(frame), self.ledger, frame, keys)
    }

    /// The records of a snapshot, each checked before it is given.
    pub fn records(
        &self,
        manifest: &SnapshotManifest,
    ) -> Result<impl Iterator<Item = Result<SnapshotRecord, SnapshotError>> + use<>, SnapshotError> {
        StateReader::open(&*self.files, &self.path(manifest.frame).join(STATE_FILE), manifest)
    }

    /// The state of a snapshot, in an empty ledger.
    pub fn restore(&self, manifest: &SnapshotManifest, mut ledger: Ledger) -> Result<Ledger, SnapshotError> {
        for record in self.records(manifest)? {
            ledger.restore(record?).map_err(|error| SnapshotError::Damaged {
                file: self.path(manifest.frame).join(STATE_FILE),
                offset: 0,
                reason: error.to_string(),
            })?;
        }
        ledger.restored(&manifest.position());
        Ok(ledger)
    }

    /// The state of the newest good snapshot of at most so many frames. `empty` makes an empty ledger.
    pub fn recover(&self, keys: &KeyRing, frames: u64, empty: impl Fn() -> Ledger) -> Result<Recovered, SnapshotError> {
        let mut refused = Vec::new();
        for frame in self.positions()?.into_iter().rev().filter(|frame| *frame <= frames) {
            let restored =
                self.manifest(frame, keys).and_then(|manifest| Ok((self.restore(&manifest, empty())?, manifest)));
            match restored {
                Ok(base) => return Ok(Recovered { base: Some(base), refused }),
                Err(error) => refused.push(error),
            }
        }
        Ok(Recovered { base: None, refused })
    }

    /// Copies the newest good snapshot of at most so many frames to another folder and checks it there; the only one in it then. Gives
    /// its position, and why newer ones were not copied.
    pub(crate) fn copy_newest(
        &self,
        keys: &KeyRing,
        to: &SnapshotFolder,
        frames: u64,
    ) -> Result<(Option<u64>, Vec<SnapshotError>), SnapshotError> {
        let mut refused = Vec::new();
        for frame in self.positions()?.into_iter().rev().filter(|frame| *frame <= frames) {
            // One that is damaged, or was removed meanwhile as newer ones are there, is left where it is.
            let manifest = match self.check(frame, keys) {
                Ok(manifest) => manifest,
                Err(error) => {
                    refused.push(error);
                    continue;
                }
            };
            if to.check(frame, keys).is_err() {
                let path = to.begin(frame)?;
                let (from, state) = (self.path(frame).join(STATE_FILE), path.join(STATE_FILE));
                match self.files.copy(&from, &state) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        to.remove(&path)?;
                        continue;
                    }
                    copied => copied.map_err(SnapshotError::io(&state))?,
                }
                to.publish(&path, &manifest, keys)?;
                to.check(frame, keys)?;
            }
            to.keep_only(&[frame])?;
            return Ok((Some(frame), refused));
        }
        Ok((None, refused))
    }

    /// The manifest of a snapshot that is good to its last record.
    pub fn check(&self, frame: u64, keys: &KeyRing) -> Result<SnapshotManifest, SnapshotError> {
        let manifest = self.manifest(frame, keys)?;
        self.records(&manifest)?.try_for_each(|record| record.map(drop))?;
        Ok(manifest)
    }

    /// Reads a snapshot to its end: whether it is what was written, or was removed meanwhile. `keep` is told how many bytes were read since
    /// it was told last; its error ends the reading.
    pub(crate) fn scrub<E>(
        &self,
        frame: u64,
        keys: &KeyRing,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Result<(), SnapshotError>, E> {
        let read = match self.read_through(frame, keys, keep) {
            Ok(()) => return Ok(Ok(())),
            Err(Ended::ByCaller(error)) => return Err(error),
            Err(Ended::Damaged(error)) => Err(error),
        };
        Ok(match self.positions() {
            Ok(positions) if !positions.contains(&frame) => Ok(()),
            _ => read,
        })
    }

    fn read_through<E>(
        &self,
        frame: u64,
        keys: &KeyRing,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<(), Ended<E>> {
        let manifest = self.manifest(frame, keys)?;
        let mut records = StateReader::open(&*self.files, &self.path(frame).join(STATE_FILE), &manifest)?;
        let mut kept = 0;
        while let Some(record) = records.next() {
            record?;
            // The chunk that is being read was read as a whole; it counts with the next one.
            let read = records.offset() - std::mem::replace(&mut kept, records.offset());
            if read > 0 {
                keep(read as usize).map_err(Ended::ByCaller)?;
            }
        }
        keep((manifest.bytes - kept) as usize).map_err(Ended::ByCaller)
    }

    /// Makes a place for a snapshot that is to be written, without what an earlier try left there.
    fn begin(&self, frame: u64) -> Result<PathBuf, SnapshotError> {
        let path = self.path(frame);
        self.remove(&path)?;
        if !self.files.exists(&self.folder) {
            self.make_folder(&self.folder)?;
        }
        self.sync_data()?;
        self.make_folder(&path)?;
        Ok(path)
    }

    /// Makes durable that a snapshot is there: whoever published it may have been killed before its names were.
    fn settle(&self, frame: u64) -> Result<(), SnapshotError> {
        self.sync_folder(&self.path(frame))?;
        self.sync_folder(&self.folder)?;
        self.sync_data()
    }

    /// Makes durable that there is a folder for snapshots, whoever made it.
    fn sync_data(&self) -> Result<(), SnapshotError> {
        self.sync_folder(self.folder.parent().expect("it is in the data directory"))
    }

    /// Publishes the snapshot whose state was written and made durable: from then on it counts.
    fn publish(&self, path: &Path, manifest: &SnapshotManifest, keys: &KeyRing) -> Result<(), SnapshotError> {
        self.sync_folder(path)?;
        manifest.write(&*self.files, path, keys)?;
        if planted(Fault::SnapshotFolderNotSynced) {
            return Ok(());
        }
        self.sync_folder(path)?;
        self.sync_folder(&self.folder)
    }

    /// Removes all but these, and what was not finished.
    fn keep_only(&self, kept: &[u64]) -> Result<(), SnapshotError> {
        for (name, path) in self.entries()? {
            if position_of(&name).is_some_and(|frame| !kept.contains(&frame)) {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a snapshot, its manifest first: half of one never counts.
    fn remove(&self, path: &Path) -> Result<(), SnapshotError> {
        let gone = |result: io::Result<()>, file: &Path| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SnapshotError::io(file)(error)),
            _ => Ok(()),
        };
        if !self.files.exists(path) {
            return Ok(());
        }
        let manifest = path.join(MANIFEST_FILE);
        gone(self.files.remove(&manifest), &manifest)?;
        self.sync_folder(path)?;
        for name in self.files.list(path).map_err(SnapshotError::io(path))? {
            let file = path.join(name);
            gone(self.files.remove(&file), &file)?;
        }
        gone(self.files.remove_folder(path), path)
    }

    fn make_folder(&self, path: &Path) -> Result<(), SnapshotError> {
        self.files.make_folder(path).map_err(SnapshotError::io(path))
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SnapshotError> {
        self.files.sync_folder(path).map_err(SnapshotError::io(path))
    }
}

/// Why a snapshot was not read to its end.
enum Ended<E> {
    ByCaller(E),
    Damaged(SnapshotError),
}

impl<E> From<SnapshotError> for Ended<E> {
    fn from(error: SnapshotError) -> Ended<E> {
        Ended::Damaged(error)
    }
}

impl SnapshotManifest {
    /// Where its log ends.
    pub fn position(&self) -> LogPosition {
        LogPosition { last_round: self.frame, last_sequence: self.sequence, last_booked_at: self.booked_at_ns }
    }
}

/// The position that a folder's name says.
fn position_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|frame: &u64| *frame > 0 && format!("{frame:020}") == name)
}
