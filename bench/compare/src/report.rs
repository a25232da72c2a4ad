//! What the comparison says: a line per run while it goes on, then medians and ratios as text, Markdown and JSON.
//! Numbers and units only. Where PostgreSQL is better, the ratio is below 1 and marked.

use std::path::Path;

use florin_bench::Median;
use serde_json::{Value, json};

use crate::error::CompareError;
use crate::figures::Figures;
use crate::postgres::{Settings, Tried};
use crate::rows::{PAIRS, Pair, Row, shape_name};

/// Collects and shows.
pub struct Report {
    /// What the figures depend on.
    about: Vec<(String, String)>,
    settings: Vec<(Row, Settings, Tried)>,
    runs: Vec<(Row, u16, Figures)>,
}

/// Column heads and rows of text; the first `left` columns lean left.
struct Table {
    heads: Vec<&'static str>,
    left: usize,
    rows: Vec<Vec<String>>,
}

/// Medians of a row.
#[derive(Clone, Copy, Debug)]
struct Medians {
    per_second: Median,
    p50_us: f64,
    p99_us: f64,
    log_bytes: f64,
    table_bytes: Option<f64>,
    server_cpu_us: Option<f64>,
    steal_percent: f64,
}

/// Ratios of a pair; above 1 Florin is better.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratios {
    per_second: f64,
    p50: f64,
    p99: f64,
    log_bytes: f64,
}

impl Report {
    /// An empty one.
    pub fn new(about: Vec<(String, String)>) -> Report {
        Report { about, settings: Vec::new(), runs: Vec::new() }
    }

    /// Adds what PostgreSQL told of itself.
    pub fn postgres(&mut self, told: Vec<(String, String)>) {
        let told: Vec<String> = told.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        self.about.push(("PostgreSQL".to_string(), told.join(", ")));
    }

    /// Prints what the figures depend on.
    pub fn print_head(&self) {
        self.about.iter().for_each(|(name, value)| println!("{name}: {value}"));
    }

    /// Adds and prints the settings chosen for a row.
    pub fn settings(&mut self, row: &Row, best: &Settings, tried: Tried) {
        println!("{}: the rules hold; {}", row.name, settings_text(best, &tried));
        self.settings.push((*row, best.clone(), tried));
    }

    /// Adds and prints a run.
    pub fn run(&mut self, row: &Row, turn: u16, figures: Figures) {
        println!(
            "run {turn}, {}: {} transfers/s, p50 {} ms, p99 {} ms, {:.0} B log, steal {:.1} %, books proved{}",
            row.name,
            count(figures.per_second),
            milliseconds(figures.latency_us.p50 as f64),
            milliseconds(figures.latency_us.p99 as f64),
            figures.log_bytes_per_transfer,
            figures.steal_percent,
            if figures.retries > 0 { format!(", {} retries after deadlocks", figures.retries) } else { String::new() },
        );
        self.runs.push((*row, turn, figures));
    }

    /// Prints medians and ratios.
    pub fn print_tables(&self) {
        println!();
        self.rows_table().text().iter().for_each(|line| println!("{line}"));
        let ratios = self.pairs_table();
        if !ratios.rows.is_empty() {
            println!();
            ratios.text().iter().for_each(|line| println!("{line}"));
            println!("\n{RATIOS_NOTE}");
        }
    }

    /// Writes the files that are wanted.
    pub fn write(&self, json: Option<&Path>, markdown: Option<&Path>) -> Result<(), CompareError> {
        let write = |path: &Path, text: String| {
            std::fs::write(path, text).map_err(|source| CompareError::File { path: path.to_path_buf(), source })
        };
        if let Some(path) = json {
            write(path, format!("{:#}\n", self.json()))?;
        }
        if let Some(path) = markdown {
            write(path, self.markdown())?;
        }
        Ok(())
    }

