//! The coordinator as an actor: carries commands of the core's `Coordinator` to shards, log and callers, and lets answers
//! out when what they reflect is durable. Decides when a round is closed, never what is in it.

mod lookups;
mod reads;
mod snapshots;
mod watch;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use florin_core::account::AccountKey;
use florin_core::coordinator::{self as core, Answer, Ticket};
use florin_core::dedup::old::Run;
use florin_core::entry::PostReply;
use florin_core::frame::FrameDraft;
use florin_core::link::Facts;
use florin_core::outcome::Outcome;
use florin_core::request::{ChangeRequest, ControlRequest, ItemResult, PostRequest};
use florin_core::round::Round;
use florin_planted::{Fault, planted};
use florin_wal::{FrameBuffer, LogFailure, LogWriter, Room};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::handle::{Command, OnReply, Reply};
use crate::history::{History, Job, Query};
use crate::inbox::{Arrived, Inbox, Submission};
use crate::memory::{Got, MemoryAhead};
use crate::opened::Log;
use crate::shard_actor::{FromShard, ShardActor, ShardRead, SharedShard, ToShard};
use crate::stages::{Stage, Stages};
pub use lookups::Found;
use lookups::HeldBack;
use reads::{AfterRead, PendingRead, read};
use watch::Watcher;

/// Frames that may be under way (decided or at the writer) while few items wait: a second one would only take away from
/// the company that the next round can have.
const FRAMES_UNDER_WAY_FEW: usize = 1;
/// Frames that may be under way while many items wait: one being made, one at the shard, and some at the log, which writes all
/// that it has at once while the next are made.
pub const FRAMES_UNDER_WAY_MANY: usize = 5;
/// What counts as many items.
const MANY_ITEMS: usize = 256;

/// How soon to look again for a hold that is due and could not expire at once, because the disk is full or the hold is being
/// decided on.
const DUE_AGAIN: Duration = Duration::from_millis(20);

/// From the writer thread: everything up to this frame is durable.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Durable(pub u64);

/// What the actor shares with handles and other threads.
#[derive(Clone, Default)]
pub struct Common {
    /// Requests on their way in.
    pub inbox: Arc<Inbox>,
    /// Times of the stages.
    pub stages: Arc<Stages>,
}

/// From the thread that keeps old ids: these runs can be asked.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt(pub Vec<Arc<Run>>);

/// Finish what is under way, refuse what comes, seal the log; then say so.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop(pub oneshot::Sender<Result<(), LogFailure>>);

/// It is time for something: a hold is due, or a watch ends.
#[derive(Message)]
#[rtype(result = "()")]
struct Alarm;

/// A request on its way.
enum Pending {
    Post {
        request: Arc<PostRequest>,
        want_postings: bool,
    },
    Control(Box<ControlRequest>),
    Change(Arc<ChangeRequest>),
    Open,
    Read(Box<PendingRead>),
    /// Needs no shard: answered from the coordinator's own knowledge.
    Own(Box<Command>),
}

/// A round that is not durable, and when it began its stages.
struct TimedRound {
    number: u64,
    handed_over: Instant,
    decided: Option<Instant>,
}

/// What leaves when a frame is durable.
enum Release {
    Reply(Reply, OnReply),
    Job(Job, OnReply),
    LookUp(Job),
    Snapshot(OnReply),
}

/// The actor.
pub struct CoordinatorActor {
    core: core::Coordinator,
    shards: Vec<Addr<ShardActor>>,
    /// The shard, if there is one only.
    only_shard: Option<SharedShard>,
    /// Messages that were sent to each shard.
    sent: u64,
    /// The frame of the round that was run last, if the shard laid it out.
    laid_out: Option<(u64, FrameBuffer)>,
    log: Log,
    history: History,
    memory: MemoryAhead,
    clock: Clock,
    io: String,
    next_ticket: Ticket,
    pending: HashMap<Ticket, (Pending, OnReply)>,
    gate: BTreeMap<u64, Vec<Release>>,
    appended: u64,
    durable: u64,
    /// Last sequence number in each frame that is appended and not durable.
    appended_sequences: VecDeque<(u64, u64)>,
    /// Last sequence number that is durable.
    durable_sequence: u64,
    held_back: HashMap<u64, HeldBack>,
    watchers: Vec<Watcher>,
    /// Pages that history reads for watchers.
    reading: usize,
    /// Snapshots that were asked for and whose segment cannot be closed yet.
    orders: Vec<OnReply>,
    alarm: Option<(Instant, SpawnHandle)>,
    address: Option<Addr<CoordinatorActor>>,
    full: bool,
    stops: Vec<oneshot::Sender<Result<(), LogFailure>>>,
    stopped: bool,
    common: Common,
    /// When the first of the requests came that wait.
    waiting_since: Option<Instant>,
    rounds: VecDeque<TimedRound>,
    round_us: hdrhistogram::Histogram<u64>,
}

