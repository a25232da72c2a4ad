//! The scrub: whatever byte of a file that is not written any more changes while the engine runs, it is found and named; nothing is found in
//! a ledger that is whole, however busy it is; and nobody waits for it.

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::*;
use florin_core::outcome::Outcome;
use florin_core::request::TransferRow;
use florin_engine::{Command, Engine, EngineOptions, EngineStats, Reply, ScrubOptions, Started, start};

const SEGMENT_BYTES: u64 = 64 << 10;
const ACCOUNTS: u128 = 40;
const ROWS: u128 = 50;
const LOOKS_MAX: usize = 30_000;
/// As fast as it can, round after round.
const BUSY: ScrubOptions = ScrubOptions { bytes_per_second: 1 << 40, rest: Duration::from_millis(1) };

fn options(data: &Path, scrub: ScrubOptions) -> EngineOptions {
    EngineOptions { snapshot_segments: 2, scrub, pack_segments: false, ..EngineOptions::new(data) }
}

fn rows(request: u128) -> Vec<TransferRow> {
    let row = |at: u128| {
        let number = request * ROWS + at;
        transfer(1_000 + number, 10 + number % ACCOUNTS, 10 + (number * 7 + 1) % ACCOUNTS, 1 + at)
    };
    (0..ROWS).map(row).filter(|row| row.debit != row.credit).collect()
}

async fn stats(engine: &Engine) -> EngineStats {
    match engine.call(Command::Stats).await {
        Reply::Stats(stats) => *stats,
        other => panic!("expected figures, got {other:?}"),
    }
}

/// Looks at the figures until they are as wanted.
async fn await_stats(engine: &Engine, what: &str, wanted: impl Fn(&EngineStats) -> bool) -> EngineStats {
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        if wanted(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what} does not come: {:?}", stats(engine).await);
}

/// Waits for a round that began after this call: it reads all that there is now.
async fn await_round(engine: &Engine) -> EngineStats {
    let before = stats(engine).await.scrub_rounds;
    await_stats(engine, "a round of the scrub", |now| now.scrub_rounds >= before + 2).await
}

