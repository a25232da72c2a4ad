//! The verdict on the end of a walk: does anything on the disk say that what cannot be read had been durable? Then it is
//! damage, and the log is refused. Otherwise it is a torn write that nobody was told of.

use crate::block::Blocks;
use crate::error::{Damage, Proof, RecoverError};
use crate::format::{GroupHead, SegmentHead, WatermarkSlot};
use crate::limits::{BLOCK_BYTES, READ_CHUNK_BYTES};
use crate::pack::format::PackHead;
use crate::segments::{LOG_FOLDER, segment_name, segment_ordinal};
use crate::storage::{Access, Storage};
use crate::walk::{TOO_LONG, Walked};
use crate::window::{Window, open_segment};

/// Looks for proof in the rest of the last segment, in all later segments and packs, in the watermark, and in the last frames of the
/// newest snapshot and run of ids, 0 if there is none.
pub(crate) fn damage<E>(
    storage: &dyn Storage,
    walked: &Walked,
    watermark: &WatermarkSlot,
    (snapshot, ids): (u64, u64),
    access: Access,
) -> Result<Option<Damage>, RecoverError<E>> {
    let last = walked.end.last_frame;
    let mut found: Option<(Option<u64>, Proof)> = None;
    // The proof that names the highest frame is told.
    let mut offer = |upto: Option<u64>, proof: Proof| {
        if found.as_ref().is_none_or(|(best, _)| upto > *best) {
            found = Some((upto, proof));
        }
    };
    if let Some(segment) = walked.end.segment.as_ref().filter(|_| !walked.end.packed) {
        for head in later_groups(storage, walked, segment, access)? {
            let file = segment_name(segment.ordinal);
            if head.durable_upto > last {
                let proof = Proof::DurableUpto { file, offset: head.offset, frame: head.durable_upto };
                offer(Some(head.durable_upto), proof);
            } else if head.number > walked.end.next_group && head.frames > 0 {
                offer(None, Proof::LaterGroup { file, offset: head.offset });
            }
        }
    }
    let mut later_segment = false;
    for ordinal in later_segments(storage, walked)? {
        if let Some(head) = begun(storage, walked, ordinal, access)? {
            later_segment = true;
            let upto = Some(head.first_frame - 1).filter(|&frame| frame > last);
            offer(upto, Proof::LaterSegment { file: segment_name(ordinal), first_frame: head.first_frame });
        }
    }
    for pack in &walked.later_packs {
        // A pack is made of sealed segments, and has its name only once it was read back.
        later_segment = true;
        let first_frame = pack.segments[0].head.first_frame;
        let upto = Some(pack.next_frame - 1).filter(|&frame| frame > last);
        offer(upto, Proof::LaterSegment { file: pack.range().name(), first_frame });
    }
    let watermark_segment = watermark.segment > walked.stop.segment;
    if watermark.frame > last || watermark_segment {
        let upto = Some(watermark.frame).filter(|&frame| frame > last);
        offer(upto, Proof::Watermark { frame: watermark.frame, group: watermark.group });
    }
    if snapshot > last {
        offer(Some(snapshot), Proof::Snapshot { frame: snapshot });
    }
    if ids > last {
        offer(Some(ids), Proof::Ids { frame: ids });
    }
    // Without a bad group in the last segment, and with a later one known to have been begun, its own first block is
    // what cannot be read.
    let at_next = walked.stop.bad.is_none() && (watermark_segment || later_segment) && walked.gap.is_none();
    Ok(found.map(|(acknowledged_upto, proof)| {
        let (file, offset, reason) = match at_next {
            true => (segment_name(walked.stop.segment + 1), 0, walked.stop.next),
            false => {
                let reason = walked.stop.bad.unwrap_or("there are zeros where a group was");
                let pack = walked.packs.last().filter(|_| walked.end.packed);
                let file = pack.map_or(segment_name(walked.stop.segment.max(1)), |pack| pack.range().name());
                (file, pack.map_or(walked.stop.offset, PackHead::frames_end), reason)
            }
        };
        Damage { file, offset, reason, last_good_frame: last, acknowledged_upto, proof }
    }))
}

/// Headers of groups in the rest of the segment, from where the walk stopped, at any block.
fn later_groups<E>(
    storage: &dyn Storage,
    walked: &Walked,
    segment: &SegmentHead,
    access: Access,
) -> Result<Vec<GroupHead>, RecoverError<E>> {
    let mut heads: Vec<GroupHead> = Vec::new();
    let Some((file, size)) = open_segment(storage, segment.ordinal, access)? else { return Ok(heads) };
    let mut memory = Blocks::new(READ_CHUNK_BYTES);
    let mut window = Window::new(&mut memory, file, size.min(segment.segment_bytes));
    let mut offset = walked.stop.offset;
    while let Some(block) = window.fetch(offset, BLOCK_BYTES).map_err(|source| RecoverError::Io {
        file: segment_name(segment.ordinal),
        offset,
        source,
    })? {
        // The header alone is proof: what it says was known when it was written, whole body or not.
        if let Ok(head) = GroupHead::decode(block, segment, offset)
            && head.number >= walked.end.next_group
        {
            // The first that is proof by itself and those that know more than all before are all that a verdict needs.
            let is_proof = |head: &GroupHead| head.frames > 0 && head.number > walked.end.next_group;
            let knows_more = heads.iter().all(|old| old.durable_upto < head.durable_upto);
            if knows_more || (is_proof(&head) && !heads.iter().any(is_proof)) {
                heads.push(head);
            }
        }
        offset += BLOCK_BYTES as u64;
    }
    Ok(heads)
}

fn later_segments<E>(storage: &dyn Storage, walked: &Walked) -> Result<Vec<u64>, RecoverError<E>> {
    let names =
        storage.list(LOG_FOLDER).map_err(|source| RecoverError::Io { file: LOG_FOLDER.into(), offset: 0, source })?;
    let mut ordinals: Vec<u64> = names.iter().filter_map(|name| segment_ordinal(name)).collect();
    ordinals.retain(|&ordinal| ordinal > walked.stop.segment);
    ordinals.sort_unstable();
    Ok(ordinals)
}

/// The first block of a later segment, if it was written for this ledger and ordinal. A file that is too long is refused before
/// anything could be written there: once the log had gone on in it, no start would read it.
fn begun<E>(
    storage: &dyn Storage,
    walked: &Walked,
    ordinal: u64,
    access: Access,
) -> Result<Option<SegmentHead>, RecoverError<E>> {
    let Some((file, size)) = open_segment(storage, ordinal, access)? else { return Ok(None) };
    if size > walked.end.segment_bytes {
        return Err(RecoverError::Segment { file: segment_name(ordinal), offset: 0, reason: TOO_LONG });
    }
    let mut memory = Blocks::new(BLOCK_BYTES);
    let mut window = Window::new(&mut memory, file, size.min(BLOCK_BYTES as u64));
    let block = window.fetch(0, BLOCK_BYTES).map_err(|source| RecoverError::Io {
        file: segment_name(ordinal),
        offset: 0,
        source,
    })?;
    let head = block.and_then(|block| SegmentHead::decode(block).ok());
    Ok(head.filter(|head| head.ledger == walked.end.ledger && head.ordinal == ordinal))
}
