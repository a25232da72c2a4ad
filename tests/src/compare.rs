//! From the engine's answers to the model's plain values: the comparisons that every judge makes.

use std::collections::BTreeSet;

use florin_core::entry::{AccountRecord, PostReply, RowKind, StatementEntry, TransactionRecord};
use florin_core::request::{ItemResult, PostingResult};
use num_bigint::BigInt;

use crate::model::item::{ALARM, CEILING, FLOOR, Transaction};
use crate::model::number::POSTED;
use crate::model::{Account, Entry, Model, Verdict};
use crate::program::Step;

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

/// A result in the model's words.
pub fn verdict(r: &ItemResult) -> Verdict {
    Verdict {
        outcome: r.outcome.number(),
        repeat: r.repeat,
        detail: r.detail,
        sequence: r.sequence,
        booked_at: r.booked_at,
    }
}

/// Whether versions and balances are those of the model's entries.
pub fn same_entries(got: &[PostingResult], expected: &[Entry]) -> bool {
    let same = |(g, e): (&PostingResult, &Entry)| g.version == e.version && BigInt::from(g.balance) == e.balance;
    got.len() == expected.len() && got.iter().zip(expected).all(same)
}

/// Whether an account of the engine is the model's, field by field.
pub fn same_account(institution: u32, expected: Option<&Account>, got: Option<&AccountRecord>) -> bool {
    let (Some(e), Some(g)) = (expected, got) else { return expected.is_none() && got.is_none() };
    let o = &e.opening;
    let limit = |flag: u8, value: i128| (o.limit_flags & flag != 0).then_some(value);
    let mut label = o.label.clone();
    label.resize(usize::from(o.label_length), 0);
    g.institution == institution
        && g.account == o.account
        && (g.asset, g.subject, g.owner) == (o.asset, o.subject, o.owner)
        && (g.normal_side as u8, g.category, g.status as u8) == (o.normal_side, o.category, 0)
        && (g.floor, g.ceiling, g.alarm) == (limit(FLOOR, o.floor), limit(CEILING, o.ceiling), limit(ALARM, o.alarm))
        && BigInt::from(g.posted) == e.balance
        && (g.held, g.version, g.opened, g.last_entry) == (0, e.version, e.opened, e.last_entry)
        && g.label.as_bytes() == label
}

/// A recorded transaction must be the model's, field by field.
pub fn transaction(got: &TransactionRecord, (t, expected, entries): (&Transaction, Verdict, &[Entry])) {
    let row = got.result.sequence;
    let posted = expected.outcome == POSTED;
    assert_eq!(verdict(&got.result), expected, "row {row}");
    assert_eq!((got.reference, got.code, got.value_date), (t.reference, t.code, t.value_date), "row {row}");
    assert_eq!(got.voucher, if posted { &t.voucher[..] } else { &[] }, "row {row}");
    assert_eq!(usize::from(got.voucher_length), t.voucher.len(), "row {row}");
    assert_eq!(u64::from(got.accounting_date), expected.booked_at / DAY_NS, "row {row}");
    assert!(got.kind == RowKind::Journal || t.is_transfer(), "row {row}");
    assert_eq!(got.postings.len(), t.postings.len(), "row {row}");
    for (g, p) in got.postings.iter().zip(&t.postings) {
        assert_eq!((g.account, g.side as u8, g.amount, g.asset), (p.account, p.side, p.amount, p.asset), "row {row}");
    }
    if posted {
        let results: Vec<PostingResult> = got.postings.iter().map(|p| p.result).collect();
        assert!(same_entries(&results, entries), "row {row}: {results:?} but {entries:?}");
        assert!(got.postings.iter().map(|p| p.previous).eq(entries.iter().map(|e| e.previous)), "row {row}: previous");
    }
}