/// Posts until there are snapshots, runs that were merged, and indexes of all sealed segments.
async fn fill(engine: &Engine) {
    assert_eq!(register(engine, 1).await.outcome, Outcome::Posted);
    let accounts: Vec<(u128, Option<i128>)> = (10..10 + ACCOUNTS).map(|account| (account, None)).collect();
    assert!(open(engine, &accounts).await.all_posted());
    let mut request = 0;
    for _ in 0..LOOKS_MAX {
        let now = stats(engine).await;
        if now.snapshots_made >= 3 && now.id_runs_merged >= 1 {
            let kept = |now: &EngineStats| {
                now.segments_indexed == now.segments_sealed && now.id_run_segment == now.segments_sealed
            };
            await_stats(engine, "an index", kept).await;
            return;
        }
        // The threads have the lowest priority: no more is sealed than they can take.
        if now.segments_sealed < now.id_run_segment.min(now.snapshot_folded) + 2 {
            post(engine, &rows(request)).await;
            request += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    panic!("there are no files to read");
}

fn ledger(data: &Path) {
    new_ledger(data, SEGMENT_BYTES);
    run(async {
        let scrub = ScrubOptions { bytes_per_second: 0, ..BUSY };
        let Started { engine, .. } = start(options(data, scrub)).await.expect("a start");
        fill(&engine).await;
        assert_eq!(stats(&engine).await.scrub_bytes, 0, "there is no scrub");
        engine.stop().await.expect("a clean stop");
    });
}

/// Files with an ending below a folder, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path, ending)),
            false if path.to_string_lossy().ends_with(ending) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// Changes a bit, as a disk does it: whoever has the file open sees it too. A second time it is as before.
fn flip(file: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    byte[0] ^= 1 << (offset % 8);
    file.write_all_at(&byte, offset).expect("a byte to change");
}

fn length(file: &Path) -> u64 {
    file.metadata().expect("a file").len()
}

/// The offset that a line about damage names.
fn offset_of(line: &str) -> u64 {
    let digits = line.split(" at offset ").nth(1).and_then(|rest| rest.split(':').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{line:?} names no offset"))
}

fn name(file: &Path) -> String {
    file.file_name().expect("a name").to_string_lossy().into_owned()
}

/// What is changed in a file that is not made anew is named in each round once, at or before its place, and no more once it is mended.
async fn is_found_until_mended(engine: &Engine, file: &Path, at: u64) {
    let before = stats(engine).await;
    flip(file, at);
    let found = await_round(engine).await;
    let line = &found.scrub_last_damage;
    assert!(found.scrub_damage > before.scrub_damage, "byte {at} of {} changed, and nothing is found", file.display());
    assert!(line.contains(&name(file)) && offset_of(line) <= at, "byte {at} of {} changed: {line}", file.display());
    assert!(found.scrub_damage - before.scrub_damage <= found.scrub_rounds - before.scrub_rounds + 1, "once a round");
    flip(file, at);
    let mended = await_round(engine).await;
    assert_eq!(await_round(engine).await.scrub_damage, mended.scrub_damage, "{} is whole again", file.display());
}

#[test]
fn nothing_is_found_in_a_ledger_that_is_whole_and_busy() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    new_ledger(&data, SEGMENT_BYTES);
    run(async {
        let Started { engine, .. } = start(options(&data, BUSY)).await.expect("a start");
        fill(&engine).await;
        let read = await_round(&engine).await;
        assert_eq!((read.scrub_damage, &*read.scrub_last_damage), (0, ""));
        let once = read.segments_sealed * SEGMENT_BYTES + read.snapshot_bytes + read.id_run_bytes;
        assert!(read.scrub_bytes > once && read.scrub_round_ended_ns > 0, "{read:?}");
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn every_byte_of_a_sealed_segment_and_of_a_snapshot_is_read_and_what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger(&data);
    run(async {
        let Started { engine, .. } = start(options(&data, BUSY)).await.expect("a start");
        let sealed = await_round(&engine).await.segments_sealed as usize;
        let segments = files(&data.join("log"), ".seg");
        // First block, group headers, frames, padding, what is behind the last group: of the first, a middle and the last one.
        for (segment, from) in [(&segments[0], 0), (&segments[sealed / 2], 1_000), (&segments[sealed - 1], 2_000)] {
            for at in (from..SEGMENT_BYTES).step_by(9_001).chain([60, 4_096, SEGMENT_BYTES - 1]) {
                is_found_until_mended(&engine, segment, at).await;
            }
        }
        let away = segments[1].with_extension("away");
        std::fs::rename(&segments[1], &away).expect("a segment to take away");
        let found = await_round(&engine).await.scrub_last_damage;
        assert!(found.contains(&name(&segments[1])) && found.contains("is missing"), "{found}");
        std::fs::rename(&away, &segments[1]).expect("a segment to put back");
        let snapshots = files(&data.join("snapshots"), "");
        assert_eq!(snapshots.len(), 4, "two snapshots, each a manifest and a state");
        for snapshot in &snapshots {
            for at in (0..length(snapshot)).step_by(1_103) {
                is_found_until_mended(&engine, snapshot, at).await;
            }
        }
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn every_byte_of_a_pack_is_read_and_nothing_is_found_while_segments_are_packed() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger(&data);
    run(async {
        let packing = EngineOptions { pack_segments: true, ..options(&data, BUSY) };
        let Started { engine, .. } = start(packing).await.expect("a start");
        await_stats(&engine, "a pack", |now| now.packs >= 2).await;
        let found = await_round(&engine).await;
        assert_eq!((found.scrub_damage, &*found.scrub_last_damage), (0, ""));
        engine.stop().await.expect("a clean stop");
        let Started { engine, .. } = start(options(&data, BUSY)).await.expect("a start");
        for pack in &files(&data.join("log"), ".pack")[..2] {
            let last = length(pack) - 1;
            for at in (0..last).step_by(9_001).chain([60, 4_096, last]) {
                is_found_until_mended(&engine, pack, at).await;
            }
        }
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn runs_and_indexes_that_rot_are_found_and_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger(&data);
    run(async {
        let Started { engine, .. } = start(options(&data, BUSY)).await.expect("a start");
        let kept = |now: &EngineStats| now.segments_sealed > 0 && now.segments_indexed == now.segments_sealed;
        await_stats(&engine, "an index", kept).await;
        for (folder, ending) in [("ids", ".run"), ("log", ".idx")] {
            let all = files(&data.join(folder), ending);
            for file in [&all[0], &all[all.len() - 1]] {
                for at in [0, 40, 4_100, length(file) / 2, length(file) - 1] {
                    let before = await_round(&engine).await;
                    flip(file, at);
                    let made_anew = |now: &EngineStats| match ending {
                        ".run" => now.id_runs_remade > before.id_runs_remade && now.id_runs_damaged == 0,
                        _ => now.indexes_built > before.indexes_built && kept(now),
                    };
                    let found = await_stats(&engine, "what is made anew", made_anew).await;
                    let line = &found.scrub_last_damage;
                    assert_eq!(found.scrub_damage, before.scrub_damage + 1, "{} at {at}: {line}", file.display());
                    assert!(line.contains(&name(file)) && offset_of(line) <= at, "{} at {at}: {line}", file.display());
                    assert_eq!(await_round(&engine).await.scrub_damage, found.scrub_damage, "it is whole again");
                }
            }
        }
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn a_scrub_that_rests_for_hours_ends_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    ledger(&data);
    run(async {
        for scrub in [
            ScrubOptions { bytes_per_second: 1, rest: Duration::ZERO },
            ScrubOptions { bytes_per_second: 1 << 40, rest: Duration::from_secs(1 << 20) },
        ] {
            let Started { engine, .. } = start(options(&data, scrub)).await.expect("a start");
            await_stats(&engine, "a byte read", |now| now.scrub_bytes > 0).await;
            engine.stop().await.expect("a clean stop");
        }
    });
}
