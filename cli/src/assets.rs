//! Assets on the command line: `CZK:2`, `CZK` or a number; their numbers; registering them through the client.
//!
//! A currency of ISO 4217 gets its ISO number, anything else the lowest free number from 1,000 on.

use std::collections::HashSet;

use florin_core::asset::Asset;
use florin_core::institution::FIRST_INSTITUTION;
use florin_core::limits::{ASSET_CODE_BYTES_MAX, SCALE_MAX};
use florin_core::outcome::Outcome;
use florin_net::Client;

use crate::client::client_error;
use crate::error::{CliError, CliResult};
use crate::ids;

/// Numbers below this are left to ISO 4217, whose numbers have three digits.
const FIRST_FREE_NUMBER: u32 = 1_000;

/// Numbers of widely used currencies (ISO 4217).
const ISO_4217: &[(&str, u32)] = &[
    ("AED", 784),
    ("ARS", 32),
    ("AUD", 36),
    ("BGN", 975),
    ("BRL", 986),
    ("CAD", 124),
    ("CHF", 756),
    ("CLP", 152),
    ("CNY", 156),
    ("COP", 170),
    ("CZK", 203),
    ("DKK", 208),
    ("EGP", 818),
    ("EUR", 978),
    ("GBP", 826),
    ("HKD", 344),
    ("HUF", 348),
    ("IDR", 360),
    ("ILS", 376),
    ("INR", 356),
    ("ISK", 352),
    ("JPY", 392),
    ("KES", 404),
    ("KRW", 410),
    ("KWD", 414),
    ("MXN", 484),
    ("MYR", 458),
    ("NGN", 566),
    ("NOK", 578),
    ("NZD", 554),
    ("PHP", 608),
    ("PKR", 586),
    ("PLN", 985),
    ("RON", 946),
    ("RSD", 941),
    ("SAR", 682),
    ("SEK", 752),
    ("SGD", 702),
    ("THB", 764),
    ("TRY", 949),
    ("TWD", 901),
    ("UAH", 980),
    ("USD", 840),
    ("VND", 704),
    ("ZAR", 710),
];

/// An asset as the command line gives it: a code and its scale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssetSpec {
    /// Code, upper case.
    pub code: String,
    /// Decimal places.
    pub scale: u8,
}

impl std::str::FromStr for AssetSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<AssetSpec, String> {
        let usage =
            || format!("'{text}' is not CODE:SCALE; write for example EUR:2, with 0 to {SCALE_MAX} decimal places");
        let (code, scale) = text.split_once(':').ok_or_else(usage)?;
        let scale = scale.parse::<u8>().ok().filter(|&s| s <= SCALE_MAX).ok_or_else(usage)?;
        let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if code.is_empty() || code.len() > ASSET_CODE_BYTES_MAX || !code.bytes().all(good) {
            return Err(format!(
                "'{code}' is not an asset code: 1 to {ASSET_CODE_BYTES_MAX} of A-Z, 0-9, '.', '_', '-'"
            ));
        }
        Ok(AssetSpec { code: code.to_string(), scale })
    }
}

/// The number for a new asset beside those that are registered, if one is free.
pub fn number_for(code: &str, registered: &[Asset]) -> Option<u32> {
    let taken: HashSet<u32> = registered.iter().map(|a| a.number).collect();
    let iso = ISO_4217.iter().find(|(c, _)| *c == code).map(|&(_, number)| number);
    iso.into_iter().chain(FIRST_FREE_NUMBER..=u32::MAX).find(|number| !taken.contains(number))
}

/// An asset of a ledger, or one that it can have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The asset, with the number that it has or will have.
    pub asset: Asset,
    registered: bool,
}

/// The asset of a specification; registers nothing. A registered one of another scale is an error.
pub async fn resolve(client: &Client, spec: &AssetSpec) -> CliResult<Resolved> {
    let registered = client.assets().await.map_err(client_error)?;
    let Some(known) = registered.iter().find(|a| a.code == spec.code) else {
        let number = number_for(&spec.code, &registered).ok_or_else(|| {
            CliError::disagree("every number of an asset is taken", "use an asset that the ledger has")
        })?;
        let asset = Asset { number, code: spec.code.clone(), scale: spec.scale };
        return Ok(Resolved { asset, registered: false });
    };
    if known.scale != spec.scale {
        return Err(CliError::disagree(
            format!("{} is registered with scale {}, not {}", known.code, known.scale, spec.scale),
            format!("scales never change: use --asset {}:{}, or another code", known.code, known.scale),
        ));
    }
    Ok(Resolved { asset: known.clone(), registered: true })
}

