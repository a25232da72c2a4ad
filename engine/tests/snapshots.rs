//! Snapshots on disk: made while payments run, recovered from with any number of shards, and never believed when they are not what
//! was written. What they hold is judged in the simulator; here each start must come to the state that the log alone gives.

mod common;
#[path = "common/derived.rs"]
mod derived;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::*;
use derived::*;
use florin_core::outcome::Outcome;
use florin_core::request::TransferRow;
use florin_engine::{Engine, EngineOptions, StartReport, Started, start, verify};

const SEGMENT_BYTES: u64 = 64 << 10;
const ACCOUNTS: u128 = 40;
const ROWS: u128 = 50;
const LOOKS_MAX: usize = 20_000;

fn options(data: &Path, shards: usize, snapshot_segments: u64) -> EngineOptions {
    // Not packed: files are damaged by their names here.
    EngineOptions { shards, snapshot_segments, state_hash: true, pack_segments: false, ..EngineOptions::new(data) }
}

fn rows(request: u128) -> Vec<TransferRow> {
    let row = |at: u128| {
        let number = request * ROWS + at;
        transfer(1_000 + number, 10 + number % ACCOUNTS, 10 + (number * 7 + 1) % ACCOUNTS, 1 + at)
    };
    // An account on both sides is refused before it has a row.
    (0..ROWS).map(row).filter(|row| row.debit != row.credit).collect()
}

async fn begin(engine: &Engine) {
    assert_eq!(register(engine, 1).await.outcome, Outcome::Posted);
    let accounts: Vec<(u128, Option<i128>)> =
        (10..10 + ACCOUNTS).map(|account| (account, (account % 4 == 0).then_some(0))).collect();
    assert!(open(engine, &accounts).await.all_posted());
}

/// Posts requests until so many snapshots were made since the start, and gives the number of the next request.
async fn post_until(engine: &Engine, mut request: u128, made: u64) -> u128 {
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        if now.snapshots_made >= made {
            assert!(now.snapshot_frame > 0 && now.snapshot_bytes > 0);
            return request;
        }
        // The thread has the lowest priority: no more is sealed than it can fold.
        if now.segments_sealed < now.snapshot_folded + 3 {
            post(engine, &rows(request)).await;
            request += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    panic!("no snapshot is made");
}

/// A ledger with snapshots in it and some frames behind the newest; the number of its requests.
fn ledger_with_snapshots(data: &Path) -> u128 {
    new_ledger(data, SEGMENT_BYTES);
    run(async {
        let Started { engine, report } = start(options(data, 1, 2)).await.expect("a start");
        assert!(report.snapshot.is_none() && report.snapshots_refused.is_empty());
        begin(&engine).await;
        let mut request = post_until(&engine, 0, 3).await;
        for _ in 0..5 {
            post(&engine, &rows(request)).await;
            request += 1;
        }
        engine.stop().await.expect("a clean stop");
        request
    })
}

fn start_once(data: &Path, shards: usize) -> StartReport {
    run(async {
        let Started { engine, report } = start(options(data, shards, 0)).await.expect("a start");
        engine.stop().await.expect("a clean stop");
        report
    })
}

fn start_error(data: &Path) -> String {
    run(async { start(options(data, 1, 0)).await.err().expect("a refusal").to_string() })
}

/// Folders of the snapshots, oldest first.
fn folders(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("snapshots")).expect("a folder of snapshots");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

#[test]
fn a_start_from_a_snapshot_comes_to_the_state_of_the_log_with_any_number_of_shards() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let requests = ledger_with_snapshots(&data);
    assert_eq!(folders(&data).len(), 2, "the newest and the one that it was made of");
    let alone = folder.path().join("alone");
    copy(&data, &alone);
    std::fs::remove_dir_all(alone.join("snapshots")).expect("snapshots to remove");
    let expected = start_once(&alone, 1);
    assert!(expected.snapshot.is_none());
    for shards in [1, 2, 5] {
        let report = start_once(&data, shards);
        let base = report.snapshot.expect("a snapshot to start from");
        assert!(base.frame < report.log.last_frame && base.accounts == ACCOUNTS as u64);
        assert_eq!((report.state_hash, report.ids), (expected.state_hash, expected.ids), "{shards} shards");
        assert!(report.snapshots_refused.is_empty());
    }
    let verified = verify(&data, &mut |_| {}).expect("a good ledger");
    assert_eq!(verified.state_hash, expected.state_hash.expect("asked for"));
    assert!(verified.snapshots.len() == 2 && verified.snapshots.iter().all(|snapshot| snapshot.wrong.is_none()));
    // Ids before the snapshot are known, payments go on, and the next snapshot is made of this one.
    run(async {
        let Started { engine, .. } = start(options(&data, 3, 2)).await.expect("a start");
        for request in [0, 1, requests - 1] {
            assert!(post(&engine, &rows(request)).await.items().all(|result| result.repeat), "request {request}");
        }
        post_until(&engine, requests, 1).await;
        engine.stop().await.expect("a clean stop");
    });
    assert_eq!(folders(&data).len(), 2);
    let report = start_once(&data, 2);
    std::fs::remove_dir_all(data.join("snapshots")).expect("snapshots to remove");
    assert_eq!(report.state_hash, start_once(&data, 1).state_hash);
}

