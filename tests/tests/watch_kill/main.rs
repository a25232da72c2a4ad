//! A consumer of a watch is killed with SIGKILL again and again, in the middle of what it does, and started again where
//! its file ends; the server is killed under it too. In the end it has consumed every transaction that the log has up to
//! there, in order, none twice, and no other.
//!
//! Meanwhile a load posts, at most some thousand rows ahead of the consumer, so that the watch goes through what was just
//! written as well as through segments that are sealed and indexed.
//!
//! What a killed server has handed to the system is in the log, synced or not: a watch that shows rows a moment before
//! they are synced is not found here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use florin_core::entry::RowKind;
use florin_core::frame::{DraftHead, Record};
use florin_net::Client;
use florin_tests::compare;
use florin_tests::consumed::{Consumed, Row};
use florin_tests::encode;
use florin_tests::faults::server::{self, DEADLINE, Server, exited};
use florin_tests::load;
use florin_tests::model::Verdict;
use florin_tests::model::number::POSTED;
use florin_tests::program::Step;
use florin_tests::rng::Rng;
use florin_tests::sim::StoredFrame;
use florin_wal::Frame;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpSocket;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Consumers that are killed.
const KILLS: usize = 24;
/// One of so many consumers is killed when it has written a part of a page. Another one is close behind the load, and the
/// server is killed too.
const KINDS_OF_LIVES: usize = 3;
/// Rows that a consumer was seen to write before it is killed, at most.
const ROWS_MAX: usize = 2_000;
/// Rows that the load is ahead of the consumer when it posts, at most.
const AHEAD_MAX: u64 = 8_000;
/// The same before a server is killed: the consumer has just been shown what was just written.
const CLOSE: u64 = 0;
/// Batches of the load that are under way.
const LANES: usize = 4;
/// The run is the same every time, up to the moments of the kills.
const SEED: u64 = 1;

#[tokio::test(flavor = "current_thread")]
async fn a_consumer_that_is_killed_at_random_sees_every_transaction_once_and_in_order() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Held without listening: a server that is started again is found where the last one was.
    let port = TcpSocket::new_v4().expect("a socket");
    port.set_reuseaddr(true).expect("an address that others may use");
    port.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let mut rig = Rig {
        data: folder.path().join("ledger"),
        file: folder.path().join("consumed"),
        listen: port.local_addr().expect("a port").to_string(),
        rng: Rng::part(SEED, "watch kills"),
        shards: "",
        load: Arc::new(Load::default()),
        log: vec![],
        last: 0,
        unread: vec![],
        did: Did::default(),
    };
    server::run(&["init", "--segment-bytes", "1048576"], &rig.data).await;
    let mut books = rig.serve().await;
    for life in 0..KILLS {
        let (torn, server_too) = (life % KINDS_OF_LIVES == 1, life % KINDS_OF_LIVES == 2);
        // Whether the consumer connects again by itself when it loses the server, or ends.
        let again = (life / KINDS_OF_LIVES).is_multiple_of(2);
        let mut consumer = rig.consume(again, torn);
        if server_too {
            consumer.ahead = CLOSE;
            consumer.write(1).await;
            consumer.reach(books.stats().await.sequence).await;
            consumer.write(rig.rows()).await;
            (books, consumer) = rig.kill_server(books, consumer, again).await;
        }
        let rows = if torn { usize::MAX } else { rig.rows() };
        consumer.write(rows).await;
        rig.kill_consumer(consumer, &books).await;
    }
    rig.reach_the_end(books).await;
    server::run(&["verify"], &rig.data).await;
    rig.compare();
}

/// What the rig did, for the report.
#[derive(Default)]
struct Did {
    consumers: u64,
    torn: u64,
    servers: u64,
    from_snapshots: u64,
    reconnects: u64,
    ends: u64,
    changes: u64,
    indexed: u64,
}

/// A server, its client, and the load.
struct Books {
    server: Server,
    client: Client,
    lanes: JoinSet<()>,
}

