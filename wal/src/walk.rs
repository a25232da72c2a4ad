//! Walks the log from its first segment and checks everything: first blocks, group headers, bodies, padding, frames,
//! digests, chain, numbering. It writes nothing and passes no verdict on where it ends; `evidence` does.

use crate::block::Blocks;
use crate::disk::IoReport;
use crate::error::RecoverError;
use crate::format::{self, Bad, FRAME_MACED, GroupHead, Reason, SegmentHead, all_zero};
use crate::frame::{Frame, FramePlace};
use crate::group::LogEnd;
use crate::key::{KeyRing, chain_start};
use crate::ledger::LedgerManifest;
use crate::limits::{
    BLOCK_BYTES, FIRST_FRAME, FIRST_GROUP, FIRST_SEGMENT, FIRST_SEQUENCE, FRAME_HEADER_BYTES, GROUP_BYTES_MAX,
    GROUP_HEADER_BYTES, READ_CHUNK_BYTES,
};
use crate::salted::salted;
use crate::segments::segment_name;
use crate::storage::{Access, Storage, StorageFile};
use florin_planted::{Fault, planted};
use std::io;

/// An unfinished write that nobody was told of, overwritten with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: String,
    /// Where it began, in bytes.
    pub offset: u64,
    /// Bytes up to its last non-zero block, or to where the file has to be made whole again.
    pub bytes: u64,
}

/// What a recovery or a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Frames read.
    pub frames: u64,
    /// Groups read, empty ones included.
    pub groups: u64,
    /// Bytes of all groups and first blocks.
    pub bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Number of the last frame; 0 if there is none.
    pub last_frame: u64,
    /// The last sequence number; 0 if there is none.
    pub last_sequence: u64,
    /// Time of the last frame, in nanoseconds since 1970; 0 if there is none.
    pub last_time_ns: u64,
    /// MAC of the last frame: with its number the head of the log, to be signed and kept elsewhere.
    pub head_mac: [u8; 32],
    /// What was behind the last group, if anything.
    pub torn_tail: Option<TornTail>,
    /// Blocks that are not zero behind the last group of a closed segment. Harmless, and a sign of a failing disk.
    pub stray_blocks: u64,
    /// How the log is written.
    pub io: IoReport,
}

/// Why a file is refused that has more bytes than a segment.
pub(crate) const TOO_LONG: Reason = "the file is longer than a segment of this ledger";

/// Where and why the walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The last segment with a good first block; 0 if none.
    pub segment: u64,
    /// Where its next group would begin.
    pub offset: u64,
    /// What is wrong there; `None` if there is nothing but zeros, or no room.
    pub bad: Option<Reason>,
    /// Why the next segment is not part of the log.
    pub next: Reason,
}

/// All that a walk found.
pub(crate) struct Walked {
    pub end: LogEnd,
    pub heads: Vec<SegmentHead>,
    pub stop: Stop,
    pub frames: u64,
    pub groups: u64,
    pub bytes: u64,
    pub stray_blocks: u64,
    /// The last good group.
    pub last_group: Option<GroupHead>,
    /// The next segment continues the log but not where it ended here: groups are missing.
    pub gap: Option<SegmentHead>,
}

/// Reads one segment's file in large pieces.
pub(crate) struct Window<'a> {
    memory: &'a mut Blocks,
    file: Box<dyn StorageFile>,
    /// Readable bytes: whole blocks of the file.
    pub size: u64,
    start: u64,
    filled: usize,
}

