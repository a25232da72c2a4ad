//! What an import asks of the accounts: which there must be, on which side they stand, and how low their floors must lie.
//!
//! Pure: no client, no file. A first pass over the rows finds the floors that the recorded balances need.

use florin_core::asset::Asset;
use florin_core::entry::AccountRecord;
use florin_core::request::Side;
use florin_net::NewAccount;

use super::file::ImportFile;
use crate::amount::format_amount;
use crate::error::CliError;
use crate::ids::{account_of_name, show_id};

/// Index of `personal` in the list of categories.
const PERSONAL: u8 = 0;
/// Index of `platform`.
const PLATFORM: u8 = 2;

/// An account that the file needs. There is one per name, in the same order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The name, kept as the label.
    pub name: String,
    /// Id derived from the name.
    pub id: u128,
    /// Whether it stands in the account column: a customer's account, a liability. Otherwise a platform account.
    pub customer: bool,
    /// Floor that it must not lie above; none = it must have no floor.
    pub floor: Option<i128>,
}

impl Need {
    /// The side that raises it: credit for customers and income; debit for cash, clearing, expense and anything else.
    pub fn normal_side(&self) -> Side {
        if self.customer || self.name.contains("income") { Side::Credit } else { Side::Debit }
    }

    /// How it is opened.
    pub fn opening(&self, asset: &Asset) -> NewAccount {
        NewAccount {
            account: self.id,
            asset: asset.number,
            normal_side: self.normal_side(),
            category: if self.customer { PERSONAL } else { PLATFORM },
            subject: 0,
            owner: 0,
            floor: self.floor,
            ceiling: None,
            alarm: None,
            label: self.name.clone(),
        }
    }

    /// Why an account that exists already cannot serve.
    pub fn conflict(&self, existing: &AccountRecord, asset: &Asset) -> Option<CliError> {
        let who = format!("account '{}' ({}) exists", self.name, show_id(self.id));
        if existing.asset != asset.number {
            return Some(CliError::disagree(
                format!(
                    "{who} in asset number {}, the file is in {} (number {})",
                    existing.asset, asset.code, asset.number
                ),
                "name the file's asset with --asset CODE:SCALE, or import into a fresh ledger",
            ));
        }
        if self.customer && existing.normal_side != Side::Credit {
            return Some(CliError::disagree(
                format!(
                    "{who} with normal side debit, but a customer's account is a liability, with normal side credit"
                ),
                "import into a fresh ledger, or rename the account in the file",
            ));
        }
        let show = |floor: Option<i128>| {
            floor.map_or("no floor".to_string(), |f| format!("floor {}", format_amount(f, asset.scale)))
        };
        let too_high = match (existing.floor, self.floor) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(has), Some(needs)) => has > needs,
        };
        too_high.then(|| {
            CliError::disagree(
                format!("{who} with {}, but the file needs {}", show(existing.floor), show(self.floor)),
                format!(
                    "lower it (`florin account limits '@{}' --floor {} --reason TEXT`), or import into a fresh ledger",
                    self.name,
                    self.floor.map_or("none".to_string(), |floor| format_amount(floor, asset.scale))
                ),
            )
        })
    }
}

/// The accounts that the file needs. With `allow_overdraft`, customers get the floors that their recorded balances need; otherwise 0.
pub fn needs(file: &ImportFile, allow_overdraft: bool) -> Vec<Need> {
    let mut customer = vec![false; file.names.len()];
    for row in &file.rows {
        customer[row.account as usize] = true;
    }
    let floors = if allow_overdraft { floors_needed(file) } else { vec![0; file.names.len()] };
    file.names
        .iter()
        .zip(customer)
        .zip(floors)
        .map(|((name, customer), floor)| Need {
            name: name.clone(),
            id: account_of_name(name),
            customer,
            floor: customer.then_some(floor),
        })
        .collect()
}

