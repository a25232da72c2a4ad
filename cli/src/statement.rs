//! `florin statement`: an account's entries, newest first.

use std::collections::HashMap;

use clap::Args;
use florin_core::entry::{StatementEntry, StatementPage, StatementToken};
use florin_core::request::Side;
use florin_net::Client;
use serde_json::json;

use crate::account::Assets;
use crate::amount::{format_amount, format_grouped};
use crate::client::{Target, client_error, with_session};
use crate::dates::{format_day, format_instant, format_second};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{parse_account, show_id};
use crate::output::{Align, Output, Table, write_line};

/// Entries asked for in one request.
const PAGE: u32 = 1_000;

/// Show an account's statement, newest first.
#[derive(Debug, Args)]
pub struct StatementArguments {
    #[command(flatten)]
    target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Show at most this many entries; 0 = all
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// Go on where another statement ended; it printed the token
    #[arg(long, value_name = "TOKEN")]
    from: Option<String>,
    /// Write CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Runs the command.
pub fn run(arguments: &StatementArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| statement(arguments, &client, output).await)
}

async fn statement(arguments: &StatementArguments, client: &Client, output: Output) -> CliResult {
    let account = parse_account(&arguments.account)?;
    let from = arguments.from.as_deref().map(parse_token).transpose()?;
    let limit = if arguments.limit == 0 { u64::MAX } else { arguments.limit };
    let (head, entries) = fetch(client, account, from, limit).await?.ok_or_else(|| {
        CliError::disagree(
            format!("there is no account {}", arguments.account),
            "list the accounts with `florin account list`",
        )
    })?;
    let registered = Assets::load(client).await?;
    let names = names(client, &entries).await?;
    let scale = registered.scale(head.account.asset);
    if arguments.csv {
        return write_csv(&entries, scale, &names);
    }
    if output.json {
        for entry in &entries {
            output.object(&entry_json(entry, scale, &names));
        }
        output.object(&json!({
            "account": registered.json(&head.account),
            "position": head.position.to_string(),
            "next": head.next.map(|t| show_token(&t)),
        }));
        return Ok(EXIT_FINE);
    }
    let label = if head.account.label.is_empty() { String::new() } else { format!("'{}', ", head.account.label) };
    output.text(format!(
        "account {}, normal side {}, {} entries",
        show_id(head.account.account),
        head.account.normal_side.name(),
        head.account.version
    ));
    output.text(format!("{label}balance {}", registered.money(head.account.asset, head.account.posted)));
    table(&entries, scale, &names).write(&output);
    if let Some(next) = head.next {
        output.text(format!("older entries: --from {}", show_token(&next)));
    }
    Ok(EXIT_FINE)
}

/// Fetches up to `limit` entries; the page is the last one, with `next` where the statement goes on.
pub async fn fetch(
    client: &Client,
    account: u128,
    mut from: Option<StatementToken>,
    limit: u64,
) -> CliResult<Option<(StatementPage, Vec<StatementEntry>)>> {
    let mut entries = Vec::new();
    loop {
        let wanted = limit.saturating_sub(entries.len() as u64).min(u64::from(PAGE)) as u32;
        let Some(mut page) = client.statement(account, from, wanted.max(1)).await.map_err(client_error)? else {
            return Ok(None);
        };
        entries.append(&mut page.entries);
        from = page.next;
        if from.is_none() || entries.len() as u64 >= limit {
            return Ok(Some((page, entries)));
        }
    }
}

