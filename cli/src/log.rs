//! `florin log`: shows the frames of a log and the rows of one frame. Reads only, and works beside a running server.

use std::path::{Path, PathBuf};

use clap::Args;
use florin_core::entry::{ChangeRecord, Status, TransactionRecord};
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::request::{Action, ItemKind};
use florin_engine::view;
use florin_wal::{DataLock, Frame, LockError, RecoverError};
use serde_json::{Value, json};

use crate::account::change_json;
use crate::amount::format_count;
use crate::dates::{format_day, format_instant, instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_DISAGREE, EXIT_FINE};
use crate::ids::show_id;
use crate::output::{Align, Output, Table};
use crate::transaction;
use crate::verify::hex;

/// Inspect the frames of a ledger's log
///
/// Amounts are in minor units, as the log has them.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// The ledger's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Show this frame with all of its rows
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "limit"])]
    frame: Option<u64>,
    /// Begin at this frame
    #[arg(long, value_name = "N", default_value_t = 1)]
    from: u64,
    /// Show at most this many frames; 0 = all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
}

/// Why the walk over the log ends before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// Everything asked for was shown.
    #[error("done")]
    Done,
    /// A row cannot be read.
    #[error("{0}")]
    Bad(String),
}

/// Runs the command.
pub fn run(arguments: &LogArguments, output: Output) -> CliResult {
    let (first, last) = match (arguments.frame, arguments.limit) {
        (Some(frame), _) => (frame, frame),
        (None, 0) => (arguments.from, u64::MAX),
        (None, limit) => (arguments.from, arguments.from.saturating_add(limit - 1)),
    };
    let mut table = Table::new(&[
        ("frame", Align::Right),
        ("sequences", Align::Left),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("time (UTC)", Align::Left),
        ("file", Align::Left),
        ("offset", Align::Right),
    ]);
    let mut shown = 0u64;
    let scanned = florin_wal::scan(&arguments.data, &mut |frame: Frame<'_>| {
        if frame.head.number < first {
            return Ok(());
        }
        if frame.head.number > last {
            return Err(Stop::Done);
        }
        shown += 1;
        match arguments.frame {
            Some(_) => show_frame(&frame, output)?,
            None => list_frame(&frame, &mut table, output),
        }
        Ok(())
    });
    if arguments.frame.is_none() {
        table.write(&output);
    }
    match scanned {
        Ok(_) if shown == 0 => {
            Err(CliError::cannot(format!("there is no frame {first}"), "list the frames with `florin log --data DIR`"))
        }
        Ok(_) => Ok(EXIT_FINE),
        Err(RecoverError::Apply { error: Stop::Done, .. }) => {
            if arguments.frame.is_none() {
                let next = last.saturating_add(1).to_string();
                output.text(format!("more frames: --from {next}"));
                output.object(&json!({ "next_from": next, "more": true }));
            }
            Ok(EXIT_FINE)
        }
        Err(error) if is_served(&arguments.data) => Err(CliError::cannot(
            error,
            "a server is writing to this log, so its end moves: stop the server and look again",
        )),
        Err(error @ (RecoverError::Manifest(_) | RecoverError::Key(_) | RecoverError::Io { .. })) => {
            Err(CliError::cannot(error, "check the folder given with --data and its permissions"))
        }
        Err(error) => Err(CliError {
            exit: EXIT_DISAGREE,
            ..CliError::cannot(error, "run `florin verify --data DIR`; see docs/operations.md, 'Damage'")
        }),
    }
}

/// Whether a server has the folder; asked only when something was wrong, as the asking takes the lock for a moment.
fn is_served(data: &Path) -> bool {
    matches!(DataLock::acquire(data), Err(LockError::Held { .. }))
}

fn list_frame(frame: &Frame<'_>, table: &mut Table, output: Output) {
    let head = &frame.head;
    if output.json {
        output.object(&frame_json(frame));
        return;
    }
    table.row(vec![
        head.number.to_string(),
        format!("{}-{}", head.first_sequence, head.next_sequence() - 1),
        format_count(head.count),
        format_count(head.payload_bytes + head.vouchers_bytes),
        format_instant(head.time_ns),
        frame.place.file(),
        frame.place.offset.to_string(),
    ]);
}

fn frame_json(frame: &Frame<'_>) -> Value {
    let head = &frame.head;
    json!({
        "frame": head.number.to_string(),
        "first_sequence": head.first_sequence.to_string(),
        "count": head.count,
        "time_ns": head.time_ns.to_string(),
        "payload_bytes": head.payload_bytes,
        "vouchers_bytes": head.vouchers_bytes,
        "key": head.key_id,
        "mac": hex(&head.mac),
        "file": frame.place.file(),
        "offset": frame.place.offset.to_string(),
    })
}

