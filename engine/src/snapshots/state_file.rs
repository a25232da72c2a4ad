//! The file with the state: chunks of records of one section each, one behind the other. A chunk is checked before anything in it is
//! believed, and the manifest's digest covers the digests of all chunks, so that none can be missing, moved or from elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use florin_core::snapshot::{Section, SnapshotRecord, decode};
use florin_planted::{Fault, planted};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::manifest::hex;
use super::{SnapshotError, SnapshotManifest};
use crate::files::{Files, NewFile, OldFile};

/// Name of the file in the folder of a snapshot.
pub(super) const STATE_FILE: &str = "state";
/// Bytes of records from which on a chunk is closed. Written, synced and read at once: a file that is synced as a whole would keep
/// the log from the disk for as long.
const CHUNK_BYTES: usize = 1 << 20;
/// Longest body of a chunk, in bytes: the last record may pass [`CHUNK_BYTES`], and none is longer than a hold of all postings.
const CHUNK_BYTES_MAX: usize = CHUNK_BYTES + (64 << 10);

/// In front of each chunk. 48 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ChunkHead {
    /// BLAKE3 of what follows: the rest of the head and the body.
    digest: [u8; 32],
    /// Number of the chunk, from 0.
    number: U32,
    /// Records in it.
    count: U32,
    /// Bytes of them.
    length: U32,
    /// [`Section`].
    section: u8,
    reserved: [u8; 3],
}

const HEAD_BYTES: usize = size_of::<ChunkHead>();
const _: () = assert!(HEAD_BYTES == 48);
const DIGEST_BYTES: usize = 32;

/// Writes a state.
pub(super) struct StateWriter {
    path: PathBuf,
    file: Box<dyn NewFile>,
    section: Section,
    /// Head and body of the chunk that is being filled.
    chunk: Vec<u8>,
    count: u32,
    number: u32,
    digests: blake3::Hasher,
    /// So far.
    pub(super) accounts: u64,
    /// So far.
    pub(super) records: u64,
    /// So far.
    pub(super) bytes: u64,
}

impl StateWriter {
    pub(super) fn create(files: &dyn Files, path: PathBuf) -> Result<StateWriter, SnapshotError> {
        let file = files.create(&path).map_err(SnapshotError::io(&path))?;
        Ok(StateWriter {
            path,
            file,
            section: Section::Institutions,
            chunk: vec![0; HEAD_BYTES],
            count: 0,
            number: 0,
            digests: blake3::Hasher::new(),
            accounts: 0,
            records: 0,
            bytes: 0,
        })
    }

    /// Adds a record; records come in the order of their sections. Gives the bytes that went to the disk for it.
    pub(super) fn push(&mut self, record: &SnapshotRecord) -> Result<usize, SnapshotError> {
        let mut written = 0;
        if record.section() != self.section || self.chunk.len() - HEAD_BYTES >= CHUNK_BYTES {
            assert!(record.section() >= self.section, "sections come in order");
            written = self.close_chunk()?;
            self.section = record.section();
        }
        record.encode(&mut self.chunk);
        self.count += 1;
        self.records += 1;
        self.accounts += u64::from(self.section == Section::Accounts);
        Ok(written)
    }

    fn close_chunk(&mut self) -> Result<usize, SnapshotError> {
        if self.count == 0 {
            return Ok(0);
        }
        let length = self.chunk.len() - HEAD_BYTES;
        assert!(length <= CHUNK_BYTES_MAX, "no record is so long");
        let mut head = ChunkHead {
            digest: [0; DIGEST_BYTES],
            number: self.number.into(),
            count: self.count.into(),
            length: (length as u32).into(),
            section: self.section as u8,
            reserved: [0; 3],
        };
        self.chunk[..HEAD_BYTES].copy_from_slice(head.as_bytes());
        head.digest = blake3::hash(&self.chunk[DIGEST_BYTES..]).into();
        self.chunk[..DIGEST_BYTES].copy_from_slice(&head.digest);
        self.digests.update(&head.digest);
        let written = self.file.write_all(&self.chunk);
        let written =
            written.and_then(|()| if planted(Fault::SnapshotNotSynced) { Ok(()) } else { self.file.sync_data() });
        written.map_err(SnapshotError::io(&self.path))?;
        let bytes = self.chunk.len();
        self.bytes += bytes as u64;
        (self.count, self.number) = (0, self.number + 1);
        self.chunk.truncate(HEAD_BYTES);
        Ok(bytes)
    }

