//! The judge of a book: puts what the log has to the reference model, row by row, and what anybody was told to that.
//!
//! Holds expire while the server runs and while it is down, when nobody asks. So what is there is read from the log, after
//! each fault and in its order; what anybody was told in the meantime is compared then. Nothing may be lost, changed, half
//! there, out of order or past a limit, and whoever was told of a row must not have been before it was synced.

use std::collections::BTreeMap;
use std::path::Path;

use florin_core::entry::{AccountRecord, RowKind, StatementEntry};
use florin_core::frame::{DraftHead, Record};
use florin_core::request::ItemResult;
use florin_wal::Frame;
use num_bigint::BigInt;

use super::tally::Tally;
use crate::compare;
use crate::heard::HeardItem;
use crate::load;
use crate::model::number::STORAGE_FULL;
use crate::model::{Model, Verdict};
use crate::program::Step;
use crate::sim::StoredFrame;

/// A stretch of a segment: what was written there was not synced before the process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Ordinal of the segment.
    pub segment: u64,
    /// Its first byte.
    pub from: u64,
    /// The byte behind it.
    pub to: u64,
}

/// What the ledger must be, given all that is known.
pub struct Judge {
    model: Model,
    /// All batches that were ever asked.
    batches: BTreeMap<u64, Step>,
    /// The first row that was in the log without a sync when the last process ended.
    unsynced: Option<u64>,
}

impl Default for Judge {
    fn default() -> Judge {
        Judge::new()
    }
}

impl Judge {
    /// Of an empty ledger.
    pub fn new() -> Judge {
        Judge { model: Model::new(), batches: BTreeMap::new(), unsynced: None }
    }

    /// What the ledger must be.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The result of a control record of the preparation.
    pub fn control(&mut self, step: &Step, got: &ItemResult) {
        let Step::Control { institution, control } = step else { unreachable!("a control record") };
        self.model.begin_round(got.booked_at);
        assert_eq!(compare::verdict(got), self.model.control(*institution, control));
    }

    /// The reply to openings of the preparation.
    pub fn opened(&mut self, step: &Step, reply: &florin_core::entry::PostReply) {
        compare::reply(&mut self.model, step, reply, false, &mut compare::Readings::default());
    }

    /// A batch was sent to a server.
    pub fn asked(&mut self, number: u64, batch: Step) {
        self.batches.insert(number, batch);
    }

    /// A batch that somebody asked for.
    pub fn batch(&self, number: u64) -> &Step {
        self.batches.get(&number).unwrap_or_else(|| panic!("batch {number} was not asked for"))
    }

    /// All batches that somebody asked for.
    pub fn batches(&self) -> &BTreeMap<u64, Step> {
        &self.batches
    }

    /// Whether an id is in the log as far as it was read.
    pub fn has(&self, id: u128) -> bool {
        self.model.recorded(1, id).is_some()
    }

