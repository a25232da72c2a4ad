//! One hash of all that the ledger knows, the same for any number of shards: accounts in the order of their keys, assets,
//! and where the log ends. docs/format-log.md gives the bytes.

use crate::account::{Account, AccountDetails};
use crate::asset::Asset;
use crate::replay::Ledger;

/// Where a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogPosition {
    /// Last round, which is the last frame.
    pub last_round: u64,
    /// Last sequence number.
    pub last_sequence: u64,
    /// Booked-at of the last row, nanoseconds since 1970-01-01 UTC.
    pub last_booked_at: u64,
}

/// BLAKE3 of a ledger's state.
pub fn state_hash(ledger: &Ledger) -> [u8; 32] {
    let position = LogPosition {
        last_round: ledger.coordinator.last_round(),
        last_sequence: ledger.coordinator.last_sequence(),
        last_booked_at: ledger.coordinator.last_booked_at(),
    };
    let accounts = ledger.shards.iter().flat_map(|s| s.accounts()).collect();
    hash_of(position, ledger.coordinator.assets().iter(), accounts)
}

/// BLAKE3 of a state: assets in the order of their numbers, accounts in any order.
pub fn hash_of<'a>(
    position: LogPosition,
    assets: impl Iterator<Item = &'a Asset>,
    mut accounts: Vec<(&'a Account, &'a AccountDetails)>,
) -> [u8; 32] {
    accounts.sort_unstable_by_key(|(account, _)| account.key());
    let assets: Vec<&Asset> = assets.collect();
    let mut hasher = blake3::Hasher::new();
    for word in [position.last_round, position.last_sequence, position.last_booked_at, assets.len() as u64] {
        hasher.update(&word.to_le_bytes());
    }
    for asset in assets {
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
    into.extend(account.key().institution.to_le_bytes());
    into.extend(account.key().account.to_le_bytes());
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
