//! Closed-loop load: every connection keeps a fixed number of requests in flight and sends the next one when an answer
//! came. Everything that is measured is durable and acknowledged, client included.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use florin_core::asset::Asset;
use florin_core::outcome::Outcome;
use florin_core::request::{PostForm, Side};
use florin_net::{Client, ClientOptions, NewAccount};
use hdrhistogram::Histogram;
use rand::SeedableRng;
use serde::Serialize;
use serde_json::Value;
use tokio::task::LocalSet;

use crate::error::BenchError;
use crate::machine::{CpuTicks, cpu_seconds};
use crate::prove::{Proof, prove, snapshot};
use crate::report::{Percentiles, new_histogram};
use crate::workload::{IdSource, Random, Template, Workload, account_id};

/// Rows in all templates together, at least: enough that small batches touch many accounts, and 16 MiB of memory.
const TEMPLATE_ROWS: usize = 131_072;
/// Ids kept for looking up afterwards.
const SAMPLED_IDS: usize = 20_000;
/// Accounts opened in one request.
const OPENINGS: u32 = 5_000;
/// `platform`: the accounts have no floor, so that nothing is refused.
const PLATFORM: u8 = 2;

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
    /// The server's process, to measure its CPU time.
    pub server_pid: Option<u32>,
    /// What is posted.
    pub workload: Workload,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// When it ends.
    pub until: Until,
    /// Seed of accounts, amounts and ids; must differ between runs on a ledger.
    pub seed: u64,
}

/// What a run measured.
#[derive(Clone, Debug, Serialize)]
pub struct RunFigures {
    /// Transfers acknowledged.
    pub transfers: u64,
    /// Requests acknowledged.
    pub requests: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Transfers a second.
    pub per_second: f64,
    /// Of requests, microseconds.
    pub latency_us: Percentiles,
    /// Bytes written to the log per transfer.
    pub log_bytes_per_transfer: Option<f64>,
    /// Groups (writes with a sync) of the log.
    pub groups: Option<u64>,
    /// CPU time of the server, microseconds per transfer.
    pub server_cpu_us_per_transfer: Option<f64>,
    /// CPU time of this process, microseconds per transfer.
    pub client_cpu_us_per_transfer: Option<f64>,
    /// CPU seconds per second of the server.
    pub server_cores: Option<f64>,
    /// CPU seconds per second of this process.
    pub client_cores: Option<f64>,
    /// Share of the machine's time that the hypervisor gave to others, percent.
    pub steal_percent: f64,
    /// Votes between shards, and those in doubt.
    pub votes: Option<(u64, u64)>,
    /// What was proved afterwards.
    pub proof: Proof,
}

/// Registers the asset and opens the accounts of a workload, unless they are there; gives the asset's number.
pub async fn prepare(address: &str, accounts: u32, asset: &Asset) -> Result<u32, BenchError> {
    let client = Client::connect(address, ClientOptions::default()).await?;
    let number = match client.assets().await?.into_iter().find(|a| a.code == asset.code) {
        Some(known) => known.number,
        None => {
            let id = u128::from(asset.number) << 64 | 0xb3c4_a55e;
            let result = client.register_asset(id, asset).await?;
            refuse_unless_posted("the asset", result.outcome)?;
            asset.number
        }
    };
    for first in (0..accounts).step_by(OPENINGS as usize) {
        let openings: Vec<NewAccount> = (first..accounts.min(first + OPENINGS))
            .map(|index| NewAccount {
                account: account_id(index),
                asset: number,
                normal_side: Side::Credit,
                category: PLATFORM,
                subject: 0,
                owner: 0,
                floor: None,
                ceiling: None,
                alarm: None,
                label: String::new(),
            })
            .collect();
        let reply = client.open_accounts(&openings).await?;
        for result in reply.items() {
            refuse_unless_posted("an account", result.outcome)?;
        }
    }
    Ok(number)
}

fn refuse_unless_posted(what: &str, outcome: Outcome) -> Result<(), BenchError> {
    if outcome == Outcome::Posted {
        return Ok(());
    }
    Err(BenchError::Refused(format!("{what} was refused: {}. {}", outcome.name(), outcome.info().help)))
}

/// One request in flight, again and again.
struct Slot {
    client: Client,
    templates: Vec<Template>,
    ids: IdSource,
}

/// What the slots of a run share.
struct Shared {
    workload: Workload,
    latency: RefCell<Histogram<u64>>,
    sampled: RefCell<Vec<u128>>,
    /// Requests answered.
    requests: Cell<u64>,
    /// Transfers that may still be sent.
    left: Cell<u64>,
    end: Cell<Option<Instant>>,
    /// Told of each answer.
    progress: Box<dyn Fn(u64)>,
}

impl Shared {
    /// Keeps ids for looking up. Later ones replace earlier ones, so that the sample reaches from the first requests to the last.
    fn sample(&self, ids: &[u128]) {
        let mut kept = self.sampled.borrow_mut();
        let room = SAMPLED_IDS.saturating_sub(kept.len()).min(ids.len());
        kept.extend_from_slice(&ids[..room]);
        let requests = self.requests.get() as usize;
        if room == 0 && requests.is_multiple_of(8) {
            kept[requests / 8 % SAMPLED_IDS] = ids[requests % ids.len()];
        }
    }
}

