//! Tables for the model itself: each line a rule of the published semantics, worked out by hand.

use super::item::{ALARM, CREDIT, Control, DEBIT, Opening, Posting, Transaction};
use super::*;

const CZK: u32 = 203;
const EUR: u32 = 978;
/// Debit-normal, no limits.
const CASH: u128 = 1;
/// Credit-normal, floor 0.
const ALICE: u128 = 2;
/// Credit-normal, floor 0, ceiling 100.
const BOB: u128 = 3;
/// Credit-normal, floor 50: opened below its floor.
const DEEP: u128 = 4;
/// Credit-normal, ceiling −50: opened above its ceiling.
const HIGH: u128 = 5;
/// Debit-normal in EUR.
const EURO: u128 = 6;
/// Never opened.
const NOBODY: u128 = 77;

fn ledger() -> Model {
    let mut model = Model::serving(&[1, 2]);
    model.begin_round(1_000);
    assert_eq!(model.control(1, &Control::asset(901, CZK, "CZK", 2)).sequence, 1);
    assert_eq!(model.control(1, &Control::asset(902, EUR, "EUR", 2)).sequence, 2);
    let openings = [
        Opening::new(CASH, CZK, DEBIT),
        Opening::new(ALICE, CZK, CREDIT).with_floor(0),
        Opening::new(BOB, CZK, CREDIT).with_floor(0).with_ceiling(100),
        Opening::new(DEEP, CZK, CREDIT).with_floor(50),
        Opening::new(HIGH, CZK, CREDIT).with_ceiling(-50),
        Opening::new(EURO, EUR, DEBIT),
    ];
    for (i, opening) in openings.iter().enumerate() {
        assert_eq!(model.open(1, opening).sequence, i as u64 + 3);
    }
    model
}

fn debit(account: u128, amount: u128) -> Posting {
    Posting { account, side: DEBIT, amount, asset: CZK, reserved: 0 }
}

fn credit(account: u128, amount: u128) -> Posting {
    Posting { side: CREDIT, ..debit(account, amount) }
}

fn euro(posting: Posting) -> Posting {
    Posting { asset: EUR, ..posting }
}

fn journal(id: u128, postings: &[Posting]) -> Transaction {
    Transaction { id, postings: postings.to_vec(), ..Transaction::default() }
}

/// Posts `before`, which must succeed, then the postings; expects outcome and detail.
fn check(what: &str, before: &[&[Posting]], postings: &[Posting], expected: (u16, u16)) {
    let mut model = ledger();
    for (i, earlier) in before.iter().enumerate() {
        assert_eq!(model.post(1, &journal(100 + i as u128, earlier)).0.outcome, POSTED, "{what}: step {i} before");
    }
    let untouched = model.clone();
    let (verdict, entries) = model.post(1, &journal(1, postings));
    assert_eq!((verdict.outcome, verdict.detail), expected, "{what}");
    assert_eq!(entries.len(), if verdict.outcome == POSTED { postings.len() } else { 0 }, "{what}: entries");
    if verdict.outcome != POSTED {
        assert_eq!(model.accounts, untouched.accounts, "{what}: a refusal must change no account");
    }
}

