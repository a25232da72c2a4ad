//! The client: one connection that many callers share, and typed calls over it.
//!
//! It never invents an id and never repeats a change under another one. What holds: a call that ends in
//! [`ClientError::Unknown`] may or may not have been applied, any other error of a changing call means that this client
//! saw no sign that it was; and a request that is sent again on a new connection has the same bytes as before.

mod accounts;
mod changes;
mod connection;
mod pending;
mod pipeline;
mod reads;
mod statement;
mod transactions;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::PostReply;
use florin_core::limits::{CONTROL_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::request::{ItemResult, PostForm};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use accounts::{NewAccount, encode_accounts};
pub use changes::{AccountChange, encode_changes};
pub use pipeline::{Answer, Pipeline, PipelineLost};
pub use statement::StatementPages;
pub use transactions::{Posted, Transaction, encode_transactions, results};
pub use watch::Watch;

use crate::codec::hello::HelloReply;
use crate::codec::{self, ReplyError};
use crate::error::ErrorCode;
use crate::header::{ERROR, Header, Operation, WANT_POSTINGS};
use connection::Shared;
use pending::{RawReply, Withdrawn};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The tenant of all requests; [`Client::for_institution`] is for several.
    pub institution: u32,
    /// How long a call may take, with reconnecting, before it ends as unknown or timed out.
    pub deadline: Duration,
    /// Whether a lost connection is made again and what waits is sent again.
    pub reconnect: bool,
    /// Most requests under way; further callers wait. Watches do not count: they wait most of their time.
    pub in_flight: usize,
    /// What the client calls itself in the hello, at most 64 bytes.
    pub name: String,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            institution: 1,
            deadline: Duration::from_secs(30),
            reconnect: true,
            in_flight: 1_024,
            name: concat!("florin-net ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why a call has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// A change was sent and no answer came: it may or may not have been applied.
    #[error("no answer in time: the request may or may not have been applied; ask again with the same ids")]
    Unknown,
    /// No answer in time to a read, or to a change of which no byte was sent; the change was not applied.
    #[error("no answer within the deadline of {0:?}")]
    Timeout(Duration),
    /// The server cannot be reached, or could not any more when a read met its deadline. A change that ends with this was
    /// not sent.
    #[error("cannot connect to {addr}: {reason}")]
    Connect {
        /// The address.
        addr: String,
        /// Why.
        reason: String,
    },
    /// More than one request may hold. Nothing was sent.
    #[error("{got} {what} in one request; it must be 1 to {max}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// How many were given.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// The server refused the request as such, and did not take it.
    #[error("the server answered with error {code}: {message}")]
    Server {
        /// Number of the error, see [`ErrorCode`].
        code: u16,
        /// The server's sentence.
        message: String,
    },
    /// The reply cannot be understood. A change was answered: ask again with the same ids to learn how.
    #[error("the server's reply cannot be read: {0}")]
    Protocol(String),
}

impl ClientError {
    /// The error code of [`ClientError::Server`], if it is one and known here.
    pub fn server_code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Server { code, .. } => ErrorCode::from_number(*code),
            _ => None,
        }
    }
}

impl From<ReplyError> for ClientError {
    fn from(error: ReplyError) -> ClientError {
        ClientError::Protocol(error.to_string())
    }
}

/// A connection to a server, shared by all clones. The last one to be dropped closes it.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
    institution: u32,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    hello: HelloReply,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Takes a request back when its caller stops waiting, so that it is never sent afterwards.
struct Guard<'a> {
    shared: &'a Shared,
    number: u64,
    done: bool,
}

impl Guard<'_> {
    fn withdraw(&mut self) -> Withdrawn {
        self.done = true;
        self.shared.withdraw(self.number)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.shared.withdraw(self.number);
        }
    }
}

impl Client {
    /// Connects to `addr` (`host:port`) and says hello. Must run inside a tokio runtime, which keeps the connection
    /// going.
    pub async fn connect(addr: &str, options: ClientOptions) -> Result<Client, ClientError> {
        let (shared, hello) = connection::start(addr, options).await?;
        let institution = shared.options.institution;
        Ok(Client { handle: Arc::new(Handle { shared, hello }), institution })
    }

    /// The same connection for requests of another institution.
    pub fn for_institution(&self, institution: u32) -> Client {
        Client { handle: self.handle.clone(), institution }
    }

    /// The institution of this handle's requests.
    pub fn institution(&self) -> u32 {
        self.institution
    }

    /// What the server said of itself when the client first connected.
    pub fn server(&self) -> &HelloReply {
        &self.handle.hello
    }

    /// Why there is no connection, as that changes; none while there is one.
    pub fn link(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        self.handle.shared.link()
    }