    /// Puts what the log has beyond the model to the model. Every row was asked for by somebody, or is an expiry. Of what
    /// was not synced nobody may have been told.
    pub fn read_the_log(&mut self, data: &Path, unsynced: Option<Stretch>, tally: &Tally) {
        let mut frames = vec![];
        let seen = self.model.last_sequence();
        self.unsynced = None;
        let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
            if frame.head.first_sequence > seen {
                let Frame { head, payload, vouchers, place } = frame;
                let is_in = |s: Stretch| s.segment == place.segment && (s.from..s.to).contains(&place.offset);
                if self.unsynced.is_none() && unsynced.is_some_and(is_in) {
                    self.unsynced = Some(head.first_sequence);
                }
                let (number, first_sequence) = (head.number, head.first_sequence);
                let head = DraftHead { number, first_sequence, count: head.count, time: head.time_ns };
                frames.push(StoredFrame { head, payload: payload.to_vec(), vouchers: vouchers.to_vec() });
            }
            Ok::<(), String>(())
        });
        scanned.unwrap_or_else(|error| panic!("the log must end in whole frames, or in a torn one: {error}"));
        tally.add("lives that left frames without a sync", u64::from(self.unsynced.is_some()));
        tally.add("frames judged", frames.len() as u64);
        for frame in frames {
            assert_eq!(frame.head.first_sequence, self.model.last_sequence() + 1, "rows without a gap");
            self.model.begin_round(frame.head.time);
            frame.records().iter().for_each(|record| self.apply(record, tally));
        }
    }

    fn apply(&mut self, record: &Record, tally: &Tally) {
        let last = |model: &Model| model.row(model.last_sequence()).clone();
        match record {
            Record::Transaction(t) if t.kind == RowKind::Expiry => {
                self.model.expire(t.institution, t.id);
                tally.add("expiries", 1);
                compare::transaction(t, &last(&self.model));
            }
            Record::Transaction(t) => {
                let (number, place) = load::place_of(t.id);
                let item = load::items(self.batch(number))[place].clone();
                self.model.run(1, &item);
                compare::transaction(t, &last(&self.model));
            }
            Record::Change(c) => {
                let (number, place) = load::place_of(c.row.id.get());
                let Step::Change { changes, .. } = self.batch(number) else { panic!("{c:?} was not asked for") };
                let change = changes[place].clone();
                self.model.change(1, &change);
                tally.add("account changes", 1);
                compare::change(c, &last(&self.model));
            }
            Record::Open(_) | Record::Control(_) => panic!("{record:?} was not asked for"),
        }
    }

    /// What was told of a batch must be what the log has; `again` if it was told of an id that was there before. Of what
    /// was refused for want of room nothing need be there.
    pub fn compare_results(&self, number: u64, results: &[HeardItem], again: bool) {
        let batch = self.batch(number);
        let ids = load::ids(batch);
        assert_eq!(results.len(), ids.len(), "batch {number}");
        for (place, (id, (got, postings))) in ids.iter().zip(results).enumerate() {
            if got.outcome == STORAGE_FULL {
                assert_eq!((got.sequence, got.repeat, postings.len()), (0, false, 0), "batch {number}: {got:?}");
                continue;
            }
            let there = self.model.recorded(1, *id);
            let there = there.unwrap_or_else(|| panic!("batch {number}: what was answered is not there: {got:?}"));
            let mut expected = Verdict { repeat: again, ..there.verdict };
            let mut entries = vec![];
            if let Some(item) = load::items(batch).get(place) {
                expected = compare::told(item, expected, &there.entries);
                entries = there.entries.iter().map(|e| (e.version, e.balance.clone())).collect();
            }
            assert_eq!(*got, expected, "batch {number}");
            let told: Vec<(u64, BigInt)> = postings.iter().map(|(v, b)| (*v, (*b).into())).collect();
            assert_eq!(told, entries, "batch {number}");
            self.must_be_synced(got.sequence);
        }
    }

    fn must_be_synced(&self, sequence: u64) {
        let unsynced = self.unsynced.unwrap_or(u64::MAX);
        assert!(
            sequence < unsynced,
            "somebody was told of row {sequence}, but from row {unsynced} on nothing was synced"
        );
    }

    /// An account must have been as it was read.
    pub fn compare_read(&self, account: u128, version: u64, balance: i128) {
        let there = self.model.account(1, account).expect("an account that was read");
        assert!(there.version >= version, "an account went back to before it was read");
        if version > 0 {
            let (sequence, place) = there.entries[version as usize - 1];
            let entry = &self.model.row(sequence).entries[place];
            assert_eq!(entry.balance, BigInt::from(balance), "account {account:#x} as it was read");
            self.must_be_synced(sequence);
        }
    }

    /// Every account is, or was a moment before, the model's, and debits equal credits in each asset.
    pub fn compare_accounts(&self, records: &[AccountRecord], tally: &Tally) {
        assert_eq!(records.len(), self.model.accounts().count());
        let mut sums: BTreeMap<u32, i128> = BTreeMap::new();
        for record in records {
            self.compare_read(record.account, record.version, record.posted);
            let expected = self.model.account(1, record.account).expect("it was compared");
            if record.version == expected.version {
                assert!(compare::same_account(1, Some(expected), Some(record)), "{record:?}");
                tally.add("accounts compared", 1);
            }
            let debit_normal = record.normal_side as u8 == 0;
            *sums.entry(record.asset).or_default() += if debit_normal { record.posted } else { -record.posted };
        }
        assert!(sums.values().all(|sum| *sum == 0), "debits and credits differ: {sums:?}");
    }

    /// A statement must be the model's, newest entry first. A hold may have expired since it was read.
    pub fn compare_statement(&self, account: u128, entries: &[StatementEntry]) {
        let expected = &self.model.account(1, account).expect("an account").entries[..entries.len()];
        for (entry, (sequence, place)) in entries.iter().zip(expected.iter().rev()) {
            compare::statement_entry(entry, *place, self.model.row(*sequence));
        }
    }
}
