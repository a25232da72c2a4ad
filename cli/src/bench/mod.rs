//! `florin bench`: the load generator of florin-bench with a server of its own, and its figures.

mod choice;
mod facts;
mod measure;
mod table;

use std::path::{Path, PathBuf};

use clap::Args;
use florin_bench::machine::{default_folder, file_system, is_in_memory, raise_open_files};
use florin_bench::{BenchError, ServerProcess, ServerSettings};
use florin_core::limits::{REQUEST_ITEMS_MAX, SHARDS_MAX};

use crate::client::block_on_unless_interrupted;
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::output::Output;
use crate::serve::IoName;

/// Most senders of a run: connections times requests in flight.
const SENDERS_MAX: usize = 65_536;
/// Longest run, seconds: a week.
const SECONDS_MAX: f64 = 7.0 * 86_400.0;

/// Generate load and measure it
///
/// Every figure is of acknowledged transfers, client included; without --in-process over loopback TCP and durable. Without
/// --server it starts a server of its own on a temporary folder. Closed loop, for the most that it can do: every connection
/// keeps --in-flight requests under way. Open loop (--rate, --ladder), for latencies: requests leave by the clock, and
/// latencies count from when each was due. After each run it proves the books: every balance and version is what the
/// answers make it. docs/bench.md says what each figure means.
#[derive(Debug, Args)]
#[command(after_help = choice::table())]
pub struct BenchArguments {
    /// What is posted; the names are below
    #[arg(long, value_name = "NAME", default_value = "uniform", value_parser = choice::workload_name,
        conflicts_with_all = ["hot", "compare_hot", "zipf"])]
    workload: String,
    /// Short for --workload hot
    #[arg(long, conflicts_with = "compare_hot")]
    hot: bool,
    /// Alternate uniform and hot runs and compare their medians
    #[arg(long)]
    compare_hot: bool,
    /// Accounts by rank with this exponent, above 0 and at most 5
    #[arg(long, value_name = "S", value_parser = choice::exponent, conflicts_with_all = ["hot", "compare_hot"])]
    zipf: Option<f64>,
    /// Percent of the transfers that are posted again with the same ids [default: 0, or as the workload says]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=90))]
    repeats: Option<u8>,
    /// Percent of the requests that look accounts up instead [default: 0, or as the workload says]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=90))]
    reads: Option<u8>,
    /// Transfers of a request, 1 to 8190; of journals at most what fits into 1 MiB
    #[arg(long, value_name = "N", default_value_t = 8190, value_parser = clap::value_parser!(u16).range(1..=REQUEST_ITEMS_MAX as i64))]
    batch: u16,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Requests under way on each connection of a closed loop [default: 2 for batches of 1,000 and more, otherwise 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: Option<u16>,
    /// Accounts in play
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    accounts: u32,
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
    /// Open loop: this many transfers a second, whatever the answers do
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rate: Option<u64>,
    /// After the closed loop, open loops at 10, 20, … 100 percent of what it reached
    #[arg(long, conflicts_with_all = ["rate", "compare_hot"])]
    ladder: bool,
    /// Three lines: engine in this process with its log in memory, the same with its log on the disk, and over TCP
    #[arg(long, conflicts_with_all = ["server", "ladder", "compare_hot", "keep"])]
    in_process: bool,
    /// Write a report with plots to this file, as one HTML page
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the latencies of the last run to this file, in the percentile format of HdrHistogram
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Use this server instead of one of its own
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["dir", "shards", "io", "keep"])]
    server: Option<String>,
    /// Where its own server's temporary folder is made [default: the system's, unless that is kept in memory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Shards of its own server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=SHARDS_MAX as i64))]
    shards: u16,
    /// How its own server writes its log
    #[arg(long, value_enum, default_value_t = IoName::Auto)]
    io: IoName,
    /// Keep the temporary folder and say where it is
    #[arg(long)]
    keep: bool,
}

impl BenchArguments {
    fn in_flight(&self) -> usize {
        self.in_flight.map_or(if self.batch >= 1_000 { 2 } else { 1 }, usize::from)
    }
}

/// Runs the command.
pub fn run(arguments: &BenchArguments, output: Output) -> CliResult {
    if !(arguments.seconds > 0.0 && arguments.seconds <= SECONDS_MAX) {
        return Err(CliError::cannot(
            "--seconds must be more than 0 and at most a week",
            "give for example --seconds 5",
        ));
    }
    if usize::from(arguments.connections) * arguments.in_flight() > SENDERS_MAX {
        return Err(CliError::cannot(
            format!("--connections times --in-flight may be at most {SENDERS_MAX}"),
            "give fewer of them",
        ));
    }
    // Before anything is measured: a report that cannot be written is known at once.
    for file in [&arguments.report, &arguments.hgrm].into_iter().flatten() {
        write_file(file, "")?;
    }
    raise_open_files();
    block_on_unless_interrupted(bench(arguments, output))
}

/// Writes a file that the user named.
fn write_file(file: &Path, text: &str) -> CliResult<()> {
    std::fs::write(file, text).map_err(|e| {
        CliError::cannot(
            format!("cannot write {}: {e}", file.display()),
            "name a file in a folder that can be written to",
        )
    })
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
    let target = measure::Target {
        address,
        server_pid: own.as_ref().and_then(|own| own.process.pid()),
        folder: own.as_ref().map(|own| own.folder.path().to_path_buf()),
    };
    let result = measure::measure(arguments, &target, output).await;
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
    let folder = new_folder(&place)?;
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

/// A temporary folder in a place.
fn new_folder(place: &Path) -> CliResult<tempfile::TempDir> {
    tempfile::Builder::new().prefix("florin-bench-").tempdir_in(place).map_err(|e| {
        CliError::cannot(
            format!("no folder in {}: {e}", place.display()),
            "give a folder that can be written to with --dir",
        )
    })
}
