//! A process on a medium: what a start does with snapshots and runs of ids, and what their threads do then, one after the other.

use std::path::Path;
use std::sync::Arc;

use florin_core::dedup::old::OldIds;
use florin_core::state_hash::state_hash;
use florin_engine::rig::{Ids, Snapshots};
use florin_engine::{Recovered, SnapshotFolder};

use super::log::{Log, SEED, empty};
use super::medium::{Marks, Medium};
use super::tree::DATA;
use crate::rng::Rng;

/// How the makers are set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// A snapshot of so many segments.
    pub every: u64,
    /// Rows of a run, or of a part of one that is made again.
    pub rows: u64,
}

/// What a start found.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Found {
    pub snapshot: u64,
    pub snapshots_refused: Vec<String>,
    /// Last row that runs cover.
    pub rows: u64,
    pub runs_refused: Vec<String>,
}

/// The process.
pub struct Life<'a> {
    medium: Medium,
    log: &'a Log,
    setting: Setting,
    snapshots: Snapshots,
    /// The runs.
    pub ids: Ids,
    /// What it started with.
    pub found: Found,
}

impl Setting {
    /// Any; `every` segments.
    pub fn random(every: u64, rng: &mut Rng) -> Setting {
        Setting { every, rows: rng.pick(&[20, 100, 1 << 20]) }
    }
}

impl<'a> Life<'a> {
    /// Starts. What a snapshot says is compared with the log here.
    pub fn start(medium: &Medium, log: &'a Log, setting: Setting, what: &str) -> Life<'a> {
        let (reader, data) = (log.reader(), Path::new(DATA));
        let files = || Arc::new(medium.clone());
        let folder = SnapshotFolder::on(files(), data, reader.ledger());
        let recovered = folder.recover(reader.keys(), u64::MAX, empty);
        let Recovered { base, refused } =
            recovered.unwrap_or_else(|error| panic!("{what}: a start cannot look at the snapshots: {error}"));
        let base = base.map(|(ledger, manifest)| {
            let frames = manifest.frame;
            assert!(frames <= medium.marks().frames, "{what}: a snapshot of frame {frames} is of more than is durable");
            assert_eq!(
                state_hash(&ledger),
                log.hash(frames),
                "{what}: the snapshot of frame {frames} and the log differ"
            );
            manifest
        });
        let snapshots_refused = refused.iter().map(ToString::to_string).collect();
        let opened = Ids::open(files(), data, reader.apart(), SEED, setting.rows);
        let (ids, runs_refused) =
            opened.unwrap_or_else(|error| panic!("{what}: a start cannot look at the runs of ids: {error}"));
        let snapshot = base.as_ref().map_or(0, |base| base.frame);
        let found = Found { snapshot, snapshots_refused, rows: covered(&ids), runs_refused };
        let snapshots = Snapshots::new(reader, folder, base, setting.every);
        Life { medium: medium.clone(), log, setting, snapshots, ids, found }
    }

    /// Does all that there is to do, and says what is there then; or why it failed.
    pub fn look(&mut self, rng: &mut Rng) -> Result<(), String> {
        let snapshots_first = rng.chance(50);
        for snapshots in [snapshots_first, !snapshots_first] {
            if snapshots {
                let snapshot = self.snapshots.look()?;
                self.medium.mark(|marks| marks.snapshot = snapshot);
            } else {
                self.ids.look()?;
                let rows = covered(&self.ids);
                self.medium.mark(|marks| marks.rows = rows);
            }
        }
        Ok(())
    }

    /// Checks what was found by what has to hold.
    pub fn check_found(&self, marks: &Marks, what: &str) {
        let Found { snapshot, snapshots_refused, rows, runs_refused } = &self.found;
        let last = self.log.last_row(marks.frames);
        assert!(*rows <= last, "{what}: runs are of rows up to {rows}, {last} are durable");
        if marks.rotten {
            return;
        }
        assert!(snapshots_refused.is_empty(), "{what}: an honest snapshot is refused: {snapshots_refused:?}");
        assert!(runs_refused.is_empty(), "{what}: an honest run of ids is refused: {runs_refused:?}");
        let obliged = marks.snapshot;
        assert!(*snapshot >= obliged, "{what}: a snapshot that was published is lost: {obliged}, {snapshot} found");
        assert!(*rows >= marks.rows, "{what}: runs that were there are lost: up to row {}, {rows} found", marks.rows);
    }

    /// Checks what is there once all was done that there is to do: the newest snapshot and at most one more, runs of all rows, nothing that is
    /// unfinished. `every` segments may be without a snapshot.
    pub fn check_settled(&self, what: &str) {
        let marks = self.medium.marks();
        assert_eq!(marks.rows, self.log.last_row(marks.frames), "{what}: not all rows are in runs");
        let missing = marks.frames - marks.snapshot;
        assert!(missing == 0 || self.setting.every > 1, "{what}: {missing} frames are in no snapshot");
        // What a crash has left of a snapshot is removed when the next one was made.
        let made = marks.snapshot > self.found.snapshot;
        let (mut snapshots, mut manifests) = (0, 0);
        for (path, _) in self.medium.tree().files() {
            match path.file_name().and_then(|name| name.to_str()) {
                Some("state") => snapshots += 1,
                Some("manifest.json") => manifests += 1,
                Some(run) if run.ends_with(".run") => {}
                Some("manifest.json.new") if !made => {}
                _ => panic!("{what}: {} was left behind", path.display()),
            }
        }
        assert!(snapshots == manifests || !made, "{what}: half a snapshot was left behind");
        assert!(manifests <= 2 || !made, "{what}: {manifests} snapshots are there");
    }
}

fn covered(ids: &Ids) -> u64 {
    OldIds::new(ids.in_memory()).covered()
}
