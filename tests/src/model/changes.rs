//! Account changes: status, limits, label, attributes. They are entries of their account that move no money.

use num_bigint::BigInt;

use super::item::*;
use super::number::*;
use super::{Account, Deed, Entry, Model, Verdict, differs, refused, shape};

impl Model {
    /// Changes an account. The entry is the one that it makes, the original one for a repeat, none if it is refused.
    pub fn change(&mut self, institution: u32, change: &Change) -> (Verdict, Vec<Entry>) {
        if let Some(wrong) = shape::change(change) {
            return (refused(wrong, 0), vec![]);
        }
        if !self.serves(institution) {
            return (refused(INSTITUTION_UNKNOWN, 0), vec![]);
        }
        if let Some(row) = self.recorded(institution, change.id) {
            return match &row.deed {
                Deed::Change(first) => row.repeated(differs::change(first, change)),
                _ => row.repeated(Some(field::KIND)),
            };
        }
        let changed = match self.account(institution, change.account) {
            None => Err(ACCOUNT_UNKNOWN),
            Some(account) => account.changed(change),
        };
        let verdict = self.book(changed.as_ref().err().copied().unwrap_or(POSTED), 0);
        let mut entries = vec![];
        if let Ok(mut account) = changed {
            entries.push(account.enter_unchanged(verdict.sequence, 0));
            self.accounts.insert((institution, change.account), account);
        }
        self.record(institution, Deed::Change(change.clone()), verdict, entries.clone());
        (verdict, entries)
    }
}

impl Account {
    /// The account after a change, or why it is refused.
    fn changed(&self, change: &Change) -> Result<Account, u16> {
        let mut after = self.clone();
        if change.action == REOPEN {
            if self.status != CLOSED {
                return Err(ACCOUNT_NOT_CLOSED);
            }
            after.status = OPEN;
            return Ok(after);
        }
        if self.status == CLOSED {
            return Err(ACCOUNT_CLOSED);
        }
        match change.action {
            SET_STATUS => after.status = change.status,
            SET_LIMITS => after.set_limits(change)?,
            CLOSE if [&self.posted, &self.held, &self.incoming].iter().any(|b| **b != BigInt::ZERO) => {
                return Err(ACCOUNT_NOT_EMPTY);
            }
            CLOSE => after.status = CLOSED,
            SET_LABEL => after.label = change.label.clone(),
            _ => after.attributes = change.attributes.clone(),
        }
        Ok(after)
    }

    fn set_limits(&mut self, change: &Change) -> Result<(), u16> {
        for (limit, set) in
            [(&mut self.floor, change.floor), (&mut self.ceiling, change.ceiling), (&mut self.alarm, change.alarm)]
        {
            match set {
                Limit::Keep => {}
                Limit::Remove => *limit = None,
                Limit::To(value) => *limit = Some(value),
            }
        }
        if matches!((self.floor, self.ceiling), (Some(floor), Some(ceiling)) if floor > ceiling) {
            return Err(LIMITS_CROSS);
        }
        let below = matches!(change.floor, Limit::To(floor) if self.available() < BigInt::from(floor));
        let above = matches!(change.ceiling, Limit::To(ceiling) if self.gross() > BigInt::from(ceiling));
        if (below || above) && !change.forced { Err(OUTSIDE_LIMITS) } else { Ok(()) }
    }
}
