//! The chain of frames: whether bytes begin with the frame that comes next in a log. The one place where a frame is checked as a
//! whole, wherever it stands. Never says where the frame was read from.

use crate::format::{self, FRAME_MACED, Reason, SegmentHead};
use crate::frame::FrameHead;
use crate::group::LogEnd;
use crate::key::KeyRing;
use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES};
use florin_planted::{Fault, planted};

/// A frame that was checked: its head, its payload and its vouchers.
pub(crate) type Checked<'a> = (FrameHead, &'a [u8], &'a [u8]);

impl LogEnd {
    /// The end of a log in front of the first group of a segment.
    pub(crate) fn in_front_of(segment: &SegmentHead) -> LogEnd {
        LogEnd {
            ledger: segment.ledger,
            segment_bytes: segment.segment_bytes,
            segment: Some(*segment),
            packed: false,
            offset: BLOCK_BYTES as u64,
            next_group: segment.first_group,
            last_frame: segment.first_frame - 1,
            next_sequence: segment.first_sequence,
            last_time_ns: 0,
            mac: segment.previous_mac,
        }
    }

    /// Whether a segment goes on exactly here.
    pub(crate) fn continues_with(&self, segment: &SegmentHead) -> bool {
        segment.first_group == self.next_group && self.frames_continue_with(segment)
    }

    /// Whether the frames of a segment go on exactly here; of its groups nothing is known.
    pub(crate) fn frames_continue_with(&self, segment: &SegmentHead) -> bool {
        segment.first_frame == self.last_frame + 1
            && segment.first_sequence == self.next_sequence
            && segment.previous_mac == self.mac
    }

    /// The frame that `bytes` begin with, if it is the next of the chain and whole.
    pub(crate) fn next_frame<'a>(&self, keys: &KeyRing, bytes: &'a [u8]) -> Result<Checked<'a>, Reason> {
        let head = format::decode_frame(bytes, &self.ledger)?;
        let body = &bytes[FRAME_HEADER_BYTES..];
        if body.len() < head.body_bytes() {
            return Err("the frame is longer than its group");
        }
        if head.number != self.last_frame + 1 {
            return Err("the frame has another number");
        }
        if head.first_sequence != self.next_sequence {
            return Err("the frame's first sequence number does not follow the frame before");
        }
        let mac = keys
            .mac(head.key_id, &self.mac, &bytes[..FRAME_MACED])
            .ok_or("the key that the frame names is not in keys/")?;
        if mac != head.mac && !planted(Fault::ChainMacIgnored) {
            return Err("the chain MAC does not match");
        }
        let (payload, vouchers) = body[..head.body_bytes()].split_at(head.payload_bytes as usize);
        if blake3::hash(payload) != head.digest || blake3::hash(vouchers) != head.vouchers_digest {
            return Err("the digest does not match");
        }
        Ok((head, payload, vouchers))
    }

    /// Goes on behind a frame that was checked.
    pub(crate) fn pass(&mut self, head: &FrameHead) {
        self.last_frame = head.number;
        self.next_sequence = head.next_sequence();
        self.last_time_ns = head.time_ns;
        self.mac = head.mac;
    }
}
