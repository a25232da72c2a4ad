//! A shard as an actor: takes messages, lets the core's `Shard` do the work, sends back what it says. No rule lives here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use actix::prelude::*;
use florin_core::account::AccountKey;
use florin_core::entry::AccountRecord;
use florin_core::frame::FrameDraft;
use florin_core::round::{Decision, FinishedRound, Results, Round};
use florin_core::shard::{Ballot, ChangeResult, Changes, Finished, OpenVote, Opening, Shard};
use florin_wal::FrameBuffer;

/// What the coordinator sends to a shard.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToShard {
    /// Where to answer; comes first.
    Connect(Recipient<FromShard>),
    /// Run a round as the only shard, and lay its frame out if nothing is left to decide.
    Run(Arc<Round>, Option<FrameBuffer>),
    /// Vote on a round.
    Prepare(Arc<Round>),
    /// Apply what was accepted.
    Finish {
        /// The round.
        round: u64,
        /// A decision per transaction.
        decisions: Arc<Vec<Decision>>,
    },
    /// Vote on openings.
    PrepareOpening(Arc<Opening>),
    /// Open accounts.
    FinishOpening {
        /// The openings.
        opening: Arc<Opening>,
        /// Sequence number per row; 0 = not opened.
        sequences: Arc<Vec<u64>>,
        /// Booked-at per row.
        times: Arc<Vec<u64>>,
    },
    /// Change accounts.
    Change(Arc<Changes>),
    /// A round without work for a shard.
    Pass(u64),
    /// Answer a read.
    Read {
        /// The read.
        ticket: u64,
        /// What is wanted.
        read: Arc<ShardRead>,
    },
}

/// A read as the shards see it.
#[derive(Debug)]
pub enum ShardRead {
    /// These accounts, as far as the shard owns them.
    Accounts(Vec<AccountKey>),
    /// Accounts in the order of their opening.
    List {
        /// The tenant.
        institution: u32,
        /// `opened` of the last one seen.
        after: u64,
        /// At most this many.
        limit: usize,
    },
    /// How many accounts there are.
    Count,
}

/// A shard's part of the answer to a read.
#[derive(Debug)]
pub enum ShardAnswer {
    /// Index of the key and the account.
    Accounts(Vec<(usize, AccountRecord)>),
    /// A part of a listing, in order.
    List(Vec<AccountRecord>),
    /// How many accounts it owns.
    Count(usize),
}

/// What a shard sends to the coordinator.
#[derive(Message)]
#[rtype(result = "()")]
pub enum FromShard {
    /// A round was run.
    Ran {
        /// The round.
        round: u64,
        /// A decision per item.
        decisions: Arc<Vec<Decision>>,
        /// What the postings did.
        results: Results,
        /// The round's frame.
        frame: Option<FrameBuffer>,
    },
    /// Votes on a round.
    Ballot(Ballot),
    /// A round was applied.
    Finished(Finished),
    /// Votes on openings.
    OpeningBallot {
        /// The shard.
        shard: u8,
        /// A vote per row of its own.
        votes: Vec<OpenVote>,
    },
    /// Account changes were made.
    Changed {
        /// The shard.
        shard: u8,
        /// A result per change of its own.
        results: Vec<ChangeResult>,
    },
    /// Part of the answer to a read.
    Answer {
        /// The read.
        ticket: u64,
        /// The part.
        answer: ShardAnswer,
    },
}

/// A shard that its actor shares with the coordinator, which runs small rounds itself while the actor has nothing to do: waking a
/// thread, twice, costs more than they do. Decision 0008.
#[derive(Clone)]
pub struct SharedShard {
    shard: Arc<Mutex<Shard>>,
    /// Messages that the actor is done with.
    done: Arc<AtomicU64>,
}

impl SharedShard {
    /// Shares a shard.
    pub fn new(shard: Shard) -> SharedShard {
        SharedShard { shard: Arc::new(Mutex::new(shard)), done: Arc::default() }
    }

