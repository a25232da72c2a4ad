//! Ids of transactions: those of one request follow from a base and the row, so that none has to be kept.

use std::time::{SystemTime, UNIX_EPOCH};

/// How ids follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdOrder {
    /// Milliseconds since 1970, then a number of the run, then a counter, like UUIDv7 or ULID.
    TimeOrdered,
    /// 128 bits without an order.
    Random,
}

/// The ids of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    base: u128,
    order: IdOrder,
}

impl Ids {
    /// The id of a row.
    pub fn at(self, row: usize) -> u128 {
        let id = self.base + row as u128;
        match self.order {
            IdOrder::TimeOrdered => id,
            IdOrder::Random => scramble(id),
        }
    }
}

/// Where the ids of one sender come from.
#[derive(Debug)]
pub struct IdSource {
    order: IdOrder,
    seed: u64,
    sender: u16,
    milliseconds: u128,
    counter: u64,
}

impl IdSource {
    /// Ids of one sender; `seed` must differ between all runs on a ledger, `sender` between the senders of a run.
    pub fn new(order: IdOrder, seed: u64, sender: u16) -> IdSource {
        IdSource { order, seed, sender, milliseconds: 0, counter: 0 }
    }

    /// Reads the clock: the next ids are of this millisecond.
    pub fn read_clock(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.milliseconds = self.milliseconds.max(now.as_millis());
    }

    /// Ids of a request of `rows` transactions.
    pub fn take(&mut self, rows: usize) -> Ids {
        let sender = u128::from(self.sender) << 48 | u128::from(self.counter + 1);
        self.counter += rows as u64;
        let base = match self.order {
            IdOrder::TimeOrdered => self.milliseconds << 80 | u128::from(self.seed as u16) << 64 | sender,
            IdOrder::Random => u128::from(self.seed) << 64 | sender,
        };
        Ids { base, order: self.order }
    }
}

/// Spreads a number over 128 bits. For one upper half it is one-to-one in the lower half of the result, so ids of a run
/// differ.
fn scramble(id: u128) -> u128 {
    let (high, low) = ((id >> 64) as u64, id as u64);
    u128::from(mix(high.rotate_left(32) ^ low)) << 64 | u128::from(mix(low.wrapping_add(high)))
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): one-to-one.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_all_senders_and_requests_differ() {
        for order in [IdOrder::TimeOrdered, IdOrder::Random] {
            let mut seen = std::collections::HashSet::new();
            for sender in 0..20 {
                let mut source = IdSource::new(order, 7, sender);
                for rows in [1, 100, 8_190] {
                    source.read_clock();
                    let ids = source.take(rows);
                    assert!((0..rows).all(|row| ids.at(row) != 0 && seen.insert(ids.at(row))));
                }
            }
        }
    }

    #[test]
    fn time_ordered_ids_ascend_and_random_ones_do_not() {
        let ids = |order| {
            let mut source = IdSource::new(order, 1, 2);
            source.read_clock();
            let ids = source.take(100);
            (0..100).map(|row| ids.at(row)).collect::<Vec<_>>()
        };
        assert!(ids(IdOrder::TimeOrdered).is_sorted());
        let ascents = ids(IdOrder::Random).windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((20..80).contains(&ascents), "{ascents}");
    }
}
