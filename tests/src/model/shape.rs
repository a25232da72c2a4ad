//! The checks of shape: what is wrong with an item whatever the state of the ledger.

use super::item::*;
use super::number::*;

/// Largest amount of a posting: 2^100 − 1.
pub const AMOUNT_MAX: u128 = 0xf_ffff_ffff_ffff_ffff_ffff_ffff;
/// Largest magnitude of a balance or limit: 2^126 − 1.
pub const BALANCE_MAX: i128 = 0x3fff_ffff_ffff_ffff_ffff_ffff_ffff_ffff;

/// The first thing that is wrong with the shape of an item. Fields that the kind does not have must be 0, whatever they
/// would mean elsewhere: so the side of a captured posting is no side, but reserved.
pub fn item(i: &Item) -> Option<u16> {
    let own_postings = i.has_own_postings();
    let by_index = matches!(i.kind, INCREASE | CAPTURE | REVERSE);
    let postings_min = match i.kind {
        POST | HOLD => 2,
        INCREASE => 1,
        _ => 0,
    };
    let any = |wrong: fn(&Posting) -> bool| i.postings.iter().any(wrong);
    let strange_field = i.unknown_flags != 0
        || i.reserved != 0
        || any(|p| p.reserved != 0)
        || (i.timeout != 0 && i.kind != HOLD)
        || (i.forced && !matches!(i.kind, POST | HOLD | INCREASE | REVERSE))
        || (i.is_final && i.kind != CAPTURE)
        || (own_postings && any(|p| p.index != 0))
        || (by_index && any(|p| p.account != 0 || p.side != 0 || p.asset != 0))
        || (i.kind == RELEASE && !i.postings.is_empty());
    let checks = [
        (i.id == 0, ID_ZERO),
        (i.kind > REVERSE, KIND_UNKNOWN),
        (!own_postings && i.link == 0, ID_ZERO),
        (i.postings.len() < postings_min, TOO_FEW_POSTINGS),
        (i.postings.len() > 254, TOO_MANY_POSTINGS),
        (own_postings && any(|p| p.account == 0), ACCOUNT_ZERO),
        (any(|p| p.amount == 0), AMOUNT_ZERO),
        (any(|p| p.amount > AMOUNT_MAX), AMOUNT_ABOVE_MAX),
        (own_postings && any(|p| p.side > 1), SIDE_UNKNOWN),
        (strange_field, RESERVED_NOT_ZERO),
        (i.voucher.len() > 4096, VOUCHER_TOO_LONG),
        (by_index && !i.postings.is_sorted_by(|a, b| a.index < b.index), POSTINGS_NOT_ASCENDING),
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
        (limits.iter().any(|(_, value)| out_of_range(*value)), LIMIT_OUT_OF_RANGE),
        (length > 64 || label(o).is_none(), LABEL_INVALID),
        (o.category > 2, CATEGORY_UNKNOWN),
    ];
    first(&checks)
}

/// The first thing that is wrong with the shape of an account change.
pub fn change(c: &Change) -> Option<u16> {
    let limits = [c.floor, c.ceiling, c.alarm];
    let strange_field = c.reserved != 0
        || (c.status != 0 && c.action != SET_STATUS)
        || (limits.iter().any(|l| *l != Limit::Keep) && c.action != SET_LIMITS)
        || (c.forced && c.action != SET_LIMITS)
        || (!c.label.is_empty() && c.action != SET_LABEL)
        || (!c.attributes.is_empty() && c.action != SET_ATTRIBUTES);
    let contradict = matches!((c.floor, c.ceiling), (Limit::To(floor), Limit::To(ceiling)) if floor > ceiling);
    let reason_needed = c.action != SET_LABEL && c.action != SET_ATTRIBUTES;
    let no_reason = c.reason.is_empty() && reason_needed;
    let checks = [
        (c.id == 0, ID_ZERO),
        (c.account == 0, ACCOUNT_ZERO),
        (!(SET_STATUS..=SET_ATTRIBUTES).contains(&c.action), KIND_UNKNOWN),
        (c.action == SET_STATUS && c.status > FROZEN, KIND_UNKNOWN),
        (strange_field, RESERVED_NOT_ZERO),
        (contradict, LIMITS_CONTRADICT),
        (limits.iter().any(|l| matches!(l, Limit::To(value) if out_of_range(*value))), LIMIT_OUT_OF_RANGE),
        (c.label.len() > 64 || str::from_utf8(&c.label).is_err(), LABEL_INVALID),
        (no_reason || c.reason.len() > 200 || str::from_utf8(&c.reason).is_err(), REASON_INVALID),
        (c.attributes.len() > 1024, ATTRIBUTES_TOO_LONG),
    ];
    first(&checks)
}

fn out_of_range(limit: i128) -> bool {
    !(-BALANCE_MAX..=BALANCE_MAX).contains(&limit)
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
