//! A campaign against a real server in a process of its own: bad connections of every kind, and one client beside them
//! that must not notice.
//!
//! The server's process is this test binary again, told by an environment variable what it is. `FLORIN_BAD_CONNECTIONS`
//! sets how many (10,000 if unset).

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Random, hello, request, transfers};
use florin_core::asset::Asset;
use florin_core::request::Side;
use florin_engine::EngineOptions;
use florin_net::header::{ERROR, Header, Operation};
use florin_net::limits::HEADER_BYTES;
use florin_net::{Client, ClientOptions, ErrorCode, NewAccount, ServerOptions, Transaction, codec, serve};
use florin_wal::{LedgerOptions, create_ledger};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DATA: &str = "FLORIN_LIVE_DATA";
/// How much the server's resident memory may grow during the campaign.
const GROWTH_MAX: usize = 64 << 20;
/// Bad connections at one time.
const AT_ONE_TIME: usize = 64;

#[test]
fn live_server_process() {
    let Some(data) = std::env::var_os(DATA) else { return };
    actix_rt::System::new().block_on(async {
        let started = florin_engine::start(EngineOptions::new(&data)).await.unwrap();
        let options = ServerOptions {
            handshake_timeout: Duration::from_millis(200),
            frame_timeout: Duration::from_millis(500),
            write_timeout: Duration::from_millis(500),
            ..common::options()
        };
        let server = serve(options.listen, started.engine.clone(), options).await.unwrap();
        eprintln!("listening {}", server.local_addr());
        // The parent closes our input when it is done.
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
        server.stop().await;
        started.engine.stop().await.unwrap();
    });
}

fn start(data: &std::path::Path) -> (Child, String) {
    create_ledger(data, &LedgerOptions::default()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "live_server_process", "--nocapture"])
        .env(DATA, data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let addr = loop {
        let line = lines.next().expect("the server says where it listens").unwrap();
        if let Some(addr) = line.strip_prefix("listening ") {
            break addr.to_owned();
        }
    };
    // Whatever else it says is for whoever reads the test's output.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("server: {line}")));
    (child, addr)
}

fn resident_bytes(pid: u32) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// What a bad connection sends, whether it then closes its side, and the errors that it may get; none = it may be cut
/// without one.
struct Bad {
    kind: &'static str,
    bytes: Vec<u8>,
    close: bool,
    expected: Option<ErrorCode>,
}

