//! Entries of a statement as a table for people, as JSON, and as CSV.

use std::collections::HashMap;

use florin_core::entry::{RowKind, StatementEntry};
use florin_core::request::{Action, Side};
use serde_json::{Value, json};

use crate::amount::{format_amount, format_grouped};
use crate::dates::{format_day, format_instant, format_second};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::show_id;
use crate::output::{Align, Output, Table, put_bytes};
use crate::verify::hex;

/// Columns of the CSV.
const COLUMNS: &str = "booked_at,value_date,version,sequence,id,side,amount,balance,counterparty,reference,code,voucher,\
                       kind,accounting_date,link,freed,left,held_after,principal,forced,alarm,change,reason,previous,\
                       voucher_hex";

/// The entries as a table for people. Only what was posted stands under debit or credit; what holds reserve or free is in
/// words.
pub fn table(entries: &[StatementEntry], scale: u8, names: &HashMap<u128, String>) -> Table {
    let value_dates = entries.iter().any(|entry| entry.value_date != 0);
    let mut heads = vec![("booked at (UTC)", Align::Left)];
    heads.extend(value_dates.then_some(("value date", Align::Left)));
    heads.extend(
        [("entry", "debit", "credit", "balance")]
            .iter()
            .flat_map(|&(a, b, c, d)| [a, b, c, d].map(|head| (head, Align::Right))),
    );
    heads.extend(["what", "with", "voucher"].map(|head| (head, Align::Words)));
    let mut table = Table::new(&heads);
    for entry in entries {
        let amount = if is_posted(entry) { format_grouped(entry.amount as i128, scale) } else { String::new() };
        let (debit, credit) = match entry.side {
            Side::Debit => (amount, String::new()),
            Side::Credit => (String::new(), amount),
        };
        let mut row = vec![format_second(entry.booked_at)];
        row.extend(value_dates.then(|| format_day(entry.value_date)));
        row.extend([
            entry.version.to_string(),
            debit,
            credit,
            format_grouped(entry.balance, scale),
            what(entry, scale),
            counterparty(entry, names),
            entry.change.as_ref().map_or_else(|| voucher_words(&entry.voucher), |(_, reason)| reason.to_string()),
        ]);
        table.row(row);
    }
    table
}

fn is_posted(entry: &StatementEntry) -> bool {
    matches!(entry.kind, RowKind::Transfer | RowKind::Journal | RowKind::Capture | RowKind::Reversal)
}

fn what(entry: &StatementEntry, scale: u8) -> String {
    let money = |minor: u128| format_grouped(minor as i128, scale);
    let mut text = match (entry.kind, &entry.change) {
        (RowKind::Transfer | RowKind::Journal, _) => "post".to_string(),
        (RowKind::Hold | RowKind::Increase, _) => {
            format!("{} {} {}", entry.kind.name(), entry.side.name(), money(entry.amount))
        }
        (RowKind::Release | RowKind::Expiry, _) => format!("{}, frees {}", entry.kind.name(), money(entry.held.freed)),
        (RowKind::Capture, _) if entry.held.freed > 0 => format!("capture, frees {}", money(entry.held.freed)),
        (_, Some((action, _))) => format!("change of {}", action_words(*action)),
        _ => entry.kind.name().to_string(),
    };
    for (is, word) in [(entry.forced, ", forced"), (entry.alarm, ", ALARM")] {
        if is {
            text.push_str(word);
        }
    }
    text
}

fn action_words(action: Action) -> &'static str {
    match action {
        Action::Close | Action::Reopen => "status",
        other => other.name(),
    }
}

fn counterparty(entry: &StatementEntry, names: &HashMap<u128, String>) -> String {
    match entry.counterparty {
        _ if entry.change.is_some() => String::new(),
        0 => "several".to_string(),
        id => names.get(&id).cloned().unwrap_or_else(|| show_id(id)),
    }
}

