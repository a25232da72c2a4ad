//! The figures of all runs as a table and some lines, and as one JSON object.

use florin_bench::{Median, RunFigures};
use serde_json::{Value, json};

use super::measure::Done;
use crate::amount::format_count;
use crate::output::{Align, Table};

/// The names of the runs, each once, in order.
fn names(done: &[Done]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for run in done {
        if !names.contains(&run.name.as_str()) {
            names.push(&run.name);
        }
    }
    names
}

/// The runs of a name; those of a ladder are not among them.
fn of<'a>(name: &'a str, done: &'a [Done]) -> impl Iterator<Item = &'a RunFigures> {
    done.iter().filter(move |run| run.name == name && run.percent.is_none()).map(|run| &run.figures)
}

fn median_of(name: &str, done: &[Done], value: impl Fn(&RunFigures) -> Option<f64>) -> Option<Median> {
    Median::of(&of(name, done).filter_map(value).collect::<Vec<_>>())
}

/// A value with some digits behind the point.
fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_string(), |v| format!("{v:.digits$}"))
}

/// The table and the lines below it.
pub fn summary(compare_hot: bool, done: &[Done]) -> Vec<String> {
    let mut lines = runs_table(done).lines();
    lines.push(
        "latency is of whole requests; log B, srv us and cli us are log bytes and CPU time per transfer".to_string(),
    );
    for name in names(done) {
        let Some(rate) = median_of(name, done, |f| Some(f.per_second)) else { continue };
        let runs = of(name, done).count();
        let spread = match runs {
            1 => String::new(),
            _ => format!(
                " (median of {runs} runs, {} to {})",
                format_count(rate.min as u64),
                format_count(rate.max as u64)
            ),
        };
        lines.push(format!("{name}: {} transfers/s{spread}", format_count(rate.median as u64)));
    }
    if compare_hot
        && let (Some(uniform), Some(hot)) =
            (median_of("uniform", done, |f| Some(f.per_second)), median_of("hot", done, |f| Some(f.per_second)))
    {
        lines.push(format!("hot / uniform: {:.1} %", hot.median * 100.0 / uniform.median));
    }
    if let Some(last) = done.last() {
        lines.extend(details(&last.figures));
    }
    let transfers: u64 = done.iter().map(|run| run.figures.proof.transfers).sum();
    let ids: u64 = done.iter().map(|run| run.figures.proof.ids).sum();
    lines.push(format!(
        "books proved: {} transfers in balances and versions of {} accounts, {} ids looked up, debits = credits",
        format_count(transfers),
        format_count(done.last().map_or(0, |run| run.figures.proof.accounts)),
        format_count(ids)
    ));
    lines
}

fn runs_table(done: &[Done]) -> Table {
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("transfers/s", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
        ("p99.9", Align::Right),
        ("p99.99", Align::Right),
        ("max us", Align::Right),
        ("log B", Align::Right),
        ("srv us", Align::Right),
        ("cli us", Align::Right),
        ("steal", Align::Right),
    ]);
    for Done { name, percent, figures } in done {
        let l = &figures.latency_us;
        table.row(vec![
            percent.map_or(name.clone(), |percent| format!("{percent} %")),
            format_count(figures.per_second as u64),
            format_count(l.p50),
            format_count(l.p99),
            format_count(l.p999),
            format_count(l.p9999),
            format_count(l.max),
            shown(figures.log_bytes_per_transfer, 1),
            shown(figures.server_cpu_us_per_transfer, 2),
            shown(figures.client_cpu_us_per_transfer, 2),
            format!("{:.1} %", figures.steal_percent),
        ]);
        notes(figures).into_iter().for_each(|note| table.note(note));
    }
    table
}

/// What is special about a run, if anything is.
fn notes(figures: &RunFigures) -> Vec<String> {
    let mut notes = Vec::new();
    let share = |count: u64| count as f64 * 100.0 / figures.transfers.max(1) as f64;
    if let (Some(rate), Some(unsent)) = (figures.rate, figures.unsent_requests)
        && unsent > 0
    {
        let (rate, unsent) = (format_count(rate), format_count(unsent));
        notes.push(format!("{rate} transfers/s were asked for; {unsent} requests could not be sent in time"));
    }
    if figures.refused > 0 {
        let (count, share) = (format_count(figures.refused), share(figures.refused));
        notes.push(format!("{count} refused for lack of money ({share:.1} %), as expected"));
    }
    if figures.repeats > 0 {
        let (count, share) = (format_count(figures.repeats), share(figures.repeats));
        notes.push(format!("{count} posted again and answered as repeats ({share:.1} %)"));
    }
    if let Some(l) = &figures.read_latency_us {
        let [count, p50, p99, max] = [figures.reads, l.p50, l.p99, l.max].map(format_count);
        notes.push(format!("{count} look-ups: p50 {p50}, p99 {p99}, max {max} us"));
    }
    notes
}

/// Wire, groups, votes, threads and stages of a run.
fn details(figures: &RunFigures) -> Vec<String> {
    let mut lines = vec![format!(
        "wire: {:.1} bytes out and {:.1} in per transfer; groups: {} transfers and {} bytes each; segments begun: {}",
        figures.request_bytes_per_transfer,
        figures.reply_bytes_per_transfer,
        shown(figures.transfers_per_group, 0),
        shown(figures.group_bytes, 0),
        figures.segments.map_or("-".to_string(), format_count),
    )];
    if let Some(maybe) = figures.votes_maybe_percent {
        lines.push(format!("votes in doubt: {maybe:.2} %"));
    }
    let busy: Vec<String> = figures
        .threads
        .iter()
        .filter(|thread| thread.cores >= 0.005)
        .map(|thread| {
            let count = if thread.threads > 1 { format!(" x {}", thread.threads) } else { String::new() };
            format!("{}{count} {:.2} us ({:.2} cores)", thread.name, thread.us_per_transfer, thread.cores)
        })
        .collect();
    if !busy.is_empty() {
        lines.push(format!("server's threads, CPU per transfer: {}", busy.join(", ")));
    }
    if let Some(Value::Array(stages)) = &figures.stages {
        let mut table = Table::new(&[
            ("stage, since start", Align::Left),
            ("count", Align::Right),
            ("p50 us", Align::Right),
            ("p99 us", Align::Right),
            ("p99.9 us", Align::Right),
            ("max us", Align::Right),
        ]);
        let us = |stage: &Value, name: &str| shown(stage[name].as_u64().map(|ns| ns as f64 / 1_000.0), 1);
        for stage in stages {
            table.row(vec![
                stage["name"].as_str().unwrap_or("-").to_string(),
                stage["count"].as_u64().map_or("-".to_string(), format_count),
                us(stage, "p50_ns"),
                us(stage, "p99_ns"),
                us(stage, "p999_ns"),
                us(stage, "max_ns"),
            ]);
        }
        lines.extend(table.lines());
    }
    lines
}

/// The medians of the runs of each name.
pub fn totals(done: &[Done]) -> Value {
    let medians: serde_json::Map<_, _> = names(done)
        .into_iter()
        .map(|name| {
            let rate = median_of(name, done, |f| Some(f.per_second));
            let bytes = median_of(name, done, |f| f.log_bytes_per_transfer);
            (name.to_string(), json!({ "per_second": rate, "log_bytes_per_transfer": bytes }))
        })
        .collect();
    json!({ "medians": medians })
}
