//! Votes: what a shard says to a round when others own accounts too, and what it promises until the round is decided.
//!
//! A promise is an interval beside an account: by how much undecided items may lower or raise its available and its gross
//! balance. What is left of a hold has one too, under the condition that the hold was placed and is open: the coordinator, who
//! knows whether it is, asks that first. Promises are in no log and no snapshot.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use florin_planted::{Fault, planted};

use super::{BATCH, Shard};
use crate::account::{AccountKey, Effect, EntryResult, HeldResult, Limits};
use crate::check::{Balances, check_balances};
use crate::limits::AMOUNT_MAX;
use crate::link::PostingName;
use crate::outcome::Outcome;
use crate::prefetch::prefetch;
use crate::request::{ItemKind, Side};
use crate::round::{Decision, Round, RoundItem};

/// A shard's word on one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// The checks pass whatever happens to undecided items.
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
    /// Its balances after the last finished round.
    pub balances: Balances,
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
    /// What is left of holds and was reversed of originals that open items on these accounts name, after the last finished round.
    pub named: Vec<(PostingName, i128)>,
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
    /// A result per posting of its own of an accepted item, in order.
    pub entries: Vec<EntryResult>,
    /// One more per such posting of an item that is not a post.
    pub held: Vec<HeldResult>,
}

/// By how much a value may change: from `low` to `high`, which are one if the change is certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Interval {
    /// How far down.
    pub low: i128,
    /// How far up.
    pub high: i128,
}

impl Interval {
    /// What happens for certain, or, in doubt, happens or not.
    fn of(change: i128, certain: bool) -> Interval {
        match certain {
            true => Interval { low: change, high: change },
            false => Interval { low: change.min(0), high: change.max(0) },
        }
    }

    fn add(&mut self, other: Interval) {
        self.low += other.low;
        self.high += other.high;
    }

    fn take(&mut self, other: Interval) {
        self.low -= other.low;
        self.high -= other.high;
        assert!(self.low <= self.high, "an interval has turned round");
    }
}

/// What undecided items may do to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Promise {
    /// To its available balance.
    pub available: Interval,
    /// To its gross balance.
    pub gross: Interval,
}

/// What was promised on one effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promised {
    Nothing,
    /// What posting it does, which is certain.
    Posting,
    /// What posting it does, or nothing.
    PostingOrNothing,
    /// What stands in [`OpenRound::promises`].
    Listed,
}

/// A round that was voted on and is not finished.
struct OpenRound {
    round: Arc<Round>,
    /// The slot of each effect of this shard, in order.
    slots: Vec<u32>,
    /// What was promised on each.
    promised: Vec<Promised>,
    /// Promises for items that are not posts.
    promises: Vec<(u32, Promise)>,
    named: Vec<(PostingName, Interval)>,
}

/// All that is promised.
#[derive(Default)]
pub(super) struct Undecided {
    rounds: VecDeque<OpenRound>,
    /// Per slot; empty if this is the only shard.
    accounts: Vec<Promise>,
    /// Only what is not zero.
    named: HashMap<PostingName, Interval>,
}

impl Undecided {
    /// Makes place for accounts.
    pub(super) fn grow(&mut self, accounts: usize, shards: usize) {
        if shards > 1 {
            self.accounts.resize(accounts, Promise::default());
        }
    }

    /// Brings what is promised on these accounts near.
    fn touch(&self, slots: &[u32]) {
        slots.iter().filter_map(|&slot| self.accounts.get(slot as usize)).for_each(prefetch);
    }
}

impl Promise {
    /// Of an effect that is posted for certain, or in doubt.
    fn of_posting(effect: &Effect, normal_side: Side, certain: bool) -> Promise {
        let change = effect.posted_on(normal_side);
        Promise { available: Interval::of(change.available, certain), gross: Interval::of(change.gross, certain) }
    }

    fn add(&mut self, other: Promise) {
        self.available.add(other.available);
        self.gross.add(other.gross);
    }

    fn take(&mut self, other: Promise) {
        self.available.take(other.available);
        self.gross.take(other.gross);
    }
}

