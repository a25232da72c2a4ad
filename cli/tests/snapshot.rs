//! `florin snapshot`: of a running server and of a folder, with what it says and checks.

mod common;

use common::{binary, florin, new_ledger};
use florin_bench::{ServerProcess, ServerSettings};

#[tokio::test]
async fn a_snapshot_is_made_on_demand_checked_and_served_from() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    let settings = ServerSettings { binary: binary(), arguments: vec!["--snapshot-every".into(), "0".into()] };
    let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
    let address = server.address().to_string();
    let on = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &address]);
        florin(&all).expect(0)
    };
    on(&["account", "open", "--id", "alice", "--side", "credit"]);
    on(&["account", "open", "--id", "till", "--side", "debit", "--category", "platform"]);
    let first = on(&["snapshot"]).out;
    assert!(first.starts_with("a snapshot after frame") && first.contains("every chunk are good"), "{first}");
    on(&["post", "--debit", "@till:5", "--credit", "@alice:5"]);
    let second = on(&["--json", "snapshot"]).json();
    assert_eq!((&second["new"], &second["checked"], &second["accounts"]), (&true.into(), &true.into(), &"2".into()));
    let third = on(&["--json", "snapshot"]).json();
    assert_eq!((&third["new"], &third["frame"]), (&false.into(), &second["frame"]));
    assert!(on(&["snapshot"]).out.starts_with("nothing is new since the snapshot after frame"));
    // What was published and has rotted since is found.
    let state = std::path::Path::new(second["folder"].as_str().expect("a path")).join("state");
    let good = std::fs::read(&state).expect("the state");
    let mut bytes = good.clone();
    bytes[100] ^= 1;
    std::fs::write(&state, bytes).expect("the damaged state");
    let damaged = florin(&["snapshot", "--server", &address]).expect(1);
    assert!(damaged.err.contains("does not match its digest") && damaged.err.contains("next: "), "{}", damaged.err);
    std::fs::write(&state, good).expect("the state");
    server.stop().await.expect("exit code 0");
    let verified = florin(&["--json", "verify", "--data", &data]).expect(0).json();
    assert_eq!(verified["fine"], true);

    // Without a server: what was made is used, and the next one is made of it.
    florin(&["post", "--debit", "@till:1", "--credit", "@alice:1", "--data", &data]).expect(0);
    let local = florin(&["--json", "snapshot", "--data", &data]).expect(0).json();
    assert_eq!((&local["new"], &local["checked"]), (&true.into(), &true.into()));
    assert_eq!(florin(&["--json", "balance", "@alice", "--data", &data]).expect(0).json()["balance"], "6.00");
    florin(&["verify", "--data", &data]).expect(0);
    let institution = florin(&["snapshot", "--institution", "2", "--data", &data]).expect(2);
    assert!(institution.err.contains("whole ledger"), "{}", institution.err);
    let (_other, empty) = new_ledger(&[]);
    assert!(florin(&["snapshot", "--data", &empty]).expect(2).err.contains("the ledger is empty"));
}
