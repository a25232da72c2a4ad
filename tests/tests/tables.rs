//! The tables of rules on the shipped coordinator and shards: what they say was worked out by hand, so a mistake that
//! engine and model share is found here.

use florin_tests::sim::SHARDS;
use florin_tests::tables::{self, Case, EngineLedger};

#[test]
fn the_engine_does_what_the_tables_say_on_any_number_of_shards() {
    let cases = tables::all();
    for shards in SHARDS {
        let skipped = tables::check(&cases, &mut EngineLedger::new(shards));
        assert_eq!(skipped, 0, "{shards} shards: the engine can do everything");
    }
    let asked: usize = cases.iter().map(|case: &Case| case.outcomes().len()).sum();
    let (cases, runs) = (cases.len(), SHARDS.len());
    println!("{cases} cases with {asked} asked, on {SHARDS:?} shards: {} passed, 0 failed", cases * runs);
}
