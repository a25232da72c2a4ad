//! Writes control records: late ones, repeats, contradictions, ones that cannot be read.

use crate::model::item::Control;
use crate::program::accounts::{Cast, KnownAsset};
use crate::rng::Rng;

/// Names of institutions.
const NAMES: [&str; 2] = ["Bank", "Banka č. 2"];
/// About the day on which simulations begin.
const TODAY: usize = 20_370;

/// The records that a program begins with.
pub fn beginning(rng: &mut Rng, cast: &Cast) -> Vec<Control> {
    let assets = cast.assets.iter().filter(|a| !a.late).map(|asset| asset.control(rng.next_u128() | 1));
    let mut controls: Vec<Control> = assets.collect();
    for institution in cast.early_institutions().iter().filter(|i| **i != 1) {
        controls.push(Control::institution(rng.next_u128() | 1, *institution, NAMES[0]));
    }
    controls
}

/// A record among the items, with the institution that sends it.
pub fn again(rng: &mut Rng, cast: &Cast, institution: u32) -> (u32, Control) {
    // Half of the ids come from a small range, so that they meet again, also as ids of items.
    let id = if rng.chance(50) { rng.between(0, 8) as u128 } else { rng.next_u128() };
    // Only the house registers things; others try now and then.
    let house = if rng.chance(70) { 1 } else { institution };
    match rng.below(10) {
        0 => (house, Control { id, record: rng.pick(&BAD_RECORDS).as_bytes().to_vec() }),
        1..=3 => (house, asset(rng, cast, id)),
        4..=6 => (house, some_institution(rng, cast, id)),
        _ => (institution, Control::open_day(id, rng.between(TODAY - 1, TODAY + 12) as u16)),
    }
}

fn asset(rng: &mut Rng, cast: &Cast, id: u128) -> Control {
    let asset = &cast.assets[rng.below(cast.assets.len())];
    match rng.below(8) {
        0 => KnownAsset { scale: asset.scale + 1, ..asset.clone() }.control(id),
        1 => KnownAsset { number: asset.number + 40, ..asset.clone() }.control(id),
        _ => asset.control(id),
    }
}

fn some_institution(rng: &mut Rng, cast: &Cast, id: u128) -> Control {
    let number = match rng.below(8) {
        0 => rng.between(90, 99) as u32,
        1 => 1,
        2..=4 => *cast.institutions.last().expect("the house"),
        _ => rng.pick(&cast.institutions),
    };
    let name = if rng.chance(80) { NAMES[0] } else { NAMES[1] };
    Control::institution(id, number, name)
}

const BAD_RECORDS: [&str; 18] = [
    "",
    "{",
    "[]",
    r#"{"code":"CZK","number":"0","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","record":"asset","scale":"19"}"#,
    r#"{"code":"czk","number":"9","record":"asset","scale":"2"}"#,
    r#"{"code":"ABCDEFGHIJKLMNOPQ","number":"9","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"+9","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","record":"asset","scale":"02"}"#,
    r#"["asset","CZK","9","2"]"#,
    r#"{"code":"CZK","number":"9","record":"account","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","other":"1","record":"asset","scale":"2"}"#,
    r#"{"name":"","number":"2","record":"institution"}"#,
    r#"{"name":"Bank","number":"0","record":"institution"}"#,
    r#"{"name":"Bank","number":"2","other":"1","record":"institution"}"#,
    r#"{"date":"2025-10-32","record":"open_day"}"#,
    r#"{"date":"2025-1-10","record":"open_day"}"#,
    r#"{"date":20375,"record":"open_day"}"#,
];
