//! Counters of the writer thread. Read at any time; each is exact, together they are not one moment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Classes of the histograms: class `i` counts values below 2^(i+1), the last one all above.
const CLASSES: usize = 24;

/// What the writer has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Groups written, seals and the opening group included.
    pub groups: u64,
    /// Empty groups among them.
    pub seals: u64,
    /// Frames written.
    pub frames: u64,
    /// Bytes of payloads and vouchers written.
    pub frame_bytes: u64,
    /// Bytes written to segments: headers, padding and first blocks included.
    pub disk_bytes: u64,
    /// Syncs of segments and of the watermark.
    pub syncs: u64,
    /// Writes of the watermark.
    pub watermarks: u64,
    /// Times a group had to wait for a segment.
    pub segment_waits: u64,
    /// Segment that is being written.
    pub segment: u64,
    /// Groups by their number of frames: class `i` counts groups of less than 2^(i+1) frames.
    pub group_frames: [u64; CLASSES],
    /// Groups by their blocks on disk: class `i` counts groups of less than 2^(i+1) blocks.
    pub group_blocks: [u64; CLASSES],
}

#[derive(Default)]
pub(crate) struct Counters {
    pub groups: AtomicU64,
    pub seals: AtomicU64,
    pub frames: AtomicU64,
    pub frame_bytes: AtomicU64,
    pub disk_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub watermarks: AtomicU64,
    pub segment_waits: AtomicU64,
    pub segment: AtomicU64,
    pub group_frames: [AtomicU64; CLASSES],
    pub group_blocks: [AtomicU64; CLASSES],
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, value: u64) {
    counter.fetch_add(value, Relaxed);
}

/// Class of a value of at least 1.
pub(crate) fn class(value: u64) -> usize {
    (value.max(1).ilog2() as usize).min(CLASSES - 1)
}

impl Counters {
    pub(crate) fn read(&self) -> LogStats {
        let all = |classes: &[AtomicU64; CLASSES]| std::array::from_fn(|at| classes[at].load(Relaxed));
        LogStats {
            groups: self.groups.load(Relaxed),
            seals: self.seals.load(Relaxed),
            frames: self.frames.load(Relaxed),
            frame_bytes: self.frame_bytes.load(Relaxed),
            disk_bytes: self.disk_bytes.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            watermarks: self.watermarks.load(Relaxed),
            segment_waits: self.segment_waits.load(Relaxed),
            segment: self.segment.load(Relaxed),
            group_frames: all(&self.group_frames),
            group_blocks: all(&self.group_blocks),
        }
    }
}
