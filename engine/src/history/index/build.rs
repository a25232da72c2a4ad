//! Making the index of a sealed segment: read its frames once, sort in memory, write the sections behind each other.
//!
//! Memory is bounded by the segment: 12 bytes an entry, 64 an account, and 8 for each frame, id, reference and link, together
//! less than a byte for each byte of the segment, beside one frame. The same segment always gives the same bytes.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use florin_core::account::{Version, hash_id};
use florin_core::entry::RowKind;
use florin_core::frame::{DraftHead, FrameView, Record, RowError};
use florin_core::outcome::Outcome;
use florin_wal::{LedgerId, LogReader, SealedSegment};
use zerocopy::IntoBytes;

use crate::pace::Stopped;

use super::{AccountRun, BLOCK_BYTES, Facts, Header, Section, key_of, key_of_hash, seal};

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

impl From<Stopped> for BuildError {
    fn from(Stopped: Stopped) -> BuildError {
        BuildError::Stopped
    }
}

/// Told of the bytes that were read or written just now: waits as the pace demands.
pub type Pace<'a> = &'a mut dyn FnMut(usize) -> Result<(), BuildError>;

/// The accounts that have entries in a segment, in the order in which they turn up, and the entries.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    /// Number of a run + 1 by the hash of its account, 0 = free: open addressing with linear probing, at most half full.
    table: Vec<u32>,
    /// Run and row of each entry, in log order.
    entries: Vec<(u32, u32)>,
}

/// The entries of an account. The account is in two parts, as a `u128` would be aligned to 16.
#[derive(Clone, Copy)]
struct Run {
    account: [u64; 2],
    first_version: u64,
    institution: u32,
    key: u32,
    count: u32,
    /// Where they begin, once all are known.
    start: u32,
}

impl Runs {
    /// Adds an entry. False if it does not follow the account's last one.
    fn add(&mut self, salt: u64, institution: u32, account: u128, version: u64, row: u32) -> bool {
        let number = self.number_of(salt, institution, account, version);
        let run = &mut self.runs[number as usize];
        let follows = version == run.first_version + u64::from(run.count);
        run.count += 1;
        self.entries.push((number, row));
        follows
    }

    fn number_of(&mut self, salt: u64, institution: u32, account: u128, first_version: u64) -> u32 {
        let hash = hash_id(institution, account, salt);
        let account = [(account >> 64) as u64, account as u64];
        if self.runs.len() * 2 >= self.table.len() {
            self.grow(salt);
        }
        let mut at = hash as usize & (self.table.len() - 1);
        while self.table[at] != 0 {
            let run = &self.runs[self.table[at] as usize - 1];
            if (run.institution, run.account) == (institution, account) {
                return self.table[at] - 1;
            }
            at = (at + 1) & (self.table.len() - 1);
        }
        let key = key_of_hash(hash);
        self.runs.push(Run { account, first_version, institution, key, count: 0, start: 0 });
        self.table[at] = self.runs.len() as u32;
        self.runs.len() as u32 - 1
    }

    fn grow(&mut self, salt: u64) {
        self.table = vec![0; (self.table.len() * 2).max(1 << 10)];
        for (number, run) in self.runs.iter().enumerate() {
            let account = u128::from(run.account[0]) << 64 | u128::from(run.account[1]);
            let mut at = hash_id(run.institution, account, salt) as usize & (self.table.len() - 1);
            while self.table[at] != 0 {
                at = (at + 1) & (self.table.len() - 1);
            }
            self.table[at] = number as u32 + 1;
        }
    }

    /// The runs in the order of the index, and the rows of their entries, run by run: those of an account in log order, which is
    /// that of its versions.
    fn sorted(mut self) -> (Vec<Run>, Vec<u32>) {
        self.table = Vec::new();
        let mut order: Vec<u32> = (0..self.runs.len() as u32).collect();
        let name = |run: &Run| (run.key, run.institution, run.account);
        order.sort_unstable_by_key(|&number| name(&self.runs[number as usize]));
        let mut start = 0;
        for number in order {
            let run = &mut self.runs[number as usize];
            run.start = start;
            start += run.count;
        }
        let mut rows = vec![0; self.entries.len()];
        for (number, row) in std::mem::take(&mut self.entries) {
            let run = &mut self.runs[number as usize];
            rows[run.start as usize] = row;
            run.start += 1;
        }
        self.runs.iter_mut().for_each(|run| run.start -= run.count);
        self.runs.sort_unstable_by_key(|run| run.start);
        (self.runs, rows)
    }
}

