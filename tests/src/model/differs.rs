//! In which field a repeat differs from what its id was first used for.

use super::item::{Opening, Transaction};
use super::number::field::*;

/// The first field in which two well-formed transactions differ. Whether one was sent as a transfer and the other as a
/// journal is no difference.
pub fn transaction(first: &Transaction, repeat: &Transaction) -> Option<u16> {
    if first.postings.len() != repeat.postings.len() {
        return Some(POSTING_COUNT);
    }
    for (a, b) in first.postings.iter().zip(&repeat.postings) {
        if a.account != b.account {
            return Some(ACCOUNT);
        }
        if a.side != b.side {
            return Some(SIDE);
        }
        if a.amount != b.amount {
            return Some(AMOUNT);
        }
        if a.asset != b.asset {
            return Some(ASSET);
        }
    }
    let rest = [
        (first.reference == repeat.reference, REFERENCE),
        (first.code == repeat.code, CODE),
        (first.value_date == repeat.value_date, VALUE_DATE),
        (first.voucher == repeat.voucher, VOUCHER),
    ];
    unequal(&rest)
}

/// The first field in which two well-formed openings differ, in the order of the fields' numbers.
pub fn opening(first: &Opening, repeat: &Opening) -> Option<u16> {
    let limit = |o: &Opening, flag: u8, value: i128| (o.limit_flags & flag != 0).then_some(value);
    let fields = [
        (first.asset == repeat.asset, ASSET),
        (first.owner == repeat.owner, OWNER),
        (first.subject == repeat.subject, SUBJECT),
        (first.normal_side == repeat.normal_side, NORMAL_SIDE),
        (first.category == repeat.category, CATEGORY),
        (limit(first, 1, first.floor) == limit(repeat, 1, repeat.floor), FLOOR),
        (limit(first, 2, first.ceiling) == limit(repeat, 2, repeat.ceiling), CEILING),
        (limit(first, 4, first.alarm) == limit(repeat, 4, repeat.alarm), ALARM),
        (first.label_length == repeat.label_length && padded(first) == padded(repeat), LABEL),
    ];
    unequal(&fields)
}

fn padded(o: &Opening) -> Vec<u8> {
    let mut label = o.label.clone();
    label.resize(64, 0);
    label
}

fn unequal(fields: &[(bool, u16)]) -> Option<u16> {
    fields.iter().find(|(equal, _)| !equal).map(|(_, number)| *number)
}
