//! Real crashes: the real server is killed with SIGKILL under load, twenty times, and judged by what an outside client
//! was told. Nothing that was answered is lost or changed, nothing is half there, a retry applies once.
//!
//! Holds expire while the server runs and while it is down, when nobody asks. So what is there is read from the log, after
//! each kill and in its order; what anybody was told in the meantime is compared then.

#[path = "../common/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use florin_core::entry::{AccountRecord, RowKind, StatementEntry};
use florin_core::frame::{DraftHead, Record};
use florin_net::Client;
use florin_tests::compare::{self, Readings};
use florin_tests::encode;
use florin_tests::heard::{self, Heard, HeardItem};
use florin_tests::load;
use florin_tests::model::{Model, Verdict};
use florin_tests::program::Step;
use florin_tests::rng::Rng;
use florin_tests::sim::StoredFrame;
use florin_wal::Frame;
use num_bigint::BigInt;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use server::{DEADLINE, Server, exited};

/// Kills by the normal suite.
const KILLS: u64 = 50;
/// Answers that a client hears before a kill, at most.
const ANSWERS_MAX: usize = 40;
/// The run is the same every time, up to the moments of the kills.
const SEED: u64 = 1;

#[tokio::test(flavor = "current_thread")]
async fn whatever_a_client_was_told_is_there_after_every_kill_and_a_retry_applies_once() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut rig = Rig {
        data: folder.path().join("ledger"),
        answers: folder.path().join("answers"),
        rng: Rng::part(SEED, "kills"),
        model: Model::new(),
        next_batch: 0,
        batches: BTreeMap::new(),
        asked_again: BTreeSet::new(),
        did: Did::default(),
    };
    server::run(&["init", "--segment-bytes", "131072"], &rig.data).await;
    rig.prepare().await;
    for kill in 0..KILLS {
        if kill % 5 == 4 {
            rig.kill_while_it_starts().await;
        }
        rig.kill_under_load().await;
        rig.check_after_a_kill().await;
    }
    rig.check_everything().await;
    server::run(&["verify"], &rig.data).await;
    println!("{}", rig.did);
    assert!(rig.did.answers > 0 && rig.did.unanswered > 0 && rig.did.reads > 0, "this proves nothing");
    assert!(rig.did.from_snapshots > 0, "this proves nothing of snapshots");
    assert!(rig.did.expiries > 0 && rig.did.changes > 0, "this proves nothing of holds and changes");
    println!("{KILLS} kills: {KILLS} passed, 0 failed");
}

/// What the rig did, for the report.
#[derive(Default)]
struct Did {
    starts: u64,
    from_snapshots: u64,
    answers: u64,
    items: u64,
    expiries: u64,
    changes: u64,
    accounts: u64,
    unanswered: u64,
    lost_batches: u64,
    reads: u64,
    retries: u64,
    entries: u64,
}

impl std::fmt::Display for Did {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} starts, {} of them from a snapshot, {} batches answered with {} items and changes, {} without an answer of which {} were not \
             applied, {} accounts read under load, {} batches asked again, {} expiries and {} account changes in the log, \
             {} accounts and {} statement entries compared",
            self.starts,
            self.from_snapshots,
            self.answers,
            self.items,
            self.unanswered,
            self.lost_batches,
            self.reads,
            self.retries,
            self.expiries,
            self.changes,
            self.accounts,
            self.entries
        )
    }
}

struct Rig {
    data: PathBuf,
    answers: PathBuf,
    rng: Rng,
    /// What the ledger must be, given all that is known.
    model: Model,
    next_batch: u64,
    /// All batches that were ever asked.
    batches: BTreeMap<u64, Step>,
    /// Ids that the rig itself has asked for again.
    asked_again: BTreeSet<u128>,
    did: Did,
}

impl Rig {
    fn spawn(&mut self) -> Child {
        self.did.starts += 1;
        let shards = self.rng.pick(&["1", "1", "2", "3", "8"]);
        let io = self.rng.pick(&["auto", "auto", "buffered"]);
        server::spawn(&self.data, "127.0.0.1:0", shards, io)
    }