/// Runs once: builds rows, sends them, measures, proves. `progress` is told the transfers of each answer.
/// Must run on a current-thread runtime.
pub async fn run_once(plan: &Plan, progress: Box<dyn Fn(u64)>) -> Result<RunFigures, BenchError> {
    let control = Client::connect(&plan.address, ClientOptions::default()).await?;
    let mut slots = build_slots(plan).await?;
    let before = snapshot(&control, plan.workload.accounts).await?;
    let shared = Rc::new(Shared {
        workload: plan.workload,
        latency: RefCell::new(new_histogram()),
        sampled: RefCell::new(Vec::with_capacity(SAMPLED_IDS)),
        requests: Cell::new(0),
        left: Cell::new(match plan.until {
            Until::Elapsed(_) => u64::MAX,
            Until::Transfers(count) => count,
        }),
        end: Cell::new(None),
        progress,
    });

    let stats_before = control.stats().await?;
    let cpu_before = (plan.server_pid.and_then(cpu_seconds), cpu_seconds(std::process::id()));
    let ticks_before = CpuTicks::now();
    let begun = Instant::now();
    if let Until::Elapsed(time) = plan.until {
        shared.end.set(Some(begun + time));
    }
    let local = LocalSet::new();
    let tasks: Vec<_> = slots.drain(..).map(|slot| local.spawn_local(drive(slot, Rc::clone(&shared)))).collect();
    let done = local
        .run_until(async {
            let mut done = Vec::with_capacity(tasks.len());
            for task in tasks {
                done.push(task.await);
            }
            done
        })
        .await;
    let seconds = begun.elapsed().as_secs_f64();
    let ticks = CpuTicks::now();
    let cpu_after = (plan.server_pid.and_then(cpu_seconds), cpu_seconds(std::process::id()));
    let stats_after = control.stats().await?;
    let mut slots = Vec::with_capacity(done.len());
    for slot in done {
        slots.push(slot.map_err(|e| BenchError::Refused(format!("a sender was lost: {e}")))??);
    }

    let sampled = shared.sampled.take();
    let proof = prove(&control, &before, slots.iter().flat_map(|s| &s.templates), &sampled).await?;
    let transfers = proof.transfers;
    let per_transfer = |used: Option<f64>| used.map(|s| s * 1e6 / transfers.max(1) as f64);
    let used = |after: Option<f64>, before: Option<f64>| Some(after? - before?);
    let server_cpu = used(cpu_after.0, cpu_before.0);
    let client_cpu = used(cpu_after.1, cpu_before.1);
    let grown = |name: &str| Some(number(&stats_after, name)?.saturating_sub(number(&stats_before, name)?));
    Ok(RunFigures {
        transfers,
        requests: shared.requests.get(),
        seconds,
        per_second: transfers as f64 / seconds,
        latency_us: Percentiles::of(&shared.latency.borrow()),
        log_bytes_per_transfer: grown("log_bytes").map(|bytes| bytes as f64 / transfers.max(1) as f64),
        groups: grown("groups"),
        server_cpu_us_per_transfer: per_transfer(server_cpu),
        client_cpu_us_per_transfer: per_transfer(client_cpu),
        server_cores: server_cpu.map(|s| s / seconds),
        client_cores: client_cpu.map(|s| s / seconds),
        steal_percent: ticks.steal_percent_since(&ticks_before),
        votes: grown("votes").zip(grown("votes_maybe")),
        proof,
    })
}

fn number(stats: &Value, name: &str) -> Option<u64> {
    stats.get(name)?.as_u64()
}

async fn build_slots(plan: &Plan) -> Result<Vec<Slot>, BenchError> {
    let count = plan.connections * plan.in_flight;
    let templates = TEMPLATE_ROWS.div_ceil(count * plan.workload.batch).max(1);
    let mut random = Random::seed_from_u64(plan.seed);
    let mut slots = Vec::with_capacity(count);
    for connection in 0..plan.connections {
        let client = Client::connect(&plan.address, ClientOptions::default()).await?;
        for place in 0..plan.in_flight {
            let sender = (connection * plan.in_flight + place) as u16;
            slots.push(Slot {
                client: client.clone(),
                templates: (0..templates).map(|_| Template::build(&plan.workload, &mut random)).collect(),
                ids: IdSource::new(plan.workload.ids, plan.seed, sender),
            });
        }
    }
    Ok(slots)
}

async fn drive(mut slot: Slot, shared: Rc<Shared>) -> Result<Slot, BenchError> {
    let batch = shared.workload.batch as u64;
    let templates = slot.templates.len();
    for turn in 0.. {
        if shared.left.get() < batch || shared.end.get().is_some_and(|end| Instant::now() >= end) {
            break;
        }
        shared.left.set(shared.left.get() - batch);
        let template = &mut slot.templates[turn % templates];
        let payload = template.take(&mut slot.ids);
        let sent = Instant::now();
        let reply = slot.client.post_payload(PostForm::Transfers, batch as u32, payload.clone(), false).await?;
        let latency = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        template.give_back(payload);
        if reply.count() as u64 != batch || !reply.all_posted() {
            let outcome = reply.items().map(|r| r.outcome).find(|o| *o != Outcome::Posted);
            let name = outcome.map_or("too few results", Outcome::name);
            return Err(BenchError::Refused(format!("a transfer was refused: {name}")));
        }
        template.acknowledged += 1;
        shared.latency.borrow_mut().saturating_record(latency);
        shared.requests.set(shared.requests.get() + 1);
        shared.sample(slot.ids.samples());
        (shared.progress)(batch);
    }
    Ok(slot)
}
