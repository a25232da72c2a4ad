//! `florin snapshot`: asks for a snapshot of all that is durable now, and checks what was published. The server makes it.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use florin_engine::{SnapshotError, SnapshotFolder, SnapshotReport};
use florin_wal::{KeyRing, LedgerManifest};
use serde_json::json;

use crate::amount::format_count;
use crate::client::{Target, client_error, with_session};
use crate::dates::{format_instant, instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_FINE, chain};
use crate::output::Output;

/// How long a snapshot is waited for. The largest ledgers take minutes; who does not want to wait interrupts.
const WAIT: Duration = Duration::from_secs(3_600);

/// Make a snapshot of everything that is durable now
///
/// Asks a running server, or with --data works on a folder that nobody serves. The open segment of the log is closed, which takes the rest of it
/// on disk, then the snapshot is made at once and its files are checked. If nothing became durable since the newest one, that one is named.
#[derive(Debug, Args)]
pub struct SnapshotArguments {
    #[command(flatten)]
    target: Target,
}

/// What became of the check of the published files.
enum Checked {
    Good,
    /// They cannot be reached from here, and why.
    Not(String),
}

/// Runs the command.
pub fn run(arguments: &SnapshotArguments, output: Output) -> CliResult {
    with_session(&arguments.target, async |client| {
        let Some(report) = client.snapshot(WAIT).await.map_err(client_error)? else {
            return Err(CliError::cannot("the ledger is empty", "make a snapshot once there are accounts"));
        };
        let checked = check(&report)?;
        show(&report, &checked, output);
        Ok(EXIT_FINE)
    })
}

/// Checks the files of a snapshot, if they and the ledger's keys can be read here: seal, chunks, and that they are what was said.
fn check(report: &SnapshotReport) -> CliResult<Checked> {
    let Some(data) = report.folder.parent().and_then(Path::parent).filter(|_| report.folder.is_dir()) else {
        return Ok(Checked::Not("its folder is not on this machine".into()));
    };
    let manifest = match LedgerManifest::load(data) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Checked::Not(chain(&error))),
    };
    let keys = match KeyRing::load(data) {
        Ok(keys) => keys,
        Err(error) => return Ok(Checked::Not(chain(&error))),
    };
    let wrong = |what: String| {
        CliError::disagree(
            format!("{}: {what}", report.folder.display()),
            "look after the disk; the folder can be removed once no server runs, the log has all of it",
        )
    };
    match SnapshotFolder::new(data, manifest.ledger).check(report.frame, &keys) {
        Ok(found) => {
            let same = (found.sequence, found.booked_at_ns, found.accounts, found.records, found.bytes)
                == (report.sequence, report.booked_at, report.accounts, report.records, report.bytes);
            if same { Ok(Checked::Good) } else { Err(wrong("its manifest is not what the server said".into())) }
        }
        Err(SnapshotError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(Checked::Not("newer ones have replaced it".into()))
        }
        Err(error) => Err(wrong(chain(&error))),
    }
}

fn show(report: &SnapshotReport, checked: &Checked, output: Output) {
    let n = |count: u64| format_count(count);
    let SnapshotReport { frame, sequence, booked_at, accounts, records, bytes, us, is_new, folder } = report;
    let seconds = Duration::from_micros(*us).as_secs_f64();
    output.text(match is_new {
        true => format!("a snapshot after frame {}, row {} ({seconds:.2} s)", n(*frame), n(*sequence)),
        false => format!("nothing is new since the snapshot after frame {}, row {}", n(*frame), n(*sequence)),
    });
    output.text(format!("  as of    {}", format_instant(*booked_at)));
    output.text(format!("  holds    {} accounts, {} records, {} bytes", n(*accounts), n(*records), n(*bytes)));
    output.text(format!("  folder   {}", shown(folder)));
    output.text(match checked {
        Checked::Good => "  checked  its seal and every chunk are good".to_string(),
        Checked::Not(why) => format!("  checked  not here: {why}"),
    });
    output.object(&json!({
        "new": is_new,
        "frame": frame.to_string(),
        "sequence": sequence.to_string(),
        "booked_at": instant_json(*booked_at),
        "booked_at_ns": instant_ns_json(*booked_at),
        "accounts": accounts.to_string(),
        "records": records.to_string(),
        "bytes": bytes.to_string(),
        "seconds": seconds,
        "folder": folder.display().to_string(),
        "checked": matches!(checked, Checked::Good),
    }));
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "not a path in UTF-8".into() } else { folder.display().to_string() }
}
