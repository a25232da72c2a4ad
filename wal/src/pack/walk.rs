//! Finds the packs of a log and checks the frames of one: the header, then each frame as in a raw segment, and each row of the header
//! against what was read. Writes nothing.

use super::format::{PACK_HEADER_BYTES_MAX, PackHead};
use crate::block::Blocks;
use crate::error::RecoverError;
use crate::format::{self, Reason, all_zero};
use crate::frame::{Frame, FramePlace};
use crate::group::LogEnd;
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::limits::{BLOCK_BYTES, FRAME_BYTES_CAP, FRAME_HEADER_BYTES, frame_bytes_max};
use crate::segments::{LOG_FOLDER, PackRange, pack_range, segment_ordinal};
use crate::storage::{Access, Storage, StorageFile};
use crate::window::Window;
use std::collections::BTreeSet;
use std::io;

/// A pack by its header.
pub(crate) struct FoundPack {
    pub head: PackHead,
    /// Whether all raw segments of its range are there too: then it is not needed.
    pub raw_there: bool,
    /// Whether some of them are.
    pub raw_left: bool,
}

/// All packs of a log, by their headers, in order.
pub(crate) fn find_packs<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    access: Access,
) -> Result<Vec<FoundPack>, RecoverError<E>> {
    let names =
        storage.list(LOG_FOLDER).map_err(|source| RecoverError::Io { file: LOG_FOLDER.into(), offset: 0, source })?;
    let mut ranges: Vec<PackRange> = names.iter().filter_map(|name| pack_range(name)).collect();
    ranges.sort_unstable();
    let raw: BTreeSet<u64> = names.iter().filter_map(|name| segment_ordinal(name)).collect();
    let raw_there = |range: &PackRange| (range.first..=range.last).all(|ordinal| raw.contains(&ordinal));
    let bad = |range: &PackRange, reason| RecoverError::Pack {
        file: range.name(),
        offset: 0,
        reason,
        raw_there: raw_there(range),
    };
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].first <= pair[0].last) {
        return Err(bad(&pair[1], "its segments are also in the pack before it"));
    }
    let mut packs = Vec::with_capacity(ranges.len());
    for range in ranges {
        let at = |source| RecoverError::Io { file: range.name(), offset: 0, source };
        let (file, size) = open_pack(storage, &range.name(), access).map_err(at)?;
        let head = read_head(&*file, size, manifest).map_err(at)?.map_err(|reason| bad(&range, reason))?;
        if head.range() != range {
            return Err(bad(&range, "its header is of other segments than its name"));
        }
        let raw_left = raw.range(range.first..=range.last).next().is_some();
        packs.push(FoundPack { head, raw_there: raw_there(&range), raw_left });
    }
    Ok(packs)
}

pub(crate) fn open_pack(storage: &dyn Storage, name: &str, access: Access) -> io::Result<(Box<dyn StorageFile>, u64)> {
    let file = storage.open(name, access)?;
    let size = file.size()?;
    Ok((file, size))
}

/// The header of a pack, or why it is none. The file has the length that the header gives it.
pub(crate) fn read_head(
    file: &dyn StorageFile,
    size: u64,
    manifest: &LedgerManifest,
) -> io::Result<Result<PackHead, Reason>> {
    let whole = size - size % BLOCK_BYTES as u64;
    let mut memory = Blocks::new(PACK_HEADER_BYTES_MAX);
    let bytes = &mut memory.bytes_mut()[..whole.min(PACK_HEADER_BYTES_MAX as u64) as usize];
    file.read_at(bytes, 0)?;
    Ok(PackHead::decode(bytes, &manifest.ledger, manifest.segment_bytes).and_then(|head| {
        match size == head.file_bytes() {
            true => Ok(head),
            false => Err("the file is cut short or too long"),
        }
    }))
}

/// Why a pack was not read to its end.
pub(crate) enum PackFault<E> {
    /// The file cannot be read.
    Io { offset: u64, source: io::Error },
    /// It is not what was written.
    Bad { offset: u64, reason: Reason },
    /// The caller did not accept a frame.
    Apply { frame: u64, place: FramePlace, error: E },
}

/// Checks the frames of a pack from its segment `from` on, in front of which the log stands, and gives each to `each`. At last `end` is
/// behind the pack, or behind the frame `upto`.
pub(crate) fn walk_pack<E>(
    pack: &PackHead,
    (from, upto): (u64, u64),
    window: &mut Window<'_>,
    keys: &KeyRing,
    end: &mut LogEnd,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<(), PackFault<E>> {
    let range = pack.range();
    let frame_max = (FRAME_HEADER_BYTES + frame_bytes_max(end.segment_bytes, FRAME_BYTES_CAP)) as u64;
    for segment in pack.segments.iter().filter(|segment| segment.head.ordinal >= from) {
        let mut offset = segment.offset;
        // Of the groups in it only the header tells, so only in front of it they can be compared.
        let goes_on = match segment.head.ordinal == from {
            true => end.continues_with(&segment.head),
            false => end.frames_continue_with(&segment.head),
        };
        if !goes_on {
            return Err(PackFault::Bad { offset, reason: "the frames before it are not those that its header says" });
        }
        end.segment = Some(segment.head);
        while offset < segment.end() {
            let bad = |reason| PackFault::Bad { offset, reason };
            let left = segment.end() - offset;
            // Before it is read: what may be read at once is bounded.
            let within = |bytes: u64| match bytes <= left.min(frame_max) {
                true => Ok(bytes as usize),
                false => Err(bad("the frame is longer than its segment or than a frame may be")),
            };
            let header = within(FRAME_HEADER_BYTES as u64)?;
            let head = read(window, offset, header)?;
            let head = format::decode_frame(head, &end.ledger).map_err(bad)?;
            let whole = within(FRAME_HEADER_BYTES as u64 + head.body_bytes() as u64)?;
            let (head, payload, vouchers) = end.next_frame(keys, read(window, offset, whole)?).map_err(bad)?;
            let place = FramePlace { segment: segment.head.ordinal, offset, pack: Some(range) };
            each(Frame { head, payload, vouchers, place }).map_err(|error| PackFault::Apply {
                frame: head.number,
                place,
                error,
            })?;
            end.pass(&head);
            offset += whole as u64;
            if head.number >= upto {
                (end.offset, end.packed) = (end.segment_bytes, true);
                return Ok(());
            }
        }
    }
    let offset = pack.frames_end();
    if !pack.ends_at(end) {
        return Err(PackFault::Bad { offset, reason: "its frames do not end where its header says" });
    }
    let padding = (pack.file_bytes() - offset) as usize;
    if padding > 0 && !all_zero(read(window, offset, padding)?) {
        return Err(PackFault::Bad { offset, reason: "what follows its last frame is not zero" });
    }
    (end.next_group, end.offset, end.packed) = (pack.next_group, end.segment_bytes, true);
    Ok(())
}

fn read<'w, E>(window: &'w mut Window<'_>, offset: u64, bytes: usize) -> Result<&'w [u8], PackFault<E>> {
    match window.fetch_bytes(offset, bytes) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(PackFault::Bad { offset, reason: "the file is cut short" }),
        Err(source) => Err(PackFault::Io { offset, source }),
    }
}
