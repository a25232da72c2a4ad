//! Disks that fail, fill up and lose power: nothing is acknowledged that recovery does not find again.
#![allow(missing_docs)]

mod common;

use common::*;
use florin_wal::*;

const BYTES_MAX: u64 = 6000;

/// Runs a log, whose groups of some size are written by a thread of their own, until its `n`-th write or sync fails. Gives the frames
/// acknowledged and appended.
fn run_until_failure(ledger: &Ledger, storage: &MemStorage, n: u64, written_apart_from: usize) -> (u64, u64, bool) {
    let options = LogOptions { written_apart_from, ..LogOptions::default() };
    let recovered = match ledger.recover_with(storage, options) {
        Ok((recovered, _)) => recovered,
        Err(_) => return (0, 0, true),
    };
    let first = recovered.report().last_frame;
    {
        let mut disk = storage.disk.lock().unwrap();
        disk.calls_left = Some(n);
    }
    let mut log = match start(recovered, BYTES_MAX) {
        Ok(log) => log,
        Err(StartError::Write(_)) => return (first, first, true),
        Err(error) => panic!("{error}"),
    };
    let mut failed = false;
    for _ in 0..25 {
        if !log.writer.has_room(BYTES_MAX + 200) {
            failed = true;
            break;
        }
        let number = log.append();
        // Some frames share a group.
        if number % 3 != 0 && !log.await_durable(number) {
            failed = true;
            break;
        }
    }
    let appended = log.next.0 - 1;
    if !failed && !log.await_durable(appended) {
        failed = true;
    }
    let (flag, reader) = (log.failed, log.reader);
    let done = log.writer.shutdown();
    let failed = failed || done.is_err();
    assert_eq!(done.is_err(), flag.load(std::sync::atomic::Ordering::SeqCst), "a failure is told once, and at the end");
    let durable = reader.durable();
    if failed {
        let mut disk = storage.disk.lock().unwrap();
        let calls = disk.calls;
        disk.calls_left = None;
        drop(disk);
        assert!(calls > 0);
    }
    (durable, appended, failed)
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_acknowledged_and_recovery_finds_all_that_was() {
    let (mut failures, mut states, mut recovered_more) = (0, 0, 0);
    for n in 1..=140 {
        let ledger = Ledger::new(64 << 10);
        let storage = MemStorage::of(ledger.image());
        // Groups are written by one thread, by another, or by either.
        let apart = [usize::MAX, 0, 2 * BLOCK + 1][n as usize % 3];
        let (durable, appended, failed) = run_until_failure(&ledger, &storage, n / 2 + 1, apart);
        failures += u64::from(failed);
        for seed in 0..4 {
            let image = storage.crash(&mut Random(n * 1000 + seed));
            let after = MemStorage::of(image);
            let (recovered, seen) =
                ledger.recover_on(&after).unwrap_or_else(|error| panic!("call {n}, seed {seed}: {error}"));
            let last = recovered.report().last_frame;
            assert!(last >= durable, "call {n}, seed {seed}: acknowledged {durable}, found {last}");
            assert!(last <= appended && seen == expected(last, BYTES_MAX), "call {n}, seed {seed}");
            recovered_more += u64::from(last > durable);
            // The log goes on, and its end is as good as any.
            let mut log = start(recovered, BYTES_MAX).unwrap();
            log.append_all(3);
            log.writer.shutdown().unwrap();
            let (recovered, seen) = ledger.recover_on(&after).unwrap();
            assert!(seen == expected(last + 3, BYTES_MAX) && recovered.report().torn_tail.is_none());
            states += 1;
        }
    }
    println!("{failures} failures, {states} crash states, {recovered_more} with frames that were not acknowledged");
    assert!(failures > 60);
}

#[test]
fn recovery_and_start_interrupted_at_any_write_find_the_same() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let (durable, _, failed) = run_until_failure(&ledger, &storage, 23, 0);
    assert!(failed && durable > 3);
    for seed in 0..40 {
        let image = storage.crash(&mut Random(seed));
        let found = ledger.recover_on(&MemStorage::of(image.clone())).unwrap().1;
        for n in 1..8 {
            let again = MemStorage::of(image.clone());
            if let Ok((recovered, seen)) = ledger.recover_on(&again) {
                assert_eq!(seen, found);
                again.disk.lock().unwrap().calls_left = Some(n);
                drop(start(recovered, BYTES_MAX));
            }
            let after = MemStorage::of(again.crash(&mut Random(seed * 100 + n)));
            assert_eq!(ledger.recover_on(&after).unwrap().1, found, "seed {seed}, call {n}");
        }
    }
}

