//! A pack as the whole log, through a scan and a recovery: refused, or what the packer would have written of the frames that were read.

use florin_wal::RecoverError;

use super::group::scan;
use super::log;
use super::memory::Memory;
use super::pack_file;
use super::segment::recover;
use super::{Target, Verdict, u64_at};
use crate::rng::Rng;

/// This target: a byte with the segments that the file's name says, less one, then the file.
pub const TARGET: Target = Target { name: "pack", check, sample, repair, seeds: 1_500 };

/// Most segments that a name says.
const SEGMENTS_MAX: u8 = 64;
/// Longest file, bytes: longer than the header of the longest pack and a segment's frames.
const FILE_BYTES_MAX: usize = log::SEGMENT_BYTES + 4 * log::BLOCK;

/// Scans and recovers the file.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((segments, file)) = bytes.split_first() else { return Verdict::Refused };
    let segments = segments % SEGMENTS_MAX + 1;
    let file = &file[..file.len().min(FILE_BYTES_MAX)];
    let name = format!("log/{:010}-{segments:010}.pack", 1);
    let memory = Memory::of([(&*name, file.to_vec()), ("watermark", log::watermark(0))]);
    let (scanned, recovered) = (scan(&memory), recover(&memory));
    assert!(memory.contents(&name) == file, "a pack is never written again");
    let (report, frames) = match (scanned, recovered) {
        (Ok(scanned), Ok(recovered)) => {
            assert_eq!(scanned, recovered, "recovery finds what a scan finds");
            scanned
        }
        (Err(scanned), Err(recovered)) => {
            assert_eq!(scanned.to_string(), recovered.to_string(), "recovery refuses what a scan refuses");
            assert!(matches!(&scanned, RecoverError::Pack { file, .. } if *file == name), "{scanned} names the pack");
            return Verdict::Refused;
        }
        (scanned, recovered) => panic!("a scan says {scanned:?}, recovery {recovered:?}"),
    };
    assert_eq!((report.packs, report.packed_segments, report.torn_tail), (1, u64::from(segments), None));
    let next_group = u64_at(file, 64).expect("a header that was read");
    let written = pack_file::write(&pack_file::divide(file, &frames), next_group);
    assert!(written == file, "a pack that no packer writes");
    Verdict::Accepted
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let pack = pack_file::random(rng);
    [&[pack[56] - 1], &pack[..]].concat()
}

fn repair(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    if let Some((_, file)) = bytes.split_first_mut() {
        pack_file::repair(file, rng.chance(60));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    #[test]
    fn what_the_packer_writes_is_what_these_samples_are() {
        let (_folder, memory, recovered) = super::super::segment::empty_log();
        let (told, durable) = std::sync::mpsc::channel();
        let on_durable = move |frame, _| told.send(frame).expect("the test waits for it");
        let (writer, reader) =
            recovered.start(Box::new(on_durable), Box::new(|failure| panic!("{failure}"))).expect("a log");
        let mut packer = reader.packer();
        let mut number = 0;
        let packed = loop {
            number += 1;
            let mut buffer = writer.buffer();
            buffer.payload().resize(500, number as u8);
            buffer.vouchers().resize(number as usize % 3, 7);
            writer.append(number, number, 1, 1_000 * number, buffer);
            // Alone in its group, so that there is something to pack.
            while durable.recv().expect("a log that runs") < number {}
            match packer.pack_next(&mut |_| ControlFlow::Continue(())).expect("a good log") {
                Some(packed) => break packed,
                None => assert!(number < 1_000, "nothing is packed"),
            }
        };
        writer.shutdown().expect("a sealed log");
        let name = format!("log/{:010}-{:010}.pack", packed.first, packed.last);
        let file = memory.contents(&name);
        assert_eq!((packed.first, file.len() as u64), (1, packed.pack_bytes));
        assert_eq!(check(&[&[packed.last as u8 - 1], &file[..]].concat()), Verdict::Accepted);
    }

    #[test]
    fn a_header_that_is_changed_anywhere_is_refused() {
        let good = sample(&mut Rng::new(4));
        assert_eq!(check(&good), Verdict::Accepted);
        let file = &good[1..];
        let (header, fields) = (u64_at(file, 120).expect("a header") as usize, 160 + 80 * usize::from(file[56]));
        // Each byte that says something, and some of the zeros between.
        let places = (0..fields).chain((fields..header - 32).step_by(61)).chain(header - 32..header);
        for at in places {
            let mut bytes = good.clone();
            bytes[1 + at] ^= 1 << (at % 8);
            assert_eq!(check(&bytes), Verdict::Refused, "byte {at}");
        }
    }
}
