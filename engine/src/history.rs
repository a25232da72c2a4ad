//! Reads of history: rows of the log, up to the durable position, on threads of their own.
//!
//! What is read here never changes, so nothing waits for it but the reader who asked. Quick questions (repeats, look-ups by id)
//! have one thread, pages and statements another, so that a long page holds up no posting; originals of reversals, for which
//! sequencing may wait, have a thread to themselves. A fourth builds the indexes of sealed segments (`index`), which make the past as near as the present; every answer is the same with
//! them, without them, and with some of them.

mod builder;
pub(crate) mod catalog;
mod entries;
pub(crate) mod index;
mod old_ids;
mod pages;
mod rows;
mod seek;
mod statement;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use florin_core::compare::{resolve_changes, resolve_control, resolve_post};
use florin_core::entry::{AccountRecord, Moment, Order, PostReply, Span, StatementToken};
use florin_core::frame::Record;
use florin_core::link::Wanted as LookedUp;
use florin_core::request::{ChangeRequest, ControlRequest, PostRequest};
use florin_wal::LogReader;

use crate::coordinator_actor::Found;
use crate::handle::{OnReply, Reply};
pub use builder::IndexStats;
use builder::{Building, start_building};
use catalog::Catalog;
use rows::Rows;

use crate::ids::{IdStats, IdsKeeping, Shelf};
use crate::packing::{Packing, PackingStats};
use crate::scrub::{ScrubOptions, ScrubStats, Scrubbing, start_scrubbing};
use crate::snapshots::{Keeping, SnapshotFolder, SnapshotStats};

/// What a statement shows.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Which entries.
    pub span: Span,
    /// In which order.
    pub order: Order,
    /// Where to go on; none = at the beginning.
    pub from: Option<StatementToken>,
    /// At most this many entries.
    pub limit: u32,
}

/// Which transactions of an institution a page has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All of them.
    All,
    /// Those with this business reference.
    Reference(u128),
    /// Those that name the transaction with this id.
    LinkedTo(u128),
}

/// Where a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It is this row.
    Row(u64),
    /// The row that used this id, if runs have one.
    OldId(u128),
    /// Nowhere.
    Unknown,
}

/// What history is asked. Everything that a job reads is durable when it is sent.
pub enum Job {
    /// Put the original results of repeats into an answer.
    ResolvePost {
        /// The request.
        request: Arc<PostRequest>,
        /// Whether version and balance of postings are wanted.
        want_postings: bool,
        /// The answer without them.
        reply: PostReply,
    },
    /// Put the original results of repeats into the answer to account changes.
    ResolveChanges {
        /// The request.
        request: Arc<ChangeRequest>,
        /// The answer without them.
        reply: PostReply,
    },
    /// What runs say of ids, and what the originals of reversals are.
    LookUp {
        /// What is to be looked up.
        wanted: LookedUp,
        /// Whom to tell.
        then: Box<dyn FnOnce(Found) + Send>,
    },
    /// A page of transactions in log order.
    Page {
        /// The tenant.
        institution: u32,
        /// Which ones.
        want: Wanted,
        /// Rows after this one.
        after: u64,
        /// At most this many.
        limit: u32,
        /// What the answer reflects.
        position: u64,
    },
    /// An account's balance at a moment.
    BalanceAt {
        /// The account.
        account: Box<AccountRecord>,
        /// The moment.
        moment: Moment,
        /// What the answer reflects.
        position: u64,
    },
    /// The original result of a repeated control record.
    ResolveControl {
        /// The request.
        request: ControlRequest,
        /// Where the original is.
        sequence: u64,
    },
    /// Transactions by their place.
    Transactions {
        /// The tenant.
        institution: u32,
        /// Where they are.
        places: Vec<Place>,
        /// What the answer reflects.
        position: u64,
    },
    /// A page of a statement.
    Statement {
        /// The account.
        account: Box<AccountRecord>,
        /// What to show.
        query: Query,
        /// What the answer reflects.
        position: u64,
    },
}

/// The threads of history.
pub struct History {
    quick: Worker,
    originals: Worker,
    pages: Worker,
    building: Building,
    keeping: Keeping,
    ids: IdsKeeping,
    scrubbing: Option<Scrubbing>,
    packing: Packing,
}

/// A thread that answers jobs in the order in which they come.
struct Worker {
    jobs: Option<Sender<(Job, OnReply)>>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Starts the threads. Without `build_indexes` the indexes that are there are used and none is made.
    pub fn start(
        reader: LogReader,
        data: &Path,
        build_indexes: bool,
        keeping: Keeping,
        (shelf, ids): (Arc<Shelf>, IdsKeeping),
        scrub: (ScrubOptions, SnapshotFolder),
        packing: Packing,
    ) -> std::io::Result<History> {
        let catalog = Arc::new(Catalog::new(data, reader.ledger()));
        let rows = |name| Worker::start(name, Rows::new(reader.clone(), Arc::clone(&catalog), Arc::clone(&shelf)));
        let (quick, originals, pages) = (rows("florin-history")?, rows("florin-original")?, rows("florin-pages")?);
        // It walks whole segments: with tables of its own it never makes a reader wait.
        let building = start_building(reader.apart(), Arc::clone(&catalog), build_indexes)?;
        let scrubbing = match scrub {
            (ScrubOptions { bytes_per_second: 0, .. }, _) => None,
            (options, snapshots) => Some(start_scrubbing(&options, &reader, snapshots, shelf, catalog)?),
        };
        Ok(History { quick, originals, pages, building, keeping, ids, scrubbing, packing })
    }

