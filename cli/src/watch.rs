//! `florin watch`: transactions in log order, each with its position, so that a consumer can go on where it stopped.

use std::convert::Infallible;
use std::time::Duration;

use clap::Args;
use florin_net::{Client, ClientError, ErrorCode};
use serde_json::Value;

use crate::client::{Target, client_error, with_session_until_interrupted};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::money::Assets;
use crate::output::{Output, note};
use crate::transaction;

/// Transactions of a page.
const PAGE: u32 = 1_000;
/// Before asking again a server that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

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
    /// Wait for more instead of ending with the last one; a connection that is lost is made again
    #[arg(long)]
    follow: bool,
}

/// Runs the command.
pub fn run(arguments: &WatchArguments, output: Output) -> CliResult {
    with_session_until_interrupted(&arguments.target, async |client| {
        let link = client.link();
        tokio::select! {
            ended = watch(arguments, &client, output) => ended,
            never = tell_of_losses(link), if arguments.follow => match never {},
        }
    })
}

/// Says once of each loss of the connection why it is gone.
async fn tell_of_losses(mut link: tokio::sync::watch::Receiver<Option<String>>) -> Infallible {
    let mut told = false;
    loop {
        let lost = link.borrow_and_update().clone();
        if let Some(reason) = lost.as_ref().filter(|_| !told) {
            note(format!("connection lost ({reason}), trying again"));
        }
        told = lost.is_some();
        if link.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Whether asking again may help.
fn passes(error: &ClientError) -> bool {
    let stops = matches!(error.server_code(), Some(ErrorCode::Stopping | ErrorCode::ShuttingDown));
    stops || matches!(error, ClientError::Timeout(_) | ClientError::Connect { .. })
}

async fn watch(arguments: &WatchArguments, client: &Client, output: Output) -> CliResult {
    let mut assets = Assets::load(client).await?;
    let mut watch = client.watch(arguments.after).with_limit(PAGE);
    if !arguments.follow {
        watch = watch.with_wait(Duration::ZERO);
    }
    loop {
        let from = watch.seen();
        let go_on = |error: ClientError| {
            let goes_on = passes(&error);
            let error = client_error(error);
            let next = format!("go on with `florin watch --after {from}` once the server answers");
            if goes_on { CliError { next, ..error } } else { error }
        };
        let page = match watch.poll_page().await {
            Err(error) if arguments.follow && passes(&error) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            page => page.map_err(go_on)?,
        };
        let knows_all =
            |assets: &Assets| page.transactions.iter().flat_map(|t| &t.postings).all(|p| assets.knows(p.asset));
        if !knows_all(&assets) {
            assets = loop {
                match client.assets().await {
                    Err(error) if arguments.follow && passes(&error) => tokio::time::sleep(PAUSE).await,
                    known => break Assets::of(known.map_err(go_on)?),
                }
            };
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
