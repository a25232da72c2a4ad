//! I7: the state in memory at a position is what the log up to it says: hash(live at x) = hash(fold of the log up to x), for any
//! number of shards, from a snapshot or from the first row.
//!
//! Checked in each run at every start, where a recovery from a snapshot is compared with a replay of all frames; at the end, on all
//! other numbers of shards; and in between at one of so many moments at which no round is under way ([`EVERY`]).

use std::collections::BTreeMap;

use florin_core::account::AccountKey;
use florin_core::coordinator::RoundLimits;
use florin_core::link::Target;
use florin_core::replay::Ledger;
use florin_core::snapshot::AccountState;
use florin_core::state_hash::state_hash;

use crate::sim::Log;

/// One of so many quiet moments of a run is compared with a replay, which costs as much as all of the run before.
pub const EVERY: u64 = 16;

/// A live ledger without a round under way, against its log on so many shards.
pub fn fold(live: &Ledger, log: &Log, shards: usize, seed: u64, limits: RoundLimits) {
    let folded = log.replay(shards, seed, limits);
    let same = state_hash(&folded) == state_hash(live);
    assert!(same, "I7: the log replayed on {shards} shards gives another state after row {}", log.last_sequence());
}

/// Two ledgers that must not differ in anything that can be asked of them.
pub fn same(one: &Ledger, other: &Ledger) {
    assert_eq!(states(one), states(other), "I7: accounts differ");
    assert_eq!(state_hash(one), state_hash(other), "I7: what is beside the accounts differs");
    assert_eq!(holds(one), holds(other), "I7: open holds differ");
    assert_eq!(one.coordinator.ids(), other.coordinator.ids(), "I7: the number of ids differs");
}

/// The open holds of a ledger, by their rows.
pub fn holds(ledger: &Ledger) -> BTreeMap<u64, Target> {
    ledger.coordinator.holds().all().map(|hold| (hold.sequence, Target::clone(hold))).collect()
}

/// The accounts of a ledger, by their keys.
pub fn states(ledger: &Ledger) -> Vec<(AccountKey, AccountState)> {
    let of = |slot: usize, shard: usize| {
        let accounts = ledger.shards[shard].accounts();
        (accounts.key(slot), accounts.state(slot))
    };
    let slots = |shard: usize| (0..ledger.shards[shard].account_count()).map(move |slot| of(slot, shard));
    let mut all: Vec<_> = (0..ledger.shards.len()).flat_map(slots).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}
