//! What a run did, counted by name: a run that proves nothing should show it.

use std::cell::RefCell;
use std::fmt;

/// Counts in the order in which they first came up. Outlives a book that panics.
#[derive(Debug, Default)]
pub struct Tally(RefCell<Vec<(String, u64)>>);

impl Tally {
    /// Adds to a count.
    pub fn add(&self, what: &str, more: u64) {
        let mut counts = self.0.borrow_mut();
        match counts.iter_mut().find(|(name, _)| name == what) {
            Some((_, count)) => *count += more,
            None => counts.push((what.to_string(), more)),
        }
    }

    /// A count.
    pub fn count(&self, what: &str) -> u64 {
        self.0.borrow().iter().find(|(name, _)| name == what).map_or(0, |(_, count)| *count)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &*self.0.borrow() {
            writeln!(f, "{count:>12} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_name_and_keep_their_order() {
        let tally = Tally::default();
        tally.add("starts", 1);
        tally.add("answers", 0);
        tally.add("starts", 2);
        assert_eq!((tally.count("starts"), tally.count("answers"), tally.count("cuts")), (3, 0, 0));
        assert_eq!(tally.to_string(), "           3 starts\n           0 answers\n");
    }
}
