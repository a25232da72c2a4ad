//! The auditor: reads rows of the log as any outsider could, and checks what must hold at every prefix of it.
//!
//! Conservation, versions without a gap, each balance following from the one before, links to the previous entry, no
//! transaction past a limit or further past one, ids used once, time rising, refusals without entries, holds that are
//! closed once and then reserve nothing, no more captured than held, no more reversed than posted.

use std::collections::{BTreeMap, BTreeSet};

use florin_core::entry::{ChangeRecord, RowKind, TransactionRecord};
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
    held: i128,
    incoming: i128,
    version: u64,
    last_entry: u64,
}

impl Audited {
    fn available(&self) -> i128 {
        self.balance - self.held
    }

    fn gross(&self) -> i128 {
        self.balance + self.incoming
    }
}

/// A posting of a hold or original: account, side and what is left of it.
type Part = (u128, Side, u128);

/// A hold that is open.
#[derive(Clone, Debug)]
struct OpenHold {
    parts: Vec<Part>,
    /// `u64::MAX` = never.
    expires_at: u64,
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    accounts: BTreeMap<(u32, u128), Audited>,
    /// By the id of the hold.
    holds: BTreeMap<(u32, u128), OpenHold>,
    /// By the id of the original and the index of the posting: what is left to reverse.
    originals: BTreeMap<(u32, u128), BTreeMap<u8, Part>>,
    ids: BTreeSet<(u32, u128)>,
    sequence: u64,
    booked_at: u64,
    trusting: bool,
}

impl Audit {
    /// An auditor of a log from its first row on.
    pub fn new() -> Audit {
        Audit::default()
    }

    /// An auditor who looks neither at limits nor at what originals have left to reverse, for logs whose openings and
    /// reversals may have been changed: replay, which decides nothing again, believes them.
    pub fn trusting() -> Audit {
        Audit { trusting: true, ..Audit::default() }
    }

    /// The next row of the log. Panics if it breaks a promise.
    pub fn row(&mut self, record: &Record) {
        let (sequence, booked_at) = match record {
            Record::Transaction(t) => (t.result.sequence, t.result.booked_at),
            Record::Open(o) => (o.sequence, o.booked_at),
            Record::Control(c) => (c.result.sequence, c.result.booked_at),
            Record::Change(c) => (c.result.sequence, c.result.booked_at),
        };
        assert_eq!(sequence, self.sequence + 1, "sequence numbers have no gap");
        assert!(booked_at > self.booked_at, "row {sequence} is not booked after the one before");
        (self.sequence, self.booked_at) = (sequence, booked_at);
        match record {
            Record::Transaction(t) => self.transaction(t),
            Record::Change(c) => self.change(c),
            Record::Control(c) => assert!(self.ids.insert((c.institution, c.id)), "row {sequence}: an id used twice"),
            Record::Open(o) => {
                let account = Audited {
                    normal_side: Side::from_byte(o.row.normal_side).expect("a side"),
                    floor: o.row.floor(),
                    ceiling: o.row.ceiling(),
                    balance: 0,
                    held: 0,
                    incoming: 0,
                    version: 0,
                    last_entry: sequence,
                };
                let before = self.accounts.insert((o.institution, o.row.account.get()), account);
                assert!(before.is_none(), "row {sequence}: an account opened twice");
            }
        }
    }

    fn change(&mut self, c: &ChangeRecord) {
        let row = c.result.sequence;
        assert!(self.ids.insert((c.institution, c.row.id.get())), "row {row}: an id used twice");
        if c.result.outcome != Outcome::Posted {
            assert_eq!((c.entry.version, c.previous), (0, 0), "row {row}: refused, with an entry");
            return;
        }
        let account = self.accounts.get_mut(&(c.institution, c.row.account.get())).expect("an open account");
        account.version += 1;
        assert_eq!((c.entry.version, c.previous), (account.version, account.last_entry), "row {row}");
        assert_eq!(c.entry.balance, account.balance, "row {row}: a change moves no money");
        account.last_entry = row;
        account.floor = c.row.new_floor().unwrap_or(account.floor);
        account.ceiling = c.row.new_ceiling().unwrap_or(account.ceiling);
    }

