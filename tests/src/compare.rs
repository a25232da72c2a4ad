//! From the engine's answers to the model's plain values: the comparisons that every judge makes.

use std::collections::BTreeSet;

use florin_core::account::HeldResult;
use florin_core::entry::{AccountRecord, ChangeRecord, PostReply, RowKind, StatementEntry, TransactionRecord};
use florin_core::request::{ItemResult, PostingResult};
use num_bigint::BigInt;

use crate::model::item::{CAPTURE, HOLD, INCREASE, Item, RELEASE, REVERSE};
use crate::model::number::POSTED;
use crate::model::{Account, Deed, Entry, Model, Row, Verdict};
use crate::program::Step;

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
    let same = |(g, e): (&PostingResult, &Entry)| {
        (g.version, g.alarm) == (e.version, e.alarm) && BigInt::from(g.balance) == e.balance
    };
    got.len() == expected.len() && got.iter().zip(expected).all(same)
}

/// Whether an account of the engine is the model's, field by field.
pub fn same_account(institution: u32, expected: Option<&Account>, got: Option<&AccountRecord>) -> bool {
    let (Some(e), Some(g)) = (expected, got) else { return expected.is_none() && got.is_none() };
    let o = &e.opening;
    g.institution == institution
        && g.account == o.account
        && (g.asset, g.subject, g.owner) == (o.asset, o.subject, o.owner)
        && (g.normal_side as u8, g.category, g.status as u8) == (o.normal_side, o.category, e.status)
        && (g.floor, g.ceiling, g.alarm) == (e.floor, e.ceiling, e.alarm)
        && [g.posted, g.held, g.incoming].map(BigInt::from) == [e.posted.clone(), e.held.clone(), e.incoming.clone()]
        && (g.version, g.opened, g.last_entry) == (e.version, e.opened, e.last_entry)
        && g.label.as_bytes() == e.label
        && *g.attributes == *e.attributes
}

/// What a client is told of an item: of a posted capture, release or reversal also how many entries it made.
pub fn told(item: &Item, verdict: Verdict, entries: &[Entry]) -> Verdict {
    let counts = verdict.outcome == POSTED && counts_entries(item);
    Verdict { detail: if counts { entries.len() as u16 } else { verdict.detail }, ..verdict }
}

/// How many entries a posted item made, by what was told of it.
pub fn entries_told(item: &Item, verdict: Verdict) -> usize {
    if counts_entries(item) { usize::from(verdict.detail) } else { item.postings.len() }
}

/// Whether a client is told how many entries an item made, since it cannot know.
pub fn counts_entries(item: &Item) -> bool {
    [CAPTURE, RELEASE, REVERSE].contains(&item.kind)
}

/// The item of a row.
pub fn item_of(row: &Row) -> &Item {
    let Deed::Item(item) = &row.deed else { panic!("no item: {row:?}") };
    item
}

/// A recorded transaction must be the model's, field by field.
pub fn transaction(got: &TransactionRecord, expected: &Row) {
    let row = got.result.sequence;
    assert_eq!(verdict(&got.result), expected.verdict, "row {row}");
    assert_eq!((got.institution, got.accounting_date), (expected.institution, expected.accounting_date), "row {row}");
    let posted = expected.verdict.outcome == POSTED;
    match &expected.deed {
        Deed::Item(item) => same_item(got, item, posted),
        Deed::Expiry(hold) => assert_eq!((got.kind, got.id, got.link), (RowKind::Expiry, *hold, *hold), "row {row}"),
        other => panic!("row {row} is recorded as a transaction, but is {other:?}"),
    }
    if !posted {
        return;
    }
    let entries = &expected.entries;
    assert_eq!(got.postings.len(), entries.len(), "row {row}");
    let is_post = matches!(got.kind, RowKind::Transfer | RowKind::Journal);
    for (g, e) in got.postings.iter().zip(entries) {
        assert_eq!((g.account, g.side as u8, usize::from(g.index)), (e.account, e.side, e.index), "row {row}");
        assert_eq!(BigInt::from(g.amount), e.amount, "row {row}");
        assert_eq!((g.result.version, g.result.alarm, g.previous), (e.version, e.alarm, e.previous), "row {row}");
        assert_eq!(BigInt::from(g.result.balance), e.balance, "row {row}");
        if !is_post {
            let HeldResult { amount, freed, left, held } = g.held;
            let got = [BigInt::from(amount), freed.into(), left.into(), held.into()];
            assert_eq!(got, [&e.amount, &e.freed, &e.left, &e.held].map(BigInt::clone), "row {row}");
        }
    }
}

