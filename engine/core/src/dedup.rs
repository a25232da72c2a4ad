//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator, and an old id costs 28 bytes.

use hashbrown::HashTable;

use crate::account::hash_id;

/// Sub-tables; each grows on its own, so that no single insert moves the whole index.
const PARTS: usize = 256;

/// An id and its place, as words so that it needs no 16-byte alignment.
#[derive(Clone, Copy)]
struct Used {
    id: [u32; 4],
    institution: u32,
    sequence: [u32; 2],
}

impl Used {
    fn id(&self) -> u128 {
        self.id.iter().rev().fold(0, |id, &word| (id << 32) | u128::from(word))
    }

    fn sequence(&self) -> u64 {
        u64::from(self.sequence[0]) | (u64::from(self.sequence[1]) << 32)
    }
}

/// The index of used ids.
pub struct Dedup {
    seed: u64,
    parts: Vec<HashTable<Used>>,
}

impl Dedup {
    /// An empty index. The seed should be random, so that nobody can choose ids that collide.
    pub fn new(seed: u64) -> Dedup {
        Dedup { seed, parts: (0..PARTS).map(|_| HashTable::new()).collect() }
    }

    fn split(&self, institution: u32, id: u128) -> (usize, u64) {
        let hash = hash_id(institution, id, self.seed);
        // The table itself uses the topmost seven bits and the lowest ones; these are from the middle.
        (((hash >> 40) as usize) % PARTS, hash)
    }

    /// Where the id was used.
    pub fn find(&self, institution: u32, id: u128) -> Option<u64> {
        let (part, hash) = self.split(institution, id);
        self.parts[part].find(hash, |u| u.institution == institution && u.id() == id).map(Used::sequence)
    }

    /// Brings the places of ids into the cache: the look-ups are independent of each other, so their misses overlap.
    pub fn touch(&self, institution: u32, ids: impl Iterator<Item = u128>) {
        let known = ids.filter(|&id| self.find(institution, id).is_some()).count();
        std::hint::black_box(known);
    }

    /// Notes that the id is used by the row `sequence`, unless it was used before: then says where.
    pub fn insert(&mut self, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        let (part, hash) = self.split(institution, id);
        let seed = self.seed;
        let entry = self.parts[part].entry(
            hash,
            |u| u.institution == institution && u.id() == id,
            |u| hash_id(u.institution, u.id(), seed),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(used) => Err(used.get().sequence()),
            hashbrown::hash_table::Entry::Vacant(free) => {
                let word = |shift: u32| (id >> shift) as u32;
                free.insert(Used {
                    id: [word(0), word(32), word(64), word(96)],
                    institution,
                    sequence: [sequence as u32, (sequence >> 32) as u32],
                });
                Ok(())
            }
        }
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
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
