//! Changes to the files: what bad memory, bad disks and bad hands do.

use std::ops::Range;
use std::sync::Arc;

use super::case::{Case, Group};
use crate::disk::{BLOCK, Image, Name, SECTOR, SEGMENT, WATERMARK, pack_range, segment_name};
use crate::rng::Rng;

/// A kind of change.
type Change = fn(&Case, &mut Image, &mut Rng);

/// Every kind, with how often it is drawn.
const CHANGES: [(&str, usize, Change); 15] = [
    ("flip bits", 14, flip),
    ("overwrite", 8, overwrite),
    ("zero a range", 10, zero),
    ("zero to the end", 4, zero_to_the_end),
    ("cut a file", 8, cut),
    ("extend a file", 4, extend),
    ("swap blocks", 8, swap_blocks),
    ("swap groups", 6, swap_groups),
    ("replay older bytes", 10, replay),
    ("replay a file", 4, replay_file),
    ("put a stale group back", 4, stale_group),
    ("misdirect", 10, misdirect),
    ("swap or copy files", 4, swap_files),
    ("remove a file", 3, remove),
    ("damage the watermark", 7, watermark),
];

/// Changes an image, in one way or in two, and names the way.
pub fn change(case: &Case, image: &mut Image, rng: &mut Rng) -> &'static str {
    let name = one(case, image, rng);
    if rng.chance(15) {
        one(case, image, rng);
        return "two of these";
    }
    name
}

fn one(case: &Case, image: &mut Image, rng: &mut Rng) -> &'static str {
    let mut drawn = rng.below(CHANGES.iter().map(|(_, weight, _)| weight).sum());
    for (name, weight, change) in CHANGES {
        if drawn < weight {
            change(case, image, rng);
            return name;
        }
        drawn -= weight;
    }
    unreachable!("drawn below the sum")
}

/// A file that is there; seldom the watermark.
fn any_file(image: &Image, rng: &mut Rng) -> Option<Name> {
    let names: Vec<&Name> = image.keys().collect();
    (!names.is_empty()).then(|| Arc::clone(rng.pick(&names)))
}

/// A segment that was written to, late ones more often.
fn used_file(case: &Case, rng: &mut Rng) -> Name {
    let last = case.groups.iter().map(|group| group.ordinal).max().unwrap_or(1);
    let ordinal = if rng.chance(50) { last } else { 1 + rng.below(last as usize) as u64 };
    name(ordinal)
}

/// A place in a pack: its header, a row, the frames.
fn place_in_pack(image: &Image, rng: &mut Rng) -> Option<(Name, usize)> {
    let names: Vec<&Name> = image.keys().filter(|name| pack_range(name).is_some()).collect();
    if names.is_empty() {
        return None;
    }
    let file = Arc::clone(rng.pick(&names));
    let length = image[&file].len().max(1);
    let offset = match rng.below(6) {
        0 => rng.below(160),
        1 => 160 + rng.below(800),
        2 => BLOCK + rng.below(160),
        3 => length.saturating_sub(1 + rng.below(BLOCK)),
        _ => rng.below(length),
    };
    Some((file, offset))
}

/// A place where something was written: the header of a group, its body, a first block, rarely anywhere.
fn place(case: &Case, image: &Image, rng: &mut Rng) -> (Name, usize) {
    if let Some(place) = place_in_pack(image, rng).filter(|_| rng.chance(40)) {
        return place;
    }
    let newest = case.groups.len().saturating_sub(1);
    let at = if rng.chance(25) { newest } else { rng.below(case.groups.len().max(1)) };
    let Some(group) = case.groups.get(at) else { return (WATERMARK.into(), rng.below(2 * BLOCK)) };
    let file = name(group.ordinal);
    let offset = match rng.below(12) {
        0..4 => group.offset + rng.below(96),
        4..6 => group.offset + 96 + rng.below(160),
        6..8 => group.offset + rng.below(group.bytes.len()),
        8 => group.offset + group.bytes.len() - 1 - rng.below(64),
        9..11 => rng.pick(&[0, rng.clone().below(128), rng.clone().below(BLOCK), BLOCK - 1]),
        _ => {
            let file = any_file(image, rng).unwrap_or(file);
            let length = image.get(&file).map_or(1, |bytes| bytes.len().max(1));
            return (file, rng.below(length));
        }
    };
    (file, offset)
}

/// Changes the part of a range that the file has.
fn edit(image: &mut Image, file: &Name, range: Range<usize>, edit: impl FnOnce(&mut [u8])) {
    if let Some(bytes) = image.get_mut(file) {
        let range = range.start.min(bytes.len())..range.end.min(bytes.len());
        edit(&mut Arc::make_mut(bytes)[range]);
    }
}

