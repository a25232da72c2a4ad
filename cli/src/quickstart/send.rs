//! Sends the day through several connections in batches of different sizes, and remembers every answer that came.
//!
//! Connections do not mend themselves here: after a crash the quickstart shows itself what was answered and what was not.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use florin_bench::{Percentiles, report::new_histogram};
use florin_core::outcome::Outcome;
use florin_core::request::ItemResult;
use florin_net::{Client, ClientOptions, Transaction};
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use tokio::task::LocalSet;

use crate::client::client_error;
use crate::error::CliResult;

/// Connections with the number of transactions in each of their requests: checkouts send one, queues some, the back office many.
pub const SENDERS: [(usize, usize); 3] = [(24, 1), (6, 20), (2, 200)];

/// What the day has come to.
pub struct Day {
    /// The transactions.
    pub transactions: Vec<Transaction>,
    /// The answer to each, once it came.
    pub told: Vec<Option<ItemResult>>,
    /// Transactions not sent yet begin here.
    next: usize,
    /// Sent without an answer; they are sent again with the same ids.
    pub unanswered: Vec<Range<usize>>,
    /// Answers so far.
    pub answers: usize,
    /// Time in which requests were under way.
    pub sending: Duration,
    latency: [Histogram<u64>; SENDERS.len()],
}

impl Day {
    /// A day that has not begun.
    pub fn new(transactions: Vec<Transaction>) -> Day {
        let told = vec![None; transactions.len()];
        let latency = SENDERS.map(|_| new_histogram());
        Day { transactions, told, next: 0, unanswered: Vec::new(), answers: 0, sending: Duration::ZERO, latency }
    }

    /// Latencies per kind of sender, with its number of requests.
    pub fn latency(&self) -> [(Percentiles, u64); SENDERS.len()] {
        std::array::from_fn(|kind| (Percentiles::of(&self.latency[kind]), self.latency[kind].len()))
    }

    /// Answers with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.told.iter().flatten().filter(|r| r.outcome == outcome).count()
    }

    /// The transactions that were answered.
    pub fn answered(&self) -> Vec<Answered> {
        let answered = |(transaction, told): (&Transaction, &Option<ItemResult>)| {
            Some(Answered { id: transaction.id, postings: transaction.postings.len(), result: (*told)? })
        };
        self.transactions.iter().zip(&self.told).filter_map(answered).collect()
    }

    fn take(&mut self, most: usize) -> Option<Range<usize>> {
        let from = self.next;
        self.next = (from + most).min(self.transactions.len());
        (from < self.next).then_some(from..self.next)
    }
}

/// A transaction that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Its id.
    pub id: u128,
    /// How many postings it has.
    pub postings: usize,
    /// What the client was told.
    pub result: ItemResult,
}

/// Sends until the day is over or, after `pause_at` answers, `interrupt` has ended every connection.
pub async fn send(
    day: Rc<RefCell<Day>>,
    address: &str,
    bar: ProgressBar,
    pause_at: Option<usize>,
    interrupt: impl Future<Output = CliResult<()>>,
) -> CliResult<()> {
    let options = || ClientOptions { reconnect: false, ..ClientOptions::default() };
    let mut connections = Vec::new();
    for (kind, (count, size)) in SENDERS.into_iter().enumerate() {
        for _ in 0..count {
            connections.push((kind, size, Client::connect(address, options()).await.map_err(client_error)?));
        }
    }
    let begun = Instant::now();
    let reached = Rc::new(tokio::sync::Notify::new());
    let local = LocalSet::new();
    let senders: Vec<_> = connections
        .into_iter()
        .map(|(kind, size, client)| {
            let (day, bar, reached) = (Rc::clone(&day), bar.clone(), Rc::clone(&reached));
            local.spawn_local(sender(day, client, kind, size, bar, pause_at, reached))
        })
        .collect();
    let result = local
        .run_until(async {
            if pause_at.is_some() {
                reached.notified().await;
                interrupt.await?;
            }
            for sender in senders {
                let Ok(outcome) = sender.await else { continue };
                // A connection that was cut is what the interruption is for.
                if pause_at.is_none() {
                    outcome?;
                }
            }
            Ok(())
        })
        .await;
    day.borrow_mut().sending += begun.elapsed();
    result
}

async fn sender(
    day: Rc<RefCell<Day>>,
    client: Client,
    kind: usize,
    size: usize,
    bar: ProgressBar,
    pause_at: Option<usize>,
    reached: Rc<tokio::sync::Notify>,
) -> CliResult<()> {
    loop {
        let (range, transactions) = {
            let mut day = day.borrow_mut();
            let Some(range) = day.take(size) else { return Ok(()) };
            let transactions = day.transactions[range.clone()].to_vec();
            (range, transactions)
        };
        let sent = Instant::now();
        let reply = client.post(&transactions, false).await;
        let took = sent.elapsed();
        let mut day = day.borrow_mut();
        match reply {
            Ok(reply) => {
                for (place, result) in range.clone().zip(reply.items()) {
                    day.told[place] = Some(result);
                }
                day.answers += range.len();
                day.latency[kind].saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
                bar.inc(range.len() as u64);
                if pause_at.is_some_and(|at| day.answers >= at) {
                    reached.notify_one();
                }
            }
            Err(error) => {
                day.unanswered.push(range);
                return Err(client_error(error));
            }
        }
    }
}

/// What became of the requests that were under way at the crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resent {
    /// Transactions sent again.
    pub transactions: usize,
    /// Of these, how many the log had: durable, but nobody had been told.
    pub known: usize,
}

/// Sends again, with the same ids, what had no answer.
pub async fn resend(day: &RefCell<Day>, client: &Client, bar: &ProgressBar) -> CliResult<Resent> {
    let ranges = std::mem::take(&mut day.borrow_mut().unanswered);
    let mut resent = Resent::default();
    for range in ranges {
        let transactions = day.borrow().transactions[range.clone()].to_vec();
        let reply = client.post(&transactions, false).await.map_err(client_error)?;
        let mut day = day.borrow_mut();
        for (place, result) in range.clone().zip(reply.items()) {
            resent.known += usize::from(result.repeat);
            day.told[place] = Some(result);
        }
        resent.transactions += range.len();
        day.answers += range.len();
        bar.inc(range.len() as u64);
    }
    Ok(resent)
}