#[test]
fn a_damaged_snapshot_is_left_aside_and_said_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger_with_snapshots(&data);
    let good = start_once(&data, 1);
    let [older, newest] = &folders(&data)[..] else { panic!("two snapshots") };
    let newest_frame = good.snapshot.as_ref().expect("a snapshot").frame;
    let mut damages = 0;
    for name in ["state", "manifest.json"] {
        let file = newest.join(name);
        let bytes = std::fs::read(&file).expect("a file");
        let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
        for at in (0..bytes.len()).step_by(bytes.len() / 40) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            damaged.push((format!("byte {at} of {name} changed"), flipped));
        }
        damaged.push((format!("{name} cut"), bytes[..bytes.len() - 1].to_vec()));
        damaged.push((format!("{name} empty"), Vec::new()));
        damaged.push((format!("{name} longer"), [&bytes[..], &[0; 48]].concat()));
        damaged.push((format!("{name} of the other"), std::fs::read(older.join(name)).expect("a file")));
        for (what, damaged) in damaged {
            std::fs::write(&file, damaged).expect("a file to damage");
            let report = start_once(&data, 2);
            let base = report.snapshot.unwrap_or_else(|| panic!("{what}: the older one is good"));
            let [refused] = &report.snapshots_refused[..] else { panic!("{what}: not said") };
            assert!(base.frame < newest_frame && refused.contains(name), "{what}: {refused}");
            assert_eq!(report.state_hash, good.state_hash, "{what}");
            let verified = verify(&data, &mut |_| {}).expect("a good log").snapshots;
            let [None, Some(wrong)] = [0, 1].map(|at: usize| verified[at].wrong.clone()) else {
                panic!("{what}: not found")
            };
            assert!(wrong.contains(name), "{what}: {wrong}");
            damages += 1;
        }
        std::fs::write(&file, &bytes).expect("the file as it was");
    }
    assert!(damages > 80);
    std::fs::remove_file(newest.join("state")).expect("a file to remove");
    std::fs::remove_file(older.join("state")).expect("a file to remove");
    let report = start_once(&data, 1);
    assert!(report.snapshot.is_none() && report.snapshots_refused.len() == 2, "from the log alone");
    assert_eq!(report.state_hash, good.state_hash);
    // Without a manifest it never was one.
    std::fs::remove_file(newest.join("manifest.json")).expect("a file to remove");
    std::fs::remove_file(older.join("manifest.json")).expect("a file to remove");
    assert!(start_once(&data, 1).snapshots_refused.is_empty());
    run(async {
        let Started { engine, .. } = start(options(&data, 1, 1)).await.expect("a start");
        post_until(&engine, 500, 1).await;
        engine.stop().await.expect("a clean stop");
    });
    assert!(!newest.exists() && !older.exists(), "what was not finished is removed");
}

#[test]
fn a_log_that_ends_before_a_snapshot_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, early) = (folder.path().join("ledger"), folder.path().join("early"));
    new_ledger(&data, SEGMENT_BYTES);
    run(async {
        let Started { engine, .. } = start(options(&data, 1, 0)).await.expect("a start");
        begin(&engine).await;
        post(&engine, &rows(0)).await;
        engine.stop().await.expect("a clean stop");
    });
    copy(&data, &early);
    run(async {
        let Started { engine, .. } = start(options(&data, 1, 1)).await.expect("a start");
        post_until(&engine, 1, 1).await;
        engine.stop().await.expect("a clean stop");
    });
    copy(&data.join("snapshots"), &early.join("snapshots"));
    let error = start_error(&early);
    assert!(error.contains("is a snapshot of durable frames"), "{error}");
    std::fs::remove_dir_all(early.join("snapshots")).expect("snapshots to remove");
    assert!(start_once(&early, 1).snapshot.is_none());
}

