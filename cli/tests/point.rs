//! `florin restore --upto-…`, end to end: a ledger as of then, which is read, verified and not posted to.

mod common;

use std::path::Path;

use common::{binary, florin, new_ledger, path_text};
use florin_bench::{ServerProcess, ServerSettings};

#[tokio::test]
async fn a_ledger_is_restored_as_of_a_row_a_frame_and_a_time_for_reads_only() {
    let (folder, data) = new_ledger(&["EUR:2"]);
    let on = |arguments: &[&str], code: i32| {
        let mut all = arguments.to_vec();
        all.extend(["--data", &data]);
        florin(&all).expect(code)
    };
    on(&["account", "open", "--id", "alice", "--side", "credit"], 0);
    on(&["account", "open", "--id", "till", "--side", "debit", "--category", "platform"], 0);
    on(&["post", "--debit", "@till:5", "--credit", "@alice:5", "--id", "501"], 0);
    let then = on(&["--json", "hold", "--debit", "@alice:2", "--credit", "@till:2", "--id", "502"], 0).json();
    on(&["capture", "502", "--id", "503"], 0);
    on(&["post", "--debit", "@till:9", "--credit", "@alice:9", "--id", "504"], 0);
    let [backup, keys] = ["backup", "keys"].map(|name| path_text(&folder.path().join(name)));
    let keys = if Path::new(&keys).exists() { keys } else { path_text(&Path::new(&data).join("keys")) };
    on(&["backup", "--to", &backup], 0);
    let sequence = then["sequence"].as_str().expect("a sequence").to_string();
    let booked_at = then["booked_at"].as_str().expect("a time").to_string();
    let restore = |name: &str, option: &str, value: &str, code: i32| {
        let to = path_text(&folder.path().join(name));
        let said = florin(&["--json", "restore", "--from", &backup, "--keys", &keys, "--to", &to, option, value]);
        (to, said.expect(code))
    };
    let (of_row, row) = restore("row", "--upto-sequence", &sequence, 0);
    let row = row.json();
    assert_eq!((&row["point"]["sequence"], &row["is_end"]), (&then["sequence"], &false.into()));
    let frame = row["point"]["frame"].as_str().expect("a frame").to_string();
    for (name, option, value) in [("frame", "--upto-frame", &frame), ("time", "--upto-time", &booked_at)] {
        let (_, said) = restore(name, option, value, 0);
        let said = said.json();
        assert_eq!((&said["point"], &said["state_hash"]), (&row["point"], &row["state_hash"]), "{option}");
    }
    let (_, late) = restore("late", "--upto-frame", "1000000", 2);
    assert!(late.err.contains("the log ends with frame") && late.err.contains("next: "), "{}", late.err);
    let (_, early) = restore("early", "--upto-time", "2001-01-01", 2);
    assert!(early.err.contains("at or before"), "{}", early.err);
    let both =
        ["restore", "--from", &backup, "--keys", &keys, "--to", "x", "--upto-frame", "1", "--upto-sequence", "1"];
    florin(&both).expect(2);

    let verified = florin(&["verify", "--data", &of_row]).expect(0).out;
    assert!(verified.starts_with("as of     frame ") && verified.contains("for reads only"), "{verified}");
    assert!(verified.contains(row["state_hash"].as_str().expect("a hash")), "{verified}");
    let listed = florin(&["--json", "log", "--data", &of_row]).expect(0).json_lines();
    assert_eq!(listed.last().expect("frames")["frame"], frame.as_str());

    let settings = ServerSettings { binary: binary(), arguments: Vec::new() };
    let server = ServerProcess::start(&settings, Path::new(&of_row)).await.expect("a server");
    let address = server.address().to_string();
    let at = |arguments: &[&str], code: i32| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &address]);
        florin(&all).expect(code)
    };
    assert_eq!(at(&["--json", "balance", "@alice"], 0).json()["balance"], "5.00");
    let account = at(&["--json", "account", "show", "@alice"], 0).json();
    assert_eq!((&account["held"], &account["available"]), (&"2.00".into(), &"3.00".into()));
    let shown = at(&["--json", "watch"], 0).json_lines();
    assert!(shown.iter().all(|line| line["id"] != "503" && line["id"] != "504"), "{shown:?}");
    let refused = at(&["post", "--debit", "@till:1", "--credit", "@alice:1"], 1);
    assert!(refused.out.contains("read_only") && refused.out.contains("as of a point in the past"), "{}", refused.out);
    assert!(at(&["account", "freeze", "@alice", "--reason", "x"], 1).out.contains("read_only"));
    let repeat = at(&["--json", "post", "--debit", "@till:5", "--credit", "@alice:5", "--id", "501"], 0).json();
    assert_eq!((&repeat["repeat"], &repeat["outcome"]), (&true.into(), &"posted".into()));
    assert!(at(&["snapshot"], 2).err.contains("reads only"));
    server.stop().await.expect("exit code 0");
    // Neither backed up, nor restored from, nor served once the point is lost.
    let copy = path_text(&folder.path().join("copy"));
    let backed_up = florin(&["backup", "--data", &of_row, "--to", &copy]).expect(2);
    assert!(backed_up.err.contains("as of a point"), "{}", backed_up.err);
    std::fs::remove_file(Path::new(&of_row).join("point.json")).expect("a file");
    assert!(florin(&["serve", "--data", &of_row]).expect(2).err.contains("is a backup"));
}