/// A statement entry must be the posting of this index of the model's transaction.
pub fn statement_entry(got: &StatementEntry, index: usize, (t, verdict, entries): (&Transaction, Verdict, &[Entry])) {
    let (posting, entry) = (&t.postings[index], &entries[index]);
    let others: BTreeSet<u128> = t.postings.iter().map(|p| p.account).filter(|a| *a != posting.account).collect();
    let counterparty = match others.len() {
        0 => posting.account,
        1 => *others.first().expect("one"),
        _ => 0,
    };
    let row = verdict.sequence;
    assert_eq!((got.sequence, got.version, got.previous), (row, entry.version, entry.previous), "row {row}");
    assert_eq!(BigInt::from(got.balance), entry.balance, "row {row}");
    assert_eq!((got.side as u8, got.amount, got.asset), (posting.side, posting.amount, posting.asset), "row {row}");
    assert_eq!((got.id, got.counterparty), (t.id, counterparty), "row {row}");
    assert_eq!((got.reference, got.code, got.value_date), (t.reference, t.code, t.value_date), "row {row}");
    assert_eq!((got.booked_at, &got.voucher), (verdict.booked_at, &t.voucher), "row {row}");
    assert_eq!(u64::from(got.accounting_date), verdict.booked_at / DAY_NS, "row {row}");
}

/// Puts a request to the model and compares the whole reply. Times are taken over from the reply: the model then checks
/// that they rise. Earlier reads that show a position within the request are settled on the way.
pub fn reply(model: &mut Model, step: &Step, got: &PostReply, want_postings: bool, readings: &mut Readings) {
    let mut postings: Vec<Entry> = vec![];
    let mut items = got.items();
    let mut next = |model: &mut Model| {
        readings.settle(model);
        let item = items.next().unwrap_or_else(|| panic!("a result of {step} is missing"));
        if item.sequence > model.last_sequence() {
            model.begin_round(item.booked_at);
        }
        verdict(&item)
    };
    match step {
        Step::Post { institution, transactions, .. } => {
            for (index, t) in transactions.iter().enumerate() {
                let got = next(model);
                let (expected, entries) = model.post(*institution, t);
                assert_eq!(got, expected, "{}", step.item(index));
                postings.extend(entries);
            }
        }
        Step::Open { institution, openings } => {
            for (index, opening) in openings.iter().enumerate() {
                let got = next(model);
                assert_eq!(got, model.open(*institution, opening), "{}", step.item(index));
            }
        }
        Step::Control { institution, control } => {
            let got = next(model);
            assert_eq!(got, model.control(*institution, control), "{step}");
        }
        Step::Read { .. } | Step::Heave { .. } => unreachable!("they have no results"),
    }
    assert_eq!(items.next(), None, "more results than items of {step}");
    let postings = if want_postings { &postings[..] } else { &[] };
    assert!(same_entries(&got.postings, postings), "postings of {step}");
}

/// Answers to reads that show a position which the model has not reached yet.
#[derive(Debug, Default)]
pub struct Readings {
    pending: Vec<Reading>,
}

#[derive(Debug)]
struct Reading {
    institution: u32,
    accounts: Vec<u128>,
    records: Vec<Option<AccountRecord>>,
    position: u64,
}

impl Readings {
    /// The answer to a read of these accounts, which was asked when the model was where it is now.
    pub fn add(
        &mut self,
        model: &Model,
        institution: u32,
        accounts: &[u128],
        records: Vec<Option<AccountRecord>>,
        position: u64,
    ) {
        assert!(position >= model.last_sequence(), "a read missed what was asked before it");
        assert_eq!(accounts.len(), records.len(), "a read without an answer for each account");
        self.pending.push(Reading { institution, accounts: accounts.to_vec(), records, position });
    }

    /// Reads at the position where the model stands must show what the model has.
    pub fn settle(&mut self, model: &Model) {
        let here = model.last_sequence();
        for reading in self.pending.extract_if(.., |reading| reading.position == here) {
            for (account, got) in reading.accounts.iter().zip(&reading.records) {
                let expected = model.account(reading.institution, *account);
                assert!(
                    same_account(reading.institution, expected, got.as_ref()),
                    "account {account:#x} read at {here} is {got:?}"
                );
            }
        }
    }

    /// Nothing may be left.
    pub fn finish(&self) {
        assert!(self.pending.is_empty(), "a read shows a position that is not in the log");
    }
}
