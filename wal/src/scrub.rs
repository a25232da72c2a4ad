//! Reads sealed segments again, past the cache where the storage can, and checks what recovery checks, with the code of recovery's walk:
//! first block, groups, padding, frames, digests, chain, and that the next segment goes on where this one ends. It takes no lock while it
//! reads, writes nothing, and passes no verdict on a tail: what is sealed was acknowledged to its last frame.

use std::sync::Arc;

use crate::block::Blocks;
use crate::error::RecoverError;
use crate::format::{Reason, SegmentHead};
use crate::frame::{Frame, FramePlace};
use crate::group::LogEnd;
use crate::key::KeyRing;
use crate::pack::format::PackHead;
use crate::pack::walk::{PackFault, open_pack, read_head, walk_pack};
use crate::reader::{LogReader, SealedSegment};
use crate::segments::segment_name;
use crate::storage::{Access, Storage};
use crate::walk::{Stop, Walked, stray_blocks};
use crate::window::{Window, open_segment};

/// Bytes that were durable and are no longer what was written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file} at offset {offset}: {reason}")]
pub struct Rot {
    /// The file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

/// Checks segments one after the other.
pub struct SegmentScrub {
    reader: LogReader,
    storage: Arc<dyn Storage>,
    keys: KeyRing,
    memory: Option<Blocks>,
}

impl LogReader {
    /// Checks segments of this log, with memory for the largest group.
    pub fn scrub(&self) -> SegmentScrub {
        SegmentScrub { reader: self.clone(), storage: self.storage(), keys: self.keys().clone(), memory: None }
    }
}

impl SegmentScrub {
    /// Reads a sealed segment to its end. `keep` is told how many bytes were read since it was told last; its error ends the reading. Gives
    /// the first thing that is wrong.
    pub fn check<E>(
        &mut self,
        segment: &SealedSegment,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<Rot>, E> {
        if let Some(pack) = self.reader.pack_of(segment.ordinal) {
            // As a whole, with its first segment.
            return if pack.range().first == segment.ordinal { self.check_pack(&pack, keep) } else { Ok(None) };
        }
        let Some((head, next)) = self.reader.heads_at(segment.ordinal) else { return Ok(None) };
        match self.walk(&head, &next, keep) {
            // It was packed since, and its file removed.
            Ok(Some(_)) if self.reader.pack_of(segment.ordinal).is_some() => Ok(None),
            Ok(rot) => Ok(rot),
            Err(RecoverError::Apply { error, .. }) => Err(error),
            Err(error) => Ok(Some(rot_of(error))),
        }
    }

    fn check_pack<E>(
        &mut self,
        pack: &PackHead,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<Rot>, E> {
        let file = pack.range().name();
        let rot = |offset, reason: String| Ok(Some(Rot { file: file.clone(), offset, reason }));
        let (open, size) = match open_pack(&*self.storage, &file, Access::Blocks) {
            Ok(opened) => opened,
            Err(error) => return rot(0, error.to_string()),
        };
        match read_head(&*open, size, self.reader.manifest()) {
            Err(error) => return rot(0, error.to_string()),
            Ok(Err(reason)) => return rot(0, reason.into()),
            Ok(Ok(head)) if head != *pack => return rot(0, "its header is not the one that was written".into()),
            Ok(Ok(_)) => {}
        }
        let first = &pack.segments[0].head;
        let memory = self.memory.get_or_insert_with(|| Window::memory(first.segment_bytes));
        let mut window = Window::new(memory, open, size);
        let mut end = LogEnd::in_front_of(first);
        let mut seen = 0;
        let mut read = |upto: u64| keep((upto - std::mem::replace(&mut seen, upto)) as usize);
        let walked = walk_pack(pack, (first.ordinal, u64::MAX), &mut window, &self.keys, &mut end, &mut |frame| {
            read(frame.place.offset)
        });
        match walked {
            Err(PackFault::Io { offset, source }) => rot(offset, source.to_string()),
            Err(PackFault::Bad { offset, reason }) => rot(offset, reason.into()),
            Err(PackFault::Apply { error, .. }) => Err(error),
            Ok(()) => read(size).map(|()| None),
        }
    }

    fn walk<E>(
        &mut self,
        head: &SegmentHead,
        next: &SegmentHead,
        keep: &mut dyn FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<Rot>, RecoverError<E>> {
        let at = |offset, reason: Reason| Ok(Some(rot(head, offset, reason)));
        let Some((file, size)) = open_segment(&*self.storage, head.ordinal, Access::Blocks)? else {
            return at(0, "the file is missing");
        };
        if size > head.segment_bytes {
            return at(0, "the file is longer than a segment of this ledger");
        }
        let memory = self.memory.get_or_insert_with(|| Window::memory(head.segment_bytes));
        let mut window = Window::new(memory, file, size);
        let mut walked = Walked::in_front_of(head);
        match walked.first_block(&mut window, head.ordinal)? {
            Err(reason) => return at(0, reason),
            Ok(found) if found != *head => return at(0, "its first block is not the one that was written"),
            Ok(_) => {}
        }
        let mut seen = 0;
        let mut read = |upto: u64| keep((upto - std::mem::replace(&mut seen, upto)) as usize);
        walked.segment(&self.keys, *head, &mut window, u64::MAX, &mut |frame: Frame<'_>| read(frame.place.offset))?;
        let Stop { offset, bad, .. } = walked.stop;
        let end = &walked.end;
        if !end.continues_with(next) {
            return at(offset, bad.unwrap_or("a group that was written is not there"));
        }
        if stray_blocks(&*self.storage, &walked.stop, Access::Blocks)? > 0 {
            return at(offset, "blocks behind the last group are not zeros: nothing is lost, but look after the disk");
        }
        let last = FramePlace::raw(head.ordinal, offset);
        read(size).map_err(|error| RecoverError::apply(end.last_frame, &last, error))?;
        Ok(None)
    }
}

fn rot(head: &SegmentHead, offset: u64, reason: &str) -> Rot {
    Rot { file: segment_name(head.ordinal), offset, reason: reason.into() }
}

/// What a walk of one segment says is wrong with it.
fn rot_of<E>(error: RecoverError<E>) -> Rot {
    match error {
        RecoverError::Io { file, offset, source } => Rot { file, offset, reason: source.to_string() },
        RecoverError::Segment { file, offset, reason } => Rot { file, offset, reason: reason.into() },
        RecoverError::Frame { file, offset, frame, reason } => {
            Rot { file, offset, reason: format!("frame {frame}: {reason}") }
        }
        RecoverError::Manifest(_)
        | RecoverError::Key(_)
        | RecoverError::Watermark { .. }
        | RecoverError::Pack { .. }
        | RecoverError::Point(_)
        | RecoverError::Damaged(_)
        | RecoverError::Apply { .. } => unreachable!("a walk of a segment finds nothing of these"),
    }
}
