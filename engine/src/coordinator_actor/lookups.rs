//! What memory does not know of a request's ids, and the originals of reversals: looked up in runs and the durable log by history before
//! the request is sequenced. Meanwhile the requests of the same connection wait, so that they keep their order; those of others go on.

use std::collections::VecDeque;

use actix::prelude::*;
use florin_core::coordinator::Ticket;
use florin_core::link::{Facts, Wanted};

use super::{CoordinatorActor, Release};
use crate::handle::{Command, OnReply, Reply};
use crate::history::Job;

/// Facts that were looked up, or why they could not be.
pub type Found = Result<Facts, String>;

/// What history found for the request at the front of a connection's queue.
#[derive(Message)]
#[rtype(result = "()")]
struct FoundFor(u64, Found);

/// What history found for a request that is sequenced next.
#[derive(Message)]
#[rtype(result = "()")]
struct FoundNext(Ticket, Found);

/// Requests of a connection that wait for the facts of the first.
pub(super) type HeldBack = VecDeque<(Command, OnReply)>;

impl CoordinatorActor {
    /// Takes a request in the order of its connection.
    pub(super) fn take(&mut self, origin: u64, command: Command, on_reply: OnReply) {
        if let Some(queue) = self.held_back.get_mut(&origin) {
            queue.push_back((command, on_reply));
            return;
        }
        match self.fetch_first(origin, &command) {
            Some(facts) => self.submit(command, on_reply, facts),
            None => drop(self.held_back.insert(origin, VecDeque::from([(command, on_reply)]))),
        }
    }

    /// Whether a request has to wait for facts, which are then being looked up; else what is known of it without.
    fn fetch_first(&mut self, origin: u64, command: &Command) -> Option<Facts> {
        let Command::Post { request, .. } = command else { return Some(Facts::default()) };
        let (wanted, looked_at) = self.core.wanted_by(request);
        if wanted.is_empty() {
            return Some(Facts { state: wanted.state, looked_at, ..Facts::default() });
        }
        let coordinator = self.address.clone().expect("an actor that has started");
        let then = Box::new(move |found: Found| {
            coordinator.do_send(FoundFor(origin, found.map(|facts| Facts { looked_at, ..facts })));
        });
        self.look_up(wanted, then);
        None
    }

    /// The core needs facts before it can go on.
    pub(super) fn fetch_next(&mut self, ticket: Ticket, wanted: Wanted) {
        let coordinator = self.address.clone().expect("an actor that has started");
        let then = Box::new(move |found| coordinator.do_send(FoundNext(ticket, found)));
        self.look_up(wanted, then);
    }

    fn look_up(&mut self, wanted: Wanted, then: Box<dyn FnOnce(Found) + Send>) {
        // A control record or an account change may have used the id of an original in a frame that is not durable yet, or not even
        // appended. What runs know is durable.
        let recent = wanted.originals.iter().any(|(_, sequence)| sequence.is_some());
        let after = if recent { self.core.last_round() } else { 0 };
        self.release(after, Release::LookUp(Job::LookUp { wanted, then }));
    }
}

impl Handler<FoundFor> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, FoundFor(origin, found): FoundFor, ctx: &mut Context<Self>) {
        let mut queue = self.held_back.remove(&origin).expect("requests that were held back");
        let (command, on_reply) = queue.pop_front().expect("the request that facts were looked up for");
        match found {
            Ok(facts) => self.submit(command, on_reply, facts),
            Err(error) => on_reply(Reply::Failed(error)),
        }
        while let Some((command, on_reply)) = queue.pop_front() {
            match self.fetch_first(origin, &command) {
                Some(facts) => self.submit(command, on_reply, facts),
                None => {
                    queue.push_front((command, on_reply));
                    self.held_back.insert(origin, queue);
                    break;
                }
            }
        }
        self.close_rounds();
        self.set_alarm(ctx);
        self.try_stop();
    }
}

impl Handler<FoundNext> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, FoundNext(ticket, found): FoundNext, ctx: &mut Context<Self>) {
        match found {
            Ok(facts) => self.core.on_facts(ticket, facts),
            Err(error) => {
                // The row is needed to decide, and everything behind it waits: a log that cannot be read is no base to go on.
                eprintln!("florin: {error}");
                eprintln!(
                    "florin: a row that was written cannot be read; the process ends. Check the disk and start it again"
                );
                std::process::abort();
            }
        }
        self.carry_out();
        self.close_rounds();
        self.set_alarm(ctx);
        self.try_stop();
    }
}
