//! `florin bench`: every workload runs and its books are proved; nothing is said about speed.

mod common;

use common::{florin, path_text};
use serde_json::Value;

/// Runs a bench of a few thousand transfers and gives what it said, the totals last.
fn bench(arguments: &[&str]) -> Vec<Value> {
    let all = [&["--json", "bench", "--accounts", "300"], arguments].concat();
    florin(&all).expect(0).json_lines()
}

/// The figures of one run, which must be there whatever was posted.
fn figures(line: &Value) -> &Value {
    let figures = &line["figures"];
    for name in ["per_second", "seconds", "request_bytes_per_transfer", "reply_bytes_per_transfer", "steal_percent"] {
        assert!(figures[name].as_f64().is_some_and(|v| v >= 0.0), "{name}: {figures}");
    }
    for name in ["log_bytes_per_transfer", "groups", "transfers_per_group", "group_bytes", "server_cpu_us_per_transfer"]
    {
        assert!(figures[name].is_number(), "{name}: {figures}");
    }
    let latency = ["p50", "p90", "p99", "p999", "p9999", "max"].map(|name| figures["latency_us"][name].as_u64());
    assert!(latency.iter().all(Option::is_some) && latency.is_sorted(), "{latency:?}");
    assert!(figures["threads"].as_array().is_some_and(|threads| threads.len() > 1), "{figures}");
    let points = figures["series"].as_array().expect("a series");
    let counted: u64 = points.iter().filter_map(|point| point["transfers"].as_u64()).sum();
    assert_eq!(Some(counted), figures["transfers"].as_u64(), "the series counts every transfer once");
    figures
}

fn number(figures: &Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap_or_else(|| panic!("{name}: {figures}"))
}

/// One workload in a closed loop; gives its figures, whose sums are right.
fn check(workload: &str, more: &[&str]) -> Value {
    let arguments = [&["--workload", workload, "--connections", "3", "--in-flight", "4"], more].concat();
    let lines = bench(&arguments);
    assert_eq!((lines.len(), &lines[0]["shape"], &lines[0]["load"]), (2, &workload.into(), &"closed".into()));
    let figures = figures(&lines[0]).clone();
    let counted = number(&figures, "transfers") - number(&figures, "refused") - number(&figures, "repeats");
    let proof = &figures["proof"];
    match workload {
        // Holds that are left at the end are captured before the books are looked at.
        "holds" => assert!(number(proof, "transfers") >= counted, "{figures}"),
        _ => assert_eq!(number(proof, "transfers"), counted, "{figures}"),
    }
    assert!(number(proof, "accounts") >= 300 && number(proof, "ids") > 0, "{proof}");
    figures
}

#[test]
fn every_workload_is_measured_and_its_books_are_proved() {
    for workload in ["uniform", "zipf", "zipf-1.2", "zipf-1.5", "hot", "hot-credit", "hot-debit", "dual-hot"] {
        let figures = check(workload, &["--transfers", "4000", "--batch", "50"]);
        assert_eq!((number(&figures, "transfers"), number(&figures, "refused")), (4_000, 0), "{workload}");
    }
    for (workload, bytes) in [("journal-3", 208.0), ("journal-5", 304.0)] {
        let figures = check(workload, &["--transfers", "3000", "--batch", "30"]);
        let sent = figures["request_bytes_per_transfer"].as_f64().expect("a number");
        assert!((bytes..bytes + 10.0).contains(&sent), "{sent}");
    }
}

#[test]
fn refusals_and_repeats_are_counted_where_they_belong() {
    let figures = check("hot-debit-empty", &["--transfers", "10000", "--batch", "100", "--shards", "2"]);
    let (refused, transfers) = (number(&figures, "refused"), number(&figures, "transfers"));
    assert!(refused > transfers / 10 && refused < transfers * 9 / 10, "{refused} of {transfers}");
    assert!(figures["votes_maybe_percent"].is_number(), "{figures}");
    // Requests of an even number leave the coin where it was, so that none is refused; single ones overtake each other.
    let figures = check("last-coin", &["--transfers", "3000", "--batch", "100", "--shards", "2"]);
    assert_eq!(number(&figures, "refused"), 0);
    let figures = check("last-coin", &["--transfers", "1000", "--batch", "1", "--runs", "1"]);
    assert!(number(&figures["proof"], "transfers") >= 2, "{figures}");
    for (workload, least, most) in [("repeats-1", 20, 400), ("repeats-10", 500, 1_500)] {
        let figures = check(workload, &["--transfers", "10000", "--batch", "100"]);
        assert!((least..most).contains(&number(&figures, "repeats")), "{workload}: {}", figures["repeats"]);
    }
}

