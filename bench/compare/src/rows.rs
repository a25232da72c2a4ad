//! The rows of the comparison: which system does which work in which shape, and which rows are set against each other.

use crate::error::CompareError;

/// Transfers of a batched call, and of a request to Florin beside it.
pub const BATCH: usize = 100;

/// How PostgreSQL is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// `post_transfer`, one call for one transfer, each its own transaction.
    One,
    /// `post_transfers`, one call with arrays.
    Arrays,
    /// `post_transfer` for each transfer, sent without waiting, all in one transaction that first locks the accounts in order.
    Pipelined,
}

/// Who does the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// `florin bench`.
    Florin,
    /// PostgreSQL.
    Postgres {
        /// Run in order on top of `sql/ledger.sql`.
        sql: &'static [&'static str],
        /// How it is asked.
        calls: Calls,
    },
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As `--rows` takes it.
    pub name: &'static str,
    /// As the table shows it.
    pub title: &'static str,
    /// Which accounts a transfer touches.
    pub shape: Shape,
    /// Transfers of a request or call.
    pub batch: usize,
    /// Who does it.
    pub system: System,
}

const ROW_LOCKS: &str = include_str!("../sql/row_locks.sql");
const BATCHED: &str = include_str!("../sql/batched.sql");
const SELECT_LOCKS: &str = include_str!("../sql/tried/row_locks_select.sql");
const LOCK_FIRST: &str = include_str!("../sql/tried/batched_lock_first.sql");
const ADVISORY: &str = include_str!("../sql/tried/batched_advisory.sql");
const COLUMNS: &str = include_str!("../sql/batched_columns.sql");
const EIGHT: &str = include_str!("../sql/tried/batched_eight.sql");
const ROW_LOCKS_COLUMNS: &str = include_str!("../sql/tried/row_locks_columns.sql");
const STATEMENT_INDEX: &str = include_str!("../sql/tried/statement_index.sql");

const fn florin(name: &'static str, title: &'static str, shape: Shape, batch: usize) -> Row {
    Row { name, title, shape, batch, system: System::Florin }
}

const fn one(name: &'static str, title: &'static str, shape: Shape, sql: &'static [&'static str]) -> Row {
    Row { name, title, shape, batch: 1, system: System::Postgres { sql, calls: Calls::One } }
}

const fn arrays(name: &'static str, title: &'static str, shape: Shape, sql: &'static [&'static str]) -> Row {
    Row { name, title, shape, batch: BATCH, system: System::Postgres { sql, calls: Calls::Arrays } }
}

const fn pipelined(name: &'static str, title: &'static str, shape: Shape, sql: &'static [&'static str]) -> Row {
    Row { name, title, shape, batch: BATCH, system: System::Postgres { sql, calls: Calls::Pipelined } }
}

/// Every row, in the order of a turn: what is compared stands close together. The `tried-` rows run only when asked for.
pub const ROWS: &[Row] = &[
    one("row-locks-uniform", "PostgreSQL, row locks", Shape::Uniform, &[ROW_LOCKS]),
    florin("florin-100-uniform", "Florin", Shape::Uniform, BATCH),
    florin("florin-1-uniform", "Florin", Shape::Uniform, 1),
    arrays("batched-uniform", "PostgreSQL, batched", Shape::Uniform, &[BATCHED]),
    arrays("batched-columns-uniform", "PostgreSQL, batched, no entries", Shape::Uniform, &[COLUMNS]),
    one("row-locks-hot", "PostgreSQL, row locks", Shape::Hot, &[ROW_LOCKS]),
    florin("florin-100-hot", "Florin", Shape::Hot, BATCH),
    florin("florin-1-hot", "Florin", Shape::Hot, 1),
    arrays("batched-hot", "PostgreSQL, batched", Shape::Hot, &[BATCHED]),
    arrays("batched-columns-hot", "PostgreSQL, batched, no entries", Shape::Hot, &[COLUMNS]),
    one("tried-row-locks-select-uniform", "row locks by SELECT", Shape::Uniform, &[SELECT_LOCKS]),
    one("tried-row-locks-select-hot", "row locks by SELECT", Shape::Hot, &[SELECT_LOCKS]),
    one("tried-row-locks-columns-uniform", "row locks, no entries", Shape::Uniform, &[COLUMNS, ROW_LOCKS_COLUMNS]),
    one("tried-row-locks-columns-hot", "row locks, no entries", Shape::Hot, &[COLUMNS, ROW_LOCKS_COLUMNS]),
    one("tried-row-locks-index-uniform", "row locks, index", Shape::Uniform, &[ROW_LOCKS, STATEMENT_INDEX]),
    one("tried-row-locks-index-hot", "row locks, index", Shape::Hot, &[ROW_LOCKS, STATEMENT_INDEX]),
    pipelined("tried-pipelined-uniform", "100 calls pipelined", Shape::Uniform, &[ROW_LOCKS]),
    pipelined("tried-pipelined-hot", "100 calls pipelined", Shape::Hot, &[ROW_LOCKS]),
    arrays("tried-batched-lock-first-uniform", "batched, locks first", Shape::Uniform, &[LOCK_FIRST]),
    arrays("tried-batched-lock-first-hot", "batched, locks first", Shape::Hot, &[LOCK_FIRST]),
    arrays("tried-batched-advisory-uniform", "batched, one at a time", Shape::Uniform, &[ADVISORY]),
    arrays("tried-batched-advisory-hot", "batched, one at a time", Shape::Hot, &[ADVISORY]),
    arrays("tried-batched-eight-uniform", "batched, eight at a time", Shape::Uniform, &[EIGHT]),
    arrays("tried-batched-eight-hot", "batched, eight at a time", Shape::Hot, &[EIGHT]),
    arrays("tried-batched-index-uniform", "batched, index", Shape::Uniform, &[BATCHED, STATEMENT_INDEX]),
    arrays("tried-batched-index-hot", "batched, index", Shape::Hot, &[BATCHED, STATEMENT_INDEX]),
];

