//! One hash of all that the ledger knows, the same for any number of shards: accounts in the order of their keys, assets,
//! and where the log ends. docs/format-log.md gives the bytes.

use crate::account::{Account, AccountDetails};
use crate::replay::Ledger;

/// BLAKE3 of the state.
pub fn state_hash(ledger: &Ledger) -> [u8; 32] {
    let mut accounts: Vec<(&Account, &AccountDetails)> = ledger.shards.iter().flat_map(|s| s.accounts()).collect();
    accounts.sort_unstable_by_key(|(account, _)| account.key);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&ledger.coordinator.last_round().to_le_bytes());
    hasher.update(&ledger.coordinator.last_sequence().to_le_bytes());
    hasher.update(&ledger.coordinator.last_booked_at().to_le_bytes());
    hasher.update(&(ledger.coordinator.assets().iter().count() as u64).to_le_bytes());
    for asset in ledger.coordinator.assets().iter() {
        hasher.update(&asset.number.to_le_bytes());
        hasher.update(&[asset.scale, asset.code.len() as u8]);
        hasher.update(asset.code.as_bytes());
    }
    hasher.update(&(accounts.len() as u64).to_le_bytes());
    let mut bytes = Vec::with_capacity(256);
    for (account, details) in accounts {
        bytes.clear();
        encode(account, details, &mut bytes);
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

fn encode(account: &Account, details: &AccountDetails, into: &mut Vec<u8>) {
    into.extend(account.key.institution.to_le_bytes());
    into.extend(account.key.account.to_le_bytes());
    into.extend(account.asset.to_le_bytes());
    into.extend(details.subject.to_le_bytes());
    into.extend([account.normal_side as u8, details.category, account.status as u8]);
    into.extend(details.owner.to_le_bytes());
    for limit in [account.limits.floor(), account.limits.ceiling(), details.alarm] {
        into.push(u8::from(limit.is_some()));
        into.extend(limit.unwrap_or(0).to_le_bytes());
    }
    into.extend(account.posted.to_le_bytes());
    into.extend(account.version.to_le_bytes());
    into.extend(account.last_entry.to_le_bytes());
    into.extend(details.opened.to_le_bytes());
    into.extend(details.opened_at.to_le_bytes());
    into.push(details.label.len() as u8);
    into.extend(details.label.as_bytes());
}
