//! One id, one outcome: repeats, and repeats with other fields.

use super::stage::*;
use super::{Act, Case, case};
use crate::model::item::*;
use crate::model::number::*;

/// A field that is changed: its number, and how.
type Edit<T> = (u16, fn(&mut T));

pub fn cases() -> Vec<Case> {
    [items(), vec![of_changes(), of_openings(), of_controls(), kinds(), finality(), whole_captures()]].concat()
}

/// Every field alone, and each together with all that are compared after it; at the end the same again.
fn edits<T: Clone + Into<Act>>(asked: Case, first: &T, refusal: u16, edits: &[Edit<T>]) -> Case {
    let mut asked = asked.given(first.clone());
    for (i, (field, edit)) in edits.iter().enumerate() {
        let (mut alone, mut with_all_after) = (first.clone(), first.clone());
        edit(&mut alone);
        edits[i..].iter().rev().for_each(|(_, edit)| edit(&mut with_all_after));
        asked = asked.ask_at(alone, refusal, *field).ask_at(with_all_after, refusal, *field);
    }
    asked.repeat(first.clone(), POSTED, 0)
}

const LINK: Edit<Item> = (field::LINK, |i| i.link = 99);
const OWN_POSTINGS: [Edit<Item>; 9] = [
    (field::POSTING_COUNT, |i| i.postings.push(i.postings[0])),
    (field::ACCOUNT, |i| i.postings[0].account = BOB),
    (field::SIDE, |i| i.postings[0].side = CREDIT),
    (field::AMOUNT, |i| i.postings[0].amount = 6),
    (field::ASSET, |i| i.postings[0].asset = EUR),
    (field::ACCOUNT, |i| i.postings[1].account = BOB),
    (field::SIDE, |i| i.postings[1].side = DEBIT),
    (field::AMOUNT, |i| i.postings[1].amount = 6),
    (field::ASSET, |i| i.postings[1].asset = EUR),
];
const BY_INDEX: [Edit<Item>; 5] = [
    (field::POSTING_COUNT, |i| i.postings.push(Posting::at(20, 1))),
    (field::INDEX, |i| i.postings.iter_mut().for_each(|p| p.index += 1)),
    (field::AMOUNT, |i| i.postings[0].amount = 6),
    (field::INDEX, |i| i.postings[1].index = 8),
    (field::AMOUNT, |i| i.postings[1].amount = 6),
];
const DESCRIPTION: [Edit<Item>; 3] =
    [(field::REFERENCE, |i| i.reference = 1), (field::CODE, |i| i.code = 1), (field::VALUE_DATE, |i| i.value_date = 1)];
const TIMEOUT: Edit<Item> = (field::TIMEOUT, |i| i.timeout = 8);
const FORCED: Edit<Item> = (field::FORCED, |i| i.forced = true);
const FINAL: Edit<Item> = (field::FINAL, |i| i.is_final = true);
const VOUCHER: Edit<Item> = (field::VOUCHER, |i| i.voucher = vec![0]);

fn items() -> Vec<Case> {
    let both = [(0, 5), (1, 5)];
    vec![
        of_item(pay(1, CASH, SHOP, 5), &OWN_POSTINGS, &[FORCED]),
        of_item(reserve(1, CASH, SHOP, 5), &OWN_POSTINGS, &[TIMEOUT, FORCED]),
        of_item(Item::increase(1, 500, &both), &BY_INDEX, &[FORCED]),
        of_item(Item::capture(1, 500, &both), &BY_INDEX, &[FINAL]),
        of_item(Item::release(1, 500), &[], &[]),
        of_item(Item::reverse(1, 501, &both), &BY_INDEX, &[FORCED]),
    ]
}

fn of_item(item: Item, postings: &[Edit<Item>], flags: &[Edit<Item>]) -> Case {
    let subject = Act::from(item.clone()).subject();
    let rule = format!("a repeat of a {subject} with other fields names the first that differs");
    let asked = case(rule).given(reserve(500, CASH, SHOP, 50)).given(pay(501, CASH, SHOP, 50));
    let all = [&[LINK], postings, &DESCRIPTION, flags, &[VOUCHER]].concat();
    edits(asked, &item, ID_USED_WITH_OTHER_FIELDS, &all)
}

