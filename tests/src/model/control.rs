//! Assets as control records name them.

use std::str::FromStr;

use serde_json::Value;

/// An asset as its record has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asset {
    /// Number.
    pub number: u32,
    /// Code.
    pub code: String,
    /// Decimal places.
    pub scale: u8,
}

impl Asset {
    /// Reads a record. Anything unknown, missing or out of range is malformed.
    pub fn parse(record: &[u8]) -> Option<Asset> {
        let Value::Object(fields) = serde_json::from_slice(record).ok()? else { return None };
        let mut keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        keys.sort_unstable();
        if keys != ["code", "number", "record", "scale"] || fields["record"].as_str() != Some("asset") {
            return None;
        }
        let text = |key: &str| fields[key].as_str().map(str::to_string);
        let (code, number, scale) = (text("code")?, text("number")?, text("scale")?);
        let asset = Asset { number: decimal(&number)?, code, scale: decimal(&scale)? };
        let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || ".-_".contains(c);
        let fine = asset.number != 0
            && asset.scale <= 18
            && (1..=16).contains(&asset.code.len())
            && asset.code.chars().all(good);
        fine.then_some(asset)
    }
}

/// A number written in the one way: digits, no sign, no leading zero.
fn decimal<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}
