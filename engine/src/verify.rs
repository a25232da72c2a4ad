//! `florin verify`: folds the log from the start and compares the result with what recovery makes of the same frames.
//!
//! The fold is written apart from the shards on purpose: its own arithmetic, its own checks. It changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use florin_core::account::{Account, AccountDetails, AccountKey};
use florin_core::asset::{Asset, ControlRecord};
use florin_core::coordinator::RoundLimits;
use florin_core::entry::TransactionRecord;
use florin_core::frame::Record;
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::Side;
use florin_core::state_hash::{LogPosition, hash_of, state_hash};
use florin_wal::{DataLock, Frame, LockError, RecoverError, RecoveryReport};

use crate::start::view;

/// Shards of the ledger that the fold is compared with: several, so that routing is a part of what is verified.
const COMPARED_SHARDS: usize = 3;

/// What a verification found.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The log.
    pub log: RecoveryReport,
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
    let _lock = DataLock::acquire(data).map_err(|error| match error {
        LockError::Held { .. } => VerifyError::Running(error),
        other => VerifyError::CouldNotRun(other.to_string()),
    })?;
    let mut fold = Fold::default();
    let mut ledger = Ledger::new(COMPARED_SHARDS, RoundLimits::default(), 0);
    let scanned = florin_wal::scan(data, &mut |frame: Frame<'_>| {
        progress((frame.payload.len() + frame.vouchers.len()) as u64);
        let view = view(&frame).map_err(|e| e.to_string())?;
        for index in 0..view.head().count {
            fold.row(view.record(index).map_err(|e| e.to_string())?)?;
        }
        fold.end(view.head().number);
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
    Ok(VerifyReport { log, posted, refused, entries, accounts: accounts.len() as u64, turnover, state_hash: folded })
}

/// The state as a fold of rows.
#[derive(Default)]
struct Fold {
    accounts: HashMap<AccountKey, (Account, AccountDetails)>,
    assets: BTreeMap<u32, Asset>,
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
                let account = Account::open(key, &open.row, open.sequence);
                let details = AccountDetails::open(&open.row, open.sequence, open.booked_at);
                if self.accounts.insert(key, (account, details)).is_some() {
                    return Err(format!("row {}: account {:#x} is opened twice", open.sequence, key.account));
                }
                (open.sequence, open.booked_at)
            }
            Record::Control(control) => {
                if control.result.outcome == Outcome::Posted {
                    let record = ControlRecord::parse(&control.record).and_then(|r| r.asset());
                    let asset = record.map_err(|_| format!("row {}: unreadable record", control.result.sequence))?;
                    self.assets.insert(asset.number, asset);
                }
                (control.result.sequence, control.result.booked_at)
            }
        };
        if sequence != self.position.last_sequence + 1 || booked_at <= self.position.last_booked_at {
            return Err(format!("row {sequence} does not follow row {}", self.position.last_sequence));
        }
        (self.position.last_sequence, self.position.last_booked_at) = (sequence, booked_at);
        Ok(())
    }

    fn transaction(&mut self, transaction: &TransactionRecord) -> Result<(), String> {
        let sequence = transaction.result.sequence;
        let mut nets = BTreeMap::<u32, i128>::new();
        for posting in &transaction.postings {
            let key = AccountKey { institution: transaction.institution, account: posting.account };
            let wrong = |what: String| Err(format!("row {sequence}, account {:#x}: {what}", posting.account));
            let Some((account, _)) = self.accounts.get_mut(&key) else {
                return wrong("it was never opened".into());
            };
            let signed = posting.amount as i128;
            *nets.entry(posting.asset).or_default() += if posting.side == Side::Debit { signed } else { -signed };
            let change = if posting.side == account.normal_side { signed } else { -signed };
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
            let total = self.totals.entry(posting.asset).or_default();
            let side = if posting.side == Side::Debit { &mut total.0 } else { &mut total.1 };
            *side = side.checked_add(posting.amount).ok_or("the turnover of an asset is above 2^128 - 1")?;
            self.entries += 1;
        }
        match nets.iter().find(|(_, net)| **net != 0) {
            Some((asset, net)) => Err(format!("row {sequence}: debits less credits of asset {asset} are {net}")),
            None => Ok(()),
        }
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
        let accounts = self.accounts.values().map(|(account, details)| (account, details)).collect();
        hash_of(self.position, self.assets.values(), accounts)
    }
}
