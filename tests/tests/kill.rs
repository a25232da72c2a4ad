//! Real crashes: the real server is killed with SIGKILL under load, twenty times, and judged by what an outside client was
//! told. Nothing that was answered is lost or changed, nothing is half there, a retry applies once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use florin_core::entry::StatementEntry;
use florin_core::request::PostForm;
use florin_net::{Client, ClientOptions};
use florin_tests::compare::{self, Readings};
use florin_tests::encode;
use florin_tests::heard::Heard;
use florin_tests::load;
use florin_tests::model::Model;
use florin_tests::model::item::Transaction;
use florin_tests::program::Step;
use florin_tests::rng::Rng;
use num_bigint::BigInt;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Kills by the normal suite.
const KILLS: u64 = 20;
/// No single thing takes longer than this.
const DEADLINE: Duration = Duration::from_secs(120);
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
        model: Model::serving(&[1]),
        next_batch: 0,
        batches: BTreeMap::new(),
        did: Did::default(),
    };
    rig.florin(&["init", "--segment-bytes", "1048576"]).await;
    rig.prepare().await;
    for kill in 0..KILLS {
        if kill % 5 == 4 {
            rig.kill_while_it_starts().await;
        }
        rig.kill_under_load().await;
        rig.check_after_a_kill().await;
    }
    rig.check_everything().await;
    rig.florin(&["verify"]).await;
    println!("{}", rig.did);
    assert!(rig.did.answers > 0 && rig.did.unanswered > 0 && rig.did.reads > 0, "this proves nothing");
    println!("{KILLS} kills: {KILLS} passed, 0 failed");
}

/// What the rig did, for the report.
#[derive(Default)]
struct Did {
    starts: u64,
    answers: u64,
    transactions: u64,
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
            "{} starts, {} batches answered with {} transactions, {} without an answer of which {} were not applied, \
             {} accounts read under load, {} batches asked again, {} statement entries compared",
            self.starts,
            self.answers,
            self.transactions,
            self.unanswered,
            self.lost_batches,
            self.reads,
            self.retries,
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
    did: Did,
}

/// A running server.
struct Server {
    process: Child,
    addr: String,
    /// Kept open, so that the server can go on printing.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    async fn kill(mut self) {
        self.process.start_kill().expect("a process to kill");
        exited(&mut self.process).await;
    }

    async fn stop(mut self) {
        let pid = self.process.id().expect("a running server").to_string();
        let status = timeout(DEADLINE, Command::new("kill").args(["-TERM", &pid]).status()).await;
        assert!(status.expect("kill in time").expect("kill").success());
        assert!(exited(&mut self.process).await.success(), "a clean stop");
    }
}

async fn exited(process: &mut Child) -> ExitStatus {
    timeout(DEADLINE, process.wait()).await.expect("the process ends in time").expect("its status")
}

