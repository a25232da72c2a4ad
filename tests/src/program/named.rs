//! Items that name a hold or an original: recent ones of the same request above all, so that they meet.

use std::collections::BTreeMap;

use crate::model::Model;
use crate::model::item::*;
use crate::model::number::POSTED;
use crate::program::accounts::Cast;
use crate::rng::Rng;

/// A place in a list, rather near its end.
pub fn recent(rng: &mut Rng, length: usize) -> usize {
    length - 1 - rng.below(length).min(rng.below(length)).min(rng.below(length))
}

/// What was written so far for an institution, and can be named.
#[derive(Debug)]
pub struct Named<'a> {
    items: Vec<&'a Item>,
    /// Those that were posted, and holds that are open.
    alive: Vec<&'a Item>,
}

impl<'a> Named<'a> {
    /// Of the items written so far, in order. `rehearsal` knows what has probably become of them.
    pub fn new(written: &'a [(u32, Item)], institution: u32, rehearsal: &'a Model) -> Named<'a> {
        // Far back nothing much happens any more.
        let near = &written[written.len().saturating_sub(100)..];
        let items: Vec<&Item> = near.iter().filter(|(of, _)| *of == institution).map(|(_, item)| item).collect();
        let alive = |item: &Item| match item.kind {
            HOLD => rehearsal.has_open_hold(institution, item.id),
            _ => rehearsal.recorded(institution, item.id).is_some_and(|row| row.verdict.outcome == POSTED),
        };
        Named { alive: items.iter().copied().filter(|item| alive(item)).collect(), items }
    }

    /// An increase, capture, release or reversal; none if there is nothing yet that it could name.
    pub fn item(&self, rng: &mut Rng, cast: &Cast, kind: u8, id: u128) -> Option<Item> {
        let fits = |item: &&&Item| match kind {
            REVERSE => item.kind == POST || item.kind == CAPTURE,
            _ => item.kind == HOLD,
        };
        let from = if rng.chance(85) { &self.alive } else { &self.items };
        let fitting: Vec<&Item> = from.iter().filter(fits).copied().collect();
        let mut item = Item { kind, ..Item::release(id, 0) };
        let target = match rng.below(100) {
            // What does not exist.
            0 => return Some(Item { link: rng.next_u128() | 1, postings: vec![Posting::at(0, 1)], ..item }),
            1 => return Some(Item { link: id, postings: vec![Posting::at(0, 1)], ..item }),
            // Anything.
            2..=4 if !self.items.is_empty() => self.items[recent(rng, self.items.len())],
            _ if !fitting.is_empty() => fitting[recent(rng, fitting.len())],
            _ => return None,
        };
        item.link = target.id;
        let whole = kind == RELEASE || (kind != INCREASE && rng.chance(30));
        if !whole {
            item.postings = amounts(rng, cast, &self.postings_of(target));
        }
        item.is_final = kind == CAPTURE && rng.chance(20);
        Some(item)
    }

    /// The postings that an index of something that names this item means: those of its hold, if it is a capture.
    fn postings_of(&self, target: &Item) -> Vec<Posting> {
        if target.kind != CAPTURE {
            return target.postings.clone();
        }
        let hold = self.items.iter().find(|item| item.id == target.link);
        let hold: &[Posting] = hold.map_or(&[], |hold| &hold.postings);
        if target.postings.is_empty() {
            return hold.to_vec();
        }
        // As far as the capture took something. The rest keeps its place, with nothing in it.
        let amount =
            |index: usize| target.postings.iter().find(|p| usize::from(p.index) == index).map_or(0, |p| p.amount);
        hold.iter().enumerate().map(|(index, p)| Posting { amount: amount(index), ..*p }).collect()
    }
}

/// Amounts that balance: of debits and credits in one asset, a few pairs.
fn amounts(rng: &mut Rng, cast: &Cast, of: &[Posting]) -> Vec<Posting> {
    let mut amounts: BTreeMap<u16, u128> = BTreeMap::new();
    for _ in 0..rng.pick(&[1, 1, 2, 4]) {
        let Some(debit) = any(rng, of, |p| p.side == DEBIT) else { break };
        let Some(credit) = any(rng, of, |p| p.side != DEBIT && p.asset == of[debit].asset) else { break };
        let smaller = of[debit].amount.min(of[credit].amount);
        let amount = match rng.below(6) {
            0 => 1,
            1 => smaller / 2 + 1,
            2 => smaller.saturating_add(1),
            3 => rng.pick(cast.measure.amounts),
            _ => smaller,
        };
        for index in [debit, credit] {
            let sum = amounts.entry(index as u16).or_default();
            *sum = sum.saturating_add(amount.max(1));
        }
    }
    let mut postings: Vec<Posting> = amounts.into_iter().map(|(index, amount)| Posting::at(index, amount)).collect();
    if postings.is_empty() {
        postings = vec![Posting::at(0, 1), Posting::at(1, 1)];
    }
    postings
}

/// The place of one of the postings that fit.
fn any(rng: &mut Rng, of: &[Posting], fits: impl Fn(&Posting) -> bool) -> Option<usize> {
    let fitting: Vec<usize> = (0..of.len()).filter(|index| fits(&of[*index])).collect();
    (!fitting.is_empty()).then(|| rng.pick(&fitting))
}