    fn rows(&self) -> Vec<(Row, Medians)> {
        let mut rows: Vec<(Row, Medians)> = Vec::new();
        for (row, _, _) in &self.runs {
            if !rows.iter().any(|(known, _)| known.name == row.name) {
                rows.extend(self.medians(row.name).map(|medians| (*row, medians)));
            }
        }
        rows
    }

    fn medians(&self, name: &str) -> Option<Medians> {
        let of = |value: &dyn Fn(&Figures) -> Option<f64>| {
            let runs = self.runs.iter().filter(|(row, _, _)| row.name == name);
            Median::of(&runs.filter_map(|(_, _, figures)| value(figures)).collect::<Vec<_>>())
        };
        Some(Medians {
            per_second: of(&|f| Some(f.per_second))?,
            p50_us: of(&|f| Some(f.latency_us.p50 as f64))?.median,
            p99_us: of(&|f| Some(f.latency_us.p99 as f64))?.median,
            log_bytes: of(&|f| Some(f.log_bytes_per_transfer))?.median,
            table_bytes: of(&|f| f.table_bytes_per_transfer).map(|m| m.median),
            server_cpu_us: of(&|f| f.server_cpu_us_per_transfer).map(|m| m.median),
            steal_percent: of(&|f| Some(f.steal_percent))?.median,
        })
    }

    /// Each pair with the PostgreSQL row that counts.
    fn pairs(&self) -> Vec<(Pair, Row, Ratios)> {
        let rows = self.rows();
        let of_pair = |pair: &Pair| {
            let (_, florin) = rows.iter().find(|(row, _)| row.name == pair.florin)?;
            let others = rows.iter().filter(|(row, _)| pair.postgres.contains(&row.name));
            let (row, fastest) = others.max_by(|a, b| a.1.per_second.median.total_cmp(&b.1.per_second.median))?;
            Some((*pair, *row, ratios(florin, fastest)))
        };
        PAIRS.iter().filter_map(of_pair).collect()
    }

    fn rows_table(&self) -> Table {
        let heads = vec![
            "system",
            "shape",
            "per call",
            "transfers/s",
            "least to most",
            "p50 ms",
            "p99 ms",
            "log B",
            "tables B",
            "cpu us",
            "steal %",
        ];
        let row = |(row, m): &(Row, Medians)| {
            vec![
                row.title.to_string(),
                shape_name(row.shape).to_string(),
                row.batch.to_string(),
                count(m.per_second.median),
                format!("{} to {}", count(m.per_second.min), count(m.per_second.max)),
                milliseconds(m.p50_us),
                milliseconds(m.p99_us),
                format!("{:.0}", m.log_bytes),
                m.table_bytes.map_or("-".to_string(), |bytes| format!("{bytes:.0}")),
                m.server_cpu_us.map_or("-".to_string(), |us| format!("{us:.1}")),
                format!("{:.1}", m.steal_percent),
            ]
        };
        Table { heads, left: 2, rows: self.rows().iter().map(row).collect() }
    }

    fn pairs_table(&self) -> Table {
        let heads = vec!["Florin", "against", "transfers/s", "required", "aim", "", "p50", "p99", "log bytes"];
        let row = |(pair, against, r): &(Pair, Row, Ratios)| {
            let wanted = |value: Option<f64>| value.map_or("-".to_string(), |v| format!("{v:.0} x"));
            vec![
                pair.title.to_string(),
                against.title.to_string(),
                times(r.per_second),
                wanted(pair.required),
                wanted(pair.aim),
                verdict(pair, r.per_second).to_string(),
                times(r.p50),
                times(r.p99),
                times(r.log_bytes),
            ]
        };
        Table { heads, left: 2, rows: self.pairs().iter().map(row).collect() }
    }

    fn markdown(&self) -> String {
        let mut lines = self.rows_table().markdown();
        let ratios = self.pairs_table();
        if !ratios.rows.is_empty() {
            lines.push(String::new());
            lines.extend(ratios.markdown());
            lines.extend([String::new(), RATIOS_NOTE.to_string()]);
        }
        lines.push(String::new());
        lines.extend(self.about.iter().map(|(name, value)| format!("- {name}: {value}")));
        let chosen =
            self.settings.iter().map(|(row, best, tried)| format!("- {}: {}", row.name, settings_text(best, tried)));
        lines.extend(chosen);
        lines.join("\n") + "\n"
    }

