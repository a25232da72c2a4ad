//! `florin verify`: folds the log from the start and compares the result with what recovery makes of the same frames, and with what was
//! derived from them and stands on disk.
//!
//! The fold is written apart from the shards on purpose: its own arithmetic, its own checks. It changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use florin_core::account::AccountKey;
use florin_core::asset::Asset;
use florin_core::control::{Control, ControlRecord};
use florin_core::coordinator::RoundLimits;
use florin_core::entry::{AccountRecord, ChangeRecord, PostingRecord, Status, TransactionRecord};
use florin_core::frame::{OpenRecord, Record};
use florin_core::institution::{Institution, Institutions};
use florin_core::link::{PostingName, expiry};
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::{Action, ItemKind, Side};
use florin_core::state_hash::{LogPosition, State, hash_of, state_hash};
use florin_wal::{DataLock, Frame, KeyRing, LedgerManifest, LockError, Point, RecoverError, RecoveryReport};

use crate::start::view;
use runs::Runs;
use snapshots::Snapshots;

mod runs;
mod snapshots;

pub use runs::CheckedRun;
pub use snapshots::CheckedSnapshot;

/// Shards of the ledger that the fold is compared with: several, so that routing is a part of what is verified.
const COMPARED_SHARDS: usize = 3;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The log.
    pub log: RecoveryReport,
    /// The point that the ledger is as of; what is behind it was not looked at.
    pub point: Option<Point>,
    /// Transactions posted.
    pub posted: u64,
    /// Transactions refused and recorded.
    pub refused: u64,
    /// Entries.
    pub entries: u64,
    /// Accounts.
    pub accounts: u64,
    /// Per asset: code, scale, and the sum of all debit entries, which is that of all credit entries.
    pub turnover: Vec<(Asset, u128)>,
    /// BLAKE3 of the state.
    pub state_hash: [u8; 32],
    /// The snapshots, oldest first.
    pub snapshots: Vec<CheckedSnapshot>,
    /// The runs of old ids, in the order of their rows.
    pub runs: Vec<CheckedRun>,
}

/// Why a ledger was not found good.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A server is running on it (or another process holds it).
    #[error("{0}")]
    Running(LockError),
    /// It could not be looked at.
    #[error("{0}")]
    CouldNotRun(String),
    /// It is damaged or does not add up: file, frame, offset and what is wrong.
    #[error("{0}")]
    Damage(String),
}

/// Verifies a data directory that no server is running on. `progress` is told the bytes of each frame.
pub fn verify(data: &Path, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, VerifyError> {
    let lock = if Point::is_in(data) { DataLock::acquire_for_reads(data) } else { DataLock::acquire(data) };
    let _lock = lock.map_err(|error| match error {
        LockError::Held { .. } => VerifyError::Running(error),
        other => VerifyError::CouldNotRun(other.to_string()),
    })?;
    let mut fold = Fold::default();
    let mut ledger = Ledger::new(COMPARED_SHARDS, RoundLimits::default(), 0);
    let manifest = LedgerManifest::load(data).map_err(could_not)?;
    let keys = KeyRing::load(data).map_err(could_not)?;
    let point = Point::load(data, manifest.ledger, &keys).map_err(|error| VerifyError::Damage(error.to_string()))?;
    let mut snapshots = Snapshots::read(data, manifest.ledger, &keys, point.as_ref())?;
    let mut runs = Runs::find(data, manifest.ledger, point.as_ref())?;
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
        progress((frame.payload.len() + frame.vouchers.len()) as u64);
        let view = view(&frame).map_err(|e| e.to_string())?;
        runs.begin(&frame.head);
        for index in 0..view.head().count {
            let record = view.record(index).map_err(|e| e.to_string())?;
            runs.row(&record, view.head().first_sequence + u64::from(index));
            fold.row(record)?;
        }
        fold.end(view.head().number);
        runs.end(&frame);
        snapshots.compare(&frame, &fold);
        ledger.apply_frame(&view).map_err(|e| e.to_string())
    });
    let log = scanned.map_err(|error| match error {
        RecoverError::Manifest(_) | RecoverError::Key(_) | RecoverError::Io { .. } => {
            VerifyError::CouldNotRun(error.to_string())
        }
        other => VerifyError::Damage(other.to_string()),
    })?;
    let turnover = fold.turnover().map_err(VerifyError::Damage)?;
    let folded = fold.hash();
    if folded != state_hash(&ledger) {
        return Err(VerifyError::Damage("the folded log and the recovered state differ: this is a bug".into()));
    }
    let Fold { posted, refused, entries, accounts, .. } = fold;
    let accounts = accounts.len() as u64;
    let (snapshots, runs) = (snapshots.checked(), runs.checked());
    Ok(VerifyReport { log, point, posted, refused, entries, accounts, turnover, state_hash: folded, snapshots, runs })
}

