//! Transfers as PostgreSQL takes them, with accounts and amounts as `florin bench` chooses them: columns of one call, of which
//! only the ids change from call to call.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::rows::Shape;
use bytes::{BufMut, BytesMut};
use florin_bench::workload::Random;
use rand::RngExt;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Largest amount of a transfer, minor units.
const AMOUNT_MAX: i64 = 100_000;

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Accounts in play.
    pub accounts: u32,
    /// Which of them a transfer touches.
    pub shape: Shape,
    /// Transfers of a call.
    pub batch: usize,
}

impl Workload {
    /// Indexes of the accounts that the `row`-th transfer of a call debits and credits.
    fn pair(&self, row: usize, random: &mut Random) -> (u32, u32) {
        let other = |than: u32, random: &mut Random| {
            let index = random.random_range(0..self.accounts - 1);
            if index >= than { index + 1 } else { index }
        };
        match self.shape {
            Shape::Uniform => {
                let debit = random.random_range(0..self.accounts);
                (debit, other(debit, random))
            }
            Shape::Hot => {
                let customer = other(0, random);
                let debited = if self.batch == 1 { random.random::<bool>() } else { row.is_multiple_of(2) };
                if debited { (0, customer) } else { (customer, 0) }
            }
        }
    }
}

/// Number of the asset, as in `florin bench`: the euro.
pub const ASSET: i32 = 978;

/// A transfer's id, a `uuid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id(pub u128);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_u128(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

/// The transfers of one call.
#[derive(Clone, Default, Debug)]
pub struct Columns {
    /// Ids.
    pub ids: Vec<Id>,
    /// Accounts debited.
    pub debits: Vec<i64>,
    /// Accounts credited.
    pub credits: Vec<i64>,
    /// Assets.
    pub assets: Vec<i32>,
    /// Amounts, minor units.
    pub amounts: Vec<i64>,
    /// Business codes.
    pub codes: Vec<i16>,
    /// How often they were acknowledged as posted.
    pub acknowledged: u64,
}

impl Columns {
    /// Adds a transfer.
    pub fn push(&mut self, id: u128, debit: i64, credit: i64, asset: i32, amount: i64) {
        self.ids.push(Id(id));
        self.debits.push(debit);
        self.credits.push(credit);
        self.assets.push(asset);
        self.amounts.push(amount);
        self.codes.push(1);
    }

    /// One call of a workload.
    pub fn build(workload: &Workload, random: &mut Random) -> Columns {
        let mut columns = Columns::default();
        for row in 0..workload.batch {
            let (debit, credit) = workload.pair(row, random);
            let amount = random.random_range(1..=AMOUNT_MAX);
            columns.push(0, account_id(debit, workload), account_id(credit, workload), ASSET, amount);
        }
        columns
    }

    /// Arguments of `post_transfer` for one of the transfers.
    pub fn one(&self, index: usize) -> [&(dyn ToSql + Sync); 6] {
        [
            &self.ids[index],
            &self.debits[index],
            &self.credits[index],
            &self.assets[index],
            &self.amounts[index],
            &self.codes[index],
        ]
    }

    /// Arguments of `post_transfers` for all of them.
    pub fn arrays(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.ids, &self.debits, &self.credits, &self.assets, &self.amounts, &self.codes]
    }
}

/// The account with an index of the generator, 1 to the number of accounts. The hot one, index 0, gets the highest id: locks are
/// taken in the order of ids, so it is locked last and for the shortest time.
pub fn account_id(index: u32, workload: &Workload) -> i64 {
    i64::from(workload.accounts - index)
}

/// Ids of one sender: milliseconds since 1970, the run, the sender, a counter. Time-ordered, as those of `florin bench`.
#[derive(Debug)]
pub struct Ids {
    run: u128,
    milliseconds: u128,
    counter: u128,
}

impl Ids {
    /// Those of a sender of a run.
    pub fn new(run: u16, sender: u16) -> Ids {
        Ids { run: u128::from(run) << 16 | u128::from(sender), milliseconds: 0, counter: 0 }
    }

    /// Gives new ids to the transfers of a call.
    pub fn renew(&mut self, columns: &mut Columns) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.milliseconds = self.milliseconds.max(now.as_millis());
        for id in &mut columns.ids {
            self.counter += 1;
            *id = Id(self.milliseconds << 80 | self.run << 48 | self.counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn workload(shape: Shape, batch: usize) -> Workload {
        Workload { accounts: 50, shape, batch }
    }

    #[test]
    fn accounts_are_those_of_the_ledger_and_the_hot_one_is_the_highest() {
        let columns = Columns::build(&workload(Shape::Uniform, 1000), &mut Random::seed_from_u64(7));
        assert!(columns.debits.iter().chain(&columns.credits).all(|id| (1..=50).contains(id)));
        assert!(columns.debits.iter().zip(&columns.credits).all(|(debit, credit)| debit != credit));
        let columns = Columns::build(&workload(Shape::Hot, 100), &mut Random::seed_from_u64(7));
        assert!(columns.debits.iter().zip(&columns.credits).all(|(debit, credit)| (*debit == 50) != (*credit == 50)));
    }

    #[test]
    fn ids_are_new_in_every_call_and_rise() {
        let mut columns = Columns::build(&workload(Shape::Uniform, 100), &mut Random::seed_from_u64(7));
        let mut ids = Ids::new(3, 4);
        let mut last = 0;
        for _ in 0..3 {
            ids.renew(&mut columns);
            for id in &columns.ids {
                assert!(id.0 > last);
                last = id.0;
            }
        }
        let mut other = columns.clone();
        Ids::new(3, 5).renew(&mut other);
        assert!(other.ids.iter().all(|id| !columns.ids.contains(id)));
    }

    #[test]
    fn an_id_is_sent_as_a_uuid() {
        let mut out = BytesMut::new();
        Id(0x0102 << 112 | 0xff).to_sql_checked(&Type::UUID, &mut out).unwrap();
        assert_eq!((out[0], out[1], out[15], out.len()), (1, 2, 255, 16));
        assert!(Id(1).to_sql_checked(&Type::INT8, &mut out).is_err());
    }
}
