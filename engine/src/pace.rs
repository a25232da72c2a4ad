//! How fast a thread in the background may be, so that nobody waits for it: it has the lowest priority for the processor, and
//! rests most of the time while the log is being written.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use florin_wal::LogReader;

/// Bytes a second that are read or written while the log is being written: as for the zeros of spare segments, which at
/// this pace cost the log's writes a millisecond or two at the 99.9th percentile.
const PACE_BYTES_PER_SECOND: u64 = 60_000_000;
/// The log counts as being written for so long after its last frame.
const QUIET_AFTER: Duration = Duration::from_millis(100);
/// The lowest priority there is: the thread runs when nobody else wants to.
const NICENESS: i32 = 19;

/// The engine stops.
#[derive(Debug)]
pub struct Stopped;

/// The pace of a thread.
pub struct Pace {
    log: LogReader,
    stopped: Receiver<()>,
    /// So many times as long as it worked the thread rests while the log is being written. Priority alone is not enough: what it does in
    /// idle moments still costs the others their caches and the memory's bandwidth.
    rest_factor: u32,
    /// Last durable frame when the pace was kept last, and when it was last seen to be another.
    durable: u64,
    written_at: Instant,
    /// When the last rest was over.
    resumed: Instant,
}

impl Pace {
    /// The pace of a thread that is to end when the other side of `stopped` is gone.
    pub fn new(log: LogReader, stopped: Receiver<()>, rest_factor: u32) -> Pace {
        let (durable, now) = (log.durable(), Instant::now());
        Pace { log, stopped, rest_factor, durable, written_at: now, resumed: now }
    }

    /// Gives the calling thread the lowest priority.
    pub fn lower_priority() {
        // Without it the thread would be as important as the others: slower for them, and no less right.
        let _ = rustix::process::nice(NICENESS);
    }

    /// Rests for what was done since the last rest, of which so many bytes were read or written, if the log is being written.
    pub fn keep(&mut self, bytes: usize) -> Result<(), Stopped> {
        let durable = self.log.durable();
        if std::mem::replace(&mut self.durable, durable) != durable {
            self.written_at = Instant::now();
        }
        if self.written_at.elapsed() > QUIET_AFTER {
            return self.rest(Duration::ZERO);
        }
        let for_disk = Duration::from_nanos(bytes as u64 * 1_000_000_000 / PACE_BYTES_PER_SECOND);
        self.rest(for_disk.max(self.resumed.elapsed() * self.rest_factor))
    }

    /// Rests for a time, or until the engine stops.
    pub fn rest(&mut self, time: Duration) -> Result<(), Stopped> {
        let told = self.stopped.recv_timeout(time);
        self.resumed = Instant::now();
        match told {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }
}
