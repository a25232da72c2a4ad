//! A hash table from 64-bit hashes to 32-bit numbers, for tables of many millions that must neither stall nor miss the cache
//! twice. What a number stands for, and whether it is the one that is looked for, only the caller knows.
//!
//! Eight slots are a line of the cache; what is looked for is nearly always in the line that its hash names. Lines make segments
//! of 64 KiB, and segments make an extendible hash table: a directory names a segment for each value of the first bits of a hash.
//! A segment that is full is split in two, by one bit more; no other number moves. So no insert costs more than one split and, now
//! and then, a directory of eight bytes a segment made anew; a split works on memory that fits a core's cache. Numbers that
//! nobody needs any more stay until their segment is full; then they go, and if most of it was such, it need not be split. Of a hash, 32 bits are kept; those that do not lead to a line tell numbers apart before the caller is asked.

use crate::huge_pages;
use crate::prefetch::prefetch;

/// Lines of a segment: 64 KiB.
const LINE_BITS: u32 = 10;
const LINES: usize = 1 << LINE_BITS;
/// Slots of a line.
const SLOTS: usize = 8;
/// Most bits that name a segment: as many as a slot keeps of the hash beside those that lead to a line of the segment.
const DEPTH_MAX: u32 = 32 - LINE_BITS;
/// Most segments of a block, 16 MiB. Memory is taken in blocks, so that it can stand on huge pages.
const BLOCK_SEGMENTS_MAX: usize = 1 << 8;

/// Eight slots, of which the first are in use. Apart, so that all are compared at once.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line {
    /// First half of the hash.
    tags: [u32; SLOTS],
    /// The number and one; 0 = free.
    numbers: [u32; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    const FREE: Line = Line { tags: [0; SLOTS], numbers: [0; SLOTS] };

    /// How many slots are in use.
    #[inline(always)]
    fn used(&self) -> usize {
        equal(&self.numbers, 0).trailing_zeros() as usize / 8
    }

    /// A byte that is 1 for each slot in use with a tag.
    #[inline(always)]
    fn with_tag(&self, tag: u32) -> u64 {
        equal(&self.tags, tag) & !equal(&self.numbers, 0)
    }

    /// The number in the slot of the first byte that is 1.
    #[inline(always)]
    fn first(&self, alike: u64) -> u32 {
        self.numbers[alike.trailing_zeros() as usize / 8] - 1
    }

    fn set(&mut self, at: usize, tag: u32, number: u32) {
        (self.tags[at], self.numbers[at]) = (tag, number + 1);
    }
}

/// A byte that is 1 for each word that is this one, from the lowest byte on: in a form that compiles to comparing all at once.
#[inline(always)]
fn equal(words: &[u32; SLOTS], word: u32) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|at| u8::from(words[at] == word)))
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Where a segment is, and by how many bits of a hash it is told from others.
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

/// Fewer segments, 4 MiB, are not worth getting memory ahead for.
const AHEAD_SEGMENTS_MIN: usize = 64;

/// Memory for the lines of a block, touched.
pub struct Lines(Vec<Line>);

impl Lines {
    /// Memory for so many.
    pub fn touched(lines: usize) -> Lines {
        Lines(huge_pages::touched(lines, Line::FREE))
    }
}

/// Memory for segments.
struct Block {
    lines: Vec<Line>,
    /// How many more each segment takes before it is split.
    left: Vec<u16>,
}

/// The table.
pub struct Table {
    /// The segment of each value of the first `depth` bits of a hash.
    directory: Vec<Place>,
    depth: u32,
    blocks: Vec<Block>,
    /// Memory for the lines of the next block.
    next: Option<Vec<Line>>,
    /// Tags and numbers of a segment that is being split, apart from their place.
    scratch: Vec<(u32, u32)>,
}

impl Default for Table {
    /// An empty table.
    fn default() -> Table {
        let directory = vec![Place { block: 0, segment: 0, depth: 0 }];
        let mut table = Table { directory, depth: 0, blocks: Vec::new(), next: None, scratch: Vec::new() };
        table.new_segment();
        table.blocks[0].left[0] = most(0, 0);
        table
    }
}

impl Table {
    #[inline]
    fn place(&self, hash: u64) -> Place {
        self.directory[first_bits(hash, self.depth)]
    }

    #[inline]
    fn lines(&self, place: Place) -> &[Line] {
        &self.blocks[usize::from(place.block)].lines[place.from()..place.from() + LINES]
    }

    /// Asks for the line of a hash.
    #[inline(always)]
    pub fn touch(&self, hash: u64) {
        let place = self.place(hash);
        prefetch(&self.lines(place)[start(hash, place.depth)]);
    }

