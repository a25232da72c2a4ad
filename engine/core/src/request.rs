//! Requests as they come in: fixed little-endian rows, viewed in place, and the checks of their shape.
//!
//! A request keeps its payload as the bytes that came over the wire; nothing is copied until a round is made of it.

mod changes;
mod items;
mod openings;
mod rows;

pub use changes::{Action, ChangeRequest, ChangeView};
pub use items::{ItemView, PostForm, PostRequest, Posting, Postings};
pub use openings::OpenRequest;
pub use rows::*;

use bytes::Bytes;

use crate::outcome::Outcome;

/// Debit or credit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    /// Left side: raises accounts whose normal side is debit.
    Debit = 0,
    /// Right side: raises accounts whose normal side is credit.
    Credit = 1,
}

impl Side {
    /// The side of a wire byte.
    pub fn from_byte(byte: u8) -> Option<Side> {
        match byte {
            0 => Some(Side::Debit),
            1 => Some(Side::Credit),
            _ => None,
        }
    }

    /// The other one.
    pub fn opposite(self) -> Side {
        match self {
            Side::Debit => Side::Credit,
            Side::Credit => Side::Debit,
        }
    }

    /// `debit` or `credit`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Debit => "debit",
            Side::Credit => "credit",
        }
    }
}

/// What an item asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ItemKind {
    /// Post a transaction.
    Post = 0,
    /// Reserve the amounts of its postings.
    Hold = 1,
    /// Add to the amounts of a hold.
    Increase = 2,
    /// Post all or part of what a hold reserves.
    Capture = 3,
    /// Free what a hold reserves.
    Release = 4,
    /// Undo a transaction, or a part of it, by opposite postings.
    Reverse = 5,
    /// A hold's time is over: made by the engine, never asked for.
    Expiry = 6,
}

impl ItemKind {
    /// The kind of a wire byte.
    pub fn from_byte(byte: u8) -> Option<ItemKind> {
        match byte {
            0 => Some(ItemKind::Post),
            1 => Some(ItemKind::Hold),
            2 => Some(ItemKind::Increase),
            3 => Some(ItemKind::Capture),
            4 => Some(ItemKind::Release),
            5 => Some(ItemKind::Reverse),
            _ => None,
        }
    }

    /// Whether it names a hold.
    pub fn names_hold(self) -> bool {
        matches!(self, ItemKind::Increase | ItemKind::Capture | ItemKind::Release | ItemKind::Expiry)
    }

    /// Whether its postings are named by their index in a hold or original.
    pub fn names_postings(self) -> bool {
        matches!(self, ItemKind::Increase | ItemKind::Capture | ItemKind::Reverse)
    }
}

/// Why a payload is not a request. The connection that sent it is closed: its writer does not speak the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// Rows and what follows them do not add up to the payload.
    #[error("the payload has {got} bytes, but its rows, postings and texts add up to {expected}")]
    Length {
        /// Bytes the rows call for.
        expected: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A count of 0 or above the limit.
    #[error("the request counts {count} items; it must be 1 to {max}")]
    Count {
        /// Items counted.
        count: usize,
        /// Most items.
        max: usize,
    },
}

/// A control record: JSON with its id.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    /// Id, never 0; one space with the ids of transactions.
    pub id: u128,
    /// JSON, at most `CONTROL_BYTES_MAX`.
    pub record: Bytes,
}

/// What became of one item of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemResult {
    /// The outcome.
    pub outcome: Outcome,
    /// Whether this is the result of an earlier request with the same id.
    pub repeat: bool,
    /// Which posting's account refused (its index), or which field differs ([`Field`] number); of a posted capture, release or
    /// reversal the number of its entries; 0 otherwise.
    pub detail: u16,
    /// Sequence number of the row in the log, 0 if none was recorded.
    pub sequence: u64,
    /// Booked at, nanoseconds since 1970-01-01 UTC; 0 if nothing was recorded.
    pub booked_at: u64,
}

/// Version and balance of an account after one posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PostingResult {
    /// Version of the account: this entry's number on it.
    pub version: u64,
    /// Balance after, on the account's normal side, minor units.
    pub balance: i128,
    /// Whether the balance crossed the account's alarm level.
    pub alarm: bool,
}

/// A field of a transaction or account, for naming the first that differs. Append-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Field {
    /// Kind: a transaction or a control record.
    Kind = 1,
    /// Number of postings.
    PostingCount = 2,
    /// Account of a posting.
    Account = 3,
    /// Side of a posting.
    Side = 4,
    /// Amount of a posting.
    Amount = 5,
    /// Asset of a posting or account.
    Asset = 6,
    /// Business reference.
    Reference = 7,
    /// Business code.
    Code = 8,
    /// Value date.
    ValueDate = 9,
    /// Voucher.
    Voucher = 10,
    /// Owner.
    Owner = 11,
    /// Subject.
    Subject = 12,
    /// Normal side.
    NormalSide = 13,
    /// Category.
    Category = 14,
    /// Floor.
    Floor = 15,
    /// Ceiling.
    Ceiling = 16,
    /// Alarm level.
    Alarm = 17,
    /// Label.
    Label = 18,
    /// The control record.
    Record = 19,
    /// Hold, original or related transaction.
    Link = 20,
    /// Timeout of a hold.
    Timeout = 21,
    /// Forced.
    Forced = 22,
    /// Final.
    Final = 23,
    /// Index of a posting in a hold or original.
    Index = 24,
    /// Action of an account change.
    Action = 25,
    /// Reason of an account change.
    Reason = 26,
    /// Attributes of an account.
    Attributes = 27,
    /// Status of an account.
    Status = 28,
}

impl Field {
    /// All fields with their names, in the order of their numbers.
    pub const ALL: [(Field, &'static str); 28] = [
        (Field::Kind, "kind"),
        (Field::PostingCount, "posting_count"),
        (Field::Account, "account"),
        (Field::Side, "side"),
        (Field::Amount, "amount"),
        (Field::Asset, "asset"),
        (Field::Reference, "reference"),
        (Field::Code, "code"),
        (Field::ValueDate, "value_date"),
        (Field::Voucher, "voucher"),
        (Field::Owner, "owner"),
        (Field::Subject, "subject"),
        (Field::NormalSide, "normal_side"),
        (Field::Category, "category"),
        (Field::Floor, "floor"),
        (Field::Ceiling, "ceiling"),
        (Field::Alarm, "alarm"),
        (Field::Label, "label"),
        (Field::Record, "record"),
        (Field::Link, "link"),
        (Field::Timeout, "timeout"),
        (Field::Forced, "forced"),
        (Field::Final, "final"),
        (Field::Index, "index"),
        (Field::Action, "action"),
        (Field::Reason, "reason"),
        (Field::Attributes, "attributes"),
        (Field::Status, "status"),
    ];

    /// The published name of a field's number.
    pub fn name_of(number: u16) -> Option<&'static str> {
        Field::ALL.iter().find(|(f, _)| *f as u16 == number).map(|(_, n)| *n)
    }
}