impl Shard {
    /// Whether any round is voted on and not finished.
    pub fn has_open_rounds(&self) -> bool {
        !self.undecided.rounds.is_empty()
    }

    /// Lowest and highest available and gross balance that an account can have once all is decided, for checks.
    pub fn promised(&self, key: &AccountKey) -> Option<[Balances; 2]> {
        let slot = self.accounts.find(key)?;
        let (balances, _) = self.accounts.standing(self.accounts.get(slot as u32)?);
        let promise = self.undecided.accounts.get(slot).copied().unwrap_or_default();
        let at =
            |available, gross| Balances { available: balances.available + available, gross: balances.gross + gross };
        Some([at(promise.available.low, promise.gross.low), at(promise.available.high, promise.gross.high)])
    }

    /// Votes on this shard's part of a round.
    pub fn prepare(&mut self, round: Arc<Round>) -> Ballot {
        let index = self.index;
        let mut open = OpenRound {
            round: round.clone(),
            slots: Vec::with_capacity(round.items.len()),
            promised: Vec::with_capacity(round.items.len()),
            promises: Vec::new(),
            named: Vec::new(),
        };
        let mut votes = Vec::with_capacity(round.items.len());
        let mut doubtful = Vec::new();
        let (mut keys, mut slots) = (Vec::with_capacity(BATCH * 2), Vec::with_capacity(BATCH * 2));
        for batch in round.items.chunks(BATCH) {
            keys.clear();
            for item in batch {
                keys.extend(round.effects_at(item, index).map(|n| round.key(item, n)));
            }
            self.accounts.find_all(&keys, &mut slots);
            self.undecided.touch(&slots);
            open.slots.extend_from_slice(&slots);
            for item in batch {
                let first = votes.len();
                let own = round.effects_at(item, index);
                for n in own.clone() {
                    let slot = open.slots[votes.len()];
                    let vote = self.vote(&round, item, n, slot);
                    if vote == Vote::Maybe {
                        doubtful.push(slot);
                    }
                    votes.push(vote);
                }
                let votes = &votes[first..];
                if votes.iter().any(|v| matches!(v, Vote::No(_))) {
                    // It will be refused for certain and promises nothing.
                    open.promised.resize(first + votes.len(), Promised::Nothing);
                    continue;
                }
                // Where a hold or original is named, more than the votes decides.
                let alone = votes.len() == usize::from(item.effects) && votes.iter().all(|v| *v == Vote::Yes);
                let certain = alone && matches!(item.kind, ItemKind::Post | ItemKind::Hold);
                let certain = certain || planted(Fault::DoubtPromisedAsCertain);
                for (offset, n) in own.enumerate() {
                    self.promise(&mut open, &round, item, n, first + offset, certain);
                }
            }
        }
        let number = round.number;
        self.undecided.rounds.push_back(open);
        doubtful.sort_unstable();
        doubtful.dedup();
        let named = self.named_on(&doubtful);
        let doubtful = doubtful
            .into_iter()
            .map(|slot| {
                let account = self.accounts.get(slot).expect("an account that was voted on");
                let (balances, limits) = self.accounts.standing(account);
                DoubtfulAccount { key: account.key(), balances, limits, normal_side: account.normal_side }
            })
            .collect();
        Ballot { round: number, shard: self.index, votes, doubtful, named, finished: self.finished }
    }

    /// What a posting has left, or reversed: the lowest and the highest that it can be.
    fn named_interval(&self, name: &PostingName) -> Interval {
        let now = self.named.get(name).copied().unwrap_or(0);
        let promise = self.undecided.named.get(name).copied().unwrap_or_default();
        Interval { low: now + promise.low, high: now + promise.high }
    }

