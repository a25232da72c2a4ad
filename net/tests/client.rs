//! The client's connection: shared, lost, made again; against a scripted engine and a listener that the test plays
//! itself.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Random, Script, all_posted, local, options, server};
use florin_core::entry::{PostReply, Status, TransactionPage};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostForm, PostRequest};
use florin_engine::{Command, Reply};
use florin_net::codec::hello::HelloReply;
use florin_net::codec::replies::{self, Asked};
use florin_net::header::{Header, Operation};
use florin_net::limits::HEADER_BYTES;
use florin_net::{
    AccountChange, Client, ClientError, ClientOptions, ErrorCode, ProtocolError, ServerOptions, Transaction, codec,
    frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn assert_send_and_sync<T: Send + Sync + Clone>() {}

async fn connect(server: &florin_net::Server) -> Client {
    Client::connect(&server.local_addr().to_string(), ClientOptions::default()).await.unwrap()
}

#[test]
fn a_client_can_be_shared_between_threads() {
    assert_send_and_sync::<Client>();
}

#[test]
fn small_requests_that_came_together_are_one_for_the_engine_and_each_is_answered() {
    local(async {
        let counts: Rc<RefCell<Vec<usize>>> = Rc::default();
        let seen = counts.clone();
        let server = server(
            Script::new(move |command, on_reply| {
                let Command::Post { ref request, .. } = command else { panic!("only posts") };
                seen.borrow_mut().push(request.count());
                // Every third id is refused.
                let mut reply = PostReply::default();
                for index in 0..request.count() {
                    let sequence = request.id(index) as u64;
                    let outcome = if sequence.is_multiple_of(3) { Outcome::BelowFloor } else { Outcome::Posted };
                    reply.push(ItemResult { outcome, repeat: false, detail: 0, sequence, booked_at: sequence });
                }
                on_reply(Reply::Posted(reply));
            }),
            ServerOptions { connection_requests_max: 64, ..options() },
        )
        .await;
        let client = connect(&server).await;
        let tasks: Vec<_> = (1..=500u128)
            .map(|id| {
                let client = client.clone();
                tokio::spawn(async move {
                    let transactions =
                        [Transaction::transfer(2 * id, 1, 2, 1, 1), Transaction::transfer(2 * id + 1, 1, 2, 1, 1)];
                    let reply = client.post(&transactions, false).await.unwrap();
                    let results: Vec<_> = reply.items().map(|r| (u128::from(r.sequence), r.outcome)).collect();
                    let of = |id: u128| (id, if id.is_multiple_of(3) { Outcome::BelowFloor } else { Outcome::Posted });
                    assert_eq!(results, [of(2 * id), of(2 * id + 1)]);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let counts = counts.borrow();
        assert_eq!(counts.iter().sum::<usize>(), 1_000);
        assert!(counts.iter().all(|&count| count <= 128), "no more than may be in flight: {counts:?}");
        assert!(counts.len() < 250, "requests that came together are merged: {counts:?}");
    });
}

#[test]
fn callers_that_share_a_connection_all_get_their_own_answers() {
    local(async {
        // Answers come in another order than the questions.
        let held: Rc<RefCell<Vec<_>>> = Rc::default();
        let random = RefCell::new(Random(6));
        let server = server(
            Script::new(move |command, on_reply| {
                let Command::Post { ref request, .. } = command else { panic!("only posts") };
                let reply = all_posted(&command, request.id(0) as u64);
                let mut held = held.borrow_mut();
                held.push((reply, on_reply));
                while held.len() > 20 {
                    let index = random.borrow_mut().below(held.len());
                    let (reply, on_reply) = held.swap_remove(index);
                    on_reply(Reply::Posted(reply));
                }
                if request.id(0) > 2_900 {
                    held.drain(..).for_each(|(reply, on_reply)| on_reply(Reply::Posted(reply)));
                }
            }),
            ServerOptions { connection_requests_max: 64, ..options() },
        )
        .await;
        let client = connect(&server).await;
        let tasks: Vec<_> = (1..=3_000u128)
            .map(|id| {
                let client = client.clone();
                tokio::spawn(async move {
                    // Asked for postings too, a request is not merged with others: each is held by itself.
                    let reply = client.post(&[Transaction::transfer(id, 1, 2, 1, 1)], true).await.unwrap();
                    assert_eq!(reply.runs[0].first.sequence, id as u64);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// A server that a test plays by hand.
struct ByHand {
    listener: TcpListener,
}

/// One connection of it.
struct Peer {
    stream: TcpStream,
}

impl ByHand {
    async fn new() -> ByHand {
        ByHand { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn addr(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// The next connection, greeted.
    async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer { stream };
        let (header, payload) = peer.request().await.unwrap();
        assert_eq!(header.operation, Operation::Hello as u8);
        codec::hello::Hello::decode(&payload).unwrap();
        let asked = Asked { operation: Operation::Hello, flags: 0, institution: 1, request: header.request };
        let mut out = Vec::new();
        frame::append(&mut out, asked.header(), |out, _| HelloReply::of_this_build(1, 64).encode(out));
        peer.stream.write_all(&out).await.unwrap();
        peer
    }
}

impl Peer {
    async fn request(&mut self) -> Option<(Header, Vec<u8>)> {
        let bytes = self.bytes().await?;
        let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
        Some((header, bytes[HEADER_BYTES..].to_vec()))
    }

    /// The bytes of the next request.
    async fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.stream.read_exact(&mut bytes).await.ok()?;
        let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
        bytes.resize(HEADER_BYTES + header.length as usize, 0);
        self.stream.read_exact(&mut bytes[HEADER_BYTES..]).await.ok()?;
        Some(bytes)
    }

    async fn answer(&mut self, bytes: &[u8], sequence: u64) {
        let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
        let operation = Operation::from_byte(header.operation).unwrap();
        let reply = match operation {
            Operation::PostTransfers => {
                let payload = bytes[HEADER_BYTES..].to_vec().into();
                let request = PostRequest::parse(1, 0, PostForm::Transfers, header.count, payload).unwrap();
                Reply::Posted(all_posted(&Command::Post { request, want_postings: false }, sequence))
            }
            _ => Reply::Assets(vec![]),
        };
        self.answer_with(bytes, &reply).await;
    }

    async fn answer_with(&mut self, bytes: &[u8], reply: &Reply) {
        let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
        let operation = Operation::from_byte(header.operation).unwrap();
        let mut out = Vec::new();
        let asked = Asked { operation, flags: header.flags, institution: 1, request: header.request };
        replies::append(&mut out, &asked, reply);
        self.stream.write_all(&out).await.unwrap();
    }

    async fn error(&mut self, operation: Operation, request: u64, code: ErrorCode) {
        let mut out = Vec::new();
        codec::errors::append(&mut out, operation as u8, request, &ProtocolError::new(code, "by hand"));
        self.stream.write_all(&out).await.unwrap();
    }
}

fn post(client: &Client, id: u128) -> tokio::task::JoinHandle<Result<PostReply, ClientError>> {
    let client = client.clone();
    tokio::spawn(async move { client.post(&[Transaction::transfer(id, 1, 2, 1, 1)], false).await })
}

#[test]
fn a_lost_connection_is_made_again_and_the_same_bytes_are_sent_in_the_same_order() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let (client, first) = tokio::join!(Client::connect(&addr, ClientOptions::default()), by_hand.accept());
        let (client, mut first) = (client.unwrap(), first);
        let calls: Vec<_> = (1..=5).map(|id| post(&client, id)).collect();
        let mut sent = Vec::new();
        for _ in 0..5 {
            sent.push(first.bytes().await.unwrap());
        }
        // One is answered, then the connection is lost; so is the next, within a frame.
        first.answer(&sent[1], 2).await;
        let answered = sent.remove(1);
        while !calls[1].is_finished() {
            tokio::task::yield_now().await;
        }
        drop(first);
        let mut second = by_hand.accept().await;
        let mut half = [0; 60];
        second.stream.read_exact(&mut half).await.unwrap();
        assert_eq!(half[..], sent[0][..60]);
        drop(second);
        let mut third = by_hand.accept().await;
        for bytes in &sent {
            assert_eq!(third.bytes().await.unwrap(), *bytes);
            assert_ne!(*bytes, answered);
        }
        for (i, bytes) in sent.iter().enumerate().rev() {
            third.answer(bytes, i as u64 + 10).await;
        }
        for call in calls {
            assert!(call.await.unwrap().unwrap().all_posted());
        }
    });
}

#[test]
fn a_watch_goes_on_over_a_new_connection_from_where_it_was() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let (client, first) = tokio::join!(Client::connect(&addr, ClientOptions::default()), by_hand.accept());
        let (client, mut first) = (client.unwrap(), first);
        let all = Random(9).transaction_page(6, 4, 10);
        let seen: Vec<_> = all.transactions.iter().map(|t| t.result.sequence).collect();
        let mut watch = client.watch(seen[0] - 1).with_limit(3);
        let reader = tokio::spawn(async move {
            let pages = [watch.next_page().await.unwrap(), watch.next_page().await.unwrap()];
            (pages, watch.seen())
        });
        // Lost while it waits: the same question again. Then an empty page: asked again from its end.
        let asked = first.bytes().await.unwrap();
        drop(first);
        let mut second = by_hand.accept().await;
        assert_eq!(second.bytes().await.unwrap(), asked);
        let page = |transactions: &[_], seen| {
            let transactions = transactions.to_vec();
            Reply::TransactionPage(TransactionPage { transactions, seen, more: false, position: all.position })
        };
        let after = |bytes: &[u8]| u64::from_le_bytes(bytes[HEADER_BYTES..HEADER_BYTES + 8].try_into().unwrap());
        assert_eq!(after(&asked), seen[0] - 1);
        second.answer_with(&asked, &page(&all.transactions[..3], seen[2])).await;
        let asked = second.bytes().await.unwrap();
        assert_eq!(after(&asked), seen[2]);
        second.answer_with(&asked, &page(&[], seen[3] - 1)).await;
        let asked = second.bytes().await.unwrap();
        assert_eq!(after(&asked), seen[3] - 1);
        second.answer_with(&asked, &page(&all.transactions[3..], all.seen)).await;
        let ([one, two], end) = reader.await.unwrap();
        assert_eq!([one.transactions, two.transactions].concat(), all.transactions);
        assert_eq!(end, all.seen);
    });
}

#[test]
fn a_page_that_goes_backwards_is_not_believed_and_the_position_stays() {
    local(async {
        let page = Random(10).transaction_page(3, 4, 10);
        let first = page.transactions[0].result.sequence;
        let backwards = TransactionPage { seen: first - 2, more: false, transactions: vec![], ..page.clone() };
        for (after, page) in [(first, page.clone()), (first - 1, backwards)] {
            let script = Script::new(move |_, on_reply| on_reply(Reply::TransactionPage(page.clone())));
            let server = server(script, options()).await;
            let client = connect(&server).await;
            let mut watch = client.watch(after);
            assert!(matches!(watch.next_page().await, Err(ClientError::Protocol(_))));
            assert_eq!(watch.seen(), after);
        }
    });
}

#[test]
fn a_deadline_ends_a_change_as_unknown_and_a_read_as_timed_out() {
    local(async {
        let by_hand = ByHand::new().await;
        let options = ClientOptions { deadline: Duration::from_millis(200), ..ClientOptions::default() };
        let addr = by_hand.addr();
        let (client, mut peer) = tokio::join!(Client::connect(&addr, options.clone()), by_hand.accept());
        let client = client.unwrap();
        let (posted, read) = (post(&client, 1), client.assets());
        let (read, _, _) = tokio::join!(read, peer.bytes(), peer_nothing());
        assert_eq!(read.unwrap_err(), ClientError::Timeout(options.deadline));
        assert_eq!(posted.await.unwrap().unwrap_err(), ClientError::Unknown);
        // The server was silent for a whole deadline: the client tries a new connection, and does not send there what
        // its caller was told is unknown.
        let call = post(&client, 2);
        let mut peer = by_hand.accept().await;
        let bytes = peer.bytes().await.unwrap();
        assert_eq!(bytes[HEADER_BYTES..HEADER_BYTES + 16], 2u128.to_le_bytes());
        peer.answer(&bytes, 1).await;
        assert!(call.await.unwrap().is_ok());
    });
}

async fn peer_nothing() {}

#[test]
fn a_change_that_was_never_sent_is_not_unknown_and_is_never_sent_later() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let options = ClientOptions { deadline: Duration::from_millis(100), in_flight: 1, ..ClientOptions::default() };
        let (client, peer) = tokio::join!(Client::connect(&addr, options), by_hand.accept());
        let client = client.unwrap();
        drop(peer);
        // Nobody accepts: the listener's queue takes the connection, no hello comes back, nothing is sent.
        let errors = [post(&client, 1).await.unwrap().unwrap_err(), post(&client, 2).await.unwrap().unwrap_err()];
        for error in errors {
            assert!(matches!(error, ClientError::Timeout(_) | ClientError::Unknown), "{error:?}");
        }
        let call = post(&client, 3);
        loop {
            let mut peer = by_hand.accept_or_dead().await;
            let Some(bytes) = peer.bytes().await else { continue };
            assert_eq!(bytes[HEADER_BYTES..HEADER_BYTES + 16], 3u128.to_le_bytes());
            break;
        }
        drop(call);
    });
}

impl ByHand {
    /// As `accept`, but the client may have given up on the connection already.
    async fn accept_or_dead(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer { stream };
        if peer.request().await.is_some() {
            let asked = Asked { operation: Operation::Hello, flags: 0, institution: 1, request: 0 };
            let mut out = Vec::new();
            frame::append(&mut out, asked.header(), |out, _| HelloReply::of_this_build(1, 64).encode(out));
            let _ = peer.stream.write_all(&out).await;
        }
        peer
    }
}

#[test]
fn without_reconnecting_a_lost_connection_leaves_changes_unknown() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let options = ClientOptions { reconnect: false, ..ClientOptions::default() };
        let (client, mut peer) = tokio::join!(Client::connect(&addr, options), by_hand.accept());
        let client = client.unwrap();
        let reader = client.clone();
        let (change, read) = (post(&client, 1), tokio::spawn(async move { reader.assets().await }));
        let freezer = client.clone();
        let freeze = AccountChange::freeze(9, 1, Status::Frozen, "why");
        let freeze = tokio::spawn(async move { freezer.change_accounts(&[freeze]).await });
        for _ in 0..3 {
            peer.bytes().await.unwrap();
        }
        drop(peer);
        assert_eq!(freeze.await.unwrap().unwrap_err(), ClientError::Unknown);
        assert_eq!(change.await.unwrap().unwrap_err(), ClientError::Unknown);
        assert!(matches!(read.await.unwrap().unwrap_err(), ClientError::Connect { .. }));
        // The client has ended; further calls say so at once.
        assert!(matches!(post(&client, 2).await.unwrap().unwrap_err(), ClientError::Connect { .. }));
    });
}

#[test]
fn a_request_that_the_server_refuses_fails_alone_and_the_others_are_sent_again() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let (client, mut peer) = tokio::join!(Client::connect(&addr, ClientOptions::default()), by_hand.accept());
        let client = client.unwrap();
        let (one, two) = (post(&client, 1), post(&client, 2));
        let bytes = [peer.bytes().await.unwrap(), peer.bytes().await.unwrap()];
        peer.error(Operation::PostTransfers, 1, ErrorCode::MalformedPayload).await;
        let error = one.await.unwrap().unwrap_err();
        assert_eq!(error.server_code(), Some(ErrorCode::MalformedPayload));
        drop(peer);
        let mut peer = by_hand.accept().await;
        assert_eq!(peer.bytes().await.unwrap(), bytes[1]);
        // A server that stops, and bytes that were spoilt on their way, are like a lost connection.
        for passing in
            [ErrorCode::ShuttingDown, ErrorCode::BadHeaderChecksum, ErrorCode::BadPayloadChecksum, ErrorCode::FrameCut]
        {
            peer.error(Operation::PostTransfers, 0, passing).await;
            drop(peer);
            peer = by_hand.accept().await;
            assert_eq!(peer.bytes().await.unwrap(), bytes[1], "{passing}");
        }
        // Sent on an earlier connection, so a refusal now does not tell whether it was applied then.
        peer.error(Operation::PostTransfers, 2, ErrorCode::MalformedPayload).await;
        assert_eq!(two.await.unwrap().unwrap_err(), ClientError::Unknown);
    });
}

