//! A server without room for its log: it refuses what is new, answers all else, and takes postings again by itself.

use std::time::Duration;

use florin_net::Client;
use tokio::time::timeout;

use super::book::Book;
use super::server::DEADLINE;
use crate::load;

/// Batches that are tried while there is no room.
const TRIED: usize = 4;
/// Answered batches that are asked again meanwhile.
const REPEATED: usize = 5;

/// Posts until something is refused for want of room.
pub async fn until_refused(book: &mut Book<'_>, client: &Client) {
    loop {
        let number = book.new_batch();
        if !book.ask(client, number).await {
            book.tally.add("times without room", 1);
            return;
        }
    }
}

/// What is new is refused, or taken if a little room is left; reads and repeats are answered.
pub async fn while_refused(book: &mut Book<'_>, client: &Client) {
    for _ in 0..TRIED {
        let number = book.new_batch();
        book.ask(client, number).await;
    }
    book.list(client).await;
    for account in load::accounts() {
        let page = client.statement(account, None, 100).await.expect("an answer").expect("an account");
        book.tally.add("statements read without room", u64::from(!page.entries.is_empty()));
    }
    let answered: Vec<u64> = book.judge.batches().keys().copied().filter(|n| !book.open.contains(n)).collect();
    for _ in 0..REPEATED.min(answered.len()) {
        let number = book.rng.pick(&answered);
        assert!(book.ask(client, number).await, "batch {number} was answered before, so its answer is repeated");
        book.tally.add("batches repeated without room", 1);
    }
}

/// Asks what was refused until it is answered.
pub async fn until_accepted(book: &mut Book<'_>, client: &Client) {
    let accepted = async {
        while let Some(number) = book.open.first().copied() {
            if !book.ask(client, number).await {
                tokio::time::sleep(Duration::from_millis(5)).await; // The allocator tries again in its own time.
            }
        }
    };
    timeout(DEADLINE, accepted).await.expect("postings are accepted once there is room");
    book.tally.add("times with room again", 1);
}

/// Refusing and accepting are told in a line each; apart from that only what is derived from the log may lack room.
pub fn check_what_it_said(errors: &str) {
    let others: Vec<&str> = errors.lines().filter(|line| !is_about_room(line)).collect();
    assert!(others.iter().all(|line| is_about_derived(line)), "{others:?}");
    assert!(errors.lines().any(is_about_room), "a server that refuses says why: {errors}");
}

/// Whether a line says that something could not be made now that nobody waits for.
pub fn is_about_derived(line: &str) -> bool {
    const DERIVED: [&str; 4] =
        ["no snapshot can be made", ".idx cannot be built", "runs of ids cannot be made", "cannot be packed"];
    DERIVED.iter().any(|what| line.contains(what))
}

/// Whether a line says that postings are refused for want of room, or accepted again.
pub fn is_about_room(line: &str) -> bool {
    line.starts_with("florin: no room for the log (") || line.starts_with("florin: there is room for the log again")
}
