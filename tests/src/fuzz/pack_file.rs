//! The bytes of a pack, written from docs/format-log.md alone.

use super::log::{self, BLOCK, LEDGER, SEGMENT_BYTES, Seen, Writer};
use super::{put, u32_at, u64_at};
use crate::rng::Rng;

const HEAD: usize = 160;
const ROW: usize = 80;
const DIGEST: usize = 32;
/// Most segments of a pack.
const SEGMENTS_MAX: usize = 64;

/// A segment of a pack: what does not follow from its frames, and the frames.
pub struct Segment {
    salt: u64,
    first_group: u64,
    frames: Vec<Seen>,
}

fn header_bytes(segments: usize) -> usize {
    (HEAD + ROW * segments + DIGEST).next_multiple_of(BLOCK)
}

/// A pack of the segments from the first one on, in front of a group of this number.
pub fn write(segments: &[Segment], next_group: u64) -> Vec<u8> {
    let header = header_bytes(segments.len());
    let mut file = vec![0; header];
    let (mut writer, mut sequence) = (Writer::new(0), 1);
    for (number, segment) in segments.iter().enumerate() {
        let row = HEAD + ROW * number;
        let offset = file.len() as u64;
        let numbers = [segment.salt, segment.first_group, writer.last_frame + 1, sequence];
        put_numbers(&mut file, row, &numbers);
        put(&mut file, row + 32, &writer.mac);
        for frame in &segment.frames {
            writer.frame(frame, &mut file);
            sequence = frame.next_sequence();
        }
        let bytes = file.len() as u64 - offset;
        put_numbers(&mut file, row + 64, &[offset, bytes]);
    }
    let frames_bytes = (file.len() - header) as u64;
    put(&mut file, 0, b"FLORPACK\x01\0\0\0");
    put(&mut file, 12, &(BLOCK as u32).to_le_bytes());
    put(&mut file, 16, &LEDGER);
    put_numbers(&mut file, 32, &[1, segments.len() as u64, SEGMENT_BYTES as u64, segments.len() as u64]);
    put_numbers(&mut file, 64, &[next_group, writer.last_frame + 1, sequence]);
    put(&mut file, 88, &writer.mac);
    put_numbers(&mut file, 120, &[header as u64, frames_bytes]);
    seal(&mut file, header);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    file
}

fn put_numbers(file: &mut [u8], at: usize, numbers: &[u64]) {
    for (field, number) in numbers.iter().enumerate() {
        put(file, at + 8 * field, &number.to_le_bytes());
    }
}

fn seal(file: &mut [u8], header: usize) {
    let digest = blake3::hash(&file[..header - DIGEST]);
    put(file, header - DIGEST, digest.as_bytes());
}

/// Segments with these frames, as the rows of the file divide them.
pub fn divide(file: &[u8], frames: &[Seen]) -> Vec<Segment> {
    let mut rest = frames.iter();
    let segments = u32_at(file, 56).expect("a header that was read") as usize;
    let number = |at: usize| u64_at(file, at).expect("a row that was read");
    let segment = |row: usize| {
        let mut left = number(row + 72);
        let mut frames = Vec::new();
        while left > 0 {
            let frame = rest.next().expect("frames of as many bytes as the rows say");
            left = left.checked_sub(frame.bytes()).expect("a row ends with a frame");
            frames.push(frame.clone());
        }
        Segment { salt: number(row), first_group: number(row + 8), frames }
    };
    let segments = (0..segments).map(|at| HEAD + ROW * at).map(segment).collect();
    assert!(rest.next().is_none(), "each frame is in a row");
    segments
}

/// A random pack; some of its segments have no frame.
pub fn random(rng: &mut Rng) -> Vec<u8> {
    let largest = rng.pick(&[1, 300, 2_000]);
    let (mut next, mut group) = ((1, 1), 1);
    let segments: Vec<Segment> = (0..rng.pick(&[1, 1, 2, 3, 8]))
        .map(|_| {
            let first_group = group;
            group += 1 + rng.below(9) as u64;
            let frames = (0..rng.pick(&[0, 1, 2, 3])).map(|_| {
                let frame = log::random_frame(rng, next, largest);
                next = (next.0 + 1, frame.next_sequence());
                frame
            });
            let frames = frames.collect();
            Segment { salt: rng.word(), first_group, frames }
        })
        .collect();
    write(&segments, group)
}

/// Makes a header right again as far as it can be read: its digest, or all that it says of the frames too, whose digests and chain are then
/// made right before.
pub fn repair(file: &mut [u8], with_frames: bool) {
    let Some(segments) = u32_at(file, 56).map(|segments| segments as usize) else { return };
    let header = header_bytes(segments.min(SEGMENTS_MAX));
    if file.len() < header {
        return;
    }
    if with_frames && segments <= SEGMENTS_MAX {
        let (mut chain, mut last_frame, mut sequence, mut at) = (log::chain_start(), 0, 1, header);
        for row in (0..segments).map(|at| HEAD + ROW * at) {
            put_numbers(file, row + 16, &[last_frame + 1, sequence]);
            put(file, row + 32, &chain);
            let bytes = u64_at(file, row + 72).expect("within the header");
            let end = at.saturating_add(bytes as usize).min(file.len());
            put_numbers(file, row + 64, &[at as u64, (end - at) as u64]);
            log::repair_frames(&mut file[at..end], &mut chain, Some((&mut last_frame, &mut sequence)));
            at = end;
        }
        put_numbers(file, 72, &[last_frame + 1, sequence]);
        put(file, 88, &chain);
        put_numbers(file, 120, &[header as u64, (at - header) as u64]);
    }
    seal(file, header);
}
