//! The allocator's calls: segments cannot be made ahead for a moment, or at all.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::tracer::{Tracer, thread};
use crate::faults::book::{Book, Way};
use crate::faults::full;
use crate::faults::server::{Server, exited};

/// Calls of the allocator.
const CALLS: &str = "fallocate,pwrite64,fsync,fdatasync,ftruncate,openat";
/// The call that is met, at most.
const NTH_MAX: usize = 12;
/// Answers until the server is killed.
const ANSWERS: usize = 40;
/// What may happen to one call. Without room set aside (EOPNOTSUPP) segments are filled one after the other.
const ONCE: [&str; 9] = [
    "fallocate:error=ENOSPC",
    "fallocate:error=EIO",
    "fallocate:error=EOPNOTSUPP",
    "pwrite64:error=ENOSPC",
    "pwrite64:error=EIO",
    "pwrite64:retval=0",
    "fsync:error=EIO",
    "ftruncate:error=ENOSPC",
    "openat:error=EMFILE",
];
/// What may happen to every call: there is no room.
const FULL: [&str; 3] =
    ["fallocate,pwrite64:error=ENOSPC", "fallocate,pwrite64:error=EDQUOT", "fallocate:error=ENOSPC"];
/// What may happen to every call: a segment whose space is set aside, and may be promised, cannot be handed over.
const STUCK: [&str; 3] = ["fsync:error=EIO", "openat:error=EMFILE", "fallocate,pwrite64,fsync:error=EIO"];
/// Failures after which a stuck allocator is let go.
const FAILURES: usize = 4;

/// One call fails; the server goes on, whether it has to refuse for a moment or not, and is killed in the end.
pub async fn a_call_fails(book: &mut Book<'_>, trace: &Path) {
    let what = book.rng.pick(&ONCE);
    let inject = format!("{what}:when={}", book.rng.between(1, NTH_MAX));
    let (server, tracer) = start(book, &inject, trace).await;
    let mut load = book.load(&server);
    for _ in 0..ANSWERS {
        load.hear().await;
    }
    server.kill().await;
    load.end().await;
    let hit = tracer.ended().await.hit().is_some();
    book.tally.add(&format!("{what} of the allocator"), u64::from(hit));
    book.tally.add("calls of the allocator that were not reached", u64::from(!hit));
    book.judge(None);
}

/// Every call fails until there is room.
pub async fn there_is_no_room(book: &mut Book<'_>, trace: &Path) {
    let inject = book.rng.pick(&FULL);
    let (server, tracer) = start(book, inject, trace).await;
    let client = server.connect().await;
    full::until_refused(book, &client).await;
    full::while_refused(book, &client).await;
    assert!(tracer.detach().await.hit().is_some(), "{inject}: refused without a failure");
    full::until_accepted(book, &client).await;
    full::check_what_it_said(&book.errors());
    drop(client);
    server.kill().await;
    book.tally.add(&format!("{inject} of the allocator, always"), 1);
    book.judge(None);
}

/// Every call fails until the disk is mended. A server whose writer waits for a segment that was promised ends and says so; one that
/// can still refuse goes on.
pub async fn it_is_stuck(book: &mut Book<'_>, trace: &Path) {
    let inject = book.rng.pick(&STUCK);
    let (server, tracer) = start(book, inject, trace).await;
    let mut load = book.load(&server);
    let mut lives = true;
    loop {
        tokio::select! {
            heard = load.hears() => lives = heard,
            () = tracer.hits(FAILURES) => break,
        }
        if !lives {
            break;
        }
    }
    if lives {
        tracer.detach().await;
        for _ in 0..ANSWERS {
            lives = lives && load.hears().await;
        }
    } else {
        tracer.ended().await;
    }
    let Server { mut process, .. } = server;
    if lives {
        let _ = process.start_kill(); // It may have ended since.
    }
    let status = exited(&mut process).await;
    load.end().await;
    if !lives {
        let errors = book.errors();
        assert_eq!(status.signal(), Some(6), "{status}: {errors}");
        assert!(errors.contains("no segment could be allocated for a frame"), "{errors}");
        book.tally.add("servers that ended for want of a segment that was promised", 1);
    }
    book.tally.add(&format!("{inject} of the allocator, stuck"), 1);
    book.judge(None);
}

async fn start(book: &mut Book<'_>, inject: &str, trace: &Path) -> (Server, Tracer) {
    let way = book.way();
    let io = if inject.starts_with("fdatasync") { "buffered" } else { way.io };
    let server = book.serve(Way { io, ..way }).await;
    book.settle(&server).await;
    let tracer = Tracer::attach(thread(&server, "log-spares"), CALLS, inject, trace).await;
    (server, tracer)
}
