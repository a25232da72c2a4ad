//! A recovery by somebody who knows a frame and all before it reads the log from the segment of that frame on, and finds what a recovery
//! of the whole log finds.
#![allow(missing_docs)]

mod common;

use common::*;
use florin_wal::*;
use std::ops::ControlFlow;

const SEGMENT: u64 = 64 << 10;
const BYTES_MAX: u64 = 600;
const SEALED: usize = 9;

/// A log of some segments, raw, with the first of them packed, and with raw files that packing left.
struct Logs {
    ledger: Ledger,
    raw: Image,
    packed: Image,
    left: Image,
    frames: Vec<Seen>,
    /// First frame of each segment in use.
    firsts: Vec<u64>,
}

fn logs() -> Logs {
    let ledger = Ledger::new(SEGMENT);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, BYTES_MAX).unwrap();
    while log.reader.sealed(0).len() < SEALED {
        log.append_all(1);
    }
    let last = log.next.0 - 1;
    let sealed = log.reader.sealed(0);
    let behind = sealed.last().map(|segment| segment.first_frame + segment.frames);
    let firsts = sealed.iter().map(|segment| segment.first_frame).chain(behind).collect();
    log.writer.shutdown().unwrap();
    let raw = storage.live();
    let log = start(ledger.recover_on(&storage).unwrap().0, BYTES_MAX).unwrap();
    let mut packer = log.reader.packer();
    while packer.pack_next(&mut |_| ControlFlow::Continue(())).unwrap().is_some() {}
    log.writer.shutdown().unwrap();
    let packed = storage.live();
    assert!(packed.keys().any(|name| name.ends_with(".pack")) && !packed.contains_key("log/0000000002.seg"));
    let mut left = packed.clone();
    left.insert("log/0000000002.seg".into(), raw["log/0000000002.seg"].clone());
    Logs { ledger, raw, packed, left, frames: expected(last, BYTES_MAX), firsts }
}

fn known(frame: u64) -> LogOptions {
    LogOptions { known: frame, ..LogOptions::default() }
}

impl Logs {
    /// The first frame of the segment that holds a frame.
    fn first(&self, frame: u64) -> u64 {
        *self.firsts.iter().rfind(|first| **first <= frame).expect("the first segment begins with the first frame")
    }
}

#[test]
fn what_is_before_the_segment_of_a_known_frame_is_not_read_and_yet_there_for_readers() {
    let logs = logs();
    let last = logs.frames.len() as u64;
    for (image, what) in [(&logs.raw, "raw"), (&logs.packed, "packed")] {
        let all = logs.ledger.recover_on(&MemStorage::of(image.clone())).unwrap().0.report().clone();
        let edges = logs.firsts.iter().flat_map(|first| [*first, first + 1, first.saturating_sub(1)]);
        for frame in edges.chain([0, last]) {
            let storage = MemStorage::of(image.clone());
            let (recovered, seen) = logs.ledger.recover_with(&storage, known(frame)).unwrap();
            let first = if frame == 0 { 1 } else { logs.first(frame) };
            assert_eq!(seen, logs.frames[first as usize - 1..], "{what}, frame {frame} is known");
            let report = recovered.report();
            assert_eq!((report.unread_frames, report.frames), (first - 1, last + 1 - first));
            let said = |report: &RecoveryReport| {
                (
                    report.last_frame,
                    report.last_sequence,
                    report.head_mac,
                    report.segments,
                    report.packs,
                    report.last_time_ns,
                )
            };
            assert_eq!(said(report), said(&all), "{what}, frame {frame} is known");
            let mut log = start(recovered, BYTES_MAX).unwrap();
            let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
            for seen in &logs.frames {
                log.reader.read_frame(seen.number, &mut payload, &mut vouchers).unwrap();
                assert_eq!((&payload, &vouchers), (&seen.body.0, &seen.body.1), "{what}, frame {}", seen.number);
            }
            log.append_all(1);
            log.writer.shutdown().unwrap();
            let again = logs.ledger.recover_on(&storage).unwrap().0;
            assert_eq!(again.report().last_frame, last + 1);
        }
    }
}

