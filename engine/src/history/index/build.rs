//! Making the index of a sealed segment: read its frames once, sort in memory, write the sections behind each other.
//!
//! Memory is bounded by the segment: 40 bytes an entry and 8 for each frame, id, reference and link, together at most
//! 0.6 bytes for each byte of the segment, beside one frame. The same segment always gives the same bytes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use florin_core::entry::RowKind;
use florin_core::frame::{DraftHead, FrameView, Record};
use florin_core::outcome::Outcome;
use florin_wal::{LedgerId, LogReader, SealedSegment};
use zerocopy::IntoBytes;

use super::{AccountRun, BLOCK_BYTES, Facts, Header, Section, key_of, seal};

/// Bytes that are written at once, and synced before the next: a file that is synced as a whole would keep the log from
/// the disk for as long.
const CHUNK_BYTES: usize = 1 << 20;

/// Why an index was not made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The process is to end.
    #[error("the engine stops")]
    Stopped,
    /// The segment cannot be read.
    #[error("{0}")]
    Log(String),
    /// The index cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Told of the bytes that were read or written just now: waits as the pace demands.
pub type Pace<'a> = &'a mut dyn FnMut(usize) -> Result<(), BuildError>;

/// An entry of an account, to be sorted. 40 bytes: the account is in two parts, as a `u128` would be aligned to 16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: u32,
    institution: u32,
    account: [u64; 2],
    version: u64,
    row: u32,
}

/// What a segment holds, sorted.
pub struct Sorted {
    segment: SealedSegment,
    facts: Facts,
    accounts: u32,
    entries: Vec<Entry>,
    /// First row and offset of each frame, in one word; so the rows by key: key and row.
    frames: Vec<u64>,
    ids: Vec<u64>,
    references: Vec<u64>,
    links: Vec<u64>,
}

impl Sorted {
    /// Reads a whole segment and checks the digests of its frames.
    pub fn read(reader: &mut LogReader, segment: &SealedSegment, pace: Pace<'_>) -> Result<Sorted, BuildError> {
        let rows = segment.count as usize;
        let facts = Facts { first_booked_at: 0, last_booked_at: 0, smallest_date: u16::MAX, largest_date: 0 };
        let mut sorted = Sorted {
            segment: *segment,
            facts,
            accounts: 0,
            entries: Vec::with_capacity(2 * rows),
            frames: Vec::with_capacity(segment.frames as usize),
            ids: Vec::with_capacity(rows),
            references: Vec::new(),
            links: Vec::new(),
        };
        let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
        for number in segment.first_frame..segment.first_frame + segment.frames {
            let log = |error: &dyn std::fmt::Display| BuildError::Log(error.to_string());
            let frame = reader.read_frame(number, &mut payload, &mut vouchers).map_err(|e| log(&e))?;
            let (first_sequence, count) = (frame.head.first_sequence, frame.head.count);
            sorted.frames.push(pair((first_sequence - segment.first_sequence) as u32, frame.place.offset as u32));
            let head = DraftHead { number, first_sequence, count, time: frame.head.time_ns };
            let view = FrameView::new(head, &payload, &vouchers).map_err(|e| log(&e))?;
            for index in 0..count {
                sorted.row(&view, index).map_err(|e| log(&e))?;
            }
            pace(payload.len() + vouchers.len())?;
        }
        sorted.sort();
        Ok(sorted)
    }

