//! A sample of all that was acknowledged, of fixed size, in which every offer has the same chance to be: Vitter's
//! reservoir. So it reaches from the first request of a run to the last, however long the run was.

use florin_core::outcome::Outcome;
use rand::RngExt;

use crate::workload::Random;

/// Ids kept for looking up afterwards.
const SAMPLE_MAX: usize = 20_000;
/// Transactions of one request that are offered, at most.
pub const OFFERS_MAX: usize = 32;

/// One acknowledged transaction.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Its id.
    pub id: u128,
    /// Its number in the pool.
    pub transaction: u32,
    /// How it was acknowledged.
    pub outcome: Outcome,
}

/// The sample.
#[derive(Debug, Default)]
pub struct Sample {
    kept: Vec<Kept>,
    offered: u64,
}

impl Sample {
    /// Offers a transaction.
    pub fn offer(&mut self, kept: Kept, random: &mut Random) {
        self.offered += 1;
        if self.kept.len() < SAMPLE_MAX {
            self.kept.push(kept);
            return;
        }
        let place = random.random_range(0..self.offered);
        if let Some(old) = usize::try_from(place).ok().and_then(|place| self.kept.get_mut(place)) {
            *old = kept;
        }
    }

    /// One of them at random, if there is one.
    pub fn any(&self, random: &mut Random) -> Option<Kept> {
        if self.kept.is_empty() { None } else { Some(self.kept[random.random_range(0..self.kept.len())]) }
    }

    /// All of them.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_sample_reaches_from_the_first_offer_to_the_last() {
        let (mut sample, mut random) = (Sample::default(), Random::seed_from_u64(3));
        let offers = 50 * SAMPLE_MAX as u128;
        (0..offers).for_each(|id| sample.offer(Kept { id, transaction: 0, outcome: Outcome::Posted }, &mut random));
        assert_eq!(sample.kept().len(), SAMPLE_MAX);
        for tenth in 0..10 {
            let span = offers * tenth / 10..offers * (tenth + 1) / 10;
            let count = sample.kept().iter().filter(|kept| span.contains(&kept.id)).count();
            assert!((SAMPLE_MAX / 10 - 300..SAMPLE_MAX / 10 + 300).contains(&count), "{tenth}: {count}");
        }
    }
}
