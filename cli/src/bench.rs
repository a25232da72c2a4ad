//! `florin bench`: the load generator of florin-bench with a server of its own, and its figures.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use florin_bench::load::Until;
use florin_bench::machine::{default_folder, file_system, is_in_memory, peak_memory_bytes};
use florin_bench::{BenchError, IdOrder, Median, Plan, RunFigures, ServerProcess, ServerSettings, Shape, Workload};
use florin_core::asset::Asset;
use florin_core::limits::REQUEST_ITEMS_MAX;
use serde_json::json;

use crate::amount::format_count;
use crate::client::block_on_unless_interrupted;
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::random_id;
use crate::output::{Align, Output, Table};
use crate::progress;
use crate::serve::IoName;

/// Most senders of a run: connections times requests in flight.
const SENDERS_MAX: usize = 65_536;

/// Generate load and measure it
///
/// Closed loop: every connection keeps --in-flight requests under way. Every figure is of acknowledged, durable transfers,
/// over loopback TCP, client included. Without --server it starts a server of its own on a temporary folder. After each
/// run it proves the books: every balance and version is what the acknowledged transfers make it.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Transfers of a request, 1 to 8190
    #[arg(long, value_name = "N", default_value_t = 8190, value_parser = clap::value_parser!(u16).range(1..=REQUEST_ITEMS_MAX as i64))]
    batch: u16,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Requests under way on each connection [default: 2 for batches of 1,000 and more, otherwise 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: Option<u16>,
    /// Accounts in play
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    accounts: u32,
    /// Every transfer debits or credits one account
    #[arg(long, conflicts_with = "compare_hot")]
    hot: bool,
    /// Alternate uniform and hot runs and compare their medians
    #[arg(long)]
    compare_hot: bool,
    /// Random ids instead of time-ordered ones
    #[arg(long)]
    random_ids: bool,
    /// End a run after this many seconds
    #[arg(long, value_name = "N", default_value_t = 5.0, conflicts_with = "transfers")]
    seconds: f64,
    /// End a run after this many transfers
    #[arg(long, value_name = "N")]
    transfers: Option<u64>,
    /// Runs; figures are the medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Use this server instead of one of its own
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["dir", "shards", "io", "keep"])]
    server: Option<String>,
    /// Where its own server's temporary folder is made [default: the system's, unless that is kept in memory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Shards of its own server
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: u16,
    /// How its own server writes its log
    #[arg(long, value_enum, default_value_t = IoName::Auto)]
    io: IoName,
    /// Keep the temporary folder and say where it is
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub fn run(arguments: &BenchArguments, output: Output) -> CliResult {
    if !(arguments.seconds.is_finite() && arguments.seconds > 0.0) {
        return Err(CliError::cannot("--seconds must be more than 0", "give for example --seconds 5"));
    }
    if usize::from(arguments.connections) * in_flight(arguments) > SENDERS_MAX {
        return Err(CliError::cannot(
            format!("--connections times --in-flight may be at most {SENDERS_MAX}"),
            "give fewer of them",
        ));
    }
    block_on_unless_interrupted(bench(arguments, output))
}

fn in_flight(arguments: &BenchArguments) -> usize {
    arguments.in_flight.map_or(if arguments.batch >= 1_000 { 2 } else { 1 }, usize::from)
}

/// A bench error with what to do next; books that do not add up are exit code 1.
pub fn bench_error(error: BenchError) -> CliError {
    match &error {
        BenchError::Books(_) => CliError::disagree(
            &error,
            "if no other client used these accounts meanwhile this is a bug: keep the folder (--keep), run `florin verify`",
        ),
        BenchError::Server(_) => CliError::cannot(&error, "see its message above, and check the disk and ulimit -n"),
        _ => CliError::cannot(&error, "see whether the server still runs, then run it again"),
    }
}

struct OwnServer {
    process: ServerProcess,
    folder: tempfile::TempDir,
}

