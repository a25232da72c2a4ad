//! `florin show`: a transaction with its postings and voucher, and everything linked to it.

use std::collections::HashMap;

use clap::Args;
use florin_core::entry::{RowKind, TransactionRecord};
use florin_core::outcome::Outcome;
use florin_net::Client;
use serde_json::json;

use crate::client::{Target, client_error, with_session};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{parse_id, show_id};
use crate::money::{Assets, accounts};
use crate::output::{Output, Table};
use crate::transaction;

/// Transactions asked for in one request.
const PAGE: u32 = 1_000;

/// Show a transaction with its postings, its voucher, and everything that is linked to it
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    target: Target,
    /// Id of a transaction, hold, capture …
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
pub fn run(arguments: &ShowArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| show(arguments, &client, output).await)
}

async fn show(arguments: &ShowArguments, client: &Client, output: Output) -> CliResult {
    let id = parse_id(&arguments.id)?;
    let found = client.transactions(&[id]).await.map_err(client_error)?;
    let record = found.into_iter().next().flatten().ok_or_else(|| {
        CliError::disagree(
            format!("there is no transaction {}", show_id(id)),
            "check the id, or look for it with `florin find --reference R` or in a statement with --json",
        )
    })?;
    let linked = linked(client, id).await?;
    let assets = Assets::load(client).await?;
    let head = match record.kind {
        RowKind::Hold => Some("left of hold"),
        RowKind::Transfer | RowKind::Journal | RowKind::Capture => Some("to reverse"),
        _ => None,
    };
    let left = left(&record, &linked);
    let left = head.filter(|_| record.result.outcome == Outcome::Posted).map(|head| (head, &left));
    output.object(&json!({
        "transaction": transaction::json(&record, Some(&assets)),
        "state": state(&record, &linked),
        "left_now": left.map(|(_, left)| record.postings.iter().filter_map(|p| {
            left.get(&p.index).map(|minor| json!({ "index": p.index, "left_minor": minor.to_string() }))
        }).collect::<Vec<_>>()),
        "linked": linked.iter().map(|t| transaction::json(t, Some(&assets))).collect::<Vec<_>>(),
    }));
    if output.json {
        return Ok(EXIT_FINE);
    }
    transaction::lines(&record).iter().for_each(|line| output.text(line));
    if let Some(state) = state(&record, &linked) {
        output.text(format!("  the hold is {state}"));
    }
    let accounts = accounts(client, record.postings.iter().map(|p| p.account)).await?;
    transaction::postings(&record, &assets, &accounts, left).write(&output);
    if linked.is_empty() {
        return Ok(EXIT_FINE);
    }
    output.text("linked to it:");
    let mut table = Table::new(&transaction::HEADS);
    linked.iter().for_each(|t| table.row(transaction::cells(t, &assets)));
    table.write(&output);
    Ok(EXIT_FINE)
}

async fn linked(client: &Client, id: u128) -> CliResult<Vec<TransactionRecord>> {
    let mut linked = Vec::new();
    let mut after = 0;
    loop {
        let mut page = client.linked(id, after, PAGE).await.map_err(client_error)?;
        linked.append(&mut page.transactions);
        if !page.more {
            return Ok(linked);
        }
        after = page.seen;
    }
}

/// Posted items that changed what is left of it.
fn followers<'a>(
    record: &TransactionRecord,
    linked: &'a [TransactionRecord],
) -> impl Iterator<Item = &'a TransactionRecord> {
    let is_hold = record.kind == RowKind::Hold;
    linked.iter().filter(move |t| {
        let follows = match t.kind {
            RowKind::Increase | RowKind::Capture | RowKind::Release | RowKind::Expiry => is_hold,
            RowKind::Reversal => !is_hold,
            _ => false,
        };
        follows && t.result.outcome == Outcome::Posted
    })
}

/// What is left of each posting, by index: of a hold to capture, of another transaction to reverse.
fn left(record: &TransactionRecord, linked: &[TransactionRecord]) -> HashMap<u8, u128> {
    let mut left: HashMap<u8, u128> = record.postings.iter().map(|p| (p.index, p.amount)).collect();
    for posting in followers(record, linked).flat_map(|t| &t.postings) {
        left.insert(posting.index, posting.held.left);
    }
    left
}

/// What became of a hold; none if it is not one, or was refused.
fn state(record: &TransactionRecord, linked: &[TransactionRecord]) -> Option<&'static str> {
    if record.kind != RowKind::Hold || record.result.outcome != Outcome::Posted {
        return None;
    }
    let closing = followers(record, linked).find_map(|t| match t.kind {
        RowKind::Capture if t.is_final || t.takes_all => Some("closed by a capture"),
        RowKind::Release => Some("released"),
        RowKind::Expiry => Some("expired"),
        _ => None,
    });
    Some(closing.unwrap_or("open"))
}
