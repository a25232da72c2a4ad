//! Reads a file of the log in large pieces, as whole blocks, so that it can be read past the cache.

use crate::block::Blocks;
use crate::error::RecoverError;
use crate::format::{Bad, GroupHead, Reason, SegmentHead, all_zero};
use crate::limits::{BLOCK_BYTES, GROUP_BYTES_MAX, GROUP_HEADER_BYTES, READ_CHUNK_BYTES, to_blocks};
use crate::salted::salted;
use crate::segments::segment_name;
use crate::storage::{Access, Storage, StorageFile};
use florin_planted::{Fault, planted};
use std::io;

/// A file that is read from its start to its end.
pub(crate) struct Window<'a> {
    memory: &'a mut Blocks,
    file: Box<dyn StorageFile>,
    /// Readable bytes: whole blocks of the file.
    pub size: u64,
    start: u64,
    filled: usize,
}

impl<'a> Window<'a> {
    pub(crate) fn new(memory: &'a mut Blocks, file: Box<dyn StorageFile>, size: u64) -> Window<'a> {
        Window { memory, file, size: size - size % BLOCK_BYTES as u64, start: 0, filled: 0 }
    }

    /// Memory for a window that can hold the largest group.
    pub(crate) fn memory(segment_bytes: u64) -> Blocks {
        Blocks::new((GROUP_BYTES_MAX + READ_CHUNK_BYTES).min(segment_bytes as usize))
    }

    /// `length` bytes (whole blocks) at `offset` (a multiple of a block), or `None` behind the end of the file.
    pub(crate) fn fetch(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if offset + length as u64 > self.size {
            return Ok(None);
        }
        if offset < self.start || offset > self.start + self.filled as u64 {
            (self.start, self.filled) = (offset, 0);
        }
        let mut at = (offset - self.start) as usize;
        if at + length > self.filled {
            self.memory.bytes_mut().copy_within(at..self.filled, 0);
            self.filled -= at;
            (self.start, at) = (offset, 0);
            let wanted = length.max(self.filled + READ_CHUNK_BYTES).min(self.memory.len());
            let until = wanted.min((self.size - self.start) as usize);
            let from = self.start + self.filled as u64;
            self.file.read_at(&mut self.memory.bytes_mut()[self.filled..until], from)?;
            self.filled = until;
        }
        Ok(Some(&self.memory.bytes()[at..at + length]))
    }

    /// `length` bytes at any offset, of which the whole blocks around them are read.
    pub(crate) fn fetch_bytes(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let lead = (offset % BLOCK_BYTES as u64) as usize;
        let blocks = to_blocks((lead + length) as u64) as usize;
        Ok(self.fetch(offset - lead as u64, blocks)?.map(|bytes| &bytes[lead..lead + length]))
    }
}

/// What stands where the next group of a segment would.
pub(crate) enum FoundGroup<'w> {
    /// The group: its header and body, both checked.
    Whole(GroupHead, &'w [u8]),
    /// Zeros, or the end of the segment.
    Nothing,
    /// No group, or not a whole one.
    Broken(Reason),
    /// A group that was written whole and cannot be.
    Unknown(Reason),
}

/// Reads the group with this number, in front of which `last_frame` is the last frame.
pub(crate) fn read_group<'w>(
    window: &'w mut Window<'_>,
    segment: &SegmentHead,
    offset: u64,
    number: u64,
    last_frame: u64,
) -> io::Result<FoundGroup<'w>> {
    if offset == segment.segment_bytes {
        return Ok(FoundGroup::Nothing);
    }
    let Some(block) = window.fetch(offset, BLOCK_BYTES)? else {
        return Ok(FoundGroup::Broken("the file is cut short"));
    };
    let head = match GroupHead::decode(block, segment, offset) {
        Ok(head) => head,
        Err(Bad::Broken(_)) if all_zero(block) => return Ok(FoundGroup::Nothing),
        Err(Bad::Broken(reason)) => return Ok(FoundGroup::Broken(reason)),
        Err(Bad::Unknown(reason)) => return Ok(FoundGroup::Unknown(reason)),
    };
    if head.number != number {
        return Ok(FoundGroup::Broken("the group is not the next one"));
    }
    if head.durable_upto != last_frame {
        return Ok(FoundGroup::Unknown("the group's durable position is not the last frame before it"));
    }
    let Some(bytes) = window.fetch(offset, head.bytes() as usize)? else {
        return Ok(FoundGroup::Broken("the file is cut short"));
    };
    let (body, padding) = bytes[GROUP_HEADER_BYTES..].split_at(head.body_bytes as usize);
    let mut crc = salted(segment.salt);
    crc.update(body);
    if crc.finalize() != head.body_crc && !planted(Fault::GroupChecksumIgnored) {
        return Ok(FoundGroup::Broken("the group's body does not match its checksum"));
    }
    match all_zero(padding) {
        true => Ok(FoundGroup::Whole(head, body)),
        false => Ok(FoundGroup::Broken("the group's padding is not zero")),
    }
}

/// A segment's file and its length.
pub(crate) type OpenSegment = (Box<dyn StorageFile>, u64);

/// Opens a segment for reading: `None` if there is none.
pub(crate) fn open_segment<E>(
    storage: &dyn Storage,
    ordinal: u64,
    access: Access,
) -> Result<Option<OpenSegment>, RecoverError<E>> {
    let at = |source| RecoverError::Io { file: segment_name(ordinal), offset: 0, source };
    match storage.open(&segment_name(ordinal), access) {
        Ok(file) => {
            let size = file.size().map_err(at)?;
            Ok(Some((file, size)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at(source)),
    }
}
