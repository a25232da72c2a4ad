//! Snapshots that are asked for: they hold everything that was durable, whatever else goes on, and a start goes on from them.

mod common;
#[path = "common/derived.rs"]
mod derived;

use std::path::Path;

use common::*;
use derived::*;
use florin_core::request::TransferRow;
use florin_engine::{Command, Engine, EngineOptions, Reply, SnapshotReport, Started, start, verify};
use tokio::sync::oneshot;

const SEGMENT_BYTES: u64 = 64 << 10;
const ACCOUNTS: u128 = 40;
const ROWS: u128 = 50;

fn options(data: &Path, shards: usize, snapshot_segments: u64) -> EngineOptions {
    EngineOptions { shards, snapshot_segments, state_hash: true, ..EngineOptions::new(data) }
}

fn rows(request: u128) -> Vec<TransferRow> {
    let row = |at: u128| {
        let number = request * ROWS + at;
        transfer(1_000 + number, 10 + number % ACCOUNTS, 10 + (number + 1) % ACCOUNTS, 1 + at)
    };
    (0..ROWS).map(row).collect()
}

async fn begin(engine: &Engine) {
    register(engine, 1).await;
    let accounts: Vec<(u128, Option<i128>)> = (10..10 + ACCOUNTS).map(|account| (account, None)).collect();
    assert!(open(engine, &accounts).await.all_posted());
}

fn report(reply: Reply) -> SnapshotReport {
    match reply {
        Reply::Snapshot(Some(report)) => report,
        other => panic!("expected a snapshot, got {other:?}"),
    }
}

async fn ask(engine: &Engine) -> SnapshotReport {
    report(engine.call(Command::Snapshot).await)
}

#[test]
fn a_snapshot_under_load_holds_all_that_was_durable_and_a_start_goes_on_from_it() {
    for every in [0, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("ledger");
        new_ledger(&data, SEGMENT_BYTES);
        let last = run(async {
            let Started { engine, .. } = start(options(&data, 2, every)).await.expect("a start");
            assert!(matches!(engine.call(Command::Snapshot).await, Reply::Snapshot(None)), "the log is empty");
            begin(&engine).await;
            let load = tokio::task::spawn_local({
                let engine = engine.clone();
                async move {
                    for request in 0..120 {
                        assert!(post(&engine, &rows(request)).await.all_posted());
                    }
                }
            });
            let mut asked = 0;
            while !load.is_finished() {
                let durable = stats(&engine).await.frame_durable;
                // Several at a time, each of which has a snapshot that is not older than its question.
                let all = tokio::join!(ask(&engine), ask(&engine), ask(&engine));
                for report in [&all.0, &all.1, &all.2] {
                    assert!(report.frame >= durable, "frame {durable} was durable, the snapshot ends at {report:?}");
                    assert!(report.accounts == ACCOUNTS as u64 && report.bytes > 0 && report.folder.is_absolute());
                }
                asked += 3;
            }
            load.await.expect("posted");
            let figures = stats(&engine).await;
            assert!(asked > 3 && figures.snapshots_made <= asked, "{asked} asked, {} made", figures.snapshots_made);
            // Behind a request of the same caller, without waiting for its answer.
            let (tell, told) = oneshot::channel();
            let more = rows(1_000);
            let behind = tokio::join!(post(&engine, &more), async {
                engine.submit(0, Command::Snapshot, Box::new(move |reply| drop(tell.send(reply))));
                report(told.await.expect("an answer"))
            });
            let sequence = behind.0.items().last().expect("results").sequence;
            assert!(behind.1.sequence >= sequence && behind.1.is_new);
            let sealed = stats(&engine).await.segments_sealed;
            let again = ask(&engine).await;
            assert!(!again.is_new && again.us == 0);
            assert_eq!((again.frame, again.folder), (behind.1.frame, behind.1.folder));
            assert_eq!(stats(&engine).await.segments_sealed, sealed, "nothing is closed for nothing");
            post(&engine, &rows(1_001)).await;
            let next = ask(&engine).await;
            assert!(next.is_new && next.frame > again.frame);
            engine.stop().await.expect("a clean stop");
            next
        });
        let alone = folder.path().join("alone");
        copy(&data, &alone);
        std::fs::remove_dir_all(alone.join("snapshots")).expect("snapshots to remove");
        let once = |data: &Path, shards| {
            run(async {
                let Started { engine, report } = start(options(data, shards, 0)).await.expect("a start");
                assert!(post(&engine, &rows(7)).await.items().all(|result| result.repeat));
                engine.stop().await.expect("a clean stop");
                report
            })
        };
        let expected = once(&alone, 1);
        for shards in [1, 3] {
            let found = once(&data, shards);
            let base = found.snapshot.expect("a snapshot to start from");
            assert_eq!((base.frame, base.sequence, base.bytes), (last.frame, last.sequence, last.bytes));
            assert_eq!((found.state_hash, found.log.last_frame), (expected.state_hash, last.frame));
        }
        // Goes on from there: the next one is made of it.
        run(async {
            let Started { engine, .. } = start(options(&data, 1, every)).await.expect("a start");
            assert!(!ask(&engine).await.is_new);
            assert!(post(&engine, &rows(2_000)).await.all_posted());
            let report = ask(&engine).await;
            assert!(report.is_new && report.frame > last.frame);
            engine.stop().await.expect("a clean stop");
        });
        let verified = verify(&data, &mut |_| {}).expect("a good ledger");
        assert_eq!(verified.snapshots.len(), 2);
        assert!(verified.snapshots.iter().all(|snapshot| snapshot.wrong.is_none()), "{:?}", verified.snapshots);
    }
}

#[test]
fn who_waits_for_a_snapshot_is_answered_when_the_engine_stops_and_when_none_can_be_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    new_ledger(&data, SEGMENT_BYTES);
    run(async {
        let Started { engine, .. } = start(options(&data, 1, 0)).await.expect("a start");
        begin(&engine).await;
        // In the place of the folder of snapshots stands a file.
        std::fs::write(data.join("snapshots"), "dear").expect("a file");
        match engine.call(Command::Snapshot).await {
            Reply::SnapshotFailed(why) => assert!(why.contains("snapshots"), "{why}"),
            other => panic!("expected why not, got {other:?}"),
        }
        assert!(post(&engine, &rows(0)).await.all_posted(), "payments go on");
        std::fs::remove_file(data.join("snapshots")).expect("a file");
        assert!(ask(&engine).await.is_new, "asked again, it is tried at once");
        post(&engine, &rows(1)).await;
        let (asked, stopped) = tokio::join!(engine.call(Command::Snapshot), engine.stop());
        stopped.expect("a clean stop");
        assert!(matches!(asked, Reply::Snapshot(Some(_)) | Reply::Stopping), "{asked:?}");
        assert!(matches!(engine.call(Command::Snapshot).await, Reply::Stopping));
    });
    verify(&data, &mut |_| {}).expect("a good ledger");
}
