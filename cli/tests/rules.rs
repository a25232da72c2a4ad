//! Holds, captures, reversals, freezes, limits, statements, institutions and watching, as a user would, against one server.

mod common;

use common::{Said, binary, florin, new_ledger};
use florin_bench::{ServerProcess, ServerSettings};
use serde_json::Value;

/// A ledger with a server, and accounts alice, shop and cash; alice has 100.00.
struct Books {
    _folder: tempfile::TempDir,
    data: String,
    address: String,
    server: ServerProcess,
}

impl Books {
    async fn open() -> Books {
        let (folder, data) = new_ledger(&["EUR:2"]);
        let settings = ServerSettings { binary: binary(), arguments: Vec::new() };
        let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
        let books = Books { _folder: folder, data, address: server.address().to_string(), server };
        books.say(&["account", "open", "--id", "alice", "--side", "credit"], 0);
        books.say(&["account", "open", "--id", "shop", "--side", "credit"], 0);
        books.say(&["account", "open", "--id", "cash", "--side", "debit", "--category", "platform"], 0);
        books.say(&["post", "--debit", "@cash:100", "--credit", "@alice:100"], 0);
        books
    }

    fn say(&self, arguments: &[&str], code: i32) -> Said {
        let mut all = arguments.to_vec();
        all.extend(["--server", &self.address]);
        let said = florin(&all).expect(code);
        if !arguments.contains(&"--json") && !arguments.contains(&"--csv") {
            assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
        }
        said
    }

    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        self.say(&all, code).json()
    }

    fn balances(&self, account: &str) -> [String; 4] {
        let shown = self.json(&["account", "show", account], 0);
        ["balance", "held", "incoming", "available"].map(|name| shown[name].as_str().expect("an amount").to_string())
    }

    async fn close(self, posted: &str) {
        self.server.stop().await.expect("exit code 0");
        assert_eq!(florin(&["--json", "verify", "--data", &self.data]).expect(0).json()["posted"], posted);
    }
}

/// The words of a command line, with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_string)),
            _ => words.push(part.to_string()),
        }
    }
    words
}

