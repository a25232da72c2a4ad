//! The process under simulation: coordinator, shards, the links between them, and the log that grows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use florin_core::account::AccountKey;
use florin_core::coordinator::{Answer, Command, Request, RoundLimits, Ticket};
use florin_core::entry::AccountRecord;
use florin_core::frame::FrameDraft;
use florin_core::link::{Fact, Facts, Wanted};
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::{PostRequest, Side};
use florin_core::round::{Decision, Results, Round};
use florin_core::shard::{Ballot, ChangeResult, Changes, Finished, OpenVote, Opening};

use super::invariants::i3_intervals::Promises;
use super::invariants::i4_positions::Positions;
use super::invariants::i8_no_trace::Before;
use super::invariants::{i1_conservation, i5_nothing_early, i7_same_state, i8_no_trace};
use super::judge::Life;
use super::runs::Runs;
use super::{Audit, Log, StoredFrame, key};
use crate::encode;
use crate::program::Step;
use crate::rng::Rng;

/// To a shard.
#[derive(Debug)]
enum Down {
    Run(Arc<Round>),
    Prepare(Arc<Round>),
    Finish(u64, Arc<Vec<Decision>>),
    PrepareOpening(Arc<Opening>),
    FinishOpening(Arc<Opening>, Arc<Vec<u64>>, Arc<Vec<u64>>),
    Change(Arc<Changes>),
    Pass(u64),
    Read(Ticket, u64, u64),
}

/// From a shard.
#[derive(Debug)]
enum Up {
    Ran(u64, Arc<Vec<Decision>>, Results),
    Ballot(Ballot),
    Finished(Finished),
    OpeningBallot(Vec<OpenVote>),
    Changed(Vec<ChangeResult>),
}

/// One direction of the link to a shard.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// To the shard.
    Down(usize),
    /// From the shard.
    Up(usize),
    /// From the reader of history.
    History,
}

/// What the shards answered to a read.
#[derive(Clone, Debug, Default)]
pub struct ReadAnswer {
    /// The frame to wait for.
    pub after: u64,
    /// Last sequence number that it reflects.
    pub position: u64,
    /// The accounts found.
    pub accounts: BTreeMap<AccountKey, AccountRecord>,
    /// Shards that have yet to answer.
    missing: usize,
}

impl ReadAnswer {
    /// Whether every shard has answered.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }
}

/// A running ledger.
pub struct World {
    /// Coordinator and shards.
    pub ledger: Ledger,
    /// Frames in the order in which they went to the log.
    pub log: Log,
    /// Answers by ticket.
    pub answers: BTreeMap<Ticket, Answer>,
    /// Reads by ticket.
    pub reads: BTreeMap<Ticket, ReadAnswer>,
    /// Messages delivered.
    pub messages: u64,
    read_keys: BTreeMap<Ticket, Vec<AccountKey>>,
    down: Vec<VecDeque<Down>>,
    up: Vec<VecDeque<Up>>,
    promises: Vec<Promises>,
    /// Rounds that each shard has voted on and not finished.
    open: Vec<VecDeque<Arc<Round>>>,
    /// What an outsider makes of the rows.
    audit: Audit,
    /// Frames of the snapshot that was recovered from, and of the log then.
    began_at: [u64; 2],
    /// Moments without a round under way, each after another frame, and the last of them.
    quiet: (u64, usize),
    limits: RoundLimits,
    next_ticket: Ticket,
    /// What the reader of history has found and not handed over yet.
    looked_up: Option<(Ticket, Facts)>,
    /// Frames that the coordinator knows to be durable.
    durable: u64,
    /// Runs of old ids.
    pub runs: Runs,
}

