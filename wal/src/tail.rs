//! What lies behind the last group when nothing says that it was durable: found, overwritten with zeros, synced. Files
//! are never cut or removed. Interrupted, it leaves less of a torn tail and the same log.

use crate::block::Blocks;
use crate::error::RecoverError;
use crate::format::{SegmentHead, all_zero};
use crate::limits::{BLOCK_BYTES, FILL_CHUNK_BYTES, READ_CHUNK_BYTES};
use crate::report::TornTail;
use crate::segments::{LOG_FOLDER, segment_name};
use crate::storage::{Access, Storage};
use crate::walk::{Stop, Walked};
use crate::watermark::WATERMARK_FILE;
use crate::window::{Window, open_segment};
use florin_planted::{Fault, planted};

/// What is behind the log.
pub(crate) struct Tail {
    /// The torn write, if there was one.
    pub torn: Option<TornTail>,
    /// Stretches to be zeroed, as segment, first byte, end.
    pub dirty: Vec<(u64, u64, u64)>,
    /// Segments up to this one are whole and, once what is dirty is zeroed, ready for use.
    pub ready_upto: u64,
}

/// Looks at the rest of the last segment and at the spares. A spare that was cut short is left to be filled again.
pub(crate) fn inspect<E>(storage: &dyn Storage, walked: &Walked, access: Access) -> Result<Tail, RecoverError<E>> {
    let mut tail = Tail { torn: None, dirty: Vec::new(), ready_upto: walked.stop.segment };
    let segment_bytes = walked.end.segment_bytes;
    if has_raw_end(walked) {
        let Stop { segment, offset, .. } = walked.stop;
        let end = dirty_end(storage, segment, offset, segment_bytes, true, access)?;
        if let Some((end, _)) = end.flatten() {
            tail.dirty.push((segment, offset, end));
            tail.torn = Some(TornTail { file: segment_name(segment), offset, bytes: end - offset });
        }
    }
    loop {
        let ordinal = tail.ready_upto + 1;
        let Some(dirty) = dirty_end(storage, ordinal, 0, segment_bytes, false, access)? else { return Ok(tail) };
        if let Some((end, stale)) = dirty {
            tail.dirty.push((ordinal, 0, end));
            // A first write to the next segment that did not land whole; content of an older life is none.
            if ordinal == walked.stop.segment + 1 && tail.torn.is_none() && !stale {
                tail.torn = Some(TornTail { file: segment_name(ordinal), offset: 0, bytes: end });
            }
        }
        tail.ready_upto = ordinal;
    }
}

/// Whether the log ends in a segment with a file of its own.
fn has_raw_end(walked: &Walked) -> bool {
    walked.end.segment.is_some() && !walked.end.packed
}

/// End of the last block that is not zero, and whether the file begins with a whole first block. `None`: the file is
/// not whole (and need not be); `Some(None)`: all zeros.
#[allow(clippy::type_complexity)]
fn dirty_end<E>(
    storage: &dyn Storage,
    ordinal: u64,
    from: u64,
    segment_bytes: u64,
    in_use: bool,
    access: Access,
) -> Result<Option<Option<(u64, bool)>>, RecoverError<E>> {
    let Some((file, size)) = open_segment(storage, ordinal, access)? else { return Ok(None) };
    if size != segment_bytes {
        // A segment in use has to be made whole again; a spare is filled anew by the allocator.
        return Ok(in_use.then_some(Some((segment_bytes, false))));
    }
    let mut memory = Blocks::new(READ_CHUNK_BYTES);
    let mut window = Window::new(&mut memory, file, size);
    let (mut offset, mut end, mut stale) = (from, None, false);
    while let Some(block) = window.fetch(offset, BLOCK_BYTES).map_err(|source| RecoverError::Io {
        file: segment_name(ordinal),
        offset,
        source,
    })? {
        if offset == 0 {
            stale = SegmentHead::decode(block).is_ok();
        }
        offset += BLOCK_BYTES as u64;
        if !all_zero(block) {
            end = Some(offset);
        }
    }
    Ok(Some(end.map(|end| (end, stale))))
}

/// Zeros what is dirty, then makes the last segment and the names in the folder durable, whoever wrote them.
pub(crate) fn settle<E>(storage: &dyn Storage, walked: &Walked, tail: &Tail) -> Result<(), RecoverError<E>> {
    let zeros = Blocks::new(FILL_CHUNK_BYTES);
    for &(ordinal, from, end) in tail.dirty.iter().filter(|_| !planted(Fault::TornTailLeft)) {
        let at = |offset| move |source| RecoverError::Io { file: segment_name(ordinal), offset, source };
        let file = storage.open(&segment_name(ordinal), Access::Blocks).map_err(at(from))?;
        let mut offset = from;
        while offset < end {
            let take = (end - offset).min(zeros.len() as u64);
            file.write_at(&zeros.bytes()[..take as usize], offset).map_err(at(offset))?;
            offset += take;
        }
        file.sync_all().map_err(at(from))?;
    }
    let Stop { segment, offset, .. } = walked.stop;
    if has_raw_end(walked) && !planted(Fault::RecoveredNotSynced) {
        let at = |source| RecoverError::Io { file: segment_name(segment), offset, source };
        storage.open(&segment_name(segment), Access::Blocks).and_then(|file| file.sync_all()).map_err(at)?;
    }
    // A kill may have left the newer slot in the cache alone: the next one goes over the older, and a power cut in the middle
    // of that must find one of the two whole.
    let at = |source| RecoverError::Io { file: WATERMARK_FILE.into(), offset: 0, source };
    storage.open(WATERMARK_FILE, Access::Blocks).and_then(|file| file.sync_all()).map_err(at)?;
    let at = |source| RecoverError::Io { file: LOG_FOLDER.into(), offset: 0, source };
    storage.sync_directory(LOG_FOLDER).map_err(at)
}
