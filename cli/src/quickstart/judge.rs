//! Checks after the crash that everything the client was told is in the ledger, and shows totals at the end of the day.

use florin_core::request::Side;
use florin_net::Client;

use super::day::Kind;
use super::send::Answered;
use crate::client::client_error;
use crate::error::{CliError, CliResult};
use crate::ids::show_id;
use crate::progress;

/// Transactions asked for in one look-up.
const LOOK_UP: usize = 1_000;

/// Looks every answered transaction up: outcome, sequence, time and postings must be what the client was told. Gives how many there are.
pub async fn check_told(told: &[Answered], client: &Client) -> CliResult<usize> {
    let bar = progress::bar(told.len() as u64, "looking up", "answers");
    for part in told.chunks(LOOK_UP) {
        let ids: Vec<u128> = part.iter().map(|t| t.id).collect();
        let found = client.transactions(&ids).await.map_err(client_error)?;
        for (told, found) in part.iter().zip(found) {
            let lost = |what: &str| {
                CliError::disagree(
                    format!("transaction {} was answered before the crash, and {what}", show_id(told.id)),
                    "this is a bug: keep the folder (florin quickstart --keep) and report it",
                )
            };
            let Some(found) = found else { return Err(lost("is not in the ledger")) };
            let same = (found.result.outcome, found.result.sequence, found.result.booked_at)
                == (told.result.outcome, told.result.sequence, told.result.booked_at)
                && found.postings.len() == told.postings;
            if !same {
                return Err(lost("is in the ledger with another result"));
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(told.len())
}

/// The sum of a kind's accounts.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    /// The kind.
    pub kind: Kind,
    /// How many accounts.
    pub accounts: u64,
    /// Sum of the balances on the normal side, minor units.
    pub balance: i128,
}

/// Totals by kind; debit balances must equal credit balances.
pub async fn totals(client: &Client) -> CliResult<Vec<Total>> {
    let mut totals = Kind::ALL.map(|kind| Total { kind, accounts: 0, balance: 0 });
    let mut after = 0;
    loop {
        let page = client.list_accounts(after, 4_000).await.map_err(client_error)?;
        let Some(last) = page.last() else { break };
        after = last.opened;
        for account in &page {
            let kind = Kind::of_label(&account.label);
            if let Some(total) = totals.iter_mut().find(|t| Some(t.kind) == kind) {
                total.accounts += 1;
                total.balance += account.posted;
            }
        }
    }
    let sum = |side: Side| totals.iter().filter(|t| t.kind.normal_side() == side).map(|t| t.balance).sum::<i128>();
    let (debits, credits) = (sum(Side::Debit), sum(Side::Credit));
    if debits != credits {
        return Err(CliError::disagree(
            format!("debit balances are {debits} cents, credit balances {credits}"),
            "this is a bug: keep the folder (florin quickstart --keep) and report it",
        ));
    }
    Ok(totals.to_vec())
}
