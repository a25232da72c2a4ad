//! The coordinator's decision on a round, once every shard has voted on it and every earlier round is decided.
//!
//! A transaction posts if every account says yes, and is refused for the first account, in its own order, that does not.
//! Accounts with a vote in doubt are run exactly, from the balances in the ballots through what was accepted since: so the
//! decision is the serial one, and one exchange is always enough.

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::{AccountKey, Effect};
use crate::request::Side;
use crate::round::{Decision, Round};
use crate::shard::{Ballot, DoubtfulAccount, Vote};

/// A round that is decided, kept while a ballot may still refer to the state before it.
#[derive(Debug, Clone)]
pub struct DecidedRound {
    /// The round.
    pub round: Arc<Round>,
    /// A decision per transaction.
    pub decisions: Arc<Vec<Decision>>,
}

/// Decides `round`. `ballots` has one of each shard; `earlier` the decided rounds before it, oldest first, at least all
/// that some ballot's shard had not finished.
pub fn decide(round: &Round, ballots: &[Ballot], earlier: &[DecidedRound]) -> Vec<Decision> {
    let mut running = exact_balances(ballots, earlier);
    let mut next_vote = vec![0usize; ballots.len()];
    let mut decisions = Vec::with_capacity(round.transactions.len());
    for transaction in &round.transactions {
        if let Some(outcome) = transaction.refused {
            decisions.push(Decision { outcome, detail: 0 });
            continue;
        }
        let mut decision = Decision::POSTED;
        for at in round.effects_of(transaction) {
            let home = usize::from(round.homes[at]);
            let vote = ballots[home].votes[next_vote[home]];
            next_vote[home] += 1;
            if !decision.is_posted() {
                continue; // The first account that refuses speaks; the others' votes are passed over.
            }
            let effect = &round.effects[at];
            let refusal = match vote {
                Vote::Yes => None,
                Vote::No(outcome) => Some(outcome),
                Vote::Maybe => {
                    let account = running.get(&effect.key).expect("a doubtful account is in the ballot");
                    account.limits.check(account.posted, on_normal_side(account, effect)).err()
                }
            };
            if let Some(outcome) = refusal {
                decision = Decision { outcome, detail: u16::from(effect.first_posting) };
            }
        }
        if decision.is_posted() && !running.is_empty() {
            for effect in &round.effects[round.effects_of(transaction)] {
                advance(&mut running, effect);
            }
        }
        decisions.push(decision);
    }
    decisions
}

/// Balances of the doubtful accounts as they are when the round's turn comes.
fn exact_balances(ballots: &[Ballot], earlier: &[DecidedRound]) -> HashMap<AccountKey, DoubtfulAccount> {
    let mut running = HashMap::new();
    for ballot in ballots.iter().filter(|b| !b.doubtful.is_empty()) {
        let mut own: HashMap<AccountKey, DoubtfulAccount> = ballot.doubtful.iter().map(|d| (d.key, *d)).collect();
        for decided in earlier.iter().filter(|d| d.round.number > ballot.finished && d.round.number < ballot.round) {
            for (transaction, decision) in decided.round.transactions.iter().zip(decided.decisions.iter()) {
                if decision.is_posted() {
                    for effect in &decided.round.effects[decided.round.effects_of(transaction)] {
                        advance(&mut own, effect);
                    }
                }
            }
        }
        running.extend(own);
    }
    running
}

fn advance(running: &mut HashMap<AccountKey, DoubtfulAccount>, effect: &Effect) {
    if let Some(account) = running.get_mut(&effect.key) {
        account.posted += on_normal_side(account, effect);
    }
}

fn on_normal_side(account: &DoubtfulAccount, effect: &Effect) -> i128 {
    match account.normal_side {
        Side::Debit => effect.net_debit,
        Side::Credit => -effect.net_debit,
    }
}
