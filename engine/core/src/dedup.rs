//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator.
//!
//! Entries of 32 bytes stand in the order in which ids came, one behind the other; slots of 8 bytes find them. Eight slots are a
//! line of the cache. An id that is new, as nearly all are, costs one line that is not in the cache, and nothing else.
//!
//! The slots are an extendible hash table: a directory names a segment for each value of the first bits of an id's hash, and a
//! segment is a small table of its own. One that is full is split in two, by one bit more; nothing else moves. So no insert
//! costs more than one split, whatever the number of ids, and a split works on memory that fits a core's cache.

use crate::account::hash_id;
use crate::huge_pages;

/// Lines of a segment: 64 KiB.
const LINE_BITS: u32 = 10;
const LINES: usize = 1 << LINE_BITS;
/// Slots of a line.
const SLOTS: usize = 8;
/// Most bits that name a segment: as many as a slot keeps of the hash beside those that lead to a line of the segment.
const DEPTH_MAX: u32 = 32 - LINE_BITS;
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

/// Eight slots, of which the first are in use. Apart, so that all are compared at once.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    /// First half of an id's hash.
    tags: [u32; SLOTS],
    /// Number of the id's entry, from 1; 0 = free.
    entries: [u32; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    const FREE: Line = Line { tags: [0; SLOTS], entries: [0; SLOTS] };

    /// The slots with a tag, as bits; free ones among them.
    #[inline(always)]
    fn with_tag(&self, tag: u32) -> u32 {
        bits(&self.tags, tag)
    }

    /// How many slots are in use.
    #[inline(always)]
    fn used(&self) -> usize {
        (bits(&self.entries, 0) | 1 << SLOTS).trailing_zeros() as usize
    }

    fn set(&mut self, at: usize, tag: u32, entry: u32) {
        (self.tags[at], self.entries[at]) = (tag, entry);
    }
}

/// A bit for each word that is this one.
#[inline(always)]
fn bits(words: &[u32; SLOTS], word: u32) -> u32 {
    words.iter().enumerate().fold(0, |bits, (at, found)| bits | u32::from(*found == word) << at)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Where a segment is, and by how many bits of the hash its ids are told from others'.
#[derive(Clone, Copy)]
struct Place {
    block: u16,
    segment: u16,
    depth: u32,
}

impl Place {
    /// The first line of the segment, in its block.
    fn from(self) -> usize {
        usize::from(self.segment) * LINES
    }
}

/// Memory for segments.
struct Block {
    lines: Vec<Line>,
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
    scratch: Vec<(u32, u32)>,
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

    /// The index of an id's entry; else the line, in its block, and the free slot of it where it belongs.
    #[inline]
    fn look_up(&self, place: Place, hash: u64, institution: u32, id: u128) -> Result<usize, (usize, usize)> {
        let lines = &self.blocks[usize::from(place.block)].lines[place.from()..place.from() + LINES];
        let mut at = start(hash, place.depth);
        loop {
            let line = &lines[at];
            let used = line.used();
            let mut alike = line.with_tag(tag(hash)) & ((1 << used) - 1);
            while alike != 0 {
                let entry = line.entries[alike.trailing_zeros() as usize] as usize - 1;
                if self.entry(entry).is(institution, id) {
                    return Ok(entry);
                }
                alike &= alike - 1;
            }
            if used < SLOTS {
                return Err((place.from() + at, used));
            }
            at = (at + 1) % LINES;
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
        let line = |&(block, at): &(u32, u32)| self.blocks[block as usize].lines[at as usize].tags[0];
        std::hint::black_box(places[..count].iter().map(line).fold(0, u32::wrapping_add));
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
            let (line, at) = match self.look_up(place, hash, institution, id) {
                Ok(number) => return Err(self.entry(number).sequence),
                Err(free) => free,
            };
            let block = &mut self.blocks[usize::from(place.block)];
            let left = &mut block.left[usize::from(place.segment)];
            if *left > 0 {
                *left -= 1;
                block.lines[line].set(at, tag(hash), self.count + 1);
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
        let lines = &mut self.blocks[usize::from(old.block)].lines[old.from()..old.from() + LINES];
        self.scratch.clear();
        for line in lines.iter() {
            let used = line.used();
            self.scratch.extend(line.tags[..used].iter().copied().zip(line.entries[..used].iter().copied()));
        }
        lines.fill(Line::FREE);
        let mut moved = [0, 0];
        for &(tag, entry) in &self.scratch {
            let hash = u64::from(tag) << 32;
            let half = first_bits(hash, depth) & 1;
            let place = halves[half];
            let lines = &mut self.blocks[usize::from(place.block)].lines[place.from()..place.from() + LINES];
            let mut at = start(hash, depth);
            while lines[at].used() == SLOTS {
                at = (at + 1) % LINES;
            }
            lines[at].set(lines[at].used(), tag, entry);
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
        if self.blocks.last().is_none_or(|last| last.lines.len() + LINES > last.lines.capacity()) {
            let all: usize = self.blocks.iter().map(|block| block.left.len()).sum();
            let segments = all.clamp(1, BLOCK_SEGMENTS_MAX);
            let lines = huge_pages::with_capacity(segments * LINES);
            self.blocks.push(Block { lines, left: Vec::with_capacity(segments) });
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        // Touched for the first time here, a segment at a time: a whole block would hold up the request that needs it.
        block.lines.resize(block.lines.len() + LINES, Line::FREE);
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

/// The line of its segment where an id belongs, by the bits after those that led there; in the lines behind it if that is full.
fn start(hash: u64, depth: u32) -> usize {
    ((hash << depth) >> (64 - LINE_BITS)) as usize
}

/// Most ids of a segment before it is split, from 45 to 75 % of its slots. Segments fill alike, so each has a bound of its own:
/// otherwise all would be split at nearly the same moment.
fn most(prefix: usize, depth: u32) -> u16 {
    let spread = (prefix as u64 ^ u64::from(depth) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let slots = (LINES * SLOTS) as u64;
    (slots * 45 / 100 + ((slots * 30 / 100 * (spread & 0xffff)) >> 16)) as u16
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
        let used = dedup.blocks.iter().flat_map(|block| &block.lines).map(Line::used).sum::<usize>();
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
