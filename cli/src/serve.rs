//! `florin serve`: recovers a ledger and serves it until SIGTERM or Ctrl-C.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use florin_core::limits::SHARDS_MAX;
use florin_engine::{Placement, SCRUB_BYTES_PER_SECOND_DEFAULT, SNAPSHOT_SEGMENTS_DEFAULT, StartReport};
use florin_wal::{IoMode, WriteMode};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::amount::format_count;
use crate::client::ADDRESS_DEFAULT;
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::local::{Running, ServeSettings};
use crate::output::Output;
use crate::verify::{point_json, point_line};

/// Bytes of a megabyte.
const MB: u64 = 1_000_000;
/// Fastest scrub that can be asked for: more than one thread can check.
const SCRUB_MB_MAX: u64 = 10_000;

/// Serve a ledger on loopback until SIGTERM or Ctrl-C
///
/// Prints what recovery found, then `listening on ADDR` on a line of its own once it takes connections.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The ledger's folder
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen; loopback addresses only, port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = ADDRESS_DEFAULT)]
    listen: SocketAddr,
    /// Actors that own the accounts, 1 to 64; results never depend on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=SHARDS_MAX as i64))]
    shards: u16,
    /// Where the shards run
    #[arg(long, value_enum, default_value_t = PlacementName::Auto)]
    placement: PlacementName,
    /// How the log is written; auto takes direct where the file system has it
    #[arg(long, value_enum, default_value_t = IoName::Auto)]
    io: IoName,
    /// Make a snapshot of every so many sealed segments of the log, in the background, so that the next start is short; 0 = only those
    /// that `florin snapshot` asks for
    #[arg(long, value_name = "SEGMENTS", default_value_t = SNAPSHOT_SEGMENTS_DEFAULT)]
    snapshot_every: u64,
    /// Read all files again, in the background, this fast, to find what has rotted while there is still a copy; 0 = never
    #[arg(long, value_name = "MB", default_value_t = SCRUB_BYTES_PER_SECOND_DEFAULT / MB, value_parser = clap::value_parser!(u64).range(..=SCRUB_MB_MAX))]
    scrub_mb_per_second: u64,
    /// Leave sealed segments of the log as they were written; without this they are packed in the background
    #[arg(long)]
    no_packing: bool,
    /// Read and check the whole log before serving, also what a snapshot and the runs of ids make unnecessary to read
    #[arg(long)]
    check_all: bool,
    /// Start although this machine's clock is an hour before or 30 days after the log's last entry
    #[arg(long)]
    accept_clock: bool,
}

/// A [`Placement`] on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum PlacementName {
    /// Spread over as many threads as there are cores beside the coordinator's.
    Auto,
    /// On one thread with the coordinator.
    Together,
    /// Each on a thread of its own.
    Apart,
}

/// An [`IoMode`] on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum IoName {
    /// O_DIRECT with O_DSYNC where the file system has it.
    Auto,
    /// O_DIRECT with O_DSYNC, or no start.
    Direct,
    /// Through the page cache, with fdatasync.
    Buffered,
}

impl From<IoName> for IoMode {
    fn from(name: IoName) -> IoMode {
        match name {
            IoName::Auto => IoMode::Auto,
            IoName::Direct => IoMode::Direct,
            IoName::Buffered => IoMode::Buffered,
        }
    }
}

/// Runs the command.
pub fn run(arguments: &ServeArguments, output: Output) -> CliResult {
    let settings = ServeSettings {
        data: arguments.data.clone(),
        listen: arguments.listen,
        shards: usize::from(arguments.shards),
        placement: match arguments.placement {
            PlacementName::Auto => Placement::Auto,
            PlacementName::Together => Placement::Together,
            PlacementName::Apart => Placement::Apart,
        },
        io: arguments.io.into(),
        snapshot_segments: arguments.snapshot_every,
        scrub_bytes_per_second: arguments.scrub_mb_per_second * MB,
        pack_segments: !arguments.no_packing,
        check_all: arguments.check_all,
        accept_clock: arguments.accept_clock,
    };
    actix_rt::System::new().block_on(async move {
        // Before the start, so that a signal during recovery is not lost to the default handler.
        let no_signals = |e: std::io::Error| CliError::cannot(format!("no signal handlers: {e}"), "start it again");
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let running = tokio::select! {
            running = Running::start(&settings) => running?,
            _ = terminate.recv() => return Ok(EXIT_FINE),
            _ = interrupt.recv() => return Ok(EXIT_FINE),
        };
        announce(&running, output);
        let signal = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "Ctrl-C",
        };
        output.text(format!("{signal}: finishing what is under way"));
        running.stop().await?;
        output.text("stopped; the log is sealed");
        output.object(&json!({ "event": "stopped", "signal": signal }));
        Ok(EXIT_FINE)
    })
}

