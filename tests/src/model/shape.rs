//! The checks of shape: what is wrong with an item whatever the state of the ledger.

use super::item::{ALARM, CEILING, FLOOR, Opening, Transaction};
use super::number::*;

/// Largest amount of a posting: 2^100 − 1.
pub const AMOUNT_MAX: u128 = 0xf_ffff_ffff_ffff_ffff_ffff_ffff;
/// Largest magnitude of a balance or limit: 2^126 − 1.
pub const BALANCE_MAX: i128 = 0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_ffff;

/// The first thing that is wrong with the shape of a transaction.
pub fn transaction(t: &Transaction) -> Option<u16> {
    let checks = [
        (t.id == 0, ID_ZERO),
        (t.postings.len() < 2, TOO_FEW_POSTINGS),
        (t.postings.len() > 254, TOO_MANY_POSTINGS),
        (t.postings.iter().any(|p| p.account == 0), ACCOUNT_ZERO),
        (t.postings.iter().any(|p| p.amount == 0), AMOUNT_ZERO),
        (t.postings.iter().any(|p| p.amount > AMOUNT_MAX), AMOUNT_ABOVE_MAX),
        (t.postings.iter().any(|p| p.side > 1), SIDE_UNKNOWN),
        (t.flags != 0 || t.reserved != 0 || t.postings.iter().any(|p| p.reserved != 0), RESERVED_NOT_ZERO),
        (t.voucher.len() > 4096, VOUCHER_TOO_LONG),
    ];
    first(&checks)
}

/// The first thing that is wrong with the shape of an opening.
pub fn opening(o: &Opening) -> Option<u16> {
    let limits = [(FLOOR, o.floor), (CEILING, o.ceiling), (ALARM, o.alarm)];
    let unset = limits.iter().any(|(flag, value)| o.limit_flags & flag == 0 && *value != 0);
    let both = o.limit_flags & (FLOOR | CEILING) == FLOOR | CEILING;
    let length = usize::from(o.label_length);
    let checks = [
        (o.account == 0, ACCOUNT_ZERO),
        (o.normal_side > 1, SIDE_UNKNOWN),
        (o.limit_flags > 7 || o.reserved != 0 || unset, RESERVED_NOT_ZERO),
        (both && o.floor > o.ceiling, LIMITS_CONTRADICT),
        (limits.iter().any(|(_, v)| *v > BALANCE_MAX || *v < -BALANCE_MAX), LIMIT_OUT_OF_RANGE),
        (length > 64 || label(o).is_none(), LABEL_INVALID),
        (o.category > 2, CATEGORY_UNKNOWN),
    ];
    first(&checks)
}

/// The label of an opening: its claimed bytes, with zeros where it has none, and nothing but zeros after them.
fn label(o: &Opening) -> Option<String> {
    let mut bytes = o.label.clone();
    bytes.resize(64, 0);
    let rest = bytes.split_off(usize::from(o.label_length).min(64));
    if rest.iter().any(|b| *b != 0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

fn first(checks: &[(bool, u16)]) -> Option<u16> {
    checks.iter().find(|(wrong, _)| *wrong).map(|(_, number)| *number)
}
