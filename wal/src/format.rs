//! The bytes of segments, groups, frames and watermark slots, as `docs/format-log.md` gives them. Little-endian, fixed
//! widths, reserved bytes zero and checked. Decoding believes nothing before its checksum and never panics.

use crate::frame::FrameHead;
use crate::ledger::LedgerId;
use crate::limits::{BLOCK_BYTES, FORMAT_VERSION, FRAME_HEADER_BYTES, GROUP_BYTES_MAX, GROUP_HEADER_BYTES};
use crate::salted::salted_crc;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"FLORSEGM";
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"FLGR";
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"FLFR";
pub(crate) const WATERMARK_MAGIC: [u8; 8] = *b"FLORWMRK";
/// Bytes of a block in front of its checksum.
const BLOCK_CHECKED: usize = BLOCK_BYTES - 4;
/// Bytes of a group header in front of its checksum.
const GROUP_CHECKED: usize = GROUP_HEADER_BYTES - 4;
/// Bytes of a frame header in front of its MAC.
pub(crate) const FRAME_MACED: usize = FRAME_HEADER_BYTES - 32;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSegment {
    magic: [u8; 8],
    version: U32,
    block_bytes: U32,
    ledger: [u8; 16],
    ordinal: U64,
    segment_bytes: U64,
    salt: U64,
    first_group: U64,
    first_frame: U64,
    first_sequence: U64,
    previous_mac: [u8; 32],
    packed: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawGroup {
    magic: [u8; 4],
    version: U32,
    ledger: [u8; 16],
    ordinal: U64,
    offset: U64,
    number: U64,
    durable_upto: U64,
    body_bytes: U32,
    frames: U32,
    body_crc: U32,
    reserved: [u8; 24],
    header_crc: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawFrame {
    magic: [u8; 4],
    version: U32,
    ledger: [u8; 16],
    number: U64,
    first_sequence: U64,
    time_ns: U64,
    count: U32,
    key_id: U32,
    payload_bytes: U32,
    vouchers_bytes: U32,
    digest: [u8; 32],
    vouchers_digest: [u8; 32],
    mac: [u8; 32],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawWatermark {
    magic: [u8; 8],
    version: U32,
    reserved: U32,
    ledger: [u8; 16],
    counter: U64,
    frame: U64,
    group: U64,
    segment: U64,
}

const _: () = {
    assert!(size_of::<RawGroup>() == GROUP_HEADER_BYTES);
    assert!(size_of::<RawFrame>() == FRAME_HEADER_BYTES);
    assert!(size_of::<RawSegment>() == 116 && size_of::<RawSegment>() <= BLOCK_CHECKED);
    assert!(size_of::<RawWatermark>() == 64);
};

/// Why bytes are not what they should be, as the end of a sentence.
pub(crate) type Reason = &'static str;

/// What keeps bytes from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Not what was written, or written for another place: torn, stale or damaged, which only later proof can tell.
    Broken(Reason),
    /// The checksum holds and yet it is not of this format: written by another version. Never a torn write.
    Unknown(Reason),
}

/// The first block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub ledger: LedgerId,
    pub ordinal: u64,
    pub segment_bytes: u64,
    pub salt: u64,
    pub first_group: u64,
    pub first_frame: u64,
    pub first_sequence: u64,
    pub previous_mac: [u8; 32],
}

impl SegmentHead {
    /// Writes the whole first block.
    pub(crate) fn encode(&self, block: &mut [u8]) {
        let raw = RawSegment {
            magic: SEGMENT_MAGIC,
            version: FORMAT_VERSION.into(),
            block_bytes: (BLOCK_BYTES as u32).into(),
            ledger: self.ledger.0,
            ordinal: self.ordinal.into(),
            segment_bytes: self.segment_bytes.into(),
            salt: self.salt.into(),
            first_group: self.first_group.into(),
            first_frame: self.first_frame.into(),
            first_sequence: self.first_sequence.into(),
            previous_mac: self.previous_mac,
            packed: 0.into(),
        };
        finish_block(raw.as_bytes(), block);
    }

    /// Reads a first block. `Ok` says that the block is whole and of this format, not that it belongs here.
    pub(crate) fn decode(block: &[u8]) -> Result<SegmentHead, Bad> {
        let rest = check_block(block, &SEGMENT_MAGIC).map_err(Bad::Broken)?;
        let (raw, reserved) =
            RawSegment::read_from_prefix(rest).map_err(|_| Bad::Broken("the first block is too short"))?;
        if raw.version.get() != FORMAT_VERSION {
            return Err(Bad::Unknown("the format version of the first block is not known"));
        }
        if raw.block_bytes.get() != BLOCK_BYTES as u32 || raw.packed.get() != 0 || !all_zero(reserved) {
            return Err(Bad::Unknown("the block size, kind or reserved bytes of the first block are not known"));
        }
        Ok(SegmentHead {
            ledger: LedgerId(raw.ledger),
            ordinal: raw.ordinal.get(),
            segment_bytes: raw.segment_bytes.get(),
            salt: raw.salt.get(),
            first_group: raw.first_group.get(),
            first_frame: raw.first_frame.get(),
            first_sequence: raw.first_sequence.get(),
            previous_mac: raw.previous_mac,
        })
    }
}

/// The header of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHead {
    pub ledger: LedgerId,
    pub ordinal: u64,
    pub offset: u64,
    pub number: u64,
    pub durable_upto: u64,
    pub body_bytes: u32,
    pub frames: u32,
    pub body_crc: u32,
}

