//! Old ids: sorted runs of them on disk, in `ids/`, made of sealed segments by a thread while payments run (`keeper`) and merged so that
//! they stay few. A filter and the ranges of each are in memory, less than two bytes an id; what these cannot exclude is looked up in
//! the file and confirmed by the row itself. `docs/format-ids.md` gives the bytes.
//!
//! What always holds: runs say nothing that the log does not say, and only of durable rows; together they cover all rows from the first
//! to some last one. Any of them can be made again from the log.

mod keeper;
mod merge;
mod run_file;
mod shelf;

pub use keeper::IdStats;
pub(crate) use keeper::{IdsKeeping, Keeper, Tally, start_keeping_ids};
#[cfg(test)]
pub(crate) use run_file::RunPlace;
pub(crate) use run_file::{RunError, RunFile};
pub(crate) use shelf::{Published, Said, Shelf, published};
