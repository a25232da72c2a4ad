//! What a number of runs did: a test that proves nothing should show it.

use std::collections::BTreeMap;
use std::fmt;

use super::world::World;
use crate::model::number::*;

/// Counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Programs run, counted once per number of shards.
    pub runs: u64,
    /// Transactions judged.
    pub transactions: u64,
    /// Openings judged.
    pub openings: u64,
    /// Control records and account changes judged.
    pub controls: u64,
    /// Holds that expired.
    pub expiries: u64,
    /// Reads judged.
    pub reads: u64,
    /// Rounds.
    pub rounds: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Votes.
    pub votes: u64,
    /// Votes in doubt.
    pub maybes: u64,
    /// Items that repeated an id or opening with the same fields.
    pub repeats: u64,
    /// Crashes with a recovery after them.
    pub restarts: u64,
    /// Requests asked again after a crash.
    pub retries: u64,
    /// Replays on another number of shards.
    pub replays: u64,
    /// Recoveries from a snapshot with accounts in it.
    pub snapshots: u64,
    /// Runs of old ids made.
    pub runs_of_ids: u64,
    /// Look-ups for which sequencing waited.
    pub fetches: u64,
    /// Items refused because the server took nothing at the moment.
    pub not_now: u64,
    /// Items by number of their outcome, repeats not counted.
    pub outcomes: BTreeMap<u16, u64>,
    /// A hash of all frames and of the order of messages.
    pub trace: u64,
}

impl Tally {
    /// Adds what a life of the process did.
    pub fn add_world(&mut self, world: &World) {
        let counters = world.ledger.coordinator.counters();
        self.rounds += counters.rounds;
        self.votes += counters.votes;
        self.maybes += counters.votes_maybe;
        self.messages += world.messages;
        self.note(world.messages);
        for frame in &world.log.frames {
            frame.payload.chunks(8).for_each(|c| self.note(c.iter().fold(0, |sum, b| sum << 8 | u64::from(*b))));
        }
    }

    /// Mixes a number into the trace.
    fn note(&mut self, value: u64) {
        self.trace = (self.trace.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.runs += other.runs;
        self.transactions += other.transactions;
        self.openings += other.openings;
        self.controls += other.controls;
        self.expiries += other.expiries;
        self.reads += other.reads;
        self.rounds += other.rounds;
        self.messages += other.messages;
        self.votes += other.votes;
        self.maybes += other.maybes;
        self.repeats += other.repeats;
        self.restarts += other.restarts;
        self.retries += other.retries;
        self.replays += other.replays;
        self.snapshots += other.snapshots;
        self.runs_of_ids += other.runs_of_ids;
        self.fetches += other.fetches;
        self.not_now += other.not_now;
        for (number, count) in &other.outcomes {
            *self.outcomes.entry(*number).or_default() += count;
        }
        self.trace ^= other.trace;
    }

    /// How often an outcome came about.
    pub fn outcome(&self, number: u16) -> u64 {
        self.outcomes.get(&number).copied().unwrap_or(0)
    }

    /// Outcomes that a program can bring about but none did.
    pub fn never(&self) -> Vec<&'static str> {
        reachable().filter(|(number, _)| self.outcome(*number) == 0).map(|(_, name)| name).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs: {} items, {} expiries, {} openings, {} changes and control records, {} reads in {} rounds",
            self.runs, self.transactions, self.expiries, self.openings, self.controls, self.reads, self.rounds
        )?;
        writeln!(
            f,
            "{} messages, {} votes, {} of them in doubt; {} repeats, {} refused for the moment",
            self.messages, self.votes, self.maybes, self.repeats, self.not_now
        )?;
        writeln!(
            f,
            "{} crashes with {} requests asked again; {} replays on other numbers of shards; {} recoveries from snapshots; {} runs of ids, {} look-ups that were waited for",
            self.restarts, self.retries, self.replays, self.snapshots, self.runs_of_ids, self.fetches
        )?;
        for (number, name) in reachable() {
            writeln!(f, "{:>12} {name} ({number})", self.outcome(number))?;
        }
        write!(f, "trace {:016x}", self.trace)
    }
}
