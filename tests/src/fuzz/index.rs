//! The index of a sealed segment. Damaged blocks are refused and all other answers are right; blocks that were changed together with
//! their checksums, which no disk does, may mislead, but neither panic nor answer without bound.

use std::path::PathBuf;
use std::sync::OnceLock;

use florin_engine::fuzzing::{IndexError, IndexFile, Section};

use super::index_file::{self, BLOCK, Contents, LEDGER};
use super::{Target, Verdict};
use crate::rng::Rng;

/// This target: which contents the segment has (1 byte), then the file.
pub const TARGET: Target = Target { name: "index", check, sample, repair, seeds: 12_000 };

/// Rows of the segments that there are.
const ROWS: [u32; 3] = [1, 60, 900];
/// Rows that are asked for in each, and the most entries of an account.
const ASKED: usize = 24;
const NAMED: [Section; 3] = [Section::Ids, Section::References, Section::Links];

/// A segment's contents and its index as it should be.
fn known(which: u8) -> &'static (Contents, Vec<u8>) {
    static KNOWN: OnceLock<Vec<(Contents, Vec<u8>)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let contents = ROWS.iter().zip(0..).map(|(rows, seed)| Contents::random(seed, *rows));
        contents.map(|contents| (contents.file(), contents)).map(|(file, contents)| (contents, file)).collect()
    });
    &known[usize::from(which) % known.len()]
}

/// Opens the file and asks it.
pub fn check(bytes: &[u8]) -> Verdict {
    thread_local! {
        static FILE: (tempfile::TempDir, PathBuf) = {
            let folder = super::folder();
            let path = folder.path().join("index");
            (folder, path)
        };
    }
    let Some((which, file)) = bytes.split_first() else { return Verdict::Refused };
    let (contents, good) = known(*which);
    FILE.with(|(_, path)| {
        super::write_over(path, file);
        let Ok(index) = IndexFile::open(path, LEDGER, &contents.segment) else {
            assert!(file != good, "what was written is not refused");
            return Verdict::Refused;
        };
        let salt = contents.segment.salt;
        let is_forged = (0..file.len().max(good.len()).div_ceil(BLOCK)).any(|number| {
            let block = |file: &'_ [u8]| file.chunks(BLOCK).nth(number).map(<[u8]>::to_vec).unwrap_or_default();
            let (here, there) = (block(file), block(good));
            assert_eq!(index.check_block(number as u32).is_ok(), index_file::is_sealed(&here, salt, number));
            here != there && index_file::is_sealed(&here, salt, number)
        });
        let answered = match is_forged {
            true => ask_for_bounds(&index, contents),
            false => ask(&index, contents),
        };
        if answered.is_ok() && file == good { Verdict::Accepted } else { Verdict::Refused }
    })
}

/// Each answer is right or an error; the first error.
fn ask(index: &IndexFile, contents: &Contents) -> Result<(), IndexError> {
    let mut first_error = Ok(());
    // An error of one question is no reason not to ask the next.
    let mut judge = |result: Result<(), IndexError>| {
        if first_error.is_ok() {
            first_error = result;
        }
    };
    for row in spread(contents.segment.count as usize) {
        judge(index.frame_of(row as u32).map(|found| assert_eq!(found, contents.frame_of(row as u32), "row {row}")));
    }
    for (table, section) in NAMED.into_iter().enumerate() {
        let rows = &contents.named[table];
        for (institution, value, _) in spread(rows.len()).map(|at| rows[at]).chain([(1, 0, 0), (9, 1, 0)]) {
            let expected = contents.rows_with(table, institution, value);
            let from = expected.first().map_or(0, |first| first + 1);
            for (from, most) in [(0, usize::MAX), (from, 2)] {
                let expected: Vec<u64> = expected.iter().copied().filter(|row| *row >= from).take(most).collect();
                let found = index.rows_with(section, institution, value, from, most);
                judge(found.map(|found| assert_eq!(found, expected, "{section:?} of {value:#x}")));
            }
        }
    }
    let accounts: Vec<(u32, u128)> = contents.accounts.keys().copied().collect();
    for (institution, account) in spread(accounts.len()).map(|at| accounts[at]).chain([(1, 0), (9, 1)]) {
        judge(ask_for_account(index, contents, institution, account));
    }
    first_error
}

fn ask_for_account(index: &IndexFile, contents: &Contents, institution: u32, account: u128) -> Result<(), IndexError> {
    let runs = index.runs(institution, account)?;
    let expected = contents.accounts_with(institution, account);
    assert_eq!(runs.len(), expected.len(), "account {account}");
    for (run, (first_version, rows)) in runs.into_iter().zip(expected) {
        assert_eq!((run.first_version, run.count as usize), (*first_version, rows.len()), "account {account}");
        for at in spread(rows.len()) {
            let expected = contents.segment.first_sequence + u64::from(rows[at]);
            assert_eq!(index.entry(run, at as u32)?, expected, "entry {at} of account {account}");
        }
    }
    Ok(())
}

/// Answers to the same questions stay within what was asked for.
fn ask_for_bounds(index: &IndexFile, contents: &Contents) -> Result<(), IndexError> {
    for row in spread(contents.segment.count as usize) {
        let _ = index.frame_of(row as u32);
    }
    for (table, section) in NAMED.into_iter().enumerate() {
        let rows = &contents.named[table];
        for (institution, value, _) in spread(rows.len()).map(|at| rows[at]) {
            let found = index.rows_with(section, institution, value, contents.segment.first_sequence, 5);
            assert!(found.is_err() || found.is_ok_and(|rows| rows.len() <= 5), "no more than was asked for");
        }
    }
    let accounts: Vec<(u32, u128)> = contents.accounts.keys().copied().collect();
    for (institution, account) in spread(accounts.len()).map(|at| accounts[at]) {
        for run in index.runs(institution, account).into_iter().flatten() {
            assert!(run.count > 0, "an account in an index has entries");
            for at in [0, run.count / 2, run.count - 1] {
                let _ = index.entry(run, at);
            }
        }
    }
    index.frame_of(0).map(drop)
}

/// Some of so many places, the first and the last among them.
fn spread(count: usize) -> impl Iterator<Item = usize> + use<> {
    let step = count.div_ceil(ASKED).max(1);
    (0..count).step_by(step).chain((count > 0).then(|| count - 1))
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let which = rng.below(ROWS.len()) as u8;
    [&[which], &known(which).1[..]].concat()
}

fn repair(mut bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    if let Some((which, file)) = bytes.split_first_mut() {
        index_file::seal(file, known(*which).0.segment.salt);
    }
    bytes
}
