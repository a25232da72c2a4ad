//! A ledger to run logs on: its lock in a folder of its own, in memory where the system has one, its files as an image.

use std::path::PathBuf;
use std::sync::Arc;

use florin_wal::{
    DataLock, IoReport, KeyRing, LedgerManifest, LedgerOptions, LogOptions, RecoverError, Recovered, ScanReport,
    WriteMode, create_ledger, recover_on, scan_on,
};
use tempfile::TempDir;

use super::event::Image;
use super::life::{History, Seen};
use super::recorder::Recorder;
use super::{SEGMENT, WATERMARK, segment_name};

/// One ledger. One log at a time runs on it.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    manifest: LedgerManifest,
    keys: KeyRingOf,
}

/// Keys say nothing of themselves.
struct KeyRingOf(KeyRing);

impl std::fmt::Debug for KeyRingOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("keys")
    }
}

impl Default for Place {
    fn default() -> Place {
        let memory = PathBuf::from("/dev/shm");
        // The lock is taken for every recovery; on a disk that alone would take most of the time.
        let folder = match tempfile::tempdir_in(&memory) {
            Ok(folder) => folder,
            Err(_) => tempfile::tempdir().expect("a temporary folder"),
        };
        let options = LedgerOptions { segment_bytes: SEGMENT as u64, created_unix_ns: 1_700_000_000_000_000_000 };
        let data = folder.path().join("data");
        let manifest = create_ledger(&data, &options).expect("a new ledger");
        let keys = KeyRingOf(KeyRing::load(&data).expect("the keys of a new ledger"));
        Place { folder, manifest, keys }
    }
}

impl Place {
    /// The folder of the ledger.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What never changes about it.
    pub fn manifest(&self) -> &LedgerManifest {
        &self.manifest
    }

    /// The files of the new ledger: two segments of zeros and the watermark.
    pub fn image(&self) -> Image {
        let files = [segment_name(1), segment_name(2), WATERMARK.to_owned()];
        let read = |name: &String| Arc::new(std::fs::read(self.data().join(name)).expect("a file of a new ledger"));
        files.iter().map(|name| (name.as_str().into(), read(name))).collect()
    }

    /// Recovers the log on a disk, and compares each frame with what it has to be.
    pub fn recover(&self, disk: &Recorder, history: &History) -> (Result<Recovered, RecoverError<String>>, Seen) {
        self.recover_as(self.manifest.clone(), disk, history)
    }

    /// As [`Place::recover`], by a manifest that may be another one.
    pub fn recover_as(
        &self,
        manifest: LedgerManifest,
        disk: &Recorder,
        history: &History,
    ) -> (Result<Recovered, RecoverError<String>>, Seen) {
        let lock = DataLock::acquire(&self.data()).expect("nothing else runs here");
        let (buffers, written_apart_from) = (super::life::BUFFERS, disk.written_apart_from());
        let options = LogOptions { buffers, written_apart_from, ..LogOptions::default() };
        let (storage, io) = (Arc::new(disk.clone()), io(disk.mode()));
        let mut seen = Seen::default();
        let recovered = recover_on(storage, io, manifest, self.keys.0.clone(), lock, options, &mut |frame| {
            seen.take(&frame, history);
            Ok(())
        });
        (recovered, seen)
    }

    /// Scans the log on a disk, which is recovery without a write.
    pub fn scan(&self, disk: &Recorder, history: &History) -> (Result<ScanReport, RecoverError<String>>, Seen) {
        let mut seen = Seen::default();
        let scanned = scan_on(disk, io(disk.mode()), &self.manifest, &self.keys.0, &mut |frame| {
            seen.take(&frame, history);
            Ok(())
        });
        (scanned, seen)
    }
}

fn io(mode: WriteMode) -> IoReport {
    IoReport { mode, file_system: "memory".into(), fallback: None }
}
