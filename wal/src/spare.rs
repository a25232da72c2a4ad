//! Keeps segments ready ahead of the writer, on a thread of its own: sets space aside, fills it with zeros at a pace
//! that leaves the disk to the log, syncs it, and tries again, ever less often, while the disk is full. A writer that is
//! faster than the zeros gets the segment as it is: its space is set aside and what is not filled reads as zeros. Never
//! touches a segment that is ready or in use.

use crate::block::Blocks;
use crate::limits::{
    ALLOCATE_RETRY_MS_MAX, ALLOCATE_RETRY_MS_MIN, FILL_CHUNK_BYTES, FILL_PACE_BYTES_PER_SECOND,
    SEGMENTS_RESERVED_AHEAD, SPEED_OVER_MS,
};
use crate::room::{Position, RoomKeeper, RoomState};
use crate::segments::{LOG_FOLDER, segment_name};
use crate::storage::{Storage, StorageFile};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The allocator of segments.
pub(crate) struct SpareMaker {
    storage: Arc<dyn Storage>,
    room: Arc<RoomKeeper>,
    segment_bytes: u64,
    spares: u64,
    zeros: Blocks,
    filling: Option<Filling>,
    /// Whether the storage can set space aside before it is written.
    reserves: bool,
    /// The segment that could not be allocated; only getting past it ends the failure.
    failed: u64,
    speed: Speed,
}

/// How fast the log is written.
struct Speed {
    /// When it was looked at, and where the log was then.
    since: Instant,
    place: u128,
    bytes_per_second: u64,
}

impl Speed {
    /// Takes note of where the log is. A group of a slow disk takes tens of milliseconds, so shorter spans say nothing.
    fn look(&mut self, now: Instant, place: u128) {
        let gone = now - self.since;
        if gone >= Duration::from_millis(SPEED_OVER_MS) {
            let bytes = place.saturating_sub(self.place) * 1_000_000_000 / gone.as_nanos();
            *self = Speed { since: now, place, bytes_per_second: u64::try_from(bytes).unwrap_or(u64::MAX) };
        }
    }
}

/// A segment on its way to being ready.
struct Filling {
    ordinal: u64,
    file: Box<dyn StorageFile>,
    offset: u64,
    /// Bytes that the file had when it was opened; behind them it was never written.
    existing: u64,
    from: Position,
}

/// What there is to do.
enum Work {
    Reserve(u64),
    Fill(u64),
    Nothing,
    Stop,
}

impl SpareMaker {
    pub(crate) fn new(storage: Arc<dyn Storage>, room: Arc<RoomKeeper>, segment_bytes: u64, spares: u64) -> SpareMaker {
        let zeros = Blocks::new(FILL_CHUNK_BYTES.min(segment_bytes as usize));
        let speed = Speed { since: Instant::now(), place: 0, bytes_per_second: 0 };
        let mut maker =
            SpareMaker { storage, room, segment_bytes, spares, zeros, filling: None, reserves: true, failed: 0, speed };
        maker.speed.place = maker.place(maker.room.lock().position);
        maker
    }

    /// Makes all segments up to `ordinal` ready now, as fast as the disk goes. For a start that needs one.
    pub(crate) fn ready_now(&mut self, ordinal: u64) -> io::Result<()> {
        loop {
            let next = self.room.lock().ready_upto + 1;
            if next > ordinal {
                return Ok(());
            }
            self.fill(next)?;
        }
    }

    /// Runs until the writer stops.
    pub(crate) fn run(mut self) {
        let mut pause = Duration::from_millis(ALLOCATE_RETRY_MS_MIN);
        loop {
            let work = self.next_work();
            let fills = matches!(work, Work::Fill(_));
            let (ordinal, done) = match work {
                Work::Stop => return,
                Work::Nothing => {
                    let state = self.room.lock();
                    if matches!(self.work(&state), Work::Nothing) {
                        assert!(state.failing.is_none(), "a failure is left only by trying again");
                        drop(self.room.wait_for_work(state));
                    }
                    continue;
                }
                Work::Reserve(ordinal) => (ordinal, self.reserve(ordinal)),
                Work::Fill(ordinal) => {
                    self.pace();
                    (ordinal, self.fill(ordinal))
                }
            };
            match done {
                Ok(()) if self.failed == 0 => pause = Duration::from_millis(ALLOCATE_RETRY_MS_MIN),
                Ok(()) => {}
                Err(error) => {
                    // From its start again: what a failed write left is not known.
                    self.filling = None;
                    self.failed = ordinal;
                    let can_fill = self.room.change(|state| {
                        state.failing = Some(Arc::new(error));
                        state.failed_fills += u64::from(fills);
                        state.ready_upto + 1 < ordinal
                    });
                    if !can_fill {
                        self.back_off(pause);
                        pause = (pause * 2).min(Duration::from_millis(ALLOCATE_RETRY_MS_MAX));
                    }
                }
            }
        }
    }

    fn next_work(&self) -> Work {
        self.work(&self.room.lock())
    }

    fn work(&self, state: &RoomState) -> Work {
        let wanted = state.position.segment + self.spares;
        if state.stopped {
            Work::Stop
        } else if state.failing.is_some() && state.ready_upto < wanted.min(state.reserved_upto) {
            // Space that is set aside already can be filled on a full disk.
            Work::Fill(state.ready_upto + 1)
        } else if self.reserves && state.reserved_upto < wanted + SEGMENTS_RESERVED_AHEAD {
            Work::Reserve(state.reserved_upto + 1)
        } else if state.ready_upto < wanted {
            Work::Fill(state.ready_upto + 1)
        } else {
            Work::Nothing
        }
    }

