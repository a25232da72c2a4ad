//! The header of a pack, as `docs/format-log.md` gives it. The digest over it is checked before anything in it is believed, and what
//! it says must fit together; whether it is true of the frames is for the walk to say. Decoding never panics.

use crate::format::{Reason, SegmentHead, all_zero};
use crate::group::LogEnd;
use crate::ledger::LedgerId;
use crate::limits::{BLOCK_BYTES, FIRST_SEGMENT, FORMAT_VERSION, PACK_HEADER_BYTES, PACK_SEGMENTS_MAX, to_blocks};
use crate::segments::PackRange;
use florin_planted::{Fault, planted};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) const PACK_MAGIC: [u8; 8] = *b"FLORPACK";
/// Bytes of the digest at the end of the header's blocks.
const DIGEST_BYTES: usize = 32;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawPack {
    magic: [u8; 8],
    version: U32,
    block_bytes: U32,
    ledger: [u8; 16],
    first: U64,
    last: U64,
    segment_bytes: U64,
    segments: U32,
    reserved: U32,
    next_group: U64,
    next_frame: U64,
    next_sequence: U64,
    last_mac: [u8; 32],
    frames_offset: U64,
    frames_bytes: U64,
    reserved_end: [u8; 24],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRow {
    salt: U64,
    first_group: U64,
    first_frame: U64,
    first_sequence: U64,
    previous_mac: [u8; 32],
    offset: U64,
    bytes: U64,
}

const _: () = {
    assert!(size_of::<RawPack>() == PACK_HEADER_BYTES && size_of::<RawRow>() == PACK_ROW_BYTES);
    assert!(header_bytes(PACK_SEGMENTS_MAX) == PACK_HEADER_BYTES_MAX as u64);
};

/// Bytes of a segment's row in the header.
const PACK_ROW_BYTES: usize = 80;
/// Bytes of the longest header, whole blocks.
pub(crate) const PACK_HEADER_BYTES_MAX: usize = header_bytes(PACK_SEGMENTS_MAX) as usize;

/// Bytes of the header of a pack of so many segments: whole blocks.
pub(crate) const fn header_bytes(segments: usize) -> u64 {
    to_blocks((PACK_HEADER_BYTES + segments * PACK_ROW_BYTES + DIGEST_BYTES) as u64)
}

/// A segment in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedSegment {
    /// What its own first block said.
    pub head: SegmentHead,
    /// Where its frames begin in the pack, in bytes.
    pub offset: u64,
    /// Bytes of its frames.
    pub bytes: u64,
}

impl PackedSegment {
    /// Where its frames end in the pack.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

/// What the header of a pack says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackHead {
    /// At least one, with ordinals that follow each other.
    pub segments: Vec<PackedSegment>,
    /// Number of the first group behind the pack.
    pub next_group: u64,
    /// Number of the first frame behind the pack.
    pub next_frame: u64,
    /// The first sequence number behind the pack.
    pub next_sequence: u64,
    /// Chain MAC of the last frame.
    pub last_mac: [u8; 32],
}

impl PackHead {
    /// The ordinals of its segments.
    pub(crate) fn range(&self) -> PackRange {
        PackRange { first: self.first().head.ordinal, last: self.last().head.ordinal }
    }

    fn first(&self) -> &PackedSegment {
        self.segments.first().expect("a pack has a segment")
    }

    fn last(&self) -> &PackedSegment {
        self.segments.last().expect("a pack has a segment")
    }

    /// One of its segments.
    pub(crate) fn segment(&self, ordinal: u64) -> Option<&PackedSegment> {
        self.segments.get(ordinal.checked_sub(self.range().first)? as usize)
    }

    /// Where the frames end.
    pub(crate) fn frames_end(&self) -> u64 {
        self.last().end()
    }

    /// Bytes of the whole file.
    pub(crate) fn file_bytes(&self) -> u64 {
        to_blocks(self.frames_end())
    }

    /// Whether a log that was read to this end is where the pack says that it ends. Of the groups that it had it says nothing.
    pub(crate) fn ends_at(&self, end: &LogEnd) -> bool {
        (self.next_frame, self.next_sequence, self.last_mac) == (end.last_frame + 1, end.next_sequence, end.mac)
    }

