//! Which segments are packed together, and when. Knows sizes only.

use crate::limits::{PACK_SAVES_AT_LEAST, PACK_SEGMENTS_MAX};

/// What to do with the first of a row of sealed segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// So many are never packed.
    pub skip: usize,
    /// So many behind those are packed together now; 0: wait for more.
    pub take: usize,
}

/// `frame_bytes` are the bytes of the frames of consecutive segments; none for one that is packed already. Together in a pack they take
/// no more than a segment. Segments wait until they fill half of one, or nothing more can come to them: so the number of raw segments of
/// lone payments is bounded, and so is the number of small packs.
pub(crate) fn plan(frame_bytes: &[Option<u64>], segment_bytes: u64) -> Plan {
    let is_worth_it =
        |bytes: &Option<u64>| bytes.filter(|bytes| bytes + segment_bytes / PACK_SAVES_AT_LEAST <= segment_bytes);
    let skip = frame_bytes.iter().take_while(|bytes| is_worth_it(bytes).is_none()).count();
    let (mut take, mut together) = (0, 0);
    for next in frame_bytes[skip..].iter().map(is_worth_it) {
        match next.filter(|bytes| together + bytes <= segment_bytes && take < PACK_SEGMENTS_MAX) {
            Some(bytes) => (take, together) = (take + 1, together + bytes),
            None => return Plan { skip, take },
        }
    }
    let is_enough = together * 2 >= segment_bytes || take == PACK_SEGMENTS_MAX;
    Plan { skip, take: if is_enough { take } else { 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(sizes: &[Option<u64>], skip: usize, take: usize) {
        assert_eq!(plan(sizes, 800), Plan { skip, take }, "{sizes:?}");
    }

    #[test]
    fn segments_wait_until_they_fill_half_of_one() {
        is(&[], 0, 0);
        is(&[Some(100)], 0, 0);
        is(&[Some(100), Some(299)], 0, 0);
        is(&[Some(100), Some(300)], 0, 2);
        is(&[Some(400)], 0, 1);
    }

    #[test]
    fn what_nothing_can_come_to_is_packed() {
        is(&[Some(300), Some(501), Some(1)], 0, 1);
        is(&[Some(300), Some(500), Some(1)], 0, 2);
        is(&[Some(1), None], 0, 1);
        is(&[Some(1), Some(701)], 0, 1);
        is(&vec![Some(0); PACK_SEGMENTS_MAX - 1], 0, 0);
        is(&vec![Some(0); PACK_SEGMENTS_MAX], 0, PACK_SEGMENTS_MAX);
        is(&vec![Some(0); PACK_SEGMENTS_MAX + 1], 0, PACK_SEGMENTS_MAX);
    }

    #[test]
    fn what_saves_less_than_an_eighth_stays_as_it_is() {
        is(&[Some(701)], 1, 0);
        is(&[Some(700)], 0, 1);
        is(&[None, Some(790), Some(100), Some(400), Some(790)], 2, 2);
        is(&[None, None], 2, 0);
    }
}
