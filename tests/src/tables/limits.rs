//! What an account refuses: range, floor, ceiling and freezes, in which direction, and what force does about it.

use super::stage::*;
use super::{Case, case};
use crate::model::item::*;
use crate::model::number::*;
use crate::model::{AMOUNT_MAX, BALANCE_MAX};

/// The top of the range, as an amount.
const TOP: u128 = BALANCE_MAX as u128;

pub fn cases() -> Vec<Case> {
    [directions(), range(), freezes(), order()].concat()
}

fn directions() -> Vec<Case> {
    vec![
        case("limits may be reached")
            .given(fund(1, BOB, 100))
            .ask_at(fund(2, BOB, 1), ABOVE_CEILING, 1)
            .given(pay(3, BOB, CASH, 100))
            .ask(pay(4, BOB, CASH, 1), BELOW_FLOOR),
        case("an account outside a limit may move back towards it")
            .given(fund(1, DEEP, 10))
            .ask(pay(2, DEEP, CASH, 1), BELOW_FLOOR)
            .given(pay(3, DEEP, DEEP, 1))
            .given(pay(4, HIGH, CASH, 1))
            .ask_at(fund(5, HIGH, 1), ABOVE_CEILING, 1)
            .given(Item::post(6, &[credit(HIGH, 1), debit(HIGH, 1)]))
            .given(fund(7, DEEP, 40))
            .ask(pay(8, DEEP, CASH, 1), BELOW_FLOOR)
            .given(fund(9, DEEP, 1))
            .given(pay(10, DEEP, CASH, 1)),
        case("a hold reserves on both ends, and neither end helps the other")
            .given(fund(1, BOB, 100))
            .ask_at(reserve(2, CASH, BOB, 1), ABOVE_CEILING, 1)
            .given(reserve(3, BOB, CASH, 100))
            .balances(BOB, 100, 100, 0)
            .ask(reserve(4, BOB, CASH, 1), BELOW_FLOOR)
            .ask(pay(5, BOB, CASH, 1), BELOW_FLOOR)
            .ask_at(reserve(6, CASH, BOB, 1), ABOVE_CEILING, 1)
            .ask(pay(7, ALICE, ALICE, 1), POSTED)
            .ask(reserve(8, ALICE, ALICE, 1), BELOW_FLOOR),
        case("incoming money fills the ceiling, but cannot be spent")
            .given(reserve(1, CASH, BOB, 60))
            .balances(BOB, 0, 0, 60)
            .balances(CASH, 0, 0, 60)
            .ask(pay(2, BOB, CASH, 1), BELOW_FLOOR)
            .ask_at(fund(3, BOB, 41), ABOVE_CEILING, 1)
            .given(fund(4, BOB, 40))
            .ask_at(Item::increase(5, 1, &[(0, 1), (1, 1)]), ABOVE_CEILING, 1)
            .given(pay(6, BOB, CASH, 40))
            .given(Item::increase(7, 1, &[(0, 40), (1, 40)])),
        case("force skips limits and nothing else")
            .given(pay(1, ALICE, CASH, 30).forced())
            .balances(ALICE, -30, 0, 0)
            .given(fund(2, BOB, 130).forced())
            .given(reserve(3, ALICE, BOB, 5).forced())
            .given(Item::increase(4, 3, &[(0, 5), (1, 5)]).forced())
            .ask(Item::increase(5, 3, &[(0, 5), (1, 5)]), BELOW_FLOOR)
            .ask(Item::reverse(6, 2, &[(0, 20), (1, 20)]), POSTED)
            .ask(Item::reverse(7, 1, &[]), POSTED)
            .balances(ALICE, 0, 10, 0)
            .balances(BOB, 110, 0, 10)
            .ask(Item::post(8, &[debit(ALICE, 1), credit(BOB, 2)]).forced(), UNBALANCED)
            .ask_at(pay(9, CASH, NOBODY, 1).forced(), ACCOUNT_UNKNOWN, 1)
            .ask_at(pay(10, CASH, EURO, 1).forced(), ACCOUNT_ASSET_DIFFERS, 1)
            .given(Change::close(11, SHOP))
            .ask_at(pay(12, CASH, SHOP, 1).forced(), ACCOUNT_CLOSED, 1),
    ]
}