    fn vote(&self, round: &Round, item: &RoundItem, n: usize, slot: u32) -> Vote {
        let effect = round.effect(item, n);
        let account = match self.check_facts(item, &effect, slot) {
            Ok(account) => account,
            Err(outcome) => return Vote::No(outcome),
        };
        let promise = self.undecided.accounts[slot as usize];
        let (now, limits) = self.accounts.standing(account);
        let named = |name: PostingName, highest: bool| {
            let interval = self.named_interval(&name);
            if highest { interval.high } else { interval.low }
        };
        let check = |worst: bool| {
            let (available, gross) = match worst && !planted(Fault::VoteAtBest) {
                true => (promise.available.low, promise.gross.high),
                false => (promise.available.high, promise.gross.low),
            };
            let balances = Balances { available: now.available + available, gross: now.gross + gross };
            check_balances(round, item, (n, &effect), (account.normal_side, &limits), balances, worst, named)
        };
        if promise == Promise::default() && item.kind == ItemKind::Post {
            return check(true).map_or_else(Vote::No, |()| Vote::Yes); // Nothing is in doubt.
        }
        match (check(true), check(false)) {
            (Ok(()), Ok(())) => Vote::Yes,
            (Err(worst), Err(best)) if worst == best => Vote::No(worst),
            _ => Vote::Maybe,
        }
    }

    /// Notes what an item may do to an account and to what its postings there name. `at`: which effect of this shard.
    #[inline]
    fn promise(&mut self, open: &mut OpenRound, round: &Round, item: &RoundItem, n: usize, at: usize, certain: bool) {
        let slot = open.slots[at];
        if item.kind == ItemKind::Post {
            let promise = self.posting_promised(&round.effect(item, n), slot, certain);
            self.undecided.accounts[slot as usize].add(promise);
            open.promised.push(if certain { Promised::Posting } else { Promised::PostingOrNothing });
        } else {
            self.promise_named(open, round, item, n, slot, certain);
            open.promised.push(Promised::Listed);
        }
    }

    fn posting_promised(&self, effect: &Effect, slot: u32, certain: bool) -> Promise {
        let account = self.accounts.get(slot).expect("an account that was voted on");
        Promise::of_posting(effect, account.normal_side, certain)
    }

    /// The same for an item that is not a post.
    fn promise_named(
        &mut self,
        open: &mut OpenRound,
        round: &Round,
        item: &RoundItem,
        n: usize,
        slot: u32,
        certain: bool,
    ) {
        let normal_side = self.accounts.get(slot).expect("an account that was voted on").normal_side;
        let effect = round.effect(item, n);
        let mut promise = Promise::default();
        let change = match item.kind {
            ItemKind::Post | ItemKind::Reverse => effect.posted_on(normal_side),
            ItemKind::Hold | ItemKind::Increase => effect.held_on(normal_side),
            ItemKind::Capture | ItemKind::Release | ItemKind::Expiry => Default::default(),
        };
        promise.available = Interval::of(change.available, certain);
        promise.gross = Interval::of(change.gross, certain);
        for posting in round.postings_on(item, n) {
            let (name, amount) = (round.name(item, &posting), posting.amount as i128);
            let named = match item.kind {
                // Under the condition that it is placed.
                ItemKind::Hold => Interval { low: amount, high: amount },
                ItemKind::Increase | ItemKind::Reverse => Interval { low: 0, high: amount },
                ItemKind::Capture if !item.is_final => Interval { low: -amount, high: 0 },
                _ => Interval::default(),
            };
            if matches!(item.kind, ItemKind::Capture | ItemKind::Release | ItemKind::Expiry) {
                // Whatever undecided increases ask for, never more than this is left.
                let left = self.named_interval(&name).high.min(AMOUNT_MAX as i128);
                let captured = if item.takes_all { left } else { amount };
                let freed = if item.is_final && !item.takes_all { (left - amount).max(0) } else { 0 };
                match posting.side == normal_side {
                    true => {
                        (promise.available.high, promise.gross.low) =
                            (promise.available.high + captured, promise.gross.low - freed)
                    }
                    false => {
                        (promise.available.high, promise.gross.low) =
                            (promise.available.high + freed, promise.gross.low - captured)
                    }
                }
            }
            if named != Interval::default() {
                self.undecided.named.entry(name).or_default().add(named);
                open.named.push((name, named));
            }
        }
        self.undecided.accounts[slot as usize].add(promise);
        open.promises.push((slot, promise));
    }

