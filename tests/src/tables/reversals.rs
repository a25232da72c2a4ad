//! Reversals.

use super::stage::*;
use super::{Case, case};
use crate::model::BALANCE_MAX;
use crate::model::item::*;
use crate::model::number::*;

/// The sale that is reversed: 50 from Alice, who had 100, to the shop.
const SALE: u128 = 500;

pub fn cases() -> Vec<Case> {
    [effects(), naming(), order()].concat()
}

fn sale(rule: &str) -> Case {
    case(rule).given(fund(501, ALICE, 100)).given(pay(SALE, ALICE, SHOP, 50))
}

fn reverse(id: u128, amount: u128) -> Item {
    Item::reverse(id, SALE, &[(0, amount), (1, amount)])
}

fn effects() -> Vec<Case> {
    vec![
        sale("a reversal posts the opposite of the whole original")
            .given_with(2, Item::reverse(1, SALE, &[]))
            .balances(ALICE, 100, 0, 0)
            .balances(SHOP, 0, 0, 0)
            .ask(Item::reverse(2, SALE, &[]), EXCEEDS_ORIGINAL)
            .repeat(Item::reverse(1, SALE, &[]), POSTED, 2)
            .balances(ALICE, 100, 0, 0),
        sale("in parts, never more than what is left")
            .given(reverse(1, 20))
            .ask(Item::reverse(2, SALE, &[]), EXCEEDS_ORIGINAL)
            .ask(reverse(3, 31), EXCEEDS_ORIGINAL)
            .given(reverse(4, 30))
            .ask(reverse(5, 1), EXCEEDS_ORIGINAL)
            .ask(reverse(6, 1).forced(), EXCEEDS_ORIGINAL)
            .balances(ALICE, 100, 0, 0),
        case("a post and its reversal in one request")
            .request(&[
                (Item::reverse(1, SALE, &[]), ORIGINAL_UNKNOWN),
                (pay(SALE, CASH, SHOP, 5), POSTED),
                (Item::reverse(2, SALE, &[]), POSTED),
                (Item::reverse(3, SALE, &[]), EXCEEDS_ORIGINAL),
                (Item::reverse(4, 2, &[]), ORIGINAL_IS_REVERSAL),
            ])
            .balances(SHOP, 0, 0, 0),
        sale("a reversal is refused by limits unless it is forced")
            .given(Change::limits(1, SHOP, Limit::To(0), Limit::Keep))
            .given(pay(2, SHOP, CASH, 1))
            .ask_at(Item::reverse(3, SALE, &[]), BELOW_FLOOR, 1)
            .given(Item::reverse(4, SALE, &[]).forced())
            .balances(SHOP, -1, 0, 0),
        sale("a closed account refuses a reversal, forced or not")
            .given(pay(1, SHOP, CASH, 50))
            .given(Change::close(2, SHOP))
            .ask_at(Item::reverse(3, SALE, &[]).forced(), ACCOUNT_CLOSED, 1),
        case("the detail is the place in the original")
            .given(fund(1, BOB, 90))
            .given(Item::post(SALE, &[debit(CASH, 20), credit(SHOP, 20), debit(BOB, 20), credit(CASH, 20)]))
            .given(fund(2, BOB, 25))
            .ask_at(Item::reverse(3, SALE, &[(2, 20), (3, 20)]), ABOVE_CEILING, 2)
            .given(Item::reverse(4, SALE, &[(0, 20), (1, 20)])),
        case("more than is left of a later posting of an account is told of its first")
            .given(Item::post(SALE, &[debit(CASH, 9), credit(SHOP, 5), credit(SHOP, 4)]))
            .given(Item::reverse(1, SALE, &[(0, 4), (2, 4)]))
            .ask_at(Item::reverse(2, SALE, &[(0, 5), (1, 4), (2, 1)]), EXCEEDS_ORIGINAL, 1)
            .ask_at(Item::reverse(3, SALE, &[(0, 1), (2, 1)]), EXCEEDS_ORIGINAL, 2),
        case("a capture is reversed by what it captured")
            .given(fund(1, ALICE, 100))
            .given(Item::hold(2, 0, &[debit(ALICE, 60), credit(SHOP, 50), credit(BOB, 10)]))
            .given(Item::capture(SALE, 2, &[(0, 30), (1, 30)]).finally())
            .ask(Item::reverse(3, SALE, &[(0, 1), (2, 1)]), POSTING_UNKNOWN)
            .ask(Item::reverse(4, SALE, &[(0, 31), (1, 31)]), EXCEEDS_ORIGINAL)
            .given(Item::reverse(5, SALE, &[(0, 10), (1, 10)]))
            .ask(Item::reverse(6, SALE, &[]), EXCEEDS_ORIGINAL)
            .given(Item::reverse(7, SALE, &[(0, 20), (1, 20)]))
            .balances(ALICE, 100, 0, 0)
            .balances(SHOP, 0, 0, 0),
        case("a capture of all that was left is reversed without the postings that had nothing left")
            .given(Item::hold(1, 0, &[debit(CASH, 9), credit(SHOP, 5), credit(ALICE, 4)]))
            .given(Item::capture(2, 1, &[(0, 4), (2, 4)]))
            .given(Item::capture(SALE, 1, &[]))
            .ask(Item::reverse(3, SALE, &[(0, 1), (2, 1)]), POSTING_UNKNOWN)
            .given(Item::reverse(4, SALE, &[]))
            .balances(SHOP, 0, 0, 0)
            .balances(ALICE, 4, 0, 0),
        case("a reversed capture gives nothing back to its hold")
            .given(reserve(1, CASH, SHOP, 10))
            .given(Item::capture(SALE, 1, &[(0, 6), (1, 6)]))
            .given(Item::reverse(2, SALE, &[]))
            .balances(SHOP, 0, 0, 4)
            .ask(Item::capture(3, 1, &[(0, 5), (1, 5)]), EXCEEDS_HOLD),
    ]
}