#[test]
fn accounts_are_checked_in_order_of_first_mention_on_the_total_effect() {
    let fund_alice: &[Posting] = &[debit(CASH, 60), credit(ALICE, 60)];
    let fund_bob: &[Posting] = &[debit(CASH, 100), credit(BOB, 100)];
    check("funds are there", &[fund_alice], &[debit(ALICE, 60), credit(CASH, 60)], (POSTED, 0));
    check("one too many", &[fund_alice], &[debit(ALICE, 61), credit(CASH, 61)], (BELOW_FLOOR, 0));
    check("the refusing account comes second", &[], &[credit(CASH, 5), debit(ALICE, 5)], (BELOW_FLOOR, 1));
    check(
        "the whole list runs on the first account before the second is looked at",
        &[],
        &[debit(ALICE, 5), credit(NOBODY, 5)],
        (BELOW_FLOOR, 0),
    );
    check("unknown account first", &[], &[credit(NOBODY, 5), debit(ALICE, 5)], (ACCOUNT_UNKNOWN, 0));
    check("another asset", &[], &[debit(CASH, 5), credit(EURO, 5)], (ACCOUNT_ASSET_DIFFERS, 1));
    check(
        "a later posting in another asset speaks for the first mention",
        &[],
        &[
            debit(CASH, 5),
            credit(CASH, 5),
            debit(EURO, 1),
            credit(ALICE, 1),
            euro(debit(CASH, 1)),
            euro(credit(EURO, 1)),
        ],
        (ACCOUNT_ASSET_DIFFERS, 0),
    );
    check(
        "money may pass through an account that has none",
        &[],
        &[debit(ALICE, 40), credit(BOB, 40), debit(CASH, 40), credit(ALICE, 40)],
        (POSTED, 0),
    );
    check("to itself", &[], &[debit(ALICE, 40), credit(ALICE, 40)], (POSTED, 0));
    check("up to the ceiling", &[], &[debit(CASH, 100), credit(BOB, 100)], (POSTED, 0));
    check("above the ceiling", &[], &[debit(CASH, 101), credit(BOB, 101)], (ABOVE_CEILING, 1));
    check("full", &[fund_bob], &[debit(CASH, 1), credit(BOB, 1)], (ABOVE_CEILING, 1));
    check("full, but going down", &[fund_bob], &[debit(BOB, 1), credit(CASH, 1)], (POSTED, 0));
}

#[test]
fn limits_look_only_in_the_direction_of_the_change() {
    check("below its floor, up but not yet there", &[], &[debit(CASH, 10), credit(DEEP, 10)], (POSTED, 0));
    check("below its floor, further down", &[], &[debit(DEEP, 1), credit(CASH, 1)], (BELOW_FLOOR, 0));
    check("below its floor, unchanged", &[], &[debit(DEEP, 1), credit(DEEP, 1)], (POSTED, 0));
    check("above its ceiling, down", &[], &[debit(HIGH, 1), credit(CASH, 1)], (POSTED, 0));
    check("above its ceiling, further up", &[], &[debit(CASH, 1), credit(HIGH, 1)], (ABOVE_CEILING, 1));
    check("above its ceiling, unchanged", &[], &[credit(HIGH, 1), debit(HIGH, 1)], (POSTED, 0));
}

#[test]
fn the_whole_transaction_is_checked_before_any_account() {
    check("unbalanced", &[], &[debit(NOBODY, 1), credit(CASH, 2)], (UNBALANCED, 0));
    check("balanced over all assets is not balanced", &[], &[debit(CASH, 1), euro(credit(EURO, 1))], (UNBALANCED, 0));
    let strange = |p: Posting| Posting { asset: 99, ..p };
    check("unknown asset", &[], &[strange(debit(NOBODY, 1)), strange(credit(CASH, 1))], (ASSET_UNKNOWN, 0));
    check("unbalanced in an unknown asset", &[], &[strange(debit(CASH, 1)), strange(credit(CASH, 2))], (UNBALANCED, 0));
    check(
        "asset 0",
        &[],
        &[Posting { asset: 0, ..debit(CASH, 1) }, Posting { asset: 0, ..credit(CASH, 1) }],
        (ASSET_UNKNOWN, 0),
    );
    check(
        "two assets, each balanced",
        &[],
        &[debit(CASH, 7), euro(debit(EURO, 3)), credit(ALICE, 7), euro(credit(EURO, 3))],
        (POSTED, 0),
    );
}

#[test]
fn balances_stay_within_the_range_whatever_the_limits() {
    const LIMITLESS: u128 = 8;
    for (what, at_top, room, raise, amount, expected) in [
        ("up to the top", true, 5, true, 5, POSTED),
        ("over the top", true, 5, true, 6, BALANCE_RANGE),
        ("down to the bottom", false, 5, false, 5, POSTED),
        ("under the bottom", false, 5, false, 6, BALANCE_RANGE),
        ("back from the top", true, 0, false, AMOUNT_MAX, POSTED),
        ("back from the bottom", false, 0, true, AMOUNT_MAX, POSTED),
    ] {
        let mut model = ledger();
        model.open(1, &Opening::new(LIMITLESS, CZK, CREDIT));
        let (debited, credited) = if at_top { (CASH, LIMITLESS) } else { (LIMITLESS, CASH) };
        model.heave(1, &Heave { debit: debited, credit: credited, amount: BALANCE_MAX as u128 - room });
        let postings = if raise {
            [debit(CASH, amount), credit(DEEP, amount)]
        } else {
            [credit(CASH, amount), debit(HIGH, amount)]
        };
        assert_eq!(model.post(1, &journal(1, &postings)).0.outcome, expected, "{what}");
    }
}

