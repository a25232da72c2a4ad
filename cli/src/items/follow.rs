//! `florin capture`, `increase`, `release` and `reverse`: what follows on a hold or a transaction that was posted before.
//!
//! The hold or original is looked up first, for the scale of its amounts and the names of its accounts.

use clap::Args;
use florin_core::entry::{PostingRecord, TransactionRecord};
use florin_net::{Client, Transaction};

use super::{ItemArguments, send};
use crate::amount::parse_amount;
use crate::client::{client_error, with_session};
use crate::error::{CliError, CliResult};
use crate::ids::{parse_id, show_id};
use crate::money::{Assets, accounts, name_of};
use crate::output::Output;

/// Post what a hold reserves, or a part of it
///
/// Without amounts: all that is left, and the hold is closed.
#[derive(Debug, Args)]
pub struct CaptureArguments {
    /// Id of the hold
    #[arg(value_name = "HOLD")]
    hold: String,
    #[command(flatten)]
    amounts: Amounts,
    /// Free what this capture leaves, and close the hold
    #[arg(long = "final")]
    is_final: bool,
    #[command(flatten)]
    item: ItemArguments,
}

/// Add to the amounts of a hold
#[derive(Debug, Args)]
pub struct IncreaseArguments {
    /// Id of the hold
    #[arg(value_name = "HOLD")]
    hold: String,
    #[command(flatten)]
    amounts: Amounts,
    /// Skip limits and freezes
    #[arg(long)]
    forced: bool,
    #[command(flatten)]
    item: ItemArguments,
}

/// Free what is left of a hold, and close it
#[derive(Debug, Args)]
pub struct ReleaseArguments {
    /// Id of the hold
    #[arg(value_name = "HOLD")]
    hold: String,
    #[command(flatten)]
    item: ItemArguments,
}

/// Undo a transaction or capture, or a part of it, by opposite postings
///
/// Without amounts: the whole, which is refused if a part was reversed before.
#[derive(Debug, Args)]
pub struct ReverseArguments {
    /// Id of the transaction or capture
    #[arg(value_name = "ID")]
    original: String,
    #[command(flatten)]
    amounts: Amounts,
    /// Skip limits and freezes
    #[arg(long)]
    forced: bool,
    #[command(flatten)]
    item: ItemArguments,
}

#[derive(Debug, Args)]
struct Amounts {
    /// Amount, if there are two postings: it counts for both
    #[arg(long, value_name = "AMOUNT", conflicts_with = "posting")]
    amount: Option<String>,
    /// Amount of one posting, by its index from 0 as `florin show` lists them; may be repeated
    #[arg(long, value_name = "INDEX:AMOUNT")]
    posting: Vec<String>,
}

/// Runs `florin capture`.
pub fn run_capture(arguments: &CaptureArguments, output: Output) -> CliResult {
    let capture = |id, hold| Transaction { is_final: arguments.is_final, ..Transaction::capture(id, hold) };
    follow("hold", &arguments.hold, &arguments.amounts, &arguments.item, capture, output)
}

/// Runs `florin increase`.
pub fn run_increase(arguments: &IncreaseArguments, output: Output) -> CliResult {
    if arguments.amounts.amount.is_none() && arguments.amounts.posting.is_empty() {
        return Err(CliError::cannot(
            "an increase needs an amount",
            "add --amount AMOUNT, or --posting INDEX:AMOUNT for a hold of more than two postings",
        ));
    }
    let increase = |id, hold| Transaction { forced: arguments.forced, ..Transaction::increase(id, hold) };
    follow("hold", &arguments.hold, &arguments.amounts, &arguments.item, increase, output)
}

/// Runs `florin release`.
pub fn run_release(arguments: &ReleaseArguments, output: Output) -> CliResult {
    let none = Amounts { amount: None, posting: Vec::new() };
    follow("hold", &arguments.hold, &none, &arguments.item, Transaction::release, output)
}

/// Runs `florin reverse`.
pub fn run_reverse(arguments: &ReverseArguments, output: Output) -> CliResult {
    let reverse = |id, original| Transaction { forced: arguments.forced, ..Transaction::reverse(id, original) };
    follow("transaction", &arguments.original, &arguments.amounts, &arguments.item, reverse, output)
}

fn follow(
    what: &str,
    named: &str,
    amounts: &Amounts,
    item: &ItemArguments,
    make: impl Fn(u128, u128) -> Transaction,
    output: Output,
) -> CliResult {
    with_session(&item.target, async |client| {
        let id = parse_id(named)?;
        let found = client.transactions(&[id]).await.map_err(client_error)?;
        let named = found.into_iter().next().flatten().ok_or_else(|| {
            CliError::disagree(
                format!("there is no {what} {}; nothing was sent", show_id(id)),
                "check the id: it was printed when it was made, and a statement with --csv or --json has it",
            )
        })?;
        let mut transaction = item.complete(make(item.id()?, id))?;
        for (index, amount) in read_amounts(&client, amounts, &named).await? {
            transaction = transaction.with_amount(index, amount);
        }
        send(&client, &transaction, Some(&named), output).await
    })
}

/// Index and amount of each posting that the arguments name, by index.
async fn read_amounts(client: &Client, amounts: &Amounts, named: &TransactionRecord) -> CliResult<Vec<(u8, u128)>> {
    if amounts.amount.is_none() && amounts.posting.is_empty() {
        return Ok(Vec::new());
    }
    let assets = Assets::load(client).await?;
    let read = |posting: &PostingRecord, text: &str| {
        parse_amount(text, assets.scale(posting.asset)).map_err(|e| CliError::cannot(e, "correct the amount"))
    };
    if let Some(text) = &amounts.amount {
        if let [first, second] = named.postings.as_slice() {
            return Ok(vec![(first.index, read(first, text)?), (second.index, read(second, text)?)]);
        }
        return Err(CliError::cannot(
            format!("--amount is for two postings, but {} has {}", show_id(named.id), listed(client, named).await?),
            "say the amount of each with --posting INDEX:AMOUNT",
        ));
    }
    let mut read_so_far: Vec<(u8, u128)> = Vec::new();
    for text in &amounts.posting {
        let parts = text.split_once(':').and_then(|(index, amount)| Some((index.parse::<u8>().ok()?, amount)));
        let (index, amount) = parts.ok_or_else(|| {
            CliError::cannot(format!("'{text}' is not INDEX:AMOUNT"), "write for example --posting 0:12.50")
        })?;
        let Some(posting) = named.postings.iter().find(|posting| posting.index == index) else {
            return Err(CliError::cannot(
                format!("there is no posting {index}: {} has {}", show_id(named.id), listed(client, named).await?),
                "name postings by these indexes",
            ));
        };
        if read_so_far.iter().any(|&(known, _)| known == index) {
            return Err(CliError::cannot(format!("posting {index} is given twice"), "give each posting once"));
        }
        read_so_far.push((index, read(posting, amount)?));
    }
    read_so_far.sort_unstable();
    Ok(read_so_far)
}

async fn listed(client: &Client, record: &TransactionRecord) -> CliResult<String> {
    let accounts = accounts(client, record.postings.iter().map(|p| p.account)).await?;
    let assets = Assets::load(client).await?;
    let texts = record.postings.iter().map(|p| {
        let amount = assets.money(p.asset, p.amount as i128);
        format!("{} ({} {} {amount})", p.index, p.side.name(), name_of(&accounts, p.account))
    });
    let texts: Vec<_> = texts.collect();
    Ok(if texts.is_empty() { "no postings".to_string() } else { format!("postings {}", texts.join(", ")) })
}
