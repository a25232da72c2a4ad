//! The entries of recent ids, in the order in which they came, in blocks: the first go as a whole, what is left keeps its places.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use crate::huge_pages;

/// A block of so many entries, as a power of two, takes 16 MiB.
const BLOCK_BITS_DEFAULT: u32 = 19;
/// From so many entries on the first block has its full size; a small ledger takes little memory.
const SMALL: usize = 1 << 12;

/// An id and its row in half a cache line, as words so that it needs no 16-byte alignment.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub struct Used {
    id: [u64; 2],
    /// The row that used it.
    pub sequence: u64,
    institution: u32,
    /// What became of a hold: 0, or a [`super::Closed`]. Noted only while this entry is in the last block.
    pub closed: u32,
}

const _: () = assert!(size_of::<Used>() == 32);

impl Used {
    /// The entry of an id.
    pub fn new(institution: u32, id: u128, sequence: u64) -> Used {
        Used { id: words(id), sequence, institution, closed: 0 }
    }

    /// Whether it is that of an id.
    #[inline(always)]
    pub fn is(&self, institution: u32, id: u128) -> bool {
        self.id == words(id) && self.institution == institution
    }
}

fn words(id: u128) -> [u64; 2] {
    [id as u64, (id >> 64) as u64]
}

/// The entries.
pub struct Recent {
    /// All but the last are full.
    blocks: VecDeque<Vec<Used>>,
    block_bits: u32,
    /// How many blocks went.
    gone: usize,
    /// Memory of one that went, for the next that is needed: it need not be touched for the first time again.
    spare: Option<Vec<Used>>,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent::with_block_bits(BLOCK_BITS_DEFAULT)
    }
}

impl Recent {
    /// No entries, in blocks of as many as this power of two.
    pub fn with_block_bits(block_bits: u32) -> Recent {
        Recent { blocks: VecDeque::from([Vec::new()]), block_bits, gone: 0, spare: None }
    }

    /// The index behind the last entry.
    pub fn end(&self) -> usize {
        ((self.gone + self.blocks.len() - 1) << self.block_bits) + self.blocks.back().map_or(0, Vec::len)
    }

    /// The index of the first entry that is left.
    pub fn first(&self) -> usize {
        self.gone << self.block_bits
    }

    /// How many entries are left.
    pub fn count(&self) -> usize {
        self.end() - self.first()
    }

    /// The index of which a number is the low bits.
    #[inline(always)]
    pub fn index_of(&self, number: u32) -> usize {
        let first = self.first();
        first + number.wrapping_sub(first as u32) as usize
    }

    /// The entry of which a number is the low bits, if it is left.
    #[inline(always)]
    pub fn numbered(&self, number: u32) -> Option<&Used> {
        let index = self.index_of(number);
        self.blocks.get((index >> self.block_bits) - self.gone)?.get(index & ((1 << self.block_bits) - 1))
    }

    /// Whether an index is in the last block.
    pub fn is_in_last_block(&self, index: usize) -> bool {
        index >> self.block_bits == self.gone + self.blocks.len() - 1
    }

