//! What may be under way: budgets over all connections, taken before a request enters the engine.
//!
//! Every queue behind the server is bounded by these and by nothing else. They are given back when the reply has been
//! written to the socket. Peers that do not read their replies can keep a whole budget for as long as the server bears with them: so
//! what changes the ledger, what only reads, and pages of watches have a budget each, and readers keep no posting waiting.

use std::sync::Arc;

use florin_core::compare::counts_entries;
use florin_core::entry::{AccountRecord, PostingRecord, StatementEntry, TransactionRecord};
use florin_core::limits::{
    ASSETS_MAX, ATTRIBUTES_BYTES_MAX, INSTITUTION_NAME_BYTES_MAX, INSTITUTIONS_MAX, POSTINGS_MAX, TRANSFER_ROW_BYTES,
    VOUCHER_BYTES_MAX,
};
use florin_core::link::{NamedPosting, Target};
use florin_core::request::{ItemKind, PostForm, PostRequest, PostingResult};
use florin_engine::Command;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::ServerOptions;
use crate::codec::rows::{
    AssetRow, BalanceAtReplyRow, InstitutionRow, PostingResultRow, RunRow, SnapshotReplyRow, StatementHeadRow,
};
use crate::limits::{
    ACCOUNT_REPLY_BYTES_MAX, COPY_BYTES_MAX, ENTRY_REPLY_BYTES_MAX, FOLDER_BYTES_MAX, HEADER_BYTES, READ_CHUNK_BYTES,
    REPLY_BYTES_MAX, TRANSACTION_REPLY_BYTES_MAX,
};

/// What a request takes of the budgets; also a sum of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// How many requests.
    pub requests: u32,
    /// Transactions, openings or changes.
    pub rows: usize,
    /// Bytes of what changes the ledger: payload, the largest possible reply, and what has to be read before.
    pub bytes: usize,
    /// Bytes of a read: payload and the largest possible reply.
    pub read_bytes: usize,
    /// Bytes of a page of a watch that is read and not written yet.
    pub page_bytes: usize,
    /// Pages of watches: a connection has one at a time, beside its other requests.
    pub pages: u32,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.requests += other.requests;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.read_bytes += other.read_bytes;
        self.page_bytes += other.page_bytes;
        self.pages += other.pages;
    }
}

impl std::ops::SubAssign for Cost {
    fn sub_assign(&mut self, other: Cost) {
        self.requests -= other.requests;
        self.rows -= other.rows;
        self.bytes -= other.bytes;
        self.read_bytes -= other.read_bytes;
        self.page_bytes -= other.page_bytes;
        self.pages -= other.pages;
    }
}

/// Bookkeeping per request, bytes: closure, queue entries, header.
const OVERHEAD_BYTES: usize = 256;
/// Replies with few records exist twice for a moment: as values and as bytes.
const COPIES: usize = 2;
/// Room for the figures of an engine as JSON, bytes.
const STATS_BYTES: usize = 16 << 10;
/// Most bytes of one account as a value.
const ACCOUNT_VALUE_BYTES_MAX: usize = size_of::<Option<AccountRecord>>() + ATTRIBUTES_BYTES_MAX;
/// Most bytes of one transaction as a value.
const TRANSACTION_VALUE_BYTES_MAX: usize =
    size_of::<Option<TransactionRecord>>() + POSTINGS_MAX * size_of::<PostingRecord>() + VOUCHER_BYTES_MAX;
/// Most bytes of one entry of a statement as a value.
const ENTRY_VALUE_BYTES_MAX: usize = size_of::<StatementEntry>() + VOUCHER_BYTES_MAX;

/// `count` records that exist as values, and as bytes up to what a reply may have.
fn twice(count: usize, value_bytes: usize, reply_bytes: usize) -> usize {
    count * value_bytes + (count * reply_bytes).min(REPLY_BYTES_MAX)
}

/// Most entries that the items of a request can make: as many as they name postings, or as many as a hold or original
/// has.
fn entries_max(request: &PostRequest) -> usize {
    if request.form() == PostForm::Transfers {
        return 2 * request.count();
    }
    let entries = |index: usize| {
        let item = request.item(index);
        let named = item.postings.count();
        match item.kind {
            Some(ItemKind::Reverse) if named > 0 => named,
            Some(kind) if counts_entries(kind) => POSTINGS_MAX,
            _ => named,
        }
    };
    (0..request.count()).map(entries).sum()
}

/// Most bytes that the originals of a request's reversals take while it waits for its turn.
fn originals_max(request: &PostRequest) -> usize {
    if !request.has_reversals() {
        return 0;
    }
    let reversals = (0..request.count()).filter(|&i| request.item(i).kind == Some(ItemKind::Reverse)).count();
    reversals * (size_of::<Target>() + POSTINGS_MAX * size_of::<NamedPosting>())
}

