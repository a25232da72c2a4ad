//! Where the frames of one segment stand: a table built by walking the headers of its groups and frames, checking the
//! chain, and extended as the segment grows. Dropped when other segments are wanted more and built again on demand.

use crate::error::ReadError;
use crate::format::{self, Bad, FRAME_MACED, GroupHead, SegmentHead};
use crate::frame::{FrameHead, FramePlace};
use crate::key::KeyRing;
use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES, GROUP_HEADER_BYTES, SEGMENT_TABLES};
use crate::segments::segment_name;
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
    pub file: Box<dyn StorageFile>,
    progress: Mutex<Progress>,
}

impl SegmentTable {
    fn open(storage: &dyn Storage, head: SegmentHead) -> Result<SegmentTable, ReadError> {
        let name = segment_name(head.ordinal);
        let file =
            storage.open(&name, Access::Read).map_err(|source| ReadError::Io { file: name, offset: 0, source })?;
        let progress = Progress {
            rows: Vec::new(),
            next_offset: BLOCK_BYTES as u64,
            next_group: head.first_group,
            next_sequence: head.first_sequence,
            mac: head.previous_mac,
        };
        Ok(SegmentTable { head, file, progress: Mutex::new(progress) })
    }

    /// Reads exact bytes of the segment.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.file.read_at(into, offset).map_err(|source| ReadError::Io {
            file: segment_name(self.head.ordinal),
            offset,
            source,
        })
    }

    fn damaged(&self, offset: u64, reason: &'static str) -> ReadError {
        ReadError::Damaged { file: segment_name(self.head.ordinal), offset, reason }
    }

    /// Place and head of a frame that is durable and in this segment.
    pub(crate) fn frame(&self, keys: &KeyRing, number: u64) -> Result<(FramePlace, FrameHead), ReadError> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (number - self.head.first_frame) as usize;
        while progress.rows.len() <= at {
            self.walk_group(keys, &mut progress)?;
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
            self.walk_group(keys, &mut progress)?;
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
        Ok((FramePlace { segment: self.head.ordinal, offset }, head))
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

    /// Adds the frames of the next group. It is durable, so anything wrong is damage.
    fn walk_group(&self, keys: &KeyRing, progress: &mut Progress) -> Result<(), ReadError> {
        let offset = progress.next_offset;
        if offset >= self.head.segment_bytes {
            return Err(self.damaged(offset, "the segment ends before a frame that it should hold"));
        }
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
        let mut at = first;
        // Into the table only once the whole group was read, so that an error leaves it as it was.
        let mut rows = Vec::with_capacity((group.frames as usize).min(BLOCK_BYTES));
        let (mut sequence, mut mac) = (progress.next_sequence, progress.mac);
        for _ in 0..group.frames {
            let mut header = [0; FRAME_HEADER_BYTES];
            self.read(at, &mut header)?;
            let head = format::decode_frame(&header, &self.head.ledger).map_err(|reason| self.damaged(at, reason))?;
            let number = self.head.first_frame + (progress.rows.len() + rows.len()) as u64;
            let next = at + (FRAME_HEADER_BYTES + head.body_bytes()) as u64;
            if head.number != number || head.first_sequence != sequence || next > end {
                return Err(self.damaged(at, "the frame is not the next one"));
            }
            if keys.mac(head.key_id, &mac, &header[..FRAME_MACED]) != Some(head.mac) {
                return Err(self.damaged(at, "the chain MAC does not match"));
            }
            rows.push(Row { first_sequence: sequence, offset: at as u32 });
            (sequence, mac, at) = (head.next_sequence(), head.mac, next);
        }
        progress.rows.extend(rows);
        progress.next_offset = offset + group.bytes();
        progress.next_group += 1;
        (progress.next_sequence, progress.mac) = (sequence, mac);
        Ok(())
    }
}

/// The tables in memory, shared by all readers; the one used longest ago goes first.
pub(crate) struct Tables {
    storage: Arc<dyn Storage>,
    /// Most recently used last.
    recent: Mutex<Vec<Arc<SegmentTable>>>,
}

impl Tables {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Tables {
        Tables { storage, recent: Mutex::new(Vec::with_capacity(SEGMENT_TABLES)) }
    }

    /// Tables of the same log for somebody else.
    pub(crate) fn apart(&self) -> Tables {
        Tables::new(Arc::clone(&self.storage))
    }

    /// Where the segments are.
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
        let table = Arc::new(SegmentTable::open(&*self.storage, head)?);
        if recent.len() == SEGMENT_TABLES {
            recent.remove(0);
        }
        recent.push(Arc::clone(&table));
        Ok(table)
    }
}
