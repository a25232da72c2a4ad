//! A histogram as text in the percentile format of HdrHistogram (`outputPercentileDistribution`), which its plotter reads.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Percentiles between one and the next that is half as far from 100 %.
const TICKS_PER_HALF: u32 = 5;
/// Values are recorded in microseconds and written in milliseconds, as plotters expect.
const US_PER_MS: f64 = 1_000.0;

/// The text, values in milliseconds.
pub fn percentiles(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / US_PER_MS, step.quantile_iterated_to());
        // Writing to a string cannot fail.
        let _ = match quantile < 1.0 {
            true => writeln!(text, "{value:12.3} {quantile:2.12} {count:10} {:14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(text, "{value:12.3} {quantile:2.12} {count:10}"),
        };
    }
    let (mean, deviation) = (histogram.mean() / US_PER_MS, histogram.stdev() / US_PER_MS);
    let max = histogram.max() as f64 / US_PER_MS;
    let (buckets, digits) = (histogram.buckets(), histogram.sigfig());
    let sub_buckets = (2 * 10u64.pow(u32::from(digits))).next_power_of_two();
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", histogram.len());
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::new_histogram;

    #[test]
    fn the_text_has_the_columns_and_lines_of_the_format() {
        let mut histogram = new_histogram();
        (1..=10_000u64).for_each(|us| histogram.saturating_record(us));
        let text = percentiles(&histogram);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[1], "");
        let rows: Vec<Vec<f64>> = lines[2..]
            .iter()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|number| number.parse().expect("a number")).collect())
            .collect();
        assert_eq!(lines[2].find('.'), Some(8), "values end in column 12: {}", lines[2]);
        let (last, others) = rows.split_last().expect("rows");
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 10_000.0));
        assert!((last[0] - 10.0).abs() < 0.01);
        for row in others {
            assert_eq!(row.len(), 4);
            assert!((row[3] - 1.0 / (1.0 - row[1])).abs() < 0.01 * row[3]);
            // The values are 1 to 10,000 us, so a percentile is its own value and count, to three digits.
            assert!(row[0] * 1_000.0 >= row[2] && row[0] * 1_000.0 <= row[2] * 1.002 + 1.0, "{row:?}");
            assert!(row[2] / 10_000.0 + 1e-9 >= row[1]);
        }
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] < b[1]));
        assert!(lines[lines.len() - 3].starts_with("#[Mean    =        5.00"), "{}", lines[lines.len() - 3]);
        assert!(lines[lines.len() - 1].contains("SubBuckets     =         2048]"), "{}", lines[lines.len() - 1]);
    }
}
