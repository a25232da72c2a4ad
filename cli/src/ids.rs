//! Ids on the command line and ids derived from names, by a documented hash.
//!
//! Every derived id is the first 16 bytes of the BLAKE3 of a prefix and a text, read as a big-endian number, so its
//! 32 hex digits are those that `printf 'florin:account:NAME' | b3sum | cut -c1-32` prints.

use crate::error::{CliError, CliResult};

fn hash(parts: &[&str]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest.as_bytes()[..16]);
    u128::from_be_bytes(first)
}

/// The account id of a name: BLAKE3 of `florin:account:NAME`.
pub fn account_of_name(name: &str) -> u128 {
    hash(&["florin:account:", name])
}

/// The transaction id of a file's row: BLAKE3 of `florin:import:ATTEMPT:ROW`, attempts counted from 1.
pub fn transaction_of_row(row: &str, attempt: u32) -> u128 {
    hash(&["florin:import:", &attempt.to_string(), ":", row])
}

/// The id of the control record that registers an asset: BLAKE3 of `florin:asset:NUMBER:CODE:SCALE`.
pub fn control_of_asset(number: u32, code: &str, scale: u8) -> u128 {
    hash(&["florin:asset:", &number.to_string(), ":", code, ":", &scale.to_string()])
}

/// The id of the control record that registers an institution: BLAKE3 of `florin:institution:NUMBER:NAME`.
pub fn control_of_institution(number: u32, name: &str) -> u128 {
    hash(&["florin:institution:", &number.to_string(), ":", name])
}

/// An account on the command line: decimal, `0x` and hex digits, or `@NAME`.
pub fn parse_account(text: &str) -> CliResult<u128> {
    if let Some(name) = text.strip_prefix('@') {
        if name.is_empty() {
            return Err(CliError::cannot("'@' names no account", "write @NAME, for example @cash"));
        }
        return Ok(account_of_name(name));
    }
    parse_id(text).map_err(|_| {
        CliError::cannot(
            format!("'{text}' is not an account"),
            "write a decimal or 0x… hex number of up to 128 bits, or @NAME for an account opened under a name",
        )
    })
}

/// An id on the command line: decimal, or `0x` and hex digits; not 0.
pub fn parse_id(text: &str) -> CliResult<u128> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u128::from_str_radix(hex, 16),
        None => text.parse::<u128>(),
    };
    match parsed {
        Ok(id) if id != 0 && !text.contains('+') => Ok(id),
        _ => Err(CliError::cannot(
            format!("'{text}' is not an id"),
            "write a decimal or 0x… hex number from 1 to 2^128 - 1",
        )),
    }
}

/// An id as it is shown everywhere: `0x` and hex digits; ids below 10^12 in decimal.
pub fn show_id(id: u128) -> String {
    if id < 1_000_000_000_000 { id.to_string() } else { format!("0x{id:032x}") }
}

/// A new random id, never 0.
pub fn random_id() -> CliResult<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| CliError::cannot(format!("no random numbers: {e}"), "give the id yourself with --id"))?;
    Ok(u128::from_le_bytes(bytes) | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_the_documented_hashes() {
        // Made with another implementation, Python's blake3: blake3(b"florin:account:cash").hexdigest()[:32]
        assert_eq!(account_of_name("cash"), 0x43f9_e380_9f23_0dca_b96f_ff93_8046_20db);
        assert_eq!(transaction_of_row("695247", 1), 0x524b_6714_2eab_a1b2_f91a_f57a_a864_a6d4);
        assert_eq!(control_of_asset(203, "CZK", 2), 0xd6c3_214f_66fd_da9d_e30f_ef5f_1d45_3a08);
    }

    #[test]
    fn names_rows_and_attempts_never_run_into_each_other() {
        assert_ne!(transaction_of_row("1", 1), transaction_of_row("1", 2));
        assert_ne!(transaction_of_row("1:1", 1), transaction_of_row("1", 11));
        assert_ne!(account_of_name("1"), transaction_of_row("1", 1));
    }

    #[test]
    fn ids_are_read_as_they_are_shown() {
        for id in [1, 7440, 999_999_999_999, 1_000_000_000_000, u128::MAX] {
            assert_eq!(parse_id(&show_id(id)).unwrap(), id);
        }
        assert_eq!(parse_account("@cash").unwrap(), account_of_name("cash"));
        for text in ["", "0", "0x", "-1", "+1", "cash", "0xg", "@", "340282366920938463463374607431768211456"] {
            assert!(parse_account(text).is_err(), "{text}");
        }
    }
}
