//! Which entries a statement shows: dates, times and versions on the command line.

use clap::Args;
use florin_core::entry::Span;

use crate::dates::{format_day, parse_day};
use crate::error::{CliError, CliResult};

const NANOSECONDS: u64 = 1_000_000_000;

/// Which entries.
#[derive(Debug, Args)]
pub struct SpanArguments {
    /// Entries booked from then on: YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.fraction]], in UTC
    #[arg(long, value_name = "DATE|TIME")]
    from: Option<String>,
    /// Entries booked up to then; a date is taken in whole, 12:30 up to the end of that minute
    #[arg(long, value_name = "DATE|TIME")]
    to: Option<String>,
    /// The dates of --from and --to are accounting dates
    #[arg(long)]
    dates: bool,
    /// Entries by their numbers on the account, for example 10..20, 10.. or ..20
    #[arg(long, value_name = "A..B", conflicts_with_all = ["from", "to", "dates"])]
    versions: Option<String>,
}

/// Which end of a span a time is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// The beginning: the first instant of what is written.
    Lower,
    /// The end: the last instant of what is written.
    Upper,
}

impl SpanArguments {
    /// The span.
    pub fn span(&self) -> CliResult<Span> {
        if let Some(text) = &self.versions {
            return versions(text);
        }
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        let span = match (self.dates, from, to) {
            (true, None, None) => {
                return Err(CliError::cannot(
                    "--dates says how --from and --to are meant, but there is neither",
                    "add --from DATE or --to DATE",
                ));
            }
            (false, None, None) => Span::All,
            (true, ..) => Span::Dates(
                from.map_or(Ok(0), |text| parse_date("from", text))?,
                to.map_or(Ok(u16::MAX), |text| parse_date("to", text))?,
            ),
            (false, ..) => Span::Times(
                from.map_or(Ok(0), |text| parse_bound("from", text, Bound::Lower))?,
                to.map_or(Ok(u64::MAX), |text| parse_bound("to", text, Bound::Upper))?,
            ),
        };
        let backward = match span {
            Span::Dates(from, to) => from > to,
            Span::Times(from, to) => from > to,
            Span::All | Span::Versions(..) => false,
        };
        if backward {
            let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
            return Err(CliError::cannot(format!("--from {from} is after --to {to}"), "exchange them"));
        }
        Ok(span)
    }
}

fn versions(text: &str) -> CliResult<Span> {
    let bound = |part: &str, open: u64| match part {
        "" => Some(open),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u64>().ok(),
        _ => None,
    };
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (bound(from, 1), bound(to, u64::MAX)) {
        (Some(from), Some(to)) if from <= to && !text.is_empty() => Ok(Span::Versions(from, to)),
        _ => Err(CliError::cannot(
            format!("--versions '{text}' is not a range of entries"),
            "write for example 10..20 (both included), 10.. or ..20",
        )),
    }
}

/// A date of an option.
pub fn parse_date(option: &str, text: &str) -> CliResult<u16> {
    parse_day(text).ok_or_else(|| {
        CliError::cannot(
            format!("--{option} '{text}' is not a date"),
            "write YYYY-MM-DD; with --dates there are no times, as accounting dates have none",
        )
    })
}

/// A date or time of an option as nanoseconds since 1970: the first or last instant of the day, minute, second … written.
pub fn parse_bound(option: &str, text: &str, bound: Bound) -> CliResult<u64> {
    let (begin, length) = parse_instant(text).ok_or_else(|| {
        CliError::cannot(
            format!("--{option} '{text}' is neither a date nor a time"),
            "write YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS[.fraction]], in UTC",
        )
    })?;
    Ok(match bound {
        Bound::Lower => begin,
        Bound::Upper => begin.saturating_add(length - 1),
    })
}

/// First instant and length of what is written, in nanoseconds.
fn parse_instant(text: &str) -> Option<(u64, u64)> {
    let (day, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_end_matches(['Z', 'z']))),
        None => (text, None),
    };
    let day = parse_day(day)?;
    debug_assert_eq!(format_day(day).len(), 10);
    let midnight = u64::from(day) * 86_400 * NANOSECONDS;
    let Some(time) = time else { return Some((midnight, 86_400 * NANOSECONDS)) };
    let (clock, fraction) = time.split_once('.').map_or((time, None), |(clock, fraction)| (clock, Some(fraction)));
    let two = |part: &str, below: u64| {
        let good = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u64>().ok().filter(|&n| good && n < below)
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (seconds, unit) = match parts.as_slice() {
        [hour, minute] => (two(hour, 24)? * 3_600 + two(minute, 60)? * 60, 60 * NANOSECONDS),
        [hour, minute, second] => (two(hour, 24)? * 3_600 + two(minute, 60)? * 60 + two(second, 60)?, NANOSECONDS),
        _ => return None,
    };
    let begin = midnight + seconds * NANOSECONDS;
    let Some(fraction) = fraction else { return Some((begin, unit)) };
    let digits = fraction.len();
    if parts.len() != 3 || !(1..=9).contains(&digits) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10u64.pow(9 - digits as u32);
    Some((begin + fraction.parse::<u64>().ok()? * scale, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::format_instant;

    #[test]
    fn what_is_written_stands_for_all_of_it() {
        let table = [
            ("2026-11-22", "2026-11-22T00:00:00.000000000Z", "2026-11-22T23:59:59.999999999Z"),
            ("2026-11-22T12:30", "2026-11-22T12:30:00.000000000Z", "2026-11-22T12:30:59.999999999Z"),
            ("2026-11-22 12:30:05Z", "2026-11-22T12:30:05.000000000Z", "2026-11-22T12:30:05.999999999Z"),
            ("2026-11-22T12:30:05.25", "2026-11-22T12:30:05.250000000Z", "2026-11-22T12:30:05.259999999Z"),
            ("2026-11-22T12:30:05.123456789Z", "2026-11-22T12:30:05.123456789Z", "2026-11-22T12:30:05.123456789Z"),
        ];
        for (text, first, last) in table {
            assert_eq!(format_instant(parse_bound("from", text, Bound::Lower).unwrap()), first, "{text}");
            assert_eq!(format_instant(parse_bound("to", text, Bound::Upper).unwrap()), last, "{text}");
        }
        for text in [
            "",
            "today",
            "2026-11-31",
            "2026-11-22T",
            "2026-11-22T24:00",
            "2026-11-22T1:00",
            "2026-11-22T01",
            "2026-11-22T01:00:60",
            "2026-11-22T01:00.5",
            "2026-11-22T01:00:00.",
            "2026-11-22T01:00:00.1234567890",
        ] {
            assert!(parse_bound("from", text, Bound::Lower).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_ranges_with_open_ends() {
        for (text, from, to) in
            [("10..20", 10, 20), ("10..", 10, u64::MAX), ("..20", 1, 20), ("7", 7, 7), ("..", 1, u64::MAX)]
        {
            assert_eq!(versions(text).unwrap(), Span::Versions(from, to), "{text}");
        }
        for text in ["", "a..b", "20..10", "-1..2", "1...2", "1..2..3"] {
            assert!(versions(text).is_err(), "{text}");
        }
    }
}
