//! Holds: placed, increased, captured, released, expired.

use super::stage::*;
use super::{Case, case};
use crate::model::item::*;
use crate::model::number::*;

/// The hold of most cases.
const HOLD_ID: u128 = 500;

pub fn cases() -> Vec<Case> {
    [effects(), naming(), expiry()].concat()
}

/// 60 of the 100 that Alice has are reserved for the shop.
fn shopping(rule: &str) -> Case {
    case(rule).given(fund(501, ALICE, 100)).given(reserve(HOLD_ID, ALICE, SHOP, 60))
}

fn capture(id: u128, amount: u128) -> Item {
    Item::capture(id, HOLD_ID, &[(0, amount), (1, amount)])
}

fn increase(id: u128, amount: u128) -> Item {
    Item::increase(id, HOLD_ID, &[(0, amount), (1, amount)])
}

fn effects() -> Vec<Case> {
    vec![
        shopping("a hold lowers available and posts nothing")
            .balances(ALICE, 100, 60, 0)
            .balances(SHOP, 0, 0, 60)
            .ask(pay(1, ALICE, CASH, 41), BELOW_FLOOR)
            .given(pay(2, ALICE, CASH, 40))
            .ask(pay(3, SHOP, CASH, 1), POSTED),
        shopping("a capture in parts leaves the rest reserved")
            .given_with(2, capture(1, 25))
            .balances(ALICE, 75, 35, 0)
            .balances(SHOP, 25, 0, 35)
            .given(capture(2, 35))
            .balances(ALICE, 40, 0, 0)
            .balances(SHOP, 60, 0, 0)
            .ask(capture(3, 1), EXCEEDS_HOLD),
        shopping("a final capture frees the rest and closes the hold")
            .given_with(2, capture(1, 25).finally())
            .balances(ALICE, 75, 0, 0)
            .balances(SHOP, 25, 0, 0)
            .ask(capture(2, 1), HOLD_CLOSED)
            .ask(increase(3, 1), HOLD_CLOSED)
            .ask(Item::release(4, HOLD_ID), HOLD_CLOSED),
        shopping("a capture without amounts takes all that is left and is final")
            .given(capture(1, 25))
            .given(Item::capture(2, HOLD_ID, &[]))
            .balances(ALICE, 40, 0, 0)
            .balances(SHOP, 60, 0, 0)
            .ask(Item::capture(3, HOLD_ID, &[]), HOLD_CLOSED),
        shopping("a hold of which all was captured stays open until it is closed")
            .given(capture(1, 60))
            .given(increase(2, 5))
            .given(capture(3, 5))
            .given(Item::capture(4, HOLD_ID, &[]))
            .ask(increase(5, 1), HOLD_CLOSED)
            .balances(SHOP, 65, 0, 0),
        shopping("a capture without amounts names all postings, also those with nothing left")
            .given(capture(1, 60))
            .given(pay(2, ALICE, CASH, 40))
            .given(Change::close(3, ALICE))
            .ask(Item::capture(4, HOLD_ID, &[]), ACCOUNT_CLOSED)
            .given(Item::release(5, HOLD_ID)),
        shopping("a hold with nothing left is released too")
            .given(capture(1, 60))
            .given(Item::release(2, HOLD_ID))
            .ask(capture(3, 1), HOLD_CLOSED),
        shopping("a release frees everything")
            .given_with(2, Item::release(1, HOLD_ID))
            .balances(ALICE, 100, 0, 0)
            .balances(SHOP, 0, 0, 0)
            .ask(Item::release(2, HOLD_ID), HOLD_CLOSED)
            .repeat(Item::release(1, HOLD_ID), POSTED, 2)
            .ask(capture(3, 1), HOLD_CLOSED),
        shopping("an increase reserves more, up to the limits")
            .ask(increase(1, 41), BELOW_FLOOR)
            .given(increase(2, 40))
            .balances(ALICE, 100, 100, 0)
            .given(capture(3, 100))
            .balances(SHOP, 100, 0, 0),
        shopping("two captures of one hold in one request")
            .request(&[
                (capture(1, 40), POSTED),
                (capture(2, 40), EXCEEDS_HOLD),
                (increase(3, 20), POSTED),
                (capture(4, 40).finally(), POSTED),
                (capture(5, 1), HOLD_CLOSED),
            ])
            .balances(ALICE, 20, 0, 0),
        case("hold, capture and release in one request")
            .request(&[
                (capture(1, 1), HOLD_UNKNOWN),
                (reserve(HOLD_ID, CASH, SHOP, 60), POSTED),
                (capture(2, 40), POSTED),
                (Item::release(3, HOLD_ID), POSTED),
                (Item::release(4, HOLD_ID), HOLD_CLOSED),
            ])
            .balances(SHOP, 40, 0, 0)
            .balances(CASH, 40, 0, 0),
        case("captured amounts may differ by posting as long as they balance")
            .given(fund(1, ALICE, 100))
            .given(Item::hold(HOLD_ID, 0, &[debit(ALICE, 60), credit(SHOP, 50), credit(BOB, 10)]))
            .given(Item::capture(2, HOLD_ID, &[(0, 10), (2, 10)]))
            .balances(ALICE, 90, 50, 0)
            .balances(BOB, 10, 0, 0)
            .ask(Item::capture(3, HOLD_ID, &[(0, 10), (1, 11)]), UNBALANCED)
            .ask_at(Item::capture(4, HOLD_ID, &[(0, 1), (2, 1)]), EXCEEDS_HOLD, 2)
            .given_with(2, Item::capture(5, HOLD_ID, &[(0, 1), (1, 1)]).finally())
            .balances(ALICE, 89, 0, 0)
            .balances(SHOP, 1, 0, 0),
        case("a final capture frees postings that it does not name")
            .given(Item::hold(
                HOLD_ID,
                0,
                &[debit(CASH, 5), credit(SHOP, 5), euro(debit(EURO, 7)), euro(credit(EURO, 7))],
            ))
            .balances(EURO, 0, 7, 7)
            .given_with(4, Item::capture(1, HOLD_ID, &[(0, 5), (1, 5)]).finally())
            .balances(EURO, 0, 0, 0)
            .balances(SHOP, 5, 0, 0),
        shopping("a capture looks at no limit")
            .given(pay(1, ALICE, CASH, 70).forced())
            .given(Change::limits(2, ALICE, Limit::To(50), Limit::Keep).forced())
            .given(Change::limits(3, SHOP, Limit::Keep, Limit::To(-100)).forced())
            .given(capture(4, 60))
            .balances(ALICE, -30, 0, 0),
    ]
}

