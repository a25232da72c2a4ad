//! The tables on the model, and that they leave nothing out.

use std::collections::BTreeSet;

use super::*;
use crate::model::number::*;

#[test]
fn the_model_does_what_the_tables_say() {
    let cases = all();
    assert_eq!(check(&cases, &mut ModelLedger::default()), 0, "the model can do everything");
    println!(
        "{} cases with {} asked: all passed",
        cases.len(),
        cases.iter().map(|c| c.outcomes().len()).sum::<usize>()
    );
}

#[test]
fn every_outcome_has_a_case() {
    let shown: BTreeSet<u16> = all().iter().flat_map(Case::outcomes).collect();
    let missing = OUTCOMES.iter().filter(|(number, _)| !shown.contains(number) && !OF_THE_SERVER.contains(number));
    assert_eq!(missing.map(|(_, name)| *name).collect::<Vec<_>>(), [] as [&str; 0], "outcomes without a case");
}

/// Checks in their published order, of each thing that can be asked.
const ORDERS: [(&str, &[u16]); 9] = [
    ("post", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 30, 40, 41, 50, 51, 52, 53, 54, 55, 56, 57]),
    ("hold", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 30, 40, 41, 50, 51, 52, 53, 54, 55, 56, 57]),
    ("increase", &[1, 2, 3, 5, 6, 8, 9, 17, 15, 30, 32, 33, 34, 39, 40, 52, 53, 54, 55, 56, 57, 60]),
    ("capture", &[1, 3, 5, 6, 8, 9, 17, 15, 30, 32, 33, 34, 39, 40, 52, 58]),
    ("release", &[1, 3, 5, 6, 8, 9, 15, 30, 32, 33, 34]),
    ("reverse", &[1, 3, 5, 6, 8, 9, 17, 15, 30, 35, 36, 37, 38, 39, 40, 52, 53, 54, 55, 56, 57, 59]),
    ("opening", &[4, 7, 8, 10, 11, 12, 13, 15, 31, 41]),
    ("change", &[1, 4, 16, 8, 10, 11, 12, 18, 19, 15, 30, 50, 52, 61, 62, 63, 64]),
    ("control", &[1, 14, 15, 20, 30, 70, 71, 72, 73, 74]),
];

/// Neighbours that nothing can fail both of.
const EXCLUSIVE: [(u16, u16, &str); 18] = [
    (2, 3, "too few postings are not too many"),
    (15, 20, "it takes two institutions to show it"),
    (15, 30, "what is not registered has no ids"),
    (15, 31, "what is not registered has no accounts"),
    (32, 33, "a hold is in one state"),
    (33, 34, "a hold is in one state"),
    (35, 36, "an original that is not known was not refused"),
    (37, 38, "an original is of one kind"),
    (50, 51, "an account that does not exist has no asset"),
    (50, 52, "an account that does not exist has no status"),
    (52, 53, "an account has one status"),
    (56, 57, "what is posted moves an account in one direction"),
    (52, 61, "a closed account is empty"),
    (61, 62, "checks of different actions"),
    (62, 63, "checks of different actions"),
    (11, 12, "limits and labels are set by different actions"),
    (71, 72, "checks of different records"),
    (73, 74, "checks of different records"),
];

/// Neighbours too, because those between them cannot be failed together with one of the two.
const MORE: [(&str, u16, u16); 13] = [
    ("post", 2, 4),
    ("hold", 2, 4),
    ("increase", 2, 8),
    ("increase", 33, 39),
    ("capture", 33, 39),
    ("reverse", 36, 38),
    ("reverse", 37, 39),
    ("hold", 56, 57),
    ("increase", 56, 57),
    ("change", 11, 18),
    ("change", 52, 63),
    ("control", 30, 72),
    ("control", 30, 74),
];

#[test]
fn neighbouring_checks_are_shown_in_their_order() {
    let shown: BTreeSet<(&str, u16, u16)> = all().iter().flat_map(|case| case.pairs.clone()).collect();
    let exclusive = |a: u16, b: u16| EXCLUSIVE.iter().any(|(first, second, _)| (*first, *second) == (a, b));
    let neighbours = ORDERS.iter().flat_map(|(subject, order)| order.windows(2).map(move |w| (*subject, w[0], w[1])));
    let wanted = neighbours.filter(|(_, a, b)| !exclusive(*a, *b)).chain(MORE);
    let missing: Vec<_> = wanted.filter(|pair| !shown.contains(pair)).collect();
    assert_eq!(missing, [], "neighbours without a case");
}

#[test]
fn a_wrong_table_is_noticed() {
    let wrong = [
        case("outcome").ask(stage::pay(1, stage::CASH, stage::SHOP, 1), UNBALANCED),
        case("detail").ask_at(stage::pay(1, stage::CASH, stage::SHOP, 1), POSTED, 1),
        case("repeat").repeat(stage::pay(1, stage::CASH, stage::SHOP, 1), POSTED, 0),
        case("balances").balances(stage::ALICE, 1, 0, 0),
        case("request").request(&[(stage::pay(1, stage::CASH, stage::SHOP, 1), UNBALANCED)]),
    ];
    for case in wrong {
        let rule = case.rule.clone();
        let run = std::panic::catch_unwind(move || check(&[case], &mut ModelLedger::default()));
        assert!(run.is_err(), "{rule}");
    }
}
