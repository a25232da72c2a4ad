//! Where every case begins: two assets and some accounts, and the words for postings on them.

use super::Ledger;
use crate::model::item::{CREDIT, Control, DEBIT, Item, Opening, Posting};
use crate::model::number::POSTED;

/// When the ledger is made: 2025-10-09, 08:53:20 UTC.
pub const START: u64 = 1_760_000_000_000_000_000;
/// The date of [`START`].
pub const TODAY: u16 = 20_370;
/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// An asset.
pub const CZK: u32 = 203;
/// Another asset.
pub const EUR: u32 = 978;

/// Debit-normal, no limits.
pub const CASH: u128 = 1;
/// Credit-normal, floor 0.
pub const ALICE: u128 = 2;
/// Credit-normal, floor 0, ceiling 100.
pub const BOB: u128 = 3;
/// Credit-normal, no limits.
pub const SHOP: u128 = 4;
/// Credit-normal, floor 50: opened below its floor.
pub const DEEP: u128 = 5;
/// Credit-normal, ceiling −50: opened above its ceiling.
pub const HIGH: u128 = 6;
/// Debit-normal in EUR, no limits.
pub const EURO: u128 = 7;
/// Never opened.
pub const NOBODY: u128 = 77;

/// Opens the accounts.
pub fn set(ledger: &mut dyn Ledger) {
    ledger.set_time(START - SECOND);
    let controls = [Control::asset(901, CZK, "CZK", 2), Control::asset(902, EUR, "EUR", 2)];
    let openings = [
        Opening::new(CASH, CZK, DEBIT),
        Opening::new(ALICE, CZK, CREDIT).with_floor(0),
        Opening::new(BOB, CZK, CREDIT).with_floor(0).with_ceiling(100),
        Opening::new(SHOP, CZK, CREDIT),
        Opening::new(DEEP, CZK, CREDIT).with_floor(50),
        Opening::new(HIGH, CZK, CREDIT).with_ceiling(-50),
        Opening::new(EURO, EUR, DEBIT),
    ];
    for control in controls {
        assert_eq!(ledger.control(1, &control).outcome, POSTED);
    }
    for opening in openings {
        assert_eq!(ledger.open(1, &opening).outcome, POSTED);
    }
    ledger.set_time(START);
}

/// A debit.
pub fn debit(account: u128, amount: u128) -> Posting {
    Posting::new(account, DEBIT, amount, CZK)
}

/// A credit.
pub fn credit(account: u128, amount: u128) -> Posting {
    Posting::new(account, CREDIT, amount, CZK)
}

/// The same posting in the other asset.
pub fn euro(posting: Posting) -> Posting {
    Posting { asset: EUR, ..posting }
}

/// Brings money to an account whose normal side is credit.
pub fn fund(id: u128, account: u128, amount: u128) -> Item {
    pay(id, CASH, account, amount)
}

/// A transfer: debits one account and credits another.
pub fn pay(id: u128, debited: u128, credited: u128, amount: u128) -> Item {
    Item::transfer(id, debited, credited, CZK, amount)
}

/// Reserves a transfer.
pub fn reserve(id: u128, debited: u128, credited: u128, amount: u128) -> Item {
    Item::hold(id, 0, &[debit(debited, amount), credit(credited, amount)])
}

/// Reserves a transfer for so many seconds.
pub fn reserve_for(seconds: u32, id: u128, debited: u128, credited: u128, amount: u128) -> Item {
    Item { timeout: seconds, ..reserve(id, debited, credited, amount) }
}
