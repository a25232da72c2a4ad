//! Calls that read. Each answer says up to which row of the log it reflects the ledger, where that matters.

use std::time::Duration;

use bytes::Bytes;
use florin_core::asset::Asset;
use florin_core::entry::{AccountRecord, BalanceAt, Moment, TransactionPage, TransactionRecord};
use florin_core::institution::Institution;
use florin_engine::{
    LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, SnapshotReport, TRANSACTION_PAGE_MAX,
};

use tokio::time::Instant;

use super::{Client, ClientError, check_count};
use crate::codec::{self, questions};
use crate::header::Operation;

impl Client {
    /// All registered assets.
    pub async fn assets(&self) -> Result<Vec<Asset>, ClientError> {
        let (header, payload) = self.call(Operation::Assets, 0, 0, Bytes::new()).await?;
        Ok(codec::assets::decode(header.count, &payload)?)
    }

    /// The institutions by number: all of them if the first one asks, else the one that asks.
    pub async fn institutions(&self) -> Result<Vec<(u32, Institution)>, ClientError> {
        let (header, payload) = self.call(Operation::Institutions, 0, 0, Bytes::new()).await?;
        Ok(codec::institutions::decode(header.count, &payload)?)
    }

    /// Accounts by id, 1 to 8,190, in the order asked; none where there is no such account. Accounts with many
    /// attributes may take more than one request; then they are of more than one moment.
    pub async fn accounts(&self, ids: &[u128]) -> Result<Vec<Option<AccountRecord>>, ClientError> {
        check_count("ids", ids.len(), LOOK_UP_ACCOUNTS_MAX)?;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let rest = &ids[found.len()..];
            let payload = Bytes::from(questions::encode_ids(rest));
            let (header, payload) = self.call(Operation::LookUpAccounts, 0, rest.len() as u32, payload).await?;
            let (accounts, _) = codec::accounts::decode(header.count, &payload)?;
            check_some(accounts.len(), rest.len())?;
            found.extend(accounts);
        }
        Ok(found)
    }

    /// Accounts in the order of their opening. `after` is `opened` of the last one seen, 0 to begin; `limit` 1 to
    /// 4,000.
    pub async fn list_accounts(&self, after: u64, limit: u32) -> Result<Vec<AccountRecord>, ClientError> {
        check_count("accounts", limit as usize, LIST_ACCOUNTS_MAX as usize)?;
        let payload = Bytes::from(questions::encode_list(after, limit));
        let (header, payload) = self.call(Operation::ListAccounts, 0, 0, payload).await?;
        Ok(codec::accounts::decode_page(header.count, &payload)?.0)
    }

    /// An account's balance at a moment; none = no such account.
    pub async fn balance_at(&self, account: u128, moment: Moment) -> Result<Option<BalanceAt>, ClientError> {
        let payload = Bytes::from(questions::encode_balance_at(account, moment));
        let (header, payload) = self.call(Operation::BalanceAt, 0, 0, payload).await?;
        Ok(codec::balances::decode(header.count, &payload)?)
    }

    /// Transactions by id, 1 to 1,000, in the order asked; none where the id is not known.
    pub async fn transactions(&self, ids: &[u128]) -> Result<Vec<Option<TransactionRecord>>, ClientError> {
        check_count("ids", ids.len(), LOOK_UP_TRANSACTIONS_MAX)?;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let rest = &ids[found.len()..];
            let payload = Bytes::from(questions::encode_ids(rest));
            let (header, payload) = self.call(Operation::LookUpTransactions, 0, rest.len() as u32, payload).await?;
            let (transactions, _) = codec::transactions::decode(header.count, &payload)?;
            check_some(transactions.len(), rest.len())?;
            found.extend(transactions);
        }
        Ok(found)
    }

    /// Transactions with a business reference, in log order. `after` is `seen` of the page before, 0 to begin; `limit`
    /// 1 to 1,000. A page may have fewer, or none, and say that there is more.
    pub async fn by_reference(&self, reference: u128, after: u64, limit: u32) -> Result<TransactionPage, ClientError> {
        self.related(Operation::ByReference, reference, after, limit).await
    }

    /// Transactions that name the transaction `id`: its captures, increases, release, expiry, reversals, and whatever
    /// else is linked to it; in log order. Pages are as in [`Client::by_reference`].
    pub async fn linked(&self, id: u128, after: u64, limit: u32) -> Result<TransactionPage, ClientError> {
        self.related(Operation::Linked, id, after, limit).await
    }

    async fn related(
        &self,
        operation: Operation,
        id: u128,
        after: u64,
        limit: u32,
    ) -> Result<TransactionPage, ClientError> {
        check_count("transactions", limit as usize, TRANSACTION_PAGE_MAX as usize)?;
        let payload = Bytes::from(questions::encode_related(id, after, limit));
        let (header, payload) = self.call(operation, 0, 0, payload).await?;
        Ok(codec::transactions::decode_page(header.count, &payload)?)
    }

    /// Asks for a snapshot of all that is durable, and of what this connection asked before; waits for it up to `limit`, since a large
    /// ledger takes longer than other calls do. None: the log is empty. Given up, it is made all the same.
    pub async fn snapshot(&self, limit: Duration) -> Result<Option<SnapshotReport>, ClientError> {
        let asked = (Operation::Snapshot, 0, 0);
        let (header, payload) = self.exchange(asked, Bytes::new(), Instant::now() + limit, limit).await?;
        Ok(codec::snapshots::decode(header.count, &payload)?)
    }

    /// Figures about the engine, as the server gives them.
    pub async fn stats(&self) -> Result<serde_json::Value, ClientError> {
        let (_, payload) = self.call(Operation::Stats, 0, 0, Bytes::new()).await?;
        serde_json::from_slice(&payload).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}

/// A look-up answers the first ids, at least one.
fn check_some(got: usize, asked: usize) -> Result<(), ClientError> {
    if (1..=asked).contains(&got) {
        return Ok(());
    }
    Err(ClientError::Protocol(format!("{got} of {asked} answered")))
}
