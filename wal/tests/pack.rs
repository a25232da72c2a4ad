//! Packed segments hold the same frames, whoever reads them, wherever and whenever they are packed.
#![allow(missing_docs)]

mod common;

use common::packs::*;
use common::*;
use florin_wal::*;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the threads of a test that it is over, also when it failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
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
        let is_unpacked = case.is_unpacked(&storage.live());
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
