//! Writes the items of a program: posts, holds, what names them, repeats, and a share of wrong ones.

use crate::model::item::*;
use crate::model::{AMOUNT_MAX, Model};
use crate::program::accounts::Cast;
use crate::program::named::{self, Named};
use crate::program::wrong;
use crate::rng::Rng;

/// Of a hundred items, how many are what.
#[derive(Clone, Copy, Debug)]
struct Shares {
    repeats: usize,
    wrong: usize,
    journals: usize,
    forced: usize,
    /// By kind, in any unit.
    kinds: [usize; 6],
}

/// Nothing but posts; everything; holds; captures that meet each other; increases up to what an amount may be;
/// reversals upon reversals.
const KINDS: [[usize; 6]; 6] = [
    [1, 0, 0, 0, 0, 0],
    [30, 20, 10, 20, 10, 10],
    [10, 40, 5, 30, 10, 5],
    [10, 20, 5, 55, 5, 5],
    [10, 20, 40, 20, 5, 5],
    [30, 5, 0, 10, 0, 55],
];

/// Bytes of postings, vouchers and headers after which a request gets no further item.
const REQUEST_BYTES: usize = 900_000;

/// Writes items and remembers them, to repeat and to name some.
#[derive(Debug)]
pub struct Writer {
    written: Vec<(u32, Item)>,
    shares: Shares,
    timeouts: &'static [u32],
    ids_in_order: Option<u128>,
}

impl Writer {
    /// With shares that differ from program to program.
    pub fn new(rng: &mut Rng) -> Writer {
        let shares = Shares {
            repeats: rng.pick(&[0, 5, 30]),
            wrong: rng.pick(&[0, 5, 20]),
            journals: rng.pick(&[0, 20, 100]),
            forced: rng.pick(&[0, 0, 10, 40]),
            kinds: rng.pick(&KINDS),
        };
        let timeouts = rng.pick::<&[u32]>(&[&[0], &[0, 1, 2], &[1], &[0, 1, 86_400], &[3, 1, u32::MAX]]);
        Writer { written: vec![], shares, timeouts, ids_in_order: rng.chance(50).then_some(1) }
    }

    /// The items of one request. They are rehearsed one by one, so that the later ones can name what was placed or
    /// posted.
    pub fn request(
        &mut self,
        rng: &mut Rng,
        cast: &Cast,
        institution: u32,
        rehearsal: &mut Model,
        count: usize,
    ) -> Vec<Item> {
        let journals = rng.chance(self.shares.journals);
        let mut items: Vec<Item> = vec![];
        let mut bytes = 0;
        while items.len() < count && bytes < REQUEST_BYTES {
            let mut item = self.item(rng, cast, institution, rehearsal, journals);
            // A row has one byte for an index.
            item.postings.iter_mut().for_each(|p| p.index = p.index.min(255));
            bytes += 128 + item.voucher.len() + 48 * item.postings.len();
            rehearsal.run(institution, &item);
            self.written.push((institution, item.clone()));
            items.push(item);
        }
        items
    }

    fn item(&mut self, rng: &mut Rng, cast: &Cast, institution: u32, rehearsal: &Model, journal: bool) -> Item {
        if !self.written.is_empty() && rng.chance(self.shares.repeats) {
            return self.again(rng, cast);
        }
        let id = self.id(rng);
        let kind = self.kind(rng);
        let named = match kind {
            POST | HOLD => None,
            _ => Named::new(&self.written, institution, rehearsal).item(rng, cast, kind, id),
        };
        let mut item = named.unwrap_or_else(|| self.post(rng, cast, id, journal));
        // What would name a hold and finds none becomes one.
        if !matches!(kind, POST | REVERSE) && item.kind == POST {
            (item.kind, item.timeout) = (HOLD, rng.pick(self.timeouts));
        }
        if item.kind != CAPTURE && item.kind != RELEASE {
            item.forced = rng.chance(self.shares.forced);
        }
        if item.has_own_postings() && rng.chance(5) {
            item.link = self.written.last().map_or(9, |(_, last)| last.id);
        }
        if rng.chance(20) {
            describe(rng, &mut item);
        }
        if rng.chance(self.shares.wrong) {
            for _ in 0..rng.pick(&[1, 1, 2]) {
                wrong::spoil(rng, cast, &mut item);
            }
        }
        item
    }

