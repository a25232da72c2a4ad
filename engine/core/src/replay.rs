//! Replay: the state that a log says, folded frame by frame.
//!
//! Recorded outcomes are applied, never decided again. Each version, balance and previous entry that was recorded is
//! compared with the one that replay gives, so a log that does not add up is found at its first wrong entry.

use crate::account::AccountKey;
use crate::asset::ControlRecord;
use crate::coordinator::{Coordinator, RoundLimits};
use crate::entry::{PostingRecord, RowKind};
use crate::frame::{FrameView, Record, RowError};
use crate::outcome::Outcome;
use crate::shard::Shard;

/// Why a frame cannot follow on the state before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// The bytes of a row are wrong.
    #[error(transparent)]
    Row(#[from] RowError),
    /// Numbering or time does not go on where the last frame ended.
    #[error("{0}")]
    Order(String),
    /// A recorded entry differs from the state.
    #[error("row {row}: {what}")]
    Differs {
        /// Sequence number of the row.
        row: u64,
        /// Which value differs, with both.
        what: String,
    },
}

/// A whole ledger in memory: what recovery builds and the engine takes over.
pub struct Ledger {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// All shards.
    pub shards: Vec<Shard>,
}

impl Ledger {
    /// An empty ledger. The seed should be random.
    pub fn new(shards: usize, limits: RoundLimits, seed: u64) -> Ledger {
        Ledger {
            coordinator: Coordinator::new(shards, limits, seed),
            shards: (0..shards).map(|index| Shard::new(index as u8, shards, seed)).collect(),
        }
    }

    /// Applies a recorded frame.
    pub fn apply_frame(&mut self, frame: &FrameView<'_>) -> Result<(), ReplayError> {
        let head = frame.head();
        let (number, sequence) = (self.coordinator.last_round() + 1, self.coordinator.last_sequence() + 1);
        if head.number != number || head.first_sequence != sequence {
            return Err(ReplayError::Order(format!(
                "frame {} begins at row {}, but frame {number} at row {sequence} was to follow",
                head.number, head.first_sequence
            )));
        }
        if head.count == 0 {
            return Err(ReplayError::Order(format!("frame {} has no rows", head.number)));
        }
        let rounds = |kind: RowKind| match kind {
            RowKind::Transfer | RowKind::Journal => 0,
            RowKind::Open => 1,
            RowKind::Control => 2,
        };
        let first = rounds(frame.row(0).kind()?);
        if first == 2 && head.count > 1 {
            return Err(ReplayError::Order(format!("frame {} has rows beside a control record", head.number)));
        }
        let mut last_time = self.coordinator.last_booked_at();
        for index in 0..head.count {
            let row = frame.row(index);
            let booked_at = row.booked_at()?;
            if booked_at <= last_time {
                return Err(ReplayError::Order(format!("row {} is not booked after the row before it", row.sequence)));
            }
            last_time = booked_at;
            if rounds(row.kind()?) != first {
                return Err(ReplayError::Order(format!("frame {} mixes rounds of different kinds", head.number)));
            }
            self.apply_row(frame, index)?;
        }
        let last_sequence = head.first_sequence + u64::from(head.count) - 1;
        self.coordinator.resume_after(head.number, last_sequence, last_time);
        for shard in &mut self.shards {
            shard.resume_after(head.number);
        }
        Ok(())
    }

    fn apply_row(&mut self, frame: &FrameView<'_>, index: u32) -> Result<(), ReplayError> {
        let sequence = frame.row(index).sequence;
        let differs = |what: &str| ReplayError::Differs { row: sequence, what: what.to_string() };
        match frame.record(index)? {
            Record::Transaction(transaction) => {
                if !self.coordinator.replay_id(transaction.institution, transaction.id, sequence) {
                    return Err(differs("its id was used before"));
                }
                if transaction.result.outcome == Outcome::Posted {
                    let balanced = transaction.kind == RowKind::Transfer || is_balanced(&transaction.postings);
                    if !balanced {
                        return Err(differs("its debits and credits differ"));
                    }
                    for posting in &transaction.postings {
                        self.replay_posting(transaction.institution, sequence, posting)?;
                    }
                }
            }
            Record::Open(open) => {
                let key = AccountKey { institution: open.institution, account: open.row.account.get() };
                let shards = self.shards.len();
                let shard = &mut self.shards[usize::from(key.home(shards))];
                if shard.look_up(&key).is_some() {
                    return Err(differs("its account was opened before"));
                }
                if !self.coordinator.assets().contains(open.row.asset.get()) {
                    return Err(differs("its asset is not registered"));
                }
                shard.open_account(key, &open.row, sequence, open.booked_at);
            }
            Record::Control(control) => {
                if !self.coordinator.replay_id(control.institution, control.id, sequence) {
                    return Err(differs("its id was used before"));
                }
                let record = ControlRecord::parse(&control.record).map_err(|_| differs("its record cannot be read"))?;
                if control.result.outcome == Outcome::Posted {
                    let asset = record.asset().map_err(|_| differs("its record cannot be read"))?;
                    self.coordinator.replay_asset(asset).map_err(|_| differs("its asset was registered before"))?;
                }
            }
        }
        Ok(())
    }

    fn replay_posting(&mut self, institution: u32, sequence: u64, posting: &PostingRecord) -> Result<(), ReplayError> {
        let key = AccountKey { institution, account: posting.account };
        let shards = self.shards.len();
        let shard = &mut self.shards[usize::from(key.home(shards))];
        let Some(result) = shard.replay(&key, posting.asset, posting.side, posting.amount, sequence) else {
            let what = format!("its account {:#x} does not exist or is kept in another asset", posting.account);
            return Err(ReplayError::Differs { row: sequence, what });
        };
        let recorded = (posting.result.version, posting.result.balance, posting.previous);
        let found = (result.version, result.balance, result.previous);
        if recorded != found {
            let what = format!(
                "account {:#x} has version {}, balance {}, previous entry {} recorded, but the rows before it give {}, {}, {}",
                posting.account, recorded.0, recorded.1, recorded.2, found.0, found.1, found.2
            );
            return Err(ReplayError::Differs { row: sequence, what });
        }
        Ok(())
    }
}

/// Whether debits equal credits in each asset.
pub fn is_balanced(postings: &[PostingRecord]) -> bool {
    let mut totals = std::collections::BTreeMap::<u32, i128>::new();
    for posting in postings {
        let amount = posting.amount as i128;
        let signed = if posting.side == crate::request::Side::Debit { amount } else { -amount };
        *totals.entry(posting.asset).or_default() += signed;
    }
    totals.values().all(|&total| total == 0)
}
