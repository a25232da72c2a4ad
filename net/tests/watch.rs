//! Watches on raw connections, with a scripted engine: what they hold while they wait, and how they end.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Random, Raw, Script, all_posted, local, options, request, server, transfers};
use florin_core::entry::TransactionPage;
use florin_engine::{Command, OnReply, Reply};
use florin_net::codec::questions::encode_watch;
use florin_net::header::{ERROR, Operation};
use florin_net::{ErrorCode, Server, ServerOptions, codec};
use tokio::io::AsyncWriteExt;

/// The questions of watches that the engine keeps: after, limit, wait in milliseconds, and whom to tell.
type Kept = Rc<RefCell<Vec<(u64, u32, u32, OnReply)>>>;

/// A server whose engine keeps all watches and posts everything else at once.
async fn keeping(options: ServerOptions) -> (Server, Kept) {
    let kept = Kept::default();
    let keeper = kept.clone();
    let script = Script::new(move |command, on_reply| match command {
        Command::Watch { after, limit, wait_ms, .. } => keeper.borrow_mut().push((after, limit, wait_ms, on_reply)),
        command => on_reply(Reply::Posted(all_posted(&command, 1))),
    });
    (server(script, options).await, kept)
}

fn watch(number: u64, after: u64, limit: u32) -> Vec<u8> {
    request(Operation::Watch, number, 0, &encode_watch(after, limit, 60_000))
}

fn empty(seen: u64) -> Reply {
    Reply::TransactionPage(TransactionPage { seen, position: seen, ..TransactionPage::default() })
}

/// Lets the other tasks go on until the engine keeps `count` questions.
async fn until_kept(kept: &Kept, count: usize) {
    while kept.borrow().len() < count {
        tokio::task::yield_now().await;
    }
}

/// The next reply, which must be a page of request `number`.
async fn page(raw: &mut Raw, number: u64) -> TransactionPage {
    let (header, payload) = raw.reply().await.unwrap();
    assert_eq!((header.operation, header.flags, header.request), (Operation::Watch as u8 | 0x80, 0, number));
    codec::transactions::decode_page(header.count, &payload).unwrap()
}

/// The next reply, which must be an error of request `number` only.
async fn error(raw: &mut Raw, number: u64) -> ErrorCode {
    let (header, payload) = raw.reply().await.unwrap();
    assert_eq!((header.flags, header.request), (ERROR, number));
    ErrorCode::from_number(codec::errors::decode(&payload).unwrap().0).unwrap()
}

/// Posts one transfer and waits for the answer.
async fn post(raw: &mut Raw, number: u64) {
    raw.send(&request(Operation::PostTransfers, number, 1, &transfers(1, 1))).await;
    let (header, _) = raw.reply().await.unwrap();
    assert_eq!((header.operation, header.flags), (Operation::PostTransfers as u8 | 0x80, 0));
}

#[test]
fn a_watch_waits_for_one_transaction_and_then_reads_its_page() {
    local(async {
        let (server, kept) = keeping(options()).await;
        let mut raw = Raw::greeted(&server).await;
        let all = Random(1).transaction_page(30, 4, 100);
        raw.send(&watch(7, 5, 30)).await;
        until_kept(&kept, 1).await;
        let (after, limit, wait_ms, tell) = kept.borrow_mut().pop().unwrap();
        assert_eq!((after, limit), (5, 1));
        assert!((1..=5_000).contains(&wait_ms), "{wait_ms}");
        // The connection goes on meanwhile.
        post(&mut raw, 8).await;
        let one = TransactionPage { transactions: all.transactions[..1].to_vec(), ..all.clone() };
        tell(Reply::TransactionPage(one));
        until_kept(&kept, 1).await;
        let (after, limit, wait_ms, tell) = kept.borrow_mut().pop().unwrap();
        assert_eq!((after, limit, wait_ms), (5, 30, 0));
        tell(Reply::TransactionPage(all.clone()));
        assert_eq!(page(&mut raw, 7).await, all);
    });
}

#[test]
fn a_watch_is_asked_slice_by_slice_and_answered_empty_at_its_end() {
    local(async {
        // An engine that looked at rows of others meanwhile, and answers when the time that it was given is over.
        let asked: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = asked.clone();
        let script = Script::new(move |command, on_reply| {
            let Command::Watch { after, wait_ms, .. } = command else { panic!("only watches") };
            log.borrow_mut().push(after);
            tokio::task::spawn_local(async move {
                let until = std::time::Instant::now() + Duration::from_millis(u64::from(wait_ms));
                while std::time::Instant::now() < until {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                on_reply(empty(after + 10));
            });
        });
        let options = ServerOptions { watch_slice: Duration::from_millis(10), ..options() };
        let server = server(script, options).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&request(Operation::Watch, 1, 0, &encode_watch(5, 3, 100))).await;
        let page = page(&mut raw, 1).await;
        let slices = asked.borrow().len() as u64;
        assert!((2..=10).contains(&slices), "{slices}");
        assert_eq!((page.transactions.len(), page.seen), (0, 5 + 10 * slices), "nobody looks at those rows again");
        assert!(asked.borrow().iter().enumerate().all(|(i, &after)| after == 5 + 10 * i as u64));
    });
}

