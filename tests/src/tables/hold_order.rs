//! Neighbouring checks of increases, captures and releases: what fails both is refused for the first.

use super::stage::*;
use super::{Case, case};
use crate::model::item::*;
use crate::model::number::*;
use crate::model::{AMOUNT_MAX, BALANCE_MAX};

/// The hold of most cases: 60 of the 100 that Alice has, for the shop.
const HOLD_ID: u128 = 500;
/// Another one, of 9, which stays open.
const OTHER: u128 = 600;

pub fn cases() -> Vec<Case> {
    [of_the_hold(Item::increase), of_the_hold(Item::capture), of_accounts()].concat()
}

type Make = fn(u128, u128, &[(u16, u128)]) -> Item;

fn shopping(rule: &str) -> Case {
    case(rule)
        .given(fund(501, ALICE, 100))
        .given(reserve_for(10, HOLD_ID, ALICE, SHOP, 60))
        .given(reserve(OTHER, CASH, SHOP, 9))
}

fn of_the_hold(make: Make) -> Vec<Case> {
    let both = [(0, 1), (1, 1)];
    let strange = [(0, 1), (1, 1), (2, 1)];
    vec![
        shopping("the id, then the hold").ask(make(1, 700, &both), HOLD_UNKNOWN).pair_at(
            make(1, 701, &both),
            (ID_USED_WITH_OTHER_FIELDS, field::LINK),
            make(2, 701, &both),
            (HOLD_UNKNOWN, 0),
        ),
        shopping("a hold that was let go, then its postings").given(Item::release(1, HOLD_ID)).pair(
            make(2, HOLD_ID, &strange),
            HOLD_CLOSED,
            make(3, OTHER, &strange),
            POSTING_UNKNOWN,
        ),
        shopping("a hold that expired, then its postings").at(11 * SECOND).pair(
            make(2, HOLD_ID, &strange),
            HOLD_EXPIRED,
            make(3, OTHER, &strange),
            POSTING_UNKNOWN,
        ),
        shopping("the postings of the hold, then the whole").pair(
            make(1, HOLD_ID, &[(0, 1), (2, 1)]),
            POSTING_UNKNOWN,
            make(2, HOLD_ID, &[(0, 1)]),
            UNBALANCED,
        ),
        shopping("the whole, then the accounts")
            .given(Item::capture(1, HOLD_ID, &[(0, 60), (1, 60)]))
            .given(pay(2, ALICE, CASH, 40))
            .given(Change::close(3, ALICE))
            .pair(make(4, HOLD_ID, &[(0, 1)]), UNBALANCED, make(5, HOLD_ID, &both), ACCOUNT_CLOSED),
    ]
}

fn of_accounts() -> Vec<Case> {
    let top = BALANCE_MAX as u128;
    vec![
        shopping("release: the id, then the hold").ask(Item::release(1, 700), HOLD_UNKNOWN).pair_at(
            Item::release(1, 701),
            (ID_USED_WITH_OTHER_FIELDS, field::LINK),
            Item::release(2, 701),
            (HOLD_UNKNOWN, 0),
        ),
        shopping("capture: closed, then more than is left")
            .given(Item::capture(1, HOLD_ID, &[(0, 60), (1, 60)]))
            .given(pay(2, ALICE, CASH, 40))
            .given(Change::close(3, ALICE))
            .pair(
                Item::capture(4, HOLD_ID, &[(0, 1), (1, 1)]),
                ACCOUNT_CLOSED,
                Item::capture(5, OTHER, &[(0, 10), (1, 10)]),
                EXCEEDS_HOLD,
            )
            .given(Change::reopen(6, ALICE))
            .ask(Item::capture(7, HOLD_ID, &[(0, 1), (1, 1)]), EXCEEDS_HOLD),
        case("capture: one account's whole list, then the next account's")
            .given(Item::hold(HOLD_ID, 0, &[debit(CASH, 5), credit(SHOP, 5), debit(CASH, 1), credit(BOB, 1)]))
            .given(Item::capture(1, HOLD_ID, &[(2, 1), (3, 1)]))
            .given(pay(2, BOB, CASH, 1))
            .given(Change::close(3, BOB))
            .ask_at(Item::capture(4, HOLD_ID, &[(0, 6), (1, 5), (3, 1)]), EXCEEDS_HOLD, 0)
            .ask_at(Item::capture(5, HOLD_ID, &[(0, 5), (1, 4), (3, 1)]), ACCOUNT_CLOSED, 3)
            .ask_at(Item::capture(6, HOLD_ID, &[(0, 4), (1, 5), (2, 1)]), EXCEEDS_HOLD, 0),
        case("increase: debit-frozen, then credit-frozen")
            .given(fund(1, ALICE, 9))
            .given(Item::hold(HOLD_ID, 0, &[debit(ALICE, 2), credit(ALICE, 1), credit(CASH, 2), debit(CASH, 1)]))
            .given(Change::status(2, ALICE, FROZEN))
            .pair_at(
                Item::increase(3, HOLD_ID, &[(0, 1), (1, 1)]),
                (ACCOUNT_DEBIT_FROZEN, 0),
                Item::increase(4, HOLD_ID, &[(1, 1), (3, 1)]),
                (ACCOUNT_CREDIT_FROZEN, 1),
            ),
        case("increase: frozen, then range")
            .given(Item::hold(HOLD_ID, 0, &[credit(SHOP, 1), debit(CASH, 1)]))
            .heave(CASH, SHOP, top)
            .given(Change::status(1, SHOP, CREDIT_FROZEN))
            .pair(
                Item::increase(2, HOLD_ID, &[(0, 1), (1, 1)]),
                ACCOUNT_CREDIT_FROZEN,
                Item::increase(3, HOLD_ID, &[(0, 1), (1, 1)]).forced(),
                BALANCE_RANGE,
            ),
        shopping("increase: range, then floor").heave(ALICE, CASH, top).pair(
            Item::increase(1, HOLD_ID, &[(0, 41), (1, 41)]),
            BALANCE_RANGE,
            Item::increase(2, HOLD_ID, &[(0, 1), (1, 1)]),
            BELOW_FLOOR,
        ),
        case("increase: floor, then ceiling")
            .given(fund(1, BOB, 50))
            .given(Item::hold(HOLD_ID, 0, &[debit(BOB, 1), credit(BOB, 1), debit(CASH, 1), credit(CASH, 1)]))
            .pair_at(
                Item::increase(2, HOLD_ID, &[(0, 50), (1, 50)]),
                (BELOW_FLOOR, 0),
                Item::increase(3, HOLD_ID, &[(1, 50), (2, 50)]),
                (ABOVE_CEILING, 1),
            ),
        case("increase: ceiling, then more than an amount may be")
            .given(Item::hold(HOLD_ID, 0, &[credit(BOB, 1), debit(CASH, 1)]))
            .pair(
                Item::increase(1, HOLD_ID, &[(0, AMOUNT_MAX), (1, AMOUNT_MAX)]),
                ABOVE_CEILING,
                Item::increase(2, HOLD_ID, &[(0, AMOUNT_MAX), (1, AMOUNT_MAX)]).forced(),
                HOLD_ABOVE_MAX,
            )
            .given(Item::increase(3, HOLD_ID, &[(0, AMOUNT_MAX - 1), (1, AMOUNT_MAX - 1)]).forced()),
    ]
}
