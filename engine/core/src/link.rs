//! What an item can name: a hold, or the original of a reversal. Facts that never change once they are known; what does
//! change (left of a hold, reversed so far) belongs to the shards.

use std::collections::HashMap;
use std::sync::Arc;

use crate::dedup::Closed;
use crate::entry::{RowKind, TransactionRecord};
use crate::frame::Record;
use crate::outcome::Outcome;
use crate::request::Side;

/// A posting of a hold or of an original.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamedPosting {
    /// The account.
    pub account: u128,
    /// Minor units: as first held, or as posted.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Debit or credit.
    pub side: Side,
    /// Its index, by which items name it.
    pub index: u8,
}

/// A hold, or an original.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The tenant.
    pub institution: u32,
    /// Its id.
    pub id: u128,
    /// Sequence number of its row.
    pub sequence: u64,
    /// When a hold expires, nanoseconds since 1970-01-01 UTC; 0 = never.
    pub expires_at: u64,
    /// Its postings by ascending index.
    pub postings: Vec<NamedPosting>,
}

impl Target {
    /// The hold that a row places.
    pub fn placed_by(transaction: &TransactionRecord) -> Target {
        let postings = transaction.postings.iter().map(|p| NamedPosting {
            account: p.account,
            amount: p.amount,
            asset: p.asset,
            side: p.side,
            index: p.index,
        });
        Target {
            institution: transaction.institution,
            id: transaction.id,
            sequence: transaction.result.sequence,
            expires_at: expiry(transaction.result.booked_at, transaction.timeout),
            postings: postings.collect(),
        }
    }

    /// The posting of an index.
    pub fn posting(&self, index: u8) -> Option<&NamedPosting> {
        self.postings.binary_search_by_key(&index, |p| p.index).ok().map(|at| &self.postings[at])
    }
}

/// When a hold expires that was booked at a time: after so many seconds, or never (0).
pub fn expiry(booked_at: u64, timeout: u32) -> u64 {
    match timeout {
        0 => 0,
        seconds => booked_at.saturating_add(u64::from(seconds) * 1_000_000_000),
    }
}

/// Names what is left of a posting of a hold, or what was reversed of a posting of an original.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PostingName {
    /// Sequence number of the row of the hold or original.
    pub target: u64,
    /// Index of the posting.
    pub index: u8,
}

/// What an item of a round names.
#[derive(Clone, Debug)]
pub enum Link {
    /// A hold; its own one if the item places it.
    Hold(Arc<Target>),
    /// The original of a reversal.
    Original {
        /// The original.
        target: Arc<Target>,
        /// If it was not decided when the round was made: its round and place there.
        undecided: Option<(u64, u32)>,
    },
}

impl Link {
    /// What is named.
    pub fn target(&self) -> &Arc<Target> {
        match self {
            Link::Hold(target) | Link::Original { target, .. } => target,
        }
    }
}

/// What history says about the original of a reversal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// It can be reversed.
    Original(Arc<Target>),
    /// It cannot, for this reason.
    Refused(Outcome),
}

/// What runs and the log say about an id that is not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OldId {
    /// The row that used it.
    pub sequence: u64,
    /// How the hold that it names ended, as far as runs know.
    pub closed: Option<Closed>,
}

/// What is to be looked up for a request before it is sequenced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// The request's institution.
    pub institution: u32,
    /// Ids that may be in runs.
    pub ids: Vec<u128>,
    /// Originals of reversals: their ids, and their rows where memory knows them; others may be in runs.
    pub originals: Vec<(u128, Option<u64>)>,
    /// Which state of memory and runs does not know them: [`crate::dedup::Dedup::state`].
    pub state: u64,
}

impl Wanted {
    /// Whether there is nothing to look up.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.originals.is_empty()
    }
}

/// What was looked up for a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// By id of the original.
    pub originals: HashMap<u128, Fact>,
    /// Ids that runs were asked about; none: they do not have it.
    pub old: HashMap<u128, Option<OldId>>,
    /// For which state of memory and runs `old` and `looked_at` hold: [`crate::dedup::Dedup::state`].
    pub state: u64,
    /// Once all ids of the request were looked at, the items, in order, whose ids runs may have and memory does not know: these are in
    /// `old`.
    pub looked_at: Option<Vec<u32>>,
}

impl Fact {
    /// What a recorded row says.
    pub fn of(record: &Record) -> Fact {
        match record {
            Record::Transaction(transaction) => Fact::of_transaction(transaction),
            Record::Open(_) | Record::Control(_) | Record::Change(_) => Fact::Refused(Outcome::OriginalUnknown),
        }
    }

    fn of_transaction(transaction: &TransactionRecord) -> Fact {
        if transaction.result.outcome != Outcome::Posted {
            return Fact::Refused(Outcome::OriginalNotPosted);
        }
        if let Some(outcome) = refusal_of_kind(transaction.kind) {
            return Fact::Refused(outcome);
        }
        let captured = transaction.kind == RowKind::Capture;
        let postings = transaction.postings.iter().map(|p| NamedPosting {
            account: p.account,
            amount: if captured { p.held.amount } else { p.amount },
            asset: p.asset,
            side: p.side,
            index: p.index,
        });
        Fact::Original(Arc::new(Target {
            institution: transaction.institution,
            id: transaction.id,
            sequence: transaction.result.sequence,
            expires_at: 0,
            postings: postings.filter(|p| p.amount > 0).collect(),
        }))
    }
}

/// Why a posted transaction of a kind cannot be reversed, if it cannot.
pub fn refusal_of_kind(kind: RowKind) -> Option<Outcome> {
    match kind {
        RowKind::Transfer | RowKind::Journal | RowKind::Capture => None,
        RowKind::Reversal => Some(Outcome::OriginalIsReversal),
        RowKind::Hold | RowKind::Increase | RowKind::Release | RowKind::Expiry => Some(Outcome::OriginalNotReversible),
        RowKind::Open | RowKind::Control | RowKind::Change => Some(Outcome::OriginalUnknown),
    }
}
