//! The schedule of an open loop: when each request is due, whatever the answers do.
//!
//! Time is cut into ticks. Requests that are due within a tick leave together at its end, on one connection; the next tick
//! with requests is the next connection's. Latencies count from the end of the tick, however late a request leaves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

/// Nanoseconds of a tick: short against every latency that is measured, long against a wake-up.
const TICK_NS: u64 = 100_000;

/// When requests are due: at an even rate.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Transactions a second, at least 1.
    pub rate: u64,
    /// Transactions of a request.
    pub batch: u64,
    /// Requests in all.
    pub requests: u64,
}

impl Schedule {
    /// Requests that are due by the end of a tick, ticks counted from 0.
    pub fn due_by(&self, tick: u64) -> u64 {
        let ns = u128::from(tick + 1) * u128::from(TICK_NS);
        let due = ns * u128::from(self.rate) / (u128::from(self.batch) * 1_000_000_000);
        u64::try_from(due).unwrap_or(u64::MAX).min(self.requests)
    }

    /// The tick by whose end more than `requests` are due; none if there are no more.
    pub fn tick_after(&self, requests: u64) -> Option<u64> {
        if requests >= self.requests {
            return None;
        }
        let ns = (u128::from(requests) + 1) * u128::from(self.batch) * 1_000_000_000;
        let ticks = ns.div_ceil(u128::from(self.rate) * u128::from(TICK_NS));
        u64::try_from(ticks.max(1) - 1).ok()
    }

    /// The end of a tick, from the beginning.
    pub fn end_of(&self, tick: u64) -> Duration {
        Duration::from_nanos((tick + 1).saturating_mul(TICK_NS))
    }
}

/// What a connection is to send, in order of the time at which it is due.
#[derive(Debug, Default)]
pub struct Agenda {
    due: RefCell<VecDeque<(Instant, u64)>>,
    done: Cell<bool>,
    changed: Notify,
}

impl Agenda {
    /// `requests` are due at a time.
    pub fn add(&self, at: Instant, requests: u64) {
        self.due.borrow_mut().push_back((at, requests));
        self.changed.notify_one();
    }

    /// Nothing will be added any more.
    pub fn finish(&self) {
        self.done.set(true);
        self.changed.notify_one();
    }

    /// When the next request was due, if it is to be sent now.
    pub fn take(&self) -> Option<Instant> {
        let mut due = self.due.borrow_mut();
        let (at, requests) = due.front_mut()?;
        let at = *at;
        *requests -= 1;
        if *requests == 0 {
            due.pop_front();
        }
        Some(at)
    }

    /// Whether nothing is left to send.
    pub fn is_done(&self) -> bool {
        self.done.get() && self.due.borrow().is_empty()
    }

    /// Waits until something was added.
    pub async fn wait(&self) {
        self.changed.notified().await;
    }
}

/// Fills the agendas as time goes on; ends when all requests are due, or at `end`.
///
/// A thread of its own keeps the time: its sleep is exact to some 50 microseconds, timers of the runtime are to a
/// millisecond.
pub async fn keep_time(schedule: Schedule, begun: Instant, end: Instant, agendas: &[Rc<Agenda>]) -> io::Result<()> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let clock = move || {
        let mut due = 0;
        while let Some(tick) = schedule.tick_after(due) {
            let at = begun + schedule.end_of(tick);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let by_now = schedule.due_by(tick);
            // Nobody listens any more once the run was given up.
            if Instant::now() >= end || tell.send((at, by_now - due)).is_err() {
                return;
            }
            due = by_now;
        }
    };
    let clock = std::thread::Builder::new().name("bench-clock".to_string()).spawn(clock)?;
    let mut turns = agendas.iter().cycle();
    while let Some((at, requests)) = told.recv().await {
        if let Some(agenda) = turns.next() {
            agenda.add(at, requests);
        }
    }
    agendas.iter().for_each(|agenda| agenda.finish());
    clock.join().map_err(|_| io::Error::other("the clock's thread ended early"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::latency_us;

    #[test]
    fn every_request_is_due_once_and_at_an_even_rate() {
        for (rate, batch, requests) in [(100_000, 1, 250_000), (7, 1, 20), (1_000_000, 8_190, 300), (333, 100, 5)] {
            let schedule = Schedule { rate, batch, requests };
            let (mut due, mut last) = (0, None);
            while let Some(tick) = schedule.tick_after(due) {
                assert!(last < Some(tick) && schedule.due_by(tick) > due, "{schedule:?} {tick}");
                assert!(tick == 0 || schedule.due_by(tick - 1) == due, "no tick with requests is passed over");
                due = schedule.due_by(tick);
                // The request due last is not before its time, and at most a tick after it.
                let exact = u128::from(due) * u128::from(batch) * 1_000_000_000 / u128::from(rate);
                let end = schedule.end_of(tick).as_nanos();
                assert!(due == requests || (exact <= end && end < exact + u128::from(TICK_NS) * 2 + exact / 1_000));
                last = Some(tick);
            }
            assert_eq!(due, requests);
        }
    }

    #[test]
    fn a_late_sender_does_not_hide_its_lateness() {
        let (agenda, begun) = (Agenda::default(), Instant::now());
        let schedule = Schedule { rate: 10_000, batch: 1, requests: 1_000 };
        let mut due = 0;
        while let Some(tick) = schedule.tick_after(due) {
            agenda.add(begun + schedule.end_of(tick), schedule.due_by(tick) - due);
            due = schedule.due_by(tick);
        }
        agenda.finish();
        // The sender slept for a second; then every answer comes at once.
        let now = begun + Duration::from_secs(1);
        let latencies: Vec<u64> = std::iter::from_fn(|| agenda.take()).map(|at| latency_us(at, now)).collect();
        assert_eq!(latencies.len(), 1_000);
        assert_eq!((latencies[0], latencies[999]), (999_900, 900_000));
        assert!(latencies.is_sorted_by(|a, b| a >= b) && agenda.is_done());
    }

    #[test]
    fn the_agendas_are_filled_in_turn_until_all_is_due() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let agendas: Vec<Rc<Agenda>> = (0..3).map(|_| Rc::default()).collect();
            let begun = Instant::now();
            let schedule = Schedule { rate: 30_000, batch: 1, requests: 90 };
            keep_time(schedule, begun, begun + Duration::from_secs(3_600), &agendas).await.expect("a clock");
            let counts = agendas.iter().map(|agenda| std::iter::from_fn(|| agenda.take()).count());
            assert_eq!(counts.collect::<Vec<_>>(), [30, 30, 30]);
            assert!(agendas.iter().all(|agenda| agenda.is_done()));
            let none = Rc::<Agenda>::default();
            keep_time(schedule, begun, begun, std::slice::from_ref(&none)).await.expect("a clock");
            assert!(none.is_done());
        });
    }
}
