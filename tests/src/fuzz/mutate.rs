//! Mutations that decoders of any format meet: bits flipped, extreme numbers, bytes that are missing, too many, doubled or from elsewhere.

use crate::rng::Rng;

/// Sizes of the units that the formats are made of: a mutation often takes whole ones.
const UNITS: [usize; 8] = [1, 4, 8, 16, 48, 128, 176, 4096];
/// Widest stretch that is copied or removed at once, in units.
const STRETCH_MAX: usize = 4;

/// Changes one thing. `other` is a valid sample of the same kind.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.extend_from_slice(other);
        return;
    }
    match rng.below(12) {
        0 | 1 => flip(bytes, rng),
        2..=4 => overwrite(bytes, rng),
        5 => nudge(bytes, rng),
        6 => {
            let stretch = stretch(bytes, rng);
            bytes.drain(stretch);
        }
        7 => {
            let at = place(bytes, rng);
            let fill = rng.pick(&[0, 0xff, rng.clone().word() as u8]);
            let count = rng.pick(&UNITS) * rng.between(1, STRETCH_MAX);
            bytes.splice(at..at, std::iter::repeat_n(fill, count));
        }
        8 => bytes.truncate(rng.below(bytes.len() + 1)),
        9 => {
            // Doubled, or moved over another part.
            let copy = bytes[stretch(bytes, rng)].to_vec();
            paste(bytes, &copy, rng);
        }
        10 if !other.is_empty() => {
            let copy = other[stretch(other, rng)].to_vec();
            paste(bytes, &copy, rng);
        }
        _ => {
            // Two parts change places.
            let (one, two) = (stretch(bytes, rng), stretch(bytes, rng));
            let length = one.len().min(two.len());
            for at in 0..length {
                bytes.swap(one.start + at, two.start + at);
            }
        }
    }
}

/// A place, mostly where something stands: most of a block is zeros.
fn place(bytes: &[u8], rng: &mut Rng) -> usize {
    let at = rng.below(bytes.len());
    if rng.chance(20) {
        return at;
    }
    bytes[at..].iter().position(|byte| *byte != 0).map_or(at, |further| at + further)
}

/// Some units at a multiple of their size.
fn stretch(bytes: &[u8], rng: &mut Rng) -> std::ops::Range<usize> {
    let unit = rng.pick(&UNITS);
    let start = place(bytes, rng) / unit * unit;
    start..bytes.len().min(start + unit * rng.between(1, STRETCH_MAX))
}

fn paste(bytes: &mut Vec<u8>, copy: &[u8], rng: &mut Rng) {
    let unit = rng.pick(&UNITS);
    let at = place(bytes, rng) / unit * unit;
    if rng.chance(50) {
        bytes.splice(at..at, copy.iter().copied());
    } else {
        let length = copy.len().min(bytes.len() - at);
        bytes[at..at + length].copy_from_slice(&copy[..length]);
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = place(bytes, rng);
    bytes[at] ^= 1 << rng.below(8);
}

/// Puts an extreme number over a few bytes.
fn overwrite(bytes: &mut [u8], rng: &mut Rng) {
    let length = rng.pick(&[1, 2, 4, 8, 16]).min(bytes.len());
    let at = (place(bytes, rng) / length * length).min(bytes.len() - length);
    let number: u128 =
        rng.pick(&[0, 1, 2, 0x7f, 0x80, 0xff, 4096, 0x7fff_ffff, 0x8000_0000, u128::MAX, 1 << 126, i128::MAX as u128]);
    bytes[at..at + length].copy_from_slice(&number.to_le_bytes()[..length]);
}

/// Raises or lowers a number by a little.
fn nudge(bytes: &mut [u8], rng: &mut Rng) {
    let at = place(bytes, rng);
    let by = rng.pick(&[1, 0xff, 2, 0xfe]);
    for byte in &mut bytes[at..] {
        let (sum, carry) = byte.overflowing_add(by);
        *byte = sum;
        if !carry || by > 2 {
            break;
        }
    }
}
