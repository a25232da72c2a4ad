//! Decimal amounts at the edges, integers of minor units inside. No floats anywhere.
//!
//! An asset of scale 2 writes 1234 minor units as `12.34`. Parsing takes up to `scale` decimal places and no grouping;
//! it never rounds.

use florin_core::limits::{AMOUNT_MAX, BALANCE_MAX};

/// Why a text is not an amount.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("'{0}' is not an amount: write digits with at most one decimal point, like 1234.50")]
    NotANumber(String),
    /// More decimal places than the asset has.
    #[error("'{text}' has more than {scale} decimal places, the scale of the asset")]
    TooFine {
        /// The text.
        text: String,
        /// The asset's scale.
        scale: u8,
    },
    /// Zero or negative where a posting needs at least one minor unit.
    #[error("'{0}' is not positive: an amount is at least one minor unit, the side says the direction")]
    NotPositive(String),
    /// Beyond the limit.
    #[error("'{text}' is too large: {limit}")]
    TooLarge {
        /// The text.
        text: String,
        /// The limit in words.
        limit: &'static str,
    },
}

/// Reads a signed decimal as minor units, within ±(2^126 − 1).
pub fn parse_balance(text: &str, scale: u8) -> Result<i128, AmountError> {
    let trimmed = text.trim();
    let not_a_number = || AmountError::NotANumber(trimmed.to_string());
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(not_a_number());
    }
    let fraction_kept = fraction.trim_end_matches('0');
    if fraction_kept.len() > usize::from(scale) {
        return Err(AmountError::TooFine { text: trimmed.to_string(), scale });
    }
    let too_large = || AmountError::TooLarge {
        text: trimmed.to_string(),
        limit: "balances and limits lie within plus or minus 2^126 - 1 minor units",
    };
    let mut minor: i128 = 0;
    let zeros = usize::from(scale) - fraction_kept.len();
    for byte in whole.bytes().chain(fraction_kept.bytes()).chain(std::iter::repeat_n(b'0', zeros)) {
        minor = minor.checked_mul(10).and_then(|m| m.checked_add(i128::from(byte - b'0'))).ok_or_else(too_large)?;
    }
    if minor > BALANCE_MAX {
        return Err(too_large());
    }
    Ok(if negative { -minor } else { minor })
}

/// Reads a positive decimal as minor units, 1 … 2^100 − 1.
pub fn parse_amount(text: &str, scale: u8) -> Result<u128, AmountError> {
    let too_large = |text: &str| AmountError::TooLarge {
        text: text.to_string(),
        limit: "an amount is at most 2^100 - 1 minor units",
    };
    let minor = match parse_balance(text, scale) {
        Ok(minor) => minor,
        Err(AmountError::TooLarge { text, .. }) => return Err(too_large(&text)),
        Err(other) => return Err(other),
    };
    match u128::try_from(minor) {
        Err(_) | Ok(0) => Err(AmountError::NotPositive(text.trim().to_string())),
        Ok(amount) if amount > AMOUNT_MAX => Err(too_large(text.trim())),
        Ok(amount) => Ok(amount),
    }
}

/// Writes minor units as a decimal with exactly `scale` places.
pub fn format_amount(minor: i128, scale: u8) -> String {
    let digits = format!("{:0width$}", minor.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if minor < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// As [`format_amount`] with thousands set apart by commas, for people.
pub fn format_grouped(minor: i128, scale: u8) -> String {
    let plain = format_amount(minor, scale);
    let (sign, rest) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let grouped = group_digits(whole);
    match fraction {
        Some(fraction) => format!("{sign}{grouped}.{fraction}"),
        None => format!("{sign}{grouped}"),
    }
}

/// A count with thousands set apart by commas.
pub fn format_count(count: impl Into<u128>) -> String {
    group_digits(&count.into().to_string())
}

fn group_digits(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_minor_units_by_the_scale() {
        let table: &[(&str, u8, i128)] = &[
            ("0", 2, 0),
            ("12.34", 2, 1234),
            ("12.3", 2, 1230),
            ("12", 2, 1200),
            ("12.", 2, 1200),
            (".5", 2, 50),
            ("-0.01", 2, -1),
            ("+7", 0, 7),
            (" 7 ", 0, 7),
            ("1.50000", 1, 15),
            ("0.000000000000000001", 18, 1),
            ("85070591730234615865843651857942052863", 0, BALANCE_MAX),
        ];
        for &(text, scale, minor) in table {
            assert_eq!(parse_balance(text, scale), Ok(minor), "{text} at scale {scale}");
        }
    }

    #[test]
    fn what_is_not_a_decimal_is_refused_and_never_rounded() {
        for text in ["", "-", ".", "1,000.00", "1e3", "1.2.3", "12 34", "0x10", "--1", "１"] {
            assert_eq!(parse_balance(text, 2), Err(AmountError::NotANumber(text.trim().to_string())), "{text}");
        }
        assert_eq!(parse_balance("1.005", 2), Err(AmountError::TooFine { text: "1.005".to_string(), scale: 2 }));
        assert_eq!(parse_balance("1.5", 0), Err(AmountError::TooFine { text: "1.5".to_string(), scale: 0 }));
    }

    #[test]
    fn what_leaves_the_limits_is_refused_and_never_wraps() {
        for text in ["85070591730234615865843651857942052864", "999999999999999999999999999999999999999999999999"] {
            assert!(matches!(parse_balance(text, 0), Err(AmountError::TooLarge { .. })), "{text}");
            assert!(matches!(parse_amount(text, 0), Err(AmountError::TooLarge { .. })), "{text}");
        }
        assert!(matches!(
            parse_balance("85070591730234615865843651857942052863", 1),
            Err(AmountError::TooLarge { .. })
        ));
        assert_eq!(parse_amount(&AMOUNT_MAX.to_string(), 0), Ok(AMOUNT_MAX));
        assert!(matches!(parse_amount(&(AMOUNT_MAX + 1).to_string(), 0), Err(AmountError::TooLarge { .. })));
        for text in ["0", "-1", "0.00"] {
            assert!(matches!(parse_amount(text, 2), Err(AmountError::NotPositive(_))), "{text}");
        }
    }

    #[test]
    fn minor_units_are_written_with_exactly_the_scale() {
        let table: &[(i128, u8, &str)] = &[
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (123_456, 2, "1234.56"),
            (-123_456, 0, "-123456"),
            (1, 18, "0.000000000000000001"),
            (BALANCE_MAX, 0, "85070591730234615865843651857942052863"),
        ];
        for &(minor, scale, text) in table {
            assert_eq!(format_amount(minor, scale), text);
            assert_eq!(parse_balance(text, scale), Ok(minor));
        }
        assert_eq!(format_grouped(-123_456_789, 2), "-1,234,567.89");
        assert_eq!(format_grouped(100, 0), "100");
        assert_eq!(format_count(1_000_000u64), "1,000,000");
    }
}
