//! Account changes: their shape, what refuses them, what they do.

use super::stage::*;
use super::{Case, case};
use crate::model::BALANCE_MAX;
use crate::model::item::*;
use crate::model::number::*;

pub fn cases() -> Vec<Case> {
    [shape(), effects(), order()].concat()
}

fn limits(id: u128, floor: i128, ceiling: i128) -> Change {
    Change::limits(id, ALICE, Limit::To(floor), Limit::To(ceiling))
}

fn because(change: Change, reason: &[u8]) -> Change {
    Change { reason: reason.to_vec(), ..change }
}

fn shape() -> Vec<Case> {
    let frozen = || Change::status(1, ALICE, FROZEN);
    let label = || Change::label(1, ALICE, b"a");
    let mut malformed = case("a malformed change leaves no trace");
    for (change, outcome) in [
        (Change { id: 0, ..frozen() }, ID_ZERO),
        (Change { account: 0, ..frozen() }, ACCOUNT_ZERO),
        (Change { action: 0, ..Change::close(1, ALICE) }, KIND_UNKNOWN),
        (Change { action: 7, ..Change::close(1, ALICE) }, KIND_UNKNOWN),
        (Change::status(1, ALICE, CLOSED), KIND_UNKNOWN),
        (Change { reserved: 1, ..frozen() }, RESERVED_NOT_ZERO),
        (Change { forced: true, ..frozen() }, RESERVED_NOT_ZERO),
        (Change { floor: Limit::To(0), ..frozen() }, RESERVED_NOT_ZERO),
        (Change { ceiling: Limit::Remove, ..frozen() }, RESERVED_NOT_ZERO),
        (Change { alarm: Limit::To(1), ..Change::close(1, ALICE) }, RESERVED_NOT_ZERO),
        (Change { label: b"a".to_vec(), ..frozen() }, RESERVED_NOT_ZERO),
        (Change { status: FROZEN, ..limits(1, 0, 1) }, RESERVED_NOT_ZERO),
        (Change { status: CLOSED, ..Change::close(1, ALICE) }, RESERVED_NOT_ZERO),
        (Change { status: 255, ..Change::reopen(1, ALICE) }, RESERVED_NOT_ZERO),
        (limits(1, 1, 0), LIMITS_CONTRADICT),
        (limits(1, -BALANCE_MAX - 1, 0), LIMIT_OUT_OF_RANGE),
        (Change::alarm(1, ALICE, Limit::To(BALANCE_MAX + 1)), LIMIT_OUT_OF_RANGE),
        (Change::label(1, ALICE, &[b'a'; 65]), LABEL_INVALID),
        (Change::label(1, ALICE, &[0xff]), LABEL_INVALID),
        (because(frozen(), b""), REASON_INVALID),
        (because(Change::close(1, ALICE), b""), REASON_INVALID),
        (because(frozen(), &[b'a'; 201]), REASON_INVALID),
        (because(label(), &[b'a'; 201]), REASON_INVALID),
        (because(frozen(), &[0xff]), REASON_INVALID),
        (Change::attributes(1, ALICE, &[0xff; 1025]), ATTRIBUTES_TOO_LONG),
    ] {
        malformed = malformed.ask(change, outcome);
    }
    vec![
        malformed.given(because(Change::attributes(1, ALICE, &[0xff; 1024]), b"")),
        case("the largest and smallest changes are fine")
            .given(because(Change::label(1, ALICE, "å".repeat(32).as_bytes()), b""))
            .given(because(Change::label(2, ALICE, b""), &[b'a'; 200]))
            .given(because(Change::attributes(3, ALICE, b""), b""))
            .given(Change::limits(4, ALICE, Limit::To(-BALANCE_MAX), Limit::To(BALANCE_MAX)))
            .given(Change { floor: Limit::Keep, ..Change::limits(5, ALICE, Limit::Keep, Limit::Keep) }),
    ]
}

