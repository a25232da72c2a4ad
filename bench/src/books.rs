//! The proof after a run: every account has exactly the balance and version that the answers make it, debits equal credits,
//! and a sample of the acknowledged ids is found with the outcome and the postings that were acknowledged.

use florin_core::entry::{AccountRecord, TransactionRecord};
use florin_net::Client;
use serde::Serialize;

use crate::error::BenchError;
use crate::ground::Accounts;
use crate::pool::Pool;
use crate::sample::Kept;

/// Accounts and ids asked for in one request.
const LOOK_UP_ACCOUNTS: u32 = 8_000;
const LOOK_UP_IDS: usize = 1_000;

/// What was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Accounts whose balance and version are exactly as expected.
    pub accounts: u64,
    /// Ids looked up and found as they were acknowledged.
    pub ids: u64,
    /// Transactions that balances and versions account for.
    pub transfers: u64,
}

/// What is expected of one account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// Balance, minor units; the normal side of every account is credit.
    pub balance: i64,
    /// Number of entries.
    pub version: u64,
}

/// What is expected of every account of a run, by its index: 16 bytes each.
#[derive(Debug)]
pub struct Books {
    accounts: Vec<Expected>,
    /// All balances together when they were read. No transaction changes it: its debits are its credits.
    sum: i128,
}

impl Books {
    /// Nothing on any account.
    #[cfg(test)]
    pub fn for_test(accounts: u32) -> Books {
        Books { accounts: vec![Expected::default(); accounts as usize], sum: 0 }
    }

    /// As they are.
    pub async fn read(client: &Client, accounts: &Accounts) -> Result<Books, BenchError> {
        let mut books = Books { accounts: Vec::with_capacity(accounts.count() as usize), sum: 0 };
        read_pages(client, accounts, |_, account| {
            let balance = i64::try_from(account.posted)
                .map_err(|_| BenchError::Books(format!("a balance of {} is not of a bench", account.posted)))?;
            books.accounts.push(Expected { balance, version: account.version });
            books.sum += account.posted;
            Ok(())
        })
        .await?;
        Ok(books)
    }

    /// What is expected of an account.
    pub fn of(&self, index: u32) -> Expected {
        self.accounts[index as usize]
    }

    /// Adds what a run was told; gives the number of its transactions that made entries.
    pub fn add(&mut self, pool: &Pool) -> u64 {
        let mut transactions = 0;
        for (legs, held, posted) in pool.told() {
            transactions += held + posted;
            for leg in legs {
                let account = &mut self.accounts[leg.account as usize];
                account.balance += i64::from(leg.amount) * posted as i64;
                account.version += held + posted;
            }
        }
        transactions
    }

    /// Compares with the ledger, looks the sample up. `transfers` is what [`Books::add`] said.
    pub async fn prove(
        &self,
        client: &Client,
        accounts: &Accounts,
        pool: &Pool,
        sample: &[Kept],
        transfers: u64,
    ) -> Result<Proof, BenchError> {
        let mut sum: i128 = 0;
        read_pages(client, accounts, |index, account| {
            sum += account.posted;
            check_account(index, account, self.of(index))
        })
        .await?;
        if sum != self.sum {
            return Err(BenchError::Books(format!("debits and credits differ by {}", sum - self.sum)));
        }
        for part in sample.chunks(LOOK_UP_IDS) {
            let ids: Vec<u128> = part.iter().map(|kept| kept.id).collect();
            for (kept, found) in part.iter().zip(client.transactions(&ids).await?) {
                check_transaction(kept, found.as_ref(), pool, accounts)?;
            }
        }
        Ok(Proof { accounts: u64::from(accounts.count()), ids: sample.len() as u64, transfers })
    }
}

/// Every account of a run in order of its index, page by page.
async fn read_pages(
    client: &Client,
    accounts: &Accounts,
    mut each: impl FnMut(u32, &AccountRecord) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    for first in (0..accounts.count()).step_by(LOOK_UP_ACCOUNTS as usize) {
        let last = accounts.count().min(first.saturating_add(LOOK_UP_ACCOUNTS));
        let ids: Vec<u128> = (first..last).map(|index| accounts.id(index)).collect();
        for (index, account) in (first..last).zip(client.accounts(&ids).await?) {
            let account = account.ok_or_else(|| BenchError::Books(format!("account {index} of the run is missing")))?;
            each(index, &account)?;
        }
    }
    Ok(())
}

fn check_account(index: u32, account: &AccountRecord, expected: Expected) -> Result<(), BenchError> {
    let wrong = |what: String| Err(BenchError::Books(format!("account {index} has {what}")));
    if (account.posted, account.version) != (i128::from(expected.balance), expected.version) {
        return wrong(format!(
            "balance {} and version {}, the answers make it {} and {}",
            account.posted, account.version, expected.balance, expected.version
        ));
    }
    if (account.held, account.incoming) != (0, 0) {
        return wrong(format!("{} held and {} incoming after all holds were captured", account.held, account.incoming));
    }
    if account.floor.is_some_and(|floor| account.posted < floor) {
        return wrong(format!("balance {}, below its floor", account.posted));
    }
    Ok(())
}

