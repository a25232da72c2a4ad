//! The auditor: reads rows of the log as any outsider could, and checks what must hold at every prefix of it.
//!
//! Conservation, versions without a gap, each balance following from the one before, links to the previous entry, no
//! transaction past a limit or further past one, ids used once, time rising, refusals without entries.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::entry::TransactionRecord;
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::request::Side;

use crate::model::item::Heave;

#[derive(Clone, Debug)]
struct Audited {
    normal_side: Side,
    floor: Option<i128>,
    ceiling: Option<i128>,
    balance: i128,
    version: u64,
    last_entry: u64,
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    accounts: BTreeMap<(u32, u128), Audited>,
    ids: BTreeSet<(u32, u128)>,
    sequence: u64,
    booked_at: u64,
    limits_ignored: bool,
}

impl Audit {
    /// An auditor of a log from its first row on.
    pub fn new() -> Audit {
        Audit::default()
    }

    /// An auditor who does not look at limits, for logs whose openings may have been changed.
    pub fn ignoring_limits() -> Audit {
        Audit { limits_ignored: true, ..Audit::default() }
    }

    /// The next row of the log. Panics if it breaks a promise.
    pub fn row(&mut self, record: &Record) {
        let (sequence, booked_at) = match record {
            Record::Transaction(t) => (t.result.sequence, t.result.booked_at),
            Record::Open(o) => (o.sequence, o.booked_at),
            Record::Control(c) => (c.result.sequence, c.result.booked_at),
        };
        assert_eq!(sequence, self.sequence + 1, "sequence numbers have no gap");
        assert!(booked_at > self.booked_at, "row {sequence} is not booked after the one before");
        (self.sequence, self.booked_at) = (sequence, booked_at);
        match record {
            Record::Transaction(t) => self.transaction(t),
            Record::Control(c) => assert!(self.ids.insert((c.institution, c.id)), "row {sequence}: an id used twice"),
            Record::Open(o) => {
                let account = Audited {
                    normal_side: Side::from_byte(o.row.normal_side).expect("a side"),
                    floor: o.row.floor(),
                    ceiling: o.row.ceiling(),
                    balance: 0,
                    version: 0,
                    last_entry: sequence,
                };
                let before = self.accounts.insert((o.institution, o.row.account.get()), account);
                assert!(before.is_none(), "row {sequence}: an account opened twice");
            }
        }
    }

    fn transaction(&mut self, t: &TransactionRecord) {
        let row = t.result.sequence;
        assert!(self.ids.insert((t.institution, t.id)), "row {row}: an id used twice");
        if t.result.outcome != Outcome::Posted {
            assert!(
                t.postings.iter().all(|p| p.result.version == 0 && p.previous == 0),
                "row {row}: refused, with an entry"
            );
            return;
        }
        let mut totals: BTreeMap<u32, i128> = BTreeMap::new();
        let mut before: BTreeMap<u128, i128> = BTreeMap::new();
        for p in &t.postings {
            let account = self.accounts.get_mut(&(t.institution, p.account)).expect("an open account");
            before.entry(p.account).or_insert(account.balance);
            *totals.entry(p.asset).or_default() += signed(p.side, p.amount);
            account.balance += effect(account, p.side, p.amount);
            account.version += 1;
            assert_eq!(p.result.version, account.version, "row {row}: versions have no gap");
            assert_eq!(p.result.balance, account.balance, "row {row}: a balance follows from the one before");
            assert_eq!(p.previous, account.last_entry, "row {row}: the link to the previous entry");
            account.last_entry = row;
        }
        assert!(totals.values().all(|total| *total == 0), "row {row}: debits and credits differ");
        for (number, before) in before {
            let account = &self.accounts[&(t.institution, number)];
            let fell_below = account.balance < before && account.floor.is_some_and(|floor| account.balance < floor);
            let rose_above = account.balance > before && account.ceiling.is_some_and(|top| account.balance > top);
            assert!(
                self.limits_ignored || !(fell_below || rose_above),
                "row {row} takes account {number:#x} past a limit"
            );
            assert!(account.balance.unsigned_abs() < 1 << 126, "row {row} takes account {number:#x} out of range");
        }
    }

    /// Takes note of money moved outside the log.
    pub fn heave(&mut self, institution: u32, heave: &Heave) {
        for (number, side) in [(heave.debit, Side::Debit), (heave.credit, Side::Credit)] {
            let account = self.accounts.get_mut(&(institution, number)).expect("an open account");
            account.balance += effect(account, side, heave.amount);
            account.version += 1;
        }
    }
}

fn signed(side: Side, amount: u128) -> i128 {
    if side == Side::Debit { amount as i128 } else { -(amount as i128) }
}

fn effect(account: &Audited, side: Side, amount: u128) -> i128 {
    if side == account.normal_side { amount as i128 } else { -(amount as i128) }
}
