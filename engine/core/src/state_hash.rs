//! One hash of all that the ledger knows, the same for any number of shards: accounts in the order of their keys, assets,
//! institutions, open holds with what is left of them, what was reversed, and where the log ends. docs/format-log.md gives the bytes.

use std::borrow::Borrow;

use crate::asset::Asset;
use crate::entry::AccountRecord;
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

/// All that a ledger knows beside its accounts. What is in lists may be in any order.
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
}

/// BLAKE3 of a ledger's state.
pub fn state_hash(ledger: &Ledger) -> [u8; 32] {
    let coordinator = &ledger.coordinator;
    let holds = coordinator.holds().all();
    let shards = ledger.shards.iter().map(|shard| shard.accounts());
    let mut places: Vec<_> =
        shards.flat_map(|all| (0..all.len()).map(move |slot| (all.key(slot), all, slot))).collect();
    places.sort_unstable_by_key(|(key, _, _)| *key);
    let accounts = places.into_iter().map(|(_, all, slot)| (all.record(slot), all.opened_at(slot)));
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
    };
    hash_of(state, accounts)
}

/// BLAKE3 of a state. `accounts`: each with when it was opened, in the order of institutions and, within one, of their numbers.
pub fn hash_of(
    mut state: State<'_>,
    accounts: impl ExactSizeIterator<Item = (impl Borrow<AccountRecord>, u64)>,
) -> [u8; 32] {
    state.assets.sort_unstable_by_key(|asset| asset.number);
    state.institutions.sort_unstable_by_key(|(number, _)| *number);
    state.holds.sort_unstable();
    state.named.sort_unstable();
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
    hasher.update(&(accounts.len() as u64).to_le_bytes());
    let mut bytes = Vec::with_capacity(256);
    for (account, opened_at) in accounts {
        bytes.clear();
        encode(account.borrow(), opened_at, &mut bytes);
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

fn encode(account: &AccountRecord, opened_at: u64, into: &mut Vec<u8>) {
    into.extend(account.institution.to_le_bytes());
    into.extend(account.account.to_le_bytes());
    into.extend(account.asset.to_le_bytes());
    into.extend(account.subject.to_le_bytes());
    into.extend([account.normal_side as u8, account.category, account.status as u8]);
    into.extend(account.owner.to_le_bytes());
    for limit in [account.floor, account.ceiling, account.alarm] {
        into.push(u8::from(limit.is_some()));
        into.extend(limit.unwrap_or(0).to_le_bytes());
    }
    into.extend(account.posted.to_le_bytes());
    into.extend(account.held.to_le_bytes());
    into.extend(account.incoming.to_le_bytes());
    into.extend(account.version.to_le_bytes());
    into.extend(account.last_entry.to_le_bytes());
    into.extend(account.opened.to_le_bytes());
    into.extend(opened_at.to_le_bytes());
    into.push(account.label.len() as u8);
    into.extend(account.label.as_bytes());
    into.extend((account.attributes.len() as u16).to_le_bytes());
    into.extend(&account.attributes);
}
