//! `florin statement`: an account's entries, newest or oldest first, all of them or a part.

mod render;
pub mod span;

use std::collections::HashMap;

use clap::Args;
use florin_core::entry::{Order, Span, StatementEntry, StatementPage, StatementToken};
use florin_net::Client;
use serde_json::json;

use crate::account::unknown;
use crate::client::{Target, client_error, with_session};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{parse_account, show_id};
use crate::money::{Assets, accounts};
use crate::output::{Output, note};

pub use render::table;

/// Entries asked for in one request.
const PAGE: u32 = 1_000;

/// Show an account's statement, newest first
#[derive(Debug, Args)]
pub struct StatementArguments {
    #[command(flatten)]
    target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    span: span::SpanArguments,
    /// Oldest entries first
    #[arg(long)]
    oldest_first: bool,
    /// Show at most this many entries; 0 = all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// Go on where another statement of the same span and order ended; it printed the token
    #[arg(long, value_name = "TOKEN")]
    resume: Option<String>,
    /// Write CSV, with everything that an entry has
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Runs the command.
pub fn run(arguments: &StatementArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| statement(arguments, &client, output).await)
}

async fn statement(arguments: &StatementArguments, client: &Client, output: Output) -> CliResult {
    let account = parse_account(&arguments.account)?;
    let part = Part {
        span: arguments.span.span()?,
        order: if arguments.oldest_first { Order::Oldest } else { Order::Newest },
        from: arguments.resume.as_deref().map(parse_token).transpose()?,
        limit: if arguments.limit == 0 { u64::MAX } else { arguments.limit },
    };
    let found = fetch(client, account, &part).await?;
    let (head, entries) = found.ok_or_else(|| unknown(&arguments.account))?;
    let registered = Assets::load(client).await?;
    let names = names(client, &entries).await?;
    let scale = registered.scale(head.account.asset);
    let more = head.next.map(|token| format!("more entries: --resume {}", show_token(&token)));
    if arguments.csv {
        if let Some(more) = more {
            note(format!("{more} (or --limit 0 for all)"));
        }
        return render::write_csv(&entries, scale, &names, output);
    }
    if output.json {
        for entry in &entries {
            output.object(&render::entry_json(entry, scale, &names));
        }
        output.object(&json!({
            "account": crate::account::json(&head.account, &registered),
            "position": head.position.to_string(),
            "next": head.next.map(|t| show_token(&t)),
        }));
        return Ok(EXIT_FINE);
    }
    let account = &head.account;
    let money = |minor: i128| registered.money(account.asset, minor);
    let label = if account.label.is_empty() { String::new() } else { format!("'{}', ", account.label) };
    output.text(format!(
        "account {}, normal side {}, {} entries",
        show_id(account.account),
        account.normal_side.name(),
        account.version
    ));
    let holds = if account.held != 0 || account.incoming != 0 {
        format!(
            ", held {}, incoming {}, available {}",
            money(account.held),
            money(account.incoming),
            money(account.available())
        )
    } else {
        String::new()
    };
    let status = if account.status.name() == "open" { String::new() } else { format!(", {}", account.status.name()) };
    output.text(format!("{label}balance {}{holds}{status}", money(account.posted)));
    if entries.is_empty() {
        output.text("no entries there");
        return Ok(EXIT_FINE);
    }
    render::table(&entries, scale, &names).write(&output);
    if let Some(more) = more {
        output.text(more);
    }
    Ok(EXIT_FINE)
}

/// A part of a statement: the first `limit` entries of a span, from where another ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Part {
    /// Which entries.
    pub span: Span,
    /// In which order.
    pub order: Order,
    /// Where to begin.
    pub from: Option<StatementToken>,
    /// How many.
    pub limit: u64,
}

/// Fetches a part; the page is the last one, with `next` where the statement goes on.
pub async fn fetch(
    client: &Client,
    account: u128,
    part: &Part,
) -> CliResult<Option<(StatementPage, Vec<StatementEntry>)>> {
    let mut entries = Vec::new();
    let mut from = part.from;
    loop {
        let wanted = part.limit.saturating_sub(entries.len() as u64).min(u64::from(PAGE)) as u32;
        let page = client.statement_page(account, part.span, part.order, from, wanted.max(1)).await;
        let Some(mut page) = page.map_err(client_error)? else {
            return Ok(None);
        };
        entries.append(&mut page.entries);
        from = page.next;
        if from.is_none() || entries.len() as u64 >= part.limit {
            return Ok(Some((page, entries)));
        }
    }
}

/// Labels of the accounts on the other side.
pub async fn names(client: &Client, entries: &[StatementEntry]) -> CliResult<HashMap<u128, String>> {
    let accounts = accounts(client, entries.iter().map(|e| e.counterparty)).await?;
    let labelled = accounts.into_iter().filter(|(_, account)| !account.label.is_empty());
    Ok(labelled.map(|(id, account)| (id, account.label.to_string())).collect())
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
            "give --resume what an earlier statement printed after 'more entries:', like 1234.7",
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
}