    /// An item that was written before, perhaps for another institution, perhaps with fields changed.
    fn again(&self, rng: &mut Rng, cast: &Cast) -> Item {
        // Recent ones are likelier, so that repeats meet originals that are still under way.
        let mut again = self.written[named::recent(rng, self.written.len())].1.clone();
        if rng.chance(40) {
            for _ in 0..rng.pick(&[1, 1, 2, 6]) {
                wrong::change(rng, cast, &mut again);
            }
        }
        again
    }

    fn kind(&self, rng: &mut Rng) -> u8 {
        let mut at = rng.below(self.shares.kinds.iter().sum());
        for (kind, share) in self.shares.kinds.iter().enumerate() {
            if at < *share {
                return kind as u8;
            }
            at -= share;
        }
        unreachable!("it is below the sum")
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

    fn post(&self, rng: &mut Rng, cast: &Cast, id: u128, journal: bool) -> Item {
        if journal { new_journal(rng, cast, id) } else { new_transfer(rng, cast, id) }
    }
}

/// The number of an asset.
pub fn asset(rng: &mut Rng, cast: &Cast) -> u32 {
    cast.assets[rng.below(cast.assets.len())].number
}

fn new_transfer(rng: &mut Rng, cast: &Cast, id: u128) -> Item {
    let asset = asset(rng, cast);
    let (debit, mut credit) = (cast.account(rng, asset), cast.account(rng, asset));
    if debit == credit && rng.chance(80) {
        credit = cast.account(rng, asset);
    }
    Item::transfer(id, debit, credit, asset, rng.pick(cast.measure.amounts))
}

fn new_journal(rng: &mut Rng, cast: &Cast, id: u128) -> Item {
    let mut item = Item::post(id, &[]);
    let count = match rng.below(1000) {
        0..=2 => rng.between(250, 256),
        3..=7 => rng.between(30, 250),
        8..=50 => rng.between(6, 30),
        _ => rng.between(1, 4),
    };
    let groups = if rng.chance(10) { 2 } else { 1 };
    for _ in 0..groups {
        balanced_group(rng, cast, count, &mut item.postings);
    }
    if rng.chance(50) {
        shuffle(rng, &mut item.postings);
    }
    item
}

/// Random postings in one asset, and what balances them.
fn balanced_group(rng: &mut Rng, cast: &Cast, count: usize, postings: &mut Vec<Posting>) {
    let asset = asset(rng, cast);
    let mut rest = 0i128;
    for _ in 0..count {
        let side = rng.below(2) as u8;
        let amount = rng.pick(cast.measure.amounts);
        rest += if side == DEBIT { amount as i128 } else { -(amount as i128) };
        postings.push(Posting::new(cast.account(rng, asset), side, amount, asset));
    }
    let side = if rest > 0 { CREDIT } else { DEBIT };
    let mut rest = rest.unsigned_abs();
    while rest > 0 {
        let amount = if rest > AMOUNT_MAX || rng.chance(20) { rest.div_ceil(2).min(AMOUNT_MAX) } else { rest };
        postings.push(Posting::new(cast.account(rng, asset), side, amount, asset));
        rest -= amount;
    }
}

fn shuffle<T>(rng: &mut Rng, values: &mut [T]) {
    for i in (1..values.len()).rev() {
        values.swap(i, rng.below(i + 1));
    }
}

/// Fills in the business side.
fn describe(rng: &mut Rng, item: &mut Item) {
    item.reference = rng.pick(&[0, 1, u128::MAX]);
    item.code = rng.word() as u16;
    item.value_date = rng.pick(&[0, 1, 20_000, u16::MAX]);
    let length = rng.pick(&[0, 0, 1, 17, 300, 4096]);
    item.voucher = (0..length).map(|_| rng.word() as u8).collect();
}
