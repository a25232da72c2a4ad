//! What the tables of `tables` do not look at: entries, times, dates, the order of expiries, and that a refusal leaves
//! the model as it was. Worked out by hand.

use super::item::*;
use super::number::*;
use super::*;
use crate::tables::ModelLedger;
use crate::tables::stage::*;

/// The accounts of the tables, all rows so far booked before [`START`].
fn ledger() -> Model {
    let mut ledger = ModelLedger::default();
    set(&mut ledger);
    ledger.model.begin_round(START);
    ledger.model
}

fn posted(model: &mut Model, item: &Item) -> Vec<Entry> {
    let (verdict, entries) = model.run(1, item);
    assert_eq!(verdict.outcome, POSTED, "{item:?}");
    entries
}

/// An entry: account, version, balance, side, index, amount, freed, left, held, previous.
type Line = (u128, u64, i32, u8, usize, i32, i32, i32, i32, u64);

fn check_entries(entries: &[Entry], expected: &[Line]) {
    let expected: Vec<Entry> = expected
        .iter()
        .map(|&(account, version, balance, side, index, amount, freed, left, held, previous)| Entry {
            account,
            version,
            balance: balance.into(),
            side,
            index,
            amount: amount.into(),
            freed: freed.into(),
            left: left.into(),
            held: held.into(),
            previous,
            alarm: false,
        })
        .collect();
    assert_eq!(entries, expected);
}

#[test]
fn entries_of_a_post_carry_version_balance_and_previous_entry() {
    let mut model = ledger();
    let several = Item::post(1, &[debit(CASH, 5), credit(ALICE, 5), debit(CASH, 2), credit(CASH, 2)]);
    check_entries(
        &posted(&mut model, &several),
        &[
            (CASH, 1, 5, DEBIT, 0, 5, 0, 0, 0, 3),
            (ALICE, 1, 5, CREDIT, 1, 5, 0, 0, 0, 4),
            (CASH, 2, 7, DEBIT, 2, 2, 0, 0, 0, 10),
            (CASH, 3, 5, CREDIT, 3, 2, 0, 0, 0, 10),
        ],
    );
    let (refused, entries) = model.run(1, &pay(2, ALICE, CASH, 9));
    assert_eq!((refused.sequence, entries), (11, vec![]), "a refusal takes a sequence number, but it is no entry");
    check_entries(
        &posted(&mut model, &pay(3, ALICE, CASH, 1)),
        &[(ALICE, 2, 4, DEBIT, 0, 1, 0, 0, 0, 10), (CASH, 4, 4, CREDIT, 1, 1, 0, 0, 0, 10)],
    );
}

#[test]
fn entries_of_a_hold_carry_what_is_held_and_left() {
    let mut model = ledger();
    posted(&mut model, &fund(1, ALICE, 100));
    let hold = Item::hold(2, 0, &[debit(ALICE, 60), credit(SHOP, 50), credit(BOB, 10)]);
    check_entries(
        &posted(&mut model, &hold),
        &[
            (ALICE, 2, 100, DEBIT, 0, 60, 0, 60, 60, 10),
            (SHOP, 1, 0, CREDIT, 1, 50, 0, 50, 50, 6),
            (BOB, 1, 0, CREDIT, 2, 10, 0, 10, 10, 5),
        ],
    );
    check_entries(
        &posted(&mut model, &Item::increase(3, 2, &[(0, 4), (2, 4)])),
        &[(ALICE, 3, 100, DEBIT, 0, 4, 0, 64, 64, 11), (BOB, 2, 0, CREDIT, 2, 4, 0, 14, 14, 11)],
    );
    check_entries(
        &posted(&mut model, &Item::capture(4, 2, &[(0, 20), (1, 20)])),
        &[(ALICE, 4, 80, DEBIT, 0, 20, 0, 44, 44, 12), (SHOP, 2, 20, CREDIT, 1, 20, 0, 30, 30, 11)],
    );
    check_entries(
        &posted(&mut model, &Item::capture(5, 2, &[(0, 10), (2, 10)]).finally()),
        &[
            (ALICE, 5, 70, DEBIT, 0, 10, 34, 0, 0, 13),
            (SHOP, 3, 20, CREDIT, 1, 0, 30, 0, 0, 13),
            (BOB, 3, 10, CREDIT, 2, 10, 4, 0, 0, 12),
        ],
    );
    check_entries(
        &posted(&mut model, &Item::reverse(6, 4, &[(0, 5), (1, 5)])),
        &[(ALICE, 6, 75, CREDIT, 0, 5, 0, 15, 0, 14), (SHOP, 4, 15, DEBIT, 1, 5, 0, 15, 0, 14)],
    );
}

