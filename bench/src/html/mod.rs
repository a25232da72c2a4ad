//! The report of a bench: one HTML page with its plots as inline SVG. It needs nothing from outside, no script either,
//! and is read on light and on dark screens.

mod chart;
mod plots;
mod tables;

use std::fmt::Write;

use crate::figures::RunFigures;

/// The page's only style sheet. Colours of lines are those of Okabe and Ito, which colour-blind readers tell apart.
const STYLE: &str = include_str!("style.css");

/// What a report shows.
pub struct Report<'a> {
    /// Its title.
    pub title: String,
    /// What was measured on: name and value.
    pub facts: Vec<(&'static str, String)>,
    /// What was asked for: name and value.
    pub configuration: Vec<(&'static str, String)>,
    /// Writes of the disk's probe: what, median and 99 % in microseconds, megabytes a second.
    pub probe: Vec<Vec<String>>,
    /// The runs.
    pub sections: Vec<Section<'a>>,
}

/// A run of a report.
pub struct Section<'a> {
    /// What it is called.
    pub name: String,
    /// Percent of the closed loop's throughput, in a ladder.
    pub ladder_percent: Option<u64>,
    /// What it measured.
    pub figures: &'a RunFigures,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        page.push_str(&tables::headline(&self.sections));
        page.push_str("<div class=\"pair\">\n");
        page.push_str(&tables::pairs("Machine", &self.facts));
        page.push_str(&tables::pairs("Configuration", &self.configuration));
        page.push_str("</div>\n<h2>Runs</h2>\n");
        page.push_str(&tables::runs(&self.sections));
        page.push_str("<h3>Per transfer, and in all</h3>\n");
        page.push_str(&tables::costs(&self.sections));
        if self.sections.iter().any(|section| section.ladder_percent.is_some()) {
            page.push_str("<h2>Latency against throughput</h2>\n");
            page.push_str(
                "<p>Open loop: latencies count from the time at which a request was due, so a queue is seen.</p>\n",
            );
            page.push_str(&plots::ladder(&self.sections));
        }
        page.push_str("<h2>Latency by percentile</h2>\n");
        page.push_str(&plots::percentiles(&self.sections));
        page.push_str("<h2>Runs over time</h2>\n");
        page.push_str("<p>A dashed line marks an interval in which a segment of the log was begun, a solid one an interval in which a snapshot was finished.</p>\n");
        for (index, section) in self.sections.iter().enumerate() {
            // Of many runs only the first is open.
            let open = if index == 0 || self.sections.len() <= 3 { " open" } else { "" };
            let _ = writeln!(page, "<details{open}><summary>{}</summary>", escape(&section.name));
            page.push_str(&plots::series(section.figures));
            page.push_str(&tables::threads(section.figures));
            page.push_str(&tables::stages(section.figures));
            page.push_str("</details>\n");
        }
        page.push_str(&tables::probe(&self.probe));
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }
}

/// A text in HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number with commas.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A short number for an axis: 1.5 M, 20 k, 0.3.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, " G"),
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Microseconds as text with a unit.
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", short(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", short(us / 1e3)),
        us => format!("{} µs", short(us)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.25, 20_000.0, 1_500_000.0, 150.0].map(short), ["0", "0.25", "20 k", "1.5 M", "150"]);
        assert_eq!([12.0, 1_500.0, 2_000_000.0].map(time), ["12 µs", "1.5 ms", "2 s"]);
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
