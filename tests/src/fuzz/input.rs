//! The bytes of a seed: the same for the same target and seed, for ever.

use super::Target;
use super::mutate::mutate;
use crate::rng::Rng;

/// Of a hundred inputs, how many are nothing but random bytes.
const RANDOM_PERCENT: usize = 8;
/// Longest such input, bytes.
const RANDOM_BYTES_MAX: usize = 2_000;
/// Most mutations of a sample.
const MUTATIONS_MAX: usize = 8;

/// The input of a seed.
pub fn input(target: &Target, seed: u64) -> Vec<u8> {
    let mut rng = Rng::part(seed, target.name);
    if rng.chance(RANDOM_PERCENT) {
        return random(&mut rng);
    }
    let mut bytes = (target.sample)(&mut rng);
    let mutations = rng.between(0, MUTATIONS_MAX);
    let other = if mutations > 0 { (target.sample)(&mut rng) } else { Vec::new() };
    for _ in 0..mutations {
        mutate(&mut bytes, &other, &mut rng);
    }
    if rng.chance(50) { (target.repair)(bytes, &mut rng) } else { bytes }
}

/// Small numbers get further than large ones.
fn random(rng: &mut Rng) -> Vec<u8> {
    let (length, mask) = (rng.below(RANDOM_BYTES_MAX + 1), rng.pick(&[0xff, 3, 1, 0x1f]));
    (0..length).map(|_| if rng.chance(25) { rng.word() as u8 } else { rng.word() as u8 & mask }).collect()
}
