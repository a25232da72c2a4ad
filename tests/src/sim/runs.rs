//! Runs of old ids of a simulated log: made of durable frames now and then, merged, and asked as those on disk are.

use std::sync::Arc;

use florin_core::account::hash_id;
use florin_core::dedup::filter::Filter;
use florin_core::dedup::old::{Run, RunSummary};
use florin_core::dedup::run::{RunDraft, RunEntry, old_id};
use florin_core::link::OldId;

use super::Log;
use crate::rng::Rng;

/// Seed of the hashes in all runs, and of the ids of all ledgers that have runs.
pub const SEED: u64 = 0x5eed;

/// The runs, oldest first.
#[derive(Clone, Debug)]
pub struct Runs {
    /// After how many frames each ends.
    runs: Vec<(usize, Arc<Run>, Vec<RunEntry>)>,
    /// Random numbers of its own, so that seeds that are kept stay what they are.
    rng: Rng,
    /// Of a hundred moves, at how many a run is made.
    eagerness: usize,
    /// Runs made.
    pub made: u64,
    /// Look-ups for which sequencing waited.
    pub fetched: u64,
}

impl Runs {
    /// No runs yet.
    pub fn new(mut rng: Rng) -> Runs {
        let eagerness = rng.pick(&[0, 1, 5, 30]);
        Runs { runs: Vec::new(), rng, eagerness, made: 0, fetched: 0 }
    }

    /// None, now and later.
    pub fn never() -> Runs {
        Runs { eagerness: 0, ..Runs::new(Rng::new(0)) }
    }

    /// What is in memory of them.
    pub fn in_memory(&self) -> Vec<Arc<Run>> {
        self.runs.iter().map(|(_, run, _)| Arc::clone(run)).collect()
    }

    /// A log that ends earlier: runs are of durable frames, so none is of more.
    pub fn check(&self, frames: usize) {
        assert!(self.frames() <= frames, "a run is of frames that were lost");
    }

    /// After how many frames they end.
    pub fn frames(&self) -> usize {
        self.runs.last().map_or(0, |(frames, ..)| *frames)
    }

    /// Now and then makes a run of durable frames or merges some; then gives all.
    pub fn grow(&mut self, log: &Log, durable: usize) -> Option<Vec<Arc<Run>>> {
        if !self.rng.chance(self.eagerness) {
            return None;
        }
        if self.runs.len() >= 2 && self.rng.chance(40) {
            let from = self.rng.below(self.runs.len() - 1);
            self.merge(from);
            return Some(self.in_memory());
        }
        let from = self.frames();
        if durable <= from {
            return None;
        }
        let upto = self.rng.between(from + 1, durable);
        let mut draft = RunDraft::after(log.last_sequence_of(from), SEED);
        for frame in &log.frames[from..upto] {
            draft.frame(&frame.view()).expect("a frame that can be read");
        }
        let (summary, entries) = draft.finish();
        self.put(upto, summary, entries);
        self.made += 1;
        Some(self.in_memory())
    }

    /// As if their files were lost: all ids are taken from the log again.
    pub fn forget(&mut self) {
        self.runs.clear();
    }

    fn merge(&mut self, from: usize) {
        let merged: Vec<_> = self.runs.drain(from..).collect();
        let summary = RunSummary::merged(merged.iter().map(|(_, run, _)| &run.summary));
        let frames = merged.last().expect("several are merged").0;
        let mut entries: Vec<RunEntry> = merged.into_iter().flat_map(|(.., entries)| entries).collect();
        entries.sort_unstable();
        self.put(frames, summary, entries);
    }

    fn put(&mut self, frames: usize, summary: RunSummary, entries: Vec<RunEntry>) {
        let mut filter = Filter::for_ids(entries.len() as u64);
        entries.iter().for_each(|entry| filter.add(entry.hash));
        self.runs.push((frames, Arc::new(Run { summary, filter }), entries));
    }

    /// What they say of an id.
    pub fn old_id(&self, log: &Log, institution: u32, id: u128) -> Option<OldId> {
        let hash = hash_id(institution, id, SEED);
        let entries = self.runs.iter().flat_map(|(.., entries)| entries).filter(|entry| entry.hash == hash).copied();
        old_id(institution, id, entries, |sequence| Ok::<_, ()>(log.record(sequence))).expect("a log that can be read")
    }
}
