//! Random programs: what clients might ask of a ledger, in the order in which they ask. A seed always gives the same one.
//!
//! Programs aim at what is hard: hot accounts with hardly any money, accounts that begin outside their limits, the same
//! account several times in one transaction, ids used again, amounts at the edge of what fits, malformed items.

mod accounts;
mod transactions;

use std::fmt;

use crate::model::item::{Control, Heave, Opening, Transaction};
use crate::rng::Rng;

use accounts::{Cast, KnownAsset};
use transactions::Writer;

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Posts transactions. `transfers`: they are sent as transfer rows.
    Post {
        /// The tenant.
        institution: u32,
        /// Sent as transfer rows, not as journals.
        transfers: bool,
        /// The transactions.
        transactions: Vec<Transaction>,
    },
    /// Opens accounts.
    Open {
        /// The tenant.
        institution: u32,
        /// The openings.
        openings: Vec<Opening>,
    },
    /// Applies a control record.
    Control {
        /// The tenant.
        institution: u32,
        /// The record.
        control: Control,
    },
    /// Brings two accounts to the edge of the range; only a simulator can.
    Heave {
        /// The tenant.
        institution: u32,
        /// What is moved.
        heave: Heave,
    },
    /// Looks at accounts.
    Read {
        /// The tenant.
        institution: u32,
        /// Accounts, known or not.
        accounts: Vec<u128>,
    },
}

impl Step {
    /// One item in words that fit a screen.
    pub fn item(&self, index: usize) -> String {
        let mut text = match self {
            Step::Post { transactions, .. } => format!("{:?}", transactions[index]),
            Step::Open { openings, .. } => format!("{:?}", openings[index]),
            Step::Control { control, .. } => format!("{} {}", control.id, String::from_utf8_lossy(&control.record)),
            Step::Read { .. } | Step::Heave { .. } => format!("{self:?}"),
        };
        if let Some((end, _)) = text.char_indices().nth(1_000) {
            text.replace_range(end.., " …");
        }
        format!("item {index} of {self}: {text}")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Post { institution, transfers, transactions } => {
                let form = if *transfers { "transfers" } else { "journals" };
                write!(f, "a request of {} {form} for institution {institution}", transactions.len())
            }
            Step::Open { institution, openings } => {
                write!(f, "a request of {} openings for institution {institution}", openings.len())
            }
            Step::Control { institution, .. } => write!(f, "a control record for institution {institution}"),
            Step::Read { accounts, .. } => write!(f, "a read of {} accounts", accounts.len()),
            Step::Heave { .. } => write!(f, "a heave"),
        }
    }
}

/// A list of requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The requests in order.
    pub steps: Vec<Step>,
}

/// Bytes of postings, vouchers and headers after which a request gets no further transaction.
const REQUEST_BYTES: usize = 900_000;

impl Program {
    /// The program of a seed.
    pub fn random(seed: u64) -> Program {
        let mut rng = Rng::part(seed, "program");
        let cast = Cast::random(&mut rng);
        let mut steps = beginning(&mut rng, &cast);
        let mut writer = Writer::new(&mut rng);
        let mut left = rng.pick(&[10, 60, 60, 150, 150, 400]);
        let request_max = rng.pick(&[1, 4, 30, 150]);
        while left > 0 {
            let institution = cast.institution(&mut rng);
            match rng.below(100) {
                0..=5 => steps.push(Step::Read { institution, accounts: cast.some_numbers(&mut rng) }),
                6..=13 => steps.push(open_again(&mut rng, &cast, institution)),
                14..=16 => steps.push(control_again(&mut rng, &cast, institution)),
                _ => {
                    let count = rng.between(1, request_max).min(left);
                    let transactions = writer.request(&mut rng, &cast, count, REQUEST_BYTES);
                    left -= transactions.len();
                    let transfers = transactions.iter().all(Transaction::is_transfer) && rng.chance(80);
                    steps.push(Step::Post { institution, transfers, transactions });
                }
            }
        }
        Program { steps }
    }

    /// How many transactions it asks for.
    pub fn transactions(&self) -> usize {
        let count = |step: &Step| if let Step::Post { transactions, .. } = step { transactions.len() } else { 0 };
        self.steps.iter().map(count).sum()
    }
}

/// Most assets and accounts come to be at the beginning, a few later or never.
fn beginning(rng: &mut Rng, cast: &Cast) -> Vec<Step> {
    let mut steps = vec![];
    for asset in cast.assets.iter().filter(|a| !a.late) {
        steps.push(Step::Control { institution: cast.institutions[0], control: asset.control(rng.next_u128() | 1) });
    }
    for &institution in &cast.institutions {
        let openings: Vec<Opening> = cast.accounts.iter().filter(|a| !a.late).map(|a| a.opening.clone()).collect();
        let chunk = rng.between(1, 20);
        steps.extend(openings.chunks(chunk).map(|c| Step::Open { institution, openings: c.to_vec() }));
    }
    steps.extend(cast.heave(rng).map(|heave| Step::Heave { institution: cast.institutions[0], heave }));
    steps
}

/// Openings among the posts: late ones, repeats, repeats with other fields, malformed ones.
fn open_again(rng: &mut Rng, cast: &Cast, institution: u32) -> Step {
    let count = rng.between(1, 3);
    let openings = (0..count).map(|_| cast.opening_again(rng)).collect();
    Step::Open { institution, openings }
}

/// Control records among the posts: late ones, repeats, contradictions, ones that cannot be read.
fn control_again(rng: &mut Rng, cast: &Cast, institution: u32) -> Step {
    let asset = &cast.assets[rng.below(cast.assets.len())];
    // Half of the ids come from a small range, so that they meet again, also as ids of transactions.
    let id = if rng.chance(50) { rng.between(0, 8) as u128 } else { rng.next_u128() };
    let control = match rng.below(8) {
        0 => Control { id, record: rng.pick(&BAD_RECORDS).as_bytes().to_vec() },
        1 => KnownAsset { scale: asset.scale + 1, ..asset.clone() }.control(id),
        2 => KnownAsset { number: asset.number + 40, ..asset.clone() }.control(id),
        _ => asset.control(id),
    };
    Step::Control { institution, control }
}

const BAD_RECORDS: [&str; 12] = [
    "",
    "{",
    "[]",
    r#"{"code":"CZK","number":"0","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","record":"asset","scale":"19"}"#,
    r#"{"code":"czk","number":"9","record":"asset","scale":"2"}"#,
    r#"{"code":"ABCDEFGHIJKLMNOPQ","number":"9","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"+9","record":"asset","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","record":"asset","scale":"02"}"#,
    r#"["asset","CZK","9","2"]"#,
    r#"{"code":"CZK","number":"9","record":"account","scale":"2"}"#,
    r#"{"code":"CZK","number":"9","other":"1","record":"asset","scale":"2"}"#,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_program() {
        for seed in 0..20 {
            assert_eq!(Program::random(seed), Program::random(seed));
        }
    }

    #[test]
    fn programs_have_between_2_and_20_accounts_and_ask_for_transactions() {
        for seed in 0..200 {
            let program = Program::random(seed);
            assert!(program.transactions() >= 10, "seed {seed}");
        }
    }
}
