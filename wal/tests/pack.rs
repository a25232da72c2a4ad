//! Packed segments hold the same frames: whatever is read, wherever packing is interrupted, and whatever happens to the files.
#![allow(missing_docs)]

mod common;

use common::*;
use florin_wal::*;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SEGMENT: u64 = 64 << 10;
const BYTES_MAX: u64 = 600;

/// Tells the threads of a test that it is over, also when it failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn go_on(_: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Packs all that there is to pack.
fn pack_all(packer: &mut Packer) -> Vec<Packed> {
    std::iter::from_fn(|| packer.pack_next(&mut go_on).unwrap()).collect()
}

/// Appends frames one by one until so many segments are sealed. Gives the last frame.
fn append_until(log: &mut Running, sealed: usize) -> u64 {
    while log.reader.sealed(0).len() < sealed {
        log.append_all(1);
    }
    log.next.0 - 1
}

fn running(ledger: &Ledger, storage: &MemStorage) -> Running {
    start(ledger.recover_on(storage).unwrap().0, BYTES_MAX).unwrap()
}

fn files(image: &Image, end: &str) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(end)).cloned().collect()
}

fn read_all(reader: &mut LogReader, want: &[Seen]) {
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
fn mark(image: &mut Image, frame: u64, group: u64, segment: u64) {
    for slot in image.get_mut("watermark").unwrap().chunks_mut(BLOCK) {
        slot[40..48].copy_from_slice(&frame.to_le_bytes());
        slot[48..56].copy_from_slice(&group.to_le_bytes());
        slot[56..64].copy_from_slice(&segment.to_le_bytes());
        let crc = crc32fast::hash(&slot[..BLOCK - 4]);
        slot[BLOCK - 4..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A log whose first segments are packed, and what it held before. Nothing waits to be packed.
struct Case {
    ledger: Ledger,
    raw: Image,
    packed: Image,
    packs: Vec<Packed>,
    frames: Vec<Seen>,
}

fn case(sealed: usize) -> Case {
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
    fn pack(&self, at: usize) -> String {
        files(&self.packed, ".pack")[at].clone()
    }

    fn scan(&self, image: Image) -> Result<(ScanReport, Vec<Seen>), RecoverError<String>> {
        self.ledger.scan_on(&MemStorage::of(image))
    }

    /// Scan and recovery refuse it, and change nothing.
    #[track_caller]
    fn refused(&self, image: Image, what: &str) -> String {
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
}

#[test]
fn packed_segments_hold_the_same_frames_for_recovery_scan_and_readers() {
    let ledger = Ledger::new(SEGMENT);
    let storage = MemStorage::of(ledger.image());
    let mut log = running(&ledger, &storage);
    let mut last = append_until(&mut log, 30);
    let (mut before, mut reader) = (log.reader.clone(), log.reader.apart());
    let found: Vec<FrameRef> = (1..=last).map(|number| before.frame(number).unwrap()).collect();
    assert!(found.iter().all(|frame| frame.place.file().ends_with(".seg")));
    let sealed = log.reader.sealed(0);
    let mut packer = log.reader.packer();
    let packs = pack_all(&mut packer);
    assert!(packs.len() >= 2 && packs.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{packs:?}");
    assert!(packs.iter().all(|pack| pack.raw_bytes >= 3 * pack.pack_bytes), "{packs:?}");
    let segments: u64 = packs.iter().map(|pack| pack.last - pack.first + 1).sum();
    assert_eq!(log.reader.packs(), (packs.len() as u64, segments));
    assert_eq!(packer.waiting(), 30 - segments);
    // Segments are what they were, and what was found before is read as well as what is found now.
    assert_eq!(log.reader.sealed(0), sealed);
    let want = expected(last, BYTES_MAX);
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    for (seen, frame) in want.iter().zip(&found) {
        before.read_whole(frame, &mut payload, &mut vouchers).unwrap();
        assert_eq!((&payload, &vouchers), (&seen.body.0, &seen.body.1));
        let again = reader.frame_at(seen.number, frame.place).unwrap();
        assert_eq!(again.head, frame.head);
        let is_packed = packs.iter().any(|pack| (pack.first..=pack.last).contains(&frame.place.segment));
        assert_eq!(again.place.file().ends_with(".pack"), is_packed, "{again:?}");
        assert_eq!(reader.frame_at(seen.number, again.place).unwrap(), again);
    }
    read_all(&mut log.reader.clone(), &want);
    read_all(&mut reader, &want);
    // It goes on, is packed on, and is found again.
    for round in 0..3 {
        let sealed = log.reader.sealed(0).len() + 9;
        last = append_until(&mut log, sealed);
        pack_all(&mut packer);
        let (packs, segments) = log.reader.packs();
        read_all(&mut reader, &expected(last, BYTES_MAX));
        log.writer.shutdown().unwrap();
        let (report, seen) = ledger.scan_on(&storage).unwrap();
        assert_eq!(seen, expected(last, BYTES_MAX), "round {round}");
        assert_eq!((report.packs, report.packed_segments), (packs, segments));
        assert_eq!((report.stray_blocks, report.torn_tail.clone()), (0, None));
        let (recovered, seen) = ledger.recover_on(&storage).unwrap();
        assert!(seen == expected(last, BYTES_MAX) && *recovered.report() == report);
        log = start(recovered, BYTES_MAX).unwrap();
        packer = log.reader.packer();
        reader = log.reader.clone();
        read_all(&mut reader, &expected(last, BYTES_MAX));
    }
}

#[test]
fn a_log_may_end_with_a_pack_and_goes_on_behind_it() {
    let case = case(12);
    let last = *case.packs.last().unwrap();
    let pack = &case.packed[&case.pack(case.packs.len() - 1)];
    let word = |at: usize| u64::from_le_bytes(pack[at..at + 8].try_into().unwrap());
    let (group, frame) = (word(64) - 1, word(72) - 1);
    let mut image = case.packed.clone();
    mark(&mut image, frame, group, last.last);
    image.retain(|name, _| !name.ends_with(".seg"));
    let storage = MemStorage::of(image);
    let mut frames = frame;
    for round in 0..3 {
        let (recovered, seen) = case.ledger.recover_on(&storage).unwrap();
        assert_eq!(seen, expected(frames, BYTES_MAX), "round {round}");
        let mut log = start(recovered, BYTES_MAX).unwrap();
        let sealed = log.reader.sealed(0).len() + 2;
        frames = append_until(&mut log, sealed);
        log.writer.shutdown().unwrap();
    }
    let text = {
        let mut image = storage.live();
        image.remove(&case.pack(0));
        case.refused(image, "a pack is missing")
    };
    assert!(text.contains("is missing"), "{text}");
}

#[test]
fn every_byte_of_a_pack_counts() {
    let ledger = Ledger::new(SEGMENT);
    let storage = MemStorage::of(ledger.image());
    let mut log = running(&ledger, &storage);
    let mut last = append_until(&mut log, 3);
    // Too long to come to the others: they are packed without it.
    let big = |log: &mut Running| {
        let (number, sequence) = log.next;
        let mut buffer = log.writer.buffer();
        buffer.payload().resize(log.writer.frame_bytes_max(), 7);
        log.writer.append(number, sequence, 0, 0, buffer);
        log.next = (number + 1, sequence);
        assert!(log.await_durable(number));
        number
    };
    for _ in 0..2 {
        last = big(&mut log);
    }
    let packs = pack_all(&mut log.reader.packer());
    log.writer.shutdown().unwrap();
    assert!(!packs.is_empty(), "the segments in front of the big frame");
    let image = storage.live();
    let case = Case { ledger, raw: Image::new(), packed: image.clone(), packs, frames: Vec::new() };
    assert_eq!(case.scan(image.clone()).unwrap().0.last_frame, last);
    let name = case.pack(0);
    let whole = image[&name].clone();
    for at in 0..whole.len() {
        let mut image = image.clone();
        image.get_mut(&name).unwrap()[at] ^= 1 << (at % 8);
        let error = case.scan(image.clone()).err().unwrap_or_else(|| panic!("byte {at} is not refused"));
        match &error {
            RecoverError::Pack { file, offset, raw_there: false, .. } => {
                assert!(*file == name && *offset <= at as u64 && (*offset > 0 || at < BLOCK), "byte {at}: {error}");
            }
            _ => panic!("byte {at}: {error}"),
        }
        if at % 997 == 0 {
            assert!(case.refused(image, "a byte is another").contains("restore this file"));
        }
    }
    for length in (0..whole.len() + BLOCK).step_by(509).chain((0..whole.len() + 2 * BLOCK).step_by(BLOCK)) {
        let mut image = image.clone();
        image.get_mut(&name).unwrap().resize(length, 0);
        match length == whole.len() {
            true => assert!(case.scan(image).is_ok()),
            false => drop(case.refused(image, &format!("of {length} bytes"))),
        }
    }
}

/// The digest of a header is no secret: whoever can write the file can make a header that says something else.
#[test]
fn a_header_that_lies_about_the_frames_is_refused() {
    let case = case(12);
    let (name, whole) = (case.pack(0), &case.packed[&case.pack(0)]);
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let add = |bytes: &mut [u8], at: usize, value: u64| {
        let sum = word(bytes, at).wrapping_add(value);
        bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    };
    let row = |segment: usize| 160 + 80 * segment;
    let second = row(1);
    let frame = word(whole, second + 64) as usize;
    let frame_bytes = 160 + (word(whole, frame + 56) as u32 + (word(whole, frame + 56) >> 32) as u32) as u64;
    type Lie<'a> = (&'static str, Box<dyn Fn(&mut [u8]) + 'a>);
    let mut lies: Vec<Lie<'_>> = vec![
        ("the group behind it", Box::new(|bytes| add(bytes, 64, 1))),
        ("the frame behind it", Box::new(|bytes| add(bytes, 72, 1))),
        ("the sequence behind it", Box::new(|bytes| add(bytes, 80, 1))),
        ("its last MAC", Box::new(|bytes| bytes[88] ^= 1)),
        ("where the frames end", Box::new(|bytes| add(bytes, 128, 1))),
        ("the first group", Box::new(|bytes| add(bytes, row(0) + 8, 1))),
        ("the first frame", Box::new(|bytes| add(bytes, row(0) + 16, 1))),
        ("the MAC before it", Box::new(|bytes| bytes[row(0) + 32] ^= 1)),
        ("the second's first frame", Box::new(|bytes| add(bytes, second + 16, 1))),
        ("the second's first sequence", Box::new(|bytes| add(bytes, second + 24, 1))),
        ("the second's MAC", Box::new(|bytes| bytes[second + 32] ^= 1)),
        ("another version", Box::new(|bytes| bytes[8] = 2)),
        ("something reserved", Box::new(|bytes| bytes[60] = 1)),
        ("something behind the rows", Box::new(|bytes| bytes[row(64.min(word(bytes, 56) as usize))] = 1)),
    ];
    let move_border = |bytes: &mut [u8]| {
        add(bytes, row(0) + 72, frame_bytes);
        add(bytes, second + 64, frame_bytes);
        add(bytes, second + 72, frame_bytes.wrapping_neg());
    };
    lies.push(("in which segment a frame is", Box::new(move_border)));
    for (what, lie) in lies {
        let mut bytes = whole.clone();
        lie(&mut bytes);
        let header = word(&bytes, 120) as usize;
        let digest = blake3::hash(&bytes[..header - 32]);
        bytes[header - 32..header].copy_from_slice(digest.as_bytes());
        let mut image = case.packed.clone();
        image.insert(name.clone(), bytes);
        case.refused(image, what);
    }
}

#[test]
fn packs_of_other_ledgers_or_places_are_refused() {
    let (case, other) = (case(20), case(20));
    assert!(case.packs.len() >= 2);
    let (name, with) = (case.pack(0), |name: &str, bytes: &Vec<u8>| {
        let mut image = case.packed.clone();
        image.insert(name.to_owned(), bytes.clone());
        image
    });
    let text = case.refused(with(&name, &other.packed[&other.pack(0)]), "another ledger's");
    assert!(text.contains("another ledger"), "{text}");
    let text = case.refused(with(&name, &case.packed[&case.pack(1)]), "another pack of the ledger");
    assert!(text.contains("of other segments than its name"), "{text}");
    let last = case.packs[0].last;
    for (first, last) in [(last, last + 1), (1, last + 1), (last, last)] {
        let text = case.refused(with(&format!("log/{first:010}-{last:010}.pack"), &case.packed[&name]), "overlapping");
        assert!(text.contains("also in the pack before it"), "{text}");
    }
    // The pack of a log that has another past: the same ledger, key and places.
    let storage = MemStorage::of(case.ledger.image());
    let mut log = running(&case.ledger, &storage);
    log.bytes_max = BYTES_MAX / 2;
    append_until(&mut log, 20);
    pack_all(&mut log.reader.packer());
    log.writer.shutdown().unwrap();
    let fork = storage.live();
    for (at, pack) in files(&fork, ".pack").iter().enumerate() {
        let mut image = case.packed.clone();
        let range = pack.trim_start_matches("log/").trim_end_matches(".pack").split_once('-').unwrap();
        let (first, last): (u64, u64) = (range.0.parse().unwrap(), range.1.parse().unwrap());
        image.retain(|name, _| !name.ends_with(".pack"));
        for ordinal in case.packs[0].first..=case.packs.last().unwrap().last {
            let raw = format!("log/{ordinal:010}.seg");
            image.insert(raw.clone(), case.raw[&raw].clone());
        }
        image.insert(pack.clone(), fork[pack].clone());
        let text = case.refused(image, &format!("the pack {first} to {last} of a fork"));
        // The first one is whole: it is what follows that does not go on from it.
        assert!(at == 0 || text.starts_with(pack), "{text}");
    }
}

#[test]
fn what_is_missing_in_front_of_a_pack_or_behind_it_is_refused() {
    let case = case(20);
    assert!(case.packs.len() >= 2);
    for at in 0..case.packs.len() {
        let mut image = case.packed.clone();
        image.remove(&case.pack(at));
        case.refused(image, "a pack is missing");
    }
    // Raw segments in front of a pack.
    let mut image = case.packed.clone();
    image.remove(&case.pack(0));
    for ordinal in case.packs[0].first..=case.packs[0].last {
        let raw = format!("log/{ordinal:010}.seg");
        image.insert(raw.clone(), case.raw[&raw].clone());
    }
    assert_eq!(case.scan(image.clone()).unwrap().1, case.frames);
    for ordinal in case.packs[0].first..=case.packs[0].last {
        let mut image = image.clone();
        image.remove(&format!("log/{ordinal:010}.seg"));
        // The pack itself is the proof, also without all that follows it.
        image.retain(|name, _| !name.ends_with(".seg") || *name < format!("log/{ordinal:010}.seg"));
        mark(&mut image, 0, 0, 0);
        let text = case.refused(image, "a segment in front of a pack is missing");
        let is_proof = text.contains(&case.pack(case.packs.len() - 1));
        assert!(ordinal == 1 || is_proof, "{text}");
    }
}

#[test]
fn a_damaged_pack_beside_its_raw_segments_can_be_moved_away() {
    let case = case(12);
    let mut image = case.raw.clone();
    image.extend(case.packed.clone().into_iter().filter(|(name, _)| name.ends_with(".pack")));
    assert_eq!(case.scan(image.clone()).unwrap().1, case.frames, "raw files in the range of a pack are left aside");
    // Whatever they hold.
    let mut with_bad_raw = image.clone();
    with_bad_raw.get_mut("log/0000000001.seg").unwrap()[5000..30_000].fill(1);
    assert_eq!(case.scan(with_bad_raw).unwrap().1, case.frames);
    for at in [100, 5000] {
        let mut image = image.clone();
        image.get_mut(&case.pack(0)).unwrap()[at] ^= 1;
        let text = case.refused(image.clone(), "a damaged pack beside its segments");
        assert!(text.contains("move this pack out of the folder"), "{text}");
        image.remove(&case.pack(0));
        assert_eq!(case.scan(image).unwrap().1, case.frames);
    }
}

/// All that one packing does, the disk kept as it was after each operation.
fn watched(ledger: &Ledger, storage: &MemStorage, fails_at: Option<u64>) -> (Running, Result<Vec<Packed>, PackError>) {
    let log = running(ledger, storage);
    let mut packer = log.reader.packer();
    let mut disk = storage.disk.lock().unwrap();
    (disk.watched, disk.fails_at) = (Some(std::thread::current().id()), fails_at);
    disk.steps.clear();
    drop(disk);
    let mut packs = Vec::new();
    let done = loop {
        match packer.pack_next(&mut go_on) {
            Ok(None) => break Ok(packs),
            Ok(Some(pack)) => packs.push(pack),
            Err(error) => break Err(error),
        }
    };
    storage.disk.lock().unwrap().watched = None;
    (log, done)
}

#[test]
fn a_packing_that_is_killed_anywhere_loses_nothing_and_is_done_again() {
    let case = case(12);
    let storage = MemStorage::of(case.raw.clone());
    let (log, packs) = watched(&case.ledger, &storage, None);
    let packs = packs.unwrap();
    log.writer.shutdown().unwrap();
    let steps = std::mem::take(&mut storage.disk.lock().unwrap().steps);
    assert!(steps.len() > 10 * packs.len(), "{} operations", steps.len());
    let (mut left_raw, mut left_new) = (0, 0);
    for (step, left) in steps.iter().enumerate() {
        for seed in 0..12 {
            let image = left.crash(&mut Random(step as u64 * 100 + seed));
            let what = format!("operation {step}, seed {seed}");
            left_new += files(&image, ".new").len();
            let after = MemStorage::of(image);
            let (recovered, seen) = case.ledger.recover_on(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(seen == case.frames, "{what}");
            let log = start(recovered, BYTES_MAX).unwrap();
            let before = files(&after.live(), ".seg").len();
            let mut packer = log.reader.packer();
            pack_all(&mut packer);
            read_all(&mut log.reader.clone(), &case.frames);
            let waiting = packer.waiting();
            log.writer.shutdown().unwrap();
            let image = after.live();
            let (_, segments) = log.reader.packs();
            left_raw += usize::from(before > files(&image, ".seg").len());
            assert_eq!(files(&image, ".new"), Vec::<String>::new(), "{what}");
            let first_raw = format!("log/{:010}.seg", segments + 1);
            assert!(
                files(&image, ".seg").first() >= Some(&first_raw) && waiting < 12,
                "{what}: {image:?}",
                image = image.keys()
            );
            assert!(case.scan(image).unwrap().1 == case.frames, "{what}");
        }
    }
    println!("{} operations, {left_new} with an unfinished pack, {left_raw} with raw files to be removed", steps.len());
    assert!(left_raw > 0 && left_new > 0);
}

#[test]
fn a_packing_that_fails_anywhere_leaves_a_log_that_runs_and_is_done_again() {
    let case = case(12);
    let storage = MemStorage::of(case.raw.clone());
    let (log, _) = watched(&case.ledger, &storage, None);
    log.writer.shutdown().unwrap();
    let steps = storage.disk.lock().unwrap().steps.len() as u64;
    let mut failures = 0;
    for at in 1..=steps {
        let storage = MemStorage::of(case.raw.clone());
        let (mut log, done) = watched(&case.ledger, &storage, Some(at));
        // What is removed after a failure is removed again at the next try.
        failures += u64::from(done.is_err());
        read_all(&mut log.reader.clone(), &case.frames);
        log.append_all(2);
        pack_all(&mut log.reader.packer());
        let last = log.next.0 - 1;
        read_all(&mut log.reader.clone(), &expected(last, BYTES_MAX));
        log.writer.shutdown().unwrap();
        let image = storage.live();
        assert_eq!(files(&image, ".new"), Vec::<String>::new(), "operation {at}");
        let (report, seen) = case.scan(image).unwrap();
        assert!(seen == expected(last, BYTES_MAX) && report.packs > 0, "operation {at}");
    }
    assert_eq!(failures, steps, "no failure of the disk is passed over");
}

/// Whether all segments have their raw files, and nothing is left of a pack.
fn is_unpacked(case: &Case, image: &Image) -> bool {
    let is_raw = files(&case.raw, ".seg").iter().all(|name| image.contains_key(name));
    is_raw && files(image, ".pack").is_empty() && files(image, ".new").is_empty()
}

#[test]
fn a_raw_segment_that_rotted_is_not_packed() {
    let case = case(12);
    for (at, what) in [
        (BLOCK + 100, "a group header or frame"),
        (BLOCK + 300, "a frame"),
        (2 * BLOCK - 1, "padding"),
        (60, "the first block"),
    ] {
        let storage = MemStorage::of(case.raw.clone());
        let log = running(&case.ledger, &storage);
        storage.disk.lock().unwrap().live.get_mut("log/0000000002.seg").unwrap()[at] ^= 4;
        let error = log.reader.packer().pack_next(&mut go_on).unwrap_err();
        assert!(matches!(&error, PackError::Damaged { file, .. } if file == "log/0000000002.seg"), "{what}: {error}");
        assert!(is_unpacked(&case, &storage.live()), "{what}");
        log.writer.shutdown().unwrap();
    }
}

#[test]
fn a_packer_that_is_told_to_stop_leaves_nothing() {
    let case = case(12);
    for pieces in 0.. {
        let storage = MemStorage::of(case.raw.clone());
        let log = running(&case.ledger, &storage);
        let mut left = pieces;
        let stopped = log.reader.packer().pack_next(&mut |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let is_unpacked = is_unpacked(&case, &storage.live());
        log.writer.shutdown().unwrap();
        match stopped {
            Err(PackError::Stopped) => assert!(is_unpacked, "after {pieces} pieces"),
            Err(error) => panic!("{error}"),
            Ok(_) => {
                assert!(pieces > 20 && !is_unpacked);
                break;
            }
        }
    }
}

/// A storage on which something happens in front of the first opening of a file.
struct Meanwhile<F> {
    storage: MemStorage,
    name: &'static str,
    act: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> Storage for Meanwhile<F> {
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        if name == self.name
            && let Some(act) = self.act.lock().unwrap().take()
        {
            act();
        }
        self.storage.open(name, access)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.storage.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.storage.list(directory)
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        self.storage.sync_directory(directory)
    }
}

#[test]
fn a_segment_that_is_packed_while_the_log_is_walked_is_read_from_the_pack() {
    for name in ["log/0000000001.seg", "log/0000000002.seg", "log/0000000004.seg"] {
        let case = case(12);
        let storage = MemStorage::of(case.raw.clone());
        let log = running(&case.ledger, &storage);
        let mut packer = log.reader.packer();
        let act = Mutex::new(Some(move || assert!(!pack_all(&mut packer).is_empty())));
        let meanwhile = Meanwhile { storage, name, act };
        let keys = KeyRing::load(&case.ledger.data()).unwrap();
        let io = IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None };
        let mut seen = Vec::new();
        let report = scan_on(&meanwhile, io, &case.ledger.manifest, &keys, &mut |frame| {
            seen.push(Seen::of(&frame));
            Ok::<(), String>(())
        });
        assert!(report.unwrap().packs > 0 && meanwhile.act.lock().unwrap().is_none(), "{name}");
        assert!(seen == case.frames, "{name}");
        log.writer.shutdown().unwrap();
    }
}

fn recovered(data: &Path, io: IoMode) -> (Recovered, Vec<Seen>) {
    let mut seen = Vec::new();
    let options = LogOptions { io, ..LogOptions::default() };
    let recovered = recover(data, DataLock::acquire(data).unwrap(), options, &mut |frame| {
        seen.push(Seen::of(&frame));
        Ok::<(), String>(())
    });
    (recovered.unwrap(), seen)
}

/// Files in the folder that are deleted and still held open by this process.
fn held(data: &Path) -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let log = data.join("log");
    links.filter(|link| link.starts_with(&log) && link.to_string_lossy().ends_with("(deleted)")).count()
}

#[test]
fn a_real_disk_is_packed_while_others_read_and_gets_its_space_back() {
    for io in [IoMode::Auto, IoMode::Buffered] {
        let ledger = Ledger::new(SEGMENT);
        let data = ledger.data();
        let mut log = start(recovered(&data, io).0, BYTES_MAX).unwrap();
        let last = append_until(&mut log, 12);
        let want = expected(last, BYTES_MAX);
        // Readers at rest, and others at work.
        let mut readers: Vec<LogReader> = (0..3).map(|_| log.reader.apart()).collect();
        readers.iter_mut().for_each(|reader| read_all(reader, &want));
        let done = AtomicBool::new(false);
        let packs = std::thread::scope(|scope| {
            let _over = Over(&done);
            for seed in 0..2 {
                let (mut reader, want, done) = (log.reader.apart(), &want, &done);
                scope.spawn(move || {
                    let mut random = Random(seed);
                    let mut rounds = 0;
                    while rounds < 200 || !done.load(Ordering::SeqCst) {
                        let from = random.below(want.len() as u64) as usize;
                        read_all(&mut reader, &want[from..(from + 20).min(want.len())]);
                        rounds += 1;
                    }
                });
            }
            pack_all(&mut log.reader.packer())
        });
        assert!(!packs.is_empty());
        assert_eq!(held(&data), 0, "no reader keeps a file that is gone");
        for Packed { first, last, pack_bytes, .. } in packs {
            let pack = data.join(format!("log/{first:010}-{last:010}.pack"));
            assert_eq!(std::fs::metadata(pack).unwrap().len(), pack_bytes);
            assert!((first..=last).all(|ordinal| !data.join(format!("log/{ordinal:010}.seg")).exists()));
        }
        readers.iter_mut().for_each(|reader| read_all(reader, &want));
        log.writer.shutdown().unwrap();
        assert_eq!(recovered(&data, io).1, want);
    }
}

fn scanned(data: &Path) -> (ScanReport, Vec<Seen>) {
    let mut seen = Vec::new();
    let report = scan(data, &mut |frame| {
        seen.push(Seen::of(&frame));
        Ok::<(), String>(())
    });
    (report.unwrap(), seen)
}

fn log_files(data: &Path, end: &str) -> Vec<String> {
    let Ok(log) = std::fs::read_dir(data.join("log")) else { return Vec::new() };
    let names = log.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

/// Keys are not copied; a copy that is to be read gets them.
fn give_keys(data: &Path, copy: &Path) {
    std::fs::create_dir(copy.join("keys")).unwrap();
    std::fs::copy(data.join("keys/chain-1.key"), copy.join("keys/chain-1.key")).unwrap();
}

#[test]
fn copies_have_the_packs_and_earlier_copies_get_them() {
    let ledger = Ledger::new(SEGMENT);
    let (data, copy, fresh) = (ledger.data(), ledger.folder.path().join("copy"), ledger.folder.path().join("fresh"));
    let keys = KeyRing::load(&data).unwrap();
    let mut log = start(recovered(&data, IoMode::Auto).0, BYTES_MAX).unwrap();
    append_until(&mut log, 12);
    let first = copy_log(&data, &keys, &copy, Extent::Proven, 0).unwrap();
    assert!(first.log.packs == 0 && first.copied >= 12);
    let last = append_until(&mut log, 15);
    let packs = pack_all(&mut log.reader.packer());
    let segments: u64 = packs.iter().map(|pack| pack.last - pack.first + 1).sum();
    let second = copy_log(&data, &keys, &copy, Extent::Proven, 0).unwrap();
    assert_eq!((second.log.packs, second.log.packed_segments), (packs.len() as u64, segments));
    log.writer.shutdown().unwrap();
    copy_log(&data, &keys, &copy, Extent::Whole, 0).unwrap();
    let third = copy_log(&data, &keys, &copy, Extent::Whole, 0).unwrap();
    assert!(third.copied <= 1, "what is there is not copied again: {third:?}");
    copy_log(&data, &keys, &fresh, Extent::Whole, 0).unwrap();
    for folder in [&copy, &fresh] {
        assert_eq!(log_files(folder, ".pack"), log_files(&data, ".pack"));
        assert_eq!(log_files(folder, ".new"), Vec::<String>::new());
        give_keys(&data, folder);
        assert!(scanned(folder).1 == expected(last, BYTES_MAX));
    }
    // The raw segments of packs are gone from the earlier copy too.
    assert_eq!(log_files(&copy, ".seg"), log_files(&fresh, ".seg"));
}

/// Two copies of one log that were packed at different times, of which one went on.
#[test]
fn a_copy_with_other_packs_is_left_as_it_is() {
    let ledger = Ledger::new(SEGMENT);
    let (data, raw, copy) = (ledger.data(), ledger.folder.path().join("raw"), ledger.folder.path().join("copy"));
    let keys = KeyRing::load(&data).unwrap();
    let mut log = start(recovered(&data, IoMode::Auto).0, BYTES_MAX).unwrap();
    let mut packer = log.reader.packer();
    while packer.pack_next(&mut go_on).unwrap().is_none() {
        log.append_all(1);
        if log_files(&raw, ".seg").len() <= log.reader.sealed(0).len() {
            copy_log(&data, &keys, &raw, Extent::Proven, 0).unwrap();
        }
    }
    log.append_all(2);
    copy_log(&data, &keys, &copy, Extent::Proven, 0).unwrap();
    log.writer.shutdown().unwrap();
    let before = log_files(&copy, "");
    // The raw copy becomes the ledger, goes on in the same way, and is packed later.
    give_keys(&data, &raw);
    std::fs::write(raw.join("LOCK"), "").unwrap();
    let mut log = start(recovered(&raw, IoMode::Auto).0, BYTES_MAX).unwrap();
    append_until(&mut log, 25);
    assert!(!pack_all(&mut log.reader.packer()).is_empty());
    let error = copy_log(&raw, &keys, &copy, Extent::Proven, 0).unwrap_err();
    log.writer.shutdown().unwrap();
    assert!(matches!(&error, CopyError::OtherPacks { .. }), "{error}");
    assert_eq!(log_files(&copy, ""), before);
}

#[test]
fn a_copy_is_made_while_segments_are_packed() {
    let ledger = Ledger::new(SEGMENT);
    let data = ledger.data();
    let keys = KeyRing::load(&data).unwrap();
    let mut log = start(recovered(&data, IoMode::Buffered).0, BYTES_MAX).unwrap();
    let done = AtomicBool::new(false);
    let mut with_packs = 0;
    std::thread::scope(|scope| {
        let _over = Over(&done);
        let mut packer = log.reader.packer();
        let done = &done;
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                pack_all(&mut packer);
            }
        });
        for round in 1..=12 {
            append_until(&mut log, round * 5);
            let (old, new) = (ledger.folder.path().join("old"), ledger.folder.path().join(format!("new-{round}")));
            for folder in [&old, &new] {
                let copied =
                    copy_log(&data, &keys, folder, Extent::Proven, 0).unwrap_or_else(|e| panic!("{round}: {e}"));
                with_packs += u64::from(copied.log.packs > 0);
                let mut seen = Vec::new();
                give_keys(&data, folder);
                let report = scan(folder, &mut |frame| {
                    seen.push(Seen::of(&frame));
                    Ok::<(), String>(())
                });
                assert_eq!(report.unwrap().last_frame, copied.log.last_frame);
                assert!(seen == expected(copied.log.last_frame, BYTES_MAX));
                std::fs::remove_dir_all(folder.join("keys")).unwrap();
            }
        }
    });
    assert!(with_packs > 5, "{with_packs} copies have packs");
    log.writer.shutdown().unwrap();
}

#[test]
fn the_packer_of_another_reader_goes_on_where_the_first_one_ended() {
    let case = case(12);
    let storage = MemStorage::of(case.raw.clone());
    let mut log = running(&case.ledger, &storage);
    let first = log.reader.packer().pack_next(&mut go_on).unwrap().unwrap();
    append_until(&mut log, 24);
    let others = pack_all(&mut log.reader.apart().packer());
    assert_eq!(others[0].first, first.last + 1);
    log.writer.shutdown().unwrap();
}