/// Labels of the accounts on the other side.
pub async fn names(client: &Client, entries: &[StatementEntry]) -> CliResult<HashMap<u128, String>> {
    let mut ids: Vec<u128> = entries.iter().map(|e| e.counterparty).filter(|&c| c != 0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut names = HashMap::new();
    for part in ids.chunks(8_000) {
        for account in client.accounts(part).await.map_err(client_error)?.into_iter().flatten() {
            if !account.label.is_empty() {
                names.insert(account.account, account.label.to_string());
            }
        }
    }
    Ok(names)
}

/// The entries as a table for people.
pub fn table(entries: &[StatementEntry], scale: u8, names: &HashMap<u128, String>) -> Table {
    let mut table = Table::new(&[
        ("booked at (UTC)", Align::Left),
        ("value date", Align::Left),
        ("entry", Align::Right),
        ("debit", Align::Right),
        ("credit", Align::Right),
        ("balance", Align::Right),
        ("with", Align::Words),
        ("voucher", Align::Words),
    ]);
    for entry in entries {
        let amount = format_grouped(entry.amount as i128, scale);
        let (debit, credit) = match entry.side {
            Side::Debit => (amount, String::new()),
            Side::Credit => (String::new(), amount),
        };
        table.row(vec![
            format_second(entry.booked_at),
            format_day(entry.value_date),
            entry.version.to_string(),
            debit,
            credit,
            format_grouped(entry.balance, scale),
            counterparty(entry, names),
            voucher_words(&entry.voucher),
        ]);
    }
    table
}

fn counterparty(entry: &StatementEntry, names: &HashMap<u128, String>) -> String {
    match entry.counterparty {
        0 => "several".to_string(),
        id => names.get(&id).cloned().unwrap_or_else(|| show_id(id)),
    }
}

/// A voucher as words: the values of a JSON object, or the text itself.
fn voucher_words(voucher: &[u8]) -> String {
    match serde_json::from_slice(voucher) {
        Ok(serde_json::Value::Object(fields)) => {
            let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
            fields.values().map(word).collect::<Vec<_>>().join(", ")
        }
        _ => String::from_utf8_lossy(voucher).into_owned(),
    }
}

fn entry_json(entry: &StatementEntry, scale: u8, names: &HashMap<u128, String>) -> serde_json::Value {
    json!({
        "sequence": entry.sequence.to_string(),
        "version": entry.version.to_string(),
        "kind": entry.kind.name(),
        "id": show_id(entry.id),
        "side": entry.side.name(),
        "amount": format_amount(entry.amount as i128, scale),
        "amount_minor": entry.amount.to_string(),
        "balance": format_amount(entry.balance, scale),
        "balance_minor": entry.balance.to_string(),
        "counterparty": (entry.counterparty != 0).then(|| show_id(entry.counterparty)),
        "counterparty_label": names.get(&entry.counterparty),
        "reference": entry.reference.to_string(),
        "code": entry.code,
        "booked_at": format_instant(entry.booked_at),
        "booked_at_ns": entry.booked_at.to_string(),
        "accounting_date": format_day(entry.accounting_date),
        "value_date": (entry.value_date != 0).then(|| format_day(entry.value_date)),
        "voucher": String::from_utf8_lossy(&entry.voucher),
    })
}

fn write_csv(entries: &[StatementEntry], scale: u8, names: &HashMap<u128, String>) -> CliResult {
    let failed = |e: String| CliError::cannot(format!("cannot write CSV: {e}"), "write it to another place");
    let mut writer = csv::Writer::from_writer(Vec::new());
    let heads = "booked_at,value_date,version,sequence,id,side,amount,balance,counterparty,reference,code,voucher";
    writer.write_record(heads.split(',')).map_err(|e| failed(e.to_string()))?;
    for entry in entries {
        writer
            .write_record([
                format_instant(entry.booked_at),
                format_day(entry.value_date),
                entry.version.to_string(),
                entry.sequence.to_string(),
                show_id(entry.id),
                entry.side.name().to_string(),
                format_amount(entry.amount as i128, scale),
                format_amount(entry.balance, scale),
                counterparty(entry, names),
                entry.reference.to_string(),
                entry.code.to_string(),
                String::from_utf8_lossy(&entry.voucher).into_owned(),
            ])
            .map_err(|e| failed(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    write_line(String::from_utf8_lossy(&bytes).trim_end());
    Ok(EXIT_FINE)
}

fn show_token(token: &StatementToken) -> String {
    format!("{}.{}", token.sequence, token.version)
}

fn parse_token(text: &str) -> CliResult<StatementToken> {
    let parsed = text.split_once('.').and_then(|(sequence, version)| {
        Some(StatementToken { sequence: sequence.parse().ok()?, version: version.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        CliError::cannot(
            format!("'{text}' is not a token"),
            "give --from what an earlier statement printed after 'older entries:', like 1234.7",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_shown() {
        let token = StatementToken { sequence: 1234, version: 7 };
        assert_eq!(parse_token(&show_token(&token)).unwrap(), token);
        for text in ["", "1", "1.", "a.b", "1.2.3"] {
            assert!(parse_token(text).is_err(), "{text}");
        }
    }

    #[test]
    fn vouchers_are_shown_as_words() {
        assert_eq!(voucher_words(br#"{"operation":"cash deposit","purpose":"pension"}"#), "cash deposit, pension");
        assert_eq!(voucher_words(b"order 7"), "order 7");
        assert_eq!(voucher_words(b""), "");
    }
}
