//! The crash explorer of what is derived from the log, snapshots and runs of ids: they are made on a simulated disk, and each state is
//! looked at that a kill or a power cut in the middle could have left, and that a crash of the next start and of what it makes leaves; calls
//! fail, and bits rot.
//!
//! What must hold in each: a snapshot that was said to be there, or a newer one, is found and is the state of the log at its frame; runs that
//! were said to be there are too; neither says more than is durable; each id of the log is answered exactly, whatever runs are left;
//! nothing is called damaged unless it rotted; and it goes on to the end of the log and leaves nothing behind that is unfinished.

mod explorer;
mod faults;
mod life;
mod log;
mod medium;
mod tally;
mod tree;
mod workload;

pub use tally::Tally;

/// Explores the workload of a seed. Panics with what was wrong and where.
pub fn run(seed: u64) -> Tally {
    let workload = workload::record(seed);
    let mut explorer = explorer::Explorer::new(&workload, seed);
    explorer.crash_all(&workload, seed);
    explorer.fail_calls(&workload, seed);
    explorer.rot(&workload, seed);
    explorer.tally
}

/// What is recorded for a seed, one operation a line.
pub fn recorded(seed: u64) -> Vec<String> {
    workload::record(seed).steps.into_iter().map(|step| step.what).collect()
}
