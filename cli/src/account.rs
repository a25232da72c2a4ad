//! `florin account`: opens, shows and lists accounts.

use std::collections::HashMap;

use clap::{Args, Subcommand, ValueEnum};
use florin_core::asset::Asset;
use florin_core::entry::{AccountRecord, CATEGORIES};
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_net::{Client, NewAccount};
use serde_json::{Value, json};

use crate::amount::{format_amount, format_grouped, parse_balance};
use crate::assets;
use crate::client::{Target, client_error, with_session};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{account_of_name, parse_account, show_id};
use crate::import::report::field_name;
use crate::output::{Align, Output, Table};

/// Accounts asked for in one request of a listing.
const PAGE: u32 = 4_000;

/// Open, show and list accounts.
#[derive(Debug, Args)]
pub struct AccountArguments {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Open an account; opening it again with the same fields is fine.
    Open(OpenArguments),
    /// Show accounts with their balances.
    Show(ShowArguments),
    /// List all accounts in the order of their opening.
    List(ListArguments),
}

#[derive(Debug, Args)]
struct OpenArguments {
    #[command(flatten)]
    target: Target,
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
    /// Label, up to 64 bytes [default: the name, if --id is one]
    #[arg(long)]
    label: Option<String>,
    /// Owner, a 128-bit number; 0 = none
    #[arg(long, default_value = "0")]
    owner: u128,
    /// Subject: number of the leaf in the chart of accounts; 0 = none
    #[arg(long, default_value_t = 0)]
    subject: u32,
}