async fn bench(arguments: &BenchArguments, output: Output) -> CliResult {
    let own = match arguments.server {
        Some(_) => None,
        None => Some(start_server(arguments, output).await?),
    };
    let address = match (&arguments.server, &own) {
        (Some(address), _) => address.clone(),
        (None, Some(own)) => own.process.address().to_string(),
        (None, None) => return Err(CliError::cannot("there is no server", "give --server ADDR")),
    };
    let result = measure(arguments, &address, own.as_ref().and_then(|o| o.process.pid()), output).await;
    if let Some(own) = own {
        let stopped = own.process.stop().await.map_err(bench_error);
        if arguments.keep {
            output.text(format!("kept {}", own.folder.keep().display()));
        }
        result?;
        stopped?;
        return Ok(EXIT_FINE);
    }
    result
}

async fn start_server(arguments: &BenchArguments, output: Output) -> CliResult<OwnServer> {
    let place = arguments.dir.clone().unwrap_or_else(default_folder);
    let folder = tempfile::Builder::new().prefix("florin-bench-").tempdir_in(&place).map_err(|e| {
        CliError::cannot(
            format!("no folder in {}: {e}", place.display()),
            "give a folder that can be written to with --dir",
        )
    })?;
    output.text(format!("server's own folder {} ({})", folder.path().display(), file_system(folder.path())));
    if is_in_memory(folder.path()) {
        output.text("this folder is kept in memory: nothing here is durable, and the figures mean little; use --dir");
    }
    let binary = std::env::current_exe().map_err(|e| {
        CliError::cannot(
            format!("this program's own path is not known: {e}"),
            "start a server yourself and give --server",
        )
    })?;
    let io = match arguments.io {
        IoName::Auto => "auto",
        IoName::Direct => "direct",
        IoName::Buffered => "buffered",
    };
    let settings = ServerSettings {
        binary,
        arguments: vec!["--shards".into(), arguments.shards.to_string(), "--io".into(), io.into()],
    };
    let data = folder.path().join("ledger");
    ServerProcess::make_ledger(&settings, &data, &["EUR:2"]).await.map_err(bench_error)?;
    let process = ServerProcess::start(&settings, &data).await.map_err(bench_error)?;
    Ok(OwnServer { process, folder })
}

async fn measure(arguments: &BenchArguments, address: &str, server_pid: Option<u32>, output: Output) -> CliResult {
    let asset = Asset { number: 978, code: "EUR".to_string(), scale: 2 };
    let asset = florin_bench::prepare(address, arguments.accounts, &asset).await.map_err(bench_error)?;
    let seed = random_id()? as u64;
    let shapes: &[Shape] = match (arguments.compare_hot, arguments.hot) {
        (true, _) => &[Shape::Uniform, Shape::Hot],
        (false, true) => &[Shape::Hot],
        (false, false) => &[Shape::Uniform],
    };
    output.text(format!(
        "{} transfers per request, {} connections x {} in flight, {} accounts, {} ids; closed loop, durable, over TCP",
        arguments.batch,
        arguments.connections,
        in_flight(arguments),
        format_count(arguments.accounts),
        if arguments.random_ids { "random" } else { "time-ordered" }
    ));
    let mut figures: Vec<(Shape, RunFigures)> = Vec::new();
    for turn in 0..arguments.runs {
        for (place, &shape) in shapes.iter().enumerate() {
            let plan = Plan {
                address: address.to_string(),
                server_pid,
                workload: Workload {
                    accounts: arguments.accounts,
                    shape,
                    ids: if arguments.random_ids { IdOrder::Random } else { IdOrder::TimeOrdered },
                    batch: usize::from(arguments.batch),
                    asset,
                },
                connections: usize::from(arguments.connections),
                in_flight: in_flight(arguments),
                until: match arguments.transfers {
                    Some(count) => Until::Transfers(count.max(u64::from(arguments.batch))),
                    None => Until::Elapsed(Duration::from_secs_f64(arguments.seconds)),
                },
                seed: seed.wrapping_add(u64::from(turn) * shapes.len() as u64 + place as u64),
            };
            let run = florin_bench::run_once(&plan, watcher(&plan, shape)).await.map_err(bench_error)?;
            output.object(&json!({ "run": turn + 1, "shape": name(shape), "figures": run }));
            figures.push((shape, run));
        }
    }
    let lines = summary(arguments, shapes, &figures);
    lines.iter().for_each(|line| output.text(line));
    output.object(&totals(shapes, &figures));
    if let Some(memory) = server_pid.and_then(peak_memory_bytes) {
        output.text(format!("server's memory at most {} MB", memory >> 20));
    }
    Ok(EXIT_FINE)
}

