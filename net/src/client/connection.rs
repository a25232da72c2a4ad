//! The task that keeps a client's connection: connects, writes what waits, reads replies, connects again.
//!
//! It ends when the client is closed. Queued requests leave in one write; bytes that were sent on a lost connection are
//! sent again unchanged and in order on the next.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore, watch};

use super::pending::{Pending, ReplySender, Withdrawn};
use super::{ClientError, ClientOptions};
use crate::codec;
use crate::codec::hello::{Hello, HelloReply};
use crate::error::ErrorCode;
use crate::frame;
use crate::header::{ERROR, Header, Operation, REPLY_BIT};
use crate::limits::{HEADER_BYTES, READ_CHUNK_BYTES, REPLY_BYTES_MAX, VERSION};

/// Frames up to this size are copied together; larger ones are written from where they lie.
const MERGE_BYTES_MAX: usize = 16 << 10;
/// Bytes gathered for one write.
const WRITE_BYTES: usize = 1 << 20;
/// First wait before connecting again; doubled each time.
const BACK_OFF_FIRST: Duration = Duration::from_millis(10);
/// Longest wait before connecting again.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// What the callers and the connection's task share.
#[derive(Debug)]
pub struct Shared {
    addr: String,
    pub(super) options: ClientOptions,
    pub(super) in_flight: Semaphore,
    state: Mutex<State>,
    /// There is something to send, or something else of `state` has changed.
    wake: Notify,
    /// Why there is no connection; none while there is one.
    link: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    pending: Pending,
    /// The last handle is gone.
    closed: bool,
    /// A request met its deadline and the connection had been silent since it was sent.
    suspect: bool,
    /// There will be no connection any more, and why.
    ended: Option<ClientError>,
}

/// Why a connection ended.
#[derive(Debug)]
enum Lost {
    /// Closed by the last handle.
    Closed,
    /// The network, or a server that is stopping: try again.
    Again(String),
    /// The server refuses this client: trying again would not help.
    Refused(ClientError),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Lost {
        Lost::Again(error.to_string())
    }
}

/// Connects for the first time and starts the task.
pub async fn start(addr: &str, options: ClientOptions) -> Result<(Arc<Shared>, HelloReply), ClientError> {
    let (stream, hello) = connect_once(addr, &options).await?;
    let in_flight = Semaphore::new(options.in_flight.clamp(1, Semaphore::MAX_PERMITS));
    let (state, wake, link) = (Mutex::default(), Notify::new(), watch::Sender::new(None));
    let shared = Arc::new(Shared { addr: addr.to_owned(), options, in_flight, state, wake, link });
    tokio::spawn(keep(shared.clone(), stream));
    Ok((shared, hello))
}

/// Connects within the options' deadline, and says hello.
pub async fn connect_once(addr: &str, options: &ClientOptions) -> Result<(TcpStream, HelloReply), ClientError> {
    let connect_error = |reason: String| ClientError::Connect { addr: addr.to_owned(), reason };
    match tokio::time::timeout(options.deadline, connect(addr, options)).await {
        Err(_) => Err(connect_error(format!("no answer within {:?}", options.deadline))),
        Ok(Err(Lost::Refused(error))) => Err(error),
        Ok(Err(Lost::Again(reason))) => Err(connect_error(reason)),
        Ok(Err(Lost::Closed)) => Err(connect_error("closed".to_owned())),
        Ok(Ok(connected)) => Ok(connected),
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no caller panics while it holds the client's state")
    }

    pub(super) fn add(
        &self,
        header: Header,
        operation: Operation,
        payload: Bytes,
        reply: ReplySender,
    ) -> Result<u64, ClientError> {
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let number = state.pending.add(header, operation, payload, reply);
        drop(state);
        self.wake.notify_one();
        Ok(number)
    }

    pub(super) fn withdraw(&self, number: u64) -> Withdrawn {
        self.state().pending.withdraw(number)
    }

    pub(super) fn suspect(&self) {
        self.state().suspect = true;
        self.wake.notify_one();
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
    }

    /// No connection will be made any more.
    fn end(&self, error: ClientError) {
        let mut state = self.state();
        state.pending.fail_all(|| error.clone());
        state.ended = Some(error);
    }

    pub(super) fn link(&self) -> watch::Receiver<Option<String>> {
        self.link.subscribe()
    }

    /// That no answer came within `limit`; without a connection, why there is none.
    pub(super) fn no_answer(&self, limit: Duration) -> ClientError {
        match &*self.link.borrow() {
            None => ClientError::Timeout(limit),
            Some(reason) => self.connect_error(&format!("{reason}; tried again for {limit:?}")),
        }
    }

    fn connect_error(&self, reason: &str) -> ClientError {
        ClientError::Connect { addr: self.addr.clone(), reason: reason.to_owned() }
    }
}

