//! The segments that were begun, in order: their names and what their first blocks say. Grows with the number of
//! segments, not of frames.

use crate::format::SegmentHead;
use crate::reader::SealedSegment;
use std::sync::{PoisonError, RwLock};

/// Folder of the segments in the data directory.
pub(crate) const LOG_FOLDER: &str = "log";

/// Name of a segment's file in the data directory: ten digits, so that a listing is in order.
pub(crate) fn segment_name(ordinal: u64) -> String {
    format!("{LOG_FOLDER}/{ordinal:010}.seg")
}

/// Ordinal of a name in the log folder, if it is a segment's.
pub(crate) fn segment_ordinal(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let ordinal: u64 = digits.parse().ok()?;
    (ordinal != 0 && format!("{ordinal:010}") == digits).then_some(ordinal)
}

/// The first blocks of all segments in use; the writer adds, readers look up.
pub(crate) struct Segments {
    heads: RwLock<Vec<SegmentHead>>,
}

impl Segments {
    pub(crate) fn new(heads: Vec<SegmentHead>) -> Segments {
        Segments { heads: RwLock::new(heads) }
    }

    /// A segment whose first group is durable. Ordinals follow each other.
    pub(crate) fn push(&self, head: SegmentHead) {
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        assert!(heads.last().is_none_or(|last| last.ordinal + 1 == head.ordinal), "segments follow each other");
        heads.push(head);
    }

    /// The segment that would hold a frame, and the last frame that it can hold.
    pub(crate) fn of_frame(&self, number: u64) -> Option<(SegmentHead, u64)> {
        self.last_where(|head| head.first_frame <= number)
    }

    /// The segment that would hold a sequence number, and the last frame that it can hold.
    pub(crate) fn of_sequence(&self, sequence: u64) -> Option<(SegmentHead, u64)> {
        self.last_where(|head| head.first_sequence <= sequence)
    }

    /// The segments behind an ordinal that another one follows, in order. The first group of that one was written after
    /// all of their frames were durable.
    pub(crate) fn sealed(&self, after: u64) -> Vec<SealedSegment> {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        let from = heads.partition_point(|head| head.ordinal <= after);
        let sealed = heads[from..].windows(2).map(|pair| SealedSegment {
            ordinal: pair[0].ordinal,
            salt: pair[0].salt,
            first_frame: pair[0].first_frame,
            frames: pair[1].first_frame - pair[0].first_frame,
            first_sequence: pair[0].first_sequence,
            count: pair[1].first_sequence - pair[0].first_sequence,
            last_mac: pair[1].previous_mac,
        });
        sealed.collect()
    }

    /// A segment and the one that follows it, if one does.
    pub(crate) fn with_next(&self, ordinal: u64) -> Option<(SegmentHead, SegmentHead)> {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        let at = heads.binary_search_by_key(&ordinal, |head| head.ordinal).ok()?;
        Some((heads[at], *heads.get(at + 1)?))
    }

    fn last_where(&self, before: impl Fn(&SegmentHead) -> bool) -> Option<(SegmentHead, u64)> {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        // Segments of empty groups begin where the next one does: the last of them is the one with the frame.
        let end = heads.partition_point(before);
        let last_frame = heads.get(end).map_or(u64::MAX, |next| next.first_frame - 1);
        heads[..end].last().map(|head| (*head, last_frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_this_log_writes_are_segments() {
        assert_eq!(segment_name(12), "log/0000000012.seg");
        let names =
            [("0000000012.seg", Some(12)), ("12.seg", None), ("0000000000.seg", None), ("0000000012.idx", None)];
        for (name, ordinal) in names {
            assert_eq!(segment_ordinal(name), ordinal, "{name}");
        }
        assert_eq!(segment_ordinal("12345678901.seg"), Some(12_345_678_901));
    }
}
