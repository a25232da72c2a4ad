//! `florin account show` and `florin account list`: accounts as they are now.

use clap::Args;
use florin_core::entry::{AccountRecord, CATEGORIES};
use florin_net::Client;
use serde_json::{Value, json};

use crate::assets;
use crate::client::{Target, client_error};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{parse_account, show_id};
use crate::money::{Assets, show_account};
use crate::output::{Align, Output, Table, put_bytes};

/// Accounts asked for in one request of a listing.
const PAGE: u32 = 4_000;

/// Show accounts with their balances, holds, limits and labels.
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    pub target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT", required = true)]
    accounts: Vec<String>,
}

/// List all accounts in the order of their opening
///
/// A line below an account has its label, if that is not the name it is opened under, and the limits that are set. A floor
/// of 0 (none for platform accounts) goes without saying.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    pub target: Target,
    /// Show at most this many; 0 = all
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: u64,
    /// Begin after the account that was opened at this sequence number
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,
    /// Show only accounts of this asset
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
}

/// Shows accounts.
pub async fn show(arguments: &ShowArguments, client: &Client, output: Output) -> CliResult {
    let ids = arguments.accounts.iter().map(|text| parse_account(text)).collect::<CliResult<Vec<_>>>()?;
    let found = client.accounts(&ids).await.map_err(client_error)?;
    let registered = Assets::load(client).await?;
    for (text, account) in arguments.accounts.iter().zip(&found) {
        if account.is_none() {
            return Err(unknown(text));
        }
    }
    for (index, account) in found.iter().flatten().enumerate() {
        if index > 0 {
            output.text("");
        }
        lines(account, &registered).iter().for_each(|line| output.text(line));
        output.object(&json(account, &registered));
    }
    Ok(EXIT_FINE)
}

/// That there is no such account.
pub fn unknown(text: &str) -> CliError {
    CliError::disagree(
        format!("there is no account {text}"),
        "list the accounts with `florin account list`, or open it with `florin account open`",
    )
}

/// An account for people, one line for each of its properties.
pub fn lines(account: &AccountRecord, registered: &Assets) -> Vec<String> {
    let money = |minor: i128| registered.money(account.asset, minor);
    let limit = |value: Option<i128>| value.map_or("none".to_string(), money);
    let mut rows = vec![
        ("account", show_id(account.account)),
        ("label", account.label.to_string()),
        ("asset", registered.code(account.asset)),
        ("normal side", account.normal_side.name().to_string()),
        ("category", category(account).to_string()),
        ("status", account.status.name().to_string()),
        ("posted", money(account.posted)),
        ("held", money(account.held)),
        ("incoming", money(account.incoming)),
        ("available", money(account.available())),
        ("floor", limit(account.floor)),
        ("ceiling", limit(account.ceiling)),
        ("alarm level", limit(account.alarm)),
        ("entries", account.version.to_string()),
        ("owner", if account.owner == 0 { "none".to_string() } else { show_id(account.owner) }),
        ("opened", format!("sequence {}", account.opened)),
    ];
    if !account.attributes.is_empty() {
        rows.push(("attributes", String::from_utf8_lossy(&account.attributes).into_owned()));
    }
    rows.into_iter().map(|(name, value)| format!("{name:<12} {value}").trim_end().to_string()).collect()
}

/// Lists accounts.
pub async fn list(arguments: &ListArguments, client: &Client, output: Output) -> CliResult {
    let registered = Assets::load(client).await?;
    let wanted = match &arguments.asset {
        Some(text) => Some(assets::find(client, Some(text)).await?.number),
        None => None,
    };
    let mut table = Table::new(&[
        ("account", Align::Left),
        ("status", Align::Left),
        ("posted", Align::Right),
        ("held", Align::Right),
        ("incoming", Align::Right),
        ("available", Align::Right),
        ("asset", Align::Left),
    ]);
    let mut left = if arguments.limit == 0 { u64::MAX } else { arguments.limit };
    let (mut after, mut shown, mut more) = (arguments.after, arguments.after, false);
    'pages: loop {
        let page = client.list_accounts(after, PAGE).await.map_err(client_error)?;
        let Some(last) = page.last() else { break };
        after = last.opened;
        for account in page {
            if wanted.is_some_and(|number| number != account.asset) {
                continue;
            }
            if left == 0 {
                more = true;
                break 'pages;
            }
            left -= 1;
            shown = account.opened;
            if output.json {
                output.object(&json(&account, &registered));
                continue;
            }
            let grouped = |minor: i128| registered.grouped(account.asset, minor);
            table.row(vec![
                show_account(account.account, &account.label),
                account.status.name().to_string(),
                grouped(account.posted),
                grouped(account.held),
                grouped(account.incoming),
                grouped(account.available()),
                registered.code(account.asset),
            ]);
            if let Some(note) = note(&account, &registered) {
                table.note(note);
            }
        }
    }
    table.write(&output);
    if more {
        output.text(format!("more: --after {shown}"));
        output.object(&json!({ "next_after": shown.to_string(), "more": true }));
    }
    Ok(EXIT_FINE)
}

/// Label and limits, where there is anything to say.
fn note(account: &AccountRecord, registered: &Assets) -> Option<String> {
    let mut words = Vec::new();
    if !account.label.is_empty() && show_account(account.account, &account.label) == show_id(account.account) {
        words.push(format!("'{}'", account.label));
    }
    let expected = (category(account) != "platform").then_some(0);
    if account.floor != expected {
        words.push(
            account.floor.map_or("no floor".to_string(), |v| format!("floor {}", registered.grouped(account.asset, v))),
        );
    }
    for (name, value) in [("ceiling", account.ceiling), ("alarm level", account.alarm)] {
        words.extend(value.map(|v| format!("{name} {}", registered.grouped(account.asset, v))));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn category(account: &AccountRecord) -> &'static str {
    CATEGORIES.get(usize::from(account.category)).copied().unwrap_or("unknown")
}

/// An account as a JSON object.
pub fn json(account: &AccountRecord, registered: &Assets) -> Value {
    let text = |value: i128| registered.plain(account.asset, value);
    let mut object = json!({
        "institution": account.institution,
        "account": show_id(account.account),
        "label": account.label,
        "asset": registered.code(account.asset),
        "scale": registered.scale(account.asset),
        "normal_side": account.normal_side.name(),
        "category": category(account),
        "status": account.status.name(),
        "subject": account.subject,
        "owner": account.owner.to_string(),
        "balance": text(account.posted),
        "balance_minor": account.posted.to_string(),
        "held": text(account.held),
        "held_minor": account.held.to_string(),
        "incoming": text(account.incoming),
        "incoming_minor": account.incoming.to_string(),
        "available": text(account.available()),
        "available_minor": account.available().to_string(),
        "floor": account.floor.map(text),
        "floor_minor": account.floor.map(|v| v.to_string()),
        "ceiling": account.ceiling.map(text),
        "ceiling_minor": account.ceiling.map(|v| v.to_string()),
        "alarm": account.alarm.map(text),
        "alarm_minor": account.alarm.map(|v| v.to_string()),
        "version": account.version.to_string(),
        "opened": account.opened.to_string(),
        "last_entry": account.last_entry.to_string(),
    });
    put_bytes(&mut object, "attributes", &account.attributes);
    object
}
