//! Finding the last entry of an account up to a bound without walking to it.
//!
//! Entries point back to the one before, so a walk from the newest entry always arrives. Leaps make it short: an entry of
//! the account that lies after the bound is found further down, and the walk goes on before it. Where to look for one is a
//! guess, out of the indexes or by halving; that it lies after the bound is read in the log. So a leap never leads past the
//! answer, and a wrong guess costs a look.

use std::sync::Arc;

use florin_core::entry::{AccountRecord, RowKind, StatementEntry, StatementToken};
use florin_core::frame::RowBytes;

use super::catalog::Place;
use super::entries::{Bound, before, entry_of, last_version_in};
use super::index::file::{IndexFile, Run};
use super::rows::{Rows, WINDOW_ROWS};

impl Rows {
    /// The last entry of an account up to a bound, of those up to the entry at `from`.
    pub fn seek(
        &mut self,
        account: &AccountRecord,
        bound: &Bound,
        from: StatementToken,
    ) -> Result<Option<StatementEntry>, String> {
        let mut high = from;
        while high.version > 0 {
            let entry = self.entry(account, high)?;
            if bound.holds(&entry) {
                return Ok(Some(entry));
            }
            high = before(&entry);
            if high.version > 0 {
                high = self.leap_over_segments(account, bound, high)?;
            }
            if high.version > 0 {
                high = self.leap_within(account, bound, high)?;
            }
        }
        Ok(None)
    }

    /// The entry of an account at a place that the log names.
    pub fn entry(&mut self, account: &AccountRecord, at: StatementToken) -> Result<StatementEntry, String> {
        let found = self.entry_at(account, at)?;
        found.ok_or_else(|| format!("row {} does not have version {} of the account", at.sequence, at.version))
    }

    /// The entry of an account at a place that somebody else names.
    pub fn entry_at(&mut self, account: &AccountRecord, at: StatementToken) -> Result<Option<StatementEntry>, String> {
        Ok(entry_of(account, at.version, self.look(at.sequence)?))
    }

    /// Looks for a segment whose first entry of the account lies after the bound: first where times and dates say, then by
    /// halving. Steps over segments without the account, but not over more than there are entries to walk.
    fn leap_over_segments(
        &mut self,
        account: &AccountRecord,
        bound: &Bound,
        mut high: StatementToken,
    ) -> Result<StatementToken, String> {
        let mut low = self.catalog.place(account.opened).ordinal;
        let mut top = self.catalog.place(high.sequence).ordinal;
        // What is right behind the end of a span may stand in any segment of a later day.
        let behind = self.catalog.place(u64::MAX).ordinal;
        let after = self.catalog.first_after(bound, low, behind);
        let mut looks = high.version;
        let mut at = if after < top { after } else { low + top.saturating_sub(low) / 2 };
        while low < top && looks > 0 {
            let mut found = None;
            let mut ordinal = at;
            while ordinal < top && looks > 0 && found.is_none() {
                found = self.first_of(account, ordinal)?;
                (ordinal, looks) = (ordinal + 1, looks - 1);
            }
            match found {
                Some(first) if bound.holds(&first) => low = ordinal,
                Some(first) => {
                    high = before(&first);
                    if at == after {
                        return Ok(high);
                    }
                    top = if high.version == 0 { low } else { self.catalog.place(high.sequence).ordinal.min(at) };
                }
                None => top = at,
            }
            at = low + top.saturating_sub(low) / 2;
        }
        Ok(high)
    }

    /// The first entry of an account in a segment that has an index.
    fn first_of(&mut self, account: &AccountRecord, ordinal: u64) -> Result<Option<StatementEntry>, String> {
        Ok(self.run_of(account, ordinal)?.map(|(_, _, first)| first))
    }

