//! A data directory that holds a log: what says how it is to be read, and its files.

use crate::disk::{DiskStorage, IoMode};
use crate::error::RecoverError;
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::watermark::WATERMARK_FILE;
use std::path::Path;

/// A log on a disk. Nothing of it was read yet.
pub(crate) struct LogOnDisk {
    pub manifest: LedgerManifest,
    pub keys: KeyRing,
    pub disk: DiskStorage,
}

impl LogOnDisk {
    /// Opens the log in a data directory.
    pub fn open<E>(data: &Path, mode: IoMode) -> Result<LogOnDisk, RecoverError<E>> {
        let manifest = LedgerManifest::load(data)?;
        let keys = KeyRing::load(data)?;
        // The watermark is there in every ledger, so it tells how files here can be written.
        let disk = DiskStorage::open(data, mode, WATERMARK_FILE).map_err(|source| RecoverError::Io {
            file: WATERMARK_FILE.into(),
            offset: 0,
            source,
        })?;
        Ok(LogOnDisk { manifest, keys, disk })
    }
}