    /// The index of the first entry behind a row.
    pub fn behind(&self, sequence: u64) -> usize {
        let is_before = |entry: &Used| entry.sequence <= sequence;
        let block = self.blocks.partition_point(|block| block.last().is_some_and(is_before));
        let rest = self.blocks.get(block).map_or(0, |block| block.partition_point(is_before));
        if block == self.blocks.len() { self.end() } else { ((self.gone + block) << self.block_bits) + rest }
    }

    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, entry: Used) {
        let last = self.blocks.back_mut().expect("there is a block");
        if last.len() < last.capacity() && last.len() < 1 << self.block_bits {
            last.push(entry);
        } else {
            self.with_room().push(entry);
        }
    }

    #[cold]
    fn with_room(&mut self) -> &mut Vec<Used> {
        let whole = 1 << self.block_bits;
        let last = self.blocks.back_mut().expect("there is a block");
        let spare = &mut self.spare;
        let mut block = || spare.take().unwrap_or_else(|| huge_pages::with_capacity(whole));
        if last.len() == whole {
            self.blocks.push_back(block());
        } else if last.len() >= SMALL {
            let mut larger = block();
            larger.append(last);
            *last = larger;
        }
        self.blocks.back_mut().expect("there is a block")
    }

    /// How many entries a block has that will be needed before long, if there is no memory for one.
    pub fn wants_block(&self) -> Option<usize> {
        let entries = 1 << self.block_bits;
        let is_near = self.blocks.back().is_some_and(|last| last.len() * 2 >= entries);
        (is_near && entries > SMALL && self.spare.is_none()).then_some(entries)
    }

    /// Takes memory for a block, which has room for as many entries as were wanted.
    pub fn take_block(&mut self, block: Vec<Used>) {
        assert!(block.is_empty() && block.capacity() >= 1 << self.block_bits, "memory for a block");
        self.spare = Some(block);
    }

    /// Lets all blocks go before the one with this index, but never the last.
    pub fn let_go_before(&mut self, index: usize) {
        while self.blocks.len() > 1 && (self.gone + 1) << self.block_bits <= index {
            let mut block = self.blocks.pop_front().expect("there is more than one");
            block.clear();
            self.spare = Some(block);
            self.gone += 1;
        }
    }
}

impl Index<usize> for Recent {
    type Output = Used;

    #[inline(always)]
    fn index(&self, index: usize) -> &Used {
        &self.blocks[(index >> self.block_bits) - self.gone][index & ((1 << self.block_bits) - 1)]
    }
}

impl IndexMut<usize> for Recent {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut Used {
        &mut self.blocks[(index >> self.block_bits) - self.gone][index & ((1 << self.block_bits) - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_a_block_is_wanted_before_it_is_needed_and_used_when_it_is() {
        let block = 1 << 13;
        let mut recent = Recent::with_block_bits(13);
        let (mut given, mut wanted_at) = (0, None);
        for n in 0..100_000usize {
            if let Some(entries) = recent.wants_block() {
                assert_eq!(entries, block);
                // A while later, but before it is needed.
                let at = *wanted_at.get_or_insert(n);
                if n == at + 1_000 {
                    let memory = crate::huge_pages::touched(entries, Used::new(0, 0, 0));
                    let place = memory.as_ptr();
                    recent.take_block(memory);
                    assert!(recent.wants_block().is_none());
                    assert_eq!(recent.spare.as_ref().map(|spare| spare.as_ptr()), Some(place));
                    (given, wanted_at) = (given + 1, None);
                }
            }
            recent.push(Used::new(1, n as u128 + 1, n as u64 + 1));
            assert!(recent[n].is(1, n as u128 + 1));
        }
        assert_eq!(given, 100_000 / block, "each block was there before it was needed");
    }

    #[test]
    fn what_is_left_keeps_its_places_when_the_first_blocks_go() {
        for bits in [0, 3, 13] {
            let mut recent = Recent::with_block_bits(bits);
            let block = 1usize << bits;
            for n in 0..20_000usize {
                recent.push(Used::new(1, n as u128 + 1, 2 * n as u64 + 1));
                if n % 7_777 == 7_776 {
                    let before = n - n % 1_000;
                    recent.let_go_before(before);
                    assert_eq!(recent.first(), before / block * block);
                }
                assert!(recent[n].is(1, n as u128 + 1) && recent.is_in_last_block(n));
                assert_eq!((recent.end(), recent.behind(2 * n as u64), recent.behind(u64::MAX)), (n + 1, n, n + 1));
            }
            let first = recent.first();
            assert!((first..20_000).all(|n| recent.numbered(n as u32).is_some_and(|entry| entry.is(1, n as u128 + 1))));
            assert!(recent.numbered(first.wrapping_sub(1) as u32).is_none() && recent.numbered(20_000).is_none());
            assert_eq!((recent.behind(0), recent.count()), (first, 20_000 - first));
        }
    }
}
