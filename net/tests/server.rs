//! The server against raw connections, with a scripted engine: what it takes, what it refuses, and how.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Random, Raw, Script, all_posted, hello, local, options, request, server, transfers};
use florin_core::entry::{PostReply, ResultRun};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, TransferRow};
use florin_engine::{Command, OnReply, Reply};
use florin_net::header::{ERROR, Header, Operation, REPLY_BIT};
use florin_net::limits::{HEADER_BYTES, READ_CHUNK_BYTES};
use florin_net::{ErrorCode, ServeError, ServerOptions, codec, serve};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn an_address_that_others_can_reach_is_refused_with_the_reason() {
    local(async {
        for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7110"] {
            let addr: std::net::SocketAddr = addr.parse().unwrap();
            let error = serve(addr, Script::posts(), ServerOptions::default()).await.unwrap_err();
            assert!(matches!(error, ServeError::NotLoopback(_)), "{error}");
            assert!(error.to_string().contains("no authentication"), "{error}");
        }
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        assert!(matches!(serve(listener, Script::posts(), options()).await.unwrap_err(), ServeError::NotLoopback(_)));
    });
}

#[test]
fn hello_names_the_version_and_the_limits() {
    local(async {
        let server = server(Script::posts(), options()).await;
        let mut raw = Raw::connect(&server).await;
        raw.send(&hello()).await;
        let (header, payload) = raw.reply().await.unwrap();
        assert_eq!(header.operation, Operation::Hello as u8 | REPLY_BIT);
        let reply = codec::hello::HelloReply::decode(&payload).unwrap();
        assert_eq!((reply.version, reply.institution, reply.transactions_max), (1, 1, 8_190));
        assert_eq!((reply.request_bytes_max, reply.openings_max, reply.postings_max), (1 << 20, 5_461, 254));
        assert_eq!((reply.transaction_page_max, reply.watch_wait_ms_max), (1_000, 60_000));
        assert_eq!((reply.attributes_bytes_max, reply.reason_bytes_max), (1_024, 200));
    });
}

#[test]
fn each_connection_has_a_number_of_its_own_that_the_engine_is_told() {
    local(async {
        let seen: Rc<RefCell<Vec<u64>>> = Rc::default();
        let log = seen.clone();
        let script = Script::with_origins(move |origin, command, on_reply| {
            log.borrow_mut().push(origin);
            match command {
                Command::Post { .. } => on_reply(Reply::Posted(all_posted(&command, 1))),
                _ => on_reply(Reply::TransactionPage(Random(1).transaction_page(1, 4, 10))),
            }
        });
        let servers = [server(script.clone(), options()).await, server(script, options()).await];
        let mut origins = std::collections::BTreeSet::new();
        for i in 0..6 {
            let mut raw = Raw::greeted(&servers[i % 2]).await;
            for number in [1, 2] {
                raw.send(&request(Operation::PostTransfers, number, 1, &alone(1))).await;
                raw.reply().await.unwrap();
            }
            raw.send(&request(Operation::Watch, 3, 0, &codec::questions::encode_watch(0, 5, 10))).await;
            raw.reply().await.unwrap();
            let told: Vec<_> = seen.borrow_mut().drain(..).collect();
            assert_eq!((told.len(), told[0] > 0), (4, true));
            assert!(told.iter().all(|origin| *origin == told[0]), "{told:?}");
            assert!(origins.insert(told[0]), "no other connection of the process had this number");
        }
    });
}

#[test]
fn whoever_says_nothing_is_cut_and_whoever_is_silent_after_hello_is_not() {
    local(async {
        let server =
            server(Script::posts(), ServerOptions { handshake_timeout: SHORT, frame_timeout: SHORT, ..options() })
                .await;
        let mut idle = Raw::greeted(&server).await;
        let mut silent = Raw::connect(&server).await;
        assert_eq!(silent.closing_error().await, ErrorCode::HandshakeTimeout);
        let mut half = Raw::connect(&server).await;
        half.send(&hello()[..60]).await;
        assert_eq!(half.closing_error().await, ErrorCode::HandshakeTimeout);
        // More than a frame's time has passed; the idle one is served.
        idle.send(&request(Operation::Ping, 1, 0, &[])).await;
        assert_eq!(idle.reply().await.unwrap().0.request, 1);
    });
}