#[test]
fn a_snapshot_of_another_log_of_the_ledger_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    new_ledger(&one, SEGMENT_BYTES);
    run(async {
        let Started { engine, .. } = start(options(&one, 1, 0)).await.expect("a start");
        begin(&engine).await;
        engine.stop().await.expect("a clean stop");
    });
    copy(&one, &other);
    // Both go on, each in its own way: what no one should do.
    for (data, first) in [(&one, 0), (&other, 1_000)] {
        run(async {
            let Started { engine, .. } = start(options(data, 1, 1)).await.expect("a start");
            let next = post_until(&engine, first, 2).await;
            for request in next..next + 200 {
                post(&engine, &rows(request)).await;
            }
            engine.stop().await.expect("a clean stop");
        });
    }
    std::fs::remove_dir_all(one.join("snapshots")).expect("snapshots to remove");
    copy(&other.join("snapshots"), &one.join("snapshots"));
    let verified = verify(&one, &mut |_| {}).expect("a good log").snapshots;
    assert!(verified.iter().all(|snapshot| snapshot.wrong.as_ref().is_some_and(|wrong| wrong.contains("another log"))));
    let error = start_error(&one);
    assert!(error.contains("is of another log"), "{error}");
}

#[test]
fn a_start_reads_only_what_snapshot_and_runs_do_not_know_unless_all_is_to_be_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let requests = ledger_with_snapshots(&data);
    // Until the ids of all that is sealed are in runs.
    run(async {
        let Started { engine, .. } = start(options(&data, 1, 0)).await.expect("a start");
        let mut looks = 0;
        while {
            let now = stats(&engine).await;
            now.id_run_segment < now.segments_sealed || now.segments_sealed == 0
        } {
            looks += 1;
            assert!(looks < LOOKS_MAX, "ids are not moved to runs");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        engine.stop().await.expect("a clean stop");
    });
    let all = EngineOptions { check_all: true, ..options(&data, 1, 0) };
    let checked = run(async {
        let Started { engine, report } = start(all.clone()).await.expect("a start");
        engine.stop().await.expect("a clean stop");
        report
    });
    assert_eq!((checked.log.unread_frames, checked.log.frames), (0, checked.log.last_frame));
    for shards in [1, 3] {
        let report = start_once(&data, shards);
        let base = report.snapshot.as_ref().expect("a snapshot").frame;
        assert!(report.log.unread_frames > 0 && report.log.unread_frames < base);
        assert_eq!(report.log.unread_frames + report.log.frames, report.log.last_frame);
        assert_eq!((report.state_hash, report.ids), (checked.state_hash, checked.ids), "{shards} shards");
    }
    run(async {
        let Started { engine, report } = start(options(&data, 2, 0)).await.expect("a start");
        assert!(report.log.unread_frames > 0);
        for request in [0, 1, requests - 1] {
            assert!(post(&engine, &rows(request)).await.items().all(|result| result.repeat), "request {request}");
        }
        engine.stop().await.expect("a clean stop");
    });
    // Without runs of ids, or without a snapshot, nothing is known.
    for derived in ["ids", "snapshots"] {
        let alone = folder.path().join(derived);
        copy(&data, &alone);
        std::fs::remove_dir_all(alone.join(derived)).expect("what can be made again");
        assert_eq!(start_once(&alone, 1).log.unread_frames, 0, "without {derived}");
    }
    // What has rotted in the part that is not read stops only who wants to know.
    let segment = data.join("log/0000000002.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[4096 + 300] ^= 1;
    std::fs::write(&segment, bytes).expect("a damaged segment");
    assert_eq!(start_once(&data, 1).state_hash, checked.state_hash);
    let refused = run(async { start(all).await.err().expect("a refusal").to_string() });
    assert!(refused.contains("log/0000000002.seg"), "{refused}");
    assert!(verify(&data, &mut |_| {}).is_err());
}