impl Cost {
    /// A request that the connection answers itself, in a few bytes: bounded by the connection's cap on requests, so
    /// that hello and ping do not wait for the work of others. A watch takes no more while it waits.
    pub const INLINE: Cost = Cost { requests: 1, rows: 0, bytes: 0, read_bytes: 0, page_bytes: 0, pages: 0 };
    /// The page of a watch whose request was counted before.
    pub const PAGE: Cost = Cost { requests: 0, pages: 1, ..Cost::INLINE };

    /// The cost of a command whose payload has `payload` bytes.
    pub fn of(command: &Command, payload: usize) -> Cost {
        // A payload that is a slice of a read buffer keeps all of it alive: a chunk, which may have grown to two.
        let pinned = if payload > COPY_BYTES_MAX { payload + 2 * READ_CHUNK_BYTES } else { payload };
        let (rows, reply) = match command {
            Command::Post { request, want_postings } => {
                let entries = if *want_postings { entries_max(request) } else { 0 };
                let runs = request.count() * size_of::<RunRow>();
                let postings = twice(entries, size_of::<PostingResult>(), size_of::<PostingResultRow>());
                (request.count(), runs + postings + originals_max(request))
            }
            Command::Open(request) => (request.rows().len(), request.rows().len() * size_of::<RunRow>()),
            Command::Change(request) => (request.count(), request.count() * size_of::<RunRow>()),
            Command::Control(_) => (1, size_of::<RunRow>()),
            Command::LookUpAccounts { ids, .. } => {
                (ids.len(), twice(ids.len(), ACCOUNT_VALUE_BYTES_MAX, ACCOUNT_REPLY_BYTES_MAX))
            }
            Command::ListAccounts { limit, .. } => {
                (*limit as usize, twice(*limit as usize, ACCOUNT_VALUE_BYTES_MAX, ACCOUNT_REPLY_BYTES_MAX))
            }
            Command::LookUpTransactions { ids, .. } => (ids.len(), transactions_bytes(ids.len())),
            Command::ByReference { limit, .. } | Command::Linked { limit, .. } | Command::Watch { limit, .. } => {
                (*limit as usize, transactions_bytes(*limit as usize))
            }
            Command::Statement { limit, .. } => {
                let head = COPIES * (size_of::<StatementHeadRow>() + ATTRIBUTES_BYTES_MAX);
                let entries = twice(*limit as usize, ENTRY_VALUE_BYTES_MAX, ENTRY_REPLY_BYTES_MAX);
                (*limit as usize, head + entries)
            }
            Command::BalanceAt { .. } => (1, COPIES * size_of::<BalanceAtReplyRow>()),
            Command::Institutions { .. } => {
                (1, COPIES * INSTITUTIONS_MAX * (size_of::<InstitutionRow>() + INSTITUTION_NAME_BYTES_MAX))
            }
            Command::Assets => (1, COPIES * ASSETS_MAX * size_of::<AssetRow>()),
            Command::Stats => (1, COPIES * STATS_BYTES),
            Command::Snapshot => (1, COPIES * (size_of::<SnapshotReplyRow>() + FOLDER_BYTES_MAX)),
        };
        let bytes = OVERHEAD_BYTES + HEADER_BYTES + pinned + reply;
        match command {
            Command::Post { .. } | Command::Open(_) | Command::Change(_) | Command::Control(_) => {
                Cost { rows, bytes, ..Cost::INLINE }
            }
            _ => Cost { read_bytes: bytes, ..Cost::INLINE },
        }
    }

    /// The cost of `rows` transfers without vouchers that `requests` requests were merged into.
    pub fn of_merged(rows: usize, requests: u32) -> Cost {
        let bytes =
            rows * (TRANSFER_ROW_BYTES + size_of::<RunRow>()) + requests as usize * (OVERHEAD_BYTES + HEADER_BYTES);
        Cost { requests, rows, bytes, ..Cost::default() }
    }

    /// Bytes of whatever budget.
    pub fn all_bytes(&self) -> usize {
        self.bytes + self.read_bytes + self.page_bytes
    }
}

fn transactions_bytes(count: usize) -> usize {
    twice(count, TRANSACTION_VALUE_BYTES_MAX, TRANSACTION_REPLY_BYTES_MAX)
}

/// The budgets over all connections.
#[derive(Debug)]
pub struct Budget {
    rows: Semaphore,
    rows_max: usize,
    bytes: Semaphore,
    bytes_max: usize,
    reading: Semaphore,
    reading_max: usize,
    receiving: Semaphore,
    receiving_max: usize,
    watches: Arc<Semaphore>,
    watches_max: usize,
    pages: Semaphore,
    pages_max: usize,
    page_replies: Semaphore,
    page_replies_max: usize,
}

/// Budgets are counted in a `u32` when they are taken.
const BUDGET_MAX: usize = u32::MAX as usize;