#[test]
fn shape_is_checked_in_the_published_order_and_leaves_no_trace() {
    let fine = journal(1, &[debit(CASH, 1), credit(ALICE, 1)]);
    type Spoil = fn(&mut Transaction);
    // Ordered as published: a transaction with this and everything after it wrong is refused for this.
    let spoils: [(Spoil, u16); 9] = [
        (|t| t.id = 0, ID_ZERO),
        (|t| t.postings.truncate(1), TOO_FEW_POSTINGS),
        (|t| t.postings.resize(255, t.postings[0].clone()), TOO_MANY_POSTINGS),
        (|t| t.postings[1].account = 0, ACCOUNT_ZERO),
        (|t| t.postings[1].amount = 0, AMOUNT_ZERO),
        (|t| t.postings[0].amount = AMOUNT_MAX + 1, AMOUNT_ABOVE_MAX),
        (|t| t.postings[0].side = 2, SIDE_UNKNOWN),
        (|t| t.flags = 1, RESERVED_NOT_ZERO),
        (|t| t.voucher = vec![0; 4097], VOUCHER_TOO_LONG),
    ];
    for (i, (spoil, expected)) in spoils.iter().enumerate() {
        let (mut alone, mut with_all_after) = (fine.clone(), fine.clone());
        spoil(&mut alone);
        for (later, number) in spoils[i..].iter().rev() {
            // Too few and too many cannot both be.
            if *expected != TOO_FEW_POSTINGS || *number != TOO_MANY_POSTINGS {
                later(&mut with_all_after);
            }
        }
        let mut model = ledger();
        let before = model.clone();
        assert_eq!(model.post(1, &alone).0, refused(*expected, 0));
        assert_eq!(model.post(1, &with_all_after).0, refused(*expected, 0));
        assert_eq!(model, before, "outcome {expected} must not be recorded");
    }
    for fine in [
        Transaction { voucher: vec![0; 4096], ..fine.clone() },
        journal(1, &[debit(CASH, AMOUNT_MAX), credit(DEEP, AMOUNT_MAX)]),
        journal(1, &vec![[debit(CASH, 1), credit(DEEP, 1)]; 127].concat()),
    ] {
        assert_eq!(ledger().post(1, &fine).0.outcome, POSTED);
    }
}

#[test]
fn a_repeat_with_the_same_fields_gives_the_original_result() {
    let mut model = ledger();
    let posted = journal(1, &[debit(CASH, 5), credit(ALICE, 5)]);
    let declined = journal(2, &[debit(ALICE, 6), credit(CASH, 6)]);
    let first = [model.post(1, &posted), model.post(1, &declined)];
    assert_eq!(first[1].0.outcome, BELOW_FLOOR);
    model.post(1, &journal(3, &[debit(CASH, 500), credit(ALICE, 500)]));
    let before = model.clone();
    for (t, (verdict, entries)) in [posted, declined].iter().zip(first) {
        assert_eq!(model.post(1, t), (Verdict { repeat: true, ..verdict }, entries));
    }
    assert_eq!(model, before, "a repeat changes nothing and takes no sequence number, even if it would post now");
}

#[test]
fn a_repeat_with_other_fields_names_the_first_that_differs() {
    let mut model = ledger();
    let first = journal(1, &[debit(CASH, 5), credit(ALICE, 5)]);
    model.post(1, &first);
    type Change = fn(&mut Transaction);
    // Ordered as compared. Changes of an earlier posting come before all of a later one.
    let changes: [(Change, u16); 10] = [
        (|t| t.postings.push(t.postings[0].clone()), field::POSTING_COUNT),
        (|t| t.postings[0].account = BOB, field::ACCOUNT),
        (|t| t.postings[0].side = CREDIT, field::SIDE),
        (|t| t.postings[0].amount = 6, field::AMOUNT),
        (|t| t.postings[0].asset = EUR, field::ASSET),
        (|t| t.postings[1].account = BOB, field::ACCOUNT),
        (|t| t.reference = 1, field::REFERENCE),
        (|t| t.code = 1, field::CODE),
        (|t| t.value_date = 1, field::VALUE_DATE),
        (|t| t.voucher = vec![0], field::VOUCHER),
    ];
    for (i, (_, expected)) in changes.iter().enumerate() {
        let mut again = first.clone();
        changes[i..].iter().for_each(|(change, _)| change(&mut again));
        assert_eq!(model.post(1, &again).0, refused(ID_USED_WITH_OTHER_FIELDS, *expected));
    }
    assert_eq!(
        model.post(1, &Transaction { id: 901, ..first.clone() }).0,
        refused(ID_USED_WITH_OTHER_FIELDS, field::KIND)
    );
    assert_eq!(model.control(1, &Control::asset(1, CZK, "CZK", 2)), refused(ID_USED_WITH_OTHER_FIELDS, field::KIND));
    assert_eq!(model.post(2, &first).0.outcome, ACCOUNT_UNKNOWN, "another institution's ids are its own");
}