    fn json(&self) -> Value {
        let settings: Vec<Value> = self
            .settings
            .iter()
            .map(|(row, best, tried)| {
                let tried: Vec<Value> =
                    tried.iter().map(|(s, rate)| json!({ "settings": s, "per_second": rate })).collect();
                json!({ "row": row.name, "chosen": best, "tried": tried })
            })
            .collect();
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|(row, turn, figures)| json!({ "row": row.name, "run": turn, "figures": figures }))
            .collect();
        let rows: Vec<Value> = self
            .rows()
            .iter()
            .map(|(row, m)| {
                json!({
                    "row": row.name, "batch": row.batch, "shape": shape_name(row.shape), "per_second": m.per_second,
                    "p50_us": m.p50_us, "p99_us": m.p99_us, "log_bytes_per_transfer": m.log_bytes,
                    "table_bytes_per_transfer": m.table_bytes,
                    "server_cpu_us_per_transfer": m.server_cpu_us, "steal_percent": m.steal_percent,
                })
            })
            .collect();
        let ratios: Vec<Value> = self
            .pairs()
            .iter()
            .map(|(pair, against, r)| {
                json!({
                    "florin": pair.florin, "postgres": against.name, "per_second": r.per_second, "required": pair.required,
                    "aim": pair.aim, "p50": r.p50, "p99": r.p99, "log_bytes": r.log_bytes,
                })
            })
            .collect();
        let about: serde_json::Map<String, Value> =
            self.about.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        json!({ "about": about, "settings": settings, "runs": runs, "medians": rows, "ratios": ratios })
    }
}

const RATIOS_NOTE: &str = "Ratios of medians of this run: how many times better Florin is. (P): below 1, PostgreSQL is better. \
                           Of the batched forms the fastest of this run counts. \
                           p50 and p99 are of whole calls: 100 transfers in some, 1 in others.";

fn ratios(florin: &Medians, postgres: &Medians) -> Ratios {
    Ratios {
        per_second: florin.per_second.median / postgres.per_second.median,
        p50: postgres.p50_us / florin.p50_us,
        p99: postgres.p99_us / florin.p99_us,
        log_bytes: postgres.log_bytes / florin.log_bytes,
    }
}

fn verdict(pair: &Pair, ratio: f64) -> &'static str {
    let reached = |wanted: Option<f64>| wanted.is_some_and(|wanted| ratio >= wanted);
    match pair.required {
        None => "",
        Some(_) if reached(pair.aim) => "aim met",
        Some(_) if reached(pair.required) => "met",
        Some(_) => "missed",
    }
}

fn settings_text(best: &Settings, tried: &[(Settings, f64)]) -> String {
    let name = |s: &Settings| format!("{} with a delay of {} us", s.wal_sync_method, s.commit_delay_us);
    let tried: Vec<String> = tried.iter().map(|(s, rate)| format!("{}: {}/s", name(s), count(*rate))).collect();
    match tried.is_empty() {
        true => format!("{}, not chosen by measuring", name(best)),
        false => format!("{} (tried {})", name(best), tried.join("; ")),
    }
}

/// A ratio with three digits; below 1 it is PostgreSQL that is better.
fn times(ratio: f64) -> String {
    let digits = if ratio >= 99.95 {
        0
    } else if ratio >= 9.995 {
        1
    } else {
        2
    };
    format!("{ratio:.digits$} x{}", if ratio < 1.0 { " (P)" } else { "" })
}

/// A whole number with commas.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn milliseconds(us: f64) -> String {
    format!("{:.2}", us / 1000.0)
}

