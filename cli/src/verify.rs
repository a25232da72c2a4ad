//! `florin verify`: folds the whole log and says whether it is good. The fold itself is in florin-engine.

use std::path::{Path, PathBuf};

use clap::Args;
use florin_engine::{VerifyError, VerifyReport};
use florin_wal::Point;
use serde_json::{Value, json};

use crate::amount::{format_amount, format_count, format_grouped};
use crate::dates::{format_instant, instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::output::Output;
use crate::progress;

/// Fold a ledger's log from the start and check everything
///
/// Checksums, chain, numbering, versions without gaps, every balance before = the balance after the previous entry,
/// debits = credits per asset, that the fold is the state a server would recover, each snapshot against it, and each run of old ids against the rows.
/// Changes nothing. Exit code 1 names file, frame and offset; 2 if a server is running on it.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The ledger's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &VerifyArguments, output: Output) -> CliResult {
    let begun = std::time::Instant::now();
    let report = verify(&arguments.data)?;
    let seconds = begun.elapsed().as_secs_f64();
    for line in lines(&report) {
        output.text(line);
    }
    let wrong = derived_error(&report);
    match &wrong {
        None => output.text(format!("{}: everything adds up ({seconds:.2} s)", arguments.data.display())),
        Some(_) => output.text(format!("{}: the log adds up ({seconds:.2} s)", arguments.data.display())),
    }
    output.object(&json!({
        "fine": wrong.is_none(),
        "frames": report.log.frames.to_string(),
        "log_bytes": report.log.bytes.to_string(),
        "segments": report.log.segments,
        "point": report.point.as_ref().map(point_json),
        "packs": report.log.packs,
        "segments_packed": report.log.packed_segments,
        "last_frame": report.log.last_frame.to_string(),
        "last_sequence": report.log.last_sequence.to_string(),
        "head_mac": hex(&report.log.head_mac),
        "torn_tail": report.log.torn_tail.as_ref().map(|t| json!({
            "file": t.file, "offset": t.offset.to_string(), "bytes": t.bytes.to_string(),
        })),
        "stray_blocks": report.log.stray_blocks.to_string(),
        "posted": report.posted.to_string(),
        "refused": report.refused.to_string(),
        "entries": report.entries.to_string(),
        "accounts": report.accounts.to_string(),
        "turnover": report.turnover.iter().map(|(asset, sum)| json!({
            "asset": asset.code, "scale": asset.scale,
            "debits_minor": sum.to_string(), "credits_minor": sum.to_string(),
            "debits": format_amount(i128::try_from(*sum).unwrap_or(i128::MAX), asset.scale),
        })).collect::<Vec<_>>(),
        "state_hash": hex(&report.state_hash),
        "snapshots": report.snapshots.iter().map(|s| json!({ "frame": s.frame.to_string(), "wrong": s.wrong }))
            .collect::<Vec<_>>(),
        "runs": report.runs.iter().map(|run| json!({
            "file": run.file, "first_sequence": run.first.to_string(), "last_sequence": run.last.to_string(),
            "entries": run.entries.to_string(), "wrong": run.wrong,
        })).collect::<Vec<_>>(),
        "seconds": seconds,
    }));
    wrong.map_or(Ok(EXIT_FINE), Err)
}

/// What is to be done about a snapshot or a run of ids that is not what the log says, if there is one.
pub fn derived_error(report: &VerifyReport) -> Option<CliError> {
    let snapshot = report.snapshots.iter().find_map(|snapshot| {
        let what = format!("the snapshot after frame {} cannot be used: {}", snapshot.frame, snapshot.wrong.as_ref()?);
        let next = "remove its folder in snapshots/: the log has all that is in it, and the next snapshot is made from the log";
        Some((what, snapshot.foreign, next))
    });
    let run = report.runs.iter().find_map(|run| {
        let what = format!("a run of ids cannot be used: {}", run.wrong.as_ref()?);
        let next =
            "remove the file: the log has all that is in it, and the next server makes it again, and those behind it";
        Some((what, run.foreign, next))
    });
    let both = snapshot.into_iter().chain(run);
    // What is foreign is told first: then nothing is to be removed.
    let (what, foreign, next) = both.max_by_key(|(_, foreign, _)| *foreign)?;
    Some(CliError::disagree(
        what,
        match foreign {
            true => {
                "the log and what is derived from it do not belong together: one of them was put back or swapped. Keep both as they are, and \
             find out whether the log has lost something; see docs/operations.md, 'Damage'"
            }
            false => next,
        },
    ))
}

