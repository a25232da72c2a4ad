//! The registry of assets: what is counted, under which number, with how many decimal places. Fixed for ever once made.

use std::collections::BTreeMap;

use crate::limits::ASSETS_MAX;
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
