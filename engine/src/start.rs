//! The start of an engine: lock, recovery, actors. The same path after a crash and after a clean shutdown.

use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Instant;

use actix::prelude::*;
use florin_core::coordinator::RoundLimits;
use florin_core::dedup::old::Run;
use florin_core::frame::{DraftHead, FrameView};
use florin_core::limits::SHARDS_MAX;
use florin_core::replay::{Ledger, ReplayError};
use florin_core::state_hash::state_hash;
use florin_wal::{
    DataLock, Frame, GroupTimes, IoMode, KeyRing, LedgerManifest, LockError, LogFailure, LogOptions, Point,
    RecoverError, RecoveryReport,
};
use tokio::sync::oneshot;

use crate::clock::{distrust, wall_ns};
use crate::coordinator_actor::{Adopt, Common, CoordinatorActor, Durable, FRAMES_UNDER_WAY_MANY, Stop};
use crate::handle::{Command, OnReply, Reply};
use crate::history::History;
use crate::ids::{Shelf, start_keeping_ids};
use crate::inbox::Submission;
use crate::memory::MemoryAhead;
use crate::opened::Opened;
use crate::packing::Packing;
use crate::scrub::ScrubOptions;
use crate::shard_actor::{ShardActor, SharedShard};
use crate::snapshots::{SnapshotError, SnapshotFolder, SnapshotManifest, start_keeping};
use crate::stages::{Stage, Stages};

/// Frames that may be at the writer at a time, with one to spare.
const WRITER_BUFFERS: usize = FRAMES_UNDER_WAY_MANY + 1;

/// Where the shards run. The coordinator runs where [`start`] is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Placement {
    /// Spread over as many Arbiters, that is threads, as there are cores beside the coordinator's; with a single core on the
    /// coordinator's own: decision 0007.
    #[default]
    Auto,
    /// On the coordinator's Arbiter, where a message costs under a microsecond.
    Together,
    /// Each on an Arbiter, that is a thread, of its own.
    Apart,
}

impl Placement {
    /// How many threads of their own the shards get on this machine.
    fn threads(self, shards: usize) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        match self {
            Placement::Auto => shards.min(cores - 1),
            Placement::Together => 0,
            Placement::Apart => shards,
        }
    }
}

/// How to run an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The data directory.
    pub data: PathBuf,
    /// How many shards, 1 to 64.
    pub shards: usize,
    /// Where they run.
    pub placement: Placement,
    /// How the log is written.
    pub io: IoMode,
    /// Bounds of a round.
    pub round: RoundLimits,
    /// Serve although the machine's clock is not believed.
    pub accept_clock: bool,
    /// Read and check the whole log at the start, also what the snapshot and the runs of ids know.
    pub check_all: bool,
    /// Compute the state hash at the start (sorts all accounts).
    pub state_hash: bool,
    /// Build the indexes that sealed segments lack, in the background. Without it those that are there are used.
    pub build_indexes: bool,
    /// Pack sealed segments of the log in the background. Those that are packed are read in any case.
    pub pack_segments: bool,
    /// Make a snapshot of every so many sealed segments, in the background; 0 = only when one is asked for. Those that are there are used in
    /// any case.
    pub snapshot_segments: u64,
    /// How files are read again, in the background, to find what has rotted.
    pub scrub: ScrubOptions,
}

/// Segments of a snapshot unless configured: 1 GiB of log, which recovery goes through in some seconds.
pub const SNAPSHOT_SEGMENTS_DEFAULT: u64 = 16;

impl EngineOptions {
    /// One shard on a data directory.
    pub fn new(data: impl Into<PathBuf>) -> EngineOptions {
        EngineOptions {
            data: data.into(),
            shards: 1,
            placement: Placement::Auto,
            io: IoMode::Auto,
            round: RoundLimits::default(),
            accept_clock: false,
            check_all: false,
            state_hash: false,
            build_indexes: true,
            pack_segments: true,
            snapshot_segments: SNAPSHOT_SEGMENTS_DEFAULT,
            scrub: ScrubOptions::default(),
        }
    }
}

/// Why an engine did not start. Nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the ledger, or there is none.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The snapshots cannot be looked at.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The runs of ids cannot be looked at.
    #[error(transparent)]
    Ids(Box<dyn std::error::Error + Send + Sync>),
    /// The log cannot be recovered.
    #[error(transparent)]
    Recover(#[from] RecoverError<ReplayError>),
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] florin_wal::StartError),
    /// The machine's clock is not believed.
    #[error("{0}; set the clock, or start with --accept-clock if it is right")]
    Clock(String),
    /// An option is out of range.
    #[error("{0}")]
    Option(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// What a start found.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// What recovery found in the log.
    pub log: RecoveryReport,
    /// The point that the ledger is as of, for reads only; none = all of it is served.
    pub point: Option<Point>,
    /// The snapshot that it went on from.
    pub snapshot: Option<SnapshotManifest>,
    /// Why newer snapshots were left aside.
    pub snapshots_refused: Vec<String>,
    /// Last row whose id is in runs on disk, 0 = none.
    pub ids_covered: u64,
    /// Why runs of ids were left aside; they are made again.
    pub runs_refused: Vec<String>,
    /// Accounts.
    pub accounts: usize,
    /// Ids known.
    pub ids: u64,
    /// Ids in memory.
    pub ids_recent: usize,
    /// Seconds that recovery took.
    pub seconds: f64,
    /// BLAKE3 of the state, if asked for.
    pub state_hash: Option<[u8; 32]>,
}

