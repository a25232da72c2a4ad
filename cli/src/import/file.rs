//! Reads a CSV file of postings into rows, checking every field; an error names the line (the header is line 1).
//!
//! Knows nothing of ledgers: amounts become integers of minor units by the scale it is told, names become indexes.

use std::collections::HashMap;

use florin_core::limits::{AMOUNT_MAX, BALANCE_MAX, LABEL_BYTES_MAX, VOUCHER_BYTES_MAX};

use crate::amount::parse_amount;
use crate::dates::parse_day;
use crate::error::{CliError, CliResult};

/// Columns that a file must have; beside them one of `amount_minor` and `amount`.
const REQUIRED: [&str; 5] = ["id", "date", "account", "counterparty", "direction"];
/// Columns that it may have.
const OPTIONAL: [&str; 5] = ["amount_minor", "amount", "balance_after_minor", "operation", "purpose"];

/// A whole file.
#[derive(Debug, Default)]
pub struct ImportFile {
    /// Every account and counterparty named, each once.
    pub names: Vec<String>,
    /// The rows in the order of the file.
    pub rows: Vec<Row>,
    /// Whether there is a column of recorded balances.
    pub has_balances: bool,
    /// Columns that mean nothing to an import.
    pub ignored: Vec<String>,
}

/// One row: one posting on a customer's account against a counterparty.
#[derive(Debug)]
pub struct Row {
    /// Line of the file on which it begins.
    pub line: u64,
    /// The file's own id of it.
    pub id: Box<str>,
    /// Days since 1970-01-01.
    pub value_date: u16,
    /// The customer's account, index into the names.
    pub account: u32,
    /// The other side, index into the names.
    pub counterparty: u32,
    /// Whether the money goes into the customer's account.
    pub credit: bool,
    /// Minor units.
    pub amount: u128,
    /// The balance after the row as the file records it, minor units.
    pub recorded: Option<i128>,
    /// Operation and purpose as JSON; empty if there is neither.
    pub voucher: Box<[u8]>,
}

impl Row {
    /// What the row does to the customer's balance, minor units.
    pub fn effect(&self) -> i128 {
        let amount = self.amount as i128; // at most 2^100 - 1, checked when read
        if self.credit { amount } else { -amount }
    }
}

struct Columns {
    id: usize,
    date: usize,
    account: usize,
    counterparty: usize,
    direction: usize,
    amount: usize,
    amount_is_minor: bool,
    balance: Option<usize>,
    operation: Option<usize>,
    purpose: Option<usize>,
}

/// Counts lines up to where a record begins. The reader's own count is off after blank lines, which it skips.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record whose reading began at `offset`: line breaks there belong to blank lines before it.
    fn of_record(&mut self, offset: u64) -> u64 {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        while self.at < self.bytes.len() && (self.at < offset || matches!(self.bytes[self.at], b'\r' | b'\n')) {
            let lone_return = self.bytes[self.at] == b'\r' && self.bytes.get(self.at + 1) != Some(&b'\n');
            self.line += u64::from(self.bytes[self.at] == b'\n' || lone_return);
            self.at += 1;
        }
        self.line
    }
}

/// Reads the bytes of a file, which is called `path` in errors. `scale` is the asset's.
pub fn read(bytes: &[u8], path: &str, scale: u8) -> CliResult<ImportFile> {
    let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let headers = reader.headers().map_err(|e| csv_error(path, &e, &mut lines))?.clone();
    let (columns, ignored) = columns(&headers, path)?;
    let mut file = ImportFile { has_balances: columns.balance.is_some(), ignored, ..ImportFile::default() };
    let mut names = HashMap::new();
    let mut lines_by_id: HashMap<Box<str>, u64> = HashMap::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| csv_error(path, &e, &mut lines))? {
        let line = lines.of_record(record.position().map_or(0, |p| p.byte()));
        let row = row(&record, &columns, line, scale, &mut |name| intern(name, &mut names, &mut file.names))
            .map_err(|what| CliError::disagree(format!("{path}, line {line}: {what}"), NOTHING_POSTED))?;
        if let Some(first) = lines_by_id.insert(row.id.clone(), line) {
            return Err(CliError::disagree(
                format!("{path}, line {line}: id '{}' is already the id of line {first}", row.id),
                "ids must be unique in a file: each is the key by which its row is posted exactly once",
            ));
        }
        file.rows.push(row);
    }
    Ok(file)
}

const NOTHING_POSTED: &str = "correct the line and run the command again; nothing was posted";

fn csv_error(path: &str, error: &csv::Error, lines: &mut Lines<'_>) -> CliError {
    let line = error.position().map_or_else(String::new, |p| format!(", line {}", lines.of_record(p.byte())));
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_string(),
        _ => error.to_string(),
    };
    CliError::disagree(format!("{path}{line}: {what}"), NOTHING_POSTED)
}

