//! The registry of assets: what is counted, under which number, with how many decimal places. Fixed for ever once made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{ASSET_CODE_BYTES_MAX, ASSETS_MAX, SCALE_MAX};
use crate::outcome::Outcome;

/// An asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asset {
    /// Number, never 0.
    pub number: u32,
    /// Code: 1 to 16 of A–Z, 0–9, `.`, `_`, `-`.
    pub code: String,
    /// Decimal places of its minor unit.
    pub scale: u8,
}

/// A control record as it stands in a request and in the log: JSON with sorted keys, integers as strings.
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

    /// Reads a record; anything unknown, missing, out of range or not written in the one way is malformed.
    pub fn parse(bytes: &[u8]) -> Result<ControlRecord, Outcome> {
        // serde would take an array for the fields in their order as well.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Outcome::ControlMalformed);
        }
        let record: ControlRecord = serde_json::from_slice(bytes).map_err(|_| Outcome::ControlMalformed)?;
        record.asset()?;
        Ok(record)
    }

    /// Its canonical JSON: keys sorted, no spaces. The log keeps this form, so repeats compare byte by byte.
    pub fn canonical(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("strings only");
        serde_json::to_vec(&value).expect("a map with sorted keys")
    }

    /// The asset that it registers.
    pub fn asset(&self) -> Result<Asset, Outcome> {
        let ControlRecord::Asset { code, number: number_text, scale: scale_text } = self;
        let number = number_text.parse::<u32>().map_err(|_| Outcome::ControlMalformed)?;
        let scale = scale_text.parse::<u8>().map_err(|_| Outcome::ControlMalformed)?;
        let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if *number_text != number.to_string()
            || *scale_text != scale.to_string()
            || number == 0
            || scale > SCALE_MAX
            || code.is_empty()
            || code.len() > ASSET_CODE_BYTES_MAX
            || !code.bytes().all(good)
        {
            return Err(Outcome::ControlMalformed);
        }
        Ok(Asset { number, code: code.clone(), scale })
    }
}

/// All assets of the ledger.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    by_number: BTreeMap<u32, Asset>,
}

impl Assets {
    /// Whether `asset` may be registered.
    pub fn check(&self, asset: &Asset) -> Result<(), Outcome> {
        match self.by_number.get(&asset.number) {
            Some(known) if known == asset => Ok(()),
            Some(_) => Err(Outcome::AssetExistsWithOtherFields),
            None if self.by_number.values().any(|a| a.code == asset.code) => Err(Outcome::AssetExistsWithOtherFields),
            None if self.by_number.len() == ASSETS_MAX => Err(Outcome::TooManyAssets),
            None => Ok(()),
        }
    }

    /// Registers an asset that [`Assets::check`] found fine.
    pub fn register(&mut self, asset: Asset) {
        self.by_number.insert(asset.number, asset);
    }

    /// Whether a number is registered.
    pub fn contains(&self, number: u32) -> bool {
        self.by_number.contains_key(&number)
    }

    /// All assets, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.by_number.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_object_with_numbers_written_in_one_way() {
        let parsed = |text: &str| ControlRecord::parse(text.as_bytes()).and_then(|r| r.asset());
        let euro = Asset { number: 978, code: "EUR".into(), scale: 2 };
        for (text, expected) in [
            (r#"{"record":"asset","code":"EUR","number":"978","scale":"2"}"#, Ok(euro.clone())),
            (r#" {"record": "asset", "scale": "2", "code": "EUR", "number": "978"}"#, Ok(euro)),
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
}
