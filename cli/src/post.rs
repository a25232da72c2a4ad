//! `florin post`: posts one transaction of two or more postings.

use clap::Args;
use florin_core::limits::POSTINGS_MAX;
use florin_core::outcome::Outcome;
use florin_core::request::{Posting, Side};
use florin_net::{Client, Transaction};
use serde_json::json;

use crate::account::Assets;
use crate::amount::{format_amount, parse_amount};
use crate::assets;
use crate::client::{Target, client_error, with_session};
use crate::dates::{format_instant, parse_day};
use crate::error::{CliError, CliResult, EXIT_DISAGREE, EXIT_FINE};
use crate::ids::{parse_account, parse_id, random_id, show_id};
use crate::import::report::field_name;
use crate::output::{Align, Output, Table};

/// Post one transaction
///
/// For example: florin post --debit @cash:100 --credit @alice:97.50 --credit @fees:2.50 --asset EUR
#[derive(Debug, Args)]
pub struct PostArguments {
    #[command(flatten)]
    target: Target,
    /// Account and amount on the debit side; may be repeated
    #[arg(long, value_name = "ACCOUNT:AMOUNT", required = true)]
    debit: Vec<String>,
    /// Account and amount on the credit side; may be repeated
    #[arg(long, value_name = "ACCOUNT:AMOUNT", required = true)]
    credit: Vec<String>,
    /// The asset of all postings, by code or number [default: the ledger's only asset]
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
    /// Id of the transaction; the same id never posts twice [default: a random one]
    #[arg(long, value_name = "N")]
    id: Option<String>,
    /// Business reference, decimal or 0x… hex
    #[arg(long, value_name = "N")]
    reference: Option<String>,
    /// Business code, 0 to 65535
    #[arg(long, default_value_t = 0)]
    code: u16,
    /// Value date, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    value_date: Option<String>,
    /// Text kept with the transaction, up to 4096 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    voucher: String,
}

/// Runs the command.
pub fn run(arguments: &PostArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| post(arguments, &client, output).await)
}

async fn post(arguments: &PostArguments, client: &Client, output: Output) -> CliResult {
    let asset = assets::find(client, arguments.asset.as_deref()).await?;
    let mut postings = Vec::new();
    for (texts, side) in [(&arguments.debit, Side::Debit), (&arguments.credit, Side::Credit)] {
        for text in texts {
            let (account, amount) = parse_posting(text, asset.scale)?;
            postings.push(Posting { account, amount, asset: asset.number, side });
        }
    }
    if postings.len() > POSTINGS_MAX {
        return Err(CliError::cannot(
            format!("{} postings are more than the {POSTINGS_MAX} that one transaction may have", postings.len()),
            "split the transaction",
        ));
    }
    let id = match &arguments.id {
        Some(text) => parse_id(text)?,
        None => random_id()?,
    };
    let transaction = Transaction {
        id,
        postings,
        reference: arguments.reference.as_deref().map(parse_id).transpose()?.unwrap_or(0),
        code: arguments.code,
        value_date: match &arguments.value_date {
            None => 0,
            Some(text) => parse_day(text).ok_or_else(|| {
                CliError::cannot(
                    format!("--value-date '{text}' is not a date"),
                    "write YYYY-MM-DD, from 1970-01-02 to 2149-06-06",
                )
            })?,
        },
        voucher: arguments.voucher.clone().into_bytes(),
    };
    let reply = client.post(std::slice::from_ref(&transaction), true).await.map_err(|error| {
        let error = client_error(error);
        CliError { next: format!("{} (this one was --id {})", error.next, show_id(id)), ..error }
    })?;
    let result = reply
        .items()
        .next()
        .ok_or_else(|| CliError::cannot("the server gave no result", "repeat with the same --id"))?;
    let posted = result.outcome == Outcome::Posted;
    let differing = matches!(result.outcome, Outcome::IdUsedWithOtherFields).then(|| field_name(result.detail));
    let postings: Vec<_> = transaction.postings.iter().zip(&reply.postings).collect();
    output.object(&json!({
        "id": show_id(id),
        "outcome": result.outcome.name(),
        "help": result.outcome.info().help,
        "repeat": result.repeat,
        "differing_field": differing,
        "sequence": result.sequence.to_string(),
        "booked_at": result.booked_at.to_string(),
        "postings": postings.iter().map(|(posting, after)| json!({
            "account": show_id(posting.account),
            "side": posting.side.name(),
            "amount": format_amount(posting.amount as i128, asset.scale),
            "amount_minor": posting.amount.to_string(),
            "asset": asset.code,
            "version": after.version.to_string(),
            "balance": format_amount(after.balance, asset.scale),
            "balance_minor": after.balance.to_string(),
        })).collect::<Vec<_>>(),
    }));
    if posted {
        let repeat = if result.repeat { ", a repeat: this is the original result" } else { "" };
        output.text(format!(
            "posted {} as sequence {} at {}{repeat}",
            show_id(id),
            result.sequence,
            format_instant(result.booked_at)
        ));
        let registered = Assets::load(client).await?;
        let mut table = Table::new(&[
            ("side", Align::Left),
            ("account", Align::Left),
            ("amount", Align::Right),
            ("version", Align::Right),
            ("balance after", Align::Right),
        ]);
        for (posting, after) in postings {
            table.row(vec![
                posting.side.name().to_string(),
                show_id(posting.account),
                registered.grouped(posting.asset, posting.amount as i128),
                after.version.to_string(),
                registered.money(posting.asset, after.balance),
            ]);
        }
        table.write(&output);
        return Ok(EXIT_FINE);
    }
    let first = differing.map_or_else(String::new, |field| format!(" (first {field})"));
    let repeat = if result.repeat { " (the original result of this id)" } else { "" };
    output.text(format!("refused {}: {}{first}{repeat}", show_id(id), result.outcome.name()));
    output.text(format!("  why: {}", result.outcome.info().help));
    output.text(match result.outcome.info().recorded {
        true => "  next: this answer is final for this id; once the cause is gone, post again without --id or with a new one",
        false => "  next: correct it and post again; nothing was recorded",
    });
    Ok(EXIT_DISAGREE)
}

fn parse_posting(text: &str, scale: u8) -> CliResult<(u128, u128)> {
    let (account, amount) = text.rsplit_once(':').ok_or_else(|| {
        CliError::cannot(format!("'{text}' is not ACCOUNT:AMOUNT"), "write for example --debit @cash:12.50")
    })?;
    let amount =
        parse_amount(amount, scale).map_err(|e| CliError::cannot(format!("'{text}': {e}"), "correct the amount"))?;
    Ok((parse_account(account)?, amount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::account_of_name;

    #[test]
    fn a_posting_is_account_colon_amount() {
        assert_eq!(parse_posting("7:12.5", 2).unwrap(), (7, 1250));
        assert_eq!(parse_posting("@till:3:12", 0).unwrap(), (account_of_name("till:3"), 12));
        for text in ["7", "7:", ":5", "7:0", "7:-1", "7:1.001"] {
            assert!(parse_posting(text, 2).is_err(), "{text}");
        }
    }
}
