//! The reference model as a ledger that tables are run on.

use super::{Balances, Ledger};
use crate::compare;
use crate::model::item::{Change, Control, Heave, Item, Opening};
use crate::model::{Model, Verdict};

/// The model, with a clock that stands still until it is set.
#[derive(Debug, Default)]
pub struct ModelLedger {
    /// The model.
    pub model: Model,
    now: u64,
}

impl ModelLedger {
    /// Whatever comes next, holds that are due expire first.
    fn begin_round(&mut self) {
        self.model.begin_round(self.now);
        self.model.expire_due();
    }
}

impl Ledger for ModelLedger {
    fn reset(&mut self) {
        *self = ModelLedger::default();
    }

    fn set_time(&mut self, now: u64) -> bool {
        self.now = now;
        true
    }

    fn heave(&mut self, institution: u32, heave: &Heave) -> bool {
        self.model.heave(institution, heave);
        true
    }

    fn run(&mut self, institution: u32, items: &[Item]) -> Vec<Verdict> {
        self.begin_round();
        let run = |item: &Item| {
            let (verdict, entries) = self.model.run(institution, item);
            compare::told(item, verdict, &entries)
        };
        items.iter().map(run).collect()
    }

    fn open(&mut self, institution: u32, opening: &Opening) -> Verdict {
        self.begin_round();
        self.model.open(institution, opening)
    }

    fn change(&mut self, institution: u32, change: &Change) -> Verdict {
        self.begin_round();
        self.model.change(institution, change).0
    }

    fn control(&mut self, institution: u32, control: &Control) -> Verdict {
        self.begin_round();
        self.model.control(institution, control)
    }

    fn balances(&mut self, institution: u32, account: u128) -> Balances {
        let account = self.model.account(institution, account).expect("an account that exists");
        Balances { posted: account.posted.clone(), held: account.held.clone(), incoming: account.incoming.clone() }
    }
}
