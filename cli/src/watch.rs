//! `florin watch`: transactions in log order, each with its position, so that a consumer can go on where it stopped.

use std::time::Duration;

use clap::Args;
use florin_net::Client;
use serde_json::Value;

use crate::client::{Target, client_error, with_session_until_interrupted};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::money::Assets;
use crate::output::Output;
use crate::transaction;

/// Transactions of a page.
const PAGE: u32 = 1_000;

/// Print transactions in log order, one a line, as they become durable
///
/// Posted and refused ones. The first column is the position: store it, and go on with --after. Ctrl-C ends it.
#[derive(Debug, Args)]
pub struct WatchArguments {
    #[command(flatten)]
    target: Target,
    /// Begin after this position; 0 = at the beginning
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,
    /// Wait for more instead of ending with the last one
    #[arg(long)]
    follow: bool,
}

/// Runs the command.
pub fn run(arguments: &WatchArguments, output: Output) -> CliResult {
    with_session_until_interrupted(&arguments.target, async |client| watch(arguments, &client, output).await)
}

async fn watch(arguments: &WatchArguments, client: &Client, output: Output) -> CliResult {
    let mut assets = Assets::load(client).await?;
    let mut watch = client.watch(arguments.after).with_limit(PAGE);
    if !arguments.follow {
        watch = watch.with_wait(Duration::ZERO);
    }
    loop {
        let page = watch.poll_page().await.map_err(|error| {
            let go_on = format!("go on with `florin watch --after {}` once the server answers", watch.seen());
            CliError { next: go_on, ..client_error(error) }
        })?;
        let mut postings = page.transactions.iter().flat_map(|t| &t.postings);
        if postings.any(|p| !assets.knows(p.asset)) {
            assets = Assets::load(client).await?;
        }
        for record in &page.transactions {
            if output.json {
                let mut object = transaction::json(record, Some(&assets));
                object["position"] = Value::String(record.result.sequence.to_string());
                output.object(&object);
                continue;
            }
            let cells = transaction::cells(record, &assets);
            let [position, booked_at, kind, id, amount] = cells.as_slice() else { continue };
            output.text(format!("{position:>8}  {booked_at}  {kind:<8}  {id:<34}  {amount}"));
        }
        if !arguments.follow && !page.more {
            return Ok(EXIT_FINE);
        }
    }
}
