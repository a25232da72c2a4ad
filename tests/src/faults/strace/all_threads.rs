//! Calls of all threads from the first one on: recovery, opening, writer, allocator, indexes and snapshots each meet the fault at
//! their own n-th call.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use tokio::time::timeout;

use super::trace::Trace;
use super::tracer::thread;
use super::writer;
use crate::faults::book::Book;
use crate::faults::server::{DEADLINE, Server, exited};

/// What may happen; a `+` behind the number makes it stay.
const WHAT: [&str; 8] = [
    "pwrite64:error=EIO",
    "pwrite64:error=ENOSPC",
    "pwrite64:signal=SIGKILL",
    "fsync:error=EIO",
    "fsync:signal=SIGKILL",
    "fdatasync:error=EIO",
    "rename:error=EIO",
    "fallocate:error=ENOSPC",
];
/// The call of each thread that is met, at most.
const NTH_MAX: usize = 20;
/// Answers until a server is killed that goes on.
const ANSWERS: usize = 60;

/// Starts a server with the fault waiting for it, and lets a client post until it is gone.
pub async fn round(book: &mut Book<'_>, file: &Path) {
    let what = book.rng.pick(&WHAT);
    let stays = book.rng.pick(&["", "+"]);
    let inject = format!("inject={what}:when={}{stays}", book.rng.between(1, NTH_MAX));
    let way = book.way();
    let trace = "trace=pwrite64,fsync,fdatasync,rename,fallocate";
    // The tracer is the server's child, so that the server is this process's.
    let before = ["strace", "-D", "-f", "-qq", "-y", "-s0", "-e", trace, "-e", &inject, "-o"].map(OsStr::new);
    let before: Vec<&OsStr> = before.into_iter().chain([file.as_os_str()]).collect();
    let process = book.spawn(&before, way);
    let context = format!("{inject} of all threads, {way:?}");
    match Server::listening_or_ended(process).await {
        Err(mut process) => {
            let status = exited(&mut process).await;
            let errors = book.errors();
            if status.signal().is_none() {
                assert_eq!(status.code(), Some(2), "{context}: {status}: {errors}");
                assert!(errors.starts_with("error: ") || errors.starts_with("florin: "), "{context}: {errors}");
            }
            book.tally.add("starts that met the fault", 1);
            book.judge(None);
        }
        Ok(server) => while_it_serves(book, server, file, &context).await,
    }
}

async fn while_it_serves(book: &mut Book<'_>, server: Server, file: &Path, context: &str) {
    let writer = thread(&server, "log-writer");
    let mut load = book.load(&server);
    let Server { mut process, .. } = server;
    let answered = timeout(DEADLINE, async {
        for _ in 0..ANSWERS {
            if !load.hears().await {
                return false;
            }
        }
        true
    });
    let killed = answered.await.expect("a server answers or ends");
    if killed {
        let _ = process.start_kill(); // It may be on its way out.
    }
    let status = exited(&mut process).await;
    load.end().await;
    let trace = Trace::parse(&std::fs::read_to_string(file).expect("what strace wrote"));
    let of_writer = trace.of(writer);
    let by_kill = status.signal() == Some(9);
    if !killed && !by_kill {
        // Only the writer's failure is a reason to end, or the allocator's if the writer waits for a segment that was promised.
        let errors = book.errors();
        if of_writer.hit().is_none() && errors.contains("no segment could be allocated for a frame") {
            assert_eq!(status.signal(), Some(6), "{context}: {status}: {errors}");
        } else {
            writer::check_the_end(&of_writer, false, context);
        }
    }
    book.tally.add(if killed { "servers that went on" } else { "servers that ended under load" }, 1);
    book.judge(if of_writer.hit().is_some() { of_writer.unsynced() } else { None });
}
