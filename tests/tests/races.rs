//! Named races on the shipped coordinator and shards: rivals that arrive in any order, in one round or in neighbouring
//! ones, with every order of messages that FIFO links allow. The reference model judges each run; here is asserted that
//! the rivals did meet: every way in which the race can end was seen on every number of shards, and nothing else was.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use florin_core::coordinator::RoundLimits;
use florin_core::entry::RowKind;
use florin_core::frame::Record;
use florin_core::limits::{OPEN_ROUNDS_MAX, POSTINGS_MAX};
use florin_tests::model::item::*;
use florin_tests::model::number::*;
use florin_tests::program::{Program, Step};
use florin_tests::rng::Rng;
use florin_tests::sim::{self, Log, SHARDS, Setting};

/// Runs of each race on each number of shards.
const SEEDS: u64 = 400;
const ASSET: u32 = 203;
/// The hold or original that the rivals name.
const NAMED: u128 = 10;

/// Who takes part: Alice has 100 and a floor of 0, the others have no limits. Their numbers are random, so that they are
/// on one shard in some runs and on several in others.
struct Stage {
    cash: u128,
    alice: u128,
    shop: u128,
}

impl Stage {
    fn random(rng: &mut Rng) -> Stage {
        let [cash, alice, shop] = [(); 3].map(|()| rng.next_u128() | 1);
        Stage { cash, alice, shop }
    }

    fn beginning(&self) -> Vec<Step> {
        let openings = vec![
            Opening::new(self.cash, ASSET, DEBIT),
            Opening::new(self.alice, ASSET, CREDIT).with_floor(0),
            Opening::new(self.shop, ASSET, CREDIT),
        ];
        vec![
            Step::Control { institution: 1, control: Control::asset(901, ASSET, "CZK", 2) },
            Step::Open { institution: 1, openings },
            ask([self.pay(902, self.cash, self.alice, 100)]),
        ]
    }

    fn pay(&self, id: u128, debited: u128, credited: u128, amount: u128) -> Item {
        Item::transfer(id, debited, credited, ASSET, amount)
    }

    /// Alice reserves money for the shop.
    fn hold(&self, timeout: u32, amount: u128) -> Item {
        Item { timeout, ..Item { kind: HOLD, ..self.pay(NAMED, self.alice, self.shop, amount) } }
    }
}

fn ask(items: impl Into<Vec<Item>>) -> Step {
    Step::Run { institution: 1, transfers: false, items: items.into() }
}

fn both(amount: u128) -> [(u16, u128); 2] {
    [(0, amount), (1, amount)]
}

/// A row as the log has it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    outcome: u16,
    round: u64,
    sequence: u64,
    booked_at: u64,
}

/// All items and changes by id, and the expiry of the hold.
fn rows(log: &Log) -> (BTreeMap<u128, Seen>, Option<Seen>) {
    let (mut rows, mut expiry) = (BTreeMap::new(), None);
    for frame in &log.frames {
        for record in frame.records() {
            let (id, result) = match &record {
                Record::Transaction(t) => (t.id, t.result),
                Record::Change(c) => (c.row.id.get(), c.result),
                Record::Open(_) | Record::Control(_) => continue,
            };
            let (sequence, booked_at) = (result.sequence, result.booked_at);
            let seen = Seen { outcome: result.outcome.number(), round: frame.head.number, sequence, booked_at };
            if matches!(&record, Record::Transaction(t) if t.kind == RowKind::Expiry) {
                expiry = Some(seen);
            } else {
                rows.insert(id, seen);
            }
        }
    }
    (rows, expiry)
}

/// What rivals need, and the rivals, which arrive in any order.
type Written = (Vec<Step>, Vec<Step>);

/// Rivals, after what they need has been asked for.
struct Race {
    /// What it needs, and the rivals, which arrive in any order.
    write: fn(&Stage, &mut Rng) -> Written,
    /// Ids whose outcomes say how it ended; the first two are looked at for whether they met in a round.
    ids: &'static [u128],
    /// All ways in which it can end.
    endings: &'static [&'static [u16]],
    /// Whether votes can be in doubt, on several shards.
    has_doubt: bool,
    /// See [`Setting`].
    near_due: usize,
}

