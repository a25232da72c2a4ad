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

/// The segments of a pack, by their ordinals. It names the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackRange {
    /// The first one.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl PackRange {
    /// Name of the pack's file in the data directory.
    pub(crate) fn name(&self) -> String {
        format!("{LOG_FOLDER}/{:010}-{:010}.pack", self.first, self.last)
    }

    /// Name of the file while it is written.
    pub(crate) fn new_name(&self) -> String {
        format!("{}{NEW}", self.name())
    }

    /// Whether a name in the log folder is that of a pack that is being written, or was when the process ended.
    pub(crate) fn is_new(name: &str) -> bool {
        name.strip_suffix(NEW).is_some_and(|name| pack_range(name).is_some())
    }

    /// Whether a segment is in the pack.
    pub(crate) fn has(&self, ordinal: u64) -> bool {
        (self.first..=self.last).contains(&ordinal)
    }
}

/// End of the name of a pack that is being written.
const NEW: &str = ".new";

/// The segments of a name in the log folder, if it is a pack's.
pub(crate) fn pack_range(name: &str) -> Option<PackRange> {
    let (first, last) = name.strip_suffix(".pack")?.split_once('-')?;
    let range = PackRange { first: first.parse().ok()?, last: last.parse().ok()? };
    let is_range = range.first != 0 && range.first <= range.last;
    (is_range && range.name().ends_with(&format!("/{name}"))).then_some(range)
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

    /// The heads from an ordinal on, in order, up to that of the segment that is written.
    pub(crate) fn from(&self, ordinal: u64) -> Vec<SegmentHead> {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        heads[heads.partition_point(|head| head.ordinal < ordinal)..].to_vec()
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

    #[test]
    fn only_names_that_the_packer_writes_are_packs() {
        let range = PackRange { first: 3, last: 12 };
        assert_eq!(range.name(), "log/0000000003-0000000012.pack");
        for (name, found) in [
            ("0000000003-0000000012.pack", Some(range)),
            ("3-12.pack", None),
            ("0000000012-0000000003.pack", None),
            ("0000000000-0000000003.pack", None),
            ("0000000003-0000000012.pack.new", None),
            ("0000000003.seg", None),
        ] {
            assert_eq!(pack_range(name), found, "{name}");
            assert!(
                PackRange::is_new(&format!("{name}.new")) == found.is_some()
                    && !PackRange::is_new(name.trim_end_matches(".new"))
            );
        }
    }
}