#[test]
fn an_engine_that_answers_empty_before_the_time_is_not_asked_again() {
    local(async {
        let script = Script::new(|command, on_reply| {
            let Command::Watch { after, .. } = command else { panic!("only watches") };
            on_reply(empty(after));
        });
        let server = server(script, options()).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&watch(1, 5, 3)).await;
        assert_eq!(page(&mut raw, 1).await.seen, 5);
    });
}

#[test]
fn waiting_watches_hold_nothing_that_the_postings_of_others_need() {
    local(async {
        let options = ServerOptions {
            in_flight_rows_max: 1,
            in_flight_bytes_max: 1,
            connection_bytes_max: 1,
            watch_bytes_max: 1,
            watch_replies_bytes_max: 1,
            ..options()
        };
        let (server, kept) = keeping(options).await;
        let mut watchers = Vec::new();
        for _ in 0..20 {
            let mut raw = Raw::greeted(&server).await;
            for number in 1..=16 {
                raw.send(&watch(number, 5, 1_000)).await;
            }
            watchers.push(raw);
        }
        until_kept(&kept, 20 * 16).await;
        let mut poster = Raw::greeted(&server).await;
        post(&mut poster, 1).await;
        post(&mut watchers[0], 17).await;
        // Pages are read one after the other, as the room for them says; postings pass them all the time.
        let all = Random(2).transaction_page(3, 4, 10);
        for (.., tell) in kept.take() {
            tell(Reply::TransactionPage(all.clone()));
        }
        for _ in 0..20 * 16 {
            until_kept(&kept, 1).await;
            assert_eq!(kept.borrow().len(), 1);
            post(&mut poster, 2).await;
            let (.., tell) = kept.borrow_mut().pop().unwrap();
            tell(Reply::TransactionPage(all.clone()));
        }
        for raw in &mut watchers {
            let mut numbers = Vec::new();
            for _ in 0..16 {
                let (header, payload) = raw.reply().await.unwrap();
                assert_eq!(codec::transactions::decode_page(header.count, &payload).unwrap(), all);
                numbers.push(header.request);
            }
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
        }
    });
}

#[test]
fn watchers_that_do_not_read_hold_no_posting_up() {
    local(async {
        // Room for one posting at a time. A page is more than the sockets take between them.
        let options = ServerOptions { in_flight_bytes_max: 2_000, ..options() };
        let (server, kept) = keeping(options).await;
        let all = Random(5).transaction_page(1_000, 40, 4_096);
        let mut slow = Vec::new();
        for _ in 0..8 {
            let mut raw = Raw::greeted(&server).await;
            raw.send(&watch(1, 5, 1_000)).await;
            for _ in ["there is something", "the page"] {
                until_kept(&kept, 1).await;
                let (.., tell) = kept.borrow_mut().pop().unwrap();
                tell(Reply::TransactionPage(all.clone()));
            }
            slow.push(raw);
        }
        let mut raw = Raw::greeted(&server).await;
        for number in 1..=100 {
            post(&mut raw, number).await;
        }
    });
}

#[test]
fn one_watch_too_many_is_told_so_and_the_connection_goes_on() {
    local(async {
        let options = ServerOptions { connection_watches_max: 2, watches_max: 3, ..options() };
        let (server, kept) = keeping(options).await;
        let (mut first, mut second) = (Raw::greeted(&server).await, Raw::greeted(&server).await);
        for number in 1..=2 {
            first.send(&watch(number, 5, 1)).await;
        }
        first.send(&watch(3, 5, 1)).await;
        assert_eq!(error(&mut first, 3).await, ErrorCode::TooManyWatches, "on this connection");
        second.send(&watch(1, 5, 1)).await;
        second.send(&watch(2, 5, 1)).await;
        assert_eq!(error(&mut second, 2).await, ErrorCode::TooManyWatches, "on the server");
        post(&mut first, 4).await;
        until_kept(&kept, 3).await;
        // One that is answered makes room for one.
        let (.., tell) = kept.borrow_mut().remove(0);
        tell(Reply::Failed("segment 3".into()));
        assert_eq!(error(&mut first, 1).await, ErrorCode::HistoryUnreadable);
        second.send(&watch(3, 5, 1)).await;
        until_kept(&kept, 3).await;
        first.send(&watch(5, 5, 1)).await;
        assert_eq!(error(&mut first, 5).await, ErrorCode::TooManyWatches);
    });
}

