//! florin-net: the binary protocol, its server and its client.
//!
//! The codec turns bytes into commands and replies into bytes; it never touches a socket or a clock. The server moves
//! frames between connections and the engine, and takes permits before a request enters; it never decides about money.
//! The client is the only way in for every program. What holds: no bytes from a peer can make this crate panic or
//! allocate without bound, and a reply leaves only after the engine gave it. `docs/protocol.md` has every byte.
#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
pub mod error;
pub mod frame;
pub mod header;
pub mod limits;
pub mod server;

pub use client::{
    AccountChange, Answer, Client, ClientError, ClientOptions, NewAccount, Pipeline, PipelineLost, Posted,
    StatementPages, Transaction, Watch,
};
pub use error::{ErrorCode, ProtocolError};
pub use header::{Header, Operation};
pub use server::{Listen, ServeError, Server, ServerOptions, Submit, serve};
