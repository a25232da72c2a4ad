//! `florin probe-disk`: how long a durable write takes in a folder, and so what a ledger there can reach.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use florin_wal::{ProbeOptions, probe};
use serde_json::json;

use crate::amount::format_count;
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::output::{Align, Output, Table};
use crate::progress;

/// Measure durable writes in a folder
///
/// Writes a file of its own there, some 100 MB, and removes it again.
#[derive(Debug, Args)]
pub struct ProbeDiskArguments {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Writes of each kind
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    writes: u32,
}

/// Runs the command.
pub fn run(arguments: &ProbeDiskArguments, output: Output) -> CliResult {
    let wheel = progress::spinner("writing and syncing");
    let options = ProbeOptions { writes: arguments.writes as usize, ..ProbeOptions::default() };
    let report = probe(&arguments.folder, &options).map_err(|e| {
        CliError::cannot(
            format!("cannot measure in {}: {e}", arguments.folder.display()),
            "give a folder that exists, can be written to, and has some 100 MB free",
        )
    })?;
    wheel.finish_and_clear();
    output.text(format!("{}: {}", arguments.folder.display(), report.file_system));
    if report.file_system.contains("tmpfs") {
        output.text("this folder is kept in memory: nothing written here is durable");
    }
    if let Some(why) = &report.no_direct {
        output.text(format!("no direct writes here ({why}); a ledger writes buffered"));
    }
    let mut table = Table::new(&[
        ("bytes", Align::Right),
        ("way", Align::Left),
        ("blocks", Align::Left),
        ("p50 us", Align::Right),
        ("p99 us", Align::Right),
        ("max us", Align::Right),
        ("MB/s", Align::Right),
    ]);
    let us = |time: Duration| time.as_micros() as u64;
    for row in &report.rows {
        let rate = row.bytes as f64 * f64::from(arguments.writes) / row.total.as_secs_f64().max(1e-9) / 1e6;
        let way = if row.direct { "direct" } else { "buffered" };
        let blocks = if row.fresh { "fresh" } else { "written before" };
        output.object(&json!({
            "folder": arguments.folder, "file_system": report.file_system, "bytes": row.bytes, "way": way, "blocks": blocks,
            "p50_us": us(row.p50), "p99_us": us(row.p99), "max_us": us(row.max), "mb_per_second": rate,
        }));
        table.row(vec![
            format_count(row.bytes as u64),
            way.to_string(),
            blocks.to_string(),
            format_count(us(row.p50)),
            format_count(us(row.p99)),
            format_count(us(row.max)),
            format!("{rate:.0}"),
        ]);
    }
    table.write(&output);
    output.text("the log writes direct, to blocks written before; each acknowledgement waits for one such write");
    Ok(EXIT_FINE)
}
