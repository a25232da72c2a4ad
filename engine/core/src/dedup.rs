//! Which ids were used, and where: (institution, id) → sequence number of the row in the log.
//!
//! Only the place is kept. Comparing the fields of a repeat with the original, and giving its result again, is for readers
//! of the log: they do not hold up the coordinator.
//!
//! **Recent ids** stand here: entries of 32 bytes in the order in which ids came, one behind the other; a [`Table`] finds them. An id
//! that is new, as nearly all are, costs one line that is not in the cache, and nothing else. **Old ids** stand in runs on disk
//! ([`OldIds`]); once runs cover them their entries go.

pub mod filter;
pub mod notes;
pub mod old;
pub mod ranges;
mod recent;
pub mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::account::hash_id;
use crate::huge_pages;
use crate::request::ItemKind;
use crate::table::{Lines, Table};
use old::{OldIds, Run};
use recent::{Recent, Used};

/// Most ids that are touched at once.
pub const TOUCHED_AT_ONCE: usize = 64;

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

/// Hashes of ids that were touched.
pub struct Hashes {
    hashes: [u64; TOUCHED_AT_ONCE],
    /// A bit for each: whether it may be in a run.
    in_range: u64,
}

const _: () = assert!(TOUCHED_AT_ONCE <= 64);

impl Default for Hashes {
    /// Of none yet.
    fn default() -> Hashes {
        Hashes { hashes: [0; TOUCHED_AT_ONCE], in_range: 0 }
    }
}

/// Memory that will be needed before long for ids that are to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryWanted {
    entries: Option<usize>,
    lines: Option<usize>,
}

impl MemoryWanted {
    /// Gets it and touches it, which may take tens of milliseconds: on a thread that nobody waits for.
    pub fn get(self) -> Memory {
        Memory {
            entries: self.entries.map(|entries| huge_pages::touched(entries, Used::new(0, 0, 0))),
            lines: self.lines.map(Lines::touched),
        }
    }
}

/// Memory for ids that are to come.
pub struct Memory {
    entries: Option<Vec<Used>>,
    lines: Option<Lines>,
}

/// The index of used ids.
pub struct Dedup {
    seed: u64,
    table: Table,
    /// In the order in which they came.
    entries: Recent,
    /// How the holds of ids ended whose entry was not in the last block then, and the row that closed them; in the order of rows.
    closed_since: HashMap<(u32, u128), Closed>,
    closings: VecDeque<(u64, u32, u128)>,
    old: OldIds,
    state: u64,
}

impl Dedup {
    /// An empty index. The seed should be random, so that nobody can choose ids that collide; with runs it is theirs.
    pub fn new(seed: u64) -> Dedup {
        Dedup {
            seed,
            table: Table::default(),
            entries: Recent::default(),
            closed_since: HashMap::new(),
            closings: VecDeque::new(),
            old: OldIds::default(),
            state: 0,
        }
    }

    fn hash(&self, institution: u32, id: u128) -> u64 {
        hash_id(institution, id, self.seed)
    }

    /// Makes the blocks by which old entries go as small as this power of two, for a simulation; nothing was noted yet.
    pub fn set_block_bits(&mut self, bits: u32) {
        assert_eq!(self.entries.end(), 0, "blocks are of one size");
        self.entries = Recent::with_block_bits(bits);
    }

    /// What memory will be needed before long. Whoever gets it ahead spares ids the wait for it; it need not be.
    pub fn wants_memory(&self) -> Option<MemoryWanted> {
        let (entries, lines) = (self.entries.wants_block(), self.table.wants_lines());
        (entries.is_some() || lines.is_some()).then_some(MemoryWanted { entries, lines })
    }

    /// Takes memory that was wanted.
    pub fn take_memory(&mut self, memory: Memory) {
        memory.entries.into_iter().for_each(|block| self.entries.take_block(block));
        memory.lines.into_iter().for_each(|lines| self.table.take_lines(lines));
    }

    /// The index of an id's entry.
    fn find_entry(&self, institution: u32, id: u128) -> Option<usize> {
        let is = |number| self.entries.numbered(number).is_some_and(|entry| entry.is(institution, id));
        let found = self.table.find(self.hash(institution, id), is);
        found.map(|number| self.entries.index_of(number))
    }

    /// Where a recent id was used.
    pub fn find(&self, institution: u32, id: u128) -> Option<u64> {
        self.find_entry(institution, id).map(|at| self.entries[at].sequence)
    }

    /// Brings the places of at most [`TOUCHED_AT_ONCE`] ids into the cache, and gives their hashes.
    pub fn touch(&self, institution: u32, ids: impl Iterator<Item = u128>) -> Hashes {
        self.touch_those(institution, ids, |_, id| self.old.is_in_range(id))
    }

    /// The same of ids that were looked at before, in this state of memory and runs: for `perhaps` alone, which is in order, runs have to
    /// be asked again. They count from `first` on.
    pub fn touch_looked_at(
        &self,
        institution: u32,
        ids: impl Iterator<Item = u128>,
        first: u32,
        perhaps: &[u32],
    ) -> Hashes {
        let mut rest = perhaps[perhaps.partition_point(|at| *at < first)..].iter().peekable();
        self.touch_those(institution, ids, |at, _| rest.next_if_eq(&&(first + at)).is_some())
    }

