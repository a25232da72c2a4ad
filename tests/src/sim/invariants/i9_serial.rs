//! I9: outcomes equal the serial model: every answer, every row of the log, every account and the books are what the reference
//! model says, which takes one request after the other in the order in which they were asked.
//!
//! Checked of every answer that was let out, of all rows, and of the ledger that is recovered at the end.

use std::collections::BTreeMap;

use florin_core::frame::Record;
use florin_core::replay::Ledger;
use num_bigint::BigInt;

use crate::compare;
use crate::model::{Model, Verdict};
use crate::sim::key;

/// The result that a client was told.
pub fn outcome(got: Verdict, expected: Verdict, what: impl Fn() -> String) {
    assert_eq!(got, expected, "I9: {}", what());
}

/// The log must hold exactly the rows that the model recorded.
pub fn log(model: &Model, records: &[Record]) {
    for (record, row) in records.iter().zip(model.rows()) {
        match record {
            Record::Transaction(got) => compare::transaction(got, row),
            Record::Open(got) => {
                let account = model.account(got.institution, got.row.account.get()).expect("an open account");
                assert_eq!((got.sequence, got.booked_at), (account.opened, account.booked_at), "I9: an opening");
                assert_eq!(got.sequence, row.verdict.sequence, "I9: an opening");
            }
            Record::Control(got) => {
                let (verdict, id) = (compare::verdict(&got.result), Some(got.id));
                assert_eq!((verdict, id), (row.verdict, row.deed.id()), "I9: a control record");
                let day = (got.institution, got.accounting_date);
                assert_eq!(day, (row.institution, row.accounting_date), "I9: a control record");
            }
            Record::Change(got) => compare::change(got, row),
        }
    }
    assert_eq!(records.len() as u64, model.last_sequence(), "I9: rows in the log");
}

/// The ledger must hold exactly the accounts, assets, institutions and holds of the model, and the model's books must balance.
pub fn ledger(model: &Model, ledger: &Ledger) {
    let mut sums: BTreeMap<u32, BigInt> = BTreeMap::new();
    for (institution, number, account) in model.accounts() {
        let key = key(institution, number);
        let got = ledger.shards[usize::from(key.home(ledger.shards.len()))].look_up(&key);
        assert!(compare::same_account(institution, Some(account), got.as_ref()), "I9: {got:?} but {account:?}");
        let signed = if account.opening.normal_side == 0 { account.posted.clone() } else { -account.posted.clone() };
        *sums.entry(account.opening.asset).or_default() += signed;
    }
    assert!(sums.values().all(|sum| *sum == BigInt::ZERO), "the model's debits and credits differ: {sums:?}");
    let coordinator = &ledger.coordinator;
    let accounts = ledger.shards.iter().map(|s| s.account_count()).sum::<usize>();
    assert_eq!(accounts, model.accounts().count(), "I9: accounts");
    let assets = coordinator.assets().iter().map(|a| (a.number, a.code.as_str(), a.scale));
    assert!(assets.eq(model.assets().map(|a| (a.number, a.code.as_str(), a.scale))), "I9: assets");
    let institutions = coordinator.institutions().iter().map(|(number, _)| number);
    assert!(institutions.eq(model.institutions()), "I9: institutions");
    let holds = coordinator.holds().all().map(|hold| (hold.institution, hold.id)).collect();
    assert_eq!(model.open_holds(), holds, "I9: open holds");
    assert_eq!(coordinator.last_sequence(), model.last_sequence(), "I9: the last row");
    assert_eq!(coordinator.last_booked_at(), model.last_booked_at(), "I9: the last time");
}
