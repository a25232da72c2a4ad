//! Writes one pack and reads it back: every group and frame of the raw segments is checked on the way in, every frame of the pack on
//! the way back. It has another name until then, and no raw file is touched.

use super::format::{PackHead, PackedSegment, header_bytes};
use super::walk::{PackFault, open_pack, read_head, walk_pack};
use crate::block::Blocks;
use crate::error::PackError;
use crate::format::SegmentHead;
use crate::group::LogEnd;
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES, PACK_WRITE_BYTES, to_blocks};
use crate::segments::segment_name;
use crate::storage::{Access, Storage, StorageFile};
use crate::window::{FoundGroup, Window, read_group};
use florin_planted::{Fault, planted};
use std::ops::ControlFlow;

/// Called with the bytes that were read or written since the last time; a break ends the work.
pub(crate) type Keep<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

/// What is needed to make packs.
pub(crate) struct Maker<'a> {
    pub storage: &'a dyn Storage,
    pub manifest: &'a LedgerManifest,
    pub keys: &'a KeyRing,
}

impl Maker<'_> {
    /// Makes a pack of these segments, which another one follows, in a new file.
    pub(crate) fn make(
        &self,
        name: &str,
        segments: &[SegmentHead],
        next: &SegmentHead,
        keep: Keep<'_>,
    ) -> Result<PackHead, PackError> {
        let file = self.storage.create(name).map_err(PackError::io(name, 0))?;
        let pack = self.write(&*file, name, segments, next, keep)?;
        file.sync_all().map_err(PackError::io(name, 0))?;
        drop(file);
        if !planted(Fault::PackNotReadBack) {
            self.check(name, &pack, keep)?;
        }
        Ok(pack)
    }

    fn write(
        &self,
        file: &dyn StorageFile,
        name: &str,
        segments: &[SegmentHead],
        next: &SegmentHead,
        keep: Keep<'_>,
    ) -> Result<PackHead, PackError> {
        let frames_offset = header_bytes(segments.len());
        let mut out = Pieces { file, name, memory: Blocks::new(PACK_WRITE_BYTES), start: frames_offset, filled: 0 };
        let mut packed = Vec::with_capacity(segments.len());
        let behind = segments[1..].iter().chain([next]);
        for (segment, behind) in segments.iter().zip(behind) {
            let offset = out.position();
            self.copy_frames(segment, behind, &mut out, keep)?;
            packed.push(PackedSegment { head: *segment, offset, bytes: out.position() - offset });
        }
        out.finish()?;
        let pack = PackHead {
            segments: packed,
            next_group: next.first_group,
            next_frame: next.first_frame,
            next_sequence: next.first_sequence,
            last_mac: next.previous_mac,
        };
        let mut header = Blocks::new(frames_offset as usize);
        pack.encode(header.bytes_mut());
        file.write_at(header.bytes(), 0).map_err(PackError::io(name, 0))?;
        Ok(pack)
    }

    /// Appends the frames of a raw segment, all of which must be as the segment behind it says.
    fn copy_frames(
        &self,
        segment: &SegmentHead,
        behind: &SegmentHead,
        out: &mut Pieces<'_>,
        keep: Keep<'_>,
    ) -> Result<(), PackError> {
        let name = segment_name(segment.ordinal);
        let file = self.storage.open(&name, Access::Blocks).map_err(PackError::io(&name, 0))?;
        let size = file.size().map_err(PackError::io(&name, 0))?;
        let mut memory = Window::memory(segment.segment_bytes);
        let mut window = Window::new(&mut memory, file, size.min(segment.segment_bytes));
        let bad = |offset, reason| PackError::Damaged { file: name.clone(), offset, reason };
        let first = window.fetch(0, BLOCK_BYTES).map_err(PackError::io(&name, 0))?;
        if first.and_then(|block| SegmentHead::decode(block).ok()) != Some(*segment) {
            return Err(bad(0, "its first block is not what it was"));
        }
        let mut end = LogEnd::in_front_of(segment);
        while end.next_group < behind.first_group {
            let offset = end.offset;
            let found = read_group(&mut window, segment, offset, end.next_group, end.last_frame);
            let (group, mut body) = match found.map_err(PackError::io(&name, offset))? {
                FoundGroup::Whole(group, body) => (group, body),
                FoundGroup::Nothing => return Err(bad(offset, "a group is missing")),
                FoundGroup::Broken(reason) | FoundGroup::Unknown(reason) => return Err(bad(offset, reason)),
            };
            out.push(body)?;
            for _ in 0..group.frames {
                let (head, ..) = end.next_frame(self.keys, body).map_err(|reason| bad(offset, reason))?;
                end.pass(&head);
                body = &body[FRAME_HEADER_BYTES + head.body_bytes()..];
            }
            if !body.is_empty() {
                return Err(bad(offset, "the group has bytes behind its last frame"));
            }
            end.next_group += 1;
            end.offset += group.bytes();
            paced(keep, group.bytes() as usize + group.body_bytes as usize)?;
        }
        match end.continues_with(behind) {
            true => Ok(()),
            false => Err(bad(end.offset, "its frames do not end where the next segment begins")),
        }
    }

    /// Reads the pack back, from the disk if the storage can, and checks all of it.
    fn check(&self, name: &str, pack: &PackHead, keep: Keep<'_>) -> Result<(), PackError> {
        let (file, size) = open_pack(self.storage, name, Access::Blocks).map_err(PackError::io(name, 0))?;
        let bad = |offset, reason| PackError::Damaged { file: name.into(), offset, reason };
        let head = read_head(&*file, size, self.manifest).map_err(PackError::io(name, 0))?;
        if head.map_err(|reason| bad(0, reason))? != *pack {
            return Err(bad(0, "its header is not what was written"));
        }
        let range = pack.range();
        let mut memory = Window::memory(self.manifest.segment_bytes);
        let mut window = Window::new(&mut memory, file, size);
        let mut end = LogEnd::in_front_of(&pack.segments[0].head);
        let walked = walk_pack(pack, (range.first, u64::MAX), &mut window, self.keys, &mut end, &mut |frame| {
            paced(keep, FRAME_HEADER_BYTES + frame.head.body_bytes())
        });
        walked.map_err(|fault| match fault {
            PackFault::Io { offset, source } => PackError::io(name, offset)(source),
            PackFault::Bad { offset, reason } => bad(offset, reason),
            PackFault::Apply { error, .. } => error,
        })
    }
}

