//! The engine's side of the log: buffers out, frames in, the durable position. Whoever appends never waits for the disk
//! unless more frames are outstanding than were permitted.

use crate::error::LogFailure;
use crate::lock::DataLock;
use crate::pack::shelf::Packs;
use crate::room::{Outstanding, Room, RoomKeeper};
use crate::segments::Segments;
use crate::stats::{Counters, LogStats};
use crossbeam::channel::{Receiver, Sender};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// What all sides of a running log share.
pub(crate) struct Shared {
    pub durable: AtomicU64,
    pub room: Arc<RoomKeeper>,
    pub segments: Segments,
    pub packs: Arc<Packs>,
    pub counters: Counters,
}

/// A frame on its way to the writer thread.
pub(crate) struct Queued {
    pub number: u64,
    pub first_sequence: u64,
    pub count: u32,
    pub time_ns: u64,
    pub buffer: FrameBuffer,
    pub appended: Instant,
}

/// What the writer thread is told, in order.
pub(crate) enum ToWriter {
    /// Write this.
    Frame(Queued),
    /// Let the next group begin a new segment, if this one has a frame.
    Close,
}

/// Payload and voucher area of an empty buffer.
pub(crate) type Parts = (Vec<u8>, Vec<u8>);

/// Memory for the body of one frame. Goes back to its pool when it is dropped, with its capacity.
pub struct FrameBuffer {
    payload: Vec<u8>,
    vouchers: Vec<u8>,
    pool: Sender<Parts>,
}

impl FrameBuffer {
    pub(crate) fn new(payload: Vec<u8>, vouchers: Vec<u8>, pool: Sender<Parts>) -> FrameBuffer {
        FrameBuffer { payload, vouchers, pool }
    }

    /// The payload, empty at first.
    pub fn payload(&mut self) -> &mut Vec<u8> {
        &mut self.payload
    }

    /// The voucher area, empty at first.
    pub fn vouchers(&mut self) -> &mut Vec<u8> {
        &mut self.vouchers
    }

    /// Payload and voucher area, to write both at once.
    pub fn parts(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.payload, &mut self.vouchers)
    }

    pub(crate) fn read(&self) -> (&[u8], &[u8]) {
        (&self.payload, &self.vouchers)
    }

    /// Bytes of payload and vouchers together.
    pub fn bytes(&self) -> usize {
        self.payload.len() + self.vouchers.len()
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        let (mut payload, mut vouchers) = (std::mem::take(&mut self.payload), std::mem::take(&mut self.vouchers));
        payload.clear();
        vouchers.clear();
        // A full pool has enough of them.
        let _ = self.pool.try_send((payload, vouchers));
    }
}

/// What must follow the last frame appended.
pub(crate) struct Next {
    pub number: u64,
    pub sequence: u64,
}

/// Appends frames. Dropping it is a shutdown whose failure nobody sees.
pub struct LogWriter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) frame_bytes_max: usize,
    pub(crate) next: Mutex<Next>,
    /// `None` once shut down.
    pub(crate) frames: Option<Sender<ToWriter>>,
    pub(crate) pool: (Sender<Parts>, Receiver<Parts>),
    pub(crate) writer: Option<JoinHandle<Result<(), LogFailure>>>,
    pub(crate) allocator: Option<JoinHandle<()>>,
    /// Freed last, after both threads have ended.
    pub(crate) _lock: DataLock,
}

impl LogWriter {
    /// An empty buffer from the pool, or a new one if all are in use.
    pub fn buffer(&self) -> FrameBuffer {
        let (payload, vouchers) = self.pool.1.try_recv().unwrap_or_default();
        FrameBuffer::new(payload, vouchers, self.pool.0.clone())
    }