    fn transaction(&mut self, t: &TransactionRecord) {
        let row = t.result.sequence;
        if t.kind != RowKind::Expiry {
            assert!(self.ids.insert((t.institution, t.id)), "row {row}: an id used twice");
        }
        if t.result.outcome != Outcome::Posted {
            assert!(
                t.postings.iter().all(|p| p.result.version == 0 && p.previous == 0),
                "row {row}: refused, with an entry"
            );
            return;
        }
        match t.kind {
            RowKind::Reversal if self.trusting => {}
            RowKind::Reversal => self.reversal(t),
            _ => self.parts(t),
        }
        let mut totals: BTreeMap<u32, i128> = BTreeMap::new();
        let mut before: BTreeMap<u128, Audited> = BTreeMap::new();
        for p in &t.postings {
            let account = self.accounts.get_mut(&(t.institution, p.account)).expect("an open account");
            before.entry(p.account).or_insert(account.clone());
            let (posted, reserved) = match t.kind {
                RowKind::Hold | RowKind::Increase => (0, p.amount as i128),
                RowKind::Capture => (p.amount, -((p.amount + p.held.freed) as i128)),
                RowKind::Release | RowKind::Expiry => (0, -(p.held.freed as i128)),
                _ => (p.amount, 0),
            };
            *totals.entry(p.asset).or_default() += signed(p.side, posted);
            account.balance += effect(account, p.side, posted);
            let held = if p.side == account.normal_side { &mut account.incoming } else { &mut account.held };
            *held += reserved;
            assert!(*held >= 0, "row {row}: less than nothing is held");
            let is_post = matches!(t.kind, RowKind::Transfer | RowKind::Journal);
            assert!(is_post || p.held.held == *held, "row {row}: what is held follows from the row before");
            account.version += 1;
            assert_eq!(p.result.version, account.version, "row {row}: versions have no gap");
            assert_eq!(p.result.balance, account.balance, "row {row}: a balance follows from the one before");
            assert_eq!(p.previous, account.last_entry, "row {row}: the link to the previous entry");
            account.last_entry = row;
        }
        assert!(totals.values().all(|total| *total == 0), "row {row}: debits and credits differ");
        for (number, before) in before {
            let account = &self.accounts[&(t.institution, number)];
            let (available, gross) = (account.available(), account.gross());
            let fell_below = available < before.available() && account.floor.is_some_and(|floor| available < floor);
            let rose_above = gross > before.gross() && account.ceiling.is_some_and(|top| gross > top);
            assert!(
                self.trusting || t.forced || !(fell_below || rose_above),
                "row {row} takes account {number:#x} past a limit"
            );
            let within = account.balance.unsigned_abs() < 1 << 126 && available > -(1 << 126) && gross < 1 << 126;
            assert!(within, "row {row} takes account {number:#x} out of range");
        }
    }

    /// What is left of a hold follows from the rows before, and a hold is closed once. What is posted can be reversed.
    fn parts(&mut self, t: &TransactionRecord) {
        let row = t.result.sequence;
        let key = (t.institution, t.link);
        let closes = match t.kind {
            RowKind::Hold => {
                let timeout = u64::from(t.timeout) * 1_000_000_000;
                let expires_at = if timeout == 0 { u64::MAX } else { t.result.booked_at + timeout };
                let parts = t.postings.iter().map(|p| (p.account, p.side, p.amount)).collect();
                self.holds.insert((t.institution, t.id), OpenHold { parts, expires_at });
                return;
            }
            RowKind::Increase => false,
            RowKind::Capture => t.is_final || t.takes_all,
            RowKind::Release | RowKind::Expiry => true,
            _ => {
                let parts = t.postings.iter().map(|p| (p.index, (p.account, p.side, p.amount)));
                self.originals.insert((t.institution, t.id), parts.collect());
                return;
            }
        };
        let hold = self.holds.get_mut(&key).unwrap_or_else(|| panic!("row {row}: its hold is not open"));
        let is_late = t.result.booked_at >= hold.expires_at;
        match t.kind {
            RowKind::Expiry => assert!(is_late, "row {row}: a hold expires before its time"),
            RowKind::Increase | RowKind::Capture => assert!(!is_late, "row {row}: it comes after the hold's expiry"),
            _ => {}
        }
        for p in &t.postings {
            let (account, side, left) = &mut hold.parts[usize::from(p.index)];
            assert_eq!((p.account, p.side), (*account, *side), "row {row}: its hold has another posting there");
            let change = if t.kind == RowKind::Increase { *left + p.amount } else { *left - p.amount - p.held.freed };
            assert_eq!(p.held.left, change, "row {row}: what is left follows from the row before");
            *left = change;
        }
        if closes {
            let hold = self.holds.remove(&key).expect("it was just there");
            assert!(hold.parts.iter().all(|(.., left)| *left == 0), "row {row}: a closed hold reserves something");
        }
        if t.kind == RowKind::Capture {
            let captured = t.postings.iter().filter(|p| p.amount > 0);
            let parts = captured.map(|p| (p.index, (p.account, p.side, p.amount)));
            self.originals.insert((t.institution, t.id), parts.collect());
        }
    }

    /// Of an original never more is reversed than it was.
    fn reversal(&mut self, t: &TransactionRecord) {
        let row = t.result.sequence;
        let original = self.originals.get_mut(&(t.institution, t.link));
        let original = original.unwrap_or_else(|| panic!("row {row}: what it reverses was not posted"));
        for p in &t.postings {
            let (account, side, left) = original.get_mut(&p.index).expect("a posting of the original");
            assert_eq!((p.account, p.side), (*account, side.opposite()), "row {row}: it is not the opposite");
            *left = left.checked_sub(p.amount).unwrap_or_else(|| panic!("row {row}: more is reversed than was posted"));
            assert_eq!(p.held.left, *left, "row {row}: what is left follows from the row before");
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
