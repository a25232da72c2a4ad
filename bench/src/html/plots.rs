//! The plots of a report.

use super::chart::{Axis, COLOURS, Chart, Line, Mark};
use super::{Section, short, time};
use crate::figures::RunFigures;
use crate::report::Percentiles;
use crate::series::Point;

/// The furthest percentile that is drawn: one of a million.
const FURTHEST: f64 = 1e6;

fn seconds_axis() -> Axis {
    Axis { title: "seconds", logarithmic: false, label: short }
}

fn latency_axis() -> Axis {
    Axis { title: "latency", logarithmic: true, label: time }
}

/// Latency against throughput, from the steps of a ladder.
pub fn ladder(sections: &[Section<'_>]) -> String {
    let steps = || sections.iter().filter(|section| section.ladder_percent.is_some()).map(|section| section.figures);
    let line = |name: &str, value: fn(&Percentiles) -> u64| Line {
        name: name.to_string(),
        points: steps().map(|run| (run.per_second, value(&run.latency_us) as f64)).collect(),
    };
    Chart {
        title: "Latency of requests".to_string(),
        height: 360.0,
        x: Axis { title: "transfers per second", logarithmic: false, label: short },
        y: latency_axis(),
        lines: vec![line("p50", |p| p.p50), line("p99", |p| p.p99), line("p99.9", |p| p.p999), line("max", |p| p.max)],
        marks: Vec::new(),
    }
    .svg()
}

/// All percentiles of some runs: the first, and of a ladder those at 50, 80 and 100 %.
pub fn percentiles(sections: &[Section<'_>]) -> String {
    let shown = sections.iter().filter(|section| section.ladder_percent.is_none_or(|p| [20, 50, 80, 100].contains(&p)));
    let lines = shown.take(COLOURS).map(|section| Line { name: section.name.clone(), points: curve(section.figures) });
    Chart {
        title: "Percentiles".to_string(),
        height: 360.0,
        x: Axis { title: "percentile", logarithmic: true, label: percentile_label },
        y: latency_axis(),
        lines: lines.collect(),
        marks: Vec::new(),
    }
    .svg()
}

/// Points of a percentile curve: 1 / (1 − quantile), value.
fn curve(run: &RunFigures) -> Vec<(f64, f64)> {
    let steps = run.latency.iter_quantiles(4).map(|step| (step.quantile_iterated_to(), step.value_iterated_to()));
    steps
        .filter(|(quantile, _)| *quantile < 1.0)
        .map(|(quantile, value)| (1.0 / (1.0 - quantile), value as f64))
        .take_while(|(x, _)| *x <= FURTHEST)
        .collect()
}

/// The percentile of a place on the axis: 10 → 90 %.
fn percentile_label(x: f64) -> String {
    let percent = 100.0 - 100.0 / x;
    let digits = (x.log10().round() as usize).saturating_sub(2);
    format!("{percent:.digits$} %")
}

/// Throughput, latency, and what the server used, over the time of a run.
pub fn series(run: &RunFigures) -> String {
    let marks_of = |class: &'static str, happened: fn(&Point) -> bool| {
        let points = run.series.iter().filter(move |point| happened(point));
        points.map(move |point| Mark { at: point.at - point.seconds / 2.0, class })
    };
    let segments = marks_of("segment", |point| point.segments > 0);
    let marks: Vec<Mark> = segments.chain(marks_of("snapshot", |point| point.snapshots > 0)).collect();
    let line = |name: &str, value: &dyn Fn(&Point) -> Option<f64>| Line {
        name: name.to_string(),
        points: run.series.iter().filter_map(|point| Some((point.at, value(point)?))).collect(),
    };
    let chart = |title: &str, height: f64, y: Axis, lines: Vec<Line>| {
        Chart { title: title.to_string(), height, x: seconds_axis(), y, lines, marks: marks.clone() }.svg()
    };
    let linear = |title| Axis { title, logarithmic: false, label: short };
    let us = |value: u64| (value > 0).then_some(value as f64);
    let mut all = chart(
        "Throughput",
        220.0,
        linear("transfers per second"),
        vec![line("transfers", &|point| Some(point.transfers as f64 / point.seconds))],
    );
    all.push_str(&chart(
        "Latency",
        260.0,
        latency_axis(),
        vec![
            line("p50", &|point| us(point.p50)),
            line("p99", &|point| us(point.p99)),
            line("p99.9", &|point| us(point.p999)),
            line("max", &|point| us(point.max)),
        ],
    ));
    all.push_str(&chart(
        "Log",
        200.0,
        linear("per second"),
        vec![
            line("kB", &|point| Some(point.log_bytes as f64 / point.seconds / 1_000.0)),
            line("groups", &|point| Some(point.groups as f64 / point.seconds)),
        ],
    ));
    all.push_str(&chart(
        "CPU",
        200.0,
        linear("cores; steal in hundredths of the machine"),
        vec![
            line("server", &|point| point.server_cores),
            line("load generator", &|point| point.client_cores),
            line("steal", &|point| Some(point.steal_percent / 100.0)),
        ],
    ));
    all.push_str(&chart(
        "Server's memory",
        180.0,
        linear("MB"),
        vec![line("resident", &|point| point.server_memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)))],
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_named_by_their_distance_from_all() {
        assert_eq!(
            [1.0, 10.0, 100.0, 1_000.0, 1e6].map(percentile_label),
            ["0 %", "90 %", "99 %", "99.9 %", "99.9999 %"]
        );
    }
}
