//! A shard: owns a part of the accounts and is the only place that holds balances.
//!
//! It goes through each round in sequence order. Alone, it checks and applies in one pass. With others it votes by the
//! interval of what each balance can be once everything undecided is decided, says `maybe` where that leaves doubt, and
//! applies what the coordinator accepted. It never waits and never asks back.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::account::{Account, AccountDetails, AccountKey, Effect, EntryResult, Limits};
use crate::entry::AccountRecord;
use crate::outcome::Outcome;
use crate::request::{AccountRow, Field, Side};
use crate::round::{Decision, Round};
use crate::slots::{Slots, UNKNOWN};

/// Transactions whose accounts are looked up together, so that the memory accesses of one overlap with the others'.
const BATCH: usize = 64;

/// A shard's word on one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// The checks pass whatever happens to undecided transactions.
    Yes,
    /// They fail, for the same reason, whatever happens.
    No(Outcome),
    /// It depends.
    Maybe,
}

/// An account with a vote in doubt, with all that an exact run needs.
#[derive(Clone, Copy, Debug)]
pub struct DoubtfulAccount {
    /// The account.
    pub key: AccountKey,
    /// Its balance after the last finished round.
    pub posted: i128,
    /// Its limits.
    pub limits: Limits,
    /// The side that raises its balance.
    pub normal_side: Side,
}

/// A shard's answer to a round.
#[derive(Debug)]
pub struct Ballot {
    /// The round.
    pub round: u64,
    /// The shard.
    pub shard: u8,
    /// A vote per effect of its own, in order.
    pub votes: Vec<Vote>,
    /// Accounts with a vote in doubt.
    pub doubtful: Vec<DoubtfulAccount>,
    /// The last round that was finished here when the votes were cast.
    pub finished: u64,
}

/// What finishing a round gave.
#[derive(Debug)]
pub struct Finished {
    /// The round.
    pub round: u64,
    /// The shard.
    pub shard: u8,
    /// A result per posting of its own that was applied, in order.
    pub results: Vec<EntryResult>,
}

/// A shard's word on one opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenVote {
    /// There is no such account.
    New,
    /// There is one with the same fields.
    Same {
        /// Sequence number of its opening.
        opened: u64,
        /// Booked-at of its opening.
        opened_at: u64,
    },
    /// There is one with other fields.
    Differs(Field),
}

/// A round of openings.
#[derive(Debug)]
pub struct Opening {
    /// The round.
    pub number: u64,
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// The accounts, of checked shape. An id may come twice; the coordinator opens it once.
    pub rows: Vec<AccountRow>,
}

/// A round that was voted on and is not finished.
struct OpenRound {
    round: Arc<Round>,
    /// The slot of each effect of this shard, in order.
    slots: Vec<u32>,
    /// What the round added to `low` and `high` of accounts.
    promises: Vec<(u32, i128, i128)>,
}

/// Owner of a part of the accounts.
pub struct Shard {
    index: u8,
    shards: usize,
    slots: Slots,
    accounts: Vec<Account>,
    details: Vec<AccountDetails>,
    open: VecDeque<OpenRound>,
    finished: u64,
}

impl Shard {
    /// An empty shard, number `index` of `shards`. The seed should be random.
    pub fn new(index: u8, shards: usize, seed: u64) -> Shard {
        Shard {
            index,
            shards,
            slots: Slots::new(seed),
            accounts: Vec::new(),
            details: Vec::new(),
            open: VecDeque::new(),
            finished: 0,
        }
    }

