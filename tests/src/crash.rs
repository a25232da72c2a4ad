//! The crash explorer: a workload of the log is recorded, then recovered from every state in which a kill or a power cut at
//! any point could have left its files, and from those that a crash of that recovery leaves.
//!
//! What must hold in each: every frame that was acknowledged, or that a started log could be asked for, is there, byte for
//! byte and in order; behind them comes a part of what was appended, from its start; recovery never refuses and never
//! panics; and the log goes on, with another frame that is found again.

mod explorer;
mod tally;
pub(crate) mod workload;

pub use tally::Tally;

/// Explores the workload of a seed. Panics with what was wrong and where.
pub fn run(seed: u64) -> Tally {
    let place = crate::disk::Place::default();
    let workload = workload::record(&place, seed, workload::Size::Large);
    explorer::explore(&place, &workload, seed)
}

/// What is recorded for a seed, one operation a line. Contents differ from run to run: salts and the ledger's id are random.
pub fn recorded(seed: u64) -> Vec<String> {
    let workload = workload::record(&crate::disk::Place::default(), seed, workload::Size::Large);
    workload.events.iter().map(ToString::to_string).collect()
}