/// A recorded account change must be the model's.
pub fn change(got: &ChangeRecord, expected: &Row) {
    let row = got.result.sequence;
    let id = Some(got.row.id.get());
    assert_eq!((verdict(&got.result), id), (expected.verdict, expected.deed.id()), "row {row}");
    assert_eq!((got.institution, got.accounting_date), (expected.institution, expected.accounting_date), "row {row}");
    let entry = expected.entries.first().map_or((0, 0), |e| (e.version, e.previous));
    assert_eq!((got.entry.version, got.previous), entry, "row {row}");
}

/// What was asked must be recorded as it was asked.
fn same_item(got: &TransactionRecord, item: &Item, posted: bool) {
    let row = got.result.sequence;
    let kind = match item.kind {
        HOLD => RowKind::Hold,
        INCREASE => RowKind::Increase,
        CAPTURE => RowKind::Capture,
        RELEASE => RowKind::Release,
        REVERSE => RowKind::Reversal,
        _ if got.kind == RowKind::Transfer && item.is_transfer() => RowKind::Transfer,
        _ => RowKind::Journal,
    };
    let takes_all = item.postings.is_empty() && [CAPTURE, REVERSE].contains(&item.kind);
    let is_final = item.is_final || item.kind == RELEASE || (takes_all && item.kind == CAPTURE);
    assert_eq!((got.kind, got.id, got.link, got.timeout), (kind, item.id, item.link, item.timeout), "row {row}");
    assert_eq!((got.forced, got.is_final, got.takes_all), (item.forced, is_final, takes_all), "row {row}");
    assert_eq!((got.reference, got.code, got.value_date), (item.reference, item.code, item.value_date), "row {row}");
    assert_eq!(got.voucher, if posted { &item.voucher[..] } else { &[] }, "row {row}");
    assert_eq!(usize::from(got.voucher_length), item.voucher.len(), "row {row}");
    if posted && item.kind > HOLD {
        return; // Then its entries say it.
    }
    assert_eq!(got.postings.len(), item.postings.len(), "row {row}");
    for (g, p) in got.postings.iter().zip(&item.postings) {
        assert_eq!((g.account, g.side as u8, g.amount, g.asset), (p.account, p.side, p.amount, p.asset), "row {row}");
    }
}

/// A statement entry must be the one at this place of the model's row.
pub fn statement_entry(got: &StatementEntry, place: usize, expected: &Row) {
    let entry = &expected.entries[place];
    let others: BTreeSet<u128> = expected.entries.iter().map(|e| e.account).filter(|a| *a != entry.account).collect();
    let counterparty = match others.len() {
        0 => entry.account,
        1 => *others.first().expect("one"),
        _ => 0,
    };
    let row = expected.verdict.sequence;
    assert_eq!((got.sequence, got.version, got.previous), (row, entry.version, entry.previous), "row {row}");
    assert_eq!((BigInt::from(got.balance), BigInt::from(got.amount)), (entry.balance.clone(), entry.amount.clone()));
    assert_eq!((got.alarm, got.booked_at), (entry.alarm, expected.verdict.booked_at), "row {row}");
    assert_eq!(got.accounting_date, expected.accounting_date, "row {row}");
    match &expected.deed {
        Deed::Item(item) => {
            assert_eq!((got.id, got.counterparty, got.side as u8), (item.id, counterparty, entry.side), "row {row}");
            assert_eq!((got.reference, got.code, got.value_date), (item.reference, item.code, item.value_date));
            assert_eq!((got.link, got.forced, &got.voucher), (item.link, item.forced, &item.voucher), "row {row}");
        }
        Deed::Expiry(hold) => assert_eq!((got.kind, got.id), (RowKind::Expiry, *hold), "row {row}"),
        Deed::Change(change) => assert_eq!((got.kind, got.id), (RowKind::Change, change.id), "row {row}"),
        Deed::Control { .. } | Deed::Opening(_) => panic!("row {row} makes no entry"),
    }
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
        Step::Run { institution, items, .. } => {
            for (index, item) in items.iter().enumerate() {
                let got = next(model);
                let (expected, entries) = model.run(*institution, item);
                assert_eq!(got, told(item, expected, &entries), "{}", step.item(index));
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
        Step::Change { institution, changes } => {
            for (index, change) in changes.iter().enumerate() {
                let got = next(model);
                let (expected, _) = model.change(*institution, change);
                assert_eq!(got, expected, "{}", step.item(index));
            }
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
