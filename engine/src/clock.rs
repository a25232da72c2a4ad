//! The engine's time: the wall clock at the start, carried on by the monotonic clock, so that it never steps.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A wall clock further behind the log than this is not believed at the start, nanoseconds.
pub const BEHIND_MAX_NS: u64 = 3_600_000_000_000;
/// A gap since the log's last time longer than this is not believed at the start, nanoseconds (30 days).
pub const GAP_MAX_NS: u64 = 30 * 86_400_000_000_000;

/// Nanoseconds since 1970-01-01 UTC by the wall clock.
pub fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Why the wall clock is not believed.
pub fn distrust(wall: u64, last_booked_at: u64) -> Option<String> {
    if last_booked_at == 0 {
        return None;
    }
    if wall + BEHIND_MAX_NS < last_booked_at {
        let hours = (last_booked_at - wall) / 3_600_000_000_000;
        return Some(format!("the machine's clock is {hours} hours behind the last entry of the log"));
    }
    if wall > last_booked_at + GAP_MAX_NS {
        let days = (wall - last_booked_at) / 86_400_000_000_000;
        return Some(format!("the machine's clock is {days} days after the last entry of the log"));
    }
    None
}

/// A clock that does not step.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: u64,
    start: Instant,
}

impl Clock {
    /// Starts from the wall clock.
    pub fn start() -> Clock {
        Clock { wall: wall_ns(), start: Instant::now() }
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub fn now(&self) -> u64 {
        self.wall + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_up_to_an_hour_behind_and_thirty_days_ahead() {
        let log = 100 * GAP_MAX_NS;
        for (wall, believed) in [
            (log, true),
            (log - BEHIND_MAX_NS, true),
            (log - BEHIND_MAX_NS - 1, false),
            (log + GAP_MAX_NS, true),
            (log + GAP_MAX_NS + 1, false),
        ] {
            assert_eq!(distrust(wall, log).is_none(), believed, "wall {wall} log {log}");
        }
        assert!(distrust(wall_ns(), 0).is_none(), "an empty log believes any clock");
    }
}
