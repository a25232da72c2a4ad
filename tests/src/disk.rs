//! The log's files in memory: what the log asked the disk to do, and every state that a kill or a power cut can leave.
//!
//! - [`Recorder`] is the storage that a running log writes to; it keeps each operation as an [`Event`].
//! - [`Platter`] is the model of the medium: what is synced, what is not, and what of it a cut may leave.
//! - [`Place`] is the ledger around it: lock, manifest, keys; [`Life`] is one process on it, from recovery to its end.
//!
//! No part of it knows the formats of the log beyond the names of its files and the start of a segment.

mod event;
mod life;
mod merge;
mod place;
mod platter;
mod recorder;

pub use event::{Event, Image, Name};
pub use life::{FrameBody, History, Life, Seen};
pub use place::Place;
pub use platter::{Damage, Platter};
pub use recorder::Recorder;

/// Bytes of a block: what the log writes whole.
pub const BLOCK: usize = 4096;
/// Bytes of a sector: what a disk writes whole, unless the power goes in the middle of it.
pub const SECTOR: usize = 512;
/// Bytes of a segment, the smallest there are: a few dozen frames go through several of them.
pub const SEGMENT: usize = 64 << 10;
/// Name of the file with the second copy of the durable position.
pub const WATERMARK: &str = "watermark";

/// Name of a segment's file.
pub fn segment_name(ordinal: u64) -> String {
    format!("log/{ordinal:010}.seg")
}

/// Segments of a pack's file.
pub fn pack_range(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_prefix("log/")?.strip_suffix(".pack")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Ordinal of a segment's file.
pub fn segment_ordinal(name: &str) -> Option<u64> {
    name.strip_prefix("log/")?.strip_suffix(".seg")?.parse().ok()
}