fn of_changes() -> Case {
    let limits = Change { alarm: Limit::To(7), ..Change::limits(1, ALICE, Limit::To(-5), Limit::Remove) };
    let numbers: [Edit<Change>; 7] = [
        (field::ACCOUNT, |c| c.account = BOB),
        (field::FLOOR, |c| c.floor = Limit::Keep),
        (field::FLOOR, |c| c.floor = Limit::To(-6)),
        (field::CEILING, |c| c.ceiling = Limit::To(0)),
        (field::ALARM, |c| c.alarm = Limit::Remove),
        (field::FORCED, |c| c.forced = true),
        (field::CODE, |c| c.code = 1),
    ];
    let asked = case("a repeat of a change with other fields names the first that differs");
    let asked = edits(asked, &limits, ID_USED_WITH_OTHER_FIELDS, &numbers);
    let status: [Edit<Change>; 2] =
        [(field::STATUS, |c| c.status = OPEN), (field::REASON, |c| c.reason = b"other".to_vec())];
    let asked = edits(asked, &Change::status(2, ALICE, FROZEN), ID_USED_WITH_OTHER_FIELDS, &status);
    let label: [Edit<Change>; 2] =
        [(field::LABEL, |c| c.label = b"b".to_vec()), (field::REASON, |c| c.reason = vec![])];
    let asked = edits(asked, &Change::label(3, ALICE, b"a"), ID_USED_WITH_OTHER_FIELDS, &label);
    let attributes: [Edit<Change>; 2] =
        [(field::ATTRIBUTES, |c| c.attributes = vec![]), (field::REASON, |c| c.reason = vec![])];
    let asked = edits(asked, &Change::attributes(4, ALICE, b"a"), ID_USED_WITH_OTHER_FIELDS, &attributes);
    let action: [Edit<Change>; 2] =
        [(field::ACTION, |c| c.action = REOPEN), (field::REASON, |c| c.reason = b"other".to_vec())];
    edits(asked, &Change::close(5, ALICE), ID_USED_WITH_OTHER_FIELDS, &action)
}

fn of_openings() -> Case {
    let fields: [Edit<Opening>; 9] = [
        (field::ASSET, |o| o.asset = EUR),
        (field::OWNER, |o| o.owner = 1),
        (field::SUBJECT, |o| o.subject = 1),
        (field::NORMAL_SIDE, |o| o.normal_side = DEBIT),
        (field::CATEGORY, |o| o.category = 1),
        (field::FLOOR, |o| (o.floor, o.limit_flags) = (0, o.limit_flags & !FLOOR)),
        (field::CEILING, |o| *o = o.clone().with_ceiling(0)),
        (field::ALARM, |o| *o = o.clone().with_alarm(0)),
        (field::LABEL, |o| *o = o.clone().with_label("a")),
    ];
    let new = Opening::new(50, CZK, CREDIT).with_floor(0);
    let asked = case("an account is opened once, and compared with its opening, not with what it became");
    edits(asked, &new, ACCOUNT_EXISTS_WITH_OTHER_FIELDS, &fields)
        .given(Change::limits(1, 50, Limit::Remove, Limit::To(9)))
        .given(Change::label(2, 50, b"b"))
        .given(Change::close(3, 50))
        .repeat(new.clone(), POSTED, 0)
        .ask_at(new.clone().with_ceiling(9), ACCOUNT_EXISTS_WITH_OTHER_FIELDS, field::CEILING)
        .pair_at(
            Opening { asset: 99, ..new.clone() },
            (ACCOUNT_EXISTS_WITH_OTHER_FIELDS, field::ASSET),
            Opening { account: 51, asset: 99, ..new },
            (ASSET_UNKNOWN, 0),
        )
}

