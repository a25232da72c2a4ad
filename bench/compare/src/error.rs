//! Why a comparison could not run, and what to do about it.

use std::path::PathBuf;

/// What went wrong. Each message ends with what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// An argument makes no sense.
    #[error("{0}")]
    Argument(String),
    /// PostgreSQL did not do something.
    #[error("PostgreSQL, {what}: {}\n  next: see whether it still runs, and its log; bench/compare/run starts a fresh one", told(.source))]
    Postgres {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: tokio_postgres::Error,
    },
    /// A formulation broke a rule of the ledger, before the clock started.
    #[error("{row} broke a rule: {what}\n  next: correct its SQL; nothing was measured with it")]
    Rule {
        /// Name of the row.
        row: String,
        /// What differs.
        what: String,
    },
    /// After a run the books did not add up.
    #[error("{row}: the books do not add up: {what}\n  next: its figures mean nothing until this is understood")]
    Books {
        /// Name of the row.
        row: String,
        /// What differs.
        what: String,
    },
    /// `florin bench` failed.
    #[error("{command}: {what}\n  next: run that command by itself")]
    Florin {
        /// The command as it was run.
        command: String,
        /// What it said.
        what: String,
    },
    /// A file could not be written.
    #[error("{path}: {source}\n  next: give a path that can be written to")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime or its signal handlers could not be made.
    #[error("{0}\n  next: see ulimit -n and free memory, then run it again")]
    Runtime(std::io::Error),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted; no figures are given")]
    Interrupted,
}

/// The server's own message where there is one; the error alone says little more than "db error".
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => {
            let cause = std::error::Error::source(error);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        }
    }
}
