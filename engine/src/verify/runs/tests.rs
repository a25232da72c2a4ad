//! Runs that say something else than the log, each of them whole in itself.

use std::time::Duration;

use florin_core::dedup::ranges::Ranges;
use florin_core::dedup::run::RunEntry;
use florin_wal::{LedgerManifest, LedgerOptions, create_ledger};

use super::super::verify;
use super::*;
use crate::files::Files;
use crate::handle::{Command, Reply};
use crate::ids::RunPlace;
use crate::start::tests::register;
use crate::start::{EngineOptions, Started, start};

/// Assets that are registered: a frame and a block of the log each, several segments in all.
const ASSETS: u32 = 64;
const SEGMENT_BYTES: u64 = 64 << 10;
const LOOKS_MAX: usize = 20_000;

/// A ledger whose sealed segments are in runs.
struct Case {
    _folder: tempfile::TempDir,
    data: PathBuf,
    ledger: LedgerId,
}

/// What a run is made of.
struct Parts {
    place: RunPlace,
    summary: RunSummary,
    entries: Vec<RunEntry>,
}

impl Case {
    fn new() -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("ledger");
        create_ledger(&data, &LedgerOptions { segment_bytes: SEGMENT_BYTES, created_unix_ns: 0 }).expect("a ledger");
        actix_rt::System::new().block_on(async {
            let Started { engine, .. } = start(EngineOptions::new(&data)).await.expect("a start");
            for number in 1..=ASSETS {
                let Reply::Posted(reply) = engine.call(register(number)).await else { panic!("expected a result") };
                assert!(reply.all_posted(), "{:?}", reply.runs);
            }
            let mut looks = 0;
            while {
                let Reply::Stats(now) = engine.call(Command::Stats).await else { panic!("expected figures") };
                now.segments_sealed == 0 || now.id_run_segment < now.segments_sealed
            } {
                assert!(looks < LOOKS_MAX, "no run is made");
                looks += 1;
                tokio::time::sleep(Duration::from_millis(1)).await; // The thread has the lowest priority.
            }
            engine.stop().await.expect("a clean stop");
        });
        let ledger = LedgerManifest::load(&data).expect("a manifest").ledger;
        Case { _folder: folder, data, ledger }
    }

    fn runs(&self) -> Vec<CheckedRun> {
        verify(&self.data, &mut |_| {}).expect("a good log").runs
    }

    /// The first run and its file.
    fn first(&self) -> (PathBuf, RunFile) {
        let path = published(&self.data).expect("runs").remove(0).path;
        let run = RunFile::open(&RealFiles, &path, self.ledger).expect("a good run");
        (path, run)
    }

    /// What `verify` says of the first run once it was made of other parts, whose sums are right.
    fn forged(&self, forge: impl FnOnce(&mut Parts)) -> CheckedRun {
        let (path, run) = self.first();
        let good = std::fs::read(&path).expect("a file");
        let entries = run.all().map(|entry| entry.expect("a good run")).collect();
        let mut parts = Parts { place: run.place, summary: run.run.summary.clone(), entries };
        forge(&mut parts);
        parts.entries.sort_unstable();
        let entries = (parts.entries.len() as u64, parts.entries.into_iter().map(Ok));
        RunFile::write(
            (&path, RealFiles.create(&path).expect("a file")),
            self.ledger,
            &parts.place,
            &parts.summary,
            entries,
            &mut |_| Ok(()),
        )
        .expect("a run");
        let checked = self.runs().remove(0);
        std::fs::write(&path, good).expect("the good run");
        checked
    }
}

