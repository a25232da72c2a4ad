//! Statements and balances at a moment.

use florin_core::entry::{
    AccountRecord, BalanceAt, Moment, Order, Span, StatementEntry, StatementPage, StatementToken,
};
use florin_core::frame::Record;

use super::Query;
use super::entries::{Bound, before, is_before, leads_to, place_of};
use super::rows::Rows;

impl Rows {
    /// A page of an account's entries; none if the token is not of this account. Each entry must lead to the balance before
    /// the one after it.
    pub fn statement(
        &mut self,
        account: AccountRecord,
        query: Query,
        position: u64,
    ) -> Result<Option<StatementPage>, String> {
        let most = query.limit as usize;
        let (entries, next) = match query.order {
            Order::Newest => {
                let Some(from) = self.newest_from(&account, query.from)? else { return Ok(None) };
                let upto = Bound { version: query.from.map_or(u64::MAX, |t| t.version), ..Bound::NONE };
                let start = self.seek(&account, &both(Bound::end_of(query.span), upto), from)?;
                let mut entries = self.walk(&account, start, query.span, 0, most + 1)?;
                let next = entries.get(most).map(place_of);
                entries.truncate(most);
                (entries, next)
            }
            Order::Oldest => {
                let first = self.first_version(&account, query.span, query.from)?;
                let upto = Bound { version: first.saturating_add(u64::from(query.limit)), ..Bound::NONE };
                let start = self.seek(&account, &both(Bound::end_of(query.span), upto), newest(&account))?;
                let mut entries = self.walk(&account, start, query.span, first, most + 1)?;
                let next = if entries.len() > most { Some(place_of(&entries.remove(0))) } else { None };
                entries.reverse();
                (entries, next)
            }
        };
        Ok(Some(StatementPage { account, entries, next, position }))
    }

    /// The balance after the last entry up to a moment.
    pub fn balance_at(&mut self, account: &AccountRecord, moment: Moment, position: u64) -> Result<BalanceAt, String> {
        let bound = match moment {
            Moment::Time(time) => Bound { time, ..Bound::NONE },
            Moment::Date(date) => Bound { date, ..Bound::NONE },
        };
        let last = self.seek(account, &bound, newest(account))?;
        let sequence = match &last {
            Some(entry) => entry.sequence,
            None if self.was_open(account, &bound)? => account.opened,
            None => 0,
        };
        Ok(BalanceAt {
            account: account.account,
            asset: account.asset,
            version: last.as_ref().map_or(0, |e| e.version),
            sequence,
            booked_at: last.as_ref().map_or(0, |e| e.booked_at),
            posted: last.as_ref().map_or(0, |e| e.balance),
            position,
        })
    }

    fn was_open(&mut self, account: &AccountRecord, bound: &Bound) -> Result<bool, String> {
        match self.look(account.opened)? {
            Record::Open(open) => Ok(open.booked_at <= bound.time && open.accounting_date <= bound.date),
            _ => Err(format!("row {} is not the opening of the account", account.opened)),
        }
    }

    /// The entry from which a statement goes back; none if the token is not of this account.
    fn newest_from(
        &mut self,
        account: &AccountRecord,
        token: Option<StatementToken>,
    ) -> Result<Option<StatementToken>, String> {
        let Some(token) = token.filter(|token| token.sequence != 0) else { return Ok(Some(newest(account))) };
        let known = self.is_known(account, token)?;
        Ok(known.then_some(token))
    }

    /// Whether a token names an entry of the account, or the place before its first.
    fn is_known(&mut self, account: &AccountRecord, token: StatementToken) -> Result<bool, String> {
        if token.version > account.version || !(account.opened..=account.last_entry).contains(&token.sequence) {
            return Ok(false);
        }
        Ok(token.version == 0 || self.entry_at(account, token)?.is_some())
    }

    /// Version of the first entry of a span that is to be shown, oldest first.
    fn first_version(
        &mut self,
        account: &AccountRecord,
        span: Span,
        token: Option<StatementToken>,
    ) -> Result<u64, String> {
        let from = token.map_or(0, |token| token.version);
        // A token names an entry of the span, as a rule; then nothing has to be looked for.
        if let Some(token) = token.filter(|t| t.sequence != 0 && t.version != 0)
            && self.is_known(account, token)?
            && !is_before(span, &self.entry(account, token)?)
        {
            return Ok(from);
        }
        if let Span::Versions(first, _) = span {
            return Ok(from.max(first).max(1));
        }
        let Some(bound) = Bound::before(span) else { return Ok(from.max(1)) };
        let last_before = self.seek(account, &bound, newest(account))?;
        Ok(from.max(last_before.map_or(0, |entry| entry.version) + 1))
    }

    /// Entries from `start` back, at most `most` of those in the span from a version on, newest first.
    fn walk(
        &mut self,
        account: &AccountRecord,
        start: Option<StatementEntry>,
        span: Span,
        first_version: u64,
        most: usize,
    ) -> Result<Vec<StatementEntry>, String> {
        let mut entries: Vec<StatementEntry> = Vec::new();
        let mut next = start;
        while let Some(entry) = next.take() {
            if is_before(span, &entry) || entry.version < first_version {
                break;
            }
            let place = before(&entry);
            entries.push(entry);
            if place.version == 0 || entries.len() == most {
                break;
            }
            let entry = self.entry(account, place)?;
            if !entries.last().is_some_and(|after| leads_to(account, &entry, after)) {
                let StatementToken { sequence, version } = place;
                return Err(format!(
                    "row {sequence}: version {version} of the account does not lead to the one after it"
                ));
            }
            next = Some(entry);
        }
        Ok(entries)
    }
}

fn newest(account: &AccountRecord) -> StatementToken {
    StatementToken { sequence: account.last_entry, version: account.version }
}

fn both(a: Bound, b: Bound) -> Bound {
    Bound { version: a.version.min(b.version), time: a.time.min(b.time), date: a.date.min(b.date) }
}
