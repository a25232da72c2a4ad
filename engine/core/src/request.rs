//! Requests as they come in: fixed little-endian rows, viewed in place, and the checks of their shape.
//!
//! A post request keeps its payload as the bytes that came over the wire; nothing is copied until a round is made of it.

use bytes::Bytes;
use zerocopy::little_endian::{I128, U16, U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::*;
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

    /// `debit` or `credit`.
    pub fn name(self) -> &'static str {
        match self {
            Side::Debit => "debit",
            Side::Credit => "credit",
        }
    }
}

/// A transfer in a request: two postings of one amount. 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransferRow {
    /// Id of the transaction, chosen by the client, never 0.
    pub id: U128,
    /// Account on the debit side.
    pub debit: U128,
    /// Account on the credit side.
    pub credit: U128,
    /// Minor units.
    pub amount: U128,
    /// Business reference, 0 = none.
    pub reference: U128,
    /// Asset number.
    pub asset: U32,
    /// Business code.
    pub code: U16,
    /// No flag is defined yet: 0.
    pub flags: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Bytes of the voucher, which follow after all rows of the request.
    pub voucher_length: U16,
    /// Zero.
    pub reserved: [u8; 36],
}

/// Header of a journal (a transaction with any number of postings) in a request. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct JournalRow {
    /// Id of the transaction, chosen by the client, never 0.
    pub id: U128,
    /// Business reference, 0 = none.
    pub reference: U128,
    /// Business code.
    pub code: U16,
    /// No flag is defined yet: 0.
    pub flags: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Bytes of the voucher.
    pub voucher_length: U16,
    /// How many posting rows belong to it.
    pub posting_count: U16,
    /// Zero.
    pub reserved: [u8; 22],
}

/// A posting of a journal in a request. 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostingRow {
    /// The account.
    pub account: U128,
    /// Minor units.
    pub amount: U128,
    /// Asset number.
    pub asset: U32,
    /// 0 debit, 1 credit.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 11],
}

/// An account opening in a request. 192 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct AccountRow {
    /// Id of the account, chosen by the client, never 0.
    pub account: U128,
    /// Owner, 0 = none.
    pub owner: U128,
    /// Floor of the available balance, minor units; 0 if `NO_FLOOR`.
    pub floor: I128,
    /// Ceiling of the balance, minor units; 0 unless `HAS_CEILING`.
    pub ceiling: I128,
    /// Alarm level, minor units; 0 unless `HAS_ALARM`.
    pub alarm: I128,
    /// Asset number.
    pub asset: U32,
    /// Subject (leaf of the chart of accounts), 0 = none.
    pub subject: U32,
    /// 0 debit, 1 credit.
    pub normal_side: u8,
    /// 0 personal, 1 enterprise, 2 platform.
    pub category: u8,
    /// Bits `NO_FLOOR`, `HAS_CEILING`, `HAS_ALARM`. An account of zeros cannot be overdrawn.
    pub limit_flags: u8,
    /// Bytes of the label.
    pub label_length: u8,
    /// Zero.
    pub reserved: [u8; 36],
    /// UTF-8, zeros after `label_length`.
    pub label: [u8; LABEL_BYTES_MAX],
}

/// The account has no floor: it may go as low as the balance range.
pub const NO_FLOOR: u8 = 1;
/// The account has a ceiling.
pub const HAS_CEILING: u8 = 2;
/// The account has an alarm level.
pub const HAS_ALARM: u8 = 4;

const _: () = assert!(size_of::<TransferRow>() == TRANSFER_ROW_BYTES);
const _: () = assert!(size_of::<JournalRow>() == 64);
const _: () = assert!(size_of::<PostingRow>() == 48);
const _: () = assert!(size_of::<AccountRow>() == 192);

/// Transfers or journals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostForm {
    /// `count` transfer rows, then the vouchers in order.
    Transfers,
    /// `count` journal rows, then all posting rows in order, then the vouchers in order.
    Journals,
}

/// Why a payload is not a request. The connection that sent it is closed: its writer does not speak the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PayloadError {
    /// Rows, postings and vouchers do not add up to the payload.
    #[error("the payload has {got} bytes, but its rows, postings and vouchers add up to {expected}")]
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

