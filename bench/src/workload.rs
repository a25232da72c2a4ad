//! What is posted: which accounts, in which rows, with which ids. Built before the clock starts.
//!
//! A template is the payload of one request. While a run goes on only its ids change, in place; how often each was
//! acknowledged gives the exact balance and version that every account must have afterwards.

use bytes::{Bytes, BytesMut};
use florin_core::request::TransferRow;
use rand::{Rng, RngExt, SeedableRng};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U128};

/// Accounts of a run have ids from this number on.
const ACCOUNT_BASE: u128 = 0xb3c4_0000_0000_0000;
/// Largest amount of a transfer, minor units.
const AMOUNT_MAX: u64 = 100_000;

/// Which accounts a transfer touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Two different accounts at random.
    Uniform,
    /// One account is on a side of every transfer, in turn debited and credited; the other is random.
    Hot,
}

/// How ids follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdOrder {
    /// Milliseconds since 1970, then a number of the run, then a counter, like UUIDv7 or ULID.
    TimeOrdered,
    /// 128 random bits.
    Random,
}

/// A workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Accounts in play.
    pub accounts: u32,
    /// Which of them a transfer touches.
    pub shape: Shape,
    /// Ids.
    pub ids: IdOrder,
    /// Transfers of a request.
    pub batch: usize,
    /// Number of the asset.
    pub asset: u32,
}

