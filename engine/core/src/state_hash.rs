//! One hash of all that the ledger knows, the same for any number of shards: accounts in the order of their keys, assets,
//! institutions, open holds with what is left of them, what was reversed, and where the log ends. docs/format-log.md gives the bytes.

use crate::account::{Account, AccountDetails};
use crate::asset::Asset;
use crate::institution::Institution;
use crate::link::PostingName;
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

/// All that a ledger knows. What is in lists may be in any order.
pub struct State<'a> {
    /// Where the log ends.
    pub position: LogPosition,
    /// Assets.
    pub assets: Vec<&'a Asset>,
    /// Institutions with their numbers.
    pub institutions: Vec<(u32, &'a Institution)>,
    /// Open holds: sequence number, institution, id, expiry.
    pub holds: Vec<(u64, u32, u128, u64)>,
    /// What is left of postings of open holds, and what was reversed of postings of originals.
    pub named: Vec<(PostingName, i128)>,
    /// Accounts.
    pub accounts: Vec<(&'a Account, &'a AccountDetails)>,
}

/// BLAKE3 of a ledger's state.
pub fn state_hash(ledger: &Ledger) -> [u8; 32] {
    let coordinator = &ledger.coordinator;
    let holds = coordinator.holds().all();
    let state = State {
        position: LogPosition {
            last_round: coordinator.last_round(),
            last_sequence: coordinator.last_sequence(),
            last_booked_at: coordinator.last_booked_at(),
        },
        assets: coordinator.assets().iter().collect(),
        institutions: coordinator.institutions().iter().collect(),
        holds: holds.map(|h| (h.sequence, h.institution, h.id, h.expires_at)).collect(),
        named: ledger.shards.iter().flat_map(|s| s.all_named()).collect(),
        accounts: ledger.shards.iter().flat_map(|s| s.accounts()).collect(),
    };
    hash_of(state)
}

/// BLAKE3 of a state.
pub fn hash_of(mut state: State<'_>) -> [u8; 32] {
    state.assets.sort_unstable_by_key(|asset| asset.number);
    state.institutions.sort_unstable_by_key(|(number, _)| *number);
    state.holds.sort_unstable();
    state.named.sort_unstable();
    state.accounts.sort_unstable_by_key(|(account, _)| account.key());
    let mut hasher = blake3::Hasher::new();
    let position = state.position;
    for word in [position.last_round, position.last_sequence, position.last_booked_at, state.assets.len() as u64] {
        hasher.update(&word.to_le_bytes());
    }
    for asset in state.assets {
        hasher.update(&asset.number.to_le_bytes());
        hasher.update(&[asset.scale, asset.code.len() as u8]);
        hasher.update(asset.code.as_bytes());
    }
    hasher.update(&(state.institutions.len() as u64).to_le_bytes());
    for (number, institution) in state.institutions {
        hasher.update(&number.to_le_bytes());
        hasher.update(&institution.open_day.to_le_bytes());
        hasher.update(&[institution.name.len() as u8]);
        hasher.update(institution.name.as_bytes());
    }
    hasher.update(&(state.holds.len() as u64).to_le_bytes());
    for (sequence, institution, id, expires_at) in state.holds {
        hasher.update(&sequence.to_le_bytes());
        hasher.update(&institution.to_le_bytes());
        hasher.update(&id.to_le_bytes());
        hasher.update(&expires_at.to_le_bytes());
    }
    hasher.update(&(state.named.len() as u64).to_le_bytes());
    for (name, now) in state.named {
        hasher.update(&name.target.to_le_bytes());
        hasher.update(&[name.index]);
        hasher.update(&now.to_le_bytes());
    }
    hasher.update(&(state.accounts.len() as u64).to_le_bytes());
    let mut bytes = Vec::with_capacity(256);
    for (account, details) in state.accounts {
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
    into.extend(account.held.to_le_bytes());
    into.extend(account.incoming.to_le_bytes());
    into.extend(account.version.to_le_bytes());
    into.extend(account.last_entry.to_le_bytes());
    into.extend(details.opened.to_le_bytes());
    into.extend(details.opened_at.to_le_bytes());
    into.push(details.label.len() as u8);
    into.extend(details.label.as_bytes());
    into.extend((details.attributes.len() as u16).to_le_bytes());
    into.extend(&details.attributes);
}
