//! `florin balance`: an account's balance at a moment.

use clap::Args;
use florin_core::entry::Moment;
use florin_net::Client;
use serde_json::json;

use crate::account::unknown;
use crate::client::{Target, client_error, with_session};
use crate::dates::{format_instant, instant_json, instant_ns_json};
use crate::error::{CliResult, EXIT_FINE};
use crate::ids::{parse_account, show_id};
use crate::money::Assets;
use crate::output::Output;
use crate::statement::span::{Bound, parse_bound, parse_date};

/// Show an account's posted balance at a moment
///
/// Everything up to the moment counts, it included: a date stands for its end, 12:30 for the end of that minute.
#[derive(Debug, Args)]
pub struct BalanceArguments {
    #[command(flatten)]
    target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.fraction]], in UTC [default: now]
    #[arg(long, value_name = "DATE|TIME")]
    at: Option<String>,
    /// The date is an accounting date: the balance with which the day was closed
    #[arg(long, requires = "at")]
    dates: bool,
}

/// Runs the command.
pub fn run(arguments: &BalanceArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| balance(arguments, &client, output).await)
}

async fn balance(arguments: &BalanceArguments, client: &Client, output: Output) -> CliResult {
    let account = parse_account(&arguments.account)?;
    let moment = match &arguments.at {
        None => Moment::Time(u64::MAX),
        Some(text) if arguments.dates => Moment::Date(parse_date("at", text)?),
        Some(text) => Moment::Time(parse_bound("at", text, Bound::Upper)?),
    };
    let at = client.balance_at(account, moment).await.map_err(client_error)?;
    let at = at.ok_or_else(|| unknown(&arguments.account))?;
    let assets = Assets::load(client).await?;
    output.object(&json!({
        "account": show_id(account),
        "asset": assets.code(at.asset),
        "balance": assets.plain(at.asset, at.posted),
        "balance_minor": at.posted.to_string(),
        "version": at.version.to_string(),
        "sequence": at.sequence.to_string(),
        "booked_at": instant_json(at.booked_at),
        "booked_at_ns": instant_ns_json(at.booked_at),
        "position": at.position.to_string(),
    }));
    output.text(format!("{} {}", arguments.account, assets.money(at.asset, at.posted)));
    output.text(match (at.sequence, at.version) {
        (0, _) => "  it was not open yet".to_string(),
        (_, 0) => "  it had no entries yet".to_string(),
        (sequence, version) => {
            format!("  since entry {version}, sequence {sequence}, at {}", format_instant(at.booked_at))
        }
    });
    Ok(EXIT_FINE)
}
