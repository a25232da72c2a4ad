//! In which field a repeat differs from what its id was first used for.

use super::item::*;
use super::number::field;

/// The first field in which two well-formed items differ. Whether a post was sent as a transfer or as a journal is no
/// difference.
pub fn item(first: &Item, repeat: &Item) -> Option<u16> {
    let before_postings = [
        (first.kind == repeat.kind, field::KIND),
        (first.link == repeat.link, field::LINK),
        (first.postings.len() == repeat.postings.len(), field::POSTING_COUNT),
    ];
    // Postings by index have zeros for account, side and asset, the others have zero for the index. So the fields of
    // both can be gone through in one list.
    let postings = first.postings.iter().zip(&repeat.postings).flat_map(|(a, b)| {
        [
            (a.account == b.account, field::ACCOUNT),
            (a.side == b.side, field::SIDE),
            (a.index == b.index, field::INDEX),
            (a.amount == b.amount, field::AMOUNT),
            (a.asset == b.asset, field::ASSET),
        ]
    });
    let after_postings = [
        (first.reference == repeat.reference, field::REFERENCE),
        (first.code == repeat.code, field::CODE),
        (first.value_date == repeat.value_date, field::VALUE_DATE),
        (first.timeout == repeat.timeout, field::TIMEOUT),
        (first.forced == repeat.forced, field::FORCED),
        (is_final(first) == is_final(repeat), field::FINAL),
        (first.voucher == repeat.voucher, field::VOUCHER),
    ];
    unequal(before_postings.into_iter().chain(postings).chain(after_postings))
}

/// A capture without postings takes everything, so it is final whatever its flag says.
fn is_final(i: &Item) -> bool {
    i.is_final || (i.kind == CAPTURE && i.postings.is_empty())
}

/// The first field in which two well-formed changes differ.
pub fn change(first: &Change, repeat: &Change) -> Option<u16> {
    let fields = [
        (first.account == repeat.account, field::ACCOUNT),
        (first.action == repeat.action, field::ACTION),
        (first.status == repeat.status, field::STATUS),
        (first.floor == repeat.floor, field::FLOOR),
        (first.ceiling == repeat.ceiling, field::CEILING),
        (first.alarm == repeat.alarm, field::ALARM),
        (first.forced == repeat.forced, field::FORCED),
        (first.code == repeat.code, field::CODE),
        (first.label == repeat.label, field::LABEL),
        (first.attributes == repeat.attributes, field::ATTRIBUTES),
        (first.reason == repeat.reason, field::REASON),
    ];
    unequal(fields)
}

/// The first field in which two well-formed openings differ, in the order of the fields' numbers.
pub fn opening(first: &Opening, repeat: &Opening) -> Option<u16> {
    let fields = [
        (first.asset == repeat.asset, field::ASSET),
        (first.owner == repeat.owner, field::OWNER),
        (first.subject == repeat.subject, field::SUBJECT),
        (first.normal_side == repeat.normal_side, field::NORMAL_SIDE),
        (first.category == repeat.category, field::CATEGORY),
        (first.limit(FLOOR) == repeat.limit(FLOOR), field::FLOOR),
        (first.limit(CEILING) == repeat.limit(CEILING), field::CEILING),
        (first.limit(ALARM) == repeat.limit(ALARM), field::ALARM),
        (first.label_length == repeat.label_length && padded(first) == padded(repeat), field::LABEL),
    ];
    unequal(fields)
}

fn padded(o: &Opening) -> Vec<u8> {
    let mut label = o.label.clone();
    label.resize(64, 0);
    label
}

fn unequal(fields: impl IntoIterator<Item = (bool, u16)>) -> Option<u16> {
    fields.into_iter().find(|(equal, _)| !equal).map(|(_, number)| number)
}
