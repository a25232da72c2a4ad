//! Replies of one connection on their way out: encoded by whoever has the reply, written by the connection's writer.
//!
//! All replies that are there when the writer wakes leave in one write. What holds: a permit that was taken is given
//! back exactly once, when the reply was written or when it can no longer be; and an error reply that closes the
//! connection comes after the replies of everything that was taken.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use florin_core::entry::PostReply;
use florin_core::outcome::Outcome;
use florin_engine::{Reply, Stage, Stages};
use florin_planted::{Fault, planted};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::ServerOptions;
use super::merged::{self, Part};
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
enum Begin {
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
    /// When the first of `queued` came.
    queued_since: Option<Instant>,
    /// Cost of all requests that were taken and whose replies are not written yet, `queued` included.
    in_flight: Cost,
    /// Watches that wait or are being served.
    watches: u32,
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
    /// For the reader and for watches: a reply was written.
    room: Notify,
    /// For the reader and for watches: the connection is ending, no more requests are taken.
    halt: Notify,
    budget: Arc<Budget>,
    stages: Arc<Stages>,
    requests_max: u32,
    bytes_max: usize,
    watches_max: u32,
}

enum Next {
    /// Replies of requests of this cost; the first of them was ready then.
    Batch(Cost, Option<Instant>),
    Last,
    Wait,
}

