//! The oracle: what has to become of damaged files. It computes no checksum and no MAC; it compares the files with what the
//! disk was asked to write, byte for byte, and applies the rules of the page on the format to what is left. A part of a
//! file that differs from what was written there is broken, whatever it holds instead.

use super::case::{Case, FirstBlock, Group, Pack};
use crate::disk::{BLOCK, Image, SEGMENT, WATERMARK, pack_range, segment_name, segment_ordinal};

/// Bytes of the header of a group.
const GROUP_HEADER: usize = 96;

/// What has to become of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts with the frames up to this one.
    Starts { last: u64, torn: bool, stray_blocks: u64 },
    /// It does not start; the frames up to this one are whole.
    Refused { last_good: u64 },
}

/// Where reading ends.
struct End {
    segment: u64,
    offset: usize,
    frame: u64,
    group: u64,
    /// Reading ends with a pack.
    packed: bool,
    /// Where the groups of each raw segment end.
    ends: Vec<(u64, usize)>,
}

/// The verdict on an image.
pub fn judge(case: &Case, image: &Image) -> Verdict {
    let refused = |last_good| Verdict::Refused { last_good };
    let Some((frame, segment)) = watermark(case, image) else { return refused(0) };
    let Some(packs) = packs(case, image) else { return refused(0) };
    let end = match read(case, image, &packs) {
        Ok(end) => end,
        Err(last_good) => return refused(last_good),
    };
    if end.segment == 0 && !image.contains_key(&*segment_name(1)) {
        return refused(0);
    }
    let ordinals = image.keys().filter_map(|name| segment_ordinal(name));
    let later: Vec<u64> = ordinals.filter(|&ordinal| ordinal > end.segment).collect();
    if later.iter().any(|&ordinal| image[&*segment_name(ordinal)].len() > SEGMENT) {
        return refused(end.frame);
    }
    let begun = later.iter().any(|&ordinal| first_block(case, image, ordinal).is_some());
    let marked = frame > end.frame || segment > end.segment;
    let packed = packs.iter().any(|((first, _), _)| *first > end.segment);
    if begun || packed || marked || is_proven(case, image, &end) {
        return refused(end.frame);
    }
    let closed = end.ends.iter().filter(|(ordinal, _)| *ordinal != end.segment);
    let stray_blocks = closed.map(|&(ordinal, from)| strays(image, ordinal, from)).sum();
    Verdict::Starts { last: end.frame, torn: is_torn(case, image, &end), stray_blocks }
}

/// A pack by the segments of its name, and what was written under that name, if all of it is there.
type Named<'a> = ((u64, u64), Option<&'a Pack>);

/// The packs in order, each with the one that was written under its name, if all of it is there. None: the names or the header or length
/// of one are not as they were written.
fn packs<'a>(case: &'a Case, image: &Image) -> Option<Vec<Named<'a>>> {
    let mut packs = Vec::new();
    for (name, bytes) in image {
        let Some(range) = pack_range(name) else { continue };
        let written = || case.packs.iter().filter(|pack| pack.name == *name && pack.bytes.len() == bytes.len());
        if !written().any(|pack| bytes[..pack.header()] == pack.bytes[..pack.header()]) {
            return None;
        }
        packs.push((range, written().find(|pack| pack.bytes == **bytes)));
    }
    let overlaps = packs.windows(2).any(|pair| pair[1].0.0 <= pair[0].0.1);
    (!overlaps).then_some(packs)
}

/// Frame and segment of the newer good slot.
fn watermark(case: &Case, image: &Image) -> Option<(u64, u64)> {
    let file = image.get(WATERMARK)?;
    let good = case.slots.iter().filter(|slot| {
        let at = slot.counter as usize % 2 * BLOCK;
        file.get(at..at + BLOCK) == Some(&slot.bytes[..])
    });
    good.max_by_key(|slot| slot.counter).map(|slot| (slot.frame, slot.segment))
}

/// The first block of a segment, if it is one that was written there.
fn first_block<'a>(case: &'a Case, image: &Image, ordinal: u64) -> Option<&'a FirstBlock> {
    let block = image.get(&*segment_name(ordinal))?.get(..BLOCK)?;
    case.first_blocks.iter().find(|first| first.ordinal == ordinal && first.bytes == block)
}