fn could_not(error: impl std::fmt::Display) -> VerifyError {
    VerifyError::CouldNotRun(error.to_string())
}

/// The state as a fold of rows.
#[derive(Default)]
struct Fold {
    /// Each with when it was opened.
    accounts: HashMap<AccountKey, (AccountRecord, u64)>,
    assets: BTreeMap<u32, Asset>,
    institutions: Registered,
    /// Open holds by institution and id.
    holds: HashMap<(u32, u128), OpenHold>,
    /// What is left of postings of open holds, and what was reversed of postings of originals.
    named: HashMap<PostingName, i128>,
    /// Amounts of originals, as their first reversal says them.
    originals: HashMap<PostingName, i128>,
    /// Debits and credits per asset.
    totals: BTreeMap<u32, (u128, u128)>,
    position: LogPosition,
    posted: u64,
    refused: u64,
    entries: u64,
}

impl Fold {
    fn row(&mut self, record: Record) -> Result<(), String> {
        let (sequence, booked_at) = match record {
            Record::Transaction(transaction) => {
                let at = (transaction.result.sequence, transaction.result.booked_at);
                if transaction.result.outcome == Outcome::Posted {
                    self.posted += 1;
                    self.transaction(&transaction)?;
                } else {
                    self.refused += 1;
                }
                at
            }
            Record::Open(open) => {
                let key = AccountKey { institution: open.institution, account: open.row.account.get() };
                let account = opened(&open).ok_or_else(|| format!("row {}: no normal side", open.sequence))?;
                if self.accounts.insert(key, (account, open.booked_at)).is_some() {
                    return Err(format!("row {}: account {:#x} is opened twice", open.sequence, key.account));
                }
                (open.sequence, open.booked_at)
            }
            Record::Control(control) => {
                if control.result.outcome == Outcome::Posted {
                    let said = ControlRecord::parse(&control.record).and_then(|r| r.read());
                    match said.map_err(|_| format!("row {}: unreadable record", control.result.sequence))? {
                        Control::Asset(asset) => drop(self.assets.insert(asset.number, asset)),
                        Control::Institution { number, name } => {
                            self.institutions.0.entry(number).or_insert(Institution { name, open_day: 0 });
                        }
                        Control::OpenDay(day) => {
                            self.institutions.0.entry(control.institution).or_default().open_day = day;
                        }
                    }
                }
                (control.result.sequence, control.result.booked_at)
            }
            Record::Change(change) => {
                if change.result.outcome == Outcome::Posted {
                    self.change(&change)?;
                }
                (change.result.sequence, change.result.booked_at)
            }
        };
        if sequence != self.position.last_sequence + 1 || booked_at <= self.position.last_booked_at {
            return Err(format!("row {sequence} does not follow row {}", self.position.last_sequence));
        }
        (self.position.last_sequence, self.position.last_booked_at) = (sequence, booked_at);
        Ok(())
    }

