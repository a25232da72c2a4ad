//! Starts the engine on a history, measures what its ids cost, and compares each answer with what must come of it.

use std::path::Path;
use std::time::Instant;

use florin_core::limits::REQUEST_ITEMS_MAX;
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, TransferRow};
use florin_engine::{Command, Engine, Started, start};

use super::history::{Order, request, transfer};
use super::make::{FIRST_ROW, await_runs, posted};
use super::times::Times;
use super::{History, Tally, options, stats};
use crate::rng::Rng;

/// Ids of a request of old ones: each is a row of the log to read.
const OLD_IDS: usize = 1_000;

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Full requests of new ids, of each kind.
    pub full: usize,
    /// Requests of old ids.
    pub old: usize,
    /// Requests of one id, of each kind.
    pub single: usize,
}

/// For figures.
pub const SAMPLES: Samples = Samples { full: 40, old: 20, single: 3_000 };

struct Asker<'a> {
    engine: &'a Engine,
    history: &'a History,
    rng: Rng,
    tally: Tally,
    /// Number of the next new transfer, and the row that it gets.
    next: u64,
    row: u64,
}

/// Measures, prints a table, and says how many answers were right.
pub fn measure(data: &Path, history: &History, samples: &Samples) -> Tally {
    actix_rt::System::new().block_on(async {
        let Started { engine, report } = start(options(data)).await.expect("a start");
        println!("{} ids, {:?}: started in {:.2} s", history.ids, history.order, report.seconds);
        let mut tally = Tally::default();
        tally.check(report.runs_refused.is_empty(), || format!("runs were left aside: {:?}", report.runs_refused));
        // The one of the asset is an id too.
        tally.check(report.ids == history.ids + 1, || format!("{} ids are known", report.ids));
        await_runs(&engine).await;
        let resident = resident_bytes();
        let now = stats(&engine).await;
        let old = now.ids - now.ids_recent;
        let each = |bytes: u64, ids: u64| bytes as f64 / ids.max(1) as f64;
        println!(
            "{old} ids in {} runs: {} bytes of memory, {:.2} an id; {} bytes of disk, {:.2} an id",
            now.id_runs,
            now.id_run_memory,
            each(now.id_run_memory, old),
            now.id_run_bytes,
            each(now.id_run_bytes, old)
        );
        println!("{} ids in memory; {resident} bytes of the process are resident", now.ids_recent);
        let (next, row) = (history.ids, now.sequence + 1);
        let mut asker = Asker { engine: &engine, history, rng: Rng::part(history.ids, "old ids"), tally, next, row };
        asker.everything(samples).await;
        let tally = asker.tally;
        println!("{} passed, {} failed", tally.passed, tally.failed);
        engine.stop().await.expect("a clean stop");
        tally
    })
}

impl Asker<'_> {
    async fn everything(&mut self, samples: &Samples) {
        println!("{}", Times::heads());
        let full = REQUEST_ITEMS_MAX;
        self.new_ids("new random ids, full requests", Order::Random, full, samples.full).await;
        self.new_ids("new time-ordered ids, full requests", Order::Time, full, samples.full).await;
        self.new_ids("a new random id", Order::Random, 1, samples.single).await;
        self.new_ids("a new time-ordered id", Order::Time, 1, samples.single).await;
        self.old_ids("old ids, requests of a thousand", OLD_IDS, samples.old, false).await;
        self.old_ids("an old id", 1, samples.single, false).await;
        self.old_ids("old ids with other fields, a thousand", OLD_IDS, samples.old, true).await;
        self.old_ids("an old id with other fields", 1, samples.single, true).await;
    }

    async fn new_ids(&mut self, name: &'static str, order: Order, ids: usize, times: usize) {
        let mut timed = Times::new(name, ids);
        let before = stats(self.engine).await;
        for _ in 0..times {
            let rows: Vec<TransferRow> = (self.next..).take(ids).map(|number| transfer(order, number)).collect();
            self.next += ids as u64;
            for (row, result) in rows.iter().zip(self.post(&mut timed, &rows).await) {
                let right = (result.outcome, result.repeat, result.sequence) == (Outcome::Posted, false, self.row);
                let expected = self.row;
                self.tally.check(right, || format!("new id {:#x}, row {expected}: {result:?}", row.id.get()));
                self.row += 1;
            }
        }
        self.end(timed, &before).await;
    }

    async fn old_ids(&mut self, name: &'static str, ids: usize, times: usize, change: bool) {
        let mut timed = Times::new(name, ids);
        let before = stats(self.engine).await;
        for _ in 0..times {
            let numbers: Vec<u64> = (0..ids).map(|_| self.rng.below(self.history.ids as usize) as u64).collect();
            let mut rows: Vec<TransferRow> = numbers.iter().map(|number| self.history.transfer(*number)).collect();
            if change {
                rows.iter_mut().for_each(|row| row.amount = (row.amount.get() + 1).into());
            }
            for (number, result) in numbers.into_iter().zip(self.post(&mut timed, &rows).await) {
                let right = match change {
                    true => result.outcome == Outcome::IdUsedWithOtherFields && !result.repeat,
                    false => {
                        let found = (result.outcome, result.repeat, result.sequence);
                        found == (Outcome::Posted, true, FIRST_ROW + number)
                    }
                };
                self.tally.check(right, || format!("old transfer {number}, changed: {change}: {result:?}"));
            }
        }
        self.end(timed, &before).await;
    }

    async fn post(&mut self, timed: &mut Times, rows: &[TransferRow]) -> Vec<ItemResult> {
        let command = Command::Post { request: request(rows), want_postings: false };
        let begun = Instant::now();
        let reply = self.engine.call(command).await;
        timed.add(begun.elapsed());
        let results: Vec<ItemResult> = posted(reply).items().collect();
        self.tally.check(results.len() == rows.len(), || format!("{} results of {}", results.len(), rows.len()));
        results
    }

    async fn end(&self, mut timed: Times, before: &florin_engine::EngineStats) {
        let now = stats(self.engine).await;
        let in_vain = now.ids_looked_up_in_vain - before.ids_looked_up_in_vain;
        timed.looked_up(now.ids_looked_up - before.ids_looked_up, in_vain);
        println!("{}", timed.line());
    }
}

/// Bytes of memory that this process has.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
