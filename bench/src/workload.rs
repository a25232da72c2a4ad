//! What is posted: the published workloads, and what each of them is made of.

use florin_core::limits::{REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::request::{ItemRow, PostForm, PostingRow};

use crate::ids::IdOrder;

/// A pseudo-random generator that is seeded, small and fast.
pub type Random = rand::rngs::SmallRng;

/// Which accounts a transaction touches, and what it does to them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    /// Two different accounts at random.
    Uniform,
    /// Two different accounts of one shard, at random.
    OneShard,
    /// Two accounts of different shards, at random.
    TwoShards,
    /// Two different accounts; the account of rank k comes with weight k^-exponent.
    Zipf(f64),
    /// One account is on a side of every transfer, in turn debited and credited; the other is random.
    Hot,
    /// One account is credited by every transfer.
    HotCredit,
    /// One account is debited by every transfer. It may not go below zero and has plenty.
    HotDebit,
    /// One account is debited by 99 transfers of 100 and may not go below zero; the hundredth brings money for about
    /// half of them.
    HotDebitEmpty,
    /// Two accounts pay each other in turn.
    DualHot,
    /// Two accounts that may not go below zero pass one coin of a minor unit back and forth.
    LastCoin,
    /// Journals of this many postings, 3 or 5: one account pays several others.
    Journal(usize),
    /// A request of holds, then a request that captures them.
    Holds,
}

/// A workload with its published name.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is posted.
    pub shape: Shape,
    /// Percent of the transactions that are posted again.
    pub repeats_percent: u8,
    /// Percent of the requests that look accounts up.
    pub reads_percent: u8,
    /// One line about it.
    pub what: &'static str,
}

const fn plain(name: &'static str, shape: Shape, what: &'static str) -> Published {
    Published { name, shape, repeats_percent: 0, reads_percent: 0, what }
}

/// All workloads, in the order in which they are listed.
pub const WORKLOADS: &[Published] = &[
    plain("uniform", Shape::Uniform, "two accounts at random"),
    plain("zipf", Shape::Zipf(0.99), "accounts by rank with exponent 0.99; --zipf takes others"),
    plain("zipf-1.2", Shape::Zipf(1.2), "the same with exponent 1.2"),
    plain("zipf-1.5", Shape::Zipf(1.5), "the same with exponent 1.5"),
    plain("one-shard", Shape::OneShard, "two accounts of the same shard: with --shards, no transfer crosses shards"),
    plain(
        "two-shards",
        Shape::TwoShards,
        "two accounts of different shards: every transfer crosses; needs --shards 2 or more",
    ),
    plain("hot", Shape::Hot, "one account in every transfer, debited and credited in turn"),
    plain("hot-credit", Shape::HotCredit, "one account credited by every transfer"),
    plain("hot-debit", Shape::HotDebit, "one account debited by every transfer, with a floor and plenty of money"),
    plain("hot-debit-empty", Shape::HotDebitEmpty, "the same with money for about half: the others are refused"),
    plain("dual-hot", Shape::DualHot, "two accounts pay each other"),
    plain("last-coin", Shape::LastCoin, "two accounts pass one coin back and forth; out of turn it is refused"),
    plain("journal-3", Shape::Journal(3), "journals of 3 postings: one debit, two credits"),
    plain("journal-5", Shape::Journal(5), "journals of 5 postings: one debit, four credits"),
    plain("holds", Shape::Holds, "requests of holds, each followed by one that captures them"),
    Published { repeats_percent: 1, ..plain("repeats-1", Shape::Uniform, "uniform, 1 % of it posted again") },
    Published { repeats_percent: 10, ..plain("repeats-10", Shape::Uniform, "uniform, 10 % of it posted again") },
    Published { reads_percent: 10, ..plain("reads-10", Shape::Uniform, "uniform, 10 % of the requests are look-ups") },
];

impl Published {
    /// The workload of a name.
    pub fn find(name: &str) -> Option<&'static Published> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }
}

impl Shape {
    /// Postings of a transaction.
    pub fn postings(self) -> usize {
        match self {
            Shape::Journal(postings) => postings,
            _ => 2,
        }
    }

    /// The form of its requests; captures are items too.
    pub fn form(self) -> PostForm {
        if self.postings() == 2 { PostForm::Transfers } else { PostForm::Items }
    }

    /// Most transactions that fit into a request.
    pub fn batch_max(self) -> usize {
        match self.form() {
            PostForm::Transfers => REQUEST_ITEMS_MAX,
            PostForm::Items => REQUEST_BYTES_MAX / (size_of::<ItemRow>() + self.postings() * size_of::<PostingRow>()),
        }
    }

    /// Whether refusals for lack of money belong to it.
    pub fn may_refuse(self) -> bool {
        matches!(self, Shape::HotDebitEmpty | Shape::LastCoin)
    }
}

/// A workload with its sizes.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What is posted.
    pub shape: Shape,
    /// Percent of the transactions that are posted again, 0 to 100.
    pub repeats_percent: u8,
    /// Percent of the requests that look accounts up, 0 to 99.
    pub reads_percent: u8,
    /// Order of ids.
    pub ids: IdOrder,
    /// Transactions of a request.
    pub batch: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_differ() {
        for workload in WORKLOADS {
            assert_eq!(Published::find(workload.name).map(|w| w.what), Some(workload.what));
        }
        assert!(Published::find("nothing").is_none());
    }

    #[test]
    fn full_requests_of_every_shape_fit() {
        for Published { shape, .. } in WORKLOADS {
            let row = match shape.form() {
                PostForm::Transfers => 128,
                PostForm::Items => 64 + 48 * shape.postings(),
            };
            assert!(
                shape.batch_max() * row <= REQUEST_BYTES_MAX && (shape.batch_max() + 1) * row > REQUEST_BYTES_MAX
                    || shape.batch_max() == REQUEST_ITEMS_MAX
            );
        }
    }
}
