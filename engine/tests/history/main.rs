//! History answers the same without indexes, with some, with all, after any of them was deleted or damaged, and beside a
//! ledger that grows: every question is compared with plain loops over all records.
#![allow(missing_docs)]

mod check;
mod make;
mod oracle;

use std::path::{Path, PathBuf};
use std::time::Duration;

use check::{Check, Did};
use florin_core::entry::{Order, Span};
use florin_engine::{Engine, abort_on_panic};
use florin_wal::{LedgerOptions, create_ledger};
use make::{Maker, Rng, serve, stats};
use oracle::Oracle;

/// Looks at something that is to happen before it is given up, a millisecond and more apart.
const LOOKS_MAX: usize = 100_000;

fn run<F: Future>(future: F) -> F::Output {
    abort_on_panic();
    actix_rt::System::new().block_on(future)
}

/// Makes a ledger of many small segments without any index.
fn make(data: &Path, seed: u64, requests: usize) -> Maker {
    create_ledger(data, &LedgerOptions { segment_bytes: 64 << 10, created_unix_ns: 0 }).expect("a new ledger");
    let mut maker = Maker::new(seed);
    run(async {
        let engine = serve(data, 1, false).await;
        maker.prepare(&engine).await;
        maker.run(&engine, requests).await;
        maker.settle(&engine).await;
        maker.run(&engine, requests / 4).await;
        maker.quiet(&engine).await;
        engine.stop().await.expect("a clean stop");
    });
    maker
}

/// Files in the log's folder whose names end so, in order.
fn files(data: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("log")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// Waits until so many indexes can be used; none: all that there can be.
async fn await_indexes(engine: &Engine, count: Option<usize>) {
    for _ in 0..LOOKS_MAX {
        let stats = stats(engine).await;
        let wanted = count.map_or(stats.segments_sealed, |count| count as u64);
        if stats.segments_sealed > 0 && stats.segments_indexed == wanted {
            return;
        }
        pause().await;
    }
    panic!("the indexes are not built");
}

/// Between two looks: the builder has the lowest priority, and would wait for a loop that never rests.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn check(engine: &Engine, oracle: &Oracle, seed: u64, state: &str) -> Did {
    let mut check = Check { engine, oracle, rng: Rng(seed), did: Did::default(), state };
    check.everything().await;
    println!("{state}: {:?}", check.did);
    check.did
}

/// Serves the ledger, waits for indexes, asks everything.
fn serve_and_check(data: &Path, oracle: &Oracle, shards: usize, build: bool, wait: Option<usize>, state: &str) {
    run(async {
        let engine = serve(data, shards, build).await;
        if build || wait.is_some() {
            await_indexes(&engine, wait).await;
        }
        check(&engine, oracle, 7, state).await;
        engine.stop().await.expect("a clean stop");
    });
}

#[test]
fn every_answer_is_the_same_without_indexes_with_some_and_with_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    make(&data, 1, 300);
    let oracle = Oracle::read(&data);
    let segments = files(&data, ".seg").len();
    assert!(segments > 20, "only {segments} segments");
    let counts: Vec<usize> = oracle.entries.values().map(Vec::len).collect();
    println!("{segments} segments, {} rows, entries {counts:?}, {:?}", oracle.position, oracle.kinds());
    serve_and_check(&data, &oracle, 1, false, None, "no index");
    assert_eq!(files(&data, ".idx"), Vec::<PathBuf>::new());
    serve_and_check(&data, &oracle, 3, true, None, "all indexes, built now");
    let built = files(&data, ".idx");
    assert!(built.len() >= segments - 3, "{} indexes of {segments} segments", built.len());
    serve_and_check(&data, &oracle, 1, false, Some(built.len()), "all indexes, found");
    let mut rng = Rng(3);
    for round in 0..3 {
        let rest: Vec<PathBuf> = files(&data, ".idx");
        let gone = rest.iter().filter(|_| rng.chance(35));
        gone.for_each(|path| std::fs::remove_file(path).expect("a file"));
        let left = files(&data, ".idx").len();
        serve_and_check(&data, &oracle, 1, false, Some(left), &format!("some indexes: round {round}, {left} left"));
    }
}

#[test]
fn an_index_that_is_deleted_while_it_is_used_is_done_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    make(&data, 4, 300);
    let oracle = Oracle::read(&data);
    run(async {
        let engine = serve(&data, 1, true).await;
        await_indexes(&engine, None).await;
        engine.stop().await.expect("a clean stop");
        let engine = serve(&data, 1, false).await;
        await_indexes(&engine, Some(files(&data, ".idx").len())).await;
        for path in files(&data, ".idx").iter().step_by(2) {
            std::fs::remove_file(path).expect("a file");
        }
        check(&engine, &oracle, 5, "deleted beside the server").await;
        engine.stop().await.expect("a clean stop");
    });
}

/// Damages the bytes of an index.
type Damage = fn(&mut Vec<u8>, &mut Rng);