fn effects() -> Vec<Case> {
    let refuses = |of: Case, id: u128, first: u16, second: u16| {
        of.ask_at(fund(id, ALICE, 1), first, u16::from(first != POSTED)).ask(pay(id + 1, ALICE, CASH, 1), second)
    };
    let mut statuses = case("a status is set and taken back").given(fund(1, ALICE, 50));
    for (id, status, credits, debits) in [
        (10, OPEN, POSTED, POSTED),
        (20, DEBIT_FROZEN, POSTED, ACCOUNT_DEBIT_FROZEN),
        (30, CREDIT_FROZEN, ACCOUNT_CREDIT_FROZEN, POSTED),
        (40, FROZEN, ACCOUNT_CREDIT_FROZEN, ACCOUNT_DEBIT_FROZEN),
        (50, FROZEN, ACCOUNT_CREDIT_FROZEN, ACCOUNT_DEBIT_FROZEN),
        (60, OPEN, POSTED, POSTED),
    ] {
        statuses = refuses(statuses.given(Change::status(id, ALICE, status)), id + 1, credits, debits);
    }
    vec![
        statuses,
        case("limits are set, kept and taken away")
            .given(limits(1, -10, 20))
            .given(pay(2, ALICE, CASH, 10))
            .ask(pay(3, ALICE, CASH, 1), BELOW_FLOOR)
            .given(Change::limits(4, ALICE, Limit::To(-11), Limit::Keep))
            .given(pay(5, ALICE, CASH, 1))
            .ask_at(fund(6, ALICE, 32), ABOVE_CEILING, 1)
            .given(Change::limits(7, ALICE, Limit::Keep, Limit::Remove))
            .given(fund(8, ALICE, 32))
            .given(Change::limits(9, ALICE, Limit::Remove, Limit::Keep))
            .given(pay(10, ALICE, CASH, 5_000)),
        case("limits do not cross, whatever part of them is set")
            .given(limits(1, -10, 20))
            .ask(Change::limits(2, ALICE, Limit::To(21), Limit::Keep).forced(), LIMITS_CROSS)
            .ask(Change::limits(3, ALICE, Limit::Keep, Limit::To(-11)).forced(), LIMITS_CROSS)
            .given(Change::limits(4, ALICE, Limit::To(21), Limit::Remove).forced())
            .ask(Change::limits(5, ALICE, Limit::Keep, Limit::To(20)).forced(), LIMITS_CROSS)
            .given(Change::limits(6, ALICE, Limit::Keep, Limit::To(21)).forced()),
        case("an account is put outside its limits by force only, looking at limits that are set")
            .given(fund(1, ALICE, 50))
            .given(reserve(2, ALICE, CASH, 10))
            .given(reserve(3, CASH, ALICE, 5))
            .ask(Change::limits(4, ALICE, Limit::To(41), Limit::Keep), OUTSIDE_LIMITS)
            .given(Change::limits(5, ALICE, Limit::To(40), Limit::Keep))
            .ask(Change::limits(6, ALICE, Limit::Keep, Limit::To(54)), OUTSIDE_LIMITS)
            .given(Change::limits(7, ALICE, Limit::Keep, Limit::To(55)))
            .given(Change::limits(8, ALICE, Limit::To(41), Limit::Keep).forced())
            .given(Change::limits(9, ALICE, Limit::Keep, Limit::To(60)))
            .given(Change::alarm(10, ALICE, Limit::To(1)))
            .ask(Change::limits(11, ALICE, Limit::To(42), Limit::To(70)), OUTSIDE_LIMITS),
        case("an account is closed when it is empty, and refuses everything until it is reopened")
            .given(fund(1, ALICE, 50))
            .ask(Change::close(2, ALICE), ACCOUNT_NOT_EMPTY)
            .given(pay(3, ALICE, CASH, 50))
            .given(reserve(4, CASH, ALICE, 5))
            .ask(Change::close(5, ALICE), ACCOUNT_NOT_EMPTY)
            .given(Item::release(6, 4))
            .given(Change::status(7, ALICE, FROZEN))
            .given(Change::close(8, ALICE))
            .ask_at(fund(9, ALICE, 1), ACCOUNT_CLOSED, 1)
            .ask(Change::status(10, ALICE, OPEN), ACCOUNT_CLOSED)
            .ask(limits(11, 0, 0), ACCOUNT_CLOSED)
            .ask(Change::close(12, ALICE), ACCOUNT_CLOSED)
            .ask(Change::label(13, ALICE, b"a"), ACCOUNT_CLOSED)
            .ask(Change::attributes(14, ALICE, b"a"), ACCOUNT_CLOSED)
            .given(Change::reopen(15, ALICE))
            .given(fund(16, ALICE, 1))
            .ask(Change::reopen(17, ALICE), ACCOUNT_NOT_CLOSED),
        case("held money keeps an account open, though nothing is posted")
            .given(Change::limits(1, ALICE, Limit::Remove, Limit::Keep))
            .given(reserve(2, ALICE, CASH, 5))
            .ask(Change::close(3, ALICE), ACCOUNT_NOT_EMPTY)
            .balances(ALICE, 0, 5, 0),
        case("an account must be there to be changed")
            .ask(Change::status(1, NOBODY, OPEN), ACCOUNT_UNKNOWN)
            .ask(Change::reopen(2, NOBODY), ACCOUNT_UNKNOWN)
            .given(Opening::new(NOBODY, CZK, DEBIT))
            .repeat(Change::status(1, NOBODY, OPEN), ACCOUNT_UNKNOWN, 0)
            .given(Change::status(3, NOBODY, OPEN)),
    ]
}

