//! Random programs: what clients might ask of a ledger, in the order in which they ask. A seed always gives the same
//! one.
//!
//! Programs aim at what is hard: hot accounts with hardly any money, accounts that begin outside their limits, the same
//! account several times in one item, captures of a hold that meet each other, its release or its expiry, reversals of
//! what was just posted, freezes and limits against payments, ids used again, amounts at the edge of what fits,
//! malformed items.

mod accounts;
mod changes;
mod control;
mod items;
mod named;
#[cfg(test)]
mod tests;
mod wrong;

use std::fmt;

use crate::model::Model;
use crate::model::item::{Change, Control, Heave, Item, Opening};
use crate::rng::Rng;

use accounts::Cast;
use changes::Changer;
use items::Writer;

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Runs items. `transfers`: they are sent as transfer rows.
    Run {
        /// The tenant.
        institution: u32,
        /// Sent as transfer rows, which not every item can be.
        transfers: bool,
        /// The items.
        items: Vec<Item>,
    },
    /// Changes accounts.
    Change {
        /// The tenant.
        institution: u32,
        /// The changes.
        changes: Vec<Change>,
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
            Step::Run { items, .. } => format!("{:?}", items[index]),
            Step::Change { changes, .. } => format!("{:?}", changes[index]),
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
            Step::Run { institution, transfers, items } => {
                let form = if *transfers { "transfers" } else { "items" };
                write!(f, "a request of {} {form} for institution {institution}", items.len())
            }
            Step::Change { institution, changes } => {
                write!(f, "a request of {} changes for institution {institution}", changes.len())
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

impl Program {
    /// The program of a seed.
    pub fn random(seed: u64) -> Program {
        Program::of(&mut Rng::part(seed, "program"))
    }

    /// The program that a generator draws.
    pub fn of(rng: &mut Rng) -> Program {
        let cast = Cast::random(rng);
        let mut rehearsal = Model::new();
        let mut steps = beginning(rng, &cast);
        steps.iter().for_each(|step| rehearse(&mut rehearsal, step));
        let (mut writer, mut changer) = (Writer::new(rng), Changer::new());
        let mut left = rng.pick(&[10, 60, 60, 150, 150, 400]);
        let request_max = rng.pick(&[1, 4, 30, 150]);
        let changes = rng.pick(&[0, 5, 20]);
        while left > 0 {
            let institution = cast.institution(rng);
            let step = match rng.below(100 + changes) {
                0..=5 => Step::Read { institution, accounts: cast.some_numbers(rng) },
                6..=11 => open_again(rng, &cast, institution),
                12..=15 => {
                    let (institution, control) = control::again(rng, &cast, institution);
                    Step::Control { institution, control }
                }
                16..=99 => {
                    let count = rng.between(1, request_max).min(left);
                    let items = writer.request(rng, &cast, institution, &mut rehearsal, count);
                    left -= items.len();
                    let transfers = items.iter().all(Item::is_transfer) && rng.chance(80);
                    Step::Run { institution, transfers, items }
                }
                _ => {
                    let count = rng.between(1, 3);
                    Step::Change { institution, changes: (0..count).map(|_| changer.change(rng, &cast)).collect() }
                }
            };
            rehearse(&mut rehearsal, &step);
            steps.push(step);
        }
        Program { steps }
    }

    /// How many items it asks for.
    pub fn items(&self) -> usize {
        let count = |step: &Step| if let Step::Run { items, .. } = step { items.len() } else { 0 };
        self.steps.iter().map(count).sum()
    }
}

/// Lets the model do a step, but for items: those it has done when they were written. Nothing ever expires in it.
fn rehearse(rehearsal: &mut Model, step: &Step) {
    match step {
        Step::Run { .. } | Step::Read { .. } => {}
        Step::Change { institution, changes } => {
            for change in changes {
                rehearsal.change(*institution, change);
            }
        }
        Step::Open { institution, openings } => {
            for opening in openings {
                rehearsal.open(*institution, opening);
            }
        }
        Step::Control { institution, control } => {
            rehearsal.control(*institution, control);
        }
        Step::Heave { institution, heave } => rehearsal.heave(*institution, heave),
    }
}

/// Most assets and accounts come to be at the beginning, a few later or never.
fn beginning(rng: &mut Rng, cast: &Cast) -> Vec<Step> {
    let mut steps = vec![];
    for control in control::beginning(rng, cast) {
        steps.push(Step::Control { institution: cast.institutions[0], control });
    }
    for &institution in cast.early_institutions() {
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