impl Books {
    async fn stats(&self) -> Stats {
        let stats = self.client.stats().await.expect("an answer");
        let number = |name: &str| stats[name].as_u64().expect("a number");
        Stats { sequence: number("sequence"), indexed: number("segments_indexed") }
    }
}

/// How far a server is, and how many segments have an index.
struct Stats {
    sequence: u64,
    indexed: u64,
}

/// What the lanes of the load have in common.
#[derive(Default)]
struct Load {
    next_batch: AtomicU64,
    /// The row up to which it goes on.
    upto: watch::Sender<u64>,
    /// What each batch of items was answered.
    answered: Mutex<Vec<(u64, Vec<Verdict>)>>,
}

impl Load {
    /// Posts until the server is gone.
    async fn post(self: Arc<Load>, client: Client) {
        let mut upto = self.upto.subscribe();
        loop {
            let number = self.next_batch.fetch_add(1, Ordering::Relaxed);
            let batch = load::batch(SEED, number);
            let Ok(reply) = load::ask(&client, &batch).await else { return };
            let verdicts: Vec<Verdict> = reply.items().map(|item| compare::verdict(&item)).collect();
            let last = verdicts.iter().map(|verdict| verdict.sequence).max().unwrap_or(0);
            self.answered.lock().expect("no panic while it is held").push((number, verdicts));
            upto.wait_for(|upto| last <= *upto).await.expect("the sender is here");
        }
    }
}

/// The consumer's process.
struct Consumer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Rows that it was seen to write.
    rows: usize,
    /// How far it was seen to be.
    seen: u64,
    /// It waits to be killed in the middle of a page.
    torn: bool,
    /// How far ahead of it the load may be.
    ahead: u64,
    load: Arc<Load>,
}

impl Consumer {
    /// The next thing that it says.
    async fn line(&mut self) -> Option<String> {
        timeout(DEADLINE, self.lines.next_line()).await.expect("a line in time").expect("text")
    }

    /// Hears what it does next.
    async fn hear(&mut self) {
        let line = self.line().await.expect("the consumer goes on");
        match line.split(' ').collect::<Vec<&str>>()[..] {
            ["from", ..] => {}
            ["wrote", rows, "up", "to", seen] => {
                self.rows = rows.parse().expect("a number");
                self.seen = seen.parse().expect("a number");
                self.load.upto.send_replace(self.seen + self.ahead);
            }
            ["torn"] => self.torn = true,
            _ => panic!("the consumer said: {line}"),
        }
    }

    /// Waits until it has seen everything up to a row, or has written a part of a page.
    async fn reach(&mut self, row: u64) {
        while self.seen < row && !self.torn {
            self.hear().await;
        }
    }

    /// Waits until it has written so many more rows, or a part of a page.
    async fn write(&mut self, rows: usize) {
        let rows = self.rows.saturating_add(rows);
        while self.rows < rows && !self.torn {
            self.hear().await;
        }
    }

    /// It has lost the server: it must end and say why.
    async fn end(mut self) {
        let mut last = String::new();
        while let Some(line) = self.line().await {
            last = line;
        }
        assert!(exited(&mut self.process).await.success(), "the consumer: {last}");
        assert!(last.starts_with("ended: cannot connect to "), "{last}");
    }
}

struct Rig {
    data: PathBuf,
    file: PathBuf,
    /// Where every server listens.
    listen: String,
    rng: Rng,
    /// Shards of the server.
    shards: &'static str,
    load: Arc<Load>,
    /// What the log has of transactions.
    log: Vec<Row>,
    /// The last row of the log, of whatever kind.
    last: u64,
    /// Of each consumer that was killed: its position then, and how far the server was before.
    unread: Vec<(u64, u64)>,
    did: Did,
}

impl Rig {
    /// How many rows to see written.
    fn rows(&mut self) -> usize {
        if self.rng.chance(15) { 0 } else { self.rng.between(1, ROWS_MAX) }
    }