fn naming() -> Vec<Case> {
    vec![
        case("a hold is named by the id of a hold that was placed")
            .given(fund(1, ALICE, 10))
            .ask(reserve(2, ALICE, SHOP, 11), BELOW_FLOOR)
            .given(Change::label(3, ALICE, b"a"))
            .ask(Item::capture(4, 1, &[]), HOLD_UNKNOWN)
            .ask(Item::capture(5, 2, &[]), HOLD_UNKNOWN)
            .ask(Item::release(6, 3), HOLD_UNKNOWN)
            .ask(Item::increase(7, 7, &[(0, 1), (1, 1)]), HOLD_UNKNOWN)
            .given(reserve(8, ALICE, SHOP, 1))
            .given(Item::increase(9, 8, &[(0, 1), (1, 1)]))
            .ask(Item::capture(10, 9, &[]), HOLD_UNKNOWN),
        shopping("a hold of another institution is not known")
            .given(Control::institution(1, 7, "Seven"))
            .institution(7)
            .ask(Item::release(2, HOLD_ID), HOLD_UNKNOWN),
        shopping("postings are named by their place in the hold")
            .ask(Item::capture(1, HOLD_ID, &[(0, 1), (2, 1)]), POSTING_UNKNOWN)
            .ask(Item::capture(2, HOLD_ID, &[(0, 1), (255, 1)]), POSTING_UNKNOWN)
            .ask(Item::increase(3, HOLD_ID, &[(1, 1), (254, 1)]), POSTING_UNKNOWN),
    ]
}

fn expiry() -> Vec<Case> {
    let expiring = |rule: &str| {
        case(rule).at(1_000).given(fund(501, ALICE, 100)).at(2_000).given(reserve_for(10, HOLD_ID, ALICE, SHOP, 60))
    };
    let expires_at = 2_000 + 10 * SECOND;
    vec![
        expiring("a hold expires with its timeout and frees everything")
            .at(expires_at - 1)
            .given(capture(1, 1))
            .at(expires_at)
            .ask(capture(2, 1), HOLD_EXPIRED)
            .balances(ALICE, 99, 0, 0)
            .balances(SHOP, 1, 0, 0)
            .ask(increase(3, 1), HOLD_EXPIRED)
            .ask(Item::release(4, HOLD_ID), HOLD_EXPIRED),
        expiring("what is booked at the expiry or later is late, even before the expiry is booked")
            .at(expires_at - 2)
            .request(&[
                (capture(1, 1), POSTED),
                (capture(2, 1), POSTED),
                (capture(3, 1), HOLD_EXPIRED),
                (increase(4, 1), HOLD_EXPIRED),
                (Item::release(5, HOLD_ID), POSTED),
                (Item::release(6, HOLD_ID), HOLD_CLOSED),
            ])
            .balances(ALICE, 98, 0, 0),
        expiring("a hold that was closed does not expire")
            .given(capture(1, 1).finally())
            .at(expires_at + SECOND)
            .ask(capture(2, 1), HOLD_CLOSED),
        expiring("a hold with nothing left expires")
            .given(capture(1, 60))
            .at(expires_at)
            .ask(capture(2, 1), HOLD_EXPIRED)
            .balances(SHOP, 60, 0, 0),
        expiring("an increase does not put the expiry off")
            .given(increase(1, 1))
            .at(expires_at)
            .ask(increase(2, 1), HOLD_EXPIRED),
        expiring("what expires can be spent by the next item")
            .at(expires_at)
            .given(pay(1, ALICE, CASH, 100))
            .balances(ALICE, 0, 0, 0),
        expiring("an expiry is stopped by nothing")
            .given(Change::status(1, ALICE, FROZEN))
            .given(Change::limits(2, ALICE, Limit::To(500), Limit::Keep).forced())
            .at(expires_at)
            .given(pay(3, CASH, CASH, 1))
            .balances(ALICE, 100, 0, 0)
            .balances(SHOP, 0, 0, 0),
        case("without a timeout a hold never expires")
            .given(reserve(HOLD_ID, CASH, SHOP, 60))
            .at(2_000_000_000 * SECOND)
            .given(capture(1, 60)),
    ]
}
