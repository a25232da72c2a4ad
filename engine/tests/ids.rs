//! Old ids on disk: whatever is asked of an id gives the same as when it was in memory, and no file is believed that is not what was
//! written. When ids leave memory while requests are under way is judged in the simulator; here each start leaves them to the runs.

mod common;
#[path = "common/derived.rs"]
mod derived;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use derived::*;
use florin_core::entry::PostReply;
use florin_core::outcome::Outcome;
use florin_core::request::*;
use florin_engine::{Command, Engine, EngineOptions, Reply, StartReport, Started, start, verify};
use zerocopy::{FromZeros, IntoBytes};

const SEGMENT_BYTES: u64 = 64 << 10;
const ACCOUNTS: u128 = 40;
const ROWS: u128 = 50;
const LOOKS_MAX: usize = 20_000;
/// Bytes of a block of a run, and of what the first one says.
const BLOCK: usize = 4096;
const HEADER_FIELDS: usize = 160;
/// Ids of one request in a row are far from those of the next: as those of different clients are.
const APART: u128 = 1 << 100;

fn options(data: &Path, shards: usize) -> EngineOptions {
    EngineOptions { shards, snapshot_segments: 0, state_hash: true, ..EngineOptions::new(data) }
}

fn id_of(request: u128, at: u128) -> u128 {
    request % 7 * APART + 1_000 + request * ROWS + at
}

fn rows(request: u128) -> Vec<TransferRow> {
    let row = |at: u128| {
        let (debit, credit) = (10 + (request + at) % ACCOUNTS, 10 + (request + at * 7 + 1) % ACCOUNTS);
        transfer(id_of(request, at), debit, credit, 1 + at)
    };
    (0..ROWS).map(row).filter(|row| row.debit != row.credit).collect()
}

/// One item that names another transaction, or a hold on two accounts.
async fn item(engine: &Engine, kind: ItemKind, id: u128, link: u128) -> ItemResult {
    let mut row = ItemRow::new_zeroed();
    (row.id, row.link, row.kind) = (id.into(), link.into(), kind as u8);
    let mut payload = Vec::new();
    let mut postings: Vec<PostingRow> = Vec::new();
    if kind == ItemKind::Hold {
        for (account, side) in [(10u128, 0), (11, 1)] {
            let mut posting = PostingRow::new_zeroed();
            (posting.account, posting.amount, posting.asset, posting.side) =
                (account.into(), 5.into(), EUR.into(), side);
            postings.push(posting);
        }
    }
    row.posting_count = (postings.len() as u16).into();
    payload.extend_from_slice(row.as_bytes());
    payload.extend_from_slice(postings.as_bytes());
    let request = PostRequest::parse(INSTITUTION, 0, PostForm::Items, 1, Bytes::from(payload)).expect("an item");
    posted(engine.call(Command::Post { request, want_postings: false }).await).items().next().expect("one result")
}

