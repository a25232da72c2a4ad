//! An index written from docs/format-log.md alone, of rows that are made up, and what must be found in it.

use std::collections::BTreeMap;

use florin_core::account::hash_id;
use florin_wal::{LedgerId, SealedSegment};

use super::put;
use crate::rng::Rng;

/// Bytes of a block, and those of them in front of the checksum.
pub const BLOCK: usize = 4096;
const DATA: usize = BLOCK - 4;
/// The ledger of all samples.
pub const LEDGER: LedgerId = LedgerId([0x1e; 16]);
const FIRST_SEQUENCE: u64 = 5_001;

/// Rows of the ids, references and links, in this order: (institution, value, row).
type Named = [Vec<(u32, u128, u32)>; 3];

/// The entries of an account: version of the first, and their rows.
pub type Entries = (u64, Vec<u32>);

/// What a segment holds.
pub struct Contents {
    /// The segment.
    pub segment: SealedSegment,
    /// First row and offset of each frame.
    pub frames: Vec<(u32, u32)>,
    /// By institution and account.
    pub accounts: BTreeMap<(u32, u128), Entries>,
    /// Ids, references and links.
    pub named: Named,
}

impl Contents {
    /// Made up of a seed: so many rows, of which some are in blocks of their own.
    pub fn random(seed: u64, rows: u32) -> Contents {
        let mut rng = Rng::part(seed, "index");
        let mut frames = Vec::new();
        let mut accounts: BTreeMap<(u32, u128), Entries> = BTreeMap::new();
        let mut named: Named = Default::default();
        for row in 0..rows {
            if frames.is_empty() || rng.chance(5) {
                frames.push((row, 4096 + 300 * row));
            }
            let institution = rng.pick(&[1, 1, 2]);
            for _ in 0..2 {
                let account = (institution, 1 + rng.below(rows as usize / 3 + 1) as u128);
                let first_version = 1 + rng.below(9) as u64;
                accounts.entry(account).or_insert((first_version, Vec::new())).1.push(row);
            }
            named[0].push((institution, rng.next_u128(), row));
            // Some share a reference, most have none.
            if rng.chance(30) {
                named[1].push((institution, rng.below(40) as u128 + 1, row));
            }
            if rng.chance(10) {
                named[2].push((institution, rng.below(9) as u128 + 1, row));
            }
        }
        let segment = SealedSegment {
            ordinal: 3,
            salt: rng.word(),
            first_frame: 10,
            frames: frames.len() as u64,
            first_sequence: FIRST_SEQUENCE,
            count: u64::from(rows),
            last_mac: [7; 32],
        };
        Contents { segment, frames, accounts, named }
    }

    fn key(&self, institution: u32, value: u128) -> u32 {
        (hash_id(institution, value, self.segment.salt) >> 32) as u32
    }

    /// Sequence numbers of the rows that have the key of a value, in the table of ids (0), references (1) or links (2).
    pub fn rows_with(&self, table: usize, institution: u32, value: u128) -> Vec<u64> {
        let key = self.key(institution, value);
        let of_key = self.named[table].iter().filter(|(institution, value, _)| self.key(*institution, *value) == key);
        of_key.map(|(.., row)| FIRST_SEQUENCE + u64::from(*row)).collect()
    }

    /// The accounts with the key of an account, and their entries.
    pub fn accounts_with(&self, institution: u32, account: u128) -> Vec<&Entries> {
        let key = self.key(institution, account);
        self.accounts.iter().filter(|((i, a), _)| self.key(*i, *a) == key).map(|(_, entries)| entries).collect()
    }

    /// Number and offset of the frame with a row.
    pub fn frame_of(&self, row: u32) -> (u64, u64) {
        let at = self.frames.partition_point(|(first, _)| *first <= row) - 1;
        (self.segment.first_frame + at as u64, u64::from(self.frames[at].1))
    }

    /// The bytes of the index.
    pub fn file(&self) -> Vec<u8> {
        let pair = |one: u32, two: u32| [one.to_le_bytes(), two.to_le_bytes()].concat();
        let mut runs: Vec<(u32, (u32, u128), &Entries)> =
            self.accounts.iter().map(|(name, entries)| (self.key(name.0, name.1), *name, entries)).collect();
        runs.sort_by_key(|(key, name, _)| (*key, *name));
        let mut start = 0;
        let accounts = runs.iter().map(|(key, _, (first_version, rows))| {
            let row = [&pair(*key, start)[..], &first_version.to_le_bytes()].concat();
            start += rows.len() as u32;
            row
        });
        let accounts: Vec<Vec<u8>> = accounts.collect();
        let entries = runs.iter().flat_map(|(.., (_, rows))| rows.iter().map(|row| row.to_le_bytes().to_vec()));
        let named = self.named.iter().map(|rows| {
            let mut keys: Vec<(u32, u32)> = rows.iter().map(|(i, value, row)| (self.key(*i, *value), *row)).collect();
            keys.sort_unstable();
            keys.into_iter().map(|(key, row)| pair(key, row)).collect()
        });
        let frames = self.frames.iter().map(|(first, offset)| pair(*first, *offset)).collect();
        let mut sections: Vec<Vec<Vec<u8>>> = vec![frames, accounts, entries.collect()];
        sections.extend(named);
        let mut file = self.first_block(&sections);
        for rows in sections.iter().filter(|rows| !rows.is_empty()) {
            for block in rows.chunks(DATA / rows[0].len()) {
                let end = file.len() + BLOCK;
                block.iter().for_each(|row| file.extend_from_slice(row));
                file.resize(end, 0);
            }
        }
        seal(&mut file, self.segment.salt);
        file
    }

    fn first_block(&self, sections: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let s = &self.segment;
        let mut block = vec![0; BLOCK];
        put(&mut block, 0, b"FLORINDX");
        put(&mut block, 8, &1u32.to_le_bytes());
        put(&mut block, 12, &(BLOCK as u32).to_le_bytes());
        put(&mut block, 16, &LEDGER.0);
        let numbers = [s.ordinal, s.salt, s.first_frame, s.frames, s.first_sequence, s.count];
        for (at, number) in numbers.iter().enumerate() {
            put(&mut block, 32 + 8 * at, &number.to_le_bytes());
        }
        put(&mut block, 80, &s.last_mac);
        put(&mut block, 112, &1_700_000_000_000_000_000u64.to_le_bytes());
        put(&mut block, 120, &1_700_000_000_000_000_899u64.to_le_bytes());
        put(&mut block, 128, &19_675u16.to_le_bytes());
        put(&mut block, 130, &19_676u16.to_le_bytes());
        for (at, rows) in sections.iter().enumerate() {
            put(&mut block, 136 + 4 * at, &(rows.len() as u32).to_le_bytes());
        }
        block
    }
}

fn checksum(salt: u64, number: usize, block: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(&(number as u32).to_le_bytes());
    crc.update(&block[..DATA]);
    crc.finalize().to_le_bytes()
}

/// Makes the checksums of all blocks right.
pub fn seal(file: &mut [u8], salt: u64) {
    for (number, block) in file.chunks_exact_mut(BLOCK).enumerate() {
        let crc = checksum(salt, number, block);
        put(block, DATA, &crc);
    }
}

/// Whether a block has its checksum.
pub fn is_sealed(block: &[u8], salt: u64, number: usize) -> bool {
    block.len() == BLOCK && block[DATA..] == checksum(salt, number, block)
}
