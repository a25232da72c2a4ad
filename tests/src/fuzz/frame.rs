//! The payload and the vouchers of a frame, which are read without a look at digests. A row that is decoded is laid out again from
//! what was decoded, and must be the same bytes; the short way by which replay checks a plain transfer must agree.

use std::sync::OnceLock;

use florin_core::frame::{DraftHead, FrameView};

use super::{Target, Verdict, put, row_bytes, take, vectors};
use crate::rng::Rng;
use crate::sim::{self, StoredFrame};

/// This target: count of rows (2 bytes), first sequence number (8), time (8), bytes of the vouchers (4); payload; vouchers.
pub const TARGET: Target = Target { name: "frame", check, sample, repair, seeds: 400_000 };

const HEAD: usize = 22;
const ROW: usize = 176;
/// Simulated ledgers that frames are taken from, and the longest frame that is.
const LEDGERS: u64 = 12;
const SAMPLE_BYTES_MAX: usize = 20_000;

/// Decodes all rows.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((head, payload, vouchers)) = split(bytes) else { return Verdict::Refused };
    let Ok(view) = FrameView::new(head, payload, vouchers) else { return Verdict::Refused };
    let mut verdict = if head.count > 0 { Verdict::Accepted } else { Verdict::Refused };
    for index in 0..head.count {
        let record = view.record(index);
        let row = view.row(index);
        if row.whole_transfer().is_some() {
            assert_eq!(row.check_whole_transfer().is_ok(), record.is_ok(), "row {index}: the short way, {record:?}");
        }
        match record {
            Ok(record) => {
                let (extension, length) = row.extension().expect("it was decoded");
                let bytes = &payload[index as usize * ROW..][..ROW];
                let laid_out =
                    row_bytes::lay_out(&record, head.time, extension, row_bytes::voucher_at(payload, extension));
                assert_eq!(laid_out.row, bytes, "row {index}: {record:?}");
                assert_eq!(
                    laid_out.extension,
                    payload[extension as usize..][..length as usize],
                    "row {index}: {record:?}"
                );
            }
            Err(_) => verdict = Verdict::Refused,
        }
    }
    verdict
}

/// The parts of an input; none if there is a sequence number 0 or they overflow, as in no frame of a log.
fn split(mut bytes: &[u8]) -> Option<(DraftHead, &[u8], &[u8])> {
    let rest = &mut bytes;
    let count = u32::from(u16::from_le_bytes(take(rest)));
    let (first_sequence, time) = (u64::from_le_bytes(take(rest)), u64::from_le_bytes(take(rest)));
    let vouchers = (u32::from_le_bytes(take(rest)) as usize).min(rest.len());
    first_sequence.checked_add(u64::from(count)).filter(|_| first_sequence > 0)?;
    let (payload, vouchers) = rest.split_at(rest.len() - vouchers);
    Some((DraftHead { number: 1, first_sequence, count, time }, payload, vouchers))
}

/// An input with a frame.
pub(super) fn join(frame: &StoredFrame) -> Vec<u8> {
    let mut bytes = (frame.head.count as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(&frame.head.first_sequence.to_le_bytes());
    bytes.extend_from_slice(&frame.head.time.to_le_bytes());
    bytes.extend_from_slice(&(frame.vouchers.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&frame.payload);
    bytes.extend_from_slice(&frame.vouchers);
    bytes
}

/// The published frames, and many of simulated ledgers.
fn frames() -> &'static [Vec<u8>] {
    static FRAMES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let published = vectors::parse(vectors::FRAMES);
        let pairs = published.chunks_exact(2).filter(|pair| pair[0].0.ends_with("payload"));
        let mut first_sequence = 1;
        let mut frames: Vec<Vec<u8>> = pairs
            .map(|pair| {
                // Rows of a frame stand in front of the first extension; those without any fill the payload.
                let (payload, vouchers) = (pair[0].1.clone(), pair[1].1.clone());
                let extension = |row: &[u8]| u32::from_le_bytes(row[172..176].try_into().expect("four bytes")) as usize;
                let mut count = 0;
                let mut end = payload.len();
                while (count + 1) * ROW <= end {
                    let at = extension(&payload[count * ROW..]);
                    end = if at > 0 { end.min(at) } else { end };
                    count += 1;
                }
                let head =
                    DraftHead { number: 1, first_sequence, count: count as u32, time: 1_767_323_045_000_000_000 };
                first_sequence += count as u64;
                join(&StoredFrame { head, payload, vouchers })
            })
            .collect();
        for seed in 0..LEDGERS {
            let log = sim::record(seed, 1 + seed as usize % 3);
            frames.extend(log.frames.iter().map(join).filter(|bytes| bytes.len() <= SAMPLE_BYTES_MAX));
        }
        frames
    })
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let frames = frames();
    frames[rng.below(frames.len())].clone()
}

/// Makes the digests of vouchers right again.
fn repair(mut bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    let Some((head, payload, vouchers)) = split(&bytes) else { return bytes };
    let mut digests = Vec::new();
    for row in payload.chunks_exact(ROW).take(head.count as usize) {
        let at = u32::from_le_bytes(row[172..].try_into().expect("four bytes")) as usize;
        let length = usize::from(u16::from_le_bytes([row[170], row[171]]));
        let Some(record) = payload.get(at..at + 40).filter(|_| length > 0 && at >= ROW && row[142] != 11) else {
            continue;
        };
        let start = u32::from_le_bytes(record[..4].try_into().expect("four bytes")) as usize;
        let voucher = start.checked_add(length).and_then(|end| vouchers.get(start..end));
        digests.extend(voucher.map(|voucher| (at, blake3::hash(voucher))));
    }
    for (at, digest) in digests {
        put(&mut bytes, HEAD + at + 8, digest.as_bytes());
    }
    bytes
}
