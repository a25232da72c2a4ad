//! What readers get back: accounts, transactions and statement entries, as plain values with every field named.
//!
//! These are copies for the edges of the system. The bytes of the log are in `frame.rs`.

use crate::account::HeldResult;
use crate::outcome::Outcome;
use crate::request::{Action, ChangeRow, ChangeView, ItemKind, ItemResult, PostingResult, Side};

/// What a row of the log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RowKind {
    /// Two postings, complete in the row.
    Transfer = 1,
    /// Any number of postings, in the extension area.
    Journal = 2,
    /// An account opening.
    Open = 3,
    /// A control record.
    Control = 4,
    /// A hold.
    Hold = 5,
    /// An increase of a hold.
    Increase = 6,
    /// A capture of a hold.
    Capture = 7,
    /// A release of a hold.
    Release = 8,
    /// The expiry of a hold.
    Expiry = 9,
    /// A reversal of a transaction.
    Reversal = 10,
    /// A change of an account.
    Change = 11,
}

impl RowKind {
    /// All kinds, with their names.
    pub const ALL: [(RowKind, &'static str); 11] = [
        (RowKind::Transfer, "transfer"),
        (RowKind::Journal, "journal"),
        (RowKind::Open, "open"),
        (RowKind::Control, "control"),
        (RowKind::Hold, "hold"),
        (RowKind::Increase, "increase"),
        (RowKind::Capture, "capture"),
        (RowKind::Release, "release"),
        (RowKind::Expiry, "expiry"),
        (RowKind::Reversal, "reversal"),
        (RowKind::Change, "change"),
    ];

    /// The kind of a byte.
    pub fn from_byte(byte: u8) -> Option<RowKind> {
        RowKind::ALL.iter().map(|(kind, _)| *kind).find(|kind| *kind as u8 == byte)
    }

    /// Its name in output.
    pub fn name(self) -> &'static str {
        RowKind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of row that an item becomes. `is_transfer`: it has the form of a transfer, which counts for posts only.
    pub fn of(kind: ItemKind, is_transfer: bool) -> RowKind {
        match kind {
            ItemKind::Post if is_transfer => RowKind::Transfer,
            ItemKind::Post => RowKind::Journal,
            ItemKind::Hold => RowKind::Hold,
            ItemKind::Increase => RowKind::Increase,
            ItemKind::Capture => RowKind::Capture,
            ItemKind::Release => RowKind::Release,
            ItemKind::Reverse => RowKind::Reversal,
            ItemKind::Expiry => RowKind::Expiry,
        }
    }

    /// The kind of item that it records, if it records one.
    pub fn item(self) -> Option<ItemKind> {
        match self {
            RowKind::Transfer | RowKind::Journal => Some(ItemKind::Post),
            RowKind::Hold => Some(ItemKind::Hold),
            RowKind::Increase => Some(ItemKind::Increase),
            RowKind::Capture => Some(ItemKind::Capture),
            RowKind::Release => Some(ItemKind::Release),
            RowKind::Expiry => Some(ItemKind::Expiry),
            RowKind::Reversal => Some(ItemKind::Reverse),
            RowKind::Open | RowKind::Control | RowKind::Change => None,
        }
    }
}

/// Status of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Status {
    /// Takes debits and credits.
    #[default]
    Open = 0,
    /// Refuses debits.
    DebitFrozen = 1,
    /// Refuses credits.
    CreditFrozen = 2,
    /// Refuses both.
    Frozen = 3,
    /// Refuses everything.
    Closed = 4,
}

impl Status {
    /// The status of a byte.
    pub fn from_byte(byte: u8) -> Option<Status> {
        [Status::Open, Status::DebitFrozen, Status::CreditFrozen, Status::Frozen, Status::Closed]
            .into_iter()
            .find(|s| *s as u8 == byte)
    }

    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::DebitFrozen => "debit-frozen",
            Status::CreditFrozen => "credit-frozen",
            Status::Frozen => "frozen",
            Status::Closed => "closed",
        }
    }
}

/// Category of an account.
pub const CATEGORIES: [&str; 3] = ["personal", "enterprise", "platform"];

