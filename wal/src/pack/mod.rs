//! Packed segments: the frames of consecutive sealed segments behind each other in one file, without group headers and padding. The
//! segments keep their ordinals and heads; only the place of their frames' bytes changes.
//!
//! - `format`: the bytes of a pack's header; `docs/format-log.md` gives each.
//! - `walk`: finds the packs of a log and checks the frames of one, for recovery and for the packer.
//! - `shelf`: the packs of a running log, by segment.
//! - `plan`: which segments are packed together, and when.
//! - `make`: writes one pack and reads it back.
//! - `packer`: all of it in order: pack, make durable, switch the readers over, remove what was packed.
//!
//! What always holds: a raw file is removed only after the pack with its frames was read back whole and its name is durable.

pub(crate) mod format;
mod make;
mod packer;
mod plan;
pub(crate) mod shelf;
pub(crate) mod walk;

pub use packer::{Packed, Packer};