#[test]
fn a_frame_that_is_begun_and_not_ended_is_cut() {
    local(async {
        let server = server(Script::posts(), ServerOptions { frame_timeout: SHORT, ..options() }).await;
        let frame = request(Operation::PostTransfers, 1, 8_190, &transfers(1, 8_190));
        for sent in [1, 47, 48, 49, 1_000, READ_CHUNK_BYTES, READ_CHUNK_BYTES + 1, frame.len() - 1] {
            let mut raw = Raw::greeted(&server).await;
            raw.send(&frame[..sent]).await;
            assert_eq!(raw.closing_error().await, ErrorCode::SlowSender, "after {sent} bytes");
        }
    });
}

#[test]
fn a_connection_that_ends_within_a_frame_is_told_so() {
    use tokio::io::AsyncWriteExt;
    local(async {
        let server = server(Script::posts(), options()).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))[..100]).await;
        raw.stream.shutdown().await.unwrap();
        assert_eq!(raw.closing_error().await, ErrorCode::FrameCut);
        // Between frames it is no fault, and what was asked is answered.
        let mut raw = Raw::greeted(&server).await;
        raw.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))).await;
        raw.stream.shutdown().await.unwrap();
        assert_eq!(raw.reply().await.unwrap().0.request, 1);
        assert!(raw.reply().await.is_none());
    });
}

#[test]
fn requests_enter_in_the_order_they_came_however_the_bytes_are_cut() {
    local(async {
        // Of each transfer, however the server merges small requests that came together.
        let seen: Rc<RefCell<Vec<u128>>> = Rc::default();
        let log = seen.clone();
        let server = server(
            Script::new(move |command, on_reply| {
                let reply = all_posted(&command, 1);
                let Command::Post { request, .. } = command else { panic!("only posts are sent") };
                assert!((0..request.count()).all(|i| request.check_shape(i, &request.item(i)).is_ok()));
                log.borrow_mut().extend((0..request.count()).map(|i| request.id(i)));
                on_reply(Reply::Posted(reply));
            }),
            options(),
        )
        .await;
        let mut random = Random(11);
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for number in 1..=60u64 {
            let count = [1, 2, 30, 100, 600, 8_190][random.below(6)];
            bytes.extend(request(
                Operation::PostTransfers,
                number,
                count as u32,
                &transfers(u128::from(number) * 10_000, count),
            ));
            expected.push((u128::from(number) * 10_000, count));
        }
        let raw = Raw::greeted(&server).await;
        let (mut read, mut write) = raw.stream.into_split();
        let writer = tokio::task::spawn_local(async move {
            use tokio::io::AsyncWriteExt;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let bound = [10, 200, 70_000, 2_000_000][random.below(4)];
                let (now, later) = rest.split_at(rest.len().min(1 + random.below(bound)));
                write.write_all(now).await.unwrap();
                tokio::task::yield_now().await;
                rest = later;
            }
            write
        });
        for number in 1..=60u64 {
            use tokio::io::AsyncReadExt;
            let mut header = [0; HEADER_BYTES];
            read.read_exact(&mut header).await.unwrap();
            let header = Header::decode(&header).unwrap();
            assert_eq!((header.request, header.flags & ERROR), (number, 0));
            let mut payload = vec![0; header.length as usize];
            read.read_exact(&mut payload).await.unwrap();
            let reply = codec::posts::decode(header.count, &payload).unwrap();
            assert_eq!(reply.count(), expected[number as usize - 1].1);
        }
        drop(writer.await.unwrap());
        let ids = expected.iter().flat_map(|&(first, count)| first..first + count as u128);
        assert!(seen.borrow().iter().copied().eq(ids), "all transfers, in order");
    });
}

#[test]
fn replies_may_overtake_each_other_and_keep_their_numbers() {
    local(async {
        let held: Rc<RefCell<Vec<(Command, OnReply)>>> = Rc::default();
        let (holder, count) = (held.clone(), Rc::new(Cell::new(0)));
        let server = server(
            Script::new(move |command, on_reply| {
                holder.borrow_mut().push((command, on_reply));
                count.set(count.get() + 1);
                if count.get() == 5 {
                    for (command, on_reply) in holder.borrow_mut().drain(..).rev() {
                        on_reply(Reply::Posted(all_posted(&command, 1)));
                    }
                }
            }),
            options(),
        )
        .await;
        let mut raw = Raw::greeted(&server).await;
        for number in 1..=5 {
            raw.send(&request(Operation::PostTransfers, number, 1, &alone(1))).await;
        }
        for number in (1..=5).rev() {
            assert_eq!(raw.reply().await.unwrap().0.request, number);
        }
    });
}

