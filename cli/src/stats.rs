//! `florin stats`: the figures of a running server.

use clap::Args;
use serde_json::Value;

use crate::client::{Target, client_error, with_session};
use crate::error::{CliResult, EXIT_FINE};
use crate::output::Output;

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
            for (name, value) in fields {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_string);
                output.text(format!("{name:<width$}  {shown}"));
            }
        }
        Ok(EXIT_FINE)
    })
}

/// Counters that may grow beyond 2^53 become strings.
fn strings_for_large(stats: &Value) -> Value {
    const MAY_BE_LARGE: [&str; 10] = [
        "ids",
        "sequence",
        "frame_decided",
        "frame_durable",
        "posted",
        "refused",
        "repeats",
        "votes",
        "votes_maybe",
        "log_bytes",
    ];
    let Value::Object(fields) = stats else { return stats.clone() };
    let convert = |(name, value): (&String, &Value)| {
        let large = MAY_BE_LARGE.contains(&name.as_str()) && value.is_u64();
        (name.clone(), if large { Value::String(value.to_string()) } else { value.clone() })
    };
    Value::Object(fields.iter().map(convert).collect())
}
