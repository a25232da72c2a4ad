//! Shape of items: every fault alone, and every two faults that an item can have together, of which the earlier counts.

use super::stage::*;
use super::{Act, Case, case};
use crate::model::AMOUNT_MAX;
use crate::model::item::*;
use crate::model::number::*;

/// A fault: what it is refused for, and how an item comes by it.
type Fault = (u16, fn(&mut Item));

const ID: Fault = (ID_ZERO, |i| i.id = 0);
const LINK: Fault = (ID_ZERO, |i| i.link = 0);
const LONG_VOUCHER: Fault = (VOUCHER_TOO_LONG, |i| i.voucher = vec![0; 4097]);
const NO_AMOUNT: Fault = (AMOUNT_ZERO, |i| first(i).amount = 0);
const LARGE_AMOUNT: Fault = (AMOUNT_ABOVE_MAX, |i| last(i).amount = AMOUNT_MAX + 1);
const MANY: Fault = (TOO_MANY_POSTINGS, |i| {
    // Ascending by index where the kind has indexes.
    let template = i.postings.last().copied().unwrap_or(Posting::at(0, 1));
    for n in i.postings.len() as u16..255 {
        let index = if i.has_own_postings() { 0 } else { n };
        i.postings.push(Posting { index, ..template });
    }
});

/// Faults of posts and holds, in the published order.
const OF_POSTS: [Fault; 16] = [
    ID,
    (TOO_FEW_POSTINGS, |i| i.postings.truncate(1)),
    MANY,
    (ACCOUNT_ZERO, |i| first(i).account = 0),
    NO_AMOUNT,
    LARGE_AMOUNT,
    (SIDE_UNKNOWN, |i| first(i).side = 2),
    (SIDE_UNKNOWN, |i| last(i).side = 255),
    (RESERVED_NOT_ZERO, |i| i.unknown_flags = 4),
    (RESERVED_NOT_ZERO, |i| i.unknown_flags = 1 << 15),
    (RESERVED_NOT_ZERO, |i| i.is_final = true),
    (RESERVED_NOT_ZERO, |i| i.reserved = 1),
    (RESERVED_NOT_ZERO, |i| last(i).reserved = 1),
    (RESERVED_NOT_ZERO, |i| last(i).index = 1),
    (RESERVED_NOT_ZERO, |i| i.timeout = if i.kind == HOLD { i.timeout } else { 1 }),
    LONG_VOUCHER,
];

/// Faults of increases, captures and reversals.
const BY_INDEX: [Fault; 16] = [
    ID,
    LINK,
    (TOO_FEW_POSTINGS, |i| i.postings.clear()),
    MANY,
    NO_AMOUNT,
    LARGE_AMOUNT,
    (RESERVED_NOT_ZERO, |i| i.unknown_flags = 4),
    (RESERVED_NOT_ZERO, |i| i.timeout = 1),
    (RESERVED_NOT_ZERO, |i| if i.kind == CAPTURE { i.forced = true } else { i.is_final = true }),
    (RESERVED_NOT_ZERO, |i| i.reserved = 1),
    (RESERVED_NOT_ZERO, |i| last(i).account = ALICE),
    (RESERVED_NOT_ZERO, |i| last(i).side = 1),
    (RESERVED_NOT_ZERO, |i| last(i).side = 2),
    (RESERVED_NOT_ZERO, |i| last(i).asset = CZK),
    LONG_VOUCHER,
    (POSTINGS_NOT_ASCENDING, |i| last(i).index = 0),
];

/// Faults of releases, which have no postings.
const OF_RELEASES: [Fault; 11] = [
    ID,
    LINK,
    MANY,
    NO_AMOUNT,
    LARGE_AMOUNT,
    (RESERVED_NOT_ZERO, |i| last(i).amount = 1),
    (RESERVED_NOT_ZERO, |i| i.forced = true),
    (RESERVED_NOT_ZERO, |i| i.is_final = true),
    (RESERVED_NOT_ZERO, |i| i.timeout = 1),
    (RESERVED_NOT_ZERO, |i| i.reserved = 1),
    LONG_VOUCHER,
];

fn first(item: &mut Item) -> &mut Posting {
    if item.postings.is_empty() {
        item.postings.push(Posting::at(0, 1));
    }
    &mut item.postings[0]
}

/// Another posting than the first, where the kind and its other faults let there be one.
fn last(item: &mut Item) -> &mut Posting {
    first(item);
    if item.postings.len() == 1 {
        item.postings.push(Posting { index: 1, ..item.postings[0] });
    }
    item.postings.last_mut().expect("two postings")
}

