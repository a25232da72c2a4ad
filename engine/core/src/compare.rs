//! A repeat against its original: which field differs first, and the answer with the original results put in.

use crate::asset::ControlRecord;
use crate::entry::{PostReply, TransactionRecord};
use crate::frame::Record;
use crate::outcome::Outcome;
use crate::request::{Field, ItemResult, PostRequest, TransactionView};

/// The first field in which a transaction differs from the recorded one of the same id. Whether it was sent as a transfer or
/// as a journal is the form of a request, not a field.
pub fn first_difference(view: &TransactionView<'_>, record: &TransactionRecord) -> Option<Field> {
    if view.postings.count() != record.postings.len() {
        return Some(Field::PostingCount);
    }
    for (asked, recorded) in view.postings.iter().zip(&record.postings) {
        let checks = [
            (asked.account == recorded.account, Field::Account),
            (asked.side == recorded.side, Field::Side),
            (asked.amount == recorded.amount, Field::Amount),
            (asked.asset == recorded.asset, Field::Asset),
        ];
        if let Some((_, field)) = checks.into_iter().find(|(same, _)| !same) {
            return Some(field);
        }
    }
    let same_voucher = view.voucher.len() == usize::from(record.voucher_length)
        && (view.voucher.is_empty() || blake3::hash(view.voucher) == record.voucher_digest);
    let checks = [
        (view.reference == record.reference, Field::Reference),
        (view.code == record.code, Field::Code),
        (view.value_date == record.value_date, Field::ValueDate),
        (same_voucher, Field::Voucher),
    ];
    checks.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
}

/// The result of a repeat: the original one if all fields are the same.
pub fn result_of_repeat(difference: Option<Field>, original: ItemResult) -> ItemResult {
    match difference {
        None => ItemResult { repeat: true, ..original },
        Some(field) => other_fields(field),
    }
}

fn other_fields(field: Field) -> ItemResult {
    ItemResult {
        outcome: Outcome::IdUsedWithOtherFields,
        repeat: false,
        detail: field as u16,
        sequence: 0,
        booked_at: 0,
    }
}

/// The answer to a post request with the results of its repeats put in. `original` reads the record at a sequence number.
pub fn resolve_post<E>(
    request: &PostRequest,
    want_postings: bool,
    reply: PostReply,
    mut original: impl FnMut(u64) -> Result<Record, E>,
) -> Result<PostReply, E> {
    let mut resolved = PostReply::default();
    let mut postings = reply.postings.iter();
    for (item, result) in reply.items().enumerate() {
        let view = request.transaction(item);
        if !result.repeat {
            if want_postings && result.outcome == Outcome::Posted {
                resolved.postings.extend(postings.by_ref().take(view.postings.count()));
            }
            resolved.push(result);
            continue;
        }
        let result = match original(result.sequence)? {
            Record::Transaction(record) => {
                let difference = first_difference(&view, &record);
                if want_postings && difference.is_none() && record.result.outcome == Outcome::Posted {
                    resolved.postings.extend(record.postings.iter().map(|p| p.result));
                }
                result_of_repeat(difference, record.result)
            }
            Record::Open(_) | Record::Control(_) => other_fields(Field::Kind),
        };
        resolved.push(result);
    }
    Ok(resolved)
}

/// The result of a control record whose id was used before.
pub fn resolve_control(record: &[u8], original: &Record) -> ItemResult {
    match original {
        Record::Control(recorded) => {
            let same = ControlRecord::parse(record).is_ok_and(|r| r.canonical() == recorded.record);
            result_of_repeat((!same).then_some(Field::Record), recorded.result)
        }
        Record::Transaction(_) | Record::Open(_) => other_fields(Field::Kind),
    }
}