#[test]
fn postings_with_nothing_left_get_no_entry() {
    let mut model = ledger();
    posted(&mut model, &reserve(1, CASH, SHOP, 10));
    posted(&mut model, &Item::capture(2, 1, &[(0, 10), (1, 10)]));
    let before = model.clone();
    check_entries(&posted(&mut model, &Item::capture(3, 1, &[])), &[]);
    check_entries(&posted(&mut before.clone(), &Item::release(3, 1)), &[]);
    assert_eq!(model.accounts, before.accounts);
    check_entries(&posted(&mut model, &Item::reverse(4, 3, &[])), &[]);
}

#[test]
fn a_release_names_what_it_frees() {
    let mut model = ledger();
    posted(&mut model, &reserve(1, CASH, SHOP, 10));
    check_entries(
        &posted(&mut model, &Item::release(2, 1)),
        &[(CASH, 2, 0, DEBIT, 0, 0, 10, 0, 0, 10), (SHOP, 2, 0, CREDIT, 1, 0, 10, 0, 0, 10)],
    );
}

#[test]
fn a_change_is_an_entry_that_moves_nothing() {
    let mut model = ledger();
    posted(&mut model, &fund(1, ALICE, 10));
    let (verdict, entries) = model.change(1, &Change::alarm(2, ALICE, Limit::To(50)));
    assert_eq!((verdict.outcome, verdict.sequence), (POSTED, 11));
    check_entries(&entries, &[(ALICE, 2, 10, 0, 0, 0, 0, 0, 0, 10)]);
    let (verdict, entries) = model.change(1, &Change::reopen(3, ALICE));
    assert_eq!((verdict.sequence, entries), (12, vec![]), "a refused change is recorded, but it is no entry");
    let account = model.account(1, ALICE).expect("an account");
    assert_eq!((account.version, account.last_entry, account.alarm), (2, 11, Some(50)));
}

#[test]
fn an_entry_that_crosses_the_alarm_level_says_so() {
    let mut model = ledger();
    model.change(1, &Change::alarm(1, ALICE, Limit::To(50)));
    let mut alarms = |item: &Item| posted(&mut model, item).iter().map(|e| e.alarm).collect::<Vec<_>>();
    assert_eq!(alarms(&fund(2, ALICE, 49)), [false, false]);
    assert_eq!(alarms(&fund(3, ALICE, 1)), [false, true], "up to the level is at it");
    assert_eq!(alarms(&fund(4, ALICE, 1)), [false, false]);
    assert_eq!(alarms(&reserve(5, ALICE, SHOP, 20)), [false, false], "only what is posted counts");
    assert_eq!(alarms(&Item::capture(6, 5, &[])), [true, false]);
    assert_eq!(alarms(&Item::reverse(7, 6, &[])), [true, false]);
    let there_and_back = Item::post(8, &[debit(ALICE, 5), credit(SHOP, 5), debit(CASH, 5), credit(ALICE, 5)]);
    assert_eq!(alarms(&there_and_back), [true, false, false, true], "each entry for itself");
}

