//! Reversals: what can be reversed, and how much of it is left.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::account::Movement;
use super::item::*;
use super::number::*;
use super::posting::{self, Part, Refusal};
use super::{Deed, Model};

/// What a posted post or capture moved: of each index the posting, and how much of it was reversed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Original {
    parts: BTreeMap<usize, (Part, BigInt)>,
}

impl Original {
    /// A capture of all that was left also names postings that had nothing left; there is no amount at those.
    pub(super) fn new(parts: &[Part]) -> Original {
        let moved = parts.iter().filter(|part| part.amount > BigInt::ZERO);
        Original { parts: moved.map(|part| (part.index, (part.clone(), BigInt::ZERO))).collect() }
    }

    fn left(&self, index: usize) -> BigInt {
        let (part, reversed) = &self.parts[&index];
        &part.amount - reversed
    }
}

impl Model {
    /// The postings that a reversal means, on the other side than the original's, if the original is there to be named.
    pub(super) fn parts_of_original(&self, institution: u32, item: &Item) -> Result<Vec<Part>, Refusal> {
        let row = self.recorded(institution, item.link).ok_or((ORIGINAL_UNKNOWN, 0))?;
        let Deed::Item(named) = &row.deed else { return Err((ORIGINAL_UNKNOWN, 0)) };
        if row.verdict.outcome != POSTED {
            return Err((ORIGINAL_NOT_POSTED, 0));
        }
        if named.kind == REVERSE {
            return Err((ORIGINAL_IS_REVERSAL, 0));
        }
        let original = self.originals.get(&(institution, item.link)).ok_or((ORIGINAL_NOT_REVERSIBLE, 0))?;
        let opposite = |part: &Part, amount: BigInt| Part { side: 1 - part.side, amount, ..part.clone() };
        if item.postings.is_empty() {
            return Ok(original.parts.values().map(|(part, _)| opposite(part, part.amount.clone())).collect());
        }
        let part = |p: &Posting| {
            let (part, _) = original.parts.get(&usize::from(p.index)).ok_or((POSTING_UNKNOWN, 0))?;
            Ok(opposite(part, p.amount.into()))
        };
        item.postings.iter().map(part).collect()
    }

    /// Whether more is reversed than is left of a posting.
    pub(super) fn exceeds_original(&self, institution: u32, item: &Item, parts: &[&Part]) -> Option<u16> {
        let original = &self.originals[&(institution, item.link)];
        parts.iter().any(|part| part.amount > original.left(part.index)).then_some(EXCEEDS_ORIGINAL)
    }

    /// Reverses parts of an original.
    pub(super) fn reverse(&mut self, institution: u32, original: u128, parts: &[Part]) -> Vec<Movement> {
        let original = self.originals.get_mut(&(institution, original)).expect("it was checked");
        let mut movements = vec![];
        for part in parts {
            original.parts.get_mut(&part.index).expect("it was checked").1 += &part.amount;
            movements.push(Movement { left: original.left(part.index), ..posting::post(part) });
        }
        movements
    }
}
