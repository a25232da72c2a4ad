//! A log as of a frame: copied behind the group that holds it, read up to it, never written.
#![allow(missing_docs)]

mod common;

use common::*;
use florin_wal::*;

const BYTES_MAX: u64 = 2_000;

/// A ledger whose groups have any number of frames, and its keys.
fn ledger() -> (Ledger, KeyRing, u64) {
    let ledger = Ledger::new(64 << 10);
    let (recovered, _) = ledger.recover_on(&MemStorage::of(ledger.image())).unwrap();
    drop(recovered);
    let mut last = 0;
    for _ in 0..3 {
        let lock = DataLock::acquire(&ledger.data()).unwrap();
        let recovered = recover(&ledger.data(), lock, LogOptions::default(), &mut |_| Ok::<(), String>(())).unwrap();
        let mut log = start(recovered, BYTES_MAX).unwrap();
        for _ in 0..80 {
            assert!(log.writer.has_room(3_000));
            last = log.append();
        }
        assert!(log.await_durable(last));
        log.writer.shutdown().unwrap();
    }
    let keys = KeyRing::load(&ledger.data()).unwrap();
    (ledger, keys, last)
}

fn copy_upto(ledger: &Ledger, keys: &KeyRing, frame: u64, to: &std::path::Path) -> (CopyReport, Point) {
    let mut within = |f: &Frame<'_>| (f.head.number <= frame).then_some(f.head.time_ns);
    let found = find_frame(&ledger.data(), keys, &mut within).unwrap().unwrap();
    assert_eq!((found.head.number, found.booked_at_ns), (frame, frame * 1000));
    let copied = copy_log_upto(&ledger.data(), keys, to, &found).unwrap();
    // The keys are put there by whoever restores.
    std::fs::create_dir(to.join("keys")).unwrap();
    std::fs::copy(ledger.data().join("keys/chain-1.key"), to.join("keys/chain-1.key")).unwrap();
    std::fs::write(to.join("point.lock"), "").unwrap();
    copied
}

#[test]
fn a_log_as_of_any_frame_is_what_the_frames_up_to_it_are() {
    let (ledger, keys, last) = ledger();
    let mut within_groups = 0;
    for frame in (1..=last).step_by(7).chain([last - 1, last]) {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("then");
        let (copied, point) = copy_upto(&ledger, &keys, frame, &to);
        assert_eq!((point.frame, copied.log.last_frame, copied.log.frames), (frame, frame, frame));
        assert!(matches!(DataLock::acquire(&to), Err(LockError::Point { .. })));
        let before: Vec<_> = files(&to);
        let lock = DataLock::acquire_for_reads(&to).unwrap();
        assert!(matches!(DataLock::acquire_for_reads(&to), Err(LockError::Held { .. })));
        let loaded = Point::load(&to, ledger.manifest.ledger, &keys).unwrap().unwrap();
        assert_eq!(loaded, point);
        let mut seen = Vec::new();
        let mut past = recover_upto(&to, lock, &loaded, &mut |frame| {
            seen.push(Seen::of(&frame));
            Ok::<(), String>(())
        })
        .unwrap();
        let wanted = expected(frame, BYTES_MAX);
        assert_eq!(seen, wanted);
        assert_eq!(past.reader.durable(), frame);
        let next = wanted.last().map(|seen| seen.first_sequence + u64::from(seen.count)).unwrap();
        assert_eq!(point.sequence, next - 1);
        assert!(past.reader.frame_of_sequence(next - 1).unwrap().is_some());
        assert_eq!(past.reader.frame_of_sequence(next).unwrap(), None);
        assert!(matches!(past.reader.frame(frame + 1), Err(ReadError::NoFrame { .. })));
        drop(past);
        assert_eq!(files(&to), before, "nothing is written");
        let mut frames = 0;
        let report = scan(&to, &mut |_| {
            frames += 1;
            Ok::<(), String>(())
        })
        .unwrap();
        assert_eq!((frames, report.head_mac), (frame, copied.log.head_mac));
        // Without the point it is what a backup is, and ends with the group.
        std::fs::remove_file(to.join("point.json")).unwrap();
        assert!(matches!(DataLock::acquire(&to), Err(LockError::Backup { .. })));
        let whole = scan(&to, &mut |_| Ok::<(), String>(())).unwrap();
        assert!(whole.last_frame >= frame && whole.last_frame < frame + 60 && whole.torn_tail.is_none());
        within_groups += u32::from(whole.last_frame > frame);
    }
    assert!(within_groups > 3, "some frames are followed by others of their group: {within_groups}");
}

/// Name and content of all files of the log, but not of the lock.
fn files(data: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = ["", "log"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(data.join(folder)).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.is_file() && !path.ends_with("point.lock"))
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_point_that_the_log_does_not_have_is_refused_and_damage_behind_it_is_not_met() {
    let (ledger, keys, last) = ledger();
    let folder = tempfile::tempdir().unwrap();
    let [early, late, damaged] = ["early", "late", "damaged"].map(|name| folder.path().join(name));
    copy_upto(&ledger, &keys, 20, &early);
    copy_upto(&ledger, &keys, last - 20, &late);
    let refusal = |data: &std::path::Path| scan(data, &mut |_| Ok::<(), String>(())).unwrap_err().to_string();
    // The point of one copy in the other: the log ends before it, or is another one there.
    let points = [&early, &late].map(|data| std::fs::read(data.join("point.json")).unwrap());
    std::fs::write(early.join("point.json"), &points[1]).unwrap();
    let error = refusal(&early);
    assert!(error.contains("point.json says") && error.contains("acknowledged data is damaged"), "{error}");
    std::fs::write(early.join("point.json"), &points[0]).unwrap();
    assert!(scan(&early, &mut |_| Ok::<(), String>(())).is_ok());
    let mut changed = points[0].clone();
    let at = changed.windows(7).position(|text| text == b"\"frame\"").unwrap() + 9;
    assert!(changed[at].is_ascii_digit(), "{}", String::from_utf8_lossy(&changed));
    changed[at] = b'1' + (changed[at] == b'1') as u8;
    std::fs::write(early.join("point.json"), changed).unwrap();
    assert!(refusal(&early).contains("its MAC does not match"));
    // Neither is a copy of a point a ledger to copy.
    let copied = copy_log(&late, &keys, &folder.path().join("copy"), Extent::Whole, 0);
    assert!(matches!(copied, Err(CopyError::Point { .. })));
    let found = find_frame(&late, &keys, &mut |_| Some(0));
    assert!(matches!(found, Err(CopyError::Point { .. })));
    // Damage behind the frame keeps nobody from going back to it; damage before it does.
    let segments = std::fs::read_dir(ledger.data().join("log")).unwrap().count();
    assert!(segments > 3);
    let segment = ledger.data().join("log/0000000003.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    copy_upto(&ledger, &keys, 20, &damaged);
    let error = find_frame(&ledger.data(), &keys, &mut |_| Some(0)).unwrap_err().to_string();
    assert!(error.contains("0000000003.seg"), "{error}");
    assert!(find_frame(&ledger.data(), &keys, &mut |_| None).unwrap().is_none());
}