fn name(ordinal: u64) -> Name {
    segment_name(ordinal).as_str().into()
}

fn read(image: &Image, file: &Name, range: Range<usize>) -> Vec<u8> {
    image.get(file).and_then(|bytes| bytes.get(range)).map(<[u8]>::to_vec).unwrap_or_default()
}

fn write(image: &mut Image, file: &Name, at: usize, bytes: &[u8]) {
    edit(image, file, at..at + bytes.len(), |into| into.copy_from_slice(&bytes[..into.len()]));
}

fn flip(case: &Case, image: &mut Image, rng: &mut Rng) {
    let (file, at) = place(case, image, rng);
    for _ in 0..rng.pick(&[1, 1, 1, 2, 3]) {
        let (at, bit) = (at + rng.pick(&[0, 0, 1, 7]), rng.below(8));
        edit(image, &file, at..at + 1, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1 << bit));
    }
}

/// A length from a byte to several blocks.
fn length(rng: &mut Rng) -> usize {
    match rng.below(5) {
        0 => 1 + rng.below(8),
        1 => 1 + rng.below(SECTOR),
        2 => SECTOR,
        3 => BLOCK,
        _ => 1 + rng.below(5 * BLOCK),
    }
}

/// A place, mostly moved down to the start of a sector or block.
fn start(case: &Case, image: &Image, rng: &mut Rng) -> (Name, usize) {
    let (file, at) = place(case, image, rng);
    (file, at - at % rng.pick(&[1, SECTOR, BLOCK, BLOCK]))
}

fn overwrite(case: &Case, image: &mut Image, rng: &mut Rng) {
    let ((file, at), length) = (start(case, image, rng), length(rng));
    let byte = rng.word() as u8;
    let noise = rng.chance(60);
    edit(image, &file, at..at + length, |bytes| {
        bytes.iter_mut().for_each(|into| *into = if noise { rng.word() as u8 } else { byte });
    });
}

fn zero(case: &Case, image: &mut Image, rng: &mut Rng) {
    let ((file, at), length) = (start(case, image, rng), length(rng));
    edit(image, &file, at..at + length, |bytes| bytes.fill(0));
}

/// Everything from a place on, as a file system does that lost the end of a file.
fn zero_to_the_end(case: &Case, image: &mut Image, rng: &mut Rng) {
    let (file, at) = start(case, image, rng);
    edit(image, &file, at..usize::MAX, |bytes| bytes.fill(0));
    if rng.chance(50) {
        // Segments, packs, and packs that were not finished.
        for (_, bytes) in image.iter_mut().filter(|(name, _)| &***name != WATERMARK && **name > file) {
            Arc::make_mut(bytes).fill(0);
        }
    }
}

fn cut(case: &Case, image: &mut Image, rng: &mut Rng) {
    let (file, at) = match rng.chance(70) {
        true => start(case, image, rng),
        false => (used_file(case, rng), rng.below(SEGMENT / BLOCK + 1) * BLOCK),
    };
    if let Some(bytes) = image.get_mut(&file) {
        Arc::make_mut(bytes).truncate(at);
    }
}

fn extend(case: &Case, image: &mut Image, rng: &mut Rng) {
    let file = if rng.chance(60) { used_file(case, rng) } else { any_file(image, rng).unwrap_or(WATERMARK.into()) };
    let (length, byte) = (length(rng), rng.pick(&[0, 0, 1, 0xff]));
    if let Some(bytes) = image.get_mut(&file) {
        let to = bytes.len() + length;
        Arc::make_mut(bytes).resize(to, byte);
    }
}

/// A block of any file.
fn block(case: &Case, image: &Image, rng: &mut Rng) -> (Name, usize) {
    let (file, at) = place(case, image, rng);
    (file, at - at % BLOCK)
}

fn swap(image: &mut Image, (a, at): (Name, usize), (b, to): (Name, usize), length: usize) {
    let (one, two) = (read(image, &a, at..at + length), read(image, &b, to..to + length));
    if one.len() == length && two.len() == length {
        write(image, &a, at, &two);
        write(image, &b, to, &one);
    }
}

fn swap_blocks(case: &Case, image: &mut Image, rng: &mut Rng) {
    let (a, b) = (block(case, image, rng), block(case, image, rng));
    swap(image, a, b, rng.pick(&[BLOCK, BLOCK, SECTOR, 2 * BLOCK]));
}

fn swap_groups(case: &Case, image: &mut Image, rng: &mut Rng) {
    if case.groups.is_empty() {
        return;
    }
    let one = |rng: &mut Rng| &case.groups[rng.below(case.groups.len())];
    let (a, b) = (one(rng), one(rng));
    let length = a.bytes.len().min(b.bytes.len());
    swap(image, (name(a.ordinal), a.offset), (name(b.ordinal), b.offset), length);
}

