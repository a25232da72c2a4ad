//! A line chart as SVG: two axes, lines in the colours of the style sheet, marks, a legend.

use std::fmt::Write;

use super::escape;

/// Size and margins, units of the picture.
const WIDTH: f64 = 1_040.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;
/// Colours that the style sheet has.
pub const COLOURS: usize = 5;
/// Lines of a grid on a linear axis, about.
const TICKS: f64 = 5.0;
/// Points of a line that still get a dot each.
const DOTS_MAX: usize = 40;

/// An axis.
pub struct Axis {
    /// What it shows, with the unit.
    pub title: &'static str,
    /// Whether equal steps are equal factors.
    pub logarithmic: bool,
    /// How a value is written.
    pub label: fn(f64) -> String,
}

/// A line.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points in order.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Height, units of the picture; the width is always 1,040.
    pub height: f64,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines, at most [`COLOURS`].
    pub lines: Vec<Line>,
    /// What happened, and where.
    pub marks: Vec<Mark>,
}

/// Something that happened at a value of x.
#[derive(Clone)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// Class of the line in the style sheet.
    pub class: &'static str,
}

/// The part of an axis that is shown, and its grid.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    grid: Vec<f64>,
}

impl Scale {
    /// A scale for some values, which ends at a round value, or where the values end.
    fn new(values: impl Iterator<Item = f64> + Clone, logarithmic: bool, round: bool) -> Scale {
        if logarithmic {
            let low = values.clone().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
            let high = values.fold(0.0, f64::max);
            let (low, high) = if low <= high { (low, high) } else { (1.0, 10.0) };
            let (first, last) = (low.log10().floor(), high.log10().ceil());
            let last = if last > first { last } else { first + 1.0 };
            let grid = (first as i32..=last as i32).map(|power| 10f64.powi(power)).collect();
            return Scale { low: 10f64.powf(first), high: 10f64.powf(last), logarithmic, grid };
        }
        let high = values.fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_step(high / TICKS);
        // A hair more, so that a value that is a whole number of steps is one in spite of rounding.
        let steps = high / step * (1.0 + 1e-12);
        let count = if round { steps.ceil() } else { steps.floor() } as i32;
        let grid: Vec<f64> = (0..=count).map(|i| step * f64::from(i)).collect();
        Scale { low: 0.0, high: if round { step * f64::from(count) } else { high }, logarithmic, grid }
    }

    /// Where a value is, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let share = match self.logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }
}

/// The next of 1, 2, 2.5, 5 and their tenfolds.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

impl Chart {
    /// The picture.
    pub fn svg(&self) -> String {
        let all = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let x = Scale::new(all().map(|point| point.0), self.x.logarithmic, false);
        let y = Scale::new(all().map(|point| point.1), self.y.logarithmic, true);
        let (width, height) = (WIDTH - LEFT - RIGHT, self.height - TOP - BOTTOM);
        let across = |value: f64| LEFT + x.place(value) * width;
        let up = |value: f64| TOP + (1.0 - y.place(value)) * height;
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}\">\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"16\">{title}</text>\n",
            self.height
        );
        // Writing to a string cannot fail.
        for &value in &y.grid {
            let at = up(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0,
                escape(&(self.y.label)(value))
            );
        }
        let bottom = TOP + height;
        for &value in &x.grid {
            let at = across(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{bottom:.1}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 5.0,
                bottom + 18.0,
                escape(&(self.x.label)(value))
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{:.1}\" y=\"16\" text-anchor=\"end\">{}</text>",
            LEFT + width / 2.0,
            self.height - 6.0,
            escape(self.x.title),
            WIDTH - RIGHT,
            escape(self.y.title)
        );
        for Mark { at, class } in &self.marks {
            let at = across(*at);
            let _ = writeln!(
                svg,
                "<line class=\"mark {class}\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\"/>"
            );
        }
        for (number, line) in self.lines.iter().take(COLOURS).enumerate() {
            let points: Vec<(f64, f64)> = line.points.iter().map(|&(px, py)| (across(px), up(py))).collect();
            let path: Vec<String> = points.iter().map(|(px, py)| format!("{px:.1},{py:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"curve k{number}\" points=\"{}\"/>", path.join(" "));
            if points.len() <= DOTS_MAX {
                for (px, py) in points {
                    let _ = write!(svg, "<circle class=\"k{number}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"/>");
                }
            }
        }
        svg.push_str(&self.legend());
        svg.push_str("</svg>\n");
        svg
    }

    /// The names of the lines, to the right of the title.
    fn legend(&self) -> String {
        let mut svg = String::new();
        // Letters of the title are some 7.5 units wide, those of the legend 6.5.
        let mut at = LEFT + 24.0 + 7.5 * self.title.chars().count() as f64;
        for (number, line) in self.lines.iter().take(COLOURS).enumerate() {
            let _ = writeln!(
                svg,
                "<line class=\"curve k{number}\" x1=\"{at:.1}\" y1=\"12\" x2=\"{:.1}\" y2=\"12\"/>\
                 <text x=\"{:.1}\" y=\"16\">{}</text>",
                at + 18.0,
                at + 23.0,
                escape(&line.name)
            );
            at += 44.0 + 6.5 * line.name.chars().count() as f64;
        }
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_all_values_between_round_ends() {
        let linear = Scale::new([0.0, 340.0, 1_234.0].into_iter(), false, true);
        assert_eq!((linear.low, linear.high), (0.0, 1_250.0));
        assert_eq!((linear.place(0.0), linear.place(625.0), linear.place(1_250.0)), (0.0, 0.5, 1.0));
        let tight = Scale::new([340.0, 1_234.0].into_iter(), false, false);
        assert_eq!((tight.high, tight.grid.last()), (1_234.0, Some(&1_000.0)));
        let powers = Scale::new([30.0, 2_000.0].into_iter(), true, true);
        assert_eq!((powers.low, powers.high, powers.grid.len()), (10.0, 10_000.0, 4));
        assert!((powers.place(100.0) - 1.0 / 3.0).abs() < 1e-9 && powers.place(0.0) == 0.0);
        for nothing in [Scale::new([].into_iter(), false, false), Scale::new([0.0].into_iter(), true, true)] {
            assert!(nothing.low < nothing.high && nothing.grid.len() > 1);
        }
    }

    #[test]
    fn every_line_is_in_the_picture_and_its_legend() {
        let axis = |title| Axis { title, logarithmic: false, label: super::super::short };
        let line = |name: &str| Line { name: name.to_string(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let chart = Chart {
            title: "a < b".to_string(),
            height: 200.0,
            x: axis("x"),
            y: axis("y"),
            lines: vec![line("first"), line("second")],
            marks: vec![Mark { at: 0.5, class: "snapshot" }],
        };
        let svg = chart.svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("class=\"mark snapshot\"").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.contains(">first<") && svg.contains(">second<"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
