//! Pages of transactions in log order: all of them, those with a business reference, those that name an id.

use florin_core::entry::{RowKind, TransactionPage, TransactionRecord};
use florin_core::frame::{Record, RowBytes};

use super::Wanted;
use super::catalog::Place;
use super::index::Section;
use super::rows::Rows;

/// Rows that one page looks at without an index, and frames or segments that it looks into: some 20 ms at most. Who finds
/// nothing in them is told how far he has seen, and others have their turn.
const ROWS_PER_PAGE: u64 = 1 << 18;
/// See [`ROWS_PER_PAGE`].
const PLACES_PER_PAGE: usize = 2_048;
/// Rows that an index is asked for at once.
const BATCH_ROWS: usize = 1_024;

/// Which rows a page has.
#[derive(Clone, Copy)]
struct Search {
    institution: u32,
    want: Wanted,
    limit: usize,
    position: u64,
}

impl Search {
    /// Whether a row may be wanted, as far as its fixed part says.
    fn may_want(&self, row: &RowBytes<'_>) -> bool {
        let tail = &row.row().tail;
        let is_transaction = ![RowKind::Open, RowKind::Control, RowKind::Change].map(|k| k as u8).contains(&tail.kind);
        let fits = match self.want {
            Wanted::All => true,
            Wanted::Reference(reference) => tail.reference.get() == reference,
            Wanted::LinkedTo(_) => tail.flags & florin_core::frame::LINKED != 0,
        };
        is_transaction && fits && tail.institution.get() == self.institution
    }

    fn wants(&self, found: &TransactionRecord) -> bool {
        let fits = match self.want {
            Wanted::All => true,
            Wanted::Reference(reference) => found.reference == reference,
            Wanted::LinkedTo(id) => found.link == id,
        };
        fits && found.institution == self.institution
    }
}

impl Rows {
    /// The next transactions after a row, at most `limit`, up to `position`.
    pub fn page(
        &mut self,
        institution: u32,
        want: Wanted,
        after: u64,
        limit: u32,
        position: u64,
    ) -> Result<TransactionPage, String> {
        let search = Search { institution, want, limit: limit as usize, position };
        let mut page = TransactionPage { seen: after, position, ..TransactionPage::default() };
        let (mut rows, mut places) = (0, 0);
        while page.seen < position
            && page.transactions.len() < search.limit
            && rows < ROWS_PER_PAGE
            && places < PLACES_PER_PAGE
        {
            places += 1;
            let place = self.catalog.place(page.seen + 1);
            let key = match want {
                Wanted::All => None,
                Wanted::Reference(reference) => Some((Section::References, reference)),
                Wanted::LinkedTo(id) => Some((Section::Links, id)),
            };
            let looked = match key {
                Some((section, value)) => self.look_in_index(&search, section, value, place, &mut page)?,
                None => false,
            };
            if !looked {
                let seen = page.seen;
                self.look_in_frame(&search, &mut page)?;
                rows += page.seen - seen;
            }
        }
        page.more = page.seen < position;
        Ok(page)
    }

    /// Takes what the index of a segment finds; false if it has none that can be used.
    fn look_in_index(
        &mut self,
        search: &Search,
        section: Section,
        value: u128,
        place: Place,
        page: &mut TransactionPage,
    ) -> Result<bool, String> {
        let Some(index) = self.catalog.index(place.ordinal) else { return Ok(false) };
        loop {
            let rows = match index.rows_with(section, search.institution, value, page.seen + 1, BATCH_ROWS) {
                Ok(rows) => rows,
                Err(error) => {
                    self.catalog.reject(place.ordinal, &error);
                    return Ok(false);
                }
            };
            for &sequence in rows.iter().filter(|row| **row <= search.position) {
                page.seen = sequence;
                // Another value may have the same key.
                if let Record::Transaction(found) = self.read(sequence)?
                    && search.wants(&found)
                {
                    page.transactions.push(*found);
                    if page.transactions.len() == search.limit {
                        return Ok(true);
                    }
                }
            }
            if rows.len() < BATCH_ROWS || rows.last().is_some_and(|last| *last > search.position) {
                page.seen = place.last.min(search.position);
                return Ok(true);
            }
        }
    }

    /// Looks at the rest of a frame, row by row.
    fn look_in_frame(&mut self, search: &Search, page: &mut TransactionPage) -> Result<(), String> {
        let frame = self.frame(page.seen + 1)?;
        let first = frame.head().first_sequence;
        let upto = (first + u64::from(frame.head().count) - 1).min(search.position);
        while page.seen < upto && page.transactions.len() < search.limit {
            page.seen += 1;
            let index = (page.seen - first) as u32;
            if !search.may_want(&frame.row(index)) {
                continue;
            }
            if let Record::Transaction(found) = frame.record(index).map_err(|e| e.to_string())?
                && search.wants(&found)
            {
                page.transactions.push(*found);
            }
        }
        Ok(())
    }
}