    /// The number with this hash that `is` the one.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.look_up(self.place(hash), hash, is).ok()
    }

    /// The number with this hash that `is` the one; else the line, in its block, and the free slot of it where it belongs.
    #[inline]
    fn look_up(&self, place: Place, hash: u64, is: impl Fn(u32) -> bool) -> Result<u32, (usize, usize)> {
        let lines = self.lines(place);
        let mut at = start(hash, place.depth);
        loop {
            let line = &lines[at];
            let mut alike = line.with_tag(tag(hash));
            while alike != 0 {
                let number = line.first(alike);
                if is(number) {
                    return Ok(number);
                }
                alike &= alike - 1;
            }
            let used = line.used();
            if used < SLOTS {
                return Err((place.from() + at, used));
            }
            at = (at + 1) % LINES;
        }
    }

    /// Puts a number, which is not `u32::MAX`, under a hash, unless there is one that `is` already the one: then says which. Numbers that
    /// are not `alive` may be forgotten.
    #[inline]
    pub fn insert(
        &mut self,
        hash: u64,
        number: u32,
        is: impl Fn(u32) -> bool,
        alive: impl Fn(u32) -> bool,
    ) -> Result<(), u32> {
        loop {
            let place = self.place(hash);
            let (line, at) = match self.look_up(place, hash, &is) {
                Ok(number) => return Err(number),
                Err(free) => free,
            };
            let block = &mut self.blocks[usize::from(place.block)];
            let left = &mut block.left[usize::from(place.segment)];
            if *left > 0 {
                *left -= 1;
                block.lines[line].set(at, tag(hash), number);
                return Ok(());
            }
            if !self.forget(hash, &alive) {
                self.split(hash);
            }
        }
    }

    /// Forgets the numbers of the segment of a hash that are not alive, if they are more than half of what it takes; else changes nothing
    /// and says so.
    #[cold]
    fn forget(&mut self, hash: u64, alive: impl Fn(u32) -> bool) -> bool {
        let place = self.place(hash);
        let most = most(first_bits(hash, place.depth), place.depth);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        for line in self.lines(place) {
            let used = line.used();
            let kept = (0..used).map(|at| (line.tags[at], line.numbers[at] - 1)).filter(|(_, number)| alive(*number));
            scratch.extend(kept);
        }
        if scratch.len() * 2 > usize::from(most) {
            self.scratch = scratch;
            return false;
        }
        let block = &mut self.blocks[usize::from(place.block)];
        let lines = &mut block.lines[place.from()..place.from() + LINES];
        lines.fill(Line::FREE);
        for &(tag, number) in &scratch {
            let mut at = start(u64::from(tag) << 32, place.depth);
            while lines[at].used() == SLOTS {
                at = (at + 1) % LINES;
            }
            let used = lines[at].used();
            lines[at].set(used, tag, number);
        }
        block.left[usize::from(place.segment)] = most - scratch.len() as u16;
        self.scratch = scratch;
        true
    }

    /// Splits the segment of a hash by one bit more.
    #[cold]
    fn split(&mut self, hash: u64) {
        let old = self.place(hash);
        let depth = old.depth + 1;
        assert!(depth <= DEPTH_MAX, "fewer than 2^32 numbers");
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
            self.scratch.extend((0..used).map(|at| (line.tags[at], line.numbers[at] - 1)));
        }
        lines.fill(Line::FREE);
        let mut moved = [0, 0];
        // Slots in use are counted apart: a line that was just written to in part is slow to read as a whole.
        let mut used = [[0u8; LINES]; 2];
        for &(tag, number) in &self.scratch {
            let hash = u64::from(tag) << 32;
            let half = first_bits(hash, depth) & 1;
            let place = halves[half];
            let lines = &mut self.blocks[usize::from(place.block)].lines[place.from()..place.from() + LINES];
            let mut at = start(hash, depth);
            while usize::from(used[half][at]) == SLOTS {
                at = (at + 1) % LINES;
            }
            lines[at].set(usize::from(used[half][at]), tag, number);
            used[half][at] += 1;
            moved[half] += 1;
        }
        let prefix = first_bits(hash, depth) & !1;
        for (half, (place, moved)) in halves.iter().zip(moved).enumerate() {
            let left = most(prefix + half, depth).saturating_sub(moved);
            self.blocks[usize::from(place.block)].left[usize::from(place.segment)] = left;
        }
    }

    fn segments(&self) -> usize {
        self.blocks.iter().map(|block| block.left.len()).sum()
    }

    /// How many lines the block has that will be needed before long, if there is no memory for it.
    pub fn wants_lines(&self) -> Option<usize> {
        let last = self.blocks.last()?;
        // Room for as many as there will be when the last block is full.
        let all = self.segments() - last.left.len() + last.lines.capacity() / LINES;
        let is_near = last.lines.len() * 2 >= last.lines.capacity();
        (self.next.is_none() && is_near && all >= AHEAD_SEGMENTS_MIN).then_some(all.min(BLOCK_SEGMENTS_MAX) * LINES)
    }

    /// Takes memory for a block.
    pub fn take_lines(&mut self, lines: Lines) {
        self.next = Some(lines.0);
    }

    /// A segment without slots in use, which takes nothing yet: of the last block, or of a new one that is as large as all before.
    fn new_segment(&mut self) -> (u16, u16) {
        if self.blocks.last().is_none_or(|last| last.lines.len() + LINES > last.lines.capacity()) {
            let segments = self.segments().clamp(1, BLOCK_SEGMENTS_MAX);
            let next = self.next.take().filter(|lines| lines.capacity() >= segments * LINES);
            let lines = next.unwrap_or_else(|| huge_pages::with_capacity(segments * LINES));
            self.blocks.push(Block { lines, left: Vec::with_capacity(segments) });
        }
        let number = self.blocks.len() - 1;
        let block = &mut self.blocks[number];
        // Touched for the first time here, a segment at a time: a whole block would hold up the request that needs it.
        block.lines.resize(block.lines.len() + LINES, Line::FREE);
        block.left.push(0);
        (number as u16, block.left.len() as u16 - 1)
    }
}

