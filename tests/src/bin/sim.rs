//! Runs simulations by the seed: `cargo run -p florin-tests --release --bin sim -- --seeds 0..100000`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use florin_tests::sim::{self, Tally};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to) = match &arguments[..] {
        [flag, range] if flag == "--seeds" => match parse(range) {
            Some(range) => range,
            None => return usage(),
        },
        _ => return usage(),
    };
    let next = AtomicU64::new(from);
    let total = Mutex::new((Tally::default(), 0u64));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        break;
                    }
                    let result = catch_unwind(AssertUnwindSafe(|| run_seed(seed)));
                    let mut total = total.lock().expect("no panic while it is held");
                    match result {
                        Ok(tally) => total.0.add(&tally),
                        Err(_) => {
                            total.1 += 1;
                            eprintln!("seed {seed} FAILED; to repeat it: sim --seeds {seed}..{}", seed + 1);
                        }
                    }
                }
            });
        }
    });
    let (tally, failed) = total.into_inner().expect("no panic while it is held");
    println!("seeds {from}..{to}\n{tally}");
    println!("{} passed, {failed} failed", to - from - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_seed(seed: u64) -> Tally {
    let mut tally = Tally::default();
    for shards in sim::SHARDS {
        tally.add(&sim::run(seed, shards));
    }
    tally
}

fn parse(range: &str) -> Option<(u64, u64)> {
    let (from, to) = range.split_once("..")?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from < to).then_some((from, to))
}

fn usage() -> ExitCode {
    eprintln!("usage: sim --seeds A..B");
    ExitCode::FAILURE
}