impl Race {
    /// Runs the race and shows each run to `look`.
    fn run(&self, name: &str, mut look: impl FnMut(&BTreeMap<u128, Seen>, Option<Seen>)) {
        for shards in SHARDS {
            let (mut endings, mut maybes) = (BTreeMap::<Vec<u16>, u64>::new(), 0);
            let [mut together, mut apart] = [0, 0];
            for seed in 0..SEEDS {
                let mut rng = Rng::part(seed, &format!("{name} on {shards} shards"));
                let stage = Stage::random(&mut rng);
                let (needs, mut rivals) = (self.write)(&stage, &mut rng);
                for i in (1..rivals.len()).rev() {
                    rivals.swap(i, rng.below(i + 1));
                }
                let program = Program { steps: [stage.beginning(), needs, rivals].concat() };
                let setting = self.setting(shards, &mut rng);
                let run = AssertUnwindSafe(|| sim::run_program(&program, &setting, &mut rng));
                let (tally, log) = catch_unwind(run).unwrap_or_else(|reason| {
                    eprintln!("{name}, {shards} shards, seed {seed}");
                    resume_unwind(reason)
                });
                let (rows, expiry) = rows(&log);
                *endings.entry(self.ids.iter().map(|id| rows[id].outcome).collect()).or_default() += 1;
                match rows[&self.ids[0]].round.abs_diff(rows[&self.ids[1]].round) {
                    0 => together += 1,
                    1 => apart += 1,
                    _ => {}
                }
                maybes += tally.maybes;
                look(&rows, expiry);
            }
            println!(
                "{name}, {shards} shards: {endings:?}; {together} in one round, {apart} in neighbouring ones; \
                 {maybes} votes in doubt"
            );
            let expected: BTreeSet<Vec<u16>> = self.endings.iter().map(|ending| ending.to_vec()).collect();
            assert_eq!(endings.into_keys().collect::<BTreeSet<_>>(), expected, "{name} on {shards} shards");
            assert!(together > 0 && apart > 0, "{name} on {shards} shards: the rivals never met");
            assert!(maybes > 0 || !self.has_doubt || shards == 1, "{name} on {shards} shards: never in doubt");
        }
    }

    /// Small rounds, several open at a time, a crash now and then.
    fn setting(&self, shards: usize, rng: &mut Rng) -> Setting {
        let limits = RoundLimits {
            transactions: rng.pick(&[1, 2, 3, 5, 50]),
            postings: POSTINGS_MAX,
            open_rounds: rng.between(1, OPEN_ROUNDS_MAX),
            ..RoundLimits::default()
        };
        Setting {
            shards,
            limits,
            crashes_max: rng.pick(&[0, 0, 0, 1]),
            eagerness: [rng.between(1, 6), rng.between(1, 6)],
            refused_rounds: 0,
            near_due: self.near_due,
        }
    }
}

#[test]
fn two_captures_of_one_hold_never_take_more_than_it_has() {
    let race = Race {
        write: |stage, _| {
            let rivals = vec![
                ask([Item::capture(11, NAMED, &both(80))]),
                ask([Item::capture(12, NAMED, &both(70)).finally()]),
                // What the final one frees can be spent.
                ask([stage.pay(13, stage.alice, stage.cash, 20)]),
            ];
            (vec![ask([stage.hold(0, 100)])], rivals)
        },
        ids: &[11, 12, 13],
        endings: &[
            &[POSTED, EXCEEDS_HOLD, BELOW_FLOOR],
            &[HOLD_CLOSED, POSTED, POSTED],
            &[HOLD_CLOSED, POSTED, BELOW_FLOOR],
        ],
        has_doubt: true,
        near_due: 0,
    };
    race.run("two captures of one hold", |_, _| {});
}

#[test]
fn a_capture_is_in_time_right_before_the_expiry_of_its_hold_and_late_at_it() {
    let race = Race {
        write: |stage, rng| {
            // Something before it in its request shifts when it is booked by a few nanoseconds.
            let fillers = rng.below(4) as u128;
            let mut items: Vec<Item> = (0..fillers).map(|i| stage.pay(100 + i, stage.cash, stage.shop, 1)).collect();
            items.push(Item::capture(11, NAMED, &both(60)));
            // Only what the expiry frees can pay this.
            (vec![ask([stage.hold(1, 100)])], vec![ask(items), ask([stage.pay(12, stage.alice, stage.cash, 90)])])
        },
        ids: &[11, 12],
        endings: &[&[POSTED, BELOW_FLOOR], &[HOLD_EXPIRED, BELOW_FLOOR], &[HOLD_EXPIRED, POSTED]],
        has_doubt: true,
        near_due: 100,
    };
    let [mut just_in_time, mut at_the_moment, mut before_the_row, mut after_the_row, mut waited] = [0; 5];
    race.run("a capture and the expiry of its hold", |rows, expiry| {
        let (capture, expires_at) = (rows[&11], rows[&NAMED].booked_at + 1_000_000_000);
        assert_eq!(capture.outcome == POSTED, capture.booked_at < expires_at, "{capture:?}");
        let expiry = expiry.expect("it expires, whatever was captured");
        just_in_time += u64::from(capture.booked_at + 1 == expires_at);
        at_the_moment += u64::from(capture.booked_at == expires_at);
        before_the_row += u64::from(capture.outcome != POSTED && capture.sequence < expiry.sequence);
        after_the_row += u64::from(capture.sequence > expiry.sequence);
        waited += u64::from(capture.outcome == POSTED && expiry.round == capture.round + 1);
    });
    println!(
        "captured 1 ns before the expiry {just_in_time} times, refused at it {at_the_moment}; refused before its row \
         {before_the_row}, after it {after_the_row}; expired in the next round {waited}"
    );
    assert!([just_in_time, at_the_moment, before_the_row, after_the_row, waited].iter().all(|times| *times > 0));
}

