//! `florin account open`: opens an account.

use clap::{Args, ValueEnum};
use florin_core::limits::LABEL_BYTES_MAX;
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_net::{Client, NewAccount};
use serde_json::json;

use crate::amount::parse_balance;
use crate::assets;
use crate::client::{Target, client_error};
use crate::dates::{instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{account_of_name, parse_account, parse_id, show_id};
use crate::import::report::field_name;
use crate::output::Output;

/// Open an account; opening it again with the same fields is fine.
#[derive(Debug, Args)]
pub struct OpenArguments {
    #[command(flatten)]
    pub target: Target,
    /// Decimal or 0x… hex number of up to 128 bits, or a name, whose hash becomes the id; @ before names that begin with a digit
    #[arg(long, value_name = "N|NAME")]
    id: String,
    /// The asset it is kept in, by code or number [default: the ledger's only asset]
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
    /// The side that raises its balance: credit for what is owed to a customer, debit for cash and the like
    #[arg(long, value_enum)]
    side: SideName,
    /// Whose account it is
    #[arg(long, value_enum, default_value_t = Category::Personal)]
    category: Category,
    /// Lowest available balance, in decimal; `none` for no floor [default: 0, and none for platform accounts]
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    floor: Option<String>,
    /// Highest balance, in decimal [default: none]
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    ceiling: Option<String>,
    /// Balance at which entries that cross it are marked, in decimal [default: none]
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    alarm: Option<String>,
    /// Label, up to 64 bytes [default: the name, if --id is one]
    #[arg(long)]
    label: Option<String>,
    /// Owner, decimal or 0x… hex; 0 = none
    #[arg(long, value_name = "N", default_value = "0")]
    owner: String,
    /// Subject: number of the leaf in the chart of accounts; 0 = none
    #[arg(long, default_value_t = 0)]
    subject: u32,
}

/// A side on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideName {
    Debit,
    Credit,
}

/// A category on the command line; its place is its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Category {
    Personal,
    Enterprise,
    Platform,
}

/// Opens it.
pub async fn open(arguments: &OpenArguments, client: &Client, output: Output) -> CliResult {
    let asset = assets::find(client, arguments.asset.as_deref()).await?;
    let name = arguments.id.strip_prefix('@').unwrap_or(&arguments.id);
    let is_name = arguments.id.starts_with('@') || !name.starts_with(|c: char| c.is_ascii_digit());
    let account = if is_name && !name.is_empty() { account_of_name(name) } else { parse_account(&arguments.id)? };
    let limit = |flag: &str, text: &str| {
        parse_balance(text, asset.scale).map_err(|e| CliError::cannot(format!("--{flag}: {e}"), "correct the amount"))
    };
    let floor = match arguments.floor.as_deref() {
        Some("none") => None,
        Some(text) => Some(limit("floor", text)?),
        None => (arguments.category != Category::Platform).then_some(0),
    };
    let ceiling = arguments.ceiling.as_deref().map(|text| limit("ceiling", text)).transpose()?;
    let alarm = arguments.alarm.as_deref().map(|text| limit("alarm", text)).transpose()?;
    let new = NewAccount {
        account,
        asset: asset.number,
        normal_side: match arguments.side {
            SideName::Debit => Side::Debit,
            SideName::Credit => Side::Credit,
        },
        category: arguments.category as u8,
        subject: arguments.subject,
        owner: if arguments.owner == "0" { 0 } else { parse_id(&arguments.owner)? },
        floor,
        ceiling,
        alarm,
        label: arguments.label.clone().unwrap_or_else(|| if is_name { name.to_string() } else { String::new() }),
    };
    let bytes = new.label.len();
    if bytes > LABEL_BYTES_MAX {
        return Err(CliError::refused(Outcome::LabelInvalid, format!("the label has {bytes} bytes")));
    }
    let reply = client.open_accounts(std::slice::from_ref(&new)).await.map_err(client_error)?;
    let result =
        reply.items().next().ok_or_else(|| CliError::cannot("the server gave no result", "repeat the command"))?;
    match result.outcome {
        Outcome::Posted => {
            output.text(format!(
                "account {} {}",
                show_id(account),
                if result.repeat { "opened before, with the same fields" } else { "opened" }
            ));
            output.object(&json!({
                "account": show_id(account), "outcome": "posted", "repeat": result.repeat,
                "sequence": result.sequence.to_string(), "booked_at": instant_json(result.booked_at),
                "booked_at_ns": instant_ns_json(result.booked_at),
            }));
            Ok(EXIT_FINE)
        }
        Outcome::AccountExistsWithOtherFields => Err(CliError::disagree(
            format!("account {} exists, and differs first in {}", show_id(account), field_name(result.detail)),
            "see it with `florin account show`, or open another id",
        )),
        other => Err(CliError::disagree(format!("refused: {}", other.name()), other.info().help)),
    }
}
