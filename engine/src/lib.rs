//! florin-engine: actix actors around the core, recovery, and the handle that others call.
//!
//! Nothing here decides about money: the core does. What always holds: an answer is handed over only once the frame that it
//! reflects is durable.
#![forbid(unsafe_code)]

mod background;
mod backup;
mod backup_upto;
mod clock;
mod coordinator_actor;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod history;
mod ids;
mod inbox;
mod memory;
mod opened;
mod pace;
mod packing;
#[doc(hidden)]
pub mod rig;
mod scrub;
mod shard_actor;
mod snapshots;
mod stages;
mod start;
mod verify;

pub use backup::{BackupError, BackupReport, back_up, restore};
pub use backup_upto::{PointReport, Upto, restore_upto};
pub use handle::*;
pub use ids::IdStats;
pub use packing::PackingStats;
pub use scrub::{SCRUB_BYTES_PER_SECOND_DEFAULT, ScrubOptions, ScrubStats};
pub use snapshots::{Recovered, SnapshotError, SnapshotFolder, SnapshotManifest, SnapshotReport, SnapshotStats};
pub use stages::{Stage, StageFigures, Stages};
pub use start::{
    Engine, EngineOptions, Placement, SNAPSHOT_SEGMENTS_DEFAULT, StartError, StartReport, Started, abort_on_panic,
    start, view,
};
pub use verify::{CheckedRun, CheckedSnapshot, VerifyError, VerifyReport, verify};
