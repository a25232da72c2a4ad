//! The coordinator's decision on a round, once every shard has voted on it and every earlier round is decided.
//!
//! An item is refused for what it names, then as a whole, then for the first account, in its own order, that does not say yes.
//! Accounts with a vote in doubt are run exactly, from the balances in the ballots through what was accepted since: so the
//! decision is the serial one, and one exchange is always enough.

use std::collections::HashMap;
use std::sync::Arc;

use florin_planted::{Fault, planted};

use crate::account::{AccountKey, Limits};
use crate::check::{Balances, check_balances};
use crate::dedup::Dedup;
use crate::directory::Directory;
use crate::link::{Link, PostingName};
use crate::outcome::Outcome;
use crate::request::{ItemKind, Side};
use crate::round::{Decision, Round, RoundItem};
use crate::shard::{Ballot, Vote};

/// A round that is decided, kept while a ballot may still refer to the state before it.
#[derive(Debug, Clone)]
pub struct DecidedRound {
    /// The round.
    pub round: Arc<Round>,
    /// A decision per item.
    pub decisions: Arc<Vec<Decision>>,
}

/// What decides beside the votes: which holds are open, which originals were posted.
pub struct Names<'a> {
    /// The open holds.
    pub holds: &'a mut Directory,
    /// The ids.
    pub ids: &'a mut Dedup,
    /// Rounds that are decided, oldest first.
    pub earlier: &'a [DecidedRound],
}

impl Names<'_> {
    /// Why an item is refused for what it names. `decided`: the decisions of its own round so far.
    fn refusal(&self, round: &Round, item: &RoundItem, decided: &[Decision]) -> Option<Outcome> {
        let time = round.booked_at(decided.len());
        match round.link(item)? {
            Link::Hold(hold) => self.holds.refusal(self.ids, hold, item.kind, time),
            Link::Original { undecided: None, .. } => None,
            Link::Original { undecided: Some((number, at)), .. } => {
                let decision = match *number == round.number {
                    true => decided[*at as usize],
                    false => {
                        let found = self.earlier.iter().find(|d| d.round.number == *number);
                        found.expect("an original that was undecided is in one of the last rounds").decisions
                            [*at as usize]
                    }
                };
                (!decision.is_posted()).then_some(Outcome::OriginalNotPosted)
            }
        }
    }

    /// Takes over the decisions of a round that was run in one pass, and says of each item that was refused for its hold exactly why.
    pub fn take_over(&mut self, round: &Round, decisions: &mut [Decision]) {
        for (position, item) in round.items.iter().enumerate().filter(|(_, item)| round.link(item).is_some()) {
            let decision = &mut decisions[position];
            let time = round.booked_at(position);
            if let Some(Link::Hold(hold)) = round.link(item)
                && let Some(outcome) = self.holds.refusal(self.ids, hold, item.kind, time)
            {
                assert!(!decision.is_posted(), "shard and coordinator differ on whether a hold is open");
                *decision = Decision::refused(outcome);
            }
            self.holds.decided(self.ids, round, item, *decision, position);
        }
    }
}

/// Decides `round`. `ballots` has one of each shard; the names' earlier rounds are at least all that some ballot's shard had not
/// finished.
pub fn decide(round: &Round, ballots: &[Ballot], names: &mut Names<'_>) -> Vec<Decision> {
    let mut running = Running::before(ballots, names.earlier);
    let mut next_vote = vec![0usize; ballots.len()];
    let mut decisions: Vec<Decision> = Vec::with_capacity(round.items.len());
    for item in &round.items {
        let refused = names.refusal(round, item, &decisions).or(item.refused);
        let mut decision = refused.map_or(Decision::POSTED, Decision::refused);
        for n in 0..usize::from(item.effects) {
            let home = usize::from(round.home(item, n));
            let vote = ballots[home].votes[next_vote[home]];
            next_vote[home] += 1;
            if !decision.is_posted() {
                continue; // The first that refuses speaks; the others' votes are passed over.
            }
            let refusal = match vote {
                Vote::Yes => None,
                Vote::Maybe if planted(Fault::DoubtTakenForYes) => None,
                Vote::No(outcome) => Some(outcome),
                Vote::Maybe => running.check(round, item, n).err(),
            };
            if let Some(outcome) = refusal {
                decision = Decision { outcome, detail: u16::from(round.effect(item, n).first_posting) };
            }
        }
        if decision.is_posted() {
            running.advance(round, item);
        }
        names.holds.decided(names.ids, round, item, decision, decisions.len());
        decisions.push(decision);
    }
    decisions
}