fn range() -> Vec<Case> {
    vec![
        case("up to the top of the range")
            .heave(CASH, SHOP, TOP - 5)
            .ask(pay(1, CASH, DEEP, 6), BALANCE_RANGE)
            .ask_at(pay(2, DEEP, SHOP, 6).forced(), BALANCE_RANGE, 1)
            .given(pay(3, CASH, SHOP, 5))
            .ask(pay(4, CASH, SHOP, 1).forced(), BALANCE_RANGE)
            .given(pay(5, SHOP, CASH, AMOUNT_MAX)),
        case("down to the bottom of the range")
            .heave(SHOP, CASH, TOP - 5)
            .ask(pay(1, SHOP, CASH, 6), BALANCE_RANGE)
            .given(pay(2, SHOP, CASH, 5))
            .ask(pay(3, SHOP, CASH, 1).forced(), BALANCE_RANGE)
            .given(pay(4, CASH, SHOP, AMOUNT_MAX)),
        case("holds count towards the range at both ends")
            .heave(CASH, SHOP, TOP - 5)
            .given(reserve(1, CASH, SHOP, 3))
            .balances(SHOP, TOP as i128 - 5, 0, 3)
            .ask(pay(2, CASH, SHOP, 3), BALANCE_RANGE)
            .ask(reserve(3, CASH, SHOP, 3).forced(), BALANCE_RANGE)
            .ask(Item::increase(4, 1, &[(0, 3), (1, 3)]).forced(), BALANCE_RANGE)
            .given(Item::increase(5, 1, &[(0, 2), (1, 2)]))
            .given(Item::capture(6, 1, &[]))
            .balances(SHOP, TOP as i128, 0, 0),
        case("what is held counts towards the bottom of the range")
            .heave(SHOP, CASH, TOP - 5)
            .given(reserve(1, SHOP, CASH, 3))
            .ask(pay(2, SHOP, CASH, 3), BALANCE_RANGE)
            .given(pay(3, SHOP, CASH, 2))
            .ask(reserve(4, SHOP, CASH, 1), BALANCE_RANGE)
            .given(Item::capture(5, 1, &[]))
            .balances(SHOP, -(TOP as i128), 0, 0),
        case("a reversal keeps within the range")
            .given(pay(1, SHOP, CASH, 9))
            .heave(CASH, SHOP, TOP)
            .given(pay(2, CASH, SHOP, 1))
            .ask(Item::reverse(3, 1, &[]).forced(), BALANCE_RANGE),
    ]
}

fn freezes() -> Vec<Case> {
    vec![
        case("a debit-frozen account takes credits")
            .given(fund(1, ALICE, 50))
            .given(Change::status(2, ALICE, DEBIT_FROZEN))
            .ask(pay(3, ALICE, CASH, 1), ACCOUNT_DEBIT_FROZEN)
            .given(fund(4, ALICE, 1))
            .ask(reserve(5, ALICE, CASH, 1), ACCOUNT_DEBIT_FROZEN)
            .given(reserve(6, CASH, ALICE, 1))
            .ask_at(Item::reverse(7, 1, &[]), ACCOUNT_DEBIT_FROZEN, 1)
            .given(pay(8, ALICE, CASH, 1).forced())
            .given(Change::status(9, ALICE, OPEN))
            .given(Item::reverse(10, 1, &[])),
        case("a credit-frozen account takes debits")
            .given(fund(1, ALICE, 50))
            .given(Change::status(2, ALICE, CREDIT_FROZEN))
            .ask_at(fund(3, ALICE, 1), ACCOUNT_CREDIT_FROZEN, 1)
            .given(pay(4, ALICE, CASH, 1))
            .ask_at(Item::reverse(5, 4, &[]), ACCOUNT_CREDIT_FROZEN, 0)
            .given(Item::reverse(6, 4, &[]).forced()),
        case("a posting on the refused side is refused, whatever the total")
            .given(fund(1, ALICE, 50))
            .given(Change::status(2, ALICE, DEBIT_FROZEN))
            .ask(pay(3, ALICE, ALICE, 1), ACCOUNT_DEBIT_FROZEN)
            .ask(Item::post(4, &[debit(ALICE, 1), debit(CASH, 4), credit(ALICE, 5)]), ACCOUNT_DEBIT_FROZEN),
        case("what was reserved before the freeze is captured and let go")
            .given(fund(1, ALICE, 50))
            .given(reserve(2, ALICE, SHOP, 20))
            .given(reserve(3, ALICE, SHOP, 20))
            .given(Change::status(4, ALICE, FROZEN))
            .ask(Item::increase(5, 2, &[(0, 1), (1, 1)]), ACCOUNT_DEBIT_FROZEN)
            .given(Item::increase(6, 2, &[(0, 1), (1, 1)]).forced())
            .given(Item::capture(7, 2, &[]))
            .given(Item::release(8, 3))
            .balances(ALICE, 29, 0, 0)
            .balances(SHOP, 21, 0, 0),
    ]
}