#[test]
fn entries_carry_version_balance_and_previous_entry() {
    let mut model = ledger();
    let (one, entries) =
        model.post(1, &journal(1, &[debit(CASH, 5), credit(ALICE, 5), debit(CASH, 2), credit(CASH, 2)]));
    let entry =
        |account, version, balance: i32, previous| Entry { account, version, balance: balance.into(), previous };
    assert_eq!(one.sequence, 9);
    assert_eq!(
        entries,
        [entry(CASH, 1, 5, 3), entry(ALICE, 1, 5, 4), entry(CASH, 2, 7, 9), entry(CASH, 3, 5, 9)],
        "several postings of one transaction on one account each get a version"
    );
    let (two, _) = model.post(1, &journal(2, &[debit(ALICE, 9), credit(CASH, 9)]));
    let (three, entries) = model.post(1, &journal(3, &[debit(ALICE, 1), credit(CASH, 1)]));
    assert_eq!((two.sequence, three.sequence), (10, 11), "a refusal takes a sequence number too");
    assert_eq!(entries, [entry(ALICE, 2, 4, 9), entry(CASH, 4, 4, 9)], "but it is no entry");
}

#[test]
fn times_rise_by_a_nanosecond_per_row_from_the_rounds_own_or_the_last() {
    let mut model = ledger();
    assert_eq!(model.last_booked_at(), 1_007);
    let mut at = |now: Option<u64>, id: u128| {
        now.inspect(|now| model.begin_round(*now));
        model.post(1, &journal(id, &[debit(CASH, 1), credit(ALICE, 1)])).0.booked_at
    };
    assert_eq!(at(None, 1), 1_008);
    assert_eq!(at(Some(5_000), 2), 5_000);
    assert_eq!(at(None, 3), 5_001);
    assert_eq!(at(Some(5_001), 4), 5_002, "not the same nanosecond twice");
    assert_eq!(at(Some(10), 5), 5_003, "never backwards");
    assert_eq!(at(Some(10), 5), 5_003, "a repeat has the original's time");
    assert_eq!(at(None, 6), 5_004);
}