    #[inline(always)]
    fn touch_those(
        &self,
        institution: u32,
        ids: impl Iterator<Item = u128>,
        mut may_be_old: impl FnMut(u32, u128) -> bool,
    ) -> Hashes {
        let mut hashes = Hashes::default();
        for (at, (hash, id)) in hashes.hashes.iter_mut().zip(ids).enumerate() {
            *hash = self.hash(institution, id);
            self.table.touch(*hash);
            if may_be_old(at as u32, id) {
                self.old.touch(*hash);
                hashes.in_range |= 1 << at;
            }
        }
        hashes
    }

    /// Notes that the id is used by the row `sequence`, which is not 0, unless it was used before by a row that is recent: then says
    /// where.
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
        debug_assert_eq!(hashes.hashes[at], self.hash(institution, id), "the hash of another id");
        self.insert_hashed(hashes.hashes[at], institution, id, sequence)
    }

    #[inline]
    fn insert_hashed(&mut self, hash: u64, institution: u32, id: u128, sequence: u64) -> Result<(), u64> {
        debug_assert_ne!(sequence, 0, "rows are numbered from 1");
        if self.entries.end() as u32 == u32::MAX {
            // A number that the table cannot take: its entry is that of no id.
            self.entries.push(Used::new(0, 0, sequence));
        }
        let entries = &self.entries;
        let is = |number| entries.numbered(number).is_some_and(|entry| entry.is(institution, id));
        let alive = |number| entries.numbered(number).is_some();
        let inserted = self.table.insert(hash, entries.end() as u32, is, alive);
        inserted.map_err(|number| entries[entries.index_of(number)].sequence)?;
        assert!(entries.count() < u32::MAX as usize, "fewer than 2^32 recent ids");
        self.entries.push(Used::new(institution, id, sequence));
        Ok(())
    }

    /// Notes how the hold of an id ended, by the row `sequence`, unless runs know it.
    pub fn close(&mut self, institution: u32, id: u128, how: Closed, sequence: u64) {
        if sequence <= self.old.covered() {
            return;
        }
        match self.find_entry(institution, id).filter(|at| self.entries.is_in_last_block(*at)) {
            Some(at) => self.entries[at].closed = how as u32,
            None => {
                self.closed_since.insert((institution, id), how);
                self.closings.push_back((sequence, institution, id));
            }
        }
    }

    /// How the hold of an id ended; none if it is open, or no hold, or not known, or was closed by a row that only runs know.
    pub fn closed(&self, institution: u32, id: u128) -> Option<Closed> {
        if let Some(how) = self.closed_since.get(&(institution, id)) {
            return Some(*how);
        }
        match self.entries[self.find_entry(institution, id)?].closed {
            0 => None,
            1 => Some(Closed::ByClient),
            _ => Some(Closed::ByExpiry),
        }
    }

    /// Takes runs over. What they cover stays here too until it is retired.
    pub fn adopt(&mut self, runs: Vec<Arc<Run>>) {
        self.old = OldIds::new(runs);
        self.state += 1;
    }

    /// A number that is another one once ids have gone from memory, or other runs were taken over: what memory did not know and runs did
    /// not have may be otherwise then.
    pub fn state(&self) -> u64 {
        self.state
    }

    /// What the runs may have.
    pub fn old(&self) -> &OldIds {
        &self.old
    }

    /// Whether a run may have an id, or the closing of the hold with this id.
    pub fn may_be_old(&self, institution: u32, id: u128) -> bool {
        self.old.is_in_range(id) && self.old.may_have(self.hash(institution, id))
    }

    /// The same for the `at`-th of the ids that were touched.
    #[inline]
    pub fn may_be_old_touched(&self, hashes: &Hashes, at: usize) -> bool {
        hashes.in_range >> at & 1 == 1 && self.old.may_have(hashes.hashes[at])
    }

    /// Gives up what rows up to this one noted, which runs cover: as far as whole blocks go.
    pub fn retire(&mut self, upto: u64) {
        assert!(upto <= self.old.covered(), "what is given up is in runs");
        self.state += 1;
        // The first entry of the next block must be covered too: then so is what was closed while this one was the last.
        let uncovered = self.entries.behind(upto);
        self.entries.let_go_before(uncovered.saturating_sub(1));
        while let Some((_, institution, id)) = self.closings.front().filter(|(sequence, ..)| *sequence <= upto) {
            self.closed_since.remove(&(*institution, *id));
            self.closings.pop_front();
        }
    }

    /// How many ids are known, in runs and here.
    pub fn len(&self) -> u64 {
        let covered = self.old.covered();
        let recent = self.entries.end() - self.entries.behind(covered);
        self.old.ids() + recent as u64
    }

    /// How many ids are here.
    pub fn recent(&self) -> usize {
        self.entries.count()
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
        dedup.close(1, 1, Closed::ByExpiry, 4);
        dedup.close(1, 3, Closed::ByClient, 5);
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
