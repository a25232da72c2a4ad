//! The coordinator as an actor: carries commands of the core's `Coordinator` to shards, log and callers, and lets answers
//! out when what they reflect is durable. Decides when a round is closed, never what is in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use florin_core::account::AccountKey;
use florin_core::coordinator::{self as core, Answer, Ticket};
use florin_core::entry::{AccountRecord, PostReply};
use florin_core::frame::FrameDraft;
use florin_core::outcome::Outcome;
use florin_core::request::{ControlRequest, ItemResult, PostRequest};
use florin_wal::{LogFailure, LogWriter, Room};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::handle::{Command, EngineStats, OnReply, Reply};
use crate::history::{History, Job};
use crate::shard_actor::{FromShard, ShardActor, ShardAnswer, ShardRead, ToShard};

/// Frames that may be under way (decided or at the writer) while few items wait: a second one would only take away from
/// the company that the next round can have.
const FRAMES_UNDER_WAY_FEW: usize = 1;
/// Frames that may be under way while many items wait.
const FRAMES_UNDER_WAY_MANY: usize = 2;
/// What counts as many items.
const MANY_ITEMS: usize = 256;

/// A request from outside.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Submit {
    /// What is asked.
    pub command: Command,
    /// Whom to tell.
    pub on_reply: OnReply,
}

/// From the writer thread: everything up to this frame is durable.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Durable(pub u64);

/// Finish what is under way, refuse what comes, seal the log; then say so.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop(pub oneshot::Sender<Result<(), LogFailure>>);

/// Close a round, once all messages that wait have been taken.
#[derive(Message)]
#[rtype(result = "()")]
struct Close;

/// A request on its way.
enum Pending {
    Post {
        request: Arc<PostRequest>,
        want_postings: bool,
    },
    Control(ControlRequest),
    Open,
    Read(PendingRead),
    /// Needs no shard: answered from the coordinator's own knowledge.
    Own(Command),
}

struct PendingRead {
    read: Arc<ShardRead>,
    then: AfterRead,
    answers: Vec<ShardAnswer>,
    after: u64,
    position: u64,
}

/// What becomes of the shards' answers.
enum AfterRead {
    Accounts,
    List,
    Statement { from: Option<florin_core::entry::StatementToken>, limit: u32 },
    Stats,
}

/// What leaves when a frame is durable.
enum Release {
    Reply(Reply, OnReply),
    Job(Job, OnReply),
}

/// The actor.
pub struct CoordinatorActor {
    core: core::Coordinator,
    shards: Vec<Addr<ShardActor>>,
    writer: Option<LogWriter>,
    history: History,
    clock: Clock,
    io: String,
    next_ticket: Ticket,
    pending: HashMap<Ticket, (Pending, OnReply)>,
    gate: BTreeMap<u64, Vec<Release>>,
    appended: u64,
    durable: u64,
    closing: bool,
    full: bool,
    stops: Vec<oneshot::Sender<Result<(), LogFailure>>>,
    stopped: bool,
    closed_at: std::collections::VecDeque<(u64, Instant)>,
    round_us: hdrhistogram::Histogram<u64>,
}

impl CoordinatorActor {
    /// Takes over a recovered coordinator.
    pub fn new(
        core: core::Coordinator,
        shards: Vec<Addr<ShardActor>>,
        writer: LogWriter,
        history: History,
        clock: Clock,
        io: String,
    ) -> CoordinatorActor {
        let durable = core.last_round();
        CoordinatorActor {
            core,
            shards,
            writer: Some(writer),
            history,
            clock,
            io,
            next_ticket: 1,
            pending: HashMap::new(),
            gate: BTreeMap::new(),
            appended: durable,
            durable,
            closing: false,
            full: false,
            stops: Vec::new(),
            stopped: false,
            closed_at: std::collections::VecDeque::new(),
            round_us: hdrhistogram::Histogram::new_with_bounds(1, 60_000_000, 3).expect("constant bounds"),
        }
    }