fn of_controls() -> Case {
    let asset: [Edit<Control>; 1] = [(field::RECORD, |c| c.record = Control::asset(1, 7, "BTC", 7).record)];
    let institution: [Edit<Control>; 1] = [(field::RECORD, |c| c.record = Control::institution(2, 9, "N").record)];
    let open_day: [Edit<Control>; 2] = [
        (field::RECORD, |c| c.record = Control::open_day(3, TODAY + 2).record),
        (field::RECORD, |c| c.record = Control::asset(3, 7, "BTC", 8).record),
    ];
    let asked = case("a repeat of a control record with other fields");
    let asked = edits(asked, &Control::asset(1, 7, "BTC", 8), ID_USED_WITH_OTHER_FIELDS, &asset);
    let asked = edits(asked, &Control::institution(2, 8, "N"), ID_USED_WITH_OTHER_FIELDS, &institution);
    let spaced = br#" { "record" : "open_day", "date" : "2025-10-10" } "#.to_vec();
    edits(asked, &Control::open_day(3, TODAY + 1), ID_USED_WITH_OTHER_FIELDS, &open_day)
        .repeat(Control { id: 3, record: spaced }, POSTED, 0)
        .ask(Control::asset(4, 7, "BTC", 9), ASSET_EXISTS_WITH_OTHER_FIELDS)
        .repeat(Control::asset(4, 7, "BTC", 9), ASSET_EXISTS_WITH_OTHER_FIELDS, 0)
}

fn kinds() -> Case {
    let used = |of: Case, act: Act| of.ask_at(act, ID_USED_WITH_OTHER_FIELDS, field::KIND);
    let of = case("an id is used by one thing of one kind")
        .given(reserve(500, CASH, SHOP, 50))
        .given(pay(1, CASH, SHOP, 5))
        .given(Change::label(2, ALICE, b"a"));
    let acts: [Act; 9] = [
        reserve(1, CASH, SHOP, 5).into(),
        Item::increase(1, 500, &[(0, 1), (1, 1)]).into(),
        Item::capture(1, 500, &[]).into(),
        Item::release(500, 500).into(),
        Item::reverse(2, 1, &[]).into(),
        pay(901, CASH, SHOP, 5).into(),
        Change::label(1, ALICE, b"a").into(),
        Change::label(901, ALICE, b"a").into(),
        Control::asset(2, CZK, "CZK", 2).into(),
    ];
    acts.into_iter().fold(of, used)
}

fn finality() -> Case {
    let lopsided = |item: Item| Item { postings: vec![debit(CASH, 1), credit(SHOP, 2)], ..item };
    case("a refusal that depends on state is final; one of shape spends no id")
        .ask_at(pay(1, CASH, NOBODY, 5), ACCOUNT_UNKNOWN, 1)
        .given(Opening::new(NOBODY, CZK, CREDIT))
        .repeat(pay(1, CASH, NOBODY, 5), ACCOUNT_UNKNOWN, 1)
        .ask(pay(2, CASH, NOBODY, 0), AMOUNT_ZERO)
        .given(pay(2, CASH, NOBODY, 5))
        .pair_at(
            lopsided(pay(1, CASH, NOBODY, 5)),
            (ID_USED_WITH_OTHER_FIELDS, field::AMOUNT),
            lopsided(pay(3, CASH, NOBODY, 5)),
            (UNBALANCED, 0),
        )
        .given(reserve(4, CASH, NOBODY, 5))
        .pair_at(
            lopsided(reserve(4, CASH, NOBODY, 5)),
            (ID_USED_WITH_OTHER_FIELDS, field::AMOUNT),
            lopsided(reserve(5, CASH, NOBODY, 5)),
            (UNBALANCED, 0),
        )
        .ask(Item::capture(6, 7, &[]), HOLD_UNKNOWN)
        .given(reserve(7, CASH, SHOP, 5))
        .repeat(Item::capture(6, 7, &[]), HOLD_UNKNOWN, 0)
        .given(Item::capture(8, 7, &[]))
        .repeat(reserve(7, CASH, SHOP, 5), POSTED, 0)
}

fn whole_captures() -> Case {
    case("a capture without postings is final, with and without the flag")
        .given(reserve(500, CASH, SHOP, 50))
        .given(Item::capture(1, 500, &[]))
        .repeat(Item::capture(1, 500, &[]).finally(), POSTED, 0)
        .given(reserve(501, CASH, SHOP, 50))
        .given(Item::capture(2, 501, &[]).finally())
        .repeat(Item::capture(2, 501, &[]), POSTED, 0)
        .ask(Item::capture(3, 500, &[]), HOLD_CLOSED)
        .ask(Item::capture(4, 501, &[]), HOLD_CLOSED)
}
