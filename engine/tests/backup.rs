//! Backups of a ledger that is running, and what is restored from them.

mod common;

use std::path::Path;

use common::*;
use florin_core::coordinator::RoundLimits;
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::TransferRow;
use florin_core::state_hash::state_hash;
use florin_engine::{
    BackupError, Command, Engine, EngineOptions, Reply, Started, back_up, restore, start, verify, view,
};
use florin_wal::{CopyError, DataLock, Frame, LockError};

const LOOKS_MAX: usize = 20_000;

fn rows(request: u128) -> Vec<TransferRow> {
    (0..40).map(|at| transfer(1_000 + request * 40 + at, 10 + at % 9, 10 + (at + 1) % 9, 1 + at)).collect()
}

/// Raw segments are what these tests count and damage; backups of packs are judged in `packing`.
fn unpacked(data: &Path) -> EngineOptions {
    EngineOptions { pack_segments: false, ..EngineOptions::new(data) }
}

async fn begin(data: &Path) -> Engine {
    let options = EngineOptions { snapshot_segments: 1, ..unpacked(data) };
    let Started { engine, .. } = start(options).await.expect("a start");
    assert_eq!(register(&engine, 1).await.outcome, Outcome::Posted);
    let accounts: Vec<(u128, Option<i128>)> = (10..19).map(|account| (account, None)).collect();
    assert!(open(&engine, &accounts).await.all_posted());
    engine
}

/// Waits for a snapshot behind a frame.
async fn await_snapshot(engine: &Engine, after: u64) {
    for _ in 0..LOOKS_MAX {
        let Reply::Stats(stats) = engine.call(Command::Stats).await else { panic!("expected figures") };
        if stats.snapshot_frame > after && stats.snapshot_folded >= stats.segments_sealed {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await; // It has the lowest priority.
    }
    panic!("no snapshot is made");
}

/// The state of a ledger after a frame, from its log alone.
fn state_after(data: &Path, last: u64) -> [u8; 32] {
    let mut ledger = Ledger::new(1, RoundLimits::default(), 3);
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| match frame.head.number <= last {
        true => ledger.apply_frame(&view(&frame).expect("a frame")).map_err(|error| error.to_string()),
        false => Ok(()),
    });
    scanned.expect("a good log");
    state_hash(&ledger)
}

#[test]
fn a_backup_of_a_running_ledger_is_restored_with_the_state_that_the_ledger_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, backup, once] = ["ledger", "backup", "once"].map(|name| folder.path().join(name));
    new_ledger(&data, 64 << 10);
    let mut positions = Vec::new();
    run(async {
        let engine = begin(&data).await;
        for request in 0..60u128 {
            post(&engine, &rows(request)).await;
            if request % 15 == 14 {
                await_snapshot(&engine, 0).await;
                // The engine goes on while it is copied: these are not part of it for certain.
                let more = tokio::task::spawn_local({
                    let engine = engine.clone();
                    async move {
                        for extra in 0..5 {
                            post(&engine, &rows(1_000 + request * 10 + extra)).await;
                        }
                    }
                });
                let (from, to) = (data.clone(), backup.clone());
                let copying = tokio::task::spawn_blocking(move || back_up(&from, &to).expect("a backup"));
                let report = copying.await.expect("a thread");
                more.await.expect("posted");
                positions.push((report.log.log.last_frame, report.log.copied, report.log.log.segments));
                assert!(report.snapshot.is_some_and(|frame| frame > 0 && frame <= report.log.log.last_frame));
                let target = folder.path().join(format!("restored-{request}"));
                let restored = restore(&backup, &data.join("keys"), &target).expect("restored");
                assert_eq!(restored.log.log.last_frame, report.log.log.last_frame);
                let verified = verify(&target, &mut |_| {}).expect("a good ledger");
                assert_eq!(verified.state_hash, state_after(&data, report.log.log.last_frame));
                assert!(verified.snapshots.len() == 1 && verified.snapshots[0].wrong.is_none());
            }
        }
        engine.stop().await.expect("a clean stop");
    });
    assert!(positions.is_sorted_by(|a, b| a.0 < b.0), "each goes further: {positions:?}");
    let (_, copied, segments) = positions[positions.len() - 1];
    assert!(copied < segments && segments > 4, "what was there is not copied again: {positions:?}");
    let whole = back_up(&data, &once).expect("a backup at once");
    assert_eq!(whole.log.copied, whole.log.log.segments);
    let again = back_up(&data, &once).expect("a backup of nothing new");
    assert_eq!((again.log.copied, again.log.log.last_frame), (1, whole.log.log.last_frame), "the open segment only");
    // Served with another number of shards, it knows its ids and goes on.
    let target = folder.path().join("served");
    restore(&once, &data.join("keys"), &target).expect("restored");
    run(async {
        let options = EngineOptions { shards: 3, ..unpacked(&target) };
        let Started { engine, report } = start(options).await.expect("a start");
        assert!(report.snapshot.is_some());
        assert!(post(&engine, &rows(0)).await.items().all(|result| result.repeat));
        assert!(post(&engine, &rows(5_000)).await.all_posted());
        engine.stop().await.expect("a clean stop");
    });
    verify(&target, &mut |_| {}).expect("a good ledger");
}

