//! florin-tests: the judge of the other crates.
//!
//! A reference model of the rules that shares no code with florin-core, random programs, and the rigs that run them
//! through the real thing and compare: every outcome, version, balance, time and sequence number.

pub mod campaign;
pub mod compare;
pub mod consumed;
pub mod crash;
pub mod damage;
pub mod derived;
pub mod disk;
pub mod encode;
pub mod faults;
pub mod fuzz;
pub mod heard;
pub mod history_ids;
pub mod load;
pub mod model;
pub mod mutations;
pub mod program;
pub mod rng;
pub mod sim;
pub mod tables;
