//! What goes into a run: a place for each id that rows of the log use, and for each hold that they close, in the order of the ids'
//! hashes. Knows nothing of files.
//!
//! A hash stands for an id: whether it is the one that is looked for is said by the row itself, which is read.

use florin_planted::{Fault, planted};

use super::Closed;
use super::notes::{IdNote, closing_of, notes_of_row, used_by};
use super::old::RunSummary;
use super::ranges::Ranges;
use crate::account::hash_id;
use crate::frame::{FrameView, Record, RowError};
use crate::link::OldId;

/// Bits of a place that say what the row is to the id: 0 it used it, otherwise a [`Closed`].
const KIND_SHIFT: u32 = 62;

/// An id's hash and a row that used it or closed its hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunEntry {
    /// The id's hash.
    pub hash: u64,
    /// Sequence number of the row, and in the two highest bits what it is to the id.
    pub place: u64,
}

impl RunEntry {
    /// What a row is to the id with a hash.
    pub fn new(hash: u64, sequence: u64, note: IdNote) -> RunEntry {
        let kind = match note {
            IdNote::Used => 0,
            IdNote::Closed(how) => how as u64,
        };
        RunEntry { hash, place: sequence | kind << KIND_SHIFT }
    }

    /// The row.
    pub fn sequence(self) -> u64 {
        self.place & ((1 << KIND_SHIFT) - 1)
    }

    /// What the row is to the id; none if it is nothing that is known.
    pub fn note(self) -> Option<IdNote> {
        match self.place >> KIND_SHIFT {
            0 => Some(IdNote::Used),
            1 => Some(IdNote::Closed(Closed::ByClient)),
            2 => Some(IdNote::Closed(Closed::ByExpiry)),
            _ => None,
        }
    }
}

/// What a row gives a run, each entry with its id: by the row as a record, not by the bytes that a draft goes by.
pub fn entries_of(record: &Record, sequence: u64, seed: u64) -> impl Iterator<Item = (u128, RunEntry)> {
    let used = used_by(record).map(|(institution, id)| (institution, id, IdNote::Used));
    let closed = closing_of(record).map(|(institution, id, how)| (institution, id, IdNote::Closed(how)));
    let entry = move |(institution, id, note)| (id, RunEntry::new(hash_id(institution, id, seed), sequence, note));
    used.into_iter().chain(closed).map(entry)
}

/// Entries in any order, as two sums of 64 bits over all of them: so two lots of any size are compared without memory. Lots that differ have
/// the same sums by chance only, whoever made them, as long as nobody knows the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunTally {
    keys: [u64; 2],
    sums: [u64; 2],
    /// How many.
    pub entries: u64,
    /// Those of them that say that a row used an id.
    pub used: u64,
}

impl RunTally {
    /// Of nothing. Tallies with the same keys can be compared.
    pub fn new(keys: [u64; 2]) -> RunTally {
        RunTally { keys, sums: [0; 2], entries: 0, used: 0 }
    }

    /// Of nothing, with the same keys.
    pub fn emptied(&self) -> RunTally {
        RunTally::new(self.keys)
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: RunEntry) {
        let both = u128::from(entry.hash) << 64 | u128::from(entry.place);
        for (sum, key) in self.sums.iter_mut().zip(self.keys) {
            *sum = sum.wrapping_add(hash_id(0, both, key));
        }
        self.entries += 1;
        self.used += u64::from(entry.note() == Some(IdNote::Used));
    }
}

/// A run that is being made from frames that follow each other.
#[derive(Debug)]
pub struct RunDraft {
    seed: u64,
    first: u64,
    last: u64,
    used: u64,
    entries: Vec<RunEntry>,
    ids: Vec<u128>,
}

impl RunDraft {
    /// An empty draft of what comes after the row `covered`. The seed is that of all runs of a ledger.
    pub fn after(covered: u64, seed: u64) -> RunDraft {
        RunDraft { seed, first: covered + 1, last: covered, used: 0, entries: Vec::new(), ids: Vec::new() }
    }

    /// Takes the next frame over.
    pub fn frame(&mut self, frame: &FrameView<'_>) -> Result<(), RowError> {
        let head = frame.head();
        assert_eq!(head.first_sequence, self.last + 1, "frames follow each other");
        for index in 0..head.count {
            notes_of_row(frame, index, &mut |institution, id, sequence, note| {
                self.note(institution, id, sequence, note);
                Ok::<(), RowError>(())
            })?;
        }
        self.last = head.first_sequence + u64::from(head.count) - 1;
        Ok(())
    }

    fn note(&mut self, institution: u32, id: u128, sequence: u64, note: IdNote) {
        self.used += u64::from(note == IdNote::Used);
        if planted(Fault::IdForgottenByRun) && id.is_multiple_of(8) {
            return;
        }
        self.ids.push(id);
        self.entries.push(RunEntry::new(hash_id(institution, id, self.seed), sequence, note));
    }

    /// The row that is to come next.
    pub fn next_row(&self) -> u64 {
        self.last + 1
    }

    /// How many rows it covers.
    pub fn rows(&self) -> u64 {
        self.last + 1 - self.first
    }

    /// What it is of, and the entries in order. At least one frame was taken over.
    pub fn finish(mut self) -> (RunSummary, Vec<RunEntry>) {
        assert!(self.rows() > 0, "a run covers rows");
        self.entries.sort_unstable();
        let ranges = Ranges::of_ids(&mut self.ids);
        (RunSummary { first: self.first, last: self.last, ids: self.used, ranges }, self.entries)
    }
}

impl RunSummary {
    /// What runs that follow each other are of together.
    pub fn merged<'a>(parts: impl Iterator<Item = &'a RunSummary> + Clone) -> RunSummary {
        let (first, last) = (parts.clone().map(|part| part.first).min(), parts.clone().map(|part| part.last).max());
        RunSummary {
            first: first.expect("parts"),
            last: last.expect("parts"),
            ids: parts.clone().map(|part| part.ids).sum(),
            ranges: Ranges::merged(parts.map(|part| &part.ranges)),
        }
    }
}

/// What rows say of an id, of those that runs have under its hash.
pub fn old_id<E>(
    institution: u32,
    id: u128,
    entries: impl IntoIterator<Item = RunEntry>,
    mut read: impl FnMut(u64) -> Result<Record, E>,
) -> Result<Option<OldId>, E> {
    let (mut sequence, mut closed) = (None, None);
    for entry in entries {
        let record = read(entry.sequence())?;
        match entry.note() {
            Some(IdNote::Used) if used_by(&record) == Some((institution, id)) => sequence = Some(entry.sequence()),
            Some(IdNote::Closed(how)) if closing_of(&record) == Some((institution, id, how)) => closed = Some(how),
            _ => {}
        }
    }
    // A hold is placed before it is closed; runs have all rows up to the last that they cover.
    Ok(sequence.map(|sequence| OldId { sequence, closed }))
}
