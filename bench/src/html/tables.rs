//! The tables of a report.

use std::fmt::Write;

use serde_json::Value;

use super::{Section, count, escape, time};
use crate::figures::RunFigures;

/// The figures of the first run, large.
pub fn headline(sections: &[Section<'_>]) -> String {
    let Some(Section { figures, .. }) = sections.first() else { return String::new() };
    let optional = |value: Option<f64>, digits: usize| value.map_or("–".to_string(), |v| format!("{v:.digits$}"));
    let cards = [
        (count(figures.per_second as u64), "transfers per second"),
        (time(figures.latency_us.p50 as f64), "median of requests"),
        (time(figures.latency_us.p99 as f64), "99 % of requests"),
        (time(figures.latency_us.p999 as f64), "99.9 % of requests"),
        (optional(figures.log_bytes_per_transfer, 1), "log bytes per transfer"),
        (optional(figures.server_cpu_us_per_transfer, 2), "server's CPU µs per transfer"),
    ];
    let mut html = String::from("<div class=\"cards\">\n");
    for (value, what) in cards {
        let _ = writeln!(html, "<div class=\"card\"><b>{}</b><span>{what}</span></div>", escape(&value));
    }
    let proved: u64 = sections.iter().map(|section| section.figures.proof.transfers).sum();
    let ids: u64 = sections.iter().map(|section| section.figures.proof.ids).sum();
    let _ = writeln!(
        html,
        "</div>\n<p>The figures above are of the first run. Books proved after each run: {} transfers in balances and \
         versions of {} accounts, {} ids looked up, debits = credits.</p>",
        count(proved),
        count(figures.proof.accounts),
        count(ids)
    );
    html
}

/// Names with their values.
pub fn pairs(title: &str, pairs: &[(&'static str, String)]) -> String {
    let mut html = format!("<div><h3>{}</h3>\n<table class=\"pairs\">\n", escape(title));
    for (name, value) in pairs {
        let _ = writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    html.push_str("</table></div>\n");
    html
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |cells: &mut dyn Iterator<Item = String>, tag: &str| -> String {
        cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(&cell))).collect()
    };
    let mut html = String::from("<div class=\"wide\"><table>\n");
    let _ = writeln!(html, "<tr>{}</tr>", cells(&mut heads.iter().map(|head| head.to_string()), "th"));
    for row in rows {
        let _ = writeln!(html, "<tr>{}</tr>", cells(&mut row.into_iter(), "td"));
    }
    html.push_str("</table></div>\n");
    html
}

/// Throughput and latency, one line for each run.
pub fn runs(sections: &[Section<'_>]) -> String {
    let heads = ["run", "asked/s", "transfers/s", "p50", "p90", "p99", "p99.9", "p99.99", "max", "unsent", "steal"];
    let rows = sections.iter().map(|section| {
        let (run, l) = (section.figures, section.figures.latency_us);
        let asked = run.rate.map_or_else(none, count);
        let mut row = vec![section.name.clone(), asked, count(run.per_second as u64)];
        row.extend([l.p50, l.p90, l.p99, l.p999, l.p9999, l.max].map(|us| time(us as f64)));
        row.extend([some(run.unsent_requests.unwrap_or(0)), format!("{:.1} %", run.steal_percent)]);
        row
    });
    table(&heads, rows)
}

/// What the transfers were and what they cost, one line for each run.
pub fn costs(sections: &[Section<'_>]) -> String {
    let heads = [
        "run",
        "refused",
        "repeats",
        "look-ups",
        "log B",
        "wire B",
        "per group",
        "in doubt",
        "server µs",
        "client µs",
        "server cores",
        "client cores",
    ];
    let rows = sections.iter().map(|section| {
        let run = section.figures;
        let shown = |value: Option<f64>, digits: usize| value.map_or_else(none, |v| format!("{v:.digits$}"));
        let mut row = vec![section.name.clone()];
        row.extend([run.refused, run.repeats, run.reads].map(some));
        row.extend([
            shown(run.log_bytes_per_transfer, 1),
            format!("{:.0}", run.request_bytes_per_transfer + run.reply_bytes_per_transfer),
            shown(run.transfers_per_group, 0),
            run.votes_maybe_percent.map_or_else(none, |percent| format!("{percent:.2} %")),
            shown(run.server_cpu_us_per_transfer, 2),
            shown(run.client_cpu_us_per_transfer, 2),
            shown(run.server_cores, 2),
            shown(run.client_cores, 2),
        ]);
        row
    });
    table(&heads, rows)
}

fn none() -> String {
    "–".to_string()
}

/// A count, or a dash for none.
fn some(value: u64) -> String {
    if value == 0 { none() } else { count(value) }
}

/// CPU time of the server's threads.
pub fn threads(run: &RunFigures) -> String {
    if run.threads.is_empty() {
        return String::new();
    }
    let rows = run.threads.iter().map(|thread| {
        let (us, cores) = (format!("{:.3}", thread.us_per_transfer), format!("{:.2}", thread.cores));
        vec![thread.name.clone(), thread.threads.to_string(), us, cores]
    });
    format!("<h3>Server's threads</h3>\n{}", table(&["name", "threads", "CPU µs per transfer", "cores"], rows))
}

/// Time in the stages of the server, if it tells.
pub fn stages(run: &RunFigures) -> String {
    let Some(Value::Array(stages)) = &run.stages else { return String::new() };
    let rows = stages.iter().map(|stage| {
        let us = |name: &str| stage[name].as_u64().map_or("–".to_string(), |ns| time(ns as f64 / 1_000.0));
        let name = stage["name"].as_str().unwrap_or("–").to_string();
        let seen = stage["count"].as_u64().map_or("–".to_string(), count);
        vec![name, seen, us("p50_ns"), us("p99_ns"), us("p999_ns"), us("max_ns")]
    });
    let table = table(&["stage", "count", "p50", "p99", "p99.9", "max"], rows);
    format!("<h3>Stages of the server, since its start</h3>\n{table}")
}

/// The disk's probe.
pub fn probe(rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let table = table(&["write with its sync", "p50 µs", "p99 µs", "MB/s"], rows.iter().cloned());
    format!("<h2>Disk, probed before the runs</h2>\n{table}")
}
