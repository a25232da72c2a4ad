//! Reading an index: block by block with positioned reads, each block checked against its checksum when it is read.
//!
//! No maps: the few blocks that a question needs come out of the page cache in about a microsecond each, and a sector that
//! has rotted is an error that names its place instead of a signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use florin_wal::{LedgerId, SealedSegment};
use zerocopy::FromBytes;

use super::{AccountRun, BLOCK_BYTES, Header, Section, is_sealed, key_of};

/// Blocks that are checked before the pace is kept.
const CHECK_BLOCKS: u32 = 256;

/// Why an index cannot be used. It is then left aside and built again.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is none.
    #[error("there is no such file")]
    Missing,
    /// It cannot be read.
    #[error("at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what was written for this segment.
    #[error("at offset {offset}: {reason}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The entries of one account in a segment, whose versions follow each other. Which account it is only the log can say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Version of the first.
    pub first_version: u64,
    /// How many.
    pub count: u32,
    start: u32,
}

/// An open index.
pub struct IndexFile {
    /// The segment that it belongs to.
    pub segment: SealedSegment,
    header: Header,
    file: File,
}

impl IndexFile {
    /// Opens the index of a segment and checks its first block and its length.
    pub fn open(path: &Path, ledger: LedgerId, segment: &SealedSegment) -> Result<IndexFile, IndexError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => IndexError::Missing,
            _ => IndexError::Io { offset: 0, source },
        };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut block = [0; BLOCK_BYTES];
        file.read_exact_at(&mut block, 0).map_err(io)?;
        let damaged = |reason| IndexError::Damaged { offset: 0, reason };
        let header = Header::decode(&block, ledger, segment).map_err(damaged)?;
        match length == header.file_bytes() {
            true => Ok(IndexFile { segment: *segment, header, file }),
            false => Err(damaged("it is not as long as it says")),
        }
    }

    /// What its first block says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether a block is whole.
    pub fn check_block(&self, number: u32) -> Result<(), IndexError> {
        self.read_block(number, &mut [0; BLOCK_BYTES])
    }

    /// Reads all blocks: whether they are whole. `keep` is told how many bytes were read since it was told last.
    pub fn check<E>(&self, keep: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<Result<(), IndexError>, E> {
        for number in 0..self.header.blocks() {
            if let Err(error) = self.check_block(number) {
                return Ok(Err(error));
            }
            if number % CHECK_BLOCKS == CHECK_BLOCKS - 1 {
                keep(CHECK_BLOCKS as usize * BLOCK_BYTES)?;
            }
        }
        keep((self.header.blocks() % CHECK_BLOCKS) as usize * BLOCK_BYTES)?;
        Ok(Ok(()))
    }

    /// Number of the frame with a row, and its offset in the segment's file.
    pub fn frame_of(&self, row: u32) -> Result<(u64, u64), IndexError> {
        let mut frames = self.table(Section::Frames);
        // Rows of this section are (first row, offset), so the frame with a row is the last that begins at or before it.
        let next = frames.first_where(0..frames.rows(), |(first, _)| first > row)?;
        let at = next.checked_sub(1).ok_or_else(|| self.damaged(Section::Frames, "no frame has this row"))?;
        Ok((self.segment.first_frame + u64::from(at), u64::from(frames.pair(at)?.1)))
    }

    /// The runs that may be an account's: nearly always one or none.
    pub fn runs(&self, institution: u32, account: u128) -> Result<Vec<Run>, IndexError> {
        let key = key_of(self.segment.salt, institution, account);
        let mut accounts = self.table(Section::Accounts);
        let mut at = accounts.first_with_key(key, 0)?;
        let mut runs = Vec::new();
        while at < accounts.rows() {
            let run = accounts.run(at)?;
            if run.key.get() != key {
                break;
            }
            at += 1;
            let end = if at < accounts.rows() {
                accounts.run(at)?.start.get()
            } else {
                self.header.rows_of(Section::Entries)
            };
            let count = end.checked_sub(run.start.get()).filter(|count| *count > 0);
            let count = count.ok_or_else(|| self.damaged(Section::Accounts, "an account without entries"))?;
            runs.push(Run { first_version: run.first_version.get(), count, start: run.start.get() });
        }
        Ok(runs)
    }

    /// Sequence number of the row with the `at`-th entry of a run.
    pub fn entry(&self, run: Run, at: u32) -> Result<u64, IndexError> {
        assert!(at < run.count, "an entry of the run");
        let mut entries = self.table(Section::Entries);
        let row = entries.bytes(run.start.saturating_add(at))?;
        let row = u32::from_le_bytes(row.try_into().expect("a row of its exact size"));
        Ok(self.segment.first_sequence + u64::from(row))
    }

    /// Sequence numbers, from `from` on, of at most `most` rows that may have a value: those with its key.
    pub fn rows_with(
        &self,
        section: Section,
        institution: u32,
        value: u128,
        from: u64,
        most: usize,
    ) -> Result<Vec<u64>, IndexError> {
        assert!(matches!(section, Section::Ids | Section::References | Section::Links), "a section of rows by key");
        let key = key_of(self.segment.salt, institution, value);
        let from = u32::try_from(from.saturating_sub(self.segment.first_sequence)).unwrap_or(u32::MAX);
        let mut table = self.table(section);
        let mut found = Vec::new();
        for at in table.first_with_key(key, from)?..table.rows() {
            let (found_key, row) = table.pair(at)?;
            if found_key != key || found.len() == most {
                break;
            }
            found.push(self.segment.first_sequence + u64::from(row));
        }
        Ok(found)
    }

    fn damaged(&self, section: Section, reason: &'static str) -> IndexError {
        IndexError::Damaged { offset: u64::from(self.header.first_block(section)) * BLOCK_BYTES as u64, reason }
    }

    fn read_block(&self, number: u32, block: &mut [u8; BLOCK_BYTES]) -> Result<(), IndexError> {
        let offset = u64::from(number) * BLOCK_BYTES as u64;
        self.file.read_exact_at(block, offset).map_err(|source| IndexError::Io { offset, source })?;
        match is_sealed(self.segment.salt, number, block) {
            true => Ok(()),
            false => Err(IndexError::Damaged { offset, reason: "the block does not match its checksum" }),
        }
    }

    fn table(&self, section: Section) -> Table<'_> {
        Table { index: self, section, block: [0; BLOCK_BYTES], number: 0 }
    }
}