    fn row(&mut self, frame: &FrameView<'_>, index: u32) -> Result<(), florin_core::frame::RowError> {
        let bytes = frame.row(index);
        let tail = &bytes.row().tail;
        let (sequence, institution) = (bytes.sequence, tail.institution.get());
        let row = (sequence - self.segment.first_sequence) as u32;
        let (booked_at, date) = (bytes.booked_at()?, tail.accounting_date.get());
        if self.facts.first_booked_at == 0 {
            self.facts.first_booked_at = booked_at;
        }
        self.facts.last_booked_at = booked_at;
        self.facts.smallest_date = self.facts.smallest_date.min(date);
        self.facts.largest_date = self.facts.largest_date.max(date);
        let record = frame.record(index)?;
        let key = |value: u128| pair(key_of(self.segment.salt, institution, value), row);
        match &record {
            Record::Open(_) => {}
            Record::Control(control) => self.ids.push(key(control.id)),
            Record::Change(change) => {
                self.ids.push(key(change.row.id.get()));
                if change.result.outcome == Outcome::Posted {
                    self.entry(institution, change.row.account.get(), change.entry.version, row);
                }
            }
            Record::Transaction(transaction) => {
                // An expiry has the id of its hold.
                if transaction.kind != RowKind::Expiry {
                    self.ids.push(key(transaction.id));
                }
                if transaction.reference != 0 {
                    self.references.push(key(transaction.reference));
                }
                if transaction.link != 0 {
                    self.links.push(key(transaction.link));
                }
                for posting in transaction.postings.iter().filter(|p| p.result.version > 0) {
                    self.entry(institution, posting.account, posting.result.version, row);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, institution: u32, account: u128, version: u64, row: u32) {
        let key = key_of(self.segment.salt, institution, account);
        let account = [(account >> 64) as u64, account as u64];
        self.entries.push(Entry { key, institution, account, version, row });
    }

    fn sort(&mut self) {
        self.entries.sort_unstable();
        let same = |a: &Entry, b: &Entry| (a.institution, a.account) == (b.institution, b.account);
        self.accounts = self.entries.chunk_by(same).count() as u32;
        for rows in [&mut self.ids, &mut self.references, &mut self.links] {
            rows.sort_unstable();
        }
        if self.segment.count == 0 {
            self.facts.smallest_date = 0;
        }
    }

    /// What the first block says.
    pub fn header(&self) -> Header {
        let rows = [
            self.frames.len(),
            self.accounts as usize,
            self.entries.len(),
            self.ids.len(),
            self.references.len(),
            self.links.len(),
        ];
        Header { facts: self.facts, rows: rows.map(|rows| rows as u32) }
    }

    /// Writes the index to a new file and makes it durable. Under another name than its own: it counts once it is renamed.
    pub fn write(&self, ledger: LedgerId, path: &Path, pace: Pace<'_>) -> Result<(), BuildError> {
        let header = self.header();
        // As private as the segment.
        let file = File::options().write(true).create(true).truncate(true).mode(0o640).open(path)?;
        let mut file = Blocks { file, salt: self.segment.salt, number: 1, chunk: Vec::new(), pace };
        file.chunk.extend_from_slice(&header.encode(ledger, &self.segment));
        let pairs = |word: &u64| [(word >> 32) as u32, *word as u32].map(u32::to_le_bytes);
        let same = |a: &Entry, b: &Entry| (a.institution, a.account) == (b.institution, b.account);
        let mut start = 0;
        let runs = self.entries.chunk_by(same).map(|run| {
            let (key, first_version) = (run[0].key.into(), run[0].version.into());
            let row = AccountRun { key, start: start.into(), first_version };
            start += run.len() as u32;
            row
        });
        file.section(Section::Frames, self.frames.iter().map(pairs))?;
        file.section(Section::Accounts, runs)?;
        file.section(Section::Entries, self.entries.iter().map(|entry| entry.row.to_le_bytes()))?;
        file.section(Section::Ids, self.ids.iter().map(pairs))?;
        file.section(Section::References, self.references.iter().map(pairs))?;
        file.section(Section::Links, self.links.iter().map(pairs))?;
        assert_eq!(file.number, header.blocks(), "the header says how many blocks there are");
        file.flush()?;
        Ok(file.file.sync_all()?)
    }
}

fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) << 32 | u64::from(second)
}

/// A file that is written block by block.
struct Blocks<'a> {
    file: File,
    salt: u64,
    /// Of the next block.
    number: u32,
    chunk: Vec<u8>,
    pace: Pace<'a>,
}

impl Blocks<'_> {
    fn section<R: IntoBytes + zerocopy::Immutable>(
        &mut self,
        section: Section,
        mut rows: impl Iterator<Item = R>,
    ) -> Result<(), BuildError> {
        let mut next = rows.next();
        while next.is_some() {
            let begin = self.chunk.len();
            for row in next.take().into_iter().chain(rows.by_ref().take(section.rows_per_block() as usize - 1)) {
                self.chunk.extend_from_slice(row.as_bytes());
            }
            self.chunk.resize(begin + BLOCK_BYTES, 0);
            seal(self.salt, self.number, &mut self.chunk[begin..]);
            self.number += 1;
            if self.chunk.len() >= CHUNK_BYTES {
                self.flush()?;
            }
            next = rows.next();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        self.file.write_all(&self.chunk)?;
        self.file.sync_data()?;
        (self.pace)(std::mem::take(&mut self.chunk).len())
    }
}