/// Posts requests until so many runs were made and merged since the start; gives the replies.
async fn post_until(engine: &Engine, mut request: u128, made: u64, merged: u64) -> Vec<PostReply> {
    let mut replies = Vec::new();
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        if now.id_runs_made >= made && now.id_runs_merged >= merged {
            assert!(now.id_runs > 0 && now.id_run_bytes > 0 && now.id_run_memory > 0);
            return replies;
        }
        // The thread has the lowest priority: no more is sealed than it can take.
        if now.segments_sealed < now.id_run_segment + 2 {
            replies.push(post(engine, &rows(request)).await);
            request += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    panic!("no runs of ids are made");
}

const REGISTERED: u128 = 1;
const HOLD: u128 = 5 << 120;
const CAPTURE: u128 = HOLD + 1;
const OPEN_HOLD: u128 = HOLD + 2;

/// A ledger with several runs, among them a merged one, and what its requests were answered.
fn ledger_with_runs(data: &Path) -> Vec<PostReply> {
    new_ledger(data, SEGMENT_BYTES);
    run(async {
        let Started { engine, report } = start(options(data, 1)).await.expect("a start");
        assert!(report.ids_covered == 0 && report.runs_refused.is_empty());
        assert_eq!(register(&engine, REGISTERED).await.outcome, Outcome::Posted);
        let accounts: Vec<(u128, Option<i128>)> = (10..10 + ACCOUNTS).map(|account| (account, None)).collect();
        assert!(open(&engine, &accounts).await.all_posted());
        for (kind, id, link) in
            [(ItemKind::Hold, HOLD, 0), (ItemKind::Hold, OPEN_HOLD, 0), (ItemKind::Capture, CAPTURE, HOLD)]
        {
            assert_eq!(item(&engine, kind, id, link).await.outcome, Outcome::Posted, "{kind:?}");
        }
        let replies = post_until(&engine, 0, 6, 1).await;
        engine.stop().await.expect("a clean stop");
        replies
    })
}

fn start_once(data: &Path, shards: usize) -> StartReport {
    run(async {
        let Started { engine, report } = start(options(data, shards)).await.expect("a start");
        engine.stop().await.expect("a clean stop");
        report
    })
}

/// Files of the runs, oldest first.
fn files(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("ids")).expect("a folder of runs");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn an_id_is_answered_from_runs_as_it_was_from_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let replies = ledger_with_runs(&data);
    for shards in [1, 3] {
        // What the log alone says, of what the turn before has changed too.
        let alone = folder.path().join(format!("alone before {shards} shards"));
        copy(&data, &alone);
        std::fs::remove_dir_all(alone.join("ids")).expect("runs to remove");
        let expected = start_once(&alone, 1);
        assert!(expected.ids_covered == 0 && expected.ids_recent as u64 == expected.ids);
        run(async {
            let Started { engine, report } = start(options(&data, shards)).await.expect("a start");
            assert_eq!((report.ids, report.state_hash), (expected.ids, expected.state_hash));
            assert!(report.ids_covered > 500 && (report.ids_recent as u64) < report.ids / 2, "{report:?}");
            for (request, reply) in replies.iter().enumerate() {
                let rows = rows(request as u128);
                let again = post(&engine, &rows).await;
                for ((before, after), row) in reply.items().zip(again.items()).zip(&rows) {
                    assert_eq!(
                        after,
                        ItemResult { repeat: true, ..before },
                        "request {request}, id {:#x}",
                        row.id.get()
                    );
                }
                assert_eq!(again.postings, reply.postings, "request {request}");
            }
            let mut other = rows(0);
            other[3].amount = 77.into();
            let result = post(&engine, &other[3..4]).await.items().next().expect("one result");
            assert_eq!(result.outcome, Outcome::IdUsedWithOtherFields);
            assert!(register(&engine, REGISTERED).await.repeat);
            // A hold that was captured, by the same id and by others; one that is open; one that never was.
            assert!(item(&engine, ItemKind::Capture, CAPTURE, HOLD).await.repeat);
            let more = (shards as u128) << 110;
            assert_eq!(item(&engine, ItemKind::Capture, more + 1, HOLD).await.outcome, Outcome::HoldClosed);
            assert_eq!(item(&engine, ItemKind::Release, more + 2, HOLD + 9).await.outcome, Outcome::HoldUnknown);
            let opened = item(&engine, ItemKind::Release, more + 3, OPEN_HOLD).await.outcome;
            assert_eq!(opened, if shards == 1 { Outcome::Posted } else { Outcome::HoldClosed });
            // Originals, which are read from the log.
            let original = id_of(shards as u128, 2);
            assert_eq!(item(&engine, ItemKind::Reverse, more + 4, original).await.outcome, Outcome::Posted);
            assert_eq!(item(&engine, ItemKind::Reverse, more + 5, HOLD).await.outcome, Outcome::OriginalNotReversible);
            assert_eq!(item(&engine, ItemKind::Reverse, more + 6, HOLD + 9).await.outcome, Outcome::OriginalUnknown);
            let ids = vec![HOLD, id_of(0, 3), HOLD + 9, id_of(1, 4)];
            let Reply::Transactions { transactions, .. } =
                engine.call(Command::LookUpTransactions { institution: INSTITUTION, ids: ids.clone() }).await
            else {
                panic!("expected transactions")
            };
            let found: Vec<Option<u128>> = transactions.iter().map(|found| found.as_ref().map(|t| t.id)).collect();
            assert_eq!(found, [Some(ids[0]), Some(ids[1]), None, Some(ids[3])]);
            engine.stop().await.expect("a clean stop");
        });
        let runs = verify(&data, &mut |_| {}).expect("a good ledger").runs;
        assert!(runs.len() > 1 && runs.iter().all(|run| run.wrong.is_none()), "{runs:?}");
    }
}

