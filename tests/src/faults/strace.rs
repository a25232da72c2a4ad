//! The n-th system call of the real server fails, is cut short, or is the last one: `strace -e inject=`.
//!
//! Four kinds of rounds, by whose calls they are:
//! - the **writer's**: the log is lost, so the process must end at once and say why in its first line, without another
//!   write or sync. Nobody may have been told of what was in the group that failed;
//! - the **allocator's**: nothing that was promised is touched, so the server goes on; with no segment to be had it refuses
//!   `storage_full`, answers reads and repeats, and takes postings again once allocation works. (Where a segment whose space is
//!   set aside cannot be handed over, what was promised waits, and everything behind it; nothing is refused.)
//! - of the threads that **derive** something from the log: the server goes on, and a start finds all that it needs wherever the
//!   process was killed;
//! - of **all threads from the start on**, recovery included: it ends with a message before it serves, or as above.
//!
//! strace counts each thread's calls by themselves, so it is attached to the one thread that is meant.

mod all_threads;
mod allocator;
pub mod derived;
mod trace;
pub mod tracer;
mod writer;

use std::path::Path;

use super::book::Book;
use super::tally::Tally;

/// Bytes of a segment: the writer changes segments, and the allocator works, all the time.
const SEGMENT_BYTES: u64 = 131_072;

/// A book of failing calls.
pub async fn book(folder: &Path, seed: u64, rounds: u64, tally: &Tally) {
    let mut book = Book::make(folder.join("ledger"), folder, SEGMENT_BYTES, seed, tally).await;
    let trace = folder.join("trace");
    let way = book.way();
    let server = book.serve(way).await;
    book.prepare(&server).await;
    server.stop().await;
    for round in 0..rounds {
        match round % 12 {
            0..=4 => writer::round(&mut book, &trace).await,
            5 => all_threads::round(&mut book, &trace).await,
            6 => allocator::a_call_fails(&mut book, &trace).await,
            7 => allocator::there_is_no_room(&mut book, &trace).await,
            8 => allocator::it_is_stuck(&mut book, &trace).await,
            9 => derived::a_call_fails(&mut book, &trace).await,
            _ => derived::a_call_is_the_last(&mut book, &trace).await,
        }
        tally.add("rounds", 1);
    }
    book.close().await;
}
