//! Posts: whole transactions, then each account in order of first mention.

use super::stage::*;
use super::{Case, case};
use crate::model::item::*;
use crate::model::number::*;

pub fn cases() -> Vec<Case> {
    let strange = |p: Posting| Posting { asset: 99, ..p };
    let nothing = |p: Posting| Posting { asset: 0, ..p };
    vec![
        case("debits equal credits in each asset")
            .ask(Item::post(1, &[debit(CASH, 1), credit(ALICE, 2)]), UNBALANCED)
            .ask(Item::post(2, &[debit(CASH, 1), debit(ALICE, 1)]), UNBALANCED)
            .ask(Item::post(3, &[debit(CASH, 1), euro(credit(EURO, 1))]), UNBALANCED)
            .given(Item::post(4, &[debit(CASH, 7), euro(debit(EURO, 3)), credit(ALICE, 7), euro(credit(EURO, 3))])),
        case("postings name a registered asset")
            .ask(Item::post(1, &[strange(debit(CASH, 1)), strange(credit(ALICE, 1))]), ASSET_UNKNOWN)
            .ask(Item::post(2, &[nothing(debit(CASH, 1)), nothing(credit(ALICE, 1))]), ASSET_UNKNOWN),
        whole_first(POST),
        whole_first(HOLD),
        case("a refused transaction is recorded and final, and changes nothing")
            .given(fund(1, ALICE, 60))
            .ask(pay(2, ALICE, CASH, 61), BELOW_FLOOR)
            .balances(ALICE, 60, 0, 0)
            .given(fund(3, ALICE, 40))
            .repeat(pay(2, ALICE, CASH, 61), BELOW_FLOOR, 0)
            .given(pay(4, ALICE, CASH, 61))
            .balances(ALICE, 39, 0, 0)
            .balances(CASH, 39, 0, 0),
        case("accounts are checked in order of first mention, each with the whole list")
            .ask_at(Item::post(1, &[credit(CASH, 5), debit(ALICE, 5)]), BELOW_FLOOR, 1)
            .ask_at(Item::post(2, &[debit(ALICE, 5), credit(NOBODY, 5)]), BELOW_FLOOR, 0)
            .ask_at(Item::post(3, &[credit(NOBODY, 5), debit(ALICE, 5)]), ACCOUNT_UNKNOWN, 0)
            .ask_at(pay(4, CASH, BOB, 101), ABOVE_CEILING, 1)
            .ask_at(pay(5, CASH, EURO, 5), ACCOUNT_ASSET_DIFFERS, 1),
        case("a later posting in another asset speaks for the first mention")
            .ask_at(
                Item::post(
                    1,
                    &[
                        debit(CASH, 5),
                        credit(CASH, 5),
                        debit(EURO, 1),
                        credit(ALICE, 1),
                        euro(debit(CASH, 1)),
                        euro(credit(EURO, 1)),
                    ],
                ),
                ACCOUNT_ASSET_DIFFERS,
                0,
            )
            .ask_at(
                Item::post(2, &[debit(SHOP, 5), credit(CASH, 5), euro(debit(EURO, 1)), euro(credit(CASH, 1))]),
                ACCOUNT_ASSET_DIFFERS,
                1,
            ),
        case("the check is on the total effect on an account, not posting by posting")
            .given(Item::post(1, &[debit(ALICE, 40), credit(BOB, 40), debit(CASH, 40), credit(ALICE, 40)]))
            .given(pay(2, ALICE, ALICE, 40))
            .balances(ALICE, 0, 0, 0)
            .ask_at(
                Item::post(3, &[credit(ALICE, 1), debit(BOB, 41), credit(CASH, 41), debit(ALICE, 1)]),
                BELOW_FLOOR,
                1,
            )
            .balances(BOB, 40, 0, 0),
        case("items of a request run in the order given")
            .request(&[
                (pay(1, ALICE, SHOP, 5), BELOW_FLOOR),
                (fund(2, ALICE, 5), POSTED),
                (pay(3, ALICE, SHOP, 5), POSTED),
                (pay(4, ALICE, SHOP, 5), BELOW_FLOOR),
                (pay(3, ALICE, SHOP, 5), POSTED),
                (pay(0, ALICE, SHOP, 5), ID_ZERO),
            ])
            .balances(SHOP, 5, 0, 0),
        case("a link of a post is looked at by nobody")
            .given(Item { link: 12_345, ..pay(1, CASH, SHOP, 1) })
            .given(Item { link: 2, ..pay(2, CASH, SHOP, 1) })
            .given(Item { link: 2, ..reserve(3, CASH, SHOP, 1) }),
        case("another institution has its own accounts and ids, and the same assets")
            .given(pay(1, CASH, SHOP, 1))
            .given(Control::institution(2, 7, "Seven"))
            .institution(7)
            .ask(pay(1, CASH, SHOP, 1), ACCOUNT_UNKNOWN)
            .given(Opening::new(CASH, CZK, DEBIT))
            .given(Opening::new(SHOP, CZK, CREDIT))
            .given(pay(3, CASH, SHOP, 4))
            .balances(SHOP, 4, 0, 0)
            .institution(1)
            .balances(SHOP, 1, 0, 0),
    ]
}

fn whole_first(kind: u8) -> Case {
    let strange = |p: Posting| Posting { asset: 99, ..p };
    let item = |id, postings: &[Posting]| Item { kind, ..Item::post(id, postings) };
    case("the whole is checked before any account")
        .pair(
            item(1, &[strange(debit(CASH, 1)), strange(credit(ALICE, 2))]),
            UNBALANCED,
            item(2, &[strange(debit(CASH, 1)), strange(credit(ALICE, 1))]),
            ASSET_UNKNOWN,
        )
        .pair_at(
            item(3, &[strange(debit(CASH, 1)), strange(credit(NOBODY, 1))]),
            (ASSET_UNKNOWN, 0),
            item(4, &[debit(CASH, 1), credit(NOBODY, 1)]),
            (ACCOUNT_UNKNOWN, 1),
        )
        .ask(item(5, &[debit(NOBODY, 1), credit(CASH, 2)]), UNBALANCED)
}