/// The id of an account by its index.
pub fn account_id(index: u32) -> u128 {
    // The multiplication spreads the ids over their range, as ids of real systems are; an odd factor keeps them apart.
    ACCOUNT_BASE << 64 | u128::from((u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A pseudo-random generator that is seeded, small and fast.
pub type Random = rand::rngs::SmallRng;

/// One request that is sent again and again with new ids.
pub struct Template {
    payload: BytesMut,
    /// Account indexes and amount of each row: debit, credit.
    pub moves: Vec<(u32, u32, u64)>,
    /// How often it was acknowledged as posted.
    pub acknowledged: u64,
}

impl Template {
    /// Builds one; `row` counts rows of the whole run, so that the hot account changes sides.
    pub fn build(workload: &Workload, random: &mut Random) -> Template {
        let mut payload = BytesMut::with_capacity(workload.batch * size_of::<TransferRow>());
        let mut moves = Vec::with_capacity(workload.batch);
        for row in 0..workload.batch {
            let (debit, credit) = pair(workload, row, random);
            let amount = random.random_range(1..=AMOUNT_MAX);
            moves.push((debit, credit, amount));
            let row = TransferRow {
                id: U128::new(0),
                debit: U128::new(account_id(debit)),
                credit: U128::new(account_id(credit)),
                amount: U128::new(u128::from(amount)),
                reference: U128::new(0),
                asset: U32::new(workload.asset),
                code: U16::new(1),
                flags: U16::new(0),
                value_date: U16::new(0),
                voucher_length: U16::new(0),
                kind: 0,
                reserved_a: [0; 3],
                timeout: U32::new(0),
                link: U128::new(0),
                reserved: [0; 12],
            };
            payload.extend_from_slice(row.as_bytes());
        }
        Template { payload, moves, acknowledged: 0 }
    }

    /// Writes new ids into the rows and gives the payload away; [`Template::give_back`] brings it back.
    pub fn take(&mut self, ids: &mut IdSource) -> Bytes {
        let mut payload = std::mem::take(&mut self.payload);
        ids.begin_request();
        let rows = self.moves.len();
        let mut next_sample = 0;
        for (index, row) in payload.chunks_exact_mut(size_of::<TransferRow>()).enumerate() {
            let id = ids.next();
            row[..16].copy_from_slice(&id.to_le_bytes());
            if index == next_sample || index + 1 == rows {
                ids.samples.push(id);
                next_sample += rows / (SAMPLES - 1) + 1;
            }
        }
        payload.freeze()
    }

    /// Takes the payload back; without a copy if nobody else holds it.
    pub fn give_back(&mut self, payload: Bytes) {
        self.payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    }
}

fn pair(workload: &Workload, row: usize, random: &mut Random) -> (u32, u32) {
    let other = |than: u32, random: &mut Random| {
        let index = random.random_range(0..workload.accounts - 1);
        if index >= than { index + 1 } else { index }
    };
    match workload.shape {
        Shape::Uniform => {
            let debit = random.random_range(0..workload.accounts);
            (debit, other(debit, random))
        }
        // Account 0 is the merchant. With one row per template the side must not depend on the row alone.
        Shape::Hot => {
            let customer = other(0, random);
            let debited = if workload.batch == 1 { random.random::<bool>() } else { row.is_multiple_of(2) };
            if debited { (0, customer) } else { (customer, 0) }
        }
    }
}

/// Where ids come from.
pub struct IdSource {
    order: IdOrder,
    random: Random,
    run: u128,
    milliseconds: u128,
    counter: u128,
    /// Ids of the request made last, up to [`SAMPLES`] of them, for looking them up afterwards.
    samples: Vec<u128>,
}

/// Ids of a request that are kept, at most.
pub const SAMPLES: usize = 32;

impl IdSource {
    /// Ids of one sender; `seed` must differ between all runs on a ledger, `sender` between the senders of a run.
    pub fn new(order: IdOrder, seed: u64, sender: u16) -> IdSource {
        let random = Random::seed_from_u64(seed ^ u64::from(sender).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let run = u128::from(seed as u16) << 16 | u128::from(sender);
        IdSource { order, random, run, milliseconds: 0, counter: 0, samples: Vec::with_capacity(SAMPLES) }
    }

    fn begin_request(&mut self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.milliseconds = self.milliseconds.max(now.as_millis());
        self.samples.clear();
    }

    fn next(&mut self) -> u128 {
        match self.order {
            IdOrder::Random => u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64()),
            IdOrder::TimeOrdered => {
                self.counter += 1;
                self.milliseconds << 80 | self.run << 48 | self.counter
            }
        }
    }

    /// Ids of the request made last, from its first row to its last.
    pub fn samples(&self) -> &[u128] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use florin_core::request::{PostForm, PostRequest};

    fn workload(shape: Shape, batch: usize) -> Workload {
        Workload { accounts: 50, shape, ids: IdOrder::TimeOrdered, batch, asset: 978 }
    }

    #[test]
    fn templates_are_well_formed_requests_with_new_ids_each_time() {
        for (shape, order) in [(Shape::Uniform, IdOrder::Random), (Shape::Hot, IdOrder::TimeOrdered)] {
            let mut template = Template::build(&workload(shape, 100), &mut Random::seed_from_u64(7));
            let mut ids = IdSource::new(order, 1, 2);
            let mut seen = std::collections::HashSet::new();
            for _ in 0..3 {
                let payload = template.take(&mut ids);
                let request = PostRequest::parse(1, 0, PostForm::Transfers, 100, payload.clone()).unwrap();
                for index in 0..100 {
                    assert_eq!(request.check_shape(index, &request.item(index)), Ok(()));
                    assert!(seen.insert(request.item(index).id));
                }
                assert!(
                    (2..=SAMPLES).contains(&ids.samples().len()) && ids.samples().iter().all(|id| seen.contains(id))
                );
                assert_eq!(ids.samples().last(), Some(&request.item(99).id));
                drop(request);
                template.give_back(payload);
            }
        }
    }

    #[test]
    fn hot_transfers_always_touch_the_merchant_on_both_sides_in_turn() {
        let template = Template::build(&workload(Shape::Hot, 100), &mut Random::seed_from_u64(7));
        assert!(template.moves.iter().all(|&(debit, credit, _)| (debit == 0) != (credit == 0)));
        assert_eq!(template.moves.iter().filter(|m| m.0 == 0).count(), 50);
        let template = Template::build(&workload(Shape::Uniform, 1000), &mut Random::seed_from_u64(7));
        assert!(template.moves.iter().all(|&(debit, credit, _)| debit != credit && debit < 50 && credit < 50));
    }

    #[test]
    fn account_ids_differ() {
        let ids: std::collections::HashSet<u128> = (0..100_000).map(account_id).collect();
        assert_eq!(ids.len(), 100_000);
    }
}