    /// Makes all of it durable. Gives the digest for the manifest.
    pub(super) fn finish(&mut self) -> Result<String, SnapshotError> {
        self.close_chunk()?;
        if !planted(Fault::SnapshotNotSynced) {
            self.file.sync_all().map_err(SnapshotError::io(&self.path))?;
        }
        Ok(hex(self.digests.finalize().as_bytes()))
    }
}

/// Reads a state, record by record. After an error there is nothing more.
pub(super) struct StateReader {
    path: PathBuf,
    file: Box<dyn OldFile>,
    /// How far the file was read.
    position: u64,
    digest: String,
    bytes: u64,
    records: u64,
    digests: blake3::Hasher,
    /// Where the chunk begins that is being read.
    offset: u64,
    number: u32,
    section: Section,
    body: Vec<u8>,
    /// How far it was read, and how many records of it are left.
    at: usize,
    left: u32,
    ended: bool,
}

impl StateReader {
    pub(super) fn open(
        files: &dyn Files,
        path: &Path,
        manifest: &SnapshotManifest,
    ) -> Result<StateReader, SnapshotError> {
        let file = files.open(path).map_err(SnapshotError::io(path))?;
        let reader = StateReader {
            path: path.to_path_buf(),
            position: 0,
            digest: manifest.digest.clone(),
            bytes: manifest.bytes,
            records: manifest.records,
            digests: blake3::Hasher::new(),
            offset: 0,
            number: 0,
            section: Section::Institutions,
            body: Vec::new(),
            at: 0,
            left: 0,
            ended: false,
            file,
        };
        let length = reader.file.length().map_err(SnapshotError::io(path))?;
        match length == manifest.bytes {
            true => Ok(reader),
            false => Err(reader.damaged("the file is not as long as the manifest says")),
        }
    }

    /// Where the chunk begins that is being read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    fn damaged(&self, reason: &str) -> SnapshotError {
        SnapshotError::Damaged { file: self.path.clone(), offset: self.offset, reason: reason.into() }
    }

    /// Reads and checks the next chunk; false at the end.
    fn next_chunk(&mut self) -> Result<bool, SnapshotError> {
        self.offset += if self.number == 0 { 0 } else { (HEAD_BYTES + self.body.len()) as u64 };
        if self.offset == self.bytes {
            if hex(self.digests.finalize().as_bytes()) != self.digest {
                return Err(self.damaged("the digests of the chunks are not those of the manifest"));
            }
            return match self.records {
                0 => Ok(false),
                _ => Err(self.damaged("there are fewer records than the manifest says")),
            };
        }
        let mut head = [0; HEAD_BYTES];
        self.read(&mut head)?;
        let head = ChunkHead::read_from_bytes(&head).expect("a head of its exact size");
        let length = head.length.get() as usize;
        if length > CHUNK_BYTES_MAX {
            return Err(self.damaged("the chunk is longer than one can be"));
        }
        let mut body = std::mem::take(&mut self.body);
        body.resize(length, 0);
        let read = self.read(&mut body);
        self.body = body;
        read?;
        let mut digest = blake3::Hasher::new();
        digest.update(&head.as_bytes()[DIGEST_BYTES..]).update(&self.body);
        if digest.finalize() != head.digest {
            return Err(self.damaged("the chunk does not match its digest"));
        }
        let section = Section::from_byte(head.section).filter(|section| *section >= self.section);
        let section = section.filter(|_| head.reserved == [0; 3] && head.number.get() == self.number);
        self.section = section.ok_or_else(|| self.damaged("the chunk is not the next one"))?;
        self.digests.update(&head.digest);
        (self.at, self.left, self.number) = (0, head.count.get(), self.number + 1);
        Ok(true)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), SnapshotError> {
        match self.file.read_at(into, self.position) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.damaged("the chunk is cut")),
            read => read.map_err(SnapshotError::io(&self.path))?,
        }
        self.position += into.len() as u64;
        Ok(())
    }

    fn next_record(&mut self) -> Result<Option<SnapshotRecord>, SnapshotError> {
        while self.left == 0 {
            if self.at != self.body.len() {
                return Err(self.damaged("the chunk has bytes behind its last record"));
            }
            if !self.next_chunk()? {
                return Ok(None);
            }
        }
        let mut rest = &self.body[self.at..];
        let record = decode(self.section, &mut rest).map_err(|reason| self.damaged(reason))?;
        self.at = self.body.len() - rest.len();
        self.left -= 1;
        self.records =
            self.records.checked_sub(1).ok_or_else(|| self.damaged("there are more records than the manifest says"))?;
        Ok(Some(record))
    }
}

impl Iterator for StateReader {
    type Item = Result<SnapshotRecord, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_record().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}
