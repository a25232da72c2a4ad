//! Reads frames back, only up to the durable position, with positioned reads and no maps. Cheap to clone, one per
//! thread; all of them share the tables. Says which segments are sealed, for whoever derives something from them.

use crate::error::ReadError;
use crate::format::SegmentHead;
use crate::frame::{FrameHead, FramePlace};
use crate::key::KeyRing;
use crate::ledger::{LedgerId, LedgerManifest};
use crate::limits::{FIRST_FRAME, FRAME_HEADER_BYTES};
use crate::pack::Packer;
use crate::pack::format::PackHead;
use crate::storage::Storage;
use crate::table::{SegmentTable, Tables};
use crate::writer::Shared;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A durable frame and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRef {
    /// What its header says.
    pub head: FrameHead,
    /// Where it stands.
    pub place: FramePlace,
}

/// A segment behind the one that is written: nothing in it changes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its ordinal, from 1 without gaps.
    pub ordinal: u64,
    /// Its salt, random: a secret of this disk.
    pub salt: u64,
    /// Number of its first frame.
    pub first_frame: u64,
    /// How many frames it has; 0 if it holds empty groups only.
    pub frames: u64,
    /// Its first sequence number.
    pub first_sequence: u64,
    /// How many sequence numbers it has.
    pub count: u64,
    /// Chain MAC of its last frame: with it, what the segment holds is known to the last bit.
    pub last_mac: [u8; 32],
}

/// Reads the log beside its writer.
#[derive(Clone)]
pub struct LogReader {
    keys: Arc<KeyRing>,
    manifest: LedgerManifest,
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    /// The segment read last, so that a run of reads takes no lock. Weak, so that a reader at rest does not keep the file of a segment
    /// that was packed.
    last: Weak<SegmentTable>,
}

