//! Imports through a real server: with and without overdrafts, again, changed, and after refusals.
//!
//! What is refused and what differs in the small file was computed apart from the product, by a loop over its rows with a
//! floor of 0.

mod common;

use std::path::Path;

use common::{czech_bank, florin, new_ledger, path_text, small_bank, with_changed_line};
use serde_json::Value;

const ROWS: usize = 300;
const REFUSED_LINES: [u64; 6] = [33, 48, 84, 89, 138, 213];
const DIFFERING: usize = 38;
/// Of the refused rows, those that still do not fit after all others.
const REFUSED_AGAIN: [u64; 1] = [138];

fn import(file: &Path, data: &str, more: &[&str], code: i32) -> Value {
    let file = path_text(file);
    let mut arguments = vec!["--json", "import", &file, "--data", data];
    arguments.extend(more);
    florin(&arguments).expect(code).json()
}

fn count(report: &Value, name: &str) -> usize {
    report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}")) as usize
}

fn refused_lines(report: &Value) -> Vec<u64> {
    report["refused"].as_array().expect("a list").iter().map(|r| r["line"].as_u64().expect("a line")).collect()
}

fn verify(data: &str, posted: usize) {
    let report = florin(&["--json", "verify", "--data", data]).expect(0).json();
    assert_eq!(report["posted"], posted.to_string());
    assert_eq!(report["fine"], true);
}

#[test]
fn with_overdraft_every_balance_agrees_also_the_second_time() {
    let (_folder, data) = new_ledger(&[]);
    let first = import(&small_bank(), &data, &["--allow-overdraft"], 0);
    assert_eq!(first["asset"], "CZK");
    assert_eq!((count(&first, "posted_now"), count(&first, "accounts_opened")), (ROWS, 24));
    assert_eq!((count(&first, "balances_agree"), count(&first, "balances_differ")), (ROWS, 0));
    assert_eq!(count(&first, "accounts_with_overdraft"), 4);
    let second = import(&small_bank(), &data, &["--allow-overdraft"], 0);
    assert_eq!((count(&second, "posted_now"), count(&second, "posted_earlier")), (0, ROWS));
    assert_eq!((count(&second, "balances_agree"), count(&second, "accounts_opened")), (ROWS, 0));
    // Lower floors than the file needs are fine.
    import(&small_bank(), &data, &[], 0);
    verify(&data, ROWS);
}

#[test]
fn a_changed_balance_fails_and_its_line_is_named_with_both_balances() {
    let (folder, data) = new_ledger(&[]);
    import(&small_bank(), &data, &["--allow-overdraft"], 0);
    let changed = folder.path().join("changed.csv");
    with_changed_line(&small_bank(), &changed, 150, |fields| fields[6] = "123456789".to_string());
    let report = import(&changed, &data, &["--allow-overdraft"], 1);
    assert_eq!(report["first_unexplained"]["line"], 150);
    assert_eq!(report["first_unexplained"]["recorded"], "1234567.89");
    assert_eq!((count(&report, "balances_differ"), count(&report, "posted_now")), (1, 0));
    let text = florin(&["import", &path_text(&changed), "--data", &data, "--allow-overdraft"]).expect(1);
    assert!(text.out.contains("first unexplained difference: line 150: account "), "{}", text.out);
    assert!(text.out.contains("the file records 1,234,567.89, the ledger has "), "{}", text.out);
}

#[test]
fn a_changed_amount_under_a_known_id_is_refused_and_explains_nothing() {
    let (folder, data) = new_ledger(&[]);
    import(&small_bank(), &data, &["--allow-overdraft"], 0);
    let changed = folder.path().join("changed.csv");
    with_changed_line(&small_bank(), &changed, 150, |fields| fields[5] = "77".to_string());
    let report = import(&changed, &data, &["--allow-overdraft", "--retry-refused"], 1);
    assert_eq!(refused_lines(&report), [150]);
    assert_eq!(report["refused"][0]["outcome"], "id_used_with_other_fields");
    assert_eq!(report["refused"][0]["differing_field"], "amount");
    assert_eq!((count(&report, "balances_differ"), count(&report, "balances_agree")), (0, ROWS - 1));
    verify(&data, ROWS);
}