/// Transfers of which the first has a voucher, so that they are not merged with those of other requests.
fn alone(rows: usize) -> Vec<u8> {
    let mut payload = transfers(1, rows).to_vec();
    let voucher_length = std::mem::offset_of!(TransferRow, voucher_length);
    payload[voucher_length] = 1;
    payload.push(b'v');
    payload
}

#[test]
fn requests_that_are_merged_stay_below_the_caps_too() {
    local(async {
        for (options, most) in [
            (ServerOptions { connection_requests_max: 3, ..options() }, 3),
            (ServerOptions { connection_bytes_max: 1_000, ..options() }, 2),
            (ServerOptions { in_flight_bytes_max: 1_000, ..options() }, 2),
            (ServerOptions { in_flight_rows_max: 4, ..options() }, 4),
        ] {
            let counts: Rc<RefCell<Vec<usize>>> = Rc::default();
            let seen = counts.clone();
            let script = Script::new(move |command, on_reply| {
                let reply = all_posted(&command, 1);
                seen.borrow_mut().push(reply.count());
                on_reply(Reply::Posted(reply));
            });
            let server = server(script, options).await;
            let mut raw = Raw::greeted(&server).await;
            let all: Vec<u8> =
                (1..=10).flat_map(|number| request(Operation::PostTransfers, number, 1, &transfers(1, 1))).collect();
            raw.send(&all).await;
            for number in 1..=10 {
                assert_eq!(raw.reply().await.unwrap().0.request, number);
            }
            assert_eq!(counts.borrow().iter().sum::<usize>(), 10);
            assert!(counts.borrow().iter().all(|&count| count <= most), "{:?} of at most {most}", counts.borrow());
        }
    });
}

/// Sends requests that are not answered until `release`, and says how many the engine has got when no more come in.
async fn taken_without_answers(options: ServerOptions, connections: usize, requests: usize, rows: usize) -> Vec<usize> {
    let held: Rc<RefCell<Vec<(Command, OnReply)>>> = Rc::default();
    let holder = held.clone();
    let server =
        server(Script::new(move |command, on_reply| holder.borrow_mut().push((command, on_reply))), options).await;
    let mut raws = Vec::new();
    for _ in 0..connections {
        let mut raw = Raw::greeted(&server).await;
        for number in 1..=requests {
            raw.send(&request(Operation::PostTransfers, number as u64, rows as u32, &alone(rows))).await;
        }
        raws.push(raw);
    }
    let mut rounds = Vec::new();
    let mut total = 0;
    while total < connections * requests {
        // All tasks run on this thread: once a fresh connection is greeted after many turns, the others have read all
        // that they may.
        for _ in 0..20 {
            drop(Raw::greeted(&server).await);
        }
        let batch: Vec<_> = held.borrow_mut().drain(..).collect();
        assert!(!batch.is_empty(), "nothing more is taken after {total}");
        total += batch.len();
        rounds.push(batch.len());
        for (command, on_reply) in batch {
            on_reply(Reply::Posted(all_posted(&command, 1)));
        }
    }
    for mut raw in raws {
        for _ in 0..requests {
            assert_eq!(raw.reply().await.unwrap().0.flags & ERROR, 0);
        }
    }
    rounds
}

#[test]
fn a_connection_takes_no_more_requests_than_its_cap() {
    local(async {
        let rounds = taken_without_answers(ServerOptions { connection_requests_max: 3, ..options() }, 1, 10, 1).await;
        assert_eq!(rounds, [3, 3, 3, 1]);
    });
}

#[test]
fn a_connection_takes_no_more_bytes_than_its_cap_but_always_one_request() {
    local(async {
        let rounds = taken_without_answers(ServerOptions { connection_bytes_max: 1_000, ..options() }, 1, 7, 1).await;
        assert_eq!(rounds, [2, 2, 2, 1]);
        let rounds = taken_without_answers(ServerOptions { connection_bytes_max: 10, ..options() }, 1, 3, 10).await;
        assert_eq!(rounds, [1, 1, 1]);
    });
}

