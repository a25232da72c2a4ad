//! Requests on their way to the coordinator. One message is enough for all that come before it is taken: with many small
//! requests a message each would cost more than the request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix::prelude::*;
use crossbeam::queue::SegQueue;

use crate::coordinator_actor::CoordinatorActor;
use crate::handle::{Command, OnReply};

/// A request from outside.
pub struct Submission {
    /// The connection, or another caller, whose requests keep their order.
    pub origin: u64,
    /// What is asked.
    pub command: Command,
    /// Whom to tell.
    pub on_reply: OnReply,
}

/// There is something in the inbox; the first of it came then.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Arrived(pub Instant);

/// The queue in front of the coordinator. Bounded by the permits of those who submit.
#[derive(Default)]
pub struct Inbox {
    queue: SegQueue<Submission>,
    /// Whether a message is on its way that takes what is queued.
    announced: AtomicBool,
}

impl Inbox {
    /// Adds a request. Requests of one thread stay in order.
    pub fn submit(&self, submission: Submission, coordinator: &Addr<CoordinatorActor>) {
        self.queue.push(submission);
        if !self.announced.swap(true, Ordering::AcqRel) {
            coordinator.do_send(Arrived(Instant::now()));
        }
        if !coordinator.connected() {
            // Nobody takes them any more. Who is dropped unanswered tells its peer so.
            while self.queue.pop().is_some() {}
        }
    }

    /// Takes note that the message came: what is submitted from now on is announced anew.
    pub fn open(&self) {
        self.announced.swap(false, Ordering::AcqRel);
    }

    /// The next request.
    pub fn next(&self) -> Option<Submission> {
        self.queue.pop()
    }
}