fn first_bits(hash: u64, bits: u32) -> usize {
    // In two steps: a shift by 64 does not exist.
    (hash >> 1 >> (63 - bits)) as usize
}

/// The line of its segment where a hash belongs, by the bits after those that led there; in the lines behind it if that is full.
fn start(hash: u64, depth: u32) -> usize {
    ((hash << depth) >> (64 - LINE_BITS)) as usize
}

/// Most numbers of a segment before it is split, from 45 to 75 % of its slots. Segments fill alike, so each has a bound of its own:
/// otherwise all would be split at nearly the same moment.
fn most(prefix: usize, depth: u32) -> u16 {
    let spread = (prefix as u64 ^ u64::from(depth) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let slots = (LINES * SLOTS) as u64;
    (slots * 45 / 100 + ((slots * 30 / 100 * (spread & 0xffff)) >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::hash_id;

    fn hash(number: u32) -> u64 {
        hash_id(1, u128::from(number), 77)
    }

    #[test]
    fn every_number_is_found_after_segments_of_several_depths_were_split() {
        let mut table = Table::default();
        for number in 0..300_000 {
            assert_eq!(table.insert(hash(number), number, |n| n == number, |_| true), Ok(()));
        }
        let depths: std::collections::BTreeSet<u32> = table.directory.iter().map(|place| place.depth).collect();
        assert!(depths.len() > 1, "segments are split one at a time: {depths:?}");
        for number in (0..300_000).rev() {
            assert_eq!(table.insert(hash(number), 7, |n| n == number, |_| true), Err(number));
            assert_eq!(table.find(hash(number), |n| n == number), Some(number));
        }
        let used: usize = table.blocks.iter().flat_map(|block| &block.lines).map(Line::used).sum();
        assert_eq!((used, table.find(hash(300_000), |n| n == 300_000)), (300_000, None));
    }

    #[test]
    fn what_is_not_alive_is_forgotten_instead_of_growing() {
        let mut table = Table::default();
        let alive = |newest: u32| move |number: u32| newest - number < 20_000;
        for number in 0..1_000_000 {
            assert_eq!(table.insert(hash(number), number, |n| n == number, alive(number)), Ok(()));
        }
        for number in 980_000..1_000_000 {
            assert_eq!(table.find(hash(number), |n| n == number), Some(number));
        }
        let segments: usize = table.blocks.iter().map(|block| block.left.len()).sum();
        assert!(segments <= 16, "{segments} segments for 20,000 numbers");
    }

    #[test]
    fn numbers_of_one_hash_are_told_apart_by_the_caller() {
        let mut table = Table::default();
        for number in 0..100 {
            assert_eq!(table.insert(u64::MAX, number, |n| n == number, |_| true), Ok(()));
        }
        assert!((0..100).all(|number| table.find(u64::MAX, |n| n == number) == Some(number)));
        assert_eq!(table.find(u64::MAX, |_| false), None);
    }
}