impl Budget {
    /// Budgets as the options say.
    pub fn new(options: &ServerOptions) -> Budget {
        let clamp = |max: usize| max.clamp(1, BUDGET_MAX.min(Semaphore::MAX_PERMITS));
        let rows_max = clamp(options.in_flight_rows_max);
        let bytes_max = clamp(options.in_flight_bytes_max);
        let reading_max = clamp(options.reading_bytes_max);
        let receiving_max = clamp(options.receiving_bytes_max);
        let watches_max = clamp(options.watches_max);
        let pages_max = clamp(options.watch_bytes_max);
        let page_replies_max = clamp(options.watch_replies_bytes_max);
        Budget {
            rows: Semaphore::new(rows_max),
            rows_max,
            bytes: Semaphore::new(bytes_max),
            bytes_max,
            reading: Semaphore::new(reading_max),
            reading_max,
            receiving: Semaphore::new(receiving_max),
            receiving_max,
            watches: Arc::new(Semaphore::new(watches_max)),
            watches_max,
            pages: Semaphore::new(pages_max),
            pages_max,
            page_replies: Semaphore::new(page_replies_max),
            page_replies_max,
        }
    }

    /// A cost above a whole budget takes all of it, so that it is possible at all.
    pub fn clamp(&self, cost: Cost) -> Cost {
        let (rows, bytes) = (cost.rows.min(self.rows_max), cost.bytes.min(self.bytes_max));
        Cost { rows, bytes, read_bytes: cost.read_bytes.min(self.reading_max), ..cost }
    }

    /// Takes a cost that [`Budget::clamp`] has seen, first come, first served. Rows first, then bytes: always this
    /// order. Bytes of pages are taken with [`Budget::page_reply`].
    pub async fn take(&self, cost: Cost) {
        let rows = take(&self.rows, cost.rows).await;
        let bytes = take(&self.bytes, cost.bytes).await;
        let read_bytes = take(&self.reading, cost.read_bytes).await;
        [rows, bytes, read_bytes].into_iter().flatten().for_each(SemaphorePermit::forget);
    }

    /// Gives back what [`Budget::take`] took, and bytes of pages.
    pub fn give_back(&self, cost: Cost) {
        for (budget, count) in [
            (&self.rows, cost.rows),
            (&self.bytes, cost.bytes),
            (&self.reading, cost.read_bytes),
            (&self.page_replies, cost.page_bytes),
        ] {
            if count > 0 {
                budget.add_permits(count);
            }
        }
    }

    /// Whether nothing is taken, and no more was given back than that.
    pub fn is_whole(&self) -> bool {
        let budgets = [
            (&self.rows, self.rows_max),
            (&self.bytes, self.bytes_max),
            (&self.reading, self.reading_max),
            (&self.receiving, self.receiving_max),
            (&*self.watches, self.watches_max),
            (&self.pages, self.pages_max),
            (&self.page_replies, self.page_replies_max),
        ];
        budgets.iter().all(|(budget, max)| budget.available_permits() == *max)
    }

    /// Room to receive a frame larger than a read chunk. Dropping it gives it back.
    pub async fn receive(&self, bytes: usize) -> SemaphorePermit<'_> {
        let bytes = bytes.min(self.receiving_max) as u32;
        self.receiving.acquire_many(bytes).await.expect("budgets are never closed")
    }

    /// A place for one more watch, if there is one. It goes with the watch into the engine: a watch whose connection is
    /// gone has its place until the engine has forgotten it.
    pub fn watch(&self) -> Option<OwnedSemaphorePermit> {
        self.watches.clone().try_acquire_owned().ok()
    }

    /// Room for the largest page of a watch as it is written to the socket. Dropping it gives it back; forgotten, it comes
    /// back with the page's cost.
    pub async fn page_reply(&self) -> SemaphorePermit<'_> {
        let bytes = REPLY_BYTES_MAX.min(self.page_replies_max) as u32;
        self.page_replies.acquire_many(bytes).await.expect("budgets are never closed")
    }

    /// Room to read a page for a watch. Dropping it gives it back.
    pub async fn page(&self, bytes: usize) -> SemaphorePermit<'_> {
        let bytes = bytes.min(self.pages_max) as u32;
        self.pages.acquire_many(bytes).await.expect("budgets are never closed")
    }
}

async fn take(budget: &Semaphore, count: usize) -> Option<SemaphorePermit<'_>> {
    if count == 0 {
        return None;
    }
    let count = count as u32;
    Some(match budget.try_acquire_many(count) {
        Ok(permit) => permit,
        Err(_) => budget.acquire_many(count).await.expect("budgets are never closed"),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use florin_core::request::ItemRow;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    #[test]
    fn originals_that_have_to_be_read_first_are_counted() {
        let cost = |kind: ItemKind| {
            let mut row = ItemRow::new_zeroed();
            row.kind = kind as u8;
            let payload = [row; 3].as_bytes().to_vec();
            let length = payload.len();
            let request = PostRequest::parse(1, 0, PostForm::Items, 3, Bytes::from(payload)).expect("three rows");
            Cost::of(&Command::Post { request, want_postings: false }, length)
        };
        let (release, reverse) = (cost(ItemKind::Release), cost(ItemKind::Reverse));
        assert_eq!(reverse.rows, release.rows);
        assert!(reverse.bytes - release.bytes >= 3 * POSTINGS_MAX * size_of::<NamedPosting>());
    }
}
