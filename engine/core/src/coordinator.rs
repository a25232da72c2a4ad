//! The coordinator: gives requests their order, makes rounds of them, decides the rounds, and puts the answers together.
//!
//! It is a state machine without threads or clocks: requests, ballots and results go in, commands come out in the order in
//! which they are to be carried out. It holds no balances between rounds. What always holds: rounds are decided in order,
//! each from one exchange with every shard; an answer names the frame that must be durable before it may leave.

mod answers;
mod barriers;
mod lookups;
mod rounds;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use barriers::Barrier;
use florin_planted::{Fault, planted};

use crate::asset::{Asset, Assets};
use crate::decide::{DecidedRound, Names, decide};
use crate::dedup::old::Run;
use crate::dedup::{Closed, Dedup, Hashes, Memory, MemoryWanted};
use crate::directory::Directory;
use crate::entry::PostReply;
use crate::frame::FrameDraft;
use crate::institution::Institutions;
use crate::limits::*;
use crate::link::{Facts, Target, Wanted};
use crate::outcome::Outcome;
use crate::request::{ChangeRequest, ControlRequest, ItemKind, ItemResult, OpenRequest, PostRequest};
use crate::round::{Decision, FinishedRound, Results, Round};
use crate::shard::{Ballot, Changes, Finished, Opening, Vote};

/// Bounds of a round; smaller ones than the limits make tests meet the edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundLimits {
    /// Most transactions.
    pub transactions: usize,
    /// Most transactions, or a quarter of those that wait, while shards have little to do and more is left than half as many.
    pub transactions_few: usize,
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
            transactions_few: ROUND_TRANSACTIONS_FEW,
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
        assert!(self.transactions_few >= 1);
        assert!((POSTINGS_MAX..=ROUND_POSTINGS_MAX).contains(&self.postings));
        let largest = LOG_ROW_BYTES
            + POSTINGS_MAX * HELD_RECORD_BYTES
            + LINK_RECORD_BYTES
            + VOUCHER_RECORD_BYTES
            + VOUCHER_BYTES_MAX;
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
    /// Account changes.
    Change(Arc<ChangeRequest>),
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
    /// To every shard: make the changes of its accounts, answer with [`Coordinator::on_changed`].
    Change(Arc<Changes>),
    /// To every shard: the round has nothing for it. No answer.
    Pass(u64),
    /// Look ids up in runs and originals in the durable log, answer with [`Coordinator::on_facts`]. Nothing is sequenced before.
    Fetch {
        /// The request that uses or names them.
        ticket: Ticket,
        /// What is to be looked up.
        wanted: Wanted,
    },
    /// Append a frame to the log.
    Frame(Box<FrameDraft>),
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
    /// What was looked up for it.
    facts: Facts,
}

#[derive(Debug)]
struct InFlight {
    round: Arc<Round>,
    ballots: Vec<Ballot>,
    decisions: Option<Arc<Vec<Decision>>>,
    results: Results,
    finished: usize,
    parts: Vec<answers::Part>,
    reads: Vec<Ticket>,
}

impl InFlight {
    fn last_sequence(&self) -> u64 {
        self.round.first_sequence + self.round.items.len() as u64 - 1
    }
}

#[derive(Debug, Default)]
struct Assembly {
    reply: PostReply,
    repeats: Vec<Repeat>,
}

/// Gives requests their order and decides.
pub struct Coordinator {
    shards: usize,
    limits: RoundLimits,
    assets: Assets,
    institutions: Institutions,
    holds: Directory,
    dedup: Dedup,
    next_round: u64,
    next_sequence: u64,
    last_booked_at: u64,
    waiting: VecDeque<Waiting>,
    waiting_items: usize,
    in_flight: VecDeque<InFlight>,
    decided: VecDeque<DecidedRound>,
    /// Finished rounds that may not be durable yet: originals in them cannot be read from the log.
    recent: VecDeque<FinishedRound>,
    /// Last frame known durable.
    durable: u64,
    barrier: Option<Barrier>,
    /// The request for which something is being looked up.
    awaiting: Option<Ticket>,
    /// Up to which row ids may be retired, once the rounds before this one are finished.
    retiring: Option<(u64, u64)>,
    /// Whether due holds may expire with the next round.
    expiries_allowed: bool,
    /// Whether the last round had expiries alone.
    only_expired: bool,
    /// Answers of requests of which a part is answered and a part is not.
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
            institutions: Institutions::default(),
            holds: Directory::default(),
            dedup: Dedup::new(seed),
            next_round: 1,
            next_sequence: 1,
            last_booked_at: 0,
            waiting: VecDeque::new(),
            waiting_items: 0,
            in_flight: VecDeque::new(),
            decided: VecDeque::new(),
            recent: VecDeque::new(),
            durable: 0,
            barrier: None,
            awaiting: None,
            retiring: None,
            expiries_allowed: true,
            only_expired: false,
            assemblies: HashMap::new(),
            commands: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes a request. It gets its order with respect to all others here.
    pub fn submit(&mut self, ticket: Ticket, request: Request) {
        self.submit_with(ticket, request, Facts::default());
    }

