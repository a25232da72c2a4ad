//! Control records: assets, institutions, open days.

use super::stage::*;
use super::{Case, case};
use crate::model::item::*;
use crate::model::number::*;

/// Nanoseconds of a day.
const DAY: u64 = 86_400 * SECOND;

pub fn cases() -> Vec<Case> {
    [vec![malformed(), order()], assets(), institutions(), open_days(), vec![full_of_assets(), full_of_institutions()]]
        .concat()
}

fn record(text: &str) -> Control {
    Control { id: 1, record: text.as_bytes().to_vec() }
}

fn open_day(id: u128, date: &str) -> Control {
    Control { id, ..record(&format!(r#"{{"date":"{date}","record":"open_day"}}"#)) }
}

fn malformed() -> Case {
    let mut malformed = case("a record that cannot be read leaves no trace");
    for text in [
        "",
        "{",
        "CZK",
        "[]",
        "{}",
        r#"["asset","XXX","9","2"]"#,
        r#"{"code":"XXX","number":"0","record":"asset","scale":"2"}"#,
        r#"{"code":"XXX","number":"08","record":"asset","scale":"2"}"#,
        r#"{"code":"XXX","number":"4294967296","record":"asset","scale":"2"}"#,
        r#"{"code":"XXX","number":8,"record":"asset","scale":"2"}"#,
        r#"{"code":"XXX","number":"8","record":"asset","scale":"+2"}"#,
        r#"{"code":"XXX","number":"8","record":"asset","scale":"19"}"#,
        r#"{"code":"XXX","number":"8","record":"asset"}"#,
        r#"{"code":"XXX","number":"8","record":"account","scale":"2"}"#,
        r#"{"code":"XXX","number":"8","other":"1","record":"asset","scale":"2"}"#,
        r#"{"code":"","number":"8","record":"asset","scale":"2"}"#,
        r#"{"code":"xxx","number":"8","record":"asset","scale":"2"}"#,
        r#"{"code":"ABCDEFGHIJKLMNOPQ","number":"8","record":"asset","scale":"2"}"#,
        r#"{"name":"","number":"8","record":"institution"}"#,
        r#"{"name":"N","number":"0","record":"institution"}"#,
        r#"{"name":"N","number":"-8","record":"institution"}"#,
        r#"{"name":"N","record":"institution"}"#,
        r#"{"code":"N","name":"N","number":"8","record":"institution"}"#,
        r#"{"date":"1970-01-01","record":"open_day"}"#,
        r#"{"date":"1969-12-31","record":"open_day"}"#,
        r#"{"date":"2149-06-07","record":"open_day"}"#,
        r#"{"date":"2025-02-29","record":"open_day"}"#,
        r#"{"date":"2025-11-31","record":"open_day"}"#,
        r#"{"date":"2025-13-01","record":"open_day"}"#,
        r#"{"date":"2025-00-10","record":"open_day"}"#,
        r#"{"date":"2025-10-00","record":"open_day"}"#,
        r#"{"date":"2025-10-9","record":"open_day"}"#,
        r#"{"date":"+2025-10-09","record":"open_day"}"#,
        r#"{"date":"20371","record":"open_day"}"#,
        r#"{"date":20371,"record":"open_day"}"#,
        r#"{"date":"2025-10-10","institution":"1","record":"open_day"}"#,
    ] {
        malformed = malformed.ask(record(text), CONTROL_MALFORMED);
    }
    malformed.ask(Control::institution(1, 8, &"å".repeat(33)), CONTROL_MALFORMED).given(Control::institution(
        1,
        8,
        &"å".repeat(32),
    ))
}

fn order() -> Case {
    let asset = |id| Control::asset(id, 7, "BTC", 8);
    case("control: neighbouring checks")
        .pair(Control { id: 0, record: vec![] }, ID_ZERO, record(""), CONTROL_MALFORMED)
        .given(Control::institution(2, 7, "Seven"))
        .given(asset(3))
        .institution(99)
        .pair(record(""), CONTROL_MALFORMED, asset(1), INSTITUTION_UNKNOWN)
        .institution(7)
        .given(Control::open_day(4, TODAY + 1))
        .pair_at(asset(4), (NOT_PERMITTED, 0), Control::open_day(4, TODAY + 2), (30, field::RECORD))
        .ask(Control::institution(5, 8, "Eight"), NOT_PERMITTED)
        .pair_at(
            Control::open_day(4, TODAY),
            (ID_USED_WITH_OTHER_FIELDS, field::RECORD),
            Control::open_day(6, TODAY),
            (OPEN_DAY_NOT_FORWARD, 0),
        )
        .institution(1)
        .pair_at(
            Control::asset(3, 7, "BTC", 9),
            (ID_USED_WITH_OTHER_FIELDS, field::RECORD),
            Control::asset(7, 7, "BTC", 9),
            (ASSET_EXISTS_WITH_OTHER_FIELDS, 0),
        )
        .pair_at(
            Control::institution(2, 7, "Other"),
            (ID_USED_WITH_OTHER_FIELDS, field::RECORD),
            Control::institution(8, 7, "Other"),
            (INSTITUTION_EXISTS_WITH_OTHER_FIELDS, 0),
        )
}

fn assets() -> Vec<Case> {
    vec![
        case("an asset never changes")
            .given(Control::asset(1, CZK, "CZK", 2))
            .ask(Control::asset(2, CZK, "CZK", 3), ASSET_EXISTS_WITH_OTHER_FIELDS)
            .ask(Control::asset(3, CZK, "CSK", 2), ASSET_EXISTS_WITH_OTHER_FIELDS)
            .ask(Control::asset(4, 200, "CZK", 2), ASSET_EXISTS_WITH_OTHER_FIELDS)
            .given(Control::asset(5, 7, "BTC", 8))
            .given(Control::asset(6, u32::MAX, "A.B-C_1234567890", 18)),
        case("an asset can be used as soon as it is registered")
            .ask(Opening::new(50, 7, DEBIT), ASSET_UNKNOWN)
            .given(Control::asset(1, 7, "BTC", 8))
            .given(Opening::new(50, 7, DEBIT))
            .given(Item::transfer(2, 50, 50, 7, 1)),
    ]
}

fn institutions() -> Vec<Case> {
    vec![
        case("an institution is served as soon as it is registered")
            .institution(7)
            .ask(Opening::new(50, CZK, DEBIT), INSTITUTION_UNKNOWN)
            .ask(Control::open_day(1, TODAY + 1), INSTITUTION_UNKNOWN)
            .institution(1)
            .given(Control::institution(1, 7, "Seven"))
            .institution(7)
            .given(Opening::new(50, CZK, DEBIT))
            .given(pay(1, 50, 50, 1)),
        case("an institution never changes its name, and names may be the same")
            .given(Control::institution(1, 7, "Seven"))
            .given(Control::institution(2, 7, "Seven"))
            .ask(Control::institution(3, 7, "Eight"), INSTITUTION_EXISTS_WITH_OTHER_FIELDS)
            .ask(Control::institution(4, 1, "One"), INSTITUTION_EXISTS_WITH_OTHER_FIELDS)
            .given(Control::institution(5, 8, "Seven"))
            .given(Control::institution(6, u32::MAX, "\\u00e5")),
    ]
}

fn open_days() -> Vec<Case> {
    vec![
        case("the open day never goes back, from the date of today on")
            .ask(Control::open_day(1, TODAY - 1), OPEN_DAY_NOT_FORWARD)
            .given(Control::open_day(2, TODAY))
            .given(Control::open_day(3, TODAY + 5))
            .given(Control::open_day(4, TODAY + 5))
            .ask(Control::open_day(5, TODAY + 4), OPEN_DAY_NOT_FORWARD)
            .given(Control::open_day(6, TODAY + 6))
            .repeat(Control::open_day(3, TODAY + 5), POSTED, 0)
            .given(Control::open_day(7, u16::MAX))
            .ask(Control::open_day(8, u16::MAX - 1), OPEN_DAY_NOT_FORWARD),
        case("dates are days of the calendar")
            .given(open_day(1, "2028-02-29"))
            .ask(open_day(2, "2028-02-28"), OPEN_DAY_NOT_FORWARD)
            .given(open_day(3, "2028-03-01"))
            .given(open_day(4, "2100-02-28"))
            .ask(open_day(5, "2100-02-29"), CONTROL_MALFORMED)
            .given(open_day(6, "2149-06-06")),
        case("an institution has its own open day")
            .given(Control::institution(1, 7, "Seven"))
            .given(Control::open_day(2, TODAY + 5))
            .institution(7)
            .given(Control::open_day(3, TODAY + 1)),
        case("an open day stays open, whatever the clock says")
            .given(Control::open_day(1, TODAY + 1))
            .at(5 * DAY)
            .given(Control::open_day(2, TODAY + 2)),
        case("until it is set, the open day is the date of the clock")
            .at(5 * DAY)
            .ask(Control::open_day(1, TODAY + 4), OPEN_DAY_NOT_FORWARD)
            .given(Control::open_day(2, TODAY + 5)),
    ]
}

fn full_of_assets() -> Case {
    let mut full = case("control: ten thousand assets, and no more");
    for number in 0..9_998u32 {
        full = full.given(Control::asset(10_000 + u128::from(number), 10_000 + number, &format!("X{number}"), 0));
    }
    full.pair(
        Control::asset(1, 9, "CZK", 2),
        ASSET_EXISTS_WITH_OTHER_FIELDS,
        Control::asset(2, 9, "ZZZ", 2),
        TOO_MANY_ASSETS,
    )
    .given(Control::asset(3, CZK, "CZK", 2))
}

fn full_of_institutions() -> Case {
    let mut full = case("control: ten thousand institutions, and no more");
    for number in 2..=10_000 {
        full = full.given(Control::institution(10_000 + u128::from(number), number, "N"));
    }
    full.pair(
        Control::institution(1, 9, "M"),
        INSTITUTION_EXISTS_WITH_OTHER_FIELDS,
        Control::institution(2, 10_001, "N"),
        TOO_MANY_INSTITUTIONS,
    )
    .given(Control::institution(3, 9, "N"))
}