/// The items that are spoiled; the hold and the original that they name do not exist.
fn items() -> [(Item, &'static [Fault], u16); 6] {
    [
        (pay(1, CASH, ALICE, 1), &OF_POSTS, POSTED),
        (reserve_for(9, 1, CASH, ALICE, 1), &OF_POSTS, POSTED),
        (Item::increase(1, 500, &[(0, 1), (1, 1)]), &BY_INDEX, HOLD_UNKNOWN),
        (Item::capture(1, 500, &[(0, 1), (1, 1)]), &BY_INDEX, HOLD_UNKNOWN),
        (Item::release(1, 500), &OF_RELEASES, HOLD_UNKNOWN),
        (Item::reverse(1, 500, &[(0, 1), (1, 1)]), &BY_INDEX, ORIGINAL_UNKNOWN),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![every_kind_is_known(), limits_of_the_shape()];
    for (fine, faults, outcome) in items() {
        let faults: Vec<Fault> = faults.iter().copied().filter(|fault| is_fault(&fine, *fault)).collect();
        let subject = Act::from(fine.clone()).subject();
        let mut shapes = case(format!("{subject}: the first fault of its shape counts, and nothing is recorded"));
        for (i, (code, fault)) in faults.iter().enumerate() {
            shapes = shapes.ask(with(&fine, &[*fault]), *code);
            for (later_code, later) in &faults[i + 1..] {
                if code != later_code && !excludes(*code, *later_code) {
                    // The later one first, so that the earlier one has the last word on what there is.
                    let both = with(&fine, &[*later, *fault]);
                    shapes = shapes.pair(both, *code, with(&fine, &[*later]), *later_code);
                }
            }
        }
        cases.push(shapes.ask(fine.clone(), outcome));
        let (code, last) = faults[faults.len() - 1];
        let unknown = case(format!("{subject}: shape comes before the institution"));
        cases.push(unknown.institution(99).pair(with(&fine, &[last]), code, fine, INSTITUTION_UNKNOWN));
    }
    cases
}

fn with(fine: &Item, faults: &[fn(&mut Item)]) -> Item {
    let mut item = fine.clone();
    faults.iter().for_each(|fault| fault(&mut item));
    item
}

/// Whether it is a fault of this kind: a hold may have a timeout, and captures and reversals without postings are the
/// whole.
fn is_fault(fine: &Item, (code, fault): Fault) -> bool {
    let whole = code == TOO_FEW_POSTINGS && matches!(fine.kind, CAPTURE | REVERSE);
    !whole && with(fine, &[fault]) != *fine
}

/// With too few postings there are not too many, and none of an increase's can have a fault.
fn excludes(earlier: u16, later: u16) -> bool {
    earlier == TOO_FEW_POSTINGS && ![RESERVED_NOT_ZERO, VOUCHER_TOO_LONG, ACCOUNT_ZERO].contains(&later)
}

fn every_kind_is_known() -> Case {
    let strange = Item { kind: 6, ..Item::default() };
    case("an item of an unknown kind cannot be judged further")
        .ask(Item { id: 1, ..strange.clone() }, KIND_UNKNOWN)
        .ask(Item { id: 1, kind: 255, unknown_flags: 9, voucher: vec![0; 5_000], ..strange.clone() }, KIND_UNKNOWN)
        .pair(strange.clone(), ID_ZERO, Item { id: 1, ..strange }, KIND_UNKNOWN)
        .given(pay(1, CASH, ALICE, 1))
}

fn limits_of_the_shape() -> Case {
    let many: Vec<Posting> = [[debit(CASH, 1), credit(SHOP, 1)]; 127].concat();
    case("the largest item is fine")
        .given(Item { voucher: vec![0; 4096], ..Item::post(1, &many) })
        .given(pay(2, CASH, SHOP, AMOUNT_MAX))
        .given(Item::hold(3, u32::MAX, &many))
        .given(Item { timeout: 1, link: 3, reference: u128::MAX, code: 7, value_date: 9, ..reserve(4, CASH, SHOP, 1) })
        .given(Item::increase(5, 3, &(0..254).map(|i| (i, 1)).collect::<Vec<_>>()))
        .given(Item::capture(6, 3, &(0..254).map(|i| (i, 1)).collect::<Vec<_>>()))
        .given(Item::reverse(7, 1, &(0..254).map(|i| (i, 1)).collect::<Vec<_>>()))
}