#[derive(Debug, Args)]
struct ShowArguments {
    #[command(flatten)]
    target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT", required = true)]
    accounts: Vec<String>,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    target: Target,
    /// Show at most this many
    #[arg(long)]
    limit: Option<u64>,
    /// Show only accounts of this asset
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
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

/// Runs the command.
pub fn run(arguments: &AccountArguments, output: Output) -> CliResult {
    match &arguments.command {
        AccountCommand::Open(a) => with_session(&a.target, async |client| open(a, &client, output).await),
        AccountCommand::Show(a) => with_session(&a.target, async |client| show(a, &client, output).await),
        AccountCommand::List(a) => with_session(&a.target, async |client| list(a, &client, output).await),
    }
}

async fn open(arguments: &OpenArguments, client: &Client, output: Output) -> CliResult {
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
    let new = NewAccount {
        account,
        asset: asset.number,
        normal_side: match arguments.side {
            SideName::Debit => Side::Debit,
            SideName::Credit => Side::Credit,
        },
        category: arguments.category as u8,
        subject: arguments.subject,
        owner: arguments.owner,
        floor,
        ceiling,
        alarm: None,
        label: arguments.label.clone().unwrap_or_else(|| if is_name { name.to_string() } else { String::new() }),
    };
    let reply = client.open_accounts(std::slice::from_ref(&new)).await.map_err(client_error)?;
    let result =
        reply.items().next().ok_or_else(|| CliError::cannot("the server gave no result", "repeat the command"))?;
    match result.outcome {
        Outcome::Posted => {
            output.text(format!(
                "account {} {}",
                show_id(account),
                if result.repeat { "was open already, with the same fields" } else { "opened" }
            ));
            output.object(&json!({
                "account": show_id(account), "outcome": "posted", "repeat": result.repeat,
                "sequence": result.sequence.to_string(), "booked_at": result.booked_at.to_string(),
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

async fn show(arguments: &ShowArguments, client: &Client, output: Output) -> CliResult {
    let ids = arguments.accounts.iter().map(|text| parse_account(text)).collect::<CliResult<Vec<_>>>()?;
    let found = client.accounts(&ids).await.map_err(client_error)?;
    let registered = Assets::load(client).await?;
    for (text, account) in arguments.accounts.iter().zip(&found) {
        if account.is_none() {
            return Err(CliError::disagree(
                format!("there is no account {text}"),
                "list the accounts with `florin account list`, or open it with `florin account open`",
            ));
        }
    }
    for account in found.iter().flatten() {
        let limit = |value: Option<i128>| value.map_or("none".to_string(), |v| registered.money(account.asset, v));
        let owner = if account.owner == 0 { "none".to_string() } else { show_id(account.owner) };
        for (name, value) in [
            ("account", show_id(account.account)),
            ("label", account.label.to_string()),
            ("asset", registered.code(account.asset)),
            ("normal side", account.normal_side.name().to_string()),
            ("category", category(account).to_string()),
            ("status", account.status.name().to_string()),
            ("balance", registered.money(account.asset, account.posted)),
            ("available", registered.money(account.asset, account.available())),
            ("floor", limit(account.floor)),
            ("ceiling", limit(account.ceiling)),
            ("entries", account.version.to_string()),
            ("owner", owner),
            ("opened", format!("sequence {}", account.opened)),
        ] {
            output.text(format!("{name:<12} {value}"));
        }
        output.text("");
        output.object(&registered.json(account));
    }
    Ok(EXIT_FINE)
}

async fn list(arguments: &ListArguments, client: &Client, output: Output) -> CliResult {
    let registered = Assets::load(client).await?;
    let wanted = match &arguments.asset {
        Some(text) => Some(assets::find(client, Some(text)).await?.number),
        None => None,
    };
    let mut table = Table::new(&[
        ("account", Align::Left),
        ("label", Align::Words),
        ("category", Align::Left),
        ("side", Align::Left),
        ("entries", Align::Right),
        ("balance", Align::Right),
        ("asset", Align::Left),
    ]);
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut after = 0;
    'pages: loop {
        let page = client.list_accounts(after, PAGE).await.map_err(client_error)?;
        let last_page = page.len() < PAGE as usize;
        for account in page {
            after = account.opened;
            if wanted.is_some_and(|number| number != account.asset) {
                continue;
            }
            if left == 0 {
                break 'pages;
            }
            left -= 1;
            if output.json {
                output.object(&registered.json(&account));
                continue;
            }
            table.row(vec![
                show_id(account.account),
                account.label.to_string(),
                category(&account).to_string(),
                account.normal_side.name().to_string(),
                account.version.to_string(),
                registered.grouped(account.asset, account.posted),
                registered.code(account.asset),
            ]);
        }
        if last_page {
            break;
        }
    }
    table.write(&output);
    Ok(EXIT_FINE)
}

fn category(account: &AccountRecord) -> &'static str {
    CATEGORIES.get(usize::from(account.category)).copied().unwrap_or("unknown")
}

/// The registered assets, for writing amounts.
pub struct Assets {
    by_number: HashMap<u32, Asset>,
}

impl Assets {
    /// Asks the server for them.
    pub async fn load(client: &Client) -> CliResult<Assets> {
        let all = client.assets().await.map_err(client_error)?;
        Ok(Assets { by_number: all.into_iter().map(|a| (a.number, a)).collect() })
    }

    /// Decimal places; 0 for an unknown number.
    pub fn scale(&self, number: u32) -> u8 {
        self.by_number.get(&number).map_or(0, |a| a.scale)
    }

    /// Code; the number itself if it is unknown.
    pub fn code(&self, number: u32) -> String {
        self.by_number.get(&number).map_or_else(|| number.to_string(), |a| a.code.clone())
    }

    /// `1,234.50`.
    pub fn grouped(&self, number: u32, minor: i128) -> String {
        format_grouped(minor, self.scale(number))
    }

    /// `1,234.50 EUR`.
    pub fn money(&self, number: u32, minor: i128) -> String {
        format!("{} {}", self.grouped(number, minor), self.code(number))
    }

    /// An account as a JSON object.
    pub fn json(&self, account: &AccountRecord) -> Value {
        let text = |value: i128| format_amount(value, self.scale(account.asset));
        json!({
            "account": show_id(account.account),
            "label": account.label,
            "asset": self.code(account.asset),
            "scale": self.scale(account.asset),
            "normal_side": account.normal_side.name(),
            "category": category(account),
            "status": account.status.name(),
            "subject": account.subject,
            "owner": account.owner.to_string(),
            "balance": text(account.posted),
            "balance_minor": account.posted.to_string(),
            "held_minor": account.held.to_string(),
            "available_minor": account.available().to_string(),
            "floor_minor": account.floor.map(|v| v.to_string()),
            "ceiling_minor": account.ceiling.map(|v| v.to_string()),
            "alarm_minor": account.alarm.map(|v| v.to_string()),
            "version": account.version.to_string(),
            "opened": account.opened.to_string(),
            "last_entry": account.last_entry.to_string(),
        })
    }
}
