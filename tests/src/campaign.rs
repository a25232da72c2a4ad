//! Runs a family of tests by its seeds on all processors, adds up what they did, and says how to repeat one that failed.

use std::fmt::Display;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What runs did, added up.
pub trait Counts: Default + Display + Send {
    /// Adds what another one did.
    fn add(&mut self, other: &Self);
}

/// The counts of all seeds that passed, and the seeds that failed.
#[allow(missing_docs)]
pub struct Done<T> {
    pub counts: T,
    pub failed: Vec<u64>,
}

/// Runs all seeds; `name` is the command that repeats one.
pub fn run<T: Counts>(name: &str, seeds: Range<u64>, one: impl Fn(u64) -> T + Sync) -> Done<T> {
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(Done { counts: T::default(), failed: Vec::new() });
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| one(seed)));
                    let mut total = total.lock().expect("no panic while it is held");
                    match result {
                        Ok(counts) => total.counts.add(&counts),
                        Err(_) => {
                            total.failed.push(seed);
                            eprintln!("seed {seed} FAILED; to repeat it: {name} --seeds {seed}..{}", seed + 1);
                        }
                    }
                }
            });
        }
    });
    let done = total.into_inner().expect("no panic while it is held");
    let passed = seeds.end - seeds.start - done.failed.len() as u64;
    println!("seeds {}..{}\n{}", seeds.start, seeds.end, done.counts);
    println!("{passed} passed, {} failed", done.failed.len());
    done
}

/// Runs what `--seeds A..B` says on the command line.
pub fn main<T: Counts>(name: &str, one: impl Fn(u64) -> T + Sync) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let range = match &arguments[..] {
        [flag, range] if flag == "--seeds" => parse(range),
        _ => None,
    };
    let Some(seeds) = range else {
        eprintln!("usage: {name} --seeds A..B");
        return ExitCode::FAILURE;
    };
    match run(name, seeds, one).failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn parse(range: &str) -> Option<Range<u64>> {
    let (from, to) = range.split_once("..")?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from < to).then_some(from..to)
}
