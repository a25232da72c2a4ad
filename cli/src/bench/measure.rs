//! The runs of a bench: closed loops, then the ladder if it is asked for; what they said is shown and written.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use florin_bench::machine::{default_folder, file_system, is_in_memory, peak_memory_bytes};
use florin_bench::{Inside, Median, Plan, Prepared, RunFigures, Until};
use florin_core::asset::Asset;
use serde_json::json;

use super::choice::{Chosen, choose};
use super::facts::Facts;
use super::{BenchArguments, bench_error, new_folder, table, write_file};
use crate::amount::format_count;
use crate::error::{CliResult, EXIT_FINE};
use crate::ids::random_id;
use crate::output::Output;
use crate::progress;

/// Steps of the ladder, percent of what the closed loop reached.
const LADDER: [u64; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// Where Linux keeps files in memory.
const MEMORY_FOLDER: &str = "/dev/shm";

/// The server that is measured.
pub struct Target {
    /// Where it listens.
    pub address: String,
    /// Its process, if it is this program's own.
    pub server_pid: Option<u32>,
    /// The folder that its ledger is in, if it is this program's own.
    pub folder: Option<PathBuf>,
}

/// How the engine is reached, and where its log is.
#[derive(Clone, Copy)]
enum Way {
    /// Within this process, the log in memory.
    InMemory,
    /// Within this process, the log on the disk.
    InProcess,
    /// Over TCP, the log on the disk.
    Tcp,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::InMemory => "in-process, memory",
            Way::InProcess => "in-process, disk",
            Way::Tcp => "TCP, disk",
        }
    }
}

/// A run that is done.
pub struct Done {
    /// The workload's name, or the way in where ways are compared.
    pub name: String,
    /// Percent of the closed loop's throughput, in a ladder.
    pub percent: Option<u64>,
    /// What it measured.
    pub figures: RunFigures,
}

/// Runs all that the arguments ask for.
pub async fn measure(arguments: &BenchArguments, target: &Target, output: Output) -> CliResult {
    let chosen = choose(arguments)?;
    let facts = Facts::gather(arguments, &chosen, target.folder.as_deref());
    output.text(configuration(arguments, &chosen[0]));
    let batch = chosen[0].workload.batch;
    if batch < usize::from(arguments.batch) {
        output.text(format!("--batch is {}: more of these do not fit into a request", format_count(batch as u64)));
    }
    let mut runs = Runs { arguments, output, seed: random_id()? as u64, done: Vec::new() };
    if arguments.in_process {
        let memory = Path::new(MEMORY_FOLDER);
        match is_in_memory(memory) {
            true => runs.inside(&chosen[0], Way::InMemory, memory).await?,
            false => output.text(format!("{MEMORY_FOLDER} is not kept in memory here: there is no such line")),
        }
        let disk = arguments.dir.clone().unwrap_or_else(default_folder);
        runs.inside(&chosen[0], Way::InProcess, &disk).await?;
    }
    let mut prepared = runs.prepare(&target.address, &chosen[0]).await?;
    let server = Reached { way: Way::Tcp, address: &target.address, server_pid: target.server_pid, inside: None };
    for _ in 0..arguments.runs {
        for workload in &chosen {
            runs.run(workload, arguments.rate, None, &server, &mut prepared).await?;
        }
    }
    if arguments.ladder {
        let reached: Vec<f64> = runs.done.iter().map(|done| done.figures.per_second).collect();
        let most = Median::of(&reached).map_or(0.0, |median| median.median) as u64;
        for percent in LADDER {
            let rate = (most * percent / 100).max(1);
            runs.run(&chosen[0], Some(rate), Some(percent), &server, &mut prepared).await?;
        }
    }
    show(arguments, target, &facts, &runs.done, output)
}

/// Shows and writes the figures of all runs.
fn show(arguments: &BenchArguments, target: &Target, facts: &Facts, done: &[Done], output: Output) -> CliResult {
    table::summary(arguments.compare_hot, done).iter().for_each(|line| output.text(line));
    let memory = target.server_pid.and_then(peak_memory_bytes);
    if let Some(memory) = memory {
        output.text(format!("server's memory at most {} MB", memory >> 20));
    }
    if let (Some(file), Some(last)) = (&arguments.hgrm, done.last()) {
        write_file(file, &florin_bench::hgrm::percentiles(&last.figures.latency))?;
        output.text(format!("percentiles of the last run: {}", file.display()));
    }
    if let Some(file) = &arguments.report {
        write_file(file, &facts.report(done))?;
        output.text(format!("report: {}", file.display()));
    }
    let mut totals = table::totals(done);
    totals["facts"] = facts.json();
    totals["server_peak_memory_bytes"] = json!(memory);
    output.object(&totals);
    Ok(EXIT_FINE)
}

