//! I2: no transaction that is not forced takes an account past a limit, or further past one that was passed before. Forced or
//! not, none takes a balance out of range.
//!
//! Checked of each row when it goes to the log, so at every prefix of the log, also of one that a crash cuts off.

use crate::sim::audit::Audited;

/// Bits of a balance, its sign not counted.
const BALANCE_BITS: u32 = 126;

/// An account before a row and after it.
pub fn row(row: u64, number: u128, before: &Audited, after: &Audited, forced: bool) {
    let (available, gross) = (after.available(), after.gross());
    let fell_below = available < before.available() && after.floor.is_some_and(|floor| available < floor);
    let rose_above = gross > before.gross() && after.ceiling.is_some_and(|ceiling| gross > ceiling);
    assert!(forced || !(fell_below || rose_above), "I2: row {row} takes account {number:#x} past a limit");
}

/// Whatever was believed, a balance is one that can be stored.
pub fn range(row: u64, number: u128, after: &Audited) {
    let most = 1 << BALANCE_BITS;
    let within = after.balance.unsigned_abs() < most as u128 && after.available() > -most && after.gross() < most;
    assert!(within, "I2: row {row} takes account {number:#x} out of range");
}
