//! Writes the transactions of a program: transfers, journals, repeats, and a share of wrong ones.

use crate::model::AMOUNT_MAX;
use crate::model::item::{CREDIT, DEBIT, Posting, Transaction};
use crate::program::accounts::Cast;
use crate::rng::Rng;

/// Of a hundred transactions, how many are what.
#[derive(Clone, Copy, Debug)]
struct Shares {
    repeats: usize,
    wrong: usize,
    journals: usize,
}

/// Writes transactions and remembers them, to repeat some.
#[derive(Debug)]
pub struct Writer {
    written: Vec<Transaction>,
    shares: Shares,
    ids_in_order: Option<u128>,
}

impl Writer {
    /// With shares that differ from program to program.
    pub fn new(rng: &mut Rng) -> Writer {
        let shares =
            Shares { repeats: rng.pick(&[0, 5, 30]), wrong: rng.pick(&[0, 5, 20]), journals: rng.pick(&[0, 20, 100]) };
        Writer { written: vec![], shares, ids_in_order: rng.chance(50).then_some(1) }
    }

    /// The transactions of one request.
    pub fn request(&mut self, rng: &mut Rng, cast: &Cast, count: usize, bytes_max: usize) -> Vec<Transaction> {
        let journals = rng.chance(self.shares.journals);
        let mut transactions: Vec<Transaction> = vec![];
        let mut bytes = 0;
        while transactions.len() < count && bytes < bytes_max {
            let transaction = self.transaction(rng, cast, journals);
            bytes += 128 + transaction.voucher.len() + 48 * transaction.postings.len();
            self.written.push(transaction.clone());
            transactions.push(transaction);
        }
        transactions
    }

    fn transaction(&mut self, rng: &mut Rng, cast: &Cast, journal: bool) -> Transaction {
        if !self.written.is_empty() && rng.chance(self.shares.repeats) {
            // Recent ones are likelier, so that repeats meet originals that are still under way.
            let back = rng.below(self.written.len()).min(rng.below(self.written.len()));
            let mut again = self.written[self.written.len() - 1 - back].clone();
            if rng.chance(30) {
                for _ in 0..rng.pick(&[1, 1, 2, 6]) {
                    change(rng, cast, &mut again);
                }
            }
            return again;
        }
        let id = self.id(rng);
        let mut t = if journal { new_journal(rng, cast, id) } else { new_transfer(rng, cast, id) };
        if rng.chance(20) {
            describe(rng, &mut t);
        }
        if rng.chance(self.shares.wrong) {
            for _ in 0..rng.pick(&[1, 1, 2]) {
                spoil(rng, cast, &mut t);
            }
        }
        t
    }

    fn id(&mut self, rng: &mut Rng) -> u128 {
        match &mut self.ids_in_order {
            Some(next) => {
                *next += 1;
                *next
            }
            None => rng.next_u128() | 1,
        }
    }
}

fn asset(rng: &mut Rng, cast: &Cast) -> u32 {
    cast.assets[rng.below(cast.assets.len())].number
}

fn new_transfer(rng: &mut Rng, cast: &Cast, id: u128) -> Transaction {
    let asset = asset(rng, cast);
    let (debit, mut credit) = (cast.account(rng, asset), cast.account(rng, asset));
    if debit == credit && rng.chance(80) {
        credit = cast.account(rng, asset);
    }
    Transaction::transfer(id, debit, credit, asset, rng.pick(cast.measure.amounts))
}

fn new_journal(rng: &mut Rng, cast: &Cast, id: u128) -> Transaction {
    let mut t = Transaction { id, ..Transaction::default() };
    let count = match rng.below(1000) {
        0..=2 => rng.between(250, 256),
        3..=7 => rng.between(30, 250),
        8..=50 => rng.between(6, 30),
        _ => rng.between(1, 4),
    };
    let groups = if rng.chance(10) { 2 } else { 1 };
    for _ in 0..groups {
        balanced_group(rng, cast, count, &mut t.postings);
    }
    if rng.chance(50) {
        shuffle(rng, &mut t.postings);
    }
    t
}