impl World {
    /// A process that has just recovered this log, from a snapshot of so many frames and what came after it.
    pub fn new(ledger: Ledger, log: Log, limits: RoundLimits, runs: Runs, snapshot: usize) -> World {
        let shards = ledger.shards.len();
        let audit = log.audit();
        let began_at = [snapshot as u64, log.frames.len() as u64];
        World {
            ledger,
            log,
            answers: BTreeMap::new(),
            reads: BTreeMap::new(),
            messages: 0,
            read_keys: BTreeMap::new(),
            down: (0..shards).map(|_| VecDeque::new()).collect(),
            up: (0..shards).map(|_| VecDeque::new()).collect(),
            promises: (0..shards).map(|_| Promises::default()).collect(),
            open: (0..shards).map(|_| VecDeque::new()).collect(),
            audit,
            began_at,
            quiet: (0, 0),
            limits,
            next_ticket: 1,
            looked_up: None,
            durable: 0,
            runs,
        }
    }

    /// Hands a request in.
    pub fn submit(&mut self, step: &Step, want_postings: bool) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut facts = Facts::default();
        let request = match step {
            Step::Run { institution, transfers, items } => {
                let request = Arc::new(encode::post_request(*institution, *transfers, items));
                facts = self.some_facts(&request);
                Request::Post { request, want_postings }
            }
            Step::Change { institution, changes } => {
                Request::Change(Arc::new(encode::change_request(*institution, changes)))
            }
            Step::Open { institution, openings } => Request::Open(encode::open_request(*institution, openings)),
            Step::Control { institution, control } => Request::Control(encode::control_request(*institution, control)),
            Step::Read { institution, accounts } => {
                self.read_keys.insert(ticket, accounts.iter().map(|a| key(*institution, *a)).collect());
                Request::Read
            }
            Step::Heave { institution, heave } => {
                if self.log.heave(&mut self.ledger, *institution, heave) {
                    self.audit.heave(*institution, heave);
                }
                return ticket;
            }
        };
        self.ledger.coordinator.submit_with(ticket, request, facts);
        self.obey();
        ticket
    }

    /// Tells the coordinator now and then that more of the log is durable.
    pub fn sync(&mut self, rng: &mut Rng) {
        if rng.chance(30) {
            let frames = self.log.frames.len() as u64;
            self.durable = self.durable.max(frames - frames.min(rng.below(4) as u64));
            self.ledger.coordinator.on_durable(self.durable);
        }
        let (log, durable) = (&self.log, self.durable as usize);
        if let Some(runs) = self.runs.grow(log, durable) {
            self.ledger.coordinator.adopt_runs(runs);
        }
        self.check_positions();
    }

    fn check_positions(&self) {
        let [snapshot, recovered] = self.began_at;
        let positions = Positions {
            durable: self.durable.max(recovered),
            believed: self.ledger.coordinator.durable(),
            written: self.log.frames.len() as u64,
            decided: self.ledger.coordinator.last_round(),
            snapshot,
            indexed: self.runs.frames() as u64,
        };
        positions.check();
    }

    /// What can be asked of the state in memory while no round is under way.
    pub fn check_if_quiet(&mut self) {
        let frames = self.log.frames.len();
        let (moments, last) = &mut self.quiet;
        if *last == frames || self.ledger.coordinator.rounds_in_flight() > 0 {
            return;
        }
        *last = frames;
        *moments += 1;
        if moments.is_multiple_of(i7_same_state::EVERY) {
            let shards = [1, 2, 3, 8][(*moments / i7_same_state::EVERY) as usize % 4];
            i7_same_state::fold(&self.ledger, &self.log, shards, *moments, self.limits);
        }
        i1_conservation::ledger(&self.ledger);
        i8_no_trace::holds(&self.ledger, self.audit.open_holds());
    }

    /// What history says of a row.
    fn fact(&self, sequence: u64) -> Fact {
        Fact::of(&self.log.record(sequence))
    }

    /// What was looked up before a request is sequenced.
    fn some_facts(&self, request: &PostRequest) -> Facts {
        let (mut wanted, looked_at) = self.ledger.coordinator.wanted_by(request);
        // Some are left for the coordinator to ask for; and all whose row is that of a change that is being made, and in no log yet.
        let known = |sequence: Option<u64>| sequence.is_none_or(|sequence| sequence <= self.log.last_sequence());
        let unknown =
            |wanted: &Wanted| wanted.ids.len() + wanted.originals.iter().filter(|(_, at)| at.is_none()).count();
        let asked = unknown(&wanted);
        wanted.originals.retain(|(id, sequence)| id % 3 != 0 && known(*sequence));
        wanted.ids.retain(|id| id % 5 != 0);
        let looked_at = looked_at.filter(|_| unknown(&wanted) == asked);
        Facts { looked_at, ..self.look_up(wanted) }
    }

    /// What history says.
    fn look_up(&self, wanted: Wanted) -> Facts {
        let Wanted { institution, ids, originals, state } = wanted;
        let mut facts = Facts { state, ..Facts::default() };
        for id in ids {
            facts.old.insert(id, self.runs.old_id(&self.log, institution, id));
        }
        for (id, sequence) in originals {
            let old = || {
                let found = self.runs.old_id(&self.log, institution, id);
                (found, found.map(|old| old.sequence))
            };
            let sequence = sequence.or_else(|| {
                let (found, sequence) = old();
                facts.old.insert(id, found);
                sequence
            });
            facts.originals.extend(sequence.map(|sequence| (id, self.fact(sequence))));
        }
        facts
    }

    /// Lets the coordinator make a round.
    pub fn close_round(&mut self, now: u64, admit: Result<(), Outcome>, life: &mut Life) {
        let next_round = self.ledger.coordinator.last_round() + 1;
        if self.ledger.coordinator.close_round(now, admit) {
            life.times.insert(next_round, now);
        }
        self.obey();
        self.check_positions();
        assert!(self.ledger.coordinator.rounds_in_flight() <= self.limits.open_rounds, "too many rounds are open");
    }

    /// Links with a message under way.
    pub fn links(&self) -> Vec<Link> {
        let down = (0..self.down.len()).filter(|s| !self.down[*s].is_empty()).map(Link::Down);
        let up = (0..self.up.len()).filter(|s| !self.up[*s].is_empty()).map(Link::Up);
        down.chain(up).chain(self.looked_up.is_some().then_some(Link::History)).collect()
    }

    /// Delivers the oldest message of a link.
    pub fn deliver(&mut self, link: Link) {
        self.messages += 1;
        match link {
            Link::History => {
                let (ticket, facts) = self.looked_up.take().expect("a look-up under way");
                self.ledger.coordinator.on_facts(ticket, facts);
                self.obey();
            }
            Link::Down(shard) => {
                let message = self.down[shard].pop_front().expect("a message under way");
                self.at_shard(shard, message);
                self.promises[shard].check(&self.ledger.shards[shard]);
            }
            Link::Up(shard) => {
                let coordinator = &mut self.ledger.coordinator;
                match self.up[shard].pop_front().expect("a message under way") {
                    Up::Ran(number, decisions, results) => coordinator.on_ran(number, decisions, results),
                    Up::Ballot(ballot) => coordinator.on_ballot(ballot),
                    Up::Finished(finished) => coordinator.on_finished(finished),
                    Up::OpeningBallot(votes) => coordinator.on_opening_ballot(shard as u8, votes),
                    Up::Changed(results) => coordinator.on_changed(shard as u8, results),
                }
                self.obey();
            }
        }
    }

    fn at_shard(&mut self, index: usize, message: Down) {
        let shard = &mut self.ledger.shards[index];
        let up = &mut self.up[index];
        match message {
            Down::Run(round) => {
                let before = Before::of(shard, round.clone());
                let (decisions, results) = shard.run(&round);
                before.compare(shard, &decisions);
                up.push_back(Up::Ran(round.number, decisions, results));
            }
            Down::Prepare(round) => {
                self.open[index].push_back(round.clone());
                let ballot = shard.prepare(round.clone());
                self.promises[index].voted(shard, round.number);
                up.push_back(Up::Ballot(ballot));
            }
            Down::Finish(number, decisions) => {
                let round = self.open[index].pop_front().expect("a round that was voted on");
                let before = Before::of(shard, round);
                up.push_back(Up::Finished(shard.finish(number, &decisions)));
                before.compare(shard, &decisions);
                self.promises[index].finished(shard, number);
            }
            Down::PrepareOpening(opening) => up.push_back(Up::OpeningBallot(shard.prepare_opening(&opening))),
            Down::FinishOpening(opening, sequences, times) => shard.finish_opening(&opening, &sequences, &times),
            Down::Change(changes) => up.push_back(Up::Changed(shard.change(&changes))),
            Down::Pass(number) => shard.pass(number),
            Down::Read(ticket, after, position) => {
                let shards = self.down.len();
                let read = self.reads.entry(ticket).or_insert_with(|| ReadAnswer {
                    after,
                    position,
                    accounts: BTreeMap::new(),
                    missing: shards,
                });
                read.missing -= 1;
                for key in &self.read_keys[&ticket] {
                    read.accounts.extend(shard.look_up(key).map(|record| (*key, record)));
                }
                if read.is_complete() {
                    i5_nothing_early::read(read, &self.log);
                }
            }
        }
    }

    /// Carries out what the coordinator wants, in its order.
    fn obey(&mut self) {
        while let Some(command) = self.ledger.coordinator.next_command() {
            match command {
                Command::Run(round) => self.down[0].push_back(Down::Run(round)),
                Command::Prepare(round) => self.send_all(|| Down::Prepare(round.clone())),
                Command::Finish { round, decisions } => self.send_all(|| Down::Finish(round, decisions.clone())),
                Command::PrepareOpening(opening) => self.send_all(|| Down::PrepareOpening(opening.clone())),
                Command::FinishOpening { opening, sequences, times } => {
                    self.send_all(|| Down::FinishOpening(opening.clone(), sequences.clone(), times.clone()));
                }
                Command::Change(changes) => self.send_all(|| Down::Change(changes.clone())),
                Command::Fetch { ticket, wanted } => {
                    let found = self.look_up(wanted);
                    self.runs.fetched += 1;
                    assert!(self.looked_up.replace((ticket, found)).is_none(), "two look-ups at a time");
                }
                Command::Pass(number) => self.send_all(|| Down::Pass(number)),
                Command::Read { ticket, after, position } => self.send_all(|| Down::Read(ticket, after, position)),
                Command::Frame(draft) => self.append(&draft),
                Command::Answer(answer) => {
                    i5_nothing_early::answer(&answer, &self.log);
                    let before = self.answers.insert(answer.ticket, answer);
                    assert!(before.is_none(), "a request was answered twice");
                }
            }
        }
    }

    fn append(&mut self, draft: &FrameDraft) {
        let frame = StoredFrame::encode(draft);
        assert_eq!(frame.head.number, self.log.frames.len() as u64 + 1, "frames are numbered without a gap");
        assert!((1..=self.limits.transactions).contains(&(frame.head.count as usize)), "more rows than a round takes");
        assert!(frame.payload.len() + frame.vouchers.len() <= self.limits.frame_bytes, "a frame that is too large");
        if let FrameDraft::Posts(finished) = draft {
            assert!(finished.round.posting_count() <= self.limits.postings, "more postings than a round takes");
        }
        self.audit.frame(&frame);
        self.log.frames.push(frame);
    }

    fn send_all(&mut self, message: impl Fn() -> Down) {
        self.down.iter_mut().for_each(|queue| queue.push_back(message()));
    }
}

/// Makes a heave's two entries in the shards' memory, if both accounts are open; says whether they are.
pub fn heave(ledger: &mut Ledger, institution: u32, heave: &crate::model::item::Heave) -> bool {
    let shards = ledger.shards.len();
    let sides = [(heave.debit, Side::Debit), (heave.credit, Side::Credit)].map(|(account, side)| {
        let key = key(institution, account);
        let home = usize::from(key.home(shards));
        ledger.shards[home].look_up(&key).map(|record| (home, key, side, record))
    });
    let [Some(debit), Some(credit)] = sides else { return false };
    for (home, key, side, record) in [debit, credit] {
        let moved = (side, heave.amount as i128, 0);
        let result = ledger.shards[home].replay(&key, record.asset, moved, record.last_entry);
        result.expect("its own asset");
    }
    true
}
