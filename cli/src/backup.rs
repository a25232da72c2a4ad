//! `florin backup` and `florin restore`: a ledger in another folder. The copying itself is in florin-engine.

use std::path::PathBuf;

use clap::Args;
use florin_engine::{BackupError, BackupReport, PointReport, Upto, back_up, restore, restore_upto};
use florin_wal::{CopyError, LockError};
use serde_json::json;

use crate::amount::format_count;
use crate::error::{CliError, CliResult, EXIT_FINE, chain};
use crate::output::Output;
use crate::statement::span::{Bound, parse_bound};
use crate::verify::{derived_error, hex, lines, point_json, verify};

/// Copy a ledger to another folder, while its server is running or not
///
/// Copies the log up to what is proven to be durable, and the newest snapshot, and checks the whole copy. The next backup into the
/// same folder copies only segments that are new. Keys are not part of it: keep DIR/keys apart, without them nothing is restored.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The ledger's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The backup: a new or empty folder, or an earlier backup of the same ledger
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Make a ledger in a new folder from a backup
///
/// Copies the log and the snapshot, checks them, puts the keys in place, and verifies the result as `florin verify` does. It can be
/// served with any number of shards. Stop the old ledger for good before you serve it: two that go on are two ledgers.
///
/// With --upto-frame, --upto-sequence or --upto-time it is the ledger as of then, for reads only: nothing can be posted to it.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The folder with the ledger's keys
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The ledger's new folder; made if it does not exist, else empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// As of this frame
    #[arg(long, value_name = "N", group = "upto")]
    upto_frame: Option<u64>,
    /// As of this row: the last frame that ends at or before it
    #[arg(long, value_name = "N", group = "upto")]
    upto_sequence: Option<u64>,
    /// As of this date or time in UTC, all of what is written included: the last frame whose rows were all booked by then
    #[arg(long, value_name = "TIME", group = "upto")]
    upto_time: Option<String>,
}

impl RestoreArguments {
    fn upto(&self) -> CliResult<Option<Upto>> {
        Ok(match (self.upto_frame, self.upto_sequence, &self.upto_time) {
            (Some(frame), _, _) => Some(Upto::Frame(frame)),
            (_, Some(sequence), _) => Some(Upto::Sequence(sequence)),
            (_, _, Some(time)) => Some(Upto::Time(parse_bound("upto-time", time, Bound::Upper)?)),
            (None, None, None) => None,
        })
    }
}

/// Runs `florin backup`.
pub fn run(arguments: &BackupArguments, output: Output) -> CliResult {
    let begun = std::time::Instant::now();
    let report = back_up(&arguments.data, &arguments.to).map_err(backup_error)?;
    let seconds = begun.elapsed().as_secs_f64();
    tell_copied(&report, output);
    output.text(format!(
        "{}: a good backup up to frame {}, row {} ({seconds:.2} s)",
        arguments.to.display(),
        format_count(report.log.log.last_frame),
        format_count(report.log.log.last_sequence),
    ));
    output.text(format!(
        "  next: keep {} in another place; a backup is restored with it",
        arguments.data.join("keys").display()
    ));
    output.object(&object(&report, seconds));
    Ok(EXIT_FINE)
}

/// Runs `florin restore`.
pub fn run_restore(arguments: &RestoreArguments, output: Output) -> CliResult {
    let begun = std::time::Instant::now();
    let RestoreArguments { from, keys, to, .. } = arguments;
    let (backup, point) = match arguments.upto()? {
        Some(upto) => {
            let PointReport { copied, point, is_end } = restore_upto(from, keys, to, upto).map_err(backup_error)?;
            (copied, Some((point, is_end)))
        }
        None => (restore(from, keys, to).map_err(backup_error)?, None),
    };
    tell_copied(&backup, output);
    let verified = verify(to)?;
    lines(&verified).into_iter().for_each(|line| output.text(line));
    if let Some(error) = derived_error(&verified) {
        return Err(error);
    }
    let seconds = begun.elapsed().as_secs_f64();
    output.text(format!("restored to {} ({seconds:.2} s)", to.display()));
    if let Some((_, true)) = point {
        output.text("  note: the backup ends there; what the ledger booked after it was made is not in it");
    }
    let reads_only = if point.is_some() { "   (reads only)" } else { "" };
    output.text(format!("  next: florin serve --data {}{reads_only}", to.display()));
    let mut object = object(&backup, seconds);
    object["state_hash"] = json!(hex(&verified.state_hash));
    if let Some((point, is_end)) = &point {
        object["point"] = point_json(point);
        object["is_end"] = json!(is_end);
    }
    output.object(&object);
    Ok(EXIT_FINE)
}

