//! `docs/protocol.md` says what the code says: tables, layouts, and the bytes of its example.
//!
//! With `FLORIN_WRITE_DOCS=1` the table of outcomes and the list of fields are written anew.

use std::fmt::Write;

use florin_core::outcome::OUTCOMES;
use florin_core::request::*;
use florin_net::codec::rows::*;
use florin_net::error::ERROR_CODES;
use florin_net::header::OPERATIONS;
use florin_net::limits::HEADER_BYTES;

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/protocol.txt");
const OUTCOMES_BEGIN: &str = "| number | name | final | |\n|---|---|---|---|\n";
const FIELDS_BEGIN: &str = "- for 30 and 31 the number of the first field that differs: ";

fn manual() -> String {
    std::fs::read_to_string(MANUAL).expect("the manual is part of the repository")
}

/// What stands between `begin` and the next `end`.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = text.split_once(begin).unwrap_or_else(|| panic!("the manual has {begin:?}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("{end:?} comes after {begin:?}")).0
}

/// The cells of the table rows of a text.
fn cells(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn outcomes() -> String {
    OUTCOMES.iter().fold(String::new(), |mut table, info| {
        let recorded = if info.recorded { "yes" } else { "no" };
        writeln!(table, "| {} | {} | {recorded} | {} |", info.outcome.number(), info.name, info.help).unwrap();
        table
    })
}

fn fields() -> String {
    let names: Vec<_> = Field::ALL.iter().map(|(field, name)| format!("{} {name}", *field as u16)).collect();
    names.join(", ")
}

#[test]
fn outcomes_and_fields_are_those_of_the_code() {
    if std::env::var_os("FLORIN_WRITE_DOCS").is_some() {
        let text = manual();
        let text = text.replace(between(&text, OUTCOMES_BEGIN, "\n\n"), outcomes().trim_end());
        let text = text.replace(between(&text, FIELDS_BEGIN, ";"), &fields());
        std::fs::write(MANUAL, text).unwrap();
    }
    let text = manual();
    assert_eq!(between(&text, OUTCOMES_BEGIN, "\n\n").trim_end(), outcomes().trim_end());
    assert_eq!(between(&text, FIELDS_BEGIN, ";"), fields());
}

#[test]
fn operations_are_those_of_the_code_and_each_has_its_section() {
    let text = manual();
    let rows = cells(between(&text, "| number | operation | request payload | reply payload |\n", "\n\n"));
    assert_eq!(rows.len(), OPERATIONS.len() + 1);
    for (row, (operation, name)) in rows[1..].iter().zip(OPERATIONS) {
        let name = name.replace('_', " ");
        assert_eq!(row[..2], [(operation as u8).to_string(), name.clone()]);
        let heading = format!("### {} {}", operation as u8, name);
        let found = text.lines().any(|line| line.to_lowercase() == heading);
        assert!(found, "no section {heading:?}");
    }
}

#[test]
fn error_codes_are_those_of_the_code() {
    let text = manual();
    let rows = cells(between(&text, "| code | name | cause | what to do |\n", "\n\n"));
    let shown: Vec<_> = rows[1..].iter().map(|row| (row[0].to_string(), row[1])).collect();
    let expected: Vec<_> = ERROR_CODES.iter().map(|(code, name)| (code.number().to_string(), *name)).collect();
    assert_eq!(shown, expected);
}

/// Bytes of a field by its type in the manual.
fn size(what: &str) -> usize {
    match what {
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" => 8,
        "u128" | "i128" => 16,
        _ => {
            what.split_once(" byte").and_then(|(count, _)| count.parse().ok()).unwrap_or_else(|| panic!("type {what}"))
        }
    }
}

#[test]
fn every_layout_is_without_gaps_and_has_the_size_of_its_row() {
    let text = manual();
    let mut sizes = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("| offset | type |") {
        rest = &rest[at..];
        let rows = cells(rest);
        let mut end = 0;
        for row in &rows[2..] {
            // The text of an error reply and the path of a snapshot have no fixed size.
            if row[1] == "text" {
                continue;
            }
            assert_eq!(row[0].parse(), Ok(end), "{row:?} under {:?}", rows[0]);
            end += size(row[1]);
        }
        sizes.push(end);
        rest = &rest[1..];
    }
    let expected = [
        HEADER_BYTES,
        size_of::<HelloRow>(),
        size_of::<HelloReplyRow>(),
        size_of::<AccountRow>(),
        size_of::<TransferRow>(),
        size_of::<ItemRow>(),
        size_of::<PostingRow>(),
        size_of::<RunRow>(),
        size_of::<PostingResultRow>(),
        size_of::<AccountReplyRow>(),
        size_of::<TransactionReplyRow>(),
        size_of::<PostingReplyRow>(),
        size_of::<StatementRow>(),
        size_of::<StatementHeadRow>(),
        size_of::<EntryRow>(),
        size_of::<ChangeRow>(),
        size_of::<BalanceAtRow>(),
        size_of::<BalanceAtReplyRow>(),
        size_of::<RelatedRow>(),
        size_of::<PageHeadRow>(),
        size_of::<WatchRow>(),
        size_of::<InstitutionRow>(),
        size_of::<SnapshotReplyRow>(),
        size_of::<ErrorRow>(),
    ];
    assert_eq!(sizes, expected);
}

/// Bytes in hexadecimal, with or without a comment after `|`.
fn bytes<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let hex = lines.flat_map(|line| line.split('|').next().unwrap_or("").split_whitespace());
    hex.map(|hex| u8::from_str_radix(hex, 16).expect("bytes in hexadecimal")).collect()
}

#[test]
fn the_example_shows_the_published_bytes() {
    let published = std::fs::read_to_string(VECTORS).unwrap();
    let text = manual();
    let mut shown = 0;
    for block in text.split("```").skip(1).step_by(2) {
        let Some((name, hex)) = block.strip_prefix("vector ").and_then(|block| block.split_once('\n')) else {
            continue;
        };
        let lines = published.lines().skip_while(|line| *line != format!("{}:", name.trim())).skip(1);
        assert_eq!(bytes(hex.lines()), bytes(lines.take_while(|line| !line.is_empty())), "{name}");
        shown += 1;
    }
    assert_eq!(shown, 2, "the worked example has a request and a reply");
}
