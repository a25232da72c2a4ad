//! Reads sealed segments again, past the cache where the storage can, and checks what recovery checks, with the code of recovery's walk:
//! first block, groups, padding, frames, digests, chain, and that the next segment goes on where this one ends. It takes no lock while it
//! reads, writes nothing, and passes no verdict on a tail: what is sealed was acknowledged to its last frame.

use std::sync::Arc;

use crate::block::Blocks;
use crate::error::RecoverError;
use crate::format::{Reason, SegmentHead};
use crate::frame::Frame;
use crate::group::LogEnd;
use crate::key::KeyRing;
use crate::reader::{LogReader, SealedSegment};
use crate::segments::segment_name;
use crate::storage::{Access, Storage};
use crate::walk::{Stop, Walked, Window, open_segment, stray_blocks};

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
        let Some((head, next)) = self.reader.heads_at(segment.ordinal) else { return Ok(None) };
        match self.walk(&head, &next, keep) {
            Ok(rot) => Ok(rot),
            Err(RecoverError::Apply { error, .. }) => Err(error),
            Err(error) => Ok(Some(rot_of(error))),
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
        let mut walked = before(head);
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
        let goes_on = (end.next_group, end.last_frame + 1, end.next_sequence, end.mac)
            == (next.first_group, next.first_frame, next.first_sequence, next.previous_mac);
        if !goes_on {
            return at(offset, bad.unwrap_or("a group that was written is not there"));
        }
        if stray_blocks(&*self.storage, &walked.stop, Access::Blocks)? > 0 {
            return at(offset, "blocks behind the last group are not zeros: nothing is lost, but look after the disk");
        }
        let last = crate::frame::FramePlace { segment: head.ordinal, offset };
        read(size).map_err(|error| RecoverError::apply(end.last_frame, &last, error))?;
        Ok(None)
    }
}

/// A walk that has come to the beginning of a segment.
fn before(head: &SegmentHead) -> Walked {
    let end = LogEnd {
        ledger: head.ledger,
        segment_bytes: head.segment_bytes,
        segment: Some(*head),
        offset: 0,
        next_group: head.first_group,
        last_frame: head.first_frame - 1,
        next_sequence: head.first_sequence,
        last_time_ns: 0,
        mac: head.previous_mac,
    };
    let stop = Stop { segment: head.ordinal, offset: 0, bad: None, next: "" };
    Walked {
        end,
        heads: vec![*head],
        stop,
        frames: 0,
        groups: 0,
        bytes: 0,
        stray_blocks: 0,
        last_group: None,
        gap: None,
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
        | RecoverError::Point(_)
        | RecoverError::Damaged(_)
        | RecoverError::Apply { .. } => unreachable!("a walk of a segment finds nothing of these"),
    }
}
