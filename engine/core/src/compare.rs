//! A repeat against its original: which field differs first, and the answer with the original results put in.

use florin_planted::{Fault, planted};

use crate::control::ControlRecord;
use crate::entry::{ChangeRecord, PostReply, PostingRecord, TransactionRecord};
use crate::frame::Record;
use crate::outcome::Outcome;
use crate::request::{ChangeRequest, ChangeView, Field, ItemKind, ItemResult, ItemView, PostRequest};

/// The first field in which an item differs from the recorded one of the same id. Whether it was sent as a transfer or as an
/// item with two postings is the form of a request, not a field.
pub fn first_difference(view: &ItemView<'_>, record: &TransactionRecord) -> Option<Field> {
    let kind = view.kind.filter(|kind| Some(*kind) == record.kind.item());
    let Some(kind) = kind else { return Some(Field::Kind) };
    if view.link != record.link {
        return Some(Field::Link);
    }
    let recorded = asked(record, kind);
    if view.postings.count() != recorded.len() {
        return Some(Field::PostingCount);
    }
    for (asked, recorded) in view.postings.iter().zip(recorded) {
        let by_index =
            [(asked.index == recorded.index, Field::Index), (asked.amount == recorded.amount, Field::Amount)];
        let by_account = [
            (asked.account == recorded.account, Field::Account),
            (asked.side == recorded.side, Field::Side),
            (asked.amount == recorded.amount, Field::Amount),
            (asked.asset == recorded.asset, Field::Asset),
        ];
        let checks = if kind.names_postings() { &by_index[..] } else { &by_account[..] };
        if let Some((_, field)) = checks.iter().find(|(same, _)| !same) {
            return Some(*field);
        }
    }
    let same_voucher = view.voucher.len() == usize::from(record.voucher_length)
        && (view.voucher.is_empty() || blake3::hash(view.voucher) == record.voucher_digest);
    let is_final = kind == ItemKind::Capture && view.is_final();
    let checks = [
        (view.reference == record.reference, Field::Reference),
        (view.code == record.code, Field::Code),
        (view.value_date == record.value_date, Field::ValueDate),
        (view.timeout == record.timeout, Field::Timeout),
        (view.forced() == record.forced, Field::Forced),
        (kind != ItemKind::Capture || is_final == record.is_final, Field::Final),
        (same_voucher, Field::Voucher),
    ];
    checks.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
}

/// The postings that a recorded item asked for: not those that it only freed, and none if it stood for all.
fn asked(record: &TransactionRecord, kind: ItemKind) -> Vec<&PostingRecord> {
    let all = record.takes_all || kind == ItemKind::Release;
    record.postings.iter().filter(|p| !all && p.amount > 0).collect()
}

/// The first field in which a change differs from the recorded one of the same id.
pub fn first_difference_of_change(view: &ChangeView<'_>, record: &ChangeRecord) -> Option<Field> {
    let (asked, recorded) = (view.row, &record.row);
    let is_label = asked.action() == crate::request::Action::Label;
    let checks = [
        (asked.account == recorded.account, Field::Account),
        (asked.action == recorded.action, Field::Action),
        (asked.status == recorded.status, Field::Status),
        (asked.new_floor() == recorded.new_floor(), Field::Floor),
        (asked.new_ceiling() == recorded.new_ceiling(), Field::Ceiling),
        (asked.new_alarm() == recorded.new_alarm(), Field::Alarm),
        (asked.forced() == recorded.forced(), Field::Forced),
        (asked.code == recorded.code, Field::Code),
        (*view.data == *record.data, if is_label { Field::Label } else { Field::Attributes }),
        (view.reason == record.reason.as_bytes(), Field::Reason),
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

/// The answer to a request of items with the results of its repeats put in. `original` reads the record at a sequence number.
pub fn resolve_post<E>(
    request: &PostRequest,
    want_postings: bool,
    reply: PostReply,
    mut original: impl FnMut(u64) -> Result<Record, E>,
) -> Result<PostReply, E> {
    let mut resolved = PostReply::default();
    let mut postings = reply.postings.iter();
    for (item, result) in reply.items().enumerate() {
        let view = request.item(item);
        if !result.repeat {
            if want_postings && result.outcome == Outcome::Posted {
                let count = match view.kind.is_some_and(counts_entries) {
                    true => usize::from(result.detail),
                    false => view.postings.count(),
                };
                resolved.postings.extend(postings.by_ref().take(count));
            }
            resolved.push(result);
            continue;
        }
        let result = match original(result.sequence)? {
            Record::Transaction(record) => {
                let difference = first_difference(&view, &record).filter(|_| !planted(Fault::RepeatNotCompared));
                let mut first = record.result;
                if difference.is_none() && first.outcome == Outcome::Posted {
                    if view.kind.is_some_and(counts_entries) {
                        first.detail = record.postings.len() as u16;
                    }
                    if want_postings {
                        resolved.postings.extend(record.postings.iter().map(|p| p.result));
                    }
                }
                result_of_repeat(difference, first)
            }
            Record::Open(_) | Record::Control(_) | Record::Change(_) => other_fields(Field::Kind),
        };
        resolved.push(result);
    }
    Ok(resolved)
}

/// Whether the detail of a posted item is the number of its entries: where the request does not say it.
pub fn counts_entries(kind: ItemKind) -> bool {
    !matches!(kind, ItemKind::Post | ItemKind::Hold | ItemKind::Increase)
}

/// The answer to a request of account changes with the results of its repeats put in.
pub fn resolve_changes<E>(
    request: &ChangeRequest,
    reply: PostReply,
    mut original: impl FnMut(u64) -> Result<Record, E>,
) -> Result<PostReply, E> {
    let mut resolved = PostReply::default();
    for (item, result) in reply.items().enumerate() {
        resolved.push(match result.repeat {
            false => result,
            true => match original(result.sequence)? {
                Record::Change(record) => {
                    result_of_repeat(first_difference_of_change(&request.change(item), &record), record.result)
                }
                Record::Transaction(_) | Record::Open(_) | Record::Control(_) => other_fields(Field::Kind),
            },
        });
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
        Record::Transaction(_) | Record::Open(_) | Record::Change(_) => other_fields(Field::Kind),
    }
}