/// Keeps the pace of whoever packs.
pub(crate) fn paced(keep: Keep<'_>, bytes: usize) -> Result<(), PackError> {
    match keep(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(PackError::Stopped),
    }
}

/// Bytes on their way to a file, in pieces of whole blocks.
struct Pieces<'a> {
    file: &'a dyn StorageFile,
    name: &'a str,
    memory: Blocks,
    /// Where in the file the memory begins.
    start: u64,
    filled: usize,
}

impl Pieces<'_> {
    fn position(&self) -> u64 {
        self.start + self.filled as u64
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), PackError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.memory.len() - self.filled));
            self.memory.bytes_mut()[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.memory.len() {
                self.write()?;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), PackError> {
        let whole = to_blocks(self.filled as u64) as usize;
        self.memory.bytes_mut()[self.filled..whole].fill(0);
        if planted(Fault::PackNotReadBack) {
            self.memory.bytes_mut()[self.filled / 2] ^= 1;
        }
        let failed = PackError::io(self.name, self.start);
        self.file.write_at(&self.memory.bytes()[..whole], self.start).map_err(failed)?;
        (self.start, self.filled) = (self.start + whole as u64, 0);
        Ok(())
    }

    fn finish(mut self) -> Result<(), PackError> {
        if self.filled > 0 { self.write() } else { Ok(()) }
    }
}
