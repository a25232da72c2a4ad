//! Amounts in the ledger's assets, and accounts by the names that people gave them.

use std::collections::HashMap;

use florin_core::asset::Asset;
use florin_core::entry::AccountRecord;
use florin_net::Client;

use crate::amount::{format_amount, format_grouped};
use crate::client::client_error;
use crate::error::CliResult;
use crate::ids::{account_of_name, show_id};

/// Accounts asked for in one look-up.
const LOOK_UP: usize = 8_000;

/// The registered assets, for writing amounts.
pub struct Assets {
    by_number: HashMap<u32, Asset>,
}

impl Assets {
    /// Asks the server for them.
    pub async fn load(client: &Client) -> CliResult<Assets> {
        Ok(Assets::of(client.assets().await.map_err(client_error)?))
    }

    /// Those that a server gave.
    pub fn of(all: Vec<Asset>) -> Assets {
        Assets { by_number: all.into_iter().map(|a| (a.number, a)).collect() }
    }

    /// Whether an asset was registered when they were asked for.
    pub fn knows(&self, number: u32) -> bool {
        self.by_number.contains_key(&number)
    }

    /// Decimal places; 0 for an unknown number.
    pub fn scale(&self, number: u32) -> u8 {
        self.by_number.get(&number).map_or(0, |a| a.scale)
    }

    /// Code; the number itself if it is unknown.
    pub fn code(&self, number: u32) -> String {
        self.by_number.get(&number).map_or_else(|| number.to_string(), |a| a.code.clone())
    }

    /// `1234.50`.
    pub fn plain(&self, number: u32, minor: i128) -> String {
        format_amount(minor, self.scale(number))
    }

    /// `1,234.50`.
    pub fn grouped(&self, number: u32, minor: i128) -> String {
        format_grouped(minor, self.scale(number))
    }

    /// `1,234.50 EUR`.
    pub fn money(&self, number: u32, minor: i128) -> String {
        format!("{} {}", self.grouped(number, minor), self.code(number))
    }
}

/// An account as it can be written on the command line: `@NAME` if its label is the name that its id is the hash of.
pub fn show_account(account: u128, label: &str) -> String {
    let typed = !label.is_empty() && !label.contains(|c: char| c.is_whitespace() || c.is_control());
    if typed && account_of_name(label) == account { format!("@{label}") } else { show_id(account) }
}

/// The accounts of these ids, as they are now.
pub async fn accounts(client: &Client, ids: impl Iterator<Item = u128>) -> CliResult<HashMap<u128, AccountRecord>> {
    let mut ids: Vec<u128> = ids.filter(|&id| id != 0).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::new();
    for part in ids.chunks(LOOK_UP) {
        let accounts = client.accounts(part).await.map_err(client_error)?;
        found.extend(accounts.into_iter().flatten().map(|account| (account.account, account)));
    }
    Ok(found)
}

/// How to write an account that may be among those looked up.
pub fn name_of(accounts: &HashMap<u128, AccountRecord>, id: u128) -> String {
    show_account(id, accounts.get(&id).map_or("", |account| &account.label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_label_that_gives_the_id_stands_for_the_account() {
        assert_eq!(show_account(account_of_name("cash"), "cash"), "@cash");
        assert_eq!(show_account(7, "cash"), "7");
        assert_eq!(show_account(account_of_name("a b"), "a b"), show_id(account_of_name("a b")));
        assert_eq!(show_account(account_of_name(""), ""), show_id(account_of_name("")));
    }
}
