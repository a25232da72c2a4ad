//! Packs that are damaged, missing or of others are refused, and a packing that is killed or fails anywhere loses nothing.
#![allow(missing_docs)]

mod common;

use common::packs::*;
use common::*;
use florin_wal::*;

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
        assert!(case.is_unpacked(&storage.live()), "{what}");
        log.writer.shutdown().unwrap();
    }
}