#[test]
fn a_connection_that_dies_while_its_watch_waits_leaves_nothing_behind() {
    local(async {
        let (server, kept) = keeping(ServerOptions { watches_max: 4, ..options() }).await;
        for _ in 0..5 {
            let mut raw = Raw::greeted(&server).await;
            for number in 1..=4 {
                raw.send(&watch(number, 5, 1_000)).await;
            }
            until_kept(&kept, 4).await;
            drop(raw);
            // The connection ends although the engine still has the questions.
            while server.connections() > 0 {
                tokio::task::yield_now().await;
            }
            let mut other = Raw::greeted(&server).await;
            other.send(&watch(1, 5, 1_000)).await;
            assert_eq!(error(&mut other, 1).await, ErrorCode::TooManyWatches, "until the engine has forgotten them");
            for (i, (.., tell)) in kept.take().into_iter().enumerate() {
                if i % 2 == 0 { tell(empty(5)) } else { drop(tell) }
            }
            // With a page that comes too late for anybody.
            other.send(&watch(2, 5, 1_000)).await;
            until_kept(&kept, 1).await;
            drop(other);
            while server.connections() > 0 {
                tokio::task::yield_now().await;
            }
            let (.., tell) = kept.borrow_mut().pop().unwrap();
            tell(Reply::TransactionPage(Random(3).transaction_page(3, 4, 10)));
            assert!(kept.borrow().is_empty());
        }
    });
}

#[test]
fn a_connection_that_dies_while_its_page_is_read_leaves_nothing_behind() {
    local(async {
        let (server, kept) = keeping(ServerOptions { watches_max: 1, watch_bytes_max: 1, ..options() }).await;
        let all = Reply::TransactionPage(Random(4).transaction_page(3, 4, 10));
        let Reply::TransactionPage(all) = all else { unreachable!() };
        for _ in 0..5 {
            let mut raw = Raw::greeted(&server).await;
            raw.send(&watch(1, 5, 1_000)).await;
            until_kept(&kept, 1).await;
            let (.., tell) = kept.borrow_mut().pop().unwrap();
            tell(Reply::TransactionPage(all.clone()));
            until_kept(&kept, 1).await;
            drop(raw);
            // The page is being read: only then is its room free.
            let (.., tell) = kept.borrow_mut().pop().unwrap();
            tell(Reply::TransactionPage(all.clone()));
            while server.connections() > 0 {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn whoever_ends_its_side_gets_its_watches_answered_and_all_that_it_asked() {
    local(async {
        let (server, kept) = keeping(options()).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&watch(1, 5, 10)).await;
        until_kept(&kept, 1).await;
        raw.stream.shutdown().await.unwrap();
        let page = page(&mut raw, 1).await;
        assert_eq!((page.seen, page.transactions.len(), page.more), (5, 0, false));
        assert!(raw.reply().await.is_none());
    });
}

#[test]
fn a_server_that_stops_answers_watches_and_then_says_so() {
    local(async {
        let (server, kept) = keeping(options()).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&watch(1, 5, 10)).await;
        until_kept(&kept, 1).await;
        let stop = tokio::task::spawn_local(server.stop());
        assert_eq!(page(&mut raw, 1).await.seen, 5);
        assert_eq!(raw.closing_error().await, ErrorCode::ShuttingDown);
        drop(raw);
        stop.await.unwrap();
    });
}

#[test]
fn an_engine_that_drops_a_watch_ends_the_connection_with_an_error() {
    local(async {
        // Once while it waits, once while its page is read.
        for drops_at in 1..=2 {
            let asked = Cell::new(0);
            let script = Script::new(move |_, on_reply| {
                asked.set(asked.get() + 1);
                if asked.get() < drops_at {
                    on_reply(Reply::TransactionPage(Random(5).transaction_page(1, 4, 10)));
                }
            });
            let server = server(script, options()).await;
            let mut raw = Raw::greeted(&server).await;
            raw.send(&watch(1, 5, 10)).await;
            assert_eq!(raw.closing_error().await, ErrorCode::Internal);
        }
    });
}

#[test]
fn a_page_that_nobody_reads_holds_up_neither_postings_nor_other_watches() {
    local(async {
        let all = Random(6).transaction_page(1_000, 30, 100);
        let script = Script::new(move |command, on_reply| match command {
            Command::Watch { limit, .. } => {
                let transactions = all.transactions[..limit as usize].to_vec();
                on_reply(Reply::TransactionPage(TransactionPage { transactions, ..all.clone() }));
            }
            command => on_reply(Reply::Posted(all_posted(&command, 1))),
        });
        let server = server(script, options()).await;
        // Nobody reads these: more than the socket's buffers take.
        let mut deaf = Vec::new();
        for _ in 0..4 {
            let mut raw = Raw::greeted(&server).await;
            for number in 1..=16 {
                raw.send(&watch(number, 5, 1_000)).await;
            }
            deaf.push(raw);
        }
        let mut other = Raw::greeted(&server).await;
        for number in 1..=20 {
            post(&mut other, number).await;
            other.send(&watch(100, 5, 10)).await;
            assert_eq!(page(&mut other, 100).await.transactions.len(), 10);
        }
        drop(deaf);
        while server.connections() > 1 {
            post(&mut other, 21).await;
        }
    });
}
