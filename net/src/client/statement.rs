//! Statements, page by page.

use bytes::Bytes;
use florin_core::entry::{Order, Span, StatementPage, StatementToken};
use florin_engine::STATEMENT_ENTRIES_MAX;

use super::{Client, ClientError, check_count};
use crate::codec::{self, questions};
use crate::header::Operation;

/// A statement that is being read. Pages of one statement go on where the one before ended, whatever is posted
/// meanwhile; newest first, later entries are not in it.
#[derive(Clone, Debug)]
pub struct StatementPages {
    client: Client,
    account: u128,
    span: Span,
    order: Order,
    limit: u32,
    next: Option<StatementToken>,
    done: bool,
}

impl Client {
    /// A page of all entries of an account, newest first, `limit` 1 to 1,000; none = no such account.
    pub async fn statement(
        &self,
        account: u128,
        from: Option<StatementToken>,
        limit: u32,
    ) -> Result<Option<StatementPage>, ClientError> {
        self.statement_page(account, Span::All, Order::Newest, from, limit).await
    }

    /// A page of an account's entries in a span, in an order, `limit` 1 to 1,000; none = no such account. `from` is
    /// `next` of the page before, of the same span and order; a token with sequence 0 begins at its version.
    pub async fn statement_page(
        &self,
        account: u128,
        span: Span,
        order: Order,
        from: Option<StatementToken>,
        limit: u32,
    ) -> Result<Option<StatementPage>, ClientError> {
        check_count("entries", limit as usize, STATEMENT_ENTRIES_MAX as usize)?;
        let payload = Bytes::from(questions::encode_statement(account, span, order, from, limit));
        let (header, payload) = self.call(Operation::Statement, 0, 0, payload).await?;
        Ok(codec::statements::decode(header.count, &payload)?)
    }

    /// An account's statement, page by page.
    pub fn statement_pages(&self, account: u128, span: Span, order: Order) -> StatementPages {
        let client = self.clone();
        StatementPages { client, account, span, order, limit: STATEMENT_ENTRIES_MAX, next: None, done: false }
    }
}

impl StatementPages {
    /// With at most so many entries a page, 1 to 1,000.
    pub fn with_limit(mut self, limit: u32) -> StatementPages {
        self.limit = limit;
        self
    }

    /// The next page; none after the last one, and at once if there is no such account. After an error it may be asked
    /// again.
    pub async fn next_page(&mut self) -> Result<Option<StatementPage>, ClientError> {
        if self.done {
            return Ok(None);
        }
        let page = self.client.statement_page(self.account, self.span, self.order, self.next, self.limit).await?;
        self.next = page.as_ref().and_then(|page| page.next);
        self.done = self.next.is_none();
        Ok(page)
    }
}
