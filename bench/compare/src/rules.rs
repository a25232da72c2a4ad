//! Whether a formulation keeps the rules of the ledger. Asked of each before it is measured: a fast one that is wrong is
//! no comparison.

use tokio_postgres::Client;

use crate::error::CompareError;
use crate::session::{Session, failed};
use crate::transfers::{ASSET, Columns};

/// Accounts of the check: two with floor 0, one without a floor, one of another asset. The ledger's own are positive.
const ACCOUNTS: &str =
    "insert into accounts (id, asset, floor) values (-1, 978, 0), (-2, 978, 0), (-3, 978, null), (-4, 840, null)";
const ANNA: i64 = -1;
const BEN: i64 = -2;
const HOUSE: i64 = -3;
const DOLLARS: i64 = -4;
const NOBODY: i64 = -5;

/// Id, debit, credit, amount.
type Transfer = (u128, i64, i64, i64);

/// Calls in order, each with what it does and its outcomes; codes as in `sql/ledger.sql`.
const CALLS: &[(&str, &[Transfer], &[i16])] = &[
    ("a first payment", &[(1, HOUSE, ANNA, 100)], &[0]),
    ("its repeat", &[(1, HOUSE, ANNA, 100)], &[100]),
    ("its id with another amount", &[(1, HOUSE, ANNA, 101)], &[2]),
    (
        "two that are covered around one that is not",
        &[(2, ANNA, BEN, 60), (3, ANNA, BEN, 60), (4, ANNA, BEN, 40)],
        &[0, 5, 0],
    ),
    ("the repeat of a refusal, although there is money now", &[(5, HOUSE, ANNA, 500), (3, ANNA, BEN, 60)], &[0, 105]),
    ("money spent in the call that brings it", &[(6, HOUSE, BEN, 1000), (7, BEN, ANNA, 1100)], &[0, 0]),
    ("money spent before it comes", &[(8, BEN, ANNA, 50), (9, HOUSE, BEN, 50)], &[5, 0]),
    ("one id twice in a call", &[(10, HOUSE, BEN, 5), (10, HOUSE, BEN, 5)], &[0, 100]),
    ("an unknown account", &[(11, HOUSE, NOBODY, 5)], &[3]),
    ("another asset", &[(12, HOUSE, DOLLARS, 5)], &[4]),
    ("nothing, and to oneself", &[(13, HOUSE, ANNA, 0), (14, ANNA, ANNA, 5)], &[1, 1]),
    (
        "one account on many sides",
        &[(15, ANNA, BEN, 1), (16, BEN, HOUSE, 2), (17, HOUSE, ANNA, 3), (18, ANNA, HOUSE, 4)],
        &[0; 4],
    ),
];

/// Balances and versions after all of them: Anna, Ben, the house, dollars.
const AFTER: [(i64, i64); 4] = [(1598, 8), (54, 8), (-1652, 8), (0, 0)];

/// Makes the accounts, runs the calls, compares. The ledger must be made anew afterwards.
pub async fn check(control: &Client, session: &Session, row: &str) -> Result<(), CompareError> {
    let broken = |what: String| CompareError::Rule { row: row.to_string(), what };
    let asking = failed("checking rules");
    control.batch_execute(ACCOUNTS).await.map_err(&asking)?;
    for (what, transfers, expected) in CALLS {
        let mut outcomes = Vec::new();
        for part in transfers.chunks(session.transfers_max().min(transfers.len())) {
            let mut columns = Columns::default();
            for &(id, debit, credit, amount) in part {
                columns.push(id, debit, credit, ASSET, amount);
            }
            outcomes.extend(session.post(&columns).await.map_err(&asking)?.outcomes);
        }
        if outcomes != *expected {
            return Err(broken(format!("{what} gave the outcomes {outcomes:?}, the rules say {expected:?}")));
        }
    }
    let query = "select balance, version from accounts where id < 0 order by id desc";
    let rows = control.query(query, &[]).await.map_err(&asking)?;
    let after: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if after != AFTER {
        return Err(broken(format!("balances and versions are {after:?}, the rules say {AFTER:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_balances_are_what_the_posted_calls_make() {
        let mut accounts = [(0, 0); 4];
        for (_, transfers, outcomes) in CALLS {
            assert_eq!(transfers.len(), outcomes.len());
            for (&(_, debit, credit, amount), _) in transfers.iter().zip(*outcomes).filter(|(_, code)| **code == 0) {
                for (account, change) in [(debit, -amount), (credit, amount)] {
                    let account = &mut accounts[usize::try_from(-account - 1).unwrap()];
                    *account = (account.0 + change, account.1 + 1);
                }
            }
        }
        assert_eq!(accounts, AFTER);
    }
}