/// An account as a reader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRecord {
    /// The tenant.
    pub institution: u32,
    /// The account.
    pub account: u128,
    /// Asset number.
    pub asset: u32,
    /// Subject, 0 = none.
    pub subject: u32,
    /// The side that raises its balance.
    pub normal_side: Side,
    /// Index into [`CATEGORIES`].
    pub category: u8,
    /// Status.
    pub status: Status,
    /// Owner, 0 = none.
    pub owner: u128,
    /// Floor of available.
    pub floor: Option<i128>,
    /// Ceiling of posted plus incoming holds.
    pub ceiling: Option<i128>,
    /// Alarm level.
    pub alarm: Option<i128>,
    /// Balance on the normal side, minor units.
    pub posted: i128,
    /// Reserved by holds on the side opposite to the normal one: what is to leave. Minor units.
    pub held: i128,
    /// Reserved by holds on the normal side: what is to come. Minor units.
    pub incoming: i128,
    /// Number of entries.
    pub version: u64,
    /// Sequence number of the row that opened it.
    pub opened: u64,
    /// Sequence number of the row with its last entry; `opened` if it has none.
    pub last_entry: u64,
    /// Label.
    pub label: Box<str>,
    /// Attributes.
    pub attributes: Box<[u8]>,
}

impl AccountRecord {
    /// What can be spent down to the floor's zero: posted less held.
    pub fn available(&self) -> i128 {
        self.posted - self.held
    }
}

/// One posting of a recorded transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PostingRecord {
    /// The account.
    pub account: u128,
    /// Minor units.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Debit or credit.
    pub side: Side,
    /// Version and balance after; zeros in a refused transaction.
    pub result: PostingResult,
    /// Sequence number of the row with the account's previous entry; 0 in a refused transaction.
    pub previous: u64,
    /// Index in the hold or original that the transaction names; its own index in the others.
    pub index: u8,
    /// What it did to what is held, or left to reverse. Zeros in a transfer or journal.
    pub held: HeldResult,
}

/// A recorded transaction, posted or refused, with all of its fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionRecord {
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// Transfer, journal, hold, increase, capture, release, expiry or reversal.
    pub kind: RowKind,
    /// Id; of the hold in an expiry.
    pub id: u128,
    /// Id of the hold or original that it names, or of a related transaction; 0 = none.
    pub link: u128,
    /// Sequence number of the row of that hold or original; 0 if it names none, or an unknown one.
    pub link_sequence: u64,
    /// Timeout of a hold, seconds, 0 = none.
    pub timeout: u32,
    /// Whether limits and freezes were skipped.
    pub forced: bool,
    /// Whether a capture freed what it left.
    pub is_final: bool,
    /// Whether it stands for all that was left of a hold, or for a whole original.
    pub takes_all: bool,
    /// Result as first given.
    pub result: ItemResult,
    /// Business reference, 0 = none.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Days since 1970-01-01.
    pub accounting_date: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// The postings in order.
    pub postings: Vec<PostingRecord>,
    /// Voucher bytes; empty in a refused transaction, of which only the digest is kept.
    pub voucher: Vec<u8>,
    /// Bytes that the voucher had.
    pub voucher_length: u16,
    /// BLAKE3 of the voucher; zeros if there is none.
    pub voucher_digest: [u8; 32],
}

/// A recorded change of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeRecord {
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// What was asked.
    pub row: ChangeRow,
    /// Result as first given.
    pub result: ItemResult,
    /// Why.
    pub reason: Box<str>,
    /// New label or attributes.
    pub data: Box<[u8]>,
    /// Version and balance after; zeros if refused.
    pub entry: PostingResult,
    /// Sequence number of the row with the account's previous entry; 0 if refused.
    pub previous: u64,
    /// Days since 1970-01-01.
    pub accounting_date: u16,
}

impl ChangeRecord {
    /// As it was asked for.
    pub fn view(&self) -> ChangeView<'_> {
        ChangeView { row: &self.row, reason: self.reason.as_bytes(), data: &self.data }
    }
}

/// One entry of an account's statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatementEntry {
    /// Sequence number of the transaction.
    pub sequence: u64,
    /// The entry's number on the account.
    pub version: u64,
    /// Transfer or journal.
    pub kind: RowKind,
    /// Id of the transaction.
    pub id: u128,
    /// Debit or credit.
    pub side: Side,
    /// Minor units.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Balance after, normal side, minor units.
    pub balance: i128,
    /// The account on the other side, 0 if there are several.
    pub counterparty: u128,
    /// Sequence number of the row with the account's previous entry (or its opening).
    pub previous: u64,
    /// Business reference, 0 = none.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Who asked.
    pub principal: u32,
    /// Nanoseconds since 1970-01-01 UTC.
    pub booked_at: u64,
    /// Days since 1970-01-01.
    pub accounting_date: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Voucher bytes.
    pub voucher: Vec<u8>,
    /// Id of the hold or original that the transaction names, or of a related transaction; 0 = none.
    pub link: u128,
    /// Whether limits and freezes were skipped.
    pub forced: bool,
    /// Whether the entry took the balance across the alarm level.
    pub alarm: bool,
    /// Hold, increase, capture, release, expiry: amount freed, what is left, and what holds reserve on this side after it. Reversal:
    /// `left` is what is left to reverse. `amount` is then what was held, added, captured or reversed.
    pub held: HeldResult,
    /// Account change: what was changed and why.
    pub change: Option<(Action, Box<str>)>,
}

