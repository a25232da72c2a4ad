//! Replay of transfers that stand in their rows as a whole, as nearly all do: read where they are, with their ids and accounts
//! brought near ahead, so that the misses of the cache overlap. What is checked is what replay checks of any row.
//!
//! Rows go through three stages, some at a time: ask for where their ids and accounts are; ask for the accounts; apply. While some
//! are applied, what the next ones need is on its way.

use std::ops::Range;

use super::{Ledger, ReplayError, compare, differs};
use crate::account::{AccountKey, EntryResult, Version};
use crate::dedup::{Hashes, TOUCHED_AT_ONCE};
use crate::frame::{FrameView, LogEntry, LogRow, RowBytes};
use crate::outcome::Outcome;
use crate::request::Side;
use crate::slots::UNKNOWN;

/// Stages of which each has its rows at a time.
pub(super) const STAGES: usize = 3;
/// Rows of a stage.
pub(super) const ROWS: usize = TOUCHED_AT_ONCE;

/// Some rows of a frame, and the transfers among them that are of one institution, in order.
#[derive(Default)]
pub(super) struct Rows {
    rows: Range<u32>,
    institution: u32,
    /// Of the transfers' ids.
    hashes: Hashes,
    /// Debit and credit account of each transfer.
    sides: Vec<Place>,
    /// How many transfers were applied.
    applied: usize,
}

/// Where an account is.
struct Place {
    key: AccountKey,
    shard: u8,
    hash: u64,
    /// Most probably.
    slot: u32,
}

impl Rows {
    /// Their indexes in the frame.
    pub(super) fn range(&self) -> Range<u32> {
        self.rows.clone()
    }

    /// The number of a row among the transfers, if it is one of them; each is asked for once, in order.
    fn next(&mut self, row: &RowBytes<'_>) -> Option<usize> {
        row.whole_transfer().filter(|transfer| transfer.tail.institution.get() == self.institution)?;
        self.applied += 1;
        Some(self.applied - 1)
    }
}

impl Ledger {
    /// First stage. It changes nothing but `into`, whatever the rows say, and does not wait for what it asks for.
    pub(super) fn ask_for_places(&self, frame: &FrameView<'_>, rows: Range<u32>, into: &mut Rows) {
        let Rows { rows: own, institution, hashes, sides, applied } = into;
        (*own, *applied) = (rows.clone(), 0);
        sides.clear();
        let mut whole = rows.filter_map(|index| frame.row(index).whole_transfer()).peekable();
        let Some(first) = whole.peek() else { return };
        *institution = first.tail.institution.get();
        let ids = whole.filter(|row| row.tail.institution.get() == *institution).map(|row| {
            for account in [row.debit.get(), row.credit.get()] {
                let key = AccountKey { institution: *institution, account };
                let shard = key.home(self.shards.len());
                let hash = self.shards[usize::from(shard)].accounts().touch(&key);
                sides.push(Place { key, shard, hash, slot: UNKNOWN });
            }
            row.id.get()
        });
        *hashes = self.coordinator.touch_ids(*institution, ids);
    }

    /// Second stage. A frame with transfers opens no accounts, so they stay where they are.
    pub(super) fn ask_for_accounts(&self, rows: &mut Rows) {
        for place in &mut rows.sides {
            place.slot = self.shards[usize::from(place.shard)].accounts().guess(place.hash);
        }
    }

    /// Third stage, for one row: applies it if it is one of the transfers; false if it is not.
    #[inline]
    pub(super) fn apply_transfer(
        &mut self,
        row: &RowBytes<'_>,
        rows: &mut Rows,
        booked_at: u64,
    ) -> Result<bool, ReplayError> {
        let Some(at) = rows.next(row) else { return Ok(false) };
        let (transfer, sequence, institution) = (row.row(), row.sequence, rows.institution);
        let outcome = row.check_whole_transfer()?;
        self.check_day(institution, transfer.tail.accounting_date.get(), booked_at, sequence)?;
        let id = transfer.id.get();
        if !self.coordinator.replay_touched_id(&rows.hashes, at, institution, id, sequence) {
            return Err(differs(sequence, "its id was used before"));
        }
        if outcome == Outcome::Posted {
            self.apply_side(transfer, sequence, &rows.sides[2 * at], Side::Debit)?;
            self.apply_side(transfer, sequence, &rows.sides[2 * at + 1], Side::Credit)?;
        }
        Ok(true)
    }

    #[inline]
    fn apply_side(&mut self, row: &LogRow, sequence: u64, place: &Place, side: Side) -> Result<(), ReplayError> {
        let LogEntry { version, balance, previous } = *match side {
            Side::Debit => &row.debit_entry,
            Side::Credit => &row.credit_entry,
        };
        let recorded = EntryResult {
            version: Version::from_bits(version.get()),
            balance: balance.get(),
            previous: previous.get(),
        };
        let Place { key, shard, hash, slot } = place;
        let shard = &mut self.shards[usize::from(*shard)];
        let slot = shard.accounts().find_guessed(*slot, *hash, key);
        let found = shard.replay_at(slot, row.tail.asset.get(), (side, row.amount.get() as i128, 0), sequence);
        compare(key.account, sequence, recorded, found)
    }
}
