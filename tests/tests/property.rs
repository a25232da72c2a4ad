//! Random programs through the shipped coordinator and shards: on 1, 2, 3 and 8 shards, with crashes and any order of
//! messages that FIFO links allow, everything is what the reference model says.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use florin_tests::sim::{self, Tally};

/// Programs run by the normal suite; `--bin sim` runs more.
const PROGRAMS: u64 = 2_000;
/// Different random transactions in them, at least: items on the first number of shards that neither repeated an earlier
/// one nor were refused for the moment.
const DISTINCT_MIN: u64 = 200_000;

#[test]
fn any_program_on_any_number_of_shards_is_what_the_model_says() {
    let next = AtomicU64::new(0);
    let mut total = Tally::default();
    let distinct = AtomicU64::new(0);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= PROGRAMS {
                return tally;
            }
            for shards in sim::SHARDS {
                match catch_unwind(AssertUnwindSafe(|| sim::run(seed, shards))) {
                    Ok(one) => {
                        if shards == sim::SHARDS[0] {
                            let different = one.transactions.saturating_sub(one.repeats + one.not_now);
                            distinct.fetch_add(different, Ordering::Relaxed);
                        }
                        tally.add(&one);
                    }
                    Err(reason) => {
                        next.store(PROGRAMS, Ordering::Relaxed);
                        eprintln!("seed {seed} on {shards} shards; to repeat it:");
                        eprintln!("cargo run -p florin-tests --release --bin sim -- --seeds {seed}..{}", seed + 1);
                        resume_unwind(reason);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(tally) => total.add(&tally),
                Err(reason) => resume_unwind(reason),
            }
        }
    });
    let distinct = distinct.into_inner();
    println!("{total}\n{PROGRAMS} programs: {PROGRAMS} passed, 0 failed");
    println!("{distinct} different transactions, each on {} numbers of shards", sim::SHARDS.len());
    assert!(distinct >= DISTINCT_MIN, "fewer transactions than promised");
    assert_ne!(total.maybes, 0, "no vote was ever in doubt: this proves nothing");
    assert!(
        total.runs_of_ids > 0 && total.fetches > 0,
        "no id was ever looked up in runs: this proves nothing of them"
    );
    assert_ne!(total.repeats, 0, "no id was ever repeated: this proves nothing");
    assert_ne!(total.restarts, 0, "no process ever crashed: this proves nothing");
    assert_eq!(total.never(), [] as [&str; 0], "outcomes that never came about");
}

#[test]
fn a_seed_always_gives_the_same_trace() {
    for seed in 0..20 {
        for shards in sim::SHARDS {
            assert_eq!(sim::run(seed, shards), sim::run(seed, shards), "seed {seed} on {shards} shards");
        }
    }
}

/// Seed 915844: a reversal named the id of an account change that was being made. The simulated history was asked for its row before
/// the log had it; the engine's waits for the frame (`coordinator_actor/originals.rs`).
#[test]
fn a_reversal_that_names_a_change_being_made_is_judged_once_the_change_is_in_the_log() {
    for shards in [1, 2, 3, 8] {
        sim::run(915_844, shards);
    }
}
