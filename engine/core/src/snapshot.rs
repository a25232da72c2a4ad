//! A snapshot: the exact state of a ledger after a frame, as a list of records that stream in and out.
//!
//! It is folded from the log and the snapshot before it (`fold`), never copied out of the shards, and says nothing about the number
//! of shards. Ids are not in it: they stay where they were used, in the log. Records come in the order of [`Section`]; accounts in
//! the order in which they were opened, holds by their rows, what is left or reversed by posting. `docs/format-snapshot.md` has the
//! bytes, which `record` lays out.

mod fold;
mod record;
mod restore;

pub use fold::Fold;
pub use record::decode;
pub use restore::RestoreError;

use crate::accounts::FirstTerms;
use crate::asset::Asset;
use crate::entry::AccountRecord;
use crate::link::{PostingName, Target};

/// The parts of a snapshot, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Section {
    /// Institutions, by number.
    Institutions = 1,
    /// Assets, by number.
    Assets = 2,
    /// Accounts, in the order in which they were opened.
    Accounts = 3,
    /// Open holds, by the sequence number of their rows.
    Holds = 4,
    /// What is left of postings of open holds, and what was reversed of postings of originals, by [`PostingName`].
    Named = 5,
}

impl Section {
    /// The section of a byte.
    pub fn from_byte(byte: u8) -> Option<Section> {
        [Section::Institutions, Section::Assets, Section::Accounts, Section::Holds, Section::Named]
            .into_iter()
            .find(|section| *section as u8 == byte)
    }
}

/// What a snapshot is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SnapshotRecord {
    /// An institution.
    Institution {
        /// Its number.
        number: u32,
        /// Its open day, days since 1970-01-01; 0 = never set.
        open_day: u16,
        /// Its name; empty for the first one.
        name: String,
    },
    /// An asset.
    Asset(Asset),
    /// An account.
    Account(Box<AccountState>),
    /// An open hold.
    Hold(Target),
    /// What is left, or was reversed, of a posting.
    Named(Named),
}

impl SnapshotRecord {
    /// Where it belongs.
    pub fn section(&self) -> Section {
        match self {
            SnapshotRecord::Institution { .. } => Section::Institutions,
            SnapshotRecord::Asset(_) => Section::Assets,
            SnapshotRecord::Account(_) => Section::Accounts,
            SnapshotRecord::Hold(_) => Section::Holds,
            SnapshotRecord::Named(_) => Section::Named,
        }
    }
}

/// All that a ledger knows of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountState {
    /// As a reader sees it.
    pub record: AccountRecord,
    /// When it was opened, nanoseconds since 1970-01-01 UTC.
    pub opened_at: u64,
    /// Limits, alarm level and label as first opened, once one of them was changed.
    pub first: Option<FirstTerms>,
}

/// What is left of a posting of an open hold, or was reversed of a posting of an original.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// The posting.
    pub name: PostingName,
    /// The tenant.
    pub institution: u32,
    /// The account that it posts on, whose shard keeps this.
    pub account: u128,
    /// Minor units.
    pub amount: i128,
}
