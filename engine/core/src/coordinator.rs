//! The coordinator: gives requests their order, makes rounds of them, decides the rounds, and puts the answers together.
//!
//! It is a state machine without threads or clocks: requests, ballots and results go in, commands come out in the order in
//! which they are to be carried out. It holds no balances between rounds. What always holds: rounds are decided in order,
//! each from one exchange with every shard; an answer names the frame that must be durable before it may leave.

mod barriers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use barriers::PendingOpening;

use crate::account::EntryResult;
use crate::asset::{Asset, Assets};
use crate::decide::{DecidedRound, decide};
use crate::dedup::Dedup;
use crate::entry::PostReply;
use crate::frame::{FrameDraft, encoded_bytes};
use crate::limits::*;
use crate::outcome::Outcome;
use crate::request::{ControlRequest, ItemResult, OpenRequest, PostRequest, PostingResult, TransactionView};
use crate::round::{Decision, FinishedRound, Round};
use crate::shard::{Ballot, Finished, Opening, Vote};

/// The one institution that this version serves.
pub const INSTITUTION: u32 = 1;

/// Ids looked up together, so that their cache misses overlap.
const TOUCHED_AHEAD: usize = 64;

/// Bounds of a round; smaller ones than the limits make tests meet the edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundLimits {
    /// Most transactions.
    pub transactions: usize,
    /// Most bytes of requests.
    pub request_bytes: usize,
    /// Most postings.
    pub postings: usize,
    /// Most bytes of the frame.
    pub frame_bytes: usize,
    /// Most rounds that are not finished.
    pub open_rounds: usize,
}

impl Default for RoundLimits {
    fn default() -> RoundLimits {
        RoundLimits {
            transactions: ROUND_TRANSACTIONS_MAX,
            request_bytes: ROUND_REQUEST_BYTES_MAX,
            postings: ROUND_POSTINGS_MAX,
            frame_bytes: FRAME_BYTES_MAX,
            open_rounds: OPEN_ROUNDS_MAX,
        }
    }
}

impl RoundLimits {
    fn check(&self) {
        assert!((1..=OPEN_ROUNDS_MAX).contains(&self.open_rounds));
        assert!((1..=ROUND_TRANSACTIONS_MAX).contains(&self.transactions));
        assert!((POSTINGS_MAX..=ROUND_POSTINGS_MAX).contains(&self.postings));
        let largest = LOG_ROW_BYTES + POSTINGS_MAX * POSTING_RECORD_BYTES + VOUCHER_RECORD_BYTES + VOUCHER_BYTES_MAX;
        assert!(self.frame_bytes >= largest.max(LOG_ROW_BYTES + CONTROL_BYTES_MAX), "any one item fits a frame");
    }
}

/// Names a request from its submission to its answer. Chosen by the caller, used once.
pub type Ticket = u64;

/// What may be submitted.
#[derive(Clone, Debug)]
pub enum Request {
    /// Transactions.
    Post {
        /// The transactions.
        request: Arc<PostRequest>,
        /// Whether version and balance after of each posting are wanted.
        want_postings: bool,
    },
    /// Account openings.
    Open(OpenRequest),
    /// A control record.
    Control(ControlRequest),
    /// A read: answered by the shards between two rounds, after everything submitted before it.
    Read,
}

/// What is to be done next, in this order.
#[derive(Debug)]
pub enum Command {
    /// To the only shard: run a round, answer with [`Coordinator::on_ran`].
    Run(Arc<Round>),
    /// To every shard: vote, answer with [`Coordinator::on_ballot`].
    Prepare(Arc<Round>),
    /// To every shard: apply what was accepted, answer with [`Coordinator::on_finished`].
    Finish {
        /// The round.
        round: u64,
        /// A decision per transaction.
        decisions: Arc<Vec<Decision>>,
    },
    /// To every shard: vote on openings, answer with [`Coordinator::on_opening_ballot`].
    PrepareOpening(Arc<Opening>),
    /// To every shard: open the accounts that got a sequence number. No answer.
    FinishOpening {
        /// The openings.
        opening: Arc<Opening>,
        /// Sequence number per row; 0 = not opened.
        sequences: Arc<Vec<u64>>,
        /// Booked-at per row; 0 = not opened.
        times: Arc<Vec<u64>>,
    },
    /// To every shard: the round has nothing for it. No answer.
    Pass(u64),
    /// Append a frame to the log.
    Frame(FrameDraft),
    /// To every shard: answer the read now. The answer may leave when frame `after` is durable.
    Read {
        /// The read.
        ticket: Ticket,
        /// The frame to wait for.
        after: u64,
        /// Last sequence number that the answer reflects.
        position: u64,
    },
    /// A request is answered. The answer may leave when frame `after` is durable.
    Answer(Answer),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The request.
    pub ticket: Ticket,
    /// The frame to wait for.
    pub after: u64,
    /// Results in order. Where an item repeats an earlier id, `repeat` is set, the sequence number is the original's, and
    /// outcome and time are still to be read from the log.
    pub reply: PostReply,
    /// The items that repeat an earlier id.
    pub repeats: Vec<Repeat>,
}

