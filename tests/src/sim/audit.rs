//! The auditor: reads rows of the log as any outsider could, and checks what must hold at every prefix of it.
//!
//! The invariants that rows show (I1, I2, I6, I8), and what they rest on: versions without a gap, each balance following from the
//! one before, links to the previous entry, time rising, holds that are closed once and then reserve nothing, no more captured
//! than held, no more reversed than posted.

use std::collections::BTreeMap;

use florin_core::entry::{ChangeRecord, PostingRecord, RowKind, TransactionRecord};
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::request::Side;

use super::StoredFrame;
use super::invariants::i6_one_outcome::UsedIds;
use super::invariants::{i1_conservation, i2_limits, i8_no_trace};
use crate::model::item::Heave;

/// An account as the rows so far have it.
#[derive(Clone, Debug)]
pub struct Audited {
    normal_side: Side,
    /// Lowest available balance, if there is one.
    pub floor: Option<i128>,
    /// Highest gross balance, if there is one.
    pub ceiling: Option<i128>,
    /// What is posted.
    pub balance: i128,
    held: i128,
    incoming: i128,
    version: u64,
    last_entry: u64,
}

impl Audited {
    /// Posted less what is held.
    pub fn available(&self) -> i128 {
        self.balance - self.held
    }

    /// Posted and incoming.
    pub fn gross(&self) -> i128 {
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
    ids: UsedIds,
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

    /// The next frame of the log. Of a refused voucher only the digest is kept.
    pub fn frame(&mut self, frame: &StoredFrame) {
        let records = frame.records();
        records.iter().for_each(|record| self.row(record));
        let kept = |record: &Record| if let Record::Transaction(t) = record { t.voucher.len() } else { 0 };
        let kept: usize = records.iter().map(kept).sum();
        assert_eq!(frame.vouchers.len(), kept, "of a refused voucher only the digest is kept");
    }

    /// The holds that are open.
    pub fn open_holds(&self) -> impl Iterator<Item = (u32, u128)> {
        self.holds.keys().copied()
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
            Record::Control(c) => self.ids.row((c.institution, c.id), sequence),
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
        self.ids.row((c.institution, c.row.id.get()), row);
        if c.result.outcome != Outcome::Posted {
            return i8_no_trace::row(row, [(c.entry.version, c.previous)].into_iter());
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
            self.ids.row((t.institution, t.id), row);
        }
        if t.result.outcome != Outcome::Posted {
            return i8_no_trace::row(row, t.postings.iter().map(|p| (p.result.version, p.previous)));
        }
        match t.kind {
            RowKind::Reversal if self.trusting => {}
            RowKind::Reversal => self.reversal(t),
            _ => self.parts(t),
        }
        i1_conservation::row(row, self.changes(t).into_iter());
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
        for (number, before) in before {
            let account = &self.accounts[&(t.institution, number)];
            i2_limits::row(row, number, &before, account, self.trusting || t.forced);
            i2_limits::range(row, number, account);
        }
    }

    /// Asset, normal side, and by how much the recorded balance of its account changes, for each entry of a row.
    fn changes(&self, t: &TransactionRecord) -> Vec<(u32, Side, i128)> {
        let mut balances: BTreeMap<u128, i128> = BTreeMap::new();
        let mut change = |p: &PostingRecord| {
            let account = self.accounts.get(&(t.institution, p.account)).expect("an open account");
            let before = balances.insert(p.account, p.result.balance).unwrap_or(account.balance);
            (p.asset, account.normal_side, p.result.balance - before)
        };
        t.postings.iter().map(&mut change).collect()
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

fn effect(account: &Audited, side: Side, amount: u128) -> i128 {
    if side == account.normal_side { amount as i128 } else { -(amount as i128) }
}
