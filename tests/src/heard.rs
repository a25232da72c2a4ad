//! What an outside client was told, as lines of a file: written by the client as it hears it, read by the rig
//! afterwards.
//!
//! `asked N` before batch N is sent; `item …` for each of its results and `answered N` once its reply is here; `read …`
//! for an account as a read showed it.

use std::collections::BTreeMap;
use std::fmt::Write;

use florin_core::entry::{AccountRecord, PostReply};

use crate::compare;
use crate::model::Verdict;
use crate::model::number::POSTED;
use crate::program::Step;

/// The line before a batch is sent.
pub fn asked(batch: u64) -> String {
    format!("asked {batch}\n")
}

/// The lines of a reply to a batch, with versions and balances of the postings of all that was posted.
pub fn answered(batch: u64, asked: &Step, reply: &PostReply) -> String {
    let mut lines = String::new();
    for (v, postings) in results(asked, reply) {
        let _ = write!(lines, "item {} {} {} {} {}", v.outcome, v.repeat, v.detail, v.sequence, v.booked_at);
        for (version, balance) in postings {
            let _ = write!(lines, " {version}:{balance}");
        }
        lines.push('\n');
    }
    let _ = writeln!(lines, "answered {batch}");
    lines
}

/// What a reply says of each item, with versions and balances of the entries of what was posted.
pub fn results(asked: &Step, reply: &PostReply) -> Vec<HeardItem> {
    let mut postings = reply.postings.iter().map(|p| (p.version, p.balance));
    let result = |(index, item)| {
        let verdict = compare::verdict(&item);
        let entries = match asked {
            Step::Run { items, .. } if verdict.outcome == POSTED => compare::entries_told(&items[index], verdict),
            _ => 0,
        };
        (verdict, postings.by_ref().take(entries).collect())
    };
    let results = reply.items().enumerate().map(result).collect();
    assert_eq!(postings.next(), None, "more postings than entries were made");
    results
}

/// The line of an account that was read.
pub fn read(record: &AccountRecord) -> String {
    format!("read {} {} {}\n", record.account, record.version, record.posted)
}

/// A result with versions and balances.
pub type HeardItem = (Verdict, Vec<(u64, i128)>);

/// What a client was told.
#[derive(Debug, Default)]
pub struct Heard {
    /// Of each batch that was asked: the highest sequence number that had been heard of before.
    pub asked: BTreeMap<u64, u64>,
    /// Results of each batch that was answered.
    pub answered: BTreeMap<u64, Vec<HeardItem>>,
    /// Accounts as they were read: account, version, balance.
    pub reads: Vec<(u128, u64, i128)>,
}

impl Heard {
    /// Reads the lines of one client. A client that was not killed itself leaves no half line.
    pub fn parse(text: &str) -> Heard {
        let mut heard = Heard::default();
        let mut items: Vec<HeardItem> = vec![];
        let mut highest = 0;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["asked", batch] => {
                    heard.asked.insert(number(batch), highest);
                }
                ["item", outcome, repeat, detail, sequence, booked_at, ref postings @ ..] => {
                    let verdict = Verdict {
                        outcome: number(outcome),
                        repeat: number(repeat),
                        detail: number(detail),
                        sequence: number(sequence),
                        booked_at: number(booked_at),
                    };
                    let pair = |p: &&str| {
                        let (version, balance) = p.split_once(':').expect("version and balance");
                        (number(version), number(balance))
                    };
                    items.push((verdict, postings.iter().map(pair).collect()));
                }
                ["answered", batch] => {
                    let items = std::mem::take(&mut items);
                    highest = items.iter().map(|(v, _)| v.sequence).max().unwrap_or(0).max(highest);
                    heard.answered.insert(number(batch), items);
                }
                ["read", account, version, balance] => {
                    heard.reads.push((number(account), number(version), number(balance)));
                }
                _ => panic!("a line that no client writes: {line}"),
            }
        }
        heard
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is out of place"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::Item;
    use florin_core::outcome::Outcome;
    use florin_core::request::{ItemResult, PostingResult};

    #[test]
    fn what_was_written_is_read_again() {
        let t = Item::transfer(5, 1, 2, 203, 9);
        let mut reply = PostReply::default();
        let first = ItemResult { outcome: Outcome::BelowFloor, repeat: false, detail: 1, sequence: 8, booked_at: 80 };
        let second = ItemResult { outcome: Outcome::Posted, detail: 0, sequence: 9, booked_at: 90, ..first };
        reply.push(first);
        reply.push(second);
        reply.postings = vec![
            PostingResult { version: 3, balance: -4, alarm: false },
            PostingResult { version: 1, balance: 9, alarm: false },
        ];
        let step = Step::Run { institution: 1, transfers: true, items: vec![t.clone(), t] };
        let text = asked(7) + &answered(7, &step, &reply) + "read 1 3 -4\n" + &asked(8);
        let heard = Heard::parse(&text);
        assert_eq!(heard.asked, BTreeMap::from([(7, 0), (8, 9)]));
        let items = vec![(compare::verdict(&first), vec![]), (compare::verdict(&second), vec![(3, -4), (1, 9)])];
        assert_eq!(heard.answered, BTreeMap::from([(7, items)]));
        assert_eq!(heard.reads, [(1, 3, -4)]);
    }
}