    fn transaction(&mut self, transaction: &TransactionRecord) -> Result<(), String> {
        let (sequence, institution) = (transaction.result.sequence, transaction.institution);
        let kind = transaction.kind.item().ok_or("a row without a kind of item")?;
        if kind == ItemKind::Hold {
            let expires_at = expiry(transaction.result.booked_at, transaction.timeout);
            let postings = transaction.postings.len() as u8;
            self.holds.insert((institution, transaction.id), OpenHold { sequence, expires_at, postings });
        }
        let mut nets = BTreeMap::<u32, i128>::new();
        for posting in &transaction.postings {
            let posted = match kind {
                ItemKind::Post | ItemKind::Capture | ItemKind::Reverse => posting.amount,
                ItemKind::Hold | ItemKind::Increase | ItemKind::Release | ItemKind::Expiry => 0,
            };
            self.entry(transaction, posting, kind, posted)?;
            let signed = posted as i128;
            *nets.entry(posting.asset).or_default() += if posting.side == Side::Debit { signed } else { -signed };
            let total = self.totals.entry(posting.asset).or_default();
            let side = if posting.side == Side::Debit { &mut total.0 } else { &mut total.1 };
            *side = side.checked_add(posted).ok_or("the turnover of an asset is above 2^128 - 1")?;
            self.entries += 1;
        }
        let closes =
            matches!(kind, ItemKind::Release | ItemKind::Expiry) || transaction.is_final && kind == ItemKind::Capture;
        if closes {
            let hold = self.holds.remove(&(institution, transaction.link));
            let hold = hold.filter(|hold| hold.sequence == transaction.link_sequence);
            let hold = hold.ok_or_else(|| format!("row {sequence}: it closes a hold that is not open"))?;
            let name = |index: u8| PostingName { target: hold.sequence, index };
            let left: i128 = (0..hold.postings).filter_map(|index| self.named.remove(&name(index))).sum();
            if left != 0 {
                return Err(format!("row {sequence}: it closes its hold, but leaves {left} held"));
            }
        }
        match nets.iter().find(|(_, net)| **net != 0) {
            Some((asset, net)) => Err(format!("row {sequence}: debits less credits of asset {asset} are {net}")),
            None => Ok(()),
        }
    }

    /// One entry: what it posts, what it does to what is held, and what it leaves.
    fn entry(
        &mut self,
        transaction: &TransactionRecord,
        posting: &PostingRecord,
        kind: ItemKind,
        posted: u128,
    ) -> Result<(), String> {
        let sequence = transaction.result.sequence;
        let key = AccountKey { institution: transaction.institution, account: posting.account };
        let wrong = |what: String| Err(format!("row {sequence}, account {:#x}: {what}", posting.account));
        let Some((account, _)) = self.accounts.get_mut(&key) else {
            return wrong("it was never opened".into());
        };
        let change = if posting.side == account.normal_side { posted as i128 } else { -(posted as i128) };
        if posting.result.version != account.version + 1 {
            return wrong(format!("version {} follows version {}", posting.result.version, account.version));
        }
        if posting.result.balance != account.posted + change {
            let (before, after) = (account.posted, posting.result.balance);
            return wrong(format!("a change of {change} takes balance {before} to {after}"));
        }
        if posting.previous != account.last_entry {
            return wrong(format!("previous entry {} but the last was {}", posting.previous, account.last_entry));
        }
        (account.version, account.posted) = (posting.result.version, posting.result.balance);
        account.last_entry = sequence;
        let reserved = match kind {
            ItemKind::Post => return Ok(()),
            ItemKind::Reverse => 0,
            ItemKind::Hold | ItemKind::Increase => posting.amount as i128,
            _ => -(posted as i128 + posting.held.freed as i128),
        };
        let held = if posting.side == account.normal_side { &mut account.incoming } else { &mut account.held };
        *held += reserved;
        if *held != posting.held.held || *held < 0 {
            let recorded = posting.held.held;
            return wrong(format!("{recorded} is recorded as held, but the rows before it give {held}"));
        }
        let target = if kind == ItemKind::Hold { sequence } else { transaction.link_sequence };
        let now = self.named.entry(PostingName { target, index: posting.index }).or_default();
        *now += if kind == ItemKind::Reverse { posted as i128 } else { reserved };
        if kind == ItemKind::Reverse {
            // What was reversed and what is left make up the original, whichever reversal says it.
            let original = *now + posting.held.left as i128;
            let known = *self.originals.entry(PostingName { target, index: posting.index }).or_insert(original);
            if known != original {
                return wrong(format!("an original of {original} is recorded, where {known} was before"));
            }
        } else if *now != posting.held.left as i128 {
            return wrong(format!("{} is recorded as left, but the rows before it give {now}", posting.held.left));
        }
        Ok(())
    }