impl LogReader {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        keys: KeyRing,
        manifest: LedgerManifest,
        shared: Arc<Shared>,
    ) -> LogReader {
        let tables = Tables::new(storage, Arc::clone(&shared.packs));
        LogReader { keys: Arc::new(keys), manifest, shared, tables, last: Weak::new() }
    }

    /// The ledger's id.
    pub fn ledger(&self) -> LedgerId {
        self.manifest.ledger
    }

    /// The ledger's keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The last durable frame.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Another reader of the same log that shares no table with this one, so that neither waits for the other or takes
    /// the other's tables away.
    pub fn apart(&self) -> LogReader {
        LogReader { tables: self.tables.apart(), last: Weak::new(), ..self.clone() }
    }

    /// The sealed segments behind the one with this ordinal, in order; 0 for all.
    pub fn sealed(&self, after: u64) -> Vec<SealedSegment> {
        self.shared.segments.sealed(after)
    }

    /// Whether a frame stands in a sealed segment. If it does not, waits for some time until it may.
    pub fn await_sealed(&self, frame: u64, time: Duration) -> bool {
        // The last segment has no end yet.
        let is_sealed = || self.shared.segments.of_frame(frame).is_some_and(|(_, last)| last < u64::MAX);
        // Under the lock, so that the segment that is begun after the look wakes this thread.
        let state = self.shared.room.lock();
        if !is_sealed() {
            drop(self.shared.room.wait_at_most(state, time));
        }
        is_sealed()
    }

    /// How many packs there are, and how many segments are in them.
    pub fn packs(&self) -> (u64, u64) {
        self.shared.packs.count()
    }

    /// What packs the sealed segments of this log. There is one for a log.
    pub fn packer(&self) -> Packer {
        let (keys, shared) = (Arc::clone(&self.keys), Arc::clone(&self.shared));
        Packer::new(self.tables.storage(), self.manifest.clone(), keys, shared)
    }

    /// The durable frame with a sequence number; `None` if there is none (yet).
    pub fn frame_of_sequence(&mut self, sequence: u64) -> Result<Option<FrameRef>, ReadError> {
        // Before the segments: those begun since hold later frames only.
        let durable = self.durable();
        let Some((head, last_frame)) = self.shared.segments.of_sequence(sequence) else { return Ok(None) };
        let table = self.table(head)?;
        let found = table.frame_of_sequence(&self.keys, sequence, last_frame.min(durable))?;
        Ok(found.map(|(place, head)| FrameRef { head, place }))
    }

    /// A durable frame by its number.
    pub fn frame(&mut self, number: u64) -> Result<FrameRef, ReadError> {
        let durable = self.durable();
        let segment = match number {
            FIRST_FRAME.. if number <= durable => self.shared.segments.of_frame(number),
            _ => None,
        };
        let Some((head, _)) = segment else { return Err(ReadError::NoFrame { frame: number, durable }) };
        let (place, head) = self.table(head)?.frame(&self.keys, number)?;
        Ok(FrameRef { head, place })
    }

    /// The durable frame with this number at a place that was noted earlier, without walking its segment unless that was packed
    /// since. An error if another stands there, or none.
    pub fn frame_at(&mut self, number: u64, place: FramePlace) -> Result<FrameRef, ReadError> {
        let durable = self.durable();
        let segment = self.shared.segments.of_frame(number).filter(|_| (FIRST_FRAME..=durable).contains(&number));
        let Some((head, _)) = segment.filter(|(head, _)| head.ordinal == place.segment) else {
            return Err(ReadError::NoFrame { frame: number, durable });
        };
        let table = self.table(head)?;
        let (place, head) = match table.pack == place.pack {
            true => (place, table.head_of(number, place.offset)?),
            false => table.frame(&self.keys, number)?,
        };
        Ok(FrameRef { head, place })
    }

    /// Fills `into` from a frame's payload, from `offset` in it, without reading the rest, hence without checking the
    /// digest. A range outside of the payload is a bug of the caller.
    pub fn read_payload(&mut self, frame: &FrameRef, offset: u32, into: &mut [u8]) -> Result<(), ReadError> {
        let length = frame.head.payload_bytes as usize;
        assert!(offset as usize + into.len() <= length, "the range is within the payload of {length} bytes");
        self.read_body(frame, u64::from(offset), into)
    }

    /// As [`LogReader::read_payload`], from the voucher area.
    pub fn read_vouchers(&mut self, frame: &FrameRef, offset: u32, into: &mut [u8]) -> Result<(), ReadError> {
        let length = frame.head.vouchers_bytes as usize;
        assert!(offset as usize + into.len() <= length, "the range is within the vouchers of {length} bytes");
        self.read_body(frame, u64::from(frame.head.payload_bytes) + u64::from(offset), into)
    }

    /// Reads a whole frame into the two vectors and checks both digests.
    pub fn read_frame(
        &mut self,
        number: u64,
        payload: &mut Vec<u8>,
        vouchers: &mut Vec<u8>,
    ) -> Result<FrameRef, ReadError> {
        let frame = self.frame(number)?;
        self.read_whole(&frame, payload, vouchers)?;
        Ok(frame)
    }

    /// Reads all of a frame that was found into the two vectors and checks both digests.
    pub fn read_whole(
        &mut self,
        frame: &FrameRef,
        payload: &mut Vec<u8>,
        vouchers: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        payload.resize(frame.head.payload_bytes as usize, 0);
        vouchers.resize(frame.head.vouchers_bytes as usize, 0);
        self.read_payload(frame, 0, payload)?;
        self.read_vouchers(frame, 0, vouchers)?;
        if blake3::hash(payload) != frame.head.digest || blake3::hash(vouchers) != frame.head.vouchers_digest {
            let (file, offset) = (frame.place.file(), frame.place.offset);
            return Err(ReadError::Damaged { file, offset, reason: "the digest of the frame does not match" });
        }
        Ok(())
    }

    /// Where the segments are.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.tables.storage()
    }

    /// What `ledger.json` says.
    pub(crate) fn manifest(&self) -> &LedgerManifest {
        &self.manifest
    }

    /// The pack that a segment is in.
    pub(crate) fn pack_of(&self, ordinal: u64) -> Option<Arc<PackHead>> {
        self.shared.packs.of(ordinal)
    }

    /// The first blocks of a sealed segment and of the one behind it.
    pub(crate) fn heads_at(&self, ordinal: u64) -> Option<(SegmentHead, SegmentHead)> {
        self.shared.segments.with_next(ordinal)
    }

    fn read_body(&mut self, frame: &FrameRef, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let table = match self.last_of(frame.place.segment) {
            Some(table) => table,
            None => {
                let (head, _) = self.shared.segments.of_frame(frame.head.number).expect("the frame was found in it");
                self.table(head)?
            }
        };
        let place = match table.pack == frame.place.pack {
            true => frame.place,
            // It was packed since the frame was found.
            false => table.frame(&self.keys, frame.head.number)?.0,
        };
        table.read(place.offset + FRAME_HEADER_BYTES as u64 + offset, into)
    }

    fn table(&mut self, head: crate::format::SegmentHead) -> Result<Arc<SegmentTable>, ReadError> {
        if let Some(table) = self.last_of(head.ordinal) {
            return Ok(table);
        }
        let table = self.tables.of(head)?;
        self.last = Arc::downgrade(&table);
        Ok(table)
    }

    fn last_of(&self, ordinal: u64) -> Option<Arc<SegmentTable>> {
        self.last.upgrade().filter(|table| table.head.ordinal == ordinal)
    }
}
