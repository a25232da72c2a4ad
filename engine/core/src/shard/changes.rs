//! Account changes: a shard decides and makes each on its own, between rounds, when nothing is undecided.

use std::sync::Arc;

use super::Shard;
use crate::account::{AccountKey, EntryResult, Limits};
use crate::entry::Status;
use crate::outcome::Outcome;
use crate::request::{Action, ChangeRequest, ChangeView};

/// A round of account changes.
#[derive(Debug)]
pub struct Changes {
    /// The round.
    pub number: u64,
    /// Sequence number of the first change.
    pub first_sequence: u64,
    /// Booked-at of the first change; one more for each further one.
    pub booked_at: u64,
    /// The request that they come from.
    pub request: Arc<ChangeRequest>,
    /// Which items of the request, in order.
    pub items: Vec<u32>,
    /// The institution's open day, 0 = none set.
    pub open_day: u16,
}

impl Changes {
    /// The account of an item.
    pub fn key(&self, item: u32) -> AccountKey {
        let account = self.request.change(item as usize).row.account.get();
        AccountKey { institution: self.request.institution, account }
    }
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeResult {
    /// The outcome.
    pub outcome: Outcome,
    /// The entry, if it was made.
    pub entry: EntryResult,
}

impl Shard {
    /// Makes the changes of this shard's accounts. Gives a result per change of its own, in order.
    pub fn change(&mut self, changes: &Changes) -> Vec<ChangeResult> {
        assert!(!self.has_open_rounds(), "account changes are a barrier between rounds");
        let mut results = Vec::new();
        for (position, item) in changes.items.iter().enumerate() {
            let key = changes.key(*item);
            if key.home(self.shards) != self.index {
                continue;
            }
            let view = changes.request.change(*item as usize);
            results.push(match self.check_change(&key, &view) {
                Err(outcome) => ChangeResult { outcome, entry: EntryResult::default() },
                Ok(slot) => {
                    let entry = self.make_change(slot, &view, changes.first_sequence + position as u64);
                    ChangeResult { outcome: Outcome::Posted, entry }
                }
            });
        }
        self.finished = changes.number;
        results
    }

    fn check_change(&self, key: &AccountKey, view: &ChangeView<'_>) -> Result<usize, Outcome> {
        let slot = self.accounts.find(key).ok_or(Outcome::AccountUnknown)?;
        let account = self.accounts.get(slot as u32).expect("an account that was found");
        let action = view.row.action();
        match (action, account.status == Status::Closed) {
            (Action::Reopen, false) => return Err(Outcome::AccountNotClosed),
            (Action::Reopen, true) => return Ok(slot),
            (_, true) => return Err(Outcome::AccountClosed),
            (_, false) => {}
        }
        match action {
            Action::Close if !self.accounts.is_void(slot) => Err(Outcome::AccountNotEmpty),
            Action::Limits => {
                let (balances, limits) = self.accounts.standing(account);
                let limits = limits.changed(view);
                let crossed = limits.floor().zip(limits.ceiling()).is_some_and(|(floor, ceiling)| floor > ceiling);
                let below = view.row.new_floor().flatten().is_some_and(|floor| balances.available < floor);
                let above = view.row.new_ceiling().flatten().is_some_and(|ceiling| balances.gross > ceiling);
                match (crossed, (below || above) && !view.row.forced()) {
                    (true, _) => Err(Outcome::LimitsCross),
                    (_, true) => Err(Outcome::OutsideLimits),
                    _ => Ok(slot),
                }
            }
            _ => Ok(slot),
        }
    }

    /// Makes a change that was accepted, now or before a restart, and its entry.
    pub fn make_change(&mut self, slot: usize, view: &ChangeView<'_>, sequence: u64) -> EntryResult {
        match view.row.action() {
            Action::Status => {
                let status = Status::from_byte(view.row.status).expect("a change whose shape was checked");
                self.accounts.change_status(slot, status);
            }
            Action::Limits => {
                let account = self.accounts.get(slot as u32).expect("an account that was found");
                let (_, limits) = self.accounts.standing(account);
                self.accounts.change_limits(slot, limits.changed(view), view.row.new_alarm());
            }
            Action::Close => self.accounts.change_status(slot, Status::Closed),
            Action::Reopen => self.accounts.change_status(slot, Status::Open),
            Action::Label => {
                let label = str::from_utf8(view.data).expect("a change whose shape was checked");
                self.accounts.change_label(slot, label);
            }
            Action::Attributes => self.accounts.change_attributes(slot, view.data),
        }
        self.accounts.note_change(slot, sequence)
    }

    /// Makes a recorded change again. None: there is no such account.
    pub fn replay_change(&mut self, key: &AccountKey, view: &ChangeView<'_>, sequence: u64) -> Option<EntryResult> {
        let slot = self.accounts.find(key)?;
        Some(self.make_change(slot, view, sequence))
    }
}

impl Limits {
    /// The limits after a change of limits.
    fn changed(&self, view: &ChangeView<'_>) -> Limits {
        let floor = view.row.new_floor().unwrap_or(self.floor());
        let ceiling = view.row.new_ceiling().unwrap_or(self.ceiling());
        Limits::new(floor, ceiling)
    }
}
