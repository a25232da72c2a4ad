//! Control records: JSON with sorted keys and integers as strings, as they stand in requests and in the log.

use serde::{Deserialize, Serialize};

use crate::asset::Asset;
use crate::limits::{ASSET_CODE_BYTES_MAX, INSTITUTION_NAME_BYTES_MAX, SCALE_MAX};
use crate::outcome::Outcome;

/// A control record as it stands in a request and in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "record", deny_unknown_fields, rename_all = "snake_case")]
pub enum ControlRecord {
    /// Registers an asset.
    Asset {
        /// Its code.
        code: String,
        /// Its number, decimal.
        number: String,
        /// Its scale, decimal.
        scale: String,
    },
    /// Registers an institution.
    Institution {
        /// Its name.
        name: String,
        /// Its number, decimal.
        number: String,
    },
    /// Sets the open day of the institution that asks.
    OpenDay {
        /// The date as in ISO 8601, `2026-11-22`.
        date: String,
    },
}

/// What a control record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Registers an asset.
    Asset(Asset),
    /// Registers an institution.
    Institution {
        /// Number, never 0.
        number: u32,
        /// Name.
        name: String,
    },
    /// Sets the open day, days since 1970-01-01.
    OpenDay(u16),
}

impl ControlRecord {
    /// The record that registers `asset`.
    pub fn register(asset: &Asset) -> ControlRecord {
        ControlRecord::Asset {
            code: asset.code.clone(),
            number: asset.number.to_string(),
            scale: asset.scale.to_string(),
        }
    }

    /// The record that registers an institution.
    pub fn institution(number: u32, name: &str) -> ControlRecord {
        ControlRecord::Institution { name: name.to_string(), number: number.to_string() }
    }

    /// The record that sets an open day.
    pub fn open_day(day: u16) -> ControlRecord {
        ControlRecord::OpenDay { date: date_text(day) }
    }

    /// Reads a record; anything unknown, missing, out of range or not written in the one way is malformed.
    pub fn parse(bytes: &[u8]) -> Result<ControlRecord, Outcome> {
        // serde would take an array for the fields in their order as well.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Outcome::ControlMalformed);
        }
        let record: ControlRecord = serde_json::from_slice(bytes).map_err(|_| Outcome::ControlMalformed)?;
        record.read()?;
        Ok(record)
    }

    /// Its canonical JSON: keys sorted, no spaces. The log keeps this form, so repeats compare byte by byte.
    pub fn canonical(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("strings only");
        serde_json::to_vec(&value).expect("a map with sorted keys")
    }

    /// What it says.
    pub fn read(&self) -> Result<Control, Outcome> {
        let control = match self {
            ControlRecord::Asset { code, number, scale } => asset(code, number, scale).map(Control::Asset),
            ControlRecord::Institution { name, number } => {
                let fits = (1..=INSTITUTION_NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control);
                let number = decimal(number).filter(|_| fits);
                number.map(|number| Control::Institution { number, name: name.clone() })
            }
            ControlRecord::OpenDay { date } => day_of(date).map(Control::OpenDay),
        };
        control.ok_or(Outcome::ControlMalformed)
    }
}

/// A number above 0, written in the one way.
fn decimal(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| *number != 0 && *text == number.to_string())
}

fn asset(code: &str, number: &str, scale_text: &str) -> Option<Asset> {
    let number = decimal(number)?;
    let scale = scale_text.parse::<u8>().ok().filter(|s| *scale_text == s.to_string() && *s <= SCALE_MAX)?;
    let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let fits = (1..=ASSET_CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(good);
    fits.then(|| Asset { number, code: code.to_string(), scale })
}

/// Days since 1970-01-01 of a date as in ISO 8601 (`2026-11-22`), from 1970-01-02 to 2149-06-06.
/// Counts by eras of 400 years, each of 146,097 days, with years that begin in March.
pub fn day_of(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        let part = bytes.get(range)?;
        part.iter().all(u8::is_ascii_digit).then(|| part.iter().fold(0i64, |n, b| n * 10 + i64::from(b - b'0')))
    };
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let days = u16::try_from(days).ok().filter(|days| *days > 0)?;
    // A day that its month does not have comes out as another date.
    (date_text(days) == text).then_some(days)
}

/// A date, days since 1970-01-01, as in ISO 8601.
pub fn date_text(day: u16) -> String {
    let days = i64::from(day) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_object_with_numbers_written_in_one_way() {
        let parsed = |text: &str| ControlRecord::parse(text.as_bytes()).and_then(|r| r.read());
        let euro = Asset { number: 978, code: "EUR".into(), scale: 2 };
        for (text, expected) in [
            (r#"{"record":"asset","code":"EUR","number":"978","scale":"2"}"#, Ok(Control::Asset(euro.clone()))),
            (r#" {"record": "asset", "scale": "2", "code": "EUR", "number": "978"}"#, Ok(Control::Asset(euro))),
            (r#"["asset","EUR","978","2"]"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":"0978","scale":"2"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":"+978","scale":"2"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":"978","scale":"02"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":978,"scale":"2"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":"978","scale":"19"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"eur","number":"978","scale":"2"}"#, Err(Outcome::ControlMalformed)),
            (r#"{"record":"asset","code":"EUR","number":"978","scale":"2","x":"1"}"#, Err(Outcome::ControlMalformed)),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, day) in [
            ("1970-01-02", Some(1)),
            ("2000-02-29", Some(11_016)),
            ("2026-11-22", Some(20_779)),
            ("2149-06-06", Some(u16::MAX)),
            ("1970-01-01", None),
            ("2149-06-07", None),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-11-00", None),
            ("2026-1-22", None),
            ("+026-11-22", None),
            ("2026/11/22", None),
        ] {
            assert_eq!(day_of(text), day, "{text}");
        }
        for day in 1..=u16::MAX {
            assert_eq!(day_of(&date_text(day)), Some(day));
        }
    }
}
