//! The list of one account's checks, at balances that are exact or the corner of what they can be. The same function judges in
//! a shard's single pass, in its votes, and in the coordinator's exact run.

use crate::account::{Effect, Limits};
use crate::limits::AMOUNT_MAX;
use crate::link::PostingName;
use crate::outcome::Outcome;
use crate::request::{ItemKind, Side};
use crate::round::{Round, RoundItem};

/// The two balances that limits look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balances {
    /// Posted less what is held.
    pub available: i128,
    /// Posted and incoming.
    pub gross: i128,
}

/// Range, floor and ceiling for an effect that is posted: all that a post has to pass.
#[inline(always)]
pub fn check_posting(
    effect: &Effect,
    normal_side: Side,
    limits: &Limits,
    balances: Balances,
    forced: bool,
) -> Result<(), Outcome> {
    limits.check(balances.available, balances.gross, effect.posted_on(normal_side), forced)
}

/// Range, floor, ceiling and what is left, for the `n`-th effect of an item. `named` says what is left of a posting of
/// a hold or was reversed of one of an original; told `true` it gives the highest that this can be, else the lowest. `worst`: the
/// corner is the one where refusal is likeliest.
#[inline]
pub fn check_balances(
    round: &Round,
    item: &RoundItem,
    (n, effect): (usize, &Effect),
    (normal_side, limits): (Side, &Limits),
    balances: Balances,
    worst: bool,
    named: impl Fn(PostingName, bool) -> i128,
) -> Result<(), Outcome> {
    match item.kind {
        ItemKind::Post | ItemKind::Reverse => check_posting(effect, normal_side, limits, balances, item.forced)?,
        ItemKind::Hold | ItemKind::Increase => {
            limits.check(balances.available, balances.gross, effect.held_on(normal_side), item.forced)?
        }
        ItemKind::Capture | ItemKind::Release | ItemKind::Expiry => {}
    }
    if !item.kind.names_postings() {
        return Ok(());
    }
    for posting in round.postings_on(item, n) {
        let name = round.name(item, &posting);
        let amount = posting.amount as i128;
        let refusal = match item.kind {
            // What is only freed, or taken whatever it is, cannot be too much.
            ItemKind::Capture if amount == 0 => None,
            ItemKind::Capture => (amount > named(name, !worst)).then_some(Outcome::ExceedsHold),
            ItemKind::Increase => (named(name, worst) + amount > AMOUNT_MAX as i128).then_some(Outcome::HoldAboveMax),
            _ => {
                let original = round.link(item).and_then(|link| link.target().posting(posting.index));
                let whole = original.expect("a posting of the original").amount as i128;
                (named(name, worst) + amount > whole).then_some(Outcome::ExceedsOriginal)
            }
        };
        if let Some(outcome) = refusal {
            return Err(outcome);
        }
    }
    Ok(())
}
