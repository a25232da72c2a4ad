//! Where the writer stands, what is queued, and which segments there are: the promise that a frame will find room.
//! A promise is never more than what is set aside on the disk, whatever the writer makes of the queue: merging frames
//! into groups and leaving out seals only takes less.

use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES, GROUP_HEADER_BYTES, to_blocks};
use std::collections::VecDeque;
use std::io;
use std::iter::{once, repeat_n};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whether a frame would find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It will.
    Ready,
    /// A segment is being allocated; nothing has failed.
    Soon,
    /// No segment can be allocated now, or the log has stopped.
    Full,
}

/// Where the next group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Current segment; 0 before the first.
    pub segment: u64,
    /// Offset of the next group in it; the segment's size if nothing more fits.
    pub offset: u64,
}

/// What was handed to the writer and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outstanding {
    /// A frame with so many bytes of body.
    Frame(u64),
    /// The segment is to be closed.
    Close,
}

/// What the lock guards.
pub(crate) struct RoomState {
    pub position: Position,
    /// Oldest first.
    pub outstanding: VecDeque<Outstanding>,
    /// All segments up to this ordinal are filled with zeros and durable.
    pub ready_upto: u64,
    /// All segments up to this ordinal have their space set aside.
    pub reserved_upto: u64,
    /// The last try to allocate failed with this.
    pub failing: Option<Arc<io::Error>>,
    /// Tries to fill the segment that is to be ready next that failed, ever.
    pub failed_fills: u64,
    /// The writer has a frame and no segment for it.
    pub waiting: bool,
    /// The writer has stopped.
    pub stopped: bool,
}

/// Shared by the engine's side, the writer and the allocator.
pub(crate) struct RoomKeeper {
    segment_bytes: u64,
    state: Mutex<RoomState>,
    changed: Condvar,
    /// For the allocator alone: frames that are done are no news to it, and there are thousands a second.
    for_allocator: Condvar,
}

