//! The rows of requests: fixed sizes, little-endian, viewed in place.

use zerocopy::little_endian::{I128, U16, U32, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ItemKind;
use crate::limits::{AMOUNT_MAX, LABEL_BYTES_MAX, TRANSFER_ROW_BYTES};

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
    /// Bit [`FORCED`].
    pub flags: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Bytes of the voucher, which follow after all rows of the request.
    pub voucher_length: U16,
    /// [`ItemKind`]: post or hold.
    pub kind: u8,
    /// Zero.
    pub reserved_a: [u8; 3],
    /// A hold's timeout, seconds, 0 = none.
    pub timeout: U32,
    /// Id of a related transaction, 0 = none.
    pub link: U128,
    /// Zero.
    pub reserved: [u8; 12],
}

impl TransferRow {
    /// Whether it is nothing but a post between two accounts: no voucher, no related transaction, not forced. Nearly all transfers
    /// are, and their shape needs no further look.
    #[inline]
    pub fn is_simple(&self) -> bool {
        let (debit, credit, amount) = (self.debit.get(), self.credit.get(), self.amount.get());
        let plain = self.kind == ItemKind::Post as u8 && self.flags.get() == 0 && self.voucher_length.get() == 0;
        let unused = self.link.get() == 0 && self.timeout.get() == 0;
        let named = self.id.get() != 0 && debit != 0 && credit != 0 && debit != credit;
        let zeros = self.reserved_a == [0; 3] && self.reserved == [0; 12];
        plain && unused && named && zeros && (1..=AMOUNT_MAX).contains(&amount)
    }
}

/// An item of any kind in a request, without its postings. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ItemRow {
    /// Id of the transaction, chosen by the client, never 0.
    pub id: U128,
    /// Business reference, 0 = none.
    pub reference: U128,
    /// Business code.
    pub code: U16,
    /// Bits [`FORCED`] and [`FINAL`].
    pub flags: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Bytes of the voucher.
    pub voucher_length: U16,
    /// How many posting rows belong to it.
    pub posting_count: U16,
    /// [`ItemKind`].
    pub kind: u8,
    /// Zero.
    pub reserved: u8,
    /// A hold's timeout, seconds, 0 = none.
    pub timeout: U32,
    /// Id of the hold or original that it names; of a related transaction, or 0, in a post or hold.
    pub link: U128,
}

/// A posting of an item in a request. 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostingRow {
    /// The account; 0 where the posting is named by its index.
    pub account: U128,
    /// Minor units.
    pub amount: U128,
    /// Asset number; 0 where the posting is named by its index.
    pub asset: U32,
    /// 0 debit, 1 credit; 0 where the posting is named by its index.
    pub side: u8,
    /// Increase, capture, reverse: index of the posting in the hold or original. Otherwise 0.
    pub index: u8,
    /// Zero.
    pub reserved: [u8; 10],
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

/// A change of one account in a request. 128 bytes, then its texts after all rows of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ChangeRow {
    /// Id, in one space with the ids of transactions, never 0.
    pub id: U128,
    /// The account.
    pub account: U128,
    /// New floor, if `sets` has it.
    pub floor: I128,
    /// New ceiling, if `sets` has it.
    pub ceiling: I128,
    /// New alarm level, if `sets` has it.
    pub alarm: I128,
    /// [`Action`].
    pub action: u8,
    /// New status, if the action sets it.
    pub status: u8,
    /// Which limits are set: bits [`SETS_FLOOR`], [`SETS_CEILING`], [`SETS_ALARM`].
    pub sets: u8,
    /// Bits `NO_FLOOR`, `HAS_CEILING`, `HAS_ALARM` of the limits that are set.
    pub limit_flags: u8,
    /// Bit [`FORCED`].
    pub flags: U16,
    /// Business code.
    pub code: U16,
    /// Bytes of the reason.
    pub reason_length: U16,
    /// Bytes of the new label or attributes, which follow the reason.
    pub data_length: U16,
    /// Zero.
    pub reserved: [u8; 36],
}

/// Limits and freezes are skipped.
pub const FORCED: u16 = 1;
/// What a capture leaves of its hold is freed.
pub const FINAL: u16 = 2;

/// A change sets the floor.
pub const SETS_FLOOR: u8 = 1;
/// A change sets the ceiling.
pub const SETS_CEILING: u8 = 2;
/// A change sets the alarm level.
pub const SETS_ALARM: u8 = 4;

/// The account has no floor: it may go as low as the balance range.
pub const NO_FLOOR: u8 = 1;
/// The account has a ceiling.
pub const HAS_CEILING: u8 = 2;
/// The account has an alarm level.
pub const HAS_ALARM: u8 = 4;

const _: () = assert!(size_of::<TransferRow>() == TRANSFER_ROW_BYTES);
const _: () = assert!(size_of::<ItemRow>() == 64);
const _: () = assert!(size_of::<PostingRow>() == 48);
const _: () = assert!(size_of::<AccountRow>() == 192);
const _: () = assert!(size_of::<ChangeRow>() == 128);

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::super::{PostForm, PostRequest};
    use super::*;

    /// The short way of simple transfers leaves out the checks of shape: so whatever it takes must pass them.
    #[test]
    fn whatever_is_simple_is_a_post_of_good_shape_and_nothing_more() {
        let mut simple = TransferRow::new_zeroed();
        (simple.id, simple.debit, simple.credit, simple.amount) = (1.into(), 2.into(), 3.into(), 4.into());
        assert!(simple.is_simple());
        let (mut still_simple, mut not) = (0, 0);
        for at in 0..size_of::<TransferRow>() {
            for byte in [0, 1, 2, 3, 0x80, 0xff] {
                let mut row = simple;
                row.as_mut_bytes()[at] = byte;
                if !row.is_simple() {
                    not += 1;
                    continue;
                }
                still_simple += 1;
                let payload = bytes::Bytes::copy_from_slice(row.as_bytes());
                let request = PostRequest::parse(1, 0, PostForm::Transfers, 1, payload).expect("no voucher");
                let view = request.item(0);
                assert_eq!(request.check_shape(0, &view), Ok(()), "byte {at} is {byte}");
                assert_eq!(
                    (view.kind, view.forced(), view.link),
                    (Some(ItemKind::Post), false, 0),
                    "byte {at} is {byte}"
                );
                assert_ne!(row.debit, row.credit, "byte {at} is {byte}");
            }
        }
        assert!(still_simple > 300 && not > 200, "{still_simple} simple, {not} not");
    }
}