/// Verifies with a progress bar; an error has the exit code that `verify` promises.
pub fn verify(data: &Path) -> CliResult<VerifyReport> {
    // Segments are filled with zeros ahead, so the bar may end before its end; frames are what is counted.
    let bar = progress::bytes(log_bytes(data), "verifying");
    let result = florin_engine::verify(data, &mut |bytes| bar.inc(bytes));
    bar.finish_and_clear();
    result.map_err(|error| match error {
        VerifyError::Running(_) => {
            CliError::cannot(error, "stop that server first (SIGTERM), or verify a copy of the folder")
        }
        VerifyError::CouldNotRun(_) => {
            CliError::cannot(error, "check the folder given with --data and its permissions")
        }
        VerifyError::Damage(_) => CliError::disagree(
            error,
            "keep the folder as it is, and restore it from a backup or another copy; see docs/operations.md, 'Damage'",
        ),
    })
}

/// What was found, as lines for people.
pub fn lines(report: &VerifyReport) -> Vec<String> {
    let n = |count: u64| format_count(count);
    let mut lines: Vec<String> = report.point.iter().map(point_line).collect();
    lines.extend([
        format!(
            "log       {} frames, {} bytes in {} segments{}: checksums, chain and numbering are whole",
            n(report.log.frames),
            n(report.log.bytes),
            n(report.log.segments),
            match report.log.packs {
                0 => String::new(),
                packs => format!(", {} of them in {} packs", n(report.log.packed_segments), n(packs)),
            }
        ),
        format!(
            "accounts  {}, their versions without gaps, each balance following from the one before",
            n(report.accounts)
        ),
        format!(
            "books     {} transactions posted, {} refused, {} entries",
            n(report.posted),
            n(report.refused),
            n(report.entries)
        ),
    ]);
    for (asset, sum) in &report.turnover {
        let sum = format_grouped(i128::try_from(*sum).unwrap_or(i128::MAX), asset.scale);
        lines.push(format!("          debits {sum} {} = credits {sum} {}", asset.code, asset.code));
    }
    if let Some(torn) = &report.log.torn_tail {
        lines.push(format!(
            "torn      {} at offset {}, {} bytes: a write nobody was told of; the next start clears it",
            torn.file, torn.offset, torn.bytes
        ));
    }
    if report.log.stray_blocks > 0 {
        lines.push(format!(
            "stray     {} blocks behind the ends of closed segments are not zero: harmless, but look after the disk",
            n(report.log.stray_blocks)
        ));
    }
    for snapshot in report.snapshots.iter().filter(|snapshot| snapshot.wrong.is_none()) {
        lines.push(format!("snapshot  after frame {}: its state is the one that the log gives", n(snapshot.frame)));
    }
    for run in report.runs.iter().filter(|run| run.wrong.is_none()) {
        let (first, last, entries) = (n(run.first), n(run.last), n(run.entries));
        lines.push(format!(
            "ids       rows {first} to {last}: the {entries} entries of their run are those that they give"
        ));
    }
    lines.push(format!("state     {}", hex(&report.state_hash)));
    lines
}

fn log_bytes(data: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(data.join("log")) else { return 0 };
    files.flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

/// As of when a ledger is that was restored to a point.
pub fn point_line(point: &Point) -> String {
    let (frame, sequence) = (format_count(point.frame), format_count(point.sequence));
    format!("as of     frame {frame}, row {sequence}, booked at {}; for reads only", format_instant(point.booked_at_ns))
}

/// The point of a ledger.
pub fn point_json(point: &Point) -> Value {
    json!({
        "frame": point.frame.to_string(),
        "sequence": point.sequence.to_string(),
        "booked_at": instant_json(point.booked_at_ns),
        "booked_at_ns": instant_ns_json(point.booked_at_ns),
    })
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