    /// Asks whether the server is there.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.call(Operation::Ping, 0, 0, Bytes::new()).await.map(|_| ())
    }

    /// Posts 1 to 8,190 items of together at most 1 MiB, in the order given. Nothing is split. [`results`] takes the
    /// reply apart.
    pub async fn post(&self, transactions: &[Transaction], want_postings: bool) -> Result<PostReply, ClientError> {
        let (form, payload) = encode_transactions(transactions)?;
        self.post_payload(form, transactions.len() as u32, payload, want_postings).await
    }

    /// Posts rows that the caller has laid out: `count` transactions as `florin_core::request` describes.
    pub async fn post_payload(
        &self,
        form: PostForm,
        count: u32,
        payload: Bytes,
        want_postings: bool,
    ) -> Result<PostReply, ClientError> {
        check_count("transactions", count as usize, REQUEST_ITEMS_MAX)?;
        check_count("bytes", payload.len(), REQUEST_BYTES_MAX)?;
        let operation = match form {
            PostForm::Transfers => Operation::PostTransfers,
            PostForm::Items => Operation::PostItems,
        };
        let flags = if want_postings { WANT_POSTINGS } else { 0 };
        let reply = self.call(operation, flags, count, payload).await?;
        post_reply(&reply, count as usize)
    }

    /// Opens 1 to 5,461 accounts.
    pub async fn open_accounts(&self, accounts: &[NewAccount]) -> Result<PostReply, ClientError> {
        let payload = encode_accounts(accounts)?;
        let reply = self.call(Operation::OpenAccounts, 0, accounts.len() as u32, payload).await?;
        post_reply(&reply, accounts.len())
    }

    /// Changes 1 to 8,192 accounts of together at most 1 MiB, in the order given.
    pub async fn change_accounts(&self, changes: &[AccountChange]) -> Result<PostReply, ClientError> {
        let payload = encode_changes(changes)?;
        let reply = self.call(Operation::ChangeAccounts, 0, changes.len() as u32, payload).await?;
        post_reply(&reply, changes.len())
    }

    /// Registers an asset under the id of a control record.
    pub async fn register_asset(&self, id: u128, asset: &Asset) -> Result<ItemResult, ClientError> {
        self.control(id, &ControlRecord::register(asset).canonical()).await
    }

    /// Registers an institution under the id of a control record. Only the first institution may.
    pub async fn register_institution(&self, id: u128, number: u32, name: &str) -> Result<ItemResult, ClientError> {
        self.control(id, &ControlRecord::institution(number, name).canonical()).await
    }

    /// Sets the institution's open day, days since 1970-01-01, under the id of a control record.
    pub async fn set_open_day(&self, id: u128, day: u16) -> Result<ItemResult, ClientError> {
        self.control(id, &ControlRecord::open_day(day).canonical()).await
    }

    /// Applies a control record, JSON of at most 16 KiB.
    pub async fn control(&self, id: u128, record: &[u8]) -> Result<ItemResult, ClientError> {
        check_count("bytes of a control record", record.len(), CONTROL_BYTES_MAX)?;
        let payload = codec::questions::encode_control(id, record);
        let reply = self.call(Operation::Control, 0, 1, Bytes::from(payload)).await?;
        let reply = post_reply(&reply, 1)?;
        reply.items().next().ok_or_else(|| ClientError::Protocol("a control record without a result".to_owned()))
    }

    /// Asks, within the options' deadline and their bound of requests under way.
    async fn call(
        &self,
        operation: Operation,
        flags: u16,
        count: u32,
        payload: Bytes,
    ) -> Result<RawReply, ClientError> {
        let shared = &self.handle.shared;
        let limit = shared.options.deadline;
        let deadline = Instant::now() + limit;
        // Mostly there is room, and then no timer is needed.
        let _permit = match shared.in_flight.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => match tokio::time::timeout_at(deadline, shared.in_flight.acquire()).await {
                Err(_) => return Err(ClientError::Timeout(limit)),
                Ok(permit) => permit,
            },
        };
        self.exchange((operation, flags, count), payload, deadline, limit).await
    }

    /// Asks; without an answer at the deadline, `limit` after the beginning, it is given up.
    async fn exchange(
        &self,
        (operation, flags, count): (Operation, u16, u32),
        payload: Bytes,
        deadline: Instant,
        limit: Duration,
    ) -> Result<RawReply, ClientError> {
        let shared = &self.handle.shared;
        let (sender, receiver) = oneshot::channel();
        let institution = self.institution;
        let header = Header { operation: operation as u8, flags, institution, count, ..Header::default() };
        let number = shared.add(header, operation, payload, sender)?;
        let mut guard = Guard { shared, number, done: false };
        let result = match tokio::time::timeout_at(deadline, receiver).await {
            Ok(result) => {
                guard.done = true;
                result.unwrap_or(Err(ClientError::Unknown))
            }
            Err(_) => Err(match guard.withdraw() {
                Withdrawn::NotSent if operation.changes() => ClientError::Timeout(limit),
                Withdrawn::NotSent => shared.no_answer(limit),
                withdrawn => {
                    if withdrawn == Withdrawn::SentAndSilent {
                        shared.suspect();
                    }
                    if operation.changes() { ClientError::Unknown } else { shared.no_answer(limit) }
                }
            }),
        };
        let (header, payload) = result?;
        if header.flags & ERROR != 0 {
            let (code, message) = codec::errors::decode(&payload)?;
            return Err(ClientError::Server { code, message });
        }
        Ok((header, payload))
    }
}

fn post_reply((header, payload): &RawReply, count: usize) -> Result<PostReply, ClientError> {
    let reply = codec::posts::decode(header.count, payload)?;
    check_answered(reply.count(), count)?;
    Ok(reply)
}

fn check_answered(got: usize, asked: usize) -> Result<(), ClientError> {
    if got == asked {
        return Ok(());
    }
    Err(ClientError::Protocol(format!("{got} results to {asked} items")))
}

/// Nothing is too few and `max` the most.
fn check_count(what: &'static str, got: usize, max: usize) -> Result<(), ClientError> {
    if (1..=max).contains(&got) { Ok(()) } else { Err(ClientError::TooLarge { what, got, max }) }
}
