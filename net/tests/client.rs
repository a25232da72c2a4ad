//! The client: against a server with a scripted engine, and against a listener that the test plays itself.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Random, Script, all_posted, local, options, server};
use florin_core::asset::Asset;
use florin_core::entry::{PostReply, StatementToken};
use florin_core::outcome::Outcome;
use florin_core::request::{PostForm, PostRequest, PostingResult, Side};
use florin_engine::{Command, EngineStats, Reply};
use florin_net::codec::hello::HelloReply;
use florin_net::codec::replies::{self, Asked};
use florin_net::header::{Header, Operation};
use florin_net::limits::{HEADER_BYTES, OPENINGS_MAX};
use florin_net::{
    Client, ClientError, ClientOptions, ErrorCode, NewAccount, ProtocolError, ServerOptions, Transaction, codec, frame,
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
fn every_call_reaches_the_engine_as_it_was_meant_and_its_reply_comes_back() {
    let mut random = Random(1);
    let (account, transaction, page) = (random.account(), random.transaction(5, 10), random.page(3, 20));
    let asset = Asset { number: 1, code: "CZK".into(), scale: 2 };
    let (account2, transaction2, page2, asset2) = (account.clone(), transaction.clone(), page.clone(), asset.clone());
    let seen: Rc<RefCell<Vec<String>>> = Rc::default();
    let log = seen.clone();
    local(async {
        let script = Script::new(move |command, on_reply| {
            let mut posted = all_posted(&command, 9);
            let (said, reply) = match command {
                Command::Post { request, want_postings } => {
                    let first = request.transaction(0);
                    if want_postings {
                        posted.postings = vec![PostingResult { version: 3, balance: -7 }; 2 * request.count()];
                    }
                    let said = format!(
                        "{:?} {} {} {} {} {} {:?} {:?}",
                        request.form(),
                        request.institution,
                        first.id,
                        first.reference,
                        first.code,
                        first.value_date,
                        first.voucher,
                        first.postings.iter().collect::<Vec<_>>(),
                    );
                    (said, Reply::Posted(posted))
                }
                Command::Open(request) => {
                    let row = request.rows()[0];
                    row.check_shape().unwrap();
                    let said = format!("open {} {} {:?} {:?}", row.account, row.label(), row.floor(), row.ceiling());
                    (said, Reply::Posted(posted))
                }
                Command::Control(request) => (format!("{} {:?}", request.id, request.record), Reply::Posted(posted)),
                Command::LookUpAccounts { institution, ids } => (
                    format!("{institution} accounts {ids:?}"),
                    Reply::Accounts { accounts: vec![None, Some(account2.clone())], position: 4 },
                ),
                Command::ListAccounts { institution, after, limit } => (
                    format!("{institution} list {after} {limit}"),
                    Reply::AccountPage { accounts: vec![account2.clone()], position: 4 },
                ),
                Command::LookUpTransactions { institution, ids } => (
                    format!("{institution} transactions {ids:?}"),
                    Reply::Transactions { transactions: vec![Some(transaction2.clone()), None], position: 4 },
                ),
                Command::Statement { institution, account, from, limit } => {
                    let page = (account == 5).then(|| Box::new(page2.clone()));
                    (format!("{institution} statement {account} {from:?} {limit}"), Reply::Statement(page))
                }
                Command::Assets => ("assets".into(), Reply::Assets(vec![asset2.clone()])),
                Command::Stats => {
                    ("stats".into(), Reply::Stats(Box::new(EngineStats { accounts: 12, ..EngineStats::default() })))
                }
            };
            log.borrow_mut().push(said);
            on_reply(reply);
        });
        let server = server(script, options()).await;
        let client = connect(&server).await;
        assert_eq!(client.server().openings_max as usize, OPENINGS_MAX);
        client.ping().await.unwrap();
        let said = || seen.borrow_mut().pop().unwrap();

        let transfer = Transaction::transfer(7, 1, 2, 3, 40).with_reference(8).with_code(9).with_voucher("{}");
        let reply = client.post(&[transfer.clone(), transfer], true).await.unwrap();
        assert_eq!((reply.count(), reply.postings.len(), reply.postings[3].balance), (2, 4, -7));
        assert!(said().starts_with("Transfers 1 7 8 9 0 [123, 125] [Posting { account: 1, amount: 40, asset: 3, side: Debit }, Posting { account: 2,"));

        let journal = Transaction::journal(7)
            .with_posting(Side::Credit, 1, 3, 40)
            .with_posting(Side::Debit, 2, 3, 40)
            .with_value_date(20_000);
        let reply = client.post(&[journal], false).await.unwrap();
        assert_eq!((reply.count(), reply.postings.len()), (1, 0));
        assert!(
            said().starts_with("Journals 1 7 0 0 20000 [] [Posting { account: 1, amount: 40, asset: 3, side: Credit }")
        );

        let account_6 = NewAccount { label: "účet".into(), ceiling: Some(5), ..NewAccount::new(6, 1, Side::Credit) };
        assert!(client.open_accounts(&[account_6]).await.unwrap().all_posted());
        assert_eq!(said(), "open 6 účet Some(0) Some(5)");

        assert_eq!(client.register_asset(77, &asset).await.unwrap().outcome, Outcome::Posted);
        assert_eq!(said(), r#"77 b"{\"code\":\"CZK\",\"number\":\"1\",\"record\":\"asset\",\"scale\":\"2\"}""#);

        assert_eq!(client.accounts(&[3, 4]).await.unwrap(), [None, Some(account.clone())]);
        assert_eq!(said(), "1 accounts [3, 4]");
        assert_eq!(client.list_accounts(11, 4_000).await.unwrap(), [account]);
        assert_eq!(said(), "1 list 11 4000");
        assert_eq!(client.transactions(&[3, 4]).await.unwrap(), [Some(transaction), None]);
        assert_eq!(said(), "1 transactions [3, 4]");
        let from = Some(StatementToken { sequence: 8, version: 2 });
        assert_eq!(client.statement(5, from, 1_000).await.unwrap(), Some(page));
        assert_eq!(said(), "1 statement 5 Some(StatementToken { sequence: 8, version: 2 }) 1000");
        assert_eq!(client.statement(6, None, 1).await.unwrap(), None);
        assert_eq!(said(), "1 statement 6 None 1");
        assert_eq!(client.assets().await.unwrap(), [asset]);
        assert_eq!(client.stats().await.unwrap()["accounts"], 12);
    });
}

#[test]
fn what_does_not_fit_a_request_is_not_sent() {
    local(async {
        let server = server(Script::new(|command, _| panic!("nothing is sent: {command:?}")), options()).await;
        let client = connect(&server).await;
        let transfer = Transaction::transfer(1, 1, 2, 1, 1);
        let account = NewAccount::new(1, 1, Side::Debit);
        let long = NewAccount { label: "x".repeat(65), ..account.clone() };
        let vouchers = vec![transfer.clone().with_voucher(vec![0; 4096]); 250];
        let errors = [
            client.post(&[], false).await.unwrap_err(),
            client.post(&vec![transfer.clone(); 8_191], false).await.unwrap_err(),
            client.post(&vouchers, false).await.unwrap_err(),
            client.post(&[transfer.with_voucher(vec![0; 65_536])], false).await.unwrap_err(),
            client.open_accounts(&vec![account; OPENINGS_MAX + 1]).await.unwrap_err(),
            client.open_accounts(&[long]).await.unwrap_err(),
            client.accounts(&vec![1; 8_191]).await.unwrap_err(),
            client.transactions(&[1; 1_001]).await.unwrap_err(),
            client.list_accounts(0, 4_001).await.unwrap_err(),
            client.statement(1, None, 0).await.unwrap_err(),
            client.control(1, &[b' '; 16 * 1024 + 1]).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
        }
    });
}

#[test]
fn many_transactions_come_in_several_replies_and_look_like_one() {
    let mut random = Random(2);
    let all: Vec<_> = (0..1_000).map(|_| Some(random.transaction(254, 4_096))).collect();
    let (known, calls) = (all.clone(), Rc::new(Cell::new(0)));
    let counter = calls.clone();
    local(async {
        let server = server(
            Script::new(move |command, on_reply| {
                let Command::LookUpTransactions { ids, .. } = command else { panic!("only look-ups") };
                counter.set(counter.get() + 1);
                let transactions = ids.iter().map(|&id| known[id as usize - 1].clone()).collect();
                on_reply(Reply::Transactions { transactions, position: 1 });
            }),
            options(),
        )
        .await;
        let client = connect(&server).await;
        let ids: Vec<u128> = (1..=1_000).collect();
        assert!(client.transactions(&ids).await.unwrap() == all);
        assert!(calls.get() > 1, "one reply cannot hold them all");
    });
}

#[test]
fn the_largest_statement_and_the_largest_list_fit_one_reply() {
    let page = Random(3).page(1_000, 4_096);
    let account = Random(4).account();
    let (page2, account2) = (page.clone(), account.clone());
    local(async {
        let server = server(
            Script::new(move |command, on_reply| match command {
                Command::Statement { .. } => on_reply(Reply::Statement(Some(Box::new(page2.clone())))),
                _ => on_reply(Reply::Accounts { accounts: vec![Some(account2.clone()); 8_190], position: 1 }),
            }),
            options(),
        )
        .await;
        let client = connect(&server).await;
        assert!(client.statement(1, None, 1_000).await.unwrap() == Some(page));
        assert!(client.accounts(&[1; 8_190]).await.unwrap() == vec![Some(account); 8_190]);
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
                let reply = all_posted(&command, request.transaction(0).id as u64);
                let mut held = held.borrow_mut();
                held.push((reply, on_reply));
                while held.len() > 20 {
                    let index = random.borrow_mut().below(held.len());
                    let (reply, on_reply) = held.swap_remove(index);
                    on_reply(Reply::Posted(reply));
                }
                if request.transaction(0).id > 2_900 {
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
                    let reply = client.post(&[Transaction::transfer(id, 1, 2, 1, 1)], false).await.unwrap();
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
        let mut out = Vec::new();
        let asked = Asked { operation, flags: header.flags, institution: 1, request: header.request };
        replies::append(&mut out, &asked, &reply);
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
        peer.bytes().await.unwrap();
        peer.bytes().await.unwrap();
        drop(peer);
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
        // A server that stops is like a lost connection.
        peer.error(Operation::PostTransfers, 0, ErrorCode::ShuttingDown).await;
        drop(peer);
        let mut peer = by_hand.accept().await;
        assert_eq!(peer.bytes().await.unwrap(), bytes[1]);
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
