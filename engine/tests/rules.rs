//! Holds, reversals, account changes and watches through the engine's handle: in one request, over restarts, by the clock.

use std::path::Path;

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::{AccountRecord, PostReply, RowKind, Status, TransactionPage};
use florin_core::outcome::Outcome;
use florin_core::request::*;
use florin_engine::{Command, Engine, EngineOptions, Reply, Started, abort_on_panic, start, verify};
use florin_wal::{LedgerOptions, create_ledger};
use zerocopy::{FromZeros, IntoBytes};

const EUR: u32 = 978;
const SHOP: u128 = 10;
/// May be overdrawn by 1,000.
const ANNA: u128 = 11;
const BEN: u128 = 12;

fn run<F: Future>(future: F) -> F::Output {
    abort_on_panic();
    actix_rt::System::new().block_on(future)
}

async fn started(data: &Path, shards: usize) -> Started {
    start(EngineOptions { shards, state_hash: true, ..EngineOptions::new(data) }).await.expect("a start")
}

fn posted(reply: Reply) -> PostReply {
    match reply {
        Reply::Posted(reply) => reply,
        other => panic!("expected results, got {other:?}"),
    }
}

fn outcomes(reply: &PostReply) -> Vec<Outcome> {
    reply.items().map(|r| r.outcome).collect()
}

async fn control(engine: &Engine, institution: u32, id: u128, record: ControlRecord) -> Outcome {
    let request = ControlRequest { institution, principal: 0, id, record: record.canonical().into() };
    outcomes(&posted(engine.call(Command::Control(request)).await))[0]
}

async fn open(engine: &Engine, institution: u32) -> PostReply {
    let row = |account: u128, floor: i128| {
        let mut row = AccountRow::new_zeroed();
        (row.account, row.floor, row.asset, row.normal_side) = (account.into(), floor.into(), EUR.into(), 1);
        row
    };
    let rows = [row(SHOP, 0), row(ANNA, -1_000), row(BEN, 0)];
    let request = OpenRequest::parse(institution, 0, 3, rows.as_bytes().to_vec().into()).expect("rows");
    posted(engine.call(Command::Open(request)).await)
}

/// A ledger with two institutions that have the same accounts.
async fn prepared(data: &Path, shards: usize) -> Engine {
    create_ledger(data, &LedgerOptions { segment_bytes: 1 << 20, created_unix_ns: 0 }).expect("a new ledger");
    let engine = started(data, shards).await.engine;
    let euro = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 });
    assert_eq!(control(&engine, 1, 1, euro).await, Outcome::Posted);
    assert_eq!(control(&engine, 1, 2, ControlRecord::institution(2, "Other")).await, Outcome::Posted);
    for institution in [1, 2] {
        assert!(open(&engine, institution).await.all_posted());
    }
    engine
}

fn item(id: u128, kind: ItemKind, link: u128, postings: &[(u128, Side, u128)]) -> (ItemRow, Vec<PostingRow>) {
    let mut row = ItemRow::new_zeroed();
    (row.id, row.kind, row.link) = (id.into(), kind as u8, link.into());
    row.posting_count = (postings.len() as u16).into();
    let named = kind.names_postings();
    let posting = |&(account, side, amount): &(u128, Side, u128)| {
        let mut row = PostingRow::new_zeroed();
        row.amount = amount.into();
        match named {
            true => row.index = account as u8,
            false => (row.account, row.side, row.asset) = (account.into(), side as u8, EUR.into()),
        }
        row
    };
    (row, postings.iter().map(posting).collect())
}

/// Reserves, or pays, from one account to another.
fn between(id: u128, kind: ItemKind, from: u128, to: u128, amount: u128) -> (ItemRow, Vec<PostingRow>) {
    item(id, kind, 0, &[(from, Side::Debit, amount), (to, Side::Credit, amount)])
}

/// An amount of both postings of a hold or original.
fn part(id: u128, kind: ItemKind, of: u128, amount: u128) -> (ItemRow, Vec<PostingRow>) {
    item(id, kind, of, &[(0, Side::Debit, amount), (1, Side::Debit, amount)])
}

fn request(institution: u32, items: &[(ItemRow, Vec<PostingRow>)]) -> Command {
    let rows: Vec<ItemRow> = items.iter().map(|(row, _)| *row).collect();
    let postings: Vec<PostingRow> = items.iter().flat_map(|(_, postings)| postings.clone()).collect();
    let payload = [rows.as_bytes(), postings.as_bytes()].concat();
    let request = PostRequest::parse(institution, 0, PostForm::Items, items.len() as u32, payload.into());
    Command::Post { request: request.expect("rows"), want_postings: true }
}

async fn post(engine: &Engine, items: &[(ItemRow, Vec<PostingRow>)]) -> PostReply {
    posted(engine.call(request(1, items)).await)
}

