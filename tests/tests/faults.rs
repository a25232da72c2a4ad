//! The short versions of the runs of `faults`, for every run of the tests. What this machine cannot do is skipped, and said.

use std::path::Path;

use florin_tests::faults::campaign::{Kind, Report, run};

/// The first seed.
const SEED: u64 = 1;

/// Runs rounds of a kind. If any were, each of the counts named must have come about, or they prove nothing.
fn check(kind: Kind, rounds: u64, must_count: &[&str]) -> Report {
    let report = run(kind, SEED, rounds, Path::new(env!("CARGO_TARGET_TMPDIR")));
    println!("{report}");
    assert_eq!(report.failed, 0, "see above for how to repeat it");
    assert_eq!(report.passed + report.skipped.0, rounds);
    for name in must_count {
        assert!(report.passed == 0 || report.tally.count(name) > 0, "no {name}: this proves nothing");
    }
    report
}

#[test]
fn whatever_a_client_was_told_is_there_after_every_kill_and_a_retry_applies_once() {
    let report = check(Kind::Kill, 50, &["batches answered", "batches without an answer", "accounts read under load"]);
    assert!(report.tally.count("of them from a snapshot") > 0, "this proves nothing of snapshots");
    assert!(report.tally.count("expiries") > 0 && report.tally.count("account changes") > 0);
}

#[test]
fn after_a_failed_write_or_sync_nobody_is_told_and_the_server_ends_but_goes_on_if_a_segment_cannot_be_made() {
    let counts = ["batches answered", "batches without an answer", "times without room", "times with room again"];
    check(Kind::Strace, 48, &counts);
}

#[test]
fn a_full_disk_refuses_postings_and_nothing_else_until_it_has_room_again() {
    check(Kind::Tmpfs, 5, &["times without room", "batches repeated without room", "times with room again"]);
}

#[test]
fn whatever_a_client_was_told_is_there_after_every_power_cut() {
    check(Kind::PowerCut, 24, &["batches answered", "cuts in a start", "of them from a snapshot"]);
}