#[test]
fn a_segment_that_is_missing_or_does_not_fit_is_refused_though_it_need_not_be_read() {
    let logs = logs();
    let last = logs.frames.len() as u64;
    let refused = |image: Image, what: &str| {
        let storage = MemStorage::of(image.clone());
        let error =
            logs.ledger.recover_with(&storage, known(last)).err().unwrap_or_else(|| panic!("{what}: not refused"));
        assert_eq!(storage.live(), image, "{what}: something was changed");
        error.to_string()
    };
    for ordinal in 1..=SEALED {
        let name = format!("log/{ordinal:010}.seg");
        let mut image = logs.raw.clone();
        image.remove(&name);
        let text = refused(image, &name);
        assert!(text.contains(&name), "{text}");
        let mut image = logs.raw.clone();
        image.get_mut(&name).unwrap()[50] ^= 1;
        assert!(refused(image, &name).contains(&name));
    }
    // One of the same ledger in the place of another.
    let mut image = logs.raw.clone();
    image.insert("log/0000000004.seg".into(), logs.raw["log/0000000003.seg"].clone());
    assert!(refused(image, "swapped").contains("0000000004.seg"));
    // A first block with a good checksum and numbers that do not go up: first group, frame, sequence number.
    for field in [56, 64, 72] {
        let mut image = logs.raw.clone();
        let block = &mut image.get_mut("log/0000000004.seg").unwrap()[..BLOCK];
        block[field..field + 8].copy_from_slice(&1u64.to_le_bytes());
        let crc = crc32fast::hash(&block[..BLOCK - 4]);
        block[BLOCK - 4..].copy_from_slice(&crc.to_le_bytes());
        assert!(refused(image, "forged").contains("0000000004.seg"));
    }
    let pack = logs.packed.keys().find(|name| name.ends_with(".pack")).unwrap().clone();
    let mut image = logs.packed.clone();
    image.remove(&pack);
    refused(image, "no pack");
    let mut image = logs.packed.clone();
    image.get_mut(&pack).unwrap()[50] ^= 1;
    assert!(refused(image, "pack").contains(&pack));
}

#[test]
fn damage_before_the_segment_of_a_known_frame_stops_only_who_reads_it() {
    let logs = logs();
    let (last, name) = (logs.frames.len() as u64, "log/0000000002.seg");
    let mut image = logs.raw.clone();
    image.get_mut(name).unwrap()[2 * BLOCK + 200] ^= 1;
    let whole = logs.ledger.recover_on(&MemStorage::of(image.clone())).err().expect("damage").to_string();
    assert!(whole.contains(name), "{whole}");
    let (recovered, _) = logs.ledger.recover_with(&MemStorage::of(image), known(last)).unwrap();
    let mut log = start(recovered, BYTES_MAX).unwrap();
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    let read: Vec<bool> = (logs.firsts[1]..logs.firsts[2])
        .map(|frame| log.reader.read_frame(frame, &mut payload, &mut vouchers).is_ok())
        .collect();
    assert!(read.contains(&false), "what is damaged is not given to readers");
    log.writer.shutdown().unwrap();
}

#[test]
fn a_pack_is_read_before_raw_files_of_its_segments_are_removed() {
    let logs = logs();
    let last = logs.frames.len() as u64;
    let (_, seen) = logs.ledger.recover_with(&MemStorage::of(logs.left.clone()), known(last)).unwrap();
    assert_eq!(seen, logs.frames, "the pack with segment 2 begins with the first");
    let mut image = logs.left.clone();
    let pack = image.keys().find(|name| name.ends_with(".pack")).unwrap().clone();
    let bytes = image.get_mut(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let error =
        logs.ledger.recover_with(&MemStorage::of(image), known(last)).err().expect("a damaged pack").to_string();
    assert!(error.contains(&pack), "{error}");
}
