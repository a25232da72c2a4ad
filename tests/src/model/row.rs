//! What the log must say: rows, and the entries that they make on accounts.

use num_bigint::BigInt;

use super::Record;
use super::item::{Change, Item, Opening};
use super::number::ID_USED_WITH_OTHER_FIELDS;

/// What became of an item. Numbers are the published ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Number of the outcome.
    pub outcome: u16,
    /// Whether it is the result of an earlier request with this id.
    pub repeat: bool,
    /// Index of a posting or number of a field.
    pub detail: u16,
    /// Sequence number, 0 if nothing was recorded.
    pub sequence: u64,
    /// Booked at, 0 if nothing was recorded.
    pub booked_at: u64,
}

/// What a row did to an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The account.
    pub account: u128,
    /// Number of the entry on the account.
    pub version: u64,
    /// Posted after, on the account's normal side.
    pub balance: BigInt,
    /// Side of the posting.
    pub side: u8,
    /// Index of the posting in the post or hold, or in the hold or original that the item names.
    pub index: usize,
    /// What was posted, or what a hold or increase reserved; 0 in a release, an expiry and a change.
    pub amount: BigInt,
    /// What a capture, release or expiry let go.
    pub freed: BigInt,
    /// What is left afterwards of the hold's posting, or, in a reversal, of the original's; 0 in a post and a change.
    pub left: BigInt,
    /// Held or incoming after, whichever is of the side of the posting; 0 in a change.
    pub held: BigInt,
    /// Sequence number of the account's previous entry.
    pub previous: u64,
    /// Whether posted crossed the account's alarm level.
    pub alarm: bool,
}

/// What a row records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// An item of a request, posted or refused.
    Item(Item),
    /// An account change, made or refused.
    Change(Change),
    /// A control record, applied or refused.
    Control {
        /// Its id.
        id: u128,
        /// What it says.
        record: Record,
    },
    /// An opening.
    Opening(Opening),
    /// The expiry of the hold with this id.
    Expiry(u128),
}

impl Deed {
    /// The id that it spent. Openings and expiries are in no id space.
    pub fn id(&self) -> Option<u128> {
        match self {
            Deed::Item(item) => Some(item.id),
            Deed::Change(change) => Some(change.id),
            Deed::Control { id, .. } => Some(*id),
            Deed::Opening(_) | Deed::Expiry(_) => None,
        }
    }
}

/// A row of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The tenant.
    pub institution: u32,
    /// What it records.
    pub deed: Deed,
    /// What became of it, with its sequence number and time.
    pub verdict: Verdict,
    /// Days since 1970-01-01.
    pub accounting_date: u16,
    /// What it did to accounts, in order.
    pub entries: Vec<Entry>,
}

impl Row {
    /// The answer to a repeat of its id that differs in this field, or in none.
    pub fn repeated(&self, differs: Option<u16>) -> (Verdict, Vec<Entry>) {
        match differs {
            Some(field) => {
                let refusal = Verdict { outcome: ID_USED_WITH_OTHER_FIELDS, detail: field, ..Verdict::default() };
                (refusal, vec![])
            }
            None => (Verdict { repeat: true, ..self.verdict }, self.entries.clone()),
        }
    }
}