    /// The entries of an account in a segment that has an index, and the first of them.
    fn run_of(
        &mut self,
        account: &AccountRecord,
        ordinal: u64,
    ) -> Result<Option<(Arc<IndexFile>, Run, StatementEntry)>, String> {
        let Some(index) = self.catalog.index(ordinal) else { return Ok(None) };
        let runs = match index.runs(account.institution, account.account) {
            Ok(runs) => runs,
            Err(error) => {
                self.catalog.reject(ordinal, &error);
                return Ok(None);
            }
        };
        for run in runs {
            // Another account may have the same key.
            if let Some(first) = self.entry_of_run(account, &index, run, 0)? {
                return Ok(Some((index, run, first)));
            }
        }
        Ok(None)
    }

    fn entry_of_run(
        &mut self,
        account: &AccountRecord,
        index: &IndexFile,
        run: Run,
        at: u32,
    ) -> Result<Option<StatementEntry>, String> {
        match index.entry(run, at) {
            Ok(sequence) => {
                let version = run.first_version.saturating_add(u64::from(at));
                self.entry_at(account, StatementToken { sequence, version })
            }
            Err(error) => {
                self.catalog.reject(index.segment.ordinal, &error);
                Ok(None)
            }
        }
    }

    /// Looks for the first entry after the bound among those that stand with `high` in one segment, or in segments without
    /// an index that follow each other.
    fn leap_within(
        &mut self,
        account: &AccountRecord,
        bound: &Bound,
        high: StatementToken,
    ) -> Result<StatementToken, String> {
        let place = self.catalog.place(high.sequence);
        let Some((index, run, first)) = self.run_of(account, place.ordinal)? else {
            return self.leap_over_rows(account, bound, high, place);
        };
        if !bound.holds(&first) {
            return Ok(before(&first));
        }
        // The first entry holds; up to `low` all do, and from `upto` on none does.
        let (mut low, mut upto) =
            (0, (high.version + 1).saturating_sub(first.version).min(u64::from(run.count)) as u32);
        let mut best = high;
        while low + 1 < upto {
            let middle = low + (upto - low) / 2;
            match self.entry_of_run(account, &index, run, middle)? {
                Some(entry) if bound.holds(&entry) => low = middle,
                Some(entry) => (upto, best) = (middle, before(&entry)),
                // Not what was written: walk.
                None => break,
            }
        }
        Ok(best)
    }

    /// Halves the rows between here and the next index below, looking for an entry of the account at or a window of rows
    /// before the middle. Where its entries are further apart there are few of them to walk.
    fn leap_over_rows(
        &mut self,
        account: &AccountRecord,
        bound: &Bound,
        mut high: StatementToken,
        place: Place,
    ) -> Result<StatementToken, String> {
        let mut low = self.catalog.first_without_index(place.ordinal).max(account.opened);
        let mut top = high.sequence;
        while high.version > 0 && top > low + 1 {
            let middle = low + (top - low) / 2;
            let first = (low + 1).max((middle + 1).saturating_sub(WINDOW_ROWS));
            match self.last_between(account, first, middle)? {
                Some(entry) if !bound.holds(&entry) => (top, high) = (entry.sequence, before(&entry)),
                Some(_) | None => low = middle,
            }
        }
        Ok(high)
    }

    /// The last entry of an account in rows that follow each other.
    fn last_between(
        &mut self,
        account: &AccountRecord,
        first: u64,
        last: u64,
    ) -> Result<Option<StatementEntry>, String> {
        for sequence in (first..=last).rev() {
            let (frame, bytes) = self.bytes(sequence)?;
            let row = RowBytes::new(sequence, frame.head.time_ns, &bytes);
            let fields = row.row();
            if fields.tail.institution.get() != account.institution || fields.tail.outcome.get() != 0 {
                continue;
            }
            let may_have = match row.kind().map_err(|e| e.to_string())? {
                RowKind::Transfer => [fields.debit, fields.credit].map(|a| a.get()).contains(&account.account),
                RowKind::Change => fields.debit.get() == account.account,
                RowKind::Open | RowKind::Control => false,
                _ => true,
            };
            if may_have && let Some(version) = last_version_in(account, self.look(sequence)?) {
                return self.entry_at(account, StatementToken { sequence, version });
            }
        }
        Ok(None)
    }
}
