//! Programs are the same for a seed, and reach what they aim at: run on the model alone, with a clock as a simulation
//! has.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::*;
use crate::model::item::*;
use crate::model::number::*;
use crate::model::{Deed, Model, Verdict};

/// Programs that are run to see what they reach.
const PROGRAMS: u64 = 1_500;

/// What came about.
#[derive(Default)]
struct Reached {
    outcomes: BTreeMap<u16, u64>,
    /// Fields in which repeats differed.
    fields: BTreeMap<u16, u64>,
    repeats: u64,
    /// Rows, by what they are.
    rows: BTreeMap<&'static str, u64>,
    alarms: u64,
}

fn run(seed: u64, reached: &mut Reached) {
    const SECOND: u64 = 1_000_000_000;
    let mut rng = Rng::part(seed, "clock");
    let mut model = Model::new();
    let mut now = 1_760_000_000 * SECOND;
    for step in Program::random(seed).steps {
        now += match rng.below(12) {
            0 => SECOND,
            1 => SECOND * rng.below(4) as u64,
            2 if rng.chance(20) => 86_400 * SECOND,
            _ => rng.below(1_000) as u64,
        };
        model.begin_round(now);
        model.expire_due();
        let verdicts: Vec<Verdict> = match step {
            Step::Run { institution, items, .. } => items.iter().map(|item| model.run(institution, item).0).collect(),
            Step::Change { institution, changes } => {
                changes.iter().map(|change| model.change(institution, change).0).collect()
            }
            Step::Open { institution, openings } => openings.iter().map(|o| model.open(institution, o)).collect(),
            Step::Control { institution, control } => vec![model.control(institution, &control)],
            Step::Heave { institution, heave } => {
                model.heave(institution, &heave);
                vec![]
            }
            Step::Read { .. } => vec![],
        };
        for verdict in verdicts {
            reached.repeats += u64::from(verdict.repeat);
            *reached.outcomes.entry(verdict.outcome).or_default() += u64::from(!verdict.repeat);
            if verdict.outcome == ID_USED_WITH_OTHER_FIELDS {
                *reached.fields.entry(verdict.detail).or_default() += 1;
            }
        }
    }
    for row in model.rows() {
        let what = match &row.deed {
            _ if row.verdict.outcome != POSTED => "refused",
            Deed::Item(item) => ["post", "hold", "increase", "capture", "release", "reverse"][usize::from(item.kind)],
            Deed::Change(_) => "change",
            Deed::Control { .. } => "control",
            Deed::Opening(_) => "opening",
            Deed::Expiry(_) => "expiry",
        };
        *reached.rows.entry(what).or_default() += 1;
        reached.alarms += row.entries.iter().filter(|entry| entry.alarm).count() as u64;
    }
    check_books(seed, &model);
}

/// Nothing is ever out of balance: posted, held, and what is held against each other.
fn check_books(seed: u64, model: &Model) {
    let mut sums = BTreeMap::new();
    for (institution, number, account) in model.accounts() {
        let [posted, reserved] =
            sums.entry((institution, account.opening.asset)).or_insert([BigInt::ZERO, BigInt::ZERO]);
        let (signed, net) = (account.posted.clone(), &account.incoming - &account.held);
        let debit_normal = account.opening.normal_side == DEBIT;
        *posted += if debit_normal { signed } else { -signed };
        *reserved += if debit_normal { net } else { -net };
        assert!(account.held >= BigInt::ZERO && account.incoming >= BigInt::ZERO, "seed {seed}: account {number}");
    }
    let zero = [BigInt::ZERO, BigInt::ZERO];
    assert!(sums.values().all(|sum| *sum == zero), "seed {seed}: {sums:?}");
}

#[test]
fn a_seed_always_gives_the_same_program() {
    for seed in 0..20 {
        assert_eq!(Program::random(seed), Program::random(seed));
    }
}

#[test]
fn programs_ask_for_items() {
    for seed in 0..200 {
        assert!(Program::random(seed).items() >= 10, "seed {seed}");
    }
}

#[test]
fn programs_reach_every_outcome_every_field_and_every_kind_of_row() {
    let mut reached = Reached::default();
    (0..PROGRAMS).for_each(|seed| run(seed, &mut reached));
    for (number, name) in reachable() {
        println!("{:>9} {name} ({number})", reached.outcomes.get(&number).copied().unwrap_or(0));
    }
    println!(
        "repeats {}, alarms {}, fields {:?}, rows {:?}",
        reached.repeats, reached.alarms, reached.fields, reached.rows
    );
    let never = reachable().filter(|(number, _)| reached.outcomes.get(number).copied().unwrap_or(0) == 0);
    assert_eq!(never.map(|(_, name)| name).collect::<Vec<_>>(), [] as [&str; 0], "outcomes that never came about");
    let of_openings = [field::OWNER, field::SUBJECT, field::NORMAL_SIDE, field::CATEGORY];
    let fields = (field::KIND..=field::STATUS).filter(|number| !of_openings.contains(number));
    let never: Vec<u16> = fields.filter(|number| !reached.fields.contains_key(number)).collect();
    assert_eq!(never, [] as [u16; 0], "fields that no repeat differed in");
    assert_eq!(reached.rows.len(), 11, "{:?}", reached.rows);
    assert_ne!(reached.alarms, 0);
}
