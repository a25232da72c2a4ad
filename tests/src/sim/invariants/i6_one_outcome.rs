//! I6: one id, one outcome. An id is used by one row of the log, for ever: across crashes, recoveries and the move of old ids
//! to runs. Whoever asks with it is told the same.
//!
//! Checked of each row when it goes to the log, of all answers that were let out, and at the end by asking the ledger for every
//! id.

use std::collections::BTreeMap;

use florin_core::replay::Ledger;
use florin_core::request::ItemResult;

/// Institution and id.
type Id = (u32, u128);

/// The ids of a log, and the rows that use them.
#[derive(Clone, Debug, Default)]
pub struct UsedIds(BTreeMap<Id, u64>);

impl UsedIds {
    /// A row uses an id.
    pub fn row(&mut self, id: Id, row: u64) {
        if let Some(first) = self.0.insert(id, row) {
            panic!("I6: row {row} uses the id {:#x}, which row {first} used", id.1);
        }
    }
}

/// What was told of ids that rows use.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<Id, ItemResult>);

impl Told {
    /// A client was told the result of an id.
    pub fn tell(&mut self, id: Id, result: ItemResult) {
        if result.sequence == 0 {
            return; // Nothing is recorded.
        }
        let result = ItemResult { repeat: false, ..result };
        let first = *self.0.entry(id).or_insert(result);
        assert_eq!(result, first, "I6: two results of the id {:#x}", id.1);
    }
}

/// Every id is found where it was used, and no other is known. `old_id` asks runs.
pub fn ledger(ledger: &Ledger, ids: impl Iterator<Item = (Id, u64)>, old_id: impl Fn(u32, u128) -> Option<u64>) {
    let mut count = 0;
    for ((institution, id), row) in ids {
        let found = match ledger.coordinator.find_id(institution, id) {
            None if ledger.coordinator.may_be_old(institution, id) => old_id(institution, id),
            found => found,
        };
        assert_eq!(found, Some(row), "I6: the id {id:#x} of row {row} is found elsewhere");
        count += 1;
    }
    assert_eq!(ledger.coordinator.ids(), count, "I6: the number of ids");
}
