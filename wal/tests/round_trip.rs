//! What is written is read back: over many segments, by recovery, scan and readers, on the real disk in both ways.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use common::*;
use florin_wal::*;

fn run(io: IoMode, frames_a_time: u64) {
    let ledger = Ledger::new(64 << 10);
    let options = || LogOptions { io, ..LogOptions::default() };
    let mut last = 0;
    for round in 0..5 {
        let mut seen = Vec::new();
        let lock = DataLock::acquire(&ledger.data()).unwrap();
        let recovered = recover(&ledger.data(), lock, options(), &mut |frame| {
            seen.push(Seen::of(&frame));
            Ok::<(), String>(())
        })
        .unwrap();
        assert_eq!(seen, expected(last, 9000), "round {round}");
        assert_eq!(recovered.report().torn_tail, None);
        assert_eq!(recovered.report().stray_blocks, 0);
        let mut log = start(recovered, 9000).unwrap();
        for _ in 0..frames_a_time {
            assert!(log.writer.has_room(10_000));
            last = log.append();
        }
        assert!(log.await_durable(last));
        let mut reader = log.reader.clone();
        let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
        for want in expected(last, 9000) {
            let frame = reader.read_frame(want.number, &mut payload, &mut vouchers).unwrap();
            assert_eq!((&payload, &vouchers), (&want.body.0, &want.body.1));
            assert_eq!(frame.head.time_ns, want.time_ns);
            for sequence in want.first_sequence..want.first_sequence + u64::from(want.count) {
                let found = reader.frame_of_sequence(sequence).unwrap().unwrap();
                assert_eq!(found, frame);
            }
            if payload.len() > 20 {
                let mut part = [0; 7];
                reader.read_payload(&frame, 11, &mut part).unwrap();
                assert_eq!(part, payload[11..18]);
            }
            if !vouchers.is_empty() {
                let mut part = [0; 1];
                reader.read_vouchers(&frame, vouchers.len() as u32 - 1, &mut part).unwrap();
                assert_eq!(part[0], *vouchers.last().unwrap());
            }
        }
        assert_eq!(reader.frame_of_sequence(0).unwrap(), None);
        assert_eq!(reader.frame_of_sequence(log.next.1).unwrap(), None);
        assert!(matches!(reader.frame(last + 1), Err(ReadError::NoFrame { .. })));
        assert!(matches!(reader.frame(0), Err(ReadError::NoFrame { .. })));
        let stats = log.writer.stats();
        assert_eq!(stats.frames, frames_a_time);
        log.writer.shutdown().unwrap();
    }
    let mut frames = 0;
    let report = scan(&ledger.data(), &mut |_| {
        frames += 1;
        Ok::<(), String>(())
    })
    .unwrap();
    assert_eq!((frames, report.last_frame, report.frames), (last, last, last));
    assert!(report.segments > 5, "many segments: {}", report.segments);
}

#[test]
fn what_is_written_is_read_back_directly() {
    run(IoMode::Auto, 60);
}

#[test]
fn what_is_written_is_read_back_through_the_cache() {
    run(IoMode::Buffered, 25);
}

#[test]
fn the_largest_frame_fits_into_any_fresh_segment_and_a_larger_one_has_no_room() {
    let ledger = Ledger::new(64 << 10);
    let (recovered, _) = ledger.recover_on(&MemStorage::of(ledger.image())).unwrap();
    let log = start(recovered, 0).unwrap();
    let bytes = log.writer.frame_bytes_max();
    assert_eq!(bytes, (64 << 10) - 3 * BLOCK - 96 - 160);
    assert!(!log.writer.has_room(bytes as u64 + 1));
    for number in 1..10 {
        assert!(log.writer.has_room(bytes as u64));
        let mut buffer = log.writer.buffer();
        buffer.payload().resize(bytes, number as u8);
        log.writer.append(number, number, 1, 0, buffer);
        assert!(log.await_durable(number));
    }
    let stats = log.writer.stats();
    assert!(stats.segment >= 9, "each has its segment: {stats:?}");
    log.writer.shutdown().unwrap();
}

#[test]
fn a_segment_that_is_closed_early_is_sealed_and_the_log_goes_on_in_the_next() {
    let ledger = Ledger::new(64 << 10);
    let mut last = 0;
    let mut sealed = 0;
    for life in 0..3 {
        let lock = DataLock::acquire(&ledger.data()).unwrap();
        let recovered = recover(&ledger.data(), lock, LogOptions::default(), &mut |_| Ok::<(), String>(())).unwrap();
        assert_eq!((recovered.report().torn_tail.clone(), recovered.report().stray_blocks), (None, 0));
        let mut log = start(recovered, 2_000).unwrap();
        assert_eq!(log.writer.close_segment(0), Room::Ready);
        log.append_all(1);
        if life == 0 {
            assert_eq!(log.reader.sealed(0), [], "a segment without a frame is not closed");
        }
        for round in 0..4 {
            log.append_all(round);
            let durable = log.append();
            assert!(log.await_durable(durable));
            // What is under way goes on in front of the close and behind it.
            let before = log.append();
            assert_eq!(log.writer.close_segment(0), Room::Ready);
            last = log.append();
            while !log.reader.await_sealed(durable, Duration::from_secs(1)) {}
            let segments = log.reader.sealed(0);
            let ends = |frame| segments.iter().any(|segment| segment.first_frame + segment.frames == frame + 1);
            assert!(ends(durable) || ends(before), "life {life}, round {round}: not closed there: {segments:?}");
        }
        assert!(log.await_durable(last));
        assert_eq!(log.writer.close_segment(0), Room::Ready);
        while !log.reader.await_sealed(last, Duration::from_secs(1)) {}
        let segments = log.reader.sealed(0).len();
        assert!(segments >= sealed + 5);
        sealed = segments;
        let next = log.append();
        assert!(log.await_durable(next));
        assert_eq!(log.reader.sealed(0).len(), sealed);
        assert!(!log.reader.await_sealed(next, Duration::ZERO));
        last = next;
        log.writer.shutdown().unwrap();
    }
    let mut seen = Vec::new();
    let report = scan(&ledger.data(), &mut |frame| {
        seen.push(Seen::of(&frame));
        Ok::<(), String>(())
    })
    .unwrap();
    assert_eq!(seen, expected(last, 2_000));
    assert_eq!((report.torn_tail, report.stray_blocks), (None, 0));
}

