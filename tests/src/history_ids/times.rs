//! Times of requests of one kind.

use std::time::Duration;

/// How long requests of so many ids each took.
pub struct Times {
    name: &'static str,
    ids: u64,
    /// Nanoseconds of each request.
    ns: Vec<u64>,
    looked_up: u64,
    in_vain: u64,
}

impl Times {
    /// None yet.
    pub fn new(name: &'static str, ids: usize) -> Times {
        Times { name, ids: ids as u64, ns: Vec::new(), looked_up: 0, in_vain: 0 }
    }

    /// Adds a request.
    pub fn add(&mut self, took: Duration) {
        self.ns.push(took.as_nanos() as u64);
    }

    /// Says how many of the ids were looked up in runs, and how many of those in vain.
    pub fn looked_up(&mut self, looked_up: u64, in_vain: u64) {
        (self.looked_up, self.in_vain) = (looked_up, in_vain);
    }

    /// A line of the table.
    pub fn line(&mut self) -> String {
        self.ns.sort_unstable();
        let at = |percent: usize| self.ns[(self.ns.len() * percent / 100).min(self.ns.len() - 1)] as f64 / 1e3;
        let ids = self.ids * self.ns.len() as u64;
        let share = |count: u64| 100.0 * count as f64 / ids as f64;
        format!(
            "{:<46} {:>6} {:>10} {:>10.1} {:>10.1} {:>10.3} {:>9.3} {:>9.3}",
            self.name,
            self.ns.len(),
            ids,
            at(50),
            at(99),
            self.ns.iter().sum::<u64>() as f64 / 1e3 / ids as f64,
            share(self.looked_up),
            share(self.in_vain),
        )
    }

    /// The heads of the columns.
    pub fn heads() -> String {
        format!(
            "{:<46} {:>6} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9}",
            "", "asked", "ids", "median us", "p99 us", "us an id", "% on disk", "% in vain"
        )
    }
}
