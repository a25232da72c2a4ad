//! The judge: runs the model over what was asked, in the order in which it was asked, and compares everything.

use std::collections::BTreeMap;
use std::convert::Infallible;

use florin_core::compare::{resolve_changes, resolve_control, resolve_post};
use florin_core::coordinator::{Answer, Ticket};
use florin_core::entry::{PostReply, RowKind};
use florin_core::frame::Record;
use florin_core::request::ItemResult;

use super::invariants::i6_one_outcome::Told;
use super::invariants::{i5_nothing_early, i9_serial};
use super::world::ReadAnswer;
use super::{Log, Tally, key};
use crate::compare::{self, Readings};
use crate::encode;
use crate::model::number::*;
use crate::model::{Entry, Model, Verdict};
use crate::program::Step;

/// A request and what was heard of it.
#[derive(Debug)]
pub struct Asked {
    /// Its ticket.
    pub ticket: Ticket,
    /// The request.
    pub step: Step,
    /// The answer, if one was made before the process ended.
    pub answer: Option<Answer>,
    /// Whether versions and balances of postings were asked for.
    pub want_postings: bool,
    /// The answer to a read.
    pub read: Option<ReadAnswer>,
    /// Frames in the log when a heave was made.
    pub heaved_at: usize,
}

impl Asked {
    /// Whether the answer may have left the process when this many frames were durable.
    pub fn released(&self, durable: usize) -> bool {
        match (&self.answer, &self.read, &self.step) {
            (Some(answer), _, _) => answer.after <= durable as u64,
            (_, Some(read), _) => read.after <= durable as u64,
            (_, _, Step::Heave { .. }) => self.heaved_at <= durable,
            _ => false,
        }
    }
}

/// What happened between a start of the process and its end.
#[derive(Debug, Default)]
pub struct Life {
    /// Requests in the order in which they were submitted.
    pub asked: Vec<Asked>,
    /// The time at which each round was closed.
    pub times: BTreeMap<u64, u64>,
    /// Frames in the log at the start.
    pub began_at: usize,
    /// Frames that were durable at a crash; none if everything was answered.
    pub durable: Option<usize>,
}

/// Runs the model over all lives; the log is the final one, whose rows must be those that the model recorded.
pub fn judge(lives: &[Life], log: &Log, tally: &mut Tally) -> Model {
    let mut model = Model::new();
    let mut told = Told::default();
    let records: Vec<Record> = log.frames.iter().flat_map(super::StoredFrame::records).collect();
    for life in lives {
        let durable = life.durable.unwrap_or(log.frames.len());
        let mut bench = Bench::new(life, log, &records, durable, (&mut model, &mut told));
        for asked in &life.asked {
            bench.judge(asked, tally);
        }
        bench.expire(tally);
        bench.readings.settle(bench.model);
        bench.readings.finish();
    }
    i9_serial::log(&model, &records);
    model
}

/// What judging one life takes.
struct Bench<'a> {
    model: &'a mut Model,
    told: &'a mut Told,
    /// All rows of the log, that of sequence number 1 first.
    records: &'a [Record],
    /// Time at which the round that begins with a sequence number was closed.
    starts: BTreeMap<u64, u64>,
    durable: usize,
    durable_sequence: u64,
    crashed: bool,
    readings: Readings,
}

