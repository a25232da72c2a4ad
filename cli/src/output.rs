//! What goes to stdout: text and tables for people, one JSON object (or one a line) for programs.
//!
//! Integers that may exceed 2^53 are strings in JSON. A reader that closes the pipe early ends a listing quietly; other
//! commands go on, and their exit code says what became of them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::Range;

use serde_json::Value;

use crate::error::{EXIT_CANNOT, EXIT_FINE};
use crate::verify::hex;

/// Columns that a table may take.
pub const COLUMNS_MAX: usize = 100;

/// Where a command writes its results.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether JSON is wanted.
    pub json: bool,
    /// Whether nothing is left to do once nobody reads any more.
    pub listing: bool,
}

impl Output {
    /// One line for people, control characters as spaces; nothing when JSON is wanted.
    pub fn text(&self, line: impl AsRef<str>) {
        if !self.json {
            self.line(&printable(line.as_ref()));
        }
    }

    /// One JSON object on a line of its own; nothing when text is wanted.
    pub fn object(&self, value: &Value) {
        if self.json {
            self.line(&value.to_string());
        }
    }

    /// A line to stdout whatever the format.
    pub fn line(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        let written =
            stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
        let Err(error) = written else { return };
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        if !closed {
            note(format!("error: cannot write to stdout: {error}"));
        }
        if self.listing {
            std::process::exit(i32::from(if closed { EXIT_FINE } else { EXIT_CANNOT }));
        }
    }
}

/// A line to stderr; nobody may be reading there either.
pub fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A text of the ledger or of a file on one line, and without what a terminal would obey: control characters as spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " ").into(),
        false => text.into(),
    }
}

/// Puts a text into a JSON object; bytes that are no text as `NAME_hex`.
pub fn put_bytes(object: &mut Value, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[name] = text.into(),
        Err(_) => object[format!("{name}_hex")] = hex(bytes).into(),
    }
}

/// Which way a column leans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// Ids, dates, names of things: shown whole.
    Left,
    /// Words of any length: cut where the line would be too long.
    Words,
    /// Numbers.
    Right,
}

/// What a line below a row begins with.
const INDENT: &str = "    ";

/// A table of text. The widest column of words gives way so that lines fit [`COLUMNS_MAX`]; where that is not enough, rows
/// go on in a second line, as ids and numbers are never cut.
#[derive(Debug)]
pub struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    /// Lines below rows, with the number of rows above each.
    notes: Vec<(usize, String)>,
}

impl Table {
    /// An empty table with its column heads.
    pub fn new(heads: &[(&'static str, Align)]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row; control characters in it become spaces.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells.iter().map(|c| printable(c).into_owned()).collect());
    }

    /// Adds a line below the last row, indented and cut where the line would be too long.
    pub fn note(&mut self, text: impl AsRef<str>) {
        let text = printable(text.as_ref());
        let room = COLUMNS_MAX - INDENT.len();
        let cut = match text.chars().count() > room {
            true => text.chars().take(room - 1).chain(['…']).collect(),
            false => text.into_owned(),
        };
        self.notes.push((self.rows.len(), format!("{INDENT}{cut}")));
    }

    /// The lines, heads first, without spaces at their ends.
    pub fn lines(&self) -> Vec<String> {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.heads.iter().map(|(head, _)| width(head)).collect();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                widths[column] = widths[column].max(width(cell));
            }
        }
        while widths.iter().sum::<usize>() + 2 * (widths.len() - 1) > COLUMNS_MAX {
            let widest = (0..widths.len())
                .filter(|&c| self.heads[c].1 == Align::Words && widths[c] > 8)
                .max_by_key(|&c| widths[c]);
            match widest {
                Some(column) => widths[column] -= 1,
                None => break,
            }
        }
        let parts = parts(&widths);
        let lines_of = |cells: &[&str]| -> Vec<String> {
            let line = |part: &Range<usize>| {
                let mut text = if part.start == 0 { String::new() } else { INDENT.to_string() };
                for column in part.clone() {
                    if column > part.start {
                        text.push_str("  ");
                    }
                    let cell = cells[column];
                    let cut = match width(cell) > widths[column] {
                        true => cell.chars().take(widths[column] - 1).chain(['…']).collect(),
                        false => cell.to_string(),
                    };
                    let pad = " ".repeat(widths[column].saturating_sub(width(&cut)));
                    match self.heads[column].1 {
                        Align::Left | Align::Words => text.extend([cut, pad]),
                        Align::Right => text.extend([pad, cut]),
                    }
                }
                text.trim_end().to_string()
            };
            // A second line with nothing on it says nothing.
            parts.iter().map(line).enumerate().filter(|(i, text)| *i == 0 || !text.is_empty()).map(|(_, t)| t).collect()
        };
        let mut lines = lines_of(&self.heads.iter().map(|(head, _)| *head).collect::<Vec<_>>());
        let mut notes = self.notes.iter().peekable();
        for (index, row) in self.rows.iter().enumerate() {
            lines.extend(lines_of(&row.iter().map(String::as_str).collect::<Vec<_>>()));
            while let Some((_, note)) = notes.next_if(|(above, _)| *above == index + 1) {
                lines.push(note.clone());
            }
        }
        lines
    }

