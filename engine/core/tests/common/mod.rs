//! A ledger driven without actors: what the tests of frames and of replay share.

use florin_core::coordinator::{Command, Request, RoundLimits};
use florin_core::frame::DraftHead;
use florin_core::replay::Ledger;

/// A frame as the engine hands it to the log.
#[derive(Clone)]
pub struct Encoded {
    /// Its head.
    pub head: DraftHead,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Its vouchers.
    pub vouchers: Vec<u8>,
}

/// Runs requests on one shard, each in a frame of its own, at the times that are given.
pub fn drive(requests: Vec<Request>, time: impl Fn(&Request) -> u64) -> (Ledger, Vec<Encoded>) {
    let mut ledger = Ledger::new(1, RoundLimits::default(), 1);
    let mut frames = Vec::new();
    for (ticket, request) in requests.into_iter().enumerate() {
        let Ledger { coordinator, shards, .. } = &mut ledger;
        let shard = &mut shards[0];
        let now = time(&request);
        coordinator.submit(ticket as u64, request);
        while coordinator.close_round(now, Ok(())) {
            while let Some(command) = coordinator.next_command() {
                match command {
                    Command::Run(round) => {
                        let (decisions, results) = shard.run(&round);
                        coordinator.on_ran(round.number, decisions, results);
                    }
                    Command::PrepareOpening(opening) => {
                        coordinator.on_opening_ballot(0, shard.prepare_opening(&opening));
                    }
                    Command::FinishOpening { opening, sequences, times } => {
                        shard.finish_opening(&opening, &sequences, &times);
                    }
                    Command::Change(changes) => coordinator.on_changed(0, shard.change(&changes)),
                    Command::Pass(number) => shard.pass(number),
                    Command::Frame(draft) => {
                        let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
                        draft.encode(&mut payload, &mut vouchers);
                        frames.push(Encoded { head: draft.head(), payload, vouchers });
                    }
                    Command::Answer(_) | Command::Read { .. } => {}
                    other => panic!("not expected of one shard: {other:?}"),
                }
            }
        }
    }
    (ledger, frames)
}