/// An account that is run exactly.
struct RunningAccount {
    balances: Balances,
    limits: Limits,
    normal_side: Side,
}

/// Exact balances of the doubtful accounts, and what is left or reversed of all that items on them name.
#[derive(Default)]
struct Running {
    accounts: HashMap<AccountKey, RunningAccount>,
    named: HashMap<PostingName, i128>,
}

impl Running {
    /// As they are when the round's turn comes.
    fn before(ballots: &[Ballot], earlier: &[DecidedRound]) -> Running {
        let mut all = Running::default();
        for ballot in ballots.iter().filter(|b| !b.doubtful.is_empty()) {
            let account = |d: &crate::shard::DoubtfulAccount| {
                let running = RunningAccount { balances: d.balances, limits: d.limits, normal_side: d.normal_side };
                (d.key, running)
            };
            let mut own = Running {
                accounts: ballot.doubtful.iter().map(account).collect(),
                named: ballot.named.iter().copied().collect(),
            };
            for decided in earlier.iter().filter(|d| d.round.number > ballot.finished && d.round.number < ballot.round)
            {
                for (item, decision) in decided.round.items.iter().zip(decided.decisions.iter()) {
                    if decision.is_posted() {
                        own.advance(&decided.round, item);
                    }
                }
            }
            all.accounts.extend(own.accounts);
            all.named.extend(own.named);
        }
        all
    }

    fn check(&self, round: &Round, item: &RoundItem, n: usize) -> Result<(), Outcome> {
        let effect = round.effect(item, n);
        let account = self.accounts.get(&effect.key()).expect("a doubtful account is in the ballot");
        let named = |name: PostingName, _| self.named.get(&name).copied().unwrap_or(0);
        let account_side = (account.normal_side, &account.limits);
        check_balances(round, item, (n, &effect), account_side, account.balances, true, named)
    }

    /// An item was accepted.
    fn advance(&mut self, round: &Round, item: &RoundItem) {
        if self.accounts.is_empty() {
            return;
        }
        for (n, effect) in round.effects(item).enumerate() {
            let Some(account) = self.accounts.get_mut(&effect.key()) else { continue };
            let (balances, side) = (&mut account.balances, account.normal_side);
            let change = match item.kind {
                ItemKind::Post | ItemKind::Reverse => effect.posted_on(side),
                ItemKind::Hold | ItemKind::Increase => effect.held_on(side),
                ItemKind::Capture | ItemKind::Release | ItemKind::Expiry => Default::default(),
            };
            balances.available += change.available;
            balances.gross += change.gross;
            if item.kind == ItemKind::Post {
                continue;
            }
            for posting in round.postings_on(item, n) {
                let amount = posting.amount as i128;
                let now = self.named.entry(round.name(item, &posting)).or_insert(0);
                if matches!(item.kind, ItemKind::Hold | ItemKind::Increase | ItemKind::Reverse) {
                    *now += amount;
                    continue;
                }
                let captured = if item.takes_all { *now } else { amount };
                let freed = if item.is_final { *now - captured } else { 0 };
                *now -= captured + freed;
                match posting.side == side {
                    true => {
                        (balances.available, balances.gross) = (balances.available + captured, balances.gross - freed)
                    }
                    false => {
                        (balances.available, balances.gross) = (balances.available + freed, balances.gross - captured)
                    }
                }
            }
        }
    }
}