impl<'a> Window<'a> {
    pub(crate) fn new(memory: &'a mut Blocks, file: Box<dyn StorageFile>, size: u64) -> Window<'a> {
        Window { memory, file, size: size - size % BLOCK_BYTES as u64, start: 0, filled: 0 }
    }

    /// Memory for a window that can hold the largest group.
    pub(crate) fn memory(segment_bytes: u64) -> Blocks {
        Blocks::new((GROUP_BYTES_MAX + READ_CHUNK_BYTES).min(segment_bytes as usize))
    }

    /// `length` bytes (whole blocks) at `offset` (a multiple of a block), or `None` behind the end of the file.
    pub(crate) fn fetch(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if offset + length as u64 > self.size {
            return Ok(None);
        }
        if offset < self.start || offset > self.start + self.filled as u64 {
            (self.start, self.filled) = (offset, 0);
        }
        let mut at = (offset - self.start) as usize;
        if at + length > self.filled {
            self.memory.bytes_mut().copy_within(at..self.filled, 0);
            self.filled -= at;
            (self.start, at) = (offset, 0);
            let wanted = length.max(self.filled + READ_CHUNK_BYTES).min(self.memory.len());
            let until = wanted.min((self.size - self.start) as usize);
            let from = self.start + self.filled as u64;
            self.file.read_at(&mut self.memory.bytes_mut()[self.filled..until], from)?;
            self.filled = until;
        }
        Ok(Some(&self.memory.bytes()[at..at + length]))
    }
}

/// A segment's file and its length.
pub(crate) type OpenSegment = (Box<dyn StorageFile>, u64);

/// Opens a segment for reading: `None` if there is none.
pub(crate) fn open_segment<E>(
    storage: &dyn Storage,
    ordinal: u64,
    access: Access,
) -> Result<Option<OpenSegment>, RecoverError<E>> {
    let at = |source| RecoverError::Io { file: segment_name(ordinal), offset: 0, source };
    match storage.open(&segment_name(ordinal), access) {
        Ok(file) => {
            let size = file.size().map_err(at)?;
            Ok(Some((file, size)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(at(source)),
    }
}

/// Walks the whole log.
pub(crate) fn walk<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    access: Access,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Walked, RecoverError<E>> {
    walk_upto(storage, manifest, keys, access, u64::MAX, each)
}

/// Walks the log up to a frame. Of what is behind it only its own group is looked at, whose checksum covers all of it.
pub(crate) fn walk_upto<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    access: Access,
    upto: u64,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Walked, RecoverError<E>> {
    let end = LogEnd {
        ledger: manifest.ledger,
        segment_bytes: manifest.segment_bytes,
        segment: None,
        offset: manifest.segment_bytes,
        next_group: FIRST_GROUP,
        last_frame: FIRST_FRAME - 1,
        next_sequence: FIRST_SEQUENCE,
        last_time_ns: 0,
        mac: chain_start(&manifest.ledger),
    };
    let stop = Stop { segment: FIRST_SEGMENT - 1, offset: 0, bad: None, next: "" };
    let mut walked = Walked {
        end,
        heads: Vec::new(),
        stop,
        frames: 0,
        groups: 0,
        bytes: 0,
        stray_blocks: 0,
        last_group: None,
        gap: None,
    };
    let mut memory = Window::memory(manifest.segment_bytes);
    loop {
        let ordinal = walked.stop.segment + 1;
        let Some((file, size)) = open_segment(storage, ordinal, access)? else {
            walked.stop.next = "the file is missing";
            return Ok(walked);
        };
        let mut window = Window::new(&mut memory, file, size.min(manifest.segment_bytes));
        let head = match walked.first_block(&mut window, ordinal)? {
            Ok(head) => head,
            Err(reason) => {
                walked.stop.next = reason;
                return Ok(walked);
            }
        };
        let at_start = |reason| RecoverError::Segment { file: segment_name(ordinal), offset: 0, reason };
        if size > manifest.segment_bytes {
            return Err(at_start(TOO_LONG));
        }
        if head.first_group > walked.end.next_group || head.first_frame > walked.end.last_frame + 1 {
            walked.stop.next = "it begins with a later group";
            walked.gap = Some(head);
            return Ok(walked);
        }
        let continues = head.first_group == walked.end.next_group
            && head.first_frame == walked.end.last_frame + 1
            && head.first_sequence == walked.end.next_sequence
            && head.previous_mac == walked.end.mac;
        if !continues {
            return Err(at_start("the segment does not continue the log before it"));
        }
        if ordinal > FIRST_SEGMENT {
            walked.stray_blocks += stray_blocks(storage, &walked.stop, access)?;
        }
        walked.heads.push(head);
        walked.end.segment = Some(head);
        walked.bytes += BLOCK_BYTES as u64;
        // The first blocks were read: the window still has them.
        walked.segment(keys, head, &mut window, upto, each)?;
        if walked.end.last_frame >= upto {
            return Ok(walked);
        }
    }
}

impl Walked {
    /// The first block, if it was written for this segment; otherwise why it is not part of the log.
    pub(crate) fn first_block<E>(
        &self,
        window: &mut Window<'_>,
        ordinal: u64,
    ) -> Result<Result<SegmentHead, Reason>, RecoverError<E>> {
        let file = || segment_name(ordinal);
        let block =
            window.fetch(0, BLOCK_BYTES).map_err(|source| RecoverError::Io { file: file(), offset: 0, source })?;
        let Some(block) = block else { return Ok(Err("the file is cut short")) };
        if all_zero(block) {
            return Ok(Err("its first block is zeros"));
        }
        match SegmentHead::decode(block) {
            Err(Bad::Broken(reason)) => Ok(Err(reason)),
            Err(Bad::Unknown(reason)) => Err(RecoverError::Segment { file: file(), offset: 0, reason }),
            Ok(head) if head.ledger != self.end.ledger => Ok(Err("its first block is another ledger's")),
            Ok(head) if head.ordinal != ordinal => Ok(Err("its first block is another segment's")),
            Ok(head) if head.segment_bytes != self.end.segment_bytes => Err(RecoverError::Segment {
                file: file(),
                offset: 0,
                reason: "the segment is of another size than ledger.json says",
            }),
            Ok(head) => Ok(Ok(head)),
        }
    }

    /// Reads the groups of one segment up to the first that is none.
    pub(crate) fn segment<E>(
        &mut self,
        keys: &KeyRing,
        segment: SegmentHead,
        window: &mut Window<'_>,
        upto: u64,
        each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        self.end.offset = BLOCK_BYTES as u64;
        let bad = loop {
            let offset = self.end.offset;
            let at = |source| RecoverError::Io { file: segment_name(segment.ordinal), offset, source };
            if offset == segment.segment_bytes {
                break None;
            }
            let Some(block) = window.fetch(offset, BLOCK_BYTES).map_err(at)? else {
                break Some("the file is cut short");
            };
            let unknown = |reason| RecoverError::Segment { file: segment_name(segment.ordinal), offset, reason };
            let head = match GroupHead::decode(block, &segment, offset) {
                Ok(head) => head,
                Err(Bad::Broken(_)) if all_zero(block) => break None,
                Err(Bad::Broken(reason)) => break Some(reason),
                Err(Bad::Unknown(reason)) => return Err(unknown(reason)),
            };
            if head.number != self.end.next_group {
                break Some("the group is not the next one");
            }
            if head.durable_upto != self.end.last_frame {
                return Err(unknown("the group's durable position is not the last frame before it"));
            }
            let Some(bytes) = window.fetch(offset, head.bytes() as usize).map_err(at)? else {
                break Some("the file is cut short");
            };
            let (body, padding) = bytes[GROUP_HEADER_BYTES..].split_at(head.body_bytes as usize);
            let mut crc = salted(segment.salt);
            crc.update(body);
            if crc.finalize() != head.body_crc && !planted(Fault::GroupChecksumIgnored) {
                break Some("the group's body does not match its checksum");
            }
            if !all_zero(padding) {
                break Some("the group's padding is not zero");
            }
            self.frames_of(keys, &head, body, upto, each)?;
            self.groups += 1;
            self.last_group = Some(head);
            self.bytes += head.bytes();
            self.end.next_group += 1;
            self.end.offset += head.bytes();
            if self.end.last_frame >= upto {
                break None;
            }
        };
        self.stop = Stop { segment: segment.ordinal, offset: self.end.offset, bad, next: "" };
        Ok(())
    }

    /// Checks the frames of a group whose checksum holds. What is wrong now is no torn write.
    fn frames_of<E>(
        &mut self,
        keys: &KeyRing,
        group: &GroupHead,
        body: &[u8],
        upto: u64,
        each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        let mut at = 0;
        for _ in 0..group.frames {
            let place = FramePlace { segment: group.ordinal, offset: group.offset + (GROUP_HEADER_BYTES + at) as u64 };
            let expected = self.end.last_frame + 1;
            let wrong =
                |reason| RecoverError::Frame { file: place.file(), offset: place.offset, frame: expected, reason };
            let head = format::decode_frame(&body[at..], &self.end.ledger).map_err(wrong)?;
            let start = at + FRAME_HEADER_BYTES;
            if body.len() - start < head.body_bytes() {
                return Err(wrong("the frame is longer than its group"));
            }
            if head.number != expected {
                return Err(wrong("the frame has another number"));
            }
            if head.first_sequence != self.end.next_sequence {
                return Err(wrong("the frame's first sequence number does not follow the frame before"));
            }
            let mac = keys
                .mac(head.key_id, &self.end.mac, &body[at..at + FRAME_MACED])
                .ok_or_else(|| wrong("the key that the frame names is not in keys/"))?;
            if mac != head.mac && !planted(Fault::ChainMacIgnored) {
                return Err(wrong("the chain MAC does not match"));
            }
            let (payload, vouchers) = body[start..start + head.body_bytes()].split_at(head.payload_bytes as usize);
            if blake3::hash(payload) != head.digest || blake3::hash(vouchers) != head.vouchers_digest {
                return Err(wrong("the digest does not match"));
            }
            each(Frame { head, payload, vouchers, place })
                .map_err(|error| RecoverError::apply(head.number, &place, error))?;
            at = start + head.body_bytes();
            self.frames += 1;
            self.end.last_frame = head.number;
            self.end.next_sequence = head.next_sequence();
            self.end.last_time_ns = head.time_ns;
            self.end.mac = mac;
            if head.number >= upto {
                return Ok(());
            }
        }
        if at != body.len() {
            let (file, offset) = (segment_name(group.ordinal), group.offset);
            return Err(RecoverError::Segment { file, offset, reason: "the group has bytes behind its last frame" });
        }
        Ok(())
    }

    /// The report; what the tail looked like is the caller's to say.
    pub(crate) fn report(&self, torn_tail: Option<TornTail>, io: IoReport) -> RecoveryReport {
        RecoveryReport {
            frames: self.frames,
            groups: self.groups,
            bytes: self.bytes,
            segments: self.heads.len() as u64,
            last_frame: self.end.last_frame,
            last_sequence: self.end.next_sequence - 1,
            last_time_ns: self.end.last_time_ns,
            head_mac: self.end.mac,
            torn_tail,
            stray_blocks: self.stray_blocks,
            io,
        }
    }
}

/// Blocks that are not zero behind the last group of a closed segment.
pub(crate) fn stray_blocks<E>(storage: &dyn Storage, stop: &Stop, access: Access) -> Result<u64, RecoverError<E>> {
    let Some((file, size)) = open_segment(storage, stop.segment, access)? else { return Ok(0) };
    let mut memory = Blocks::new(READ_CHUNK_BYTES);
    let mut window = Window::new(&mut memory, file, size);
    let mut stray = 0;
    let mut offset = stop.offset;
    while let Some(block) = window.fetch(offset, BLOCK_BYTES).map_err(|source| RecoverError::Io {
        file: segment_name(stop.segment),
        offset,
        source,
    })? {
        stray += u64::from(!all_zero(block));
        offset += BLOCK_BYTES as u64;
    }
    Ok(stray)
}