    /// As [`Coordinator::submit`], with what was looked up for it: [`Coordinator::wanted_by`].
    pub fn submit_with(&mut self, ticket: Ticket, request: Request, facts: Facts) {
        match &request {
            Request::Post { request, .. } => self.waiting_items += request.count(),
            Request::Open(_) | Request::Change(_) | Request::Control(_) => self.waiting_items += 1,
            Request::Read => {}
        }
        self.waiting.push_back(Waiting { ticket, request, taken: 0, facts });
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
        self.waiting.is_empty() && self.in_flight.is_empty() && self.barrier.is_none()
    }

    /// Whether any request waits.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Rounds that are not finished.
    pub fn rounds_in_flight(&self) -> usize {
        self.in_flight.len() + usize::from(self.barrier.is_some())
    }

    /// Last sequence number given out.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Last round opened.
    pub fn last_round(&self) -> u64 {
        self.next_round - 1
    }

    /// Last frame known durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Booked-at of the last row.
    pub fn last_booked_at(&self) -> u64 {
        self.last_booked_at
    }

    /// Ids known, in memory and in runs.
    pub fn ids(&self) -> u64 {
        self.dedup.len()
    }

    /// Ids in memory.
    pub fn recent_ids(&self) -> usize {
        self.dedup.recent()
    }

    /// Where an id was used, if memory knows it.
    pub fn find_id(&self, institution: u32, id: u128) -> Option<u64> {
        self.dedup.find(institution, id)
    }

    /// Whether runs may have an id that memory does not know.
    pub fn may_be_old(&self, institution: u32, id: u128) -> bool {
        self.dedup.may_be_old(institution, id)
    }

    /// For a simulation: blocks of recent ids of as many as this power of two.
    pub fn set_id_block_bits(&mut self, bits: u32) {
        self.dedup.set_block_bits(bits);
    }

    /// Memory that ids will need before long: [`Dedup::wants_memory`].
    pub fn wants_memory(&self) -> Option<MemoryWanted> {
        self.dedup.wants_memory()
    }

    /// Takes memory that was wanted.
    pub fn take_memory(&mut self, memory: Memory) {
        self.dedup.take_memory(memory);
    }

    /// Takes runs over: what they cover is looked up in them from now on, and leaves memory once nothing under way needs it there.
    pub fn adopt_runs(&mut self, runs: Vec<Arc<Run>>) {
        self.dedup.adopt(runs);
        self.retiring = Some((self.dedup.old().covered(), self.next_round));
    }

    /// When the next hold expires, nanoseconds since 1970-01-01 UTC. It does with the next round that is closed then.
    pub fn next_due(&self) -> Option<u64> {
        self.holds.next_due()
    }

    /// Whether due holds may expire with the rounds to come: not where their rows would find no room in the log.
    pub fn allow_expiries(&mut self, allowed: bool) {
        self.expiries_allowed = allowed;
    }

    /// The open holds.
    pub fn holds(&self) -> &Directory {
        &self.holds
    }

