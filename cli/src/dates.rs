//! Days since 1970-01-01 and nanoseconds since then, as ISO 8601 in UTC. Proleptic Gregorian calendar; no time zones.
//!
//! The conversions are Howard Hinnant's `days_from_civil` and `civil_from_days`
//! (<https://howardhinnant.github.io/date_algorithms.html>).

/// Days of `YYYY-MM-DD`, 1 (1970-01-02) … 65535 (2149-06-06); 1970-01-01 itself is 0, which the ledger keeps for "none".
pub fn parse_day(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let days = u16::try_from(days_from_civil(year, month, day)).ok()?;
    // A day that the month does not have comes back as another one.
    (days > 0 && civil_from_days(i64::from(days)) == (year, month, day)).then_some(days)
}

/// `YYYY-MM-DD`, or an empty text for 0.
pub fn format_day(days: u16) -> String {
    if days == 0 {
        return String::new();
    }
    let (year, month, day) = civil_from_days(i64::from(days));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`.
pub fn format_instant(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    format!("{}.{fraction:09}Z", format_seconds(seconds).replace(' ', "T"))
}

/// The time in JSON, as [`format_instant`] writes it; none for what was not recorded.
pub fn instant_json(ns: u64) -> Option<String> {
    (ns != 0).then(|| format_instant(ns))
}

/// Beside [`instant_json`], for programs that calculate.
pub fn instant_ns_json(ns: u64) -> Option<String> {
    (ns != 0).then(|| ns.to_string())
}

/// `YYYY-MM-DD HH:MM:SS` of nanoseconds, for tables.
pub fn format_second(ns: u64) -> String {
    format_seconds(ns / 1_000_000_000)
}

fn format_seconds(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days as i64);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_alike() {
        let table = [
            ("1970-01-02", 1),
            ("1993-01-01", 8401),
            ("2000-02-29", 11_016),
            ("2026-11-22", 20_779),
            ("2149-06-06", u16::MAX),
        ];
        for (text, days) in table {
            assert_eq!(parse_day(text), Some(days), "{text}");
            assert_eq!(format_day(days), text);
        }
        for days in 1..=u16::MAX {
            assert_eq!(parse_day(&format_day(days)), Some(days));
        }
    }

    #[test]
    fn what_is_not_a_day_is_refused() {
        for text in [
            "",
            "1993-1-1",
            "1993-02-29",
            "1993-13-01",
            "1993-00-10",
            "1969-12-31",
            "1970-01-01",
            "2149-06-07",
            "1993/01/01",
            "+993-01-01",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_utc() {
        assert_eq!(format_instant(1_000_000_000_000_000_001), "2001-09-09T01:46:40.000000001Z");
        assert_eq!(format_second(0), "1970-01-01 00:00:00");
    }
}
