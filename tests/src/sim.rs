//! The simulator: the shipped coordinator, shards and log codec, on one thread, with every message delivered in an
//! order that FIFO mailboxes allow, and every result judged by the reference model.
//!
//! A seed fixes the program, the number of shards, the bounds of rounds, the order of messages, the clock and the
//! crashes; the same seed gives the same trace.

mod audit;
pub mod invariants;
pub(crate) mod judge;
mod log;
pub(crate) mod runs;
pub(crate) mod snapshots;
mod tally;
pub(crate) mod world;

use std::collections::VecDeque;

use florin_core::account::AccountKey;
use florin_core::coordinator::RoundLimits;
use florin_core::limits::{OPEN_ROUNDS_MAX, POSTINGS_MAX};
use florin_core::outcome::Outcome;

use crate::program::{Program, Step};
use crate::rng::Rng;
use invariants::{i6_one_outcome, i7_same_state, i9_serial};
use judge::{Asked, Life};
use runs::Runs;
use snapshots::Snapshot;
use world::World;

/// Nanoseconds of a year.
const YEAR: u64 = 365 * 86_400_000_000_000;

/// Numbers of shards that programs are run on.
pub const SHARDS: [usize; 4] = [1, 2, 3, 8];

pub use audit::Audit;
pub use log::{Log, StoredFrame};
pub use tally::Tally;

/// How a program is run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Shards at the beginning.
    pub shards: usize,
    /// Bounds of rounds.
    pub limits: RoundLimits,
    /// Of a hundred moves that could be a crash, how many are.
    pub crashes_max: usize,
    /// How eagerly clients submit and rounds are closed, compared with messages being delivered.
    pub eagerness: [usize; 2],
    /// Of a thousand rounds, how many meet a server that takes nothing at the moment.
    pub refused_rounds: usize,
    /// Of a hundred rounds, how many are closed within a few nanoseconds of the next expiry, if any hold has one.
    pub near_due: usize,
}

impl Setting {
    /// A random setting with this many shards.
    pub fn random(rng: &mut Rng, shards: usize) -> Setting {
        let (transactions, request_bytes) = (rng.pick(&[1, 5, 20, 60, 8_190]), rng.pick(&[1, 1_000, 100_000, 1 << 20]));
        let limits = RoundLimits {
            transactions,
            // Some cut their rounds; without a number of its own, so that seeds that are kept stay what they are.
            transactions_few: if request_bytes == 100_000 { 4 } else { 8_190 },
            request_bytes,
            postings: rng.pick(&[POSTINGS_MAX, 300, 20_000]),
            frame_bytes: rng.pick(&[40_000, 100_000, 4 << 20]),
            open_rounds: rng.between(1, OPEN_ROUNDS_MAX),
        };
        Setting {
            shards,
            limits,
            crashes_max: rng.pick(&[0, 0, 1, 2]),
            eagerness: [rng.between(1, 6), rng.between(1, 6)],
            refused_rounds: rng.pick(&[0, 0, 0, 20]),
            near_due: rng.pick(&[0, 0, 30]),
        }
    }
}

/// Runs the program of a seed with this many shards and judges it. Panics with the reason if anything differs.
pub fn run(seed: u64, shards: usize) -> Tally {
    let program = Program::random(seed);
    let mut rng = Rng::part(seed, &format!("{shards} shards"));
    let setting = Setting::random(&mut rng, shards);
    run_program(&program, &setting, &mut rng).0
}

/// Runs the program of a seed as [`run`] does and gives the log that it left.
pub fn record(seed: u64, shards: usize) -> Log {
    let mut rng = Rng::part(seed, &format!("{shards} shards"));
    let setting = Setting::random(&mut rng, shards);
    run_program(&Program::random(seed), &setting, &mut rng).1
}

/// Runs a program in a setting and judges it. Gives what was done and the log.
pub fn run_program(program: &Program, setting: &Setting, rng: &mut Rng) -> (Tally, Log) {
    let mut tally = Tally { runs: 1, ..Tally::default() };
    let mut steps: VecDeque<Step> = program.steps.iter().cloned().collect();
    let mut lives: Vec<Life> = vec![];
    let mut log = Log::default();
    let mut snapshot = Snapshot::default();
    let mut runs = Runs::new(rng.clone());
    let mut shards = setting.shards;
    let mut now = 1_760_000_000_000_000_000 + rng.word() % 1_000_000_000_000;
    for crashes_left in (0..=rng.between(0, setting.crashes_max)).rev() {
        let ledger = snapshots::recover(&mut snapshot, &mut runs, &log, shards, rng.word(), setting.limits);
        tally.snapshots += u64::from(snapshot.has_accounts());
        let mut world = World::new(ledger, log, setting.limits, runs, snapshot.frames);
        let patience = if crashes_left > 0 { Some(rng.below(40 + 6 * steps.len())) } else { None };
        let mut life = live(&mut world, &mut steps, setting, &mut now, patience, rng);
        tally.add_world(&world);
        (log, runs) = (world.log, world.runs);
        if crashes_left > 0 {
            // What was made into runs is durable, whatever else is lost.
            let durable = rng.between(life.began_at, log.frames.len()).max(runs.frames());
            log.cut(durable);
            life.durable = Some(durable);
            for asked in life.asked.iter().rev().filter(|a| !a.released(durable)) {
                steps.push_front(asked.step.clone());
            }
            shards = rng.pick(&SHARDS);
            tally.restarts += 1;
        } else {
            for other in SHARDS.into_iter().filter(|other| *other != shards) {
                i7_same_state::fold(&world.ledger, &log, other, rng.word(), setting.limits);
                tally.replays += 1;
            }
        }
        lives.push(life);
    }
    let ledger = snapshots::recover(&mut snapshot, &mut runs, &log, shards, 0, setting.limits);
    tally.runs_of_ids += runs.made;
    tally.fetches += runs.fetched;
    tally.snapshots += u64::from(snapshot.has_accounts());
    let model = judge::judge(&lives, &log, &mut tally);
    i9_serial::ledger(&model, &ledger);
    let ids = model.rows().iter().filter_map(|row| Some(((row.institution, row.deed.id()?), row.verdict.sequence)));
    let old_id = |institution, id| runs.old_id(&log, institution, id).map(|old| old.sequence);
    i6_one_outcome::ledger(&ledger, ids, old_id);
    (tally, log)
}

