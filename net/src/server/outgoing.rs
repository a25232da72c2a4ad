//! Replies of one connection on their way out: encoded by whoever has the reply, written by the connection's writer.
//!
//! All replies that are there when the writer wakes leave in one write. What holds: a permit that was taken is given
//! back exactly once, when the reply was written or when it can no longer be; and an error reply that closes the
//! connection comes after the replies of everything that was taken.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use florin_core::outcome::Outcome;
use florin_engine::Reply;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::permits::{Budget, Cost};
use crate::codec::{errors, replies};
use crate::error::{ErrorCode, ProtocolError};
use crate::limits::SPARE_WRITE_BYTES_MAX;

/// How a connection ends once everything that was taken is answered.
#[derive(Clone, Debug)]
pub enum End {
    /// The peer has closed its side.
    Quiet,
    /// With an error reply.
    Error {
        /// Operation of the request that it is about, 0 = none.
        operation: u8,
        /// Number of that request, 0 = none.
        request: u64,
        /// The error.
        error: ProtocolError,
    },
}

impl End {
    /// An error that is about no request.
    pub fn error(code: ErrorCode, message: impl Into<String>) -> End {
        End::Error { operation: 0, request: 0, error: ProtocolError::new(code, message) }
    }
}

/// Whether a connection may take one more request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// It may, and the request is counted.
    Taken,
    /// Not before some reply has been written.
    Full,
    /// The connection is ending.
    Ended,
}

#[derive(Debug, Default)]
struct State {
    /// Frames to write.
    buffer: Vec<u8>,
    /// Cost of the requests whose replies are in `buffer`.
    queued: Cost,
    /// Cost of all requests that were taken and whose replies are not written yet, `queued` included.
    in_flight: Cost,
    end: Option<End>,
    /// The socket is broken: nothing can be written any more.
    gone: bool,
}

/// The way out of one connection. Shared with the engine's threads.
#[derive(Debug)]
pub struct Outgoing {
    state: Mutex<State>,
    /// For the writer: something was queued, or the connection is ending.
    wake: Notify,
    /// For the reader: a reply was written.
    room: Notify,
    /// For the reader: take no more requests.
    halt: Notify,
    budget: Arc<Budget>,
    requests_max: u32,
    bytes_max: usize,
}

enum Next {
    Batch(Cost),
    Last,
    Wait,
}

impl Outgoing {
    /// An empty one with the caps of a connection.
    pub fn new(budget: Arc<Budget>, requests_max: u32, bytes_max: usize) -> Outgoing {
        let (wake, room, halt) = (Notify::new(), Notify::new(), Notify::new());
        Outgoing { state: Mutex::default(), wake, room, halt, budget, requests_max, bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a connection's replies")
    }

    /// Counts a request against the connection's caps. One that is larger than a cap is taken when nothing else is.
    pub fn begin(&self, cost: Cost) -> Begin {
        let mut state = self.state();
        if state.end.is_some() || state.gone {
            return Begin::Ended;
        }
        let now = state.in_flight;
        let fits = now.requests < self.requests_max && now.bytes + cost.bytes <= self.bytes_max;
        if now.requests > 0 && !fits {
            return Begin::Full;
        }
        state.in_flight += cost;
        Begin::Taken
    }

    /// Takes back a [`Outgoing::begin`] whose request never entered.
    pub fn cancel(&self, cost: Cost) {
        self.state().in_flight -= cost;
        self.wake.notify_one();
    }

    /// Queues the reply of a request that was taken and holds permits.
    pub fn push(&self, cost: Cost, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        if state.gone {
            state.in_flight -= cost;
            drop(state);
            self.budget.give_back(cost);
            return;
        }
        let first = state.queued.requests == 0;
        encode(&mut state.buffer);
        state.queued += cost;
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    /// Ends the connection once all that was taken is answered. The first reason counts.
    pub fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.wake.notify_one();
        self.halt.notify_one();
    }

    /// The socket is broken. What was queued is thrown away; permits of what still comes are given back as it comes.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.gone = true;
        state.buffer = Vec::new();
        let queued = std::mem::take(&mut state.queued);
        state.in_flight -= queued;
        drop(state);
        self.budget.give_back(queued);
        self.wake.notify_one();
        self.halt.notify_one();
    }

    /// Waits until a reply has been written.
    pub async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until no more requests may be taken.
    pub async fn halted(&self) {
        self.halt.notified().await;
    }

    fn take(&self, batch: &mut Vec<u8>) -> Next {
        let mut state = self.state();
        if state.gone {
            return Next::Last;
        }
        if state.queued.requests > 0 {
            std::mem::swap(&mut state.buffer, batch);
            return Next::Batch(std::mem::take(&mut state.queued));
        }
        match &state.end {
            Some(end) if state.in_flight.requests == 0 => {
                if let End::Error { operation, request, error } = end {
                    errors::append(batch, *operation, *request, error);
                }
                Next::Last
            }
            _ => Next::Wait,
        }
    }

    fn written(&self, cost: Cost) {
        self.state().in_flight -= cost;
        self.budget.give_back(cost);
        self.room.notify_one();
    }
}

/// Writes until the connection ends. A peer that reads nothing for `timeout` is given up.
pub async fn write(outgoing: Arc<Outgoing>, stream: OwnedWriteHalf, timeout: Duration) {
    let mut batch = Vec::new();
    loop {
        batch.clear();
        if batch.capacity() > SPARE_WRITE_BYTES_MAX {
            batch = Vec::new();
        }
        let next = outgoing.take(&mut batch);
        if let Next::Wait = next {
            outgoing.wake.notified().await;
            continue;
        }
        let result = write_all(&stream, &batch, timeout).await;
        if let Next::Batch(cost) = next {
            outgoing.written(cost);
        }
        if result.is_err() {
            outgoing.abandon();
            return;
        }
        if let Next::Last = next {
            return;
        }
    }
}

async fn write_all(stream: &OwnedWriteHalf, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::timeout(timeout, stream.writable()).await??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A request that is in the engine. Dropped without an answer, it ends the connection with an error reply.
pub struct InEngine {
    outgoing: Arc<Outgoing>,
    asked: replies::Asked,
    cost: Cost,
    answered: bool,
}

impl InEngine {
    /// A request that was taken and holds permits of `cost`.
    pub fn new(outgoing: Arc<Outgoing>, asked: replies::Asked, cost: Cost) -> InEngine {
        InEngine { outgoing, asked, cost, answered: false }
    }

    /// Queues the reply. Runs on an engine thread and does not wait.
    pub fn answer(mut self, reply: &Reply) {
        self.answered = true;
        if let Reply::Posted(posted) = reply
            && let [run] = posted.runs.as_slice()
            && run.first.outcome == Outcome::ShuttingDown
        {
            self.end(ErrorCode::ShuttingDown, "the server is stopping; what has no reply was not taken");
            self.outgoing.push(self.cost, |_| {});
            return;
        }
        self.outgoing.push(self.cost, |out| replies::append(out, &self.asked, reply));
    }

    fn end(&self, code: ErrorCode, message: &str) {
        self.outgoing.end(End::Error {
            operation: self.asked.operation as u8,
            request: self.asked.request,
            error: ProtocolError::new(code, message),
        });
    }
}

impl Drop for InEngine {
    fn drop(&mut self) {
        if !self.answered {
            self.end(ErrorCode::Internal, "the engine gave no answer; whether the request was applied is not known");
            self.outgoing.push(self.cost, |_| {});
        }
    }
}