fn columns(headers: &csv::StringRecord, path: &str) -> CliResult<(Columns, Vec<String>)> {
    let wrong = |what: String| {
        Err(CliError::disagree(
            format!("{path}, line 1: {what}"),
            format!(
                "the header needs {} and amount_minor (or amount, in decimal), and may have balance_after_minor, operation, purpose",
                REQUIRED.join(", ")
            ),
        ))
    };
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut ignored = Vec::new();
    for (place, head) in headers.iter().enumerate() {
        // A byte order mark, as spreadsheets write it.
        let head = head.trim_start_matches('\u{feff}').trim();
        if !REQUIRED.contains(&head) && !OPTIONAL.contains(&head) {
            ignored.push(head.to_string());
        } else if places.insert(head, place).is_some() {
            return wrong(format!("column '{head}' stands there twice"));
        }
    }
    if let Some(missing) = REQUIRED.iter().find(|c| !places.contains_key(*c)) {
        return wrong(format!("column '{missing}' is missing"));
    }
    let (amount, amount_is_minor) = match (places.get("amount_minor"), places.get("amount")) {
        (Some(&place), None) => (place, true),
        (None, Some(&place)) => (place, false),
        (None, None) => return wrong("there is neither a column 'amount_minor' nor 'amount'".to_string()),
        (Some(_), Some(_)) => return wrong("there is both a column 'amount_minor' and 'amount'; keep one".to_string()),
    };
    let columns = Columns {
        id: places["id"],
        date: places["date"],
        account: places["account"],
        counterparty: places["counterparty"],
        direction: places["direction"],
        amount,
        amount_is_minor,
        balance: places.get("balance_after_minor").copied(),
        operation: places.get("operation").copied(),
        purpose: places.get("purpose").copied(),
    };
    Ok((columns, ignored))
}

fn intern(name: &str, indexes: &mut HashMap<String, u32>, names: &mut Vec<String>) -> Result<u32, String> {
    if let Some(&index) = indexes.get(name) {
        return Ok(index);
    }
    if name.is_empty() {
        return Err("the name of an account is empty".to_string());
    }
    if name.len() > LABEL_BYTES_MAX {
        return Err(format!(
            "the account name '{name}' is longer than {LABEL_BYTES_MAX} bytes, the most a label keeps"
        ));
    }
    let index = u32::try_from(names.len()).map_err(|_| "there are more than 2^32 accounts".to_string())?;
    indexes.insert(name.to_string(), index);
    names.push(name.to_string());
    Ok(index)
}

fn row(
    record: &csv::StringRecord,
    columns: &Columns,
    line: u64,
    scale: u8,
    intern: &mut dyn FnMut(&str) -> Result<u32, String>,
) -> Result<Row, String> {
    let field = |place: usize| record.get(place).unwrap_or_default().trim();
    let id = field(columns.id);
    if id.is_empty() {
        return Err("the id is empty".to_string());
    }
    let date = field(columns.date);
    let value_date = parse_day(date)
        .ok_or_else(|| format!("'{date}' is not a date from 1970-01-02 to 2149-06-06; write YYYY-MM-DD"))?;
    let credit = match field(columns.direction) {
        "credit" => true,
        "debit" => false,
        other => {
            return Err(format!(
                "the direction '{other}' is neither 'credit' (into the account) nor 'debit' (out of it)"
            ));
        }
    };
    let amount_text = field(columns.amount);
    let amount = if columns.amount_is_minor {
        match amount_text.parse::<u128>() {
            Ok(amount @ 1..=AMOUNT_MAX) => amount,
            _ => return Err(format!("amount_minor '{amount_text}' is not a whole number from 1 to 2^100 - 1")),
        }
    } else {
        parse_amount(amount_text, scale).map_err(|e| format!("amount: {e}"))?
    };
    let recorded = match columns.balance.map(field).filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => match text.parse::<i128>() {
            Ok(balance) if (-BALANCE_MAX..=BALANCE_MAX).contains(&balance) => Some(balance),
            _ => {
                return Err(format!(
                    "balance_after_minor '{text}' is not a whole number within plus or minus 2^126 - 1"
                ));
            }
        },
    };
    let voucher = voucher(columns.operation.map_or("", field), columns.purpose.map_or("", field));
    if voucher.len() > VOUCHER_BYTES_MAX {
        return Err(format!("operation and purpose are longer than a voucher of {VOUCHER_BYTES_MAX} bytes"));
    }
    let (account, counterparty) = (intern(field(columns.account))?, intern(field(columns.counterparty))?);
    if account == counterparty {
        return Err(format!("account and counterparty are both '{}'", field(columns.account)));
    }
    Ok(Row { line, id: id.into(), value_date, account, counterparty, credit, amount, recorded, voucher })
}