/// Two rows set against each other.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// What it shows.
    pub title: &'static str,
    /// Name of Florin's row.
    pub florin: &'static str,
    /// Names of PostgreSQL's rows; the fastest of those that ran counts.
    pub postgres: &'static [&'static str],
    /// Least ratio of transfers a second that is asked for.
    pub required: Option<f64>,
    /// Ratio that is aimed for.
    pub aim: Option<f64>,
}

/// The ratios of the table.
pub const PAIRS: &[Pair] = &[
    Pair {
        title: "100 per request, uniform",
        florin: "florin-100-uniform",
        postgres: &["row-locks-uniform"],
        required: Some(80.0),
        aim: None,
    },
    Pair {
        title: "100 per request, hot",
        florin: "florin-100-hot",
        postgres: &["row-locks-hot"],
        required: Some(400.0),
        aim: None,
    },
    Pair {
        title: "100 per request, uniform",
        florin: "florin-100-uniform",
        postgres: &["batched-uniform", "batched-columns-uniform"],
        required: Some(20.0),
        aim: Some(40.0),
    },
    Pair {
        title: "100 per request, hot",
        florin: "florin-100-hot",
        postgres: &["batched-hot", "batched-columns-hot"],
        required: Some(20.0),
        aim: Some(40.0),
    },
    Pair {
        title: "1 per request, uniform",
        florin: "florin-1-uniform",
        postgres: &["row-locks-uniform"],
        required: Some(4.0),
        aim: Some(7.0),
    },
    Pair {
        title: "1 per request, hot",
        florin: "florin-1-hot",
        postgres: &["row-locks-hot"],
        required: None,
        aim: None,
    },
];

/// The rows that `names` stand for: a name, or the beginning of several; nothing = all but what was tried.
pub fn choose(names: &[String]) -> Result<Vec<&'static Row>, CompareError> {
    if names.is_empty() {
        return Ok(ROWS.iter().filter(|row| !row.name.starts_with("tried-")).collect());
    }
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| row.name.starts_with(name.as_str()))) {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(CompareError::Argument(format!(
            "no row begins with '{unknown}'\n  next: --rows takes, separated by commas, these or beginnings of them:\n    {}",
            known.join("\n    ")
        )));
    }
    Ok(ROWS.iter().filter(|row| names.iter().any(|name| row.name.starts_with(name.as_str()))).collect())
}

/// Which accounts a transfer touches, as the workloads of these names of `florin bench` do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Two different accounts at random.
    Uniform,
    /// One account is on a side of every transfer, in turn debited and credited; the other is random.
    Hot,
}

/// The name of a shape.
pub fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Uniform => "uniform",
        Shape::Hot => "hot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<&'static str> {
        let of: Vec<String> = of.iter().map(|name| name.to_string()).collect();
        choose(&of).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn names_are_unique_and_pairs_name_rows_of_their_systems() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            assert!(row.name.ends_with(shape_name(row.shape)), "{}", row.name);
        }
        for pair in PAIRS {
            let row = |name| ROWS.iter().find(|row| row.name == name).unwrap();
            assert_eq!(row(pair.florin).system, System::Florin);
            for postgres in pair.postgres {
                assert_ne!(row(postgres).system, System::Florin);
                assert_eq!(row(pair.florin).shape, row(postgres).shape);
            }
        }
    }

    #[test]
    fn rows_are_chosen_by_name_or_by_its_beginning() {
        assert_eq!(names(&["batched-hot"]), ["batched-hot"]);
        assert_eq!(names(&["row-locks", "florin-1-h"]), ["row-locks-uniform", "row-locks-hot", "florin-1-hot"]);
        assert_eq!(names(&[]).len(), 10);
        let error = choose(&["nothing".to_string()]).unwrap_err().to_string();
        assert!(error.contains("'nothing'") && error.contains("batched-uniform"), "{error}");
    }
}
