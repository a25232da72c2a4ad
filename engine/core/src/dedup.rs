//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator.
//!
//! Entries of 32 bytes stand in the order in which ids came, one behind the other; a [`Table`] finds them. An id that is new, as
//! nearly all are, costs one line that is not in the cache, and nothing else.

use crate::account::hash_id;
use crate::blocks::Blocks;
use crate::request::ItemKind;
use crate::table::Table;

/// Entries of a block, 64 MiB.
const BLOCK_ENTRIES: usize = 1 << 21;
/// Most ids that are touched at once.
pub const TOUCHED_AT_ONCE: usize = 64;

/// An id and its place in half a cache line, as words so that it needs no 16-byte alignment.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Used {
    id: [u64; 2],
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

impl Closed {
    /// What an item of a kind does to the hold that it closes.
    pub fn by(kind: ItemKind) -> Closed {
        if kind == ItemKind::Expiry { Closed::ByExpiry } else { Closed::ByClient }
    }
}

const _: () = assert!(size_of::<Used>() == 32);

impl Used {
    fn is(&self, institution: u32, id: u128) -> bool {
        self.id == words(id) && self.institution == institution
    }
}

fn words(id: u128) -> [u64; 2] {
    [id as u64, (id >> 64) as u64]
}

/// Hashes of ids that were touched.
pub struct Hashes([u64; TOUCHED_AT_ONCE]);

impl Default for Hashes {
    /// Of none yet.
    fn default() -> Hashes {
        Hashes([0; TOUCHED_AT_ONCE])
    }
}

/// The index of used ids. Nothing is ever removed.
pub struct Dedup {
    seed: u64,
    table: Table,
    /// In the order in which they came.
    entries: Blocks<Used, BLOCK_ENTRIES>,
}

impl Dedup {
    /// An empty index. The seed should be random, so that nobody can choose ids that collide.
    pub fn new(seed: u64) -> Dedup {
        Dedup { seed, table: Table::default(), entries: Blocks::default() }
    }

    fn hash(&self, institution: u32, id: u128) -> u64 {
        hash_id(institution, id, self.seed)
    }

    /// The index of an id's entry.
    fn find_entry(&self, institution: u32, id: u128) -> Option<usize> {
        let is = |number| self.entries[number as usize].is(institution, id);
        self.table.find(self.hash(institution, id), is).map(|number| number as usize)
    }

    /// Where the id was used.
    pub fn find(&self, institution: u32, id: u128) -> Option<u64> {
        self.find_entry(institution, id).map(|at| self.entries[at].sequence)
    }

    /// Brings the places of at most [`TOUCHED_AT_ONCE`] ids into the cache, and gives their hashes.
    pub fn touch(&self, institution: u32, ids: impl Iterator<Item = u128>) -> Hashes {
        let mut hashes = Hashes::default();
        for (hash, id) in hashes.0.iter_mut().zip(ids) {
            *hash = self.hash(institution, id);
            self.table.touch(*hash);
        }
        hashes
    }

    /// Notes that the id is used by the row `sequence`, which is not 0, unless it was used before: then says where.
    pub fn insert(&mut self, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        self.insert_hashed(self.hash(institution, id), institution, id, sequence)
    }

    /// The same for the `at`-th of the ids that were touched.
    pub fn insert_touched(
        &mut self,
        hashes: &Hashes,
        at: usize,
        institution: u32,
        id: u128,
        sequence: u64,
    ) -> Result<(), u64> {
        debug_assert_eq!(hashes.0[at], self.hash(institution, id), "the hash of another id");
        self.insert_hashed(hashes.0[at], institution, id, sequence)
    }

    #[inline]
    fn insert_hashed(&mut self, hash: u64, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        debug_assert_ne!(sequence, 0, "rows are numbered from 1");
        let (entries, next) = (&self.entries, self.entries.len() as u32);
        assert_ne!(next, u32::MAX, "fewer than 2^32 ids");
        let inserted = self.table.insert(hash, next, |number| entries[number as usize].is(institution, id));
        inserted.map_err(|number| entries[number as usize].sequence)?;
        self.entries.push(Used { id: words(id), sequence, institution, closed: 0 });
        Ok(())
    }

    /// Notes how the hold of a known id ended.
    pub fn close(&mut self, institution: u32, id: u128, how: Closed) {
        let at = self.find_entry(institution, id).expect("a hold's id is known");
        self.entries[at].closed = how as u32;
    }

    /// How the hold of an id ended; none if it is open, or no hold, or not known.
    pub fn closed(&self, institution: u32, id: u128) -> Option<Closed> {
        match self.entries[self.find_entry(institution, id)?].closed {
            0 => None,
            1 => Some(Closed::ByClient),
            _ => Some(Closed::ByExpiry),
        }
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        for from in (1..=100_000).step_by(50) {
            let hashes = dedup.touch(1, (from..from + 50).map(id));
            for n in from..from + 50 {
                assert_eq!(dedup.insert_touched(&hashes, (n - from) as usize, 1, id(n), n), Ok(()));
            }
        }
        for from in (1..=200_000).step_by(64) {
            dedup.touch(1, (from..from + 64).map(id));
        }
        for n in 1..=200_000 {
            assert_eq!(dedup.find(1, id(n)), (n <= 100_000).then_some(n));
            assert_eq!(dedup.find(2, id(n)), None);
        }
        assert_eq!((dedup.insert(1, id(77), 5), dedup.len()), (Err(77), 100_000));
    }

    #[test]
    fn how_a_hold_ended_stays_with_its_id() {
        let mut dedup = Dedup::new(5);
        (1..=3).for_each(|n| assert_eq!(dedup.insert(1, u128::from(n), n), Ok(())));
        dedup.close(1, 1, Closed::ByExpiry);
        dedup.close(1, 3, Closed::ByClient);
        let closed = [1, 2, 3, 4].map(|id| dedup.closed(1, id));
        assert_eq!(closed, [Some(Closed::ByExpiry), None, Some(Closed::ByClient), None]);
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