#[test]
fn a_backup_is_refused_where_it_would_lose_or_mix_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, other, backup, files] = ["ledger", "other", "backup", "files"].map(|name| folder.path().join(name));
    for data in [&data, &other] {
        new_ledger(data, 64 << 10);
        assert!(matches!(back_up(data, &backup), Err(BackupError::Log(CopyError::Nothing))));
        run(async {
            let engine = begin(data).await;
            post(&engine, &rows(0)).await;
            engine.stop().await.expect("a clean stop");
        });
    }
    let early = folder.path().join("early");
    back_up(&data, &early).expect("a backup");
    run(async {
        let Started { engine, .. } = start(unpacked(&data)).await.expect("a start");
        for request in 1..30 {
            post(&engine, &rows(request)).await;
        }
        engine.stop().await.expect("a clean stop");
    });
    back_up(&data, &backup).expect("a backup");
    assert!(matches!(back_up(&other, &backup), Err(BackupError::Log(CopyError::OtherLedger { .. }))));
    // The ledger from the early backup is behind what the later one has.
    let behind = folder.path().join("behind");
    restore(&early, &data.join("keys"), &behind).expect("restored");
    assert!(matches!(back_up(&behind, &backup), Err(BackupError::Log(CopyError::Ahead { .. }))));
    assert!(matches!(restore(&early, &data.join("keys"), &behind), Err(BackupError::NotEmpty(_))));
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("letter"), "dear").expect("a file");
    assert!(matches!(back_up(&data, &files), Err(BackupError::Log(CopyError::NotEmpty { .. }))));
    for inside in [data.clone(), data.join("log"), data.join("new/backup")] {
        assert!(matches!(back_up(&data, &inside), Err(BackupError::Log(CopyError::IsLedger { .. }))), "{inside:?}");
    }
    assert!(!data.join("new").exists());
    assert!(matches!(back_up(&backup, &files), Err(BackupError::Lock(LockError::Backup { .. }))));
    // Once it has gone on in a way of its own it is another log, however long.
    run(async {
        let Started { engine, .. } = start(unpacked(&behind)).await.expect("a start");
        for request in 100..160 {
            post(&engine, &rows(request)).await;
        }
        engine.stop().await.expect("a clean stop");
    });
    let before = std::fs::read(backup.join("watermark")).expect("a watermark");
    assert!(matches!(back_up(&behind, &backup), Err(BackupError::Log(CopyError::Forked))));
    assert_eq!(std::fs::read(backup.join("watermark")).expect("a watermark"), before, "the backup is as it was");
    back_up(&data, &backup).expect("a backup of nothing new");
    // With another ledger's keys nothing is restored, and a byte that has changed is found.
    let target = folder.path().join("target");
    let error = restore(&backup, &other.join("keys"), &target).expect_err("other keys").to_string();
    assert!(error.contains("the chain MAC does not match"), "{error}");
    let segment = backup.join("log/0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[20_000] ^= 1;
    std::fs::write(&segment, &bytes).expect("a segment");
    let error = restore(&backup, &data.join("keys"), &folder.path().join("third")).expect_err("damage").to_string();
    assert!(error.contains("0000000001.seg"), "{error}");
    let error = back_up(&data, &backup).expect_err("the earlier copy is damaged").to_string();
    assert!(error.contains("the copy is not good"), "{error}");
    // Nor is damage copied: not of a sealed segment, nor of the open one.
    for name in ["log/0000000001.seg", "log/0000000002.seg"] {
        let segment = data.join(name);
        let good = std::fs::read(&segment).expect("a segment");
        let mut bytes = good.clone();
        bytes[9_000] ^= 1;
        std::fs::write(&segment, &bytes).expect("a segment");
        let error = back_up(&data, &folder.path().join("fourth")).expect_err("damage").to_string();
        assert!(error.contains(name) && error.contains("durable"), "{error}");
        std::fs::write(&segment, &good).expect("a segment");
    }
}