#[test]
fn a_refusal_changes_nothing_but_the_log() {
    let mut model = ledger();
    posted(&mut model, &fund(1, ALICE, 10));
    posted(&mut model, &reserve(2, ALICE, SHOP, 5));
    for (id, item) in [
        pay(11, ALICE, CASH, 6),
        reserve(11, ALICE, CASH, 6),
        Item::increase(11, 2, &[(0, 6), (1, 6)]),
        Item::capture(11, 2, &[(0, 6), (1, 6)]).finally(),
        Item::release(11, 1),
        Item::reverse(11, 1, &[(0, 6), (1, 6)]),
    ]
    .into_iter()
    .enumerate()
    {
        let before = model.clone();
        let (verdict, entries) = model.run(1, &Item { id: 100 + id as u128, ..item });
        assert!(verdict.outcome != POSTED && verdict.sequence == before.last_sequence() + 1 && entries.is_empty());
        let same = (&model.accounts, &model.holds, &model.originals, &model.assets);
        assert_eq!(same, (&before.accounts, &before.holds, &before.originals, &before.assets));
        assert_eq!(model.recorded(1, 100 + id as u128).map(|row| row.verdict), Some(verdict));
    }
    let before = model.clone();
    assert_eq!(model.run(1, &pay(0, CASH, SHOP, 1)).0, refused(ID_ZERO, 0));
    assert!(model.run(1, &fund(1, ALICE, 10)).0.repeat);
    assert_eq!(model, before, "shape and repeats leave no trace at all");
}

#[test]
fn a_repeat_gives_the_original_entries() {
    let mut model = ledger();
    posted(&mut model, &fund(1, ALICE, 10));
    let asked = [reserve(2, ALICE, SHOP, 5), Item::capture(3, 2, &[]), Item::reverse(4, 3, &[])];
    let first: Vec<_> = asked.iter().map(|item| model.run(1, item)).collect();
    posted(&mut model, &fund(5, ALICE, 10));
    for (item, (verdict, entries)) in asked.iter().zip(first) {
        assert_eq!(entries.len(), 2);
        assert_eq!(model.run(1, item), (Verdict { repeat: true, ..verdict }, entries));
    }
}

#[test]
fn times_rise_by_a_nanosecond_per_row_from_the_rounds_own_or_the_last() {
    let mut model = ledger();
    let mut at = |now: Option<u64>, id: u128| {
        now.inspect(|now| model.begin_round(START + now));
        model.run(1, &fund(id, ALICE, 1)).0.booked_at - START
    };
    assert_eq!(at(None, 1), 0);
    assert_eq!(at(Some(5_000), 2), 5_000);
    assert_eq!(at(None, 3), 5_001);
    assert_eq!(at(Some(5_001), 4), 5_002, "not the same nanosecond twice");
    assert_eq!(at(Some(10), 5), 5_003, "never backwards");
    assert_eq!(at(Some(10), 5), 5_003, "a repeat has the original's time");
    assert_eq!(at(None, 6), 5_004);
}

#[test]
fn the_accounting_date_is_that_of_the_clock_until_an_open_day_is_set() {
    const DAY: u64 = 86_400 * SECOND;
    let mut model = ledger();
    let date = |model: &Model| model.rows().last().expect("a row").accounting_date;
    model.begin_round(START / DAY * DAY + DAY - 1);
    posted(&mut model, &fund(1, ALICE, 1));
    assert_eq!(date(&model), TODAY);
    posted(&mut model, &fund(2, ALICE, 1));
    assert_eq!(date(&model), TODAY + 1, "of each row by itself");
    assert_eq!(model.control(1, &Control::open_day(3, TODAY)).outcome, OPEN_DAY_NOT_FORWARD);
    assert_eq!(date(&model), TODAY + 1, "a refused open day changes nothing");
    assert_eq!(model.control(1, &Control::open_day(4, TODAY + 3)).outcome, POSTED);
    assert_eq!(date(&model), TODAY + 3, "the row of the open day has the new date");
    model.begin_round(START + 9 * DAY);
    model.change(1, &Change::label(5, ALICE, b"a"));
    assert_eq!(date(&model), TODAY + 3);
    model.control(1, &Control::institution(6, 7, "Seven"));
    model.open(7, &Opening::new(ALICE, CZK, CREDIT));
    assert_eq!(date(&model), TODAY + 9, "another institution has its own");
}

