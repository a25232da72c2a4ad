//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator.
//!
//! Entries of 32 bytes stand in the order in which ids came, one behind the other; slots of 8 bytes find them. An id that is
//! new, as nearly all are, costs one line of slots that is not in the cache, and nothing else.
//!
//! The slots are an extendible hash table: a directory names a segment for each value of the first bits of an id's hash, and a
//! segment is a small table of its own. One that is full is split in two, by one bit more; nothing else moves. So no insert
//! costs more than one split, whatever the number of ids, and a split works on memory that fits a core's cache.

use crate::account::hash_id;
use crate::huge_pages;

/// Slots of a segment: 64 KiB.
const SLOT_BITS: u32 = 13;
const SLOTS: usize = 1 << SLOT_BITS;
/// Most bits that name a segment: as many as a slot keeps of the hash beside those that lead to a place in the segment.
const DEPTH_MAX: u32 = 32 - SLOT_BITS;
/// Most segments of a block of slots, 64 MiB. Memory is taken in blocks, so that it can stand on huge pages.
const BLOCK_SEGMENTS_MAX: usize = 1 << 10;
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

const _: () = assert!(size_of::<Used>() == 32);

impl Used {
    fn is(&self, institution: u32, id: u128) -> bool {
        self.id == words(id) && self.institution == institution
    }
}

fn words(id: u128) -> [u64; 2] {
    [id as u64, (id >> 64) as u64]
}

/// Free, or the first half of an id's hash and the number of its entry, from 1.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot(u64);

impl Slot {
    const FREE: Slot = Slot(0);

    fn new(hash: u64, entry: u32) -> Slot {
        Slot(hash >> 32 << 32 | u64::from(entry + 1))
    }

    fn has_half_of(self, hash: u64) -> bool {
        self.0 >> 32 == hash >> 32
    }

    fn entry(self) -> usize {
        self.0 as u32 as usize - 1
    }
}

/// Where a segment is, and by how many bits of the hash its ids are told from others'.
#[derive(Clone, Copy)]
struct Place {
    block: u16,
    segment: u16,
    depth: u32,
}

impl Place {
    /// The first slot of the segment, in its block.
    fn from(self) -> usize {
        usize::from(self.segment) * SLOTS
    }
}

/// Memory for segments.
struct Block {
    slots: Vec<Slot>,
    /// How many more ids each segment takes before it is split.
    left: Vec<u16>,
}

/// Hashes of ids that were touched.
pub struct Hashes([u64; TOUCHED_AT_ONCE]);

/// The index of used ids. Nothing is ever removed.
pub struct Dedup {
    seed: u64,
    /// The segment of each value of the first `depth` bits of a hash.
    directory: Vec<Place>,
    depth: u32,
    blocks: Vec<Block>,
    /// All but the last are full.
    entries: Vec<Vec<Used>>,
    count: u32,
    /// A segment that is being split, apart from its place.
    scratch: Vec<Slot>,
}

impl Dedup {
    /// An empty index. The seed should be random, so that nobody can choose ids that collide.
    pub fn new(seed: u64) -> Dedup {
        let directory = vec![Place { block: 0, segment: 0, depth: 0 }];
        let (blocks, entries) = (Vec::new(), vec![Vec::new()]);
        let mut dedup = Dedup { seed, directory, depth: 0, blocks, entries, count: 0, scratch: Vec::new() };
        dedup.new_segment();
        dedup.blocks[0].left[0] = most(0, 0);
        dedup
    }

    fn hash(&self, institution: u32, id: u128) -> u64 {
        hash_id(institution, id, self.seed)
    }

    fn place(&self, hash: u64) -> Place {
        self.directory[first_bits(hash, self.depth)]
    }

    /// The number of an id's entry; else the free slot where it belongs, in its block.
    #[inline]
    fn look_up(&self, place: Place, hash: u64, institution: u32, id: u128) -> Result<usize, usize> {
        let slots = &self.blocks[usize::from(place.block)].slots[place.from()..place.from() + SLOTS];
        let mut at = start(hash, place.depth);
        loop {
            let slot = slots[at];
            if slot == Slot::FREE {
                return Err(place.from() + at);
            }
            if slot.has_half_of(hash) && self.entry(slot.entry()).is(institution, id) {
                return Ok(slot.entry());
            }
            at = (at + 1) % SLOTS;
        }
    }

