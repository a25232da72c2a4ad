//! A log whose first segments are packed, and what the tests of packs do with it.
#![allow(dead_code)] // each test file uses a part of it

use super::*;
use std::ops::ControlFlow;

pub const SEGMENT: u64 = 64 << 10;
pub const BYTES_MAX: u64 = 600;

pub fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Packs all that there is to pack.
pub fn pack_all(packer: &mut Packer) -> Vec<Packed> {
    std::iter::from_fn(|| packer.pack_next(&mut go_on).unwrap()).collect()
}

/// Appends frames one by one until so many segments are sealed. Gives the last frame.
pub fn append_until(log: &mut Running, sealed: usize) -> u64 {
    while log.reader.sealed(0).len() < sealed {
        log.append_all(1);
    }
    log.next.0 - 1
}

pub fn running(ledger: &Ledger, storage: &MemStorage) -> Running {
    start(ledger.recover_on(storage).unwrap().0, BYTES_MAX).unwrap()
}

pub fn files(image: &Image, end: &str) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(end)).cloned().collect()
}

pub fn read_all(reader: &mut LogReader, want: &[Seen]) {
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    for seen in want {
        let frame = reader.read_frame(seen.number, &mut payload, &mut vouchers).unwrap();
        assert_eq!((&payload, &vouchers, frame.head.time_ns), (&seen.body.0, &seen.body.1, seen.time_ns));
        for sequence in seen.first_sequence..seen.first_sequence + u64::from(seen.count) {
            // It may be packed between the two.
            assert_eq!(reader.frame_of_sequence(sequence).unwrap().map(|found| found.head), Some(frame.head));
        }
    }
}

/// Both slots of the watermark say this.
pub fn mark(image: &mut Image, frame: u64, group: u64, segment: u64) {
    for slot in image.get_mut("watermark").unwrap().chunks_mut(BLOCK) {
        slot[40..48].copy_from_slice(&frame.to_le_bytes());
        slot[48..56].copy_from_slice(&group.to_le_bytes());
        slot[56..64].copy_from_slice(&segment.to_le_bytes());
        let crc = crc32fast::hash(&slot[..BLOCK - 4]);
        slot[BLOCK - 4..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A log whose first segments are packed, and what it held before. Nothing waits to be packed.
pub struct Case {
    pub ledger: Ledger,
    pub raw: Image,
    pub packed: Image,
    pub packs: Vec<Packed>,
    pub frames: Vec<Seen>,
}

pub fn case(sealed: usize) -> Case {
    let ledger = Ledger::new(SEGMENT);
    let storage = MemStorage::of(ledger.image());
    let mut log = running(&ledger, &storage);
    let last = append_until(&mut log, sealed);
    log.writer.shutdown().unwrap();
    let raw = storage.live();
    let log = running(&ledger, &storage);
    let packs = pack_all(&mut log.reader.packer());
    log.writer.shutdown().unwrap();
    Case { ledger, raw, packed: storage.live(), packs, frames: expected(last, BYTES_MAX) }
}

impl Case {
    pub fn pack(&self, at: usize) -> String {
        files(&self.packed, ".pack")[at].clone()
    }

    pub fn scan(&self, image: Image) -> Result<(ScanReport, Vec<Seen>), RecoverError<String>> {
        self.ledger.scan_on(&MemStorage::of(image))
    }

    /// Scan and recovery refuse it, and change nothing.
    #[track_caller]
    pub fn refused(&self, image: Image, what: &str) -> String {
        let storage = MemStorage::of(image.clone());
        let scanned = self.ledger.scan_on(&storage).err().unwrap_or_else(|| panic!("{what}: not refused"));
        let text = scanned.to_string();
        let recovered = self.ledger.recover_on(&storage).err().expect("recovery refuses what a scan does");
        assert_eq!(recovered.to_string(), text, "{what}");
        assert_eq!(storage.live(), image, "{what}: a refusal changes nothing");
        assert!(text.starts_with("log/") || text.contains(": log/"), "{what}: names the file: {text}");
        assert!(text.contains(" at offset "), "{what}: names the offset: {text}");
        text
    }

    /// Whether all segments have their raw files in an image, and nothing is left of a pack.
    pub fn is_unpacked(&self, image: &Image) -> bool {
        let is_raw = files(&self.raw, ".seg").iter().all(|name| image.contains_key(name));
        is_raw && files(image, ".pack").is_empty() && files(image, ".new").is_empty()
    }
}
