//! florin-bench: a closed-loop load generator that talks to a server through the client library, measures it, and proves
//! the books afterwards.
//!
//! It shares its machine with the server, so it is frugal: rows are built before the clock starts, and while it runs only
//! their ids change, in the buffers that are sent. It never reaches around the client and never counts what was not
//! acknowledged.
#![forbid(unsafe_code)]

pub mod child;
pub mod error;
pub mod load;
pub mod machine;
pub mod prove;
pub mod report;
pub mod workload;

pub use child::{ServerProcess, ServerSettings};
pub use error::BenchError;
pub use load::{Plan, RunFigures, prepare, run_once};
pub use prove::Proof;
pub use report::{Median, Percentiles};
pub use workload::{IdOrder, Shape, Workload};
