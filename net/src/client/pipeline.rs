//! A connection for senders that keep many requests in flight and care for what each of them costs.
//!
//! It has no tasks and allocates nothing per request: requests are laid out in one buffer that leaves in one write, and
//! replies are read where they were received. What holds: every reply is checked against its checksums and against what
//! was asked, each request is answered once; and a connection that is lost is not made again, its error says how many
//! requests have no answer. [`super::Client`] is the comfortable way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use florin_core::entry::{AccountRecord, PostReply};
use florin_core::limits::{REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::request::PostForm;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::connection::{check_reply, connect_once};
use super::{ClientError, ClientOptions, check_answered, check_count};
use crate::codec::hello::HelloReply;
use crate::codec::{self, questions};
use crate::error::ErrorCode;
use crate::frame;
use crate::header::{ERROR, Header, Operation, REPLY_BIT, WANT_POSTINGS};
use crate::limits::{HEADER_BYTES, READ_CHUNK_BYTES, SPARE_WRITE_BYTES_MAX};

/// The connection cannot be used any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{reason}; {unanswered} requests have no answer: each may or may not have been applied, ask again with the same ids"
)]
pub struct PipelineLost {
    /// Why.
    pub reason: String,
    /// Requests that were queued and not answered.
    pub unanswered: usize,
}

/// A connection on which many requests are under way.
#[derive(Debug)]
pub struct Pipeline {
    stream: TcpStream,
    hello: HelloReply,
    institution: u32,
    /// How long the server may be silent while requests are unanswered.
    silence_max: Duration,
    /// When the server was last heard, or when it was first asked after a rest.
    heard: Instant,
    /// One timer for the whole connection; when it rings, `heard` says whether it is time.
    timer: Pin<Box<Sleep>>,
    /// Requests not written yet, and how many of their bytes are.
    out: Vec<u8>,
    written: usize,
    /// Bytes received; the first `taken` are done with. What was received last is read at once, from the same memory each
    /// time, so that it stays in the core's cache.
    input: Vec<u8>,
    taken: usize,
    /// Requests without an answer, by number from `first` on; none where there is one.
    waiting: VecDeque<Option<Waiting>>,
    first: u64,
    unanswered: usize,
    sent_bytes: u64,
    received_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    operation: Operation,
    count: u32,
    tag: u32,
}

/// The answer to one request, as it lies in the receive buffer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Number of the request.
    pub request: u64,
    /// What was given with the request.
    pub tag: u32,
    /// What was asked for.
    pub operation: Operation,
    asked: u32,
    header: Header,
    payload: &'a [u8],
}

impl Pipeline {
    /// Connects to `addr` (`host:port`) and says hello. Of the options, institution, name and deadline count: the deadline
    /// is for connecting, and then for how long the server may be silent while requests are unanswered.
    pub async fn connect(addr: &str, options: &ClientOptions) -> Result<Pipeline, ClientError> {
        let (stream, hello) = connect_once(addr, options).await?;
        Ok(Pipeline {
            stream,
            hello,
            institution: options.institution,
            silence_max: options.deadline,
            heard: Instant::now(),
            timer: Box::pin(tokio::time::sleep(options.deadline)),
            out: Vec::new(),
            written: 0,
            input: Vec::with_capacity(READ_CHUNK_BYTES),
            taken: 0,
            waiting: VecDeque::new(),
            first: 1,
            unanswered: 0,
            sent_bytes: 0,
            received_bytes: 0,
        })
    }

    /// What the server said of itself.
    pub fn server(&self) -> &HelloReply {
        &self.hello
    }

    /// Requests that were queued and not answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Bytes sent and received since the hello.
    pub fn bytes(&self) -> (u64, u64) {
        (self.sent_bytes, self.received_bytes)
    }

