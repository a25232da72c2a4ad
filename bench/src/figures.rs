//! The figures of a run, made of what was measured before and after it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use crate::books::Proof;
use crate::report::Percentiles;
use crate::run::{CpuUsed, Plan, number};
use crate::series::Point;
use crate::tally::Counts;

/// What a run measured.
#[derive(Clone, Debug, Serialize)]
pub struct RunFigures {
    /// Transactions answered: posted, held, captured, refused, repeated.
    pub transfers: u64,
    /// Requests of transactions answered.
    pub requests: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Transactions answered a second.
    pub per_second: f64,
    /// Of requests, microseconds; in an open loop from the time at which each was due.
    pub latency_us: Percentiles,
    /// Transactions that were refused for lack of money, which belongs to some workloads.
    pub refused: u64,
    /// Transactions that were posted again and answered as repeats.
    pub repeats: u64,
    /// Look-ups answered.
    pub reads: u64,
    /// Of look-ups, microseconds.
    pub read_latency_us: Option<Percentiles>,
    /// Transactions a second that an open loop was to send.
    pub rate: Option<u64>,
    /// Requests that were due in an open loop and could not be sent before it ended.
    pub unsent_requests: Option<u64>,
    /// Bytes written to the log per transaction.
    pub log_bytes_per_transfer: Option<f64>,
    /// Bytes of requests on the wire per transaction, headers included.
    pub request_bytes_per_transfer: f64,
    /// Bytes of replies on the wire per transaction, headers included.
    pub reply_bytes_per_transfer: f64,
    /// Groups (writes with a sync) of the log.
    pub groups: Option<u64>,
    /// Transactions per group.
    pub transfers_per_group: Option<f64>,
    /// Bytes per group.
    pub group_bytes: Option<f64>,
    /// Segments of the log that were begun.
    pub segments: Option<u64>,
    /// Snapshots that were finished.
    pub snapshots: Option<u64>,
    /// CPU time of the server, microseconds per transaction.
    pub server_cpu_us_per_transfer: Option<f64>,
    /// CPU time of the load generator, microseconds per transaction.
    pub client_cpu_us_per_transfer: Option<f64>,
    /// CPU seconds per second of the server.
    pub server_cores: Option<f64>,
    /// CPU seconds per second of the load generator.
    pub client_cores: Option<f64>,
    /// CPU time of the server by thread, busiest first.
    pub threads: Vec<ThreadCpu>,
    /// Share of the machine's time that the hypervisor gave to others, percent.
    pub steal_percent: f64,
    /// Votes between shards, and those in doubt.
    pub votes: Option<(u64, u64)>,
    /// Share of the votes that were in doubt, percent.
    pub votes_maybe_percent: Option<f64>,
    /// Time in the stages of the server since its start, if it tells.
    pub stages: Option<Value>,
    /// What was proved afterwards.
    pub proof: Proof,
    /// The run over time.
    pub series: Vec<Point>,
    /// All latencies, microseconds.
    #[serde(skip)]
    pub latency: Histogram<u64>,
}

/// CPU time of threads of one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadCpu {
    /// The name that the server gave them.
    pub name: String,
    /// How many there are.
    pub threads: usize,
    /// CPU seconds per second.
    pub cores: f64,
    /// Microseconds per transaction.
    pub us_per_transfer: f64,
}

/// Name and CPU seconds of threads, by thread id.
pub type Threads = BTreeMap<u32, (String, f64)>;

/// What was measured; pairs are before and after.
pub(crate) struct Measured {
    pub counts: Counts,
    pub seconds: f64,
    pub latency: Histogram<u64>,
    pub points: Vec<Point>,
    pub stats: (Value, Value),
    pub cpu: (CpuUsed, CpuUsed),
    pub threads: Option<(Threads, Threads)>,
    pub steal_percent: f64,
}

/// All that the figures are made of.
pub(crate) struct Figures<'a> {
    pub plan: &'a Plan,
    /// Requests of the schedule of an open loop.
    pub requests: Option<u64>,
    pub counts: Counts,
    /// Bytes sent and received.
    pub wire: (u64, u64),
    pub proof: Proof,
    pub measured: Measured,
}

