//! The shipped coordinator and shards as a ledger that tables are run on, one request after the other.
//!
//! Everything goes through bytes and frames as in a simulation; messages are delivered oldest first. The model runs
//! beside it, so that what tables leave open is compared too: how many entries were made, sequence numbers and times.

use florin_core::coordinator::RoundLimits;
use florin_core::replay;

use super::{Balances, Ledger, ModelLedger};
use crate::compare;
use crate::model::Verdict;
use crate::model::item::{Change, Control, Heave, Item, Opening};
use crate::program::Step;
use crate::sim::judge::{Life, resolve};
use crate::sim::runs::Runs;
use crate::sim::world::World;
use crate::sim::{self, Log};

/// Coordinator, shards and log, with a clock that stands still until it is set.
pub struct EngineLedger {
    shards: usize,
    world: World,
    beside: ModelLedger,
    life: Life,
    now: u64,
    requests: u64,
}

impl EngineLedger {
    /// An empty ledger with so many shards.
    pub fn new(shards: usize) -> EngineLedger {
        let limits = RoundLimits::default();
        EngineLedger {
            shards,
            world: World::new(replay::Ledger::new(shards, limits, 7), Log::default(), limits, Runs::never(), 0),
            beside: ModelLedger::default(),
            life: Life::default(),
            now: 0,
            requests: 0,
        }
    }

    /// Asks and waits: closes rounds and delivers messages until nothing is left to do.
    fn ask(&mut self, step: &Step) -> Vec<Verdict> {
        let ticket = self.world.submit(step, true);
        while self.world.ledger.coordinator.has_waiting() {
            self.world.close_round(self.now, Ok(()), &mut self.life);
            while let Some(link) = self.world.links().first() {
                self.world.deliver(*link);
            }
        }
        let answer = self.world.answers.remove(&ticket).expect("an answer");
        let reply = resolve(step, &answer, true, |sequence| self.world.log.record(sequence));
        reply.items().map(|item| compare::verdict(&item)).collect()
    }

    fn ask_one(&mut self, step: &Step) -> Verdict {
        let verdicts = self.ask(step);
        assert_eq!(verdicts.len(), 1, "one result");
        verdicts[0]
    }
}

impl Ledger for EngineLedger {
    fn reset(&mut self) {
        *self = EngineLedger::new(self.shards);
    }

    fn set_time(&mut self, now: u64) -> bool {
        self.now = now;
        self.beside.set_time(now)
    }

    fn heave(&mut self, institution: u32, heave: &Heave) -> bool {
        self.world.submit(&Step::Heave { institution, heave: heave.clone() }, false);
        self.beside.heave(institution, heave)
    }

    fn run(&mut self, institution: u32, items: &[Item]) -> Vec<Verdict> {
        // What can be sent as transfers is sent so every other time: then repeats come in the other form.
        self.requests += 1;
        let transfers = self.requests.is_multiple_of(2) && items.iter().all(Item::is_transfer);
        let got = self.ask(&Step::Run { institution, transfers, items: items.to_vec() });
        assert_eq!(got, self.beside.run(institution, items), "told, but the model says: {items:?}");
        got
    }

    fn open(&mut self, institution: u32, opening: &Opening) -> Verdict {
        let got = self.ask_one(&Step::Open { institution, openings: vec![opening.clone()] });
        assert_eq!(got, self.beside.open(institution, opening), "told, but the model says: {opening:?}");
        got
    }

    fn change(&mut self, institution: u32, change: &Change) -> Verdict {
        let got = self.ask_one(&Step::Change { institution, changes: vec![change.clone()] });
        assert_eq!(got, self.beside.change(institution, change), "told, but the model says: {change:?}");
        got
    }

    fn control(&mut self, institution: u32, control: &Control) -> Verdict {
        let got = self.ask_one(&Step::Control { institution, control: control.clone() });
        assert_eq!(got, self.beside.control(institution, control), "told, but the model says: {control:?}");
        got
    }

    fn balances(&mut self, institution: u32, account: u128) -> Balances {
        let key = sim::key(institution, account);
        let shard = &self.world.ledger.shards[usize::from(key.home(self.shards))];
        let record = shard.look_up(&key).expect("an account that exists");
        Balances { posted: record.posted.into(), held: record.held.into(), incoming: record.incoming.into() }
    }
}
