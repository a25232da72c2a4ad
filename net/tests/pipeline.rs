//! The pipeline: many requests in one write, replies in any order, and what becomes of them when the connection is lost.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::ledger::{ALICE, CASH, CZK, SHOP, with_ledger};
use common::{Random, Script, all_posted, local, options, server, transfers};
use florin_core::entry::PostReply;
use florin_core::request::PostForm;
use florin_engine::{Command, Reply};
use florin_net::codec::hello::HelloReply;
use florin_net::codec::replies::Asked;
use florin_net::header::{Header, Operation};
use florin_net::limits::HEADER_BYTES;
use florin_net::{
    ClientError, ClientOptions, ErrorCode, Pipeline, PipelineLost, ProtocolError, ServerOptions, codec, frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn connect(server: &florin_net::Server) -> Pipeline {
    Pipeline::connect(&server.local_addr().to_string(), &ClientOptions::default()).await.unwrap()
}

/// Queues `count` transfers with ids from `first` on.
fn queue(pipeline: &mut Pipeline, first: u128, count: usize, tag: u32) -> u64 {
    pipeline.queue(PostForm::Transfers, count as u32, &transfers(first, count), false, tag).unwrap()
}

#[test]
fn answers_in_any_order_find_their_requests() {
    local(async {
        // Answers are held back and given in another order than the questions.
        let held: Rc<RefCell<Vec<_>>> = Rc::default();
        let random = RefCell::new(Random(6));
        let engine = Script::new(move |command, on_reply| {
            let Command::Post { ref request, .. } = command else { panic!("only posts") };
            let last = request.id(0) == 5_000;
            held.borrow_mut().push((all_posted(&command, request.id(0) as u64), on_reply));
            let mut held = held.borrow_mut();
            while held.len() > 20 || (last && !held.is_empty()) {
                let index = random.borrow_mut().below(held.len());
                let (reply, on_reply) = held.swap_remove(index);
                on_reply(Reply::Posted(reply));
            }
        });
        let server = server(engine, options()).await;
        let mut pipeline = connect(&server).await;
        let (mut next, mut answered, mut reply) = (1u32, 0, PostReply::default());
        let mut seen = vec![false; 5_001];
        while answered < 5_000 {
            while next <= 5_000 && pipeline.unanswered() < 64 {
                // Requests that want their postings are each one for the engine, also if they come together.
                let row = transfers(u128::from(next), 1);
                let number = pipeline.queue(PostForm::Transfers, 1, &row, true, next).unwrap();
                assert_eq!(number, u64::from(next));
                next += 1;
            }
            pipeline.flush().await.unwrap();
            pipeline.receive().await.unwrap();
            while let Some(answer) = pipeline.next_reply().unwrap() {
                answer.results(&mut reply).unwrap();
                let tag = answer.tag;
                assert_eq!((answer.request, reply.runs[0].first.sequence), (u64::from(tag), u64::from(tag)));
                assert!(!std::mem::replace(&mut seen[tag as usize], true), "{tag} is answered once");
                answered += 1;
            }
        }
        assert_eq!(pipeline.unanswered(), 0);
        let (sent, received) = pipeline.bytes();
        assert_eq!((sent, received), (5_000 * (48 + 128), 5_000 * (48 + 32)));
    });
}

#[test]
fn a_real_ledger_posts_and_is_asked_on_one_pipeline() {
    with_ledger(|ledger| async {
        let mut pipeline = connect(&ledger.server).await;
        let first = transfers(100, 2);
        let filled = |out: &mut Vec<u8>| {
            out.extend_from_slice(&first);
            let begin = out.len() - first.len();
            for row in out[begin..].chunks_exact_mut(128) {
                row[16..32].copy_from_slice(&CASH.to_le_bytes());
                row[32..48].copy_from_slice(&ALICE.to_le_bytes());
                row[80..84].copy_from_slice(&CZK.to_le_bytes());
            }
        };
        pipeline.queue_with(PostForm::Transfers, 2, true, 7, filled).unwrap();
        pipeline.flush().await.unwrap();
        let mut reply = PostReply::default();
        loop {
            pipeline.receive().await.unwrap();
            let Some(answer) = pipeline.next_reply().unwrap() else { continue };
            assert_eq!((answer.tag, answer.operation), (7, Operation::PostTransfers));
            answer.results(&mut reply).unwrap();
            break;
        }
        assert!(reply.all_posted());
        assert_eq!(reply.postings.iter().map(|p| p.balance).collect::<Vec<_>>(), [5, 5, 10, 10]);
        pipeline.queue_accounts(&[ALICE, 999, SHOP], 8).unwrap();
        pipeline.flush().await.unwrap();
        let accounts = loop {
            pipeline.receive().await.unwrap();
            let Some(answer) = pipeline.next_reply().unwrap() else { continue };
            assert!(matches!(answer.results(&mut PostReply::default()), Err(ClientError::Protocol(_))));
            break answer.accounts().unwrap();
        };
        let posted: Vec<_> = accounts.iter().map(|account| account.as_ref().map(|a| a.posted)).collect();
        assert_eq!(posted, [Some(10), None, Some(0)]);
        ledger
    });
}

#[test]
fn what_is_too_large_is_not_queued() {
    local(async {
        let server = server(Script::posts(), options()).await;
        let mut pipeline = connect(&server).await;
        let too_large = |result: Result<u64, ClientError>| assert!(matches!(result, Err(ClientError::TooLarge { .. })));
        too_large(pipeline.queue(PostForm::Transfers, 0, &[], false, 0));
        too_large(pipeline.queue(PostForm::Transfers, 8_191, &[], false, 0));
        too_large(pipeline.queue(PostForm::Transfers, 1, &vec![0; (1 << 20) + 1], false, 0));
        too_large(pipeline.queue_accounts(&[], 0));
        assert_eq!(queue(&mut pipeline, 1, 3, 0), 1);
        pipeline.flush().await.unwrap();
        pipeline.receive().await.unwrap();
        let answer = pipeline.next_reply().unwrap().unwrap();
        answer.results(&mut PostReply::default()).unwrap();
        assert_eq!(pipeline.bytes().0, 48 + 3 * 128);
    });
}

#[test]
fn more_than_the_server_takes_at_a_time_is_no_deadlock() {
    local(async {
        // The server stops reading after four requests until their replies are written, and each reply is large.
        let limits = ServerOptions { connection_requests_max: 4, in_flight_rows_max: 8_190, ..options() };
        let engine = Script::new(|command, on_reply| {
            let Command::Post { ref request, .. } = command else { panic!("only posts") };
            let mut reply = PostReply::default();
            let first = all_posted(&command, 1).runs[0].first;
            // No two results in a row are alike, so none share a run.
            (0..request.count())
                .for_each(|i| reply.push(florin_core::request::ItemResult { detail: (i % 2) as u16, ..first }));
            on_reply(Reply::Posted(reply));
        });
        let server = server(engine, limits).await;
        let mut pipeline = connect(&server).await;
        let (count, mut answered, mut reply) = (60, 0, PostReply::default());
        for number in 0..count {
            queue(&mut pipeline, 1 + 10_000 * u128::from(number), 8_190, number);
        }
        pipeline.flush().await.unwrap();
        while answered < count {
            while let Some(answer) = pipeline.next_reply().unwrap() {
                answer.results(&mut reply).unwrap();
                assert_eq!(reply.runs.len(), 8_190);
                answered += 1;
            }
            if answered < count {
                pipeline.receive().await.unwrap();
            }
        }
    });
}

/// A server that a test plays by hand: one connection, greeted.
async fn by_hand(options: &ClientOptions) -> (Pipeline, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (header, _) = request(&mut stream).await;
        let mut out = Vec::new();
        let asked = Asked { operation: Operation::Hello, flags: 0, institution: 1, request: header.request };
        frame::append(&mut out, asked.header(), |out, _| HelloReply::of_this_build(1, 64).encode(out));
        stream.write_all(&out).await.unwrap();
        stream
    };
    let (pipeline, stream) = tokio::join!(Pipeline::connect(&addr, options), serve);
    (pipeline.unwrap(), stream)
}

