//! What the log says of an id where a run that should say it is damaged: as many entries as the run would have given, or more, each of
//! which the row itself confirms. Out of the indexes of the segments, and frame by frame where a segment has none.

use std::ops::RangeInclusive;

use florin_core::account::hash_id;
use florin_core::dedup::notes::{IdNote, closing_of, notes_of_row};
use florin_core::dedup::run::RunEntry;
use florin_core::frame::RowError;

use super::catalog::Place;
use super::index::Section;
use super::index::file::{IndexError, IndexFile};
use super::rows::Rows;

impl Rows {
    /// Entries of an id for rows that follow each other, oldest first.
    pub(super) fn entries_in_log(
        &mut self,
        institution: u32,
        id: u128,
        rows: RangeInclusive<u64>,
    ) -> Result<Vec<RunEntry>, String> {
        let hash = hash_id(institution, id, self.ids.seed());
        let mut entries = Vec::new();
        let mut note = |sequence, note| entries.push(RunEntry::new(hash, sequence, note));
        let mut next = *rows.start();
        while next <= *rows.end() {
            let place = self.catalog.place(next);
            let here = next..=place.last.min(*rows.end());
            next = here.end() + 1;
            match self.candidates(institution, id, &place) {
                Some([users, closers]) => {
                    users.into_iter().filter(|row| here.contains(row)).for_each(|row| note(row, IdNote::Used));
                    for row in closers.into_iter().filter(|row| here.contains(row)) {
                        // A hold is closed once; others may name it as often as they like.
                        if let Some((tenant, hold, how)) = closing_of(&self.read(row)?)
                            && (tenant, hold) == (institution, id)
                        {
                            note(row, IdNote::Closed(how));
                            break;
                        }
                    }
                }
                None => self.notes_in_frames(here, &mut |found, row, what| {
                    if found == (institution, id) {
                        note(row, what);
                    }
                })?,
            }
        }
        Ok(entries)
    }

    /// Rows that may use an id, and rows that may name it, of the index of a segment; none if it has no index that can be used.
    fn candidates(&mut self, institution: u32, id: u128, place: &Place) -> Option<[Vec<u64>; 2]> {
        let index = self.catalog.index(place.ordinal)?;
        let rows = |index: &IndexFile, section| index.rows_with(section, institution, id, place.first, usize::MAX);
        let both = || Ok::<_, IndexError>([rows(&index, Section::Ids)?, rows(&index, Section::Links)?]);
        both().map_err(|error| self.catalog.reject(place.ordinal, &error)).ok()
    }

    /// Goes through what rows that follow each other say of ids.
    fn notes_in_frames(
        &mut self,
        rows: RangeInclusive<u64>,
        each: &mut impl FnMut((u32, u128), u64, IdNote),
    ) -> Result<(), String> {
        let mut next = *rows.start();
        while rows.contains(&next) {
            let frame = self.frame(next)?;
            let head = frame.head();
            for index in 0..head.count {
                let noted = notes_of_row(&frame, index, &mut |institution, id, sequence, note| {
                    if rows.contains(&sequence) {
                        each((institution, id), sequence, note);
                    }
                    Ok::<(), RowError>(())
                });
                noted.map_err(|error| format!("frame {}: {error}", head.number))?;
            }
            next = head.first_sequence + u64::from(head.count);
        }
        Ok(())
    }
}
