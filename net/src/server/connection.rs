//! One connection: reads frames, takes permits, hands requests to the engine. Its replies leave by `outgoing`.
//!
//! It never waits with a request in hand that others could pass, so the requests of a connection enter in the order
//! they came. Without permits it stops reading and TCP holds the peer back. Nothing in a frame is believed before its
//! check: first the header's checksum, then its length, then memory for it, then the payload's checksum, then its
//! content.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use florin_engine::{Command, Stage, Stages};
use florin_planted::{Fault, planted};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::chunks::{Chunks, LargeFrame};
use super::merged::Merged;
use super::outgoing::{self, End, InEngine, Outgoing};
use super::permits::{Budget, Cost};
use super::watch::{self, Watch};
use super::{ServerOptions, Submit};
use crate::codec::hello::{Hello, HelloReply};
use crate::codec::replies::Asked;
use crate::codec::requests::{self, Request};
use crate::error::{ErrorCode, ProtocolError};
use crate::frame;
use crate::header::{Header, Operation};
use crate::limits::{COPY_BYTES_MAX, HEADER_BYTES, LINGER_BYTES_MAX, READ_CHUNK_BYTES};

/// What the connections of a server share.
#[derive(Debug)]
pub struct Context<S> {
    /// Where requests go.
    pub engine: S,
    /// The server's options.
    pub options: ServerOptions,
    /// What may be under way.
    pub budget: Arc<Budget>,
    /// Times of the stages.
    pub stages: Arc<Stages>,
    /// Read buffers.
    pub chunks: Chunks,
}

/// What is at the front of what has come.
enum Next {
    /// A small request, which goes with others.
    Taken,
    /// A small request for which those that wait leave no room.
    Full,
    /// A whole frame.
    Frame(Operation, Header, Bytes),
    /// Less than a frame.
    Incomplete,
}

/// Why reading has ended.
enum Stop {
    /// Tell the peer, or not, once everything is answered.
    End(End),
    /// The connection is ending for another reason, which `outgoing` knows.
    Halted,
    /// The socket is broken.
    Broken,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Stop {
        Stop::Broken
    }
}

/// Serves connection number `origin` to its end.
pub async fn serve<S: Submit>(context: Rc<Context<S>>, stream: TcpStream, origin: u64, outgoing: Arc<Outgoing>) {
    let (read, write) = stream.into_split();
    let writer = tokio::task::spawn_local(outgoing::write(outgoing.clone(), write, context.options.write_timeout));
    let mut reader = Reader {
        greeted: false,
        deadline: Some(Instant::now() + context.options.handshake_timeout),
        context: &context,
        origin,
        stream: read,
        outgoing: outgoing.clone(),
        buffer: BytesMut::new(),
        large: None,
        header: None,
        merged: Merged::default(),
        receiving: None,
    };
    let stop = reader.run().await;
    let Reader { stream, .. } = reader;
    match stop {
        Stop::End(end) => outgoing.end(end),
        Stop::Halted => {}
        Stop::Broken => outgoing.abandon(),
    }
    // The writer gives up its half of the socket when it ends, so the peer sees the end after the last reply.
    let _ = writer.await;
    linger(stream, &context.options).await;
}

/// Reads and forgets what still comes, so that closing does not reset the connection before the last reply was read.
async fn linger(mut stream: OwnedReadHalf, options: &ServerOptions) {
    let drain = async {
        let mut scrap = BytesMut::with_capacity(HEADER_BYTES + COPY_BYTES_MAX);
        let mut left = LINGER_BYTES_MAX;
        while left > 0 {
            scrap.clear();
            match stream.read_buf(&mut scrap).await {
                Ok(read) if read > 0 => left = left.saturating_sub(read),
                _ => break,
            }
        }
    };
    let _ = tokio::time::timeout(options.linger, drain).await;
}

/// Writes an error to a connection that is refused, and closes it.
pub async fn refuse(stream: TcpStream, error: ProtocolError, options: &ServerOptions, wait: bool) {
    let mut bytes = Vec::new();
    crate::codec::errors::append(&mut bytes, 0, 0, &error);
    let (read, write) = stream.into_split();
    // An empty send buffer takes a frame this small at once; if it does not, there is nothing more to do for this peer.
    let _ = write.try_write(&bytes);
    drop(write);
    if wait {
        linger(read, options).await;
    }
}