    async fn serve(&mut self) -> Server {
        let server = Server::listening(self.spawn()).await;
        self.did.from_snapshots += u64::from(server.from_snapshot);
        server
    }

    /// Registers assets and opens accounts.
    async fn prepare(&mut self) {
        let server = self.serve().await;
        let client = server.connect().await;
        for step in load::preparation() {
            match &step {
                Step::Control { control, .. } => {
                    let got = client.control(control.id, &control.record).await.expect("an answer");
                    self.model.begin_round(got.booked_at);
                    assert_eq!(compare::verdict(&got), self.model.control(1, control));
                }
                Step::Open { openings, .. } => {
                    let accounts: Vec<_> = openings.iter().map(encode::new_account).collect();
                    let reply = client.open_accounts(&accounts).await.expect("an answer");
                    compare::reply(&mut self.model, &step, &reply, false, &mut Readings::default());
                }
                _ => unreachable!("assets and accounts"),
            }
        }
        server.kill().await;
    }

    /// Kills a server as soon as it prints its first line, in the middle of its start or right after it.
    async fn kill_while_it_starts(&mut self) {
        let mut process = self.spawn();
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        if self.rng.chance(50) {
            timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
        }
        process.start_kill().expect("a process to kill");
        exited(&mut process).await;
    }

