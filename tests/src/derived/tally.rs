//! What an exploration did: one that proves nothing should show it.

use std::fmt;

use crate::campaign::Counts;

/// Counts. Those of crashes are by how many crashes came before.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub recordings: u64,
    /// States of the recordings.
    pub steps: u64,
    /// Snapshots made in them.
    pub snapshots: u64,
    /// Runs made, merged and made again in them.
    pub runs: [u64; 3],
    /// States after a power cut.
    pub cuts: [u64; 3],
    /// States after a kill.
    pub kills: [u64; 2],
    /// States that were not judged since the same one had been.
    pub repeated: u64,
    /// States in which all was done that there was to do.
    pub went_on: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Bits that rotted.
    pub rotten: u64,
    /// Ids that were asked.
    pub asked: u64,
}

impl Tally {
    /// States that were judged.
    pub fn states(&self) -> u64 {
        self.cuts.iter().chain(&self.kills).sum()
    }
}

impl Counts for Tally {
    fn add(&mut self, other: &Tally) {
        let sum = |sums: &mut [u64], counts: &[u64]| sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.recordings += other.recordings;
        self.steps += other.steps;
        self.snapshots += other.snapshots;
        sum(&mut self.runs, &other.runs);
        sum(&mut self.cuts, &other.cuts);
        sum(&mut self.kills, &other.kills);
        self.repeated += other.repeated;
        self.went_on += other.went_on;
        self.failed += other.failed;
        self.rotten += other.rotten;
        self.asked += other.asked;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [made, merged, remade] = self.runs;
        writeln!(
            f,
            "{} recordings of {} states: {} snapshots, {made} runs made, {merged} merges, {remade} runs made again",
            self.recordings, self.steps, self.snapshots
        )?;
        let [first, second, third] = self.cuts;
        writeln!(
            f,
            "{} crash states, {} more skipped as repeated; power cuts: {first} of the recordings, {second} after a crash, {third} after two",
            self.states(),
            self.repeated
        )?;
        let [first, second] = self.kills;
        writeln!(f, "kills: {first} of the recordings, {second} after a crash")?;
        write!(
            f,
            "{} calls failed, {} bits rotted; {} times it went on to the end of the log; {} ids asked",
            self.failed, self.rotten, self.went_on, self.asked
        )
    }
}