struct Reader<'a, S> {
    context: &'a Rc<Context<S>>,
    /// Number of the connection, by which the engine keeps its requests in order.
    origin: u64,
    stream: OwnedReadHalf,
    outgoing: Arc<Outgoing>,
    buffer: BytesMut,
    /// The frame at the front instead, if it is larger than a chunk.
    large: Option<LargeFrame>,
    /// Header of the frame at the front, once it was checked.
    header: Option<(Header, Operation)>,
    /// Small requests that came and are not handed over.
    merged: Merged,
    /// Room for a frame that is larger than a chunk.
    receiving: Option<SemaphorePermit<'a>>,
    /// Whether hello has been answered.
    greeted: bool,
    /// When the hello, or the frame that has begun, must be complete.
    deadline: Option<Instant>,
}

impl<S: Submit> Reader<'_, S> {
    async fn run(&mut self) -> Stop {
        // When the bytes came whose requests are being handed over.
        let mut read_at: Option<Instant> = None;
        loop {
            let result = match self.next_frame() {
                Ok(Next::Taken) => Ok(()),
                next => self.go_on(next, &mut read_at).await,
            };
            if let Err(stop) = result {
                return stop;
            }
        }
    }

    /// Does what comes after a run of small requests, which are handed over first.
    async fn go_on(&mut self, next: Result<Next, Stop>, read_at: &mut Option<Instant>) -> Result<(), Stop> {
        self.hand_over().await?;
        match next? {
            Next::Frame(operation, header, payload) => self.handle(operation, header, payload).await,
            Next::Full | Next::Taken => Ok(()),
            Next::Incomplete => {
                if let Some(read_at) = read_at.take() {
                    self.context.stages.record(Stage::Decode, read_at.elapsed());
                }
                self.fill().await?;
                *read_at = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// What comes next: the frame at the front of the buffer, if all of it is there.
    fn next_frame(&mut self) -> Result<Next, Stop> {
        let (header, operation) = match self.header {
            Some(known) => known,
            None => {
                let Some(bytes) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(Next::Incomplete) };
                let header =
                    Header::decode(bytes).map_err(|error| Stop::End(End::Error { operation: 0, request: 0, error }))?;
                let operation = self.check(&header).map_err(|error| about(&header, error))?;
                *self.header.insert((header, operation))
            }
        };
        let length = header.length as usize;
        let total = HEADER_BYTES + length;
        let front: &[u8] = self.large.as_ref().map_or(&self.buffer, |large| &large.bytes);
        if front.len() < total {
            return Ok(Next::Incomplete);
        }
        let payload = &front[HEADER_BYTES..total];
        let suits = Merged::suits(operation, &header, payload);
        if suits && self.merged.is_full_for(&header, &self.context.options) {
            return Ok(Next::Full);
        }
        if !planted(Fault::PayloadChecksumIgnored) {
            header.check_payload(payload).map_err(|error| about(&header, error))?;
        }
        if suits {
            self.merged.add(&header, payload);
            self.buffer.advance(total);
            self.header = None;
            self.deadline = None;
            return Ok(Next::Taken);
        }
        let payload = if let Some(large) = self.large.take() {
            large.into_payload()
        } else if length <= COPY_BYTES_MAX {
            let payload = Bytes::copy_from_slice(&self.buffer[HEADER_BYTES..total]);
            self.buffer.advance(total);
            payload
        } else {
            self.buffer.advance(HEADER_BYTES);
            self.buffer.split_to(length).freeze()
        };
        self.header = None;
        if self.greeted {
            self.deadline = None;
        }
        Ok(Next::Frame(operation, header, payload))
    }

    /// Hands small requests over that came together.
    async fn hand_over(&mut self) -> Result<(), Stop> {
        let Some((request, parts)) = self.merged.take() else { return Ok(()) };
        let cost = self.context.budget.clamp(Cost::of_merged(request.count(), parts.len() as u32));
        let institution = request.institution;
        let asked = Asked { operation: Operation::PostTransfers, flags: 0, institution, request: parts[0].request };
        self.take(cost).await?;
        let in_engine = InEngine::merged(self.outgoing.clone(), asked, parts, cost);
        let command = Command::Post { request, want_postings: false };
        self.context.engine.submit(self.origin, command, Box::new(move |reply| in_engine.answer(&reply)));
        Ok(())
    }

    fn check(&self, header: &Header) -> Result<Operation, ProtocolError> {
        let operation = requests::check_header(header)?;
        match (operation == Operation::Hello, self.greeted) {
            (true, true) => Err(ProtocolError::new(ErrorCode::HelloRepeated, "hello is for the first request only")),
            (false, false) => Err(ProtocolError::new(ErrorCode::HelloExpected, "the first request must be hello")),
            _ => Ok(operation),
        }
    }

    async fn handle(&mut self, operation: Operation, header: Header, payload: Bytes) -> Result<(), Stop> {
        let length = payload.len();
        let request = requests::decode(operation, &header, payload).map_err(|error| about(&header, error))?;
        let (institution, request_number) = (header.institution, header.request);
        let asked = Asked { operation, flags: header.flags, institution, request: request_number };
        match request {
            Request::Command(Command::Watch { after, limit, wait_ms, .. }) => {
                self.receiving = None;
                self.watch(asked, Watch { origin: self.origin, after, limit, wait_ms }).await?;
            }
            Request::Command(command) => {
                let cost = self.context.budget.clamp(Cost::of(&command, length));
                self.take(cost).await?;
                self.receiving = None;
                let in_engine = InEngine::new(self.outgoing.clone(), asked, cost);
                self.context.engine.submit(self.origin, command, Box::new(move |reply| in_engine.answer(&reply)));
            }
            Request::Ping => self.answer_inline(asked, |_| {}).await?,
            Request::Hello(hello) => self.greet(asked, &hello).await?,
        }
        Ok(())
    }

    async fn greet(&mut self, asked: Asked, hello: &Hello) -> Result<(), Stop> {
        if let Err(error) = hello.negotiate() {
            let (operation, request) = (asked.operation as u8, asked.request);
            return Err(Stop::End(End::Error { operation, request, error }));
        }
        let options = &self.context.options;
        let reply = HelloReply::of_this_build(asked.institution, options.connection_requests_max);
        self.greeted = true;
        self.deadline = None;
        self.answer_inline(asked, |out| reply.encode(out)).await
    }

    async fn answer_inline(&mut self, asked: Asked, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Stop> {
        let cost = self.context.budget.clamp(Cost::INLINE);
        self.take(cost).await?;
        self.outgoing.push(cost, |out| frame::append(out, asked.header(), |out, _| encode(out)));
        Ok(())
    }

    /// Lets a watch wait beside the connection, which goes on.
    async fn watch(&mut self, asked: Asked, watch: Watch) -> Result<(), Stop> {
        self.take(Cost::INLINE).await?;
        let in_engine = InEngine::new(self.outgoing.clone(), asked, Cost::INLINE);
        match watch::Place::take(&self.context.budget, &self.outgoing) {
            Some(place) => {
                let waiting = watch::serve(self.context.clone(), watch, self.outgoing.clone(), place, in_engine);
                tokio::task::spawn_local(waiting);
            }
            None => {
                let message = "as many watches wait as may, here or on the server; wait until one of them is answered";
                let error = ProtocolError::new(ErrorCode::TooManyWatches, message);
                let mut bytes = Vec::new();
                crate::codec::errors::append(&mut bytes, asked.operation as u8, asked.request, &error);
                in_engine.answer_encoded(Cost::default(), &bytes);
            }
        }
        Ok(())
    }

    /// Takes permits. Until then nothing more is read.
    async fn take(&mut self, cost: Cost) -> Result<(), Stop> {
        if self.outgoing.take(cost).await { Ok(()) } else { Err(Stop::Halted) }
    }

    /// Waits for more bytes.
    async fn fill(&mut self) -> Result<(), Stop> {
        let room = self.make_room().await?;
        if self.deadline.is_none() && !self.is_empty() {
            self.deadline = Some(Instant::now() + self.context.options.frame_timeout);
        }
        let (deadline, greeted, outgoing) = (self.deadline, self.greeted, self.outgoing.clone());
        let read = tokio::select! {
            biased;
            () = outgoing.halted() => return Err(Stop::Halted),
            read = self.read(room) => read?,
            () = expire(deadline) => return Err(Stop::End(match greeted {
                false => End::error(ErrorCode::HandshakeTimeout, "no hello in time"),
                true => End::error(ErrorCode::SlowSender, "a frame was begun and not ended in time"),
            })),
        };
        match read {
            0 if self.is_empty() => Err(Stop::End(End::Quiet)),
            0 => Err(Stop::End(End::error(ErrorCode::FrameCut, "the connection ended within a frame"))),
            _ => Ok(()),
        }
    }

    /// Whether nothing has come of the next frame.
    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.large.is_none()
    }

    /// Sees to it that the buffer can take something, and says how many bytes at most. An empty buffer is given back:
    /// an idle connection holds none.
    async fn make_room(&mut self) -> Result<usize, Stop> {
        let total = HEADER_BYTES + self.header.map_or(0, |(header, _)| header.length as usize);
        if let Some(large) = &self.large {
            return Ok(total - large.bytes.len());
        }
        let have = self.buffer.len();
        if have == 0 {
            self.context.chunks.give_back(std::mem::take(&mut self.buffer));
            return Ok(READ_CHUNK_BYTES);
        }
        let spare = self.buffer.capacity() - have;
        if total <= READ_CHUNK_BYTES {
            if have + spare < total || spare < COPY_BYTES_MAX {
                self.buffer.reserve(READ_CHUNK_BYTES.max(have + COPY_BYTES_MAX) - have);
            }
            return Ok(self.buffer.capacity() - have);
        }
        if have < READ_CHUNK_BYTES {
            // A large frame has only been announced. Memory beyond a chunk is for bytes that have come.
            if spare == 0 {
                self.buffer.reserve(READ_CHUNK_BYTES - have);
            }
            return Ok((self.buffer.capacity() - have).min(total - have));
        }
        if self.receiving.is_none() {
            let context = self.context;
            self.receiving = Some(tokio::select! {
                biased;
                permit = context.budget.receive(total) => permit,
                () = self.outgoing.halted() => return Err(Stop::Halted),
            });
            // The wait was the server's, not the sender's.
            self.deadline = self.deadline.map(|_| Instant::now() + context.options.frame_timeout);
        }
        let mut large = self.context.chunks.take_frame(total);
        large.bytes.extend_from_slice(&self.buffer);
        self.buffer.clear();
        self.context.chunks.give_back(std::mem::take(&mut self.buffer));
        self.large = Some(large);
        Ok(total - have)
    }

    /// Reads once, up to `room` bytes, into a chunk that is taken only when there is something to read.
    async fn read(&mut self, room: usize) -> io::Result<usize> {
        poll_fn(|cx| {
            ready!(self.stream.as_ref().poll_read_ready(cx))?;
            let poll = if let Some(large) = &mut self.large {
                let mut target = (&mut large.bytes).limit(room);
                pin!(self.stream.read_buf(&mut target)).poll(cx)
            } else {
                if self.buffer.capacity() == 0 {
                    self.buffer = self.context.chunks.take();
                }
                let mut target = (&mut self.buffer).limit(room);
                pin!(self.stream.read_buf(&mut target)).poll(cx)
            };
            if poll.is_pending() && self.buffer.is_empty() {
                self.context.chunks.give_back(std::mem::take(&mut self.buffer));
            }
            match poll {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                poll => poll,
            }
        })
        .await
    }
}

async fn expire(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn about(header: &Header, error: ProtocolError) -> Stop {
    Stop::End(End::Error { operation: header.operation & !crate::header::REPLY_BIT, request: header.request, error })
}
