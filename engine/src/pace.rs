//! How fast a thread in the background may be, so that nobody waits for it: it has the lowest priority for the processor, and
//! rests most of the time while the log is being written.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use florin_wal::LogReader;

/// The log counts as being written for so long after its last frame.
const QUIET_AFTER: Duration = Duration::from_millis(100);
/// The lowest priority there is: the thread runs when nobody else wants to.
const NICENESS: i32 = 19;

/// What is less is rested for later: a sleep takes some 60 µs at least, however short it was meant to be.
const SHORTEST_REST: Duration = Duration::from_millis(2);

/// How a thread goes while the log is being written.
#[derive(Clone, Copy, Debug)]
pub struct Gait {
    /// So many times as long as it worked it rests. Priority alone is not enough: what it does in idle moments still costs the others
    /// their caches and the memory's bandwidth.
    pub rest_factor: u32,
    /// Most bytes a second that are read or written.
    pub bytes_per_second: u64,
}

impl Gait {
    /// For what has time: bytes as for the zeros of spare segments, which at this pace cost the log's writes a millisecond or two at the
    /// 99.9th percentile.
    pub const SLOW: Gait = Gait { rest_factor: 15, bytes_per_second: 60_000_000 };
    /// For what has fallen far behind: half of a core that nobody else wants.
    pub const HURRIED: Gait = Gait { rest_factor: 1, bytes_per_second: 400_000_000 };

    /// For what goes on for ever, at a rate that was asked for.
    pub fn at_rate(bytes_per_second: u64) -> Gait {
        Gait { rest_factor: 3, bytes_per_second }
    }
}

/// The engine stops.
#[derive(Debug)]
pub struct Stopped;

/// The pace of a thread.
pub struct Pace {
    log: LogReader,
    stopped: Receiver<()>,
    gait: Gait,
    /// Last durable frame when the pace was kept last, and when it was last seen to be another.
    durable: u64,
    written_at: Instant,
    /// When the last rest was over, and the bytes since.
    resumed: Instant,
    bytes: u64,
}

impl Pace {
    /// The pace of a thread that is to end when the other side of `stopped` is gone.
    pub fn new(log: LogReader, stopped: Receiver<()>) -> Pace {
        let (durable, now) = (log.durable(), Instant::now());
        Pace { log, stopped, gait: Gait::SLOW, durable, written_at: now, resumed: now, bytes: 0 }
    }

    /// Changes the gait.
    pub fn go(&mut self, gait: Gait) {
        self.gait = gait;
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
        self.keep_always(bytes)
    }

    /// As [`Pace::keep`], whether or not the log is being written.
    pub fn keep_always(&mut self, bytes: usize) -> Result<(), Stopped> {
        self.bytes += bytes as u64;
        let for_disk = Duration::from_nanos(self.bytes * 1_000_000_000 / self.gait.bytes_per_second);
        let rest = for_disk.max(self.resumed.elapsed() * self.gait.rest_factor);
        if rest < SHORTEST_REST { Ok(()) } else { self.rest(rest) }
    }

    /// Rests for a time, or until the engine stops.
    pub fn rest(&mut self, time: Duration) -> Result<(), Stopped> {
        let told = self.stopped.recv_timeout(time);
        (self.resumed, self.bytes) = (Instant::now(), 0);
        match told {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }
}