    fn change(&mut self, change: &ChangeRecord) -> Result<(), String> {
        let (sequence, row) = (change.result.sequence, &change.row);
        let key = AccountKey { institution: change.institution, account: row.account.get() };
        let Some((account, _)) = self.accounts.get_mut(&key) else {
            return Err(format!("row {sequence}, account {:#x}: it was never opened", key.account));
        };
        if change.entry.version != account.version + 1 || change.previous != account.last_entry {
            return Err(format!("row {sequence}, account {:#x}: the change is not its next entry", key.account));
        }
        account.version += 1;
        account.last_entry = sequence;
        match row.action() {
            Action::Status => account.status = Status::from_byte(row.status).ok_or("a status that is not known")?,
            Action::Close => account.status = Status::Closed,
            Action::Reopen => account.status = Status::Open,
            Action::Label => account.label = String::from_utf8_lossy(&change.data).into(),
            Action::Attributes => account.attributes = change.data.clone(),
            Action::Limits => {
                account.floor = row.new_floor().unwrap_or(account.floor);
                account.ceiling = row.new_ceiling().unwrap_or(account.ceiling);
                account.alarm = row.new_alarm().unwrap_or(account.alarm);
            }
        }
        Ok(())
    }

    fn end(&mut self, frame: u64) {
        self.position.last_round = frame;
    }

    fn turnover(&self) -> Result<Vec<(Asset, u128)>, String> {
        let mut turnover = Vec::new();
        for (number, asset) in &self.assets {
            let (debits, credits) = self.totals.get(number).copied().unwrap_or_default();
            if debits != credits {
                return Err(format!("{}: debits are {debits}, credits {credits}", asset.code));
            }
            turnover.push((asset.clone(), debits));
        }
        Ok(turnover)
    }

    fn hash(&self) -> [u8; 32] {
        let state = State {
            position: self.position,
            assets: self.assets.values().collect(),
            institutions: self.institutions.0.iter().map(|(number, institution)| (*number, institution)).collect(),
            holds: self.holds.iter().map(|((i, id), hold)| (hold.sequence, *i, *id, hold.expires_at)).collect(),
            named: self.named.iter().map(|(name, now)| (*name, *now)).collect(),
        };
        let mut accounts: Vec<_> = self.accounts.iter().collect();
        accounts.sort_unstable_by_key(|(key, _)| **key);
        hash_of(state, accounts.into_iter().map(|(_, (account, opened_at))| (account, *opened_at)))
    }
}

/// The account that an opening makes; none if its side is not known.
fn opened(open: &OpenRecord) -> Option<AccountRecord> {
    let row = &open.row;
    Some(AccountRecord {
        institution: open.institution,
        account: row.account.get(),
        asset: row.asset.get(),
        subject: row.subject.get(),
        normal_side: Side::from_byte(row.normal_side)?,
        category: row.category,
        status: Status::Open,
        owner: row.owner.get(),
        floor: row.floor(),
        ceiling: row.ceiling(),
        alarm: row.alarm(),
        posted: 0,
        held: 0,
        incoming: 0,
        version: 0,
        opened: open.sequence,
        last_entry: open.sequence,
        label: row.label().into(),
        attributes: Box::default(),
    })
}

/// A hold that is open.
struct OpenHold {
    sequence: u64,
    expires_at: u64,
    postings: u8,
}

/// The institutions, of which the first exists from the start.
struct Registered(BTreeMap<u32, Institution>);

impl Default for Registered {
    fn default() -> Registered {
        Registered(Institutions::default().iter().map(|(number, i)| (number, i.clone())).collect())
    }
}
