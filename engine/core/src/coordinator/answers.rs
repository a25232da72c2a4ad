//! Answers: results of rounds put together into the answers of requests.

use std::sync::Arc;

use super::{Answer, Assembly, Command, Coordinator, InFlight, Repeat, Ticket, refused, repeat_of};
use crate::account::EntryResult;
use crate::compare::counts_entries;
use crate::frame::FrameDraft;
use crate::outcome::Outcome;
use crate::request::{ItemResult, PostingResult};
use crate::round::FinishedRound;

/// What became of an item when its round was made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disposition {
    /// It is in the round, at this position.
    Sequenced(u32),
    /// Its id was used by the row of this sequence number.
    Repeat(u64),
    /// It is refused, and nothing is recorded.
    Refused(Outcome),
}

/// A part of a request in a round.
#[derive(Debug)]
pub(super) struct Part {
    pub ticket: Ticket,
    pub first_item: u32,
    pub dispositions: Vec<Disposition>,
    pub last: bool,
}

impl Coordinator {
    /// Hangs answers that wait for no round of their own onto the last round under way, or gives them at once.
    pub(super) fn attach(&mut self, parts: Vec<Part>, reads: Vec<Ticket>) {
        if let Some(last) = self.in_flight.back_mut() {
            last.parts.extend(parts);
            if last.decisions.is_none() && self.shards > 1 {
                last.reads.extend(reads);
                return;
            }
            let (after, position) = (last.round.number, last.last_sequence());
            self.commands.extend(reads.into_iter().map(|ticket| Command::Read { ticket, after, position }));
            return;
        }
        for part in parts {
            self.answer_part(part, None);
        }
        let (after, position) = (self.last_round(), self.last_sequence());
        self.commands.extend(reads.into_iter().map(|ticket| Command::Read { ticket, after, position }));
    }

    /// A round is decided and applied: its frame, then its answers.
    pub(super) fn complete(&mut self, flight: InFlight) {
        let decisions = flight.decisions.expect("a complete round is decided");
        let posted = decisions.iter().filter(|d| d.is_posted()).count() as u64;
        self.counters.posted += posted;
        self.counters.refused += decisions.len() as u64 - posted;
        let finished = FinishedRound { round: flight.round, decisions, results: Arc::new(flight.results) };
        self.recent.push_back(finished.clone());
        // The frame goes out before the answers, which borrow the round.
        let before = std::mem::take(&mut self.commands);
        for part in flight.parts {
            self.answer_part(part, Some(&finished));
        }
        let answered = std::mem::replace(&mut self.commands, before);
        self.commands.push_back(Command::Frame(FrameDraft::Posts(finished)));
        self.commands.extend(answered);
    }

    /// Adds a part's results to its request's answer; gives the answer if it was the last part.
    pub(super) fn answer_part(&mut self, part: Part, finished: Option<&FinishedRound>) {
        let mut assembly = self.assemblies.remove(&part.ticket).expect("a request that was submitted");
        for (offset, disposition) in part.dispositions.iter().enumerate() {
            let result = match *disposition {
                Disposition::Refused(outcome) => refused(outcome, 0),
                Disposition::Repeat(sequence) => {
                    self.counters.repeats += 1;
                    assembly.repeats.push(Repeat { item: part.first_item + offset as u32, sequence });
                    repeat_of(sequence, 0)
                }
                Disposition::Sequenced(position) => {
                    let finished = finished.expect("a sequenced item has its round");
                    let decision = finished.decisions[position as usize];
                    let item = &finished.round.items[position as usize];
                    let results = finished.results.entries[finished.round.postings_of(item)].iter();
                    let entries = results.filter(|r| r.version.number() != 0);
                    let mut detail = decision.detail;
                    if decision.is_posted() && counts_entries(item.kind) {
                        detail = entries.clone().count() as u16;
                    }
                    if assembly.want_postings && decision.is_posted() {
                        assembly.reply.postings.extend(entries.map(posting_result));
                    }
                    ItemResult {
                        outcome: decision.outcome,
                        repeat: false,
                        detail,
                        sequence: finished.round.first_sequence + u64::from(position),
                        booked_at: finished.round.booked_at + u64::from(position),
                    }
                }
            };
            assembly.reply.push(result);
        }
        self.finish_part(part.ticket, part.last, finished.map(|f| f.round.number), assembly);
    }

    pub(super) fn finish_part(&mut self, ticket: Ticket, last: bool, after: Option<u64>, assembly: Assembly) {
        if last {
            let Assembly { reply, repeats, .. } = assembly;
            let after = after.unwrap_or(self.last_round());
            self.commands.push_back(Command::Answer(Answer { ticket, after, reply, repeats }));
        } else {
            self.assemblies.insert(ticket, assembly);
        }
    }
}

fn posting_result(result: &EntryResult) -> PostingResult {
    let EntryResult { version, balance, .. } = *result;
    PostingResult { version: version.number(), balance, alarm: version.alarm() }
}
