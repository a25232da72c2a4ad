//! A small seeded generator. Not from a library, so that a seed printed today gives the same program in ten years. Or one that is told
//! what to draw, by bytes that a fuzzer chose.

/// SplitMix64: one word of state, every seed is good.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    /// Bytes that are drawn before anything else; none in a generator of a seed.
    given: std::vec::IntoIter<u8>,
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed, given: Vec::new().into_iter() }
    }

    /// A generator that draws these bytes, a number below 257 from each, and then those of a seed that follows from them.
    pub fn of_bytes(bytes: &[u8]) -> Rng {
        let state = bytes
            .iter()
            .fold(7, |sum: u64, byte| (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95));
        Rng { state, given: Vec::from(bytes).into_iter() }
    }

    /// A generator for a part of the work, so that a change in one part does not shift the draws of another.
    pub fn part(seed: u64, part: &str) -> Rng {
        let mut rng = Rng::new(seed);
        for byte in part.bytes() {
            rng.state = rng.word() ^ u64::from(byte);
        }
        rng
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        if !self.given.as_slice().is_empty() {
            return self.given(8);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next 128 bits.
    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.word()) << 64 | u128::from(self.word())
    }

    /// A number in `0..bound`; the bias of the remainder does not matter here.
    pub fn below(&mut self, bound: usize) -> usize {
        let word = match bound {
            _ if self.given.as_slice().is_empty() => self.word(),
            ..=0x100 => self.given(1),
            0x101..=0x1_0000 => self.given(2),
            _ => self.given(8),
        };
        (word % bound as u64) as usize
    }

    /// A number of so many of the given bytes, as far as there are any.
    fn given(&mut self, bytes: usize) -> u64 {
        self.given.by_ref().take(bytes).fold(0, |sum, byte| sum << 8 | u64::from(byte))
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut rng = Rng::new(7);
        assert_eq!([rng.word(), rng.word()], [0x63cb_e1e4_5932_0dd7, 0x044c_3cd7_f43c_661c]);
    }

    #[test]
    fn bytes_are_drawn_first_and_then_what_follows_from_them() {
        let mut rng = Rng::of_bytes(&[5, 1, 2, 9]);
        assert_eq!((rng.below(4), rng.below(1_000), rng.word()), (1, 258, 9));
        assert_eq!(rng.word(), Rng { given: Vec::new().into_iter(), ..Rng::of_bytes(&[5, 1, 2, 9]) }.word());
        assert_ne!(rng.word(), Rng::of_bytes(&[]).word());
    }

    #[test]
    fn parts_of_a_seed_are_independent() {
        assert_ne!(Rng::part(7, "links").word(), Rng::part(7, "rounds").word());
    }
}