/// A voucher as words: the values of a JSON object, or the text itself.
fn voucher_words(voucher: &[u8]) -> String {
    match serde_json::from_slice(voucher) {
        Ok(Value::Object(fields)) => {
            let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
            fields.values().map(word).collect::<Vec<_>>().join(", ")
        }
        _ => String::from_utf8_lossy(voucher).into_owned(),
    }
}

/// An entry as a JSON object.
pub fn entry_json(entry: &StatementEntry, scale: u8, names: &HashMap<u128, String>) -> Value {
    let mut object = json!({
        "sequence": entry.sequence.to_string(),
        "version": entry.version.to_string(),
        "kind": entry.kind.name(),
        "id": show_id(entry.id),
        "link": (entry.link != 0).then(|| show_id(entry.link)),
        "side": entry.side.name(),
        "amount": format_amount(entry.amount as i128, scale),
        "amount_minor": entry.amount.to_string(),
        "balance": format_amount(entry.balance, scale),
        "balance_minor": entry.balance.to_string(),
        "freed_minor": entry.held.freed.to_string(),
        "left_minor": entry.held.left.to_string(),
        "held_after_minor": entry.held.held.to_string(),
        "counterparty": (entry.counterparty != 0).then(|| show_id(entry.counterparty)),
        "counterparty_label": names.get(&entry.counterparty),
        "reference": entry.reference.to_string(),
        "code": entry.code,
        "principal": entry.principal,
        "booked_at": format_instant(entry.booked_at),
        "booked_at_ns": entry.booked_at.to_string(),
        "accounting_date": format_day(entry.accounting_date),
        "value_date": (entry.value_date != 0).then(|| format_day(entry.value_date)),
        "forced": entry.forced,
        "alarm": entry.alarm,
        "change": entry.change.as_ref().map(|(action, _)| action.name()),
        "reason": entry.change.as_ref().map(|(_, reason)| reason),
        "previous": entry.previous.to_string(),
    });
    put_bytes(&mut object, "voucher", &entry.voucher);
    object
}

/// Writes the entries as CSV.
pub fn write_csv(entries: &[StatementEntry], scale: u8, names: &HashMap<u128, String>, output: Output) -> CliResult {
    let failed = |e: String| CliError::cannot(format!("cannot write CSV: {e}"), "write it to another place");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.split(',')).map_err(|e| failed(e.to_string()))?;
    for entry in entries {
        let money = |minor: i128| format_amount(minor, scale);
        let held = |minor: i128| if entry.held == Default::default() { String::new() } else { money(minor) };
        let change = entry.change.as_ref();
        let voucher = std::str::from_utf8(&entry.voucher).ok();
        writer
            .write_record([
                format_instant(entry.booked_at),
                format_day(entry.value_date),
                entry.version.to_string(),
                entry.sequence.to_string(),
                show_id(entry.id),
                change.map_or_else(|| entry.side.name().to_string(), |_| String::new()),
                money(entry.amount as i128),
                money(entry.balance),
                counterparty(entry, names),
                entry.reference.to_string(),
                entry.code.to_string(),
                voucher.unwrap_or_default().to_string(),
                entry.kind.name().to_string(),
                format_day(entry.accounting_date),
                if entry.link == 0 { String::new() } else { show_id(entry.link) },
                held(entry.held.freed as i128),
                held(entry.held.left as i128),
                held(entry.held.held),
                entry.principal.to_string(),
                entry.forced.to_string(),
                entry.alarm.to_string(),
                change.map_or(String::new(), |(action, _)| action.name().to_string()),
                change.map_or(String::new(), |(_, reason)| reason.to_string()),
                entry.previous.to_string(),
                if voucher.is_some() { String::new() } else { hex(&entry.voucher) },
            ])
            .map_err(|e| failed(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(e.to_string()))?;
    output.line(String::from_utf8_lossy(&bytes).trim_end());
    Ok(EXIT_FINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vouchers_are_shown_as_words() {
        assert_eq!(voucher_words(br#"{"operation":"cash deposit","purpose":"pension"}"#), "cash deposit, pension");
        assert_eq!(voucher_words(b"order 7"), "order 7");
        assert_eq!(voucher_words(b""), "");
    }
}