/// A request to post `count` transactions, all of one form.
#[derive(Clone, Debug)]
pub struct PostRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    form: PostForm,
    count: u32,
    payload: Bytes,
    /// Where each journal's posting rows begin, in rows; empty for transfers.
    postings_at: Vec<u32>,
    /// Where each voucher begins in the payload; empty if there is none.
    vouchers_at: Vec<u32>,
}

/// One transaction of a request, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct TransactionView<'a> {
    /// Id.
    pub id: u128,
    /// Business reference.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Flags.
    pub flags: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Voucher bytes.
    pub voucher: &'a [u8],
    /// The postings.
    pub postings: Postings<'a>,
}

/// The postings of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Postings<'a> {
    /// Debit first, then credit.
    Transfer(&'a TransferRow),
    /// In the order given.
    Journal(&'a [PostingRow]),
}

/// One posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// The account.
    pub account: u128,
    /// Minor units.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Debit or credit.
    pub side: Side,
}

impl<'a> Postings<'a> {
    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Postings::Transfer(_) => 2,
            Postings::Journal(rows) => rows.len(),
        }
    }

    /// The `index`-th; the shape must have been checked.
    pub fn get(&self, index: usize) -> Posting {
        match self {
            Postings::Transfer(row) => Posting {
                account: if index == 0 { row.debit.get() } else { row.credit.get() },
                amount: row.amount.get(),
                asset: row.asset.get(),
                side: if index == 0 { Side::Debit } else { Side::Credit },
            },
            Postings::Journal(rows) => Posting {
                account: rows[index].account.get(),
                amount: rows[index].amount.get(),
                asset: rows[index].asset.get(),
                side: if rows[index].side == 0 { Side::Debit } else { Side::Credit },
            },
        }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Posting> + 'a {
        (0..self.count()).map(move |i| self.get(i))
    }
}

impl PostRequest {
    /// Takes a payload apart without copying it. Its lengths must add up exactly.
    pub fn parse(
        institution: u32,
        principal: u32,
        form: PostForm,
        count: u32,
        payload: Bytes,
    ) -> Result<PostRequest, PayloadError> {
        let n = count as usize;
        if n == 0 || n > REQUEST_ITEMS_MAX {
            return Err(PayloadError::Count { count: n, max: REQUEST_ITEMS_MAX });
        }
        let row_bytes = match form {
            PostForm::Transfers => size_of::<TransferRow>(),
            PostForm::Journals => size_of::<JournalRow>(),
        };
        let got = payload.len();
        if got < n * row_bytes {
            return Err(PayloadError::Length { expected: n * row_bytes, got });
        }
        let mut request =
            PostRequest { institution, principal, form, count, payload, postings_at: vec![], vouchers_at: vec![] };
        let mut at = n * row_bytes;
        if form == PostForm::Journals {
            let mut rows = 0u32;
            request.postings_at.reserve_exact(n + 1);
            for i in 0..n {
                request.postings_at.push(rows);
                rows += u32::from(request.journal(i).posting_count.get());
            }
            request.postings_at.push(rows);
            at += rows as usize * size_of::<PostingRow>();
        }
        let voucher_bytes: usize = (0..n).map(|i| request.voucher_length(i)).sum();
        if at + voucher_bytes != got {
            return Err(PayloadError::Length { expected: at + voucher_bytes, got });
        }
        if voucher_bytes > 0 {
            request.vouchers_at.reserve_exact(n);
            for i in 0..n {
                request.vouchers_at.push(at as u32);
                at += request.voucher_length(i);
            }
        }
        Ok(request)
    }

