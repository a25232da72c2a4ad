//! One run: builds the transactions, drives the connections, measures, and proves the books. Everything that is measured
//! is acknowledged and, with a log on a disk, durable; the client's work is in the figures.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use florin_net::{Client, ClientOptions, Pipeline};
use rand::SeedableRng;
use serde_json::Value;
use tokio::task::LocalSet;

use crate::error::BenchError;
use crate::figures::{Figures, Measured, RunFigures};
use crate::ground::Prepared;
use crate::link::Link;
use crate::machine::{CpuTicks, cpu_seconds, own_thread_cpu_seconds, threads_cpu_seconds};
use crate::pool::Pool;
use crate::schedule::{Agenda, Schedule, keep_time};
use crate::sender::Sender;
use crate::series::{self, Series};
use crate::tally::Tally;
use crate::workload::{Random, Workload};

/// A run shorter than this has ten points a second, a longer one one.
const SHORT: Duration = Duration::from_secs(15);
/// The same for a run that ends after some transfers.
const SHORT_TRANSFERS: u64 = 2_000_000;
/// How much longer than its schedule an open loop may take; what is not sent then is counted as such.
const OVERTIME: Duration = Duration::from_secs(5);
/// Bytes of requests on one connection, beyond which a server reads no more of it before it has answered.
const CONNECTION_BYTES: usize = 6 << 20;
/// Bytes of a request per transaction, about.
const ROW_BYTES: usize = 256;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After this many transfers.
    Transfers(u64),
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub address: String,
    /// The server's process, to measure its CPU time and memory.
    pub server_pid: Option<u32>,
    /// What is posted.
    pub workload: Workload,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each, in a closed loop.
    pub in_flight: usize,
    /// Transactions a second of an open loop; none = closed loop.
    pub rate: Option<u64>,
    /// When it ends.
    pub until: Until,
    /// Seed of accounts, amounts and ids; must differ between runs on a ledger.
    pub seed: u64,
}

impl Plan {
    fn schedule(&self) -> Option<Schedule> {
        let (rate, batch) = (self.rate?.max(1), self.workload.batch as u64);
        let transfers = match self.until {
            Until::Transfers(count) => count,
            Until::Elapsed(time) => (u128::from(rate) * time.as_nanos() / 1_000_000_000) as u64,
        };
        Some(Schedule { rate, batch, requests: (transfers / batch).max(1) })
    }

    fn period(&self) -> Duration {
        let short = match self.until {
            Until::Elapsed(time) => time < SHORT,
            Until::Transfers(count) => count < SHORT_TRANSFERS,
        };
        Duration::from_millis(if short { 100 } else { 1_000 })
    }
}

/// Whose CPU time is whose.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock {
    /// The server's process; this one if the engine is in it.
    pub server_pid: Option<u32>,
}

/// CPU seconds so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuUsed {
    /// Of the server.
    pub server: Option<f64>,
    /// Of the load generator.
    pub client: Option<f64>,
}

impl CpuClock {
    /// Reads it.
    pub fn now(self) -> CpuUsed {
        let me = std::process::id();
        let server = self.server_pid.and_then(cpu_seconds);
        if self.server_pid != Some(me) {
            return CpuUsed { server, client: cpu_seconds(me) };
        }
        // The engine is in this process: the generator is this thread, the engine all others.
        let client = own_thread_cpu_seconds();
        CpuUsed { server: server.zip(client).map(|(all, client)| all - client), client }
    }
}

/// A number of the server's figures.
pub fn number(stats: &Value, name: &str) -> Option<u64> {
    stats.get(name)?.as_u64()
}

/// Runs once over TCP. `progress` is told the transactions of each answer. Must be called on a current-thread runtime.
pub async fn run_once(
    plan: &Plan,
    prepared: &mut Prepared,
    progress: Box<dyn Fn(u64)>,
) -> Result<RunFigures, BenchError> {
    let mut links = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        links.push(Pipeline::connect(&plan.address, &ClientOptions::default()).await?);
    }
    let requests_max = links.first().map_or(1, |link| link.server().in_flight_requests_max as usize);
    run_on(plan, prepared, links, requests_max, progress).await
}

