//! Rounds that are barriers: openings, account changes and control records. Nothing else is under way while one of them is.
//!
//! Openings are voted on by the shards, which know what exists; the coordinator numbers the new ones. Account changes get their
//! numbers first and are decided by the shard that owns the account. Control records are decided here alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::lookups::Ask;
use super::{Command, Coordinator, Repeat, Ticket, refused, repeat_of};
use crate::account::AccountKey;
use crate::accounts::first_difference;
use crate::control::{Control, ControlRecord};
use crate::frame::{ControlFrame, FrameDraft};
use crate::institution::{FIRST_INSTITUTION, accounting_date};
use crate::limits::{CHANGE_RECORD_BYTES, CONTROL_BYTES_MAX, LABEL_BYTES_MAX, LOG_ROW_BYTES};
use crate::link::Facts;
use crate::outcome::Outcome;
use crate::request::{AccountRow, ChangeRequest, ControlRequest, ItemResult, OpenRequest};
use crate::shard::{ChangeResult, Changes, OpenVote, Opening};

/// A round that is a barrier and waits for the shards.
#[derive(Debug)]
pub(super) enum Barrier {
    Opening(PendingOpening),
    Changes(PendingChanges),
}

/// A round of account changes that the shards are making.
#[derive(Debug)]
pub(super) struct PendingChanges {
    ticket: Ticket,
    changes: Arc<Changes>,
    /// Per item of the request's part: its position in the round, or the row that used its id, or why not.
    items: Vec<Result<u32, Result<u64, Outcome>>>,
    first_item: u32,
    results: Vec<Option<ChangeResult>>,
    missing: usize,
    last: bool,
}

/// A round of openings on which the shards are voting.
#[derive(Debug)]
pub(super) struct PendingOpening {
    ticket: Ticket,
    opening: Arc<Opening>,
    /// Per item of the request's part: the row that it became, or why not.
    items: Vec<Result<u32, ItemResult>>,
    votes: Vec<Option<OpenVote>>,
    ballots: usize,
    now: u64,
    last: bool,
}

impl Coordinator {
    /// Begins a round of openings: a barrier, so nothing is under way.
    pub(super) fn take_openings(
        &mut self,
        ticket: Ticket,
        request: &OpenRequest,
        now: u64,
        admit: Result<(), Outcome>,
    ) {
        let first = self.waiting.front().expect("the opening is at the front").taken;
        let mut items: Vec<Result<u32, ItemResult>> = Vec::new();
        let mut rows: Vec<AccountRow> = Vec::new();
        let mut frame_bytes = 0;
        for row in &request.rows()[first..] {
            if rows.len() == self.limits.transactions
                || frame_bytes + LOG_ROW_BYTES + LABEL_BYTES_MAX > self.limits.frame_bytes
            {
                break;
            }
            if let Err(outcome) = self.admit_opening(request, row, admit) {
                items.push(Err(refused(outcome, 0)));
                continue;
            }
            items.push(Ok(rows.len() as u32));
            rows.push(*row);
            frame_bytes += LOG_ROW_BYTES + LABEL_BYTES_MAX;
        }
        let taken = first + items.len();
        let last = taken == request.rows().len();
        if last {
            self.waiting.pop_front();
            self.waiting_items -= 1;
        } else {
            self.waiting.front_mut().expect("the opening is at the front").taken = taken;
        }
        let (institution, principal) = (request.institution, request.principal);
        let votes = vec![None; rows.len()];
        let opening = Arc::new(Opening { number: self.next_round, institution, principal, rows });
        let nothing_to_vote_on = opening.rows.is_empty();
        let pending = PendingOpening { ticket, opening: opening.clone(), items, votes, ballots: 0, now, last };
        self.barrier = Some(Barrier::Opening(pending));
        if nothing_to_vote_on {
            self.complete_opening();
        } else {
            self.commands.push_back(Command::PrepareOpening(opening));
        }
    }

    fn admit_opening(
        &self,
        request: &OpenRequest,
        row: &AccountRow,
        admit: Result<(), Outcome>,
    ) -> Result<(), Outcome> {
        row.check_shape()?;
        if !self.institutions.contains(request.institution) {
            return Err(Outcome::InstitutionUnknown);
        }
        admit
    }

