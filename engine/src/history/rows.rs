//! Rows of the log by sequence number. Reads what is asked for and little more: a single row, or a window of rows where
//! the rows before or behind one are likely to be next, or a whole frame for those who want all of it.

use std::fmt::Display;
use std::sync::Arc;

use florin_core::dedup::run::old_id;
use florin_core::entry::RowKind;
use florin_core::frame::{DraftHead, FrameView, Record, RowBytes};
use florin_core::limits::LOG_ROW_BYTES;
use florin_core::link::{Fact, Facts, OldId, Wanted};
use florin_wal::{FramePlace, FrameRef, LogReader};

use super::catalog::Catalog;
use crate::coordinator_actor::Found;
use crate::ids::{Said, Shelf};

/// Rows that are read at once next to one that was read just before: 45 KB, which cost about as much as ten single reads.
pub const WINDOW_ROWS: u64 = 256;

/// Reads rows. Each thread has its own; nothing in it grows with the ledger.
pub struct Rows {
    pub(super) catalog: Arc<Catalog>,
    pub(super) ids: Arc<Shelf>,
    reader: LogReader,
    /// The frame of the last row: the next one is often in it too.
    frame: Option<FrameRef>,
    window: Window,
    /// The row that was read last, decoded: a transaction may have several entries of one account.
    last: Option<(u64, Record)>,
    whole: Option<FrameRef>,
    payload: Vec<u8>,
    vouchers: Vec<u8>,
}

/// Rows of one frame that follow each other.
#[derive(Default)]
struct Window {
    first: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn row(&self, sequence: u64) -> Option<&[u8; LOG_ROW_BYTES]> {
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?.checked_mul(LOG_ROW_BYTES)?;
        self.bytes.get(at..)?.first_chunk()
    }
}

impl Rows {
    /// Rows of this log.
    pub fn new(reader: LogReader, catalog: Arc<Catalog>, ids: Arc<Shelf>) -> Rows {
        let (payload, vouchers) = (Vec::new(), Vec::new());
        Rows {
            catalog,
            ids,
            reader,
            frame: None,
            window: Window::default(),
            last: None,
            whole: None,
            payload,
            vouchers,
        }
    }

    /// The record at a sequence number.
    pub fn read(&mut self, sequence: u64) -> Result<Record, String> {
        match &self.last {
            Some((at, record)) if *at == sequence => Ok(record.clone()),
            _ => self.decode(sequence),
        }
    }

    /// As [`Rows::read`], and keeps the record: whoever asks for a row's entries asks for one after the other.
    pub fn look(&mut self, sequence: u64) -> Result<&Record, String> {
        if self.last.as_ref().is_none_or(|(at, _)| *at != sequence) {
            self.last = None;
            self.last = Some((sequence, self.decode(sequence)?));
        }
        Ok(&self.last.as_ref().expect("kept just now").1)
    }

    fn decode(&mut self, sequence: u64) -> Result<Record, String> {
        let (frame, bytes) = self.bytes(sequence)?;
        let place = |what: &dyn Display| format!("{} at offset {}: {what}", frame.place.file(), frame.place.offset);
        let row = RowBytes::new(sequence, frame.head.time_ns, &bytes);
        let (at, length) = row.extension().map_err(|e| place(&e))?;
        within(at, length, frame.head.payload_bytes).map_err(|e| place(&e))?;
        let mut extension = vec![0; length as usize];
        if length > 0 {
            self.reader.read_payload(&frame, at, &mut extension).map_err(|e| e.to_string())?;
        }
        let (at, length) = match row.kind().map_err(|e| place(&e))? {
            RowKind::Open | RowKind::Control | RowKind::Change => (0, 0),
            _ => row.voucher(&extension).map_err(|e| place(&e))?,
        };
        within(at, length, frame.head.vouchers_bytes).map_err(|e| place(&e))?;
        let mut voucher = vec![0; length as usize];
        if length > 0 {
            self.reader.read_vouchers(&frame, at, &mut voucher).map_err(|e| e.to_string())?;
        }
        row.decode(&extension, &voucher).map_err(|e| place(&e))
    }