    fn entry(&self, number: usize) -> &Used {
        &self.entries[number / BLOCK_ENTRIES][number % BLOCK_ENTRIES]
    }

    fn find_entry(&self, institution: u32, id: u128) -> Option<usize> {
        let hash = self.hash(institution, id);
        self.look_up(self.place(hash), hash, institution, id).ok()
    }

    /// Where the id was used.
    pub fn find(&self, institution: u32, id: u128) -> Option<u64> {
        self.find_entry(institution, id).map(|number| self.entry(number).sequence)
    }

    /// Brings the places of at most [`TOUCHED_AT_ONCE`] ids into the cache, and gives their hashes. The loads are independent of
    /// each other and follow closely, so that as many misses overlap as the processor can have under way.
    pub fn touch(&self, institution: u32, ids: impl Iterator<Item = u128>) -> Hashes {
        let mut hashes = Hashes([0; TOUCHED_AT_ONCE]);
        let mut places = [(0u32, 0u32); TOUCHED_AT_ONCE];
        let mut count = 0;
        for ((hash, place), id) in hashes.0.iter_mut().zip(&mut places).zip(ids) {
            *hash = self.hash(institution, id);
            let found = self.place(*hash);
            *place = (u32::from(found.block), (found.from() + start(*hash, found.depth)) as u32);
            count += 1;
        }
        let slot = |&(block, at): &(u32, u32)| self.blocks[block as usize].slots[at as usize].0;
        std::hint::black_box(places[..count].iter().map(slot).fold(0, u64::wrapping_add));
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
        loop {
            let place = self.place(hash);
            let slot = match self.look_up(place, hash, institution, id) {
                Ok(number) => return Err(self.entry(number).sequence),
                Err(slot) => slot,
            };
            let block = &mut self.blocks[usize::from(place.block)];
            let left = &mut block.left[usize::from(place.segment)];
            if *left > 0 {
                *left -= 1;
                block.slots[slot] = Slot::new(hash, self.count);
                self.append(Used { id: words(id), sequence, institution, closed: 0 });
                return Ok(());
            }
            self.split(hash);
        }
    }

    fn append(&mut self, used: Used) {
        if self.entries.last().is_none_or(|last| last.len() == BLOCK_ENTRIES) {
            self.entries.push(huge_pages::with_capacity(BLOCK_ENTRIES));
        }
        huge_pages::push(self.entries.last_mut().expect("a block was made"), used);
        self.count = self.count.checked_add(1).expect("fewer than 2^32 ids");
    }