#[test]
fn reads_without_an_answer_hold_no_posting_up() {
    local(async {
        let kept: Rc<RefCell<Vec<OnReply>>> = Rc::default();
        let keeper = kept.clone();
        let script = Script::new(move |command, on_reply| match command {
            Command::Assets => keeper.borrow_mut().push(on_reply),
            command => on_reply(Reply::Posted(all_posted(&command, 1))),
        });
        // One read takes all that there is for reads.
        let server = server(script, ServerOptions { in_flight_bytes_max: 1, reading_bytes_max: 1, ..options() }).await;
        let mut readers = Vec::new();
        for _ in 0..3 {
            let mut raw = Raw::greeted(&server).await;
            raw.send(&request(Operation::Assets, 1, 0, &[])).await;
            readers.push(raw);
        }
        while kept.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let mut poster = Raw::greeted(&server).await;
        poster.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))).await;
        let (header, _) = poster.reply().await.unwrap();
        assert_eq!((header.operation, header.flags), (Operation::PostTransfers as u8 | 0x80, 0));
        assert_eq!(kept.borrow().len(), 1, "the other reads wait for their turn");
    });
}

#[test]
fn all_connections_together_take_no_more_rows_and_bytes_than_the_budgets() {
    local(async {
        let rounds = taken_without_answers(ServerOptions { in_flight_rows_max: 10, ..options() }, 4, 3, 2).await;
        assert!(rounds.iter().all(|&taken| taken <= 5), "{rounds:?}");
        assert_eq!(rounds[0], 5);
        let rounds = taken_without_answers(ServerOptions { in_flight_bytes_max: 2_000, ..options() }, 4, 3, 1).await;
        assert!(rounds.iter().all(|&taken| taken <= 4), "{rounds:?}");
        // A request larger than the whole budget goes alone.
        let rounds = taken_without_answers(ServerOptions { in_flight_rows_max: 1, ..options() }, 2, 2, 20).await;
        assert_eq!(rounds, [1, 1, 1, 1]);
    });
}

