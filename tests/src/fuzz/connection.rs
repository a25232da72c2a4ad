//! Bytes on a connection to a real server, in pieces of any size. What the engine is given, and what the peer is told, is what the
//! codec says of the bytes as a whole: however they are cut, merged or damaged.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use florin_core::entry::{PostReply, ResultRun};
use florin_core::outcome::Outcome;
use florin_core::request::ItemResult;
use florin_engine::{Command, OnReply, Reply, Stages};
use florin_net::codec::requests::{self, Request};
use florin_net::codec::{errors, posts};
use florin_net::header::{ERROR, Header, Operation, REPLY_BIT};
use florin_net::limits::HEADER_BYTES;
use florin_net::{ErrorCode, Server, ServerOptions, Submit, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::{Target, Verdict, put, request, take};
use crate::rng::Rng;

/// This target: how the bytes are cut (8 bytes), then what is sent.
pub const TARGET: Target = Target { name: "connection", check, sample, repair, seeds: 6_000 };

/// Turns of the server until everything of a connection that ended is given back, at most.
const TURNS_MAX: usize = 20_000;
/// Most frames of a sample behind the hello.
const FRAMES_MAX: usize = 12;

/// What the engine is given, in order, and what the peer is told.
#[derive(PartialEq, Eq, Debug, Default)]
struct Heard {
    commands: Vec<String>,
    replies: Vec<Told>,
}

/// A reply, as far as it follows from the request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Told {
    /// Number of the request; 0 if none was made out.
    request: u64,
    operation: u8,
    /// Code of an error, or 0; that of a watch is not foretold, since there is a limit to those that wait.
    error: u16,
    /// Results of a post.
    results: usize,
}

/// Sends the bytes and compares.
pub fn check(mut bytes: &[u8]) -> Verdict {
    let cuts = u64::from_le_bytes(take(&mut bytes));
    let (mut expected, ends_well) = foretell(bytes);
    let mut heard = RIG.with(|rig| rig.send(bytes, cuts));
    // The answer of a watch may overtake others, or be overtaken.
    expected.replies.sort();
    heard.replies.sort();
    assert_eq!(heard, expected);
    if ends_well && !expected.replies.is_empty() { Verdict::Accepted } else { Verdict::Refused }
}

/// What must come of the bytes, by the codec alone; whether the connection ends without an error.
fn foretell(mut rest: &[u8]) -> (Heard, bool) {
    let mut heard = Heard::default();
    let mut greeted = false;
    let end = |mut heard: Heard, header: Option<&Header>, code: ErrorCode| {
        let (request, operation) = header.map_or((0, 0), |header| (header.request, header.operation & !REPLY_BIT));
        heard.replies.push(Told { request, operation, error: code.number(), results: 0 });
        (heard, false)
    };
    while !rest.is_empty() {
        let Some((front, after)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return end(heard, None, ErrorCode::FrameCut);
        };
        let header = match Header::decode(front) {
            Ok(header) => header,
            Err(error) => return end(heard, None, error.code),
        };
        let operation = match requests::check_header(&header) {
            Ok(Operation::Hello) if greeted => return end(heard, Some(&header), ErrorCode::HelloRepeated),
            Ok(operation) if greeted || operation == Operation::Hello => operation,
            Ok(_) => return end(heard, Some(&header), ErrorCode::HelloExpected),
            Err(error) => return end(heard, Some(&header), error.code),
        };
        let Some((payload, after)) = after.split_at_checked(header.length as usize) else {
            return end(heard, None, ErrorCode::FrameCut);
        };
        let checked = header.check_payload(payload);
        let request = checked.and_then(|()| requests::decode(operation, &header, Bytes::copy_from_slice(payload)));
        let mut told = Told { request: header.request, operation: operation as u8, error: 0, results: 0 };
        match request {
            Err(error) => return end(heard, Some(&header), error.code),
            Ok(Request::Hello(hello)) => match hello.negotiate() {
                Ok(_) => greeted = true,
                Err(error) => return end(heard, Some(&header), error.code),
            },
            Ok(Request::Ping) => {}
            Ok(Request::Command(command)) => {
                told.results = results(&command);
                told.error = if told.results > 0 || matches!(command, Command::Watch { .. }) {
                    0
                } else {
                    ErrorCode::HistoryUnreadable.number()
                };
                describe(&command, &mut heard.commands);
            }
        }
        heard.replies.push(told);
        rest = after;
    }
    (heard, true)
}

/// Results of a command that changes something; 0 for one that reads.
fn results(command: &Command) -> usize {
    match command {
        Command::Post { request, .. } => request.count(),
        Command::Open(request) => request.rows().len(),
        Command::Change(request) => request.count(),
        Command::Control(_) => 1,
        _ => 0,
    }
}

/// A command in words, one for each item: the server may hand small requests over together.
fn describe(command: &Command, into: &mut Vec<String>) {
    match command {
        // A watch asks more than once, and beside the others.
        Command::Watch { .. } => {}
        Command::Post { request, want_postings } => {
            let of = request.institution;
            let item = |index: usize| format!("institution {of}, {want_postings}: {:?}", request.item(index));
            into.extend((0..request.count()).map(item));
        }
        command => into.push(format!("{command:?}")),
    }
}

/// An engine that posts everything and cannot read.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<Vec<String>>>);