/// A line of output without what differs from run to run: times and random ids.
fn without_chance(line: &str) -> String {
    let mask = |word: &str| {
        let time = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_digit() || b"-:TZ.".contains(&b));
        let id = word.starts_with("0x") && word.trim_end_matches(':').len() == 34;
        if time || id { "…".to_string() } else { word.to_string() }
    };
    line.split(' ').map(mask).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_readme_shows_what_its_commands_print() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("the readme");
    let tour = readme.split("## A tour").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a tour");
    let blocks: Vec<&str> = tour.split("```").collect();
    let [_, first, _, session, ..] = blocks.as_slice() else { panic!("two blocks of commands: {tour}") };
    let (folder, data) = new_ledger(&["EUR:2"]);
    let settings = ServerSettings { binary: binary(), arguments: Vec::new() };
    let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
    let address = server.address().to_string();
    let run = |line: &str| {
        let mut arguments = words(line);
        arguments.extend(["--server".to_string(), address.clone()]);
        florin(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let commands = first.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    for line in commands.filter_map(|line| line.strip_prefix("florin ")) {
        if !["init", "serve", "verify"].iter().any(|command| line.starts_with(command)) {
            run(line).expect(0);
        }
    }
    let mut checked = 0;
    for part in session.split("\n$ florin ").skip(1) {
        let (command, printed) = part.split_once('\n').unwrap_or((part, ""));
        let said = run(command);
        let expected: Vec<_> = printed.trim_end().lines().map(without_chance).collect();
        let got: Vec<_> = said.out.trim_end().lines().map(without_chance).collect();
        assert_eq!(got, expected, "{command}");
        assert_eq!(said.code, i32::from(printed.starts_with("refused")), "{command}: {}", said.err);
        checked += 1;
    }
    assert_eq!(checked, 7, "commands of the session in the readme");
    server.stop().await.expect("exit code 0");
    assert_eq!(florin(&["--json", "verify", "--data", &data]).expect(0).json()["fine"], true);
    drop(folder);
}

#[tokio::test]
async fn holds_are_increased_captured_in_parts_and_released() {
    let books = Books::open().await;
    let hold =
        ["hold", "--debit", "@alice:30", "--credit", "@shop:20", "--credit", "@cash:10", "--id", "0xabcdef0123456789"];
    let first = books.json(&hold, 0);
    assert_eq!((&first["outcome"], &first["kind"]), (&"posted".into(), &"hold".into()));
    let repeat = books.json(&hold, 0);
    assert_eq!((&repeat["repeat"], &repeat["sequence"]), (&true.into(), &first["sequence"]));
    assert_eq!(repeat["postings"], first["postings"]);
    let id = "0xabcdef0123456789";
    let one = books.say(&["capture", id, "--amount", "5"], 2);
    assert!(one.err.contains("has postings 0 (debit @alice 30.00 EUR), 1 (credit @shop 20.00 EUR)"), "{}", one.err);
    assert!(one.err.contains("next: say the amount of each with --posting INDEX:AMOUNT"), "{}", one.err);
    books.say(&["increase", id, "--posting", "0:10", "--posting", "1:10"], 0);
    books.say(&["capture", id, "--posting", "1:25", "--posting", "0:25"], 0);
    let shown = books.say(&["show", id], 0).out;
    assert!(shown.contains("the hold is open") && shown.contains("left of hold"), "{shown}");
    let left = books.json(&["show", id], 0);
    let mut left: Vec<_> =
        left["left_now"].as_array().expect("a list").iter().map(|l| l["left_minor"].clone()).collect();
    left.sort_by_key(ToString::to_string);
    assert_eq!(left, ["1000", "1500", "500"]);
    let more = books.json(&["capture", id, "--posting", "1:6", "--posting", "2:6"], 1);
    assert_eq!((&more["outcome"], &more["refused_by"]["posting"]), (&"unbalanced".into(), &Value::Null));
    let more = books.json(&["capture", id, "--posting", "0:6", "--posting", "1:6"], 1);
    assert_eq!((&more["outcome"], &more["refused_by"]["posting"]), (&"exceeds_hold".into(), &1.into()));
    let all = books.json(&["capture", id], 0);
    assert_eq!(all["postings"].as_array().map(Vec::len), Some(3));
    let closed = books.say(&["release", id], 1).out;
    assert!(
        closed.contains("hold_closed") && closed.contains(&format!("florin show 0x{:032x}", 0xabcd_ef01_2345_6789u64))
    );
    assert!(books.say(&["show", id], 0).out.contains("the hold is closed by a capture"));
    books.say(&["hold", "--debit", "@alice:1", "--credit", "@shop:1", "--id", "9"], 0);
    let released = books.json(&["release", "9"], 0);
    assert_eq!((&released["postings"][0]["freed"], &released["postings"][0]["left"]), (&"1.00".into(), &"0.00".into()));
    assert!(books.say(&["show", "9"], 0).out.contains("the hold is released"));
    let unknown = books.say(&["capture", "12345"], 1);
    assert!(unknown.err.contains("there is no hold 12345; nothing was sent"), "{}", unknown.err);
    assert_eq!(books.json(&["capture", "9", "--id", "10"], 1)["outcome"], "hold_closed");
    books.close("7").await;
}

#[tokio::test]
async fn forced_postings_reversals_and_links() {
    let books = Books::open().await;
    books.say(&["post", "--debit", "@alice:40", "--credit", "@shop:40", "--id", "1", "--reference", "77"], 0);
    books.say(
        &["post", "--debit", "@shop:40", "--credit", "@cash:40", "--id", "2", "--reference", "77", "--link", "1"],
        0,
    );
    let short = books.json(&["reverse", "1"], 1);
    assert_eq!((&short["outcome"], &short["account_now"]["label"]), (&"below_floor".into(), &"shop".into()));
    books.say(&["reverse", "1", "--forced", "--id", "3"], 0);
    assert_eq!(books.balances("@shop")[0], "-40.00");
    assert_eq!(books.json(&["reverse", "3"], 1)["outcome"], "original_is_reversal");
    books.say(&["post", "--debit", "@alice:1000", "--credit", "@shop:1000", "--forced"], 0);
    let shown = books.json(&["show", "1"], 0);
    let linked: Vec<_> = shown["linked"].as_array().expect("a list").iter().map(|t| t["kind"].clone()).collect();
    assert_eq!(linked, ["transfer", "reversal", "reversal"]);
    assert_eq!(books.say(&["find", "--reference", "77"], 0).out.lines().count(), 3);
    let page = books.say(&["find", "--reference", "77", "--limit", "1"], 0).out;
    let after =
        page.lines().last().and_then(|line| line.strip_prefix("more: --after ")).expect("a position").to_string();
    assert_eq!(books.json(&["find", "--reference", "77", "--after", &after], 0)["id"], "2");
    books.say(&["find", "--reference", "78"], 1);
    books.say(&["show", "4711"], 1);
    books.close("5").await;
}

#[tokio::test]
async fn accounts_are_frozen_limited_closed_and_described() {
    let books = Books::open().await;
    let status = |arguments: &[&str], code: i32| {
        let mut all = vec!["account"];
        all.extend(arguments);
        books.json(&all, code)
    };
    for (side, name) in [("--debit", "debit-frozen"), ("--credit", "credit-frozen")] {
        assert_eq!(status(&["freeze", "@shop", side, "--reason", "x"], 0)["account_now"]["status"], name);
    }
    assert_eq!(status(&["freeze", "@shop", "--reason", "x"], 0)["account_now"]["status"], "frozen");
    assert_eq!(status(&["unfreeze", "@shop", "--reason", "x"], 0)["account_now"]["status"], "open");
    let floor = status(&["limits", "@alice", "--floor", "100.01", "--reason", "x"], 1);
    assert_eq!(floor["outcome"], "outside_limits");
    status(
        &["limits", "@alice", "--floor", "100.01", "--ceiling", "500", "--alarm", "50", "--reason", "x", "--forced"],
        0,
    );
    let list = books.say(&["account", "list"], 0).out;
    assert!(list.contains("\n    floor 100.01, ceiling 500.00, alarm level 50.00\n"), "{list}");
    let set = status(&["limits", "@alice", "--floor", "none", "--ceiling", "none", "--reason", "x"], 0);
    assert_eq!((&set["account_now"]["floor"], &set["account_now"]["alarm"]), (&Value::Null, &"50.00".into()));
    assert_eq!(status(&["close", "@alice", "--reason", "x"], 1)["outcome"], "account_not_empty");
    status(&["close", "@shop", "--reason", "moved away", "--id", "5"], 0);
    assert_eq!(status(&["close", "@shop", "--reason", "moved away", "--id", "5"], 0)["repeat"], true);
    let other = status(&["close", "@shop", "--reason", "other", "--id", "5"], 1);
    assert_eq!(other["differing_field"], "reason");
    let closed = books.say(&["post", "--debit", "@alice:1", "--credit", "@shop:1"], 1).out;
    assert!(closed.contains("account_closed") && closed.contains("posting 1, @shop: closed"), "{closed}");
    status(&["reopen", "@shop", "--reason", "back"], 0);
    status(&["label", "@shop", "The shop"], 0);
    status(&["attributes", "@shop", r#"{"vat":"DE1"}"#], 0);
    let shown = books.say(&["account", "show", "@shop"], 0).out;
    assert!(shown.contains("label        The shop") && shown.contains(r#"attributes   {"vat":"DE1"}"#), "{shown}");
    let none = books.say(&["account", "limits", "@shop", "--reason", "x"], 2);
    assert!(none.err.contains("no limit is named"), "{}", none.err);
    assert_eq!(status(&["freeze", "@shop", "--reason", ""], 1)["outcome"], "reason_invalid");
    let frames = florin(&["--json", "log", "--data", &books.data, "--limit", "0"]).expect(0).json_lines();
    let last = frames.last().expect("a frame")["frame"].as_str().expect("a number").to_string();
    let rows = florin(&["log", "--data", &books.data, "--frame", &last]).expect(0).out;
    assert!(rows.contains("attributes -> version") && rows.contains(r#"value {"vat":"DE1"}"#), "{rows}");
    books.close("1").await;
}

#[tokio::test]
async fn statements_by_span_and_order_balances_at_a_time_and_a_watch_that_resumes() {
    let books = Books::open().await;
    for amount in ["@alice:1", "@alice:2", "@alice:3"] {
        books.say(&["post", "--debit", amount, "--credit", &amount.replace("alice", "shop")], 0);
    }
    let versions = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["--json", "statement", "@alice"];
        all.extend(arguments);
        let mut lines = books.say(&all, 0).json_lines();
        lines.pop();
        lines.iter().map(|entry| entry["version"].as_str().expect("a number").to_string()).collect()
    };
    assert_eq!(versions(&[]), ["4", "3", "2", "1"]);
    assert_eq!(versions(&["--oldest-first", "--versions", "2..3"]), ["2", "3"]);
    assert_eq!(versions(&["--from", "2001-01-01", "--to", "2001-12-31"]), [] as [&str; 0]);
    assert_eq!(versions(&["--from", "2001-01-01", "--dates", "--limit", "1"]), ["4"]);
    let entries = books.say(&["--json", "statement", "@alice"], 0).json_lines();
    let second = entries[2]["booked_at"].as_str().expect("a time");
    assert_eq!(versions(&["--to", second]), ["2", "1"]);
    assert_eq!(books.json(&["balance", "@alice", "--at", second], 0)["balance"], "99.00");
    assert_eq!(books.json(&["balance", "@alice"], 0)["balance"], "94.00");
    let early = books.say(&["balance", "@alice", "--at", "2001-01-01"], 0).out;
    assert!(early.contains("0.00 EUR") && early.contains("not open yet"), "{early}");
    let csv = books.say(&["statement", "@alice", "--csv", "--limit", "2"], 0);
    assert_eq!(csv.out.lines().count(), 3);
    assert!(csv.err.contains("more entries: --resume "), "{}", csv.err);
    let all = books.say(&["--json", "watch"], 0).json_lines();
    assert_eq!(all.len(), 4);
    let position = all[1]["position"].as_str().expect("a position");
    let rest = books.say(&["--json", "watch", "--after", position], 0).json_lines();
    assert_eq!(rest, all[2..]);
    books.close("4").await;
}

#[tokio::test]
async fn a_watch_that_follows_sees_what_is_posted_later_and_ends_by_a_signal() {
    use std::io::BufRead;
    let books = Books::open().await;
    let mut watch = std::process::Command::new(binary())
        .args(["--json", "watch", "--follow", "--server", &books.address])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a watch");
    let mut lines = std::io::BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains("\"sequence\":\"5\""));
    books.say(&["hold", "--debit", "@alice:1", "--credit", "@shop:1", "--id", "31"], 0);
    assert!(next().contains("\"id\":\"31\""));
    let ended = std::process::Command::new("kill").args(["-INT", &watch.id().to_string()]).status().expect("kill runs");
    assert!(ended.success());
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));
    books.close("2").await;
}

#[tokio::test]
async fn institutions_have_accounts_and_days_of_their_own() {
    let books = Books::open().await;
    books.say(&["institution", "add", "2", "Second Bank"], 0);
    assert!(books.say(&["institution", "add", "2", "Second Bank"], 0).out.contains("was recorded before"));
    let other = books.say(&["institution", "add", "2", "Third Bank"], 1);
    assert!(other.err.contains("institution_exists_with_other_fields"), "{}", other.err);
    books.say(&["--institution", "2", "account", "open", "--id", "alice", "--side", "credit"], 0);
    assert_eq!(books.json(&["account", "show", "@alice", "--institution", "2"], 0)["balance"], "0.00");
    assert_eq!(books.balances("@alice")[0], "100.00");
    let not = books.say(&["--institution", "2", "institution", "add", "3", "Third Bank"], 1);
    assert!(not.err.contains("only institution 1 may"), "{}", not.err);
    let unknown = books.say(&["--institution", "9", "account", "list"], 1);
    assert!(unknown.err.contains("there is no institution 9") && unknown.err.contains("next: "), "{}", unknown.err);
    books.say(&["--institution", "2", "day", "set", "2090-01-31"], 0);
    let back = books.say(&["--institution", "2", "day", "set", "2090-01-30"], 1);
    assert!(back.err.contains("open_day_not_forward"), "{}", back.err);
    let list = books.say(&["institution", "list"], 0).out;
    assert!(list.contains("2  Second Bank  2090-01-31"), "{list}");
    let whole = florin(&["--institution", "2", "verify", "--data", &books.data]).expect(2);
    assert!(whole.err.contains("whole ledger"), "{}", whole.err);
    books.close("1").await;
}

#[tokio::test]
async fn an_exchange_names_the_asset_of_each_amount() {
    let (_folder, data) = new_ledger(&["EUR:2", "JPY:0"]);
    let settings = ServerSettings { binary: binary(), arguments: Vec::new() };
    let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
    let address = server.address().to_string();
    let say = |arguments: &[&str], code: i32| {
        let mut all = vec!["--json"];
        all.extend(arguments);
        all.extend(["--server", &address]);
        florin(&all).expect(code)
    };
    for (id, side, asset) in [
        ("bob-eur", "credit", "EUR"),
        ("bob-jpy", "credit", "JPY"),
        ("desk-eur", "debit", "EUR"),
        ("desk-jpy", "debit", "JPY"),
    ] {
        let category = if side == "debit" { "platform" } else { "personal" };
        say(&["account", "open", "--id", id, "--side", side, "--asset", asset, "--category", category], 0);
    }
    // Without a code the asset must be said; a code of its own goes before --asset.
    assert!(say(&["post", "--debit", "@desk-eur:100", "--credit", "@bob-eur:100"], 2).out.contains("say which asset"));
    say(&["post", "--debit", "@desk-eur:100EUR", "--credit", "@bob-eur:100", "--asset", "EUR"], 0);
    let exchange = |eur: &'static str, jpy: &'static str| {
        let (bob, desk) = (format!("@bob-eur:{eur}"), format!("@desk-eur:{eur}"));
        let (desk_jpy, bob_jpy) = (format!("@desk-jpy:{jpy}"), format!("@bob-jpy:{jpy}"));
        ["post", "--debit", &bob, "--credit", &desk, "--debit", &desk_jpy, "--credit", &bob_jpy].map(str::to_string)
    };
    let ask = |words: [String; 9], code| say(&words.each_ref().map(String::as_str), code);
    ask(exchange("50.00EUR", "8123 JPY"), 0);
    for wrong in ["8123.5JPY", "8123XXX", "0JPY", "-1JPY", "JPY", ""] {
        let said = ask(exchange("1EUR", wrong), 2);
        assert!(said.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{wrong}");
    }
    say(&["post", "--debit", ":5EUR", "--credit", "@bob-eur:5EUR"], 2);
    // Balanced together is not enough: each asset is.
    let crossed = say(&["post", "--debit", "@bob-eur:5EUR", "--credit", "@bob-jpy:5JPY"], 1).json();
    assert_eq!(crossed["outcome"], "unbalanced");
    let balance = |account: &str| say(&["account", "show", account], 0).json()["balance"].clone();
    let all = ["@bob-eur", "@desk-eur", "@bob-jpy", "@desk-jpy"].map(balance);
    assert_eq!(all, ["50.00", "50.00", "8123", "8123"]);
    server.stop().await.expect("exit code 0");
}

#[tokio::test]
async fn listings_say_where_they_stopped_and_labels_stay_on_their_line() {
    let books = Books::open().await;
    books.say(&["account", "label", "@alice", "a\u{1b}[2J\nforged line"], 0);
    books.say(&["account", "attributes", "@alice", "b\u{1b}]0;x\u{7}\nforged line"], 0);
    books.say(
        &[
            "post",
            "--debit",
            "@alice:1",
            "--credit",
            "@shop:1",
            "--id",
            "8",
            "--reference",
            "5",
            "--voucher",
            "c\u{1b}[1m\nforged line",
        ],
        0,
    );
    let shown = [
        &["account", "show", "@alice"][..],
        &["account", "list"],
        &["account", "label", "@shop", "d\u{1b}[1m\nforged line"],
        &["statement", "@alice"],
        &["statement", "@shop"],
        &["show", "8"],
        &["watch"],
        &["post", "--debit", "@alice:1", "--credit", "@shop:1", "--reference", "5"],
        &["post", "--debit", "@alice:999", "--credit", "@shop:999", "--reference", "5"],
    ];
    for arguments in shown {
        let code = i32::from(arguments.contains(&"@alice:999"));
        let out = books.say(arguments, code).out;
        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{arguments:?}: {out:?}");
        assert!(!out.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {out}");
    }

    let lines = |arguments: &[&str]| books.say(arguments, 0).json_lines();
    let page = lines(&["--json", "account", "list", "--limit", "2"]);
    assert_eq!((page.len(), &page[2]["more"]), (3, &true.into()));
    let after = page[2]["next_after"].as_str().expect("a position").to_string();
    let rest = lines(&["--json", "account", "list", "--limit", "0", "--after", &after]);
    assert_eq!((rest.len(), &rest[0]["label"]), (1, &"cash".into()));
    assert_eq!(lines(&["--json", "account", "list", "--limit", "3"]).len(), 3);
    assert!(books.say(&["account", "list", "--limit", "2"], 0).out.ends_with(&format!("more: --after {after}\n")));
    let page = lines(&["--json", "find", "--reference", "5", "--limit", "1"]);
    assert_eq!((page.len(), &page[1]["more"]), (2, &true.into()));
    let after = page[1]["next_after"].as_str().expect("a position").to_string();
    assert_eq!(lines(&["--json", "find", "--reference", "5", "--after", &after]).len(), 2);
    let page = florin(&["--json", "log", "--data", &books.data, "--limit", "2"]).expect(0).json_lines();
    assert_eq!((page.len(), &page[2]["next_from"], &page[2]["more"]), (3, &"3".into(), &true.into()));
    books.close("3").await;
}

#[tokio::test]
async fn json_names_kinds_and_times_alike_whatever_the_command_and_outcome() {
    let books = Books::open().await;
    let same = |object: &Value| {
        let ns = object["booked_at_ns"].as_str().expect("nanoseconds").parse::<u64>().expect("a number");
        let time = object["booked_at"].as_str().expect("a time");
        assert!(time.ends_with(&format!(".{:09}Z", ns % 1_000_000_000)), "{object}");
    };
    let post = |amount: &str, id: &str, code: i32| {
        let (debit, credit) = (format!("@alice:{amount}"), format!("@shop:{amount}"));
        books.json(&["post", "--debit", &debit, "--credit", &credit, "--id", id], code)
    };
    let (posted, refused) = (post("1", "11", 0), post("999", "12", 1));
    assert_eq!([&posted["kind"], &refused["kind"]], ["transfer", "transfer"]);
    let hold = books.json(&["hold", "--debit", "@alice:1", "--credit", "@shop:1", "--id", "13"], 0);
    let too_much = books.json(&["hold", "--debit", "@alice:999", "--credit", "@shop:999", "--id", "14"], 1);
    let reversed = books.json(&["reverse", "11", "--id", "15"], 0);
    let again = books.json(&["reverse", "11", "--id", "16"], 1);
    assert_eq!([&reversed["kind"], &again["kind"]], ["reversal", "reversal"]);
    let changed = books.json(&["account", "limits", "@alice", "--ceiling", "500", "--reason", "x"], 0);
    let opened = books.json(&["account", "open", "--id", "9", "--side", "credit", "--owner", "0x10"], 0);
    let day = books.json(&["day", "set", "2090-01-31"], 0);
    let added = books.json(&["institution", "add", "2", "Second Bank"], 0);
    let balance = books.json(&["balance", "@alice"], 0);
    for object in [&posted, &refused, &hold, &too_much, &reversed, &again, &changed, &opened, &day, &added, &balance] {
        same(object);
    }
    assert_eq!(books.json(&["account", "show", "9"], 0)["owner"], "16");
    books.say(&["account", "open", "--id", "10", "--side", "credit", "--owner", "0"], 0);

    let left = |id: &str| books.json(&["show", id], 0)["left_now"].clone();
    for id in ["12", "14", "15", "16"] {
        assert_eq!((id, left(id)), (id, Value::Null));
    }
    assert_eq!(left("13")[1]["left_minor"], "100");
    books.json(&["release", "13", "--id", "17"], 0);
    assert_eq!((left("17"), &left("13")[0]["left_minor"]), (Value::Null, &"0".into()));
    books.close("5").await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_is_sent() {
    let books = Books::open().await;
    let (label, voucher) = ("x".repeat(65), "x".repeat(4_097));
    let (attributes, reason) = ("x".repeat(1_025), "x".repeat(201));
    let tries = [
        (&["account", "open", "--id", "7", "--side", "credit", "--label", &label][..], "label_invalid"),
        (&["account", "open", "--id", &label, "--side", "credit"], "label_invalid"),
        (&["account", "label", "@alice", &label], "label_invalid"),
        (&["account", "attributes", "@alice", &attributes], "attributes_too_long"),
        (&["account", "freeze", "@alice", "--reason", &reason], "reason_invalid"),
        (&["post", "--debit", "@alice:1", "--credit", "@shop:1", "--voucher", &voucher], "voucher_too_long"),
        (&["institution", "add", "2", &label], "control_malformed"),
        (&["institution", "add", "2", ""], "control_malformed"),
        (&["institution", "add", "2", "a\nb"], "control_malformed"),
    ];
    for (arguments, outcome) in tries {
        let error = books.json(arguments, 1);
        assert_eq!((&error["outcome"], &error["exit"]), (&outcome.into(), &1.into()), "{error}");
        assert!(error["error"].as_str().is_some_and(|text| text.contains("nothing was sent")), "{error}");
    }
    let name = books.say(&["institution", "add", "2", &label], 1).err;
    assert!(name.contains("next: a name has 1 to 64 bytes and no control characters"), "{name}");
    books.say(&["post", "--debit", "@alice:1", "--credit", "@shop:1", "--voucher", &voucher[1..]], 0);
    books.say(&["post", "--debit", "@alice:1", "--credit", "@shop:1"], 0);
    // A token of another account.
    let page = books.json(&["statement", "@alice", "--limit", "1"], 0);
    let token = page["next"].as_str().expect("a token");
    let foreign = books.say(&["statement", "@cash", "--resume", token], 2).err;
    assert!(foreign.contains("error 102") && foreign.contains("next: begin without --resume"), "{foreign}");
    books.close("3").await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_hex_digits_in_json() {
    use florin_net::{AccountChange, Client, ClientOptions, Transaction};
    let books = Books::open().await;
    let client = Client::connect(&books.address, ClientOptions::default()).await.expect("a connection");
    let ids = ["@alice", "@shop"].map(|name| {
        let shown = books.json(&["account", "show", name], 0);
        let digits = shown["account"].as_str().and_then(|id| id.strip_prefix("0x")).expect("an id").to_string();
        u128::from_str_radix(&digits, 16).expect("hex digits")
    });
    let asset = client.assets().await.expect("assets")[0].number;
    let post = Transaction::transfer(5, ids[0], ids[1], asset, 100).with_voucher([0xff, 0x00]);
    client.post(&[post], false).await.expect("an answer");
    client.change_accounts(&[AccountChange::attributes(6, ids[0], [0x80])]).await.expect("an answer");
    drop(client);
    let shown = books.json(&["show", "5"], 0);
    let voucher = &shown["transaction"];
    assert_eq!((&voucher["voucher_hex"], voucher.get("voucher")), (&"ff00".into(), None));
    let account = books.json(&["account", "show", "@alice"], 0);
    assert_eq!((&account["attributes_hex"], account.get("attributes")), (&"80".into(), None));
    let entries = books.say(&["--json", "statement", "@alice", "--oldest-first"], 0).json_lines();
    assert_eq!((&entries[0]["voucher"], &entries[1]["voucher_hex"]), (&"".into(), &"ff00".into()));
    let csv = books.say(&["statement", "@shop", "--csv"], 0).out;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].ends_with(",voucher_hex") && lines[1].ends_with(",ff00"), "{csv}");
    books.close("2").await;
}
