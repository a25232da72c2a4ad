//! Changes items: into repeats with other fields, into ones that are refused, into malformed ones.

use crate::model::AMOUNT_MAX;
use crate::model::item::*;
use crate::program::accounts::Cast;
use crate::program::items::asset;
use crate::rng::Rng;

/// Changes a field or two to another good value; a repeat of the id then has other fields.
pub fn change(rng: &mut Rng, cast: &Cast, item: &mut Item) {
    match rng.below(20) {
        0 => change_kind(rng, item),
        1 => item.link ^= 1 << rng.below(128),
        2 => item.reference ^= 1 << rng.below(128),
        3 => item.code ^= 1,
        4 => item.value_date ^= 1,
        5 if item.voucher.is_empty() || rng.chance(30) => item.voucher.push(1),
        5 => item.voucher[0] ^= 1,
        6..=8 => change_flags(rng, item),
        _ if item.postings.is_empty() => item.code ^= 2,
        _ => change_postings(rng, cast, item),
    }
}

/// To a kind with the same form of postings.
fn change_kind(rng: &mut Rng, item: &mut Item) {
    item.kind = match item.kind {
        POST => HOLD,
        HOLD => POST,
        RELEASE => CAPTURE,
        _ => rng.pick(&[INCREASE, CAPTURE, REVERSE]),
    };
    if item.kind != HOLD {
        item.timeout = 0;
    }
    if item.kind == CAPTURE {
        item.forced = false;
    } else {
        item.is_final = false;
    }
}

fn change_flags(rng: &mut Rng, item: &mut Item) {
    match item.kind {
        HOLD if rng.chance(60) => item.timeout ^= 1,
        CAPTURE => item.is_final ^= true,
        RELEASE => item.code ^= 4,
        _ => item.forced ^= true,
    }
}

fn change_postings(rng: &mut Rng, cast: &Cast, item: &mut Item) {
    let at = rng.below(item.postings.len());
    let last = item.postings[item.postings.len() - 1];
    let own = item.has_own_postings();
    let posting = &mut item.postings[at];
    match rng.below(7) {
        0 => item.postings.push(Posting { index: if own { 0 } else { (last.index + 1) % 256 }, ..last }),
        1 => item.postings.truncate(item.postings.len() - 1),
        2 => posting.amount = rng.pick(cast.measure.amounts),
        _ if !own => posting.index = rng.pick(&[posting.index ^ 1, 2, 255]),
        3 => posting.account = cast.accounts[rng.below(cast.accounts.len())].opening.account,
        4 => posting.side ^= 1,
        5 => posting.asset = asset(rng, cast),
        _ => (posting.side, posting.amount) = (posting.side ^ 1, posting.amount ^ 1),
    }
}

/// Makes an item wrong: refused with a record, or malformed.
pub fn spoil(rng: &mut Rng, cast: &Cast, item: &mut Item) {
    match rng.below(36) {
        0 => item.id = 0,
        1 => item.link = if item.has_own_postings() { 5 } else { 0 },
        2 => item.kind = rng.pick(&[6, 7, 255]),
        3 => item.kind = rng.below(6) as u8,
        4 => item.unknown_flags = 4 << rng.below(14),
        5 => item.reserved = rng.pick(&[1, 255]),
        6 => item.timeout = rng.pick(&[1, u32::MAX]),
        7 => item.forced ^= true,
        8 => item.is_final ^= true,
        9 => item.voucher = vec![7; rng.pick(&[4096, 4097, 5000])],
        10 => item.postings.truncate(1),
        11 => item.postings.clear(),
        12 => item.postings = (0..rng.pick(&[254, 255, 300])).map(|i| Posting::at(i, 1)).collect(),
        _ if item.postings.is_empty() => item.postings.push(Posting::at(rng.below(3) as u16, 1)),
        _ => spoil_posting(rng, cast, item),
    }
}

fn spoil_posting(rng: &mut Rng, cast: &Cast, item: &mut Item) {
    let at = rng.below(item.postings.len());
    let (another, own) = (item.postings[rng.below(item.postings.len())], item.has_own_postings());
    let posting = &mut item.postings[at];
    match rng.below(22) {
        0 => posting.account = if own { 0 } else { another.account | 1 },
        1 => posting.amount = 0,
        2 => posting.amount = rng.pick(&[AMOUNT_MAX + 1, u128::MAX]),
        3 => item.postings.iter_mut().for_each(|p| p.amount = rng.pick(&[0, AMOUNT_MAX, AMOUNT_MAX + 1])),
        4 => posting.side = rng.pick(&[2, 255]),
        5 => posting.reserved = rng.pick(&[1, 255]),
        6..=7 => posting.amount ^= 1,
        8 => posting.side ^= 1,
        9 => posting.index = another.index,
        10 => posting.index = rng.pick(&[0, 1, 2, 5, 253, 254, 255]),
        11 => item.postings.reverse(),
        // The rest is about whom and what the postings of posts and holds name.
        _ if !own => posting.asset = asset(rng, cast),
        12..=14 => posting.account = rng.next_u128() | 1,
        15 => posting.account = another.account,
        16 => item.postings.iter_mut().for_each(|p| p.asset = 99),
        17 => item.postings.iter_mut().for_each(|p| p.asset = 0),
        18 => posting.asset = asset(rng, cast),
        _ => {
            let other = asset(rng, cast);
            item.postings.iter_mut().for_each(|p| p.asset = other);
        }
    }
}
