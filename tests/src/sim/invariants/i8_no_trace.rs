//! I8: a refused transaction leaves no trace but its row: no entry, no version, no balance, no hold.
//!
//! Checked of each row when it goes to the log; of the accounts of each round, before and after a shard applies it; and of the
//! open holds whenever no round is under way.

use std::collections::BTreeSet;
use std::sync::Arc;

use florin_core::account::AccountKey;
use florin_core::entry::AccountRecord;
use florin_core::replay::Ledger;
use florin_core::round::{Decision, Round};
use florin_core::shard::Shard;

/// A row that is refused: versions and previous entries that it records.
pub fn row(row: u64, mut entries: impl Iterator<Item = (u64, u64)>) {
    assert!(entries.all(|entry| entry == (0, 0)), "I8: row {row} is refused, with an entry");
}

/// The accounts of a round's items that a shard owns, before it applies the round.
pub struct Before {
    round: Arc<Round>,
    accounts: Vec<AccountRecord>,
}

impl Before {
    /// The shard is about to apply a round.
    pub fn of(shard: &Shard, round: Arc<Round>) -> Before {
        let effects = round.items.iter().flat_map(|item| round.effects(item));
        let accounts = effects.filter_map(|effect| shard.look_up(&effect.key())).collect();
        Before { round, accounts }
    }

    /// It has: what no accepted item touches is as it was.
    pub fn compare(&self, shard: &Shard, decisions: &[Decision]) {
        let decided = self.round.items.iter().zip(decisions);
        let posted = decided.filter(|(_, decision)| decision.is_posted());
        let touched: BTreeSet<AccountKey> =
            posted.flat_map(|(item, _)| self.round.effects(item)).map(|effect| effect.key()).collect();
        for before in &self.accounts {
            let key = AccountKey { institution: before.institution, account: before.account };
            if !touched.contains(&key) {
                let (after, number) = (shard.look_up(&key), self.round.number);
                assert_eq!(after.as_ref(), Some(before), "I8: an account was changed by what round {number} refused");
            }
        }
    }
}

/// The holds of a ledger in which nothing is undecided are those that rows placed and none closed.
pub fn holds(ledger: &Ledger, open: impl Iterator<Item = (u32, u128)>) {
    let known: BTreeSet<(u32, u128)> =
        ledger.coordinator.holds().all().map(|hold| (hold.institution, hold.id)).collect();
    assert_eq!(known, open.collect(), "I8: the open holds are not those of the rows");
}