    /// Starts a server with another number of shards than the last one, and the load.
    async fn serve(&mut self) -> Books {
        let others: Vec<&str> = ["1", "2", "3", "8"].into_iter().filter(|shards| *shards != self.shards).collect();
        self.shards = self.rng.pick(&others);
        let io = self.rng.pick(&["auto", "buffered"]);
        let server = Server::listening(server::spawn(&self.data, &self.listen, self.shards, io)).await;
        let client = server.connect().await;
        if self.did.servers == 0 {
            prepare(&client).await;
        }
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            lanes.spawn(self.load.clone().post(client.clone()));
        }
        self.did.servers += 1;
        self.did.from_snapshots += u64::from(server.from_snapshot);
        Books { server, client, lanes }
    }

    /// Starts a consumer, which goes on where the last one was killed.
    fn consume(&mut self, again: bool, torn: bool) -> Consumer {
        let limit = self.rng.pick(&["20", "200", "1000"]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_watch_consumer"));
        command.arg(&self.listen).arg(&self.file).args([limit, if again { "again" } else { "end" }]);
        if torn {
            command.args([self.rng.below(ROWS_MAX / 2), self.rng.between(1, 999)].map(|number| number.to_string()));
        }
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("the consumer");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        self.did.consumers += 1;
        Consumer { process, lines, rows: 0, seen: 0, torn: false, ahead: AHEAD_MAX, load: self.load.clone() }
    }

    /// Kills a consumer in the middle of what it does, and notes what it has not seen of what was there before.
    async fn kill_consumer(&mut self, mut consumer: Consumer, books: &Books) {
        let stats = books.stats().await;
        consumer.process.start_kill().expect("a process to kill");
        exited(&mut consumer.process).await;
        let bytes = std::fs::read(&self.file).unwrap_or_default();
        let consumed = Consumed::parse(&bytes);
        self.did.torn += u64::from(consumed.whole < bytes.len());
        self.did.indexed = self.did.indexed.max(stats.indexed);
        self.unread.push((consumed.position, stats.sequence));
    }

    /// Kills the server under the load and a consumer: nothing may have been seen that is not in the log. Then starts
    /// another server, and another consumer unless this one connects again. What that one has heard and not written down
    /// is looked at the next time.
    async fn kill_server(&mut self, mut books: Books, consumer: Consumer, again: bool) -> (Books, Consumer) {
        books.server.kill().await;
        books.lanes.shutdown().await;
        let rest = if again {
            Some(consumer)
        } else {
            consumer.end().await;
            None
        };
        self.read_the_log();
        let consumed = self.consumed();
        assert!(consumed.position <= self.last, "row {} was seen and is not in the log", consumed.position);
        self.compare_rows(&consumed);
        let books = self.serve().await;
        let consumer = match rest {
            Some(consumer) => {
                self.did.reconnects += 1;
                consumer
            }
            None => {
                self.did.ends += 1;
                self.consume(again, false)
            }
        };
        (books, consumer)
    }

    /// Ends the load, lets a consumer reach what the server has, and stops the server.
    async fn reach_the_end(&mut self, mut books: Books) {
        let mut consumer = self.consume(false, false);
        // The load goes on until a hold has expired and an index was built, if that has not happened yet.
        loop {
            let stats = books.stats().await;
            self.did.indexed = self.did.indexed.max(stats.indexed);
            consumer.reach(stats.sequence).await;
            if self.did.indexed > 0 && self.consumed().rows.iter().any(|row| row.kind == RowKind::Expiry) {
                break;
            }
        }
        books.lanes.shutdown().await;
        let end = books.stats().await.sequence;
        consumer.reach(end).await;
        drop(books.client);
        books.server.stop().await;
        consumer.end().await;
        self.read_the_log();
        assert!(self.consumed().position >= end, "the consumer has not reached row {end}");
    }

    fn consumed(&self) -> Consumed {
        Consumed::parse(&std::fs::read(&self.file).unwrap_or_default())
    }

    /// Takes over what the log has beyond what was read of it before.
    fn read_the_log(&mut self) {
        let scanned = florin_wal::scan(&self.data, &mut |frame: Frame<'_>| {
            let Frame { head, payload, vouchers, .. } = frame;
            let (number, first_sequence) = (head.number, head.first_sequence);
            if first_sequence > self.last {
                let head = DraftHead { number, first_sequence, count: head.count, time: head.time_ns };
                let frame = StoredFrame { head, payload: payload.to_vec(), vouchers: vouchers.to_vec() };
                self.last = frame.last_sequence();
                for record in frame.records() {
                    match record {
                        Record::Transaction(transaction) => self.log.push(Row::of(&transaction)),
                        Record::Change(_) => self.did.changes += 1,
                        Record::Open(_) | Record::Control(_) => {}
                    }
                }
            }
            Ok::<(), String>(())
        });
        scanned.expect("a log that ends in whole frames, or in a torn one");
    }

    /// What was consumed must be the log's transactions up to there.
    fn compare_rows(&self, consumed: &Consumed) {
        let again = &consumed.again[..consumed.again.len().min(10)];
        assert_eq!(again, [] as [u64; 0], "rows that were seen before, or after a later one");
        for (got, expected) in consumed.rows.iter().zip(&self.log) {
            assert_eq!(got, expected, "what was seen, and the next transaction of the log");
        }
        let there = self.log.iter().take_while(|row| row.sequence <= consumed.position).count();
        assert_eq!(consumed.rows.len(), there, "transactions up to row {}", consumed.position);
    }

    /// At the end: everything that was consumed, with the log and with what the load was answered.
    fn compare(&self) {
        let consumed = self.consumed();
        self.compare_rows(&consumed);
        let rows = &consumed.rows;
        let items = rows.iter().filter(|row| row.kind != RowKind::Expiry);
        let by_id: BTreeMap<u128, (u64, u16)> = items.map(|row| (row.id, (row.sequence, row.outcome))).collect();
        let mut answered = 0;
        for (number, verdicts) in &*self.load.answered.lock().expect("no panic while it is held") {
            let batch = load::batch(SEED, *number);
            for (item, verdict) in load::items(&batch).iter().zip(verdicts) {
                assert_eq!(by_id[&item.id], (verdict.sequence, verdict.outcome), "an item of batch {number}");
                answered += 1;
            }
        }
        let behind = |(position, sequence): &&(u64, u64)| {
            let next = rows.partition_point(|row| row.sequence <= *position);
            rows.get(next).is_some_and(|row| row.sequence <= *sequence)
        };
        let behind = self.unread.iter().filter(behind).count();
        let expiries = rows.iter().filter(|row| row.kind == RowKind::Expiry).count();
        let refused = rows.iter().filter(|row| row.outcome != POSTED).count();
        let Did { consumers, torn, servers, from_snapshots, reconnects, ends, changes, indexed } = self.did;
        println!(
            "{KILLS} consumers killed, {behind} of them with transactions unread and {torn} in the middle of a line; {} \
             servers killed, {from_snapshots} started from a snapshot; {} resumes, {ends} of them after the consumer had ended by itself, and {reconnects} connections \
             made again; {} transactions compared, of which {refused} refused and {expiries} expiries, {answered} of them \
             answered to their client; {changes} account changes between them; {indexed} segments indexed; 0 missed, {} \
             duplicates",
            servers - 1,
            consumers - 1,
            rows.len(),
            consumed.again.len()
        );
        assert!(2 * behind > KILLS && torn > 0 && reconnects > 0 && ends > 0, "this proves nothing of kills");
        assert!(refused > 0 && expiries > 0 && changes > 0 && answered > 0, "this proves nothing of transactions");
    }
}

/// Registers assets and opens accounts.
async fn prepare(client: &Client) {
    for step in load::preparation() {
        let outcomes: Vec<u16> = match &step {
            Step::Control { control, .. } => {
                vec![client.control(control.id, &control.record).await.expect("an answer").outcome.number()]
            }
            Step::Open { openings, .. } => {
                let accounts: Vec<_> = openings.iter().map(encode::new_account).collect();
                let reply = client.open_accounts(&accounts).await.expect("an answer");
                reply.items().map(|item| compare::verdict(&item).outcome).collect()
            }
            _ => unreachable!("assets and accounts"),
        };
        assert!(outcomes.iter().all(|outcome| *outcome == POSTED), "{step}: {outcomes:?}");
    }
}
