//! Proves the books after a run: every account has exactly the balance and version that the acknowledged transfers give
//! it, debits equal credits, and sampled ids are found as posted.

use florin_core::entry::AccountRecord;
use florin_core::outcome::Outcome;
use florin_net::Client;
use serde::Serialize;

use crate::error::BenchError;
use crate::workload::{Template, account_id};

/// Accounts and ids asked for in one request.
const LOOK_UP_ACCOUNTS: u32 = 8_000;
const LOOK_UP_IDS: usize = 1_000;

/// What was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Accounts whose balance and version are exactly as expected.
    pub accounts: u64,
    /// Ids looked up and found posted.
    pub ids: u64,
    /// Transfers that the versions account for.
    pub transfers: u64,
}

/// Balance and version of every account of a run.
pub async fn snapshot(client: &Client, accounts: u32) -> Result<Vec<(i128, u64)>, BenchError> {
    let mut all = Vec::with_capacity(accounts as usize);
    for first in (0..accounts).step_by(LOOK_UP_ACCOUNTS as usize) {
        let last = accounts.min(first + LOOK_UP_ACCOUNTS);
        let ids: Vec<u128> = (first..last).map(account_id).collect();
        for (index, account) in (first..last).zip(client.accounts(&ids).await?) {
            let account: AccountRecord =
                account.ok_or_else(|| BenchError::Books(format!("account {index} of the run is missing")))?;
            all.push((account.posted, account.version));
        }
    }
    Ok(all)
}

/// Compares the accounts with what the acknowledged templates make of `before`, and looks the sampled ids up.
/// The normal side of every account is credit: a debit lowers it, a credit raises it.
pub async fn prove<'a>(
    client: &Client,
    before: &[(i128, u64)],
    templates: impl Iterator<Item = &'a Template>,
    sampled: &[u128],
) -> Result<Proof, BenchError> {
    let mut expected = before.to_vec();
    let mut transfers = 0;
    for template in templates.filter(|t| t.acknowledged > 0) {
        for &(debit, credit, amount) in &template.moves {
            let moved = i128::from(amount) * i128::from(template.acknowledged);
            expected[debit as usize].0 -= moved;
            expected[debit as usize].1 += template.acknowledged;
            expected[credit as usize].0 += moved;
            expected[credit as usize].1 += template.acknowledged;
        }
        transfers += template.acknowledged * template.moves.len() as u64;
    }
    let after = snapshot(client, before.len() as u32).await?;
    if let Some(index) = (0..after.len()).find(|&i| after[i] != expected[i]) {
        return Err(BenchError::Books(format!(
            "account {index} has balance {} and version {}, the acknowledged transfers make it {} and {}",
            after[index].0, after[index].1, expected[index].0, expected[index].1
        )));
    }
    let sum: i128 = after.iter().map(|(balance, _)| balance).sum();
    if sum != 0 {
        return Err(BenchError::Books(format!("debits and credits differ by {sum}")));
    }
    for part in sampled.chunks(LOOK_UP_IDS) {
        for (id, found) in part.iter().zip(client.transactions(part).await?) {
            if found.is_none_or(|t| t.result.outcome != Outcome::Posted) {
                return Err(BenchError::Books(format!("transfer 0x{id:032x} was acknowledged and is not there")));
            }
        }
    }
    Ok(Proof { accounts: after.len() as u64, ids: sampled.len() as u64, transfers })
}
