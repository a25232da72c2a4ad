//! What a shard has promised: the intervals of its accounts, summed up a second time from its votes.
//!
//! A transaction with a certain refusal promises nothing; one that is certain to be posted moves both ends; any other moves
//! the end on its own side. What is promised must hold when the round is finished, and nothing may be left over.

use std::collections::{BTreeMap, VecDeque};

use florin_core::account::AccountKey;
use florin_core::request::Side;
use florin_core::round::Round;
use florin_core::shard::{Ballot, Shard, Vote};

/// Promises of the rounds that one shard has voted on and not finished.
#[derive(Debug, Default)]
pub struct Promises {
    open: VecDeque<Promise>,
}

#[derive(Debug)]
struct Promise {
    round: u64,
    /// What the round adds to the lower and the upper end.
    moves: BTreeMap<AccountKey, (i128, i128)>,
    /// Lowest and highest balance once the round is done.
    bounds: BTreeMap<AccountKey, (i128, i128)>,
}

impl Promises {
    /// The shard has just voted.
    pub fn voted(&mut self, shard: &Shard, round: &Round, ballot: &Ballot) {
        let sides: BTreeMap<AccountKey, Side> = shard.accounts().map(|(a, _)| (a.key(), a.normal_side)).collect();
        let mut moves: BTreeMap<AccountKey, (i128, i128)> = BTreeMap::new();
        let mut votes = ballot.votes.iter();
        for transaction in &round.transactions {
            let effects = round.effects_of(transaction);
            let own: Vec<_> = effects
                .clone()
                .filter(|at| round.homes[*at] == shard.index())
                .map(|at| (&round.effects[at], votes.next().expect("a vote for each effect of the shard")))
                .collect();
            if own.iter().any(|(_, vote)| matches!(vote, Vote::No(_))) {
                continue;
            }
            let certain = own.len() == effects.len() && own.iter().all(|(_, vote)| **vote == Vote::Yes);
            for (effect, _) in own {
                let change = if sides[&effect.key] == Side::Debit { effect.net_debit } else { -effect.net_debit };
                let (low, high) = moves.entry(effect.key).or_default();
                *low += if certain { change } else { change.min(0) };
                *high += if certain { change } else { change.max(0) };
            }
        }
        assert!(votes.next().is_none(), "a vote for each effect of the shard, and no more");
        let bounds = shard.accounts().map(|(a, _)| (a.key(), (a.posted + a.low, a.posted + a.high))).collect();
        self.open.push_back(Promise { round: round.number, moves, bounds });
    }

    /// The shard has just finished a round.
    pub fn finished(&mut self, shard: &Shard, number: u64) {
        let promise = self.open.pop_front().expect("a round that was voted on");
        assert_eq!(promise.round, number, "rounds finish in order");
        for (account, _) in shard.accounts() {
            let (low, high) = promise.bounds[&account.key()];
            assert!((low..=high).contains(&account.posted), "a balance left the interval that was promised");
        }
    }

    /// The intervals are what the open rounds make of them, so points when nothing is undecided.
    pub fn check(&self, shard: &Shard) {
        assert_eq!(shard.has_open_rounds(), !self.open.is_empty());
        for (account, _) in shard.accounts() {
            let moves = self.open.iter().filter_map(|promise| promise.moves.get(&account.key()));
            let (low, high) = moves.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            assert_eq!((account.low, account.high), (low, high), "the interval of an account is not what was promised");
            assert!(low <= high, "the interval of an account has turned round");
        }
    }
}
