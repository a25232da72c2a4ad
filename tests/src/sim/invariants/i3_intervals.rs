//! I3, intervals: low ≤ true ≤ high, and equal when nothing is undecided, for what a shard promises of each account's available
//! and gross balance.
//!
//! What is promised when a shard votes must hold when the round is finished. Checked at every vote and finish of every shard;
//! that intervals are points where nothing is undecided, and never turned round, after every message to a shard.

use std::collections::{BTreeMap, VecDeque};

use florin_core::account::AccountKey;
use florin_core::check::Balances;
use florin_core::shard::Shard;

/// Promises of the rounds that one shard has voted on and not finished.
#[derive(Debug, Default)]
pub struct Promises {
    open: VecDeque<Promise>,
}

#[derive(Debug)]
struct Promise {
    round: u64,
    /// Lowest and highest balances once the round is done.
    bounds: BTreeMap<AccountKey, [Balances; 2]>,
}

impl Promises {
    /// The shard has just voted.
    pub fn voted(&mut self, shard: &Shard, round: u64) {
        self.open.push_back(Promise { round, bounds: bounds(shard) });
    }

    /// The shard has just finished a round.
    pub fn finished(&mut self, shard: &Shard, number: u64) {
        let promise = self.open.pop_front().expect("a round that was voted on");
        assert_eq!(promise.round, number, "rounds finish in order");
        for (key, now) in standings(shard) {
            let [low, high] = promise.bounds[&key];
            let kept = (low.available..=high.available).contains(&now.available)
                && (low.gross..=high.gross).contains(&now.gross);
            assert!(kept, "I3: a balance left the interval that was promised: {key:?}, {now:?} in [{low:?}, {high:?}]");
        }
    }

    /// The intervals are points when nothing is undecided, and never turned round.
    pub fn check(&self, shard: &Shard) {
        assert_eq!(shard.has_open_rounds(), !self.open.is_empty());
        for (key, here) in standings(shard) {
            let [low, high] = shard.promised(&key).expect("an account of the shard");
            assert!(!self.open.is_empty() || [low, high] == [here; 2], "I3: a promise outlived its round: {key:?}");
            assert!(
                low.available <= high.available && low.gross <= high.gross,
                "I3: an interval has turned round: {key:?}"
            );
        }
    }
}

fn bounds(shard: &Shard) -> BTreeMap<AccountKey, [Balances; 2]> {
    let promised = |key: AccountKey| (key, shard.promised(&key).expect("an account of the shard"));
    standings(shard).map(|(key, _)| promised(key)).collect()
}

/// All accounts with what they have, as readers see it.
fn standings(shard: &Shard) -> impl Iterator<Item = (AccountKey, Balances)> {
    let accounts = shard.accounts();
    (0..accounts.len()).map(|slot| {
        let record = accounts.record(slot);
        let balances = Balances { available: record.available(), gross: record.posted + record.incoming };
        (accounts.key(slot), balances)
    })
}
