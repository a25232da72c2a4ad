//! `florin post` and `florin hold`: one transaction of two or more postings, posted or reserved.

use std::collections::btree_map::{BTreeMap, Entry};

use clap::Args;
use florin_core::asset::Asset;
use florin_core::limits::POSTINGS_MAX;
use florin_core::request::Side;
use florin_net::{Client, Transaction};

use super::{ItemArguments, send};
use crate::amount::parse_amount;
use crate::assets;
use crate::client::with_session;
use crate::error::{CliError, CliResult};
use crate::ids::{parse_account, parse_id};
use crate::output::Output;

/// Post one transaction
///
/// For example: florin post --debit @cash:100 --credit @alice:97.50 --credit @fees:2.50 --asset EUR
///
/// An exchange names the asset of each amount; debits equal credits in each of them: florin post --debit @bob-eur:50EUR --credit @desk-eur:50EUR --debit @desk-usd:54.20USD --credit @bob-usd:54.20USD
#[derive(Debug, Args)]
pub struct PostArguments {
    #[command(flatten)]
    postings: PostingArguments,
    #[command(flatten)]
    item: ItemArguments,
}

/// Reserve the amounts of a transaction, to be captured later
///
/// For example: florin hold --debit @alice:50 --credit @shop:50 --timeout 15m
///
/// What is to leave an account counts as held and is no longer available; what is to come counts towards its ceiling.
#[derive(Debug, Args)]
pub struct HoldArguments {
    #[command(flatten)]
    postings: PostingArguments,
    /// Expires after so long: seconds, or a number with s, m, h or d, like 15m [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<u32>,
    #[command(flatten)]
    item: ItemArguments,
}

#[derive(Debug, Args)]
struct PostingArguments {
    /// Account and amount on the debit side, with the asset's code behind the amount where it is not --asset; may be repeated
    #[arg(long, value_name = "ACCOUNT:AMOUNT[CODE]", required = true)]
    debit: Vec<String>,
    /// The same on the credit side; may be repeated
    #[arg(long, value_name = "ACCOUNT:AMOUNT[CODE]", required = true)]
    credit: Vec<String>,
    /// The asset of all amounts without a code, by code or number [default: the ledger's only asset]
    #[arg(long, value_name = "CODE")]
    asset: Option<String>,
    /// Skip limits and freezes
    #[arg(long)]
    forced: bool,
    /// Id of a related transaction, which `florin show` then lists with this one; it is not checked
    #[arg(long, value_name = "ID")]
    link: Option<String>,
}

/// Runs `florin post`.
pub fn run_post(arguments: &PostArguments, output: Output) -> CliResult {
    with_session(&arguments.item.target, async |client| {
        let transaction = transaction(&client, &arguments.postings, &arguments.item).await?;
        send(&client, &transaction, None, output).await
    })
}

/// Runs `florin hold`.
pub fn run_hold(arguments: &HoldArguments, output: Output) -> CliResult {
    with_session(&arguments.item.target, async |client| {
        let transaction = transaction(&client, &arguments.postings, &arguments.item).await?;
        send(&client, &transaction.held(arguments.timeout.unwrap_or(0)), None, output).await
    })
}

async fn transaction(client: &Client, arguments: &PostingArguments, item: &ItemArguments) -> CliResult<Transaction> {
    let mut known: BTreeMap<Option<&str>, Asset> = BTreeMap::new();
    let mut transaction = Transaction::journal(item.id()?);
    for (texts, side) in [(&arguments.debit, Side::Debit), (&arguments.credit, Side::Credit)] {
        for text in texts {
            let (account, amount, code) = split_posting(text)?;
            let code = code.or(arguments.asset.as_deref());
            let asset = match known.entry(code) {
                Entry::Occupied(asked) => asked.into_mut(),
                Entry::Vacant(new) => new.insert(assets::find(client, code).await?),
            };
            let amount = parse_amount(amount, asset.scale)
                .map_err(|e| CliError::cannot(format!("'{text}': {e}"), "correct the amount"))?;
            let account = parse_account(account)?;
            transaction = transaction.with_posting(side, account, asset.number, amount);
        }
    }
    let count = transaction.postings.len();
    if count > POSTINGS_MAX {
        return Err(CliError::cannot(
            format!("{count} postings are more than the {POSTINGS_MAX} that one transaction may have"),
            "split the transaction",
        ));
    }
    transaction.forced = arguments.forced;
    transaction.link = arguments.link.as_deref().map(parse_id).transpose()?.unwrap_or(0);
    item.complete(transaction)
}

/// Account, amount and code of `ACCOUNT:AMOUNT[CODE]`. The amount ends at its last digit, or at the first space: so a code that begins
/// with a digit can be written too.
fn split_posting(text: &str) -> CliResult<(&str, &str, Option<&str>)> {
    let (account, amount) = text.rsplit_once(':').ok_or_else(|| {
        CliError::cannot(format!("'{text}' is not ACCOUNT:AMOUNT"), "write for example --debit @cash:12.50")
    })?;
    let end = amount.find(|c: char| c.is_ascii_alphabetic() || c.is_whitespace()).unwrap_or(amount.len());
    let (amount, code) = amount.split_at(end);
    Ok((account, amount, Some(code.trim()).filter(|code| !code.is_empty())))
}

/// Seconds of `90`, `90s`, `15m`, `2h`, `7d`.
fn parse_timeout(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let seconds = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok()).flatten();
    match seconds.and_then(|seconds| seconds.checked_mul(unit)) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        _ => Err(
            "write seconds, or a number with s, m, h or d, like 15m, up to 49710d; without --timeout it never expires"
                .to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posting_is_account_colon_amount_and_perhaps_a_code() {
        for (text, parts) in [
            ("7:12.5", ("7", "12.5", None)),
            ("@till:3:12", ("@till:3", "12", None)),
            ("@bob:54.20USD", ("@bob", "54.20", Some("USD"))),
            ("@bob:5 1INCH", ("@bob", "5", Some("1INCH"))),
            ("7:", ("7", "", None)),
            ("7:-1", ("7", "-1", None)),
        ] {
            assert_eq!(split_posting(text).unwrap(), parts, "{text}");
        }
        assert!(split_posting("7").is_err());
    }

    #[test]
    fn a_timeout_is_seconds_or_a_number_with_a_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)] {
            assert_eq!(parse_timeout(text), Ok(seconds), "{text}");
        }
        for text in ["", "0", "m", "-1", "+1", "1.5h", "1w", "4294967296", "49711d", "１m"] {
            assert!(parse_timeout(text).is_err(), "{text}");
        }
    }
}