    /// Splits the segment of a hash by one bit more.
    #[cold]
    fn split(&mut self, hash: u64) {
        let old = self.place(hash);
        let depth = old.depth + 1;
        assert!(depth <= DEPTH_MAX, "fewer than 2^31 ids");
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|place| [*place, *place]).collect();
            self.depth += 1;
        }
        let (block, segment) = self.new_segment();
        let halves = [Place { depth, ..old }, Place { block, segment, depth }];
        // The values that named the old segment are neighbours: the first half goes on naming it.
        let span = 1 << (self.depth - depth);
        let first = first_bits(hash, self.depth) / (2 * span) * (2 * span);
        self.directory[first..first + span].fill(halves[0]);
        self.directory[first + span..first + 2 * span].fill(halves[1]);
        let slots = &mut self.blocks[usize::from(old.block)].slots[old.from()..old.from() + SLOTS];
        self.scratch.clear();
        self.scratch.extend(slots.iter().filter(|slot| **slot != Slot::FREE));
        slots.fill(Slot::FREE);
        let mut moved = [0, 0];
        for slot in &self.scratch {
            let half = first_bits(slot.0, depth) & 1;
            let place = halves[half];
            let slots = &mut self.blocks[usize::from(place.block)].slots[place.from()..place.from() + SLOTS];
            let mut at = start(slot.0, depth);
            while slots[at] != Slot::FREE {
                at = (at + 1) % SLOTS;
            }
            slots[at] = *slot;
            moved[half] += 1;
        }
        let prefix = first_bits(hash, depth) & !1;
        for (half, (place, moved)) in halves.iter().zip(moved).enumerate() {
            let left = most(prefix + half, depth).saturating_sub(moved);
            self.blocks[usize::from(place.block)].left[usize::from(place.segment)] = left;
        }
    }

    /// A segment without slots in use, which takes nothing yet: of the last block, or of a new one that is as large as all before.
    fn new_segment(&mut self) -> (u16, u16) {
        if self.blocks.last().is_none_or(|last| last.slots.len() + SLOTS > last.slots.capacity()) {
            let all: usize = self.blocks.iter().map(|block| block.left.len()).sum();
            let segments = all.clamp(1, BLOCK_SEGMENTS_MAX);
            let slots = huge_pages::with_capacity(segments * SLOTS);
            self.blocks.push(Block { slots, left: Vec::with_capacity(segments) });
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        // Touched for the first time here, a segment at a time: a whole block would hold up the request that needs it.
        block.slots.resize(block.slots.len() + SLOTS, Slot::FREE);
        block.left.push(0);
        (number as u16, block.left.len() as u16 - 1)
    }

    /// Notes how the hold of a known id ended.
    pub fn close(&mut self, institution: u32, id: u128, how: Closed) {
        let number = self.find_entry(institution, id).expect("a hold's id is known");
        self.entries[number / BLOCK_ENTRIES][number % BLOCK_ENTRIES].closed = how as u32;
    }

    /// How the hold of an id ended; none if it is open, or no hold, or not known.
    pub fn closed(&self, institution: u32, id: u128) -> Option<Closed> {
        match self.entry(self.find_entry(institution, id)?).closed {
            0 => None,
            1 => Some(Closed::ByClient),
            _ => Some(Closed::ByExpiry),
        }
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn first_bits(hash: u64, bits: u32) -> usize {
    // In two steps: a shift by 64 does not exist.
    (hash >> 1 >> (63 - bits)) as usize
}

/// The first slot of its segment that an id may have, by the bits after those that led there.
fn start(hash: u64, depth: u32) -> usize {
    ((hash << depth) >> (64 - SLOT_BITS)) as usize
}

/// Most ids of a segment before it is split, from 50 to 80 % of its slots. Segments fill alike, so each has a bound of its own:
/// otherwise all would be split at nearly the same moment.
fn most(prefix: usize, depth: u32) -> u16 {
    let spread = (prefix as u64 ^ u64::from(depth) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (SLOTS as u64 * 50 / 100 + ((SLOTS as u64 * 30 / 100 * (spread & 0xffff)) >> 16)) as u16
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
    fn every_id_is_found_after_segments_of_several_depths_were_split() {
        let mut dedup = Dedup::new(5);
        let id = |n: u64| u128::from(hash_id(3, u128::from(n), 9)) << 64 | u128::from(n);
        for n in 1..=700_000u64 {
            assert_eq!(dedup.insert(n as u32 % 3, id(n), n), Ok(()));
        }
        let depths: std::collections::BTreeSet<u32> = dedup.directory.iter().map(|place| place.depth).collect();
        assert!(depths.len() > 1, "segments are split one at a time: {depths:?}");
        for n in (1..=700_000).rev() {
            assert_eq!(dedup.insert(n as u32 % 3, id(n), n + 1), Err(n));
            assert_eq!(dedup.find((n as u32 + 1) % 3, id(n)), None);
        }
        let used = dedup.blocks.iter().flat_map(|block| &block.slots).filter(|slot| **slot != Slot::FREE).count();
        assert_eq!((dedup.len(), used), (700_000, 700_000));
        dedup.close(1, id(1), Closed::ByExpiry);
        assert_eq!((dedup.closed(1, id(1)), dedup.closed(1, id(4))), (Some(Closed::ByExpiry), None));
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
