//! What the rest of the process sees of the engine: commands in, replies out, and nothing about actors.
//!
//! A reply is handed over only once everything that it reflects is durable.

use florin_core::asset::Asset;
use florin_core::entry::{
    AccountRecord, BalanceAt, Moment, Order, PostReply, Span, StatementPage, StatementToken, TransactionPage,
    TransactionRecord,
};
use florin_core::institution::Institution;
use florin_core::request::{ChangeRequest, ControlRequest, OpenRequest, PostRequest};
use serde::Serialize;

use crate::snapshots::SnapshotReport;
use crate::stages::StageFigures;

/// Most account ids in one look-up.
pub const LOOK_UP_ACCOUNTS_MAX: usize = 8_190;
/// Most accounts on one page of a listing.
pub const LIST_ACCOUNTS_MAX: u32 = 4_000;
/// Most transaction ids in one look-up.
pub const LOOK_UP_TRANSACTIONS_MAX: usize = 1_000;
/// Most transactions on one page of a watch, of a look-up by reference or of what is linked.
pub const TRANSACTION_PAGE_MAX: u32 = 1_000;
/// Longest wait of a watch for a new transaction, milliseconds.
pub const WATCH_WAIT_MS_MAX: u32 = 60_000;
/// Most entries on one page of a statement.
pub const STATEMENT_ENTRIES_MAX: u32 = 1_000;

/// Called when the answer may leave the process. Runs on an engine thread: it must not block.
pub type OnReply = Box<dyn FnOnce(Reply) + Send>;

/// What can be asked of the engine.
#[derive(Debug)]
pub enum Command {
    /// Post transactions.
    Post {
        /// The transactions.
        request: PostRequest,
        /// Whether version and balance after of each posting are wanted.
        want_postings: bool,
    },
    /// Open accounts.
    Open(OpenRequest),
    /// Change accounts: status, limits, label, attributes.
    Change(ChangeRequest),
    /// Apply a control record.
    Control(ControlRequest),
    /// Accounts by id, at most [`LOOK_UP_ACCOUNTS_MAX`].
    LookUpAccounts {
        /// The tenant.
        institution: u32,
        /// The accounts.
        ids: Vec<u128>,
    },
    /// Accounts in the order of their opening.
    ListAccounts {
        /// The tenant.
        institution: u32,
        /// `opened` of the last account seen, 0 to begin.
        after: u64,
        /// At most this many, up to [`LIST_ACCOUNTS_MAX`].
        limit: u32,
    },
    /// Transactions by id, at most [`LOOK_UP_TRANSACTIONS_MAX`].
    LookUpTransactions {
        /// The tenant.
        institution: u32,
        /// The ids.
        ids: Vec<u128>,
    },
    /// A page of an account's statement.
    Statement {
        /// The tenant.
        institution: u32,
        /// The account.
        account: u128,
        /// Which entries.
        span: Span,
        /// In which order.
        order: Order,
        /// Where to go on; none = at the beginning.
        from: Option<StatementToken>,
        /// At most this many entries, up to [`STATEMENT_ENTRIES_MAX`].
        limit: u32,
    },
    /// An account's balance at a moment.
    BalanceAt {
        /// The tenant.
        institution: u32,
        /// The account.
        account: u128,
        /// The moment.
        moment: Moment,
    },
    /// Transactions with a business reference, in log order.
    ByReference {
        /// The tenant.
        institution: u32,
        /// The reference, not 0.
        reference: u128,
        /// `seen` of the page before, 0 to begin.
        after: u64,
        /// At most this many, up to [`TRANSACTION_PAGE_MAX`].
        limit: u32,
    },
    /// Transactions that name a transaction: its captures, increases, release, expiry, reversals, refunds; in log order.
    Linked {
        /// The tenant.
        institution: u32,
        /// Id of the transaction that they name.
        id: u128,
        /// `seen` of the page before, 0 to begin.
        after: u64,
        /// At most this many, up to [`TRANSACTION_PAGE_MAX`].
        limit: u32,
    },
    /// The next transactions of an institution in log order, once there is one.
    Watch {
        /// The tenant.
        institution: u32,
        /// `seen` of the page before, 0 to begin at the first row.
        after: u64,
        /// At most this many, up to [`TRANSACTION_PAGE_MAX`].
        limit: u32,
        /// Answer with an empty page if there is none for this long, milliseconds, up to [`WATCH_WAIT_MS_MAX`].
        wait_ms: u32,
    },
    /// The institutions: all of them if the first one asks, else the one that asks.
    Institutions {
        /// The tenant.
        institution: u32,
    },
    /// The registered assets.
    Assets,
    /// Figures about the engine.
    Stats,
    /// Make a snapshot of all that is durable once everything before this command is.
    Snapshot,
}

