//! Where the frames of one segment stand: a table built by walking the headers of its groups and frames, checking the
//! chain, and extended as the segment grows; of a packed segment by walking its frames in the pack. Dropped when other segments are
//! wanted more, or when the segment was packed, and built again on demand.

use crate::error::ReadError;
use crate::format::{self, Bad, FRAME_MACED, GroupHead, SegmentHead};
use crate::frame::{FrameHead, FramePlace};
use crate::key::KeyRing;
use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES, GROUP_HEADER_BYTES, READ_CHUNK_BYTES, SEGMENT_TABLES};
use crate::pack::format::PackHead;
use crate::pack::shelf::Packs;
use crate::segments::PackRange;
use crate::storage::{Access, Storage, StorageFile};
use std::sync::{Arc, Mutex, PoisonError};

/// One frame of the table.
#[derive(Clone, Copy)]
struct Row {
    first_sequence: u64,
    offset: u32,
}

/// How far the segment was walked.
struct Progress {
    rows: Vec<Row>,
    next_offset: u64,
    next_group: u64,
    next_sequence: u64,
    mac: [u8; 32],
}

/// The frames of one segment.
pub(crate) struct SegmentTable {
    pub head: SegmentHead,
    /// The pack that it is in, if it has no file of its own.
    pub pack: Option<PackRange>,
    file: Box<dyn StorageFile>,
    /// Where its frames must have ended.
    end: u64,
    progress: Mutex<Progress>,
}

impl SegmentTable {
    fn open(storage: &dyn Storage, head: SegmentHead, pack: Option<&PackHead>) -> Result<SegmentTable, ReadError> {
        let range = pack.map(PackHead::range);
        let (first, end) = match pack.and_then(|pack| pack.segment(head.ordinal)) {
            Some(packed) => (packed.offset, packed.end()),
            None => (BLOCK_BYTES as u64, head.segment_bytes),
        };
        let name = FramePlace { segment: head.ordinal, offset: first, pack: range }.file();
        let file =
            storage.open(&name, Access::Read).map_err(|source| ReadError::Io { file: name, offset: 0, source })?;
        let progress = Progress {
            rows: Vec::new(),
            next_offset: first,
            next_group: head.first_group,
            next_sequence: head.first_sequence,
            mac: head.previous_mac,
        };
        Ok(SegmentTable { head, pack: range, file, end, progress: Mutex::new(progress) })
    }

    fn place(&self, offset: u64) -> FramePlace {
        FramePlace { segment: self.head.ordinal, offset, pack: self.pack }
    }

    /// Reads exact bytes of the file.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let failed = |source| ReadError::Io { file: self.place(offset).file(), offset, source };
        self.file.read_at(into, offset).map_err(failed)
    }

    fn damaged(&self, offset: u64, reason: &'static str) -> ReadError {
        ReadError::Damaged { file: self.place(offset).file(), offset, reason }
    }

    /// Place and head of a frame that is durable and in this segment.
    pub(crate) fn frame(&self, keys: &KeyRing, number: u64) -> Result<(FramePlace, FrameHead), ReadError> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (number - self.head.first_frame) as usize;
        while progress.rows.len() <= at {
            self.walk_on(keys, &mut progress)?;
        }
        let row = progress.rows[at];
        drop(progress);
        self.head_at(number, row)
    }

    /// The last frame up to `last_frame` that begins at or before a sequence number, if it has it.
    pub(crate) fn frame_of_sequence(
        &self,
        keys: &KeyRing,
        sequence: u64,
        last_frame: u64,
    ) -> Result<Option<(FramePlace, FrameHead)>, ReadError> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        // Rows up to what may be read; the table may already know more.
        let frames = (last_frame + 1).saturating_sub(self.head.first_frame) as usize;
        while progress.rows.len() < frames && progress.next_sequence <= sequence {
            self.walk_on(keys, &mut progress)?;
        }
        let readable = &progress.rows[..progress.rows.len().min(frames)];
        let Some(at) = readable.partition_point(|row| row.first_sequence <= sequence).checked_sub(1) else {
            return Ok(None);
        };
        let row = readable[at];
        drop(progress);
        let found = self.head_at(self.head.first_frame + at as u64, row)?;
        Ok((sequence < found.1.next_sequence()).then_some(found))
    }

    fn head_at(&self, number: u64, row: Row) -> Result<(FramePlace, FrameHead), ReadError> {
        let offset = u64::from(row.offset);
        let head = self.head_of(number, offset)?;
        if head.first_sequence != row.first_sequence {
            return Err(self.damaged(offset, "the frame header has changed"));
        }
        Ok((self.place(offset), head))
    }

    /// The head of the frame with this number that stands at an offset.
    pub(crate) fn head_of(&self, number: u64, offset: u64) -> Result<FrameHead, ReadError> {
        let mut header = [0; FRAME_HEADER_BYTES];
        self.read(offset, &mut header)?;
        let head = format::decode_frame(&header, &self.head.ledger).map_err(|reason| self.damaged(offset, reason))?;
        match head.number == number {
            true => Ok(head),
            false => Err(self.damaged(offset, "another frame stands here")),
        }
    }

    /// Adds the next frames. They are durable, so anything wrong is damage, and leaves the table as it was.
    fn walk_on(&self, keys: &KeyRing, progress: &mut Progress) -> Result<(), ReadError> {
        if progress.next_offset >= self.end {
            return Err(self.damaged(progress.next_offset, "the segment ends before a frame that it should hold"));
        }
        match self.pack {
            Some(_) => self.walk_piece(keys, progress),
            None => self.walk_group(keys, progress),
        }
    }

    /// Adds the frames of the next group.
    fn walk_group(&self, keys: &KeyRing, progress: &mut Progress) -> Result<(), ReadError> {
        let offset = progress.next_offset;
        let mut header = [0; GROUP_HEADER_BYTES];
        self.read(offset, &mut header)?;
        let group = GroupHead::decode(&header, &self.head, offset).map_err(|bad| match bad {
            Bad::Broken(reason) | Bad::Unknown(reason) => self.damaged(offset, reason),
        })?;
        if group.number != progress.next_group {
            return Err(self.damaged(offset, "the group is not the next one"));
        }
        let first = offset + GROUP_HEADER_BYTES as u64;
        let end = first + u64::from(group.body_bytes);
        let mut next = Found::behind(progress, first, group.frames as usize);
        for _ in 0..group.frames {
            let mut header = [0; FRAME_HEADER_BYTES];
            self.read(next.offset, &mut header)?;
            self.take(keys, &header, end, &mut next)?;
        }
        next.add_to(progress);
        progress.next_offset = offset + group.bytes();
        progress.next_group += 1;
        Ok(())
    }

    /// Adds the frames whose headers are in the next piece of a pack.
    fn walk_piece(&self, keys: &KeyRing, progress: &mut Progress) -> Result<(), ReadError> {
        let offset = progress.next_offset;
        let mut piece = vec![0; (self.end - offset).min(READ_CHUNK_BYTES as u64) as usize];
        self.read(offset, &mut piece)?;
        let mut next = Found::behind(progress, offset, piece.len() / FRAME_HEADER_BYTES);
        loop {
            let at = (next.offset - offset) as usize;
            match piece.get(at..at + FRAME_HEADER_BYTES) {
                Some(header) => self.take(keys, header, self.end, &mut next)?,
                // A frame takes its header at least.
                None if next.offset == offset => return Err(self.damaged(offset, "the segment ends inside a frame")),
                None => break,
            }
        }
        progress.next_offset = next.offset;
        next.add_to(progress);
        Ok(())
    }

    /// Takes the frame with this header if it is the next one and ends before `end`.
    fn take(&self, keys: &KeyRing, header: &[u8], end: u64, next: &mut Found) -> Result<(), ReadError> {
        let at = next.offset;
        let head = format::decode_frame(header, &self.head.ledger).map_err(|reason| self.damaged(at, reason))?;
        let behind = at + (FRAME_HEADER_BYTES + head.body_bytes()) as u64;
        let number = self.head.first_frame + (next.before + next.rows.len()) as u64;
        if head.number != number || head.first_sequence != next.sequence || behind > end {
            return Err(self.damaged(at, "the frame is not the next one"));
        }
        if keys.mac(head.key_id, &next.mac, &header[..FRAME_MACED]) != Some(head.mac) {
            return Err(self.damaged(at, "the chain MAC does not match"));
        }
        next.rows.push(Row { first_sequence: next.sequence, offset: at as u32 });
        (next.sequence, next.mac, next.offset) = (head.next_sequence(), head.mac, behind);
        Ok(())
    }
}