#[test]
fn a_full_disk_refuses_before_anything_is_applied_and_is_left_without_a_restart() {
    for reserves in [true, false] {
        let ledger = Ledger::new(64 << 10);
        let storage = MemStorage::of(ledger.image());
        storage.disk.lock().unwrap().reserves = reserves;
        let recovered = ledger.recover_on(&storage).unwrap().0;
        storage.disk.lock().unwrap().full = true;
        let mut log = start(recovered, BYTES_MAX).unwrap();
        let mut frames = 0;
        // Nobody waits for durability here, so the promise covers the queue.
        while log.writer.has_room(BYTES_MAX + 200) {
            log.append();
            frames += 1;
            assert!(frames < 200, "two segments cannot hold this");
        }
        assert!(frames >= 6, "two segments of 64 KiB hold more than {frames} frames");
        assert_eq!(log.writer.room(BYTES_MAX + 200, 1), Room::Full);
        assert!(log.writer.allocation_failure().is_some());
        assert!(log.await_durable(frames), "what was promised is written");
        storage.disk.lock().unwrap().full = false;
        while log.writer.allocation_failure().is_some() {
            std::thread::yield_now();
        }
        for _ in 0..40 {
            assert!(log.writer.has_room(BYTES_MAX + 200), "a disk with space never says that it is full");
            log.append();
        }
        assert!(log.await_durable(frames + 40));
        assert!(log.writer.allocation_failure().is_none());
        let durable = log.reader.durable();
        assert_eq!(durable, frames + 40);
        log.writer.shutdown().unwrap();
        assert_eq!(ledger.recover_on(&storage).unwrap().1, expected(durable, BYTES_MAX));
    }
}

#[test]
fn a_disk_that_was_full_when_it_was_found_that_it_cannot_reserve_is_left_without_a_restart() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let recovered = ledger.recover_on(&storage).unwrap().0;
    {
        let mut disk = storage.disk.lock().unwrap();
        (disk.full, disk.reserves) = (true, false);
    }
    // The writer never leaves its first segment: what could not be set aside is further ahead than what is filled.
    let log = start(recovered, BYTES_MAX).unwrap();
    while log.writer.allocation_failure().is_none() {
        std::thread::yield_now();
    }
    storage.disk.lock().unwrap().full = false;
    while log.writer.allocation_failure().is_some() {
        std::thread::yield_now();
    }
    log.writer.shutdown().unwrap();
}

/// Found by power cuts of the real server: the writer waited for such a segment for ever, and nobody was told anything.
#[test]
fn a_segment_that_was_promised_and_cannot_be_had_ends_the_log() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let recovered = ledger.recover_on(&storage).unwrap().0;
    storage.disk.lock().unwrap().stuck = true;
    let mut log = start(recovered, BYTES_MAX).unwrap();
    let (mut last, mut failed) = (0, false);
    while !failed {
        // Promised as soon as its space is set aside, whatever fails after that.
        while log.writer.room(BYTES_MAX + 200, 1) == Room::Soon {
            std::thread::yield_now();
        }
        assert!(log.writer.has_room(BYTES_MAX + 200), "the space of two segments more is set aside");
        last = log.append();
        failed = !log.await_durable(last);
    }
    let durable = log.reader.durable();
    let error = log.writer.shutdown().unwrap_err();
    assert!(matches!(&error, LogFailure::NoRoom { .. }), "{error}");
    assert!(log.failed.load(std::sync::atomic::Ordering::SeqCst) && durable < last);
    storage.disk.lock().unwrap().stuck = false;
    assert_eq!(
        ledger.recover_on(&storage).unwrap().1,
        expected(durable, BYTES_MAX),
        "what was acknowledged, and no more"
    );
}

#[test]
fn many_threads_read_while_the_log_grows() {
    let ledger = Ledger::new(64 << 10);
    let lock = DataLock::acquire(&ledger.data()).unwrap();
    let recovered = recover(&ledger.data(), lock, LogOptions::default(), &mut |_| Ok::<(), String>(())).unwrap();
    let mut log = start(recovered, BYTES_MAX).unwrap();
    let frames = 150;
    let want = expected(frames, BYTES_MAX);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (mut reader, want) = (log.reader.clone(), &want);
            scope.spawn(move || {
                let mut random = Random(seed);
                let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
                while reader.durable() < frames {
                    let Some(number) = random.word().checked_rem(reader.durable()) else { continue };
                    let seen = &want[number as usize];
                    let frame = reader.read_frame(number + 1, &mut payload, &mut vouchers).unwrap();
                    assert_eq!((&payload, &vouchers), (&seen.body.0, &seen.body.1));
                    if frame.head.count > 0 {
                        let last = frame.head.first_sequence + u64::from(frame.head.count) - 1;
                        assert_eq!(reader.frame_of_sequence(last).unwrap(), Some(frame));
                    }
                }
            });
        }
        for _ in 0..frames {
            log.append();
        }
        assert!(log.await_durable(frames));
    });
    log.writer.shutdown().unwrap();
}

#[test]
fn the_lock_is_held_until_the_log_has_stopped() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let log = start(ledger.recover_on(&storage).unwrap().0, BYTES_MAX).unwrap();
    assert!(matches!(DataLock::acquire(&ledger.data()), Err(LockError::Held { .. })));
    drop(log);
    DataLock::acquire(&ledger.data()).unwrap();
}
