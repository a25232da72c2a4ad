//! Calls of the threads in the background: those that derive snapshots, runs of ids and indexes from the log, and the one that packs it. Whatever fails there is no reason to
//! end, nor to refuse anybody; and wherever one of them is when the process is killed, the next start finds all that it needs.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::tracer::{Tracer, thread};
use crate::faults::book::Book;
use crate::faults::full::is_about_derived;
use crate::faults::server::{Server, exited};

/// The threads.
pub const THREADS: [&str; 4] = ["florin-snapshot", "florin-ids", "florin-index", "florin-pack"];
/// Calls that change something on the disk.
pub const CALLS: &str = "write,pwrite64,fsync,fdatasync,rename,unlink,unlinkat,mkdir";
/// What may happen to one of them, or, with a `+` behind its number, from one on to all.
const FAILURES: [&str; 7] = [
    "write,pwrite64:error=EIO",
    "write,pwrite64:error=ENOSPC",
    "fdatasync:error=EIO",
    "fsync:error=EIO",
    "rename:error=EIO",
    "unlink,unlinkat:error=EIO",
    "mkdir:error=ENOSPC",
];
/// The call that is met, at most.
const NTH_MAX: usize = 12;
/// Answers in which it has to come about; a thread that is not asked for so much goes without.
const ANSWERS_MAX: usize = 400;
/// Answers after a failure.
const ANSWERS_AFTER: usize = 20;

/// A call of a thread fails; the server goes on, and is killed in the end.
pub async fn a_call_fails(book: &mut Book<'_>, trace: &Path) {
    let (name, what) = (book.rng.pick(&THREADS), book.rng.pick(&FAILURES));
    let inject = format!("{what}:when={}{}", book.rng.between(1, NTH_MAX), book.rng.pick(&["", "+"]));
    let (server, tracer) = start(book, name, &inject, trace).await;
    let mut load = book.load(&server);
    for _ in 0..ANSWERS_MAX {
        tokio::select! {
            () = load.hear() => {}
            () = tracer.hits(1) => break,
        }
    }
    for _ in 0..ANSWERS_AFTER {
        load.hear().await;
    }
    server.kill().await;
    load.end().await;
    let hit = tracer.ended().await.hit().is_some();
    let errors = book.errors();
    assert!(errors.lines().all(is_about_derived), "{inject} of {name}: {errors}");
    tell(book, name, if hit { "failed" } else { "were not reached" });
    book.judge(None);
}

/// The process is killed at a call of a thread.
pub async fn a_call_is_the_last(book: &mut Book<'_>, trace: &Path) {
    let name = book.rng.pick(&THREADS);
    let inject = format!("{CALLS}:signal=SIGKILL:when={}", book.rng.between(1, NTH_MAX));
    let (server, tracer) = start(book, name, &inject, trace).await;
    let mut load = book.load(&server);
    let Server { mut process, .. } = server;
    let mut answers = 0;
    while answers < ANSWERS_MAX && load.hears().await {
        answers += 1;
    }
    let reached = answers < ANSWERS_MAX;
    if !reached {
        let _ = process.start_kill(); // It may have met it since.
    }
    let status = exited(&mut process).await;
    load.end().await;
    tracer.ended().await;
    assert_eq!(status.signal(), Some(9), "{inject} of {name}: {status}: {}", book.errors());
    assert!(book.errors().lines().all(is_about_derived), "{inject} of {name}: {}", book.errors());
    tell(book, name, if reached { "were the last" } else { "were not reached" });
    book.judge(None);
}

async fn start(book: &mut Book<'_>, name: &str, inject: &str, trace: &Path) -> (Server, Tracer) {
    let way = book.way();
    let server = book.serve(way).await;
    book.settle(&server).await;
    let tracer = Tracer::attach(thread(&server, name), CALLS, inject, trace).await;
    (server, tracer)
}

fn tell(book: &Book<'_>, name: &str, what: &str) {
    book.tally.add(&format!("calls of {name} that {what}"), 1);
}
