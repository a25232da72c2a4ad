//! The transactions of a run: built before the clock starts, sent again and again with new ids, and counted as they are
//! answered. The counts give the exact balance and version that every account must have afterwards.

use rand::RngExt;

use crate::books::Books;
use crate::ground::Ground;
use crate::workload::{Random, Shape, Workload};
use crate::zipf::Zipf;

/// Fewest transactions in a pool: enough that small requests touch many accounts.
const TRANSACTIONS_MIN: usize = 131_072;
/// Most: 24 bytes each.
const TRANSACTIONS_MAX: usize = 8 << 20;
/// Largest amount of a transfer, minor units.
const AMOUNT_MAX: i32 = 100_000;
/// Smallest amount of a journal, minor units: its parts are at least one unit.
const JOURNAL_MIN: i32 = 100;
/// Of this many transfers from the account that is nearly empty one brings money.
const TOP_UP_EVERY: usize = 100;
/// What it brings, minor units: half of what the others take on average.
const TOP_UP: i32 = (TOP_UP_EVERY as i32 - 1) * (AMOUNT_MAX / 2) / 2;

/// One posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leg {
    /// The account's index.
    pub account: u32,
    /// Minor units; below zero it is a debit.
    pub amount: i32,
}

/// The transactions of a run.
#[derive(Debug, Default)]
pub struct Pool {
    batch: usize,
    postings: usize,
    legs: Vec<Leg>,
    /// How often each was acknowledged as held.
    held: Vec<u32>,
    /// How often each was acknowledged as posted, or as captured.
    posted: Vec<u32>,
    next: usize,
}

impl Pool {
    /// Builds one: a whole, even number of requests.
    pub fn build(workload: &Workload, ground: &Ground, books: &Books, random: &mut Random) -> Pool {
        let wanted = (ground.accounts.ordinary() as usize).clamp(TRANSACTIONS_MIN, TRANSACTIONS_MAX);
        let requests = wanted.div_ceil(workload.batch).next_multiple_of(2);
        let count = requests * workload.batch;
        let postings = workload.shape.postings();
        let held = if workload.shape == Shape::Holds { vec![0; count] } else { Vec::new() };
        let mut pool = Pool {
            batch: workload.batch,
            postings,
            legs: Vec::with_capacity(count * postings),
            held,
            posted: vec![0; count],
            next: 0,
        };
        let mut builder = Builder::new(workload, ground, books, random);
        (0..count).for_each(|transaction| builder.push(transaction, &mut pool.legs));
        pool
    }

    /// The first transaction of the next request.
    pub fn next_request(&mut self) -> u32 {
        let first = self.next;
        self.next += self.batch;
        if self.next == self.posted.len() {
            self.next = 0;
        }
        first as u32
    }

    /// The postings of a transaction.
    pub fn legs(&self, transaction: u32) -> &[Leg] {
        let first = transaction as usize * self.postings;
        &self.legs[first..first + self.postings]
    }

    /// Some transactions in a row were acknowledged as posted or captured.
    pub fn count_posted(&mut self, first: u32, count: usize) {
        self.posted[first as usize..first as usize + count].iter_mut().for_each(|times| *times += 1);
    }

    /// Some transactions in a row were acknowledged as held.
    pub fn count_held(&mut self, first: u32, count: usize) {
        self.held[first as usize..first as usize + count].iter_mut().for_each(|times| *times += 1);
    }

    /// What was acknowledged: postings, how often held, how often posted.
    pub fn told(&self) -> impl Iterator<Item = (&[Leg], u64, u64)> {
        let times = |counts: &[u32], index: usize| counts.get(index).copied().map_or(0, u64::from);
        let all = self.legs.chunks_exact(self.postings).enumerate();
        all.map(move |(index, legs)| (legs, times(&self.held, index), times(&self.posted, index)))
            .filter(|(_, held, posted)| held + posted > 0)
    }
}

/// Which accounts and amounts the next transaction has.
struct Builder<'a> {
    workload: &'a Workload,
    ground: &'a Ground,
    zipf: Option<Zipf>,
    random: &'a mut Random,
    /// The accounts of a pair, first the one that pays first.
    pair: (u32, u32),
}