fn configuration(arguments: &BenchArguments, chosen: &Chosen) -> String {
    let load = match arguments.rate {
        Some(rate) => format!("open loop at {} transfers/s", format_count(rate)),
        None => format!("{} in flight each, closed loop", arguments.in_flight()),
    };
    format!(
        "{}: {} transfers per request, {} connections, {load}, {} accounts, {} ids; {}",
        if arguments.compare_hot { "uniform and hot" } else { &chosen.name },
        format_count(chosen.workload.batch as u64),
        arguments.connections,
        format_count(arguments.accounts),
        if arguments.random_ids { "random" } else { "time-ordered" },
        if arguments.in_process { "three ways" } else { "durable, over TCP" }
    )
}

/// An engine that is ready to be measured.
struct Reached<'a> {
    way: Way,
    address: &'a str,
    server_pid: Option<u32>,
    /// None = over TCP.
    inside: Option<&'a Inside>,
}

/// The runs of a bench.
struct Runs<'a> {
    arguments: &'a BenchArguments,
    output: Output,
    seed: u64,
    done: Vec<Done>,
}

impl Runs<'_> {
    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    async fn prepare(&mut self, address: &str, chosen: &Chosen) -> CliResult<Prepared> {
        let asset = Asset { number: 978, code: "EUR".to_string(), scale: 2 };
        let (accounts, seed) = (self.arguments.accounts, self.next_seed());
        let wheel = progress::spinner("opening accounts");
        let prepared = florin_bench::prepare(address, accounts, chosen.workload.shape, &asset, seed).await;
        wheel.finish_and_clear();
        prepared.map_err(bench_error)
    }

    /// The runs on an engine in this process, with a ledger of its own in a place.
    async fn inside(&mut self, chosen: &Chosen, way: Way, place: &Path) -> CliResult<()> {
        let folder = new_folder(place)?;
        let (shards, io) = (usize::from(self.arguments.shards), self.arguments.io.into());
        let inside = Inside::start(&folder.path().join("ledger"), shards, io).await.map_err(bench_error)?;
        let address = inside.address();
        let mut prepared = self.prepare(&address, chosen).await?;
        let server_pid = Some(std::process::id());
        let reached = Reached { way, address: &address, server_pid, inside: Some(&inside) };
        for _ in 0..self.arguments.runs {
            self.run(chosen, self.arguments.rate, None, &reached, &mut prepared).await?;
        }
        self.output.text(format!("{}: {}", way.name(), file_system(folder.path())));
        inside.stop().await.map_err(bench_error)
    }

    async fn run(
        &mut self,
        chosen: &Chosen,
        rate: Option<u64>,
        percent: Option<u64>,
        reached: &Reached<'_>,
        prepared: &mut Prepared,
    ) -> CliResult<()> {
        let arguments = self.arguments;
        let plan = Plan {
            address: reached.address.to_string(),
            server_pid: reached.server_pid,
            workload: chosen.workload,
            connections: usize::from(arguments.connections),
            in_flight: arguments.in_flight(),
            rate,
            until: match arguments.transfers {
                Some(count) => Until::Transfers(count.max(chosen.workload.batch as u64)),
                None => Until::Elapsed(Duration::from_secs_f64(arguments.seconds)),
            },
            seed: self.next_seed(),
        };
        let watcher = watcher(&plan, &chosen.name);
        let figures = match reached.inside {
            Some(inside) => inside.run_once(&plan, prepared, watcher).await,
            None => florin_bench::run_once(&plan, prepared, watcher).await,
        };
        let figures = figures.map_err(bench_error)?;
        let load = if rate.is_some() { "open" } else { "closed" };
        self.output.object(&json!({
            "run": self.done.len() + 1, "shape": chosen.name, "way": reached.way.name(), "load": load,
            "ladder_percent": percent, "figures": figures,
        }));
        let name = if arguments.in_process { reached.way.name().to_string() } else { chosen.name.clone() };
        self.done.push(Done { name, percent, figures });
        Ok(())
    }
}

/// A bar that is moved at most some times a second, so that it costs nothing.
fn watcher(plan: &Plan, name: &str) -> Box<dyn Fn(u64)> {
    let total = match plan.until {
        Until::Transfers(count) => count,
        Until::Elapsed(time) => time.as_millis() as u64,
    };
    let by_time = matches!(plan.until, Until::Elapsed(_));
    let bar = progress::bar(total, name, if by_time { "ms" } else { "transfers" });
    if bar.is_hidden() {
        return Box::new(|_| {});
    }
    let begun = Instant::now();
    let seen = Cell::new((0u64, Instant::now()));
    Box::new(move |transfers| {
        let (count, last) = seen.get();
        let count = count + transfers;
        if last.elapsed() < Duration::from_millis(100) {
            seen.set((count, last));
            return;
        }
        seen.set((count, Instant::now()));
        bar.set_position(if by_time { begun.elapsed().as_millis() as u64 } else { count });
    })
}