    /// What is left or was reversed of all that open items name on these accounts (in ascending order of slot).
    fn named_on(&self, slots: &[u32]) -> Vec<(PostingName, i128)> {
        let mut found = Vec::new();
        if slots.is_empty() {
            return found;
        }
        for open in &self.undecided.rounds {
            if open.round.links.is_empty() {
                continue;
            }
            let mut next = 0; // index into `slots` of the round: effects of this shard seen so far
            for item in &open.round.items {
                for n in open.round.effects_at(item, self.index) {
                    let slot = open.slots[next];
                    next += 1;
                    if item.kind == ItemKind::Post || slots.binary_search(&slot).is_err() {
                        continue;
                    }
                    found.extend(open.round.postings_on(item, n).filter_map(|posting| {
                        let name = open.round.name(item, &posting);
                        Some((name, *self.named.get(&name)?))
                    }));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Applies what was accepted of the oldest round that is not finished.
    pub fn finish(&mut self, number: u64, decisions: &[Decision]) -> Finished {
        let open = self.undecided.rounds.pop_front().expect("a round that was voted on");
        let OpenRound { round, slots, promised, promises, named } = open;
        assert_eq!(round.number, number, "rounds finish in order");
        let entries = Vec::with_capacity(slots.len());
        let mut finished = Finished { round: number, shard: self.index, entries, held: Vec::new() };
        for (slot, promise) in promises.into_iter().filter(|_| !planted(Fault::PromiseNotTakenBack)) {
            self.undecided.accounts[slot as usize].take(promise);
        }
        let mut next = 0; // index into `slots`: effects of this shard seen so far
        for (batch, items) in round.items.chunks(BATCH).enumerate() {
            self.touch_ahead(&slots[next..]);
            for (offset, item) in items.iter().enumerate() {
                let position = batch * BATCH + offset;
                let first = next;
                for n in round.effects_at(item, self.index) {
                    if matches!(promised[next], Promised::Posting | Promised::PostingOrNothing) {
                        let certain = promised[next] == Promised::Posting;
                        let promise = self.posting_promised(&round.effect(item, n), slots[next], certain);
                        self.undecided.accounts[slots[next] as usize].take(promise);
                    }
                    next += 1;
                }
                if next > first && decisions[position].is_posted() {
                    let sequence = round.first_sequence + position as u64;
                    self.apply_own(&round, item, &slots[first..next], sequence, &mut finished);
                }
            }
        }
        for (name, interval) in named {
            let promised = self.undecided.named.get_mut(&name).expect("it was promised");
            promised.low -= interval.low;
            promised.high -= interval.high;
            if *promised == Interval::default() {
                self.undecided.named.remove(&name);
            }
        }
        if self.undecided.rounds.is_empty() {
            let nothing =
                |slot: &u32| self.undecided.accounts.get(*slot as usize).is_none_or(|p| *p == Promise::default());
            assert!(slots.iter().all(nothing), "a promise outlived its round");
            assert!(self.undecided.named.is_empty(), "a promise outlived its round");
        }
        self.finished = number;
        finished
    }

    /// Brings the accounts of the next effects near.
    fn touch_ahead(&self, slots: &[u32]) {
        let slots = &slots[..slots.len().min(BATCH * 2)];
        slots.iter().filter_map(|&slot| self.accounts.get(slot)).for_each(prefetch);
        self.undecided.touch(slots);
    }

    /// Applies this shard's postings of an item that was accepted. `slots`: of its effects that are this shard's.
    #[inline]
    fn apply_own(&mut self, round: &Round, item: &RoundItem, slots: &[u32], sequence: u64, finished: &mut Finished) {
        let homes = round.homes_of(item);
        for posting in round.postings(item) {
            let effect = usize::from(posting.effect);
            if homes[effect] != self.index {
                continue;
            }
            let before = homes[..effect].iter().filter(|home| **home == self.index).count();
            let slot = slots[before] as usize;
            if item.kind == ItemKind::Post {
                let amount = posting.amount as i128;
                finished.entries.push(self.accounts.apply(slot, posting.side, amount, 0, sequence));
            } else {
                let (entry, held) = self.apply_held(round, item, &posting, slot, sequence);
                finished.entries.push(entry);
                finished.held.push(held);
            }
        }
    }
}