/// The next request.
async fn request(stream: &mut TcpStream) -> (Header, Vec<u8>) {
    let mut bytes = [0; HEADER_BYTES];
    stream.read_exact(&mut bytes).await.unwrap();
    let header = Header::decode(&bytes).unwrap();
    let mut payload = vec![0; header.length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (header, payload)
}

/// The frame that answers a request of one transfer as posted.
fn posted(request: &Header) -> Vec<u8> {
    let first = florin_core::request::ItemResult {
        outcome: florin_core::outcome::Outcome::Posted,
        repeat: false,
        detail: 0,
        sequence: 1,
        booked_at: 1,
    };
    let mut reply = PostReply::default();
    reply.push(first);
    let mut out = Vec::new();
    let asked = Asked { operation: Operation::PostTransfers, flags: 0, institution: 1, request: request.request };
    frame::append(&mut out, Header { count: 1, ..asked.header() }, |out, _| codec::posts::encode(&reply, out));
    out
}

/// Two requests are sent, `answer` makes of the first's header what the server says; then the error that ends it all.
async fn lost_after(answer: impl FnOnce(&Header) -> Vec<u8>) -> PipelineLost {
    let (mut pipeline, mut stream) = by_hand(&ClientOptions::default()).await;
    queue(&mut pipeline, 1, 1, 0);
    queue(&mut pipeline, 2, 1, 1);
    pipeline.flush().await.unwrap();
    let (header, _) = request(&mut stream).await;
    stream.write_all(&answer(&header)).await.unwrap();
    drop(stream);
    loop {
        if let Err(lost) = pipeline.receive().await {
            return lost;
        }
        loop {
            match pipeline.next_reply() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(lost) => return lost,
            }
        }
    }
}