    /// Writes the table, unless JSON is wanted.
    pub fn write(&self, output: &Output) {
        self.lines().iter().for_each(|line| output.text(line));
    }
}

/// The columns of each line of a row.
fn parts(widths: &[usize]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (column, width) in widths.iter().enumerate() {
        if column > start && used + 2 + width > COLUMNS_MAX {
            parts.push(start..column);
            (start, used) = (column, INDENT.len() + width);
        } else {
            used += width + if column > start { 2 } else { 0 };
        }
    }
    parts.push(start..widths.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lean_right_and_long_words_give_way_within_100_columns() {
        let mut table = Table::new(&[("name", Align::Left), ("balance", Align::Right), ("note", Align::Words)]);
        table.row(vec!["cash".into(), "-1.00".into(), "x".repeat(300)]);
        table.row(vec!["a\nb".into(), "12,345.00".into(), String::new()]);
        let lines = table.lines();
        assert_eq!(lines[0], "name    balance  note");
        assert!(lines[1].starts_with("cash      -1.00  xxx") && lines[1].ends_with('…'));
        assert_eq!(lines[1].chars().count(), COLUMNS_MAX);
        assert_eq!(lines[2], "a b   12,345.00");
    }

    #[test]
    fn what_cannot_be_cut_goes_on_in_a_second_line() {
        let mut table = Table::new(&[("id", Align::Left), ("amount", Align::Right), ("left", Align::Right)]);
        table.row(vec!["7".repeat(60), "1".repeat(30), "2".repeat(30)]);
        table.row(vec!["8".into(), "3".into(), "4".into()]);
        let lines = table.lines();
        assert_eq!(lines.len(), 6);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS_MAX), "{lines:?}");
        assert_eq!((lines[3].as_str(), lines[5].len()), (format!("    {}", "2".repeat(30)).as_str(), 34));
        assert!(lines[5].ends_with(" 4"));
        table.row(vec!["9".into(), "5".into(), String::new()]);
        assert_eq!(table.lines().len(), 7);
    }

    #[test]
    fn notes_stand_below_their_rows() {
        let mut table = Table::new(&[("name", Align::Left)]);
        table.row(vec!["a".into()]);
        table.note("x\ny");
        table.row(vec!["b".into()]);
        table.note("z".repeat(200));
        let lines = table.lines();
        assert_eq!(lines[..4], ["name", "a", "    x y", "b"]);
        assert_eq!((lines[4].chars().count(), lines.len()), (COLUMNS_MAX, 5));
    }
}