    /// Hands a job over.
    pub fn send(&self, job: Job, on_reply: OnReply) {
        let worker = match &job {
            Job::LookUp { .. } => &self.originals,
            Job::Page { .. } | Job::BalanceAt { .. } | Job::Statement { .. } => &self.pages,
            _ => &self.quick,
        };
        let jobs = worker.jobs.as_ref().expect("history is stopped last");
        jobs.send((job, on_reply)).expect("a history thread ends after its last job");
    }

    /// How far the indexes are.
    pub fn stats(&self) -> IndexStats {
        self.building.stats()
    }

    /// What snapshots there are.
    pub fn snapshots(&self) -> SnapshotStats {
        self.keeping.stats()
    }

    /// Asks for a snapshot: see [`Keeping::order`].
    pub fn order_snapshot(&self, upto: u64, on_reply: OnReply) {
        self.keeping.order(upto, on_reply);
    }

    /// What runs of ids there are.
    pub fn ids(&self) -> IdStats {
        self.ids.stats()
    }

    /// What the scrub read and found.
    pub fn scrub(&self) -> ScrubStats {
        self.scrubbing.as_ref().map(Scrubbing::stats).unwrap_or_default()
    }

    /// What is packed.
    pub fn packing(&self) -> PackingStats {
        self.packing.stats()
    }

    /// Answers what was asked and ends the threads. An index, snapshot or pack that is being made is dropped.
    pub fn stop(&mut self) {
        self.quick.stop();
        self.originals.stop();
        self.pages.stop();
        self.building.stop();
        self.keeping.stop();
        self.ids.stop();
        self.scrubbing.iter_mut().for_each(Scrubbing::stop);
        self.packing.stop();
    }
}

impl Worker {
    fn start(name: &str, rows: Rows) -> std::io::Result<Worker> {
        let (jobs, todo) = unbounded(); // bounded by the permits of the connections
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || run(rows, todo))?;
        Ok(Worker { jobs: Some(jobs), thread: Some(thread) })
    }

    fn stop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic aborts the process");
        }
    }
}

fn run(mut rows: Rows, todo: Receiver<(Job, OnReply)>) {
    for (job, on_reply) in todo {
        match job {
            Job::LookUp { wanted, then } => then(rows.look_up(wanted)),
            job => on_reply(rows.answer(job).unwrap_or_else(Reply::Failed)),
        }
    }
}

impl Rows {
    fn answer(&mut self, job: Job) -> Result<Reply, String> {
        match job {
            Job::ResolvePost { request, want_postings, reply } => {
                resolve_post(&request, want_postings, reply, |sequence| self.read(sequence)).map(Reply::Posted)
            }
            Job::ResolveControl { request, sequence } => {
                let result = resolve_control(&request.record, &self.read(sequence)?);
                let mut reply = PostReply::default();
                reply.push(result);
                Ok(Reply::Posted(reply))
            }
            Job::Transactions { institution, places, position } => {
                let mut transactions = vec![None; places.len()];
                let mut found: Vec<(u64, usize)> = Vec::new();
                for (at, place) in places.into_iter().enumerate() {
                    let sequence = match place {
                        Place::Row(sequence) => Some(sequence),
                        Place::OldId(id) => self.old_id(institution, id)?.map(|old| old.sequence),
                        Place::Unknown => None,
                    };
                    found.extend(sequence.filter(|sequence| *sequence <= position).map(|sequence| (sequence, at)));
                }
                // In the order of the log: each segment and frame is then looked up once.
                found.sort_unstable();
                for (sequence, at) in found {
                    if let Record::Transaction(transaction) = self.read(sequence)? {
                        transactions[at] = Some(*transaction);
                    }
                }
                Ok(Reply::Transactions { transactions, position })
            }
            Job::ResolveChanges { request, reply } => {
                resolve_changes(&request, reply, |sequence| self.read(sequence)).map(Reply::Posted)
            }
            Job::LookUp { .. } => unreachable!("what is looked up has an answer of its own"),
            Job::Page { institution, want, after, limit, position } => {
                self.page(institution, want, after, limit, position).map(Reply::TransactionPage)
            }
            Job::BalanceAt { account, moment, position } => {
                self.balance_at(&account, moment, position).map(|found| Reply::BalanceAt(Some(found)))
            }
            Job::Statement { account, query, position } => {
                let page = self.statement(*account, query, position)?;
                Ok(page.map_or(Reply::ForeignToken, |page| Reply::Statement(Some(Box::new(page)))))
            }
        }
    }
}
