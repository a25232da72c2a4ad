//! Entries of an account out of the rows that made them, and the bounds and spans that they are compared with.
//!
//! Versions, times and accounting dates of an account's entries never decrease along the log, so what lies after a bound
//! lies after it with all later entries.

use florin_core::account::HeldResult;
use florin_core::entry::{
    AccountRecord, ChangeRecord, RowKind, Span, StatementEntry, StatementToken, TransactionRecord,
};
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::request::Side;

/// Up to where entries count: version, time and date, all three, each included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Largest version.
    pub version: u64,
    /// Latest booked-at.
    pub time: u64,
    /// Latest accounting date.
    pub date: u16,
}

impl Bound {
    /// The bound of everything.
    pub const NONE: Bound = Bound { version: u64::MAX, time: u64::MAX, date: u16::MAX };

    /// The bound of all entries up to the end of a span.
    pub fn end_of(span: Span) -> Bound {
        match span {
            Span::All => Bound::NONE,
            Span::Versions(_, upto) => Bound { version: upto, ..Bound::NONE },
            Span::Times(_, upto) => Bound { time: upto, ..Bound::NONE },
            Span::Dates(_, upto) => Bound { date: upto, ..Bound::NONE },
        }
    }

    /// The bound of all entries before a span; none if every entry lies behind its beginning.
    pub fn before(span: Span) -> Option<Bound> {
        match span {
            Span::All => None,
            Span::Versions(from, _) => Some(Bound { version: from.checked_sub(1)?, ..Bound::NONE }),
            Span::Times(from, _) => Some(Bound { time: from.checked_sub(1)?, ..Bound::NONE }),
            Span::Dates(from, _) => Some(Bound { date: from.checked_sub(1)?, ..Bound::NONE }),
        }
    }

    /// Whether an entry counts.
    pub fn holds(&self, entry: &StatementEntry) -> bool {
        entry.version <= self.version && entry.booked_at <= self.time && entry.accounting_date <= self.date
    }
}

/// Where an entry stands.
pub fn place_of(entry: &StatementEntry) -> StatementToken {
    StatementToken { sequence: entry.sequence, version: entry.version }
}

/// Where the entry before an entry stands; version 0 if it is the first.
pub fn before(entry: &StatementEntry) -> StatementToken {
    StatementToken { sequence: entry.previous, version: entry.version - 1 }
}

/// Whether an entry, and so all before it, lies before a span.
pub fn is_before(span: Span, entry: &StatementEntry) -> bool {
    Bound::before(span).is_some_and(|bound| bound.holds(entry))
}

/// Whether an entry leads to the one after it: what it left is what that one found.
pub fn leads_to(account: &AccountRecord, entry: &StatementEntry, after: &StatementEntry) -> bool {
    let posted = match after.kind {
        RowKind::Transfer | RowKind::Journal | RowKind::Capture | RowKind::Reversal => after.amount as i128,
        _ => 0,
    };
    let change = if after.side == account.normal_side { posted } else { -posted };
    after.balance.checked_sub(change) == Some(entry.balance)
}

/// The entry of an account with a given version, out of the row that made it.
pub fn entry_of(account: &AccountRecord, version: u64, record: &Record) -> Option<StatementEntry> {
    match record {
        Record::Transaction(transaction) => entry_of_transaction(account, version, transaction),
        Record::Change(change) => entry_of_change(account, version, change),
        Record::Open(_) | Record::Control(_) => None,
    }
}

/// The version of an account's last entry in a row; none if it has none there.
pub fn last_version_in(account: &AccountRecord, record: &Record) -> Option<u64> {
    let version = match record {
        Record::Transaction(transaction) if transaction.institution == account.institution => {
            let own = transaction.postings.iter().filter(|p| p.account == account.account);
            own.map(|p| p.result.version).max()?
        }
        Record::Change(change) if change.institution == account.institution => {
            Some(change.entry.version).filter(|_| change.row.account.get() == account.account)?
        }
        _ => return None,
    };
    // Version 0 stands in what was refused.
    (version > 0).then_some(version)
}

fn entry_of_change(account: &AccountRecord, version: u64, record: &ChangeRecord) -> Option<StatementEntry> {
    let fits = record.institution == account.institution
        && record.row.account.get() == account.account
        && record.result.outcome == Outcome::Posted
        && record.entry.version == version;
    fits.then(|| StatementEntry {
        sequence: record.result.sequence,
        version: record.entry.version,
        kind: RowKind::Change,
        id: record.row.id.get(),
        side: Side::Debit,
        amount: 0,
        asset: account.asset,
        balance: record.entry.balance,
        counterparty: 0,
        previous: record.previous,
        reference: 0,
        code: record.row.code.get(),
        principal: record.principal,
        booked_at: record.result.booked_at,
        accounting_date: record.accounting_date,
        value_date: 0,
        voucher: Vec::new(),
        link: 0,
        forced: record.row.forced(),
        alarm: false,
        held: HeldResult::default(),
        change: Some((record.row.action(), record.reason.clone())),
    })
}

fn entry_of_transaction(account: &AccountRecord, version: u64, record: &TransactionRecord) -> Option<StatementEntry> {
    if record.institution != account.institution || record.result.outcome != Outcome::Posted {
        return None;
    }
    let posting = record.postings.iter().find(|p| p.account == account.account && p.result.version == version)?;
    let mut others = record.postings.iter().map(|p| p.account).filter(|&a| a != account.account);
    let first = others.next().unwrap_or(account.account);
    let counterparty = if others.all(|a| a == first) { first } else { 0 };
    Some(StatementEntry {
        sequence: record.result.sequence,
        version: posting.result.version,
        kind: record.kind,
        id: record.id,
        side: posting.side,
        amount: posting.amount,
        asset: posting.asset,
        balance: posting.result.balance,
        counterparty,
        previous: posting.previous,
        reference: record.reference,
        code: record.code,
        principal: record.principal,
        booked_at: record.result.booked_at,
        accounting_date: record.accounting_date,
        value_date: record.value_date,
        voucher: record.voucher.clone(),
        link: record.link,
        forced: record.forced,
        alarm: posting.result.alarm,
        held: posting.held,
        change: None,
    })
}