/// Neighbouring checks: what fails both is refused for the first.
fn order() -> Vec<Case> {
    let close = || Change::close(1, ALICE);
    vec![
        case("change: neighbouring checks of shape")
            .pair(Change { id: 0, account: 0, ..close() }, ID_ZERO, Change { account: 0, ..close() }, ACCOUNT_ZERO)
            .pair(
                Change { account: 0, action: 9, ..close() },
                ACCOUNT_ZERO,
                Change { action: 9, ..close() },
                KIND_UNKNOWN,
            )
            .pair(
                Change { action: 9, reserved: 1, ..close() },
                KIND_UNKNOWN,
                Change { reserved: 1, ..close() },
                RESERVED_NOT_ZERO,
            )
            .pair(
                Change { reserved: 1, ..Change::status(1, ALICE, CLOSED) },
                KIND_UNKNOWN,
                Change { reserved: 1, ..close() },
                RESERVED_NOT_ZERO,
            )
            .pair(Change { reserved: 1, ..limits(1, 1, 0) }, RESERVED_NOT_ZERO, limits(1, 1, 0), LIMITS_CONTRADICT)
            .pair(limits(1, 1, i128::MIN), LIMITS_CONTRADICT, limits(1, i128::MIN, 0), LIMIT_OUT_OF_RANGE)
            .pair(
                because(limits(1, i128::MIN, 0), b""),
                LIMIT_OUT_OF_RANGE,
                because(limits(1, 0, 0), b""),
                REASON_INVALID,
            )
            .pair(
                because(Change::label(1, ALICE, &[0xff]), &[0xff]),
                LABEL_INVALID,
                because(Change::label(1, ALICE, b"a"), &[0xff]),
                REASON_INVALID,
            )
            .pair(
                because(Change::attributes(1, ALICE, &[0; 1025]), &[0xff]),
                REASON_INVALID,
                Change::attributes(1, ALICE, &[0; 1025]),
                ATTRIBUTES_TOO_LONG,
            )
            .institution(99)
            .pair(
                Change::attributes(1, ALICE, &[0; 1025]),
                ATTRIBUTES_TOO_LONG,
                Change::attributes(1, ALICE, &[0; 1024]),
                INSTITUTION_UNKNOWN,
            ),
        case("change: the id, then the account").given(close()).pair_at(
            Change { account: NOBODY, ..close() },
            (ID_USED_WITH_OTHER_FIELDS, field::ACCOUNT),
            Change::close(2, NOBODY),
            (ACCOUNT_UNKNOWN, 0),
        ),
        case("change: closed, then limits that cross, then the account outside them")
            .given(limits(1, -10, 20))
            .given(Change::close(2, ALICE))
            .ask(Change::limits(3, ALICE, Limit::To(21), Limit::Keep), ACCOUNT_CLOSED)
            .given(Change::reopen(4, ALICE))
            .pair(
                Change::limits(5, ALICE, Limit::To(21), Limit::Keep),
                LIMITS_CROSS,
                Change::limits(6, ALICE, Limit::To(20), Limit::Keep),
                OUTSIDE_LIMITS,
            )
            .given(Change::close(7, ALICE))
            .given(Change { account: BOB, ..limits(8, -10, 20) })
            .pair(
                Change::limits(9, ALICE, Limit::To(21), Limit::Keep),
                ACCOUNT_CLOSED,
                Change::limits(10, BOB, Limit::To(21), Limit::Keep),
                LIMITS_CROSS,
            ),
    ]
}