/// Registers an asset, unless the ledger has it.
pub async fn register(client: &Client, resolved: &Resolved) -> CliResult<()> {
    let asset = &resolved.asset;
    if resolved.registered {
        return Ok(());
    }
    let id = ids::control_of_asset(asset.number, &asset.code, asset.scale);
    // Assets are of the whole ledger; the first institution registers them.
    let client = client.for_institution(FIRST_INSTITUTION);
    let result = client.register_asset(id, asset).await.map_err(client_error)?;
    match result.outcome {
        Outcome::Posted => Ok(()),
        other => {
            Err(CliError::disagree(format!("asset {} was refused: {}", asset.code, other.name()), other.info().help))
        }
    }
}

/// The asset of a specification; registers it if the ledger does not have it yet.
pub async fn ensure(client: &Client, spec: &AssetSpec) -> CliResult<Asset> {
    let resolved = resolve(client, spec).await?;
    register(client, &resolved).await?;
    Ok(resolved.asset)
}

/// The registered asset that `text` names by code (a scale after it must agree) or number; without a text, the ledger's only one.
pub async fn find(client: &Client, text: Option<&str>) -> CliResult<Asset> {
    let registered = client.assets().await.map_err(client_error)?;
    choose(registered, text)
}

fn choose(registered: Vec<Asset>, text: Option<&str>) -> CliResult<Asset> {
    let codes: Vec<_> = registered.iter().map(|a| format!("{}:{}", a.code, a.scale)).collect();
    let listed = if codes.is_empty() { "none yet".to_string() } else { codes.join(", ") };
    let Some(text) = text else {
        return match <[Asset; 1]>::try_from(registered) {
            Ok([only]) => Ok(only),
            Err(_) => Err(CliError::cannot(
                format!("say which asset: the ledger has {listed}"),
                "add --asset CODE, for example --asset EUR",
            )),
        };
    };
    let (code, scale) = text.split_once(':').map_or((text, None), |(code, scale)| (code, Some(scale)));
    let fits =
        |a: &Asset| (a.code == code || a.number.to_string() == code) && scale.is_none_or(|s| a.scale.to_string() == s);
    registered.into_iter().find(fits).ok_or_else(|| {
        CliError::cannot(
            format!("the ledger has no asset '{text}'; it has: {listed}"),
            "use one of these, or register it: `florin init --data DIR --asset CODE:SCALE` or `florin import … --asset CODE:SCALE`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(number: u32, code: &str, scale: u8) -> Asset {
        Asset { number, code: code.to_string(), scale }
    }

    #[test]
    fn specifications_are_code_and_scale() {
        assert_eq!("EUR:2".parse(), Ok(AssetSpec { code: "EUR".to_string(), scale: 2 }));
        for text in ["EUR", "EUR:", "EUR:19", "eur:2", ":2", "EUR:-1", "ABCDEFGHIJKLMNOPQ:2"] {
            assert!(text.parse::<AssetSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_the_iso_ones_or_the_lowest_free_from_1000() {
        assert_eq!(number_for("EUR", &[]), Some(978));
        assert_eq!(number_for("POINTS", &[asset(978, "EUR", 2)]), Some(1_000));
        assert_eq!(number_for("POINTS", &[asset(1_000, "MILES", 0)]), Some(1_001));
        assert_eq!(number_for("EUR", &[asset(978, "OTHER", 2)]), Some(1_000));
        let apart = [asset(u32::MAX, "LAST", 0), asset(1_001, "MILES", 0)];
        assert_eq!(number_for("POINTS", &apart), Some(1_000));
    }

    #[test]
    fn an_asset_is_found_by_code_number_or_being_the_only_one() {
        let both = || vec![asset(978, "EUR", 2), asset(203, "CZK", 2)];
        assert_eq!(choose(both(), Some("CZK")).unwrap().number, 203);
        assert_eq!(choose(both(), Some("978")).unwrap().code, "EUR");
        assert_eq!(choose(both(), Some("EUR:2")).unwrap().code, "EUR");
        assert!(choose(both(), Some("EUR:3")).is_err());
        assert!(choose(both(), None).is_err());
        assert!(choose(vec![], None).is_err());
        assert_eq!(choose(vec![asset(978, "EUR", 2)], None).unwrap().code, "EUR");
    }
}
