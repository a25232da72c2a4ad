//! What the rigs of florin-tests reach into: the makers of snapshots and of runs of ids without their threads, one look after the other, on
//! files that the rig gives them. No part of what this crate promises.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam::channel::never;
use florin_core::dedup::old::Run;
use florin_core::dedup::run::RunEntry;
use florin_wal::LogReader;

pub use crate::files::{Files, NewFile, OldFile};
use crate::ids::{self, Shelf};
use crate::pace::Pace;
use crate::snapshots::{self, SnapshotFolder, SnapshotManifest};

/// The maker of snapshots.
pub struct Snapshots(snapshots::Keeper);

impl Snapshots {
    /// Goes on from the snapshot that was recovered.
    pub fn new(reader: LogReader, folder: SnapshotFolder, base: Option<SnapshotManifest>, every: u64) -> Snapshots {
        let pace = Pace::beside_rest(reader.clone());
        Snapshots(snapshots::Keeper::new(reader, folder, base, every, 0, pace, never()))
    }

    /// Looks once, as its thread does over and over. Gives the last frame of the newest snapshot, which is durable then, or why there is
    /// none.
    pub fn look(&mut self) -> Result<u64, String> {
        self.0.look().map_err(|error| error.to_string())?;
        Ok(self.0.newest())
    }
}

/// The runs of ids, and their maker.
pub struct Ids {
    shelf: Arc<Shelf>,
    keeper: ids::Keeper,
    tally: Arc<ids::Tally>,
}

impl Ids {
    /// Opens the runs in a data directory, as a start does, and says why some were left aside. `rows`: from so many on a run is made, or a
    /// part of one that is made again.
    pub fn open(
        files: Arc<dyn Files>,
        data: &Path,
        reader: LogReader,
        seed: u64,
        rows: u64,
    ) -> Result<(Ids, Vec<String>), String> {
        let opened = Shelf::open_on(files, data, reader.ledger(), seed, u64::MAX);
        let (shelf, refused) = opened.map_err(|error| error.to_string())?;
        let (shelf, tally) = (Arc::new(shelf), Arc::default());
        let pace = Pace::beside_rest(reader.clone());
        let adopt = Box::new(|_| ());
        let keeper = ids::Keeper::new(reader, Arc::clone(&shelf), pace, rows, adopt, Arc::clone(&tally));
        Ok((Ids { shelf, keeper, tally }, refused.iter().map(ToString::to_string).collect()))
    }

    /// Looks once, as the thread does over and over.
    pub fn look(&mut self) -> Result<(), String> {
        self.keeper.look().map_err(|error| error.to_string())
    }

    /// What the coordinator gets to know of the runs.
    pub fn in_memory(&self) -> Vec<Arc<Run>> {
        self.shelf.in_memory()
    }

    /// What the runs say of an id's hash, and the rows of which they cannot.
    pub fn look_up(&self, institution: u32, id: u128) -> (Vec<RunEntry>, Vec<RangeInclusive<u64>>) {
        let said = self.shelf.look_up(institution, id);
        (said.entries, said.unread)
    }

    /// Runs that were made, merged and made again.
    pub fn counts(&self) -> [u64; 3] {
        let ids::Tally { made, merged, remade } = &*self.tally;
        [made, merged, remade].map(|count| count.load(Relaxed))
    }
}