#[test]
fn an_error_of_the_caller_names_the_frame_and_its_place() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, 3000).unwrap();
    log.append_all(3);
    log.writer.shutdown().unwrap();
    let keys = KeyRing::load(&ledger.data()).unwrap();
    let io = IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None };
    let error = scan_on(&storage, io, &ledger.manifest, &keys, &mut |frame| match frame.head.number {
        2 => Err("the balance differs"),
        _ => Ok(()),
    })
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("log/0000000001.seg at offset ") && text.ends_with(": frame 2: the balance differs"),
        "{text}"
    );
}

/// Frames are checked ahead of the caller, who must not notice: nothing is given to it after its error, and its error comes before
/// what is wrong with the log further on.
#[test]
fn an_error_of_the_caller_ends_the_walk_however_far_ahead_the_log_was_checked() {
    let ledger = Ledger::new(1 << 20);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, 60_000).unwrap();
    log.append_all(200);
    log.writer.shutdown().unwrap();
    let bytes = ledger.scan_on(&storage).unwrap().0.bytes;
    assert!(bytes > 5 << 20, "more than may be checked ahead: {bytes}");
    let keys = KeyRing::load(&ledger.data()).unwrap();
    let io = IoReport { mode: WriteMode::Buffered, file_system: "memory".into(), fallback: None };
    let scan = |storage: &MemStorage, last: u64| {
        let mut seen = Vec::new();
        let scanned = scan_on(storage, io.clone(), &ledger.manifest, &keys, &mut |frame| {
            seen.push(frame.head.number);
            if frame.head.number == last { Err("the balance differs") } else { Ok(()) }
        });
        (scanned.map(|report| report.last_frame), seen)
    };
    let mut damaged = storage.live();
    let segment = damaged.get_mut("log/0000000003.seg").unwrap();
    segment[300_000] ^= 1;
    let damaged = MemStorage::of(damaged);
    for storage in [&storage, &damaged] {
        for last in [1, 2, 20, 35] {
            let (scanned, seen) = scan(storage, last);
            let error = scanned.unwrap_err().to_string();
            assert!(error.ends_with(&format!(": frame {last}: the balance differs")), "{error}");
            assert!(seen.iter().copied().eq(1..=last));
        }
    }
    let (scanned, seen) = scan(&storage, 0);
    assert!(scanned.unwrap() == 200 && seen.iter().copied().eq(1..=200));
    let (scanned, seen) = scan(&damaged, 0);
    assert!(matches!(scanned, Err(RecoverError::Damaged(_))), "{scanned:?}");
    assert!(seen.iter().copied().eq(1..=seen.len() as u64) && (35..199).contains(&seen.len()), "{seen:?}");
}

#[test]
fn a_ledger_is_made_once_and_an_unknown_format_is_refused() {
    let ledger = Ledger::new(64 << 10);
    let options = LedgerOptions { segment_bytes: 64 << 10, created_unix_ns: 0 };
    assert!(matches!(create_ledger(&ledger.data(), &options), Err(CreateError::NotEmpty { .. })));
    let odd = LedgerOptions { segment_bytes: (64 << 10) + 1, created_unix_ns: 0 };
    assert!(matches!(create_ledger(&ledger.folder.path().join("x"), &odd), Err(CreateError::SegmentBytes { .. })));
    let json = ledger.data().join("ledger.json");
    let text = std::fs::read_to_string(&json).unwrap();
    assert_eq!(LedgerManifest::load(&ledger.data()).unwrap(), ledger.manifest);
    std::fs::write(&json, text.replace("\"format\": 1", "\"format\": 2, \"more\": 3")).unwrap();
    assert!(matches!(LedgerManifest::load(&ledger.data()), Err(ManifestError::UnknownFormat { found: 2, .. })));
    std::fs::write(&json, text.replace("65536", "65537")).unwrap();
    assert!(matches!(LedgerManifest::load(&ledger.data()), Err(ManifestError::SegmentBytes { .. })));
    std::fs::write(&json, &text[..20]).unwrap();
    assert!(matches!(LedgerManifest::load(&ledger.data()), Err(ManifestError::Text { .. })));
    std::fs::remove_file(&json).unwrap();
    assert!(matches!(LedgerManifest::load(&ledger.data()), Err(ManifestError::NotALedger { .. })));
}
