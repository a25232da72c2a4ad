//! A shard as an actor: takes messages, lets the core's `Shard` do the work, sends back what it says. No rule lives here.

use std::sync::Arc;

use actix::prelude::*;
use florin_core::account::AccountKey;
use florin_core::entry::AccountRecord;
use florin_core::round::{Decision, Results, Round};
use florin_core::shard::{Ballot, ChangeResult, Changes, Finished, OpenVote, Opening, Shard};

/// What the coordinator sends to a shard.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToShard {
    /// Where to answer; comes first.
    Connect(Recipient<FromShard>),
    /// Run a round as the only shard.
    Run(Arc<Round>),
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

/// The actor.
pub struct ShardActor {
    shard: Shard,
    coordinator: Option<Recipient<FromShard>>,
}

impl ShardActor {
    /// An actor for a shard.
    pub fn new(shard: Shard) -> ShardActor {
        ShardActor { shard, coordinator: None }
    }

    fn send(&self, message: FromShard) {
        self.coordinator.as_ref().expect("a shard is connected before its first message").do_send(message);
    }

    fn answer(&self, read: &ShardRead) -> ShardAnswer {
        match read {
            ShardRead::Accounts(keys) => ShardAnswer::Accounts(
                keys.iter().enumerate().filter_map(|(at, key)| Some((at, self.shard.look_up(key)?))).collect(),
            ),
            ShardRead::List { institution, after, limit } => {
                ShardAnswer::List(self.shard.list(*institution, *after, *limit))
            }
            ShardRead::Count => ShardAnswer::Count(self.shard.account_count()),
        }
    }
}

impl Actor for ShardActor {
    type Context = Context<Self>;
}

impl Handler<ToShard> for ShardActor {
    type Result = ();

    fn handle(&mut self, message: ToShard, _: &mut Context<Self>) {
        match message {
            ToShard::Connect(coordinator) => self.coordinator = Some(coordinator),
            ToShard::Run(round) => {
                let (decisions, results) = self.shard.run(&round);
                self.send(FromShard::Ran { round: round.number, decisions, results });
            }
            ToShard::Prepare(round) => {
                let ballot = self.shard.prepare(round);
                self.send(FromShard::Ballot(ballot));
            }
            ToShard::Finish { round, decisions } => {
                let finished = self.shard.finish(round, &decisions);
                self.send(FromShard::Finished(finished));
            }
            ToShard::PrepareOpening(opening) => {
                let votes = self.shard.prepare_opening(&opening);
                self.send(FromShard::OpeningBallot { shard: self.shard.index(), votes });
            }
            ToShard::FinishOpening { opening, sequences, times } => {
                self.shard.finish_opening(&opening, &sequences, &times);
            }
            ToShard::Change(changes) => {
                let results = self.shard.change(&changes);
                self.send(FromShard::Changed { shard: self.shard.index(), results });
            }
            ToShard::Pass(number) => self.shard.pass(number),
            ToShard::Read { ticket, read } => {
                let answer = self.answer(&read);
                self.send(FromShard::Answer { ticket, answer });
            }
        }
    }
}