/// An item whose id was used before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeat {
    /// Index in the request.
    pub item: u32,
    /// Sequence number of the original.
    pub sequence: u64,
}

/// What the coordinator counted since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Rounds.
    pub rounds: u64,
    /// Transactions posted.
    pub posted: u64,
    /// Transactions refused and recorded.
    pub refused: u64,
    /// Items that repeated an id.
    pub repeats: u64,
    /// Votes.
    pub votes: u64,
    /// Votes in doubt.
    pub votes_maybe: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    request: Request,
    /// Items that were taken into rounds.
    taken: usize,
}

/// What became of an item when its round was made.
#[derive(Clone, Copy, Debug)]
enum Disposition {
    Sequenced(u32),
    Repeat(u64),
    Refused(Outcome),
}

/// A part of a request in a round.
#[derive(Debug)]
struct Part {
    ticket: Ticket,
    first_item: u32,
    dispositions: Vec<Disposition>,
    last: bool,
}

#[derive(Debug)]
struct InFlight {
    round: Arc<Round>,
    ballots: Vec<Ballot>,
    decisions: Option<Arc<Vec<Decision>>>,
    results: Vec<EntryResult>,
    finished: usize,
    parts: Vec<Part>,
    reads: Vec<Ticket>,
}

impl InFlight {
    fn last_sequence(&self) -> u64 {
        self.round.first_sequence + self.round.transactions.len() as u64 - 1
    }
}

#[derive(Debug, Default)]
struct Assembly {
    reply: PostReply,
    repeats: Vec<Repeat>,
    want_postings: bool,
}

/// Gives requests their order and decides.
pub struct Coordinator {
    shards: usize,
    limits: RoundLimits,
    assets: Assets,
    dedup: Dedup,
    next_round: u64,
    next_sequence: u64,
    last_booked_at: u64,
    waiting: VecDeque<Waiting>,
    waiting_items: usize,
    in_flight: VecDeque<InFlight>,
    decided: VecDeque<DecidedRound>,
    opening: Option<PendingOpening>,
    assemblies: HashMap<Ticket, Assembly>,
    commands: VecDeque<Command>,
    counters: Counters,
}