fn announce(running: &Running, output: Output) {
    for refused in &running.report.snapshots_refused {
        output.text(format!("a snapshot was left aside: {refused}; its folder can be removed"));
    }
    for refused in &running.report.runs_refused {
        output.text(format!("a run of ids was left aside: {refused}; it is made again from the log"));
    }
    output.text(report_line(&running.report));
    if let Some(point) = &running.report.point {
        output.text(
            "READS ONLY: this is the ledger as it was, restored to a point; whatever changes it is refused (read_only)",
        );
        output.text(point_line(point));
    }
    output.object(&report_json(&running.report));
    output.text(format!("listening on {}", running.address()));
    output.object(&json!({ "event": "listening", "address": running.address().to_string() }));
}

fn report_line(report: &StartReport) -> String {
    let n = |count: u64| format_count(count);
    let log = &report.log;
    let mut line = format!(
        "recovered {} frames, {} transactions, {} accounts from {} bytes in {:.2} s; {} on {}",
        n(log.frames),
        n(log.last_sequence),
        n(report.accounts as u64),
        n(log.bytes),
        report.seconds,
        mode(report),
        log.io.file_system
    );
    if log.unread_frames > 0 {
        line.push_str(&format!("; {} frames before them known and not read", n(log.unread_frames)));
    }
    if let Some(why) = &log.io.fallback {
        line.push_str(&format!(" ({why})"));
    }
    if log.packs > 0 {
        line.push_str(&format!(
            "; {} of {} segments in {} packs",
            n(log.packed_segments),
            n(log.segments),
            n(log.packs)
        ));
    }
    match &report.snapshot {
        Some(base) => line.push_str(&format!("; from the snapshot after frame {}", n(base.frame))),
        None => line.push_str("; no snapshot"),
    }
    line.push_str(&format!("; {} ids, {} of them in memory", n(report.ids), n(report.ids_recent as u64)));
    match &log.torn_tail {
        Some(torn) => line.push_str(&format!(
            "; torn tail: cleared {} bytes at offset {} of {}, a write nobody was told of",
            n(torn.bytes),
            torn.offset,
            torn.file
        )),
        None => line.push_str("; no torn tail"),
    }
    if log.stray_blocks > 0 {
        line.push_str(&format!("; {} stray blocks: harmless, but look after the disk", n(log.stray_blocks)));
    }
    line
}

fn mode(report: &StartReport) -> &'static str {
    match report.log.io.mode {
        WriteMode::Direct => "direct writes",
        WriteMode::Buffered => "buffered writes",
    }
}

fn report_json(report: &StartReport) -> serde_json::Value {
    let log = &report.log;
    json!({
        "event": "recovered",
        "reads_only": report.point.is_some(),
        "point": report.point.as_ref().map(point_json),
        "frames": log.frames.to_string(),
        "frames_unread": log.unread_frames.to_string(),
        "last_sequence": log.last_sequence.to_string(),
        "accounts": report.accounts.to_string(),
        "ids": report.ids.to_string(),
        "ids_recent": report.ids_recent.to_string(),
        "runs_refused": report.runs_refused,
        "log_bytes": log.bytes.to_string(),
        "segments": log.segments.to_string(),
        "packs": log.packs.to_string(),
        "segments_packed": log.packed_segments.to_string(),
        "snapshot_frame": report.snapshot.as_ref().map(|base| base.frame.to_string()),
        "snapshots_refused": report.snapshots_refused,
        "seconds": report.seconds,
        "io": mode(report),
        "io_fallback": log.io.fallback,
        "file_system": log.io.file_system,
        "torn_tail": log.torn_tail.as_ref().map(|t| json!({
            "file": t.file, "offset": t.offset.to_string(), "bytes": t.bytes.to_string(),
        })),
        "stray_blocks": log.stray_blocks.to_string(),
    })
}