#[test]
fn a_freeze_stops_every_payment_that_comes_after_it_and_none_before() {
    let race = Race {
        write: |stage, _| {
            let freeze = Change::status(11, stage.alice, DEBIT_FROZEN);
            let rivals = vec![
                ask([stage.pay(12, stage.alice, stage.shop, 70)]),
                ask([stage.pay(13, stage.alice, stage.shop, 60)]),
                Step::Change { institution: 1, changes: vec![freeze] },
            ];
            (vec![], rivals)
        },
        ids: &[12, 13, 11],
        endings: &[
            &[POSTED, BELOW_FLOOR, POSTED],
            &[BELOW_FLOOR, POSTED, POSTED],
            &[POSTED, ACCOUNT_DEBIT_FROZEN, POSTED],
            &[ACCOUNT_DEBIT_FROZEN, POSTED, POSTED],
            &[ACCOUNT_DEBIT_FROZEN, ACCOUNT_DEBIT_FROZEN, POSTED],
        ],
        has_doubt: true,
        near_due: 0,
    };
    race.run("a freeze and payments", |rows, _| {
        let freeze = rows[&11];
        for id in [12, 13] {
            let is_after = rows[&id].sequence > freeze.sequence;
            assert_eq!(rows[&id].outcome == ACCOUNT_DEBIT_FROZEN, is_after, "{rows:?}");
            assert_ne!(rows[&id].round, freeze.round, "a change has its round for itself");
        }
    });
}

#[test]
fn two_reversals_of_one_original_never_give_back_more_than_it_was() {
    let race = Race {
        write: |stage, _| {
            let rivals = vec![
                ask([Item::reverse(11, NAMED, &both(60))]),
                ask([Item::reverse(12, NAMED, &both(70))]),
                // Only what was given back can pay this.
                ask([stage.pay(13, stage.alice, stage.cash, 50)]),
            ];
            (vec![ask([stage.pay(NAMED, stage.alice, stage.shop, 100)])], rivals)
        },
        ids: &[11, 12, 13],
        endings: &[
            &[POSTED, EXCEEDS_ORIGINAL, POSTED],
            &[POSTED, EXCEEDS_ORIGINAL, BELOW_FLOOR],
            &[EXCEEDS_ORIGINAL, POSTED, POSTED],
            &[EXCEEDS_ORIGINAL, POSTED, BELOW_FLOOR],
        ],
        has_doubt: true,
        near_due: 0,
    };
    race.run("two reversals of one original", |_, _| {});
}

#[test]
fn what_one_request_places_and_posts_can_be_captured_and_reversed_in_it() {
    let race = Race {
        write: |stage, _| {
            let chain = [
                stage.hold(0, 60),
                Item::capture(11, NAMED, &[]),
                stage.pay(12, stage.alice, stage.shop, 40),
                Item::reverse(13, 12, &[]),
                Item::reverse(14, 11, &[]),
            ];
            let rivals = vec![
                ask(chain),
                ask([stage.pay(15, stage.alice, stage.cash, 50)]),
                ask([stage.pay(16, stage.alice, stage.cash, 70)]),
            ];
            (vec![], rivals)
        },
        ids: &[NAMED, 11, 12, 13, 14, 15, 16],
        endings: &[
            &[POSTED, POSTED, POSTED, POSTED, POSTED, POSTED, BELOW_FLOOR],
            &[POSTED, POSTED, POSTED, POSTED, POSTED, BELOW_FLOOR, POSTED],
            &[BELOW_FLOOR, HOLD_UNKNOWN, POSTED, POSTED, ORIGINAL_NOT_POSTED, POSTED, BELOW_FLOOR],
            &[BELOW_FLOOR, HOLD_UNKNOWN, BELOW_FLOOR, ORIGINAL_NOT_POSTED, ORIGINAL_NOT_POSTED, BELOW_FLOOR, POSTED],
        ],
        has_doubt: true,
        near_due: 0,
    };
    race.run("a hold, its capture, a post and its reversals in one request", |_, _| {});
}
