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