    /// Its number.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How many accounts it owns.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    fn slot(&self, key: &AccountKey) -> Option<u32> {
        Some(self.slots.find(key, &self.accounts)).filter(|&slot| slot != UNKNOWN)
    }

    /// Check, apply and emit in one pass: a round when this is the only shard.
    pub fn run(&mut self, round: &Round) -> (Vec<Decision>, Vec<EntryResult>) {
        assert!(self.shards == 1 && self.open.is_empty(), "one pass is for a shard that owns every account");
        let mut decisions = Vec::with_capacity(round.transactions.len());
        let mut results = vec![EntryResult::default(); round.postings.len()];
        let mut slots = Vec::with_capacity(BATCH * 2);
        for batch in round.transactions.chunks(BATCH) {
            let from = batch[0].effects_from as usize;
            let to = batch.last().map_or(from, |t| round.effects_of(t).end);
            self.slots.find_all(round.effects[from..to].iter().map(|e| &e.key), &self.accounts, &mut slots);
            for transaction in batch {
                let sequence = round.first_sequence + decisions.len() as u64;
                let decision = match transaction.refused {
                    Some(outcome) => Decision { outcome, detail: 0 },
                    None => round
                        .effects_of(transaction)
                        .find_map(|at| {
                            let effect = &round.effects[at];
                            let outcome = self.check(slots[at - from], effect).err()?;
                            Some(Decision { outcome, detail: u16::from(effect.first_posting) })
                        })
                        .unwrap_or(Decision::POSTED),
                };
                if decision.is_posted() {
                    for at in round.postings_of(transaction) {
                        let posting = &round.postings[at];
                        let slot = slots[posting.effect as usize - from];
                        results[at] = self.accounts[slot as usize].apply(posting.side, posting.amount, sequence);
                    }
                }
                decisions.push(decision);
            }
        }
        self.finished = round.number;
        (decisions, results)
    }

    /// The whole list of one account's checks, at its exact balance.
    fn check(&self, slot: u32, effect: &Effect) -> Result<(), Outcome> {
        let account = self.accounts.get(slot as usize).ok_or(Outcome::AccountUnknown)?;
        account.check_facts(effect)?;
        account.limits.check(account.posted, account.on_normal_side(effect.net_debit))
    }

    /// Votes on this shard's part of a round.
    pub fn prepare(&mut self, round: Arc<Round>) -> Ballot {
        let mine = |at: usize| round.homes[at] == self.index;
        let own = (0..round.effects.len()).filter(|&at| mine(at)).map(|at| &round.effects[at].key);
        let mut slots = Vec::new();
        self.slots.find_all(own, &self.accounts, &mut slots);
        let mut votes = Vec::with_capacity(slots.len());
        let mut promises = Vec::with_capacity(slots.len());
        let mut doubtful_slots = Vec::new();
        for transaction in &round.transactions {
            let first = votes.len();
            let effects = round.effects_of(transaction);
            for at in effects.clone().filter(|&at| mine(at)) {
                votes.push(self.vote(slots[votes.len()], &round.effects[at]));
            }
            let own = &votes[first..];
            for (offset, _) in own.iter().enumerate().filter(|(_, v)| **v == Vote::Maybe) {
                doubtful_slots.push(slots[first + offset]);
            }
            if own.iter().any(|v| matches!(v, Vote::No(_))) {
                continue; // It will be refused for certain and promises nothing.
            }
            let certain = own.len() == effects.len() && own.iter().all(|v| *v == Vote::Yes);
            for (offset, at) in effects.filter(|&at| mine(at)).enumerate() {
                let slot = slots[first + offset];
                let account = &mut self.accounts[slot as usize];
                let effect = account.on_normal_side(round.effects[at].net_debit);
                let low = if certain || effect < 0 { effect } else { 0 };
                let high = if certain || effect > 0 { effect } else { 0 };
                account.low += low;
                account.high += high;
                promises.push((slot, low, high));
            }
        }
        doubtful_slots.sort_unstable();
        doubtful_slots.dedup();
        let doubtful = doubtful_slots
            .into_iter()
            .map(|slot| {
                let a = &self.accounts[slot as usize];
                DoubtfulAccount { key: a.key(), posted: a.posted, limits: a.limits, normal_side: a.normal_side }
            })
            .collect();
        let number = round.number;
        self.open.push_back(OpenRound { round, slots, promises });
        Ballot { round: number, shard: self.index, votes, doubtful, finished: self.finished }
    }

    fn vote(&self, slot: u32, effect: &Effect) -> Vote {
        let Some(account) = self.accounts.get(slot as usize) else {
            return Vote::No(Outcome::AccountUnknown);
        };
        if let Err(outcome) = account.check_facts(effect) {
            return Vote::No(outcome);
        }
        let change = account.on_normal_side(effect.net_debit);
        let at_low = account.limits.check(account.posted + account.low, change);
        let at_high = account.limits.check(account.posted + account.high, change);
        match (at_low, at_high) {
            (Ok(()), Ok(())) => Vote::Yes,
            (Err(low), Err(high)) if low == high => Vote::No(low),
            _ => Vote::Maybe,
        }
    }

    /// Applies what was accepted of the oldest round that is not finished.
    pub fn finish(&mut self, number: u64, decisions: &[Decision]) -> Finished {
        let OpenRound { round, slots, promises } = self.open.pop_front().expect("a round that was voted on");
        assert_eq!(round.number, number, "rounds finish in order");
        for &(slot, low, high) in &promises {
            let account = &mut self.accounts[slot as usize];
            account.low -= low;
            account.high -= high;
            assert!(account.low <= account.high, "the interval of an account has turned round");
        }
        if self.open.is_empty() {
            let kept = |slot: u32| self.accounts[slot as usize].low == 0 && self.accounts[slot as usize].high == 0;
            assert!(promises.iter().all(|&(slot, _, _)| kept(slot)), "a promise outlived its round");
        }
        let mut results = Vec::with_capacity(slots.len());
        let mut next = 0; // index into `slots`: effects of this shard seen so far
        for (position, transaction) in round.transactions.iter().enumerate() {
            let effects = round.effects_of(transaction);
            let first = next;
            next += effects.clone().filter(|&at| round.homes[at] == self.index).count();
            if next == first || !decisions[position].is_posted() {
                continue;
            }
            let sequence = round.first_sequence + position as u64;
            for posting in &round.postings[round.postings_of(transaction)] {
                let effect = posting.effect as usize;
                if round.homes[effect] != self.index {
                    continue;
                }
                let before = (effects.start..effect).filter(|&at| round.homes[at] == self.index).count();
                let account = &mut self.accounts[slots[first + before] as usize];
                results.push(account.apply(posting.side, posting.amount, sequence));
            }
        }
        self.finished = number;
        Finished { round: number, shard: self.index, results }
    }

    /// Whether any round is voted on and not finished.
    pub fn has_open_rounds(&self) -> bool {
        !self.open.is_empty()
    }

    /// Votes on this shard's part of a round of openings, a vote per row of its own, in order.
    pub fn prepare_opening(&self, opening: &Opening) -> Vec<OpenVote> {
        assert!(self.open.is_empty(), "openings are a barrier between rounds");
        self.own_rows(opening)
            .map(|(_, key, row)| match self.slot(&key) {
                None => OpenVote::New,
                Some(slot) => {
                    let details = &self.details[slot as usize];
                    match details.first_difference(&self.accounts[slot as usize], row) {
                        Some(field) => OpenVote::Differs(field),
                        None => OpenVote::Same { opened: details.opened, opened_at: details.opened_at },
                    }
                }
            })
            .collect()
    }

    /// Opens the accounts of this shard among those that got a sequence number (0 = did not).
    pub fn finish_opening(&mut self, opening: &Opening, sequences: &[u64], booked_at: &[u64]) {
        let own: Vec<(usize, AccountKey)> = self.own_rows(opening).map(|(at, key, _)| (at, key)).collect();
        for (at, key) in own {
            if sequences[at] != 0 {
                self.open_account(key, &opening.rows[at], sequences[at], booked_at[at]);
            }
        }
        self.finished = opening.number;
    }

    /// Takes note of a round that has nothing for a shard to do.
    pub fn pass(&mut self, number: u64) {
        assert!(self.open.is_empty(), "control records are a barrier between rounds");
        self.finished = number;
    }

    fn own_rows<'a>(&'a self, opening: &'a Opening) -> impl Iterator<Item = (usize, AccountKey, &'a AccountRow)> + 'a {
        opening.rows.iter().enumerate().filter_map(move |(at, row)| {
            let key = AccountKey { institution: opening.institution, account: row.account.get() };
            (key.home(self.shards) == self.index).then_some((at, key, row))
        })
    }

    /// Opens an account that does not exist yet.
    pub fn open_account(&mut self, key: AccountKey, row: &AccountRow, sequence: u64, booked_at: u64) {
        assert!(self.slot(&key).is_none(), "an account is opened once");
        let slot = u32::try_from(self.accounts.len()).expect("fewer than 2^32 accounts in a shard");
        assert_ne!(slot, UNKNOWN, "a shard is full");
        self.accounts.push(Account::open(key, row, sequence));
        self.details.push(AccountDetails::open(row, sequence, booked_at));
        self.slots.insert(slot, &self.accounts);
    }

    /// Makes a recorded entry again, whatever the limits say now: the log has decided.
    pub fn replay(
        &mut self,
        key: &AccountKey,
        asset: u32,
        side: Side,
        amount: u128,
        sequence: u64,
    ) -> Option<EntryResult> {
        let slot = self.slot(key)?;
        let account = &mut self.accounts[slot as usize];
        (account.asset == asset).then(|| account.apply(side, amount, sequence))
    }

    /// Sets the last finished round after a replay.
    pub fn resume_after(&mut self, number: u64) {
        self.finished = number;
    }

    /// An account by its name.
    pub fn look_up(&self, key: &AccountKey) -> Option<AccountRecord> {
        let slot = self.slot(key)? as usize;
        Some(self.accounts[slot].record(&self.details[slot]))
    }

    /// Accounts of an institution opened after the row `after`, oldest first.
    pub fn list(&self, institution: u32, after: u64, limit: usize) -> Vec<AccountRecord> {
        let from = self.details.partition_point(|d| d.opened <= after);
        (from..self.accounts.len())
            .filter(|&i| self.accounts[i].key().institution == institution)
            .take(limit)
            .map(|i| self.accounts[i].record(&self.details[i]))
            .collect()
    }

    /// All accounts with their details, oldest first.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, &AccountDetails)> {
        self.accounts.iter().zip(&self.details)
    }
}
