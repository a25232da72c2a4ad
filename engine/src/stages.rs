//! How long each stage of a request's way takes, from the bytes that came to the reply that left.
//!
//! Stages are timed where many requests pass at once (a read of a socket, a round, a group of the log, a write to a socket), so
//! that measuring costs next to nothing per request.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A stage, in the order in which a request passes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// From bytes that were read of a socket to the requests in them handed over, waits for permits included.
    Decode,
    /// From the first request that waits to the round that is made of what waits.
    Queue,
    /// Making the round: order, ids, shape.
    Round,
    /// From the round handed to the shards to its decision. One shard alone applies it too, and lays out the frame of a large one.
    Vote,
    /// From the decision to the frame handed to the log's writer: applying what was accepted, results, rows of the log.
    Finish,
    /// From the frame handed over to the start of its write: waiting for the group before, copy, digests.
    Write,
    /// The write to the disk and its sync.
    Sync,
    /// From the first reply that is ready for a connection to their write to the socket.
    Reply,
}

const NAMES: [(Stage, &str); 8] = [
    (Stage::Decode, "decode"),
    (Stage::Queue, "queue"),
    (Stage::Round, "round"),
    (Stage::Vote, "vote"),
    (Stage::Finish, "finish"),
    (Stage::Write, "write"),
    (Stage::Sync, "sync"),
    (Stage::Reply, "reply"),
];

/// Longest time that is told from a longer one.
const NANOSECONDS_MAX: u64 = 60_000_000_000;

/// Times of all stages since the start.
#[derive(Debug)]
pub struct Stages {
    histograms: [Mutex<Histogram<u64>>; NAMES.len()],
}

impl Default for Stages {
    fn default() -> Stages {
        let histogram = || Histogram::new_with_bounds(1, NANOSECONDS_MAX, 2).expect("constant bounds");
        Stages { histograms: std::array::from_fn(|_| Mutex::new(histogram())) }
    }
}

impl Stages {
    fn histogram(&self, stage: Stage) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.histograms[stage as usize].lock().expect("nothing panics while it holds a histogram")
    }

    /// Adds a time.
    pub fn record(&self, stage: Stage, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.histogram(stage).saturating_record(nanoseconds.max(1));
    }

    /// The figures of all stages.
    pub fn figures(&self) -> Vec<StageFigures> {
        let figures = NAMES.iter().map(|&(stage, name)| {
            let times = self.histogram(stage);
            StageFigures {
                name,
                count: times.len(),
                mean_ns: times.mean() as u64,
                p50_ns: times.value_at_quantile(0.5),
                p99_ns: times.value_at_quantile(0.99),
                p999_ns: times.value_at_quantile(0.999),
                max_ns: times.max(),
            }
        });
        figures.collect()
    }
}

/// Times of one stage, nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageFigures {
    /// The stage.
    pub name: &'static str,
    /// How often it was timed.
    pub count: u64,
    /// Mean.
    pub mean_ns: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Longest.
    pub max_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_stage_and_long_ones_are_kept_within_bounds() {
        let stages = Stages::default();
        stages.record(Stage::Vote, Duration::from_nanos(1_000));
        stages.record(Stage::Vote, Duration::from_secs(3_600));
        stages.record(Stage::Reply, Duration::ZERO);
        let figures = stages.figures();
        let of = |name: &str| figures.iter().find(|stage| stage.name == name).expect("a stage").clone();
        assert_eq!(figures.len(), 8);
        assert_eq!((of("vote").count, of("reply").count, of("sync").count), (2, 1, 0));
        assert!((1_000..1_010).contains(&of("vote").p50_ns), "{:?}", of("vote"));
        assert!(of("vote").max_ns >= NANOSECONDS_MAX && of("vote").max_ns < NANOSECONDS_MAX * 2);
    }

    #[test]
    fn each_stage_has_its_own_place() {
        for (at, (stage, _)) in NAMES.iter().enumerate() {
            assert_eq!(*stage as usize, at);
        }
    }
}