    fn submit(&mut self, command: Command, on_reply: OnReply) {
        if self.stopped {
            on_reply(refusal_of(&command, Outcome::ShuttingDown));
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (pending, request) = match command {
            Command::Post { request, want_postings } => {
                let request = Arc::new(request);
                let pending = Pending::Post { request: request.clone(), want_postings };
                (pending, core::Request::Post { request, want_postings })
            }
            Command::Open(request) => (Pending::Open, core::Request::Open(request)),
            Command::Control(request) => (Pending::Control(request.clone()), core::Request::Control(request)),
            Command::LookUpAccounts { institution, ids } => {
                let keys = ids.into_iter().map(|account| AccountKey { institution, account }).collect();
                (read(ShardRead::Accounts(keys), AfterRead::Accounts), core::Request::Read)
            }
            Command::ListAccounts { institution, after, limit } => {
                // A shard would look through all its accounts for those of an institution that has none.
                let limit = if institution == core::INSTITUTION { limit as usize } else { 0 };
                let list = ShardRead::List { institution, after, limit };
                (read(list, AfterRead::List), core::Request::Read)
            }
            Command::Statement { institution, account, from, limit } => {
                let key = AccountKey { institution, account };
                (read(ShardRead::Accounts(vec![key]), AfterRead::Statement { from, limit }), core::Request::Read)
            }
            Command::Stats => (read(ShardRead::Count, AfterRead::Stats), core::Request::Read),
            Command::LookUpTransactions { .. } | Command::Assets => (Pending::Own(command), core::Request::Read),
        };
        self.pending.insert(ticket, (pending, on_reply));
        self.core.submit(ticket, request);
    }

    /// Frames that are not durable: being decided, or at the writer.
    fn under_way(&self) -> usize {
        self.core.rounds_in_flight() + (self.appended - self.durable) as usize
    }

    /// Closes rounds as long as it pays to have one more under way.
    fn close_rounds(&mut self) {
        while self.core.has_waiting() {
            let most = match self.core.waiting_items() >= MANY_ITEMS {
                true => FRAMES_UNDER_WAY_MANY,
                false => FRAMES_UNDER_WAY_FEW,
            };
            if self.under_way() >= most {
                return;
            }
            let Some(admit) = self.admit() else { return };
            if !self.core.close_round(self.clock.now(), admit) {
                return;
            }
            self.carry_out();
        }
    }

    /// Whether a round may be applied: only if the log has room for its frame, and for those of the rounds under way that
    /// have none yet. None: not to be said before one of these comes back.
    fn admit(&mut self) -> Option<Result<(), Outcome>> {
        if self.core.waiting_items() == 0 {
            return Some(Ok(())); // Only reads wait.
        }
        let Some(writer) = self.writer.as_ref().filter(|_| self.stops.is_empty()) else {
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
                    self.note_closed(round.number);
                    self.shards[0].do_send(ToShard::Run(round));
                }
                core::Command::Prepare(round) => {
                    self.note_closed(round.number);
                    self.to_shards(|| ToShard::Prepare(round.clone()));
                }
                core::Command::Finish { round, decisions } => {
                    self.to_shards(|| ToShard::Finish { round, decisions: decisions.clone() });
                }
                core::Command::PrepareOpening(opening) => {
                    self.to_shards(|| ToShard::PrepareOpening(opening.clone()));
                }
                core::Command::FinishOpening { opening, sequences, times } => self.to_shards(|| {
                    let (opening, sequences, times) = (opening.clone(), sequences.clone(), times.clone());
                    ToShard::FinishOpening { opening, sequences, times }
                }),
                core::Command::Pass(number) => self.to_shards(|| ToShard::Pass(number)),
                core::Command::Frame(draft) => self.append(&draft),
                core::Command::Read { ticket, after, position } => self.start_read(ticket, after, position),
                core::Command::Answer(answer) => self.answer(answer),
            }
        }
    }

    fn to_shards(&self, message: impl Fn() -> ToShard) {
        for shard in &self.shards {
            shard.do_send(message());
        }
    }

    fn note_closed(&mut self, round: u64) {
        self.closed_at.push_back((round, Instant::now()));
    }

    fn append(&mut self, draft: &FrameDraft) {
        let writer = self.writer.as_ref().expect("the log is closed after the last frame");
        let head = draft.head();
        let mut buffer = writer.buffer();
        let (payload, vouchers) = buffer.parts();
        draft.encode(payload, vouchers);
        writer.append(head.number, head.first_sequence, head.count, head.time, buffer);
        self.appended = head.number;
    }

    fn start_read(&mut self, ticket: Ticket, after: u64, position: u64) {
        let (pending, _) = self.pending.get_mut(&ticket).expect("a read that was submitted");
        match pending {
            Pending::Read(pending) => {
                (pending.after, pending.position) = (after, position);
                let read = pending.read.clone();
                self.to_shards(|| ToShard::Read { ticket, read: read.clone() });
            }
            _ => self.answer_own(ticket, after, position),
        }
    }

    /// Reads that need no shard.
    fn answer_own(&mut self, ticket: Ticket, after: u64, position: u64) {
        let (pending, on_reply) = self.pending.remove(&ticket).expect("a read that was submitted");
        let Pending::Own(command) = pending else { unreachable!("only reads come here") };
        match command {
            Command::LookUpTransactions { institution, ids } => {
                let place = |id: &u128| self.core.find_id(institution, *id).filter(|&s| s <= position);
                let sequences = ids.iter().map(place).collect();
                self.release(after, Release::Job(Job::Transactions { sequences, position }, on_reply));
            }
            Command::Assets => {
                let assets = self.core.assets().iter().cloned().collect();
                self.release(after, Release::Reply(Reply::Assets(assets), on_reply));
            }
            _ => unreachable!("only these need no shard"),
        }
    }

    fn on_answer(&mut self, ticket: Ticket, answer: ShardAnswer) {
        let shards = self.shards.len();
        let (pending, _) = self.pending.get_mut(&ticket).expect("a read that was submitted");
        let Pending::Read(pending) = pending else { unreachable!("only reads are answered by shards") };
        pending.answers.push(answer);
        if pending.answers.len() < shards {
            return;
        }
        let (pending, on_reply) = self.pending.remove(&ticket).expect("a read that was submitted");
        let Pending::Read(PendingRead { read, then, answers, after, position }) = pending else {
            unreachable!("only reads are answered by shards")
        };
        let release = match then {
            AfterRead::Accounts => {
                Release::Reply(Reply::Accounts { accounts: merge_accounts(&read, answers), position }, on_reply)
            }
            AfterRead::List => {
                Release::Reply(Reply::AccountPage { accounts: merge_list(&read, answers), position }, on_reply)
            }
            AfterRead::Statement { from, limit } => match merge_accounts(&read, answers).pop().flatten() {
                None => Release::Reply(Reply::Statement(None), on_reply),
                Some(account) => {
                    let account = Box::new(account);
                    Release::Job(Job::Statement { account, from, limit, position }, on_reply)
                }
            },
            AfterRead::Stats => Release::Reply(Reply::Stats(Box::new(self.stats(&answers))), on_reply),
        };
        self.release(after, release);
    }

    fn stats(&self, answers: &[ShardAnswer]) -> EngineStats {
        let counters = self.core.counters();
        let log = self.writer.as_ref().map(LogWriter::stats).unwrap_or_default();
        let count = |a: &ShardAnswer| if let ShardAnswer::Count(n) = a { *n as u64 } else { 0 };
        EngineStats {
            shards: self.shards.len(),
            accounts: answers.iter().map(count).sum(),
            ids: self.core.ids() as u64,
            sequence: self.core.last_sequence(),
            frame_decided: self.core.last_round(),
            frame_durable: self.durable,
            rounds: counters.rounds,
            posted: counters.posted,
            refused: counters.refused,
            repeats: counters.repeats,
            votes: counters.votes,
            votes_maybe: counters.votes_maybe,
            groups: log.groups,
            log_bytes: log.disk_bytes,
            io: self.io.clone(),
            round_us: [50.0, 99.0, 99.9, 100.0].map(|p| self.round_us.value_at_percentile(p)),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let (pending, on_reply) = self.pending.remove(&answer.ticket).expect("a request that was submitted");
        let release = match pending {
            Pending::Post { request, want_postings } if !answer.repeats.is_empty() => {
                Release::Job(Job::ResolvePost { request, want_postings, reply: answer.reply }, on_reply)
            }
            Pending::Control(request) if !answer.repeats.is_empty() => {
                let sequence = answer.repeats[0].sequence;
                Release::Job(Job::ResolveControl { request, sequence }, on_reply)
            }
            _ => Release::Reply(Reply::Posted(answer.reply), on_reply),
        };
        self.release(answer.after, release);
    }

    /// Lets something out, now or when its frame is durable.
    fn release(&mut self, after: u64, release: Release) {
        if after <= self.durable {
            self.let_out(release);
        } else {
            self.gate.entry(after).or_default().push(release);
        }
    }

    fn let_out(&self, release: Release) {
        match release {
            Release::Reply(reply, on_reply) => on_reply(reply),
            Release::Job(job, on_reply) => self.history.send(job, on_reply),
        }
    }

    fn on_durable(&mut self, frame: u64) {
        assert!(frame <= self.appended, "nothing is durable that was not appended");
        self.durable = self.durable.max(frame);
        // The writer must not wait for the answers to be put together: its next frame first.
        self.close_rounds();
        while let Some(&(round, at)) = self.closed_at.front().filter(|(round, _)| *round <= self.durable) {
            self.closed_at.pop_front();
            debug_assert!(round <= self.durable);
            let us = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.round_us.saturating_record(us.max(1));
        }
        let later = self.gate.split_off(&(self.durable + 1));
        for (_, releases) in std::mem::replace(&mut self.gate, later) {
            for release in releases {
                self.let_out(release);
            }
        }
    }

    /// Ends the log once nothing is under way.
    fn try_stop(&mut self) {
        let busy = !self.core.is_idle() || self.under_way() > 0 || !self.gate.is_empty() || !self.pending.is_empty();
        if self.stops.is_empty() || busy {
            return;
        }
        self.stopped = true;
        self.history.stop();
        let sealed = self.writer.take().map_or(Ok(()), LogWriter::shutdown);
        for done in self.stops.drain(..) {
            // Whoever asked may have gone; then nobody needs to know.
            let _ = done.send(sealed.clone());
        }
    }
}

