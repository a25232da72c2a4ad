//! Control records as they are written: JSON objects whose integers are strings.

use std::str::FromStr;

use serde_json::{Map, Value};

/// An asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asset {
    /// Number.
    pub number: u32,
    /// Code.
    pub code: String,
    /// Decimal places.
    pub scale: u8,
}

/// What a control record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Registers an asset.
    Asset(Asset),
    /// Registers an institution.
    Institution {
        /// Number.
        number: u32,
        /// Name.
        name: String,
    },
    /// Sets the open day of its institution.
    OpenDay {
        /// Days since 1970-01-01.
        date: u16,
    },
}

impl Record {
    /// Reads a record. Anything unknown, missing or out of range is malformed.
    pub fn parse(record: &[u8]) -> Option<Record> {
        let Value::Object(fields) = serde_json::from_slice(record).ok()? else { return None };
        match fields.get("record")?.as_str()? {
            "asset" => asset(&fields).map(Record::Asset),
            "institution" => institution(&fields),
            "open_day" => open_day(&fields),
            _ => None,
        }
    }
}

fn asset(fields: &Map<String, Value>) -> Option<Asset> {
    let [code, number, _, scale] = texts(fields, ["code", "number", "record", "scale"])?;
    let asset = Asset { number: decimal(number)?, code: code.to_string(), scale: decimal(scale)? };
    let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || ".-_".contains(c);
    let fine =
        asset.number != 0 && asset.scale <= 18 && (1..=16).contains(&asset.code.len()) && asset.code.chars().all(good);
    fine.then_some(asset)
}

fn institution(fields: &Map<String, Value>) -> Option<Record> {
    let [name, number, _] = texts(fields, ["name", "number", "record"])?;
    let number = decimal(number)?;
    let fine = number != 0 && (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
    fine.then(|| Record::Institution { number, name: name.to_string() })
}

fn open_day(fields: &Map<String, Value>) -> Option<Record> {
    let [date, _] = texts(fields, ["date", "record"])?;
    // Day 0 is no date.
    super::dates::day(date).filter(|day| *day != 0).map(|date| Record::OpenDay { date })
}

/// The texts under exactly these keys, which are sorted.
fn texts<'a, const N: usize>(fields: &'a Map<String, Value>, keys: [&str; N]) -> Option<[&'a str; N]> {
    let mut found: Vec<&str> = fields.keys().map(String::as_str).collect();
    found.sort_unstable();
    if found != keys {
        return None;
    }
    let texts: Option<Vec<&str>> = keys.iter().map(|key| fields[*key].as_str()).collect();
    texts?.try_into().ok()
}

/// A number written in the one way: digits, no sign, no leading zero.
fn decimal<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}