#[test]
fn a_lost_connection_says_how_many_requests_have_no_answer() {
    local(async {
        let closed = lost_after(|header| posted(header)[..60].to_vec()).await;
        assert_eq!(closed.unanswered, 2, "half a reply is none: {closed}");
        let closed = lost_after(posted).await;
        assert_eq!(closed.unanswered, 1, "{closed}");
        assert!(closed.to_string().contains("1 requests have no answer"), "{closed}");
    });
}

#[test]
fn replies_are_checked() {
    local(async {
        let check = async |words: &str, unanswered: usize, answer: fn(&Header) -> Vec<u8>| {
            let lost = lost_after(answer).await;
            assert!(lost.reason.contains(words) && lost.unanswered == unanswered, "{lost}");
        };
        check("payload's checksum", 2, |header| {
            let mut bytes = posted(header);
            bytes[HEADER_BYTES + 3] ^= 1;
            bytes
        })
        .await;
        check("header's checksum", 2, |header| {
            let mut bytes = posted(header);
            bytes[17] ^= 1;
            bytes
        })
        .await;
        check("does not wait for one", 2, |header| posted(&Header { request: 3, ..*header })).await;
        check("does not wait for one", 1, |header| [posted(header), posted(header)].concat()).await;
        check("another operation", 1, |header| {
            let asked = Asked { operation: Operation::Ping, flags: 0, institution: 1, request: header.request };
            let mut out = Vec::new();
            frame::append(&mut out, asked.header(), |_, _| ());
            out
        })
        .await;
        check("the server is stopping", 2, |_| {
            let mut out = Vec::new();
            let error = ProtocolError::new(ErrorCode::ShuttingDown, "the server is stopping");
            codec::errors::append(&mut out, 0, 0, &error);
            out
        })
        .await;
    });
}

#[test]
fn a_server_that_is_silent_too_long_is_given_up() {
    local(async {
        let options = ClientOptions { deadline: Duration::from_millis(100), ..ClientOptions::default() };
        let (mut pipeline, stream) = by_hand(&options).await;
        queue(&mut pipeline, 1, 1, 0);
        pipeline.flush().await.unwrap();
        let lost = pipeline.receive().await.unwrap_err();
        assert!(lost.reason.contains("silent") && lost.unanswered == 1, "{lost}");
        drop(stream);
    });
}