impl Submit for Script {
    fn submit(&self, _: u64, command: Command, on_reply: OnReply) {
        describe(&command, &mut self.0.borrow_mut());
        let count = results(&command) as u32;
        let first = ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence: 1, booked_at: 1_000 };
        on_reply(match count {
            0 => Reply::Failed("nothing can be read here".into()),
            count => Reply::Posted(PostReply { runs: vec![ResultRun { count, first }], postings: vec![] }),
        });
    }

    fn stages(&self) -> Arc<Stages> {
        Arc::default()
    }
}

/// A server of this thread.
struct Rig {
    runtime: tokio::runtime::Runtime,
    tasks: LocalSet,
    server: Server,
    script: Script,
}

thread_local! {
    static RIG: Rig = Rig::start();
}

impl Rig {
    fn start() -> Rig {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (tasks, script) = (LocalSet::new(), Script::default());
        let options = ServerOptions { listen: "127.0.0.1:0".parse().expect("an address"), ..ServerOptions::default() };
        let server = tasks.block_on(&runtime, serve(options.listen, script.clone(), options)).expect("a server");
        Rig { runtime, tasks, server, script }
    }

    /// Sends the bytes in pieces on a connection of its own, and hears what comes of it.
    fn send(&self, bytes: &[u8], cuts: u64) -> Heard {
        self.script.0.borrow_mut().clear();
        let replies = self.tasks.block_on(&self.runtime, async {
            let stream = TcpStream::connect(self.server.local_addr()).await.expect("a connection");
            stream.set_nodelay(true).expect("an option of the socket");
            let (mut read, mut write) = stream.into_split();
            let send = async {
                let mut rng = Rng::new(cuts);
                let mut rest = bytes;
                let piece_max = rng.pick(&[1usize, 7, 48, 100, 1 << 20]).max(bytes.len() / 200);
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rng.between(1, piece_max).min(rest.len()));
                    // Once the server has closed the connection it takes no more.
                    if write.write_all(piece).await.is_err() {
                        return;
                    }
                    rest = after;
                    // The server's turn, so that it meets the pieces one by one.
                    for _ in 0..2 {
                        tokio::task::yield_now().await;
                    }
                }
                let _ = write.shutdown().await;
            };
            let mut replies = Vec::new();
            let (_, end) = tokio::join!(send, read.read_to_end(&mut replies));
            end.expect("the last reply is not lost to a reset");
            drop(read);
            for _ in 0..TURNS_MAX {
                if self.server.is_idle() {
                    return replies;
                }
                tokio::task::yield_now().await;
            }
            panic!("the connection is over, and permits are missing or too many");
        });
        Heard { commands: self.script.0.take(), replies: told(&replies) }
    }
}

/// The replies in what came.
fn told(mut rest: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    while !rest.is_empty() {
        let (front, after) = rest.split_first_chunk::<HEADER_BYTES>().expect("a header");
        let header = Header::decode(front).expect("a good header");
        let (payload, after) = after.split_at(header.length as usize);
        header.check_payload(payload).expect("a good payload");
        let operation = header.operation & !REPLY_BIT;
        let is_watch = operation == Operation::Watch as u8;
        let mut one = Told { request: header.request, operation, error: 0, results: 0 };
        if header.flags & ERROR != 0 {
            let code = errors::decode(payload).expect("an error").0;
            let closes = ErrorCode::from_number(code).is_some_and(ErrorCode::closes);
            one.error = if is_watch && !closes { 0 } else { code };
        } else if Operation::from_byte(operation).is_some_and(Operation::changes) {
            one.results = posts::decode(header.count, payload).expect("results").count();
        }
        told.push(one);
        rest = after;
    }
    told
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    thread_local! { static REQUESTS: Vec<Vec<u8>> = request::requests(); }
    REQUESTS.with(|requests| {
        let (hello, others) = requests.split_first().expect("the first request is a hello");
        let mut bytes = rng.word().to_le_bytes().to_vec();
        bytes.extend_from_slice(hello);
        for number in 1..=rng.between(0, FRAMES_MAX) as u64 {
            // Half of them are small posts, which the server hands over together.
            let mut frame = if rng.chance(50) { transfers(rng) } else { others[rng.below(others.len())].clone() };
            put(&mut frame, 16, &number.to_le_bytes());
            request::seal(&mut frame);
            bytes.extend_from_slice(&frame);
        }
        bytes
    })
}

/// A request of a few transfers without vouchers.
fn transfers(rng: &mut Rng) -> Vec<u8> {
    let count = rng.pick(&[1, 1, 2, 5, 32, 33]);
    let institution = rng.pick(&[1, 1, 1, 2]);
    let header = Header { operation: Operation::PostTransfers as u8, institution, count, ..Header::default() };
    let mut frame = header.encode().to_vec();
    put(&mut frame, 0, &(count * 128).to_le_bytes());
    for _ in 0..count {
        let mut row = [0; 128];
        put(&mut row, 0, &rng.word().to_le_bytes());
        (row[16], row[32], row[48], row[80]) = (1, 2, 5, 1);
        frame.extend_from_slice(&row);
    }
    frame
}

/// Checksums of all frames, as far as their lengths lead.
fn repair(mut bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    let Some(stream) = bytes.get_mut(8..) else { return bytes };
    let mut from = 0;
    for end in request::ends(stream) {
        request::seal(&mut stream[from..end]);
        from = end;
    }
    bytes
}
