//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator, and an old id costs 32 bytes and its share of free space.

use crate::account::hash_id;
use crate::huge_pages;

/// Sub-tables; each grows on its own, so that no single insert moves the whole index. Few enough that those of a large index are
/// worth huge pages.
const PARTS: usize = 64;
/// Entries of a new sub-table; a power of two, as is every larger size.
const ENTRIES_MIN: usize = 16;

/// An id and its place in half a cache line, as words so that it needs no 16-byte alignment.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Used {
    id: [u64; 2],
    /// 0 = free; rows are numbered from 1.
    sequence: u64,
    institution: u32,
    /// What became of a hold: 0, or a [`Closed`].
    closed: u32,
}

/// How a hold ended, noted beside its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Closed {
    /// Captured finally, or released.
    ByClient = 1,
    /// Its time was over.
    ByExpiry = 2,
}

const _: () = assert!(size_of::<Used>() == 32);

impl Used {
    fn is(&self, institution: u32, id: u128) -> bool {
        self.id == words(id) && self.institution == institution
    }

    fn is_free(&self) -> bool {
        self.sequence == 0
    }
}

fn words(id: u128) -> [u64; 2] {
    [id as u64, (id >> 64) as u64]
}

/// Open addressing with linear probing. Nothing is ever removed.
struct Part {
    entries: Vec<Used>,
    used: usize,
    /// Parts fill alike, so each has a fill of its own at which it grows, from a half to four fifths: otherwise all would
    /// grow at nearly the same moment.
    fill: usize,
}

impl Part {
    fn new(index: usize) -> Part {
        Part { entries: vec![Used::default(); ENTRIES_MIN], used: 0, fill: PARTS * 5 / 10 + index * 3 / 10 }
    }

    fn is_full(&self) -> bool {
        self.used * PARTS >= self.entries.len() * self.fill
    }

    /// The entry with the id, or the free one where it belongs.
    fn place(&self, hash: u64, institution: u32, id: u128) -> usize {
        let mut at = hash as usize & (self.entries.len() - 1);
        while !self.entries[at].is_free() && !self.entries[at].is(institution, id) {
            at = (at + 1) & (self.entries.len() - 1);
        }
        at
    }

    fn grow(&mut self, seed: u64) {
        let larger = huge_pages::filled(Used::default(), self.entries.len() * 2);
        for used in std::mem::replace(&mut self.entries, larger).into_iter().filter(|u| !u.is_free()) {
            let id = u128::from(used.id[0]) | (u128::from(used.id[1]) << 64);
            let at = self.place(hash_id(used.institution, id, seed), used.institution, id);
            self.entries[at] = used;
        }
    }
}

/// The index of used ids.
pub struct Dedup {
    seed: u64,
    parts: Vec<Part>,
}

impl Dedup {
    /// An empty index. The seed should be random, so that nobody can choose ids that collide.
    pub fn new(seed: u64) -> Dedup {
        Dedup { seed, parts: (0..PARTS).map(Part::new).collect() }
    }

    /// The sub-table of an id, by bits of its hash that are not used within it, and the hash.
    fn split(&self, institution: u32, id: u128) -> (usize, u64) {
        let hash = hash_id(institution, id, self.seed);
        ((hash >> 56) as usize % PARTS, hash)
    }

    /// Where the id was used.
    pub fn find(&self, institution: u32, id: u128) -> Option<u64> {
        let (part, hash) = self.split(institution, id);
        let part = &self.parts[part];
        Some(part.entries[part.place(hash, institution, id)].sequence).filter(|&sequence| sequence != 0)
    }

    /// Brings the places of ids into the cache: the loads are independent of each other, so their misses overlap.
    pub fn touch(&self, institution: u32, ids: impl Iterator<Item = u128>) {
        let touched = ids.fold(0, |sum: u64, id| {
            let (part, hash) = self.split(institution, id);
            let entries = &self.parts[part].entries;
            sum.wrapping_add(entries[hash as usize & (entries.len() - 1)].sequence)
        });
        std::hint::black_box(touched);
    }

    /// Notes that the id is used by the row `sequence`, which is not 0, unless it was used before: then says where.
    pub fn insert(&mut self, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        debug_assert_ne!(sequence, 0, "rows are numbered from 1");
        let (part, hash) = self.split(institution, id);
        let (part, seed) = (&mut self.parts[part], self.seed);
        let mut at = part.place(hash, institution, id);
        if !part.entries[at].is_free() {
            return Err(part.entries[at].sequence);
        }
        if part.is_full() {
            part.grow(seed);
            at = part.place(hash, institution, id);
        }
        part.used += 1;
        part.entries[at] = Used { id: words(id), sequence, institution, closed: 0 };
        Ok(())
    }

    /// Notes how the hold of a known id ended.
    pub fn close(&mut self, institution: u32, id: u128, how: Closed) {
        let (part, hash) = self.split(institution, id);
        let part = &mut self.parts[part];
        let at = part.place(hash, institution, id);
        assert!(!part.entries[at].is_free(), "a hold's id is known");
        part.entries[at].closed = how as u32;
    }

    /// How the hold of an id ended; none if it is open, or no hold, or not known.
    pub fn closed(&self, institution: u32, id: u128) -> Option<Closed> {
        let (part, hash) = self.split(institution, id);
        let part = &self.parts[part];
        match part.entries[part.place(hash, institution, id)].closed {
            0 => None,
            1 => Some(Closed::ByClient),
            _ => Some(Closed::ByExpiry),
        }
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|p| p.used).sum()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_id_is_used_once_per_institution() {
        let mut dedup = Dedup::new(7);
        assert_eq!(dedup.insert(1, u128::MAX, 5), Ok(()));
        assert_eq!(dedup.insert(1, u128::MAX, 6), Err(5));
        assert_eq!(dedup.insert(2, u128::MAX, u64::MAX), Ok(()));
        assert_eq!((dedup.find(1, u128::MAX), dedup.find(2, u128::MAX)), (Some(5), Some(u64::MAX)));
        assert_eq!((dedup.find(1, 1), dedup.len(), dedup.is_empty()), (None, 2, false));
    }

    #[test]
    fn ids_are_found_where_they_were_used_through_all_growth() {
        let mut dedup = Dedup::new(11);
        let id = |n: u64| u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for n in 1..=100_000 {
            assert_eq!(dedup.insert(1, id(n), n), Ok(()));
        }
        dedup.touch(1, (1..=200_000).map(id));
        for n in 1..=200_000 {
            assert_eq!(dedup.find(1, id(n)), (n <= 100_000).then_some(n));
            assert_eq!(dedup.find(2, id(n)), None);
        }
        assert_eq!((dedup.insert(1, id(77), 5), dedup.len()), (Err(77), 100_000));
    }

    /// High words that make a factor of an unseeded product 0 or all ones.
    #[test]
    fn no_high_word_makes_ids_collide_under_a_seed_that_is_not_known() {
        for seed in [1, 0x1234_5678_9abc_def0, u64::MAX - 5] {
            for high in [0u64, u64::MAX, 0xd1b5_4a32_d192_ed03, !0xd1b5_4a32_d192_ed03] {
                let mut same_hash: HashMap<u64, u32> = HashMap::new();
                for low in 1..=20_000u128 {
                    *same_hash.entry(hash_id(1, (u128::from(high) << 64) | low, seed)).or_default() += 1;
                }
                assert!(same_hash.values().all(|&n| n <= 2), "seed {seed:#x} high word {high:#x}");
            }
        }
    }
}
