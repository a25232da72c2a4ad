//! What may be under way: budgets over all connections, taken before a request enters the engine.
//!
//! Every queue behind the server is bounded by these and by nothing else. They are given back when the reply has been
//! written to the socket, so a peer that does not read holds its own share and no more.

use florin_core::limits::ASSETS_MAX;
use florin_engine::Command;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ServerOptions;
use crate::codec::rows::{AccountReplyRow, AssetRow, EntryRow, PostingResultRow, RunRow, StatementHeadRow};
use crate::limits::{COPY_BYTES_MAX, HEADER_BYTES, READ_CHUNK_BYTES, TRANSACTION_REPLY_BYTES_MAX};
use florin_core::limits::VOUCHER_BYTES_MAX;

/// What a request takes of the budgets; also a sum of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// How many requests.
    pub requests: u32,
    /// Transactions, openings, ids or entries.
    pub rows: usize,
    /// Bytes of payload and of the largest possible reply.
    pub bytes: usize,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.requests += other.requests;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

impl std::ops::SubAssign for Cost {
    fn sub_assign(&mut self, other: Cost) {
        self.requests -= other.requests;
        self.rows -= other.rows;
        self.bytes -= other.bytes;
    }
}

/// Bookkeeping per request, bytes: closure, queue entries, header.
const OVERHEAD_BYTES: usize = 256;
/// Replies with records exist twice for a moment: as values and as bytes.
const COPIES: usize = 2;
/// Room for the figures of an engine as JSON, bytes.
const STATS_BYTES: usize = 16 << 10;

impl Cost {
    /// A request that the connection answers itself, in a few bytes: bounded by the connection's cap on requests, so that
    /// hello and ping do not wait for the work of others.
    pub const INLINE: Cost = Cost { requests: 1, rows: 0, bytes: 0 };

    /// The cost of a command whose payload has `payload` bytes.
    pub fn of(command: &Command, payload: usize) -> Cost {
        // A payload that is a slice of a read buffer keeps all of it alive: a chunk, which may have grown to two.
        let pinned = if payload > COPY_BYTES_MAX { payload + 2 * READ_CHUNK_BYTES } else { payload };
        let (rows, reply) = match command {
            Command::Post { request, want_postings } => {
                let postings = if *want_postings {
                    2 * request.count() + payload / size_of::<florin_core::request::PostingRow>()
                } else {
                    0
                };
                let runs = request.count() * size_of::<RunRow>();
                (request.count(), runs + postings * size_of::<PostingResultRow>())
            }
            Command::Open(request) => (request.rows().len(), request.rows().len() * size_of::<RunRow>()),
            Command::Control(_) => (1, size_of::<RunRow>()),
            Command::LookUpAccounts { ids, .. } => (ids.len(), COPIES * ids.len() * size_of::<AccountReplyRow>()),
            Command::ListAccounts { limit, .. } => {
                (*limit as usize, COPIES * *limit as usize * size_of::<AccountReplyRow>())
            }
            Command::LookUpTransactions { ids, .. } => (ids.len(), COPIES * ids.len() * TRANSACTION_REPLY_BYTES_MAX),
            Command::Statement { limit, .. } => {
                let entries = *limit as usize * (size_of::<EntryRow>() + VOUCHER_BYTES_MAX);
                (*limit as usize, COPIES * (size_of::<StatementHeadRow>() + entries))
            }
            Command::Assets => (1, COPIES * ASSETS_MAX * size_of::<AssetRow>()),
            Command::Stats => (1, COPIES * STATS_BYTES),
        };
        Cost { requests: 1, rows, bytes: OVERHEAD_BYTES + HEADER_BYTES + pinned + reply }
    }
}

/// The budgets over all connections.
#[derive(Debug)]
pub struct Budget {
    rows: Semaphore,
    rows_max: usize,
    bytes: Semaphore,
    bytes_max: usize,
    receiving: Semaphore,
    receiving_max: usize,
}

/// Budgets are counted in a `u32` when they are taken.
const BUDGET_MAX: usize = u32::MAX as usize;

impl Budget {
    /// Budgets as the options say.
    pub fn new(options: &ServerOptions) -> Budget {
        let clamp = |max: usize| max.clamp(1, BUDGET_MAX.min(Semaphore::MAX_PERMITS));
        let rows_max = clamp(options.in_flight_rows_max);
        let bytes_max = clamp(options.in_flight_bytes_max);
        let receiving_max = clamp(options.receiving_bytes_max);
        Budget {
            rows: Semaphore::new(rows_max),
            rows_max,
            bytes: Semaphore::new(bytes_max),
            bytes_max,
            receiving: Semaphore::new(receiving_max),
            receiving_max,
        }
    }

    /// A cost above a whole budget takes all of it, so that it is possible at all.
    pub fn clamp(&self, cost: Cost) -> Cost {
        Cost { rows: cost.rows.min(self.rows_max), bytes: cost.bytes.min(self.bytes_max), ..cost }
    }

    /// Takes a cost that [`Budget::clamp`] has seen, first come, first served. Rows first, then bytes: always this order.
    pub async fn take(&self, cost: Cost) {
        let (rows, bytes) = (cost.rows as u32, cost.bytes as u32);
        let rows = match self.rows.try_acquire_many(rows) {
            Ok(permit) => permit,
            Err(_) => self.rows.acquire_many(rows).await.expect("budgets are never closed"),
        };
        let bytes = match self.bytes.try_acquire_many(bytes) {
            Ok(permit) => permit,
            Err(_) => self.bytes.acquire_many(bytes).await.expect("budgets are never closed"),
        };
        rows.forget();
        bytes.forget();
    }

    /// Gives back what [`Budget::take`] took.
    pub fn give_back(&self, cost: Cost) {
        self.rows.add_permits(cost.rows);
        self.bytes.add_permits(cost.bytes);
    }

    /// Room to receive a frame larger than a read chunk. Dropping it gives it back.
    pub async fn receive(&self, bytes: usize) -> SemaphorePermit<'_> {
        let bytes = bytes.min(self.receiving_max) as u32;
        self.receiving.acquire_many(bytes).await.expect("budgets are never closed")
    }
}