/// An engine that runs.
pub struct Started {
    /// Its handle.
    pub engine: Engine,
    /// What recovery found.
    pub report: StartReport,
}

/// The handle of an engine: cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Engine {
    coordinator: Addr<CoordinatorActor>,
    common: Common,
}

impl Engine {
    /// Asks. Requests of one origin (a connection, or another caller) are sequenced in the order of its calls. Callers bound
    /// what they have in flight: the engine queues all that it is given.
    pub fn submit(&self, origin: u64, command: Command, on_reply: OnReply) {
        self.common.inbox.submit(Submission { origin, command, on_reply }, &self.coordinator);
    }

    /// Times of the stages, for those who carry requests in and replies out.
    pub fn stages(&self) -> Arc<Stages> {
        self.common.stages.clone()
    }

    /// Asks as origin 0 and waits for the answer.
    pub async fn call(&self, command: Command) -> Reply {
        let (tell, told) = oneshot::channel();
        // The caller may have gone meanwhile; then nobody needs the answer.
        self.submit(0, command, Box::new(move |reply| drop(tell.send(reply))));
        told.await.unwrap_or(Reply::Stopping)
    }

    /// Finishes what is under way, refuses what comes, seals the log.
    pub async fn stop(&self) -> Result<(), LogFailure> {
        let (tell, told) = oneshot::channel();
        self.coordinator.do_send(Stop(tell));
        told.await.unwrap_or(Ok(()))
    }
}

/// Makes every panic end the process: an Arbiter that dies alone would leave the others waiting for it. Once is enough;
/// [`start`] does it too.
pub fn abort_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(set_abort_hook);
}

fn set_abort_hook() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        eprintln!("florin: a bug was met; the process ends so that recovery can go on from the log");
        std::process::abort();
    }));
}

/// Views a frame of the log as the core does.
pub fn view<'a>(frame: &Frame<'a>) -> Result<FrameView<'a>, ReplayError> {
    let head = DraftHead {
        number: frame.head.number,
        first_sequence: frame.head.first_sequence,
        count: frame.head.count,
        time: frame.head.time_ns,
    };
    Ok(FrameView::new(head, frame.payload, frame.vouchers)?)
}

/// Takes over what a snapshot leaves to the log: the ids. The last frame that it covers must be the one that it was made of.
fn note_covered(ledger: &mut Ledger, base: &SnapshotManifest, frame: &Frame<'_>) -> Result<(), ReplayError> {
    if frame.head.number == base.frame && !base.is_of(&frame.head) {
        return Err(of_another_log(&format!("snapshots/{:020}", base.frame)));
    }
    ledger.note_ids(&view(frame)?)
}

fn of_another_log(what: &str) -> ReplayError {
    ReplayError::Order(format!(
        "{what} is of another log: it or the log was put back or swapped; if the log is the right one, move it away"
    ))
}