/// Goes on until everything is answered, or until patience runs out: then the process is killed.
fn live(
    world: &mut World,
    steps: &mut VecDeque<Step>,
    setting: &Setting,
    now: &mut u64,
    patience: Option<usize>,
    rng: &mut Rng,
) -> Life {
    let mut life = Life { began_at: world.log.frames.len(), ..Life::default() };
    let mut moves = 0;
    loop {
        if patience.is_some_and(|patience| moves >= patience) {
            break;
        }
        moves += 1;
        let [submit, close] = setting.eagerness;
        let submit = if may_submit(world, steps.front()) { submit } else { 0 };
        let due = world.ledger.coordinator.next_due();
        let close =
            if world.ledger.coordinator.has_waiting() || due.is_some_and(|due| due <= *now) { close } else { 0 };
        let links = world.links();
        if links.is_empty() {
            world.check_if_quiet();
        }
        if submit + close + links.len() == 0 {
            match due {
                // Nothing moves any more but time: the next hold expires, unless that takes years.
                Some(due) if due < *now + YEAR => *now = due.max(*now + 1),
                _ => break,
            }
            continue;
        }
        world.sync(rng);
        let choice = rng.below(submit + close + links.len());
        if choice < submit {
            let step = steps.pop_front().expect("a step to submit");
            let want_postings = rng.chance(70);
            let ticket = world.submit(&step, want_postings);
            life.asked.push(Asked { ticket, step, want_postings, answer: None, read: None, heaved_at: 0 });
            if let Some(Asked { step: Step::Heave { .. }, heaved_at, .. }) = life.asked.last_mut() {
                *heaved_at = world.log.frames.len();
            }
        } else if choice < submit + close {
            *now = match due {
                Some(due) if due < *now + YEAR && rng.chance(setting.near_due) => due - 3 + rng.below(6) as u64,
                _ if setting.near_due == 100 => *now + rng.word() % 1_000_000,
                _ => tick(*now, rng),
            };
            let admit = if rng.below(1000) < setting.refused_rounds {
                Err(rng.pick(&[Outcome::StorageFull, Outcome::ShuttingDown]))
            } else {
                Ok(())
            };
            world.close_round(*now, admit, &mut life);
        } else {
            world.deliver(links[choice - submit - close]);
        }
    }
    for asked in &mut life.asked {
        asked.answer = world.answers.remove(&asked.ticket);
        asked.read = world.reads.remove(&asked.ticket).filter(|read| read.is_complete());
    }
    if patience.is_none() {
        assert!(world.ledger.coordinator.is_idle(), "nothing moves any more, but the coordinator is not done");
        let silent = |a: &&Asked| a.answer.is_none() && a.read.is_none() && !matches!(a.step, Step::Heave { .. });
        assert_eq!(life.asked.iter().filter(silent).count(), 0, "a request was never answered");
    }
    life
}

/// A heave goes past the coordinator, so nothing may be under way.
fn may_submit(world: &World, step: Option<&Step>) -> bool {
    match step {
        None => false,
        Some(Step::Heave { .. }) => world.ledger.coordinator.is_idle() && world.links().is_empty(),
        Some(_) => true,
    }
}

/// The wall clock: mostly forwards, sometimes standing still or going back, sometimes to just before midnight.
fn tick(now: u64, rng: &mut Rng) -> u64 {
    const DAY: u64 = 86_400_000_000_000;
    match rng.below(10) {
        0 => now,
        1 => now - rng.word() % 1_000_000,
        2 => now + DAY,
        3 => now / DAY * DAY + DAY - 1 - rng.word() % 50,
        _ => now + rng.word() % 1_000_000,
    }
}

/// The key of an account in the engine's words.
pub(crate) fn key(institution: u32, account: u128) -> AccountKey {
    AccountKey { institution, account }
}
