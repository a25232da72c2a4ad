//! The commands one after the other, as a user would, with their exit codes and what their errors say.

mod common;

use common::{binary, florin, new_ledger, path_text};
use florin_bench::{ServerProcess, ServerSettings};

fn server_settings() -> ServerSettings {
    ServerSettings { binary: binary(), arguments: Vec::new() }
}

#[test]
fn an_account_is_opened_posted_to_shown_and_listed() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    let on = |arguments: &[&str], code: i32| {
        let mut all = arguments.to_vec();
        all.extend(["--data", &data]);
        florin(&all).expect(code)
    };
    on(&["account", "open", "--id", "alice", "--side", "credit", "--floor", "-10.00"], 0);
    let again = on(&["account", "open", "--id", "@alice", "--side", "credit", "--floor", "-10"], 0);
    assert!(again.out.contains("opened before, with the same fields"), "{}", again.out);
    let other = on(&["account", "open", "--id", "alice", "--side", "credit"], 1);
    assert!(other.err.contains("differs first in floor"), "{}", other.err);
    on(&["account", "open", "--id", "7", "--side", "debit", "--category", "platform", "--label", "cash"], 0);
    on(&["account", "open", "--id", "fees", "--side", "credit", "--category", "platform"], 0);

    let post =
        ["--json", "post", "--debit", "7:100", "--credit", "@alice:97.50", "--credit", "@fees:2.50", "--id", "0xabc"];
    let posted = on(&post, 0).json();
    assert_eq!((&posted["outcome"], &posted["repeat"]), (&"posted".into(), &false.into()));
    assert_eq!(posted["postings"][1]["balance"], "97.50");
    assert_eq!(posted["postings"][1]["balance_minor"], "9750");
    let repeat = on(&post, 0).json();
    assert_eq!((&repeat["repeat"], &repeat["sequence"]), (&true.into(), &posted["sequence"]));
    assert_eq!(repeat["postings"], posted["postings"]);

    let refused = on(&["post", "--debit", "@alice:107.51", "--credit", "7:107.51"], 1);
    assert!(refused.out.contains("below_floor") && refused.out.contains("next: "), "{}", refused.out);
    on(
        &[
            "post",
            "--debit",
            "@alice:107.50",
            "--credit",
            "7:107.50",
            "--voucher",
            "all of it",
            "--value-date",
            "2026-01-31",
        ],
        0,
    );
    let fine = on(&["post", "--debit", "@alice:1.005", "--credit", "7:1.005"], 2);
    assert!(fine.err.contains("more than 2 decimal places"), "{}", fine.err);

    let statement = on(&["statement", "@alice"], 0).out;
    assert!(statement.contains("balance -10.00 EUR") && statement.contains("all of it"), "{statement}");
    assert!(statement.lines().all(|line| line.chars().count() <= 100), "{statement}");
    let page = on(&["--json", "statement", "@alice", "--limit", "1"], 0);
    let token = page.json()["next"].as_str().expect("a token").to_string();
    let rest = on(&["--json", "statement", "@alice", "--resume", &token], 0).json_lines();
    assert_eq!((rest.len(), &rest[0]["version"]), (2, &"1".into()));
    let csv = on(&["statement", "@alice", "--csv"], 0).out;
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.starts_with("booked_at,value_date,version,"), "{csv}");

    let shown = on(&["--json", "account", "show", "@alice"], 0).json();
    assert_eq!((&shown["balance"], &shown["floor_minor"]), (&"-10.00".into(), &"-1000".into()));
    let list = on(&["account", "list"], 0).out;
    // Heads, three accounts, and a line each with alice's floor and the label of account 7.
    assert_eq!(list.lines().count(), 6);
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    let unknown = on(&["account", "show", "@nobody"], 1);
    assert!(unknown.err.contains("there is no account @nobody"), "{}", unknown.err);

    let frames = florin(&["--json", "log", "--data", &data]).expect(0).json_lines();
    let last = frames.last().expect("a frame")["frame"].as_str().expect("a number").to_string();
    let rows = florin(&["log", "--data", &data, "--frame", &last]).expect(0).out;
    assert!(rows.contains("voucher all of it"), "{rows}");
    let report = florin(&["--json", "verify", "--data", &data]).expect(0).json();
    assert_eq!((&report["posted"], &report["refused"]), (&"2".into(), &"1".into()));
    assert_eq!(on(&["--json", "stats"], 0).json()["accounts"], 3);
}

