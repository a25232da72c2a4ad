//! florin-core: the rules of the ledger, and nothing else.
//!
//! It decides which transactions post, in which order, with which versions and balances. It never reads a clock, a file
//! or a socket, starts no thread, and knows no actor: events come in as arguments, effects go out as values. What always
//! holds: the outcome of every transaction is the one a serial run in sequence order would give.
#![deny(unsafe_code)]

pub mod asset;
pub mod control;
pub mod entry;
pub mod institution;
pub mod limits;
pub mod outcome;
pub mod request;

pub mod account;
pub mod accounts;
pub mod blocks;
pub mod check;
pub mod compare;
pub mod coordinator;
pub mod decide;
pub mod dedup;
pub mod directory;
pub mod frame;
pub mod huge_pages;
pub mod link;
mod prefetch;
pub mod replay;
pub mod round;
pub mod shard;
pub mod slots;
pub mod snapshot;
pub mod state_hash;
pub mod table;
