//! What a report says besides the figures: machine, disk, configuration, commit.

use std::path::Path;
use std::process::Command;

use florin_bench::html::{Report, Section};
use florin_bench::machine::{Machine, file_system};
use florin_wal::{ProbeOptions, ProbeReport, probe};
use serde_json::{Value, json};

use super::BenchArguments;
use super::choice::Chosen;
use super::measure::Done;
use crate::amount::format_count;

/// Writes of each kind of the disk's probe.
const PROBE_WRITES: usize = 50;

/// What was found before the runs.
pub struct Facts {
    machine: Machine,
    commit: String,
    file_system: Option<String>,
    probe: Option<ProbeReport>,
    configuration: Vec<(&'static str, String)>,
}

impl Facts {
    /// Gathers them; the disk is probed only for a report.
    pub fn gather(arguments: &BenchArguments, chosen: &[Chosen], folder: Option<&Path>) -> Facts {
        let options = ProbeOptions { writes: PROBE_WRITES, ..ProbeOptions::default() };
        let probed = folder.filter(|_| arguments.report.is_some()).and_then(|folder| probe(folder, &options).ok());
        Facts {
            machine: Machine::this(),
            commit: commit(),
            file_system: folder.map(file_system),
            probe: probed,
            configuration: configuration(arguments, chosen),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let configuration: serde_json::Map<_, _> =
            self.configuration.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        json!({
            "machine": self.machine, "commit": self.commit, "file_system": self.file_system,
            "configuration": configuration, "disk_probe": self.probe_rows().iter().map(|(what, p50, p99, rate)| json!({
                "write": what, "p50_us": p50, "p99_us": p99, "mb_per_second": rate,
            })).collect::<Vec<_>>(),
        })
    }

    /// What was written, median and 99 % in microseconds, megabytes a second.
    fn probe_rows(&self) -> Vec<(String, u64, u64, u64)> {
        let rows = self.probe.iter().flat_map(|report| &report.rows);
        rows.map(|row| {
            let way = if row.direct { "direct" } else { "buffered and synced" };
            let blocks = if row.fresh { "fresh blocks" } else { "blocks written before" };
            let what = format!("{} KiB, {way}, {blocks}", row.bytes >> 10);
            let rate = (row.bytes * PROBE_WRITES) as f64 / row.total.as_secs_f64().max(1e-9) / 1e6;
            (what, row.p50.as_micros() as u64, row.p99.as_micros() as u64, rate as u64)
        })
        .collect()
    }

    /// The report on some runs.
    pub fn report(&self, done: &[Done]) -> String {
        let mut facts = vec![
            ("processor", format!("{}, {} cores", self.machine.processor, self.machine.cores)),
            ("memory", format!("{} MB", format_count(self.machine.memory_bytes >> 20))),
            ("kernel", self.machine.kernel.clone()),
            ("florin", self.commit.clone()),
        ];
        facts.extend(self.file_system.iter().map(|name| ("file system", name.clone())));
        let probe = self
            .probe_rows()
            .into_iter()
            .map(|(what, p50, p99, rate)| vec![what, format_count(p50), format_count(p99), format_count(rate)]);
        Report {
            title: "florin bench".to_string(),
            facts,
            configuration: self.configuration.clone(),
            probe: probe.collect(),
            sections: done
                .iter()
                .map(|run| Section {
                    name: match run.percent {
                        Some(percent) => format!("{} at {percent} %", run.name),
                        None => run.name.clone(),
                    },
                    ladder_percent: run.percent,
                    figures: &run.figures,
                })
                .collect(),
        }
        .html()
    }
}

fn configuration(arguments: &BenchArguments, chosen: &[Chosen]) -> Vec<(&'static str, String)> {
    let names: Vec<&str> = chosen.iter().map(|chosen| chosen.name.as_str()).collect();
    let first = chosen.first().map(|chosen| chosen.workload);
    let end = match arguments.transfers {
        Some(count) => format!("{} transfers", format_count(count)),
        None => format!("{} s", arguments.seconds),
    };
    let server = match &arguments.server {
        Some(address) => format!("at {address}"),
        None => format!("its own; shards: {}; log written: {:?}", arguments.shards, arguments.io).to_lowercase(),
    };
    vec![
        ("workload", names.join(", ")),
        ("transfers per request", format_count(first.map_or(0, |workload| workload.batch as u64))),
        ("connections", arguments.connections.to_string()),
        ("in flight on each, closed loop", arguments.in_flight().to_string()),
        ("accounts", format_count(arguments.accounts)),
        ("ids", if arguments.random_ids { "random" } else { "time-ordered" }.to_string()),
        ("posted again", format!("{} %", first.map_or(0, |workload| workload.repeats_percent))),
        ("look-ups", format!("{} % of the requests", first.map_or(0, |workload| workload.reads_percent))),
        ("a run ends after", end),
        ("server", server),
    ]
}

/// The release, and the commit of the sources where they are a git repository.
fn commit() -> String {
    let release = concat!("release ", env!("CARGO_PKG_VERSION"));
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    match git(&["rev-parse", "--short=12", "HEAD"]) {
        None => release.to_string(),
        Some(commit) => {
            let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
            format!("{release}, commit {commit}{}", if changed { " with changes" } else { "" })
        }
    }
}