/// Says what was copied, and what was not.
fn tell_copied(report: &BackupReport, output: Output) {
    for refused in &report.snapshots_refused {
        output.text(format!("a snapshot was not copied: {refused}"));
    }
    let log = &report.log;
    let there = log.log.segments - log.copied;
    let snapshot = match report.snapshot {
        Some(frame) => format!("the snapshot after frame {}", format_count(frame)),
        None => "no snapshot".into(),
    };
    output.text(format!(
        "copied {} segments, {} bytes; {} were there; {snapshot}",
        format_count(log.copied),
        format_count(log.bytes),
        format_count(there)
    ));
}

fn object(report: &BackupReport, seconds: f64) -> serde_json::Value {
    let log = &report.log;
    json!({
        "segments": log.log.segments,
        "segments_copied": log.copied,
        "bytes_copied": log.bytes.to_string(),
        "last_frame": log.log.last_frame.to_string(),
        "last_sequence": log.log.last_sequence.to_string(),
        "head_mac": hex(&log.log.head_mac),
        "snapshots_refused": report.snapshots_refused,
        "snapshot_frame": report.snapshot.map(|frame| frame.to_string()),
        "seconds": seconds,
    })
}

fn backup_error(error: BackupError) -> CliError {
    let what = chain(&error);
    match &error {
        BackupError::Log(CopyError::Copy(_)) => CliError::disagree(
            what,
            "the copy in that folder is damaged, the ledger is as it was: make a backup into a new folder",
        ),
        BackupError::Log(CopyError::Source(_)) => CliError::disagree(
            what,
            "nothing was changed in the folder that it is in; see docs/operations.md, 'Damage'",
        ),
        BackupError::Log(CopyError::NotEmpty { .. } | CopyError::OtherLedger { .. } | CopyError::IsLedger { .. })
        | BackupError::NotEmpty(_) => CliError::cannot(what, "choose a new or empty folder"),
        BackupError::Log(CopyError::Ahead { .. } | CopyError::Forked) => CliError::disagree(
            what,
            "this ledger has lost something, or went on from an older backup: keep both folders and find out which is the right one; \
             nothing was changed in either",
        ),
        BackupError::Log(CopyError::Nothing) => CliError::cannot(what, "make a backup once there are accounts"),
        BackupError::Key(_) => {
            CliError::cannot(what, "name the folder with the ledger's keys, as it was in its data folder")
        }
        BackupError::Lock(LockError::Point { .. }) | BackupError::Log(CopyError::Point { .. }) => CliError::cannot(
            what,
            "name a backup of the whole ledger, or the ledger itself; copy the folder as it is for another copy of it",
        ),
        BackupError::BeforeAll => {
            CliError::cannot(what, "choose a later one; `florin log` on a restored ledger lists all frames")
        }
        BackupError::BehindAll { .. } => {
            CliError::cannot(what, "choose an earlier one, take a newer backup, or restore all of it without --upto-…")
        }
        BackupError::Frame { .. } => CliError::disagree(
            what,
            "use the florin that wrote this log; nothing was changed in the folder that it is in",
        ),
        BackupError::Lock(LockError::Backup { .. }) => {
            CliError::cannot(what, "copy the folder as it is for another backup of it, or back up the ledger itself")
        }
        BackupError::Manifest(_) => CliError::cannot(what, "check the path of the folder to copy"),
        BackupError::Log(CopyError::OtherPacks { .. }) => {
            CliError::cannot(what, "make the backup in a new folder, and keep the earlier one until that is done")
        }
        BackupError::Log(CopyError::Io { .. })
        | BackupError::Lock(_)
        | BackupError::Snapshot(_)
        | BackupError::Io { .. } => CliError::cannot(
            what,
            "check that the folders can be read and written and that there is room, then run it again",
        ),
    }
}
