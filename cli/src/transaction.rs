//! Recorded transactions: as a row of a table, in full, and as JSON.

use std::collections::HashMap;

use florin_core::entry::{AccountRecord, PostingRecord, RowKind, TransactionRecord};
use florin_core::outcome::Outcome;
use florin_core::request::ItemKind;
use serde_json::{Value, json};

use crate::dates::{format_day, format_instant, format_second};
use crate::ids::show_id;
use crate::money::{Assets, name_of};
use crate::output::{Align, Table, put_bytes};

/// Heads of [`cells`].
pub const HEADS: [(&str, Align); 5] = [
    ("sequence", Align::Right),
    ("booked at (UTC)", Align::Left),
    ("kind", Align::Left),
    ("id", Align::Left),
    ("amount, or why refused", Align::Left),
];

/// A transaction in one line: its position in the log, what it is, and its amount.
pub fn cells(record: &TransactionRecord, assets: &Assets) -> Vec<String> {
    vec![
        record.result.sequence.to_string(),
        format_second(record.result.booked_at),
        record.kind.name().to_string(),
        show_id(record.id),
        match record.result.outcome {
            Outcome::Posted => total(record, assets),
            refused => refused.name().to_string(),
        },
    ]
}

/// The amount that moved, if it is of one asset: what its debits add up to, or what was freed.
fn total(record: &TransactionRecord, assets: &Assets) -> String {
    let frees = matches!(record.kind, RowKind::Release | RowKind::Expiry);
    let Some(first) = record.postings.first() else { return "0".to_string() };
    if record.postings.iter().any(|p| p.asset != first.asset) {
        return "several assets".to_string();
    }
    let one_side = record.postings.iter().filter(|p| p.side == first.side);
    let sum = one_side.map(|p| if frees { p.held.freed } else { p.amount }).fold(0u128, u128::saturating_add);
    assets.money(first.asset, i128::try_from(sum).unwrap_or(i128::MAX))
}

/// What is said of a transaction besides its postings.
pub fn lines(record: &TransactionRecord) -> Vec<String> {
    let result = &record.result;
    let mut lines = vec![
        format!("{} {}: {}", record.kind.name(), show_id(record.id), result.outcome.name()),
        format!("  sequence {} at {}", result.sequence, format_instant(result.booked_at)),
    ];
    let mut details = vec![format!("accounting date {}", format_day(record.accounting_date))];
    if record.value_date != 0 {
        details.push(format!("value date {}", format_day(record.value_date)));
    }
    if record.reference != 0 {
        details.push(format!("reference {}", show_id(record.reference)));
    }
    if record.code != 0 {
        details.push(format!("code {}", record.code));
    }
    details.extend(record.forced.then(|| "forced".to_string()));
    details.extend((record.is_final && !record.takes_all).then(|| "final".to_string()));
    lines.push(format!("  {}", details.join(", ")));
    if result.outcome != Outcome::Posted {
        lines.push(format!("  why: {}", result.outcome.info().help));
    }
    if record.timeout != 0 {
        let expiry = result.booked_at.saturating_add(u64::from(record.timeout) * 1_000_000_000);
        lines.push(format!("  timeout {} s, until {}", record.timeout, format_instant(expiry)));
    }
    if record.link != 0 {
        lines.push(format!("  {} {}", names(record.kind), show_id(record.link)));
    }
    if !record.voucher.is_empty() {
        lines.push(format!("  voucher {}", String::from_utf8_lossy(&record.voucher)));
    } else if record.voucher_length > 0 {
        lines.push(format!("  voucher of {} bytes, not kept as it was refused", record.voucher_length));
    }
    lines
}

fn names(kind: RowKind) -> &'static str {
    match kind.item() {
        Some(ItemKind::Reverse) => "of the transaction",
        Some(ItemKind::Post | ItemKind::Hold) | None => "linked to",
        Some(_) => "of the hold",
    }
}

