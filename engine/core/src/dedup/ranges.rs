//! Ranges that hold all ids of a run: an id in none of them is not in the run, without a look at anything else. Ids that follow time
//! (UUIDv7, ULID) leave the future free, so new ones are told from all old ones at once.
//!
//! A run has at most [`RANGES_MAX`], with the largest gaps between its ids left out.

/// Most ranges of a run: 32 KiB.
pub const RANGES_MAX: usize = 1024;

/// Ranges in order, first and last id of each; they neither meet nor overlap.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// The ranges of ids, which are sorted by this.
    pub fn of_ids(ids: &mut [u128]) -> Ranges {
        ids.sort_unstable();
        Ranges::of_sorted(ids.iter().map(|id| (*id, *id)))
    }

    /// The ranges of what several hold.
    pub fn merged<'a>(parts: impl Iterator<Item = &'a Ranges>) -> Ranges {
        let mut all: Vec<(u128, u128)> = parts.flat_map(|part| part.0.iter().copied()).collect();
        all.sort_unstable();
        Ranges::of_sorted(all.into_iter())
    }

    /// Ranges as they were written; none if no [`Ranges`] can be so.
    pub fn of_parts(parts: Vec<(u128, u128)>) -> Option<Ranges> {
        let in_order = parts.iter().all(|(first, last)| first <= last);
        let apart = parts.windows(2).all(|pair| pair[0].1 < pair[1].0);
        (in_order && apart && parts.len() <= RANGES_MAX).then_some(Ranges(parts))
    }

    /// First and last id of each.
    pub fn parts(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// `parts` by their first ids.
    fn of_sorted(parts: impl Iterator<Item = (u128, u128)> + Clone) -> Ranges {
        // The gaps that are worth a range of their own.
        let mut gaps: Vec<u128> = Vec::new();
        let mut upto = None;
        for (first, last) in parts.clone() {
            gaps.extend(upto.map(|upto| first.saturating_sub(upto)).filter(|gap| *gap > 1));
            upto = upto.max(Some(last));
        }
        let mut least = 2;
        if gaps.len() >= RANGES_MAX {
            let at = gaps.len() - RANGES_MAX;
            let (_, largest_left, _) = gaps.select_nth_unstable(at);
            least = *largest_left + 1;
        }
        let mut ranges: Vec<(u128, u128)> = Vec::new();
        for (first, last) in parts {
            match ranges.last_mut() {
                Some(range) if first <= range.1 || first - range.1 < least => range.1 = range.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        Ranges(ranges)
    }

    /// The gap that an id is in: the ids behind the range before it and before the range behind it. None if it is in a range.
    pub fn gap_of(&self, id: u128) -> Option<(u128, u128)> {
        let next = self.0.partition_point(|(first, _)| *first <= id);
        let from = match next.checked_sub(1).map(|before| self.0[before].1) {
            Some(last) if id <= last => return None,
            Some(last) => last + 1,
            None => 0,
        };
        let upto = self.0.get(next).map_or(u128::MAX, |(first, _)| first - 1);
        Some((from, upto))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(ranges: &Ranges, id: u128) -> bool {
        ranges.gap_of(id).is_none()
    }

    #[test]
    fn every_id_is_in_a_range_and_the_largest_gaps_are_in_none() {
        let time_ordered = |n: u128| (n / 100) << 80 | n;
        let mut ids: Vec<u128> = (0..50_000).map(time_ordered).collect();
        ids.extend([u128::MAX, 0, 7 << 120]);
        let ranges = Ranges::of_ids(&mut ids.clone());
        assert!(ids.iter().all(|id| holds(&ranges, *id)) && ranges.parts().len() <= RANGES_MAX);
        let next = time_ordered(50_000 + 100);
        assert_eq!(ranges.gap_of(next), Some((time_ordered(49_999) + 1, (7 << 120) - 1)));
        assert_eq!(ranges.gap_of(u128::MAX - 1).map(|gap| gap.1), Some(u128::MAX - 1));
        assert_eq!(Ranges::of_parts(ranges.parts().to_vec()), Some(ranges));
    }

    #[test]
    fn parts_that_no_ids_give_are_refused() {
        assert_eq!(Ranges::of_parts(vec![(2, 1)]), None);
        assert_eq!(Ranges::of_parts(vec![(1, 5), (5, 6)]), None);
        assert_eq!(Ranges::of_parts((0..=RANGES_MAX as u128).map(|n| (2 * n, 2 * n)).collect()), None);
        assert_eq!(Ranges::of_parts(vec![]).map(|none| none.gap_of(5)), Some(Some((0, u128::MAX))));
    }

    #[test]
    fn merged_ranges_hold_what_their_parts_hold() {
        let mut one: Vec<u128> = (0..3_000u128).map(|n| n * n * n).collect();
        let mut other: Vec<u128> = (0..3_000u128).map(|n| n * 1_000_003).collect();
        let parts = [Ranges::of_ids(&mut one), Ranges::of_ids(&mut other), Ranges::default()];
        let merged = Ranges::merged(parts.iter());
        assert!(one.iter().chain(&other).all(|id| holds(&merged, *id)));
        assert!(merged.parts().len() <= RANGES_MAX && !holds(&merged, u128::MAX));
        assert!(Ranges::of_parts(merged.parts().to_vec()).is_some());
    }
}
