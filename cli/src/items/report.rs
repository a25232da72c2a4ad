//! What became of one item: outcome, sequence and balances, or why it was refused and by which account.

use std::collections::HashMap;

use florin_core::entry::{AccountRecord, RowKind, TransactionRecord};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemKind, Side};
use florin_net::client::Posted;
use florin_net::{Client, Transaction};
use serde_json::json;

use crate::client::client_error;
use crate::dates::{format_instant, instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_DISAGREE, EXIT_FINE};
use crate::ids::show_id;
use crate::import::report::field_name;
use crate::money::{Assets, accounts, name_of};
use crate::output::{Align, Output, Table};
use crate::transaction::posting_json;

/// Writes it; gives the exit code.
pub async fn write(
    client: &Client,
    item: &Transaction,
    posted: &Posted<'_>,
    named: Option<&TransactionRecord>,
    output: Output,
) -> CliResult {
    if posted.result.outcome != Outcome::Posted {
        return refused(client, item, posted, named, output).await;
    }
    success(client, item, posted, output).await.map_err(|error| CliError {
        what: format!(
            "{} as sequence {}, but its balances cannot be shown: {}",
            done(item),
            posted.result.sequence,
            error.what
        ),
        next: format!("it is done; look at it with `florin show {}`", show_id(item.id)),
        ..error
    })
}

/// `posted 0x…`, `captured 0x… by 0x…`.
fn done(item: &Transaction) -> String {
    let verb = match item.kind {
        ItemKind::Post => "posted",
        ItemKind::Hold => "held",
        ItemKind::Increase => "increased",
        ItemKind::Capture => "captured",
        ItemKind::Release => "released",
        ItemKind::Reverse => "reversed",
        ItemKind::Expiry => "expired",
    };
    match item.kind {
        ItemKind::Post | ItemKind::Hold | ItemKind::Expiry => format!("{verb} {}", show_id(item.id)),
        _ => format!("{verb} {} by {}", show_id(item.link), show_id(item.id)),
    }
}

async fn success(client: &Client, item: &Transaction, posted: &Posted<'_>, output: Output) -> CliResult {
    let result = &posted.result;
    let record = client.transactions(&[item.id]).await.map_err(client_error)?.into_iter().next().flatten();
    let record = record.ok_or_else(|| CliError::cannot("the server does not find it", ""))?;
    let assets = Assets::load(client).await?;
    let accounts = accounts(client, record.postings.iter().map(|p| p.account)).await?;
    let mut ids: Vec<u128> = Vec::new();
    for posting in &record.postings {
        if !ids.contains(&posting.account) {
            ids.push(posting.account);
        }
    }
    let in_order = ids.iter().filter_map(|id| accounts.get(id));
    output.object(&json!({
        "id": show_id(item.id),
        "kind": record.kind.name(),
        "link": (item.link != 0).then(|| show_id(item.link)),
        "outcome": result.outcome.name(),
        "help": result.outcome.info().help,
        "repeat": result.repeat,
        "sequence": result.sequence.to_string(),
        "booked_at": instant_json(result.booked_at),
        "booked_at_ns": instant_ns_json(result.booked_at),
        "postings": record.postings.iter().map(|p| posting_json(p, Some(&assets))).collect::<Vec<_>>(),
        "accounts_now": in_order.map(|a| crate::account::json(a, &assets)).collect::<Vec<_>>(),
    }));
    let repeat = if result.repeat { ", recorded before: this is its original result" } else { "" };
    output.text(done(item));
    output.text(format!("  sequence {} at {}{repeat}", result.sequence, format_instant(result.booked_at)));
    if record.postings.is_empty() {
        output.text("  it changed no account: nothing was left");
        return Ok(EXIT_FINE);
    }
    let moved_on = table(&record, &assets, &accounts, output);
    if moved_on {
        output.text("held and available are blank where the account has later entries: florin account show ACCOUNT");
    }
    if record.postings.iter().any(|p| p.result.alarm) {
        output.text("alarm: a balance crossed its alarm level");
    }
    Ok(EXIT_FINE)
}

/// Writes the entries with the balances after them; says whether an account has moved on since.
fn table(record: &TransactionRecord, assets: &Assets, accounts: &HashMap<u128, AccountRecord>, output: Output) -> bool {
    let frees = record.postings.iter().any(|p| p.held.freed > 0);
    let mut heads = vec![("side", Align::Left), ("account", Align::Left), ("amount", Align::Right)];
    if frees {
        heads.push(("freed", Align::Right));
    }
    heads.extend(["entry", "posted", "held", "available"].map(|head| (head, Align::Right)));
    let mut table = Table::new(&heads);
    let mut moved_on = false;
    for posting in &record.postings {
        let mut row = vec![
            posting.side.name().to_string(),
            name_of(accounts, posting.account),
            assets.grouped(posting.asset, posting.amount as i128),
        ];
        if frees {
            row.push(assets.grouped(posting.asset, posting.held.freed as i128));
        }
        row.push(posting.result.version.to_string());
        row.push(assets.grouped(posting.asset, posting.result.balance));
        // Only if no entry came after it are the account's balances of now those after this one.
        match accounts.get(&posting.account).filter(|a| a.version == posting.result.version) {
            Some(account) => {
                row.push(assets.grouped(posting.asset, account.held));
                row.push(assets.money(posting.asset, account.available()));
            }
            None => {
                moved_on = true;
                row.extend([String::new(), String::new()]);
            }
        }
        table.row(row);
    }
    table.write(&output);
    moved_on
}