/// The postings. `left` is what is left of each by its index, with its head.
pub fn postings(
    record: &TransactionRecord,
    assets: &Assets,
    accounts: &HashMap<u128, AccountRecord>,
    left: Option<(&'static str, &HashMap<u8, u128>)>,
) -> Table {
    let frees = record.postings.iter().any(|p| p.held.freed > 0);
    let mut heads =
        vec![("index", Align::Right), ("side", Align::Left), ("account", Align::Left), ("amount", Align::Right)];
    heads.extend(frees.then_some(("freed", Align::Right)));
    heads.extend(left.map(|(head, _)| (head, Align::Right)));
    heads.extend([("entry", Align::Right), ("balance after", Align::Right)]);
    let mut table = Table::new(&heads);
    for posting in &record.postings {
        let grouped = |minor: u128| assets.grouped(posting.asset, minor as i128);
        let mut row = vec![
            posting.index.to_string(),
            posting.side.name().to_string(),
            name_of(accounts, posting.account),
            grouped(posting.amount),
        ];
        row.extend(frees.then(|| grouped(posting.held.freed)));
        row.extend(left.map(|(_, left)| left.get(&posting.index).map_or(String::new(), |&minor| grouped(minor))));
        match record.result.outcome {
            Outcome::Posted => {
                row.extend([posting.result.version.to_string(), assets.money(posting.asset, posting.result.balance)])
            }
            _ => row.extend([String::new(), String::new()]),
        }
        table.row(row);
    }
    table
}

/// A posting as a JSON object; without assets only minor units and the asset's number.
pub fn posting_json(posting: &PostingRecord, assets: Option<&Assets>) -> Value {
    let mut object = json!({
        "index": posting.index,
        "account": show_id(posting.account),
        "side": posting.side.name(),
        "amount_minor": posting.amount.to_string(),
        "asset": assets.map_or_else(|| json!(posting.asset), |assets| json!(assets.code(posting.asset))),
        "version": posting.result.version.to_string(),
        "balance_minor": posting.result.balance.to_string(),
        "alarm": posting.result.alarm,
        "previous": posting.previous.to_string(),
        "freed_minor": posting.held.freed.to_string(),
        "left_minor": posting.held.left.to_string(),
        "held_after_minor": posting.held.held.to_string(),
    });
    if let (Some(assets), Some(fields)) = (assets, object.as_object_mut()) {
        let plain = |minor: i128| Value::String(assets.plain(posting.asset, minor));
        fields.insert("amount".to_string(), plain(posting.amount as i128));
        fields.insert("balance".to_string(), plain(posting.result.balance));
        fields.insert("freed".to_string(), plain(posting.held.freed as i128));
        fields.insert("left".to_string(), plain(posting.held.left as i128));
    }
    object
}

/// A transaction as a JSON object; without assets only minor units.
pub fn json(record: &TransactionRecord, assets: Option<&Assets>) -> Value {
    let id = |id: u128| (id != 0).then(|| show_id(id));
    let mut object = json!({
        "sequence": record.result.sequence.to_string(),
        "kind": record.kind.name(),
        "institution": record.institution,
        "principal": record.principal,
        "id": show_id(record.id),
        "link": id(record.link),
        "link_sequence": (record.link_sequence != 0).then(|| record.link_sequence.to_string()),
        "outcome": record.result.outcome.name(),
        "detail": record.result.detail,
        "booked_at": format_instant(record.result.booked_at),
        "booked_at_ns": record.result.booked_at.to_string(),
        "accounting_date": format_day(record.accounting_date),
        "value_date": (record.value_date != 0).then(|| format_day(record.value_date)),
        "code": record.code,
        "reference": record.reference.to_string(),
        "timeout": record.timeout,
        "forced": record.forced,
        "final": record.is_final,
        "takes_all": record.takes_all,
        "postings": record.postings.iter().map(|p| posting_json(p, assets)).collect::<Vec<_>>(),
        "voucher_bytes": record.voucher_length,
    });
    put_bytes(&mut object, "voucher", &record.voucher);
    object
}