/// The lowest balance of each name, at most 0. A balance is known from the first recorded one on; rows without one move it by their amount.
fn floors_needed(file: &ImportFile) -> Vec<i128> {
    let mut floors = vec![0i128; file.names.len()];
    let mut balances: Vec<Option<i128>> = vec![None; file.names.len()];
    let mut note = |name: u32, balance: Option<i128>, balances: &mut Vec<Option<i128>>| {
        balances[name as usize] = balance;
        floors[name as usize] = floors[name as usize].min(balance.unwrap_or(0));
    };
    for row in &file.rows {
        let moved =
            |name: u32, by: i128, balances: &[Option<i128>]| balances[name as usize].map(|b| b.saturating_add(by));
        let after = row.recorded.or(moved(row.account, row.effect(), &balances));
        note(row.account, after, &mut balances);
        let other_after = moved(row.counterparty, -row.effect(), &balances);
        note(row.counterparty, other_after, &mut balances);
    }
    floors
}

#[cfg(test)]
mod tests {
    use super::*;
    use florin_core::entry::Status;

    fn file(rows: &str) -> ImportFile {
        let text = format!("id,date,account,counterparty,direction,amount_minor,balance_after_minor\n{rows}");
        super::super::file::read(text.as_bytes(), "f.csv", 2).unwrap()
    }

    fn czk() -> Asset {
        Asset { number: 203, code: "CZK".to_string(), scale: 2 }
    }

    #[test]
    fn floors_are_the_lowest_recorded_balances_and_0_without_overdraft() {
        let file = file(
            "1,1993-01-01,a,cash,credit,100,100\n2,1993-01-02,a,cash,debit,350,-250\n3,1993-01-03,a,cash,credit,100,\n\
             4,1993-01-03,a,cash,debit,200,\n5,1993-01-04,b,clearing-AB,credit,5,5\n6,1993-01-04,c,fee-income,debit,5,\n",
        );
        let floors = |allow| needs(&file, allow).into_iter().map(|n| (n.name, n.floor)).collect::<Vec<_>>();
        let name = |n: &str, floor| (n.to_string(), floor);
        assert_eq!(
            floors(true),
            [
                name("a", Some(-350)),
                name("cash", None),
                name("b", Some(0)),
                name("clearing-AB", None),
                name("c", Some(0)),
                name("fee-income", None)
            ]
        );
        assert_eq!(floors(false)[0], name("a", Some(0)));
    }

    #[test]
    fn counterparties_stand_on_the_side_of_their_kind() {
        let table = [
            ("cash", Side::Debit),
            ("clearing-AB", Side::Debit),
            ("card-clearing", Side::Debit),
            ("interest-expense", Side::Debit),
            ("fee-income", Side::Credit),
            ("penalty-interest-income", Side::Credit),
            ("vault", Side::Debit),
        ];
        for (name, side) in table {
            let need = Need { name: name.to_string(), id: 1, customer: false, floor: None };
            assert_eq!(need.normal_side(), side, "{name}");
            assert_eq!(need.opening(&czk()).category, PLATFORM);
        }
    }

    #[test]
    fn an_existing_account_with_a_higher_floor_conflicts_and_both_are_named() {
        let record = |floor, side| AccountRecord {
            institution: 1,
            account: 9,
            asset: 203,
            subject: 0,
            normal_side: side,
            category: 0,
            status: Status::Open,
            owner: 0,
            floor,
            ceiling: None,
            alarm: None,
            posted: 0,
            held: 0,
            incoming: 0,
            version: 0,
            opened: 1,
            last_entry: 1,
            label: "a".into(),
            attributes: [].into(),
        };
        let need = |floor| Need { name: "a".to_string(), id: 9, customer: true, floor: Some(floor) };
        let conflict = need(-12_345).conflict(&record(Some(0), Side::Credit), &czk()).unwrap();
        assert!(conflict.what.contains("with floor 0.00, but the file needs floor -123.45"), "{}", conflict.what);
        for (has, needs) in [(None, 0), (Some(-1), 0), (Some(0), 0), (Some(-12_345), -12_345)] {
            assert!(need(needs).conflict(&record(has, Side::Credit), &czk()).is_none());
        }
        assert!(need(0).conflict(&record(None, Side::Debit), &czk()).is_some());
        let other = Asset { number: 978, code: "EUR".to_string(), scale: 2 };
        assert!(need(0).conflict(&record(None, Side::Credit), &other).unwrap().what.contains("asset number 203"));
    }
}