impl Figures<'_> {
    pub fn finish(self, reads: &Histogram<u64>) -> RunFigures {
        let Figures { plan, requests, counts, wire, proof, measured } = self;
        let (seconds, transfers) = (measured.seconds, counts.transactions);
        let each = |count: f64| count / transfers.max(1) as f64;
        let grown =
            |name: &str| Some(number(&measured.stats.1, name)?.saturating_sub(number(&measured.stats.0, name)?));
        let used = |of: fn(&CpuUsed) -> Option<f64>| Some(of(&measured.cpu.1)? - of(&measured.cpu.0)?);
        let (server_cpu, client_cpu) = (used(|cpu| cpu.server), used(|cpu| cpu.client));
        let (groups, log_bytes) = (grown("groups"), grown("log_bytes"));
        let per_group = |count: f64| groups.filter(|&groups| groups > 0).map(|groups| count / groups as f64);
        let votes = grown("votes").zip(grown("votes_maybe"));
        RunFigures {
            transfers,
            requests: counts.requests,
            seconds,
            per_second: transfers as f64 / seconds,
            latency_us: Percentiles::of(&measured.latency),
            refused: counts.refused,
            repeats: counts.repeats,
            reads: counts.reads,
            read_latency_us: (counts.reads > 0).then(|| Percentiles::of(reads)),
            rate: plan.rate,
            unsent_requests: requests.map(|requests| requests.saturating_sub(counts.sent)),
            log_bytes_per_transfer: log_bytes.map(|bytes| each(bytes as f64)),
            request_bytes_per_transfer: each(wire.0 as f64),
            reply_bytes_per_transfer: each(wire.1 as f64),
            groups,
            transfers_per_group: per_group(transfers as f64),
            group_bytes: log_bytes.and_then(|bytes| per_group(bytes as f64)),
            segments: grown("segments_sealed"),
            snapshots: grown("snapshots_made"),
            server_cpu_us_per_transfer: server_cpu.map(|s| each(s * 1e6)),
            client_cpu_us_per_transfer: client_cpu.map(|s| each(s * 1e6)),
            server_cores: server_cpu.map(|s| s / seconds),
            client_cores: client_cpu.map(|s| s / seconds),
            threads: measured.threads.map_or(Vec::new(), |threads| by_name(&threads, seconds, transfers)),
            steal_percent: measured.steal_percent,
            votes,
            votes_maybe_percent: votes.filter(|votes| votes.0 > 0).map(|votes| votes.1 as f64 * 100.0 / votes.0 as f64),
            stages: measured.stats.1.get("stages").cloned(),
            proof,
            series: measured.points,
            latency: measured.latency,
        }
    }
}

/// CPU time of the threads of each name, busiest first.
fn by_name((before, after): &(Threads, Threads), seconds: f64, transfers: u64) -> Vec<ThreadCpu> {
    let mut names: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for (id, (name, cpu)) in after {
        // A thread id may have been used by another one before.
        let earlier = before.get(id).filter(|(old, _)| old == name).map_or(0.0, |(_, cpu)| *cpu);
        let place = names.entry(name).or_default();
        *place = (place.0 + 1, place.1 + (cpu - earlier).max(0.0));
    }
    let mut all: Vec<ThreadCpu> = names
        .into_iter()
        .map(|(name, (threads, cpu))| ThreadCpu {
            name: name.to_string(),
            threads,
            cores: cpu / seconds,
            us_per_transfer: cpu * 1e6 / transfers.max(1) as f64,
        })
        .collect();
    all.sort_by(|a, b| b.cores.total_cmp(&a.cores));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_name_are_added_and_new_ones_count_from_zero() {
        let threads = |all: &[(u32, &str, f64)]| all.iter().map(|&(id, name, s)| (id, (name.to_string(), s))).collect();
        let before: Threads = threads(&[(1, "a", 1.0), (2, "b", 5.0), (3, "old", 9.0)]);
        let after: Threads = threads(&[(1, "a", 2.0), (2, "b", 9.0), (3, "b", 1.0)]);
        let all = by_name(&(before, after), 10.0, 1_000_000);
        let short: Vec<_> = all.iter().map(|t| (t.name.as_str(), t.threads, t.cores, t.us_per_transfer)).collect();
        assert_eq!(short, [("b", 2, 0.5, 5.0), ("a", 1, 0.1, 1.0)]);
    }
}
