//! The format of `N.idx`, which finds rows of a sealed segment by account, id, reference and what they name, and frames by
//! row. `docs/format-log.md` gives every byte.
//!
//! An index is derived: it may be deleted at any time and is built again. It is never believed further than its checksums
//! go (one in each block, looked at whenever the block is read), and what it points at is read from the log and compared
//! before it counts. It belongs to one segment on one disk: ledger, ordinal, salt and the MAC of the last frame say which.

pub mod build;
pub mod file;
#[cfg(test)]
mod tests;

use florin_core::account::hash_id;
use florin_wal::{LedgerId, SealedSegment};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the format. Another one is built again, so it may change in any release.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"FLORINDX";
/// Bytes of a block, the unit that is read and that has a checksum: a page of the cache.
pub const BLOCK_BYTES: usize = 4096;
/// Bytes of a block in front of its checksum.
const BLOCK_DATA: usize = BLOCK_BYTES - 4;

/// The tables of an index, in the order in which they stand in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// Frames by row.
    Frames,
    /// Runs of entries by key of the account.
    Accounts,
    /// The row of each entry, run by run, by version.
    Entries,
    /// Rows by key of the id.
    Ids,
    /// Rows by key of the business reference.
    References,
    /// Rows by key of the id that they name.
    Links,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Section; 6] =
        [Section::Frames, Section::Accounts, Section::Entries, Section::Ids, Section::References, Section::Links];

    /// Bytes of a row.
    pub const fn row_bytes(self) -> usize {
        match self {
            Section::Accounts => size_of::<AccountRun>(),
            Section::Entries => 4,
            Section::Frames | Section::Ids | Section::References | Section::Links => 8,
        }
    }

    /// Rows in a block. A row never spans two.
    pub const fn rows_per_block(self) -> u32 {
        (BLOCK_DATA / self.row_bytes()) as u32
    }

    /// Blocks that hold so many rows.
    const fn blocks(self, rows: u32) -> u32 {
        rows.div_ceil(self.rows_per_block())
    }
}

/// A row of [`Section::Accounts`]: the entries of one account in the segment, whose versions follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AccountRun {
    /// Key of the account. First in the row, as in every section that is sorted by a key.
    pub key: U32,
    /// Where its entries begin in [`Section::Entries`]; they end where those of the next account begin.
    pub start: U32,
    /// Version of the first of them.
    pub first_version: U64,
}

/// The key of an id, reference or account in a segment: rows are sorted by it, and whoever finds a key compares the whole
/// value in the log. Salted, so that nobody can choose ids whose keys are equal.
pub fn key_of(salt: u64, institution: u32, value: u128) -> u32 {
    key_of_hash(hash_id(institution, value, salt))
}

fn key_of_hash(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// What is known of a segment once it has an index, so that those outside a span need not be looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Booked-at of the first row; 0 if there are no rows.
    pub first_booked_at: u64,
    /// Booked-at of the last row.
    pub last_booked_at: u64,
    /// Smallest accounting date of all rows, of whatever institution.
    pub smallest_date: u16,
    /// Largest accounting date.
    pub largest_date: u16,
}

/// The first block of an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the rows span.
    pub facts: Facts,
    /// Rows of each section.
    pub rows: [u32; Section::ALL.len()],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    version: U32,
    block_bytes: U32,
    ledger: [u8; 16],
    ordinal: U64,
    salt: U64,
    first_frame: U64,
    frames: U64,
    first_sequence: U64,
    count: U64,
    last_mac: [u8; 32],
    first_booked_at: U64,
    last_booked_at: U64,
    smallest_date: U16,
    largest_date: U16,
    reserved: U32,
    rows: [U32; Section::ALL.len()],
}

const _: () = assert!(size_of::<RawHeader>() == 160 && size_of::<AccountRun>() == 16);

impl Header {
    /// Rows of a section.
    pub fn rows_of(&self, section: Section) -> u32 {
        self.rows[section as usize]
    }

    /// Number of the first block of a section.
    pub fn first_block(&self, section: Section) -> u32 {
        let before = Section::ALL.iter().take(section as usize);
        1 + before.map(|s| s.blocks(self.rows_of(*s))).sum::<u32>()
    }

    /// Blocks of the whole file.
    pub fn blocks(&self) -> u32 {
        1 + Section::ALL.iter().map(|s| s.blocks(self.rows_of(*s))).sum::<u32>()
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        u64::from(self.blocks()) * BLOCK_BYTES as u64
    }

    /// The first block.
    pub fn encode(&self, ledger: LedgerId, segment: &SealedSegment) -> [u8; BLOCK_BYTES] {
        let raw = self.raw(ledger, segment);
        let mut block = [0; BLOCK_BYTES];
        block[..size_of::<RawHeader>()].copy_from_slice(raw.as_bytes());
        seal(segment.salt, 0, &mut block);
        block
    }

    /// Reads the first block of the index of a segment; `Err` says why it is not that.
    pub fn decode(
        block: &[u8; BLOCK_BYTES],
        ledger: LedgerId,
        segment: &SealedSegment,
    ) -> Result<Header, &'static str> {
        let (raw, _) = RawHeader::read_from_prefix(block).expect("a block is longer than a header");
        if raw.magic != MAGIC {
            return Err("it does not begin with its magic bytes");
        }
        if raw.version.get() != VERSION {
            return Err("it is of another version");
        }
        if !is_sealed(segment.salt, 0, block) {
            return Err("its first block does not match its checksum, or it is another segment's");
        }
        let facts = Facts {
            first_booked_at: raw.first_booked_at.get(),
            last_booked_at: raw.last_booked_at.get(),
            smallest_date: raw.smallest_date.get(),
            largest_date: raw.largest_date.get(),
        };
        let header = Header { facts, rows: raw.rows.map(U32::get) };
        // All that it does not say itself it has to repeat from the segment.
        match header.encode(ledger, segment) == *block {
            true => Ok(header),
            false => Err("it is another segment's"),
        }
    }

    fn raw(&self, ledger: LedgerId, segment: &SealedSegment) -> RawHeader {
        RawHeader {
            magic: MAGIC,
            version: VERSION.into(),
            block_bytes: (BLOCK_BYTES as u32).into(),
            ledger: ledger.0,
            ordinal: segment.ordinal.into(),
            salt: segment.salt.into(),
            first_frame: segment.first_frame.into(),
            frames: segment.frames.into(),
            first_sequence: segment.first_sequence.into(),
            count: segment.count.into(),
            last_mac: segment.last_mac,
            first_booked_at: self.facts.first_booked_at.into(),
            last_booked_at: self.facts.last_booked_at.into(),
            smallest_date: self.facts.smallest_date.into(),
            largest_date: self.facts.largest_date.into(),
            reserved: 0.into(),
            rows: self.rows.map(U32::new),
        }
    }
}

/// Puts the checksum of a block into its last four bytes.
pub fn seal(salt: u64, number: u32, block: &mut [u8]) {
    let crc = checksum(salt, number, &block[..BLOCK_DATA]);
    block[BLOCK_DATA..].copy_from_slice(&crc.to_le_bytes());
}

/// Whether a block is whole and was written for this place of this file.
pub fn is_sealed(salt: u64, number: u32, block: &[u8]) -> bool {
    block[BLOCK_DATA..] == checksum(salt, number, &block[..BLOCK_DATA]).to_le_bytes()
}

fn checksum(salt: u64, number: u32, data: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&number.to_le_bytes());
    crc.update(data);
    crc.finalize()
}