/// Frames on their way into a table: added only once all that is read together was found good, so that an error leaves it as it was.
struct Found {
    /// Frames that the table has.
    before: usize,
    rows: Vec<Row>,
    offset: u64,
    sequence: u64,
    mac: [u8; 32],
}

impl Found {
    fn behind(progress: &Progress, offset: u64, frames: usize) -> Found {
        let rows = Vec::with_capacity(frames.min(BLOCK_BYTES));
        Found { before: progress.rows.len(), rows, offset, sequence: progress.next_sequence, mac: progress.mac }
    }

    fn add_to(self, progress: &mut Progress) {
        progress.rows.extend(self.rows);
        (progress.next_sequence, progress.mac) = (self.sequence, self.mac);
    }
}

/// The tables in memory, shared by all readers; the one used longest ago goes first.
pub(crate) struct Tables {
    storage: Arc<dyn Storage>,
    packs: Arc<Packs>,
    /// Most recently used last.
    recent: Mutex<Vec<Arc<SegmentTable>>>,
}

impl Tables {
    pub(crate) fn new(storage: Arc<dyn Storage>, packs: Arc<Packs>) -> Arc<Tables> {
        let recent = Mutex::new(Vec::with_capacity(SEGMENT_TABLES));
        let tables = Arc::new(Tables { storage, packs, recent });
        tables.packs.tell(&tables);
        tables
    }

    /// Tables of the same log for somebody else.
    pub(crate) fn apart(&self) -> Arc<Tables> {
        Tables::new(Arc::clone(&self.storage), Arc::clone(&self.packs))
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    /// The table of a segment.
    pub(crate) fn of(&self, head: SegmentHead) -> Result<Arc<SegmentTable>, ReadError> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = recent.iter().position(|table| table.head.ordinal == head.ordinal) {
            let table = recent.remove(at);
            recent.push(Arc::clone(&table));
            return Ok(table);
        }
        // With the lock held over both looks: the packer removes raw files only after it had this lock, to drop their tables.
        let pack = self.packs.of(head.ordinal);
        let table = Arc::new(SegmentTable::open(&*self.storage, head, pack.as_deref())?);
        if recent.len() == SEGMENT_TABLES {
            recent.remove(0);
        }
        recent.push(Arc::clone(&table));
        Ok(table)
    }

    /// Drops the tables of raw files whose segments are in a pack now. Whoever has one in use keeps it until then.
    pub(crate) fn forget_raw(&self, range: PackRange) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|table| table.pack.is_some() || !range.has(table.head.ordinal));
    }
}