    /// A shard has voted on openings: a vote per row of its own, in order.
    pub fn on_opening_ballot(&mut self, shard: u8, votes: Vec<OpenVote>) {
        let shards = self.shards;
        let Some(Barrier::Opening(pending)) = &mut self.barrier else { panic!("an opening that was handed out") };
        let mut votes = votes.into_iter();
        for (at, row) in pending.opening.rows.iter().enumerate() {
            let key = AccountKey { institution: pending.opening.institution, account: row.account.get() };
            if key.home(shards) == shard {
                pending.votes[at] = Some(votes.next().expect("a vote for each row of the shard"));
            }
        }
        assert!(votes.next().is_none(), "a vote for each row of the shard, and no more");
        pending.ballots += 1;
        if pending.ballots == shards {
            self.complete_opening();
        }
    }

    fn complete_opening(&mut self) {
        let Some(Barrier::Opening(pending)) = self.barrier.take() else { panic!("an opening under way") };
        let count = pending.opening.rows.len();
        let (mut sequences, mut times) = (vec![0; count], vec![0; count]);
        let first_sequence = self.next_sequence;
        let booked_at = pending.now.max(self.last_booked_at + 1);
        let mut opened = 0;
        let mut opened_here: HashMap<u128, usize> = HashMap::new();
        let mut results = Vec::with_capacity(count);
        for (at, vote) in pending.votes.iter().enumerate() {
            let row = &pending.opening.rows[at];
            let twin = opened_here.get(&row.account.get()).copied();
            results.push(match vote.expect("every row belongs to a shard") {
                OpenVote::Same { opened, opened_at } => repeat_of(opened, opened_at),
                OpenVote::Differs(field) => refused(Outcome::AccountExistsWithOtherFields, field as u16),
                OpenVote::New if twin.is_some() => {
                    let first = twin.expect("just seen");
                    match first_difference(&pending.opening.rows[first], row) {
                        Some(field) => refused(Outcome::AccountExistsWithOtherFields, field as u16),
                        None => repeat_of(sequences[first], times[first]),
                    }
                }
                OpenVote::New if !self.assets.contains(row.asset.get()) => refused(Outcome::AssetUnknown, 0),
                OpenVote::New => {
                    opened_here.insert(row.account.get(), at);
                    (sequences[at], times[at]) = (first_sequence + opened, booked_at + opened);
                    opened += 1;
                    let (sequence, booked_at) = (sequences[at], times[at]);
                    ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence, booked_at }
                }
            });
        }
        if opened > 0 {
            self.next_round += 1;
            self.next_sequence += opened;
            self.last_booked_at = booked_at + opened - 1;
            self.counters.rounds += 1;
            let (sequences, times) = (Arc::new(sequences), Arc::new(times));
            let opening = pending.opening;
            let open_day = self.institutions.open_day(opening.institution);
            let (for_shards, numbers) = (opening.clone(), sequences.clone());
            self.commands.push_back(Command::FinishOpening { opening: for_shards, sequences: numbers, times });
            self.commands.push_back(Command::Frame(Box::new(FrameDraft::Openings {
                opening,
                sequences,
                first_sequence,
                booked_at,
                open_day,
            })));
        }
        let mut assembly = self.assembly(pending.ticket);
        for item in pending.items {
            assembly.reply.push(item.map_or_else(|result| result, |row| results[row as usize]));
        }
        self.finish_part(pending.ticket, pending.last, None, assembly);
    }

    /// Decides a control record: a barrier, so nothing is under way.
    pub(super) fn take_control(
        &mut self,
        ticket: Ticket,
        (request, facts): (ControlRequest, &Facts),
        now: u64,
        admit: Result<(), Outcome>,
    ) {
        let mut assembly = self.assembly(ticket);
        let used_by = self.known(facts, request.institution, request.id);
        let admit = if used_by.is_some() { Ok(()) } else { admit };
        match self.check_control(&request).and_then(|record| admit.map(|()| record)) {
            Err(outcome) => assembly.reply.push(refused(outcome, 0)),
            Ok(record) => match self.note_new(used_by, request.institution, request.id, self.next_sequence) {
                Err(sequence) => {
                    self.counters.repeats += 1;
                    assembly.repeats.push(Repeat { item: 0, sequence });
                    assembly.reply.push(repeat_of(sequence, 0));
                }
                Ok(()) => {
                    let (number, sequence) = (self.next_round, self.next_sequence);
                    let booked_at = now.max(self.last_booked_at + 1);
                    let control = record.read().expect("a record that was parsed");
                    let outcome = match self.decide_control(request.institution, control, booked_at) {
                        Ok(()) => Outcome::Posted,
                        Err(outcome) => outcome,
                    };
                    self.next_round += 1;
                    self.next_sequence += 1;
                    self.last_booked_at = booked_at;
                    self.counters.rounds += 1;
                    assembly.reply.push(ItemResult { outcome, repeat: false, detail: 0, sequence, booked_at });
                    let ControlRequest { institution, principal, id, .. } = request;
                    let accounting_date = accounting_date(self.institutions.open_day(institution), booked_at);
                    self.commands.push_back(Command::Pass(number));
                    self.commands.push_back(Command::Frame(Box::new(FrameDraft::Control(ControlFrame {
                        number,
                        sequence,
                        booked_at,
                        accounting_date,
                        institution,
                        principal,
                        id,
                        outcome,
                        record: record.canonical(),
                    }))));
                }
            },
        }
        self.finish_part(ticket, true, None, assembly);
    }

    /// The row that used an id; what is not in memory was looked up before.
    fn known(&self, facts: &Facts, institution: u32, id: u128) -> Option<u64> {
        self.used_by(facts, institution, id).unwrap_or_else(|Ask| unreachable!("ids are looked up before their turn"))
    }

    /// Notes an id unless a row used it: then says which.
    fn note_new(&mut self, used_by: Option<u64>, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        match used_by {
            Some(used) => Err(used),
            None => self.dedup.insert(institution, id, sequence),
        }
    }

    fn decide_control(&mut self, institution: u32, control: Control, booked_at: u64) -> Result<(), Outcome> {
        match control {
            Control::Asset(asset) => {
                self.assets.check(&asset)?;
                self.assets.register(asset);
            }
            Control::Institution { number, name } => {
                self.institutions.check(number, &name)?;
                self.institutions.register(number, &name);
            }
            Control::OpenDay(day) => {
                self.institutions.check_open_day(institution, day, booked_at)?;
                self.institutions.set_open_day(institution, day);
            }
        }
        Ok(())
    }

    /// The checks of a control record before its id. What is logged is its canonical form, so that is what must fit.
    fn check_control(&self, request: &ControlRequest) -> Result<ControlRecord, Outcome> {
        if request.id == 0 {
            return Err(Outcome::IdZero);
        }
        if request.record.len() > CONTROL_BYTES_MAX {
            return Err(Outcome::ControlMalformed);
        }
        let record = ControlRecord::parse(&request.record)?;
        if record.canonical().len() > CONTROL_BYTES_MAX {
            return Err(Outcome::ControlMalformed);
        }
        if !self.institutions.contains(request.institution) {
            return Err(Outcome::InstitutionUnknown);
        }
        match record {
            ControlRecord::OpenDay { .. } => Ok(record),
            _ if request.institution == FIRST_INSTITUTION => Ok(record),
            _ => Err(Outcome::NotPermitted),
        }
    }

    /// Begins a round of account changes: a barrier, so nothing is under way.
    pub(super) fn take_changes(
        &mut self,
        ticket: Ticket,
        request: Arc<ChangeRequest>,
        now: u64,
        admit: Result<(), Outcome>,
    ) {
        let (first, facts) = {
            let front = self.waiting.front_mut().expect("the change is at the front");
            (front.taken, std::mem::take(&mut front.facts))
        };
        let known = self.institutions.contains(request.institution);
        let first_sequence = self.next_sequence;
        let (mut items, mut numbered, mut frame_bytes) = (Vec::new(), Vec::new(), 0);
        for item in first..request.count() {
            let view = request.change(item);
            let encoded = LOG_ROW_BYTES + CHANGE_RECORD_BYTES + view.reason.len() + view.data.len();
            let shape = view.check_shape();
            // What is malformed is never recorded, however long it is.
            let full = numbered.len() == self.limits.transactions || frame_bytes + encoded > self.limits.frame_bytes;
            if shape.is_ok() && full {
                break;
            }
            let checked = shape.and(if known { Ok(()) } else { Err(Outcome::InstitutionUnknown) });
            let id = view.row.id.get();
            items.push(match (checked, self.known(&facts, request.institution, id), admit) {
                (Err(outcome), _, _) => Err(Err(outcome)),
                (_, Some(original), _) => Err(Ok(original)),
                (_, _, Err(outcome)) => Err(Err(outcome)),
                _ => {
                    let sequence = first_sequence + numbered.len() as u64;
                    self.dedup.insert(request.institution, id, sequence).expect("an id that was not found");
                    numbered.push(item as u32);
                    frame_bytes += encoded;
                    Ok(numbered.len() as u32 - 1)
                }
            });
        }
        let taken = first + items.len();
        let last = taken == request.count();
        if last {
            self.waiting.pop_front();
            self.waiting_items -= 1;
        } else {
            let front = self.waiting.front_mut().expect("the change is at the front");
            (front.taken, front.facts) = (taken, facts);
        }
        let changes = Arc::new(Changes {
            number: self.next_round,
            first_sequence,
            booked_at: now.max(self.last_booked_at + 1),
            open_day: self.institutions.open_day(request.institution),
            request,
            items: numbered,
        });
        let count = changes.items.len();
        let pending = PendingChanges {
            ticket,
            changes: changes.clone(),
            items,
            first_item: first as u32,
            results: vec![None; count],
            missing: self.shards,
            last,
        };
        self.barrier = Some(Barrier::Changes(pending));
        if count == 0 {
            self.complete_changes();
            return;
        }
        self.next_round += 1;
        self.next_sequence += count as u64;
        self.last_booked_at = changes.booked_at + count as u64 - 1;
        self.counters.rounds += 1;
        self.commands.push_back(Command::Change(changes));
    }

    /// A shard has made the changes of its accounts: a result for each, in order.
    pub fn on_changed(&mut self, shard: u8, results: Vec<ChangeResult>) {
        let shards = self.shards;
        let Some(Barrier::Changes(pending)) = &mut self.barrier else { panic!("changes that were handed out") };
        let mut results = results.into_iter();
        for (position, item) in pending.changes.items.iter().enumerate() {
            if pending.changes.key(*item).home(shards) == shard {
                pending.results[position] = Some(results.next().expect("a result for each change of the shard"));
            }
        }
        assert!(results.next().is_none(), "a result for each change of the shard, and no more");
        pending.missing -= 1;
        if pending.missing == 0 {
            self.complete_changes();
        }
    }

    fn complete_changes(&mut self) {
        let Some(Barrier::Changes(pending)) = self.barrier.take() else { panic!("changes under way") };
        let mut assembly = self.assembly(pending.ticket);
        let result = |r: &Option<ChangeResult>| r.expect("every change belongs to a shard");
        let results: Vec<ChangeResult> = pending.results.iter().map(result).collect();
        for (offset, item) in pending.items.iter().enumerate() {
            assembly.reply.push(match *item {
                Err(Err(outcome)) => refused(outcome, 0),
                Err(Ok(sequence)) => {
                    self.counters.repeats += 1;
                    assembly.repeats.push(Repeat { item: pending.first_item + offset as u32, sequence });
                    repeat_of(sequence, 0)
                }
                Ok(position) => ItemResult {
                    outcome: results[position as usize].outcome,
                    repeat: false,
                    detail: 0,
                    sequence: pending.changes.first_sequence + u64::from(position),
                    booked_at: pending.changes.booked_at + u64::from(position),
                },
            });
        }
        if !results.is_empty() {
            let changes = pending.changes.clone();
            self.commands.push_back(Command::Frame(Box::new(FrameDraft::Changes { changes, results })));
        }
        self.finish_part(pending.ticket, pending.last, None, assembly);
    }
}
