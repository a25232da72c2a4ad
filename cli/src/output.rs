//! What goes to stdout: text and tables for people, one JSON object (or one a line) for programs.
//!
//! Integers that may exceed 2^53 are strings in JSON. A reader that closes the pipe early ends the command quietly.

use std::io::{self, Write};

use serde_json::Value;

/// Columns that a table may take.
pub const COLUMNS_MAX: usize = 100;

/// Where a command writes its results.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether JSON is wanted.
    pub json: bool,
}

impl Output {
    /// One line for people; nothing when JSON is wanted.
    pub fn text(&self, line: impl AsRef<str>) {
        if !self.json {
            write_line(line.as_ref());
        }
    }

    /// One JSON object on a line of its own; nothing when text is wanted.
    pub fn object(&self, value: &Value) {
        if self.json {
            write_line(&value.to_string());
        }
    }
}

/// Writes a line to stdout whatever the format.
pub fn write_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let written =
        stdout.write_all(line.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
    if let Err(error) = written {
        if error.kind() != io::ErrorKind::BrokenPipe {
            let _ = writeln!(io::stderr(), "error: cannot write to stdout: {error}");
            std::process::exit(i32::from(crate::error::EXIT_CANNOT));
        }
        std::process::exit(0);
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

/// A table of text. The widest column of words gives way so that lines fit [`COLUMNS_MAX`].
#[derive(Debug)]
pub struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with its column heads.
    pub fn new(heads: &[(&'static str, Align)]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; control characters in it become spaces.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells.into_iter().map(|c| c.replace(char::is_control, " ")).collect());
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
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (column, cell) in cells.enumerate() {
                if column > 0 {
                    text.push_str("  ");
                }
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
        let mut lines = vec![line(&mut self.heads.iter().map(|(head, _)| *head))];
        lines.extend(self.rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
        lines
    }

    /// Writes the table, unless JSON is wanted.
    pub fn write(&self, output: &Output) {
        self.lines().iter().for_each(|line| output.text(line));
    }
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
}