/// Sets a header's field and mends its checksum.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame[4..8].fill(0);
    let checksum = crc32fast::hash(&frame[..HEADER_BYTES]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

fn bad(random: &mut Random, large: &[u8]) -> Bad {
    let greeted = |bytes: &[u8]| [&hello()[..], bytes].concat();
    let post = request(Operation::PostTransfers, 1, 3, &transfers(1, 3));
    let flip = |frame: &[u8], from: usize, to: usize, random: &mut Random| {
        let mut frame = frame.to_vec();
        let bit = from * 8 + random.below((to - from) * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        frame
    };
    let make = |kind, bytes, close, expected| Bad { kind, bytes, close, expected: Some(expected) };
    use ErrorCode::*;
    match random.below(14) {
        0 => {
            let length = HEADER_BYTES + random.below(4_000);
            make("random bytes", random.bytes(length), false, BadHeaderChecksum)
        }
        1 => {
            let length = HEADER_BYTES + random.below(100_000);
            make("random bytes after hello", greeted(&random.bytes(length)), false, BadHeaderChecksum)
        }
        2 => make("cut hello", hello()[..1 + random.below(150)].to_vec(), true, FrameCut),
        3 => {
            let cut = 1 + random.below(post.len() - 1);
            make("cut frame", greeted(&post[..cut]), true, FrameCut)
        }
        4 => {
            let cut = 1 + random.below(large.len() - 1);
            make("cut large frame", greeted(&large[..cut]), true, FrameCut)
        }
        5 => make("header checksum", greeted(&flip(&post, 0, HEADER_BYTES, random)), false, BadHeaderChecksum),
        6 => {
            make("payload checksum", greeted(&flip(&post, HEADER_BYTES, post.len(), random)), false, BadPayloadChecksum)
        }
        7 => {
            let length = (1 << 20) as u32 + 1 + random.below(u32::MAX as usize - (1 << 20)) as u32;
            make("huge length", greeted(&with(post, 0, &length.max((1 << 20) + 1).to_le_bytes())), false, BadLength)
        }
        8 => make("silence", Vec::new(), false, HandshakeTimeout),
        9 => {
            let cut = 1 + random.below(post.len() - 1);
            make("slow sender", greeted(&post[..cut]), false, SlowSender)
        }
        10 => {
            let cut = 1 + random.below(large.len() - 1);
            make("slow sender of a large frame", greeted(&large[..cut]), false, SlowSender)
        }
        11 => {
            let operation = 20 + random.below(108) as u8;
            make("unknown operation", greeted(&with(post, 9, &[operation])), false, UnknownOperation)
        }
        12 => make("no hello", post, false, HelloExpected),
        _ => {
            // Large answers that are asked for and never read, then an abrupt end.
            let ask = request(Operation::LookUpAccounts, 1, 8_000, &[1; 16 * 8_000]);
            Bad { kind: "asks and does not read", bytes: greeted(&ask.repeat(4)), close: false, expected: None }
        }
    }
}

/// One bad connection to its end; the error code it got.
async fn run(addr: &str, bad: &Bad) -> std::io::Result<Option<ErrorCode>> {
    let stream = TcpStream::connect(addr).await?;
    let (mut read, mut write) = stream.into_split();
    let write_all = async {
        // The server may have closed before all was sent.
        let _ = write.write_all(&bad.bytes).await;
        if bad.close {
            let _ = write.shutdown().await;
        }
    };
    if bad.expected.is_none() {
        write_all.await;
        return Ok(None);
    }
    let read_all = async {
        loop {
            let mut bytes = [0; HEADER_BYTES];
            read.read_exact(&mut bytes).await?;
            let header = Header::decode(&bytes).unwrap();
            let mut payload = vec![0; header.length as usize];
            read.read_exact(&mut payload).await?;
            if header.flags & ERROR != 0 {
                return Ok(ErrorCode::from_number(codec::errors::decode(&payload).unwrap().0));
            }
        }
    };
    tokio::join!(write_all, read_all).1
}

/// Posts without a pause until it is told to stop; every transaction must be posted. One at a time, so that the memory
/// of what it posted itself, whose ids are kept, stays small beside what is measured.
async fn post_beside(client: Client, stop: Arc<AtomicBool>) -> usize {
    let mut posted = 0;
    while !stop.load(Ordering::Relaxed) {
        let first = 1_000_000 + posted as u128;
        let batch = [Transaction::transfer(first, 1, 2, 1, 1)];
        let reply = client.post(&batch, true).await.expect("the client beside sees no error");
        assert!(reply.all_posted() && reply.postings.len() == 2);
        posted += batch.len();
    }
    posted
}

#[test]
fn ten_thousand_bad_connections_get_their_error_and_harm_nobody() {
    let total: usize = std::env::var("FLORIN_BAD_CONNECTIONS").map_or(10_000, |n| n.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (mut child, addr) = start(&directory.path().join("ledger"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let large = Arc::new(request(Operation::PostTransfers, 1, 8_190, &transfers(1, 8_190)));
    let (posted, growth, kinds) = runtime.block_on(async {
        let client = Client::connect(&addr, ClientOptions::default()).await.unwrap();
        client.register_asset(1, &Asset { number: 1, code: "CZK".into(), scale: 2 }).await.unwrap();
        let accounts = [1, 2].map(|id| NewAccount { floor: None, ..NewAccount::new(id, 1, Side::Credit) });
        assert!(client.open_accounts(&accounts).await.unwrap().all_posted());
        // Buffers that a busy server has anyway are touched before the measurement begins.
        let warm = 8 * 8_190;
        let requests = (0..8u128).map(|request| {
            let client = client.clone();
            let first = 100_000 + request * 8_190;
            let batch: Vec<_> = (first..first + 8_190).map(|id| Transaction::transfer(id, 1, 2, 1, 1)).collect();
            tokio::spawn(async move { client.post(&batch, true).await.unwrap().all_posted() })
        });
        for request in requests.collect::<Vec<_>>() {
            assert!(request.await.unwrap());
        }
        let before = resident_bytes(child.id());
        let stop = Arc::new(AtomicBool::new(false));
        let beside = tokio::spawn(post_beside(client.clone(), stop.clone()));
        let next = Arc::new(AtomicUsize::new(0));
        let peak = Arc::new(AtomicUsize::new(before));
        let pid = child.id();
        let workers: Vec<_> = (0..AT_ONE_TIME)
            .map(|_| {
                let (addr, next, large, peak) = (addr.clone(), next.clone(), large.clone(), peak.clone());
                tokio::spawn(async move {
                    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= total {
                            return kinds;
                        }
                        let bad = bad(&mut Random(seed as u64), &large);
                        let got = run(&addr, &bad).await.unwrap_or_else(|e| panic!("seed {seed}, {}: {e}", bad.kind));
                        assert_eq!(got, bad.expected, "seed {seed}: {}", bad.kind);
                        peak.fetch_max(resident_bytes(pid), Ordering::Relaxed);
                        *kinds.entry(bad.kind).or_default() += 1;
                    }
                })
            })
            .collect();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for worker in workers {
            for (kind, count) in worker.await.unwrap() {
                *kinds.entry(kind).or_default() += count;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let posted = beside.await.unwrap();
        let balance = client.accounts(&[2]).await.unwrap()[0].clone().unwrap().posted;
        assert_eq!(balance, (posted + warm) as i128, "nothing was applied that was not asked for");
        (posted, peak.load(Ordering::Relaxed) - before, kinds)
    });
    runtime.shutdown_background();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "the server stops cleanly");
    for (kind, count) in &kinds {
        println!("{count:6} {kind}");
    }
    println!("{posted} transactions posted beside; resident memory grew by {} KiB", growth / 1_024);
    println!("{} passed, 0 failed", kinds.values().sum::<usize>());
    assert!(growth < GROWTH_MAX, "resident memory grew by {growth} bytes");
}
