//! Bytes where the groups of a log stand, behind a good first block. Groups that are accepted are written again from what was read of
//! them and must be the same bytes.

use std::convert::Infallible;

use florin_wal::{IoReport, RecoverError, ScanReport, WriteMode, scan_on};

use super::log::{self, BLOCK, SEGMENT_BYTES, SEGMENT_FILE, Seen};
use super::memory::Memory;
use super::{Target, Verdict};
use crate::rng::Rng;

/// This target.
pub const TARGET: Target = Target { name: "group", check, sample, repair, seeds: 20_000 };

/// A fixed salt, as a checksum without one would have.
const SALT: u64 = 0x1122_3344_5566_7788;

/// Walks the groups and compares what was accepted with what the writer would have written.
pub fn check(bytes: &[u8]) -> Verdict {
    let mut file = log::first_block(SALT);
    file.extend_from_slice(&bytes[..bytes.len().min(SEGMENT_BYTES - BLOCK)]);
    file.resize(SEGMENT_BYTES, 0);
    let memory = Memory::of([(SEGMENT_FILE, file.clone()), ("watermark", log::watermark(0))]);
    match scan(&memory) {
        Ok((report, frames)) => {
            let groups = log::rewrite(&file, SALT, report.groups, &frames);
            assert!(groups == file[BLOCK..BLOCK + groups.len()], "what was accepted is not what the writer writes");
            let clean = report.torn_tail.is_none();
            assert_eq!(clean, file[BLOCK + groups.len()..].iter().all(|byte| *byte == 0), "a torn tail is told");
            if clean { Verdict::Accepted } else { Verdict::Refused }
        }
        Err(_) => Verdict::Refused,
    }
}

/// Reads a log without changing it.
pub(super) fn scan(memory: &Memory) -> Result<(ScanReport, Vec<Seen>), RecoverError<Infallible>> {
    let mut frames = Vec::new();
    let report = scan_on(memory, io(), &log::manifest(), &log::keys(), &mut |frame| {
        frames.push(Seen::of(&frame));
        Ok(())
    })?;
    assert_eq!(report.frames, frames.len() as u64);
    assert_eq!(report.last_sequence + 1, frames.last().map_or(1, Seen::next_sequence));
    Ok((report, frames))
}

pub(super) fn io() -> IoReport {
    IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None }
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    log::random_groups(rng, SALT).0
}

fn repair(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    log::repair_groups(&mut bytes, SALT, log::any_repair(rng));
    bytes
}