impl<'a> Bench<'a> {
    fn new(
        life: &'a Life,
        log: &'a Log,
        records: &'a [Record],
        durable: usize,
        (model, told): (&'a mut Model, &'a mut Told),
    ) -> Bench<'a> {
        let frames = &log.frames[life.began_at..durable];
        let starts = frames.iter().map(|f| (f.head.first_sequence, life.times[&f.head.number])).collect();
        let durable_sequence = log.last_sequence_of(durable);
        Bench {
            model,
            told,
            records,
            starts,
            durable,
            durable_sequence,
            crashed: life.durable.is_some(),
            readings: Readings::default(),
        }
    }

    fn judge(&mut self, asked: &Asked, tally: &mut Tally) {
        self.readings.settle(self.model);
        let released = asked.released(self.durable);
        assert!(released || self.crashed, "a request without an answer");
        tally.retries += u64::from(!released);
        match &asked.step {
            Step::Heave { institution, heave } if released => self.model.heave(*institution, heave),
            Step::Heave { .. } => {}
            Step::Read { institution, accounts } => {
                if let Some(read) = asked.read.as_ref().filter(|_| released) {
                    tally.reads += 1;
                    let found = |account: &u128| read.accounts.get(&key(*institution, *account)).cloned();
                    let records = accounts.iter().map(found).collect();
                    self.readings.add(self.model, *institution, accounts, records, read.position);
                }
            }
            _ => {
                let answer = asked.answer.as_ref().filter(|_| released);
                self.request(asked, answer, tally);
            }
        }
    }

    /// Whether the next row of the log is that of a hold that expired.
    fn is_expiry_next(&self) -> bool {
        let next = self.model.last_sequence() as usize;
        let is_expiry = |record: &Record| matches!(record, Record::Transaction(t) if t.kind == RowKind::Expiry);
        (next as u64) < self.durable_sequence && is_expiry(&self.records[next])
    }

    /// Whether an item gets a row of its own: then what expired before that row comes first. Otherwise it may have been
    /// answered before.
    fn will_book(&self, step: &Step, item: usize, got: Option<ItemResult>) -> bool {
        let here = self.model.last_sequence();
        match got {
            Some(result) => !result.repeat && result.sequence > here,
            None => {
                let mut model = self.model.clone();
                apply(&mut model, step, item);
                model.last_sequence() > here
            }
        }
    }

    /// Holds that expired before the next item.
    fn expire(&mut self, tally: &mut Tally) {
        while self.is_expiry_next() {
            let next = self.model.last_sequence() + 1;
            let Record::Transaction(row) = &self.records[next as usize - 1] else { return };
            self.readings.settle(self.model);
            if let Some(now) = self.starts.get(&next) {
                self.model.begin_round(*now);
            }
            self.model.expire(row.institution, row.id);
            tally.expiries += 1;
        }
    }

    /// Items of a request: each is put to the model, unless it is among those that the crash took.
    fn request(&mut self, asked: &Asked, answer: Option<&Answer>, tally: &mut Tally) {
        let (step, want_postings) = (&asked.step, asked.want_postings);
        let read = |sequence: u64| self.records[sequence as usize - 1].clone();
        let reply = answer.map(|answer| resolve(step, answer, want_postings, read));
        let got: Option<Vec<ItemResult>> = reply.as_ref().map(|reply| reply.items().collect());
        let mut heard = Heard::default();
        let count = match step {
            Step::Run { items, .. } => items.len(),
            Step::Change { changes, .. } => changes.len(),
            Step::Open { openings, .. } => openings.len(),
            _ => 1,
        };
        for item in 0..count {
            let got_item = got.as_ref().map(|items| items[item]);
            let not_now = got_item.is_some_and(|r| [STORAGE_FULL, SHUTTING_DOWN].contains(&r.outcome.number()));
            if self.is_expiry_next() && self.will_book(step, item, got_item) {
                self.expire(tally);
            }
            self.readings.settle(self.model);
            if let Some(now) = self.starts.get(&(self.model.last_sequence() + 1)) {
                self.model.begin_round(*now);
            }
            let at_the_end = self.crashed && self.model.last_sequence() == self.durable_sequence;
            let before = (at_the_end || not_now).then(|| self.model.clone());
            let (mut expected, mut entries) = apply(self.model, step, item);
            if let Step::Run { items, .. } = step {
                expected = compare::told(&items[item], expected, &entries);
            }
            let lost = self.model.last_sequence() > self.durable_sequence;
            if not_now && may_be_refused_for_now(step, expected) {
                expected = Verdict { outcome: got_item.expect("it was heard").outcome.number(), ..Verdict::default() };
                entries.clear();
                *self.model = before.expect("it was kept");
                tally.not_now += 1;
            } else if lost {
                i5_nothing_early::lost(answer.is_some(), || step.item(item).to_string());
                *self.model = before.expect("it was kept");
            }
            let Some(got_item) = got_item else { continue };
            tally.repeats += u64::from(expected.repeat);
            *tally.outcomes.entry(expected.outcome).or_default() += u64::from(!expected.repeat);
            match step {
                Step::Run { .. } => tally.transactions += 1,
                Step::Open { .. } => tally.openings += 1,
                _ => tally.controls += 1,
            }
            i9_serial::outcome(compare::verdict(&got_item), expected, || step.item(item).to_string());
            if let Some(id) = id_of(step, item) {
                self.told.tell(id, got_item);
            }
            heard.repeats.extend(self.original(step, item, expected).map(|sequence| (item as u32, sequence)));
            heard.postings.extend(entries);
        }
        if let (Some(answer), Some(reply)) = (answer, reply) {
            let repeats: Vec<(u32, u64)> = answer.repeats.iter().map(|r| (r.item, r.sequence)).collect();
            assert_eq!(repeats, heard.repeats, "I9: repeats of {step}");
            assert_eq!(reply.count(), count, "I9: results of {step}");
            let postings = if want_postings { &heard.postings[..] } else { &[] };
            assert!(compare::same_entries(&reply.postings, postings), "I9: postings of {step}");
        }
    }

    /// Where the id of an item was used before, if it was.
    fn original(&self, step: &Step, item: usize, expected: Verdict) -> Option<u64> {
        let (institution, id) = id_of(step, item)?;
        let used = expected.repeat || expected.outcome == ID_USED_WITH_OTHER_FIELDS;
        used.then(|| self.model.recorded(institution, id).expect("an id that was used").verdict.sequence)
    }
}

