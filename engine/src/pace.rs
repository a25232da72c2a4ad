//! How fast a thread in the background may be, so that nobody waits for it: it has the lowest priority for the processor, and
//! rests most of the time while the log is being written.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, select};
use florin_wal::LogReader;

/// The log counts as being written for so long after its last frame.
const QUIET_AFTER: Duration = Duration::from_millis(100);
/// The lowest priority there is: the thread runs when nobody else wants to.
const NICENESS: i32 = 19;

/// What is less is rested for later: a sleep takes some 60 µs at least, however short it was meant to be.
const SHORTEST_REST: Duration = Duration::from_millis(2);

/// How a thread goes while the log is being written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gait {
    /// So many times as long as it worked it rests. Priority alone is not enough: what it does in idle moments still costs the others
    /// their caches and the memory's bandwidth.
    pub rest_factor: u32,
    /// Most bytes a second that are read or written.
    pub bytes_per_second: u64,
}

/// So many times what is no cause for haste is cause for all of it.
const HURRIED_FROM: u64 = 8;

impl Gait {
    /// For what has time: bytes as for the zeros of spare segments, which at this pace cost the log's writes a millisecond or two at the
    /// 99.9th percentile.
    pub const SLOW: Gait = Gait { rest_factor: 15, bytes_per_second: 60_000_000 };
    /// For what has fallen far behind: half of a core that nobody else wants.
    pub const HURRIED: Gait = Gait { rest_factor: 1, bytes_per_second: 400_000_000 };

    /// For what is so many segments behind: slow while that is `fine`, ever faster above, so that it settles at the pace that the load
    /// needs and takes no more from it than that. `docs/performance.md` has what it gives.
    pub fn for_backlog(segments: u64, fine: u64) -> Gait {
        let (slow, hurried) = (Gait::SLOW, Gait::HURRIED);
        let whole = (HURRIED_FROM - 1) * fine.max(1);
        let part = segments.saturating_sub(fine).min(whole);
        let less = u64::from(slow.rest_factor - hurried.rest_factor) * part / whole;
        Gait {
            rest_factor: slow.rest_factor - less as u32,
            bytes_per_second: slow.bytes_per_second + (hurried.bytes_per_second - slow.bytes_per_second) * part / whole,
        }
    }

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
    /// Last durable frame when the pace was kept last, and when it was last seen to be another; none = not since the start.
    durable: u64,
    written_at: Option<Instant>,
    /// When the last rest was over, and the bytes since.
    resumed: Instant,
    bytes: u64,
}

impl Pace {
    /// The pace of a thread that is to end when the other side of `stopped` is gone.
    pub fn new(log: LogReader, stopped: Receiver<()>) -> Pace {
        let (durable, now) = (log.durable(), Instant::now());
        Pace { log, stopped, gait: Gait::SLOW, durable, written_at: Some(now), resumed: now, bytes: 0 }
    }

    /// The pace of a thread that nobody ends, beside a log that nobody has written yet.
    pub fn beside_rest(log: LogReader) -> Pace {
        Pace { written_at: None, ..Pace::new(log, never()) }
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
            self.written_at = Some(Instant::now());
        }
        if self.written_at.is_none_or(|at| at.elapsed() > QUIET_AFTER) {
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
        self.rest_or(time, &never::<()>()).map(drop)
    }

    /// Rests for a time, or until something comes, or until the engine stops.
    pub fn rest_or<T>(&mut self, time: Duration, coming: &Receiver<T>) -> Result<Option<T>, Stopped> {
        let came = select! {
            recv(self.stopped) -> _ => Err(Stopped),
            recv(coming) -> came => Ok(came.ok()),
            default(time) => Ok(None),
        };
        (self.resumed, self.bytes) = (Instant::now(), 0);
        came
    }
}

#[cfg(test)]
mod tests {
    use super::Gait;

    #[test]
    fn haste_grows_with_what_is_behind_and_ends_where_it_is_all_there_is() {
        for fine in [0, 1, 16, 32] {
            let gaits: Vec<Gait> = (0..=9 * fine.max(1)).map(|behind| Gait::for_backlog(behind, fine)).collect();
            assert_eq!(gaits[fine as usize], Gait::SLOW);
            assert_eq!(*gaits.last().unwrap(), Gait::HURRIED);
            assert!(gaits.is_sorted_by(|one, next| {
                one.rest_factor >= next.rest_factor && one.bytes_per_second <= next.bytes_per_second
            }));
        }
        let middle = Gait::for_backlog(16 + 56, 16);
        assert_eq!((middle.rest_factor, middle.bytes_per_second), (8, 230_000_000));
        assert_eq!(Gait::for_backlog(u64::MAX, 16), Gait::HURRIED);
    }
}