impl GroupHead {
    /// Writes the header with its checksum.
    pub(crate) fn encode(&self, salt: u64, into: &mut [u8]) {
        let mut raw = RawGroup {
            magic: GROUP_MAGIC,
            version: FORMAT_VERSION.into(),
            ledger: self.ledger.0,
            ordinal: self.ordinal.into(),
            offset: self.offset.into(),
            number: self.number.into(),
            durable_upto: self.durable_upto.into(),
            body_bytes: self.body_bytes.into(),
            frames: self.frames.into(),
            body_crc: self.body_crc.into(),
            reserved: [0; 24],
            header_crc: 0.into(),
        };
        raw.header_crc = salted_crc(salt, &raw.as_bytes()[..GROUP_CHECKED]).into();
        into[..GROUP_HEADER_BYTES].copy_from_slice(raw.as_bytes());
    }

    /// Reads a header that stands at `offset` of this segment. `Ok` says that it was written for this very place.
    pub(crate) fn decode(bytes: &[u8], segment: &SegmentHead, offset: u64) -> Result<GroupHead, Bad> {
        let (raw, _) = RawGroup::read_from_prefix(bytes).map_err(|_| Bad::Broken("the file ends inside a group"))?;
        if raw.magic != GROUP_MAGIC {
            return Err(Bad::Broken("no group begins here"));
        }
        if raw.header_crc.get() != salted_crc(segment.salt, &bytes[..GROUP_CHECKED]) {
            return Err(Bad::Broken("the group header does not match its checksum"));
        }
        if raw.version.get() != FORMAT_VERSION || !all_zero(&raw.reserved) {
            return Err(Bad::Unknown("the format of the group is not known"));
        }
        let head = GroupHead {
            ledger: LedgerId(raw.ledger),
            ordinal: raw.ordinal.get(),
            offset: raw.offset.get(),
            number: raw.number.get(),
            durable_upto: raw.durable_upto.get(),
            body_bytes: raw.body_bytes.get(),
            frames: raw.frames.get(),
            body_crc: raw.body_crc.get(),
        };
        if head.ledger != segment.ledger || head.ordinal != segment.ordinal || head.offset != offset {
            return Err(Bad::Broken("the group was written for another place"));
        }
        if head.bytes() > GROUP_BYTES_MAX as u64 || offset + head.bytes() > segment.segment_bytes {
            return Err(Bad::Unknown("the group is longer than a group may be"));
        }
        if (head.frames == 0) != (head.body_bytes == 0) {
            return Err(Bad::Unknown("the group's number of frames does not fit its length"));
        }
        Ok(head)
    }

    /// Bytes of the whole group on disk, padding included.
    pub(crate) fn bytes(&self) -> u64 {
        crate::limits::to_blocks(GROUP_HEADER_BYTES as u64 + u64::from(self.body_bytes))
    }
}

/// Writes the header of a frame in front of its MAC; [`put_mac`] adds that.
pub(crate) fn encode_frame(ledger: &LedgerId, head: &FrameHead, into: &mut [u8]) {
    let raw = RawFrame {
        magic: FRAME_MAGIC,
        version: FORMAT_VERSION.into(),
        ledger: ledger.0,
        number: head.number.into(),
        first_sequence: head.first_sequence.into(),
        time_ns: head.time_ns.into(),
        count: head.count.into(),
        key_id: head.key_id.into(),
        payload_bytes: head.payload_bytes.into(),
        vouchers_bytes: head.vouchers_bytes.into(),
        digest: head.digest,
        vouchers_digest: head.vouchers_digest,
        mac: head.mac,
    };
    into[..FRAME_HEADER_BYTES].copy_from_slice(raw.as_bytes());
}

