//! A real log that grows by stages, and what follows from its frames: the state after each, and the row of each id. What stands in it is
//! durable; its own crashes are the crash explorer's.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use florin_core::account::hash_id;
use florin_core::coordinator::RoundLimits;
use florin_core::dedup::notes::used_by;
use florin_core::dedup::old::OldIds;
use florin_core::dedup::run::old_id;
use florin_core::replay::Ledger;
use florin_core::state_hash::state_hash;
use florin_engine::rig::Ids;
use florin_wal::{DataLock, LogOptions, LogReader, LogWriter, Room, recover};

use crate::disk::{BLOCK, Place};
use crate::rng::Rng;
use crate::sim;

/// Seed of the hashes of ids.
pub const SEED: u64 = 0x5eed;
/// Stages of a log: from four runs on some are merged.
const STAGES: usize = 7;
/// Frames of a stage at most, and blocks of the log that they take, so that it fits into a segment whatever the writer adds.
const STAGE_FRAMES: usize = 8;
const STAGE_BLOCKS: usize = 8;
/// Bytes of a frame at most.
const FRAME_BYTES: usize = 10_000;
/// How long to wait at once for a segment to be sealed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The log.
pub struct Log {
    log: sim::Log,
    /// Hashes of the state after so many frames.
    hashes: Vec<[u8; 32]>,
    /// The row of each id.
    ids: BTreeMap<(u32, u128), u64>,
    durable: usize,
    writer: LogWriter,
    reader: LogReader,
    told: Receiver<u64>,
    /// The folder of the files. It is dropped last.
    _place: Place,
}

/// An empty ledger.
pub fn empty() -> Ledger {
    Ledger::new(1, RoundLimits::default(), SEED)
}

impl Log {
    /// An empty log, for the frames of a simulation.
    pub fn new(rng: &mut Rng) -> Log {
        let log = frames(rng);
        let mut ledger = empty();
        let mut hashes = vec![state_hash(&ledger)];
        for frame in &log.frames {
            ledger.apply_frame(&frame.view()).expect("a log that can be replayed");
            hashes.push(state_hash(&ledger));
        }
        let rows = (1..=log.last_sequence()).map(|row| (used_by(&log.record(row)), row));
        let ids = rows.filter_map(|(id, row)| Some((id?, row))).collect();
        let place = Place::default();
        let lock = DataLock::acquire(&place.data()).expect("nothing else runs here");
        let recovered = recover(&place.data(), lock, LogOptions::default(), &mut |_| Ok::<(), String>(()));
        let (tell, told) = channel();
        // Whoever waited may be gone.
        let durable = move |frame, _| tell.send(frame).unwrap_or_default();
        let failed = |failure| panic!("the log failed: {failure}");
        let started = recovered.expect("a new log").start(Box::new(durable), Box::new(failed));
        let (writer, reader) = started.expect("a log that runs");
        Log { log, hashes, ids, durable: 0, writer, reader, told, _place: place }
    }

    /// A reader of its own.
    pub fn reader(&self) -> LogReader {
        self.reader.apart()
    }

    /// Frames that are durable, and stand in sealed segments.
    pub fn durable(&self) -> u64 {
        self.durable as u64
    }

    /// The last row of the first frames.
    pub fn last_row(&self, frames: u64) -> u64 {
        self.log.last_sequence_of(frames as usize)
    }

    /// The hash of the state after so many frames.
    pub fn hash(&self, frames: u64) -> [u8; 32] {
        self.hashes[frames as usize]
    }

    /// Goes on by a stage, which is durable and in sealed segments then; false if the log is at its end.
    pub fn grow(&mut self) -> bool {
        let stage = self.log.frames.len().div_ceil(STAGES);
        let upto = self.log.frames.len().min(self.durable + stage);
        if self.durable == upto {
            return false;
        }
        let mut blocks = 0;
        while self.durable < upto && blocks < STAGE_BLOCKS {
            let frame = &self.log.frames[self.durable];
            let mut buffer = self.writer.buffer();
            buffer.payload().extend_from_slice(&frame.payload);
            buffer.vouchers().extend_from_slice(&frame.vouchers);
            blocks += buffer.bytes() / BLOCK + 1;
            let head = frame.head;
            self.writer.append(head.number, head.first_sequence, head.count, head.time, buffer);
            while self.told.recv().expect("the log runs") < head.number {}
            self.durable += 1;
        }
        while self.writer.close_segment(0) != Room::Ready {}
        while !self.reader.await_sealed(self.durable as u64, LOOK_EVERY) {}
        true
    }

    /// Compares what runs say of ids, all of them or some, with the rows. Gives how many were asked, and of how many the runs could not say
    /// it.
    pub fn ask(&self, ids: &Ids, some: Option<usize>, rng: &mut Rng, what: &str) -> (u64, u64) {
        let memory = OldIds::new(ids.in_memory());
        let (mut asked, mut unread) = (0, 0);
        let skip = some.map_or(1, |some| (self.ids.len() / some).max(1));
        let known = self.ids.iter().skip(rng.below(skip)).step_by(skip).map(|(id, row)| (*id, Some(*row)));
        let new = (0..some.unwrap_or(100).div_ceil(4)).map(|_| (1, rng.next_u128()));
        let new: Vec<_> = new.filter(|id| !self.ids.contains_key(id)).map(|id| (id, None)).collect();
        for ((institution, id), row) in known.chain(new) {
            asked += 1;
            let is_old = row.is_some_and(|row| row <= memory.covered());
            let in_memory = memory.is_in_range(id) && memory.may_have(hash_id(institution, id, SEED));
            assert!(in_memory || !is_old, "{what}: runs exclude id {id:#x} of row {row:?}, which they cover");
            let (entries, cannot_say) = ids.look_up(institution, id);
            let read = |row| if row <= self.durable_rows() { Ok(self.log.record(row)) } else { Err(row) };
            let found = old_id(institution, id, entries, read);
            let found = found.unwrap_or_else(|row| panic!("{what}: a run speaks of row {row}, which is not durable"));
            if cannot_say.iter().any(|rows| row.is_some_and(|row| rows.contains(&row))) {
                unread += 1;
                continue;
            }
            let right = if is_old { row } else { None };
            assert_eq!(found.map(|old| old.sequence), right, "{what}: id {id:#x} of row {row:?}");
        }
        (asked, unread)
    }

    fn durable_rows(&self) -> u64 {
        self.last_row(self.durable())
    }
}

/// The frames of a simulation without money that came from outside, enough of them, and none larger than a segment takes.
fn frames(rng: &mut Rng) -> sim::Log {
    loop {
        let mut log = sim::record(rng.word(), 1 + rng.below(2));
        let largest = log.frames.iter().map(|frame| frame.payload.len() + frame.vouchers.len()).max();
        if !log.has_heaves() && log.frames.len() >= 2 * STAGES && largest <= Some(FRAME_BYTES) {
            log.cut(STAGES * STAGE_FRAMES);
            return log;
        }
    }
}
