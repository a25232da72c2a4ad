//! Openings: their shape.

use super::stage::*;
use super::{Case, case};
use crate::model::BALANCE_MAX;
use crate::model::item::*;
use crate::model::number::*;

pub fn cases() -> Vec<Case> {
    let new = || Opening::new(50, CZK, DEBIT);
    let crossed = || new().with_floor(1).with_ceiling(0);
    let long_label = |o: Opening| Opening { label_length: 65, ..o };
    let mut shape = case("a malformed opening leaves no trace");
    for (opening, outcome) in [
        (Opening::new(0, CZK, DEBIT), ACCOUNT_ZERO),
        (Opening::new(50, CZK, 2), SIDE_UNKNOWN),
        (Opening { reserved: 1, ..new() }, RESERVED_NOT_ZERO),
        (Opening { limit_flags: 8, ..new() }, RESERVED_NOT_ZERO),
        (Opening { alarm: 1, ..new() }, RESERVED_NOT_ZERO),
        (crossed(), LIMITS_CONTRADICT),
        (new().with_floor(-BALANCE_MAX - 1), LIMIT_OUT_OF_RANGE),
        (new().with_ceiling(BALANCE_MAX + 1), LIMIT_OUT_OF_RANGE),
        (new().with_alarm(i128::MIN), LIMIT_OUT_OF_RANGE),
        (long_label(new()), LABEL_INVALID),
        (Opening { label: vec![0xff], label_length: 1, ..new() }, LABEL_INVALID),
        (Opening { label_length: 1, ..new().with_label("abc") }, LABEL_INVALID),
        (Opening { category: 3, ..new() }, CATEGORY_UNKNOWN),
        (Opening::new(50, 99, DEBIT), ASSET_UNKNOWN),
    ] {
        shape = shape.ask(opening, outcome);
    }
    let full = new().with_floor(-BALANCE_MAX).with_ceiling(BALANCE_MAX).with_alarm(0).with_label("å");
    vec![
        shape.given(full.clone()).repeat(full, POSTED, 0),
        case("opening: neighbouring checks")
            .pair(Opening::new(0, CZK, 2), ACCOUNT_ZERO, Opening::new(50, CZK, 2), SIDE_UNKNOWN)
            .pair(
                Opening { normal_side: 2, reserved: 1, ..new() },
                SIDE_UNKNOWN,
                Opening { reserved: 1, ..new() },
                RESERVED_NOT_ZERO,
            )
            .pair(Opening { reserved: 1, ..crossed() }, RESERVED_NOT_ZERO, crossed(), LIMITS_CONTRADICT)
            .pair(
                crossed().with_ceiling(i128::MIN),
                LIMITS_CONTRADICT,
                new().with_ceiling(i128::MIN),
                LIMIT_OUT_OF_RANGE,
            )
            .pair(long_label(new().with_alarm(i128::MAX)), LIMIT_OUT_OF_RANGE, long_label(new()), LABEL_INVALID)
            .pair(
                long_label(Opening { category: 3, ..new() }),
                LABEL_INVALID,
                Opening { category: 3, ..new() },
                CATEGORY_UNKNOWN,
            )
            .institution(99)
            .pair(Opening { category: 3, ..new() }, CATEGORY_UNKNOWN, new(), INSTITUTION_UNKNOWN)
            .ask(Opening::new(50, 99, DEBIT), INSTITUTION_UNKNOWN),
    ]
}
