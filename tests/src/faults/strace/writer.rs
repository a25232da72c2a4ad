//! The writer's calls: whatever goes wrong with one of them is the end of the process.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::trace::Trace;
use super::tracer::{Tracer, thread};
use crate::faults::book::{Book, Way};
use crate::faults::full::is_about_room;
use crate::faults::server::{Server, exited};

/// SIGABRT, with which a server ends that lost its log.
const ABORT: i32 = 6;
/// SIGKILL.
const KILL: i32 = 9;
/// The writer's call that is met, at most; seals count.
const NTH_MAX: usize = 40;

/// Answers that come before a fault, at most: eight batches are under way, and none is answered without a call.
const ANSWERS_MAX: usize = 10 * 8 * NTH_MAX;

/// A fault.
struct Case {
    /// The system call.
    call: &'static str,
    /// What happens to it.
    what: &'static str,
    /// How the log is written; "" = either way.
    io: &'static str,
    /// What the server says of it.
    says: &'static str,
}

const fn case(call: &'static str, what: &'static str, io: &'static str, says: &'static str) -> Case {
    Case { call, what, io, says }
}

/// A write that was cut short is repeated from there by the standard library. strace leaves away what it says was written,
/// so only a rest that the kernel must refuse shows something true: one that is not aligned.
const CASES: [Case; 9] = [
    case("pwrite64", "error=EIO", "", "Input/output error"),
    case("pwrite64", "error=ENOSPC", "", "No space left on device"),
    case("pwrite64", "retval=100", "direct", "Invalid argument"),
    case("pwrite64", "retval=0", "", "failed to write whole buffer"),
    case("pwrite64", "signal=SIGKILL", "", ""),
    case("fdatasync", "error=EIO", "buffered", "sync failed: Input/output error"),
    case("fdatasync", "error=EIO", "buffered", "sync failed: Input/output error"),
    case("fdatasync", "error=ENOSPC", "buffered", "sync failed: No space left on device"),
    case("fdatasync", "signal=SIGKILL", "buffered", ""),
];

/// A server under load meets one of the cases.
pub async fn round(book: &mut Book<'_>, trace: &Path) {
    let place = book.rng.below(CASES.len());
    let Case { call, what, io, says } = CASES[place];
    let nth = book.rng.between(1, NTH_MAX);
    let way = book.way();
    let way = Way { io: if io.is_empty() { way.io } else { io }, ..way };
    let server = book.serve(way).await;
    book.settle(&server).await;
    let inject = format!("{call}:{what}:when={nth}");
    let tracer = Tracer::attach(thread(&server, "log-writer"), "pwrite64,fdatasync,fsync", &inject, trace).await;
    let mut load = book.load(&server);
    let Server { mut process, .. } = server;
    let mut answers = 0;
    while load.hears().await {
        answers += 1;
        assert!(answers < ANSWERS_MAX, "{inject} of the log's writer, {way:?}: the server goes on");
    }
    let status = exited(&mut process).await;
    load.end().await;
    let trace = tracer.ended().await;
    let context = format!("{inject} of the log's writer, {way:?}");
    check_the_end(&trace, says.is_empty(), &context);
    let signal = if says.is_empty() { KILL } else { ABORT };
    assert_eq!(status.signal(), Some(signal), "{context}: {status}: {}", book.errors());
    check_what_it_said(&book.errors(), says, &context);
    book.tally.add(&format!("{call}:{what} of the writer"), 1);
    book.judge(trace.unsynced());
}

/// What failed is not tried again, and nothing else is written or synced.
pub fn check_the_end(trace: &Trace, killed: bool, context: &str) {
    let hit = trace.hit().unwrap_or_else(|| panic!("{context}: the server ended without meeting it: {trace:?}"));
    let mut rest = &trace.0[hit + 1..];
    // The kernel refuses the rest of a write that was cut short: part of the same write.
    if let [first, after @ ..] = rest
        && first.name == "pwrite64"
        && first.segment == trace.0[hit].segment
        && first.offset == trace.0[hit].offset + 100
    {
        rest = after;
    }
    assert!(rest.is_empty(), "{context}: after the failure it went on with {rest:?}");
    assert!(!killed || trace.0.len() == hit + 1, "{context}: killed, and not at the end: {trace:?}");
}

/// The first line names the file and what the system said, the second says what it means; a server that was killed says
/// nothing.
pub fn check_what_it_said(errors: &str, says: &str, context: &str) {
    // The coordinator may meet a log that has stopped in the moment before the process is gone, and takes it for a full one.
    let lines: Vec<&str> = errors.lines().filter(|line| !is_about_room(line)).collect();
    if says.is_empty() {
        assert_eq!(lines, [""; 0], "{context}");
        return;
    }
    let [first, second] = lines[..] else { panic!("{context}: not one line and its meaning: {errors}") };
    let names_a_file = first.starts_with("florin: log/") || first.starts_with("florin: watermark");
    assert!(names_a_file && first.contains(says), "{context}: {first}");
    assert!(second.starts_with("florin: nothing more is acknowledged"), "{context}: {second}");
}
