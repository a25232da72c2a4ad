//! One connection under load, one task: it lays requests out, sends them in one write, takes the answers, and compares
//! each with what was sent.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use florin_core::entry::PostReply;
use florin_core::outcome::Outcome;
use florin_core::request::PostForm;
use rand::RngExt;

use crate::error::BenchError;
use crate::ids::{IdSource, Ids};
use crate::link::{Link, Told};
use crate::rows::{self, Row};
use crate::sample::Kept;
use crate::schedule::Agenda;
use crate::tally::Tally;
use crate::workload::Shape;

/// Accounts asked for in one look-up, at most; otherwise as many as a request has transactions.
const LOOK_UP_MAX: usize = 1_000;
/// Requests under way while the holds that are left are captured.
const SETTLING: usize = 16;

/// One connection.
pub(crate) struct Sender<L> {
    link: L,
    tally: Rc<Tally>,
    ids: IdSource,
    slots: Vec<Slot>,
    free: Vec<u32>,
    under_way: usize,
    /// Slots whose requests are queued and not sent yet, in a closed loop.
    fresh: Vec<u32>,
    /// Holds that were placed and are captured next: their ids, and the first of them in the pool.
    to_capture: VecDeque<(Ids, u32)>,
    rows: Vec<Row>,
    accounts: Vec<u128>,
    reply: PostReply,
}

/// A request under way.
#[derive(Debug)]
struct Slot {
    /// When it was sent; in an open loop when it was to be sent.
    from: Instant,
    asked: Asked,
    ids: Ids,
    /// Its first transaction in the pool.
    first: u32,
    /// Rows that were posted before, in order, with the outcome that they had.
    repeats: Vec<(usize, Outcome)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Post,
    Hold,
    Capture,
    Accounts(usize),
}

impl<L: Link> Sender<L> {
    /// A sender; `number` must differ between the senders of a run.
    pub fn new(link: L, tally: Rc<Tally>, seed: u64, number: u16) -> Sender<L> {
        Sender {
            link,
            ids: IdSource::new(tally.workload.ids, seed, number),
            tally,
            slots: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            fresh: Vec::new(),
            to_capture: VecDeque::new(),
            rows: Vec::new(),
            accounts: Vec::new(),
            reply: PostReply::default(),
        }
    }

    /// Bytes sent and received.
    pub fn bytes(&self) -> (u64, u64) {
        self.link.bytes()
    }

    /// Closed loop: `in_flight` requests are under way until it is over.
    pub async fn run_closed(mut self, in_flight: usize) -> Result<Sender<L>, BenchError> {
        loop {
            let now = Instant::now();
            self.ids.read_clock();
            while self.under_way < in_flight && self.tally.take_turn(now) {
                self.queue(None)?;
            }
            if self.under_way == 0 {
                return Ok(self);
            }
            self.exchange().await?;
        }
    }

    /// Open loop: requests are sent when the agenda says so, at most `in_flight_max` at a time; what has to wait for its
    /// turn keeps the time at which it was due.
    pub async fn run_open(mut self, agenda: Rc<Agenda>, in_flight_max: usize) -> Result<Sender<L>, BenchError> {
        loop {
            self.ids.read_clock();
            let over = self.tally.is_over(Instant::now());
            while !over && self.under_way < in_flight_max {
                let Some(due) = agenda.take() else { break };
                self.queue(Some(due))?;
            }
            if self.under_way == 0 && (over || agenda.is_done()) {
                return Ok(self);
            }
            self.flush().await?;
            let link = &mut self.link;
            let answered = tokio::select! {
                biased;
                received = link.receive(), if self.under_way > 0 => received.map(|()| true)?,
                () = agenda.wait() => false,
            };
            if answered {
                self.take_answers()?;
            }
        }
    }

    /// Captures the holds that are left, so that nothing is reserved any more.
    pub async fn settle(mut self) -> Result<Sender<L>, BenchError> {
        self.ids.read_clock();
        loop {
            while self.under_way < SETTLING && !self.to_capture.is_empty() {
                self.queue(None)?;
            }
            if self.under_way == 0 {
                return Ok(self);
            }
            self.exchange().await?;
        }
    }

    /// Sends what is queued, waits for answers, and takes those that came.
    async fn exchange(&mut self) -> Result<(), BenchError> {
        self.flush().await?;
        self.link.receive().await?;
        self.take_answers()
    }

    /// Sends what is queued; latencies of a closed loop begin here.
    async fn flush(&mut self) -> Result<(), BenchError> {
        if !self.fresh.is_empty() {
            let now = Instant::now();
            self.fresh.drain(..).for_each(|slot| self.slots[slot as usize].from = now);
        }
        self.link.flush().await
    }

