//! Damaged copies of logs, judged by an independent oracle; the campaign command is `damage`.

use florin_tests::{campaign, damage};

/// Seeds that together give the damaged copies that are wanted here.
const SEEDS: u64 = 130;

#[test]
fn damage_is_refused_or_a_torn_tail_exactly_as_what_is_left_on_the_disk_says() {
    let done = campaign::run("damage", 0..SEEDS, damage::run);
    assert!(done.failed.is_empty(), "seeds {:?}", done.failed);
    let (counts, verdicts) = (&done.counts, done.counts.verdicts());
    assert!(counts.copies() >= 50_000, "{} damaged copies", counts.copies());
    assert!(verdicts.fine > 1000 && verdicts.torn > 1000 && verdicts.refused > 10_000, "{verdicts:?}");
    assert!(counts.packs > 500, "{} copies with a damaged pack", counts.packs);
    assert!(counts.gap_last > 0 && counts.again > 1000 && counts.went_on > 100);
}

/// Seeds of a large campaign whose verdict was wrong: packs where everything from a place on is gone, a segment without its first block
/// whose newest group is there, a forged frame in a segment that is in a pack as well, blocks swapped with a first block.
#[test]
fn copies_that_were_judged_wrong_once_are_judged_right() {
    for seed in [1008, 1049, 1119, 1588] {
        damage::run(seed);
    }
}