/// The institution and id of an item; an opening is named by its account.
fn id_of(step: &Step, item: usize) -> Option<(u32, u128)> {
    match step {
        Step::Run { institution, items, .. } => Some((*institution, items[item].id)),
        Step::Change { institution, changes } => Some((*institution, changes[item].id)),
        Step::Control { institution, control } => Some((*institution, control.id)),
        Step::Open { .. } | Step::Read { .. } | Step::Heave { .. } => None,
    }
}

/// Puts the original results of repeats into an answer, as a reader of the log does. `read` gives the row of a sequence
/// number.
pub fn resolve(step: &Step, answer: &Answer, want_postings: bool, read: impl Fn(u64) -> Record) -> PostReply {
    let row = |sequence: u64| Ok::<Record, Infallible>(read(sequence));
    match step {
        Step::Run { institution, transfers, items } => {
            let request = encode::post_request(*institution, *transfers, items);
            let Ok(reply) = resolve_post(&request, want_postings, answer.reply.clone(), row);
            reply
        }
        Step::Change { institution, changes } => {
            let request = encode::change_request(*institution, changes);
            let Ok(reply) = resolve_changes(&request, answer.reply.clone(), row);
            reply
        }
        Step::Control { control, .. } if !answer.repeats.is_empty() => {
            let mut reply = PostReply::default();
            reply.push(resolve_control(&control.record, &read(answer.repeats[0].sequence)));
            reply
        }
        _ => answer.reply.clone(),
    }
}

/// Puts an item to the model.
fn apply(model: &mut Model, step: &Step, item: usize) -> (Verdict, Vec<Entry>) {
    match step {
        Step::Run { institution, items, .. } => model.run(*institution, &items[item]),
        Step::Change { institution, changes } => (model.change(*institution, &changes[item]).0, vec![]),
        Step::Open { institution, openings } => (model.open(*institution, &openings[item]), vec![]),
        Step::Control { institution, control } => (model.control(*institution, control), vec![]),
        Step::Read { .. } | Step::Heave { .. } => unreachable!("they have no items"),
    }
}

#[derive(Default)]
struct Heard {
    repeats: Vec<(u32, u64)>,
    postings: Vec<Entry>,
}

/// What is malformed is refused for that; what repeats an id is answered even when nothing new is taken.
fn may_be_refused_for_now(step: &Step, expected: Verdict) -> bool {
    let is_shape = (1..20).contains(&expected.outcome) || expected.outcome == INSTITUTION_UNKNOWN;
    let is_repeat = expected.repeat || expected.outcome == ID_USED_WITH_OTHER_FIELDS;
    let is_fixed = is_shape || expected.outcome == NOT_PERMITTED;
    !is_fixed && (!is_repeat || matches!(step, Step::Open { .. }))
}