impl RoomKeeper {
    pub(crate) fn new(segment_bytes: u64, position: Position, ready_upto: u64) -> RoomKeeper {
        let state = RoomState {
            position,
            outstanding: VecDeque::new(),
            ready_upto,
            reserved_upto: ready_upto,
            failing: None,
            failed_fills: 0,
            waiting: false,
            stopped: false,
        };
        let (state, changed, for_allocator) = (Mutex::new(state), Condvar::new(), Condvar::new());
        RoomKeeper { segment_bytes, state, changed, for_allocator }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes whoever waits for it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut RoomState) -> T) -> T {
        let out = change(&mut self.lock());
        self.changed.notify_all();
        self.for_allocator.notify_all();
        out
    }

    /// Takes note that the oldest frames are done and where the writer stands now; the allocator is woken only for another segment.
    pub(crate) fn settle(&self, frames: usize, position: Position) {
        let mut state = self.lock();
        assert!(frames <= state.outstanding.len(), "a frame is accounted for before it is queued");
        state.outstanding.drain(..frames);
        let before = std::mem::replace(&mut state.position, position);
        drop(state);
        self.changed.notify_all();
        if before.segment != position.segment {
            self.for_allocator.notify_all();
        }
    }

    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, RoomState>) -> MutexGuard<'a, RoomState> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait_at_most<'a>(
        &self,
        state: MutexGuard<'a, RoomState>,
        time: Duration,
    ) -> MutexGuard<'a, RoomState> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// As [`RoomKeeper::wait`], for the allocator.
    pub(crate) fn wait_for_work<'a>(&self, state: MutexGuard<'a, RoomState>) -> MutexGuard<'a, RoomState> {
        self.for_allocator.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`RoomKeeper::wait_for_work`], for so long at most.
    pub(crate) fn wait_for_work_at_most<'a>(
        &self,
        state: MutexGuard<'a, RoomState>,
        time: Duration,
    ) -> MutexGuard<'a, RoomState> {
        self.for_allocator.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether `frames` frames of `bytes` each would find room behind all that is queued.
    pub(crate) fn room(&self, bytes: u64, frames: usize) -> Room {
        self.judge(&self.lock(), &mut repeat_n(Outstanding::Frame(bytes), frames))
    }

    /// Takes note that the segment is to be closed, if the `frames` frames of `bytes` each that were promised room still find it then.
    /// Without any it waits for the outcome of an allocation that is under way. Also says whether the writer is to be told: not if it
    /// was, and has not come to it.
    pub(crate) fn close(&self, bytes: u64, frames: usize) -> (Room, bool) {
        let mut state = self.lock();
        loop {
            if state.outstanding.contains(&Outstanding::Close) {
                return (Room::Ready, false);
            }
            let promised = repeat_n(Outstanding::Frame(bytes), frames);
            match self.judge(&state, &mut once(Outstanding::Close).chain(promised)) {
                Room::Ready => {
                    state.outstanding.push_back(Outstanding::Close);
                    return (Room::Ready, true);
                }
                Room::Soon if frames == 0 => state = self.wait(state),
                room => return (room, false),
            }
        }
    }

    /// As [`RoomKeeper::room`], but waits for the outcome of an allocation that is under way.
    pub(crate) fn decide(&self, bytes: u64) -> bool {
        let mut state = self.lock();
        loop {
            match self.judge(&state, &mut once(Outstanding::Frame(bytes))) {
                Room::Ready => return true,
                Room::Full => return false,
                Room::Soon => state = self.wait(state),
            }
        }
    }

    fn judge(&self, state: &RoomState, more: &mut dyn Iterator<Item = Outstanding>) -> Room {
        if state.stopped {
            return Room::Full;
        }
        let mut at = state.position;
        for queued in state.outstanding.iter().copied().chain(more) {
            at = self.behind(at, queued);
        }
        if at.segment <= state.reserved_upto.max(state.ready_upto) {
            Room::Ready
        } else if state.failing.is_some() {
            Room::Full
        } else {
            Room::Soon
        }
    }

    /// The furthest place the writer can stand at after a frame alone in its group, with a seal in front of it, or in the segment after
    /// one that was closed, behind the empty group that begins it.
    fn behind(&self, at: Position, queued: Outstanding) -> Position {
        let Outstanding::Frame(bytes) = queued else {
            return Position { segment: at.segment + 1, offset: 2 * BLOCK_BYTES as u64 };
        };
        let group = to_blocks((GROUP_HEADER_BYTES + FRAME_HEADER_BYTES) as u64 + bytes);
        let sealed = at.offset + BLOCK_BYTES as u64;
        if sealed + group <= self.segment_bytes {
            return Position { segment: at.segment, offset: sealed + group };
        }
        Position { segment: at.segment + 1, offset: BLOCK_BYTES as u64 + group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SEGMENT_BYTES_MIN;

    fn keeper(offset: u64, ready: u64) -> RoomKeeper {
        RoomKeeper::new(SEGMENT_BYTES_MIN, Position { segment: 1, offset }, ready)
    }

    #[test]
    fn a_promise_counts_the_queue_the_seal_and_the_waste_at_the_end_of_a_segment() {
        let half = SEGMENT_BYTES_MIN / 2;
        assert_eq!(keeper(BLOCK_BYTES as u64, 1).room(100, 1), Room::Ready);
        assert_eq!(keeper(SEGMENT_BYTES_MIN, 1).room(100, 1), Room::Soon);
        assert_eq!(keeper(SEGMENT_BYTES_MIN, 2).room(100, 1), Room::Ready);
        let room = keeper(BLOCK_BYTES as u64, 2);
        room.change(|state| state.outstanding.extend([half, half].map(Outstanding::Frame)));
        assert_eq!(room.room(half, 1), Room::Soon, "each half needs a segment of its own");
        assert_eq!(room.room(100, 1), Room::Ready);
        assert_eq!(room.room(half / 2, 2), Room::Soon, "two frames need the room of two");
        room.change(|state| state.failing = Some(Arc::new(io::Error::other("full"))));
        assert_eq!(room.room(half, 1), Room::Full);
        assert_eq!(room.room(100, 1), Room::Ready, "what is set aside stays promised");
        room.change(|state| state.stopped = true);
        assert_eq!(room.room(100, 1), Room::Full);
    }

    #[test]
    fn a_segment_is_closed_only_if_what_was_promised_room_still_finds_it() {
        let most = SEGMENT_BYTES_MIN - 4 * BLOCK_BYTES as u64;
        let room = keeper(BLOCK_BYTES as u64, 2);
        assert_eq!(room.room(most, 2), Room::Ready, "one in each segment");
        assert_eq!(room.close(most, 2), (Room::Soon, false), "the second would have none");
        assert_eq!(room.close(most, 1), (Room::Ready, true));
        assert_eq!(room.close(most, 1), (Room::Ready, false), "the writer knows");
        assert_eq!(room.room(most, 1), Room::Ready);
        assert_eq!(room.room(most, 2), Room::Soon, "the rest of the first segment is gone");
        let full = keeper(BLOCK_BYTES as u64, 1);
        full.change(|state| state.failing = Some(Arc::new(io::Error::other("full"))));
        assert_eq!(full.close(100, 0), (Room::Full, false));
        assert_eq!(full.room(100, 1), Room::Ready, "nothing was taken");
    }
}
