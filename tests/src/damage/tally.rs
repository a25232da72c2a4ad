//! What a run of damaged copies did: one that proves nothing should show it.

use std::collections::BTreeMap;
use std::fmt;

use crate::campaign::Counts;

/// Copies of one kind of damage, by the verdict.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Verdicts {
    pub fine: u64,
    pub torn: u64,
    pub refused: u64,
}

/// Counts.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub logs: u64,
    pub moments: u64,
    /// Copies that were damaged and judged.
    pub kinds: BTreeMap<&'static str, Verdicts>,
    /// Drawn damage that changed no byte.
    pub skipped: u64,
    /// Acknowledged frames lost without a word: the last group was damaged before anything behind it was written.
    pub gap_last: u64,
    /// The same, with more than the last group: the damage reaches to the end of the log.
    pub gap_rest: u64,
    /// The same, with damage to several files that takes away each proof.
    pub gap_several: u64,
    /// Copies with damage to a pack.
    pub packs: u64,
    /// Copies that were recovered a second time.
    pub again: u64,
    /// Copies whose log went on.
    pub went_on: u64,
    /// Frames compared.
    pub frames: u64,
}

impl Tally {
    /// Damaged copies that were judged.
    pub fn copies(&self) -> u64 {
        let Verdicts { fine, torn, refused } = self.verdicts();
        fine + torn + refused
    }

    /// All kinds together.
    pub fn verdicts(&self) -> Verdicts {
        self.kinds.values().fold(Verdicts::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

impl Verdicts {
    fn add(&mut self, other: &Verdicts) {
        self.fine += other.fine;
        self.torn += other.torn;
        self.refused += other.refused;
    }
}

impl Counts for Tally {
    fn add(&mut self, other: &Tally) {
        self.logs += other.logs;
        self.moments += other.moments;
        other.kinds.iter().for_each(|(kind, verdicts)| self.kinds.entry(kind).or_default().add(verdicts));
        self.skipped += other.skipped;
        self.gap_last += other.gap_last;
        self.gap_rest += other.gap_rest;
        self.gap_several += other.gap_several;
        self.packs += other.packs;
        self.again += other.again;
        self.went_on += other.went_on;
        self.frames += other.frames;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} logs at {} moments; damage (fine / torn tail / refused):", self.logs, self.moments)?;
        for (kind, Verdicts { fine, torn, refused }) in &self.kinds {
            writeln!(f, "  {kind:22} {fine:>8} {torn:>8} {refused:>8}")?;
        }
        let Verdicts { fine, torn, refused } = self.verdicts();
        writeln!(
            f,
            "{} damaged copies: {fine} fine, {torn} torn tails, {refused} refused; {} skipped since no byte differed",
            self.copies(),
            self.skipped
        )?;
        writeln!(
            f,
            "the gap: {} lost the last group before its seal, {} all to the end of the log, {} with damage to several files",
            self.gap_last, self.gap_rest, self.gap_several
        )?;
        writeln!(f, "{} with damage to a pack", self.packs)?;
        write!(
            f,
            "{} recovered twice, {} went on with more frames, {} frames compared",
            self.again, self.went_on, self.frames
        )
    }
}
