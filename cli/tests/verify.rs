//! `florin verify` on what is derived from the log: what it says and its exit codes.

mod common;

use common::{binary, florin, new_ledger};
use florin_bench::{ServerProcess, ServerSettings};

/// Looks at the server's figures until there is a run, at most.
const LOOKS_MAX: usize = 5_000;

#[tokio::test]
async fn a_run_of_ids_that_rotted_is_named_and_may_be_removed() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    let settings = ServerSettings { binary: binary(), arguments: vec![] };
    let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
    let address = server.address().to_string();
    florin(&["account", "open", "--id", "alice", "--side", "credit", "--server", &address]).expect(0);
    // A snapshot closes the segment, whose ids are then put into a run.
    florin(&["snapshot", "--server", &address]).expect(0);
    let mut looks = 0;
    while florin(&["--json", "stats", "--server", &address]).expect(0).json()["id_runs"] == 0 {
        looks += 1;
        assert!(looks < LOOKS_MAX, "no run is made");
    }
    server.stop().await.expect("exit code 0");
    let verified = florin(&["--json", "verify", "--data", &data]).expect(0).json();
    let run = &verified["runs"][0];
    assert_eq!((&verified["fine"], &run["wrong"], &run["first_sequence"]), (&true.into(), &().into(), &"1".into()));
    assert!(florin(&["verify", "--data", &data]).expect(0).out.contains("\nids       rows 1 to "));

    let file = run["file"].as_str().expect("a path");
    let mut bytes = std::fs::read(file).expect("a run");
    bytes[5_000] ^= 1;
    std::fs::write(file, bytes).expect("a damaged run");
    let wrong = florin(&["verify", "--data", &data]).expect(1);
    assert!(wrong.out.contains("the log adds up"), "{}", wrong.out);
    assert!(wrong.err.contains(file) && wrong.err.contains("at offset 4096"), "{}", wrong.err);
    assert!(wrong.err.contains("next: remove the file"), "{}", wrong.err);
    let wrong = florin(&["--json", "verify", "--data", &data]).expect(1);
    assert!(wrong.out.contains("\"fine\":false"), "{}", wrong.out);
    std::fs::remove_file(file).expect("a run to remove");
    assert_eq!(florin(&["--json", "verify", "--data", &data]).expect(0).json()["fine"], true);
}
