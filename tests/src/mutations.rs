//! Frames of recorded logs, changed behind their checksums, which are not looked at here: replay refuses a changed copy, or what
//! it accepts still adds up, and no bytes make it panic.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use florin_core::coordinator::RoundLimits;

use crate::campaign::Counts;
use crate::rng::Rng;
use crate::sim::{self, Audit, Log};

/// Changed copies of each log.
const COPIES: u64 = 200;

/// What became of the copies.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub logs: u64,
    /// Logs with money moved outside them, which say less than what happened.
    pub skipped: u64,
    pub refused: u64,
    pub accepted: u64,
}

impl Counts for Tally {
    fn add(&mut self, other: &Tally) {
        self.logs += other.logs;
        self.skipped += other.skipped;
        self.refused += other.refused;
        self.accepted += other.accepted;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { logs, skipped, refused, accepted } = self;
        write!(f, "{logs} logs ({skipped} skipped), {refused} changed copies refused, {accepted} accepted that add up")
    }
}

/// Changes copies of the log of a seed. Panics with what was wrong.
pub fn run(seed: u64) -> Tally {
    let log = sim::record(seed, 1 + seed as usize % 3);
    let mut tally = Tally { logs: 1, ..Tally::default() };
    if log.has_heaves() {
        tally.skipped = 1;
        return tally;
    }
    for copy in 0..COPIES {
        let mut rng = Rng::part(seed << 32 | copy, "mutation");
        let mut changed = log.clone();
        let what = change(&mut changed, &mut rng);
        match replay(&changed, 1 + rng.below(3), &format!("log {seed}, copy {copy}: {what}")) {
            true => tally.accepted += 1,
            false => tally.refused += 1,
        }
    }
    tally
}

/// Replays and audits a log; false if it was refused.
fn replay(log: &Log, shards: usize, what: &str) -> bool {
    let accepted = catch_unwind(AssertUnwindSafe(|| {
        let Ok(ledger) = log.try_replay(shards, 7, RoundLimits::default()) else { return false };
        let mut audit = Audit::trusting();
        log.frames.iter().flat_map(|frame| frame.records()).for_each(|record| audit.row(&record));
        assert_eq!(ledger.coordinator.last_sequence(), log.last_sequence());
        true
    }));
    accepted.unwrap_or_else(|_| panic!("a changed log was accepted and does not add up, or made replay panic: {what}"))
}

/// Changes one thing and says which.
fn change(log: &mut Log, rng: &mut Rng) -> String {
    let at = rng.below(log.frames.len());
    let other = rng.below(log.frames.len());
    let kind = rng.below(16);
    let frame = &mut log.frames[at];
    match kind {
        0 => frame.payload.truncate(rng.below(frame.payload.len() + 1)),
        1 => frame.payload.push(rng.word() as u8),
        2 => frame.vouchers.truncate(rng.below(frame.vouchers.len() + 1)),
        3 => frame.head.count = rng.pick(&[0, 1, frame.head.count + 1, u32::MAX]),
        4 => frame.head.time = rng.pick(&[0, 1, frame.head.time ^ 1, u64::MAX]),
        5 => frame.head.first_sequence = rng.pick(&[0, frame.head.first_sequence + 1, u64::MAX]),
        6 => frame.head.number = rng.pick(&[0, frame.head.number + 1, u64::MAX]),
        7 => log.frames.swap(at, other),
        8 => drop(log.frames.remove(at)),
        9 => {
            let copy = log.frames[other].clone();
            log.frames.insert(at, copy);
        }
        10 if !frame.vouchers.is_empty() => flip(&mut frame.vouchers, rng),
        11 => overwrite(&mut frame.payload, rng),
        _ => flip(&mut frame.payload, rng),
    }
    format!("change {kind} in frame {at}, other frame {other}")
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = rng.below(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
}

/// Puts an extreme number over a few bytes.
fn overwrite(bytes: &mut [u8], rng: &mut Rng) {
    let length = rng.pick(&[1, 2, 4, 8, 16]).min(bytes.len());
    let at = rng.below(bytes.len() - length + 1);
    let with = rng.pick(&[0, 0xff, 0x7f, 0x80]);
    bytes[at..at + length].fill(with);
}
