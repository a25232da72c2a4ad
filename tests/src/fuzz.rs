//! Fuzz targets: each takes bytes that may be anything, gives them to a decoder of the program, and panics only if a rule is broken.
//!
//! What is decoded must be what the writer would have written; everything else is an error value. Nothing panics, and nothing asks
//! for more memory at once than [`allocation::BYTES_MAX`]. `tests/fuzz` runs the same functions under libFuzzer; here bytes come
//! from a seed ([`input`]): valid samples with a few mutations, half of them with their checksums made right again.

pub mod allocation;
pub mod campaign;
pub mod input;
mod mutate;

pub mod batch;
pub mod connection;
pub mod frame;
pub mod group;
pub mod hello;
pub mod index;
pub mod pack;
pub mod reply;
pub mod request;
pub mod segment;
pub mod snapshot;
pub mod snapshot_file;

mod index_file;
mod log;
mod memory;
mod pack_file;
mod row_bytes;
mod state_file;
mod vectors;

use crate::rng::Rng;

/// What a decoder said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All of it was taken, and found to be what the writer would have written.
    Accepted,
    /// An error value.
    Refused,
}

/// One family of bytes.
pub struct Target {
    /// Name of the target, of its folder in `tests/corpus` and of its file in `tests/fuzz`.
    pub name: &'static str,
    /// Gives bytes to the decoder and judges what it says.
    pub check: fn(&[u8]) -> Verdict,
    /// Valid bytes.
    pub sample: fn(&mut Rng) -> Vec<u8>,
    /// Makes checksums right again, so that what stands behind them is reached.
    pub repair: fn(Vec<u8>, &mut Rng) -> Vec<u8>,
    /// Seeds of the normal suite.
    pub seeds: u64,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    group::TARGET,
    segment::TARGET,
    pack::TARGET,
    frame::TARGET,
    snapshot::TARGET,
    snapshot_file::TARGET,
    index::TARGET,
    request::TARGET,
    reply::TARGET,
    hello::TARGET,
    connection::TARGET,
    batch::TARGET,
];

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Takes `N` bytes off the front; zeros stand in for what is missing.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (front, rest) = bytes.split_at(bytes.len().min(N));
    *bytes = rest;
    let mut taken = [0; N];
    taken[..front.len()].copy_from_slice(front);
    taken
}

/// A number of four bytes, if they are there.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().expect("four bytes")))
}

/// A number of eight bytes, if they are there.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().expect("eight bytes")))
}

/// A folder of this thread, in memory where the machine has such a place: a lock is written through to the disk.
fn folder() -> tempfile::TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.expect("a folder")
}

/// Makes these bytes the contents of a file. A file that is emptied first would be written to the disk by some file systems.
fn write_over(path: &std::path::Path, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).create(true).truncate(false).open(path).expect("a file");
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("a file that takes bytes");
    file.set_len(bytes.len() as u64).expect("a file that is cut");
}

/// Puts bytes over others.
fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}