    /// How many transactions.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Transfers or journals.
    pub fn form(&self) -> PostForm {
        self.form
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    fn transfer(&self, index: usize) -> &TransferRow {
        let at = index * size_of::<TransferRow>();
        TransferRow::ref_from_bytes(&self.payload[at..at + size_of::<TransferRow>()]).expect("a row of its exact size")
    }

    fn journal(&self, index: usize) -> &JournalRow {
        let at = index * size_of::<JournalRow>();
        JournalRow::ref_from_bytes(&self.payload[at..at + size_of::<JournalRow>()]).expect("a row of its exact size")
    }

    fn voucher_length(&self, index: usize) -> usize {
        usize::from(match self.form {
            PostForm::Transfers => self.transfer(index).voucher_length.get(),
            PostForm::Journals => self.journal(index).voucher_length.get(),
        })
    }

    /// The `index`-th transaction.
    pub fn transaction(&self, index: usize) -> TransactionView<'_> {
        let voucher = match self.vouchers_at.get(index) {
            None => &[][..],
            Some(&at) => &self.payload[at as usize..at as usize + self.voucher_length(index)],
        };
        match self.form {
            PostForm::Transfers => {
                let row = self.transfer(index);
                let (id, reference, code) = (row.id.get(), row.reference.get(), row.code.get());
                let (flags, value_date) = (row.flags.get(), row.value_date.get());
                let postings = Postings::Transfer(row);
                TransactionView { id, reference, code, flags, value_date, voucher, postings }
            }
            PostForm::Journals => {
                let row = self.journal(index);
                let (id, reference, code) = (row.id.get(), row.reference.get(), row.code.get());
                let (flags, value_date) = (row.flags.get(), row.value_date.get());
                let postings = Postings::Journal(self.postings_of(index));
                TransactionView { id, reference, code, flags, value_date, voucher, postings }
            }
        }
    }

    /// The posting rows of the `index`-th journal.
    fn postings_of(&self, index: usize) -> &[PostingRow] {
        let base = self.count as usize * size_of::<JournalRow>();
        let from = base + self.postings_at[index] as usize * size_of::<PostingRow>();
        let to = base + self.postings_at[index + 1] as usize * size_of::<PostingRow>();
        <[PostingRow]>::ref_from_bytes(&self.payload[from..to]).expect("a whole number of posting rows")
    }

    /// The id of the `index`-th transaction.
    pub fn id(&self, index: usize) -> u128 {
        match self.form {
            PostForm::Transfers => self.transfer(index).id.get(),
            PostForm::Journals => self.journal(index).id.get(),
        }
    }

    /// The checks of shape of the `index`-th transaction, in the published order.
    pub fn check_shape(&self, index: usize) -> Result<(), Outcome> {
        self.check_shape_of(index, &self.transaction(index))
    }

    /// The same for a transaction that is already viewed.
    pub fn check_shape_of(&self, index: usize, transaction: &TransactionView<'_>) -> Result<(), Outcome> {
        if transaction.id == 0 {
            return Err(Outcome::IdZero);
        }
        match transaction.postings {
            Postings::Transfer(row) => {
                if row.debit.get() == 0 || row.credit.get() == 0 {
                    return Err(Outcome::AccountZero);
                }
                check_amount(row.amount.get())?;
                if row.flags.get() != 0 || row.reserved != [0; 36] {
                    return Err(Outcome::ReservedNotZero);
                }
            }
            Postings::Journal(rows) => {
                if rows.len() < POSTINGS_MIN {
                    return Err(Outcome::TooFewPostings);
                }
                if rows.len() > POSTINGS_MAX {
                    return Err(Outcome::TooManyPostings);
                }
                if rows.iter().any(|r| r.account.get() == 0) {
                    return Err(Outcome::AccountZero);
                }
                rows.iter().try_for_each(|r| if r.amount.get() == 0 { Err(Outcome::AmountZero) } else { Ok(()) })?;
                rows.iter().try_for_each(|r| check_amount(r.amount.get()))?;
                if rows.iter().any(|r| Side::from_byte(r.side).is_none()) {
                    return Err(Outcome::SideUnknown);
                }
                let header = self.journal(index);
                if header.flags.get() != 0 || header.reserved != [0; 22] || rows.iter().any(|r| r.reserved != [0; 11]) {
                    return Err(Outcome::ReservedNotZero);
                }
            }
        }
        if transaction.voucher.len() > VOUCHER_BYTES_MAX {
            return Err(Outcome::VoucherTooLong);
        }
        Ok(())
    }
}

