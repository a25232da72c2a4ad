//! Every decoder against bytes that may be anything: the fuzz targets as bounded property tests. Inputs that once failed
//! (`tests/corpus`) come first, then those of seeds, which are the same on every machine. `--bin fuzz` runs more seeds, and
//! `tests/fuzz` the same targets under libFuzzer.

use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use florin_tests::fuzz::allocation::{BYTES_MAX, Measured};
use florin_tests::fuzz::campaign::{Tally, corpus, judge, replay, run};
use florin_tests::fuzz::{TARGETS, Target, Verdict, target};
use florin_tests::rng::Rng;

#[global_allocator]
static MEASURED: Measured = Measured;

/// Samples of each target that must be accepted as they are.
const SAMPLES: u64 = 60;

/// Held by whoever runs targets; alone by the test that asks for too much memory, which is seen in the whole process.
static RUNS: RwLock<()> = RwLock::new(());

/// Runs a target on its kept inputs and its seeds: some must be accepted and some refused, else little is proven.
#[track_caller]
fn check(name: &str) {
    let (target, tally) = run_all(name);
    assert!(tally.accepted > target.seeds / 20, "hardly anything was accepted: this proves little");
    assert!(tally.refused > target.seeds / 20, "hardly anything was refused: this proves little");
}

#[track_caller]
fn run_all(name: &str) -> (&'static Target, Tally) {
    let _run = RUNS.read().unwrap_or_else(PoisonError::into_inner);
    let target = target(name).expect("a target of this name");
    let begin = Instant::now();
    let mut tally = replay(target);
    tally.add(&run(target, 0..target.seeds, false));
    println!("{name}: {tally}, in {:.1} s", begin.elapsed().as_secs_f64());
    assert_eq!(tally.failed, 0, "see above how to repeat what failed");
    (target, tally)
}

#[test]
fn groups_of_a_log_are_refused_or_are_what_the_log_writes() {
    check("group");
}

#[test]
fn a_segment_is_refused_or_recovered_and_no_durable_frame_is_lost_unsaid() {
    check("segment");
}

#[test]
fn a_pack_is_refused_or_is_what_the_packer_writes() {
    check("pack");
}

#[test]
fn a_row_of_a_frame_is_refused_or_is_laid_out_again_as_the_same_bytes() {
    check("frame");
}

#[test]
fn records_of_a_snapshot_are_refused_or_are_what_the_ledger_then_holds() {
    check("snapshot");
}

#[test]
fn files_of_a_snapshot_are_refused_or_are_what_is_written() {
    check("snapshot_file");
}

#[test]
fn an_index_is_refused_where_it_is_damaged_and_right_where_it_is_not() {
    check("index");
}

#[test]
fn a_request_is_refused_or_is_asked_with_the_same_bytes() {
    check("request");
}

#[test]
fn a_reply_is_refused_or_says_the_same_once_it_is_encoded_again() {
    check("reply");
}

#[test]
fn a_hello_is_refused_or_comes_back_as_it_was() {
    check("hello");
}

#[test]
fn a_connection_cut_into_any_pieces_comes_to_what_the_codec_says_of_its_bytes() {
    check("connection");
}

#[test]
fn a_program_that_bytes_decide_is_run_as_the_model_says() {
    let (target, tally) = run_all("batch");
    assert!(tally.accepted > target.seeds / 2, "hardly anything was posted: this proves little");
}

#[test]
fn what_is_valid_is_accepted() {
    let _run = RUNS.read().unwrap_or_else(PoisonError::into_inner);
    for target in TARGETS {
        for seed in 0..SAMPLES {
            let bytes = (target.sample)(&mut Rng::part(seed, target.name));
            assert_eq!(judge(target, &bytes), Some(Verdict::Accepted), "sample {seed} of {}", target.name);
            let repaired = (target.repair)(bytes, &mut Rng::new(seed));
            assert_eq!(judge(target, &repaired), Some(Verdict::Accepted), "sample {seed} of {}, repaired", target.name);
        }
    }
    println!("{} samples passed, 0 failed", 2 * SAMPLES * TARGETS.len() as u64);
}

#[test]
fn a_panic_and_too_large_an_allocation_are_failures() {
    let _alone = RUNS.write().unwrap_or_else(PoisonError::into_inner);
    let target = |check| Target { name: "none", check, ..florin_tests::fuzz::hello::TARGET };
    let large = target(|bytes| {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(BYTES_MAX + bytes.len())));
        Verdict::Accepted
    });
    assert_eq!((judge(&large, &[]), judge(&large, &[0])), (Some(Verdict::Accepted), None));
    let on_thread = target(|_| {
        std::thread::scope(|scope| {
            scope.spawn(|| drop(std::hint::black_box(vec![0u8; BYTES_MAX + 1])));
            Verdict::Accepted
        })
    });
    assert_eq!(judge(&on_thread, &[]), None);
    assert_eq!(judge(&target(|bytes| panic!("{} bytes", bytes.len())), &[]), None);
}

#[test]
fn the_same_seed_gives_the_same_input() {
    for target in TARGETS {
        let input = |seed: u64| florin_tests::fuzz::input::input(target, seed);
        assert!((0..20).all(|seed| input(seed) == input(seed)), "{}", target.name);
        assert!((0..20).any(|seed| input(seed) != input(seed + 1)), "{}", target.name);
    }
}

#[test]
fn every_folder_of_kept_inputs_belongs_to_a_target() {
    let folder = corpus(&TARGETS[0]);
    for entry in std::fs::read_dir(folder.parent().expect("the corpus")).expect("the corpus") {
        let name = entry.expect("an entry").file_name();
        assert!(name.to_str().is_some_and(|name| target(name).is_some()), "{name:?} is no target");
    }
}