impl CoordinatorActor {
    /// Takes over a recovered coordinator.
    pub fn new(
        core: core::Coordinator,
        shards: Vec<(Addr<ShardActor>, SharedShard)>,
        log: Log,
        history: History,
        memory: MemoryAhead,
        io: String,
        common: Common,
    ) -> CoordinatorActor {
        let (durable, durable_sequence) = (core.last_round(), core.last_sequence());
        let only_shard = if let [(_, shared)] = &*shards { Some(shared.clone()) } else { None };
        CoordinatorActor {
            core,
            shards: shards.into_iter().map(|(address, _)| address).collect(),
            only_shard,
            sent: 0,
            laid_out: None,
            log,
            history,
            memory,
            clock: Clock::start(),
            io,
            next_ticket: 1,
            pending: HashMap::new(),
            gate: BTreeMap::new(),
            appended: durable,
            durable,
            appended_sequences: VecDeque::new(),
            durable_sequence,
            held_back: HashMap::new(),
            watchers: Vec::new(),
            reading: 0,
            orders: Vec::new(),
            alarm: None,
            address: None,
            full: false,
            stops: Vec::new(),
            stopped: false,
            common,
            waiting_since: None,
            rounds: VecDeque::new(),
            round_us: hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 3).expect("constant bounds"),
        }
    }

    fn submit(&mut self, command: Command, on_reply: OnReply, facts: Facts) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (pending, request) = match command {
            Command::Post { request, want_postings } => {
                let request = Arc::new(request);
                let pending = Pending::Post { request: request.clone(), want_postings };
                (pending, core::Request::Post { request, want_postings })
            }
            Command::Open(request) => (Pending::Open, core::Request::Open(request)),
            Command::Control(request) => (Pending::Control(Box::new(request.clone())), core::Request::Control(request)),
            Command::Change(request) => {
                let request = Arc::new(request);
                (Pending::Change(request.clone()), core::Request::Change(request))
            }
            Command::LookUpAccounts { institution, ids } => {
                let keys = ids.into_iter().map(|account| AccountKey { institution, account }).collect();
                (read(Some(institution), ShardRead::Accounts(keys), AfterRead::Accounts), core::Request::Read)
            }
            Command::ListAccounts { institution, after, limit } => {
                let list = ShardRead::List { institution, after, limit: limit as usize };
                (read(Some(institution), list, AfterRead::List), core::Request::Read)
            }
            Command::Statement { institution, account, span, order, from, limit } => {
                let key = AccountKey { institution, account };
                let query = Query { span, order, from, limit };
                (
                    read(Some(institution), ShardRead::Accounts(vec![key]), AfterRead::Statement { query }),
                    core::Request::Read,
                )
            }
            Command::BalanceAt { institution, account, moment } => {
                let key = AccountKey { institution, account };
                (
                    read(Some(institution), ShardRead::Accounts(vec![key]), AfterRead::BalanceAt { moment }),
                    core::Request::Read,
                )
            }
            Command::Stats => (read(None, ShardRead::Count, AfterRead::Stats), core::Request::Read),
            Command::LookUpTransactions { .. }
            | Command::ByReference { .. }
            | Command::Linked { .. }
            | Command::Watch { .. }
            | Command::Institutions { .. }
            | Command::Snapshot
            | Command::Assets => (Pending::Own(Box::new(command)), core::Request::Read),
        };
        self.pending.insert(ticket, (pending, on_reply));
        self.core.submit_with(ticket, request, facts);
    }

    /// Frames that are not durable: being decided, or at the writer.
    fn under_way(&self) -> usize {
        self.core.rounds_in_flight() + (self.appended - self.durable) as usize
    }

    /// Closes rounds as long as it pays to have one more under way.
    fn close_rounds(&mut self) {
        loop {
            let now = self.clock.now();
            let due = self.is_due(now);
            if !self.core.has_waiting() && !due {
                return;
            }
            let most = match self.core.waiting_items() >= MANY_ITEMS {
                true => FRAMES_UNDER_WAY_MANY,
                false => FRAMES_UNDER_WAY_FEW,
            };
            if self.under_way() >= most {
                return;
            }
            let Some(admit) = self.admit(due) else { return };
            // Expiries are rows too: only where the room for them was looked at.
            self.core.allow_expiries(due && admit.is_ok());
            let begun = Instant::now();
            if !self.core.close_round(now, admit) {
                return;
            }
            self.common.stages.record(Stage::Round, begun.elapsed());
            if let Some(since) = self.waiting_since.take() {
                self.common.stages.record(Stage::Queue, begun - since);
            }
            // What a full round leaves counts from now on.
            self.waiting_since = self.core.has_waiting().then_some(begun);
            self.carry_out();
        }
    }

    /// Whether the engine is stopping or has stopped.
    fn is_stopping(&self) -> bool {
        self.stopped || !self.stops.is_empty()
    }

    /// When the next hold is due. As of a point none expires any more.
    fn next_due(&self) -> Option<u64> {
        self.core.next_due().filter(|_| !self.is_stopping() && !self.log.is_read_only())
    }

    /// Whether a hold expires with a round that is closed now: rounds are booked after the last row, even if the clock is behind.
    fn is_due(&self, now: u64) -> bool {
        let booked_at = now.max(self.core.last_booked_at() + 1);
        self.next_due().is_some_and(|due| due <= booked_at)
    }

    /// Sees to it that something wakes the actor when the next hold is due or the next watch ends.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let due = self.next_due().map(|due| {
            let booked_at = self.clock.now().max(self.core.last_booked_at() + 1);
            let wait = Duration::from_nanos(due.saturating_sub(booked_at));
            Instant::now() + if wait.is_zero() { DUE_AGAIN } else { wait }
        });
        let Some(at) = due.into_iter().chain(self.next_watch_end()).min() else { return };
        if self.alarm.is_some_and(|(set, _)| set <= at) {
            return;
        }
        if let Some((_, handle)) = self.alarm.take() {
            ctx.cancel_future(handle);
        }
        self.alarm = Some((at, ctx.notify_later(Alarm, at.saturating_duration_since(Instant::now()))));
    }

    /// Whether a round may be applied: only if the log has room for its frame, and for those of the rounds under way that
    /// have none yet. None: not to be said before one of these comes back.
    fn admit(&mut self, due: bool) -> Option<Result<(), Outcome>> {
        if self.core.waiting_items() == 0 && !due {
            return Some(Ok(())); // Only reads wait.
        }
        if self.log.is_read_only() {
            return Some(Err(Outcome::ReadOnly));
        }
        let Some(writer) = self.log.writer().filter(|_| self.stops.is_empty()) else {
            return Some(Err(Outcome::ShuttingDown));
        };
        let bytes = writer.frame_bytes_max() as u64;
        let under_way = self.core.rounds_in_flight();
        let fits = match writer.room(bytes, under_way + 1) {
            Room::Ready => true,
            // Waiting here for a second frame's room would keep the first one from being appended.
            Room::Soon | Room::Full if under_way > 0 => return None,
            Room::Soon => writer.has_room(bytes),
            Room::Full => false,
        };
        if fits == self.full {
            self.full = !fits;
            if self.full {
                let why = writer.allocation_failure().unwrap_or_else(|| "no segment could be allocated".into());
                eprintln!("florin: no room for the log ({why}); postings are refused until there is");
            } else {
                eprintln!("florin: there is room for the log again; postings are accepted");
            }
        }
        Some(if fits { Ok(()) } else { Err(Outcome::StorageFull) })
    }

    /// Carries out what the core has decided, in its order.
    fn carry_out(&mut self) {
        while let Some(command) = self.core.next_command() {
            match command {
                core::Command::Run(round) => {
                    self.note_handed_over(round.number);
                    self.run(round);
                }
                core::Command::Prepare(round) => {
                    self.note_handed_over(round.number);
                    self.tell_shards(|| ToShard::Prepare(round.clone()));
                }
                core::Command::Finish { round, decisions } => {
                    self.note_decided(round);
                    self.tell_shards(|| ToShard::Finish { round, decisions: decisions.clone() });
                }
                core::Command::PrepareOpening(opening) => {
                    self.tell_shards(|| ToShard::PrepareOpening(opening.clone()));
                }
                core::Command::FinishOpening { opening, sequences, times } => self.tell_shards(|| {
                    let (opening, sequences, times) = (opening.clone(), sequences.clone(), times.clone());
                    ToShard::FinishOpening { opening, sequences, times }
                }),
                core::Command::Change(changes) => self.tell_shards(|| ToShard::Change(changes.clone())),
                core::Command::Fetch { ticket, wanted } => self.fetch_next(ticket, wanted),
                core::Command::Pass(number) => self.tell_shards(|| ToShard::Pass(number)),
                core::Command::Frame(draft) => self.append(&draft),
                core::Command::Read { ticket, after, position } => self.start_read(ticket, after, position),
                core::Command::Answer(answer) => self.answer(answer),
            }
        }
        self.order_snapshots();
    }

    fn tell_shards(&mut self, message: impl Fn() -> ToShard) {
        self.sent += 1;
        for shard in &self.shards {
            shard.do_send(message());
        }
    }

    /// Lets the only shard run a round: a small one here and now, if its actor has nothing before it.
    fn run(&mut self, round: Arc<Round>) {
        // The shard may be done with the round before, and what it says of it still be on its way here. If much waits, the shard
        // runs this round while the next is made: so rounds that are run here are small ones.
        let is_next = self.core.rounds_in_flight() == 1 && self.core.waiting_items() < MANY_ITEMS;
        let direct = self.only_shard.as_ref().filter(|shard| is_next && shard.is_done_with(self.sent));
        match direct.map(|shard| shard.lock().run(&round)) {
            Some((decisions, results)) => {
                self.note_decided(round.number);
                self.core.on_ran(round.number, decisions, results);
            }
            None => {
                let frame = self.log.writer().map(LogWriter::buffer);
                self.sent += 1;
                self.shards[0].do_send(ToShard::Run(round, frame));
            }
        }
    }

    fn note_handed_over(&mut self, number: u64) {
        self.rounds.push_back(TimedRound { number, handed_over: Instant::now(), decided: None });
    }

    fn note_decided(&mut self, number: u64) {
        let timed = self.rounds.iter_mut().find(|round| round.number == number);
        let timed = timed.expect("a round was handed over before it is decided");
        let now = Instant::now();
        timed.decided = Some(now);
        self.common.stages.record(Stage::Vote, now - timed.handed_over);
    }

    fn note_appended(&self, number: u64) {
        let timed = self.rounds.iter().find(|round| round.number == number);
        if let Some(decided) = timed.and_then(|round| round.decided) {
            self.common.stages.record(Stage::Finish, decided.elapsed());
        }
    }

    fn append(&mut self, draft: &FrameDraft) {
        let writer =
            self.log.writer().expect("the log is closed after the last frame, and no round without one has any");
        let head = draft.head();
        let buffer = match self.laid_out.take() {
            Some((number, buffer)) if number == head.number => buffer,
            _ => {
                let mut buffer = writer.buffer();
                let (payload, vouchers) = buffer.parts();
                draft.encode(payload, vouchers);
                buffer
            }
        };
        writer.append(head.number, head.first_sequence, head.count, head.time, buffer);
        self.note_appended(head.number);
        self.appended = head.number;
        self.appended_sequences.push_back((head.number, head.first_sequence + u64::from(head.count) - 1));
    }

    fn answer(&mut self, answer: Answer) {
        let (pending, on_reply) = self.pending.remove(&answer.ticket).expect("a request that was submitted");
        let release = match pending {
            Pending::Post { request, want_postings } if !answer.repeats.is_empty() => {
                Release::Job(Job::ResolvePost { request, want_postings, reply: answer.reply }, on_reply)
            }
            Pending::Change(request) if !answer.repeats.is_empty() => {
                Release::Job(Job::ResolveChanges { request, reply: answer.reply }, on_reply)
            }
            Pending::Control(request) if !answer.repeats.is_empty() => {
                let sequence = answer.repeats[0].sequence;
                Release::Job(Job::ResolveControl { request: *request, sequence }, on_reply)
            }
            _ => Release::Reply(Reply::Posted(answer.reply), on_reply),
        };
        self.release(answer.after, release);
    }

    /// Lets something out, now or when its frame is durable.
    fn release(&mut self, after: u64, release: Release) {
        let early = planted(Fault::ReplyBeforeDurable) && matches!(release, Release::Reply(..));
        if after <= self.durable || early {
            self.let_out(release);
        } else {
            self.gate.entry(after).or_default().push(release);
        }
    }

    fn let_out(&mut self, release: Release) {
        match release {
            Release::Reply(reply, on_reply) => on_reply(reply),
            Release::Job(job, on_reply) => self.history.send(job, on_reply),
            Release::LookUp(job) => self.history.send(job, Box::new(|_| {})),
            Release::Snapshot(on_reply) => {
                self.orders.push(on_reply);
                self.order_snapshots();
            }
        }
    }

    fn on_durable(&mut self, frame: u64) {
        assert!(frame <= self.appended, "nothing is durable that was not appended");
        self.durable = self.durable.max(frame);
        self.core.on_durable(frame);
        while let Some(&(_, sequence)) = self.appended_sequences.front().filter(|(number, _)| *number <= frame) {
            self.durable_sequence = sequence;
            self.appended_sequences.pop_front();
        }
        // The writer must not wait for the answers to be put together: its next frame first.
        self.close_rounds();
        while let Some(round) = self.rounds.front().filter(|round| round.number <= self.durable) {
            let us = u64::try_from(round.handed_over.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.round_us.saturating_record(us.max(1));
            self.rounds.pop_front();
        }
        let later = self.gate.split_off(&(self.durable + 1));
        for (_, releases) in std::mem::replace(&mut self.gate, later) {
            for release in releases {
                self.let_out(release);
            }
        }
        self.order_snapshots();
        self.serve_watchers();
    }

    /// Ends the log once nothing is under way.
    fn try_stop(&mut self) {
        if self.stops.is_empty() {
            return;
        }
        self.serve_watchers();
        let asked = !self.pending.is_empty() || !self.held_back.is_empty() || self.reading > 0;
        assert!(self.orders.is_empty() || self.under_way() > 0, "an order waits for a round that is under way");
        if !self.core.is_idle() || self.under_way() > 0 || !self.gate.is_empty() || asked {
            return;
        }
        self.stopped = true;
        // Nothing may keep the actor from ending with its last handle.
        self.address = None;
        self.history.stop();
        let sealed = self.log.close();
        for done in self.stops.drain(..) {
            // Whoever asked may have gone; then nobody needs to know.
            let _ = done.send(sealed.clone());
        }
    }
}

