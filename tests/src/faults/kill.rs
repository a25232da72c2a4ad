//! SIGKILL under load, and in the middle of a start.

use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use super::book::{Book, await_snapshots};
use super::server::{DEADLINE, exited};
use super::tally::Tally;

/// Bytes of a segment: snapshots and indexes are made all the time.
const SEGMENT_BYTES: u64 = 131_072;
/// Answers that a client hears before a kill, at most.
const ANSWERS_MAX: usize = 40;
/// One of so many servers is killed in its start.
const STARTS_EVERY: u64 = 5;

/// A book of kills.
pub async fn book(folder: &Path, seed: u64, rounds: u64, tally: &Tally) {
    let mut book = Book::make(folder.join("ledger"), folder, SEGMENT_BYTES, seed, tally).await;
    let way = book.way();
    let server = book.serve(way).await;
    book.prepare(&server).await;
    server.kill().await;
    for round in 0..rounds {
        if round % STARTS_EVERY == STARTS_EVERY - 1 {
            while_it_starts(&mut book).await;
        }
        under_load(&mut book).await;
        tally.add("rounds", 1);
    }
    book.close().await;
}

async fn under_load(book: &mut Book<'_>) {
    let way = book.way();
    let server = book.serve(way).await;
    book.settle(&server).await;
    // Snapshots come later than a server lives under load; most are killed while they make one, or before.
    if book.rng.chance(20) {
        await_snapshots(&server).await;
    }
    let mut load = book.load(&server);
    for _ in 0..book.rng.between(1, ANSWERS_MAX) {
        load.hear().await;
    }
    server.kill().await;
    load.end().await;
    book.judge(None);
}

/// Kills a server as soon as it prints its first line, in the middle of its start or right after it.
async fn while_it_starts(book: &mut Book<'_>) {
    let way = book.way();
    let mut process = book.spawn(&[], way);
    let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    if book.rng.chance(50) {
        timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
    }
    process.start_kill().expect("a process to kill");
    exited(&mut process).await;
    book.tally.add("kills in a start", 1);
}