impl Outgoing {
    /// An empty one with the caps of a connection.
    pub fn new(budget: Arc<Budget>, stages: Arc<Stages>, options: &ServerOptions) -> Outgoing {
        Outgoing {
            state: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            halt: Notify::new(),
            budget,
            stages,
            requests_max: options.connection_requests_max.max(1),
            bytes_max: options.connection_bytes_max,
            watches_max: options.connection_watches_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a connection's replies")
    }

    /// Counts a request, or a page, against the connection's caps. One that is larger than a cap is taken when nothing
    /// else is; a page is taken when no other page is.
    fn begin(&self, cost: Cost) -> Begin {
        let mut state = self.state();
        if state.end.is_some() || state.gone {
            return Begin::Ended;
        }
        let now = state.in_flight;
        let few = now.requests + cost.requests <= self.requests_max;
        let small = now.all_bytes() == 0 || now.all_bytes() + cost.all_bytes() <= self.bytes_max;
        let room = if cost.pages == 0 { few && small } else { now.pages == 0 };
        if !room {
            return Begin::Full;
        }
        state.in_flight += cost;
        Begin::Taken
    }

    /// Takes permits, of the connection and of the server; false if the connection ends before.
    pub async fn take(&self, cost: Cost) -> bool {
        self.reserve(cost).await && self.fund(cost).await
    }

    /// Takes permits of the connection only, which holds nobody else up; false if the connection ends before.
    pub async fn reserve(&self, cost: Cost) -> bool {
        let mut begun = self.begin(cost);
        while begun == Begin::Full {
            // Listening before looking again: what is written in between is not missed.
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            begun = self.begin(cost);
            if begun == Begin::Full {
                tokio::select! {
                    () = room => {}
                    () = self.halted() => return false,
                }
            }
        }
        begun == Begin::Taken
    }

    /// Adds to what was reserved: a page is there, and its size is known.
    pub fn grow(&self, more: Cost) {
        self.state().in_flight += more;
    }

    /// Takes the server's permits for what was reserved; false, and nothing is reserved, if the connection ends before.
    async fn fund(&self, cost: Cost) -> bool {
        tokio::select! {
            biased;
            () = self.budget.take(cost) => true,
            () = self.halted() => {
                self.cancel(cost);
                false
            }
        }
    }

    /// Takes back what was reserved and is not needed.
    pub fn cancel(&self, cost: Cost) {
        self.state().in_flight -= cost;
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    /// Counts a watch; false if there are as many as may be.
    pub fn begin_watch(&self) -> bool {
        let mut state = self.state();
        let fits = state.watches < self.watches_max;
        state.watches += u32::from(fits);
        fits
    }

    /// A watch that was counted is answered, or will not be any more.
    pub fn end_watch(&self) {
        self.state().watches -= 1;
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
        if first {
            state.queued_since = Some(Instant::now());
        }
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
        self.halt.notify_waiters();
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
        self.halt.notify_waiters();
    }

    /// Waits until no more requests may be taken.
    pub async fn halted(&self) {
        let mut halt = pin!(self.halt.notified());
        halt.as_mut().enable();
        let halted = {
            let state = self.state();
            state.end.is_some() || state.gone
        };
        if !halted {
            halt.await;
        }
    }

    fn next(&self, batch: &mut Vec<u8>) -> Next {
        let mut state = self.state();
        if state.gone {
            return Next::Last;
        }
        if state.queued.requests > 0 {
            std::mem::swap(&mut state.buffer, batch);
            return Next::Batch(std::mem::take(&mut state.queued), state.queued_since.take());
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

    fn written(&self, cost: Cost, since: Option<Instant>) {
        if let Some(since) = since {
            self.stages.record(Stage::Reply, since.elapsed());
        }
        self.state().in_flight -= cost;
        self.budget.give_back(cost);
        if planted(Fault::PermitsGivenBackTwice) {
            self.budget.give_back(cost);
        }
        self.room.notify_waiters();
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
        let next = outgoing.next(&mut batch);
        if let Next::Wait = next {
            outgoing.wake.notified().await;
            continue;
        }
        let result = write_all(&stream, &batch, timeout).await;
        if let Next::Batch(cost, since) = next {
            outgoing.written(cost, since);
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

/// Whether an answer says that the engine was stopping and took nothing.
fn was_not_taken(reply: &PostReply) -> bool {
    matches!(reply.runs.as_slice(), [run] if run.first.outcome == Outcome::ShuttingDown)
}

/// A request that is in the engine. Dropped without an answer, it ends the connection with an error reply.
pub struct InEngine {
    outgoing: Arc<Outgoing>,
    asked: replies::Asked,
    /// The requests that were merged into it; none if it is one.
    parts: Vec<Part>,
    cost: Cost,
    answered: bool,
}

impl InEngine {
    /// A request that was taken and holds permits of `cost`.
    pub fn new(outgoing: Arc<Outgoing>, asked: replies::Asked, cost: Cost) -> InEngine {
        InEngine { outgoing, asked, parts: Vec::new(), cost, answered: false }
    }

    /// Requests that were merged into one; `asked` is the first of them.
    pub fn merged(outgoing: Arc<Outgoing>, asked: replies::Asked, parts: Vec<Part>, cost: Cost) -> InEngine {
        InEngine { outgoing, asked, parts, cost, answered: false }
    }

    /// What was asked.
    pub fn asked(&self) -> &replies::Asked {
        &self.asked
    }

    /// Queues the reply. Runs on an engine thread and does not wait.
    pub fn answer(mut self, reply: &Reply) {
        self.answered = true;
        if self.parts.is_empty() {
            if let Reply::Posted(posted) = reply
                && was_not_taken(posted)
            {
                self.end_at_stop(self.asked.request);
                self.outgoing.push(self.cost, |_| {});
                return;
            }
            self.outgoing.push(self.cost, |out| replies::append(out, &self.asked, reply));
            return;
        }
        let mut not_taken = None;
        self.outgoing.push(self.cost, |out| match reply {
            Reply::Posted(posted) => merged::pieces(posted, &self.parts, |part, piece| match was_not_taken(piece) {
                true => drop(not_taken.get_or_insert(part.request)),
                false => replies::append_posted(out, &self.asked_by(part), piece),
            }),
            _ => self.parts.iter().for_each(|part| replies::append(out, &self.asked_by(part), reply)),
        });
        if let Some(request) = not_taken {
            self.end_at_stop(request);
        }
    }

    fn asked_by(&self, part: &Part) -> replies::Asked {
        let request = if planted(Fault::AnswersMixedUp) { self.asked.request } else { part.request };
        replies::Asked { request, ..self.asked }
    }

    fn end_at_stop(&self, request: u64) {
        let message = "the server is stopping; what has no reply was not taken";
        self.end(ErrorCode::ShuttingDown, request, message);
    }

    /// Queues a reply that is encoded already. The permits of `more` have been taken too.
    pub fn answer_encoded(mut self, more: Cost, bytes: &[u8]) {
        self.answered = true;
        self.cost += more;
        self.outgoing.push(self.cost, |out| out.extend_from_slice(bytes));
    }

    fn end(&self, code: ErrorCode, request: u64, message: &str) {
        self.outgoing.end(End::Error {
            operation: self.asked.operation as u8,
            request,
            error: ProtocolError::new(code, message),
        });
    }
}

impl Drop for InEngine {
    fn drop(&mut self) {
        if !self.answered {
            let message = "the engine gave no answer; whether the request was applied is not known";
            self.end(ErrorCode::Internal, self.asked.request, message);
            self.outgoing.push(self.cost, |_| {});
        }
    }
}