fn show_frame(frame: &Frame<'_>, output: Output) -> Result<(), Stop> {
    let head = &frame.head;
    output.object(&frame_json(frame));
    output.text(format!(
        "frame {} at {}, {} offset {}, {} rows, {} + {} bytes",
        head.number,
        format_instant(head.time_ns),
        frame.place.file(),
        frame.place.offset,
        head.count,
        head.payload_bytes,
        head.vouchers_bytes
    ));
    output.text(format!("mac {}", hex(&head.mac)));
    let view = view(frame).map_err(|e| Stop::Bad(e.to_string()))?;
    for index in 0..head.count {
        let record = view.record(index).map_err(|e| Stop::Bad(e.to_string()))?;
        output.object(&record_json(&record));
        record_lines(&record).into_iter().for_each(|line| output.text(line));
    }
    Ok(())
}

fn record_lines(record: &Record) -> Vec<String> {
    match record {
        Record::Transaction(transaction) => transaction_lines(transaction),
        Record::Open(open) => vec![format!(
            "{}  open {} '{}', asset {}",
            open.sequence,
            show_id(open.row.account.get()),
            open.row.label(),
            open.row.asset.get()
        )],
        Record::Control(control) => vec![format!(
            "{}  control {} {}: {}",
            control.result.sequence,
            show_id(control.id),
            control.result.outcome.name(),
            String::from_utf8_lossy(&control.record)
        )],
        Record::Change(change) => change_lines(change),
    }
}

fn transaction_lines(t: &TransactionRecord) -> Vec<String> {
    let mut head = format!("{}  {} {} {}", t.result.sequence, t.kind.name(), show_id(t.id), t.result.outcome.name());
    if t.link != 0 {
        head.push_str(&format!(", of {} (sequence {})", show_id(t.link), t.link_sequence));
    }
    if t.timeout != 0 {
        head.push_str(&format!(", timeout {} s", t.timeout));
    }
    for (is, word) in [(t.forced, "forced"), (t.is_final, "final"), (t.takes_all, "all")] {
        if is {
            head.push_str(&format!(", {word}"));
        }
    }
    head.push_str(&format!(", code {}", t.code));
    if t.value_date != 0 {
        head.push_str(&format!(", value date {}", format_day(t.value_date)));
    }
    let holds = t.kind.item().is_some_and(|kind| kind.names_hold() || kind == ItemKind::Hold);
    let mut lines = vec![head];
    for posting in &t.postings {
        let mut line =
            format!("    {} {:<6} {} {}", posting.index, posting.side.name(), show_id(posting.account), posting.amount);
        if t.result.outcome == Outcome::Posted {
            line.push_str(&format!(" -> version {}, balance {}", posting.result.version, posting.result.balance));
            if holds {
                let held = &posting.held;
                line.push_str(&format!(", freed {}, left {}, held {}", held.freed, held.left, held.held));
            }
            if posting.result.alarm {
                line.push_str(", alarm");
            }
        }
        lines.push(line);
    }
    if !t.voucher.is_empty() {
        lines.push(format!("    voucher {}", String::from_utf8_lossy(&t.voucher)));
    }
    lines
}

fn change_lines(change: &ChangeRecord) -> Vec<String> {
    let row = &change.row;
    let mut head = format!(
        "{}  change {} {}, account {}: {}",
        change.result.sequence,
        show_id(row.id.get()),
        change.result.outcome.name(),
        show_id(row.account.get()),
        row.action().name()
    );
    if row.action() == Action::Status {
        head.push_str(&format!(" {}", Status::from_byte(row.status).map_or("unknown", Status::name)));
    }
    for (name, limit) in [("floor", row.new_floor()), ("ceiling", row.new_ceiling()), ("alarm", row.new_alarm())] {
        if let Some(limit) = limit {
            head.push_str(&format!(" {name} {}", limit.map_or("none".to_string(), |minor| minor.to_string())));
        }
    }
    if row.forced() {
        head.push_str(", forced");
    }
    if change.result.outcome == Outcome::Posted {
        head.push_str(&format!(" -> version {}", change.entry.version));
    }
    let mut lines = vec![head];
    if !change.data.is_empty() {
        lines.push(format!("    value {}", String::from_utf8_lossy(&change.data)));
    }
    if !change.reason.is_empty() {
        lines.push(format!("    reason {}", change.reason));
    }
    lines
}

fn record_json(record: &Record) -> Value {
    match record {
        Record::Transaction(t) => transaction::json(t, None),
        Record::Change(change) => change_json(change),
        Record::Open(open) => json!({
            "sequence": open.sequence.to_string(),
            "kind": "open",
            "institution": open.institution,
            "account": show_id(open.row.account.get()),
            "label": open.row.label(),
            "asset": open.row.asset.get(),
            "floor_minor": open.row.floor().map(|v| v.to_string()),
            "ceiling_minor": open.row.ceiling().map(|v| v.to_string()),
            "booked_at": instant_json(open.booked_at),
            "booked_at_ns": instant_ns_json(open.booked_at),
        }),
        Record::Control(control) => json!({
            "sequence": control.result.sequence.to_string(),
            "kind": "control",
            "institution": control.institution,
            "id": show_id(control.id),
            "outcome": control.result.outcome.name(),
            "booked_at": instant_json(control.result.booked_at),
            "booked_at_ns": instant_ns_json(control.result.booked_at),
            "record": String::from_utf8_lossy(&control.record),
        }),
    }
}
