//! Runs fuzz targets by the seed: `cargo run -p florin-tests --release --bin fuzz -- --target group --seeds 0..100000`.
//!
//! `--target all` runs each target on these seeds; `--keep` writes inputs that fail into `tests/corpus`. A panic is told by its
//! message, the seed, and the command that repeats it. `--write FOLDER` runs nothing and writes the inputs, for libFuzzer to begin with.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use florin_tests::fuzz::allocation::Measured;
use florin_tests::fuzz::campaign::{Tally, replay, run};
use florin_tests::fuzz::input::input;
use florin_tests::fuzz::{TARGETS, Target, target};

#[global_allocator]
static MEASURED: Measured = Measured;

/// What was asked for.
struct Wanted {
    targets: Vec<&'static Target>,
    seeds: Range<u64>,
    keep: bool,
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(Wanted { targets, seeds, keep, write }) = parse(&arguments) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: fuzz --target all|{} --seeds A..B [--keep] [--write FOLDER]", names.join("|"));
        return ExitCode::FAILURE;
    };
    if let Some(folder) = write {
        std::fs::create_dir_all(&folder).expect("a folder");
        for (target, seed) in targets.iter().flat_map(|target| seeds.clone().map(move |seed| (target, seed))) {
            let file = folder.join(format!("{}-{seed}", target.name));
            std::fs::write(file, input(target, seed)).expect("an input that can be written");
        }
        return ExitCode::SUCCESS;
    }
    let mut total = Tally::default();
    for target in targets {
        let begin = Instant::now();
        let mut tally = replay(target);
        tally.add(&in_threads(target, seeds.clone(), keep));
        println!("{}: {tally}, in {:.1} s", target.name, begin.elapsed().as_secs_f64());
        total.add(&tally);
    }
    println!("{} passed, {} failed", total.accepted + total.refused, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each thread takes a share of the seeds.
fn in_threads(target: &'static Target, seeds: Range<u64>, keep: bool) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    let share = (seeds.end - seeds.start).div_ceil(threads);
    let shares = (0..threads).map(|at| {
        let from = seeds.start + at * share;
        from.min(seeds.end)..(from + share).min(seeds.end)
    });
    std::thread::scope(|scope| {
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || run(target, share, keep))).collect();
        let mut tally = Tally::default();
        for worker in workers {
            tally.add(&worker.join().expect("failures of targets are caught"));
        }
        tally
    })
}

fn parse(arguments: &[String]) -> Option<Wanted> {
    let (mut targets, mut seeds, mut keep, mut write) = (None, None, false, None);
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--target" => {
                let name = rest.next()?;
                targets = Some(if name == "all" { TARGETS.iter().collect() } else { vec![target(name)?] });
            }
            "--seeds" => {
                let (from, to) = rest.next()?.split_once("..")?;
                seeds = Some(from.parse().ok()?..to.parse().ok()?);
            }
            "--keep" => keep = true,
            "--write" => write = Some(PathBuf::from(rest.next()?)),
            _ => return None,
        }
    }
    let seeds = seeds.filter(|seeds: &Range<u64>| seeds.start < seeds.end)?;
    Some(Wanted { targets: targets?, seeds, keep, write })
}