/// The group whose header stands here as it was written.
fn header<'a>(case: &'a Case, file: &[u8], first: &FirstBlock, offset: usize) -> Option<&'a Group> {
    let found = file.get(offset..offset + GROUP_HEADER)?;
    let here = |group: &&Group| (group.ordinal, group.salt, group.offset) == (first.ordinal, first.salt, offset);
    case.groups.iter().filter(here).find(|group| group.bytes[..GROUP_HEADER] == *found)
}

/// Whole blocks of a file that a segment can have.
fn usable(file: &[u8]) -> usize {
    let size = file.len().min(SEGMENT);
    size - size % BLOCK
}

/// Reads from the first segment on. An error is a finding that no torn write leaves, with the last whole frame.
fn read(case: &Case, image: &Image, packs: &[Named<'_>]) -> Result<End, u64> {
    let mut end = End { segment: 0, offset: 0, frame: 0, group: 0, packed: false, ends: Vec::new() };
    loop {
        if let Some(((_, last), pack)) = packs.iter().find(|((first, _), _)| *first == end.segment + 1) {
            let goes_on = |pack: &&Pack| (pack.first_group, pack.first_frame) == (end.group + 1, end.frame + 1);
            let pack = pack.filter(goes_on).ok_or(end.frame)?;
            (end.segment, end.offset, end.packed) = (*last, SEGMENT, true);
            (end.group, end.frame) = (pack.next_group - 1, pack.next_frame - 1);
            continue;
        }
        let Some(first) = first_block(case, image, end.segment + 1) else { return Ok(end) };
        let file = &image[&*segment_name(first.ordinal)];
        if file.len() > SEGMENT {
            return Err(end.frame);
        }
        let place = (first.first_group, first.first_frame);
        if place.0 > end.group + 1 || place.1 > end.frame + 1 {
            return Ok(end);
        }
        if place != (end.group + 1, end.frame + 1) {
            return Err(end.frame);
        }
        (end.segment, end.offset, end.packed) = (first.ordinal, BLOCK, false);
        while let Some(group) = header(case, &file[..usable(file)], first, end.offset) {
            if group.number != end.group + 1 {
                break;
            }
            if group.durable_upto != end.frame {
                return Err(end.frame);
            }
            let to = end.offset + group.bytes.len();
            if file[..usable(file)].get(end.offset..to) != Some(&group.bytes[..]) {
                break;
            }
            (end.offset, end.group, end.frame) = (to, group.number, end.frame + group.frames);
        }
        end.ends.push((end.segment, end.offset));
    }
}

/// Whether a header in the rest of the segment says that more was durable, or was written after a sync of what is missing.
fn is_proven(case: &Case, image: &Image, end: &End) -> bool {
    let Some(first) = first_block(case, image, end.segment).filter(|_| !end.packed) else { return false };
    let file = &image[&*segment_name(end.segment)];
    (end.offset..usable(file)).step_by(BLOCK).filter_map(|at| header(case, &file[..usable(file)], first, at)).any(
        |group| {
            let next = end.group + 1;
            group.number >= next && (group.durable_upto > end.frame || (group.number > next && group.frames > 0))
        },
    )
}

/// Whether something is left behind the log that has to be cleared, and was not there before the segment was used.
fn is_torn(case: &Case, image: &Image, end: &End) -> bool {
    let file = image.get(&*segment_name(end.segment)).filter(|_| !end.packed);
    if file.is_some_and(|file| file.len() != SEGMENT || file[end.offset..].iter().any(|&byte| byte != 0)) {
        return true;
    }
    let Some(spare) = image.get(&*segment_name(end.segment + 1)) else { return false };
    // A whole first block is what an older life of the file left.
    let older = case.first_blocks.iter().any(|first| spare.starts_with(&first.bytes));
    spare.len() == SEGMENT && spare.iter().any(|&byte| byte != 0) && !older
}

fn strays(image: &Image, ordinal: u64, from: usize) -> u64 {
    let file = &image[&*segment_name(ordinal)];
    let rest = file.get(from..).unwrap_or_default();
    rest.chunks_exact(BLOCK).filter(|block| block.iter().any(|&byte| byte != 0)).count() as u64
}
