//! Damage to the files and the verdict on it, judged by an oracle that knows only what the disk was asked to write and
//! the offsets in `docs/format-log.md`: what was acknowledged for certain is read back or the log is refused.
#![allow(missing_docs)]

mod common;

use common::*;
use florin_wal::*;

const SEGMENT: usize = 64 << 10;

/// One write of a group, as the disk saw it.
#[derive(Clone, Debug)]
struct Extent {
    file: String,
    /// Of the group's header.
    offset: usize,
    end: usize,
    /// Whether the segment's first block came with it.
    begins: bool,
    durable_upto: u64,
    /// Frames of the log after this group.
    last_frame: u64,
}

/// A log cut off at some moment.
struct Case {
    ledger: Ledger,
    image: Image,
    extents: Vec<Extent>,
    watermark_frame: u64,
    watermark_segment: u64,
    last_frame: u64,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Writes frames one by one; the image is what the disk held after the `upto`-th write (all of them: after shutdown).
fn case(frames: u64, bytes_max: u64, upto: Option<usize>) -> Case {
    let ledger = Ledger::new(SEGMENT as u64);
    let before = ledger.image();
    let storage = MemStorage::of(before.clone());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, bytes_max).unwrap();
    log.append_all(frames);
    log.writer.shutdown().unwrap();
    let disk = storage.disk.lock().unwrap();
    let trace = &disk.trace[..upto.unwrap_or(disk.trace.len())];
    let mut image = before;
    for name in disk.live.keys() {
        image.entry(name.clone()).or_insert_with(|| vec![0; SEGMENT]);
    }
    let (mut extents, mut last_frame) = (Vec::new(), 0);
    for write in trace {
        let (from, to) = (write.offset as usize, write.offset as usize + write.bytes.len());
        image.get_mut(&write.file).unwrap()[from..to].copy_from_slice(&write.bytes);
        if write.file == "watermark" {
            continue;
        }
        let begins = from == 0;
        let group = if begins { &write.bytes[BLOCK..] } else { &write.bytes[..] };
        last_frame += u64::from(u32::from_le_bytes(group[60..64].try_into().unwrap()));
        let offset = to - group.len();
        let durable_upto = word(group, 48);
        extents.push(Extent { file: write.file.clone(), offset, end: to, begins, durable_upto, last_frame });
    }
    let slot = |at: usize| {
        (word(&image["watermark"], at + 32), word(&image["watermark"], at + 40), word(&image["watermark"], at + 56))
    };
    let (_, watermark_frame, watermark_segment) = slot(0).max(slot(BLOCK));
    drop(disk);
    let begun = extents.iter().filter(|extent: &&Extent| extent.begins).count();
    image.entry(format!("log/{:010}.seg", begun + 1)).or_insert_with(|| vec![0; SEGMENT]);
    Case { ledger, image, extents, watermark_frame, watermark_segment, last_frame }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Starts with all frames up to this one.
    Starts(u64),
    Refused,
}

impl Case {
    /// The file after the last one in use.
    fn spare(&self) -> String {
        let begun = self.extents.iter().filter(|extent| extent.begins).count();
        format!("log/{:010}.seg", begun + 1)
    }

    /// What must become of the log if the group `bad` (by index) cannot be read, and nothing else is wrong.
    fn verdict_without(&self, bad: usize) -> Verdict {
        let good = if bad == 0 { 0 } else { self.extents[bad - 1].last_frame };
        let later = &self.extents[bad + 1..];
        let proven = later.iter().any(|group| group.durable_upto > good)
            || later.iter().any(|group| group.last_frame > self.extents[bad].last_frame)
            || later.iter().any(|group| group.begins)
            || self.watermark_frame > good;
        if proven { Verdict::Refused } else { Verdict::Starts(good) }
    }

    /// What must become of the log if its segment's first block cannot be read.
    fn verdict_without_first_block(&self, file: &str) -> Verdict {
        let first = self.extents.iter().position(|extent| extent.file == file).unwrap();
        let ordinal: u64 = file["log/".len()..file.len() - ".seg".len()].parse().unwrap();
        let later = self.extents[first..].iter().any(|extent| extent.file != file);
        match later || self.watermark_segment >= ordinal {
            true => Verdict::Refused,
            false => Verdict::Starts(if first == 0 { 0 } else { self.extents[first - 1].last_frame }),
        }
    }

