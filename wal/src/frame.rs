//! A frame as the rest of the program sees it: what its header says, where it stands, its bytes. Identical wherever
//! the log is copied, except for its place.

use crate::segments::{PackRange, segment_name};

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Number of the frame, from 1 without gaps.
    pub number: u64,
    /// Sequence number of its first transaction: that of the frame before plus its count.
    pub first_sequence: u64,
    /// Transactions in the frame.
    pub count: u32,
    /// Id of the chain key.
    pub key_id: u32,
    /// Time of the round, in nanoseconds since 1970, UTC.
    pub time_ns: u64,
    /// Bytes of the payload.
    pub payload_bytes: u32,
    /// Bytes of the voucher area.
    pub vouchers_bytes: u32,
    /// BLAKE3 of the payload.
    pub digest: [u8; 32],
    /// BLAKE3 of the voucher area.
    pub vouchers_digest: [u8; 32],
    /// The chain MAC.
    pub mac: [u8; 32],
}

impl FrameHead {
    /// The sequence number after the frame's last one.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.count)
    }

    /// Bytes behind the frame's header.
    pub(crate) fn body_bytes(&self) -> usize {
        self.payload_bytes as usize + self.vouchers_bytes as usize
    }
}

/// Where a frame stands on this disk. A fact of one copy of the log, so never stored in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FramePlace {
    /// Ordinal of the segment, from 1.
    pub segment: u64,
    /// Offset of the frame's header in its file, in bytes.
    pub offset: u64,
    /// The pack whose file it is; none if the segment has a file of its own.
    pub pack: Option<PackRange>,
}

impl FramePlace {
    /// A place in the segment's own file.
    pub fn raw(segment: u64, offset: u64) -> FramePlace {
        FramePlace { segment, offset, pack: None }
    }

    /// Name of the file in the data directory.
    pub fn file(&self) -> String {
        match &self.pack {
            Some(pack) => pack.name(),
            None => segment_name(self.segment),
        }
    }
}

/// One frame with its bytes, checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What its header says.
    pub head: FrameHead,
    /// The engine's rows.
    pub payload: &'a [u8],
    /// The clients' vouchers.
    pub vouchers: &'a [u8],
    /// Where it stands.
    pub place: FramePlace,
}
