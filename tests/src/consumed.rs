//! What a consumer made of a watch, as lines of a file: written a page at a time and in one write, so that a position
//! is never stored without what was consumed up to it. A write that was cut leaves whole lines and at most one torn one.
//!
//! `row SEQUENCE KIND OUTCOME ID HASH` for a transaction, with a hash of all of its fields; `seen SEQUENCE` once
//! everything up to there was looked at.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use florin_core::entry::{RowKind, TransactionPage, TransactionRecord};

/// A transaction as it was consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its position.
    pub sequence: u64,
    /// Transfer, journal, hold, …
    pub kind: RowKind,
    /// Number of its outcome.
    pub outcome: u16,
    /// Its id.
    pub id: u128,
    /// A hash of all of its fields.
    pub hash: u64,
}

impl Row {
    /// What is written down of a transaction.
    pub fn of(transaction: &TransactionRecord) -> Row {
        let mut hasher = DefaultHasher::new();
        format!("{transaction:?}").hash(&mut hasher);
        Row {
            sequence: transaction.result.sequence,
            kind: transaction.kind,
            outcome: transaction.result.outcome.number(),
            id: transaction.id,
            hash: hasher.finish(),
        }
    }
}

/// The lines of a page.
pub fn page(page: &TransactionPage) -> String {
    let mut lines = String::new();
    for Row { sequence, kind, outcome, id, hash } in page.transactions.iter().map(Row::of) {
        let _ = writeln!(lines, "row {sequence} {} {outcome} {id:x} {hash:x}", kind.name());
    }
    let _ = writeln!(lines, "seen {}", page.seen);
    lines
}

/// What was consumed.
#[derive(Debug, Default)]
pub struct Consumed {
    /// Transactions in the order in which they were written down.
    pub rows: Vec<Row>,
    /// The position of the last whole line: where to go on.
    pub position: u64,
    /// Positions of transactions that were at or before the position when they came: seen twice, or out of order.
    pub again: Vec<u64>,
    /// Bytes of the whole lines.
    pub whole: usize,
}

impl Consumed {
    /// Reads the file of a consumer that may have been killed while it wrote.
    pub fn parse(bytes: &[u8]) -> Consumed {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut consumed = Consumed { whole, ..Consumed::default() };
        let text = std::str::from_utf8(&bytes[..whole]).expect("lines of text");
        text.lines().for_each(|line| consumed.line(line));
        consumed
    }

    fn line(&mut self, line: &str) {
        self.try_line(line).unwrap_or_else(|| panic!("a line that no consumer writes: {line}"));
    }

    fn try_line(&mut self, line: &str) -> Option<()> {
        match line.split(' ').collect::<Vec<&str>>()[..] {
            ["row", sequence, kind, outcome, id, hash] => {
                let row = Row {
                    sequence: sequence.parse().ok()?,
                    kind: RowKind::ALL.iter().find(|(_, name)| *name == kind)?.0,
                    outcome: outcome.parse().ok()?,
                    id: u128::from_str_radix(id, 16).ok()?,
                    hash: u64::from_str_radix(hash, 16).ok()?,
                };
                if row.sequence <= self.position {
                    self.again.push(row.sequence);
                }
                self.position = row.sequence;
                self.rows.push(row);
            }
            ["seen", sequence] => self.position = sequence.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_was_cut_anywhere_leaves_its_whole_lines() {
        let text = "row 7 hold 0 ff 1\nrow 9 expiry 0 ff 2\nseen 12\n";
        let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        for cut in 0..=text.len() {
            let consumed = Consumed::parse(&text.as_bytes()[..cut]);
            let lines = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(consumed.whole, if lines == 0 { 0 } else { ends[lines - 1] });
            assert_eq!(consumed.position, [0, 7, 9, 12][lines]);
            assert_eq!(consumed.rows.len(), lines.min(2));
        }
    }

    #[test]
    fn what_comes_again_is_noticed() {
        let consumed = Consumed::parse(b"row 7 hold 0 ff 1\nseen 8\nrow 8 release 0 fe 2\nrow 9 capture 32 fd 3\n");
        assert_eq!(consumed.again, [8]);
        let kinds: Vec<RowKind> = consumed.rows.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, [RowKind::Hold, RowKind::Release, RowKind::Capture]);
        assert_eq!(consumed.rows[2], Row { sequence: 9, kind: RowKind::Capture, outcome: 32, id: 0xfd, hash: 3 });
    }
}
