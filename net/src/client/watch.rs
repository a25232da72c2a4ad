//! A watch: the transactions of an institution as they become durable, in log order, each once.
//!
//! It asks for the next page, which the server answers once there is something on it. Nothing is buffered for a watch
//! that does not ask, so it may be as slow as it likes. Its position is the only thing that it keeps: whoever stores
//! that goes on from there, on another connection or after a restart.

use std::time::Duration;

use bytes::Bytes;
use florin_core::entry::TransactionPage;
use florin_engine::{TRANSACTION_PAGE_MAX, WATCH_WAIT_MS_MAX};
use tokio::time::Instant;

use super::{Client, ClientError, check_count};
use crate::codec::{self, questions};
use crate::header::Operation;

/// How long the server is asked to wait: long enough to be cheap, short enough to notice a dead connection.
const WAIT: Duration = Duration::from_secs(10);
/// Transactions of a page, if nothing else is said.
const LIMIT: u32 = 200;
/// Before asking again a server that did not wait: it is stopping, or was not told to.
const PAUSE: Duration = Duration::from_millis(50);

/// A watch that goes on where the last page ended.
#[derive(Clone, Debug)]
pub struct Watch {
    client: Client,
    seen: u64,
    limit: u32,
    wait: Duration,
}

impl Client {
    /// Watches the institution's transactions after the row `after`: [`Watch::seen`] of a watch before, 0 for all.
    pub fn watch(&self, after: u64) -> Watch {
        Watch { client: self.clone(), seen: after, limit: LIMIT, wait: WAIT }
    }
}

impl Watch {
    /// With at most so many transactions a page, 1 to 1,000.
    pub fn with_limit(mut self, limit: u32) -> Watch {
        self.limit = limit;
        self
    }

    /// With another time that the server waits for a transaction, at most a minute.
    pub fn with_wait(mut self, wait: Duration) -> Watch {
        self.wait = wait.min(Duration::from_millis(u64::from(WATCH_WAIT_MS_MAX)));
        self
    }

    /// Everything up to this row was on a page, or concerns others. A watch from here goes on without gap or
    /// repetition.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The next transactions, at least one; waits for them as long as it takes. After an error, and if it was dropped
    /// while it waited, it may be asked again and goes on from [`Watch::seen`].
    pub async fn next_page(&mut self) -> Result<TransactionPage, ClientError> {
        loop {
            let begun = Instant::now();
            let page = self.poll_page().await?;
            if !page.transactions.is_empty() {
                return Ok(page);
            }
            if !page.more && begun.elapsed() < PAUSE {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The next transactions, or none if there was none for the time that the server waits.
    pub async fn poll_page(&mut self) -> Result<TransactionPage, ClientError> {
        check_count("transactions", self.limit as usize, TRANSACTION_PAGE_MAX as usize)?;
        let wait_ms = u32::try_from(self.wait.as_millis()).unwrap_or(WATCH_WAIT_MS_MAX);
        let payload = Bytes::from(questions::encode_watch(self.seen, self.limit, wait_ms));
        let limit = self.client.handle.shared.options.deadline + self.wait;
        let asked = (Operation::Watch, 0, 0);
        let (header, payload) = self.client.exchange(asked, payload, Instant::now() + limit, limit).await?;
        let page = codec::transactions::decode_page(header.count, &payload)?;
        let mut last = self.seen;
        for transaction in &page.transactions {
            if transaction.result.sequence <= last {
                return Err(ClientError::Protocol(format!("row {} after row {last}", transaction.result.sequence)));
            }
            last = transaction.result.sequence;
        }
        if page.seen < last {
            return Err(ClientError::Protocol(format!("a page up to row {} that has row {last}", page.seen)));
        }
        self.seen = page.seen;
        Ok(page)
    }
}