/// Recovers a ledger and starts its actors. Must be called on an actix Arbiter (or within `actix_rt::System`).
pub async fn start(options: EngineOptions) -> Result<Started, StartError> {
    if !(1..=SHARDS_MAX).contains(&options.shards) {
        return Err(StartError::Option(format!("{} shards asked for; it must be 1 to {SHARDS_MAX}", options.shards)));
    }
    abort_on_panic();
    let begun = Instant::now();
    let lock = match Point::is_in(&options.data) {
        true => DataLock::acquire_for_reads(&options.data)?,
        false => DataLock::acquire(&options.data)?,
    };
    let manifest = LedgerManifest::load(&options.data).map_err(RecoverError::Manifest)?;
    let keys = KeyRing::load(&options.data).map_err(RecoverError::Key)?;
    let point = Point::load(&options.data, manifest.ledger, &keys).map_err(RecoverError::Point)?;
    let (frames, rows) = point.as_ref().map_or((u64::MAX, u64::MAX), |point| (point.frame, point.sequence));
    let opened = Shelf::open(&options.data, manifest.ledger, random_seed(), rows);
    let (shelf, runs_refused) = opened.map_err(|error| StartError::Ids(Box::new(error)))?;
    let seed = shelf.seed();
    let shelf = Arc::new(shelf);
    let no_path = |source| StartError::System { what: "the path of the data directory", source };
    // Absolute: whoever asks for a snapshot is told where it is.
    let snapshots = SnapshotFolder::new(&std::path::absolute(&options.data).map_err(no_path)?, manifest.ledger);
    let empty = || {
        let mut ledger = Ledger::new(options.shards, options.round, seed);
        ledger.coordinator.adopt_runs(shelf.in_memory());
        ledger
    };
    let found = snapshots.recover(&keys, frames, empty)?;
    let (mut ledger, base) = match found.base {
        Some((ledger, base)) => (ledger, Some(base)),
        None => (empty(), None),
    };
    let snapshot = base.as_ref().map_or(0, |base| base.frame);
    let ids = shelf.last_frame();
    // What the snapshot says of state and the runs say of ids need not be read again; the scrub reads it when there is time.
    let known = if options.check_all { 0 } else { snapshot.min(ids) };
    let log_options =
        LogOptions { io: options.io, buffers: WRITER_BUFFERS, snapshot, ids, known, ..LogOptions::default() };
    let opened = Opened::open(&options.data, lock, log_options, point.as_ref(), &mut |frame: Frame<'_>| {
        if let Some(run) = shelf.of_another_log(&frame.head) {
            return Err(of_another_log(&run.display().to_string()));
        }
        match base.as_ref().filter(|base| frame.head.number <= base.frame) {
            Some(base) => note_covered(&mut ledger, base, &frame),
            None => ledger.apply_frame(&view(&frame)?),
        }
    })?;
    // Nothing is booked as of a point.
    let books = point.is_none() && !options.accept_clock;
    if let Some(why) = distrust(wall_ns(), ledger.coordinator.last_booked_at()).filter(|_| books) {
        return Err(StartError::Clock(why));
    }
    let frame_bytes = options.round.frame_bytes.min(opened.frame_bytes_max());
    ledger.coordinator.set_round_limits(RoundLimits { frame_bytes, ..options.round });
    let report = StartReport {
        log: opened.report().clone(),
        point: point.clone(),
        snapshot: base.clone(),
        snapshots_refused: found.refused.iter().map(|error| error.to_string()).collect(),
        accounts: ledger.shards.iter().map(|s| s.account_count()).sum(),
        ids_covered: ledger.coordinator.covered(),
        runs_refused: runs_refused.iter().map(|error| error.to_string()).collect(),
        ids: ledger.coordinator.ids(),
        ids_recent: ledger.coordinator.recent_ids(),
        seconds: begun.elapsed().as_secs_f64(),
        state_hash: options.state_hash.then(|| state_hash(&ledger)),
    };
    let io = format!("{:?}", report.log.io.mode).to_lowercase();
    // Threads tell the coordinator, which is made of them: its mailbox is there before it. Should the start fail, the mailbox goes with what
    // is in it, and nobody waits.
    let mailbox = Context::<CoordinatorActor>::new();
    let coordinator = mailbox.address();
    let common = Common::default();
    let stages = common.stages.clone();
    let told = coordinator.clone();
    let on_durable = move |frame: u64, times: GroupTimes| {
        stages.record(Stage::Write, times.write);
        stages.record(Stage::Sync, times.sync);
        told.do_send(Durable(frame));
    };
    let on_failure = |failure: LogFailure| {
        eprintln!("florin: {failure}");
        eprintln!("florin: nothing more is acknowledged; the process ends. Mend the cause and start it again");
        std::process::abort();
    };
    let (log, reader) = opened.start(Box::new(on_durable), Box::new(on_failure))?;
    let no_thread = |source| StartError::System { what: "history thread", source };
    let every = if point.is_some() { 0 } else { options.snapshot_segments };
    let keeping = start_keeping(reader.apart(), snapshots.clone(), base, every, seed).map_err(no_thread)?;
    let ids =
        start_keeping_ids(reader.apart(), Arc::clone(&shelf), adopting(coordinator.clone())).map_err(no_thread)?;
    let packs = options.pack_segments && point.is_none();
    let packing = Packing::start(reader.apart(), packs).map_err(no_thread)?;
    let scrub = (options.scrub, snapshots);
    let history = History::start(reader, &options.data, options.build_indexes, keeping, (shelf, ids), scrub, packing)
        .map_err(no_thread)?;
    let threads: Vec<Arbiter> = (0..options.placement.threads(options.shards)).map(|_| Arbiter::new()).collect();
    let place = |(number, shard): (usize, _)| {
        let shared = SharedShard::new(shard);
        let actor = ShardActor::new(shared.clone());
        let address = match threads.get(number % threads.len().max(1)) {
            Some(thread) => ShardActor::start_in_arbiter(&thread.handle(), |_| actor),
            None => actor.start(),
        };
        (address, shared)
    };
    let shards = ledger.shards.into_iter().enumerate().map(place).collect();
    let memory = MemoryAhead::start(coordinator.clone()).map_err(no_thread)?;
    let actor = CoordinatorActor::new(ledger.coordinator, shards, log, history, memory, io, common.clone());
    mailbox.run(actor);
    Ok(Started { engine: Engine { coordinator, common }, report })
}

/// What the thread of ids does with runs that can be asked. The coordinator need not have started yet.
fn adopting(coordinator: Addr<CoordinatorActor>) -> Box<dyn Fn(Vec<Arc<Run>>) + Send> {
    Box::new(move |runs| coordinator.do_send(Adopt(runs)))
}

/// A seed that nobody knows.
pub(crate) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hash maps from the system's random source.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
pub(crate) mod tests;