    /// Hands the next frame to the writer thread. Frames are numbered without gaps and sequence numbers have none;
    /// anything else is a bug, as is a frame above [`LogWriter::frame_bytes_max`]. Waits only while more frames are
    /// outstanding than `LogOptions::buffers`. After a failure of the log frames are dropped: they are never durable.
    pub fn append(&self, number: u64, first_sequence: u64, count: u32, time_ns: u64, buffer: FrameBuffer) {
        let bytes = buffer.bytes();
        assert!(bytes <= self.frame_bytes_max, "a frame of {bytes} bytes is above the limit {}", self.frame_bytes_max);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(number, next.number, "frames are numbered without gaps");
        assert_eq!(first_sequence, next.sequence, "sequence numbers have no gaps");
        next.number += 1;
        next.sequence += u64::from(count);
        // In the account of the room before the writer can take it out again. Under the lock, so that both keep one
        // order; nobody is waiting at the allocator for this, hence no wake-up.
        self.shared.room.lock().outstanding.push_back(Outstanding::Frame(bytes as u64));
        let frames = self.frames.as_ref().expect("not shut down");
        // The receiver is gone only after a failure, which `on_failure` has reported.
        let frame = Queued { number, first_sequence, count, time_ns, buffer, appended: Instant::now() };
        let _ = frames.send(ToWriter::Frame(frame));
    }

    /// Ends the segment that is being written, if anything durable is in it: an empty group begins the next one at once, so that what is
    /// durable now stands in sealed segments; see [`LogReader::await_sealed`](crate::LogReader::await_sealed). `promised` frames of the largest size, for which room was found before, still have it;
    /// anything but [`Room::Ready`] means that this cannot be (yet), and nothing was done. Without promises it waits for the outcome of
    /// an allocation that is under way.
    pub fn close_segment(&self, promised: usize) -> Room {
        // Under the lock, so that the account of the room and the queue keep one order.
        let _next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (room, is_new) = self.shared.room.close(self.frame_bytes_max as u64, promised);
        if is_new {
            let frames = self.frames.as_ref().expect("not shut down");
            // The receiver is gone only after a failure, which `on_failure` has reported.
            let _ = frames.send(ToWriter::Close);
        }
        room
    }

    /// The last durable frame.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Whether a frame of `bytes` (payload and vouchers) on top of all that is queued will find room for certain. To be
    /// asked before a round is applied; `false` means that the disk is full (or the log has failed) and the round is to
    /// be refused. While a segment is being allocated, which takes milliseconds, it waits for the outcome; see
    /// [`LogWriter::room`] for an answer at once. Becomes true again once a segment can be allocated.
    pub fn has_room(&self, bytes: u64) -> bool {
        bytes <= self.frame_bytes_max as u64 && self.shared.room.decide(bytes)
    }

    /// As [`LogWriter::has_room`], for several frames of `bytes` each and without waiting.
    pub fn room(&self, bytes: u64, frames: usize) -> Room {
        match bytes <= self.frame_bytes_max as u64 {
            true => self.shared.room.room(bytes, frames),
            false => Room::Full,
        }
    }

    /// Why no segment can be allocated at present, for a log line or a metric.
    pub fn allocation_failure(&self) -> Option<String> {
        self.shared.room.lock().failing.as_ref().map(|error| error.to_string())
    }

    /// Largest frame, payload and vouchers together, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// What the writer has done since it started.
    pub fn stats(&self) -> LogStats {
        self.shared.counters.read()
    }

    /// Writes all that is queued, a seal and the watermark, and ends the threads.
    pub fn shutdown(mut self) -> Result<(), LogFailure> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), LogFailure> {
        drop(self.frames.take());
        let done = match self.writer.take() {
            Some(writer) => writer.join().unwrap_or(Err(LogFailure::Bug)),
            None => Ok(()),
        };
        if let Some(allocator) = self.allocator.take() {
            self.shared.room.change(|state| state.stopped = true);
            if allocator.join().is_err() {
                return done.and(Err(LogFailure::Bug));
            }
        }
        done
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Reported through `on_failure`.
        let _ = self.stop();
    }
}