/// The kind of row that an item becomes.
fn row_kind(item: &Transaction) -> RowKind {
    let is_transfer = match item.postings.as_slice() {
        [first, second] if (first.side, second.side) == (Side::Debit, Side::Credit) => {
            (first.amount, first.asset) == (second.amount, second.asset)
        }
        _ => false,
    };
    RowKind::of(item.kind, is_transfer)
}

/// The account, side and asset of the posting that refused, with its index.
fn refusing(item: &Transaction, posted: &Posted<'_>, named: Option<&TransactionRecord>) -> Option<(u16, u128, u32)> {
    let (outcome, detail) = (posted.result.outcome, posted.result.detail);
    if !(Outcome::AccountUnknown..=Outcome::HoldAboveMax).contains(&outcome) {
        return None;
    }
    if item.kind.names_hold() || item.kind.names_postings() {
        let posting = named?.postings.iter().find(|p| u16::from(p.index) == detail)?;
        return Some((detail, posting.account, posting.asset));
    }
    item.postings.get(usize::from(detail)).map(|p| (detail, p.account, p.asset))
}

async fn refused(
    client: &Client,
    item: &Transaction,
    posted: &Posted<'_>,
    named: Option<&TransactionRecord>,
    output: Output,
) -> CliResult {
    let result = &posted.result;
    let info = result.outcome.info();
    let differing = matches!(result.outcome, Outcome::IdUsedWithOtherFields).then(|| field_name(result.detail));
    let by = refusing(item, posted, named);
    // The answer is known; what is said of the account besides is only for the reader.
    let account = match by {
        Some((_, account, _)) => accounts(client, [account].into_iter()).await.unwrap_or_default().remove(&account),
        None => None,
    };
    let assets = if by.is_some() { Assets::load(client).await.ok() } else { None };
    output.object(&json!({
        "id": show_id(item.id),
        "kind": row_kind(item).name(),
        "link": (item.link != 0).then(|| show_id(item.link)),
        "outcome": result.outcome.name(),
        "help": info.help,
        "recorded": info.recorded,
        "repeat": result.repeat,
        "differing_field": differing,
        "refused_by": by.map(|(index, account, _)| json!({ "posting": index, "account": show_id(account) })),
        "account_now": account.as_ref().zip(assets.as_ref()).map(|(account, assets)| crate::account::json(account, assets)),
        "sequence": result.sequence.to_string(),
        "booked_at": instant_json(result.booked_at),
        "booked_at_ns": instant_ns_json(result.booked_at),
        "postings": [],
    }));
    let first = differing.map_or_else(String::new, |field| format!(" (first {field})"));
    let repeat = if result.repeat { " (recorded before: this is its original result)" } else { "" };
    output.text(format!("refused {}: {}{first}{repeat}", show_id(item.id), result.outcome.name()));
    if result.sequence != 0 {
        output.text(format!("  sequence {} at {}", result.sequence, format_instant(result.booked_at)));
    }
    output.text(format!("  why: {}", info.help));
    if let Some((index, id, _)) = by {
        output.text(match (&account, &assets) {
            (Some(account), Some(assets)) => format!("  account: posting {index}, {}", state(account, assets)),
            _ => format!("  account: posting {index}, {}", show_id(id)),
        });
    }
    if named.is_some() {
        output.text(format!("  look: florin show {}", show_id(item.link)));
    }
    output.text(match info.recorded {
        true => "  next: final for this id; once the cause is gone, run it again without --id or with a new one",
        false => "  next: correct it and run it again; nothing was recorded",
    });
    Ok(EXIT_DISAGREE)
}

/// `@alice: open, available 5.00 EUR, floor 0.00`.
fn state(account: &AccountRecord, assets: &Assets) -> String {
    let grouped = |minor: i128| assets.grouped(account.asset, minor);
    let limit = |name: &str, value: Option<i128>| value.map_or(String::new(), |v| format!(", {name} {}", grouped(v)));
    let money = |minor: i128| assets.money(account.asset, minor);
    format!(
        "{}: {}, available {}{}{}",
        crate::money::show_account(account.account, &account.label),
        account.status.name(),
        money(account.available()),
        limit("floor", account.floor),
        limit("ceiling", account.ceiling)
    )
}