/// The same on links that are there; a connection of an open loop has at most `requests_max` requests under way.
pub(crate) async fn run_on<L: Link + 'static>(
    plan: &Plan,
    prepared: &mut Prepared,
    links: Vec<L>,
    requests_max: usize,
    progress: Box<dyn Fn(u64)>,
) -> Result<RunFigures, BenchError> {
    let control = Client::connect(&plan.address, ClientOptions::default()).await?;
    let mut random = Random::seed_from_u64(plan.seed);
    let pool = Pool::build(&plan.workload, &prepared.ground, &prepared.books, &mut random);
    let tally = Rc::new(Tally::new(plan.workload, prepared.ground.clone(), pool, random, progress));
    let senders: Vec<Sender<L>> = links
        .into_iter()
        .enumerate()
        .map(|(number, link)| Sender::new(link, tally.clone(), plan.seed, number as u16))
        .collect();

    let in_flight_max = (CONNECTION_BYTES / (plan.workload.batch * ROW_BYTES)).clamp(2, requests_max.max(2));
    let (senders, measured) =
        LocalSet::new().run_until(measure(plan, &tally, &control, senders, in_flight_max)).await?;
    tally.measures.set(false);
    let mut wire = (0, 0);
    for sender in senders {
        let (sent, received) = sender.bytes();
        wire = (wire.0 + sent, wire.1 + received);
        sender.settle().await?;
    }

    let (pool, sample) = (tally.pool.take(), tally.sample.take());
    let transfers = prepared.books.add(&pool);
    let proof = prepared.books.prove(&control, &prepared.ground.accounts, &pool, sample.kept(), transfers).await?;
    let requests = plan.schedule().map(|schedule| schedule.requests);
    Ok(Figures { plan, requests, counts: measured.counts, wire, proof, measured }.finish(&tally.read_latency.borrow()))
}

/// Runs the senders to their end beside the one who watches; must be called within a `LocalSet`.
async fn measure<L: Link + 'static>(
    plan: &Plan,
    tally: &Rc<Tally>,
    control: &Client,
    senders: Vec<Sender<L>>,
    in_flight_max: usize,
) -> Result<(Vec<Sender<L>>, Measured), BenchError> {
    let clock = CpuClock { server_pid: plan.server_pid };
    let stats_before = control.stats().await?;
    let threads_before = plan.server_pid.map(threads_cpu_seconds);
    let (cpu_before, ticks_before) = (clock.now(), CpuTicks::now());
    let series = Rc::new(RefCell::new(Series::begin(clock, &stats_before)));
    let begun = Instant::now();
    let mut tasks = Vec::with_capacity(senders.len());
    let mut timekeeper = None;
    match plan.schedule() {
        Some(schedule) => {
            let span = schedule.tick_after(schedule.requests - 1).map_or(Duration::ZERO, |tick| schedule.end_of(tick));
            let end = begun + span + OVERTIME.min(span);
            tally.end.set(Some(end));
            let agendas: Vec<Rc<Agenda>> = senders.iter().map(|_| Rc::default()).collect();
            for (sender, agenda) in senders.into_iter().zip(&agendas) {
                tasks.push(tokio::task::spawn_local(sender.run_open(agenda.clone(), in_flight_max)));
            }
            let keep = async move { keep_time(schedule, begun, end, &agendas).await };
            timekeeper = Some(tokio::task::spawn_local(keep));
        }
        None => {
            match plan.until {
                Until::Elapsed(time) => tally.end.set(Some(begun + time)),
                Until::Transfers(count) => tally.left.set(count),
            }
            let spawn = |sender: Sender<L>| tokio::task::spawn_local(sender.run_closed(plan.in_flight));
            tasks.extend(senders.into_iter().map(spawn));
        }
    }
    let watching =
        tokio::task::spawn_local(series::watch(series.clone(), tally.clone(), control.clone(), plan.period()));
    let lost = |e: tokio::task::JoinError| BenchError::Refused(format!("a sender was lost: {e}"));
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.map_err(lost)??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (cpu, ticks) = (clock.now(), CpuTicks::now());
    watching.abort();
    if let Some(timekeeper) = timekeeper {
        let no_timer = |source| BenchError::Io { what: "the timer of the open loop".to_string(), source };
        timekeeper.await.map_err(lost)?.map_err(no_timer)?;
    }
    let threads = plan.server_pid.map(threads_cpu_seconds);
    let stats = control.stats().await?;
    let (at, interval, transactions) = series::take_interval(tally);
    series.borrow_mut().add(at, &interval, transactions, &stats);
    // The one who watched may hold it until it is dropped.
    let series = series.replace(Series::begin(clock, &stats));
    let (points, latency) = series.finish();
    let measured = Measured {
        counts: tally.counts.get(),
        seconds,
        latency,
        points,
        stats: (stats_before, stats),
        cpu: (cpu_before, cpu),
        threads: threads_before.zip(threads),
        steal_percent: ticks.steal_percent_since(&ticks_before),
    };
    Ok((done, measured))
}