impl Coordinator {
    /// A coordinator of an empty ledger. The seed should be random.
    pub fn new(shards: usize, limits: RoundLimits, seed: u64) -> Coordinator {
        assert!((1..=SHARDS_MAX).contains(&shards));
        limits.check();
        Coordinator {
            shards,
            limits,
            assets: Assets::default(),
            dedup: Dedup::new(seed),
            next_round: 1,
            next_sequence: 1,
            last_booked_at: 0,
            waiting: VecDeque::new(),
            waiting_items: 0,
            in_flight: VecDeque::new(),
            decided: VecDeque::new(),
            opening: None,
            assemblies: HashMap::new(),
            commands: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a request. It gets its order with respect to all others here.
    pub fn submit(&mut self, ticket: Ticket, request: Request) {
        match &request {
            Request::Post { request, want_postings } => {
                self.waiting_items += request.count();
                let assembly = Assembly { want_postings: *want_postings, ..Assembly::default() };
                self.assemblies.insert(ticket, assembly);
            }
            Request::Open(_) | Request::Control(_) => {
                self.waiting_items += 1;
                self.assemblies.insert(ticket, Assembly::default());
            }
            Request::Read => {}
        }
        self.waiting.push_back(Waiting { ticket, request, taken: 0 });
    }

    /// Changes the bounds of the rounds to come.
    pub fn set_round_limits(&mut self, limits: RoundLimits) {
        limits.check();
        self.limits = limits;
    }

    /// Items waiting for a round; openings and control records count as one.
    pub fn waiting_items(&self) -> usize {
        self.waiting_items
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty() && self.opening.is_none()
    }

    /// Whether any request waits.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Rounds that are not finished.
    pub fn rounds_in_flight(&self) -> usize {
        self.in_flight.len() + usize::from(self.opening.is_some())
    }

    /// Last sequence number given out.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Last round opened.
    pub fn last_round(&self) -> u64 {
        self.next_round - 1
    }

    /// Booked-at of the last row.
    pub fn last_booked_at(&self) -> u64 {
        self.last_booked_at
    }

    /// Ids known.
    pub fn ids(&self) -> usize {
        self.dedup.len()
    }

    /// Where an id was used.
    pub fn find_id(&self, institution: u32, id: u128) -> Option<u64> {
        self.dedup.find(institution, id)
    }

    /// The registered assets.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Makes at most one round of what waits, at time `now` (nanoseconds since 1970-01-01 UTC), and says whether it did
    /// anything. With `admit` an error, what waits is refused with it instead, and nothing of it is recorded.
    pub fn close_round(&mut self, now: u64, admit: Result<(), Outcome>) -> bool {
        if self.opening.is_some() || self.in_flight.len() >= self.limits.open_rounds {
            return false;
        }
        let mut round = Round {
            number: self.next_round,
            first_sequence: self.next_sequence,
            booked_at: now.max(self.last_booked_at + 1),
            ..Round::with_capacity(self.waiting_items.min(self.limits.transactions))
        };
        let mut parts = Vec::new();
        let mut reads = Vec::new();
        let mut request_bytes = 0;
        let mut frame_bytes = 0;
        let mut progress = false;
        while let Some(front) = self.waiting.front() {
            let ticket = front.ticket;
            let barrier_up = !round.transactions.is_empty() || !self.in_flight.is_empty();
            match front.request.clone() {
                Request::Read => {
                    reads.push(ticket);
                    self.waiting.pop_front();
                    progress = true;
                }
                Request::Post { request, .. } => {
                    let first_item = front.taken;
                    let room = Room { request_bytes: &mut request_bytes, frame_bytes: &mut frame_bytes };
                    let dispositions = self.take_items(&mut round, &request, first_item, room, admit);
                    let taken = first_item + dispositions.len();
                    let last = taken == request.count();
                    progress |= !dispositions.is_empty();
                    self.waiting_items -= dispositions.len();
                    parts.push(Part { ticket, first_item: first_item as u32, dispositions, last });
                    if !last {
                        self.waiting.front_mut().expect("the front is being taken").taken = taken;
                        break;
                    }
                    self.waiting.pop_front();
                }
                Request::Open(_) | Request::Control(_) if barrier_up && admit.is_ok() => break,
                Request::Open(request) => {
                    if !parts.is_empty() || !reads.is_empty() {
                        break; // What came before is answered first.
                    }
                    self.take_openings(ticket, &request, now, admit);
                    return true;
                }
                Request::Control(request) => {
                    if !parts.is_empty() || !reads.is_empty() {
                        break;
                    }
                    self.waiting.pop_front();
                    self.waiting_items -= 1;
                    self.take_control(ticket, request, now, admit);
                    return true;
                }
            }
        }
        if round.transactions.is_empty() {
            self.attach(parts, reads);
            return progress;
        }
        self.launch(round, parts, reads);
        true
    }

    /// Takes items of a request into the round until it is full.
    fn take_items(
        &mut self,
        round: &mut Round,
        request: &Arc<PostRequest>,
        first_item: usize,
        room: Room<'_>,
        admit: Result<(), Outcome>,
    ) -> Vec<Disposition> {
        let mut dispositions = Vec::with_capacity(request.count() - first_item);
        let source = round.requests.len() as u32;
        round.requests.push(request.clone());
        let bytes_per_item = request.payload_bytes() / request.count();
        for item in first_item..request.count() {
            if (item - first_item).is_multiple_of(TOUCHED_AHEAD) {
                let ahead = item..request.count().min(item + TOUCHED_AHEAD);
                self.dedup.touch(request.institution, ahead.map(|at| request.id(at)));
            }
            let view = request.transaction(item);
            if let Err(outcome) = check_item(request, item, &view) {
                dispositions.push(Disposition::Refused(outcome));
                continue;
            }
            if let Err(outcome) = admit {
                // What was recorded before is still answered: the client may be asking whether it was.
                dispositions.push(match self.dedup.find(request.institution, view.id) {
                    Some(original) => Disposition::Repeat(original),
                    None => Disposition::Refused(outcome),
                });
                continue;
            }
            let encoded = encoded_bytes(&view);
            if round.transactions.len() == self.limits.transactions
                || round.postings.len() + view.postings.count() > self.limits.postings
                || *room.frame_bytes + encoded > self.limits.frame_bytes
                || (*room.request_bytes + bytes_per_item > self.limits.request_bytes && !round.transactions.is_empty())
            {
                break;
            }
            let sequence = round.first_sequence + round.transactions.len() as u64;
            match self.dedup.insert(request.institution, view.id, sequence) {
                Err(original) => dispositions.push(Disposition::Repeat(original)),
                Ok(()) => {
                    dispositions.push(Disposition::Sequenced(round.transactions.len() as u32));
                    round.push((source, item as u32), &view, &self.assets, self.shards);
                    *room.request_bytes += bytes_per_item;
                    *room.frame_bytes += encoded;
                }
            }
        }
        dispositions
    }

    /// Hangs answers that wait for no round of their own onto the last round under way, or gives them at once.
    fn attach(&mut self, parts: Vec<Part>, reads: Vec<Ticket>) {
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

    fn launch(&mut self, round: Round, parts: Vec<Part>, reads: Vec<Ticket>) {
        let count = round.transactions.len() as u64;
        assert!(count < u64::from(u32::MAX) && self.next_sequence < (1 << 63), "sequence numbers are used up");
        self.next_round += 1;
        self.next_sequence += count;
        self.last_booked_at = round.booked_at + count - 1;
        self.counters.rounds += 1;
        let round = Arc::new(round);
        let mut flight = InFlight {
            round: round.clone(),
            ballots: Vec::with_capacity(self.shards),
            decisions: None,
            results: Vec::new(),
            finished: 0,
            parts,
            reads,
        };
        if self.shards == 1 {
            let (after, position) = (round.number, flight.last_sequence());
            self.commands.push_back(Command::Run(round));
            let reads = std::mem::take(&mut flight.reads);
            self.commands.extend(reads.into_iter().map(|ticket| Command::Read { ticket, after, position }));
        } else {
            flight.results = vec![EntryResult::default(); round.postings.len()];
            self.commands.push_back(Command::Prepare(round));
        }
        self.in_flight.push_back(flight);
    }

    /// The only shard has run a round.
    pub fn on_ran(&mut self, number: u64, decisions: Vec<Decision>, results: Vec<EntryResult>) {
        let mut flight = self.in_flight.pop_front().expect("a round that was handed out");
        assert_eq!(flight.round.number, number, "rounds come back in order");
        flight.decisions = Some(Arc::new(decisions));
        flight.results = results;
        self.complete(flight);
    }

    /// A shard has voted.
    pub fn on_ballot(&mut self, ballot: Ballot) {
        self.counters.votes += ballot.votes.len() as u64;
        self.counters.votes_maybe += ballot.votes.iter().filter(|v| **v == Vote::Maybe).count() as u64;
        let first = self.in_flight.front().expect("a round that was handed out").round.number;
        self.in_flight[(ballot.round - first) as usize].ballots.push(ballot);
        while let Some(flight) = self.in_flight.iter_mut().find(|f| f.decisions.is_none()) {
            if flight.ballots.len() < self.shards {
                return;
            }
            flight.ballots.sort_unstable_by_key(|b| b.shard);
            let decisions = Arc::new(decide(&flight.round, &flight.ballots, self.decided.make_contiguous()));
            flight.ballots = Vec::new();
            flight.decisions = Some(decisions.clone());
            let round = flight.round.clone();
            let (after, position) = (round.number, flight.last_sequence());
            self.commands.push_back(Command::Finish { round: after, decisions: decisions.clone() });
            let reads = std::mem::take(&mut flight.reads);
            self.commands.extend(reads.into_iter().map(|ticket| Command::Read { ticket, after, position }));
            self.decided.push_back(DecidedRound { round, decisions });
            // A ballot can refer to a state at most this many rounds back: no more are ever unfinished at once.
            while self.decided.len() > OPEN_ROUNDS_MAX {
                self.decided.pop_front();
            }
        }
    }

    /// A shard has applied what was accepted.
    pub fn on_finished(&mut self, finished: Finished) {
        let first = self.in_flight.front().expect("a round that was handed out").round.number;
        let flight = &mut self.in_flight[(finished.round - first) as usize];
        let round = flight.round.clone();
        let decisions = flight.decisions.clone().expect("a round is decided before it is finished");
        let mut results = finished.results.into_iter();
        for (transaction, decision) in round.transactions.iter().zip(decisions.iter()) {
            if decision.is_posted() {
                for at in round.postings_of(transaction) {
                    if round.homes[round.postings[at].effect as usize] == finished.shard {
                        flight.results[at] = results.next().expect("a result for each posting applied");
                    }
                }
            }
        }
        assert!(results.next().is_none(), "a result for each posting applied, and no more");
        flight.finished += 1;
        if flight.finished == self.shards {
            let flight = self.in_flight.pop_front().expect("the round is in flight");
            assert_eq!(flight.round.number, round.number, "rounds finish in order");
            self.complete(flight);
        }
    }

    /// A round is decided and applied: its frame, then its answers.
    fn complete(&mut self, flight: InFlight) {
        let decisions = flight.decisions.expect("a complete round is decided");
        let posted = decisions.iter().filter(|d| d.is_posted()).count() as u64;
        self.counters.posted += posted;
        self.counters.refused += decisions.len() as u64 - posted;
        let finished = FinishedRound { round: flight.round, decisions, results: flight.results };
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
    fn answer_part(&mut self, part: Part, finished: Option<&FinishedRound>) {
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
                    if assembly.want_postings && decision.is_posted() {
                        let transaction = &finished.round.transactions[position as usize];
                        let results = &finished.results[finished.round.postings_of(transaction)];
                        let entry = |r: &EntryResult| PostingResult { version: r.version, balance: r.balance };
                        assembly.reply.postings.extend(results.iter().map(entry));
                    }
                    ItemResult {
                        outcome: decision.outcome,
                        repeat: false,
                        detail: decision.detail,
                        sequence: finished.round.first_sequence + u64::from(position),
                        booked_at: finished.round.booked_at + u64::from(position),
                    }
                }
            };
            assembly.reply.push(result);
        }
        self.finish_part(part.ticket, part.last, finished.map(|f| f.round.number), assembly);
    }

    fn finish_part(&mut self, ticket: Ticket, last: bool, after: Option<u64>, assembly: Assembly) {
        if last {
            let Assembly { reply, repeats, .. } = assembly;
            let after = after.unwrap_or(self.last_round());
            self.commands.push_back(Command::Answer(Answer { ticket, after, reply, repeats }));
        } else {
            self.assemblies.insert(ticket, assembly);
        }
    }

    // Replay: what the log says, taken over without deciding anything again.

    /// Notes an id of a recorded row; false if it was used before.
    pub fn replay_id(&mut self, institution: u32, id: u128, sequence: u64) -> bool {
        self.dedup.insert(institution, id, sequence).is_ok()
    }

    /// Registers a recorded asset; an error if it could not have been accepted.
    pub fn replay_asset(&mut self, asset: Asset) -> Result<(), Outcome> {
        self.assets.check(&asset)?;
        self.assets.register(asset);
        Ok(())
    }

    /// Goes on after a recorded frame.
    pub fn resume_after(&mut self, number: u64, last_sequence: u64, last_booked_at: u64) {
        assert!(self.is_idle(), "replay comes before any request");
        (self.next_round, self.next_sequence) = (number + 1, last_sequence + 1);
        self.last_booked_at = last_booked_at;
    }
}

/// What is left of a round's bounds.
struct Room<'a> {
    request_bytes: &'a mut usize,
    frame_bytes: &'a mut usize,
}

/// The checks of an item that need nothing but the item.
fn check_item(request: &PostRequest, item: usize, view: &TransactionView<'_>) -> Result<(), Outcome> {
    request.check_shape_of(item, view)?;
    if request.institution == INSTITUTION { Ok(()) } else { Err(Outcome::InstitutionUnknown) }
}

fn refused(outcome: Outcome, detail: u16) -> ItemResult {
    ItemResult { outcome, repeat: false, detail, sequence: 0, booked_at: 0 }
}

fn repeat_of(sequence: u64, booked_at: u64) -> ItemResult {
    ItemResult { outcome: Outcome::Posted, repeat: true, detail: 0, sequence, booked_at }
}
