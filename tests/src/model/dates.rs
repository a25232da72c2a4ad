//! Accounting dates.

use super::Model;

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

impl Model {
    /// The accounting date of a row booked now: the institution's open day, or the UTC date until it has set one.
    pub fn accounting_date(&self, institution: u32, booked_at: u64) -> u16 {
        let open_day = self.institutions[&institution].open_day;
        open_day.unwrap_or_else(|| u16::try_from(booked_at / DAY_NS).expect("a date before the year 2149"))
    }
}

/// A date as it is written in records, counted off year by year and month by month.
pub fn text(day: u16) -> String {
    let (mut year, mut month, mut left) = (1970, 1, u32::from(day));
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 31,
        };
        if left < length {
            return format!("{year:04}-{month:02}-{:02}", left + 1);
        }
        left -= length;
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}

/// The day that is written so, if there is one: looked for among those that its year can have.
pub fn day(date: &str) -> Option<u16> {
    let year: u32 = date.get(..4)?.parse().ok()?;
    // Up to 2149 fewer than 50 leap days have come before.
    let first = year.checked_sub(1970)? * 365;
    (first..first + 366 + 50).filter_map(|day| u16::try_from(day).ok()).find(|day| text(*day) == date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for (number, date) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_370, "2025-10-09"), (u16::MAX, "2149-06-06")]
        {
            assert_eq!((text(number).as_str(), day(date)), (date, Some(number)));
        }
        assert!((0..=u16::MAX).step_by(7).all(|number| day(&text(number)) == Some(number)));
        for no_date in ["", "2025", "2025-02-29", "2025-2-09", "+202-01-01", "2149-06-07", "1969-12-31", "2025-10-09 "]
        {
            assert_eq!(day(no_date), None, "{no_date}");
        }
    }
}