#[test]
fn a_damaged_run_is_left_aside_said_so_and_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger_with_runs(&data);
    let good = start_once(&data, 1);
    let file = files(&data).remove(0);
    let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_string();
    let bytes = std::fs::read(&file).expect("a file");
    let entries = entries_of(&bytes);
    // Behind the header, entries are checked when they are read: the rest at each start.
    let checked_from = BLOCK * (1 + entries.div_ceil(255) as usize);
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    let in_header = (0..HEADER_FIELDS).step_by(9).chain((HEADER_FIELDS..BLOCK).step_by(601));
    for at in in_header.chain((checked_from..bytes.len()).step_by(6_007)) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        damaged.push((format!("byte {at} changed"), flipped));
    }
    damaged.push(("cut".into(), bytes[..bytes.len() - 1].to_vec()));
    damaged.push(("empty".into(), Vec::new()));
    damaged.push(("longer".into(), [&bytes[..], &[0; BLOCK]].concat()));
    damaged.push(("of others".into(), std::fs::read(&files(&data)[1]).expect("a file")));
    for (what, damaged) in damaged {
        std::fs::write(&file, damaged).expect("a file to damage");
        let copied = folder.path().join("copy");
        copy(&data, &copied);
        let wrong = verify(&copied, &mut |_| {}).expect("a good log").runs.remove(0).wrong;
        assert!(wrong.is_some_and(|wrong| wrong.contains(&name)), "{what}");
        let report = start_once(&copied, 1);
        assert!(report.runs_refused.first().is_some_and(|refused| refused.contains(&name)), "{what}: {report:?}");
        assert_eq!((report.ids, report.state_hash), (good.ids, good.state_hash), "{what}");
        assert!(report.ids_covered < good.ids_covered, "{what}");
        std::fs::remove_dir_all(&copied).expect("a copy to remove");
    }
    // It is made again, and answers as before.
    run(async {
        let Started { engine, .. } = start(options(&data, 1)).await.expect("a start");
        for _ in 0..LOOKS_MAX {
            let now = stats(&engine).await;
            if now.segments_sealed > 0 && now.id_run_segment == now.segments_sealed {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        engine.stop().await.expect("a clean stop");
    });
    let again = start_once(&data, 1);
    assert!(again.runs_refused.is_empty() && again.ids_covered >= good.ids_covered);
    assert_eq!((again.ids, again.state_hash), (good.ids, good.state_hash));
}

/// Damages each block of entries of a run.
fn rot_entries(file: &Path) {
    let mut bytes = std::fs::read(file).expect("a file");
    let entries = entries_of(&bytes);
    for block in 1..=entries.div_ceil(255) as usize {
        bytes[block * BLOCK + 100 + block] ^= 1;
    }
    // In place, as a disk does it: whoever has the file open sees it too.
    std::fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|f| f.write_all_at(&bytes, 0))
        .expect("a file to damage");
}