/// The answer to a command that is not let in.
fn refusal_of(command: &Command, outcome: Outcome) -> Reply {
    let items = match command {
        Command::Post { request, .. } => request.count(),
        Command::Open(request) => request.rows().len(),
        Command::Change(request) => request.count(),
        Command::Control(_) => 1,
        _ => return Reply::Stopping,
    };
    let mut reply = PostReply::default();
    for _ in 0..items {
        reply.push(ItemResult { outcome, repeat: false, detail: 0, sequence: 0, booked_at: 0 });
    }
    Reply::Posted(reply)
}

impl Actor for CoordinatorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.address = Some(ctx.address());
        self.set_alarm(ctx);
        let address = ctx.address();
        self.tell_shards(|| ToShard::Connect(address.clone().recipient()));
    }
}

impl Handler<Arrived> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Arrived(since): Arrived, ctx: &mut Context<Self>) {
        self.common.inbox.open();
        while let Some(Submission { origin, command, on_reply }) = self.common.inbox.next() {
            if self.stopped {
                on_reply(refusal_of(&command, Outcome::ShuttingDown));
            } else {
                self.take(origin, command, on_reply);
            }
        }
        if self.stopped {
            return;
        }
        if self.core.has_waiting() {
            self.waiting_since.get_or_insert(since);
        }
        self.close_rounds();
        self.set_alarm(ctx);
        self.try_stop();
    }
}

