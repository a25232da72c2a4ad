//! Two hundred thousand ids of a history, as the tool `history_ids` makes and asks a hundred million: each answer is exact.

use florin_tests::history_ids::{History, Order, Samples, make, measure};

const IDS: u64 = 200_000;
const SEGMENT_BYTES: u64 = 4 << 20;

#[test]
fn every_old_id_is_known_and_every_new_one_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let history = History { ids: IDS, order: Order::Mixed };
    make(&data, &history, SEGMENT_BYTES);
    let tally = measure(&data, &history, &Samples { full: 3, old: 5, single: 100 });
    assert_eq!(tally.failed, 0);
    assert!(tally.passed > 2 * 3 * 8_190 + 2 * 5 * 1_000 + 4 * 100, "{tally:?}");
}
