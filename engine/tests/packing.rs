//! Lone payments whose segments are packed while the ledger is used: every answer is the same before, meanwhile and after a restart,
//! and so is the state.

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use florin_core::entry::{Order, Span};
use florin_core::outcome::Outcome;
use florin_core::request::TransferRow;
use florin_engine::{Command, Engine, EngineOptions, EngineStats, Reply, Started, back_up, restore, start, verify};

const ACCOUNTS: u128 = 9;
const LOOKS_MAX: usize = 20_000;
/// Rounds of reads beside the packing at most.
const ROUNDS_MAX: usize = 1_000;

fn options(data: &Path, pack_segments: bool) -> EngineOptions {
    EngineOptions { pack_segments, snapshot_segments: 3, state_hash: true, ..EngineOptions::new(data) }
}

fn payment(number: u128) -> TransferRow {
    transfer(1_000 + number, 10 + number % ACCOUNTS, 10 + (number + 1) % ACCOUNTS, 1 + number)
}

async fn stats(engine: &Engine) -> EngineStats {
    let Reply::Stats(stats) = engine.call(Command::Stats).await else { panic!("expected figures") };
    *stats
}

/// What is asked of history: whole statements and transactions, as text.
async fn answers(engine: &Engine, payments: u128) -> Vec<String> {
    let mut answers = Vec::new();
    for account in 10..10 + ACCOUNTS {
        let mut from = None;
        loop {
            let (institution, span, order) = (INSTITUTION, Span::All, Order::Oldest);
            let command = Command::Statement { institution, account, span, order, from, limit: 40 };
            let Reply::Statement(Some(page)) = engine.call(command).await else { panic!("expected a statement") };
            answers.push(format!("{:?}", page.entries));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    let ids: Vec<u128> = (0..payments).map(|number| 1_000 + number).collect();
    for ids in ids.chunks(50) {
        let command = Command::LookUpTransactions { institution: INSTITUTION, ids: ids.to_vec() };
        let Reply::Transactions { transactions, .. } = engine.call(command).await else { panic!("expected rows") };
        assert!(transactions.iter().all(Option::is_some));
        answers.push(format!("{transactions:?}"));
    }
    answers
}

async fn repeats(engine: &Engine, payments: u128) {
    for number in (0..payments).step_by(7) {
        let reply = post(engine, &[payment(number)]).await;
        assert!(reply.items().all(|result| result.repeat && result.outcome == Outcome::Posted));
    }
}

fn log_files(data: &Path, end: &str) -> usize {
    let names =
        std::fs::read_dir(data.join("log")).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().ends_with(end)).count()
}

#[test]
fn lone_payments_are_packed_beside_all_that_reads_them_and_nothing_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, backup, restored] = ["ledger", "backup", "restored"].map(|name| folder.path().join(name));
    new_ledger(&data, 64 << 10);
    let payments = 260;
    let before = run(async {
        let Started { engine, .. } = start(options(&data, false)).await.expect("a start");
        assert_eq!(register(&engine, 1).await.outcome, Outcome::Posted);
        let accounts: Vec<(u128, Option<i128>)> = (10..10 + ACCOUNTS).map(|account| (account, None)).collect();
        assert!(open(&engine, &accounts).await.all_posted());
        for number in 0..payments {
            assert!(post(&engine, &[payment(number)]).await.all_posted());
        }
        let before = answers(&engine, payments).await;
        engine.stop().await.expect("a clean stop");
        before
    });
    let state = verify(&data, &mut |_| {}).expect("a good ledger").state_hash;
    assert_eq!(log_files(&data, ".pack"), 0, "nothing was packed");
    back_up(&data, &backup).expect("a backup of the raw log");
    let raw = log_files(&data, ".seg");
    let mut rounds = 0;
    run(async {
        let Started { engine, report } = start(options(&data, true)).await.expect("a start");
        assert_eq!((report.state_hash, report.log.packs), (Some(state), 0));
        // Everything is read at least once beside the packing, and once when it is done.
        loop {
            let figures = stats(&engine).await;
            let (from, to) = (data.clone(), backup.clone());
            let copying = tokio::task::spawn_blocking(move || back_up(&from, &to).expect("a backup beside packing"));
            assert!(answers(&engine, payments).await == before, "round {rounds}, {figures:?}");
            repeats(&engine, payments).await;
            copying.await.expect("a thread");
            rounds += 1;
            if figures.segments_packed > 10 && figures.pack_bytes_saved > 0 && figures.id_runs > 0 && rounds > 2 {
                assert!(figures.packs > 0 && figures.packs < figures.segments_packed);
                break;
            }
            assert!(rounds < ROUNDS_MAX, "nothing is packed");
            tokio::time::sleep(Duration::from_millis(1)).await; // The packer has the lowest priority.
        }
        engine.stop().await.expect("a clean stop");
    });
    assert!(log_files(&data, ".seg") + 10 < raw && log_files(&data, ".new") == 0);
    let verified = verify(&data, &mut |_| {}).expect("a good ledger");
    assert_eq!(verified.state_hash, state);
    assert!(verified.log.packs > 0 && verified.log.packed_segments > 10);
    assert!(!verified.runs.is_empty() && verified.runs.iter().all(|run| run.wrong.is_none()), "{:?}", verified.runs);
    // The backup that began with raw segments has the packs instead, and gives a ledger that goes on.
    back_up(&data, &backup).expect("a backup of the packed log");
    assert_eq!(log_files(&backup, ".pack"), log_files(&data, ".pack"));
    restore(&backup, &data.join("keys"), &restored).expect("restored");
    for data in [&data, &restored] {
        run(async {
            let Started { engine, report } = start(options(data, true)).await.expect("a start");
            assert_eq!(report.state_hash, Some(state));
            assert!(report.log.packs > 0);
            assert!(answers(&engine, payments).await == before);
            repeats(&engine, payments).await;
            assert!(post(&engine, &[payment(payments)]).await.all_posted());
            engine.stop().await.expect("a clean stop");
        });
        // Indexes are derived from packs as they are from raw segments.
        for entry in std::fs::read_dir(data.join("log")).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "idx") {
                std::fs::remove_file(path).expect("an index to remove");
            }
        }
        run(async {
            let Started { engine, .. } = start(options(data, true)).await.expect("a start");
            let mut looks = 0;
            while {
                let now = stats(&engine).await;
                now.segments_indexed < now.segments_sealed
            } {
                looks += 1;
                assert!(looks < LOOKS_MAX, "the indexes are not built");
                tokio::time::sleep(Duration::from_millis(1)).await; // So has the builder.
            }
            let now = answers(&engine, payments + 1).await;
            assert_eq!(now.len(), before.len());
            repeats(&engine, payments + 1).await;
            engine.stop().await.expect("a clean stop");
        });
    }
}