    /// Lets a client post until it has heard some answers, then kills the server.
    async fn kill_under_load(&mut self) {
        let server = self.serve().await;
        let mut client = Command::new(env!("CARGO_BIN_EXE_kill_client"))
            .args([&server.addr, &SEED.to_string(), &self.next_batch.to_string()])
            .arg(&self.answers)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client");
        let mut lines = BufReader::new(client.stdout.take().expect("it is piped")).lines();
        for _ in 0..self.rng.between(1, ANSWERS_MAX) {
            let line = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
            let line = line.expect("the client goes on until the server is gone");
            assert!(line.starts_with("answered "), "{line}");
        }
        server.kill().await;
        let mut last = String::new();
        while let Some(line) = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text") {
            last = line;
        }
        assert!(exited(&mut client).await.success(), "the client ended with: {last}");
    }

    /// What the client heard must be there; what is there must be whole; what was not answered is asked again.
    async fn check_after_a_kill(&mut self) {
        let heard = Heard::parse(&std::fs::read_to_string(&self.answers).expect("the answers"));
        std::fs::remove_file(&self.answers).expect("the answers");
        self.batches.extend(heard.asked.keys().map(|number| (*number, load::batch(SEED, *number))));
        self.next_batch = self.batches.keys().next_back().expect("the client asked") + 1;
        self.read_the_log();
        for (number, results) in &heard.answered {
            self.compare_results(*number, results, false);
            for (verdict, _) in results {
                assert!(
                    verdict.sequence > heard.asked[number],
                    "batch {number} came before what was answered before it"
                );
            }
            self.did.items += results.len() as u64;
        }
        heard.reads.iter().for_each(|(account, version, balance)| self.compare_read(*account, *version, *balance));
        let there = |id: &u128| self.model.recorded(1, *id).is_some();
        let lost = heard.asked.keys().filter(|number| !load::ids(&self.batches[number]).iter().any(there));
        self.did.lost_batches += lost.count() as u64;
        self.did.answers += heard.answered.len() as u64;
        self.did.reads += heard.reads.len() as u64;

        let unanswered: Vec<u64> = heard.asked.keys().filter(|n| !heard.answered.contains_key(n)).copied().collect();
        let older: Vec<u64> = (0..5).map(|_| self.rng.below(self.next_batch as usize) as u64).collect();
        self.did.unanswered += unanswered.len() as u64;
        let server = self.serve().await;
        let client = server.connect().await;
        let stats = client.stats().await.expect("an answer");
        assert!(stats["sequence"].as_u64() >= Some(self.model.last_sequence()), "what was in the log is gone");
        let before = list(&client).await;
        let mut told = vec![];
        for number in unanswered.into_iter().chain(older) {
            told.extend(self.ask_twice(&client, number).await);
        }
        let after = list(&client).await;
        // Snapshots come later than a server lives under load; every other one is killed while it makes one, or before.
        if self.rng.chance(50) {
            await_snapshots(&client).await;
        }
        server.kill().await;
        self.read_the_log();
        for (number, results, is_repeat) in &told {
            self.compare_results(*number, results, *is_repeat);
        }
        self.compare_accounts(&before);
        self.compare_accounts(&after);
    }

    /// Puts what the log has beyond the model to the model, row by row. The model says what each must be: so nothing may be
    /// half there, out of order or past a limit, and no hold expires before its time. Every row was asked for by somebody,
    /// or is an expiry.
    fn read_the_log(&mut self) {
        let mut frames = vec![];
        let seen = self.model.last_sequence();
        let scanned = florin_wal::scan(&self.data, &mut |frame: Frame<'_>| {
            if frame.head.first_sequence > seen {
                let Frame { head, payload, vouchers, .. } = frame;
                let (number, first_sequence) = (head.number, head.first_sequence);
                let head = DraftHead { number, first_sequence, count: head.count, time: head.time_ns };
                frames.push(StoredFrame { head, payload: payload.to_vec(), vouchers: vouchers.to_vec() });
            }
            Ok::<(), String>(())
        });
        scanned.expect("a log that ends in whole frames, or in a torn one");
        for frame in frames {
            assert_eq!(frame.head.first_sequence, self.model.last_sequence() + 1, "rows without a gap");
            self.model.begin_round(frame.head.time);
            frame.records().iter().for_each(|record| self.apply(record));
        }
    }

    fn apply(&mut self, record: &Record) {
        let last = |model: &Model| model.row(model.last_sequence()).clone();
        match record {
            Record::Transaction(t) if t.kind == RowKind::Expiry => {
                self.model.expire(t.institution, t.id);
                self.did.expiries += 1;
                compare::transaction(t, &last(&self.model));
            }
            Record::Transaction(t) => {
                let (number, place) = load::place_of(t.id);
                let batch = self.batch(number);
                self.model.run(1, &load::items(&batch)[place]);
                compare::transaction(t, &last(&self.model));
            }
            Record::Change(c) => {
                let (number, place) = load::place_of(c.row.id.get());
                let Step::Change { changes, .. } = self.batch(number) else { panic!("{c:?} was not asked for") };
                self.model.change(1, &changes[place]);
                self.did.changes += 1;
                compare::change(c, &last(&self.model));
            }
            Record::Open(_) | Record::Control(_) => panic!("{record:?} was not asked for"),
        }
    }

    /// A batch that somebody asked for.
    fn batch(&self, number: u64) -> Step {
        self.batches.get(&number).unwrap_or_else(|| panic!("batch {number} was not asked for")).clone()
    }

    /// What was told of a batch must be what the log has.
    fn compare_results(&self, number: u64, results: &[HeardItem], is_repeat: bool) {
        let batch = &self.batches[&number];
        let ids = load::ids(batch);
        assert_eq!(results.len(), ids.len(), "batch {number}");
        for (place, (id, (got, postings))) in ids.iter().zip(results).enumerate() {
            let there = self.model.recorded(1, *id).expect("what was answered is there");
            let mut expected = Verdict { repeat: is_repeat, ..there.verdict };
            let mut entries = vec![];
            if let Some(item) = load::items(batch).get(place) {
                expected = compare::told(item, expected, &there.entries);
                entries = there.entries.iter().map(|e| (e.version, e.balance.clone())).collect();
            }
            assert_eq!(*got, expected, "batch {number}");
            let told: Vec<(u64, BigInt)> = postings.iter().map(|(v, b)| (*v, (*b).into())).collect();
            assert_eq!(told, entries, "batch {number}");
        }
    }

    /// An account must have been as it was read.
    fn compare_read(&self, account: u128, version: u64, balance: i128) {
        let there = self.model.account(1, account).expect("an account that was read");
        assert!(there.version >= version, "an account went back to before it was read");
        if version > 0 {
            let (sequence, place) = there.entries[version as usize - 1];
            let entry = &self.model.row(sequence).entries[place];
            assert_eq!(entry.balance, BigInt::from(balance), "account {account:#x} as it was read");
        }
    }

    /// Every account is, or was a moment before, the model's, and debits equal credits in each asset.
    fn compare_accounts(&mut self, records: &[AccountRecord]) {
        assert_eq!(records.len(), self.model.accounts().count());
        let mut sums: BTreeMap<u32, i128> = BTreeMap::new();
        for record in records {
            self.compare_read(record.account, record.version, record.posted);
            let expected = self.model.account(1, record.account).expect("it was compared");
            if record.version == expected.version {
                assert!(compare::same_account(1, Some(expected), Some(record)), "{record:?}");
                self.did.accounts += 1;
            }
            let debit_normal = record.normal_side as u8 == 0;
            *sums.entry(record.asset).or_default() += if debit_normal { record.posted } else { -record.posted };
        }
        assert!(sums.values().all(|sum| *sum == 0), "debits and credits differ: {sums:?}");
    }

    /// The same ids with the same fields: what was applied is repeated, what was not is applied now, and a second time it is
    /// a repeat. A request may have been applied in part.
    async fn ask_twice(&mut self, client: &Client, number: u64) -> Vec<(u64, Vec<HeardItem>, bool)> {
        let batch = self.batch(number);
        let mut told = vec![];
        for is_second in [false, true] {
            let reply = load::ask(client, &batch).await.expect("an answer");
            let mut results = heard::results(&batch, &reply);
            if !is_second {
                for ((verdict, _), id) in results.iter_mut().zip(load::ids(&batch)) {
                    let was_there = self.model.recorded(1, id).is_some() || self.asked_again.contains(&id);
                    assert_eq!(verdict.repeat, was_there, "batch {number}");
                    verdict.repeat = false;
                }
                self.asked_again.extend(load::ids(&batch));
            }
            told.push((number, results, is_second));
            self.did.retries += 1;
        }
        told
    }

    /// At the end: every transaction by its id, every statement from end to end.
    async fn check_everything(&mut self) {
        let server = self.serve().await;
        let client = server.connect().await;
        let all: Vec<u128> = self.batches.values().flat_map(load::items).map(|item| item.id).collect();
        for ids in all.chunks(1_000) {
            for (id, record) in ids.iter().zip(client.transactions(ids).await.expect("an answer")) {
                let expected = self.model.recorded(1, *id).expect("everything was asked until it was answered");
                compare::transaction(&record.expect("what was answered is there"), expected);
            }
        }
        let mut statements = vec![];
        for account in load::accounts() {
            statements.push((account, statement(&client, account).await));
        }
        drop(client);
        server.stop().await;
        self.read_the_log();
        for (account, entries) in statements {
            // A hold may have expired since the statement was read.
            let expected = &self.model.account(1, account).expect("an account").entries[..entries.len()];
            for (entry, (sequence, place)) in entries.iter().zip(expected.iter().rev()) {
                compare::statement_entry(entry, *place, self.model.row(*sequence));
            }
            self.did.entries += entries.len() as u64;
        }
    }
}

/// Waits until all that is sealed was folded.
async fn await_snapshots(client: &Client) {
    let done = async {
        loop {
            let stats = client.stats().await.expect("an answer");
            if stats["snapshot_folded"] == stats["segments_sealed"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await; // It has the lowest priority.
        }
    };
    timeout(DEADLINE, done).await.expect("snapshots in time");
}

/// All accounts at one moment.
async fn list(client: &Client) -> Vec<AccountRecord> {
    client.list_accounts(0, 4_000).await.expect("an answer")
}

async fn statement(client: &Client, account: u128) -> Vec<StatementEntry> {
    let (mut all, mut from) = (vec![], None);
    loop {
        let page = client.statement(account, from, 1_000).await.expect("an answer").expect("an account");
        all.extend(page.entries);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}
