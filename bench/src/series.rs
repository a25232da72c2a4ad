//! A run over time: what was answered in each interval, and what the server said at its end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use florin_net::Client;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use crate::machine::{CpuTicks, memory_bytes};
use crate::report::new_histogram;
use crate::run::{CpuClock, CpuUsed, number};
use crate::tally::Tally;

/// Points that are kept. When there are more, each two are made one, so that a run of any length takes the same memory.
const POINTS_MAX: usize = 1_200;

/// One interval.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Point {
    /// Its end, seconds since the run began.
    pub at: f64,
    /// Its length, seconds.
    pub seconds: f64,
    /// Transactions answered in it.
    pub transfers: u64,
    /// Latencies of the requests answered in it, microseconds: median, 99 %, 99.9 %, the slowest.
    pub p50: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
    /// Bytes written to the log in it.
    pub log_bytes: u64,
    /// Groups (writes with a sync) in it.
    pub groups: u64,
    /// Segments of the log that were begun in it.
    pub segments: u64,
    /// Snapshots that were finished in it.
    pub snapshots: u64,
    /// Resident memory of the server at its end, bytes.
    pub server_memory_bytes: Option<u64>,
    /// CPU seconds per second of the server in it.
    pub server_cores: Option<f64>,
    /// CPU seconds per second of the load generator in it.
    pub client_cores: Option<f64>,
    /// Share of the machine's time that the hypervisor gave to others in it, percent.
    pub steal_percent: f64,
}

impl Point {
    /// This one and the next as one. Percentiles cannot be added: the higher ones are taken.
    fn with(self, next: Point) -> Point {
        let seconds = self.seconds + next.seconds;
        let mean = |a: Option<f64>, b: Option<f64>| Some((a? * self.seconds + b? * next.seconds) / seconds);
        Point {
            at: next.at,
            seconds,
            transfers: self.transfers + next.transfers,
            p50: self.p50.max(next.p50),
            p99: self.p99.max(next.p99),
            p999: self.p999.max(next.p999),
            max: self.max.max(next.max),
            log_bytes: self.log_bytes + next.log_bytes,
            groups: self.groups + next.groups,
            segments: self.segments + next.segments,
            snapshots: self.snapshots + next.snapshots,
            server_memory_bytes: next.server_memory_bytes,
            server_cores: mean(self.server_cores, next.server_cores),
            client_cores: mean(self.client_cores, next.client_cores),
            steal_percent: mean(Some(self.steal_percent), Some(next.steal_percent)).unwrap_or(0.0),
        }
    }
}

/// What grows, at the end of the last interval.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    transfers: u64,
    log_bytes: u64,
    groups: u64,
    segments: u64,
    snapshots: u64,
    cpu: CpuUsed,
    ticks: CpuTicks,
}

/// The points of a run, and all its latencies.
pub struct Series {
    begun: Instant,
    cpu: CpuClock,
    before: Totals,
    at: Duration,
    points: Vec<Point>,
    all: Histogram<u64>,
}

impl Series {
    /// A run begins now; `stats` is what the server says.
    pub fn begin(cpu: CpuClock, stats: &Value) -> Series {
        let before = totals(0, cpu, stats);
        Series { begun: Instant::now(), cpu, before, at: Duration::ZERO, points: Vec::new(), all: new_histogram() }
    }

    /// Ends an interval; `at` is when the answers in it were counted, `stats` what the server said then.
    pub fn add(&mut self, at: Instant, interval: &Histogram<u64>, transfers: u64, stats: &Value) {
        let after = totals(transfers, self.cpu, stats);
        let at = at.saturating_duration_since(self.begun);
        let seconds = at.saturating_sub(self.at).as_secs_f64().max(1e-9);
        let before = std::mem::replace(&mut self.before, after);
        self.at = at;
        let quantile = |quantile| if interval.is_empty() { 0 } else { interval.value_at_quantile(quantile) };
        self.points.push(Point {
            at: at.as_secs_f64(),
            seconds,
            transfers: after.transfers.saturating_sub(before.transfers),
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: interval.max(),
            log_bytes: after.log_bytes.saturating_sub(before.log_bytes),
            groups: after.groups.saturating_sub(before.groups),
            segments: after.segments.saturating_sub(before.segments),
            snapshots: after.snapshots.saturating_sub(before.snapshots),
            server_memory_bytes: self.cpu.server_pid.and_then(memory_bytes),
            server_cores: after.cpu.server.zip(before.cpu.server).map(|(after, before)| (after - before) / seconds),
            client_cores: after.cpu.client.zip(before.cpu.client).map(|(after, before)| (after - before) / seconds),
            steal_percent: after.ticks.steal_percent_since(&before.ticks),
        });
        // Both histograms have the same bounds.
        self.all += interval;
        if self.points.len() > POINTS_MAX {
            self.points = self.points.chunks(2).map(|two| two.iter().skip(1).fold(two[0], |a, b| a.with(*b))).collect();
        }
    }

    /// All points, and all latencies.
    pub fn finish(self) -> (Vec<Point>, Histogram<u64>) {
        (self.points, self.all)
    }
}

fn totals(transfers: u64, cpu: CpuClock, stats: &Value) -> Totals {
    let of = |name| number(stats, name).unwrap_or(0);
    Totals {
        transfers,
        log_bytes: of("log_bytes"),
        groups: of("groups"),
        segments: of("segments_sealed"),
        snapshots: of("snapshots_made"),
        cpu: cpu.now(),
        ticks: CpuTicks::now(),
    }
}

/// Takes what was answered since the last time.
pub fn take_interval(tally: &Tally) -> (Instant, Histogram<u64>, u64) {
    let interval = tally.latency.replace(new_histogram());
    (Instant::now(), interval, tally.counts.get().transactions)
}

/// Adds a point every `period` until it is dropped. The server is asked on a connection of its own.
pub async fn watch(series: Rc<RefCell<Series>>, tally: Rc<Tally>, control: Client, period: Duration) {
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    turns.tick().await;
    loop {
        turns.tick().await;
        // Without an answer the interval goes on to the next turn; a lost server is noticed by the senders.
        let Ok(stats) = control.stats().await else { continue };
        let (at, interval, transfers) = take_interval(&tally);
        series.borrow_mut().add(at, &interval, transfers, &stats);
    }
}