#[test]
fn errors_say_what_to_do_next_and_exit_2_when_nothing_could_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = path_text(&folder.path().join("nothing"));
    for arguments in [
        &["verify", "--data", &nothing][..],
        &["serve", "--data", &nothing],
        &["account", "list", "--data", &nothing],
        &["log", "--data", &nothing],
        &["account", "list", "--server", "127.0.0.1:1"],
        &["probe-disk", &nothing],
        &["bench", "--seconds", "0"],
    ] {
        let said = florin(arguments).expect(2);
        assert!(said.err.starts_with("error: ") && said.err.contains("\n  next: "), "{arguments:?}: {}", said.err);
        assert!(!said.err.contains("panicked") && !said.err.contains("RUST_BACKTRACE"), "{}", said.err);
    }
    let (_folder, data) = new_ledger(&[]);
    let twice = florin(&["init", "--data", &data]).expect(2);
    assert!(twice.err.contains("is not empty"), "{}", twice.err);
    // The address is looked at before the ledger.
    for data in [&data, &nothing] {
        let refused = florin(&["serve", "--data", data, "--listen", "0.0.0.0:0"]).expect(2);
        assert!(refused.err.contains("loopback"), "{}", refused.err);
    }
}

#[test]
fn errors_of_the_command_line_are_json_where_json_is_wanted() {
    for arguments in [
        &["--json", "post", "--debit", "@a:1"][..],
        &["--json", "nothing"],
        &["account", "list", "--limit", "x", "--json"],
        &["--json"],
    ] {
        let error = florin(arguments).expect(2).json();
        assert_eq!(error["exit"], 2);
        let texts = ["error", "next"].map(|name| error[name].as_str().expect("a text").to_string());
        assert!(texts.iter().all(|text| !text.is_empty() && !text.contains('\n')), "{texts:?}");
    }
    assert_eq!(florin(&["nothing"]).expect(2).out, "");
    for arguments in [["--json", "--help"], ["--json", "--version"]] {
        assert!(florin(&arguments).expect(0).out.starts_with(|c: char| c.is_alphabetic()));
    }
}

#[tokio::test]
async fn a_server_stops_cleanly_and_keeps_others_away() {
    let (folder, data) = new_ledger(&["EUR:2"]);
    let path = folder.path().join("ledger");
    let server = ServerProcess::start(&server_settings(), &path).await.expect("a server");
    assert!(server.said.iter().any(|line| line.starts_with("recovered 1 frames")), "{:?}", server.said);
    let pid = server.pid().expect("it runs").to_string();
    for command in ["verify", "serve"] {
        let refused = florin(&[command, "--data", &data]).expect(2);
        assert!(refused.err.contains(&format!("process {pid}")), "{}", refused.err);
    }
    let address = server.address().to_string();
    florin(&["account", "open", "--server", &address, "--id", "a", "--side", "credit"]).expect(0);
    server.stop().await.expect("exit code 0");
    florin(&["verify", "--data", &data]).expect(0);
    let gone = florin(&["account", "list", "--server", &address]).expect(2);
    assert!(gone.err.contains("no connection to"), "{}", gone.err);
}

#[test]
fn damage_is_reported_with_file_and_offset_and_exit_code_1() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    for name in ["a", "b", "c"] {
        florin(&["account", "open", "--data", &data, "--id", name, "--side", "credit"]).expect(0);
    }
    let frames = florin(&["--json", "log", "--data", &data]).expect(0).json_lines();
    let (file, offset) =
        (frames[1]["file"].as_str().expect("a file"), frames[1]["offset"].as_str().expect("an offset"));
    let segment = std::path::Path::new(&data).join(file);
    let mut bytes = std::fs::read(&segment).expect("the segment");
    bytes[offset.parse::<usize>().expect("a number") + 200] ^= 1;
    std::fs::write(&segment, bytes).expect("the damaged segment");
    for command in ["verify", "serve"] {
        let said = florin(&[command, "--data", &data]).expect(1);
        assert!(said.err.contains(file) && said.err.contains("offset") && said.err.contains("next: "), "{}", said.err);
    }
}

#[test]
fn the_quickstart_survives_its_crash_and_proves_its_books() {
    let report = florin(&["--json", "quickstart", "--payments", "20000"]).expect(0).json();
    assert_eq!(report["fine"], true);
    assert!(report["answers_before_the_crash"].as_u64().is_some_and(|n| n >= 10_000), "{report}");
}

#[test]
fn the_bench_measures_and_proves_its_books() {
    let arguments = [
        "--json",
        "bench",
        "--batch",
        "100",
        "--connections",
        "4",
        "--transfers",
        "20000",
        "--accounts",
        "500",
        "--compare-hot",
    ];
    let lines = florin(&arguments).expect(0).json_lines();
    assert_eq!(lines.len(), 3);
    for (line, shape) in lines.iter().zip(["uniform", "hot"]) {
        assert_eq!(line["shape"], shape);
        assert_eq!(line["figures"]["transfers"], 20_000);
        assert_eq!(line["figures"]["proof"]["accounts"], 500);
        assert!(line["figures"]["proof"]["ids"].as_u64().is_some_and(|ids| ids >= 200));
    }
}
