//! Frames changed behind their checksums; the campaign command is `mutations`.

use florin_tests::{campaign, mutations};

/// Logs that are recorded and changed here.
const LOGS: u64 = 100;

#[test]
fn a_changed_log_is_refused_or_still_adds_up() {
    let done = campaign::run("mutations", 0..LOGS, mutations::run);
    assert!(done.failed.is_empty(), "seeds {:?}", done.failed);
    assert!(done.counts.refused > done.counts.accepted, "most changes matter");
}