/// Holds of 9, 8 and 8 seconds; the last one in another institution.
fn expiring() -> Model {
    let mut model = ledger();
    model.control(1, &Control::institution(901_000, 7, "Seven"));
    for account in [CASH, SHOP] {
        model.open(7, &Opening::new(account, CZK, DEBIT));
    }
    model.begin_round(START + 100);
    posted(&mut model, &reserve_for(9, 1, CASH, SHOP, 5));
    model.begin_round(START + 200);
    posted(&mut model, &reserve_for(8, 3, CASH, SHOP, 5));
    posted(&mut model, &reserve(2, CASH, SHOP, 5));
    model.begin_round(START + 300);
    assert_eq!(model.run(7, &reserve_for(8, 2, CASH, SHOP, 5)).0.outcome, POSTED);
    model
}

#[test]
fn holds_are_due_in_the_order_of_expiry_institution_and_id() {
    let mut model = expiring();
    let due = |model: &mut Model, now: u64| {
        model.begin_round(START + now);
        model.due().iter().map(|(at, institution, id)| (at - START, *institution, *id)).collect::<Vec<_>>()
    };
    assert_eq!(due(&mut model, 199 + 8 * SECOND), []);
    assert_eq!(due(&mut model, 200 + 8 * SECOND), [(200 + 8 * SECOND, 1, 3)]);
    let three = [(200 + 8 * SECOND, 1, 3), (300 + 8 * SECOND, 7, 2), (100 + 9 * SECOND, 1, 1)];
    assert_eq!(due(&mut model, 100 + 9 * SECOND), three);
    let (verdict, entries) = model.expire(1, 3);
    assert_eq!((verdict.outcome, verdict.booked_at), (POSTED, START + 100 + 9 * SECOND));
    check_entries(
        &entries,
        &[
            (CASH, 4, 0, DEBIT, 0, 0, 5, 0, 10, verdict.sequence - 2),
            (SHOP, 4, 0, CREDIT, 1, 0, 5, 0, 10, verdict.sequence - 2),
        ],
    );
    assert_eq!(model.expire(7, 2).0.booked_at, verdict.booked_at + 1);
    model.expire_due();
    assert_eq!(model.due(), []);
    assert_eq!(model.recorded(7, 2).map(|row| &row.deed), Some(&Deed::Item(reserve_for(8, 2, CASH, SHOP, 5))));
}

#[test]
fn an_expiry_out_of_its_turn_is_noticed() {
    let wrongs: [fn(&mut Model); 5] = [
        |model| drop(model.expire(1, 3)),
        |model| {
            model.begin_round(START + 10 * SECOND);
            model.expire(1, 1);
            model.expire(1, 3);
        },
        |model| {
            model.begin_round(START + 10 * SECOND);
            model.run(1, &pay(50, CASH, CASH, 1));
            model.expire(1, 3);
        },
        |model| {
            model.begin_round(START + 10 * SECOND);
            model.expire(1, 3);
            model.expire(1, 3);
        },
        |model| {
            model.run(1, &Item::release(50, 3));
            model.begin_round(START + 10 * SECOND);
            model.expire(1, 3);
        },
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let mut model = expiring();
        let run = std::panic::catch_unwind(move || wrong(&mut model));
        assert!(run.is_err(), "wrong expiry {number}");
    }
}

#[test]
fn at_most_1024_holds_expire_in_a_round() {
    let mut model = ledger();
    for id in 1..=1_030 {
        posted(&mut model, &reserve_for(1, 1_000 + id, CASH, SHOP, 1));
    }
    model.begin_round(START + 9 * SECOND);
    model.expire_due();
    assert_eq!(model.due().len(), 6);
    let late = model.clone();
    assert!(std::panic::catch_unwind(move || late.clone().expire(1, 2_025)).is_err(), "one more in this round");
    assert_eq!(model.run(1, &Item::capture(5_000, 2_025, &[])).0.outcome, HOLD_EXPIRED, "though not yet booked");
    model.begin_round(0);
    model.expire_due();
    assert_eq!(model.due(), []);
    assert_eq!(model.account(1, CASH).map(|account| account.incoming.clone()), Some(BigInt::ZERO));
}
