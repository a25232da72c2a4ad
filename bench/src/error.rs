//! Why a benchmark could not run, or why its books did not add up.

use florin_net::{ClientError, PipelineLost};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The server's process could not be started or ended early.
    #[error("the server did not start: {0}")]
    Server(String),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A connection under load was lost.
    #[error(transparent)]
    Lost(#[from] PipelineLost),
    /// The server refused what a benchmark never has refused.
    #[error("{0}")]
    Refused(String),
    /// After the run the books did not add up.
    #[error("the books do not add up: {0}")]
    Books(String),
    /// The machine did not tell something.
    #[error("{what}: {source}")]
    Io {
        /// What was asked.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
}
