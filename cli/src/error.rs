//! What a command says when it cannot go on: what is wrong, what to do next, and the exit code.
//!
//! Never a stack trace. Exit codes are the same for every command: 0 fine, 1 the books or the input disagree,
//! 2 the command could not run.

use std::fmt;

use florin_core::outcome::Outcome;
use serde_json::{Value, json};

use crate::output::printable;

/// Fine.
pub const EXIT_FINE: u8 = 0;
/// The books or the input disagree.
pub const EXIT_DISAGREE: u8 = 1;
/// The command could not run.
pub const EXIT_CANNOT: u8 = 2;

/// An error as a user sees it.
#[derive(Debug)]
pub struct CliError {
    /// What is wrong, naming the file, line, account or address.
    pub what: String,
    /// What to do next.
    pub next: String,
    /// Exit code.
    pub exit: u8,
    /// The outcome with which the server would refuse it.
    pub outcome: Option<Outcome>,
}

/// What every command returns: the exit code, or an error.
pub type CliResult<T = u8> = Result<T, CliError>;

impl CliError {
    /// The command could not run.
    pub fn cannot(what: impl fmt::Display, next: impl fmt::Display) -> CliError {
        CliError { what: what.to_string(), next: next.to_string(), exit: EXIT_CANNOT, outcome: None }
    }

    /// The books or the input disagree.
    pub fn disagree(what: impl fmt::Display, next: impl fmt::Display) -> CliError {
        CliError { what: what.to_string(), next: next.to_string(), exit: EXIT_DISAGREE, outcome: None }
    }

    /// What the server would refuse with `outcome`; nothing was sent.
    pub fn refused(outcome: Outcome, what: impl fmt::Display) -> CliError {
        let info = outcome.info();
        let what = format!("{}: {what}; nothing was sent", info.name);
        CliError { outcome: Some(outcome), ..CliError::disagree(what, info.help) }
    }

    /// As a JSON object.
    pub fn json(&self) -> Value {
        let mut object = json!({ "error": self.what, "next": self.next, "exit": self.exit });
        if let Some(outcome) = self.outcome {
            object["outcome"] = outcome.name().into();
        }
        object
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  next: {}", printable(&self.what), printable(&self.next))
    }
}

/// The message of an error with all of its causes, `: ` between them, no cause twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}