#[test]
fn without_overdraft_refused_rows_are_named_and_explain_all_differences() {
    let (_folder, data) = new_ledger(&[]);
    for run in 0..2 {
        let report = import(&small_bank(), &data, &[], 1);
        assert_eq!(refused_lines(&report), REFUSED_LINES, "run {run}");
        assert!(report["refused"].as_array().expect("a list").iter().all(|r| r["outcome"] == "below_floor"));
        assert_eq!(count(&report, "posted_now") + count(&report, "posted_earlier"), ROWS - REFUSED_LINES.len());
        assert_eq!(count(&report, "posted_now") == 0, run == 1);
        assert_eq!(
            (count(&report, "balances_differ"), count(&report, "differences_explained")),
            (DIFFERING, DIFFERING)
        );
        assert!(report["first_unexplained"].is_null());
    }
    verify(&data, ROWS - REFUSED_LINES.len());
    // Both floors are named, with the command that lowers the one of the ledger, and nothing is posted.
    let refusal = florin(&["import", &path_text(&small_bank()), "--data", &data, "--allow-overdraft"]).expect(1);
    assert!(refusal.err.contains("with floor 0.00, but the file needs floor -"), "{}", refusal.err);
    assert!(refusal.err.contains("next: lower it (`florin account limits '@"), "{}", refusal.err);
    verify(&data, ROWS - REFUSED_LINES.len());
}

#[test]
fn retries_post_refused_rows_late_and_explain_their_differences() {
    let (_folder, data) = new_ledger(&[]);
    // Refused in this very run: no earlier attempt, so not retried yet.
    let first = import(&small_bank(), &data, &["--retry-refused"], 1);
    assert_eq!(refused_lines(&first), REFUSED_LINES);
    let late = REFUSED_LINES.len() - REFUSED_AGAIN.len();
    for run in 0..3 {
        // The second run retries; the third only looks; the last retries what is left once more.
        let more: &[&str] = if run == 1 { &[] } else { &["--retry-refused"] };
        let report = import(&small_bank(), &data, more, 1);
        assert_eq!(refused_lines(&report), REFUSED_AGAIN, "run {run}");
        assert_eq!(report["refused"][0]["attempts"], if run == 2 { 3 } else { 2 });
        assert_eq!(count(&report, "posted_now"), if run == 0 { late } else { 0 });
        assert_eq!(count(&report, "posted_late"), late);
        assert_eq!(count(&report, "balances_differ"), DIFFERING + late);
        assert_eq!(count(&report, "differences_explained"), DIFFERING + late);
    }
    verify(&data, ROWS - REFUSED_AGAIN.len());
}

#[test]
fn an_account_in_another_asset_is_an_error_and_nothing_is_changed() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    florin(&["account", "open", "--data", &data, "--id", "cash", "--side", "debit", "--asset", "EUR"]).expect(0);
    let said = florin(&["import", &path_text(&small_bank()), "--data", &data, "--asset", "CZK:2"]).expect(1);
    assert!(said.err.contains("account 'cash'") && said.err.contains("the file is in CZK"), "{}", said.err);
    let accounts = florin(&["--json", "account", "list", "--data", &data]).expect(0).json_lines();
    assert_eq!(accounts.len(), 1);
    let wrong_scale = florin(&["import", &path_text(&small_bank()), "--data", &data, "--asset", "EUR:3"]).expect(1);
    assert!(wrong_scale.err.contains("EUR is registered with scale 2, not 3"), "{}", wrong_scale.err);
}

#[test]
fn errors_in_the_file_name_the_line_and_post_nothing() {
    let (folder, data) = new_ledger(&[]);
    let broken = folder.path().join("broken.csv");
    with_changed_line(&small_bank(), &broken, 42, |fields| fields[1] = "2024-02-30".to_string());
    let said = florin(&["--json", "import", &path_text(&broken), "--data", &data]).expect(1);
    assert!(said.err.contains("line 42: '2024-02-30' is not a date"), "{}", said.err);
    assert_eq!(said.json()["exit"], 1);
    assert!(florin(&["account", "list", "--data", &data]).expect(0).out.lines().count() == 1);
    let missing = florin(&["import", "no-such-file.csv", "--data", &data]).expect(2);
    assert!(missing.err.contains("no-such-file.csv cannot be read"), "{}", missing.err);
}

#[test]
fn the_czech_bank_agrees_with_its_own_balances() {
    let Some(czech) = czech_bank() else { return };
    let (folder, data) = new_ledger(&[]);
    let report = import(&czech, &data, &["--allow-overdraft"], 0);
    assert_eq!((count(&report, "rows"), count(&report, "balances_agree")), (36_366, 36_366));
    let again = import(&czech, &data, &["--allow-overdraft"], 0);
    assert_eq!((count(&again, "posted_now"), count(&again, "balances_agree")), (0, 36_366));
    let changed = folder.path().join("changed.csv");
    with_changed_line(&czech, &changed, 20_000, |fields| fields[6] = "1".to_string());
    assert_eq!(import(&changed, &data, &["--allow-overdraft"], 1)["first_unexplained"]["line"], 20_000);
    verify(&data, 36_366);

    let (_folder, data) = new_ledger(&[]);
    let report = import(&czech, &data, &[], 1);
    assert_eq!(refused_lines(&report).len(), 21);
    assert_eq!(refused_lines(&report)[..3], [3_531, 9_586, 14_705]);
    assert_eq!((count(&report, "balances_differ"), count(&report, "differences_explained")), (375, 375));
    verify(&data, 36_366 - 21);
}
