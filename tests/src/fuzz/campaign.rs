//! Runs targets: inputs that once failed, kept in `tests/corpus`, then seeds. Counts what was accepted and refused, and says how to
//! repeat what failed.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::input::input;
use super::{Target, Verdict, allocation};

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Inputs of the corpus among them.
    pub kept: u64,
    /// Inputs that were taken.
    pub accepted: u64,
    /// Inputs that were refused.
    pub refused: u64,
    /// Inputs that broke a rule.
    pub failed: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.kept += other.kept;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.failed += other.failed;
    }

    fn note(&mut self, verdict: Option<Verdict>) {
        match verdict {
            Some(Verdict::Accepted) => self.accepted += 1,
            Some(Verdict::Refused) => self.refused += 1,
            None => self.failed += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { kept, accepted, refused, failed } = self;
        let passed = accepted + refused;
        write!(
            f,
            "{accepted} accepted, {refused} refused, {kept} of them kept inputs: {passed} passed, {failed} failed"
        )
    }
}

/// The folder of a target's kept inputs.
pub fn corpus(target: &Target) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(target.name)
}

/// Replays a target's kept inputs.
pub fn replay(target: &Target) -> Tally {
    let mut tally = Tally::default();
    let Ok(entries) = std::fs::read_dir(corpus(target)) else { return tally };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the corpus").path()).collect();
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).expect("a kept input");
        let verdict = judge(target, &bytes);
        if verdict.is_none() {
            eprintln!("target {}, kept input {} FAILED", target.name, file.display());
        }
        tally.kept += 1;
        tally.note(verdict);
    }
    tally
}

/// Runs the inputs of seeds. With `keep`, those that fail are written into the corpus.
pub fn run(target: &Target, seeds: Range<u64>, keep: bool) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let bytes = input(target, seed);
        let verdict = judge(target, &bytes);
        if verdict.is_none() {
            let name = target.name;
            eprintln!("target {name}, seed {seed} FAILED with an input of {} bytes; to repeat it:", bytes.len());
            eprintln!("cargo run -p florin-tests --release --bin fuzz -- --target {name} --seeds {seed}..{}", seed + 1);
            if keep {
                let folder = corpus(target);
                std::fs::create_dir_all(&folder).expect("a folder for kept inputs");
                std::fs::write(folder.join(format!("seed-{seed}")), &bytes).expect("a kept input");
            }
        }
        tally.note(verdict);
    }
    tally
}

/// What the target says of an input; none if a rule is broken.
pub fn judge(target: &Target, bytes: &[u8]) -> Option<Verdict> {
    let verdict = catch_unwind(AssertUnwindSafe(|| (target.check)(bytes))).ok();
    let largest = allocation::too_large();
    if largest > 0 {
        eprintln!("target {}: {largest} bytes were asked for at once", target.name);
        return None;
    }
    verdict
}