#[test]
fn holds_are_captured_and_look_ups_are_mixed_in() {
    let figures = check("holds", &["--transfers", "3900", "--batch", "100"]);
    assert!(number(&figures["proof"], "transfers") >= 3_900);
    check("holds", &["--transfers", "501", "--batch", "1"]);
    let figures = check("reads-10", &["--transfers", "3000", "--batch", "1"]);
    assert!((100..700).contains(&number(&figures, "reads")), "{}", figures["reads"]);
    assert!(figures["read_latency_us"]["max"].is_u64());
    check("uniform", &["--transfers", "2000", "--batch", "1", "--random-ids", "--reads", "50", "--repeats", "20"]);
}

#[test]
fn coin_and_money_of_an_earlier_run_are_taken_as_they_are() {
    for workload in ["last-coin", "hot-debit"] {
        let runs = ["--workload", workload, "--transfers", "301", "--batch", "1", "--runs", "3"];
        let lines = bench(&runs);
        assert_eq!(lines.len(), 4);
        assert!(lines[..3].iter().all(|line| number(&figures(line)["proof"], "transfers") > 0), "{workload}");
    }
}

#[test]
fn an_open_loop_sends_what_its_schedule_says() {
    let lines = bench(&["--rate", "20000", "--seconds", "0.3", "--batch", "10", "--connections", "4"]);
    let figures = figures(&lines[0]);
    assert_eq!((&lines[0]["load"], number(figures, "rate")), (&"open".into(), 20_000));
    assert_eq!(number(figures, "transfers") / 10 + number(figures, "unsent_requests"), 600);
    let lines = bench(&["--workload", "holds", "--rate", "5000", "--transfers", "1000", "--batch", "7"]);
    assert!(number(&self::figures(&lines[0])["proof"], "transfers") > 0);
}

#[test]
fn the_ladder_is_reported_with_its_plots_and_percentiles() {
    let folder = tempfile::tempdir().expect("a folder");
    let [report, hgrm] = ["report.html", "latency.hgrm"].map(|name| folder.path().join(name));
    let [report_text, hgrm_text] = [&report, &hgrm].map(|path| path_text(path));
    let arguments = ["--ladder", "--seconds", "0.2", "--batch", "20", "--report", &report_text, "--hgrm", &hgrm_text];
    let lines = bench(&arguments);
    assert_eq!(lines.len(), 12);
    let percents: Vec<u64> = lines[1..11].iter().map(|line| number(line, "ladder_percent")).collect();
    assert_eq!(percents, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    for line in &lines[..11] {
        figures(line);
    }
    let facts = &lines[11]["facts"];
    assert!(facts["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{facts}");
    assert!(facts["disk_probe"].as_array().is_some_and(|rows| !rows.is_empty()), "{facts}");
    let page = std::fs::read_to_string(&report).expect("a report");
    // The ladder, the percentiles, and five plots over time for each run.
    assert_eq!(page.matches("<svg").count(), 2 + 5 * 11);
    for words in ["Latency against throughput", "Percentiles", "uniform at 70 %", "release 0", "Disk, probed"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:") && !page.contains("NaN"));
    let hgrm = std::fs::read_to_string(&hgrm).expect("percentiles");
    assert!(hgrm.starts_with("       Value     Percentile TotalCount") && hgrm.contains("#[Max "), "{hgrm}");
}

#[test]
fn what_cannot_be_run_is_said_before_it_runs() {
    for (arguments, words) in [
        (&["bench", "--workload", "nothing"][..], "there is no such workload; there are uniform, zipf"),
        (&["bench", "--zipf", "0"], "above 0"),
        (&["bench", "--workload", "holds", "--repeats", "5"], "holds are not posted again"),
        (&["bench", "--report", "/nowhere/report.html"], "cannot write /nowhere/report.html"),
        (&["bench", "--ladder", "--rate", "5"], "cannot be used with"),
    ] {
        let said = florin(arguments).expect(2);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
    let help = florin(&["bench", "--help"]).expect(0);
    for workload in florin_bench::workload::WORKLOADS {
        assert!(help.out.contains(&format!("\n  {} ", workload.name)), "{}", help.out);
    }
}