/// `{"operation":"…","purpose":"…"}` with what there is of it.
fn voucher(operation: &str, purpose: &str) -> Box<[u8]> {
    let fields: Vec<(&str, &str)> =
        [("operation", operation), ("purpose", purpose)].into_iter().filter(|(_, text)| !text.is_empty()).collect();
    if fields.is_empty() {
        return Box::default();
    }
    let map: serde_json::Map<_, _> = fields.into_iter().map(|(key, text)| (key.to_string(), text.into())).collect();
    serde_json::Value::Object(map).to_string().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,date,account,counterparty,direction,amount_minor,balance_after_minor,operation,purpose\n";

    fn error_of(text: &str) -> String {
        let error = read(text.as_bytes(), "f.csv", 2).expect_err(text);
        assert_eq!(error.exit, 1);
        error.what
    }

    #[test]
    fn rows_become_postings_with_their_line() {
        let text = format!(
            "{HEADER}7,1993-01-01,2378,cash,credit,70000,70000,cash deposit,\n\"8\",1993-01-02,2378,fee-income,debit,5,,,\"a, b\"\n"
        );
        let file = read(text.as_bytes(), "f.csv", 2).unwrap();
        assert_eq!(file.names, ["2378", "cash", "fee-income"]);
        assert!(file.has_balances && file.ignored.is_empty());
        let first = &file.rows[0];
        assert_eq!(
            (first.line, &*first.id, first.value_date, first.effect(), first.recorded),
            (2, "7", 8401, 70_000, Some(70_000))
        );
        assert_eq!(&*first.voucher, br#"{"operation":"cash deposit"}"#);
        let second = &file.rows[1];
        assert_eq!(
            (second.line, second.account, second.counterparty, second.effect(), second.recorded),
            (3, 0, 2, -5, None)
        );
        assert_eq!(&*second.voucher, br#"{"purpose":"a, b"}"#);
    }

    #[test]
    fn decimal_amounts_take_the_scale_and_unknown_columns_are_named() {
        let text = "\u{feff}id,date,account,counterparty,direction,amount,remark\n1,2024-02-29,a,b,debit,12.3,x\n";
        let file = read(text.as_bytes(), "f.csv", 2).unwrap();
        assert_eq!(file.rows[0].amount, 1230);
        assert!(!file.has_balances && file.rows[0].voucher.is_empty());
        assert_eq!(file.ignored, ["remark"]);
        let text = "id,date,account,counterparty,direction,amount\n1,2024-02-29,a,b,debit,12.345\n";
        assert!(error_of(text).starts_with("f.csv, line 2: amount: '12.345' has more than 2 decimal places"));
    }

    #[test]
    fn an_error_names_the_line() {
        let table = [
            ("7,1993-01-01,2378,cash,credit,70000,70000", "line 3: has 7 fields where the header has 9"),
            (",1993-01-01,1,cash,credit,1,1,,", "line 3: the id is empty"),
            ("7,1993-02-29,1,cash,credit,1,1,,", "line 3: '1993-02-29' is not a date"),
            ("7,1993-01-01,,cash,credit,1,1,,", "line 3: the name of an account is empty"),
            ("7,1993-01-01,1,1,credit,1,1,,", "line 3: account and counterparty are both '1'"),
            ("7,1993-01-01,1,cash,in,1,1,,", "line 3: the direction 'in' is neither"),
            ("7,1993-01-01,1,cash,credit,0,1,,", "line 3: amount_minor '0' is not a whole number"),
            ("7,1993-01-01,1,cash,credit,-1,1,,", "line 3: amount_minor '-1' is not a whole number"),
            ("7,1993-01-01,1,cash,credit,1.5,1,,", "line 3: amount_minor '1.5' is not a whole number"),
            ("7,1993-01-01,1,cash,credit,1,x,,", "line 3: balance_after_minor 'x' is not a whole number"),
            ("6,1993-01-01,1,cash,credit,1,1,,", "line 3: id '6' is already the id of line 2"),
        ];
        for (row, expected) in table {
            let text = format!("{HEADER}6,1993-01-01,1,cash,credit,1,1,,\n{row}\n");
            let what = error_of(&text);
            assert!(what.starts_with(&format!("f.csv, {expected}")), "{what}");
        }
        assert!(error_of("id,date,account,direction,amount\n").contains("line 1: column 'counterparty' is missing"));
        assert!(
            error_of("id,date,account,counterparty,direction\n")
                .contains("neither a column 'amount_minor' nor 'amount'")
        );
        assert!(
            error_of("id,id,date,account,counterparty,direction,amount\n").contains("column 'id' stands there twice")
        );
        assert!(error_of("").contains("line 1: column 'id' is missing"));
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let good = |id: u32| format!("{id},1993-01-01,1,cash,credit,1,1,,");
        let bad = "9,1993-01-01,1,cash,credit,0,1,,";
        let two_lines = "5,1993-01-01,1,cash,credit,1,1,\"a\nb\",";
        let table = [
            (format!("{HEADER}\n{}\n\n\n{bad}\n", good(1)), 6),
            (format!("{HEADER}{}\n{bad}", good(1)), 3),
            (format!("{HEADER}{}\n{bad}\n", good(1)).replace('\n', "\r\n"), 3),
            (format!("{HEADER}\n{}\n\n{bad}\n", good(1)).replace('\n', "\r\n"), 5),
            (format!("{HEADER}{two_lines}\n{bad}\n"), 4),
            (format!("{HEADER}{}\n\n1,2\n", good(1)), 4),
        ];
        for (text, line) in table {
            assert!(error_of(&text).starts_with(&format!("f.csv, line {line}: ")), "{line}: {}", error_of(&text));
        }
    }
}