/// Neighbours in the list that each account runs through, of posts and holds.
fn order() -> Vec<Case> {
    let to = |account, amount| [credit(account, amount), debit(CASH, amount)];
    vec![
        case("account: unknown, or in another asset, before it is looked at closer")
            .given(Change::close(1, EURO))
            .pair(pay(2, EURO, CASH, 1), ACCOUNT_ASSET_DIFFERS, euros(3), ACCOUNT_CLOSED)
            .pair(reserve(4, EURO, CASH, 1), ACCOUNT_ASSET_DIFFERS, Item { kind: HOLD, ..euros(5) }, ACCOUNT_CLOSED)
            .ask_at(pay(6, CASH, NOBODY, 1), ACCOUNT_UNKNOWN, 1),
        case("account: debit-frozen, then credit-frozen")
            .given(Change::status(1, ALICE, FROZEN))
            .pair(pay(2, ALICE, ALICE, 1), ACCOUNT_DEBIT_FROZEN, Item::post(3, &to(ALICE, 1)), ACCOUNT_CREDIT_FROZEN)
            .pair(
                reserve(4, ALICE, ALICE, 1),
                ACCOUNT_DEBIT_FROZEN,
                Item::hold(5, 0, &to(ALICE, 1)),
                ACCOUNT_CREDIT_FROZEN,
            ),
        case("account: frozen, then range")
            .heave(CASH, SHOP, TOP)
            .given(Change::status(1, SHOP, CREDIT_FROZEN))
            .pair(
                Item::post(2, &to(SHOP, 1)),
                ACCOUNT_CREDIT_FROZEN,
                Item::post(3, &to(SHOP, 1)).forced(),
                BALANCE_RANGE,
            )
            .pair(
                Item::hold(4, 0, &to(SHOP, 1)),
                ACCOUNT_CREDIT_FROZEN,
                Item::hold(5, 0, &to(SHOP, 1)).forced(),
                BALANCE_RANGE,
            ),
        case("account: range, then floor")
            .heave(ALICE, CASH, TOP)
            .pair(pay(1, ALICE, SHOP, 1), BALANCE_RANGE, pay(2, BOB, SHOP, 1), BELOW_FLOOR)
            .pair(reserve(3, ALICE, SHOP, 1), BALANCE_RANGE, reserve(4, BOB, SHOP, 1), BELOW_FLOOR),
        case("account: range at the top, then floor, of a hold on both sides")
            .heave(CASH, ALICE, TOP)
            .given(Change::limits(1, ALICE, Limit::To(TOP as i128), Limit::Keep))
            .ask(reserve(2, ALICE, ALICE, 1), BALANCE_RANGE),
        case("account: floor, then ceiling").pair(
            reserve(1, BOB, BOB, 101),
            BELOW_FLOOR,
            Item::hold(2, 0, &to(BOB, 101)),
            ABOVE_CEILING,
        ),
    ]
}

/// A transfer in euros, from and to one account.
fn euros(id: u128) -> Item {
    Item::post(id, &[euro(debit(EURO, 1)), euro(credit(EURO, 1))])
}
