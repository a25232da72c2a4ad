//! Every question to history, against the oracle.

use std::collections::BTreeSet;

use florin_core::entry::*;
use florin_engine::{Command, Engine, Reply};

use crate::make::Rng;
use crate::oracle::Oracle;

/// What was asked.
#[derive(Debug, Default)]
pub struct Did {
    pub statements: u64,
    pub foreign: u64,
    pub balances: u64,
    pub pages: u64,
    pub look_ups: u64,
}

/// A question to one engine and its oracle.
pub struct Check<'a> {
    pub engine: &'a Engine,
    pub oracle: &'a Oracle,
    pub rng: Rng,
    pub did: Did,
    /// Shown when an answer is wrong.
    pub state: &'a str,
}

impl Check<'_> {
    /// Asks everything.
    pub async fn everything(&mut self) {
        let keys: Vec<(u32, u128)> = self.oracle.entries.keys().copied().collect();
        for key in keys {
            self.statements(key).await;
            self.foreign_tokens(key).await;
            self.balances(key).await;
        }
        for institution in crate::make::INSTITUTIONS {
            self.pages(institution).await;
            self.transactions(institution).await;
        }
    }

    async fn statements(&mut self, key: (u32, u128)) {
        let entries = &self.oracle.entries[&key];
        let count = entries.len() as u64;
        let dates: BTreeSet<u16> = entries.iter().map(|e| e.accounting_date).collect();
        let (first_date, last_date) = (*dates.first().unwrap_or(&9), *dates.last().unwrap_or(&9));
        let mut spans = vec![
            Span::All,
            Span::Versions(0, 0),
            Span::Versions(0, u64::MAX),
            Span::Versions(count, count + 5),
            Span::Versions(7, 3),
            Span::Times(0, u64::MAX),
            Span::Times(0, 5),
            Span::Dates(0, u16::MAX),
            Span::Dates(first_date, first_date),
            Span::Dates(last_date, last_date),
            Span::Dates(last_date + 1, u16::MAX),
            Span::Dates(0, first_date - 1),
        ];
        for _ in 0..3 {
            let mut draw = || self.rng.below(count as usize + 1) as u64;
            let (a, b) = (draw(), draw());
            spans.push(Span::Versions(a.min(b), a.max(b)));
            let time = |version: u64| entries.get(version as usize).map_or(u64::MAX - 9, |e| e.booked_at);
            let (a, b) = (time(a.min(b)), time(a.max(b)));
            spans.push(Span::Times(a, b));
            spans.push(Span::Times(a + 1, b - 1));
            let date = |rng: &mut Rng| first_date - 1 + rng.below(usize::from(last_date - first_date) + 3) as u16;
            let (a, b) = (date(&mut self.rng), date(&mut self.rng));
            spans.push(Span::Dates(a.min(b), a.max(b)));
        }
        for span in spans {
            for order in [Order::Newest, Order::Oldest] {
                let size = self.rng.pick(&[1, 2, 7, 50, 1_000]);
                self.walk(key, span, order, size).await;
                // Tokens that some other question may have been answered with, inside the span or not.
                if count > 0 {
                    let entry = &entries[self.rng.below(entries.len())];
                    let sequence = if self.rng.chance(70) { entry.sequence } else { 0 };
                    let token = StatementToken { sequence, version: entry.version };
                    self.statement(key, span, order, Some(token), size).await;
                }
            }
        }
    }

    /// Page after page; at most some, as long walks of small pages say nothing new.
    async fn walk(&mut self, key: (u32, u128), span: Span, order: Order, size: u32) {
        let mut from = None;
        for _ in 0..4 {
            from = self.statement(key, span, order, from, size).await;
            if from.is_none() {
                break;
            }
        }
    }

    /// One page, compared; where the next one begins.
    pub async fn statement(
        &mut self,
        (institution, account): (u32, u128),
        span: Span,
        order: Order,
        from: Option<StatementToken>,
        limit: u32,
    ) -> Option<StatementToken> {
        self.did.statements += 1;
        let question = Command::Statement { institution, account, span, order, from, limit };
        let asked = format!("{}: {question:?}", self.state);
        let Reply::Statement(Some(page)) = self.engine.call(question).await else { panic!("no page to {asked}") };
        let (entries, next) = self.oracle.statement((institution, account), span, order, from, limit as usize);
        assert_eq!(page.entries, entries, "{asked}");
        assert_eq!((page.next, page.position), (next, self.oracle.position), "{asked}");
        next
    }

    /// Tokens that name no entry of the account.
    async fn foreign_tokens(&mut self, key: (u32, u128)) {
        let own = &self.oracle.entries[&key];
        let Some((first, last)) = own.first().zip(own.last()) else { return };
        let others = self.oracle.entries.iter().filter(|(other, _)| **other != key).flat_map(|(_, entries)| entries);
        let others: Vec<&StatementEntry> = others.collect();
        let other = others[self.rng.below(others.len())];
        let middle = &own[own.len() / 2];
        for (sequence, version) in [
            (last.sequence, last.version + 1),
            (last.sequence + 1, last.version),
            (first.previous - 1, 1),
            (middle.sequence, middle.version + 1_000),
            (other.sequence, other.version),
        ] {
            let token = StatementToken { sequence, version };
            let has = own.iter().any(|e| (e.sequence, e.version) == (sequence, version));
            let (institution, account) = key;
            let (span, order, from) = (Span::All, Order::Newest, Some(token));
            let reply =
                self.engine.call(Command::Statement { institution, account, span, order, from, limit: 3 }).await;
            assert_eq!(matches!(reply, Reply::ForeignToken), !has, "{}: {key:?} {token:?}: {reply:?}", self.state);
            self.did.foreign += 1;
        }
    }

    async fn balances(&mut self, key: (u32, u128)) {
        let entries = &self.oracle.entries[&key];
        let (_, opened_at, opened_on) = self.oracle.opened[&key];
        let mut moments = BTreeSet::from([0, opened_at - 1, opened_at, u64::MAX]);
        let step = (entries.len() / 25).max(1);
        for entry in entries.iter().skip(self.rng.below(step)).step_by(step) {
            moments.extend([entry.booked_at - 1, entry.booked_at, entry.booked_at + 1]);
        }
        let dates: BTreeSet<u16> = entries.iter().map(|e| e.accounting_date).collect();
        let around = dates.iter().flat_map(|d| [d - 1, *d, d + 1]).chain([0, opened_on - 1, opened_on, u16::MAX]);
        let around: BTreeSet<u16> = around.collect();
        let moments = moments.into_iter().map(Moment::Time).chain(around.into_iter().map(Moment::Date));
        for moment in moments {
            let (institution, account) = key;
            let question = Command::BalanceAt { institution, account, moment };
            let Reply::BalanceAt(Some(found)) = self.engine.call(question).await else { panic!("no balance") };
            let got = (found.version, found.sequence, found.booked_at, found.posted);
            assert_eq!(got, self.oracle.balance_at(key, moment), "{}: {key:?} {moment:?}", self.state);
            self.did.balances += 1;
        }
    }

    async fn pages(&mut self, institution: u32) {
        let oracle = self.oracle;
        let own = || oracle.transactions.iter().filter(|t| t.institution == institution);
        let mut references: BTreeSet<u128> = own().map(|t| t.reference).filter(|r| *r < 100 && *r > 0).collect();
        references.extend(own().step_by(9).map(|t| t.reference).filter(|r| *r != 0));
        references.insert(0xabcd_ef01);
        for reference in references {
            let question = |after, limit| Command::ByReference { institution, reference, after, limit };
            self.walk_pages(institution, question, |t| t.reference == reference).await;
        }
        let mut ids: BTreeSet<u128> = own().map(|t| t.link).filter(|id| *id != 0).collect();
        ids.extend(own().step_by(50).map(|t| t.id));
        for id in ids {
            let question = |after, limit| Command::Linked { institution, id, after, limit };
            self.walk_pages(institution, question, |t| t.link == id).await;
        }
        let question = |after, limit| Command::Watch { institution, after, limit, wait_ms: 0 };
        self.walk_pages(institution, question, |_| true).await;
    }

    /// Page after page: each has what is wanted of the rows that it looked at, no more and no less. A page may be shorter than
    /// asked for, but always looks at something.
    async fn walk_pages(
        &mut self,
        institution: u32,
        question: impl Fn(u64, u32) -> Command,
        wanted: impl Fn(&TransactionRecord) -> bool,
    ) {
        let limit = self.rng.pick(&[1, 3, 40, 1_000]);
        let position = self.oracle.position;
        let mut after = if self.rng.chance(60) { 0 } else { self.rng.below(position as usize) as u64 };
        for _ in 0..8 {
            let asked = format!("{}: {:?}", self.state, question(after, limit));
            let Reply::TransactionPage(page) = self.engine.call(question(after, limit)).await else {
                panic!("no page to {asked}")
            };
            let found = self.oracle.page(institution, &wanted, after, page.seen);
            assert_eq!(page.transactions, found, "{asked}");
            assert!(found.len() <= limit as usize && (page.seen > after || after >= position), "{asked}");
            assert_eq!((page.more, page.position), (page.seen < position, position), "{asked}");
            self.did.pages += 1;
            after = page.seen;
            if !page.more {
                break;
            }
        }
    }

    /// Look-ups by id, which find rows by the indexes' frames.
    async fn transactions(&mut self, institution: u32) {
        let own: Vec<&TransactionRecord> = self
            .oracle
            .transactions
            .iter()
            .filter(|t| t.institution == institution && t.kind != RowKind::Expiry)
            .collect();
        for chunk in own.chunks(997) {
            let ids = chunk.iter().map(|t| t.id).collect();
            let Reply::Transactions { transactions, .. } =
                self.engine.call(Command::LookUpTransactions { institution, ids }).await
            else {
                panic!("no transactions")
            };
            for (found, wanted) in transactions.iter().zip(chunk) {
                assert_eq!(found.as_ref(), Some(*wanted), "{}", self.state);
            }
            self.did.look_ups += chunk.len() as u64;
        }
    }
}
