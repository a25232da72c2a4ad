//! A ledger through one fault after the other: starts it, asks again what was not answered, lets an outside client post
//! until the server is gone, and has everything judged.

mod judged;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use florin_core::entry::AccountRecord;
use florin_net::{Client, ClientError};
use tokio::process::Child;
use tokio::time::timeout;

use super::judge::Judge;
use super::outside::Outside;
use super::server::{self, DEADLINE, Server};
use super::tally::Tally;
use crate::encode;
use crate::heard::{self, HeardItem};
use crate::load;
use crate::model::number::STORAGE_FULL;
use crate::program::Step;
use crate::rng::Rng;

/// Older batches that are asked again after each fault.
const OLDER: usize = 5;

/// How a server is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// Shards.
    pub shards: &'static str,
    /// How the log is written.
    pub io: &'static str,
}

/// A ledger and all that is known of it.
pub struct Book<'a> {
    /// The ledger's folder.
    pub data: PathBuf,
    /// What the outside client hears; on another file system than the ledger if that one suffers.
    answers: PathBuf,
    /// What the server says on standard error.
    errors: PathBuf,
    seed: u64,
    /// Of the faults.
    pub rng: Rng,
    /// Of everything.
    pub judge: Judge,
    next_batch: u64,
    /// Batches without a full answer.
    pub open: BTreeSet<u64>,
    /// Ids of which the rig itself was told, so that the next answer is a repeat.
    told: BTreeSet<u128>,
    /// What the rig itself was told since the log was read: batch, results, whether it was asked the second time.
    results: Vec<(u64, Vec<HeardItem>, bool)>,
    /// Accounts as they were listed since then.
    lists: Vec<Vec<AccountRecord>>,
    /// What was done.
    pub tally: &'a Tally,
}

impl<'a> Book<'a> {
    /// Makes a ledger in `data`. What is not the ledger's own goes to `folder`.
    pub async fn make(data: PathBuf, folder: &Path, segment_bytes: u64, seed: u64, tally: &'a Tally) -> Book<'a> {
        server::run(&["init", "--segment-bytes", &segment_bytes.to_string()], &data).await;
        Book {
            data,
            answers: folder.join("answers"),
            errors: folder.join("errors"),
            seed,
            rng: Rng::part(seed, "faults"),
            judge: Judge::new(),
            next_batch: 0,
            open: BTreeSet::new(),
            told: BTreeSet::new(),
            results: vec![],
            lists: vec![],
            tally,
        }
    }

    /// A way to start a server.
    pub fn way(&mut self) -> Way {
        Way { shards: self.rng.pick(&["1", "1", "2", "3", "8"]), io: self.rng.pick(&["auto", "auto", "buffered"]) }
    }

    /// Starts a server's process, behind other words of the command line if there are any.
    pub fn spawn(&mut self, before: &[&std::ffi::OsStr], way: Way) -> Child {
        self.tally.add("starts", 1);
        let errors = std::fs::File::create(&self.errors).expect("a file for what the server says");
        let mut command = server::command(before, &self.data, "127.0.0.1:0", way.shards, way.io);
        command.stderr(errors).spawn().expect("florin serve")
    }

    /// Starts a server and waits until it listens.
    pub async fn serve(&mut self, way: Way) -> Server {
        let process = self.spawn(&[], way);
        match Server::listening_or_ended(process).await {
            Ok(server) => {
                self.tally.add("of them from a snapshot", u64::from(server.from_snapshot));
                server
            }
            Err(_) => panic!("a start after a fault must succeed: {}", self.errors()),
        }
    }

    /// What the present or last server said on standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).expect("what the server said")
    }

    /// Registers assets and opens accounts.
    pub async fn prepare(&mut self, server: &Server) {
        let client = server.connect().await;
        for step in load::preparation() {
            match &step {
                Step::Control { control, .. } => {
                    let got = client.control(control.id, &control.record).await.expect("an answer");
                    self.judge.control(&step, &got);
                }
                Step::Open { openings, .. } => {
                    let accounts: Vec<_> = openings.iter().map(encode::new_account).collect();
                    let reply = client.open_accounts(&accounts).await.expect("an answer");
                    self.judge.opened(&step, &reply);
                }
                _ => unreachable!("assets and accounts"),
            }
        }
    }

    /// Right after a start: nothing that was in the log is gone, what was not answered is asked again with the same ids, as
    /// are some older batches.
    pub async fn settle(&mut self, server: &Server) {
        let client = server.connect().await;
        let stats = client.stats().await.expect("an answer");
        assert!(stats["sequence"].as_u64() >= Some(self.judge.model().last_sequence()), "what was in the log is gone");
        self.list(&client).await;
        let mut numbers: Vec<u64> = std::mem::take(&mut self.open).into_iter().collect();
        if self.next_batch > 0 {
            numbers.extend((0..OLDER).map(|_| self.rng.below(self.next_batch as usize) as u64));
        }
        for number in numbers {
            self.ask(&client, number).await;
            self.ask(&client, number).await;
        }
        self.list(&client).await;
    }

    /// All accounts at one moment.
    pub async fn list(&mut self, client: &Client) {
        self.lists.push(client.list_accounts(0, 4_000).await.expect("an answer"));
    }

    /// A batch that nobody has asked for yet.
    pub fn new_batch(&mut self) -> u64 {
        let number = self.next_batch;
        self.next_batch += 1;
        self.judge.asked(number, load::batch(self.seed, number));
        number
    }

    /// Asks for a batch. What was applied before is repeated, what was not is applied now, or refused for want of room;
    /// a request may have been applied in part. Says whether all of it was answered for good.
    pub async fn ask(&mut self, client: &Client, number: u64) -> bool {
        let batch = self.judge.batch(number).clone();
        let ids = load::ids(&batch);
        let reply = load::ask(client, &batch).await.expect("an answer");
        let mut results = heard::results(&batch, &reply);
        let again = ids.iter().all(|id| self.told.contains(id));
        let mut refused = 0;
        for ((verdict, _), id) in results.iter_mut().zip(ids) {
            let was_there = self.told.contains(&id) || self.judge.has(id);
            if verdict.outcome == STORAGE_FULL && !was_there {
                refused += 1;
                continue;
            }
            assert_eq!(verdict.repeat, was_there, "batch {number}: {verdict:?}");
            verdict.repeat = again;
            self.told.insert(id);
        }
        self.results.push((number, results, again));
        self.tally.add("batches asked by the rig", 1);
        self.tally.add("items refused for want of room", refused);
        if refused > 0 {
            self.open.insert(number);
        } else {
            self.open.remove(&number);
        }
        refused == 0
    }

    /// Posts to a server that has lost its disk until it is gone: nothing is answered any more.
    pub async fn post_in_vain(&mut self, client: &Client) {
        loop {
            let number = self.new_batch();
            self.open.insert(number);
            let batch = self.judge.batch(number).clone();
            match load::ask(client, &batch).await {
                Ok(reply) => {
                    let results = heard::results(&batch, &reply);
                    let refused = results.iter().all(|(verdict, _)| verdict.outcome == STORAGE_FULL);
                    assert!(refused, "batch {number} was answered without a disk: {results:?}");
                }
                // Something that it names could not be read.
                Err(ClientError::Server { .. }) => {}
                Err(_) => return,
            }
        }
    }

    /// Starts the outside client, which posts until the server is gone.
    pub fn load(&mut self, server: &Server) -> Outside {
        Outside::start(&server.addr, self.seed, self.next_batch, &self.answers)
    }
}

/// Waits until all that is sealed was folded.
pub async fn await_snapshots(server: &Server) {
    let client = server.connect().await;
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
