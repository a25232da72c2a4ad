//! What the senders of a run share: the transactions, what was answered so far, and when to stop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use florin_core::outcome::Outcome;
use hdrhistogram::Histogram;

use crate::error::BenchError;
use crate::ground::Ground;
use crate::pool::Pool;
use crate::report::new_histogram;
use crate::sample::{OFFERS_MAX, Sample};
use crate::workload::{Random, Workload};

/// Answers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions answered: posted, held, captured, refused, repeated.
    pub transactions: u64,
    /// Requests of transactions answered.
    pub requests: u64,
    /// Transactions refused for lack of money.
    pub refused: u64,
    /// Transactions answered as repeats.
    pub repeats: u64,
    /// Look-ups answered.
    pub reads: u64,
    /// Requests sent, look-ups included.
    pub sent: u64,
}

/// What the senders of a run share.
pub struct Tally {
    /// What is posted.
    pub workload: Workload,
    /// Accounts and asset.
    pub ground: Rc<Ground>,
    /// The transactions.
    pub pool: RefCell<Pool>,
    /// Ids to look up afterwards, and to post again.
    pub sample: RefCell<Sample>,
    /// Of so many rows of a request one is offered to the sample: a power of two.
    pub offer_every: usize,
    /// Randomness of the choices made while the run goes on.
    pub random: RefCell<Random>,
    /// Answers.
    pub counts: Cell<Counts>,
    /// Latencies of requests since they were last taken, microseconds.
    pub latency: RefCell<Histogram<u64>>,
    /// Latencies of look-ups, microseconds.
    pub read_latency: RefCell<Histogram<u64>>,
    /// Transactions that may still be sent in a closed loop.
    pub left: Cell<u64>,
    /// When sending ends.
    pub end: Cell<Option<Instant>>,
    /// Whether answers count; holds that are left are captured after the clock has stopped.
    pub measures: Cell<bool>,
    /// Told the transactions of each answer.
    pub progress: Box<dyn Fn(u64)>,
}

impl Tally {
    /// Nothing answered yet.
    pub fn new(
        workload: Workload,
        ground: Rc<Ground>,
        pool: Pool,
        random: Random,
        progress: Box<dyn Fn(u64)>,
    ) -> Tally {
        Tally {
            workload,
            ground,
            pool: RefCell::new(pool),
            sample: RefCell::default(),
            offer_every: workload.batch.div_ceil(OFFERS_MAX).next_power_of_two(),
            random: RefCell::new(random),
            counts: Cell::default(),
            latency: RefCell::new(new_histogram()),
            read_latency: RefCell::new(new_histogram()),
            left: Cell::new(u64::MAX),
            end: Cell::new(None),
            measures: Cell::new(true),
            progress,
        }
    }

    /// Whether sending has ended.
    pub fn is_over(&self, now: Instant) -> bool {
        self.end.get().is_some_and(|end| now >= end)
    }

    /// Whether one more request may be sent; it is counted then.
    pub fn take_turn(&self, now: Instant) -> bool {
        let batch = self.workload.batch as u64;
        if self.left.get() < batch || self.is_over(now) {
            return false;
        }
        self.left.set(self.left.get() - batch);
        true
    }

    /// Changes the counts.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Records the latency of a request, from when it was sent, or was to be sent.
    pub fn record(&self, histogram: &RefCell<Histogram<u64>>, from: Instant, now: Instant) {
        histogram.borrow_mut().saturating_record(latency_us(from, now));
    }

    /// Whether an outcome may be: posted, or what belongs to the workload.
    pub fn check_outcome(&self, outcome: Outcome) -> Result<(), BenchError> {
        let expected = self.workload.shape.may_refuse() && outcome == Outcome::BelowFloor;
        if outcome == Outcome::Posted || expected {
            return Ok(());
        }
        Err(BenchError::Refused(format!(
            "a transaction was refused, which this workload never has: {}. {}",
            outcome.name(),
            outcome.info().help
        )))
    }
}

/// From when a request was sent or scheduled to its answer.
pub fn latency_us(from: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(from).as_micros()).unwrap_or(u64::MAX)
}