    fn verdict_of_byte(&self, file: &str, at: usize) -> Verdict {
        let of_file = || self.extents.iter().enumerate().filter(|(_, extent)| extent.file == file);
        if at < BLOCK && of_file().count() > 0 {
            return self.verdict_without_first_block(file);
        }
        match of_file().find(|(_, extent)| (extent.offset..extent.end).contains(&at)) {
            Some((index, _)) => self.verdict_without(index),
            None => Verdict::Starts(self.last_frame),
        }
    }

    /// Judges an image by scan and recovery; both agree, and after a start all is in order for good.
    #[track_caller]
    fn check(&self, image: Image, bytes_max: u64, verdict: Verdict, what: &str) {
        let storage = MemStorage::of(image.clone());
        let scanned = self.ledger.scan_on(&storage);
        assert_eq!(storage.live(), image, "{what}: a scan writes nothing");
        let recovered = self.ledger.recover_on(&storage);
        match verdict {
            Verdict::Refused => {
                let text = recovered.err().unwrap_or_else(|| panic!("{what}: not refused")).to_string();
                assert!(text.starts_with("log/") || text.contains("log/"), "{what}: names the file: {text}");
                assert!(text.contains("offset"), "{what}: names the offset: {text}");
                assert!(scanned.is_err(), "{what}: the scan finds it too");
                assert_eq!(storage.live(), image, "{what}: a refusal changes nothing");
            }
            Verdict::Starts(last) => {
                let (recovered, seen) = recovered.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(seen == expected(last, bytes_max), "{what}: frames up to {last}, not {}", seen.len());
                assert_eq!(recovered.report().torn_tail, scanned.unwrap().0.torn_tail, "{what}");
                drop(recovered);
                let (again, seen) = self.ledger.recover_on(&storage).unwrap();
                assert!(seen == expected(last, bytes_max), "{what}: the same again");
                assert_eq!(again.report().torn_tail, None, "{what}: the tail was cleared");
            }
        }
    }
}