#[test]
fn an_error_of_one_read_does_not_end_the_connection() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let (client, mut peer) = tokio::join!(Client::connect(&addr, ClientOptions::default()), by_hand.accept());
        let client = client.unwrap();
        let (result, ()) = tokio::join!(client.assets(), async {
            peer.bytes().await.unwrap();
            peer.error(Operation::Assets, 1, ErrorCode::HistoryUnreadable).await;
        });
        assert_eq!(result.unwrap_err().server_code(), Some(ErrorCode::HistoryUnreadable));
        let (result, ()) = tokio::join!(client.assets(), async {
            let bytes = peer.bytes().await.unwrap();
            peer.answer(&bytes, 1).await;
        });
        assert_eq!(result.unwrap(), []);
    });
}

#[test]
fn a_damaged_reply_is_not_believed_and_the_request_is_sent_again() {
    local(async {
        let by_hand = ByHand::new().await;
        let addr = by_hand.addr();
        let (client, mut peer) = tokio::join!(Client::connect(&addr, ClientOptions::default()), by_hand.accept());
        let client = client.unwrap();
        let call = post(&client, 1);
        let bytes = peer.bytes().await.unwrap();
        let mut damaged = Vec::new();
        let asked = Asked { operation: Operation::PostTransfers, flags: 0, institution: 1, request: 1 };
        replies::append(&mut damaged, &asked, &Reply::Posted(PostReply::default()));
        damaged[20] ^= 1;
        peer.stream.write_all(&damaged).await.unwrap();
        let mut peer = by_hand.accept().await;
        assert_eq!(peer.bytes().await.unwrap(), bytes);
        peer.answer(&bytes, 1).await;
        assert!(call.await.unwrap().is_ok());
    });
}

#[test]
fn the_last_handle_closes_the_connection() {
    local(async {
        let server = server(Script::posts(), options()).await;
        let client = connect(&server).await;
        let clone = client.clone();
        drop(client);
        clone.ping().await.unwrap();
        assert_eq!(server.connections(), 1);
        drop(clone);
        while server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_server_that_is_not_there_is_a_connect_error() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Client::connect(&addr, ClientOptions::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
        assert!(error.to_string().contains(&addr));
    });
}
