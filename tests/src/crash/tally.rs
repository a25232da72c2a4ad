//! What an exploration did: one that proves nothing should show it.

use std::fmt;

use crate::campaign::Counts;

/// Counts. Those of crashes are by how many crashes came before: of the workload, of a recovery, of the one after it.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub recordings: u64,
    /// Operations recorded, acknowledgements included.
    pub events: u64,
    /// Segments that the writer took before they were filled.
    pub hurried: u64,
    /// Packs made in the recordings.
    pub packs: u64,
    /// Packs made after a recovery.
    pub packs_after: u64,
    /// States with packs in them.
    pub packed: u64,
    /// States after a power cut.
    pub cuts: [u64; 3],
    /// States after a kill.
    pub kills: [u64; 3],
    /// States that were not judged since the same one had been.
    pub repeated: u64,
    /// Frames compared.
    pub frames: u64,
    /// States with frames that nobody had been told of.
    pub found_more: u64,
    /// States with a torn tail, which was cleared.
    pub torn_tails: u64,
}

impl Tally {
    /// States that were judged.
    pub fn states(&self) -> u64 {
        self.cuts.iter().chain(&self.kills).sum()
    }
}

impl Counts for Tally {
    fn add(&mut self, other: &Tally) {
        self.recordings += other.recordings;
        self.events += other.events;
        self.hurried += other.hurried;
        self.packs += other.packs;
        self.packs_after += other.packs_after;
        self.packed += other.packed;
        self.cuts.iter_mut().zip(other.cuts).for_each(|(sum, count)| *sum += count);
        self.kills.iter_mut().zip(other.kills).for_each(|(sum, count)| *sum += count);
        self.repeated += other.repeated;
        self.frames += other.frames;
        self.found_more += other.found_more;
        self.torn_tails += other.torn_tails;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} recordings of {} events, {} segments taken unfilled, {} packs; {} crash states, {} more skipped as repeated",
            self.recordings,
            self.events,
            self.hurried,
            self.packs,
            self.states(),
            self.repeated
        )?;
        let [first, second, third] = self.cuts;
        writeln!(
            f,
            "power cuts: {first} of the workload, {second} of a recovery after a crash, {third} of the next one"
        )?;
        let [first, second, _] = self.kills;
        writeln!(f, "kills: {first} of the workload, {second} of a recovery after a crash")?;
        writeln!(f, "{} states with packs, {} packs made after a recovery", self.packed, self.packs_after)?;
        write!(
            f,
            "{} frames compared, {} states with frames that nobody was told of, {} torn tails cleared",
            self.frames, self.found_more, self.torn_tails
        )
    }
}