async fn account(engine: &Engine, institution: u32, account: u128) -> AccountRecord {
    match engine.call(Command::LookUpAccounts { institution, ids: vec![account] }).await {
        Reply::Accounts { accounts, .. } => accounts[0].clone().expect("an open account"),
        other => panic!("expected accounts, got {other:?}"),
    }
}

async fn page(engine: &Engine, institution: u32, after: u64, wait_ms: u32) -> TransactionPage {
    match engine.call(Command::Watch { institution, after, limit: 100, wait_ms }).await {
        Reply::TransactionPage(page) => page,
        other => panic!("expected a page, got {other:?}"),
    }
}

#[test]
fn a_hold_lives_and_ends_in_one_request_and_all_of_it_is_there_after_a_restart() {
    for shards in [1, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("ledger");
        let first = run(async {
            let engine = prepared(&data, shards).await;
            use ItemKind::*;
            let items = [
                between(100, Hold, ANNA, SHOP, 900),
                between(101, Post, ANNA, BEN, 200),
                part(102, Capture, 100, 300),
                part(103, Increase, 100, 50),
                item(104, Capture, 100, &[]),
                item(105, Release, 100, &[]),
                between(106, Post, SHOP, BEN, 400),
                part(107, Reverse, 106, 150),
                item(108, Reverse, 106, &[]),
                item(109, Reverse, 107, &[]),
                part(110, Reverse, 104, 650),
                item(111, Capture, 999, &[]),
                item(112, Reverse, 101, &[]),
            ];
            let reply = post(&engine, &items).await;
            let expected = [
                Outcome::Posted,
                Outcome::BelowFloor,
                Outcome::Posted,
                Outcome::Posted,
                Outcome::Posted,
                Outcome::HoldClosed,
                Outcome::Posted,
                Outcome::Posted,
                Outcome::ExceedsOriginal,
                Outcome::OriginalIsReversal,
                Outcome::Posted,
                Outcome::HoldUnknown,
                Outcome::OriginalNotPosted,
            ];
            assert_eq!(outcomes(&reply), expected);
            let (anna, shop) = (account(&engine, 1, ANNA).await, account(&engine, 1, SHOP).await);
            assert_eq!((anna.posted, anna.held, anna.available()), (-300, 0, -300));
            assert_eq!((shop.posted, shop.incoming, shop.version), (50, 0, 7));
            assert_eq!(account(&engine, 2, ANNA).await.version, 0, "the other institution's account");
            let again = post(&engine, &items).await;
            assert!(again.items().all(|r| r.repeat), "{again:?}");
            assert_eq!((outcomes(&again), again.postings), (outcomes(&reply), reply.postings));
            engine.stop().await.expect("a clean stop");
            anna
        });
        let report = verify(&data, &mut |_| {}).expect("books that add up");
        run(async {
            let Started { engine, report: start } = started(&data, 4 - shards).await;
            assert_eq!(start.state_hash, Some(report.state_hash));
            assert_eq!(account(&engine, 1, ANNA).await, first);
            // The originals are now in the log only. The shop has spent the money, so its floor must be forced.
            let (mut forced, postings) = part(120, ItemKind::Reverse, 102, 300);
            forced.flags = FORCED.into();
            let items =
                [part(119, ItemKind::Reverse, 102, 300), (forced, postings), item(121, ItemKind::Reverse, 100, &[])];
            let reply = post(&engine, &items).await;
            let expected = [Outcome::BelowFloor, Outcome::Posted, Outcome::OriginalNotReversible];
            assert_eq!(outcomes(&reply), expected);
            assert_eq!(account(&engine, 1, ANNA).await.posted, 0);
            engine.stop().await.expect("a clean stop");
        });
        verify(&data, &mut |_| {}).expect("books that add up");
    }
}