/// The server's binary, which cargo puts next to this crate's own ones.
fn florin() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_kill_client")).with_file_name("florin");
    let built = binary.metadata().and_then(|m| m.modified());
    let built = built.unwrap_or_else(|_| panic!("{} is missing: {BUILD_IT}", binary.display()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let newest = ["engine", "wal", "net", "cli"].iter().map(|folder| newest_source(&root.join(folder))).max();
    assert!(newest.expect("four folders") <= built, "{} is older than its sources: {BUILD_IT}", binary.display());
    binary
}

const BUILD_IT: &str = "`cargo build -p florin`, or test the whole workspace";

fn newest_source(folder: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace").flatten() {
        let path = entry.path();
        let is_tests = ["tests", "examples", "benches"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_tests {
            newest = newest.max(newest_source(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            newest = newest.max(entry.metadata().and_then(|m| m.modified()).expect("its time"));
        }
    }
    newest
}

impl Rig {
    /// Runs a command of the binary on the ledger; it must exit with 0.
    async fn florin(&self, arguments: &[&str]) {
        let mut command = Command::new(florin());
        command.args(arguments).arg("--data").arg(&self.data).kill_on_drop(true);
        let output = timeout(DEADLINE, command.output()).await.expect("florin in time").expect("florin runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "florin {arguments:?}: {}\n{text}", output.status);
    }

    fn spawn(&mut self) -> Child {
        self.did.starts += 1;
        let shards = self.rng.pick(&["1", "1", "2", "3", "8"]);
        let io = self.rng.pick(&["auto", "auto", "buffered"]);
        Command::new(florin())
            .args(["serve", "--listen", "127.0.0.1:0", "--shards", shards, "--io", io, "--data"])
            .arg(&self.data)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("florin serve")
    }

    async fn serve(&mut self) -> Server {
        let mut process = self.spawn();
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        loop {
            let line = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
            let line = line.expect("the server listens before it ends");
            if let Some(addr) = line.strip_prefix("listening on ") {
                return Server { process, addr: addr.to_string(), _lines: lines };
            }
        }
    }

    async fn connect(&self, server: &Server) -> Client {
        let options = ClientOptions { deadline: DEADLINE, reconnect: false, ..ClientOptions::default() };
        Client::connect(&server.addr, options).await.expect("a connection")
    }

    /// Registers assets and opens accounts.
    async fn prepare(&mut self) {
        let server = self.serve().await;
        let client = self.connect(&server).await;
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
        let server = self.serve().await;
        let client = self.connect(&server).await;
        let asked: BTreeMap<u64, Step> = heard.asked.keys().map(|n| (*n, load::batch(SEED, *n))).collect();
        self.take_over_what_is_there(&client, &asked).await;
        self.compare_with_what_was_heard(&heard, &asked);
        self.compare_accounts(&client).await;
        self.next_batch = asked.keys().next_back().expect("the client asked") + 1;
        self.batches.extend(asked);

        let unanswered: Vec<u64> = heard.asked.keys().filter(|n| !heard.answered.contains_key(n)).copied().collect();
        let older: Vec<u64> = (0..5).map(|_| self.rng.below(self.next_batch as usize) as u64).collect();
        for number in unanswered.iter().chain(&older) {
            self.ask_again(&client, *number).await;
        }
        self.compare_accounts(&client).await;
        self.did.answers += heard.answered.len() as u64;
        self.did.unanswered += unanswered.len() as u64;
        self.did.reads += heard.reads.len() as u64;
        server.kill().await;
    }

    /// Looks up all that was asked since the last kill and puts it to the model in the order of the log. The model says
    /// what each must be: so nothing may be half there, out of order or past a limit. Every row is accounted for.
    async fn take_over_what_is_there(&mut self, client: &Client, asked: &BTreeMap<u64, Step>) {
        let all: Vec<_> = asked.values().flat_map(load::transactions).collect();
        let ids: Vec<u128> = all.iter().map(|t| t.id).collect();
        let mut found = vec![];
        for (ids, all) in ids.chunks(1_000).zip(all.chunks(1_000)) {
            let records = client.transactions(ids).await.expect("an answer");
            found.extend(all.iter().zip(records).filter_map(|(t, record)| record.map(|record| (*t, record))));
        }
        found.sort_by_key(|(_, record)| record.result.sequence);
        for (t, record) in found {
            self.model.begin_round(record.result.booked_at);
            let (verdict, entries) = self.model.post(1, t);
            compare::transaction(&record, (t, verdict, &entries));
        }
        let stats = client.stats().await.expect("an answer");
        assert_eq!(stats["sequence"].as_u64(), Some(self.model.last_sequence()), "a row that nobody asked for");
        for batch in asked.values() {
            let there = |t: &Transaction| self.model.transaction(1, t.id).is_some();
            self.did.lost_batches += u64::from(!load::transactions(batch).iter().any(there));
        }
    }

    fn compare_with_what_was_heard(&mut self, heard: &Heard, asked: &BTreeMap<u64, Step>) {
        for (number, items) in &heard.answered {
            let transactions = load::transactions(&asked[number]);
            assert_eq!(items.len(), transactions.len(), "batch {number}");
            for (t, (verdict, postings)) in transactions.iter().zip(items) {
                let (_, there, entries) = self.model.transaction(1, t.id).expect("what was answered is there");
                assert_eq!(*verdict, there, "batch {number}");
                let entries: Vec<(u64, BigInt)> = entries.iter().map(|e| (e.version, e.balance.clone())).collect();
                let told: Vec<(u64, BigInt)> = postings.iter().map(|(v, b)| (*v, (*b).into())).collect();
                assert_eq!(told, entries, "batch {number}");
                assert!(there.sequence > heard.asked[number], "batch {number} came before what was answered before it");
                self.did.transactions += 1;
            }
        }
        for (account, version, balance) in &heard.reads {
            let there = self.model.account(1, *account).expect("an account that was read");
            assert!(there.version >= *version, "an account went back to before it was read");
            if *version > 0 {
                let (sequence, index) = there.entries[*version as usize - 1];
                let entries = self.model.transactions().find(|(_, _, v, _)| v.sequence == sequence).expect("a row").3;
                assert_eq!(entries[index].balance, BigInt::from(*balance), "account {account:#x} as it was read");
            }
        }
    }

    /// Every account is the model's, and debits equal credits in each asset.
    async fn compare_accounts(&mut self, client: &Client) {
        let records = client.list_accounts(0, 4_000).await.expect("an answer");
        assert_eq!(records.len(), self.model.accounts().count());
        let mut sums: BTreeMap<u32, i128> = BTreeMap::new();
        for record in &records {
            assert!(compare::same_account(1, self.model.account(1, record.account), Some(record)), "{record:?}");
            let debit_normal = record.normal_side as u8 == 0;
            *sums.entry(record.asset).or_default() += if debit_normal { record.posted } else { -record.posted };
        }
        assert!(sums.values().all(|sum| *sum == 0), "debits and credits differ: {sums:?}");
    }

    /// The same ids with the same fields: what was applied is repeated, what was not is applied now, and a second time it
    /// is a repeat.
    async fn ask_again(&mut self, client: &Client, number: u64) {
        let batch = self.batches[&number].clone();
        for _ in 0..2 {
            let Step::Post { transfers, transactions, .. } = &batch else { unreachable!("batches are posts") };
            let form = if *transfers { PostForm::Transfers } else { PostForm::Journals };
            let payload = Bytes::from(encode::post_payload(*transfers, transactions));
            let reply = client.post_payload(form, transactions.len() as u32, payload, true).await.expect("an answer");
            compare::reply(&mut self.model, &batch, &reply, true, &mut Readings::default());
            self.did.retries += 1;
        }
    }

    /// At the end: every transaction by its id, every statement from end to end.
    async fn check_everything(&mut self) {
        let server = self.serve().await;
        let client = self.connect(&server).await;
        let ids: Vec<u128> = self.batches.values().flat_map(load::transactions).map(|t| t.id).collect();
        for ids in ids.chunks(1_000) {
            for (id, record) in ids.iter().zip(client.transactions(ids).await.expect("an answer")) {
                let expected = self.model.transaction(1, *id).expect("everything was asked until it was answered");
                compare::transaction(&record.expect("what was answered is there"), expected);
            }
        }
        for account in load::accounts() {
            let entries = statement(&client, account).await;
            let expected = &self.model.account(1, account).expect("an account").entries;
            assert_eq!(entries.len(), expected.len(), "each posting has its entry");
            for (entry, (sequence, index)) in entries.iter().zip(expected.iter().rev()) {
                assert_eq!(entry.sequence, *sequence);
                compare::statement_entry(entry, *index, self.model.transaction(1, entry.id).expect("a transaction"));
            }
            self.did.entries += entries.len() as u64;
        }
        drop(client);
        server.stop().await;
    }
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
