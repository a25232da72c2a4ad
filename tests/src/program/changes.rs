//! Writes account changes: freezes, limits, closing and reopening, labels; repeats, and a share of wrong ones.

use crate::model::item::*;
use crate::model::{AMOUNT_MAX, BALANCE_MAX};
use crate::program::accounts::Cast;
use crate::program::named::recent;
use crate::rng::Rng;

/// Writes changes and remembers them, to repeat some and to take them back.
#[derive(Debug)]
pub struct Changer {
    written: Vec<Change>,
    closed: Vec<u128>,
    next_id: u128,
}

impl Changer {
    /// Its ids are far from those of items, but for a few that meet them.
    pub fn new() -> Changer {
        Changer { written: vec![], closed: vec![], next_id: 1 << 64 }
    }

    /// A change.
    pub fn change(&mut self, rng: &mut Rng, cast: &Cast) -> Change {
        if !self.written.is_empty() && rng.chance(15) {
            let mut again = self.written[recent(rng, self.written.len())].clone();
            if rng.chance(60) {
                edit(rng, &mut again);
            }
            return sendable(again);
        }
        self.next_id += 1;
        let id = if rng.chance(5) { rng.between(0, 20) as u128 } else { self.next_id };
        let mut change = self.new_change(rng, cast, id);
        change.code = rng.pick(&[0, 0, 0, 12]);
        if rng.chance(10) {
            spoil(rng, &mut change);
        }
        let change = sendable(change);
        self.written.push(change.clone());
        change
    }

    fn new_change(&mut self, rng: &mut Rng, cast: &Cast, id: u128) -> Change {
        let any = if rng.chance(2) {
            rng.next_u128() | 1
        } else {
            cast.accounts[rng.below(cast.accounts.len())].opening.account
        };
        match rng.below(100) {
            0..=19 => Change::status(id, any, rng.pick(&[DEBIT_FROZEN, CREDIT_FROZEN, FROZEN])),
            20..=34 => Change::status(id, any, OPEN),
            35..=64 => limits(rng, cast, id, any),
            65..=79 => {
                self.closed.push(any);
                Change::close(id, any)
            }
            80..=89 if !self.closed.is_empty() => Change::reopen(id, self.closed[recent(rng, self.closed.len())]),
            80..=91 => Change::reopen(id, any),
            92..=95 => Change::label(id, any, rng.pick(&["", "salary", "účet č. 7"]).as_bytes()),
            _ => Change::attributes(id, any, &vec![7; rng.pick(&[0, 3, 1024])]),
        }
    }
}

fn limits(rng: &mut Rng, cast: &Cast, id: u128, account: u128) -> Change {
    let set = |rng: &mut Rng, values: &[Option<i128>]| match rng.below(4) {
        0 => Limit::Keep,
        1 => Limit::Remove,
        _ => rng.pick(values).map_or(Limit::Keep, Limit::To),
    };
    let alarms = &[Some(0), Some(1), Some(90), Some(-10), Some(AMOUNT_MAX as i128)];
    let (mut floor, mut ceiling) = (set(rng, cast.measure.floors), set(rng, cast.measure.ceilings));
    if let (Limit::To(low), Limit::To(high)) = (floor, ceiling)
        && low > high
        && rng.chance(90)
    {
        (floor, ceiling) = (Limit::To(high), Limit::To(low));
    }
    let change = Change { alarm: set(rng, alarms), ..Change::limits(id, account, floor, ceiling) };
    if rng.chance(40) { change.forced() } else { change }
}

/// A request has one place for label or attributes.
fn sendable(mut change: Change) -> Change {
    if change.action == SET_LABEL || !change.label.is_empty() && change.action != SET_ATTRIBUTES {
        change.attributes.clear();
    }
    if change.action == SET_ATTRIBUTES {
        change.label.clear();
    }
    change
}

/// Changes a field to another value, mostly a good one.
fn edit(rng: &mut Rng, change: &mut Change) {
    match rng.below(11) {
        0 => change.account ^= 2,
        1 => change.action = rng.between(1, 6) as u8,
        2 => change.status = change.status.wrapping_add(1) % 4,
        3 => change.floor = rng.pick(&[Limit::Keep, Limit::Remove, Limit::To(-1)]),
        4 => change.ceiling = rng.pick(&[Limit::Keep, Limit::Remove, Limit::To(1_000)]),
        5 => change.alarm = rng.pick(&[Limit::Keep, Limit::Remove, Limit::To(7)]),
        6 => change.forced ^= true,
        7 => change.code ^= 1,
        8 => change.label = b"other".to_vec(),
        9 => change.attributes = b"other".to_vec(),
        _ => change.reason = b"other".to_vec(),
    }
}

/// Makes a change malformed.
fn spoil(rng: &mut Rng, change: &mut Change) {
    match rng.below(14) {
        0 => change.id = 0,
        1 => change.account = 0,
        2 => change.action = rng.pick(&[0, 7, 255]),
        3 => change.status = rng.pick(&[CLOSED, 5, 255]),
        4 => change.reserved = 1,
        5 => change.forced ^= true,
        6 => (change.floor, change.ceiling) = (Limit::To(10), Limit::To(9)),
        7 => change.floor = Limit::To(rng.pick(&[BALANCE_MAX + 1, -BALANCE_MAX - 1, i128::MIN])),
        8 => change.alarm = Limit::To(rng.pick(&[BALANCE_MAX, i128::MAX])),
        9 => change.label = rng.pick::<&[u8]>(&[b"a", &[b'a'; 65], &[0xff, 0xfe]]).to_vec(),
        10 => {
            let attributes = vec![1; rng.pick(&[1, 1024, 1025])];
            *change = Change::attributes(change.id, change.account, &attributes);
        }
        11 => change.reason = vec![],
        12 => change.reason = vec![b'a'; rng.pick(&[200, 201])],
        _ => change.reason = vec![0xff],
    }
}