impl Handler<Alarm> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, _: Alarm, ctx: &mut Context<Self>) {
        self.alarm = None;
        self.serve_watchers();
        self.close_rounds();
        self.set_alarm(ctx);
        self.try_stop();
    }
}

impl Handler<FromShard> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, message: FromShard, ctx: &mut Context<Self>) {
        match message {
            FromShard::Ran { round, decisions, results, frame } => {
                self.note_decided(round);
                self.laid_out = frame.map(|frame| (round, frame));
                self.core.on_ran(round, decisions, results);
            }
            FromShard::Ballot(ballot) => self.core.on_ballot(ballot),
            FromShard::Finished(finished) => self.core.on_finished(finished),
            FromShard::OpeningBallot { shard, votes } => self.core.on_opening_ballot(shard, votes),
            FromShard::Changed { shard, results } => self.core.on_changed(shard, results),
            FromShard::Answer { ticket, answer } => self.on_answer(ticket, answer),
        }
        self.carry_out();
        self.close_rounds();
        self.set_alarm(ctx);
        self.try_stop();
    }
}

impl Handler<Durable> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Durable(frame): Durable, ctx: &mut Context<Self>) {
        self.on_durable(frame);
        self.memory.ask(|| self.core.wants_memory());
        self.set_alarm(ctx);
        self.try_stop();
    }
}

impl Handler<Adopt> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Adopt(runs): Adopt, _: &mut Context<Self>) {
        self.core.adopt_runs(runs);
    }
}

impl Handler<Got> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Got(memory): Got, _: &mut Context<Self>) {
        self.core.take_memory(memory);
        self.memory.has_come();
    }
}

impl Handler<Stop> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Stop(done): Stop, _: &mut Context<Self>) {
        self.stops.push(done);
        self.close_rounds();
        self.try_stop();
    }
}
