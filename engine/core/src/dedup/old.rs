//! Which ids may be in runs: sorted files of the ids of sealed segments, of which a filter and the ranges are in memory, less than
//! two bytes an id. What they may have is looked up on disk before it is sequenced; what they cannot have is new, or in memory.

use std::cell::Cell;
use std::sync::Arc;

use super::filter::Filter;
use super::ranges::Ranges;

/// What a run is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSummary {
    /// Sequence number of the first row that it covers.
    pub first: u64,
    /// Sequence number of the last row that it covers.
    pub last: u64,
    /// How many ids it has.
    pub ids: u64,
    /// What its ids are within.
    pub ranges: Ranges,
}

/// What is in memory of a run.
#[derive(Debug)]
pub struct Run {
    /// What it is of.
    pub summary: RunSummary,
    /// What the hashes of its ids, and those of holds that its rows close, are in.
    pub filter: Filter,
}

/// All runs. They cover the rows from the first on without a gap.
#[derive(Debug)]
pub struct OldIds {
    runs: Vec<Arc<Run>>,
    covered: u64,
    ids: u64,
    /// Ids that are in no range of any run, around the one that was looked at last: the next one is most often there too.
    gap: Cell<(u128, u128)>,
}

impl Default for OldIds {
    fn default() -> OldIds {
        OldIds::new(Vec::new())
    }
}

impl OldIds {
    /// These runs, in order.
    pub fn new(runs: Vec<Arc<Run>>) -> OldIds {
        let mut covered = 0;
        for RunSummary { first, last, .. } in runs.iter().map(|run| &run.summary) {
            assert!(*first == covered + 1 && last >= first, "runs cover all rows from the first on, once");
            covered = *last;
        }
        let ids = runs.iter().map(|run| run.summary.ids).sum();
        OldIds { runs, covered, ids, gap: Cell::new((u128::MAX, 0)) }
    }

    /// Sequence number of the last row that is covered; 0 if there is no run.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// How many ids they have.
    pub fn ids(&self) -> u64 {
        self.ids
    }

    /// Whether an id is within the ranges of a run.
    #[inline]
    pub fn is_in_range(&self, id: u128) -> bool {
        let (from, upto) = self.gap.get();
        if from <= id && id <= upto {
            return false;
        }
        self.look_at_ranges(id)
    }

    fn look_at_ranges(&self, id: u128) -> bool {
        let mut gap = (0, u128::MAX);
        for run in &self.runs {
            let Some((from, upto)) = run.summary.ranges.gap_of(id) else { return true };
            gap = (gap.0.max(from), gap.1.min(upto));
        }
        self.gap.set(gap);
        false
    }

    /// Asks for what [`OldIds::may_have`] looks at.
    #[inline]
    pub fn touch(&self, hash: u64) {
        self.runs.iter().for_each(|run| run.filter.touch(hash));
    }

    /// Whether a run may have an id that is within the ranges of one, or the closing of the hold with this id; false only if none has.
    #[inline]
    pub fn may_have(&self, hash: u64) -> bool {
        self.runs.iter().any(|run| run.filter.may_have(hash))
    }
}