#[test]
fn large_frames_wait_for_room_to_be_received_and_all_come_through() {
    local(async {
        let options = ServerOptions { receiving_bytes_max: 1_500_000, ..options() };
        let server = server(Script::posts(), options).await;
        let frame = Rc::new(request(Operation::PostTransfers, 1, 8_190, &transfers(1, 8_190)));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (frame, addr) = (frame.clone(), server.local_addr());
                tokio::task::spawn_local(async move {
                    let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
                    let mut raw = Raw { stream };
                    raw.send(&hello()).await;
                    raw.reply().await.unwrap();
                    raw.send(&frame).await;
                    assert_eq!(raw.reply().await.unwrap().0.flags & ERROR, 0);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_peer_that_does_not_read_is_cut_and_its_permits_come_back() {
    local(async {
        let account = Random(5).account();
        let server = server(
            Script::new(move |_, on_reply| {
                on_reply(Reply::Accounts { accounts: vec![Some(account.clone()); 8_190], position: 1 });
            }),
            ServerOptions { write_timeout: SHORT, connection_requests_max: 4, in_flight_rows_max: 40_000, ..options() },
        )
        .await;
        let mut deaf = Raw::greeted(&server).await;
        let ask = request(Operation::LookUpAccounts, 1, 8_190, &[1; 16 * 8_190]);
        for _ in 0..4 {
            deaf.send(&ask).await;
        }
        // It is cut although it never closes; only then is there room for others to be served without end.
        let mut other = Raw::greeted(&server).await;
        for _ in 0..10 {
            other.send(&ask).await;
            assert_eq!(other.reply().await.unwrap().0.count, 8_190);
        }
        while server.connections() > 1 {
            other.send(&request(Operation::Ping, 1, 0, &[])).await;
            other.reply().await.unwrap();
        }
        drop(deaf);
    });
}

#[test]
fn one_connection_too_many_is_told_so() {
    local(async {
        let server = server(Script::posts(), ServerOptions { connections_max: 2, ..options() }).await;
        let first = Raw::greeted(&server).await;
        let _second = Raw::greeted(&server).await;
        assert_eq!(Raw::connect(&server).await.closing_error().await, ErrorCode::TooManyConnections);
        drop(first);
        while server.connections() > 1 {
            tokio::task::yield_now().await;
        }
        Raw::greeted(&server).await;
    });
}

#[test]
fn a_server_that_stops_answers_what_it_took_and_then_says_so() {
    local(async {
        let held: Rc<RefCell<Vec<(Command, OnReply)>>> = Rc::default();
        let holder = held.clone();
        let server =
            server(Script::new(move |command, on_reply| holder.borrow_mut().push((command, on_reply))), options())
                .await;
        let mut raw = Raw::greeted(&server).await;
        let mut idle = Raw::greeted(&server).await;
        raw.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))).await;
        while held.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        let stop = tokio::task::spawn_local(server.stop());
        assert_eq!(idle.closing_error().await, ErrorCode::ShuttingDown);
        // Not taken any more.
        raw.send(&request(Operation::PostTransfers, 2, 1, &transfers(2, 1))).await;
        let (command, on_reply) = held.borrow_mut().pop().unwrap();
        on_reply(Reply::Posted(all_posted(&command, 1)));
        assert_eq!(raw.reply().await.unwrap().0.request, 1);
        assert_eq!(raw.closing_error().await, ErrorCode::ShuttingDown);
        drop((raw, idle));
        stop.await.unwrap();
        assert!(held.borrow().is_empty());
    });
}

#[test]
fn an_engine_that_is_shutting_down_ends_the_connection_with_that_error() {
    local(async {
        let server = server(
            Script::new(|_, on_reply| {
                let first =
                    ItemResult { outcome: Outcome::ShuttingDown, repeat: false, detail: 0, sequence: 0, booked_at: 0 };
                on_reply(Reply::Posted(PostReply { runs: vec![ResultRun { count: 1, first }], postings: vec![] }));
            }),
            options(),
        )
        .await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))).await;
        assert_eq!(raw.closing_error().await, ErrorCode::ShuttingDown);
    });
}

#[test]
fn an_engine_that_drops_a_request_ends_the_connection_with_an_error() {
    local(async {
        let server = server(Script::new(|_, on_reply| drop(on_reply)), options()).await;
        let mut raw = Raw::greeted(&server).await;
        raw.send(&request(Operation::PostTransfers, 1, 1, &transfers(1, 1))).await;
        assert_eq!(raw.closing_error().await, ErrorCode::Internal);
    });
}

#[test]
fn a_read_that_fails_is_an_error_of_that_request_only() {
    local(async {
        let server =
            server(Script::new(|_, on_reply| on_reply(Reply::Failed("segment 3, offset 4096".into()))), options())
                .await;
        let mut raw = Raw::greeted(&server).await;
        for number in 1..=2 {
            raw.send(&request(Operation::LookUpTransactions, number, 1, &[1; 16])).await;
            let (header, payload) = raw.reply().await.unwrap();
            assert_eq!((header.request, header.flags), (number, ERROR));
            let (code, message) = codec::errors::decode(&payload).unwrap();
            assert_eq!(ErrorCode::from_number(code), Some(ErrorCode::HistoryUnreadable));
            assert_eq!(message, "segment 3, offset 4096");
        }
    });
}

#[test]
fn a_closed_connection_leaves_nothing_behind_when_its_answers_come_later() {
    local(async {
        let held: Rc<RefCell<Vec<(Command, OnReply)>>> = Rc::default();
        let holder = held.clone();
        let server = server(
            Script::new(move |command, on_reply| holder.borrow_mut().push((command, on_reply))),
            ServerOptions { in_flight_rows_max: 3, ..options() },
        )
        .await;
        for _ in 0..5 {
            let mut raw = Raw::greeted(&server).await;
            for number in 1..=3 {
                raw.send(&request(Operation::PostTransfers, number, 1, &alone(1))).await;
            }
            while held.borrow().len() < 3 {
                tokio::task::yield_now().await;
            }
            drop(raw);
            for (command, on_reply) in held.borrow_mut().drain(..) {
                on_reply(Reply::Posted(all_posted(&command, 1)));
            }
        }
        while server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
}
