//! A snapshot taken over into an empty ledger, and the ids of the frames that it covers.

use std::sync::Arc;

use super::{AccountState, Named, SnapshotRecord};
use crate::account::AccountKey;
use crate::dedup::TOUCHED_AT_ONCE;
use crate::dedup::notes::{IdNote, notes_of_row};
use crate::frame::FrameView;
use crate::link::Target;
use crate::replay::{Ledger, ReplayError, differs};
use crate::state_hash::LogPosition;

/// Why a record cannot be part of the state that the records before it make.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RestoreError(pub String);

impl Ledger {
    /// Takes a record over. All records in order make the state; then comes [`Ledger::restored`].
    pub fn restore(&mut self, record: SnapshotRecord) -> Result<(), RestoreError> {
        match record {
            SnapshotRecord::Institution { number, open_day, name } => {
                let institutions = self.coordinator.replay_institutions();
                institutions.check(number, &name).map_err(|_| wrong(format!("institution {number} comes twice")))?;
                institutions.register(number, &name);
                institutions.set_open_day(number, open_day);
                Ok(())
            }
            SnapshotRecord::Asset(asset) => {
                let number = asset.number;
                self.coordinator.replay_asset(asset).map_err(|_| wrong(format!("asset {number} comes twice")))
            }
            SnapshotRecord::Account(account) => self.restore_account(&account),
            SnapshotRecord::Hold(hold) => self.restore_hold(hold),
            SnapshotRecord::Named(named) => self.restore_named(&named),
        }
    }

    fn restore_account(&mut self, account: &AccountState) -> Result<(), RestoreError> {
        let AccountState { record, .. } = account;
        let key = AccountKey { institution: record.institution, account: record.account };
        if !self.coordinator.institutions().contains(record.institution)
            || !self.coordinator.assets().contains(record.asset)
        {
            return Err(wrong(format!("account {:#x} has an unknown institution or asset", key.account)));
        }
        match self.shard(&key).restore_account(account) {
            true => Ok(()),
            false => Err(wrong(format!("account {:#x} comes twice, or out of its order", key.account))),
        }
    }

    fn restore_hold(&mut self, hold: Target) -> Result<(), RestoreError> {
        let (institution, id) = (hold.institution, hold.id);
        for posting in &hold.postings {
            let key = AccountKey { institution, account: posting.account };
            if self.shard(&key).look_up(&key).is_none() {
                return Err(wrong(format!("hold {id:#x} is on an account that is not there")));
            }
        }
        if self.coordinator.replay_find_hold(institution, id).is_some() {
            return Err(wrong(format!("hold {id:#x} comes twice")));
        }
        self.coordinator.replay_hold(Arc::new(hold));
        Ok(())
    }

    fn restore_named(&mut self, named: &Named) -> Result<(), RestoreError> {
        let key = AccountKey { institution: named.institution, account: named.account };
        match self.shard(&key).replay_named(named.name, Some(named.amount)) {
            None => Ok(()),
            Some(_) => Err(wrong(format!("posting {} of row {} comes twice", named.name.index, named.name.target))),
        }
    }

    /// All records were taken over: the state is that after the last row of a frame.
    pub fn restored(&mut self, position: &LogPosition) {
        self.resume_after(position.last_round, position.last_sequence, position.last_booked_at);
    }

    /// Takes over which ids a frame used, and which holds it closed, where a snapshot has the rest.
    pub fn note_ids(&mut self, frame: &FrameView<'_>) -> Result<(), ReplayError> {
        let last_sequence = frame.head().first_sequence + u64::from(frame.head().count) - 1;
        if last_sequence <= self.coordinator.covered() {
            return Ok(());
        }
        for first in (0..frame.head().count).step_by(TOUCHED_AT_ONCE) {
            let rows = first..frame.head().count.min(first + TOUCHED_AT_ONCE as u32);
            // The place depends on the institution, which is the same in most rows that follow each other.
            let institution = frame.row(first).row().tail.institution.get();
            self.coordinator.touch_ids(institution, rows.clone().map(|index| frame.row(index).row().id.get()));
            for index in rows {
                self.note_id_of(frame, index)?;
            }
        }
        Ok(())
    }

    fn note_id_of(&mut self, frame: &FrameView<'_>, index: u32) -> Result<(), ReplayError> {
        notes_of_row(frame, index, &mut |institution, id, sequence, note| match note {
            IdNote::Used => self.note_id(institution, id, sequence),
            IdNote::Closed(how) => match self.coordinator.replay_closed(institution, id, how, sequence) {
                true => Ok(()),
                false => Err(differs(sequence, "the hold that it closes is not known")),
            },
        })
    }
}

fn wrong(what: String) -> RestoreError {
    RestoreError(what)
}