#[test]
fn a_whole_log_is_whole() {
    for upto in [None, Some(20)] {
        let case = case(30, 4000, upto);
        case.check(case.image.clone(), 4000, Verdict::Starts(case.last_frame), "untouched");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_a_torn_tail_as_durability_says() {
    let (mut refused, mut torn) = (0, 0);
    for (frames, bytes_max, upto) in [(12, 9000, None), (12, 9000, Some(11)), (30, 9000, Some(25)), (3, 300, Some(4))] {
        let case = case(frames, bytes_max, upto);
        let mut places: Vec<(String, usize)> = Vec::new();
        for extent in &case.extents {
            // Every byte of the headers, samples of the body and the padding, the block's end.
            let headers = extent.offset..extent.offset + 96 + 160;
            places.extend(
                headers.step_by(if upto.is_none() || frames < 10 { 1 } else { 7 }).map(|at| (extent.file.clone(), at)),
            );
            places.extend((extent.offset..extent.end).step_by(997).map(|at| (extent.file.clone(), at)));
            places.push((extent.file.clone(), extent.end - 1));
            if extent.begins {
                places.extend((0..128).chain((128..BLOCK).step_by(301)).map(|at| (extent.file.clone(), at)));
                places.extend((BLOCK - 5..BLOCK).map(|at| (extent.file.clone(), at)));
            }
        }
        for (name, file) in case.image.iter().filter(|(name, _)| *name != "watermark") {
            places.extend((0..file.len()).step_by(8009).map(|at| (name.clone(), at)));
        }
        for (number, (file, at)) in places.into_iter().enumerate() {
            let mut image = case.image.clone();
            let bit = number % 8;
            image.get_mut(&file).unwrap()[at] ^= 1 << bit;
            // A byte that nothing covers is in zeros behind a closed segment or in the tail: no frame is touched.
            let verdict = case.verdict_of_byte(&file, at);
            match verdict {
                Verdict::Refused => refused += 1,
                Verdict::Starts(_) => torn += 1,
            }
            let closed = case.extents.last().is_some_and(|last| last.file > file);
            if closed && verdict == Verdict::Starts(case.last_frame) {
                let (report, seen) = case.ledger.scan_on(&MemStorage::of(image)).unwrap();
                assert_eq!((report.stray_blocks, seen.len() as u64), (1, case.last_frame));
                continue;
            }
            case.check(image, bytes_max, verdict, &format!("bit {bit} of byte {at} of {file}"));
        }
    }
    println!("{refused} refused, {torn} torn or outside, all as the oracle says");
    assert!(refused > 1000 && torn > 300);
}

#[test]
fn a_log_cut_short_is_refused_or_torn_as_durability_says() {
    for upto in [None, Some(9)] {
        let case = case(10, 9000, upto);
        let last = case.extents.last().unwrap().file.clone();
        let mut random = Random(7);
        let mut cuts: Vec<usize> = (0..=SEGMENT).step_by(BLOCK).collect();
        cuts.extend((0..40).map(|_| random.below(SEGMENT as u64) as usize));
        for cut in cuts {
            let mut image = case.image.clone();
            image.get_mut(&last).unwrap().truncate(cut);
            let hit = case.extents.iter().position(|extent| extent.file == last && extent.end > cut);
            let verdict = match hit {
                _ if cut < BLOCK => case.verdict_without_first_block(&last),
                // All from the first one that is hit is gone, so only the watermark can tell.
                Some(hit) => {
                    let good = if hit == 0 { 0 } else { case.extents[hit - 1].last_frame };
                    if case.watermark_frame > good { Verdict::Refused } else { Verdict::Starts(good) }
                }
                None => Verdict::Starts(case.last_frame),
            };
            case.check(image, 9000, verdict, &format!("{last} cut at {cut}"));
        }
    }
}

#[test]
fn a_block_from_elsewhere_never_passes() {
    let case = case(12, 9000, Some(12));
    let mut random = Random(3);
    let blocks: Vec<(String, usize)> = case
        .extents
        .iter()
        .flat_map(|extent| (extent.offset..extent.end).step_by(BLOCK).map(|at| (extent.file.clone(), at)))
        .collect();
    let spare = case.spare();
    for round in 0..300 {
        let (from, to) =
            (&blocks[random.below(blocks.len() as u64) as usize], &blocks[random.below(blocks.len() as u64) as usize]);
        let mut image = case.image.clone();
        let moved = image[&from.0][from.1..from.1 + BLOCK].to_vec();
        if round % 3 == 0 {
            // Misdirected: to where nothing was written yet, behind the log or into a spare.
            let end = case.extents.last().unwrap();
            let place = if round % 2 == 0 { (end.file.clone(), end.end) } else { (spare.clone(), BLOCK) };
            image.get_mut(&place.0).unwrap()[place.1..place.1 + BLOCK].copy_from_slice(&moved);
            case.check(image, 9000, Verdict::Starts(case.last_frame), "misdirected");
            continue;
        }
        let old = image[&to.0][to.1..to.1 + BLOCK].to_vec();
        if old == moved {
            continue;
        }
        image.get_mut(&to.0).unwrap()[to.1..to.1 + BLOCK].copy_from_slice(&moved);
        let mut verdict = case.verdict_of_byte(&to.0, to.1);
        if round % 3 == 1 {
            // Swapped rather than repeated: the earlier place decides, unless only the later one is proven.
            image.get_mut(&from.0).unwrap()[from.1..from.1 + BLOCK].copy_from_slice(&old);
            let other = case.verdict_of_byte(&from.0, from.1);
            verdict = match (verdict, other) {
                (Verdict::Starts(a), Verdict::Starts(b)) => Verdict::Starts(a.min(b)),
                _ => Verdict::Refused,
            };
        }
        case.check(image, 9000, verdict, &format!("{from:?} to {to:?}"));
    }
}

#[test]
fn stale_and_random_spares_are_fine_and_cleared() {
    let case = case(12, 9000, None);
    let older = self::case(40, 9000, None);
    let spare = case.spare();
    for (what, stale) in [
        ("another ledger's segment", older.image["log/0000000002.seg"].clone()),
        ("an old segment of this ledger", case.image["log/0000000001.seg"].clone()),
        ("noise", {
            let mut random = Random(9);
            (0..SEGMENT).map(|_| random.word() as u8).collect()
        }),
        ("an unfinished spare", vec![0; 3 * BLOCK]),
        ("an empty file", vec![]),
    ] {
        let mut image = case.image.clone();
        image.insert(spare.clone(), stale);
        case.check(image, 9000, Verdict::Starts(case.last_frame), what);
    }
    let mut image = case.image.clone();
    image.remove(&spare);
    case.check(image, 9000, Verdict::Starts(case.last_frame), "no spare at all");
}

#[test]
fn a_missing_segment_is_refused() {
    let case = case(40, 9000, Some(40));
    let begun: Vec<String> =
        case.extents.iter().filter(|extent| extent.begins).map(|extent| extent.file.clone()).collect();
    assert!(begun.len() > 3);
    for file in &begun {
        let mut image = case.image.clone();
        image.remove(file);
        case.check(image.clone(), 9000, Verdict::Refused, &format!("{file} missing"));
        let error = case.ledger.recover_on(&MemStorage::of(image)).err().unwrap().to_string();
        assert!(error.contains(file.as_str()) && error.contains("missing"), "{error}");
        let mut zeroed = case.image.clone();
        zeroed.insert(file.clone(), vec![0; SEGMENT]);
        case.check(zeroed, 9000, Verdict::Refused, &format!("{file} zeroed"));
    }
}

#[test]
fn a_log_behind_its_watermark_is_refused_and_one_bad_slot_is_not() {
    let case = case(12, 9000, None);
    let early = &case.extents[6];
    let mut image = case.image.clone();
    image.get_mut(&early.file).unwrap()[early.offset..].fill(0);
    for later in case.extents.iter().filter(|extent| extent.file > early.file) {
        image.insert(later.file.clone(), vec![0; SEGMENT]);
    }
    case.check(image.clone(), 9000, Verdict::Refused, "the end lost");
    let error = case.ledger.recover_on(&MemStorage::of(image)).err().unwrap().to_string();
    assert!(error.contains("the watermark says that frame 12"), "{error}");
    for (slots, starts) in [(vec![0], true), (vec![BLOCK], true), (vec![0, BLOCK], false)] {
        let mut image = case.image.clone();
        slots.iter().for_each(|at| image.get_mut("watermark").unwrap()[at + 50] ^= 4);
        match case.ledger.recover_on(&MemStorage::of(image)) {
            Ok((_, seen)) => assert!(starts && seen.len() == 12),
            Err(error) => assert!(!starts && matches!(error, RecoverError::Watermark { .. }), "{error}"),
        }
    }
    let mut image = case.image.clone();
    image.insert("watermark".into(), self::case(1, 10, None).image["watermark"].clone());
    let error = case.ledger.recover_on(&MemStorage::of(image)).err().unwrap().to_string();
    assert!(error.contains("another ledger"), "{error}");
}

#[test]
fn a_wrong_key_is_refused_and_is_no_torn_tail() {
    let case = case(5, 500, None);
    let file = case.ledger.data().join("keys/chain-1.key");
    let secret = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(KeyRing::load(&case.ledger.data()), Err(KeyError::NoKey { .. })));
    ChainKey::generate(1).unwrap().create_file(&file).unwrap();
    let storage = MemStorage::of(case.image.clone());
    let error = case.ledger.recover_on(&storage).err().unwrap();
    assert!(matches!(error, RecoverError::Frame { frame: 1, .. }), "{error}");
    assert!(error.to_string().contains("the chain MAC does not match"));
    assert_eq!(storage.live(), case.image, "nothing was changed");
    std::fs::remove_file(&file).unwrap();
    ChainKey::generate(2).unwrap().create_file(&case.ledger.data().join("keys/chain-2.key")).unwrap();
    let error = case.ledger.recover_on(&storage).err().unwrap();
    assert!(error.to_string().contains("the key that the frame names is not in keys/"), "{error}");
    // With both keys the log goes on under the newer one.
    std::fs::write(&file, secret).unwrap();
    let mut log = start(case.ledger.recover_on(&storage).unwrap().0, 500).unwrap();
    log.append_all(2);
    assert_eq!(log.reader.frame(6).unwrap().head.key_id, 2);
    log.writer.shutdown().unwrap();
    assert_eq!(case.ledger.recover_on(&storage).unwrap().1, expected(7, 500));
}

#[test]
fn a_voucher_with_the_bytes_of_a_group_never_passes_for_one() {
    let ledger = Ledger::new(SEGMENT as u64);
    let storage = MemStorage::of(ledger.image());
    let log = start(ledger.recover_on(&storage).unwrap().0, 0).unwrap();
    // A group of this very log, with its true checksum but of another place, at every block of a voucher.
    let group = storage.live()["log/0000000001.seg"][BLOCK..2 * BLOCK].to_vec();
    let mut buffer = log.writer.buffer();
    for _ in 0..8 {
        buffer.vouchers().extend_from_slice(&group);
    }
    // So that the copies stand at starts of blocks.
    buffer.payload().resize(BLOCK - 96 - 160, 0);
    log.writer.append(1, 1, 1, 1, buffer);
    assert!(log.await_durable(1));
    let mut image = storage.live();
    log.writer.shutdown().unwrap();
    let file = image.get_mut("log/0000000001.seg").unwrap();
    assert_eq!(file[3 * BLOCK..4 * BLOCK], group[..]);
    // The group's header gone, its body left behind: no proof, a torn tail.
    file[2 * BLOCK..2 * BLOCK + 96].fill(0);
    let (recovered, seen) = ledger.recover_on(&MemStorage::of(image)).unwrap();
    assert!(seen.is_empty() && recovered.report().torn_tail.is_some());
}