/// A range as it was at an earlier moment: a write that was lost, or an old copy put back.
fn replay(case: &Case, image: &mut Image, rng: &mut Rng) {
    let Some(older) = (!case.older.is_empty()).then(|| &case.older[rng.below(case.older.len())]) else { return };
    let (file, at) = start(case, image, rng);
    let length = rng.pick(&[SECTOR, BLOCK, BLOCK, 2 * BLOCK, 4 * BLOCK, SEGMENT]);
    let end = older.get(&file).map_or(0, |bytes| bytes.len()).min(at + length);
    let old = read(older, &file, at.min(end)..end);
    write(image, &file, at, &old);
}

fn replay_file(case: &Case, image: &mut Image, rng: &mut Rng) {
    let Some(older) = (!case.older.is_empty()).then(|| &case.older[rng.below(case.older.len())]) else { return };
    let Some(file) = any_file(image, rng) else { return };
    match older.get(&file) {
        Some(bytes) => drop(image.insert(file, Arc::clone(bytes))),
        None => drop(image.remove(&file)),
    }
}

/// A group that was written before its segment was begun again, where there is one.
fn stale_group(case: &Case, image: &mut Image, rng: &mut Rng) {
    let begun_again = |group: &&Group| {
        let first = case.first_blocks.iter().rev().find(|first| first.ordinal == group.ordinal);
        first.is_some_and(|first| first.salt != group.salt)
    };
    let groups: Vec<&Group> = case.groups.iter().filter(begun_again).collect();
    if groups.is_empty() {
        return replay(case, image, rng);
    }
    let group = rng.pick(&groups);
    write(image, &name(group.ordinal), group.offset, &group.bytes);
}

/// A block or a group written to another place, in its own file or another one, spares included.
fn misdirect(case: &Case, image: &mut Image, rng: &mut Rng) {
    let (from, at) = block(case, image, rng);
    let length = rng.pick(&[BLOCK, BLOCK, BLOCK, 2 * BLOCK, 3 * BLOCK]);
    let bytes = match case.groups.get(rng.below(case.groups.len() * 2 + 1)) {
        Some(group) => read(image, &name(group.ordinal), group.offset..group.offset + group.bytes.len()),
        None => read(image, &from, at..at + length),
    };
    let to = match rng.below(3) {
        0 => block(case, image, rng),
        1 => (from, rng.below(SEGMENT / BLOCK) * BLOCK),
        _ => (any_file(image, rng).unwrap_or(WATERMARK.into()), rng.below(SEGMENT / BLOCK) * BLOCK),
    };
    write(image, &to.0, to.1, &bytes);
}

/// Two files with each other's name, or one over the other, or one under a name that is new.
fn swap_files(case: &Case, image: &mut Image, rng: &mut Rng) {
    let a = used_file(case, rng);
    let Some(b) = any_file(image, rng) else { return };
    let b = if rng.chance(15) { name(rng.between(1, 40) as u64) } else { b };
    let (Some(one), two) = (image.get(&a).cloned(), image.get(&b).cloned()) else { return };
    image.insert(b, one);
    if let (Some(two), true) = (two, rng.chance(70)) {
        image.insert(a, two);
    }
}

fn remove(case: &Case, image: &mut Image, rng: &mut Rng) {
    let file = if rng.chance(60) { Some(used_file(case, rng)) } else { any_file(image, rng) };
    file.and_then(|file| image.remove(&file));
}

fn watermark(case: &Case, image: &mut Image, rng: &mut Rng) {
    let file: Name = WATERMARK.into();
    let at = rng.below(2) * BLOCK;
    match rng.below(7) {
        0 => edit(image, &file, at..at + BLOCK, |bytes| bytes.fill(0)),
        1 => edit(image, &file, 0..2 * BLOCK, |bytes| bytes.rotate_left(BLOCK.min(bytes.len()))),
        2 => {
            // An older slot, in its own place or the other.
            let slot = &case.slots[rng.below(case.slots.len())];
            let own = slot.counter as usize % 2 * BLOCK;
            write(image, &file, if rng.chance(70) { own } else { BLOCK - own }, &slot.bytes);
        }
        3 => drop(image.get_mut(&file).map(|bytes| Arc::make_mut(bytes).truncate(rng.below(2 * BLOCK)))),
        4 => (0..2).for_each(|slot| {
            let at = slot * BLOCK + rng.below(BLOCK);
            edit(image, &file, at..at + 1, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x40));
        }),
        _ => {
            let at = at + rng.pick(&[rng.clone().below(64), rng.clone().below(BLOCK), BLOCK - 2]);
            edit(image, &file, at..at + 1, |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 1));
        }
    }
}