fn check_transaction(
    kept: &Kept,
    found: Option<&TransactionRecord>,
    pool: &Pool,
    accounts: &Accounts,
) -> Result<(), BenchError> {
    let id = kept.id;
    let Some(found) = found else {
        return Err(BenchError::Books(format!("transaction 0x{id:032x} was acknowledged and is not there")));
    };
    if found.result.outcome != kept.outcome {
        let (got, told) = (found.result.outcome.name(), kept.outcome.name());
        return Err(BenchError::Books(format!("transaction 0x{id:032x} is {got}, it was acknowledged as {told}")));
    }
    let legs = pool.legs(kept.transaction);
    let same = found.postings.len() == legs.len()
        && found.postings.iter().zip(legs).all(|(posting, leg)| {
            (posting.account, posting.amount) == (accounts.id(leg.account), u128::from(leg.amount.unsigned_abs()))
        });
    match same {
        true => Ok(()),
        false => Err(BenchError::Books(format!("transaction 0x{id:032x} has other postings than were sent"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use florin_core::entry::PostingRecord;
    use florin_core::outcome::Outcome;
    use florin_core::request::{ItemResult, Side};
    use florin_net::NewAccount;
    use rand::SeedableRng;

    use crate::ground::Ground;
    use crate::ids::IdOrder;
    use crate::pool::Leg;
    use crate::workload::{Random, Shape, Workload};

    fn record(posted: i128, version: u64) -> AccountRecord {
        let new = NewAccount::new(7, 978, Side::Credit);
        AccountRecord {
            institution: 1,
            account: new.account,
            asset: new.asset,
            subject: 0,
            normal_side: new.normal_side,
            category: 0,
            status: florin_core::entry::Status::Open,
            owner: 0,
            floor: new.floor,
            ceiling: None,
            alarm: None,
            posted,
            held: 0,
            incoming: 0,
            version,
            opened: 1,
            last_entry: 1,
            label: "".into(),
            attributes: Default::default(),
        }
    }

    #[test]
    fn an_id_that_is_missing_or_recorded_otherwise_is_found() {
        let (ground, books) = (Ground::for_test(50, Shape::Uniform), Books::for_test(52));
        let workload =
            Workload { shape: Shape::Uniform, repeats_percent: 0, reads_percent: 0, ids: IdOrder::Random, batch: 1 };
        let pool = Pool::build(&workload, &ground, &books, &mut Random::seed_from_u64(1));
        let posting = |leg: &Leg, side: Side| PostingRecord {
            account: ground.accounts.id(leg.account),
            amount: u128::from(leg.amount.unsigned_abs()),
            asset: 978,
            side,
            result: Default::default(),
            previous: 0,
            index: 0,
            held: Default::default(),
        };
        let legs = pool.legs(5);
        let there = TransactionRecord {
            institution: 1,
            principal: 0,
            kind: florin_core::entry::RowKind::Transfer,
            id: 9,
            link: 0,
            link_sequence: 0,
            timeout: 0,
            forced: false,
            is_final: false,
            takes_all: false,
            result: ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence: 1, booked_at: 1 },
            reference: 0,
            code: 1,
            accounting_date: 1,
            value_date: 0,
            postings: vec![posting(&legs[0], Side::Debit), posting(&legs[1], Side::Credit)],
            voucher: Vec::new(),
            voucher_length: 0,
            voucher_digest: [0; 32],
        };
        let kept = Kept { id: 9, transaction: 5, outcome: Outcome::Posted };
        let check =
            |kept: Kept, found: Option<&TransactionRecord>| check_transaction(&kept, found, &pool, &ground.accounts);
        assert!(check(kept, Some(&there)).is_ok());
        let words = |result: Result<(), BenchError>| result.expect_err("a difference").to_string();
        assert!(words(check(kept, None)).contains("was acknowledged and is not there"));
        let refused = Kept { outcome: Outcome::BelowFloor, ..kept };
        assert!(words(check(refused, Some(&there))).contains("acknowledged as below_floor"));
        let mut other = there.clone();
        other.postings[1].amount += 1;
        assert!(words(check(kept, Some(&other))).contains("other postings"));
    }

    #[test]
    fn a_wrong_balance_version_or_hold_is_found() {
        let expected = Expected { balance: 500, version: 3 };
        assert!(check_account(4, &record(500, 3), expected).is_ok());
        let wrong = |account: &AccountRecord, words: &str| {
            let error = check_account(4, account, expected).expect_err("a difference").to_string();
            assert!(error.contains("account 4") && error.contains(words), "{error}");
        };
        wrong(&record(501, 3), "balance 501");
        wrong(&record(500, 4), "version 4");
        wrong(&AccountRecord { held: 1, ..record(500, 3) }, "1 held");
        wrong(&AccountRecord { floor: Some(501), ..record(500, 3) }, "below its floor");
    }
}