/// Keeps the connection until the client is closed or may not connect again.
async fn keep(shared: Arc<Shared>, first: TcpStream) {
    let mut stream = Some(first);
    let mut back_off = BACK_OFF_FIRST;
    loop {
        let result = match stream.take() {
            Some(stream) => {
                back_off = BACK_OFF_FIRST;
                run(&shared, stream).await
            }
            None => match tokio::time::timeout(shared.options.deadline, connect(&shared.addr, &shared.options)).await {
                Err(_) => Lost::Again("no answer to the hello".to_owned()),
                Ok(Err(lost)) => lost,
                Ok(Ok((connected, _))) => {
                    shared.link.send_replace(None);
                    stream = Some(connected);
                    continue;
                }
            },
        };
        match result {
            Lost::Closed => return shared.end(shared.connect_error("the client is closed")),
            Lost::Refused(error) => return shared.end(error),
            Lost::Again(reason) if !shared.options.reconnect => return shared.end(shared.connect_error(&reason)),
            Lost::Again(reason) => drop(shared.link.send_replace(Some(reason))),
        }
        if wait_for_work(&shared, back_off).await {
            return shared.end(shared.connect_error("the client is closed"));
        }
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

/// Waits the back-off, then until there is something to send; whether the client was closed meanwhile.
async fn wait_for_work(shared: &Shared, back_off: Duration) -> bool {
    // Up to half as long again, so that the clients of a restarted server do not all come at once.
    let mut random = [0; 2];
    let _ = getrandom::fill(&mut random);
    let jitter = back_off.mul_f64(f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX) / 2.0);
    let until = tokio::time::Instant::now() + back_off + jitter;
    loop {
        if shared.state().closed {
            return true;
        }
        if tokio::time::timeout_at(until, shared.wake.notified()).await.is_err() {
            break;
        }
    }
    loop {
        {
            let state = shared.state();
            if state.closed || !state.pending.is_empty() {
                return state.closed;
            }
        }
        shared.wake.notified().await;
    }
}

/// Connects and says hello.
async fn connect(addr: &str, options: &ClientOptions) -> Result<(TcpStream, HelloReply), Lost> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let hello = Hello { version_min: u16::from(VERSION), version_max: u16::from(VERSION), name: options.name.clone() };
    let mut out = Vec::new();
    let header = Header { operation: Operation::Hello as u8, institution: options.institution, ..Header::default() };
    frame::append(&mut out, header, |out, _| hello.encode(out));
    stream.write_all(&out).await?;
    let mut bytes = [0; HEADER_BYTES];
    stream.read_exact(&mut bytes).await?;
    let header = check_reply(&bytes).map_err(Lost::Again)?;
    let mut payload = vec![0; (header.length as usize).min(HELLO_REPLY_BYTES_MAX)];
    stream.read_exact(&mut payload).await?;
    header.check_payload(&payload).map_err(|error| Lost::Again(error.to_string()))?;
    if header.flags & ERROR != 0 {
        return Err(refused(&payload));
    }
    let reply = HelloReply::decode(&payload)
        .map_err(|error| Lost::Refused(ClientError::Protocol(format!("the hello's reply: {error}"))))?;
    Ok((stream, reply))
}

/// No reply to a hello is longer, and what says it is fails its checksum.
const HELLO_REPLY_BYTES_MAX: usize = 4 << 10;

/// Errors that pass by themselves are tried again; the others are for the caller.
fn refused(payload: &[u8]) -> Lost {
    match codec::errors::decode(payload) {
        Err(error) => Lost::Again(error.to_string()),
        Ok((code, message)) => match ErrorCode::from_number(code) {
            Some(
                ErrorCode::ShuttingDown
                | ErrorCode::TooManyConnections
                | ErrorCode::HandshakeTimeout
                | ErrorCode::SlowSender
                | ErrorCode::BadHeaderChecksum
                | ErrorCode::BadPayloadChecksum
                | ErrorCode::FrameCut
                | ErrorCode::Internal,
            ) => Lost::Again(message),
            _ => Lost::Refused(ClientError::Server { code, message }),
        },
    }
}

