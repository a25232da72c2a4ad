//! Lays frames out as groups and writes them: the log without threads or channels. A group is written only after the sync of the last
//! one returned; the next may be laid out meanwhile. After a failure it is not used again.

use crate::block::Blocks;
use crate::error::LogFailure;
use crate::format::{self, FRAME_MACED, GroupHead, SegmentHead};
use crate::frame::FrameHead;
use crate::key::KeyRing;
use crate::ledger::LedgerId;
use crate::limits::{
    BLOCK_BYTES, COPY_CHUNK_BYTES, FRAME_HEADER_BYTES, GROUP_BYTES_MAX, GROUP_HEADER_BYTES, to_blocks,
};
use crate::room::Position;
use crate::salted::salted;
use crate::segments::segment_name;
use crate::storage::{Access, Storage, StorageFile};
use crate::watermark::Watermark;
use crc32fast::Hasher;
use florin_planted::{Fault, planted};
use std::ops::Range;
use std::sync::Arc;

/// Where the log goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogEnd {
    pub ledger: LedgerId,
    pub segment_bytes: u64,
    /// The segment that is being written; `None` before the first.
    pub segment: Option<SegmentHead>,
    /// That segment is in a pack: it has no file of its own, and the log goes on in the next one.
    pub packed: bool,
    /// Offset of the next group in it.
    pub offset: u64,
    pub next_group: u64,
    pub last_frame: u64,
    pub next_sequence: u64,
    /// Time of the last frame, in nanoseconds; 0 before the first.
    pub last_time_ns: u64,
    /// MAC of the last frame.
    pub mac: [u8; 32],
}

impl LogEnd {
    /// Where the next group goes.
    pub(crate) fn position(&self) -> Position {
        match &self.segment {
            Some(head) => Position { segment: head.ordinal, offset: self.offset },
            None => Position { segment: 0, offset: self.segment_bytes },
        }
    }
}

/// A frame to write.
pub(crate) struct NewFrame<'a> {
    pub number: u64,
    pub first_sequence: u64,
    pub count: u32,
    pub time_ns: u64,
    pub payload: &'a [u8],
    pub vouchers: &'a [u8],
}

/// What one write did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub frames: u32,
    pub frame_bytes: u64,
    pub disk_bytes: u64,
    /// The segment that this group began.
    pub began: Option<SegmentHead>,
    /// Whether the watermark was written too.
    pub watermark: bool,
    /// The last frame up to its end.
    pub last_frame: u64,
    /// Where the group behind it goes.
    pub position: Position,
}

/// A group that is laid out: what is to be written, and where.
pub(crate) struct Outgoing {
    file: Arc<dyn StorageFile>,
    ordinal: u64,
    memory: Blocks,
    /// What of the memory is written, and where in the file.
    part: Range<usize>,
    at: u64,
    written: Written,
}

impl Outgoing {
    /// Bytes to write.
    pub(crate) fn bytes(&self) -> usize {
        self.part.len()
    }

    /// The last frame up to its end.
    pub(crate) fn last_frame(&self) -> u64 {
        self.written.last_frame
    }

    /// Writes it and syncs it.
    pub(crate) fn write(&self) -> Result<(), LogFailure> {
        let (name, out) = (|| segment_name(self.ordinal), &self.memory.bytes()[self.part.clone()]);
        self.file.write_at(out, self.at).map_err(|source| LogFailure::Write {
            file: name(),
            offset: self.at,
            bytes: out.len(),
            source: Arc::new(source),
        })?;
        let synced = if planted(Fault::GroupNotSynced) { Ok(()) } else { self.file.sync() };
        synced
            .or_else(|error| if planted(Fault::SyncTriedAgain) { self.file.sync() } else { Err(error) })
            .map_err(|source| LogFailure::Sync { file: name(), source: Arc::new(source) })
    }
}

/// Builds and writes groups.
pub(crate) struct GroupWriter {
    storage: Arc<dyn Storage>,
    keys: KeyRing,
    watermark: Watermark,
    end: LogEnd,
    file: Option<Arc<dyn StorageFile>>,
    /// Set while the group under construction begins a segment.
    begins: bool,
    /// One block for a segment's first block, then the group: one write either way.
    memory: Blocks,
    /// The same for the next one; not here while a group is on its way to the disk.
    other: Option<Blocks>,
    /// Body bytes of the group under construction.
    body: usize,
    body_crc: Hasher,
    frames: u32,
    frame_bytes: u64,
    /// Last frame known durable: `durable_upto` of the next group.
    durable: u64,
}

