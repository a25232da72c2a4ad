//! Real faults on the real binary: `florin serve` is killed, its system calls fail, its disk fills up or loses power, and
//! what an outside client was told is compared with the log afterwards, row by row, by the reference model.
//!
//! A **round** is one fault. Rounds of the same **book** share a ledger: a later one finds what the earlier ones left. Book n
//! of a run has the seed of the run + n, so a book can be repeated alone. The same seed gives the same load and the same
//! faults; when a fault meets the load is up to the machine.
//!
//! Nothing here waits for a time to pass before it judges, and what a machine cannot do is said and counted as skipped.

pub mod book;
pub mod campaign;
pub mod full;
pub mod judge;
pub mod kill;
pub mod machine;
pub mod outside;
pub mod power_cut;
pub mod server;
pub mod strace;
pub mod tally;
pub mod tmpfs;
