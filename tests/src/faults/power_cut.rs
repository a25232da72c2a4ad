//! Power cuts: a loop-mounted ext4 is shut down under the server, so that all it had not written is gone, and mounted again.
//!
//! What ext4 had handed to the device survives, since the device is a file of the machine: what a disk's own cache would lose
//! is not lost here. Names, sizes, extents and cached data that nobody synced are.

mod disk;
mod shutdown;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use florin_net::Client;
use tokio::process::Child;
use tokio::time::timeout;

use super::book::{Book, await_snapshots};
use super::machine;
use super::server::{DEADLINE, Server, exited};
use super::strace::derived::{CALLS, THREADS};
use super::strace::tracer::{Tracer, thread};
use super::tally::Tally;
pub use disk::Disk;

/// Bytes of a segment: snapshots and indexes are made all the time.
const SEGMENT_BYTES: [u64; 2] = [65_536, 131_072];
/// Answers that a client hears before a cut, at most.
const ANSWERS_MAX: usize = 30;
/// Time from the last of them to the cut, at most.
const BEHIND_US: usize = 3_000;
/// The call of a thread that derives something at which the power is cut, at most.
const NTH_MAX: usize = 12;
/// Answers in which it has to come about; else the cut comes then.
const DERIVED_ANSWERS_MAX: usize = 100;

/// A book of power cuts.
pub async fn book(folder: &Path, seed: u64, rounds: u64, tally: &Tally) {
    let disk = Disk::make(folder, seed).expect("it was tried before");
    let segment_bytes = SEGMENT_BYTES[seed as usize % SEGMENT_BYTES.len()];
    let mut book = Book::make(disk.at().join("ledger"), folder, segment_bytes, seed, tally).await;
    // A ledger that `florin init` has made is there.
    cut(&disk, tally);
    disk.again();
    let way = book.way();
    let server = book.serve(way).await;
    book.prepare(&server).await;
    server.stop().await;
    cut(&disk, tally);
    disk.again();
    let mut start = Duration::from_millis(50);
    let strace = machine::strace();
    if let Err(why) = &strace {
        println!("no cuts at calls of threads that derive something: {why}");
    }
    for round in 0..rounds {
        match round % 4 {
            3 => while_it_starts(&mut book, &disk, start).await,
            2 if strace.is_ok() => at_a_call(&mut book, &disk, &folder.join("trace")).await,
            _ => start = under_load(&mut book, &disk).await,
        }
        tally.add("rounds", 1);
    }
    book.close().await;
}

fn cut(disk: &Disk, tally: &Tally) {
    disk.cut();
    tally.add("cuts", 1);
}

/// A cut while a client posts. Says how long the start took.
async fn under_load(book: &mut Book<'_>, disk: &Disk) -> Duration {
    let begun = Instant::now();
    let way = book.way();
    let server = book.serve(way).await;
    let start = begun.elapsed();
    book.settle(&server).await;
    if book.rng.chance(20) {
        await_snapshots(&server).await;
    }
    let client = server.connect().await;
    let mut load = book.load(&server);
    for _ in 0..book.rng.between(0, ANSWERS_MAX) {
        load.hear().await;
    }
    // Not to wait for anything: otherwise every cut would come right behind an answer.
    std::thread::sleep(Duration::from_micros(book.rng.below(BEHIND_US) as u64));
    cut(disk, book.tally);
    let Server { mut process, .. } = server;
    if book.rng.chance(50) {
        ends_by_itself(book, &client, &mut process).await;
    }
    let _ = process.start_kill(); // It may have ended.
    exited(&mut process).await;
    load.end_without_a_disk().await;
    disk.again();
    book.judge(None);
    start
}

/// A cut right at a call of a thread that makes a snapshot, a run of ids or an index: the whole process is stopped there first.
async fn at_a_call(book: &mut Book<'_>, disk: &Disk, trace: &Path) {
    let way = book.way();
    let server = book.serve(way).await;
    book.settle(&server).await;
    let name = book.rng.pick(&THREADS);
    let inject = format!("{CALLS}:signal=SIGSTOP:when={}", book.rng.between(1, NTH_MAX));
    let tracer = Tracer::attach(thread(&server, name), CALLS, &inject, trace).await;
    let mut load = book.load(&server);
    let Server { mut process, .. } = server;
    let pid = process.id().expect("a running server");
    let mut reached = false;
    for _ in 0..DERIVED_ANSWERS_MAX {
        tokio::select! {
            () = load.hear() => {}
            () = stopped(pid) => {
                reached = true;
                break;
            }
        }
    }
    cut(disk, book.tally);
    let _ = process.start_kill(); // It is stopped, or on its way out.
    exited(&mut process).await;
    load.end_without_a_disk().await;
    tracer.ended().await;
    disk.again();
    book.tally.add(&format!("cuts {} of {name}", if reached { "at a call" } else { "without a call" }), 1);
    book.judge(None);
}

/// Waits until a process is stopped.
async fn stopped(pid: u32) {
    let is_stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The state stands behind the name, which is in brackets.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
    };
    while !is_stopped() {
        tokio::time::sleep(Duration::from_millis(1)).await; // Nobody tells of it.
    }
}

/// Without a disk a server answers nothing more and ends by itself.
async fn ends_by_itself(book: &mut Book<'_>, client: &Client, process: &mut Child) {
    let ended = timeout(DEADLINE, async {
        book.post_in_vain(client).await;
        exited(process).await
    });
    let status = ended.await.expect("a server without a disk ends");
    let errors = book.errors();
    assert_eq!(status.signal(), Some(6), "{status}: {errors}");
    let names_a_file = |line: &str| line.starts_with("florin: log/") || line.starts_with("florin: watermark");
    assert!(errors.lines().any(names_a_file), "{errors}");
    book.tally.add("servers that ended by themselves", 1);
}

/// A cut at some moment of a start, which may be longer than the last one.
async fn while_it_starts(book: &mut Book<'_>, disk: &Disk, start: Duration) {
    let way = book.way();
    let mut process = book.spawn(&[], way);
    // Not to wait for anything: it is the moment that is chosen.
    std::thread::sleep(start.mul_f64(book.rng.below(1_200) as f64 / 1_000.0));
    cut(disk, book.tally);
    let _ = process.start_kill(); // It may have ended.
    exited(&mut process).await;
    book.tally.add("cuts in a start", 1);
    disk.again();
    book.judge(None);
}
