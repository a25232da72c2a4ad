//! Rounds that are barriers: openings and control records. Nothing else is under way while one of them is.
//!
//! Openings are voted on by the shards, which know what exists; the coordinator numbers the new ones. Control records are
//! decided here alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Command, Coordinator, INSTITUTION, Repeat, Ticket, refused, repeat_of};
use crate::account::{Account, AccountDetails, AccountKey};
use crate::asset::ControlRecord;
use crate::frame::{ControlFrame, FrameDraft};
use crate::limits::{CONTROL_BYTES_MAX, LABEL_BYTES_MAX, LOG_ROW_BYTES};
use crate::outcome::Outcome;
use crate::request::{AccountRow, ControlRequest, Field, ItemResult, OpenRequest};
use crate::shard::{OpenVote, Opening};

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
        self.opening = Some(PendingOpening { ticket, opening: opening.clone(), items, votes, ballots: 0, now, last });
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
        if request.institution != INSTITUTION {
            return Err(Outcome::InstitutionUnknown);
        }
        admit
    }

    /// A shard has voted on openings: a vote per row of its own, in order.
    pub fn on_opening_ballot(&mut self, shard: u8, votes: Vec<OpenVote>) {
        let shards = self.shards;
        let pending = self.opening.as_mut().expect("an opening that was handed out");
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
        let pending = self.opening.take().expect("an opening under way");
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
            let (for_shards, numbers) = (opening.clone(), sequences.clone());
            self.commands.push_back(Command::FinishOpening { opening: for_shards, sequences: numbers, times });
            self.commands.push_back(Command::Frame(FrameDraft::Openings {
                opening,
                sequences,
                first_sequence,
                booked_at,
            }));
        }
        let mut assembly = self.assemblies.remove(&pending.ticket).expect("a request that was submitted");
        for item in pending.items {
            assembly.reply.push(item.map_or_else(|result| result, |row| results[row as usize]));
        }
        self.finish_part(pending.ticket, pending.last, None, assembly);
    }

    /// Decides a control record: a barrier, so nothing is under way.
    pub(super) fn take_control(
        &mut self,
        ticket: Ticket,
        request: ControlRequest,
        now: u64,
        admit: Result<(), Outcome>,
    ) {
        let mut assembly = self.assemblies.remove(&ticket).expect("a request that was submitted");
        let known = self.dedup.find(request.institution, request.id).is_some();
        let admit = if known { Ok(()) } else { admit };
        match check_control(&request).and_then(|record| admit.map(|()| record)) {
            Err(outcome) => assembly.reply.push(refused(outcome, 0)),
            Ok(record) => match self.dedup.insert(request.institution, request.id, self.next_sequence) {
                Err(sequence) => {
                    self.counters.repeats += 1;
                    assembly.repeats.push(Repeat { item: 0, sequence });
                    assembly.reply.push(repeat_of(sequence, 0));
                }
                Ok(()) => {
                    let asset = record.asset().expect("a record that was parsed");
                    let outcome = self.assets.check(&asset).err().unwrap_or(Outcome::Posted);
                    if outcome == Outcome::Posted {
                        self.assets.register(asset);
                    }
                    let (number, sequence) = (self.next_round, self.next_sequence);
                    let booked_at = now.max(self.last_booked_at + 1);
                    self.next_round += 1;
                    self.next_sequence += 1;
                    self.last_booked_at = booked_at;
                    self.counters.rounds += 1;
                    assembly.reply.push(ItemResult { outcome, repeat: false, detail: 0, sequence, booked_at });
                    let ControlRequest { institution, principal, id, .. } = request;
                    let record = record.canonical();
                    let frame =
                        ControlFrame { number, sequence, booked_at, institution, principal, id, outcome, record };
                    self.commands.push_back(Command::Pass(number));
                    self.commands.push_back(Command::Frame(FrameDraft::Control(frame)));
                }
            },
        }
        self.finish_part(ticket, true, None, assembly);
    }
}

/// The checks of a control record that need nothing but the record. What is logged is its canonical form, so that is what must fit.
fn check_control(request: &ControlRequest) -> Result<ControlRecord, Outcome> {
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
    if request.institution == INSTITUTION { Ok(record) } else { Err(Outcome::InstitutionUnknown) }
}

/// The first field in which two openings of one account differ.
fn first_difference(first: &AccountRow, second: &AccountRow) -> Option<Field> {
    let key = AccountKey { institution: INSTITUTION, account: first.account.get() };
    AccountDetails::open(first, 0, 0).first_difference(&Account::open(key, first, 0), second)
}
