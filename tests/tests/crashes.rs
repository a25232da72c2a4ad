//! Crashes of the log at every point of recorded workloads; the campaign command is `crashes`.

use florin_tests::{campaign, crash};

/// Seeds that together give the crash states that are wanted here.
const SEEDS: u64 = 8;

#[test]
fn no_kill_and_no_power_cut_loses_what_was_acknowledged_or_stops_the_log() {
    let done = campaign::run("crashes", 0..SEEDS, crash::run);
    assert!(done.failed.is_empty(), "seeds {:?}", done.failed);
    assert!(done.counts.states() >= 10_000, "{} crash states", done.counts.states());
    assert!(done.counts.packed > 1000 && done.counts.packs_after > 1000, "{}", done.counts);
    assert!(done.counts.hurried > 0 && done.counts.torn_tails > 100 && done.counts.found_more > 100);
}

#[test]
fn the_same_seed_records_the_same_operations_in_the_same_order() {
    for seed in 0..20 {
        let (first, second) = (crash::recorded(seed), crash::recorded(seed));
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!(differs.map(|at| (at, &first[at], &second[at])), None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