#[test]
fn requests_of_one_connection_keep_their_order_while_an_original_is_read_from_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    run(async {
        let engine = prepared(&data, 1).await;
        assert!(post(&engine, &[between(100, ItemKind::Post, ANNA, SHOP, 70)]).await.all_posted());
        engine.stop().await.expect("a clean stop");
    });
    run(async {
        let engine = started(&data, 1).await.engine;
        let ask = |origin: u64, command: Command| {
            let (tell, told) = tokio::sync::oneshot::channel();
            engine.submit(origin, command, Box::new(move |reply| tell.send(posted(reply)).expect("the test waits")));
            told
        };
        let told = [
            ask(7, request(1, &[item(101, ItemKind::Reverse, 100, &[])])),
            ask(7, request(1, &[between(102, ItemKind::Post, ANNA, SHOP, 1)])),
            ask(7, request(1, &[item(103, ItemKind::Reverse, 102, &[]), item(104, ItemKind::Reverse, 100, &[])])),
            ask(7, request(1, &[between(105, ItemKind::Post, ANNA, SHOP, 1)])),
            ask(8, request(1, &[between(106, ItemKind::Post, ANNA, SHOP, 1)])),
        ];
        let mut seen = Vec::new();
        for (at, told) in told.into_iter().enumerate() {
            let reply = told.await.expect("an answer");
            seen.extend(reply.items().filter(|_| at < 4).map(|r| (r.outcome, r.sequence)));
        }
        assert!(seen.is_sorted_by_key(|(_, sequence)| *sequence), "{seen:?}");
        let outcomes: Vec<Outcome> = seen.iter().map(|(outcome, _)| *outcome).collect();
        let [posted, too_much] = [Outcome::Posted, Outcome::ExceedsOriginal];
        assert_eq!(outcomes, [posted, posted, posted, too_much, posted]);
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn a_hold_expires_by_the_clock_and_a_watch_sees_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    run(async {
        let engine = prepared(&data, 2).await;
        let (mut row, postings) = between(100, ItemKind::Hold, ANNA, SHOP, 500);
        row.timeout = 1.into();
        let reply = post(&engine, &[(row, postings)]).await;
        let placed = reply.items().next().expect("a result");
        assert_eq!(account(&engine, 1, ANNA).await.available(), -500);
        let mut after = placed.sequence;
        let expiry = loop {
            let page = page(&engine, 1, after, 10_000).await;
            after = page.seen;
            if let Some(first) = page.transactions.into_iter().next() {
                break first;
            }
        };
        assert_eq!((expiry.kind, expiry.id, expiry.link), (RowKind::Expiry, 100, 100));
        assert!(expiry.result.booked_at >= placed.booked_at + 1_000_000_000);
        let anna = account(&engine, 1, ANNA).await;
        assert_eq!((anna.posted, anna.held, anna.version), (0, 0, 2));
        let late = post(&engine, &[item(101, ItemKind::Capture, 100, &[])]).await;
        assert_eq!(outcomes(&late), [Outcome::HoldExpired]);
        let empty = page(&engine, 2, 0, 0).await;
        assert_eq!((empty.transactions.len(), empty.more), (0, false), "the other institution sees nothing");
        engine.stop().await.expect("a clean stop");
    });
    verify(&data, &mut |_| {}).expect("books that add up");
}

#[test]
fn account_changes_are_entries_with_a_reason_and_bind_what_comes_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let change = |id: u128, account: u128, action: Action, edit: &dyn Fn(&mut ChangeRow)| {
        let mut row = ChangeRow::new_zeroed();
        (row.id, row.account, row.action, row.reason_length) = (id.into(), account.into(), action as u8, 5.into());
        edit(&mut row);
        row
    };
    let request = |rows: &[ChangeRow]| {
        let texts: Vec<u8> = rows.iter().flat_map(|_| *b"court").collect();
        let payload = [rows.as_bytes(), &texts].concat();
        Command::Change(ChangeRequest::parse(1, 0, rows.len() as u32, payload.into()).expect("rows"))
    };
    run(async {
        let engine = prepared(&data, 3).await;
        let rows = [
            change(200, ANNA, Action::Status, &|row| row.status = Status::DebitFrozen as u8),
            change(201, BEN, Action::Close, &|_| {}),
            change(202, SHOP, Action::Limits, &|row| (row.sets, row.floor) = (SETS_FLOOR, 5.into())),
            change(203, 999, Action::Close, &|_| {}),
            change(204, SHOP, Action::Reopen, &|_| {}),
        ];
        let reply = posted(engine.call(request(&rows)).await);
        let expected = [
            Outcome::Posted,
            Outcome::Posted,
            Outcome::OutsideLimits,
            Outcome::AccountUnknown,
            Outcome::AccountNotClosed,
        ];
        assert_eq!(outcomes(&reply), expected);
        let again = posted(engine.call(request(&rows)).await);
        assert!(again.items().all(|r| r.repeat) && outcomes(&again) == expected);
        let mut other = rows[0];
        other.status = Status::Frozen as u8;
        let differs = posted(engine.call(request(&[other])).await).items().next().expect("a result");
        assert_eq!((differs.outcome, differs.detail), (Outcome::IdUsedWithOtherFields, Field::Status as u16));
        let (mut forced, postings) = between(101, ItemKind::Post, ANNA, SHOP, 10);
        forced.flags = FORCED.into();
        let items = [
            between(100, ItemKind::Post, ANNA, SHOP, 10),
            (forced, postings),
            between(102, ItemKind::Post, SHOP, BEN, 1),
        ];
        let reply = post(&engine, &items).await;
        assert_eq!(outcomes(&reply), [Outcome::AccountDebitFrozen, Outcome::Posted, Outcome::AccountClosed]);
        let anna = account(&engine, 1, ANNA).await;
        assert_eq!((anna.status, anna.version, anna.posted), (Status::DebitFrozen, 2, -10));
        engine.stop().await.expect("a clean stop");
    });
    verify(&data, &mut |_| {}).expect("books that add up");
}