/// How to damage an index, by name.
const DAMAGES: [(&str, Damage); 9] = [
    ("a byte of the fields of the first block", |file, rng| flip(file, rng.below(160), rng)),
    ("a byte of the rest of the first block", |file, rng| flip(file, 160 + rng.below(4096 - 160), rng)),
    ("a byte of any block behind it", |file, rng| {
        let at = 4096 + rng.below(file.len() - 4096);
        flip(file, at, rng);
    }),
    ("a byte of the checksum of a block", |file, rng| {
        let block = 1 + rng.below(file.len() / 4096 - 1);
        flip(file, block * 4096 + 4092 + rng.below(4), rng);
    }),
    ("a block of zeros", |file, rng| {
        let block = rng.below(file.len() / 4096);
        file[block * 4096..][..4096].fill(0);
    }),
    ("two blocks swapped", |file, _| {
        let last = file.len() - 4096;
        let block = file[4096..8192].to_vec();
        file.copy_within(last.., 4096);
        file[last..].copy_from_slice(&block);
    }),
    ("cut short", |file, rng| file.truncate(rng.below(file.len()))),
    ("too long", |file, rng| file.resize(file.len() + 1 + rng.below(5_000), 0)),
    ("another version", |file, _| file[8] = 2),
];

fn flip(file: &mut [u8], at: usize, rng: &mut Rng) {
    file[at] ^= 1 << rng.below(8);
}

#[test]
fn a_damaged_index_is_never_believed_and_is_built_again_to_the_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    make(&data, 9, 250);
    let oracle = Oracle::read(&data);
    run(async {
        let engine = serve(&data, 1, true).await;
        await_indexes(&engine, None).await;
        engine.stop().await.expect("a clean stop");
    });
    let whole: Vec<(PathBuf, Vec<u8>)> =
        files(&data, ".idx").into_iter().map(|path| (path.clone(), std::fs::read(path).expect("a file"))).collect();
    assert!(whole.len() > 9, "only {} indexes", whole.len());
    let mut rng = Rng(11);
    let mut damaged = 0;
    for round in 0..3 {
        for (at, (path, bytes)) in whole.iter().enumerate() {
            let mut bytes = bytes.clone();
            DAMAGES[(at + round) % DAMAGES.len()].1(&mut bytes, &mut rng);
            if bytes != whole[at].1 {
                std::fs::write(path, bytes).expect("a file");
                damaged += 1;
            }
        }
        // One segment's index under another's name: whole in itself.
        std::fs::write(&whole[round].0, &whole[round + 1].1).expect("a file");
        serve_and_check(&data, &oracle, 1, false, None, &format!("damaged, round {round}"));
        run(async {
            let engine = serve(&data, 1, true).await;
            check(&engine, &oracle, 13, "damaged, being built again").await;
            for (path, bytes) in &whole {
                let mut looks = 0;
                while &std::fs::read(path).expect("a file") != bytes {
                    pause().await;
                    looks += 1;
                    assert!(looks < LOOKS_MAX, "{} was not built again", path.display());
                }
            }
            await_indexes(&engine, None).await;
            engine.stop().await.expect("a clean stop");
        });
    }
    println!("{damaged} indexes damaged, {} kinds of damage", DAMAGES.len());
}

#[test]
fn what_a_crash_left_of_an_index_is_removed_and_the_index_is_built() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    make(&data, 21, 60);
    let oracle = Oracle::read(&data);
    serve_and_check(&data, &oracle, 1, true, None, "built");
    let indexes = files(&data, ".idx");
    let (victim, bytes) = (&indexes[1], std::fs::read(&indexes[1]).expect("a file"));
    for length in [0, 4096, bytes.len() - 1] {
        // Killed before the rename, at any length; the segment may be one that is not even there any more.
        std::fs::remove_file(victim).expect("a file");
        std::fs::write(victim.with_extension("idx.new"), &bytes[..length]).expect("a file");
        std::fs::write(data.join("log/0000009999.idx.new"), b"rest").expect("a file");
        serve_and_check(&data, &oracle, 1, true, None, &format!("killed after {length} bytes"));
        assert_eq!(files(&data, ".idx.new"), Vec::<PathBuf>::new());
        assert_eq!(std::fs::read(victim).expect("a file"), bytes);
    }
}

#[test]
fn tokens_stay_valid_while_the_ledger_grows_and_segments_are_indexed_behind_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ledger");
    let mut maker = make(&data, 31, 150);
    let keys: Vec<(u32, u128)> = Oracle::read(&data).entries.keys().copied().collect();
    let mut tokens = Vec::new();
    for round in 0..4 {
        let oracle = Oracle::read(&data);
        run(async {
            let engine = serve(&data, 2, true).await;
            let mut check =
                Check { engine: &engine, oracle: &oracle, rng: Rng(round), did: Did::default(), state: "grown" };
            for (key, order, token) in tokens.drain(..) {
                check.statement(key, Span::All, order, Some(token), 1_000).await;
            }
            for key in &keys {
                for order in [Order::Newest, Order::Oldest] {
                    let next = check.statement(*key, Span::All, order, None, 3).await;
                    tokens.extend(next.map(|token| (*key, order, token)));
                }
            }
            check.everything().await;
            println!("round {round}: {:?}", check.did);
            maker.run(&engine, 120).await;
            engine.stop().await.expect("a clean stop");
        });
    }
    assert!(tokens.len() > 10);
}
