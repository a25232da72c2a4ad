//! Answers: results of rounds put together into the answers of requests.

use std::ops::Range;
use std::sync::Arc;

use florin_planted::{Fault, planted};

use super::{Answer, Assembly, Command, Coordinator, InFlight, Repeat, Ticket, refused, repeat_of};
use crate::account::EntryResult;
use crate::compare::counts_entries;
use crate::entry::ResultRun;
use crate::frame::FrameDraft;
use crate::outcome::Outcome;
use crate::request::{ItemResult, PostingResult};
use crate::round::FinishedRound;

/// What became of an item when its round was made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disposition {
    /// It is the next one in the round, or, as the first of a run of items, at this position.
    Sequenced(u32),
    /// Its id was used by the row of this sequence number.
    Repeat(u64),
    /// It is refused, and nothing is recorded.
    Refused(Outcome),
}

/// What became of the items of a request, in order: runs of items of which all are sequenced or one is not.
#[derive(Debug, Default)]
pub(super) struct Dispositions {
    runs: Vec<(Disposition, u32)>,
    count: usize,
}

impl Dispositions {
    pub fn push(&mut self, disposition: Disposition) {
        self.count += 1;
        match (disposition, self.runs.last_mut()) {
            (Disposition::Sequenced(position), Some((Disposition::Sequenced(first), count)))
                if *first + *count == position =>
            {
                *count += 1;
            }
            _ => self.runs.push((disposition, 1)),
        }
    }

    /// How many items.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A part of a request in a round.
#[derive(Debug)]
pub(super) struct Part {
    pub ticket: Ticket,
    pub first_item: u32,
    pub dispositions: Dispositions,
    pub want_postings: bool,
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
        self.commands.push_back(Command::Frame(Box::new(FrameDraft::Posts(finished.clone()))));
        for part in flight.parts {
            self.answer_part(part, Some(&finished));
        }
    }

    /// Adds a part's results to its request's answer; gives the answer if it was the last part.
    pub(super) fn answer_part(&mut self, part: Part, finished: Option<&FinishedRound>) {
        let mut assembly = self.assembly(part.ticket);
        let mut item = part.first_item;
        for (disposition, count) in &part.dispositions.runs {
            match *disposition {
                Disposition::Refused(outcome) => assembly.reply.push(refused(outcome, 0)),
                Disposition::Repeat(sequence) => {
                    self.counters.repeats += 1;
                    assembly.repeats.push(Repeat { item, sequence });
                    assembly.reply.push(repeat_of(sequence, 0));
                }
                Disposition::Sequenced(first) => {
                    let finished = finished.expect("a sequenced item has its round");
                    assembly.add(finished, first as usize..(first + count) as usize, part.want_postings);
                }
            }
            item += count;
        }
        self.finish_part(part.ticket, part.last, finished.map(|f| f.round.number), assembly);
    }

    /// What is answered of a request so far.
    pub(super) fn assembly(&mut self, ticket: Ticket) -> Assembly {
        if self.assemblies.is_empty() {
            Assembly::default()
        } else {
            self.assemblies.remove(&ticket).unwrap_or_default()
        }
    }

    pub(super) fn finish_part(&mut self, ticket: Ticket, last: bool, after: Option<u64>, assembly: Assembly) {
        if last {
            let Assembly { reply, repeats } = assembly;
            let after = after.unwrap_or(self.last_round());
            let after = if planted(Fault::AnswerWaitsForNothing) { 0 } else { after };
            self.commands.push_back(Command::Answer(Answer { ticket, after, reply, repeats }));
        } else {
            self.assemblies.insert(ticket, assembly);
        }
    }
}

impl Assembly {
    /// Adds the results of consecutive items of a round.
    fn add(&mut self, finished: &FinishedRound, positions: Range<usize>, want_postings: bool) {
        let FinishedRound { round, decisions, results } = finished;
        let is_plain = |at: usize| decisions[at].is_posted() && !counts_entries(round.items[at].kind);
        let mut at = positions.start;
        while at < positions.end {
            let (item, decision) = (&round.items[at], decisions[at]);
            let entries = results.entries[round.entries_of(item)].iter().filter(|r| r.version.number() != 0);
            let mut detail = decision.detail;
            if decision.is_posted() && counts_entries(item.kind) {
                detail = entries.clone().count() as u16;
            }
            if want_postings && decision.is_posted() {
                self.reply.postings.extend(entries.map(posting_result));
            }
            // Posted items in a row are alike, if nobody asks for more.
            let alike = if want_postings { 0 } else { (at..positions.end).take_while(|&at| is_plain(at)).count() };
            let first = ItemResult {
                outcome: decision.outcome,
                repeat: false,
                detail,
                sequence: round.first_sequence + at as u64,
                booked_at: round.booked_at(at),
            };
            self.reply.push_run(ResultRun { count: alike.max(1) as u32, first });
            at += alike.max(1);
        }
    }
}

fn posting_result(result: &EntryResult) -> PostingResult {
    let EntryResult { version, balance, .. } = *result;
    PostingResult { version: version.number(), balance, alarm: version.alarm() }
}
