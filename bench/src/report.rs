//! Figures of runs: percentiles, medians, and their JSON. No adjectives, only numbers with units.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies of requests, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// 99.99 %.
    pub p9999: u64,
    /// The slowest.
    pub max: u64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max(),
        }
    }
}

/// An empty histogram of microseconds up to an hour, with three digits. The bound is fixed: one that grows by itself keeps
/// its first bound, 2 ms, when values are recorded with saturation.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("constant bounds")
}

/// The middle of several values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    /// The median; of an even number the lower of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Median {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Option<Median> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Median { median: sorted[(sorted.len() - 1) / 2], min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_the_middle_value() {
        assert_eq!(Median::of(&[3.0, 1.0, 2.0]), Some(Median { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Median::of(&[4.0, 1.0]).map(|m| m.median), Some(1.0));
        assert_eq!(Median::of(&[]), None);
    }

    #[test]
    fn percentiles_come_from_all_values() {
        let mut histogram = new_histogram();
        (1..=1000u64).for_each(|us| histogram.saturating_record(us));
        let p = Percentiles::of(&histogram);
        assert_eq!((p.p50, p.p99, p.max), (500, 990, 1000));
        histogram.saturating_record(30_000_000);
        assert!((29_900_000..=30_100_000).contains(&Percentiles::of(&histogram).max));
    }
}