    /// Queues a request of `count` transactions that the caller has laid out. Its answer has the number that is
    /// returned, and `tag`.
    pub fn queue(
        &mut self,
        form: PostForm,
        count: u32,
        payload: &[u8],
        want_postings: bool,
        tag: u32,
    ) -> Result<u64, ClientError> {
        self.queue_with(form, count, want_postings, tag, |out| out.extend_from_slice(payload))
    }

    /// The same with a payload that `fill` appends to the outgoing bytes.
    pub fn queue_with(
        &mut self,
        form: PostForm,
        count: u32,
        want_postings: bool,
        tag: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, ClientError> {
        check_count("transactions", count as usize, REQUEST_ITEMS_MAX)?;
        let operation = match form {
            PostForm::Transfers => Operation::PostTransfers,
            PostForm::Items => Operation::PostItems,
        };
        self.append(operation, if want_postings { WANT_POSTINGS } else { 0 }, count, tag, fill)
    }

    /// Queues a look-up of accounts, 1 to 8,190. The answer may be about the first of them only.
    pub fn queue_accounts(&mut self, ids: &[u128], tag: u32) -> Result<u64, ClientError> {
        check_count("ids", ids.len(), florin_engine::LOOK_UP_ACCOUNTS_MAX)?;
        let payload = questions::encode_ids(ids);
        self.append(Operation::LookUpAccounts, 0, ids.len() as u32, tag, |out| out.extend_from_slice(&payload))
    }

    fn append(
        &mut self,
        operation: Operation,
        flags: u16,
        count: u32,
        tag: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, ClientError> {
        let number = self.first + self.waiting.len() as u64;
        let institution = self.institution;
        let header =
            Header { operation: operation as u8, flags, institution, request: number, count, ..Header::default() };
        let begin = self.out.len();
        let bytes = frame::append(&mut self.out, header, |out, _| {
            fill(out);
            out.len() - begin - HEADER_BYTES
        });
        if bytes > REQUEST_BYTES_MAX {
            self.out.truncate(begin);
            return Err(ClientError::TooLarge { what: "bytes", got: bytes, max: REQUEST_BYTES_MAX });
        }
        if self.unanswered == 0 {
            self.heard = Instant::now();
        }
        self.waiting.push_back(Some(Waiting { operation, count, tag }));
        self.unanswered += 1;
        Ok(number)
    }

    /// Writes what is queued: one write, unless the socket takes less. Meanwhile it goes on reading, so that neither side
    /// waits for the other for ever.
    pub async fn flush(&mut self) -> Result<(), PipelineLost> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(0) => return Err(self.lost("the server closed the connection")),
                Ok(bytes) => {
                    self.written += bytes;
                    self.sent_bytes += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for_room().await?,
                Err(error) => return Err(self.lost(error)),
            }
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(2 * SPARE_WRITE_BYTES_MAX);
        Ok(())
    }

    /// Waits until the socket takes more; reads what comes until then.
    async fn wait_for_room(&mut self) -> Result<(), PipelineLost> {
        loop {
            let ready = tokio::select! {
                biased;
                ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE) => ready.map_err(|e| self.lost(e))?,
                () = self.timer.as_mut() => {
                    self.check_silence()?;
                    continue;
                }
            };
            if ready.is_readable() {
                self.make_room();
                match self.stream.try_read_buf(&mut self.input) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => self.received(result)?,
                }
            }
            if ready.is_writable() {
                return Ok(());
            }
        }
    }

    /// Waits until something comes, and takes as much as is there. It may be cancelled: nothing is lost.
    pub async fn receive(&mut self) -> Result<(), PipelineLost> {
        loop {
            self.make_room();
            let result = tokio::select! {
                biased;
                result = self.stream.read_buf(&mut self.input) => result,
                () = self.timer.as_mut() => {
                    self.check_silence()?;
                    continue;
                }
            };
            return self.received(result);
        }
    }

    /// Forgets what is done with, and makes room for more.
    fn make_room(&mut self) {
        self.input.drain(..std::mem::take(&mut self.taken));
        self.input.reserve(READ_CHUNK_BYTES / 2);
    }

    fn received(&mut self, result: io::Result<usize>) -> Result<(), PipelineLost> {
        match result {
            Ok(0) => Err(self.lost("the server closed the connection")),
            Ok(bytes) => {
                self.received_bytes += bytes as u64;
                self.heard = Instant::now();
                Ok(())
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// The timer has rung: it is set again, unless the server was silent for all that time.
    fn check_silence(&mut self) -> Result<(), PipelineLost> {
        let now = Instant::now();
        if self.unanswered > 0 && now >= self.heard + self.silence_max {
            return Err(self.lost(format!("the server was silent for {:?}", self.silence_max)));
        }
        let idle = self.unanswered == 0;
        self.timer.as_mut().reset(if idle { now + self.silence_max } else { self.heard + self.silence_max });
        Ok(())
    }

    /// The next answer that has been received whole, if there is one. Answers come in any order.
    pub fn next_reply(&mut self) -> Result<Option<Answer<'_>>, PipelineLost> {
        let Some(bytes) = self.input[self.taken..].first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let header = check_reply(bytes).map_err(|why| self.lost(why))?;
        let begin = self.taken + HEADER_BYTES;
        let end = begin + header.length as usize;
        if self.input.len() < end {
            self.input.reserve(end - self.input.len());
            return Ok(None);
        }
        header.check_payload(&self.input[begin..end]).map_err(|error| self.lost(error))?;
        if header.flags & ERROR != 0 {
            self.check_error(&self.input[begin..end])?;
        }
        let waiting = self.answer(&header)?;
        self.taken = end;
        Ok(Some(Answer {
            request: header.request,
            tag: waiting.tag,
            operation: waiting.operation,
            asked: waiting.count,
            header,
            payload: &self.input[begin..end],
        }))
    }

    /// An error after which the server closes ends everything.
    fn check_error(&self, payload: &[u8]) -> Result<(), PipelineLost> {
        let (code, message) = codec::errors::decode(payload).map_err(|error| self.lost(error))?;
        match ErrorCode::from_number(code).is_none_or(ErrorCode::closes) {
            true => Err(self.lost(ClientError::Server { code, message })),
            false => Ok(()),
        }
    }

    /// Takes the request of a reply out of those that wait.
    fn answer(&mut self, header: &Header) -> Result<Waiting, PipelineLost> {
        let index = header.request.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let waiting = match index.and_then(|index| self.waiting.get_mut(index)) {
            Some(place) => place.take(),
            None => None,
        };
        let Some(waiting) = waiting else {
            return Err(self.lost(format!("a reply to request {}, which does not wait for one", header.request)));
        };
        self.unanswered -= 1;
        if header.operation != waiting.operation as u8 | REPLY_BIT {
            return Err(self.lost("a reply to another operation than was asked for"));
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
        }
        Ok(waiting)
    }

    fn lost(&self, reason: impl ToString) -> PipelineLost {
        PipelineLost { reason: reason.to_string(), unanswered: self.unanswered }
    }
}

impl Answer<'_> {
    /// The results of a post request; what was in `reply` is replaced, its memory is used again.
    pub fn results(&self, reply: &mut PostReply) -> Result<(), ClientError> {
        self.check_no_error()?;
        codec::posts::decode_into(self.header.count, self.payload, reply)?;
        check_answered(reply.count(), self.asked as usize)
    }

    /// The accounts of a look-up, as many of the first as fit into a reply.
    pub fn accounts(&self) -> Result<Vec<Option<AccountRecord>>, ClientError> {
        self.check_no_error()?;
        Ok(codec::accounts::decode(self.header.count, self.payload)?.0)
    }

    fn check_no_error(&self) -> Result<(), ClientError> {
        if self.header.flags & ERROR == 0 {
            return Ok(());
        }
        let (code, message) = codec::errors::decode(self.payload)?;
        Err(ClientError::Server { code, message })
    }
}
