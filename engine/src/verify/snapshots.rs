//! Snapshots against the fold of the log.

use std::path::Path;

use florin_core::coordinator::RoundLimits;
use florin_core::replay::Ledger;
use florin_core::state_hash::state_hash;
use florin_wal::{Frame, KeyRing, LedgerId, Point};

use super::{COMPARED_SHARDS, Fold, VerifyError, could_not};
use crate::snapshots::{SnapshotFolder, SnapshotManifest};

/// A snapshot against the fold of the log up to its position.
#[derive(Clone, Debug)]
pub struct CheckedSnapshot {
    /// Its last frame.
    pub frame: u64,
    /// Why it is not what the log says, if it is not.
    pub wrong: Option<String>,
    /// Whether it is good, but of another log, or of one that went further.
    pub foreign: bool,
}

/// The snapshots of a ledger, and what was found of each.
pub(super) struct Snapshots(Vec<(CheckedSnapshot, Option<Loaded>)>);

/// What a snapshot says, as long as it was not compared.
struct Loaded {
    manifest: SnapshotManifest,
    state_hash: [u8; 32],
}

impl Snapshots {
    /// Those of a data directory up to its point, if it has one.
    pub fn read(
        data: &Path,
        ledger: LedgerId,
        keys: &KeyRing,
        point: Option<&Point>,
    ) -> Result<Snapshots, VerifyError> {
        let folder = SnapshotFolder::new(data, ledger);
        let mut positions = folder.positions().map_err(could_not)?;
        positions.retain(|frame| point.is_none_or(|point| *frame <= point.frame));
        let read = |frame: u64| {
            let loaded = folder.manifest(frame, keys).and_then(|manifest| {
                let ledger = folder.restore(&manifest, Ledger::new(COMPARED_SHARDS, RoundLimits::default(), 0))?;
                Ok(Loaded { manifest, state_hash: state_hash(&ledger) })
            });
            match loaded {
                Ok(loaded) => (CheckedSnapshot { frame, wrong: None, foreign: false }, Some(loaded)),
                Err(error) => (CheckedSnapshot { frame, wrong: Some(error.to_string()), foreign: false }, None),
            }
        };
        Ok(Snapshots(positions.into_iter().map(read).collect()))
    }

    /// Compares the snapshot after a frame, if there is one, with the fold up to there.
    pub fn compare(&mut self, frame: &Frame<'_>, fold: &Fold) {
        for (checked, loaded) in self.0.iter_mut().filter(|(checked, _)| checked.frame == frame.head.number) {
            let Some(Loaded { manifest, state_hash }) = loaded.take() else { continue };
            if !manifest.is_of(&frame.head) {
                (checked.wrong, checked.foreign) = (Some("it is of another log".into()), true);
            } else if fold.hash() != state_hash {
                checked.wrong = Some("its state is not the one that the log gives: this is a bug".into());
            }
        }
    }

    /// What was found of each, once the log was read to its end.
    pub fn checked(self) -> Vec<CheckedSnapshot> {
        let behind = |(mut checked, loaded): (CheckedSnapshot, Option<Loaded>)| {
            if loaded.is_some() {
                (checked.wrong, checked.foreign) = (Some("the log ends before it".into()), true);
            }
            checked
        };
        self.0.into_iter().map(behind).collect()
    }
}