    /// Queues the next request. `due` is the time from which its latency counts; none = when it is sent.
    fn queue(&mut self, due: Option<Instant>) -> Result<(), BenchError> {
        let tally = self.tally.clone();
        let batch = tally.workload.batch;
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            let ids = self.ids.take(0);
            self.slots.push(Slot { from: Instant::now(), asked: Asked::Post, ids, first: 0, repeats: Vec::new() });
        }
        match due {
            Some(due) => self.slots[slot as usize].from = due,
            None => self.fresh.push(slot),
        }
        self.under_way += 1;
        tally.count(|counts| counts.sent += 1);
        let reads = tally.workload.reads_percent;
        if reads > 0 && tally.measures.get() && tally.random.borrow_mut().random_range(0..100) < reads {
            return self.queue_look_up(slot);
        }
        let mut pool = tally.pool.borrow_mut();
        let (asked, first, holds) = match self.to_capture.pop_front() {
            Some((holds, first)) => (Asked::Capture, first, Some(holds)),
            None if tally.workload.shape == Shape::Holds => (Asked::Hold, pool.next_request(), None),
            None => (Asked::Post, pool.next_request(), None),
        };
        let ids = self.ids.take(batch);
        self.rows.clear();
        self.rows.extend((0..batch).map(|row| (ids.at(row), first + row as u32)));
        let place = &mut self.slots[slot as usize];
        (place.asked, place.ids, place.first) = (asked, ids, first);
        place.repeats.clear();
        if tally.workload.repeats_percent > 0 {
            repeat_some(&tally, &mut self.rows, &mut place.repeats);
        }
        let form = if asked == Asked::Capture { PostForm::Items } else { tally.workload.shape.form() };
        let rows = &self.rows;
        self.link.post(form, batch as u32, slot, |out| match (holds, form) {
            (Some(holds), _) => rows::captures(out, rows, holds),
            (None, PostForm::Transfers) => rows::transfers(out, rows, asked == Asked::Hold, &pool, &tally.ground),
            (None, PostForm::Items) => rows::journals(out, rows, &pool, &tally.ground),
        })
    }

    fn queue_look_up(&mut self, slot: u32) -> Result<(), BenchError> {
        let tally = &self.tally;
        let count = tally.workload.batch.min(LOOK_UP_MAX);
        let mut random = tally.random.borrow_mut();
        let accounts = &tally.ground.accounts;
        self.accounts.clear();
        self.accounts.extend((0..count).map(|_| accounts.id(random.random_range(0..accounts.count()))));
        self.slots[slot as usize].asked = Asked::Accounts(count);
        self.link.look_up(&self.accounts, slot)
    }

    /// Takes every answer that is there.
    fn take_answers(&mut self) -> Result<(), BenchError> {
        let now = Instant::now();
        while let Some(told) = self.link.next(&mut self.reply)? {
            self.take_answer(told, now)?;
            self.free.push(told.slot);
            self.under_way -= 1;
        }
        Ok(())
    }

    fn take_answer(&mut self, told: Told, now: Instant) -> Result<(), BenchError> {
        let tally = &*self.tally;
        let slot = &self.slots[told.slot as usize];
        if let Some(found) = told.found {
            if slot.asked != Asked::Accounts(found) {
                return Err(BenchError::Books(format!("{found} accounts were found by a look-up: {:?}", slot.asked)));
            }
            tally.count(|counts| counts.reads += 1);
            tally.record(&tally.read_latency, slot.from, now);
            return Ok(());
        }
        let told = tell(tally, slot, &self.reply)?;
        if slot.asked == Asked::Hold {
            self.to_capture.push_back((slot.ids, slot.first));
        }
        if !tally.measures.get() {
            return Ok(());
        }
        tally.record(&tally.latency, slot.from, now);
        tally.count(|counts| {
            counts.requests += 1;
            counts.transactions += tally.workload.batch as u64;
            counts.refused += told.refused;
            counts.repeats += slot.repeats.len() as u64;
        });
        (tally.progress)(tally.workload.batch as u64);
        Ok(())
    }
}

/// Lets some rows of a request be transactions that were acknowledged before.
fn repeat_some(tally: &Tally, rows: &mut [Row], repeats: &mut Vec<(usize, Outcome)>) {
    let (sample, mut random) = (tally.sample.borrow(), tally.random.borrow_mut());
    for (row, place) in rows.iter_mut().enumerate() {
        if random.random_range(0..100) < tally.workload.repeats_percent
            && let Some(kept) = sample.any(&mut random)
        {
            *place = (kept.id, kept.transaction);
            repeats.push((row, kept.outcome));
        }
    }
}

struct Refused {
    refused: u64,
}

/// Enters the results of a request into the pool's counts, and offers some of them to the sample.
fn tell(tally: &Tally, slot: &Slot, reply: &PostReply) -> Result<Refused, BenchError> {
    let (mut pool, mut sample, mut random) =
        (tally.pool.borrow_mut(), tally.sample.borrow_mut(), tally.random.borrow_mut());
    let (mut next, mut refused) = (0, 0);
    let mut repeats = slot.repeats.iter().peekable();
    for run in &reply.runs {
        let result = run.first;
        tally.check_outcome(result.outcome)?;
        let end = next + run.count as usize;
        while next < end {
            // Up to the next row that was posted before, if there is one in this run.
            let stop = repeats.peek().map_or(end, |(row, _)| end.min(*row));
            if stop > next {
                if result.repeat {
                    return Err(BenchError::Books("a new id was answered as a repeat".to_string()));
                }
                let (first, count) = (slot.first + next as u32, stop - next);
                match (result.outcome, slot.asked) {
                    (Outcome::Posted, Asked::Hold) => pool.count_held(first, count),
                    (Outcome::Posted, _) => pool.count_posted(first, count),
                    _ => refused += count as u64,
                }
                let every = tally.offer_every;
                let offered = (next + every - 1) & !(every - 1);
                for row in (offered..stop).step_by(every) {
                    let (id, transaction) = (slot.ids.at(row), slot.first + row as u32);
                    sample.offer(Kept { id, transaction, outcome: result.outcome }, &mut random);
                }
                next = stop;
            }
            if let Some(&(_, outcome)) = repeats.next_if(|(row, _)| *row == next && next < end) {
                if (result.repeat, result.outcome) != (true, outcome) {
                    let (got, first) = (result.outcome.name(), outcome.name());
                    let what = if result.repeat { "a repeat" } else { "new" };
                    return Err(BenchError::Books(format!(
                        "an id that was posted again, {first} before, was answered as {what} and {got}"
                    )));
                }
                next += 1;
            }
        }
    }
    Ok(Refused { refused })
}
