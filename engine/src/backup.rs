//! Backup and restore: the log and the newest snapshot in another folder, each checked there. A backup may be made while a server is
//! running; the next one into the same folder copies what is new. Keys are not part of it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use florin_wal::{
    CopyError, CopyReport, DataLock, Extent, KeyError, KeyRing, LedgerManifest, LockError, ManifestError, copy_log,
};

use crate::snapshots::{SnapshotError, SnapshotFolder};

/// Folder of the keys in a data directory.
const KEY_FOLDER: &str = "keys";

/// What a backup or a restored ledger has.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The log.
    pub log: CopyReport,
    /// Last frame of the snapshot in it; none if there is none.
    pub snapshot: Option<u64>,
    /// Why newer snapshots were not copied.
    pub snapshots_refused: Vec<String>,
}

/// Why there is no (good) backup, or nothing was restored. What was to be copied is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log.
    #[error(transparent)]
    Log(#[from] CopyError),
    /// The ledger's description.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The lock of the ledger.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The folder to restore into has something in it.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The first frame is behind what was asked for.
    #[error("nothing in the log is at or before that")]
    BeforeAll,
    /// The log ends before what was asked for.
    #[error("the log ends with frame {frame}, row {sequence}, before that")]
    BehindAll {
        /// Its last frame.
        frame: u64,
        /// Its last sequence number.
        sequence: u64,
    },
    /// A frame of the log cannot be read.
    #[error("frame {frame}: {reason}")]
    Frame {
        /// Which.
        frame: u64,
        /// Why.
        reason: String,
    },
    /// A file cannot be written.
    #[error("{}: {source}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Copies a ledger that may be running into a new folder, or what is new into an earlier backup of it.
pub fn back_up(data: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    LedgerManifest::load(data)?;
    // With the lock nobody is writing, and nobody begins while it is copied: what a recovery would find is copied.
    let (_lock, extent) = match DataLock::acquire(data) {
        Ok(lock) => (Some(lock), Extent::Whole),
        Err(LockError::Held { .. }) => (None, Extent::Proven),
        Err(error) => return Err(error.into()),
    };
    copy(data, &KeyRing::load(data)?, to, extent)
}

/// A ledger is restored into a new or empty folder.
pub(crate) fn check_empty(to: &Path) -> Result<(), BackupError> {
    match to.exists() && std::fs::read_dir(to).map_err(failed(to))?.next().is_some() {
        true => Err(BackupError::NotEmpty(to.to_path_buf())),
        false => Ok(()),
    }
}

/// Makes a ledger in a new or empty folder from a backup and the keys that belong to it, in a folder of their own.
pub fn restore(from: &Path, keys: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    check_empty(to)?;
    LedgerManifest::load(from)?;
    let report = copy(from, &KeyRing::load_folder(keys)?, to, Extent::Whole)?;
    finish(keys, to, "LOCK")?;
    Ok(report)
}

/// Puts the keys and the file of the lock in the place of a ledger that was restored.
pub(crate) fn finish(keys: &Path, to: &Path, lock: &str) -> Result<(), BackupError> {
    let folder = to.join(KEY_FOLDER);
    DirBuilder::new().mode(0o700).create(&folder).map_err(failed(&folder))?;
    for entry in std::fs::read_dir(keys).map_err(failed(keys))? {
        let path = entry.map_err(failed(keys))?.path();
        let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "key")) else { continue };
        let file = folder.join(name);
        let text = std::fs::read(&path).map_err(failed(&path))?;
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        let written = created.and_then(|mut new| new.write_all(&text).and_then(|()| new.sync_all()));
        written.map_err(failed(&file))?;
    }
    let lock = to.join(lock);
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&lock).map_err(failed(&lock))?;
    for folder in [&folder, to] {
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed(folder))?;
    }
    Ok(())
}

fn failed(file: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let file = file.to_path_buf();
    move |source| BackupError::Io { file, source }
}

fn copy(from: &Path, keys: &KeyRing, to: &Path, extent: Extent) -> Result<BackupReport, BackupError> {
    let ledger = LedgerManifest::load(from)?.ledger;
    let snapshots = SnapshotFolder::new(from, ledger);
    let good = |frame: &u64| snapshots.manifest(*frame, keys).is_ok();
    let newest = snapshots.positions()?.into_iter().rfind(good).unwrap_or(0);
    let log = copy_log(from, keys, to, extent, newest)?;
    let (snapshot, refused) = snapshots.copy_newest(keys, &SnapshotFolder::new(to, ledger), log.log.last_frame)?;
    let snapshots_refused = refused.iter().map(|error| error.to_string()).collect();
    Ok(BackupReport { log, snapshot, snapshots_refused })
}
