//! Requests that wait for their reply, in the order of their numbers.
//!
//! It knows no sockets. A request keeps its bytes until its reply came, so that a new connection can send the very same
//! again; one whose caller is gone is never sent (again).

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::ClientError;
use crate::frame;
use crate::header::{Header, Operation, REPLY_BIT};
use crate::limits::HEADER_BYTES;

/// A reply as it came: header and payload, both checked against their checksums.
pub type RawReply = (Header, Bytes);

/// Where the answer to one request goes.
pub type ReplySender = oneshot::Sender<Result<RawReply, ClientError>>;

#[derive(Debug)]
struct Waiting {
    header: [u8; HEADER_BYTES],
    payload: Bytes,
    operation: Operation,
    reply: ReplySender,
    /// Whether a socket was ever given a byte of it.
    sent: bool,
    /// Whether that was so before this connection: the server may have taken it then.
    sent_before: bool,
    /// Replies that had come when it was last sent.
    replies_before: u64,
}

impl Waiting {
    fn finish(self, result: Result<RawReply, ClientError>) {
        // The caller may have gone; then nobody wants the reply.
        let _ = self.reply.send(result);
    }

    fn refuse(self, error: ClientError) {
        let unknown = self.sent_before && self.operation.changes();
        self.finish(Err(if unknown { ClientError::Unknown } else { error }));
    }
}

/// What became of a request that nobody waits for any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withdrawn {
    /// No byte of it ever left: it was not and will not be applied.
    NotSent,
    /// It left, and nothing at all has come from the server since.
    SentAndSilent,
    /// It left; other replies have come since.
    Sent,
    /// Its reply came in the meantime.
    Answered,
}

/// All requests of a client that wait.
#[derive(Debug, Default)]
pub struct Pending {
    /// By number. Numbers only grow, so this is the order in which they were asked and are sent.
    waiting: BTreeMap<u64, Waiting>,
    /// Last number given out.
    last: u64,
    /// Last number that this connection has sent.
    sent: u64,
    /// Replies that have come, over all connections.
    replies: u64,
}

impl Pending {
    /// Adds a request and gives it the next number.
    pub fn add(&mut self, mut header: Header, operation: Operation, payload: Bytes, reply: ReplySender) -> u64 {
        self.last += 1;
        header.request = self.last;
        let header = frame::seal(header, &payload);
        self.waiting.insert(
            self.last,
            Waiting { header, payload, operation, reply, sent: false, sent_before: false, replies_before: 0 },
        );
        self.last
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A new connection begins: everything that waits is to be sent again.
    pub fn rewind(&mut self) {
        self.sent = 0;
        for request in self.waiting.values_mut() {
            request.sent_before = request.sent;
        }
    }

    /// Appends the frames that this connection has not sent yet, in order, until about `bytes_max` are gathered.
    pub fn gather(&mut self, frames: &mut Vec<([u8; HEADER_BYTES], Bytes)>, bytes_max: usize) {
        let mut bytes = 0;
        for (&number, request) in self.waiting.range_mut(self.sent + 1..) {
            if bytes >= bytes_max {
                break;
            }
            request.sent = true;
            request.replies_before = self.replies;
            self.sent = number;
            bytes += HEADER_BYTES + request.payload.len();
            frames.push((request.header, request.payload.clone()));
        }
    }

    /// Hands a reply to whoever waits for it; nobody does if the caller has given up.
    pub fn answer(&mut self, header: Header, payload: Bytes) -> Result<(), &'static str> {
        self.replies += 1;
        if header.request > self.sent {
            return Err("a reply to a request that was not sent");
        }
        let Some(request) = self.waiting.get(&header.request) else { return Ok(()) };
        if header.operation & !REPLY_BIT != request.operation as u8 {
            return Err("a reply to another operation than was asked for");
        }
        if let Some(request) = self.waiting.remove(&header.request) {
            request.finish(Ok((header, payload)));
        }
        Ok(())
    }

    /// Gives up on request `number`.
    pub fn withdraw(&mut self, number: u64) -> Withdrawn {
        match self.waiting.remove(&number) {
            None => Withdrawn::Answered,
            Some(request) if !request.sent => Withdrawn::NotSent,
            Some(request) if request.replies_before == self.replies => Withdrawn::SentAndSilent,
            Some(_) => Withdrawn::Sent,
        }
    }

    /// The server named request `number` as the reason for closing: this connection did not take it.
    pub fn refuse(&mut self, number: u64, error: ClientError) {
        if let Some(request) = self.waiting.remove(&number) {
            request.refuse(error);
        }
    }

    /// The server refused the connection's bytes and took none of what still waits.
    pub fn refuse_all(&mut self, error: impl Fn() -> ClientError) {
        for request in std::mem::take(&mut self.waiting).into_values() {
            request.refuse(error());
        }
    }

    /// There will be no connection any more: requests that may have been applied end as unknown, others with `error`.
    pub fn fail_all(&mut self, error: impl Fn() -> ClientError) {
        for request in std::mem::take(&mut self.waiting).into_values() {
            let unknown = request.sent && request.operation.changes();
            request.finish(Err(if unknown { ClientError::Unknown } else { error() }));
        }
    }
}
