//! The transfers of a history by their numbers: anybody can say at any time what the n-th was, without having kept it.

use bytes::Bytes;
use florin_core::request::{AccountRow, NO_FLOOR, OpenRequest, PostForm, PostRequest, TransferRow};
use zerocopy::{FromZeros, IntoBytes};

/// The tenant.
pub const INSTITUTION: u32 = 1;
/// The asset.
pub const ASSET: u32 = 978;
/// Accounts: few, so that ids are what costs.
pub const ACCOUNTS: u64 = 100;
/// Transfers of one millisecond, in ids that follow time.
const PER_MILLISECOND: u64 = 100;
/// Milliseconds since 1970 when the history begins, in such ids.
const BEGIN_MS: u128 = 1_700_000_000_000;
/// Bits of such an id behind the milliseconds.
const RANDOM_BITS: u32 = 80;

/// How clients choose ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// 128 random bits, as UUIDv4.
    Random,
    /// Milliseconds, then random bits, as UUIDv7 and ULID.
    Time,
    /// One so, the next so.
    Mixed,
}

impl Order {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Order> {
        [("random", Order::Random), ("time", Order::Time), ("mixed", Order::Mixed)]
            .into_iter()
            .find_map(|(known, order)| (known == name).then_some(order))
    }
}

/// Transfers with the numbers from 0 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// How many.
    pub ids: u64,
    /// Their ids.
    pub order: Order,
}

impl History {
    /// The transfer with a number.
    pub fn transfer(&self, number: u64) -> TransferRow {
        transfer(self.order, number)
    }
}

/// A transfer that a history of this order has, or would have if it were longer.
pub fn transfer(order: Order, number: u64) -> TransferRow {
    let mut row = TransferRow::new_zeroed();
    let mixed = mix(number);
    let debit = mixed as u64 % ACCOUNTS;
    let credit = (debit + 1 + (mixed >> 64) as u64 % (ACCOUNTS - 1)) % ACCOUNTS;
    row.id = id(order, number).into();
    (row.debit, row.credit) = ((1 + u128::from(debit)).into(), (1 + u128::from(credit)).into());
    (row.amount, row.asset) = (u128::from(1 + number % 1_000).into(), ASSET.into());
    row
}

fn id(order: Order, number: u64) -> u128 {
    let random = mix(number);
    let in_time = (BEGIN_MS + u128::from(number / PER_MILLISECOND)) << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1);
    match order {
        Order::Random => random,
        Order::Time => in_time,
        Order::Mixed if number.is_multiple_of(2) => random,
        Order::Mixed => in_time,
    }
}

/// Another number for each, as random as clients' ids are; its lowest bits too are of one number only.
fn mix(number: u64) -> u128 {
    (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// A request of transfers.
pub fn request(rows: &[TransferRow]) -> PostRequest {
    let payload = Bytes::copy_from_slice(rows.as_bytes());
    PostRequest::parse(INSTITUTION, 0, PostForm::Transfers, rows.len() as u32, payload).expect("rows")
}

/// A request that opens the accounts.
pub fn opening() -> OpenRequest {
    let mut payload = Vec::new();
    for account in 1..=u128::from(ACCOUNTS) {
        let mut row = AccountRow::new_zeroed();
        (row.account, row.asset, row.normal_side, row.limit_flags) = (account.into(), ASSET.into(), 1, NO_FLOOR);
        payload.extend_from_slice(row.as_bytes());
    }
    OpenRequest::parse(INSTITUTION, 0, ACCOUNTS as u32, payload.into()).expect("rows")
}