impl GroupWriter {
    /// Goes on at `end`, all of which is durable.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        keys: KeyRing,
        watermark: Watermark,
        end: LogEnd,
    ) -> Result<GroupWriter, LogFailure> {
        let largest = (end.segment_bytes as usize - BLOCK_BYTES).min(GROUP_BYTES_MAX);
        let mut writer = GroupWriter {
            storage,
            keys,
            watermark,
            file: None,
            begins: false,
            memory: Blocks::new(BLOCK_BYTES + largest),
            other: Some(Blocks::new(BLOCK_BYTES + largest)),
            body: 0,
            body_crc: Hasher::new(),
            frames: 0,
            frame_bytes: 0,
            durable: end.last_frame,
            end,
        };
        if let Some(segment) = writer.end.segment.filter(|_| !writer.end.packed) {
            writer.file = Some(writer.open_file(segment.ordinal)?);
        }
        writer.reset();
        Ok(writer)
    }

    pub(crate) fn end(&self) -> &LogEnd {
        &self.end
    }

    /// Bytes that the group under construction may still grow by, on disk.
    fn group_bytes_max(&self) -> u64 {
        let rest = match self.end.segment {
            Some(_) => self.end.segment_bytes - self.end.offset,
            None => 0,
        };
        rest.min(GROUP_BYTES_MAX as u64)
    }

    /// Whether a frame with this many body bytes fits into the group under construction.
    pub(crate) fn fits(&self, frame_body: usize) -> bool {
        let bytes = GROUP_HEADER_BYTES + self.body + FRAME_HEADER_BYTES + frame_body;
        to_blocks(bytes as u64) <= self.group_bytes_max()
    }

    /// Whether an empty group fits into the segment.
    pub(crate) fn fits_empty(&self) -> bool {
        self.group_bytes_max() >= BLOCK_BYTES as u64
    }

    /// Ordinal of the segment after the current one.
    pub(crate) fn next_segment(&self) -> u64 {
        self.end.position().segment + 1
    }

    /// Goes to the next segment, which is ready. Its first block is written with the next group.
    pub(crate) fn begin_segment(&mut self, salt: u64) -> Result<(), LogFailure> {
        assert!(self.frames == 0 && !self.begins, "a group never spans segments, and a segment has a group");
        assert!(self.other.is_some(), "the last group of the segment before is durable");
        let ordinal = self.next_segment();
        self.file = Some(self.open_file(ordinal)?);
        self.end.segment = Some(SegmentHead {
            ledger: self.end.ledger,
            ordinal,
            segment_bytes: self.end.segment_bytes,
            salt,
            first_group: self.end.next_group,
            first_frame: self.end.last_frame + 1,
            first_sequence: self.end.next_sequence,
            previous_mac: self.end.mac,
        });
        self.end.packed = false;
        self.end.offset = BLOCK_BYTES as u64;
        self.begins = true;
        self.reset();
        Ok(())
    }

    fn open_file(&self, ordinal: u64) -> Result<Arc<dyn StorageFile>, LogFailure> {
        let file = segment_name(ordinal);
        let opened = self.storage.open(&file, Access::Blocks);
        opened.map(Arc::from).map_err(|source| LogFailure::Open { file, source: Arc::new(source) })
    }

    fn reset(&mut self) {
        self.body = 0;
        self.frames = 0;
        self.frame_bytes = 0;
        self.body_crc = salted(self.end.segment.map_or(0, |segment| segment.salt));
    }

    /// Adds a frame to the group: copies it once, and digests and checksums each piece while it is in the cache.
    pub(crate) fn add(&mut self, frame: &NewFrame<'_>) {
        assert!(self.fits(frame.payload.len() + frame.vouchers.len()), "the caller asked whether the frame fits");
        assert_eq!(frame.number, self.end.last_frame + 1, "frames are numbered without gaps");
        assert_eq!(frame.first_sequence, self.end.next_sequence, "sequence numbers have no gaps");
        let start = BLOCK_BYTES + GROUP_HEADER_BYTES + self.body;
        let end = start + FRAME_HEADER_BYTES + frame.payload.len() + frame.vouchers.len();
        let (header, body) = self.memory.bytes_mut()[start..end].split_at_mut(FRAME_HEADER_BYTES);
        let (payload, vouchers) = body.split_at_mut(frame.payload.len());
        let (digest, payload_crc) = copy_digested(frame.payload, payload);
        let (vouchers_digest, vouchers_crc) = copy_digested(frame.vouchers, vouchers);
        let head = FrameHead {
            number: frame.number,
            first_sequence: frame.first_sequence,
            count: frame.count,
            key_id: self.keys.newest(),
            time_ns: frame.time_ns,
            payload_bytes: frame.payload.len() as u32,
            vouchers_bytes: frame.vouchers.len() as u32,
            digest,
            vouchers_digest,
            mac: [0; 32],
        };
        format::encode_frame(&self.end.ledger, &head, header);
        let mac = self.keys.mac(head.key_id, &self.end.mac, &header[..FRAME_MACED]).expect("the newest key is there");
        format::put_mac(&mac, header);
        self.body_crc.update(header);
        self.body_crc.combine(&payload_crc);
        self.body_crc.combine(&vouchers_crc);
        self.body += end - start;
        self.frames += 1;
        self.frame_bytes += body.len() as u64;
        self.end.last_frame = frame.number;
        self.end.next_sequence = head.next_sequence();
        self.end.last_time_ns = frame.time_ns;
        self.end.mac = mac;
    }

    /// Whether the group under construction has a frame.
    pub(crate) fn has_frames(&self) -> bool {
        self.frames > 0
    }

    /// Writes the group, empty or not, and syncs it.
    pub(crate) fn write(&mut self) -> Result<Written, LogFailure> {
        let outgoing = self.close()?;
        outgoing.write()?;
        self.finish(outgoing)
    }

    /// Ends the group under construction, empty or not. The next one can be laid out while it is written, and is closed only once this
    /// one is finished.
    pub(crate) fn close(&mut self) -> Result<Outgoing, LogFailure> {
        let next = self.other.take().expect("one group at a time is on its way to the disk");
        let segment = self.end.segment.expect("a segment was begun");
        let offset = self.end.offset;
        let head = GroupHead {
            ledger: self.end.ledger,
            ordinal: segment.ordinal,
            offset,
            number: self.end.next_group,
            durable_upto: self.durable,
            body_bytes: self.body as u32,
            frames: self.frames,
            body_crc: std::mem::take(&mut self.body_crc).finalize(),
        };
        let bytes = head.bytes() as usize;
        let memory = self.memory.bytes_mut();
        head.encode(segment.salt, &mut memory[BLOCK_BYTES..]);
        memory[BLOCK_BYTES + GROUP_HEADER_BYTES + self.body..BLOCK_BYTES + bytes].fill(0);
        let from = if self.begins {
            segment.encode(&mut memory[..BLOCK_BYTES]);
            0
        } else {
            BLOCK_BYTES
        };
        if planted(Fault::MarkBeforeSync) {
            self.watermark.advance(self.end.last_frame, head.number, segment.ordinal)?;
        }
        self.end.offset = offset + bytes as u64;
        self.end.next_group += 1;
        let part = from..BLOCK_BYTES + bytes;
        let written = Written {
            frames: self.frames,
            frame_bytes: self.frame_bytes,
            disk_bytes: part.len() as u64,
            began: self.begins.then_some(segment),
            watermark: false,
            last_frame: self.end.last_frame,
            position: self.end.position(),
        };
        self.begins = false;
        self.reset();
        Ok(Outgoing {
            file: Arc::clone(self.file.as_ref().expect("the segment's file is open")),
            ordinal: segment.ordinal,
            memory: std::mem::replace(&mut self.memory, next),
            part,
            at: offset - (BLOCK_BYTES - from) as u64,
            written,
        })
    }

    /// Takes note that a group was written and synced. One that begins a segment and an empty one are followed by the watermark, before
    /// anybody learns that they are durable.
    pub(crate) fn finish(&mut self, outgoing: Outgoing) -> Result<Written, LogFailure> {
        let Outgoing { memory, mut written, .. } = outgoing;
        self.other = Some(memory);
        self.durable = written.last_frame;
        if written.began.is_some() || written.frames == 0 {
            self.mark()?;
            written.watermark = true;
        }
        Ok(written)
    }

    /// Writes the watermark for what is durable.
    pub(crate) fn mark(&mut self) -> Result<(), LogFailure> {
        self.watermark.advance(self.durable, self.end.next_group - 1, self.end.position().segment)
    }
}

/// Copies, and gives the BLAKE3 digest and a plain CRC of the bytes.
fn copy_digested(from: &[u8], into: &mut [u8]) -> ([u8; 32], Hasher) {
    let mut digest = blake3::Hasher::new();
    let mut crc = Hasher::new();
    for (from, into) in from.chunks(COPY_CHUNK_BYTES).zip(into.chunks_mut(COPY_CHUNK_BYTES)) {
        into.copy_from_slice(from);
        digest.update(into);
        crc.update(into);
    }
    (digest.finalize().into(), crc)
}
