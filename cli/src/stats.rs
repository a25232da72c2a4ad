//! `florin stats`: the figures of a running server.

use clap::Args;
use serde_json::Value;

use crate::amount::format_count;
use crate::client::{Target, client_error, with_session};
use crate::error::{CliResult, EXIT_FINE};
use crate::output::{Align, Output, Table};

/// Show the figures of a server since its start.
#[derive(Debug, Args)]
pub struct StatsArguments {
    #[command(flatten)]
    target: Target,
}

/// Runs the command.
pub fn run(arguments: &StatsArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| {
        let stats = client.stats().await.map_err(client_error)?;
        output.object(&strings_for_large(&stats));
        if let Value::Object(fields) = &stats {
            let width = fields.keys().map(String::len).max().unwrap_or(0);
            for (name, value) in fields.iter().filter(|(name, _)| *name != "stages") {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                output.text(format!("{name:<width$}  {shown}"));
            }
        }
        show_stages(&stats["stages"], output);
        Ok(EXIT_FINE)
    })
}

/// The times of the stages as a table.
fn show_stages(stages: &Value, output: Output) {
    let Value::Array(stages) = stages else { return };
    const FIGURES: [&str; 6] = ["count", "mean_ns", "p50_ns", "p99_ns", "p999_ns", "max_ns"];
    output.text("\nstages since the server's start, nanoseconds");
    let heads = std::iter::once(("stage", Align::Left)).chain(FIGURES.map(|name| (name, Align::Right)));
    let mut table = Table::new(&heads.collect::<Vec<_>>());
    for stage in stages {
        let figures = FIGURES.map(|name| stage[name].as_u64().map_or_else(String::new, format_count));
        table.row(std::iter::once(stage["name"].as_str().unwrap_or_default().to_string()).chain(figures).collect());
    }
    table.lines().into_iter().for_each(|line| output.text(line));
}

/// Counters that may grow beyond 2^53 become strings.
fn strings_for_large(stats: &Value) -> Value {
    const MAY_BE_LARGE: [&str; 17] = [
        "ids",
        "ids_recent",
        "id_run_bytes",
        "id_run_memory",
        "sequence",
        "frame_decided",
        "frame_durable",
        "posted",
        "refused",
        "repeats",
        "votes",
        "votes_maybe",
        "log_bytes",
        "pack_bytes_saved",
        "snapshot_frame",
        "scrub_bytes",
        "scrub_round_ended_ns",
    ];
    let Value::Object(fields) = stats else { return stats.clone() };
    let convert = |(name, value): (&String, &Value)| {
        let large = MAY_BE_LARGE.contains(&name.as_str()) && value.is_u64();
        (name.clone(), if large { Value::String(value.to_string()) } else { value.clone() })
    };
    Value::Object(fields.iter().map(convert).collect())
}
