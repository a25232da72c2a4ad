//! `florin find`: transactions by their business reference.

use clap::Args;
use florin_net::Client;
use serde_json::json;

use crate::client::{Target, client_error, with_session};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::parse_id;
use crate::money::Assets;
use crate::output::{Output, Table};
use crate::transaction;

/// Transactions asked for in one request.
const PAGE: u32 = 1_000;

/// Find transactions by their business reference, in log order
///
/// Exit code 1 if there is none.
#[derive(Debug, Args)]
pub struct FindArguments {
    #[command(flatten)]
    target: Target,
    /// The reference, decimal or 0x… hex
    #[arg(long, value_name = "R")]
    reference: String,
    /// Show at most this many; 0 = all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Begin after this sequence number
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,
}

/// Runs the command.
pub fn run(arguments: &FindArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| find(arguments, &client, output).await)
}

async fn find(arguments: &FindArguments, client: &Client, output: Output) -> CliResult {
    let reference = parse_id(&arguments.reference)?;
    let assets = Assets::load(client).await?;
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut table = Table::new(&transaction::HEADS);
    let (mut shown, mut after, mut more) = (0usize, arguments.after, true);
    while more && shown < limit {
        let wanted = (limit - shown).min(PAGE as usize) as u32;
        let page = client.by_reference(reference, after, wanted).await.map_err(client_error)?;
        (after, more) = (page.seen, page.more);
        for record in &page.transactions {
            shown += 1;
            output.object(&transaction::json(record, Some(&assets)));
            table.row(transaction::cells(record, &assets));
        }
    }
    if shown == 0 {
        return Err(CliError::disagree(
            format!("no transaction has the reference {}", arguments.reference),
            "check it; references are decimal or 0x… hex numbers, and those of another institution are not found",
        ));
    }
    table.write(&output);
    if more {
        output.text(format!("more: --after {after}"));
        output.object(&json!({ "next_after": after.to_string(), "more": true }));
    }
    Ok(EXIT_FINE)
}
