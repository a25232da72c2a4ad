//! The one thread that makes the log: takes everything queued, writes and syncs it as one group, reports it, and takes
//! what has come meanwhile. A large group is written by another thread (`disk_thread`), and what comes until that is done is laid out behind
//! it. The only timer is the seal's. After a failure it never writes again.

use crate::disk_thread::DiskThread;
use crate::error::LogFailure;
use crate::group::{GroupWriter, NewFrame, Outgoing, Written};
use crate::limits::{SEAL_AFTER_MS, SPIN_US};
use crate::room::Outstanding;
use crate::segments::segment_name;
use crate::stats::{add, class};
use crate::writer::{Queued, Shared, ToWriter};
use crossbeam::channel::{Receiver, RecvTimeoutError, TryRecvError, select};
use florin_planted::{Fault, planted};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant};

/// Called with the last durable frame after each group that had frames.
pub(crate) type OnDurable = Box<dyn Fn(u64, GroupTimes) + Send>;

/// How long a group took.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroupTimes {
    /// From its first frame appended to the start of the write.
    pub write: Duration,
    /// The write and its sync.
    pub sync: Duration,
}

/// Called once when the log fails.
pub(crate) type OnFailure = Box<dyn FnOnce(LogFailure) + Send>;

/// The writer thread.
pub(crate) struct WriterThread {
    pub group: GroupWriter,
    pub disk: DiskThread,
    /// Bytes of a group from which on it is written by the other thread.
    pub apart_from: usize,
    pub frames: Receiver<ToWriter>,
    pub shared: Arc<Shared>,
    pub on_durable: OnDurable,
    /// When the first frame of the group under construction was appended.
    pub first_appended: Instant,
}

/// What the channel gave.
enum Next {
    Message(ToWriter),
    /// Nothing came for the time of a seal.
    Quiet,
    Closed,
}

/// Says that the log failed even if the thread ends in a panic.
struct Farewell {
    shared: Arc<Shared>,
    on_failure: Option<OnFailure>,
}

impl Farewell {
    fn failed(&mut self, failure: LogFailure) {
        self.shared.room.change(|state| state.stopped = true);
        if let Some(on_failure) = self.on_failure.take() {
            on_failure(failure);
        }
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed(LogFailure::Bug);
        }
    }
}

impl WriterThread {
    /// Runs until all senders are gone or a write fails.
    pub(crate) fn run(mut self, on_failure: OnFailure) -> Result<(), LogFailure> {
        let mut farewell = Farewell { shared: Arc::clone(&self.shared), on_failure: Some(on_failure) };
        let done = self.write_all();
        match &done {
            Ok(()) => self.shared.room.change(|state| state.stopped = true),
            Err(failure) => farewell.failed(failure.clone()),
        }
        done
    }

    fn write_all(&mut self) -> Result<(), LogFailure> {
        let mut held: Option<ToWriter> = None;
        // The opening group is as good as a seal.
        let mut sealed = true;
        loop {
            let next = match held.take() {
                Some(message) => Next::Message(message),
                None => self.receive(sealed),
            };
            match next {
                Next::Message(ToWriter::Frame(frame)) => {
                    held = self.write_groups(frame)?;
                    sealed = false;
                }
                // What begins the next segment is as good as a seal.
                Next::Message(ToWriter::Close) => sealed |= self.close_segment()?,
                Next::Quiet | Next::Closed if !sealed => {
                    self.seal()?;
                    sealed = true;
                }
                Next::Quiet => {}
                Next::Closed => return Ok(()),
            }
        }
    }