/// Puts the MAC at the end of an encoded frame header.
pub(crate) fn put_mac(mac: &[u8; 32], header: &mut [u8]) {
    header[FRAME_MACED..FRAME_HEADER_BYTES].copy_from_slice(mac);
}

/// Reads the header of a frame of this ledger. Its MAC and lengths are for the caller to check.
pub(crate) fn decode_frame(bytes: &[u8], ledger: &LedgerId) -> Result<FrameHead, Reason> {
    let (raw, _) = RawFrame::read_from_prefix(bytes).map_err(|_| "the group ends inside a frame header")?;
    if raw.magic != FRAME_MAGIC {
        return Err("no frame begins here");
    }
    if raw.version.get() != FORMAT_VERSION {
        return Err("the frame is of a format that is not known");
    }
    if raw.ledger != ledger.0 {
        return Err("the frame belongs to another ledger");
    }
    let head = FrameHead {
        number: raw.number.get(),
        first_sequence: raw.first_sequence.get(),
        count: raw.count.get(),
        key_id: raw.key_id.get(),
        time_ns: raw.time_ns.get(),
        payload_bytes: raw.payload_bytes.get(),
        vouchers_bytes: raw.vouchers_bytes.get(),
        digest: raw.digest,
        vouchers_digest: raw.vouchers_digest,
        mac: raw.mac,
    };
    if head.first_sequence.checked_add(u64::from(head.count)).is_none() {
        return Err("the frame's sequence numbers overflow");
    }
    Ok(head)
}

/// One slot of the watermark file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatermarkSlot {
    pub ledger: LedgerId,
    /// Goes up by one with each write; the parity says which slot.
    pub counter: u64,
    /// Last frame known durable.
    pub frame: u64,
    /// Last group known durable.
    pub group: u64,
    /// Segment of that group.
    pub segment: u64,
}

impl WatermarkSlot {
    /// Writes the whole block of the slot.
    pub(crate) fn encode(&self, block: &mut [u8]) {
        let raw = RawWatermark {
            magic: WATERMARK_MAGIC,
            version: FORMAT_VERSION.into(),
            reserved: 0.into(),
            ledger: self.ledger.0,
            counter: self.counter.into(),
            frame: self.frame.into(),
            group: self.group.into(),
            segment: self.segment.into(),
        };
        finish_block(raw.as_bytes(), block);
    }

    /// Reads a slot's block.
    pub(crate) fn decode(block: &[u8]) -> Result<WatermarkSlot, Reason> {
        let rest = check_block(block, &WATERMARK_MAGIC)?;
        let (raw, reserved) = RawWatermark::read_from_prefix(rest).map_err(|_| "the block is too short")?;
        if raw.version.get() != FORMAT_VERSION || raw.reserved.get() != 0 || !all_zero(reserved) {
            return Err("it is of a format that is not known");
        }
        Ok(WatermarkSlot {
            ledger: LedgerId(raw.ledger),
            counter: raw.counter.get(),
            frame: raw.frame.get(),
            group: raw.group.get(),
            segment: raw.segment.get(),
        })
    }
}

/// Lays `head` at the start of a zeroed block and puts the unsalted CRC of the rest into the last four bytes.
fn finish_block(head: &[u8], block: &mut [u8]) {
    assert_eq!(block.len(), BLOCK_BYTES, "one whole block");
    block.fill(0);
    block[..head.len()].copy_from_slice(head);
    let crc = crc32fast::hash(&block[..BLOCK_CHECKED]);
    block[BLOCK_CHECKED..].copy_from_slice(&crc.to_le_bytes());
}

/// The checked part of a block with this magic, its CRC verified.
fn check_block<'a>(block: &'a [u8], magic: &[u8; 8]) -> Result<&'a [u8], Reason> {
    if block.len() != BLOCK_BYTES {
        return Err("the block is cut short");
    }
    if !block.starts_with(magic) {
        return Err("the block does not begin with its magic bytes");
    }
    let (checked, crc) = block.split_at(BLOCK_CHECKED);
    if crc != crc32fast::hash(checked).to_le_bytes() {
        return Err("the block does not match its checksum");
    }
    Ok(checked)
}

/// Whether all bytes are zero.
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    // Compared in words through chunks that the compiler turns into vector instructions.
    let mut chunks = bytes.chunks_exact(64);
    chunks.by_ref().all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
        && chunks.remainder().iter().all(|&byte| byte == 0)
}
