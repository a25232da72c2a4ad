//! I1, conservation: in every asset debits equal credits, in each row and over all accounts. Money is moved, never made or
//! lost.
//!
//! Checked of each row when it goes to the log, by the balances that it records, and of the shards' memory whenever no round
//! is under way.

use std::collections::BTreeMap;

use florin_core::replay::Ledger;
use florin_core::request::Side;
use num_bigint::BigInt;

/// A row's entries: asset, normal side of the account, and by how much its recorded balance changed.
pub fn row(row: u64, entries: impl Iterator<Item = (u32, Side, i128)>) {
    assert_balanced(entries, || format!("row {row}"));
}

/// All accounts of a ledger of which nothing is half applied.
pub fn ledger(ledger: &Ledger) {
    let shards = ledger.shards.iter().map(|shard| shard.accounts());
    let accounts = shards.flat_map(|accounts| (0..accounts.len()).map(|slot| accounts.record(slot)));
    let balances = accounts.map(|account| (account.asset, account.normal_side, account.posted));
    assert_balanced(balances, || format!("the accounts after row {}", ledger.coordinator.last_sequence()));
}

fn assert_balanced(amounts: impl Iterator<Item = (u32, Side, i128)>, what: impl Fn() -> String) {
    let mut debits_over_credits: BTreeMap<u32, BigInt> = BTreeMap::new();
    for (asset, normal_side, amount) in amounts {
        let amount = BigInt::from(amount);
        let signed = if normal_side == Side::Debit { amount } else { -amount };
        *debits_over_credits.entry(asset).or_default() += signed;
    }
    let balanced = debits_over_credits.values().all(|sum| *sum == BigInt::ZERO);
    assert!(balanced, "I1: {}: debits and credits differ: {debits_over_credits:?}", what());
}