/// The last frame of a segment.
fn last_frame_of(data: &Path, segment: u64) -> u64 {
    let mut last = 0;
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
        if frame.place.segment == segment {
            last = frame.head.number;
        }
        Ok::<(), String>(())
    });
    scanned.expect("a good log");
    last
}

/// The last segment and where its first group ends, if that is the only one with a frame.
fn end_of_lone_group(data: &Path) -> Option<(u64, usize)> {
    let mut frames = Vec::new();
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
        frames.push((frame.place.segment, frame.place.offset as usize, frame.payload.len() + frame.vouchers.len()));
        Ok::<(), String>(())
    });
    // Beside a server the end moves.
    scanned.ok()?;
    let &(segment, offset, body) = frames.last()?;
    let lone = segment > 1 && frames.iter().filter(|frame| frame.0 == segment).count() == 1;
    lone.then(|| (segment, (offset + 160 + body).next_multiple_of(4096)))
}

/// The copy of a log that is being written may end with a segment, and then a snapshot of all of it. Restored, that segment is not
/// sealed: the log goes on in it, and so do the snapshots.
#[test]
fn a_ledger_that_was_restored_at_the_end_of_a_segment_goes_on_to_make_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    new_ledger(&data, 64 << 10);
    let end = run(async {
        let engine = begin(&data).await;
        let mut request = 0;
        let end = loop {
            // A little more than half of a segment, so that room is left in each.
            let three = [rows(request), rows(request + 1), rows(request + 2)].concat();
            post(&engine, &three).await;
            request += 3;
            if let Some(end) = end_of_lone_group(&data).filter(|_| request > 5) {
                await_snapshot(&engine, 0).await;
                break end;
            }
        };
        engine.stop().await.expect("a clean stop");
        end
    });
    // As it is found in the 10 ms before the seal, with the server running.
    let (segment, end) = end;
    let name = data.join(format!("log/{segment:010}.seg"));
    let mut bytes = std::fs::read(&name).expect("a segment");
    bytes[end..].fill(0);
    std::fs::write(&name, bytes).expect("a segment");
    let lock = DataLock::acquire(&data).expect("a lock");
    let backup = folder.path().join("backup");
    let report = back_up(&data, &backup).expect("a backup");
    assert_eq!((report.snapshot, report.log.log.segments), (Some(report.log.log.last_frame), segment - 1));
    drop(lock);
    let restored = folder.path().join("restored");
    restore(&backup, &data.join("keys"), &restored).expect("restored");
    run(async {
        let options = EngineOptions { snapshot_segments: 1, ..unpacked(&restored) };
        let Started { engine, report } = start(options).await.expect("a start");
        let manifest = report.snapshot.expect("a snapshot to start from");
        let base = manifest.frame;
        assert_eq!(base, report.log.last_frame);
        // Small enough for the room that is left in the segment.
        post(&engine, &rows(1_999)[..1]).await;
        for request in 2_000..2_020 {
            post(&engine, &rows(request)).await;
        }
        await_snapshot(&engine, base).await;
        engine.stop().await.expect("a clean stop");
        assert!(last_frame_of(&restored, manifest.segment) > base, "the log goes on in the segment of the snapshot");
    });
    let verified = verify(&restored, &mut |_| {}).expect("a good ledger");
    assert!(verified.snapshots.iter().all(|snapshot| snapshot.wrong.is_none()), "{:?}", verified.snapshots);
}