/// Where a statement goes on: the next entry to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatementToken {
    /// Sequence number of the row that holds the entry; 0 = to be found by the version.
    pub sequence: u64,
    /// The entry's version.
    pub version: u64,
}

/// Which entries of an account a statement shows. Bounds are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Span {
    /// All of them.
    #[default]
    All,
    /// By number of the entry.
    Versions(u64, u64),
    /// By booked-at, nanoseconds since 1970-01-01 UTC.
    Times(u64, u64),
    /// By accounting date, days since 1970-01-01.
    Dates(u16, u16),
}

/// In which order a statement shows its entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest = 0,
    /// Oldest first.
    Oldest = 1,
}

/// A page of an account's statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatementPage {
    /// The account as it is at `position`.
    pub account: AccountRecord,
    /// The entries, in the order asked for.
    pub entries: Vec<StatementEntry>,
    /// Where the next page begins; none if there are no more entries in the span.
    pub next: Option<StatementToken>,
    /// Last sequence number that the answer reflects.
    pub position: u64,
}

/// The moment of a balance: everything up to it counts, it included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Booked-at, nanoseconds since 1970-01-01 UTC.
    Time(u64),
    /// Accounting date, days since 1970-01-01: as the day was closed.
    Date(u16),
}

/// The balances of an account at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalanceAt {
    /// The account.
    pub account: u128,
    /// Asset number.
    pub asset: u32,
    /// Number of its last entry then; 0 = none yet.
    pub version: u64,
    /// Sequence number of the row of that entry; of the opening if there is none; 0 if it was not open yet.
    pub sequence: u64,
    /// When that entry was booked; 0 if there is none.
    pub booked_at: u64,
    /// Balance, normal side, minor units.
    pub posted: i128,
    /// Last sequence number that the answer reflects.
    pub position: u64,
}

/// A page of transactions in log order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransactionPage {
    /// The transactions, posted and refused.
    pub transactions: Vec<TransactionRecord>,
    /// Every row up to this sequence number was looked at: where to go on.
    pub seen: u64,
    /// Whether there is more up to `position`.
    pub more: bool,
    /// Last sequence number that the answer reflects.
    pub position: u64,
}

/// Results of a post request in order, run-length coded: a run's items have one outcome, and consecutive sequence numbers
/// and times (or none at all).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResultRun {
    /// How many items.
    pub count: u32,
    /// The result of the first.
    pub first: ItemResult,
}

impl ResultRun {
    /// The result of the `index`-th item of the run.
    pub fn item(&self, index: u32) -> ItemResult {
        debug_assert!(index < self.count);
        let mut result = self.first;
        if result.sequence != 0 {
            result.sequence += u64::from(index);
            result.booked_at += u64::from(index);
        }
        result
    }
}

/// The answer to a post, open or control request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PostReply {
    /// Results in the order of the request.
    pub runs: Vec<ResultRun>,
    /// If asked for: version and balance of each posting of each posted transaction, in order.
    pub postings: Vec<PostingResult>,
}

impl PostReply {
    /// Adds the next item's result.
    pub fn push(&mut self, result: ItemResult) {
        self.push_run(ResultRun { count: 1, first: result });
    }

    /// Adds the results of the next items.
    pub fn push_run(&mut self, run: ResultRun) {
        if let Some(last) = self.runs.last_mut() {
            let next = ItemResult {
                sequence: if last.first.sequence == 0 { 0 } else { last.first.sequence + u64::from(last.count) },
                booked_at: if last.first.sequence == 0 { 0 } else { last.first.booked_at + u64::from(last.count) },
                ..last.first
            };
            if next == run.first {
                last.count += run.count;
                return;
            }
        }
        if self.runs.is_empty() {
            self.runs.reserve_exact(1); // Most answers are one run.
        }
        self.runs.push(run);
    }

    /// All results in order.
    pub fn items(&self) -> impl Iterator<Item = ItemResult> + '_ {
        self.runs.iter().flat_map(|run| (0..run.count).map(|i| run.item(i)))
    }

    /// How many items.
    pub fn count(&self) -> usize {
        self.runs.iter().map(|r| r.count as usize).sum()
    }

    /// Whether every item was posted.
    pub fn all_posted(&self) -> bool {
        self.runs.iter().all(|r| r.first.outcome == Outcome::Posted)
    }
}