    /// The bytes of a row, and its frame.
    pub fn bytes(&mut self, sequence: u64) -> Result<(FrameRef, [u8; LOG_ROW_BYTES]), String> {
        let frame = self.frame_of(sequence)?;
        if let Some(row) = self.window.row(sequence) {
            return Ok((frame, *row));
        }
        let (first, next) = (frame.head.first_sequence, frame.head.next_sequence());
        let beside = sequence.abs_diff(self.window.first) <= WINDOW_ROWS && !self.window.bytes.is_empty();
        let (from, upto) = match beside {
            false => (sequence, sequence + 1),
            true if sequence < self.window.first => {
                ((sequence + 1).saturating_sub(WINDOW_ROWS).max(first), sequence + 1)
            }
            true => (sequence, (sequence + WINDOW_ROWS).min(next)),
        };
        let (offset, rows) = ((from - first) as u32 * LOG_ROW_BYTES as u32, (upto - from) as usize);
        within(offset, (rows * LOG_ROW_BYTES) as u32, frame.head.payload_bytes)
            .map_err(|e| format!("{} at offset {}: {e}", frame.place.file(), frame.place.offset))?;
        self.window.bytes.clear();
        self.window.bytes.resize(rows * LOG_ROW_BYTES, 0);
        self.window.first = from;
        if let Err(error) = self.reader.read_payload(&frame, offset, &mut self.window.bytes) {
            self.window.bytes.clear();
            return Err(error.to_string());
        }
        Ok((frame, *self.window.row(sequence).expect("read just now")))
    }

    /// The frame with a sequence number: out of the index of its segment, or found by walking the segment.
    pub fn frame_of(&mut self, sequence: u64) -> Result<FrameRef, String> {
        match self.frame {
            Some(f) if (f.head.first_sequence..f.head.next_sequence()).contains(&sequence) => return Ok(f),
            _ => {}
        }
        let frame = match self.frame_by_index(sequence) {
            Some(frame) => frame,
            None => {
                let found = self.reader.frame_of_sequence(sequence).map_err(|e| e.to_string())?;
                found.ok_or_else(|| format!("row {sequence} is not in the log"))?
            }
        };
        self.frame = Some(frame);
        Ok(frame)
    }

    fn frame_by_index(&mut self, sequence: u64) -> Option<FrameRef> {
        let place = self.catalog.place(sequence);
        let index = self.catalog.index(place.ordinal)?;
        match index.frame_of((sequence - place.first) as u32) {
            Err(error) => {
                self.catalog.reject(place.ordinal, &error);
                None
            }
            Ok((number, offset)) => {
                // What does not stand where the index says is looked for by walking, which says what is wrong.
                let found = self.reader.frame_at(number, FramePlace::raw(place.ordinal, offset)).ok()?;
                (found.head.first_sequence..found.head.next_sequence()).contains(&sequence).then_some(found)
            }
        }
    }

    /// The whole frame with a sequence number, its digests checked.
    pub fn frame(&mut self, sequence: u64) -> Result<FrameView<'_>, String> {
        let frame = self.frame_of(sequence)?;
        if self.whole != Some(frame) {
            self.whole = None;
            self.reader.read_whole(&frame, &mut self.payload, &mut self.vouchers).map_err(|e| e.to_string())?;
            self.whole = Some(frame);
        }
        let FrameRef { head, place } = frame;
        let draft = DraftHead {
            number: head.number,
            first_sequence: head.first_sequence,
            count: head.count,
            time: head.time_ns,
        };
        FrameView::new(draft, &self.payload, &self.vouchers)
            .map_err(|e| format!("{} at offset {}: {e}", place.file(), place.offset))
    }

    /// What runs say of an id; the rows that they name say whether it is the one.
    pub fn old_id(&mut self, institution: u32, id: u128) -> Result<Option<OldId>, String> {
        let Said { mut entries, unread } = self.ids.look_up(institution, id);
        for rows in unread {
            entries.extend(self.entries_in_log(institution, id, rows)?);
        }
        let found = old_id(institution, id, entries, |sequence| self.read(sequence))?;
        self.ids.count(found.is_some());
        Ok(found)
    }

    /// What a request needs that memory does not know.
    pub fn look_up(&mut self, wanted: Wanted) -> Found {
        let Wanted { institution, ids, originals, state } = wanted;
        let mut facts = Facts { state, ..Facts::default() };
        for id in ids {
            facts.old.insert(id, self.old_id(institution, id)?);
        }
        for (id, sequence) in originals {
            let sequence = match sequence {
                Some(sequence) => Some(sequence),
                None => {
                    let found = self.old_id(institution, id)?;
                    facts.old.insert(id, found);
                    found.map(|old| old.sequence)
                }
            };
            if let Some(sequence) = sequence {
                facts.originals.insert(id, Fact::of(&self.read(sequence)?));
            }
        }
        Ok(facts)
    }
}

/// Bytes that were checked when they were written may have rotted since: an offset is believed only within its area.
fn within(at: u32, length: u32, area: u32) -> Result<(), &'static str> {
    match at.checked_add(length) {
        Some(end) if end <= area => Ok(()),
        _ => Err("a row points outside its frame"),
    }
}