#[test]
fn openings_are_exactly_once_and_a_refused_one_leaves_no_trace() {
    let mut model = ledger();
    let alice = Opening::new(ALICE, CZK, CREDIT).with_floor(0);
    let again = Verdict { repeat: true, sequence: 4, booked_at: 1_003, ..Verdict::default() };
    assert_eq!(model.open(1, &alice), again);
    let before = model.clone();
    type Change = fn(&mut Opening);
    let differing: [(Change, u16); 9] = [
        (|o| o.asset = EUR, field::ASSET),
        (|o| o.owner = 1, field::OWNER),
        (|o| o.subject = 1, field::SUBJECT),
        (|o| o.normal_side = DEBIT, field::NORMAL_SIDE),
        (|o| o.category = 1, field::CATEGORY),
        (|o| o.limit_flags &= !1, field::FLOOR),
        (|o| *o = o.clone().with_ceiling(0), field::CEILING),
        (|o| *o = o.clone().with_alarm(0), field::ALARM),
        (|o| *o = o.clone().with_label("a"), field::LABEL),
    ];
    for (i, (_, number)) in differing.iter().enumerate() {
        let mut other = alice.clone();
        differing[i..].iter().for_each(|(change, _)| change(&mut other));
        assert_eq!(model.open(1, &other), refused(ACCOUNT_EXISTS_WITH_OTHER_FIELDS, *number));
    }
    let new = || Opening::new(50, CZK, DEBIT);
    for (opening, expected) in [
        (Opening::new(50, 99, DEBIT), ASSET_UNKNOWN),
        (Opening::new(0, CZK, DEBIT), ACCOUNT_ZERO),
        (Opening::new(50, CZK, 2), SIDE_UNKNOWN),
        (Opening { reserved: 1, ..new() }, RESERVED_NOT_ZERO),
        (Opening { limit_flags: 8, ..new() }, RESERVED_NOT_ZERO),
        (Opening { alarm: 1, ..new() }, RESERVED_NOT_ZERO),
        (new().with_floor(1).with_ceiling(0), LIMITS_CONTRADICT),
        (new().with_floor(-BALANCE_MAX - 1), LIMIT_OUT_OF_RANGE),
        (new().with_alarm(i128::MIN), LIMIT_OUT_OF_RANGE),
        (Opening { label_length: 65, ..new() }, LABEL_INVALID),
        (Opening { label: vec![0xff], label_length: 1, ..new() }, LABEL_INVALID),
        (Opening { label_length: 1, ..new().with_label("abc") }, LABEL_INVALID),
        (Opening { category: 3, ..new() }, CATEGORY_UNKNOWN),
    ] {
        assert_eq!(model.open(1, &opening), refused(expected, 0));
    }
    assert_eq!(model, before, "neither repeats nor refusals of openings leave a trace");
    let full = new().with_floor(-BALANCE_MAX).with_ceiling(BALANCE_MAX).with_alarm(0).with_label("å");
    assert_eq!(full.limit_flags & ALARM, ALARM);
    assert_eq!(model.open(1, &full).sequence, 9);
    assert_eq!(model.open(2, &full).sequence, 10, "another institution has its own accounts");
}

#[test]
fn assets_are_registered_once_and_never_change() {
    let mut model = ledger();
    let record = |number: &str, scale: &str| {
        format!(r#"{{"code":"XXX","number":"{number}","record":"asset","scale":"{scale}"}}"#).into_bytes()
    };
    for (what, control, expected) in [
        ("the same again under a new id", Control::asset(1, CZK, "CZK", 2), (POSTED, 0)),
        ("another scale", Control::asset(2, CZK, "CZK", 3), (ASSET_EXISTS_WITH_OTHER_FIELDS, 0)),
        ("another code", Control::asset(3, CZK, "CSK", 2), (ASSET_EXISTS_WITH_OTHER_FIELDS, 0)),
        ("another number", Control::asset(4, 200, "CZK", 2), (ASSET_EXISTS_WITH_OTHER_FIELDS, 0)),
        ("a new one", Control::asset(5, 7, "BTC", 8), (POSTED, 0)),
        ("an id that was refused", Control::asset(2, CZK, "CZK", 2), (ID_USED_WITH_OTHER_FIELDS, field::RECORD)),
        ("number 0", Control::asset(6, 0, "XXX", 2), (CONTROL_MALFORMED, 0)),
        ("scale 19", Control::asset(6, 8, "XXX", 19), (CONTROL_MALFORMED, 0)),
        ("number with a leading zero", Control { id: 6, record: record("08", "2") }, (CONTROL_MALFORMED, 0)),
        ("scale with a sign", Control { id: 6, record: record("8", "+2") }, (CONTROL_MALFORMED, 0)),
        ("no code", Control::asset(6, 8, "", 2), (CONTROL_MALFORMED, 0)),
        ("small letters", Control::asset(6, 8, "czk", 2), (CONTROL_MALFORMED, 0)),
        ("no JSON", Control { id: 6, record: b"CZK".to_vec() }, (CONTROL_MALFORMED, 0)),
        ("id 0", Control::asset(0, 8, "XXX", 2), (ID_ZERO, 0)),
    ] {
        let verdict = model.control(1, &control);
        assert_eq!((verdict.outcome, verdict.detail), expected, "{what}");
    }
    assert_eq!(model.last_sequence(), 8 + 5);
    assert!(model.control(1, &Control::asset(2, CZK, "CZK", 3)).repeat, "a refusal that was recorded is final");
    assert_eq!(model.assets().map(|a| a.number).collect::<Vec<_>>(), [7, CZK, EUR]);
}