/// The answers.
#[derive(Debug)]
pub enum Reply {
    /// To `Post`, `Open`, `Change` and `Control`.
    Posted(PostReply),
    /// To `LookUpAccounts`, in the order asked.
    Accounts {
        /// The accounts, or none where there is no such account.
        accounts: Vec<Option<AccountRecord>>,
        /// Last sequence number that the answer reflects.
        position: u64,
    },
    /// To `ListAccounts`.
    AccountPage {
        /// The accounts; fewer than asked for = no more.
        accounts: Vec<AccountRecord>,
        /// Last sequence number that the answer reflects.
        position: u64,
    },
    /// To `LookUpTransactions`, in the order asked.
    Transactions {
        /// The transactions, or none where the id is not known.
        transactions: Vec<Option<TransactionRecord>>,
        /// Last sequence number that the answer reflects.
        position: u64,
    },
    /// To `Statement`; none = no such account.
    Statement(Option<Box<StatementPage>>),
    /// To `BalanceAt`; none = no such account.
    BalanceAt(Option<BalanceAt>),
    /// To `ByReference`, `Linked` and `Watch`.
    TransactionPage(TransactionPage),
    /// To `Institutions`: number and what is known of each.
    Institutions(Vec<(u32, Institution)>),
    /// To `Assets`.
    Assets(Vec<Asset>),
    /// To `Stats`.
    Stats(Box<EngineStats>),
    /// To `Snapshot`; none = the log has no frame.
    Snapshot(Option<SnapshotReport>),
    /// To `Snapshot`: none could be made, and why.
    SnapshotFailed(String),
    /// To `Statement`: the paging token is not of this account.
    ForeignToken,
    /// To a read: no such institution is registered.
    InstitutionUnknown,
    /// To `ByReference`, `Linked` and `Watch`: there is no row `after` yet; this is the last one.
    PositionUnknown(u64),
    /// To a read: the engine is stopping, or has stopped.
    Stopping,
    /// History could not be read: file and offset.
    Failed(String),
}

/// Figures about the engine since it started. Times are microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EngineStats {
    /// Shards.
    pub shards: usize,
    /// Accounts.
    pub accounts: u64,
    /// Ids in memory.
    pub ids: u64,
    /// Holds that are open.
    pub holds: u64,
    /// Last sequence number given out.
    pub sequence: u64,
    /// Last frame decided.
    pub frame_decided: u64,
    /// Last frame durable.
    pub frame_durable: u64,
    /// Rounds since the start.
    pub rounds: u64,
    /// Transactions posted since the start.
    pub posted: u64,
    /// Transactions refused and recorded since the start.
    pub refused: u64,
    /// Repeats answered since the start.
    pub repeats: u64,
    /// Votes since the start; with one shard there are none.
    pub votes: u64,
    /// Votes that were in doubt.
    pub votes_maybe: u64,
    /// Groups written since the start.
    pub groups: u64,
    /// Bytes written to the log since the start.
    pub log_bytes: u64,
    /// Segments of the log that are sealed.
    pub segments_sealed: u64,
    /// Packs of sealed segments.
    pub packs: u64,
    /// Segments in them.
    pub segments_packed: u64,
    /// Bytes of the disk that packing has freed since the start.
    pub pack_bytes_saved: u64,
    /// Sealed segments whose index can be used.
    pub segments_indexed: u64,
    /// Indexes built since the start.
    pub indexes_built: u64,
    /// Time that building them took, pauses included.
    pub index_build_us: u64,
    /// Ids in memory; the others are in runs on disk.
    pub ids_recent: u64,
    /// Runs of ids on disk.
    pub id_runs: u64,
    /// Last sealed segment whose ids are in runs.
    pub id_run_segment: u64,
    /// Bytes of their files.
    pub id_run_bytes: u64,
    /// Bytes of memory for their filters, ranges and first hashes.
    pub id_run_memory: u64,
    /// Runs made of segments since the start.
    pub id_runs_made: u64,
    /// Merges of runs since the start.
    pub id_runs_merged: u64,
    /// Runs that were found damaged and are still to be made again.
    pub id_runs_damaged: u64,
    /// Runs that were made again since the start.
    pub id_runs_remade: u64,
    /// Ids that were looked up in runs since the start.
    pub ids_looked_up: u64,
    /// Those of them that no row has: what the filters could not exclude.
    pub ids_looked_up_in_vain: u64,
    /// Last frame of the newest snapshot, 0 = none.
    pub snapshot_frame: u64,
    /// Last sealed segment that was folded towards the next snapshot.
    pub snapshot_folded: u64,
    /// Snapshots made since the start.
    pub snapshots_made: u64,
    /// Bytes of the last one made.
    pub snapshot_bytes: u64,
    /// Time that making the last one took, pauses included.
    pub snapshot_us: u64,
    /// Rounds that the scrub has completed through all files since the start.
    pub scrub_rounds: u64,
    /// Bytes that it has read.
    pub scrub_bytes: u64,
    /// Damage that it has found, each once a round.
    pub scrub_damage: u64,
    /// When its last round ended, nanoseconds since 1970-01-01 UTC; 0 = none has.
    pub scrub_round_ended_ns: u64,
    /// The file that it reads; empty between rounds.
    pub scrub_file: String,
    /// What it found last: file, offset, what is wrong; empty = nothing.
    pub scrub_last_damage: String,
    /// How the log is written: `direct` or `buffered`.
    pub io: String,
    /// From closing a round to its reply, percentiles 50, 99, 99.9 and the maximum.
    pub round_us: [u64; 4],
    /// How long each stage of a request's way takes.
    pub stages: Vec<StageFigures>,
}