    fn reserve(&mut self, ordinal: u64) -> io::Result<()> {
        let file = self.storage.create(&segment_name(ordinal))?;
        if file.reserve(self.segment_bytes)? {
            file.sync_all()?;
            self.storage.sync_directory(LOG_FOLDER)?;
            self.publish(ordinal, |state| state.reserved_upto = ordinal);
        } else {
            // From here on segments are filled one after the other. What failed was to set one aside, further ahead
            // than anything will be filled now: if the disk is still full, the next fill says so.
            self.reserves = false;
            self.publish(u64::MAX, |_| ());
        }
        Ok(())
    }

    /// Tells of a segment, and in the same moment that what failed before does no longer.
    fn publish(&mut self, ordinal: u64, change: impl FnOnce(&mut RoomState)) {
        let over = ordinal >= self.failed;
        if over {
            self.failed = 0;
        }
        self.room.change(|state| {
            change(state);
            if over {
                state.failing = None;
            }
        });
    }

    /// Writes one chunk of zeros, and publishes the segment after the last one.
    fn fill(&mut self, ordinal: u64) -> io::Result<()> {
        if self.filling.as_ref().is_none_or(|filling| filling.ordinal != ordinal) {
            let file = self.storage.create(&segment_name(ordinal))?;
            let existing = file.size()?;
            self.filling = Some(Filling { ordinal, file, offset: 0, existing, from: self.room.lock().position });
        }
        let filling = self.filling.as_mut().expect("set above");
        if filling.offset >= filling.existing && self.is_reserved(ordinal) && self.room.lock().waiting {
            return self.hand_over(ordinal);
        }
        let filling = self.filling.as_mut().expect("set above");
        let take = (self.segment_bytes - filling.offset).min(self.zeros.len() as u64);
        filling.file.write_at(&self.zeros.bytes()[..take as usize], filling.offset)?;
        filling.file.sync()?;
        filling.offset += take;
        if filling.offset == self.segment_bytes {
            return self.hand_over(ordinal);
        }
        Ok(())
    }

    /// Gives the segment that is being filled to the writer, and never touches it again.
    fn hand_over(&mut self, ordinal: u64) -> io::Result<()> {
        let Filling { file, offset, .. } = self.filling.as_ref().expect("a segment that is being filled");
        if *offset < self.segment_bytes {
            file.extend(self.segment_bytes)?;
        }
        file.sync_all()?;
        self.storage.sync_directory(LOG_FOLDER)?;
        self.filling = None;
        self.publish(ordinal, |state| {
            state.ready_upto = ordinal;
            state.reserved_upto = state.reserved_upto.max(ordinal);
        });
        Ok(())
    }

    /// Whether the space of a segment is set aside.
    fn is_reserved(&self, ordinal: u64) -> bool {
        self.reserves && ordinal <= self.room.lock().reserved_upto
    }

    /// Lets the log have the disk for as long as a chunk may take, unless the writer comes near; and for as long as it writes faster than
    /// the zeros may be, if it can have the segment unfilled.
    fn pace(&mut self) {
        let chunk = self.zeros.len() as u64;
        let time = Duration::from_nanos(chunk * 1_000_000_000 / FILL_PACE_BYTES_PER_SECOND);
        let room = Arc::clone(&self.room);
        let mut until = Instant::now() + time;
        let mut state = room.lock();
        while let Some(filling) = &self.filling
            && !state.stopped
            && !self.hurry(filling, &state)
        {
            let now = Instant::now();
            if now >= until {
                let unfilled = self.serves_unfilled(filling, &state);
                let place = self.place(state.position);
                self.speed.look(now, place);
                if !unfilled || self.speed.bytes_per_second <= FILL_PACE_BYTES_PER_SECOND {
                    break;
                }
                until = now + time;
            }
            state = room.wait_for_work_at_most(state, until - now);
        }
    }

    /// Bytes of log in front of a position.
    fn place(&self, at: Position) -> u128 {
        u128::from(at.segment) * u128::from(self.segment_bytes) + u128::from(at.offset)
    }

    /// Whether the writer can have the segment as it is.
    fn serves_unfilled(&self, filling: &Filling, state: &RoomState) -> bool {
        self.reserves && filling.ordinal <= state.reserved_upto && filling.offset >= filling.existing
    }

    /// Whether there is no time to lose: the writer waits, or nothing is ready behind its segment and the fill is not a
    /// quarter ahead of the writer's own progress. If the space is set aside the writer can have it unfilled, and zeros
    /// written in a hurry would only take the disk from it.
    fn hurry(&self, filling: &Filling, state: &RoomState) -> bool {
        if state.waiting || self.serves_unfilled(filling, state) || state.ready_upto > state.position.segment {
            return state.waiting;
        }
        let from = self.place(filling.from);
        let distance = self.place(Position { segment: filling.ordinal, offset: 0 }).saturating_sub(from);
        let gone = self.place(state.position).saturating_sub(from);
        u128::from(filling.offset) * distance * 4 < gone * u128::from(self.segment_bytes) * 5
    }

    fn back_off(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.room.lock();
        // A writer that waits is told by the next try whether there is any use in waiting.
        while !state.stopped && !state.waiting {
            let now = Instant::now();
            if now >= until {
                return;
            }
            state = self.room.wait_for_work_at_most(state, until - now);
        }
    }
}
