//! Ranks whose frequency falls with a power of the rank: rank `k` of `n`, from 1, has weight `k^-s`.
//!
//! Rejection-inversion after W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone
//! discrete distributions" (1996): no table, so ten million ranks cost no memory.

use rand::RngExt;

use crate::workload::Random;

/// A distribution over ranks 0 to `n` − 1.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    n: f64,
    exponent: f64,
    /// The integral of the weight, from below rank 1 and up to above rank n.
    low: f64,
    high: f64,
    /// Within this distance above its point a rank is taken without a further look.
    near: f64,
}

impl Zipf {
    /// `n` ranks, at least 1, with an exponent above 0.
    pub fn new(n: u32, exponent: f64) -> Zipf {
        let mut zipf = Zipf { n: f64::from(n), exponent, low: 0.0, high: 0.0, near: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(zipf.n + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.weight(2.0));
        zipf
    }

    /// The next rank, from 0.
    pub fn sample(&self, random: &mut Random) -> u32 {
        loop {
            let point = self.high + random.random::<f64>() * (self.low - self.high);
            let x = self.inverse(point);
            let rank = (x + 0.5).floor().clamp(1.0, self.n);
            if rank - x <= self.near || point >= self.integral(rank + 0.5) - self.weight(rank) {
                return rank as u32 - 1;
            }
        }
    }

    fn weight(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// The integral of the weight from 1 to `x`: `(x^(1-s) - 1) / (1-s)`, or `ln x` for s = 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let power = (1.0 - self.exponent) * log;
        log * if power.abs() > 1e-8 { power.exp_m1() / power } else { 1.0 + power / 2.0 }
    }

    /// The `x` to which the integral has this value.
    fn inverse(&self, value: f64) -> f64 {
        let power = (value * (1.0 - self.exponent)).max(-1.0);
        (value * if power.abs() > 1e-8 { power.ln_1p() / power } else { 1.0 - power / 2.0 }).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn ranks_come_as_often_as_their_weights_say() {
        const DRAWS: u32 = 400_000;
        for exponent in [0.99, 1.0, 1.2, 1.5] {
            let (ranks, mut random) = (1_000, Random::seed_from_u64(7));
            let zipf = Zipf::new(ranks, exponent);
            let mut counts = vec![0u32; ranks as usize];
            (0..DRAWS).for_each(|_| counts[zipf.sample(&mut random) as usize] += 1);
            let weight = |rank: u32| f64::from(rank + 1).powf(-exponent);
            let sum: f64 = (0..ranks).map(weight).sum();
            for rank in [0, 1, 2, 9, 99] {
                let expected = f64::from(DRAWS) * weight(rank) / sum;
                let got = f64::from(counts[rank as usize]);
                // Five standard deviations of a count.
                assert!((got - expected).abs() < 5.0 * expected.sqrt(), "{exponent} {rank}: {got}, not {expected}");
            }
            let tail: f64 = (500..ranks).map(weight).sum::<f64>() / sum * f64::from(DRAWS);
            let got: u32 = counts[500..].iter().sum();
            assert!((f64::from(got) - tail).abs() < 5.0 * tail.sqrt(), "{exponent}: tail {got}, not {tail}");
        }
    }

    #[test]
    fn every_rank_can_come_and_none_beyond() {
        let mut random = Random::seed_from_u64(1);
        let two = Zipf::new(2, 0.99);
        let ones = (0..3_000).filter(|_| two.sample(&mut random) == 1).count();
        assert!((800..1_200).contains(&ones), "{ones}");
        let many = Zipf::new(10_000_000, 0.99);
        assert!((0..100_000).all(|_| many.sample(&mut random) < 10_000_000));
        assert!((0..100).all(|_| Zipf::new(1, 1.5).sample(&mut random) == 0));
    }
}
