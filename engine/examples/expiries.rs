//! Holds that all expire in the same second, and payments that go on beside them: how long the expiries take, and what the
//! payments feel of it. In process, durable, on a folder of its own.
//!
//! `cargo run --release -p florin-engine --example expiries -- [HOLDS] [FOLDER]`

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::request::*;
use florin_engine::{Command, Engine, EngineOptions, EngineStats, Reply, Started, start, verify};
use florin_wal::{LedgerOptions, create_ledger};
use hdrhistogram::Histogram;
use zerocopy::{FromZeros, IntoBytes};

const EUR: u32 = 978;
const ACCOUNTS: u128 = 10_000;
const BATCH: usize = 5_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let holds: usize = arguments.next().map_or(1_000_000, |n| n.parse().expect("a number of holds"));
    let data = arguments.next().map_or_else(|| std::env::temp_dir().join("florin-expiries"), PathBuf::from);
    assert!(!data.exists(), "{} exists: remove it, or name another folder", data.display());
    create_ledger(&data, &LedgerOptions { segment_bytes: 64 << 20, created_unix_ns: 0 }).expect("a new ledger");
    actix_rt::System::new().block_on(run(&data, holds));
    let report = verify(&data, &mut |_| {}).expect("books that add up");
    println!("verify: {} rows posted, {} entries: everything adds up", report.posted, report.entries);
    std::fs::remove_dir_all(&data).expect("the folder can be removed");
}

async fn run(data: &Path, holds: usize) {
    let Started { engine, .. } = start(EngineOptions::new(data)).await.expect("a start");
    prepare(&engine).await;
    // All of them are due in one second, far enough ahead to place them and to look at payments alone.
    let due = seconds() + 8 + holds as u64 / 100_000;
    let placing = Instant::now();
    for first in (0..holds).step_by(BATCH) {
        let timeout = due.checked_sub(seconds()).expect("holds are placed before they are due") as u32;
        let ids = first..holds.min(first + BATCH);
        let rows: Vec<TransferRow> = ids.map(|at| row(at as u128 + 1, ItemKind::Hold, timeout)).collect();
        post(&engine, &rows).await;
    }
    let open = stats(&engine).await.holds;
    let took = placing.elapsed().as_secs_f64();
    println!("{open} holds placed in {took:.1} s, all due within the same second");
    let stop = Rc::new(Cell::new(false));
    let alone = actix_rt::spawn(pay(engine.clone(), 1 << 100, stop.clone()));
    while stats(&engine).await.holds == open {
        actix_rt::task::yield_now().await;
    }
    let begun = Instant::now();
    stop.set(true);
    println!("one payment at a time, before: {}", alone.await.expect("payments"));
    let stop = Rc::new(Cell::new(false));
    let beside = actix_rt::spawn(pay(engine.clone(), 1 << 101, stop.clone()));
    while stats(&engine).await.holds > 0 {
        actix_rt::task::yield_now().await;
    }
    let took = begun.elapsed().as_secs_f64();
    stop.set(true);
    println!("all have expired {took:.2} s later: {:.0} a second", open as f64 / took);
    println!("one payment at a time, beside them: {}", beside.await.expect("payments"));
    engine.stop().await.expect("a clean stop");
}

/// Pays, one transfer after the other, until it is told to stop. Gives what the payments felt.
async fn pay(engine: Engine, first_id: u128, stop: Rc<Cell<bool>>) -> String {
    let mut us: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000, 3).expect("constant bounds");
    let mut id = first_id;
    while !stop.get() {
        let asked = Instant::now();
        post(&engine, &[row(id, ItemKind::Post, 0)]).await;
        us.saturating_record(asked.elapsed().as_micros() as u64);
        id += 1;
    }
    let at = |quantile: f64| us.value_at_quantile(quantile) as f64 / 1_000.0;
    let (p50, p99, max) = (at(0.5), at(0.99), us.max() as f64 / 1_000.0);
    format!("{} payments, p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.2} ms", us.len())
}

async fn prepare(engine: &Engine) {
    let record = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 }).canonical();
    let request = ControlRequest { institution: 1, principal: 0, id: u128::MAX, record: record.into() };
    accepted(engine.call(Command::Control(request)).await);
    let accounts: Vec<u128> = (1..=ACCOUNTS).collect();
    for chunk in accounts.chunks(5_000) {
        let open = |account: &u128| {
            let mut row = AccountRow::new_zeroed();
            (row.account, row.asset, row.limit_flags) = ((*account).into(), EUR.into(), NO_FLOOR);
            row
        };
        let rows: Vec<AccountRow> = chunk.iter().map(open).collect();
        let request = OpenRequest::parse(1, 0, rows.len() as u32, rows.as_bytes().to_vec().into()).expect("rows");
        accepted(engine.call(Command::Open(request)).await);
    }
}

fn row(id: u128, kind: ItemKind, timeout: u32) -> TransferRow {
    let mut row = TransferRow::new_zeroed();
    let debit = id % ACCOUNTS + 1;
    (row.id, row.debit, row.credit) = (id.into(), debit.into(), (debit % ACCOUNTS + 1).into());
    (row.amount, row.asset, row.kind, row.timeout) = (100.into(), EUR.into(), kind as u8, timeout.into());
    row
}

async fn post(engine: &Engine, rows: &[TransferRow]) {
    let payload = rows.as_bytes().to_vec().into();
    let request = PostRequest::parse(1, 0, PostForm::Transfers, rows.len() as u32, payload).expect("rows");
    accepted(engine.call(Command::Post { request, want_postings: false }).await);
}

fn accepted(reply: Reply) {
    match reply {
        Reply::Posted(reply) if reply.all_posted() => {}
        other => panic!("not accepted: {other:?}"),
    }
}

async fn stats(engine: &Engine) -> EngineStats {
    match engine.call(Command::Stats).await {
        Reply::Stats(stats) => *stats,
        other => panic!("no figures: {other:?}"),
    }
}

/// Seconds since 1970-01-01.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(Duration::ZERO, |since| since).as_secs()
}
