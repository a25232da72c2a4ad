//! Snapshots of a simulated log: folded in pieces, kept as bytes, and recovered from.

use florin_core::coordinator::RoundLimits;
use florin_core::replay::Ledger;
use florin_core::snapshot::{Fold, Section, SnapshotRecord, decode};
use florin_core::state_hash::LogPosition;

use super::Log;
use super::invariants::i7_same_state;
use super::runs::{Runs, SEED};
use crate::rng::Rng;

/// A snapshot as it would lie on disk.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// After how many frames.
    pub frames: usize,
    position: LogPosition,
    records: Vec<(Section, Vec<u8>)>,
}

impl Snapshot {
    /// Whether there is an account in it.
    pub fn has_accounts(&self) -> bool {
        self.records.iter().any(|(section, _)| *section == Section::Accounts)
    }

    /// Its records as bytes.
    pub fn parts(&self) -> &[(Section, Vec<u8>)] {
        &self.records
    }

    fn records(&self) -> impl Iterator<Item = Result<SnapshotRecord, String>> + '_ {
        self.records.iter().map(|(section, bytes)| {
            let mut rest = &bytes[..];
            let record = decode(*section, &mut rest)?;
            assert!(rest.is_empty(), "a record is as long as it is");
            Ok(record)
        })
    }

    /// The snapshot after so many frames of the log, folded from this one and the frames since.
    pub fn next(&self, log: &Log, frames: usize) -> Snapshot {
        let mut fold = Fold::after(self.position, 5);
        for record in self.records() {
            if !fold.register(&record.expect("a snapshot reads back")) {
                break;
            }
        }
        for frame in &log.frames[self.frames..frames] {
            fold.frame(&frame.view()).expect("a frame that can be read");
        }
        let position = fold.position();
        let mut records = vec![];
        let sink = |record: SnapshotRecord| {
            let mut bytes = vec![];
            record.encode(&mut bytes);
            records.push((record.section(), bytes));
            Ok(())
        };
        fold.merge(self.records(), sink, String::from).expect("the snapshot before fits");
        assert!(records.is_sorted_by_key(|(section, _)| *section), "sections come in order");
        Snapshot { frames, position, records }
    }

    /// The ledger that the snapshot and the log after it say.
    pub fn recover(&self, log: &Log, shards: usize, runs: &Runs, limits: RoundLimits) -> Ledger {
        let mut ledger = Ledger::new(shards, limits, SEED);
        ledger.coordinator.set_id_block_bits(3);
        ledger.coordinator.adopt_runs(runs.in_memory());
        for record in self.records() {
            ledger.restore(record.expect("a snapshot reads back")).expect("records that fit each other");
        }
        ledger.restored(&self.position);
        for (at, frame) in log.frames.iter().enumerate() {
            match at < self.frames {
                true => ledger.note_ids(&frame.view()).expect("ids of a good frame"),
                false => {
                    let applied = ledger.apply_frame(&frame.view());
                    applied.expect("I7: a frame that follows on the log does not follow on the snapshot");
                }
            }
        }
        ledger
    }
}

/// Recovers a log from a newer snapshot than the one before, somewhere in it, and compares that with a replay of all frames. Logs with
/// heaves say less than what happened: they are replayed.
pub fn recover(
    snapshot: &mut Snapshot,
    runs: &mut Runs,
    log: &Log,
    shards: usize,
    seed: u64,
    limits: RoundLimits,
) -> Ledger {
    runs.check(log.frames.len());
    if log.has_heaves() {
        runs.forget();
        return log.replay(shards, SEED, limits);
    }
    let replayed = log.replay(shards, seed, limits);
    // Random numbers of its own, so that seeds that are kept stay what they are.
    let mut rng = Rng::part(seed, "snapshots");
    for _ in 0..rng.between(1, 3) {
        *snapshot = snapshot.next(log, rng.between(snapshot.frames, log.frames.len()));
    }
    let recovered = snapshot.recover(log, shards, runs, limits);
    i7_same_state::same(&recovered, &replayed);
    recovered
}
