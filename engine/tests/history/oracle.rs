//! What history must answer, computed from the list of all records with plain loops. Shares no code with it.

use std::collections::BTreeMap;
use std::path::Path;

use florin_core::account::HeldResult;
use florin_core::entry::*;
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_wal::Frame;

/// Everything that a log holds.
pub struct Oracle {
    /// All transactions in log order.
    pub transactions: Vec<TransactionRecord>,
    /// Entries by institution and account, oldest first.
    pub entries: BTreeMap<(u32, u128), Vec<StatementEntry>>,
    /// Sequence number, booked-at and accounting date of each account's opening.
    pub opened: BTreeMap<(u32, u128), (u64, u64, u16)>,
    /// Last sequence number.
    pub position: u64,
}

impl Oracle {
    /// Reads the log of a ledger that nobody writes to.
    pub fn read(data: &Path) -> Oracle {
        let mut oracle =
            Oracle { transactions: Vec::new(), entries: BTreeMap::new(), opened: BTreeMap::new(), position: 0 };
        florin_wal::scan(data, &mut |frame: Frame<'_>| {
            let view = florin_engine::view(&frame).map_err(|e| e.to_string())?;
            for index in 0..view.head().count {
                oracle.add(view.record(index).map_err(|e| e.to_string())?);
            }
            Ok::<(), String>(())
        })
        .expect("a whole log");
        oracle
    }

    fn add(&mut self, record: Record) {
        self.position += 1;
        match record {
            Record::Control(_) => {}
            Record::Open(open) => {
                let key = (open.institution, open.row.account.get());
                self.opened.insert(key, (open.sequence, open.booked_at, open.accounting_date));
                self.entries.insert(key, Vec::new());
            }
            Record::Change(change) => {
                if change.result.outcome == Outcome::Posted {
                    self.add_change(&change);
                }
            }
            Record::Transaction(transaction) => {
                for posting in transaction.postings.iter().filter(|_| transaction.result.outcome == Outcome::Posted) {
                    self.add_posting(&transaction, posting);
                }
                self.transactions.push(*transaction);
            }
        }
    }

    fn add_posting(&mut self, t: &TransactionRecord, posting: &PostingRecord) {
        let others: Vec<u128> = t.postings.iter().map(|p| p.account).filter(|a| *a != posting.account).collect();
        let counterparty = match others.first() {
            None => posting.account,
            Some(first) if others.iter().all(|a| a == first) => *first,
            Some(_) => 0,
        };
        let entries = self.entries.get_mut(&(t.institution, posting.account)).expect("an open account");
        assert_eq!(entries.len() as u64 + 1, posting.result.version, "versions without a gap");
        entries.push(StatementEntry {
            sequence: t.result.sequence,
            version: posting.result.version,
            kind: t.kind,
            id: t.id,
            side: posting.side,
            amount: posting.amount,
            asset: posting.asset,
            balance: posting.result.balance,
            counterparty,
            previous: posting.previous,
            reference: t.reference,
            code: t.code,
            principal: t.principal,
            booked_at: t.result.booked_at,
            accounting_date: t.accounting_date,
            value_date: t.value_date,
            voucher: t.voucher.clone(),
            link: t.link,
            forced: t.forced,
            alarm: posting.result.alarm,
            held: posting.held,
            change: None,
        });
    }

    fn add_change(&mut self, c: &ChangeRecord) {
        let key = (c.institution, c.row.account.get());
        let opened = self.opened[&key].0;
        let entries = self.entries.get_mut(&key).expect("an open account");
        assert_eq!(entries.len() as u64 + 1, c.entry.version, "versions without a gap");
        assert_eq!(c.previous, entries.last().map_or(opened, |e| e.sequence));
        entries.push(StatementEntry {
            sequence: c.result.sequence,
            version: c.entry.version,
            kind: RowKind::Change,
            id: c.row.id.get(),
            side: Side::Debit,
            amount: 0,
            asset: super::make::EUR,
            balance: c.entry.balance,
            counterparty: 0,
            previous: c.previous,
            reference: 0,
            code: c.row.code.get(),
            principal: c.principal,
            booked_at: c.result.booked_at,
            accounting_date: c.accounting_date,
            value_date: 0,
            voucher: Vec::new(),
            link: 0,
            forced: c.row.forced(),
            alarm: false,
            held: HeldResult::default(),
            change: Some((c.row.action(), c.reason.clone())),
        });
    }

    /// A page of a statement: the entries, and where the next page begins.
    pub fn statement(
        &self,
        key: (u32, u128),
        span: Span,
        order: Order,
        from: Option<StatementToken>,
        limit: usize,
    ) -> (Vec<StatementEntry>, Option<StatementToken>) {
        let in_span = |e: &&StatementEntry| match span {
            Span::All => true,
            Span::Versions(a, b) => a <= e.version && e.version <= b,
            Span::Times(a, b) => a <= e.booked_at && e.booked_at <= b,
            Span::Dates(a, b) => a <= e.accounting_date && e.accounting_date <= b,
        };
        let mut entries: Vec<&StatementEntry> = self.entries[&key].iter().filter(in_span).collect();
        if order == Order::Newest {
            entries.reverse();
        }
        if let Some(from) = from {
            entries
                .retain(|e| if order == Order::Newest { e.version <= from.version } else { e.version >= from.version });
        }
        let next = entries.get(limit).map(|e| StatementToken { sequence: e.sequence, version: e.version });
        (entries.into_iter().take(limit).cloned().collect(), next)
    }

    /// The balance at a moment: version, sequence number, booked-at, balance.
    pub fn balance_at(&self, key: (u32, u128), moment: Moment) -> (u64, u64, u64, i128) {
        let counts = |time: u64, date: u16| match moment {
            Moment::Time(upto) => time <= upto,
            Moment::Date(upto) => date <= upto,
        };
        let last = self.entries[&key].iter().rfind(|e| counts(e.booked_at, e.accounting_date));
        let (opened, time, date) = self.opened[&key];
        match last {
            Some(e) => (e.version, e.sequence, e.booked_at, e.balance),
            None if counts(time, date) => (0, opened, 0, 0),
            None => (0, 0, 0, 0),
        }
    }

    /// The transactions that are wanted, of the rows after one up to another.
    pub fn page(
        &self,
        institution: u32,
        wanted: impl Fn(&TransactionRecord) -> bool,
        after: u64,
        upto: u64,
    ) -> Vec<TransactionRecord> {
        let rows = self.transactions.iter().filter(|t| t.result.sequence > after && t.result.sequence <= upto);
        rows.filter(|t| t.institution == institution && wanted(t)).cloned().collect()
    }

    /// How many transactions there are of each kind, posted and refused.
    pub fn kinds(&self) -> BTreeMap<(&'static str, bool), u64> {
        let mut kinds = BTreeMap::new();
        for t in &self.transactions {
            *kinds.entry((t.kind.name(), t.result.outcome == Outcome::Posted)).or_default() += 1;
        }
        kinds
    }
}
