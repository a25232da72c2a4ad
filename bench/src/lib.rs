//! florin-bench: a load generator that talks to a server through the client library, measures it, and proves the books
//! afterwards.
//!
//! It shares its machine with the server, so it is frugal: transactions are built before the clock starts, each connection
//! is one task, and while it runs only rows are laid out and answers compared. Only `inside` reaches around the client, to show
//! what that costs; nothing counts what was not acknowledged.
#![forbid(unsafe_code)]

pub mod books;
pub mod child;
pub mod error;
pub mod figures;
pub mod ground;
pub mod hgrm;
pub mod html;
mod ids;
pub mod inside;
mod link;
pub mod machine;
mod pool;
pub mod report;
mod rows;
pub mod run;
mod sample;
mod schedule;
mod sender;
pub mod series;
mod tally;
pub mod workload;
mod zipf;

pub use books::Proof;
pub use child::{ServerProcess, ServerSettings};
pub use error::BenchError;
pub use figures::RunFigures;
pub use ground::{Prepared, prepare};
pub use ids::IdOrder;
pub use inside::Inside;
pub use report::{Median, Percentiles};
pub use run::{Plan, Until, run_once};
pub use workload::{Shape, Workload};