fn naming() -> Vec<Case> {
    vec![
        case("an original is a posted post or capture")
            .ask(pay(1, ALICE, SHOP, 5), BELOW_FLOOR)
            .given(reserve(2, CASH, SHOP, 5))
            .given(Item::increase(3, 2, &[(0, 1), (1, 1)]))
            .given(Item::capture(4, 2, &[(0, 1), (1, 1)]))
            .given(Item::release(5, 2))
            .given(Item::reverse(6, 4, &[]))
            .given(Change::label(7, ALICE, b"a"))
            .ask(Item::reverse(11, 1, &[]), ORIGINAL_NOT_POSTED)
            .ask(Item::reverse(12, 2, &[]), ORIGINAL_NOT_REVERSIBLE)
            .ask(Item::reverse(13, 3, &[]), ORIGINAL_NOT_REVERSIBLE)
            .ask(Item::reverse(15, 5, &[]), ORIGINAL_NOT_REVERSIBLE)
            .ask(Item::reverse(16, 6, &[]), ORIGINAL_IS_REVERSAL)
            .ask(Item::reverse(17, 7, &[]), ORIGINAL_UNKNOWN)
            .ask(Item::reverse(18, 901, &[]), ORIGINAL_UNKNOWN)
            .ask(Item::reverse(19, 19, &[]), ORIGINAL_UNKNOWN),
        sale("an original of another institution is not known")
            .given(Control::institution(1, 7, "Seven"))
            .institution(7)
            .ask(Item::reverse(2, SALE, &[]), ORIGINAL_UNKNOWN),
        sale("postings are named by their place in the original")
            .ask(Item::reverse(1, SALE, &[(0, 1), (2, 1)]), POSTING_UNKNOWN)
            .ask(Item::reverse(2, SALE, &[(255, 1)]), POSTING_UNKNOWN),
    ]
}