/// The first run, a merged one, of which the hold and its end are: once no run is to be made or merged, so that it stays.
async fn first_of_settled(engine: &Engine, data: &Path) -> PathBuf {
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        let runs: Vec<PathBuf> =
            files(data).into_iter().filter(|file| file.extension().is_some_and(|end| end == "run")).collect();
        let entries: Vec<u64> =
            runs.iter().map_while(|run| std::fs::read(run).ok()).map(|run| entries_of(&run)).collect();
        // As the keeper decides: four or more, of which those behind one are together as large as it.
        let merges = |at: usize| entries.len() - at >= 4 && entries[at + 1..].iter().sum::<u64>() >= entries[at];
        let is_settled = entries.len() == runs.len() && !(0..entries.len()).any(merges);
        if is_settled && now.segments_sealed > 0 && now.id_run_segment == now.segments_sealed {
            return runs.into_iter().next().expect("a run");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("runs are made and merged without an end");
}

fn entries_of(run: &[u8]) -> u64 {
    u64::from_le_bytes(run[112..120].try_into().expect("eight bytes"))
}

/// Waits until no damaged run is left and so many were made again since the start.
async fn await_remade(engine: &Engine, remade: u64) {
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        if now.id_runs_remade >= remade && now.id_runs_damaged == 0 {
            assert_eq!(now.id_runs_remade, remade, "each once");
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no run is made again");
}

#[test]
fn a_run_that_rots_gives_no_wrong_answer_and_is_made_again_while_the_engine_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("ledger");
    let replies = ledger_with_runs(&made);
    for with_indexes in [true, false] {
        let data = folder.path().join(format!("indexes {with_indexes}"));
        copy(&made, &data);
        if !with_indexes {
            let log =
                std::fs::read_dir(data.join("log")).expect("a folder").map(|entry| entry.expect("an entry").path());
            let indexes = log.filter(|path| path.extension().is_some_and(|ending| ending == "idx"));
            indexes.for_each(|path| std::fs::remove_file(path).expect("an index to remove"));
        }
        run(async {
            let options = EngineOptions { build_indexes: with_indexes, ..options(&data, 1) };
            let Started { engine, report } = start(options).await.expect("a start");
            assert!(report.runs_refused.is_empty());
            while with_indexes && stats(&engine).await.segments_indexed < stats(&engine).await.segments_sealed {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for round in 0..3u128 {
                rot_entries(&first_of_settled(&engine, &data).await);
                // The first question that needs it finds it damaged; each is answered as if nothing were.
                let more = (round + 1) << 112;
                match round {
                    0 => assert!(item(&engine, ItemKind::Capture, CAPTURE, HOLD).await.repeat),
                    1 => {
                        let refused = item(&engine, ItemKind::Capture, more + 1, HOLD).await;
                        assert_eq!(refused.outcome, Outcome::HoldClosed);
                    }
                    _ => {
                        let reversed = item(&engine, ItemKind::Reverse, more + 2, id_of(0, 2)).await;
                        assert_eq!(reversed.outcome, Outcome::Posted);
                    }
                }
                for (request, reply) in replies.iter().enumerate() {
                    let again = post(&engine, &rows(request as u128)).await;
                    for (before, after) in reply.items().zip(again.items()) {
                        assert_eq!(after, ItemResult { repeat: true, ..before }, "request {request}");
                    }
                    assert_eq!(again.postings, reply.postings, "request {request}");
                }
                let mut other = rows(0);
                other[3].amount = 77.into();
                let result = post(&engine, &other[3..4]).await.items().next().expect("one result");
                assert_eq!(result.outcome, Outcome::IdUsedWithOtherFields);
                assert_eq!(item(&engine, ItemKind::Release, more + 3, HOLD + 9).await.outcome, Outcome::HoldUnknown);
                await_remade(&engine, round as u64 + 1).await;
            }
            engine.stop().await.expect("a clean stop");
        });
        let report = start_once(&data, 1);
        assert!(report.runs_refused.is_empty() && report.ids_covered > 500, "{report:?}");
        std::fs::remove_dir_all(data.join("ids")).expect("runs to remove");
        let alone = start_once(&data, 1);
        assert_eq!((report.ids, report.state_hash), (alone.ids, alone.state_hash), "what the log alone says");
    }
}

#[test]
fn a_merge_that_meets_a_damaged_run_has_it_made_again_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let replies = ledger_with_runs(&data);
    rot_entries(&files(&data).pop().expect("a run"));
    run(async {
        let Started { engine, report } = start(options(&data, 1)).await.expect("a start");
        assert!(report.runs_refused.is_empty());
        post_until(&engine, 1_000, 0, 1).await;
        await_remade(&engine, 1).await;
        for (request, reply) in replies.iter().enumerate() {
            let again = post(&engine, &rows(request as u128)).await;
            assert_eq!(again.postings, reply.postings, "request {request}");
            assert!(again.items().all(|item| item.repeat), "request {request}");
        }
        engine.stop().await.expect("a clean stop");
    });
    assert!(start_once(&data, 1).runs_refused.is_empty());
}

#[test]
fn runs_of_another_log_and_of_more_than_there_is_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (early, one, other) = (folder.path().join("early"), folder.path().join("one"), folder.path().join("other"));
    new_ledger(&early, SEGMENT_BYTES);
    run(async {
        let Started { engine, .. } = start(options(&early, 1)).await.expect("a start");
        assert_eq!(register(&engine, REGISTERED).await.outcome, Outcome::Posted);
        let accounts: Vec<(u128, Option<i128>)> = (10..10 + ACCOUNTS).map(|account| (account, None)).collect();
        assert!(open(&engine, &accounts).await.all_posted());
        engine.stop().await.expect("a clean stop");
    });
    copy(&early, &one);
    copy(&early, &other);
    // Both go on, each in its own way: what no one should do.
    for (data, first) in [(&one, 0), (&other, 1_000)] {
        run(async {
            let Started { engine, .. } = start(options(data, 1)).await.expect("a start");
            let replies = post_until(&engine, first, 2, 0).await;
            // Behind what the runs cover, so that neither log ends before the runs of the other.
            for request in 0..200 {
                post(&engine, &rows(first + replies.len() as u128 + request)).await;
            }
            engine.stop().await.expect("a clean stop");
        });
    }
    copy(&one.join("ids"), &early.join("ids"));
    let is_foreign = |data: &Path| verify(data, &mut |_| {}).expect("a good log").runs.iter().all(|run| run.foreign);
    assert!(is_foreign(&early));
    let error = start_error(&early);
    assert!(error.contains("a run in ids/ is of durable frames"), "{error}");
    std::fs::remove_dir_all(one.join("ids")).expect("runs to remove");
    copy(&other.join("ids"), &one.join("ids"));
    assert!(is_foreign(&one));
    let error = start_error(&one);
    assert!(error.contains("ids/") && error.contains("is of another log"), "{error}");
}

fn start_error(data: &Path) -> String {
    run(async { start(options(data, 1)).await.err().expect("a refusal").to_string() })
}
