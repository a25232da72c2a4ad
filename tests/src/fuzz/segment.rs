//! A whole segment file through recovery. What recovery says is compared with what the bytes themselves prove; what it accepts is
//! what the writer would have written; what it refuses it leaves alone; and run again it finds the same.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use florin_wal::{DataLock, LogOptions, RecoverError, RecoveryReport, recover_on};

use super::group::{io, scan};
use super::log::{self, BLOCK, SEGMENT_BYTES, SEGMENT_FILE, Seen};
use super::memory::Memory;
use super::{Target, Verdict, take, u64_at};
use crate::rng::Rng;

/// This target: a byte with the frame that the watermark knows as durable, then the file.
pub const TARGET: Target = Target { name: "segment", check, sample, repair, seeds: 8_000 };

/// Longest file, bytes: somewhat more than a segment, as one that is too long is refused.
const FILE_BYTES_MAX: usize = SEGMENT_BYTES + 2 * BLOCK;
const SALT_AT: usize = 48;

/// Scans and recovers the file.
pub fn check(bytes: &[u8]) -> Verdict {
    let mut file = bytes;
    let durable = u64::from(take::<1>(&mut file)[0]);
    let file = file[..file.len().min(FILE_BYTES_MAX)].to_vec();
    let memory = Memory::of([(SEGMENT_FILE, file.clone()), ("watermark", log::watermark(durable))]);
    let scanned = scan(&memory);
    assert!(memory.contents(SEGMENT_FILE) == file, "a scan writes nothing");
    let recovered = recover(&memory);
    let after = memory.contents(SEGMENT_FILE);
    let (report, frames) = match (scanned, recovered) {
        (Ok(scanned), Ok(recovered)) => {
            assert_eq!(scanned, recovered, "recovery finds what a scan finds");
            scanned
        }
        (Err(scanned), Err(recovered)) => {
            assert_eq!(scanned.to_string(), recovered.to_string(), "recovery refuses what a scan refuses");
            assert!(after == file, "what is refused is left alone");
            return Verdict::Refused;
        }
        (scanned, recovered) => panic!("a scan says {scanned:?}, recovery {recovered:?}"),
    };
    assert!(report.last_frame >= durable, "an acknowledged frame is gone and nobody is told");
    check_accepted(&file, &report, &frames);
    let end = report.bytes as usize;
    assert!(after[..end] == file[..end], "what is good is not written again");
    // A file of another length that holds no segment is a spare, which is filled anew.
    let is_spare = report.segments == 0 && file.len() != SEGMENT_BYTES;
    let cleared = after.len() >= file.len() && after[end..].iter().all(|byte| *byte == 0);
    assert!(cleared || is_spare, "a torn tail is overwritten with zeros");
    let (again, same) = recover(&memory).expect("what was recovered can be recovered");
    assert!(same == frames && again.torn_tail.is_none(), "run twice, recovery finds the same");
    assert!(memory.contents(SEGMENT_FILE) == after, "and has nothing to do");
    if report.torn_tail.is_none() && report.segments == 1 { Verdict::Accepted } else { Verdict::Refused }
}

/// What was read is what the writer would have written, and nothing behind it says that there was more.
fn check_accepted(file: &[u8], report: &RecoveryReport, frames: &[Seen]) {
    if report.segments == 0 {
        assert!(frames.is_empty() && report.bytes == 0, "without a first block there is nothing");
        return;
    }
    let salt = u64_at(file, SALT_AT).expect("a first block that was read");
    assert!(log::first_block(salt) == file[..BLOCK], "a first block that no writer writes");
    let groups = log::rewrite(file, salt, report.groups, frames);
    let end = BLOCK + groups.len();
    assert_eq!(report.bytes as usize, end);
    assert!(groups == file[BLOCK..end], "groups that no writer writes");
    let proof = log::proof_behind(file, salt, end, report.groups + 1, report.last_frame);
    assert!(!proof, "what stands behind says that durable frames are lost");
}

/// Recovers a log.
pub(super) fn recover(memory: &Memory) -> Result<(RecoveryReport, Vec<Seen>), RecoverError<Infallible>> {
    thread_local! {
        /// A lock is on a real directory; each thread has its own.
        static DATA: (tempfile::TempDir, PathBuf) = {
            let folder = super::folder();
            let path = folder.path().to_path_buf();
            std::fs::write(path.join("LOCK"), "").expect("a file to lock");
            (folder, path)
        };
    }
    let lock = DATA.with(|(_, path)| DataLock::acquire(path).expect("nobody else has this folder"));
    let mut frames = Vec::new();
    let storage = Arc::new(memory.clone());
    let recovered =
        recover_on(storage, io(), log::manifest(), log::keys(), lock, LogOptions::default(), &mut |frame| {
            frames.push(Seen::of(&frame));
            Ok(())
        })?;
    Ok((recovered.report().clone(), frames))
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let salt = rng.word();
    let (groups, frames) = log::random_groups(rng, salt);
    let durable = if rng.chance(50) { frames } else { 0 };
    let mut bytes = vec![durable as u8];
    bytes.extend_from_slice(&log::first_block(salt));
    bytes.extend_from_slice(&groups);
    bytes.resize(1 + SEGMENT_BYTES, 0);
    bytes
}

fn repair(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    if bytes.len() <= 1 + BLOCK {
        return bytes;
    }
    let (first, groups) = bytes[1..].split_at_mut(BLOCK);
    if rng.chance(70) {
        log::repair_first_block(first);
    }
    let salt = u64_at(first, SALT_AT).expect("within the block");
    log::repair_groups(groups, salt, log::any_repair(rng));
    bytes
}

/// A log in memory that has nothing in it yet, and the folder of its lock.
#[cfg(test)]
pub fn empty_log() -> (tempfile::TempDir, Memory, florin_wal::Recovered) {
    let memory = Memory::of([(SEGMENT_FILE, vec![0; SEGMENT_BYTES]), ("watermark", log::watermark(0))]);
    let folder = super::folder();
    std::fs::write(folder.path().join("LOCK"), "").expect("a file to lock");
    let lock = DataLock::acquire(folder.path()).expect("nobody else has this folder");
    let (storage, options) = (Arc::new(memory.clone()), LogOptions::default());
    let (manifest, keys) = (log::manifest(), log::keys());
    let recovered = recover_on::<Infallible>(storage, io(), manifest, keys, lock, options, &mut |_| Ok(()));
    (folder, memory, recovered.expect("an empty log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_log_writes_is_what_these_samples_are() {
        let (_folder, memory, recovered) = empty_log();
        let (writer, _) = recovered.start(Box::new(|_, _| {}), Box::new(|failure| panic!("{failure}"))).expect("a log");
        for number in 1..=9 {
            let mut buffer = writer.buffer();
            buffer.payload().resize(number as usize * 100, number as u8);
            buffer.vouchers().resize(number as usize % 3, 7);
            writer.append(number, number, 1, 1_000 * number, buffer);
        }
        writer.shutdown().expect("a sealed log");
        let written = memory.contents(SEGMENT_FILE);
        assert_eq!(check(&[&[9], &written[..]].concat()), Verdict::Accepted);
    }
}