impl Table {
    fn text(&self) -> Vec<String> {
        let heads: Vec<String> = self.heads.iter().map(|head| head.to_string()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let shown = |line: &&Vec<String>| {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column < self.left {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
        };
        lines.iter().map(shown).collect()
    }

    fn markdown(&self) -> Vec<String> {
        let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
        let leaning = (0..self.heads.len()).map(|column| if column < self.left { "---" } else { "---:" }).collect();
        let mut lines = vec![line(self.heads.clone()), line(leaning)];
        lines.extend(self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;
    use florin_bench::Percentiles;

    fn figures(per_second: f64, p99: u64, log_bytes: f64) -> Figures {
        Figures {
            transfers: 1000,
            seconds: 1.0,
            per_second,
            latency_us: Percentiles { p50: p99 / 2, p99, ..Percentiles::default() },
            log_bytes_per_transfer: log_bytes,
            table_bytes_per_transfer: None,
            server_cpu_us_per_transfer: None,
            steal_percent: 0.5,
            retries: 0,
            one_by_one: 0,
        }
    }

    fn report() -> Report {
        let mut report = Report::new(vec![("cores".to_string(), "2".to_string())]);
        for (name, rates, p99, log) in [
            ("row-locks-uniform", [10_000.0, 9_000.0, 50_000.0], 8_000, 800.0),
            ("florin-100-uniform", [900_000.0, 850_000.0, 1.0], 12_000, 178.0),
        ] {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            for (turn, rate) in rates.into_iter().enumerate() {
                report.runs.push((*row, turn as u16 + 1, figures(rate, p99, log)));
            }
        }
        report
    }

    #[test]
    fn ratios_are_of_medians_and_only_of_rows_that_ran() {
        let pairs = report().pairs();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].2.per_second, 85.0);
        assert_eq!(verdict(&pairs[0].0, pairs[0].2.per_second), "met");
        assert_eq!(verdict(&pairs[0].0, 79.9), "missed");
        assert_eq!(verdict(&PAIRS[2], 40.0), "aim met");
    }

    #[test]
    fn the_fastest_of_several_forms_counts() {
        let mut report = report();
        for (name, rate) in [("batched-uniform", 30_000.0), ("batched-columns-uniform", 34_000.0)] {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            report.runs.push((*row, 1, figures(rate, 8_000, 500.0)));
        }
        let pairs = report.pairs();
        assert_eq!((pairs.len(), pairs[1].1.name, pairs[1].2.per_second), (2, "batched-columns-uniform", 25.0));
    }

    #[test]
    fn tables_show_where_postgresql_is_better() {
        let report = report();
        let lines = report.pairs_table().text();
        assert!(lines[1].starts_with("100 per request, uniform  PostgreSQL, row locks"), "{lines:?}");
        assert!(
            lines[1].contains("85.0 x") && lines[1].contains("0.67 x (P)") && lines[1].contains("4.49 x"),
            "{lines:?}"
        );
        assert!(report.rows_table().text()[1].contains("10,000  9,000 to 50,000    4.00    8.00"));
    }

    #[test]
    fn markdown_and_json_hold_the_same_figures() {
        let report = report();
        let markdown = report.markdown();
        assert!(markdown.contains("| PostgreSQL, row locks | uniform | 1 | 10,000 |"), "{markdown}");
        assert!(markdown.contains("- cores: 2"));
        let json = report.json();
        assert_eq!(json["ratios"][0]["per_second"], 85.0);
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(6));
        assert_eq!(json["medians"][1]["per_second"]["median"], 850_000.0);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            (count(999.6).as_str(), count(1_234_567.0).as_str(), count(0.0).as_str()),
            ("1,000", "1,234,567", "0")
        );
        assert_eq!(
            (times(0.5).as_str(), times(7.456).as_str(), times(85.04).as_str()),
            ("0.50 x (P)", "7.46 x", "85.0 x")
        );
        assert_eq!((times(123.4).as_str(), milliseconds(1234.0).as_str()), ("123 x", "1.23"));
    }
}