/// A bar that is moved at most some times a second, so that it costs nothing.
fn watcher(plan: &Plan, shape: Shape) -> Box<dyn Fn(u64)> {
    let total = match plan.until {
        Until::Transfers(count) => count,
        Until::Elapsed(time) => time.as_millis() as u64,
    };
    let by_time = matches!(plan.until, Until::Elapsed(_));
    let bar = progress::bar(total, name(shape), if by_time { "ms" } else { "transfers" });
    if bar.is_hidden() {
        return Box::new(|_| {});
    }
    let begun = Instant::now();
    let seen = Rc::new(std::cell::Cell::new((0u64, Instant::now())));
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

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Uniform => "uniform",
        Shape::Hot => "hot",
    }
}

fn of(shape: Shape, figures: &[(Shape, RunFigures)]) -> impl Iterator<Item = &RunFigures> {
    figures.iter().filter(move |(s, _)| *s == shape).map(|(_, f)| f)
}

fn median_of(
    shape: Shape,
    figures: &[(Shape, RunFigures)],
    value: impl Fn(&RunFigures) -> Option<f64>,
) -> Option<Median> {
    Median::of(&of(shape, figures).filter_map(value).collect::<Vec<_>>())
}

fn summary(arguments: &BenchArguments, shapes: &[Shape], figures: &[(Shape, RunFigures)]) -> Vec<String> {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("transfers/s", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("p99.99", Align::Right),
        ("max us", Align::Right),
        ("log B", Align::Right),
        ("srv us", Align::Right),
        ("cli us", Align::Right),
        ("steal", Align::Right),
    ]);
    let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_string(), |v| format!("{v:.digits$}"));
    for (shape, run) in figures {
        let l = &run.latency_us;
        table.row(vec![
            name(*shape).to_string(),
            format_count(run.per_second as u64),
            format_count(l.p50),
            format_count(l.p99),
            format_count(l.p999),
            format_count(l.p9999),
            format_count(l.max),
            shown(run.log_bytes_per_transfer, 1),
            shown(run.server_cpu_us_per_transfer, 2),
            shown(run.client_cpu_us_per_transfer, 2),
            format!("{:.1} %", run.steal_percent),
        ]);
    }
    let mut lines = table.lines();
    lines.push(
        "latency is of whole requests; log B, srv us and cli us are log bytes and CPU time per transfer".to_string(),
    );
    for &shape in shapes {
        let Some(rate) = median_of(shape, figures, |f| Some(f.per_second)) else { continue };
        let runs = of(shape, figures).count();
        lines.push(format!(
            "{}: {} transfers/s{}",
            name(shape),
            format_count(rate.median as u64),
            if runs > 1 {
                format!(
                    " (median of {runs} runs, {} to {})",
                    format_count(rate.min as u64),
                    format_count(rate.max as u64)
                )
            } else {
                String::new()
            }
        ));
    }
    if arguments.compare_hot
        && let (Some(uniform), Some(hot)) = (
            median_of(Shape::Uniform, figures, |f| Some(f.per_second)),
            median_of(Shape::Hot, figures, |f| Some(f.per_second)),
        )
    {
        lines.push(format!("hot / uniform: {:.1} %", hot.median * 100.0 / uniform.median));
    }
    let transfers: u64 = figures.iter().map(|(_, f)| f.transfers).sum();
    let ids: u64 = figures.iter().map(|(_, f)| f.proof.ids).sum();
    lines.push(format!(
        "books proved: {} transfers in balances and versions of {} accounts, {} ids looked up, debits = credits",
        format_count(transfers),
        format_count(figures.last().map_or(0, |(_, f)| f.proof.accounts)),
        format_count(ids)
    ));
    lines
}

fn totals(shapes: &[Shape], figures: &[(Shape, RunFigures)]) -> serde_json::Value {
    let medians: serde_json::Map<_, _> = shapes
        .iter()
        .map(|&shape| {
            let rate = median_of(shape, figures, |f| Some(f.per_second));
            let bytes = median_of(shape, figures, |f| f.log_bytes_per_transfer);
            (name(shape).to_string(), json!({ "per_second": rate, "log_bytes_per_transfer": bytes }))
        })
        .collect();
    json!({ "medians": medians })
}