impl<'a> Builder<'a> {
    fn new(workload: &'a Workload, ground: &'a Ground, books: &Books, random: &'a mut Random) -> Builder<'a> {
        let zipf = match workload.shape {
            Shape::Zipf(exponent) => Some(Zipf::new(ground.accounts.ordinary(), exponent)),
            _ => None,
        };
        let (first, second) = ground.pair;
        // The coin may be with either of them after an earlier run.
        let coin_is_second = workload.shape == Shape::LastCoin && books.of(second).balance > 0;
        let pair = if coin_is_second { (second, first) } else { (first, second) };
        Builder { workload, ground, zipf, random, pair }
    }

    fn any(&mut self) -> u32 {
        match &self.zipf {
            Some(zipf) => zipf.sample(self.random),
            None => self.random.random_range(0..self.ground.accounts.ordinary()),
        }
    }

    /// An ordinary account that is not this one.
    fn other(&mut self, than: u32) -> u32 {
        loop {
            let index = self.any();
            if index != than {
                return index;
            }
        }
    }

    /// Two accounts of one shard, or of two. There are such, or the ground would not suit.
    fn pair_by_shard(&mut self, same: bool) -> (u32, u32) {
        loop {
            let first = self.any();
            let second = self.other(first);
            if (self.ground.home(first) == self.ground.home(second)) == same {
                return (first, second);
            }
        }
    }

    fn amount(&mut self) -> i32 {
        self.random.random_range(1..=AMOUNT_MAX)
    }

    /// Whether a thing is done that is done in turn. A request of one row has no turns of its own: there a coin is tossed.
    fn in_turn(&mut self, transaction: usize, every: usize) -> bool {
        match self.workload.batch >= every {
            true => (transaction % self.workload.batch).is_multiple_of(every),
            false => self.random.random_range(0..every) == 0,
        }
    }

    fn push(&mut self, transaction: usize, legs: &mut Vec<Leg>) {
        let special = self.ground.accounts.ordinary();
        let mut transfer = |debit: u32, credit: u32, amount: i32| {
            legs.extend([Leg { account: debit, amount: -amount }, Leg { account: credit, amount }]);
        };
        match self.workload.shape {
            Shape::Uniform | Shape::Zipf(_) | Shape::Holds => {
                let debit = self.any();
                transfer(debit, self.other(debit), self.amount());
            }
            Shape::OneShard | Shape::TwoShards => {
                let (debit, credit) = self.pair_by_shard(self.workload.shape == Shape::OneShard);
                transfer(debit, credit, self.amount());
            }
            // Account 0 is the merchant.
            Shape::Hot => {
                let customer = self.other(0);
                let (debit, credit) = if self.in_turn(transaction, 2) { (0, customer) } else { (customer, 0) };
                transfer(debit, credit, self.amount());
            }
            Shape::HotCredit => transfer(self.other(0), 0, self.amount()),
            Shape::HotDebit => transfer(special, self.any(), self.amount()),
            Shape::HotDebitEmpty => match self.in_turn(transaction, TOP_UP_EVERY) {
                true => transfer(self.any(), special, TOP_UP),
                false => transfer(special, self.any(), self.amount()),
            },
            Shape::DualHot | Shape::LastCoin => {
                let (first, second) = self.pair;
                let (debit, credit) = if transaction.is_multiple_of(2) { (first, second) } else { (second, first) };
                let amount = if self.workload.shape == Shape::LastCoin { 1 } else { self.amount() };
                transfer(debit, credit, amount);
            }
            Shape::Journal(postings) => {
                let payer = self.any();
                let amount = self.random.random_range(JOURNAL_MIN..=AMOUNT_MAX);
                // A hundredth to each account behind the first that is paid: fees, taxes.
                let part = amount / 100;
                let rest = amount - part * (postings as i32 - 2);
                legs.push(Leg { account: payer, amount: -amount });
                legs.push(Leg { account: self.other(payer), amount: rest });
                legs.extend((2..postings).map(|_| Leg { account: self.other(payer), amount: part }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdOrder;
    use crate::workload::WORKLOADS;
    use rand::SeedableRng;

    fn pool(shape: Shape, batch: usize) -> Pool {
        let workload = Workload { shape, repeats_percent: 0, reads_percent: 0, ids: IdOrder::TimeOrdered, batch };
        Pool::build(&workload, &Ground::for_test(50, shape), &Books::for_test(52), &mut Random::seed_from_u64(7))
    }

    #[test]
    fn debits_are_credits_in_every_workload() {
        for published in WORKLOADS {
            for batch in [1, 7, published.shape.batch_max()] {
                let pool = pool(published.shape, batch);
                let count = pool.posted.len();
                assert!(count >= TRANSACTIONS_MIN && (count / batch).is_multiple_of(2) && count.is_multiple_of(batch));
                for transaction in 0..count as u32 {
                    let legs = pool.legs(transaction);
                    assert_eq!(legs.len(), published.shape.postings());
                    assert_eq!(legs.iter().map(|leg| leg.amount).sum::<i32>(), 0);
                    assert!(legs[0].amount < 0 && legs[1..].iter().all(|leg| leg.amount > 0));
                    assert!(legs[1..].iter().all(|leg| leg.account != legs[0].account && leg.account <= 52));
                }
            }
        }
    }

    #[test]
    fn hot_accounts_are_in_every_transfer() {
        let count = |shape, batch, hot: &dyn Fn(&[Leg]) -> bool| {
            let pool = pool(shape, batch);
            let all = pool.posted.len();
            (0..all as u32).filter(|&t| hot(pool.legs(t))).count() as f64 / all as f64
        };
        let debited = |legs: &[Leg]| legs[0].account == 0;
        assert_eq!(count(Shape::Hot, 100, &debited), 0.5);
        assert!((0.49..0.51).contains(&count(Shape::Hot, 1, &debited)));
        assert_eq!(count(Shape::Hot, 100, &|legs| debited(legs) != (legs[1].account == 0)), 1.0);
        assert_eq!(count(Shape::HotCredit, 1, &|legs| legs[1].account == 0), 1.0);
        assert_eq!(count(Shape::HotDebit, 1, &|legs| legs[0].account == 50), 1.0);
        assert_eq!(count(Shape::HotDebitEmpty, 100, &|legs| legs[0].account == 50), 0.99);
        assert_eq!(count(Shape::DualHot, 1, &|legs| legs[0].account + legs[1].account == 1), 1.0);
        assert_eq!(count(Shape::LastCoin, 1, &|legs| (legs[0].account, legs[1].account) == (50, 51)), 0.5);
    }

    #[test]
    fn shards_are_crossed_always_never_or_by_half() {
        let ground = Ground::for_test(50, Shape::Uniform);
        let crossing = |shape| {
            let pool = pool(shape, 100);
            let all = pool.posted.len() as u32;
            let crosses = |legs: &[Leg]| ground.home(legs[0].account) != ground.home(legs[1].account);
            (0..all).filter(|&t| crosses(pool.legs(t))).count() as f64 / f64::from(all)
        };
        assert_eq!((crossing(Shape::OneShard), crossing(Shape::TwoShards)), (0.0, 1.0));
        assert!((0.3..0.7).contains(&crossing(Shape::Uniform)));
    }

    #[test]
    fn requests_follow_each_other_and_answers_are_counted() {
        let mut pool = pool(Shape::Holds, 8_190);
        assert_eq!((pool.next_request(), pool.next_request()), (0, 8_190));
        pool.count_held(8_190, 8_190);
        pool.count_posted(8_190, 2);
        let told: Vec<(u64, u64)> = pool.told().map(|(_, held, posted)| (held, posted)).collect();
        assert_eq!((told.len(), told[1], told[2]), (8_190, (1, 1), (1, 0)));
        let requests = pool.posted.len() / 8_190;
        for _ in 2..requests {
            pool.next_request();
        }
        assert_eq!(pool.next_request(), 0);
    }
}
