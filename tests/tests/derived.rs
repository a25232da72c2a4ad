//! Crashes, failures and rot of snapshots and runs of ids on a simulated disk; the campaign command is `derived`.

use florin_tests::{campaign, derived};

/// Seeds that together give the crash states that are wanted here.
const SEEDS: u64 = 6;

#[test]
fn no_crash_and_no_failed_call_loses_a_snapshot_or_makes_an_answer_wrong() {
    let done = campaign::run("derived", 0..SEEDS, derived::run);
    assert!(done.failed.is_empty(), "seeds {:?}", done.failed);
    let counts = &done.counts;
    assert!(counts.states() >= 10_000, "{} crash states", counts.states());
    let [made, merged, remade] = counts.runs;
    assert!(counts.snapshots >= 20 && made >= 40 && merged >= 4 && remade >= 1, "{counts}");
    assert!(counts.failed >= 500 && counts.rotten >= 100, "{counts}");
}

#[test]
fn the_same_seed_records_the_same_operations_in_the_same_order() {
    for seed in 0..SEEDS {
        assert_eq!(derived::recorded(seed), derived::recorded(seed), "seed {seed}");
    }
}