/// What a segment holds, sorted.
pub struct Sorted {
    segment: SealedSegment,
    facts: Facts,
    runs: Vec<Run>,
    /// The row of each entry, run by run.
    entries: Vec<u32>,
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
            runs: Vec::new(),
            entries: Vec::new(),
            frames: Vec::with_capacity(segment.frames as usize),
            ids: Vec::with_capacity(rows),
            references: Vec::new(),
            links: Vec::new(),
        };
        let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
        let mut runs = Runs { entries: Vec::with_capacity(2 * rows), ..Runs::default() };
        for number in segment.first_frame..segment.first_frame + segment.frames {
            let log = |error: &dyn std::fmt::Display| BuildError::Log(error.to_string());
            let frame = reader.read_frame(number, &mut payload, &mut vouchers).map_err(|e| log(&e))?;
            let (first_sequence, count) = (frame.head.first_sequence, frame.head.count);
            // In a pack it stands elsewhere, which its table tells.
            let offset = if frame.place.pack.is_none() { frame.place.offset as u32 } else { 0 };
            sorted.frames.push(pair((first_sequence - segment.first_sequence) as u32, offset));
            let head = DraftHead { number, first_sequence, count, time: frame.head.time_ns };
            let view = FrameView::new(head, &payload, &vouchers).map_err(|e| log(&e))?;
            for index in 0..count {
                sorted.row(&view, index, &mut runs).map_err(|e| log(&e))?;
            }
            pace(payload.len() + vouchers.len())?;
        }
        (sorted.runs, sorted.entries) = runs.sorted();
        for rows in [&mut sorted.ids, &mut sorted.references, &mut sorted.links] {
            rows.sort_unstable();
        }
        if segment.count == 0 {
            sorted.facts.smallest_date = 0;
        }
        Ok(sorted)
    }

    fn row(&mut self, frame: &FrameView<'_>, index: u32, runs: &mut Runs) -> Result<(), RowError> {
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
        let salt = self.segment.salt;
        let key = |value: u128| pair(key_of(salt, institution, value), row);
        let mut entry = |account: u128, version: u64| match runs.add(salt, institution, account, version, row) {
            true => Ok(()),
            false => Err(RowError { row: sequence, what: "an entry that does not follow the account's last one" }),
        };
        // Most rows; nothing of them has to be put together first.
        if let Some(transfer) = bytes.plain_transfer() {
            self.ids.push(key(transfer.id.get()));
            if tail.reference.get() != 0 {
                self.references.push(key(tail.reference.get()));
            }
            if tail.outcome.get() == 0 {
                for (account, made) in
                    [(transfer.debit, transfer.debit_entry), (transfer.credit, transfer.credit_entry)]
                {
                    entry(account.get(), Version::from_bits(made.version.get()).number())?;
                }
            }
            return Ok(());
        }
        match &frame.record(index)? {
            Record::Open(_) => {}
            Record::Control(control) => self.ids.push(key(control.id)),
            Record::Change(change) => {
                self.ids.push(key(change.row.id.get()));
                if change.result.outcome == Outcome::Posted {
                    entry(change.row.account.get(), change.entry.version)?;
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
                    entry(posting.account, posting.result.version)?;
                }
            }
        }
        Ok(())
    }

    /// What the first block says.
    pub fn header(&self) -> Header {
        let rows = [
            self.frames.len(),
            self.runs.len(),
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
        let runs = self.runs.iter().map(|run| AccountRun {
            key: run.key.into(),
            start: run.start.into(),
            first_version: run.first_version.into(),
        });
        file.section(Section::Frames, self.frames.iter().map(pairs))?;
        file.section(Section::Accounts, runs)?;
        file.section(Section::Entries, self.entries.iter().map(|row| row.to_le_bytes()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_many_accounts_come_together_in_log_order_and_a_gap_is_noticed() {
        const ACCOUNTS: u32 = 5_000;
        let (mut runs, salt) = (Runs::default(), 7);
        let account = |number: u32| u128::from(number) << 64;
        // Two institutions have the same accounts; each account begins at a version of its own.
        for row in 0..3 * ACCOUNTS {
            let (number, turn) = (row % ACCOUNTS, u64::from(row / ACCOUNTS));
            let version = u64::from(number) + turn;
            assert!(runs.add(salt, 1 + number % 2, account(number / 2), version, row));
        }
        assert!(!runs.add(salt, 1, account(0), 4, 0), "version 3 is missing");
        runs.entries.pop();
        runs.runs[0].count -= 1;
        let (sorted, rows) = runs.sorted();
        assert_eq!((sorted.len(), rows.len()), (ACCOUNTS as usize, 3 * ACCOUNTS as usize));
        assert!(sorted.is_sorted_by_key(|run| (run.key, run.institution, run.account)));
        for run in sorted {
            let number = 2 * run.account[0] as u32 + (run.institution - 1);
            assert_eq!((run.first_version, run.count), (u64::from(number), 3));
            let own = &rows[run.start as usize..(run.start + run.count) as usize];
            assert_eq!(own, [number, number + ACCOUNTS, number + 2 * ACCOUNTS]);
        }
    }
}
