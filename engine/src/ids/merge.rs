//! Which runs are merged, and the merging of their entries.
//!
//! A run is merged with those behind it once these are at least four and together as large as it: so there are few, and an entry is
//! written again only when what it stands in has about doubled.

use std::sync::Arc;

use florin_core::dedup::run::RunEntry;

use super::run_file::{RunError, RunFile};

/// Fewest runs that are merged at once.
const MERGED_MIN: usize = 4;

/// The first of the runs that are to be merged, if any are: of so many entries, the oldest first.
pub(super) fn first_to_merge(entries: &[u64]) -> Option<usize> {
    let behind = |at: usize| entries[at + 1..].iter().sum::<u64>();
    (0..entries.len()).find(|at| entries.len() - at >= MERGED_MIN && behind(*at) >= entries[*at])
}

/// Entries of several runs in order.
pub(super) struct Merged<I: Iterator> {
    runs: Vec<std::iter::Peekable<I>>,
}

impl Merged<std::iter::Empty<Result<RunEntry, RunError>>> {
    pub(super) fn of(runs: &[Arc<RunFile>]) -> Merged<impl Iterator<Item = Result<RunEntry, RunError>> + '_> {
        Merged { runs: runs.iter().map(|run| run.all().peekable()).collect() }
    }
}

impl<I: Iterator<Item = Result<RunEntry, RunError>>> Iterator for Merged<I> {
    type Item = Result<RunEntry, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<(RunEntry, usize)> = None;
        for (at, run) in self.runs.iter_mut().enumerate() {
            match run.peek() {
                None => {}
                Some(Err(_)) => return run.next(),
                Some(Ok(entry)) if least.is_none_or(|(least, _)| *entry < least) => least = Some((*entry, at)),
                Some(Ok(_)) => {}
            }
        }
        self.runs[least?.1].next()
    }
}

#[cfg(test)]
mod tests {
    use super::first_to_merge;

    #[test]
    fn runs_stay_few_and_entries_are_written_again_seldom() {
        for each in [1u64, 1_000_000] {
            let (mut runs, mut written, mut most) = (Vec::new(), 0u64, 0);
            for _ in 0..1_000 {
                runs.push(each);
                while let Some(first) = first_to_merge(&runs) {
                    let sum = runs.drain(first..).sum();
                    written += sum;
                    runs.push(sum);
                }
                most = most.max(runs.len());
            }
            assert!(most <= 10, "{most} runs");
            assert!(written <= 7 * 1_000 * each, "entries were written {} times", written / (1_000 * each));
        }
    }
}