#[test]
fn a_run_that_says_something_else_than_the_log_is_named() {
    let case = Case::new();
    let runs = case.runs();
    assert!(!runs.is_empty() && runs.iter().all(|run| run.wrong.is_none() && !run.foreign), "{runs:?}");
    assert!(runs[0].first == 1 && runs.windows(2).all(|pair| pair[0].last + 1 == pair[1].first), "{runs:?}");
    assert_eq!(runs.iter().map(|run| run.entries).sum::<u64>(), runs.last().expect("a run").last, "an id a row");
    assert_eq!(case.forged(|_| {}), runs[0]);
    type Forge = fn(&mut Parts);
    // A filter may have what was not added, once in a thousand times or so.
    let lies: [(&str, Forge, &[&str]); 9] = [
        (
            "an id less",
            |run| {
                run.entries.pop();
                run.summary.ids -= 1;
            },
            &["leave out", "entries and says"],
        ),
        (
            "an id twice instead of another",
            |run| {
                run.entries.pop();
                run.entries.push(RunEntry { place: 1 << 40, ..run.entries[0] });
            },
            &["leave out", "are not those of the rows"],
        ),
        ("an id more", |run| run.entries.push(RunEntry { place: 1 << 40, ..run.entries[0] }), &["entries and says"]),
        ("another row", |run| run.entries[3].place += 1, &["are not those of the rows"]),
        ("another kind", |run| run.entries[3].place |= 1 << 62, &["are not those of the rows"]),
        ("another hash", |run| run.entries[3].hash ^= 1 << 60, &["leave out", "are not those of the rows"]),
        ("no range", |run| run.summary.ranges = Ranges::default(), &["leave out"]),
        ("another count of ids", |run| run.summary.ids -= 1, &["entries and says"]),
        ("another segment", |run| run.place.segment += 1, &["it ends in segment"]),
    ];
    for (what, forge, why) in lies {
        let run = case.forged(forge);
        let wrong = run.wrong.as_deref().unwrap_or_else(|| panic!("{what} is not seen"));
        let is_told = why.iter().any(|why| wrong.contains(why));
        assert!(is_told && wrong.starts_with(&*run.file.to_string_lossy()), "{what}: {wrong}");
        assert!(!run.foreign, "{what}");
    }
    let run = case.forged(|run| run.place.mac[7] ^= 1);
    assert!(run.foreign && run.wrong.is_some_and(|wrong| wrong.ends_with("it is of another log")));
}

#[test]
fn a_run_that_is_damaged_anywhere_is_named() {
    let case = Case::new();
    let (path, run) = case.first();
    let good = std::fs::read(&path).expect("a file");
    // What a header says, something of each of its reserved parts, and of each block.
    let places = (0..160).step_by(5).chain((160..good.len()).step_by(509));
    for at in places {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, bytes).expect("a file to damage");
        let checked = case.runs().remove(0);
        assert!((checked.first, checked.last) == (run.run.summary.first, run.run.summary.last) && !checked.foreign);
        let wrong = checked.wrong.unwrap_or_else(|| panic!("byte {at} is not seen"));
        assert!(wrong.contains(&*path.to_string_lossy()) && wrong.contains(" at offset "), "byte {at}: {wrong}");
    }
    std::fs::write(&path, &good[..good.len() - 1]).expect("a file to cut");
    assert!(case.runs()[0].wrong.is_some());
    std::fs::write(&path, &good).expect("the good run");
    assert!(case.runs().iter().all(|run| run.wrong.is_none()));
}

#[test]
fn what_is_left_of_a_merge_and_what_the_log_has_not_reached_are_told_apart() {
    let case = Case::new();
    let (path, run) = case.first();
    let RunSummary { last, .. } = run.run.summary;
    let of_rows = |first: u64, last: u64| path.with_file_name(format!("{first:020}-{last:020}.run"));
    // Within the rows of a run that begins before: none of the runs.
    for (first, last) in [(1, last - 1), (2, last)] {
        std::fs::write(of_rows(first, last), b"anything").expect("a file");
    }
    assert!(case.runs().iter().all(|run| run.wrong.is_none()));
    let renamed = of_rows(1, last + 1);
    std::fs::copy(&path, &renamed).expect("a copy");
    let wrong = case.runs().remove(0).wrong.expect("another run");
    assert!(wrong.contains("its name is that of another run"), "{wrong}");
    std::fs::remove_file(&renamed).expect("a file to remove");
    // A run that is good, behind the end of the log.
    let mut ahead = run.run.summary.clone();
    (ahead.first, ahead.last, ahead.ids) = (1_000_000, 1_000_100, 0);
    let place = RunPlace { frame: 1_000_000, ..run.place };
    let (behind, none) = (of_rows(1_000_000, 1_000_100), (0, std::iter::empty()));
    RunFile::write(
        (&behind, RealFiles.create(&behind).expect("a file")),
        case.ledger,
        &place,
        &ahead,
        none,
        &mut |_| Ok(()),
    )
    .expect("a run");
    let ahead = case.runs().pop().expect("a run");
    assert!(ahead.foreign && ahead.wrong.is_some_and(|wrong| wrong.ends_with("the log ends before it")));
}
