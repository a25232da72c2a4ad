//! A vector that grows by blocks, so that no push has to copy more than the first few elements.

use std::ops::{Index, IndexMut};

use crate::huge_pages;

/// From so many elements on the first block has its full size; a small vector takes little memory.
const SMALL: usize = 1 << 12;

/// Elements in blocks of `N`, a power of two, on huge pages as far as the system has them.
#[derive(Debug)]
pub struct Blocks<T, const N: usize> {
    /// All but the last are full.
    blocks: Vec<Vec<T>>,
}

impl<T, const N: usize> Default for Blocks<T, N> {
    fn default() -> Blocks<T, N> {
        const { assert!(N.is_power_of_two() && N >= SMALL) };
        Blocks { blocks: vec![Vec::new()] }
    }
}

impl<T, const N: usize> Blocks<T, N> {
    /// How many elements.
    pub fn len(&self) -> usize {
        (self.blocks.len() - 1) * N + self.blocks.last().map_or(0, Vec::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.blocks.get(index / N)?.get(index % N)
    }

    /// The first index whose element is not one of those that `is_before` says yes to, which all come first.
    pub fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let block = self.blocks.partition_point(|block| block.last().is_some_and(&is_before));
        let rest = self.blocks.get(block).map_or(0, |block| block.partition_point(&is_before));
        if block == self.blocks.len() { self.len() } else { block * N + rest }
    }

    /// Adds an element.
    #[inline]
    pub fn push(&mut self, element: T) {
        let last = self.blocks.last_mut().expect("there is a block");
        if last.len() < last.capacity() && last.len() < N {
            last.push(element);
        } else {
            self.with_room().push(element);
        }
    }

    #[cold]
    fn with_room(&mut self) -> &mut Vec<T> {
        let last = self.blocks.last_mut().expect("there is a block");
        if last.len() == N {
            self.blocks.push(huge_pages::with_capacity(N));
        } else if last.len() >= SMALL {
            let mut whole = huge_pages::with_capacity(N);
            whole.append(last);
            *last = whole;
        }
        self.blocks.last_mut().expect("there is a block")
    }
}

impl<T, const N: usize> Index<usize> for Blocks<T, N> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        &self.blocks[index / N][index % N]
    }
}

impl<T, const N: usize> IndexMut<usize> for Blocks<T, N> {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.blocks[index / N][index % N]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_where_they_were_put_through_all_growth() {
        let mut blocks = Blocks::<u64, 8192>::default();
        assert!(blocks.is_empty() && blocks.get(0).is_none());
        for n in 0..30_000 {
            blocks.push(n);
            assert_eq!((blocks.len(), blocks[n as usize]), (n as usize + 1, n));
        }
        for n in [0, 4_095, 4_096, 8_191, 8_192, 29_999] {
            blocks[n] += 1;
            assert_eq!(blocks.get(n), Some(&(n as u64 + 1)));
        }
        assert_eq!((blocks.get(30_000), blocks.get(1 << 40)), (None, None));
    }

    #[test]
    fn where_a_condition_ends_is_found() {
        let mut blocks = Blocks::<u64, 4096>::default();
        assert_eq!(blocks.partition_point(|_| true), 0);
        (0..10_000).for_each(|n| blocks.push(n));
        for end in [0, 1, 4_095, 4_096, 4_097, 8_192, 9_999, 10_000] {
            assert_eq!(blocks.partition_point(|n| *n < end), end as usize);
        }
    }

    #[test]
    fn elements_stay_where_they_are_once_the_vector_is_not_small() {
        let mut blocks = Blocks::<u64, 32_768>::default();
        (0..=SMALL as u64).for_each(|n| blocks.push(n));
        let place = &raw const blocks[0];
        (0..100_000).for_each(|n| blocks.push(n));
        assert_eq!(place, &raw const blocks[0]);
    }
}