/// Neighbouring checks: what fails both is refused for the first.
fn order() -> Vec<Case> {
    let top = BALANCE_MAX as u128;
    let both = [(0, 1), (1, 1)];
    vec![
        sale("reverse: the id, then the original").ask(Item::reverse(1, 700, &[]), ORIGINAL_UNKNOWN).pair_at(
            Item::reverse(1, 701, &[]),
            (ID_USED_WITH_OTHER_FIELDS, field::LINK),
            Item::reverse(2, 701, &[]),
            (ORIGINAL_UNKNOWN, 0),
        ),
        sale("reverse: refused, then what it is, then its postings")
            .given(reserve(1, CASH, SHOP, 1))
            .ask(reserve(2, ALICE, SHOP, 51), BELOW_FLOOR)
            .given(Item::reverse(3, SALE, &both))
            .ask(Item::reverse(4, SALE, &[(0, 50), (1, 50)]), EXCEEDS_ORIGINAL)
            .pair(Item::reverse(5, 4, &[]), ORIGINAL_NOT_POSTED, Item::reverse(6, 3, &[]), ORIGINAL_IS_REVERSAL)
            .pair(Item::reverse(7, 2, &[]), ORIGINAL_NOT_POSTED, Item::reverse(8, 1, &[]), ORIGINAL_NOT_REVERSIBLE)
            .pair(
                Item::reverse(9, 3, &[(9, 1)]),
                ORIGINAL_IS_REVERSAL,
                Item::reverse(10, SALE, &[(9, 1)]),
                POSTING_UNKNOWN,
            )
            .pair(
                Item::reverse(11, 1, &[(9, 1)]),
                ORIGINAL_NOT_REVERSIBLE,
                Item::reverse(12, SALE, &[(9, 1)]),
                POSTING_UNKNOWN,
            )
            .pair(
                Item::reverse(13, SALE, &[(0, 1), (9, 1)]),
                POSTING_UNKNOWN,
                Item::reverse(14, SALE, &[(0, 1)]),
                UNBALANCED,
            ),
        sale("reverse: the whole, then the accounts")
            .given(pay(1, ALICE, CASH, 50))
            .given(Change::close(2, ALICE))
            .pair(Item::reverse(3, SALE, &[(0, 1)]), UNBALANCED, Item::reverse(4, SALE, &both), ACCOUNT_CLOSED),
        case("reverse: debit-frozen, then credit-frozen")
            .given(fund(1, ALICE, 9))
            .given(Item::post(SALE, &[debit(ALICE, 2), credit(ALICE, 1), credit(CASH, 2), debit(CASH, 1)]))
            .given(Change::status(2, ALICE, FROZEN))
            .pair(
                Item::reverse(3, SALE, &[]),
                ACCOUNT_DEBIT_FROZEN,
                Item::reverse(4, SALE, &[(0, 1), (2, 1)]),
                ACCOUNT_CREDIT_FROZEN,
            )
            .ask_at(Item::reverse(5, SALE, &[(1, 1), (3, 1)]), ACCOUNT_DEBIT_FROZEN, 1),
        case("reverse: frozen, then range")
            .given(Item::post(SALE, &[debit(SHOP, 1), credit(CASH, 1)]))
            .heave(CASH, SHOP, top)
            .given(pay(1, CASH, SHOP, 1))
            .given(Change::status(2, SHOP, CREDIT_FROZEN))
            .pair(
                Item::reverse(3, SALE, &[]),
                ACCOUNT_CREDIT_FROZEN,
                Item::reverse(4, SALE, &[]).forced(),
                BALANCE_RANGE,
            ),
        case("reverse: range, then floor")
            .given(Item::post(SALE, &[credit(ALICE, 10), debit(CASH, 10)]))
            .given(pay(1, ALICE, CASH, 5))
            .heave(ALICE, SHOP, top)
            .pair(Item::reverse(2, SALE, &[]), BALANCE_RANGE, Item::reverse(3, SALE, &both), BELOW_FLOOR),
        case("reverse: ceiling, then more than is left")
            .given(fund(1, BOB, 100))
            .given(pay(SALE, BOB, CASH, 10))
            .given(fund(2, BOB, 10))
            .pair(reverse(3, 11), ABOVE_CEILING, reverse(4, 11).forced(), EXCEEDS_ORIGINAL),
    ]
}