/// The header of a reply, checked; or what is wrong with it.
pub fn check_reply(bytes: &[u8; HEADER_BYTES]) -> Result<Header, String> {
    let header = Header::decode(bytes).map_err(|error| error.to_string())?;
    if header.operation & REPLY_BIT == 0 || header.length as usize > REPLY_BYTES_MAX {
        return Err("this is not a reply".to_owned());
    }
    Ok(header)
}

/// Writes and reads until the connection ends.
async fn run(shared: &Shared, stream: TcpStream) -> Lost {
    {
        let mut state = shared.state();
        state.pending.rewind();
        state.suspect = false;
    }
    // What was added before this connection began must be seen without a wake-up.
    shared.wake.notify_one();
    let (read, write) = stream.into_split();
    tokio::select! {
        result = read_replies(shared, read) => result.err().unwrap_or(Lost::Closed),
        result = write_requests(shared, write) => result.err().unwrap_or(Lost::Closed),
    }
}

async fn write_requests(shared: &Shared, mut stream: OwnedWriteHalf) -> Result<(), Lost> {
    let mut frames = Vec::new();
    let mut merged = BytesMut::new();
    loop {
        {
            let mut state = shared.state();
            if state.closed {
                return Ok(());
            }
            if state.suspect {
                return Err(Lost::Again("the server was silent past a deadline".to_owned()));
            }
            state.pending.gather(&mut frames, WRITE_BYTES);
        }
        if frames.is_empty() {
            shared.wake.notified().await;
            continue;
        }
        for (header, payload) in frames.drain(..) {
            merged.extend_from_slice(&header);
            if payload.len() <= MERGE_BYTES_MAX {
                merged.extend_from_slice(&payload);
            } else {
                write_both(&mut stream, &merged, &payload).await?;
                merged.clear();
            }
        }
        if !merged.is_empty() {
            stream.write_all(&merged).await?;
            merged.clear();
        }
    }
}

/// Writes two pieces as one.
async fn write_both(stream: &mut OwnedWriteHalf, mut first: &[u8], mut second: &[u8]) -> io::Result<()> {
    while !first.is_empty() {
        let pieces = [io::IoSlice::new(first), io::IoSlice::new(second)];
        let written = stream.write_vectored(&pieces).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_first = written.min(first.len());
        first = &first[of_first..];
        second = &second[written - of_first..];
    }
    stream.write_all(second).await
}

async fn read_replies(shared: &Shared, mut stream: OwnedReadHalf) -> Result<(), Lost> {
    let mut buffer = BytesMut::with_capacity(READ_CHUNK_BYTES);
    loop {
        while let Some((header, payload)) = next_reply(&mut buffer)? {
            accept(shared, header, payload)?;
        }
        buffer.reserve(READ_CHUNK_BYTES / 2);
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(Lost::Again("the server closed the connection".to_owned()));
        }
    }
}

/// Takes a whole reply from the front of the buffer, if there is one.
fn next_reply(buffer: &mut BytesMut) -> Result<Option<(Header, Bytes)>, Lost> {
    let Some(bytes) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let header = check_reply(bytes).map_err(Lost::Again)?;
    let total = HEADER_BYTES + header.length as usize;
    if buffer.len() < total {
        return Ok(None);
    }
    header.check_payload(&buffer[HEADER_BYTES..total]).map_err(|error| Lost::Again(error.to_string()))?;
    let mut frame = buffer.split_to(total);
    Ok(Some((header, frame.split_off(HEADER_BYTES).freeze())))
}

fn accept(shared: &Shared, header: Header, payload: Bytes) -> Result<(), Lost> {
    let mut state = shared.state();
    let closing = header.flags & ERROR != 0
        && codec::errors::decode(&payload)
            .is_ok_and(|(code, _)| ErrorCode::from_number(code).is_none_or(ErrorCode::closes));
    if !closing {
        return state.pending.answer(header, payload).map_err(|what| Lost::Again(what.to_owned()));
    }
    // The server answers all that it has taken before it sends a closing error: what still waits was not taken.
    match refused(&payload) {
        Lost::Refused(error) if header.request != 0 => {
            state.pending.refuse(header.request, error);
            Err(Lost::Again("the server refused a request".to_owned()))
        }
        Lost::Refused(error) => {
            state.pending.refuse_all(|| error.clone());
            Err(Lost::Again("the server refused the connection's bytes".to_owned()))
        }
        other => Err(other),
    }
}
