//! The client: one connection that many callers share, and typed calls over it.
//!
//! It never invents an id and never repeats a change under another one. What holds: a call that ends in
//! [`ClientError::Unknown`] may or may not have been applied, any other error of a changing call means that this client
//! saw no sign that it was; and a request that is sent again on a new connection has the same bytes as before.

mod connection;
mod items;
mod pending;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use florin_core::asset::{Asset, ControlRecord};
use florin_core::entry::{AccountRecord, PostReply, StatementPage, StatementToken, TransactionRecord};
use florin_core::limits::{CONTROL_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::request::{ItemResult, PostForm};
use florin_engine::{LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, STATEMENT_ENTRIES_MAX};
use tokio::sync::oneshot;

pub use items::{NewAccount, Transaction, encode_accounts, encode_transactions};

use crate::codec::hello::HelloReply;
use crate::codec::{self, ReplyError};
use crate::error::ErrorCode;
use crate::header::{ERROR, Header, Operation, WANT_POSTINGS};
use connection::Shared;
use items::check_count;
use pending::{RawReply, Withdrawn};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The tenant of all requests.
    pub institution: u32,
    /// How long a call may take, with reconnecting, before it ends as unknown or timed out.
    pub deadline: Duration,
    /// Whether a lost connection is made again and what waits is sent again.
    pub reconnect: bool,
    /// Most requests under way; further callers wait.
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
    /// The server cannot be reached. A change that ends with this was not sent.
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
    /// Connects to `addr` (`host:port`) and says hello. Must run inside a tokio runtime, which keeps the connection going.
    pub async fn connect(addr: &str, options: ClientOptions) -> Result<Client, ClientError> {
        let (shared, hello) = connection::start(addr, options).await?;
        Ok(Client { handle: Arc::new(Handle { shared, hello }) })
    }

    /// What the server said of itself when the client first connected.
    pub fn server(&self) -> &HelloReply {
        &self.handle.hello
    }

    /// Asks whether the server is there.
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.call(Operation::Ping, 0, 0, Bytes::new()).await.map(|_| ())
    }

    /// Posts 1 to 8,190 transactions of together at most 1 MiB, in the order given. Nothing is split.
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
            PostForm::Journals => Operation::PostJournals,
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

    /// Registers an asset under the id of a control record.
    pub async fn register_asset(&self, id: u128, asset: &Asset) -> Result<ItemResult, ClientError> {
        self.control(id, &ControlRecord::register(asset).canonical()).await
    }

    /// Applies a control record, JSON of at most 16 KiB.
    pub async fn control(&self, id: u128, record: &[u8]) -> Result<ItemResult, ClientError> {
        check_count("bytes of a control record", record.len(), CONTROL_BYTES_MAX)?;
        let payload = codec::requests::encode_control(id, record);
        let reply = self.call(Operation::Control, 0, 1, Bytes::from(payload)).await?;
        let reply = post_reply(&reply, 1)?;
        reply.items().next().ok_or_else(|| ClientError::Protocol("a control record without a result".to_owned()))
    }

    /// All registered assets.
    pub async fn assets(&self) -> Result<Vec<Asset>, ClientError> {
        let (header, payload) = self.call(Operation::Assets, 0, 0, Bytes::new()).await?;
        Ok(codec::assets::decode(header.count, &payload)?)
    }

    /// Accounts by id, 1 to 8,190, in the order asked; none where there is no such account.
    pub async fn accounts(&self, ids: &[u128]) -> Result<Vec<Option<AccountRecord>>, ClientError> {
        check_count("ids", ids.len(), LOOK_UP_ACCOUNTS_MAX)?;
        let payload = Bytes::from(codec::requests::encode_ids(ids));
        let (header, payload) = self.call(Operation::LookUpAccounts, 0, ids.len() as u32, payload).await?;
        let (accounts, _) = codec::accounts::decode(header.count, &payload)?;
        check_answered(accounts.len(), ids.len())?;
        Ok(accounts)
    }

    /// Accounts in the order of their opening. `after` is `opened` of the last one seen, 0 to begin; `limit` 1 to 4,000.
    pub async fn list_accounts(&self, after: u64, limit: u32) -> Result<Vec<AccountRecord>, ClientError> {
        check_count("accounts", limit as usize, LIST_ACCOUNTS_MAX as usize)?;
        let payload = Bytes::from(codec::requests::encode_list(after, limit));
        let (header, payload) = self.call(Operation::ListAccounts, 0, 0, payload).await?;
        Ok(codec::accounts::decode_page(header.count, &payload)?.0)
    }

    /// Transactions by id, 1 to 1,000, in the order asked; none where the id is not known.
    pub async fn transactions(&self, ids: &[u128]) -> Result<Vec<Option<TransactionRecord>>, ClientError> {
        check_count("ids", ids.len(), LOOK_UP_TRANSACTIONS_MAX)?;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let rest = &ids[found.len()..];
            let payload = Bytes::from(codec::requests::encode_ids(rest));
            let (header, payload) = self.call(Operation::LookUpTransactions, 0, rest.len() as u32, payload).await?;
            let (transactions, _) = codec::transactions::decode(header.count, &payload)?;
            if transactions.is_empty() || transactions.len() > rest.len() {
                return Err(ClientError::Protocol(format!("{} of {} answered", transactions.len(), rest.len())));
            }
            found.extend(transactions);
        }
        Ok(found)
    }

    /// A page of an account's statement, newest first, `limit` 1 to 1,000; none = no such account.
    pub async fn statement(
        &self,
        account: u128,
        from: Option<StatementToken>,
        limit: u32,
    ) -> Result<Option<StatementPage>, ClientError> {
        check_count("entries", limit as usize, STATEMENT_ENTRIES_MAX as usize)?;
        let payload = Bytes::from(codec::requests::encode_statement(account, from, limit));
        let (header, payload) = self.call(Operation::Statement, 0, 0, payload).await?;
        Ok(codec::statements::decode(header.count, &payload)?)
    }

    /// Figures about the engine, as the server gives them.
    pub async fn stats(&self) -> Result<serde_json::Value, ClientError> {
        let (_, payload) = self.call(Operation::Stats, 0, 0, Bytes::new()).await?;
        serde_json::from_slice(&payload).map_err(|error| ClientError::Protocol(error.to_string()))
    }

    async fn call(
        &self,
        operation: Operation,
        flags: u16,
        count: u32,
        payload: Bytes,
    ) -> Result<RawReply, ClientError> {
        let shared = &self.handle.shared;
        let limit = shared.options.deadline;
        let deadline = tokio::time::Instant::now() + limit;
        // Mostly there is room, and then no timer is needed.
        let _permit = match shared.in_flight.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => match tokio::time::timeout_at(deadline, shared.in_flight.acquire()).await {
                Err(_) => return Err(ClientError::Timeout(limit)),
                Ok(permit) => permit,
            },
        };
        let (sender, receiver) = oneshot::channel();
        let institution = shared.options.institution;
        let header = Header { operation: operation as u8, flags, institution, count, ..Header::default() };
        let number = shared.add(header, operation, payload, sender)?;
        let mut guard = Guard { shared, number, done: false };
        let result = match tokio::time::timeout_at(deadline, receiver).await {
            Ok(result) => {
                guard.done = true;
                result.unwrap_or(Err(ClientError::Unknown))
            }
            Err(_) => Err(match guard.withdraw() {
                Withdrawn::NotSent => ClientError::Timeout(limit),
                withdrawn => {
                    if withdrawn == Withdrawn::SentAndSilent {
                        shared.suspect();
                    }
                    if operation.changes() { ClientError::Unknown } else { ClientError::Timeout(limit) }
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