/// One section, with the block that was read last.
struct Table<'a> {
    index: &'a IndexFile,
    section: Section,
    block: [u8; BLOCK_BYTES],
    /// Its number; 0 = none was read.
    number: u32,
}

impl Table<'_> {
    fn rows(&self) -> u32 {
        self.index.header.rows_of(self.section)
    }

    fn bytes(&mut self, at: u32) -> Result<&[u8], IndexError> {
        if at >= self.rows() {
            return Err(self.index.damaged(self.section, "a row behind the end of the section"));
        }
        let number = self.index.header.first_block(self.section) + at / self.section.rows_per_block();
        if number != self.number {
            self.number = 0;
            self.index.read_block(number, &mut self.block)?;
            self.number = number;
        }
        let start = (at % self.section.rows_per_block()) as usize * self.section.row_bytes();
        Ok(&self.block[start..start + self.section.row_bytes()])
    }

    fn run(&mut self, at: u32) -> Result<AccountRun, IndexError> {
        Ok(AccountRun::read_from_bytes(self.bytes(at)?).expect("a row of its exact size"))
    }

    /// The first two numbers of a row. In all sections but that of the entries they are what it is sorted by.
    fn pair(&mut self, at: u32) -> Result<(u32, u32), IndexError> {
        let row = self.bytes(at)?;
        let number = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().expect("four bytes"));
        Ok((number(0), number(4)))
    }

    /// The first row in a range that is `wanted`, or its end; those that are not come before those that are.
    fn first_where(
        &mut self,
        range: std::ops::Range<u32>,
        wanted: impl Fn((u32, u32)) -> bool,
    ) -> Result<u32, IndexError> {
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if wanted(self.pair(middle)?) { high = middle } else { low = middle + 1 }
        }
        Ok(low)
    }

    /// The first row at or behind (key, row). Keys are spread evenly, so it is nearly always in one of two or three blocks
    /// around where it would be if they were spread exactly so.
    fn first_with_key(&mut self, key: u32, row: u32) -> Result<u32, IndexError> {
        let rows = self.rows();
        let row = if self.section == Section::Accounts { 0 } else { row };
        let wanted = |found| found >= (key, row);
        let guess = ((u64::from(key) * u64::from(rows)) >> 32) as u32;
        let (mut low, mut high, mut step) = (guess, guess, self.section.rows_per_block());
        while low > 0 && wanted(self.pair(low - 1)?) {
            (high, low) = (low, low.saturating_sub(step));
            step = step.saturating_mul(4);
        }
        while high < rows && !wanted(self.pair(high)?) {
            (low, high) = (high + 1, high.saturating_add(step).min(rows));
            step = step.saturating_mul(4);
        }
        self.first_where(low..high, wanted)
    }
}