/// Random postings in one asset, and what balances them.
fn balanced_group(rng: &mut Rng, cast: &Cast, count: usize, postings: &mut Vec<Posting>) {
    let asset = asset(rng, cast);
    let mut rest = 0i128;
    for _ in 0..count {
        let side = rng.below(2) as u8;
        let amount = rng.pick(cast.measure.amounts);
        rest += if side == DEBIT { amount as i128 } else { -(amount as i128) };
        postings.push(Posting { account: cast.account(rng, asset), side, amount, asset, reserved: 0 });
    }
    let side = if rest > 0 { CREDIT } else { DEBIT };
    let mut rest = rest.unsigned_abs();
    while rest > 0 {
        let amount = if rest > AMOUNT_MAX || rng.chance(20) { rest.div_ceil(2).min(AMOUNT_MAX) } else { rest };
        postings.push(Posting { account: cast.account(rng, asset), side, amount, asset, reserved: 0 });
        rest -= amount;
    }
}

fn shuffle<T>(rng: &mut Rng, values: &mut [T]) {
    for i in (1..values.len()).rev() {
        values.swap(i, rng.below(i + 1));
    }
}

/// Fills in the business side.
fn describe(rng: &mut Rng, t: &mut Transaction) {
    t.reference = rng.pick(&[0, 1, u128::MAX]);
    t.code = rng.word() as u16;
    t.value_date = rng.pick(&[0, 1, 20_000, u16::MAX]);
    let length = rng.pick(&[0, 0, 1, 17, 300, 4096]);
    t.voucher = (0..length).map(|_| rng.word() as u8).collect();
}

/// Changes a field or two to another good value; a repeat of the id then has other fields.
fn change(rng: &mut Rng, cast: &Cast, t: &mut Transaction) {
    let which = if t.postings.is_empty() { 9 } else { rng.below(13) };
    let at = rng.below(t.postings.len().max(1));
    match which {
        0 => t.postings.push(t.postings[at].clone()),
        1 => t.postings.truncate(t.postings.len() - 1),
        2 => t.postings[at].account = cast.accounts[rng.below(cast.accounts.len())].opening.account,
        3 => t.postings[at].side ^= 1,
        4 => t.postings[at].amount = rng.pick(cast.measure.amounts),
        5 => t.postings[at].asset = asset(rng, cast),
        12 => (t.postings[at].side, t.postings[at].amount) = (t.postings[at].side ^ 1, t.postings[at].amount ^ 1),
        6 => t.reference ^= 1 << rng.below(128),
        7 => t.code ^= 1,
        8 => t.value_date ^= 1,
        _ if t.voucher.is_empty() || rng.chance(30) => t.voucher.push(1),
        _ => t.voucher[0] ^= 1,
    }
}

/// Makes a transaction wrong: refused with a record, or malformed.
fn spoil(rng: &mut Rng, cast: &Cast, t: &mut Transaction) {
    if t.postings.is_empty() {
        return;
    }
    let at = rng.below(t.postings.len());
    match rng.below(22) {
        0..=2 => t.postings[at].account = rng.next_u128() | 1,
        3 => t.postings[at].account = t.postings[rng.below(t.postings.len())].account,
        4 => t.postings[at].amount ^= 1,
        5 => t.postings[at].side ^= 1,
        6 => t.postings.iter_mut().for_each(|p| p.asset = 99),
        7 => t.postings.iter_mut().for_each(|p| p.asset = 0),
        8..=9 => {
            let other = asset(rng, cast);
            t.postings.iter_mut().for_each(|p| p.asset = other);
        }
        10 => t.postings[at].asset = asset(rng, cast),
        11 => t.id = 0,
        12 => t.postings.truncate(1),
        13 => t.postings.clear(),
        14 => t.postings[at].account = 0,
        15 => t.postings[at].amount = 0,
        16 => t.postings.iter_mut().for_each(|p| p.amount = rng.pick(&[0, AMOUNT_MAX + 1, u128::MAX])),
        17 => t.postings[at].side = rng.pick(&[2, 255]),
        18 => t.flags = 1 << rng.below(16),
        19 => t.reserved = rng.pick(&[1, 255]),
        20 => t.postings[at].reserved = rng.pick(&[1, 255]),
        _ => t.voucher = vec![7; rng.pick(&[4096, 4097, 5000])],
    }
}
