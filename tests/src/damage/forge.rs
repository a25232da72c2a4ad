//! A frame that someone without the key has changed: every digest and checksum is right again, and only the chain MAC can
//! tell. No torn write and no bad disk leaves such a frame, so the log is refused wherever it stands.

use std::sync::Arc;

use florin_wal::RecoverError;

use super::case::{Case, Group, u32_at};
use super::check::is_same;
use super::tally::Tally;
use crate::disk::{Place, Recorder, pack_range, segment_name};
use crate::rng::Rng;

/// Bytes of the header of a group, and of a frame.
const GROUP_HEADER: usize = 96;
const FRAME_HEADER: usize = 160;

/// Changes a frame of a copy of the files and judges what becomes of it.
pub fn forged(place: &Place, case: &Case, what: &str, rng: &mut Rng, tally: &mut Tally) {
    let packs: Vec<(u64, u64)> = case.image.keys().filter_map(|name| pack_range(name)).collect();
    let stands = |group: &&Group| {
        // What is in a pack is read from there; its segments are left to be removed.
        if packs.iter().any(|(first, last)| (first..=last).contains(&&group.ordinal)) {
            return false;
        }
        let file = case.image.get(&*segment_name(group.ordinal));
        let there = file.and_then(|file| file.get(group.offset..group.offset + group.bytes.len()));
        group.frames > 0 && there == Some(&group.bytes)
    };
    let groups: Vec<&Group> = case.groups.iter().filter(stands).collect();
    if groups.is_empty() {
        tally.skipped += 1;
        return;
    }
    let group = rng.pick(&groups);
    let mut image = case.image.clone();
    let file = image.get_mut(&*segment_name(group.ordinal)).expect("its segment");
    let end = group.offset + group.bytes.len();
    let how = change(&mut Arc::make_mut(file)[group.offset..end], group, rng);
    let what = format!("{what}, {}, {how} in group {} was forged", case.what, group.number);
    let disk = Recorder::of(image.clone(), case.mode);
    let (recovered, seen) = place.recover(&disk, &case.history);
    assert_eq!(seen.wrong, None, "{what}: a forged frame was believed");
    match recovered {
        Err(RecoverError::Frame { reason, .. }) => assert_eq!(reason, "the chain MAC does not match", "{what}"),
        Err(error) => panic!("{what}: refused for another reason: {error}"),
        Ok(_) => panic!("{what}: the log starts"),
    }
    assert!(is_same(&image, &disk.live()), "{what}: a refusal changes nothing");
    tally.kinds.entry("forge a frame").or_default().refused += 1;
}

/// Changes a payload or a time, and makes all right again that takes no key.
fn change(bytes: &mut [u8], group: &Group, rng: &mut Rng) -> &'static str {
    let mut frame = GROUP_HEADER;
    for _ in 0..rng.below(group.frames as usize) {
        frame += FRAME_HEADER + lengths(bytes, frame).iter().sum::<usize>();
    }
    let [payload, _] = lengths(bytes, frame);
    let body = frame + FRAME_HEADER;
    let how = match payload {
        0 => {
            bytes[frame + 40] ^= 1;
            "a time"
        }
        _ => {
            bytes[body + rng.below(payload)] ^= 1 << rng.below(8);
            "a payload"
        }
    };
    let digest = blake3::hash(&bytes[body..body + payload]);
    bytes[frame + 64..frame + 96].copy_from_slice(digest.as_bytes());
    let length = u32_at(bytes, 56) as usize;
    let crc = salted_crc(group.salt, &bytes[GROUP_HEADER..GROUP_HEADER + length]);
    bytes[64..68].copy_from_slice(&crc);
    let crc = salted_crc(group.salt, &bytes[..GROUP_HEADER - 4]);
    bytes[GROUP_HEADER - 4..GROUP_HEADER].copy_from_slice(&crc);
    how
}

/// Bytes of the payload and of the vouchers of a frame.
fn lengths(bytes: &[u8], frame: usize) -> [usize; 2] {
    [56, 60].map(|at| u32_at(bytes, frame + at) as usize)
}

fn salted_crc(salt: u64, bytes: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}
