//! Makes a history: full requests, a few under way, through the engine into the log; then waits until all that is sealed stands in runs.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::PostReply;
use florin_core::limits::REQUEST_ITEMS_MAX;
use florin_core::request::ControlRequest;
use florin_engine::{Command, Engine, Reply, Started, start};
use florin_wal::{LedgerOptions, create_ledger};
use tokio::sync::oneshot;

use super::history::{ACCOUNTS, ASSET, History, INSTITUTION, opening, request};
use super::{options, stats};

/// Requests under way: more would only wait.
const UNDER_WAY: usize = 4;
/// Row of the first transfer: behind the asset and the accounts.
pub const FIRST_ROW: u64 = 1 + ACCOUNTS + 1;
/// How often to look whether all is in runs.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes the ledger.
pub fn make(data: &Path, history: &History, segment_bytes: u64) {
    create_ledger(data, &LedgerOptions { segment_bytes, created_unix_ns: 0 }).expect("a new ledger");
    actix_rt::System::new().block_on(async {
        let Started { engine, .. } = start(options(data)).await.expect("a start");
        let begun = Instant::now();
        prepare(&engine).await;
        post(&engine, history).await;
        let posted = begun.elapsed();
        await_runs(&engine).await;
        println!(
            "{} transfers posted in {:.1} s; all that is sealed was in runs {:.1} s later",
            history.ids,
            posted.as_secs_f64(),
            (begun.elapsed() - posted).as_secs_f64()
        );
        engine.stop().await.expect("a clean stop");
    });
}

async fn prepare(engine: &Engine) {
    let record = ControlRecord::register(&Asset { number: ASSET, code: "EUR".into(), scale: 2 }).canonical();
    let control = ControlRequest { institution: INSTITUTION, principal: 0, id: 1, record: record.into() };
    for command in [Command::Control(control), Command::Open(opening())] {
        assert!(posted(engine.call(command).await).all_posted(), "a new ledger takes them");
    }
}

async fn post(engine: &Engine, history: &History) {
    let mut under_way: VecDeque<(u64, oneshot::Receiver<Reply>)> = VecDeque::new();
    for from in (0..history.ids).step_by(REQUEST_ITEMS_MAX) {
        if under_way.len() == UNDER_WAY {
            take(under_way.pop_front().expect("a request")).await;
        }
        let upto = history.ids.min(from + REQUEST_ITEMS_MAX as u64);
        let rows: Vec<_> = (from..upto).map(|number| history.transfer(number)).collect();
        let (tell, told) = oneshot::channel();
        let on_reply = Box::new(move |reply| tell.send(reply).expect("somebody waits for it"));
        engine.submit(1, Command::Post { request: request(&rows), want_postings: false }, on_reply);
        under_way.push_back((from, told));
    }
    for each in under_way {
        take(each).await;
    }
}

async fn take((from, told): (u64, oneshot::Receiver<Reply>)) {
    let reply = posted(told.await.expect("an answer"));
    assert!(reply.all_posted(), "transfer {from}: {:?}", reply.runs);
    let first = reply.items().next().expect("a result");
    assert_eq!(first.sequence, FIRST_ROW + from, "rows stand in the order of their numbers");
}

/// Waits until all sealed segments have runs and indexes.
pub async fn await_runs(engine: &Engine) {
    loop {
        let now = stats(engine).await;
        if now.segments_sealed > 0
            && now.id_run_segment == now.segments_sealed
            && now.segments_indexed == now.segments_sealed
        {
            return;
        }
        // Nothing is measured here; who makes them has the lowest priority.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The results of a reply.
pub fn posted(reply: Reply) -> PostReply {
    match reply {
        Reply::Posted(reply) => reply,
        other => panic!("expected results, got {other:?}"),
    }
}