    /// Whether the actor is done with all of the messages that it was sent.
    pub fn is_done_with(&self, sent: u64) -> bool {
        self.done.load(Ordering::Acquire) == sent
    }

    /// The shard. Only the actor waits here, and only while a small round is run.
    pub fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().expect("a panic ends the process")
    }
}

/// The actor.
pub struct ShardActor {
    shared: SharedShard,
    coordinator: Option<Recipient<FromShard>>,
}

impl ShardActor {
    /// An actor for a shard.
    pub fn new(shared: SharedShard) -> ShardActor {
        ShardActor { shared, coordinator: None }
    }

    fn send(&self, message: FromShard) {
        self.coordinator.as_ref().expect("a shard is connected before its first message").do_send(message);
    }
}

/// Writes the frame of a round where its results are in the cache. Of rounds with holds or reversals the coordinator has the last
/// word, so it lays them out itself.
fn lay_out(
    round: &Arc<Round>,
    decisions: &Arc<Vec<Decision>>,
    results: Results,
    frame: Option<FrameBuffer>,
) -> (Results, Option<FrameBuffer>) {
    let Some(mut frame) = frame.filter(|_| round.links.is_empty()) else { return (results, None) };
    let finished = FinishedRound { round: round.clone(), decisions: decisions.clone(), results: Arc::new(results) };
    let draft = FrameDraft::Posts(finished);
    let (payload, vouchers) = frame.parts();
    draft.encode(payload, vouchers);
    let FrameDraft::Posts(finished) = draft else { unreachable!("it was made of a round") };
    (Arc::into_inner(finished.results).expect("nobody else has them"), Some(frame))
}

fn answer(shard: &Shard, read: &ShardRead) -> ShardAnswer {
    match read {
        ShardRead::Accounts(keys) => ShardAnswer::Accounts(
            keys.iter().enumerate().filter_map(|(at, key)| Some((at, shard.look_up(key)?))).collect(),
        ),
        ShardRead::List { institution, after, limit } => ShardAnswer::List(shard.list(*institution, *after, *limit)),
        ShardRead::Count => ShardAnswer::Count(shard.account_count()),
    }
}

impl Actor for ShardActor {
    type Context = Context<Self>;
}

impl Handler<ToShard> for ShardActor {
    type Result = ();

    fn handle(&mut self, message: ToShard, _: &mut Context<Self>) {
        let mut shard = self.shared.lock();
        let answer = match message {
            ToShard::Connect(coordinator) => {
                self.coordinator = Some(coordinator);
                None
            }
            ToShard::Run(round, frame) => {
                let (decisions, results) = shard.run(&round);
                let (results, frame) = lay_out(&round, &decisions, results, frame);
                Some(FromShard::Ran { round: round.number, decisions, results, frame })
            }
            ToShard::Prepare(round) => Some(FromShard::Ballot(shard.prepare(round))),
            ToShard::Finish { round, decisions } => Some(FromShard::Finished(shard.finish(round, &decisions))),
            ToShard::PrepareOpening(opening) => {
                let votes = shard.prepare_opening(&opening);
                Some(FromShard::OpeningBallot { shard: shard.index(), votes })
            }
            ToShard::FinishOpening { opening, sequences, times } => {
                shard.finish_opening(&opening, &sequences, &times);
                None
            }
            ToShard::Change(changes) => {
                let results = shard.change(&changes);
                Some(FromShard::Changed { shard: shard.index(), results })
            }
            ToShard::Pass(number) => {
                shard.pass(number);
                None
            }
            ToShard::Read { ticket, read } => {
                let answer = answer(&shard, &read);
                Some(FromShard::Answer { ticket, answer })
            }
        };
        drop(shard);
        // Done before the answer is on its way: whoever has the answer may run the next round at once.
        self.shared.done.fetch_add(1, Ordering::Release);
        if let Some(answer) = answer {
            self.send(answer);
        }
    }
}