fn read(read: ShardRead, then: AfterRead) -> Pending {
    Pending::Read(PendingRead { read: Arc::new(read), then, answers: Vec::new(), after: 0, position: 0 })
}

fn merge_accounts(read: &ShardRead, answers: Vec<ShardAnswer>) -> Vec<Option<AccountRecord>> {
    let ShardRead::Accounts(keys) = read else { unreachable!("the answer is to a look-up") };
    let mut accounts = vec![None; keys.len()];
    for answer in answers {
        if let ShardAnswer::Accounts(found) = answer {
            for (at, account) in found {
                accounts[at] = Some(account);
            }
        }
    }
    accounts
}

fn merge_list(read: &ShardRead, answers: Vec<ShardAnswer>) -> Vec<AccountRecord> {
    let ShardRead::List { limit, .. } = read else { unreachable!("the answer is to a listing") };
    let mut accounts: Vec<AccountRecord> = Vec::new();
    for answer in answers {
        if let ShardAnswer::List(part) = answer {
            accounts.extend(part);
        }
    }
    accounts.sort_unstable_by_key(|a| a.opened);
    accounts.truncate(*limit);
    accounts
}

/// The answer to a command that is not let in.
fn refusal_of(command: &Command, outcome: Outcome) -> Reply {
    let items = match command {
        Command::Post { request, .. } => request.count(),
        Command::Open(request) => request.rows().len(),
        Command::Control(_) => 1,
        _ => return Reply::Failed("the server is shutting down; ask again once it is back".into()),
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
        for shard in &self.shards {
            shard.do_send(ToShard::Connect(ctx.address().recipient()));
        }
    }
}

impl Handler<Submit> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Submit { command, on_reply }: Submit, ctx: &mut Context<Self>) {
        self.submit(command, on_reply);
        if !self.closing {
            self.closing = true;
            ctx.notify(Close);
        }
    }
}

impl Handler<Close> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, _: Close, _: &mut Context<Self>) {
        self.closing = false;
        self.close_rounds();
        self.try_stop();
    }
}

impl Handler<FromShard> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, message: FromShard, _: &mut Context<Self>) {
        match message {
            FromShard::Ran { round, decisions, results } => self.core.on_ran(round, decisions, results),
            FromShard::Ballot(ballot) => self.core.on_ballot(ballot),
            FromShard::Finished(finished) => self.core.on_finished(finished),
            FromShard::OpeningBallot { shard, votes } => self.core.on_opening_ballot(shard, votes),
            FromShard::Answer { ticket, answer } => self.on_answer(ticket, answer),
        }
        self.carry_out();
        self.close_rounds();
        self.try_stop();
    }
}

impl Handler<Durable> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, Durable(frame): Durable, _: &mut Context<Self>) {
        self.on_durable(frame);
        self.try_stop();
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