fn check_amount(amount: u128) -> Result<(), Outcome> {
    match amount {
        0 => Err(Outcome::AmountZero),
        1..=AMOUNT_MAX => Ok(()),
        _ => Err(Outcome::AmountAboveMax),
    }
}

/// A request to open `count` accounts.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    payload: Bytes,
}

impl OpenRequest {
    /// Takes a payload of account rows.
    pub fn parse(institution: u32, principal: u32, count: u32, payload: Bytes) -> Result<OpenRequest, PayloadError> {
        let n = count as usize;
        let max = REQUEST_BYTES_MAX / size_of::<AccountRow>();
        if n == 0 || n > max {
            return Err(PayloadError::Count { count: n, max });
        }
        if payload.len() != n * size_of::<AccountRow>() {
            return Err(PayloadError::Length { expected: n * size_of::<AccountRow>(), got: payload.len() });
        }
        Ok(OpenRequest { institution, principal, payload })
    }

    /// The openings.
    pub fn rows(&self) -> &[AccountRow] {
        <[AccountRow]>::ref_from_bytes(&self.payload).expect("a whole number of account rows")
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }
}

impl AccountRow {
    /// The checks of shape, in the published order.
    pub fn check_shape(&self) -> Result<(), Outcome> {
        if self.account.get() == 0 {
            return Err(Outcome::AccountZero);
        }
        if Side::from_byte(self.normal_side).is_none() {
            return Err(Outcome::SideUnknown);
        }
        let known = NO_FLOOR | HAS_CEILING | HAS_ALARM;
        let unset = |flag: u8, value: I128| self.limit_flags & flag == 0 && value.get() != 0;
        let floor_and_none = self.limit_flags & NO_FLOOR != 0 && self.floor.get() != 0;
        if self.limit_flags & !known != 0
            || self.reserved != [0; 36]
            || floor_and_none
            || unset(HAS_CEILING, self.ceiling)
            || unset(HAS_ALARM, self.alarm)
        {
            return Err(Outcome::ReservedNotZero);
        }
        if let (Some(floor), Some(ceiling)) = (self.floor(), self.ceiling())
            && floor > ceiling
        {
            return Err(Outcome::LimitsContradict);
        }
        for limit in [self.floor.get(), self.ceiling.get(), self.alarm.get()] {
            if !(-BALANCE_MAX..=BALANCE_MAX).contains(&limit) {
                return Err(Outcome::LimitOutOfRange);
            }
        }
        let length = usize::from(self.label_length);
        if length > LABEL_BYTES_MAX
            || self.label[length..].iter().any(|&b| b != 0)
            || str::from_utf8(&self.label[..length]).is_err()
        {
            return Err(Outcome::LabelInvalid);
        }
        if self.category > 2 {
            return Err(Outcome::CategoryUnknown);
        }
        Ok(())
    }

    /// The floor, if it has one.
    pub fn floor(&self) -> Option<i128> {
        (self.limit_flags & NO_FLOOR == 0).then(|| self.floor.get())
    }

    /// The ceiling, if it has one.
    pub fn ceiling(&self) -> Option<i128> {
        (self.limit_flags & HAS_CEILING != 0).then(|| self.ceiling.get())
    }

    /// The alarm level, if it has one.
    pub fn alarm(&self) -> Option<i128> {
        (self.limit_flags & HAS_ALARM != 0).then(|| self.alarm.get())
    }

    /// The label; the shape must have been checked.
    pub fn label(&self) -> &str {
        str::from_utf8(&self.label[..usize::from(self.label_length)]).expect("a label whose shape was checked")
    }
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
    /// Which posting's account refused (its index), or which field differs ([`Field`] number); 0 otherwise.
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
}

impl Field {
    /// All fields with their names, in the order of their numbers.
    pub const ALL: [(Field, &'static str); 19] = [
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
    ];

    /// The published name of a field's number.
    pub fn name_of(number: u16) -> Option<&'static str> {
        Field::ALL.iter().find(|(f, _)| *f as u16 == number).map(|(_, n)| *n)
    }
}
