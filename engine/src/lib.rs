//! florin-engine: actix actors around the core, recovery, and the handle that others call.

pub mod handle;
