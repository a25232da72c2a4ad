//! A filter of the ids of a run: says of nearly every id that is not in the run that it is not, in one line of the cache.
//!
//! A Bloom filter in blocks of a cache line (Putze, Sanders, Singler 2007: cache-, hash- and space-efficient Bloom filters), a bit in
//! each of eight words. At 33 ids a line it takes 15.5 bits for each, and says "perhaps" of one id in a thousand that is not there.

use florin_planted::{Fault, planted};

use crate::huge_pages;
use crate::prefetch::prefetch;

/// Ids that a line is meant for.
const LINE_IDS: u64 = 33;
/// Words of a line.
pub const LINE_WORDS: usize = 8;

/// A line of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(align(64))]
pub struct Line(pub [u64; LINE_WORDS]);

/// The filter.
#[derive(PartialEq, Eq, Debug)]
pub struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// An empty filter for so many ids.
    pub fn for_ids(ids: u64) -> Filter {
        let count = Filter::lines_for(ids);
        let mut lines = huge_pages::with_capacity(count);
        lines.resize(count, Line([0; LINE_WORDS]));
        Filter { lines }
    }

    /// How many lines a filter for so many ids has.
    pub fn lines_for(ids: u64) -> usize {
        ids.div_ceil(LINE_IDS).max(1) as usize
    }

    /// The filter with these lines; at least one.
    pub fn of_lines(lines: Vec<Line>) -> Filter {
        assert!(!lines.is_empty(), "a filter has a line");
        Filter { lines }
    }

    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The line of a hash: by its highest bits, so that ids in the order of their hashes fill one line after the other.
    #[inline(always)]
    fn line_of(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }

    /// Asks for the line of a hash.
    #[inline(always)]
    pub fn touch(&self, hash: u64) {
        prefetch(&self.lines[self.line_of(hash)]);
    }

    /// Adds the id with a hash.
    pub fn add(&mut self, hash: u64) {
        if planted(Fault::FilterMissesId) && hash.is_multiple_of(8) {
            return;
        }
        let at = self.line_of(hash);
        for (word, bit) in self.lines[at].0.iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }

    /// Whether the id with a hash may have been added; false only if it was not.
    #[inline]
    pub fn may_have(&self, hash: u64) -> bool {
        let line = &self.lines[self.line_of(hash)].0;
        bits(hash).iter().zip(line).fold(0, |missing, (bit, word)| missing | (bit & !word)) == 0
    }
}

/// A bit for each word of a line, by bits of a hash that did not choose the line.
#[inline(always)]
fn bits(hash: u64) -> [u64; LINE_WORDS] {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    std::array::from_fn(|word| 1 << ((mixed >> (10 + 6 * word)) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::hash_id;

    #[test]
    fn what_was_added_is_never_denied_and_what_was_not_is_nearly_always() {
        let hash = |n: u32| hash_id(3, u128::from(n) << 40, 99);
        for count in [0u32, 1, 50, 100_000] {
            let mut filter = Filter::for_ids(u64::from(count));
            (0..count).for_each(|n| filter.add(hash(n)));
            assert!((0..count).all(|n| filter.may_have(hash(n))));
            let perhaps = (count..count + 1_000_000).filter(|n| filter.may_have(hash(*n))).count();
            assert!(perhaps < 2_500, "{perhaps} of a million in a filter of {count}");
            let bits = filter.lines().len() as f64 * 512.0 / f64::from(count.max(1));
            assert!(count < 1000 || bits < 15.6, "{bits} bits an id");
            assert_eq!(Filter::of_lines(filter.lines().to_vec()), filter);
        }
    }
}