    /// The blocks of the header.
    pub(crate) fn encode(&self, into: &mut [u8]) {
        let (head, frames_offset) = (&self.first().head, header_bytes(self.segments.len()));
        assert_eq!(into.len() as u64, frames_offset, "the blocks of this header");
        let raw = RawPack {
            magic: PACK_MAGIC,
            version: FORMAT_VERSION.into(),
            block_bytes: (BLOCK_BYTES as u32).into(),
            ledger: head.ledger.0,
            first: head.ordinal.into(),
            last: self.last().head.ordinal.into(),
            segment_bytes: head.segment_bytes.into(),
            segments: (self.segments.len() as u32).into(),
            reserved: 0.into(),
            next_group: self.next_group.into(),
            next_frame: self.next_frame.into(),
            next_sequence: self.next_sequence.into(),
            last_mac: self.last_mac,
            frames_offset: frames_offset.into(),
            frames_bytes: (self.frames_end() - frames_offset).into(),
            reserved_end: [0; 24],
        };
        into.fill(0);
        into[..PACK_HEADER_BYTES].copy_from_slice(raw.as_bytes());
        let rows = into[PACK_HEADER_BYTES..].chunks_exact_mut(PACK_ROW_BYTES);
        for (row, PackedSegment { head, offset, bytes }) in rows.zip(&self.segments) {
            let raw = RawRow {
                salt: head.salt.into(),
                first_group: head.first_group.into(),
                first_frame: head.first_frame.into(),
                first_sequence: head.first_sequence.into(),
                previous_mac: head.previous_mac,
                offset: (*offset).into(),
                bytes: (*bytes).into(),
            };
            row.copy_from_slice(raw.as_bytes());
        }
        let (digested, digest) = into.split_at_mut(frames_offset as usize - DIGEST_BYTES);
        digest.copy_from_slice(blake3::hash(digested).as_bytes());
    }

    /// Reads the header of a pack of this ledger from the first bytes of its file: at least those of the longest header, or all.
    pub(crate) fn decode(bytes: &[u8], ledger: &LedgerId, segment_bytes: u64) -> Result<PackHead, Reason> {
        let (raw, _) = RawPack::read_from_prefix(bytes).map_err(|_| "the file is cut short")?;
        if raw.magic != PACK_MAGIC {
            return Err("the file does not begin as a pack");
        }
        if raw.version.get() != FORMAT_VERSION {
            return Err("its header is damaged, or of a format version that is not known");
        }
        let segments = raw.segments.get() as usize;
        if !(1..=PACK_SEGMENTS_MAX).contains(&segments) {
            return Err("its header has an impossible number of segments");
        }
        let frames_offset = header_bytes(segments);
        let header = bytes.get(..frames_offset as usize).ok_or("the file is cut short")?;
        let (digested, digest) = header.split_at(header.len() - DIGEST_BYTES);
        let is_whole = blake3::hash(digested) == <[u8; DIGEST_BYTES]>::try_from(digest).expect("of this length");
        if !is_whole && !planted(Fault::PackDigestIgnored) {
            return Err("its header does not match its digest");
        }
        let (rows, rest) = digested[PACK_HEADER_BYTES..].split_at(segments * PACK_ROW_BYTES);
        let plain = raw.block_bytes.get() == BLOCK_BYTES as u32 && raw.reserved.get() == 0;
        if !plain || !all_zero(&raw.reserved_end) || !all_zero(rest) {
            return Err("the block size or reserved bytes of its header are not known");
        }
        if raw.ledger != ledger.0 || raw.segment_bytes.get() != segment_bytes {
            return Err("it is of another ledger, or of segments of another size");
        }
        let first = raw.first.get();
        let last = first.checked_add(segments as u64 - 1);
        if first < FIRST_SEGMENT || last != Some(raw.last.get()) || raw.frames_offset.get() != frames_offset {
            return Err("the parts of its header contradict each other");
        }
        let rows = rows.chunks_exact(PACK_ROW_BYTES).zip(first..).map(|(row, ordinal)| {
            let row = RawRow::read_from_bytes(row).expect("of this length");
            let head = SegmentHead {
                ledger: *ledger,
                ordinal,
                segment_bytes,
                salt: row.salt.get(),
                first_group: row.first_group.get(),
                first_frame: row.first_frame.get(),
                first_sequence: row.first_sequence.get(),
                previous_mac: row.previous_mac,
            };
            PackedSegment { head, offset: row.offset.get(), bytes: row.bytes.get() }
        });
        let head = PackHead {
            segments: rows.collect(),
            next_group: raw.next_group.get(),
            next_frame: raw.next_frame.get(),
            next_sequence: raw.next_sequence.get(),
            last_mac: raw.last_mac,
        };
        match head.fits_together(frames_offset, raw.frames_bytes.get()) {
            true => Ok(head),
            false => Err("the parts of its header contradict each other"),
        }
    }

    /// Whether frames stand behind each other without a gap and numbers go up.
    fn fits_together(&self, frames_offset: u64, frames_bytes: u64) -> bool {
        let segment_bytes = self.first().head.segment_bytes;
        let mut offset = frames_offset;
        for segment in &self.segments {
            // So that no sum below can overflow.
            if segment.offset != offset || segment.bytes > segment_bytes || segment.head.first_frame == 0 {
                return false;
            }
            offset = segment.end();
        }
        let numbers = |head: &SegmentHead| (head.first_group, head.first_frame, head.first_sequence);
        let behind = (self.next_group, self.next_frame, self.next_sequence);
        let all: Vec<_> = self.segments.iter().map(|segment| numbers(&segment.head)).chain([behind]).collect();
        // A segment has a group, though it may have no frame.
        let go_up =
            all.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1 && pair[0].2 <= pair[1].2);
        go_up && offset - frames_offset == frames_bytes && frames_bytes <= segment_bytes
    }
}