    /// Looks for a while, since waking a parked thread costs more than most waits are long, then parks. Between looks
    /// it yields, so that with few cores it takes no time from a thread that could run.
    fn receive(&self, sealed: bool) -> Next {
        let start = Instant::now();
        let spin = Duration::from_micros(SPIN_US);
        loop {
            match self.frames.try_recv() {
                Ok(message) => return Next::Message(message),
                Err(TryRecvError::Disconnected) => return Next::Closed,
                Err(TryRecvError::Empty) if start.elapsed() >= spin => break,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        if sealed {
            return self.frames.recv().map_or(Next::Closed, Next::Message);
        }
        match self.frames.recv_timeout(Duration::from_millis(SEAL_AFTER_MS)) {
            Ok(message) => Next::Message(message),
            Err(RecvTimeoutError::Timeout) => Next::Quiet,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// Writes this frame and what is queued behind it, and what came meanwhile, until nothing did. Gives back a message that has to wait
    /// for that: a frame that did not fit any more, or one that is no frame.
    fn write_groups(&mut self, first: Queued) -> Result<Option<ToWriter>, LogFailure> {
        if !self.group.fits(first.buffer.bytes()) {
            self.await_segment(self.group.next_segment())?;
            self.group.begin_segment(fresh_salt()?)?;
        }
        self.add(first);
        let mut held = None;
        while self.group.has_frames() {
            while held.is_none()
                && let Ok(message) = self.frames.try_recv()
            {
                held = self.add_if_it_fits(message);
            }
            let begun = Instant::now();
            let waited = begun - self.first_appended;
            let outgoing = self.group.close()?;
            if planted(Fault::AckBeforeSync) {
                (self.on_durable)(outgoing.last_frame(), GroupTimes::default());
            }
            let outgoing = match outgoing.bytes() < self.apart_from {
                true => outgoing.write().map(|()| outgoing)?,
                false => self.write_apart(outgoing, &mut held)?,
            };
            let written = self.group.finish(outgoing)?;
            let times = GroupTimes { write: waited, sync: begun.elapsed() };
            self.settle(&written);
            self.shared.durable.store(written.last_frame, Release);
            (self.on_durable)(written.last_frame, times);
        }
        Ok(held)
    }

    /// Has a group written, and lays out what comes until it is.
    fn write_apart(&mut self, outgoing: Outgoing, held: &mut Option<ToWriter>) -> Result<Outgoing, LogFailure> {
        self.disk.write(outgoing);
        while held.is_none() {
            select! {
                recv(self.disk.done()) -> done => return done.unwrap_or(Err(LogFailure::Bug)),
                recv(self.frames) -> message => match message {
                    Ok(message) => *held = self.add_if_it_fits(message),
                    // Nothing will come any more; the next look says so again.
                    Err(_) => break,
                }
            }
        }
        self.disk.done().recv().unwrap_or(Err(LogFailure::Bug))
    }

    fn add_if_it_fits(&mut self, message: ToWriter) -> Option<ToWriter> {
        match message {
            ToWriter::Frame(frame) if self.group.fits(frame.buffer.bytes()) => {
                self.add(frame);
                None
            }
            message => Some(message),
        }
    }

    fn add(&mut self, frame: Queued) {
        if !self.group.has_frames() {
            self.first_appended = frame.appended;
        }
        let (payload, vouchers) = frame.buffer.read();
        let Queued { number, first_sequence, count, time_ns, .. } = frame;
        self.group.add(&NewFrame { number, first_sequence, count, time_ns, payload, vouchers });
    }

    /// An empty group, or, where the segment has no block left for it, the watermark alone: a seal never begins a
    /// segment.
    fn seal(&mut self) -> Result<(), LogFailure> {
        if self.group.fits_empty() {
            let written = self.group.write()?;
            self.settle(&written);
            return Ok(());
        }
        self.group.mark()?;
        add(&self.shared.counters.syncs, 1);
        add(&self.shared.counters.watermarks, 1);
        Ok(())
    }

    /// Ends the segment, unless it has no frame yet, and begins the next one with an empty group. Says whether it did.
    fn close_segment(&mut self) -> Result<bool, LogFailure> {
        let end = self.group.end();
        let has_frames = end.segment.is_some_and(|segment| segment.first_frame <= end.last_frame);
        if has_frames {
            self.await_segment(self.group.next_segment())?;
            self.group.begin_segment(fresh_salt()?)?;
            let written = self.group.write()?;
            self.settle(&written);
        }
        let closed = self.shared.room.change(|state| state.outstanding.pop_front());
        assert_eq!(closed, Some(Outstanding::Close), "what is accounted for is in the order of the queue");
        Ok(has_frames)
    }

    /// Counts a group and lets the others know where the writer stands.
    fn settle(&self, written: &Written) {
        count(&self.shared, written);
        if let Some(head) = written.began {
            self.shared.segments.push(head);
            self.shared.counters.segment.store(head.ordinal, Relaxed);
        }
        self.shared.room.settle(written.frames as usize, written.position);
    }

    /// Waits until a segment is ready. Space is set aside, only the zeros are missing, so it fails only where the disk does: when some
    /// tries have failed while the writer waits the log ends, or nobody would be answered any more.
    fn await_segment(&self, ordinal: u64) -> Result<(), LogFailure> {
        let room = &self.shared.room;
        let mut state = room.lock();
        if state.ready_upto >= ordinal {
            return Ok(());
        }
        add(&self.shared.counters.segment_waits, 1);
        let failed_before = state.failed_fills;
        drop(state);
        room.change(|state| state.waiting = true);
        state = room.lock();
        while state.ready_upto < ordinal {
            if let Some(source) = state
                .failing
                .clone()
                .filter(|_| state.reserved_upto < ordinal || state.failed_fills >= failed_before + FILLS_FAILED_MAX)
            {
                return Err(LogFailure::NoRoom { file: segment_name(ordinal), source });
            }
            state = room.wait(state);
        }
        state.waiting = false;
        Ok(())
    }
}

/// Tries to fill a segment that may fail while the writer waits for it.
const FILLS_FAILED_MAX: u64 = 3;

/// Adds a group to the counters.
pub(crate) fn count(shared: &Shared, written: &Written) {
    let counters = &shared.counters;
    add(&counters.groups, 1);
    add(&counters.seals, u64::from(written.frames == 0));
    add(&counters.frames, u64::from(written.frames));
    add(&counters.frame_bytes, written.frame_bytes);
    add(&counters.disk_bytes, written.disk_bytes);
    add(&counters.syncs, 1 + u64::from(written.watermark));
    add(&counters.watermarks, u64::from(written.watermark));
    add(&counters.group_frames[class(u64::from(written.frames))], 1);
    add(&counters.group_blocks[class(written.disk_bytes / crate::limits::BLOCK_BYTES as u64)], 1);
}

/// A random salt for a segment.
pub(crate) fn fresh_salt() -> Result<u64, LogFailure> {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(u64::from_le_bytes(bytes)),
        Err(error) => Err(LogFailure::Open {
            file: "the system's random source".into(),
            source: Arc::new(std::io::Error::other(error)),
        }),
    }
}