    /// The institutions.
    pub fn institutions(&self) -> &Institutions {
        &self.institutions
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

    /// The only shard has run a round.
    pub fn on_ran(&mut self, number: u64, mut decisions: Arc<Vec<Decision>>, results: Results) {
        let mut flight = self.in_flight.pop_front().expect("a round that was handed out");
        assert_eq!(flight.round.number, number, "rounds come back in order");
        if !flight.round.links.is_empty() {
            let mut names = Names { holds: &mut self.holds, ids: &mut self.dedup, earlier: &[] };
            let own: &mut Vec<Decision> = Arc::make_mut(&mut decisions);
            names.take_over(&flight.round, own);
        }
        flight.decisions = Some(decisions);
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
            let earlier = self.decided.make_contiguous();
            let mut names = Names { holds: &mut self.holds, ids: &mut self.dedup, earlier };
            let decisions = Arc::new(decide(&flight.round, &flight.ballots, &mut names));
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
        let (mut entries, mut held) = (finished.entries.into_iter(), finished.held.into_iter());
        for (item, _) in round.items.iter().zip(decisions.iter()).filter(|(_, d)| d.is_posted()) {
            let (entries_from, held_from) = (round.entries_of(item).start, round.held_of(item).start);
            let homes = round.homes_of(item);
            for offset in 0..usize::from(item.postings) {
                if homes[round.effect_of_posting(item, offset)] == finished.shard {
                    let result = entries.next().expect("a result for each posting applied");
                    flight.results.entries[entries_from + offset] = result;
                    if item.kind != ItemKind::Post {
                        let result = held.next().expect("a result for each posting applied");
                        flight.results.held[held_from + offset] = result;
                    }
                }
            }
        }
        assert!(entries.next().is_none() && held.next().is_none(), "a result for each posting applied, and no more");
        flight.finished += 1;
        if flight.finished == self.shards {
            let flight = self.in_flight.pop_front().expect("the round is in flight");
            assert_eq!(flight.round.number, round.number, "rounds finish in order");
            self.complete(flight);
        }
    }

    /// Everything up to this frame is durable.
    pub fn on_durable(&mut self, frame: u64) {
        while self.recent.front().is_some_and(|finished| finished.round.number <= frame) {
            self.recent.pop_front();
        }
        let frame = if planted(Fault::DurableTooFar) { frame + 1 } else { frame };
        self.durable = frame.max(self.durable);
    }

    /// What runs and the durable log say about what was asked for.
    pub fn on_facts(&mut self, ticket: Ticket, found: Facts) {
        assert_eq!(self.awaiting.take(), Some(ticket), "something that was asked for");
        let facts = &mut self.waiting.front_mut().expect("the request that it was asked for").facts;
        if facts.state != found.state {
            facts.old.clear();
        }
        facts.originals.extend(found.originals);
        facts.old.extend(found.old);
        (facts.state, facts.looked_at) = (found.state, None);
    }

    // Replay: what the log says, taken over without deciding anything again.

    /// Brings the places of at most [`crate::dedup::TOUCHED_AT_ONCE`] ids into the cache.
    pub fn touch_ids(&self, institution: u32, ids: impl Iterator<Item = u128>) -> Hashes {
        self.dedup.touch(institution, ids)
    }

    /// As [`Coordinator::replay_id`], for the `at`-th of the ids that were touched.
    #[inline]
    pub fn replay_touched_id(&mut self, hashes: &Hashes, at: usize, institution: u32, id: u128, sequence: u64) -> bool {
        sequence <= self.dedup.old().covered()
            || self.dedup.insert_touched(hashes, at, institution, id, sequence).is_ok()
    }

    /// Notes an id of a recorded row, unless runs have it; false if a recent row used it before.
    pub fn replay_id(&mut self, institution: u32, id: u128, sequence: u64) -> bool {
        sequence <= self.dedup.old().covered() || self.dedup.insert(institution, id, sequence).is_ok()
    }

    /// Last row whose ids are in runs.
    pub fn covered(&self) -> u64 {
        self.dedup.old().covered()
    }

    /// Registers a recorded asset; an error if it could not have been accepted.
    pub fn replay_asset(&mut self, asset: Asset) -> Result<(), Outcome> {
        self.assets.check(&asset)?;
        self.assets.register(asset);
        Ok(())
    }

    /// The institutions, to take over what the log says.
    pub fn replay_institutions(&mut self) -> &mut Institutions {
        &mut self.institutions
    }

    /// A recorded hold was placed.
    pub fn replay_hold(&mut self, hold: Arc<Target>) {
        self.holds.place(hold);
    }

    /// An open hold, if there is one with this id.
    pub fn replay_find_hold(&self, institution: u32, id: u128) -> Option<Arc<Target>> {
        self.holds.find(institution, id).cloned()
    }

    /// A recorded item closed a hold.
    pub fn replay_close(&mut self, hold: &Target, kind: ItemKind, sequence: u64) {
        self.holds.close(&mut self.dedup, hold, kind, sequence);
    }

    /// A row that a snapshot covers closed a hold; false if its id is not known, and cannot be that of a row which runs cover.
    pub fn replay_closed(&mut self, institution: u32, hold: u128, how: Closed, sequence: u64) -> bool {
        let known = self.dedup.find(institution, hold).is_some() || self.dedup.may_be_old(institution, hold);
        if known {
            self.dedup.close(institution, hold, how, sequence);
        }
        known
    }

    /// Goes on after a recorded frame.
    pub fn resume_after(&mut self, number: u64, last_sequence: u64, last_booked_at: u64) {
        assert!(self.is_idle(), "replay comes before any request");
        (self.next_round, self.next_sequence) = (number + 1, last_sequence + 1);
        self.last_booked_at = last_booked_at;
        self.durable = number;
    }
}

fn refused(outcome: Outcome, detail: u16) -> ItemResult {
    ItemResult { outcome, repeat: false, detail, sequence: 0, booked_at: 0 }
}

fn repeat_of(sequence: u64, booked_at: u64) -> ItemResult {
    ItemResult { outcome: Outcome::Posted, repeat: true, detail: 0, sequence, booked_at }
}
