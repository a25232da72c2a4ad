//! The rules as tables: what is asked of a ledger, one line after the other, and what must come of it, worked out by
//! hand.
//!
//! The same tables are run against the model and against the shipped engine, so a mistake that both share must also
//! have been made here. A case begins with an empty ledger and the accounts of the [`stage`].

mod changes;
mod control;
mod engine;
mod hold_order;
mod holds;
mod limits;
mod model;
mod openings;
mod posts;
mod repeats;
mod reversals;
mod shape;
pub mod stage;
#[cfg(test)]
mod tests;

use num_bigint::BigInt;

use crate::compare;
use crate::model::Verdict;
use crate::model::item::{Change, Control, Heave, Item, Opening};
use crate::model::number::POSTED;

pub use engine::EngineLedger;
pub use model::ModelLedger;

/// Something that keeps accounts by the rules.
pub trait Ledger {
    /// Begins again with an empty ledger.
    fn reset(&mut self);

    /// Rounds begin at this time from now on. False if the ledger's clock cannot be set.
    fn set_time(&mut self, now: u64) -> bool;

    /// Brings two accounts to the edge of the range. False if that cannot be done.
    fn heave(&mut self, institution: u32, heave: &Heave) -> bool;

    /// One request, whose items are one round. Holds that are due expire first.
    fn run(&mut self, institution: u32, items: &[Item]) -> Vec<Verdict>;

    /// Opens an account.
    fn open(&mut self, institution: u32, opening: &Opening) -> Verdict;

    /// Changes an account.
    fn change(&mut self, institution: u32, change: &Change) -> Verdict;

    /// Applies a control record.
    fn control(&mut self, institution: u32, control: &Control) -> Verdict;

    /// Balances of an account that exists.
    fn balances(&mut self, institution: u32, account: u128) -> Balances;
}

/// What a reader sees of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Balances {
    /// What the log says.
    pub posted: BigInt,
    /// Reserved on the side opposite to the normal side.
    pub held: BigInt,
    /// Reserved on the normal side.
    pub incoming: BigInt,
}

/// Something that is asked of a ledger.
#[derive(Clone, Debug)]
pub enum Act {
    /// An item, alone in its request.
    Item(Item),
    /// An opening.
    Open(Opening),
    /// An account change.
    Change(Change),
    /// A control record.
    Control(Control),
}

impl From<Item> for Act {
    fn from(item: Item) -> Act {
        Act::Item(item)
    }
}

impl From<Opening> for Act {
    fn from(opening: Opening) -> Act {
        Act::Open(opening)
    }
}

impl From<Change> for Act {
    fn from(change: Change) -> Act {
        Act::Change(change)
    }
}

impl From<Control> for Act {
    fn from(control: Control) -> Act {
        Act::Control(control)
    }
}

impl Act {
    /// Whether a client is told how many entries it made.
    fn counts_entries(&self) -> bool {
        matches!(self, Act::Item(item) if compare::counts_entries(item))
    }

    /// Whose list of checks it goes through.
    fn subject(&self) -> &'static str {
        match self {
            Act::Item(item) => ["post", "hold", "increase", "capture", "release", "reverse"]
                .get(usize::from(item.kind))
                .unwrap_or(&"?"),
            Act::Open(_) => "opening",
            Act::Change(_) => "change",
            Act::Control(_) => "control",
        }
    }
}

/// A line of a case.
#[derive(Clone, Debug)]
enum Line {
    /// Outcome and detail, and whether it is a repeat.
    Ask(Act, Expected),
    /// Items of one request, with the outcome of each.
    Request(Vec<(Item, u16)>),
    Balances(u128, Balances),
    Time(u64),
    Heave(Heave),
    Institution(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Expected {
    outcome: u16,
    detail: u16,
    repeat: bool,
}

/// A rule with an example.
#[derive(Clone, Debug)]
pub struct Case {
    /// The rule.
    pub rule: String,
    lines: Vec<Line>,
    /// Checks that it shows to be in their order, and of what.
    pairs: Vec<(&'static str, u16, u16)>,
}

/// A case that shows a rule.
pub fn case(rule: impl Into<String>) -> Case {
    Case { rule: rule.into(), lines: vec![], pairs: vec![] }
}

impl Case {
    /// Something that must be posted.
    pub fn given(self, act: impl Into<Act>) -> Case {
        self.ask(act, POSTED)
    }

    /// Something that must be posted with so many entries, of which a client is told.
    pub fn given_with(self, entries: u16, act: impl Into<Act>) -> Case {
        self.ask_at(act, POSTED, entries)
    }

    /// Something with its outcome; the detail is 0.
    pub fn ask(self, act: impl Into<Act>, outcome: u16) -> Case {
        self.ask_at(act, outcome, 0)
    }

    /// Something with its outcome and detail.
    pub fn ask_at(self, act: impl Into<Act>, outcome: u16, detail: u16) -> Case {
        self.line(Line::Ask(act.into(), Expected { outcome, detail, repeat: false }))
    }

    /// Something that was asked before, with the outcome and detail that it had then.
    pub fn repeat(self, act: impl Into<Act>, outcome: u16, detail: u16) -> Case {
        self.line(Line::Ask(act.into(), Expected { outcome, detail, repeat: true }))
    }

    /// Fails two neighbouring checks and is refused for the first; then what fails only the second. Details are 0.
    pub fn pair(self, both: impl Into<Act>, first: u16, alone: impl Into<Act>, second: u16) -> Case {
        self.pair_at(both, (first, 0), alone, (second, 0))
    }

    /// The same with details.
    pub fn pair_at(
        mut self,
        both: impl Into<Act>,
        first: (u16, u16),
        alone: impl Into<Act>,
        second: (u16, u16),
    ) -> Case {
        let both = both.into();
        self.pairs.push((both.subject(), first.0, second.0));
        self.ask_at(both, first.0, first.1).ask_at(alone, second.0, second.1)
    }

    /// Several items in one request, each with its outcome; details are not looked at.
    pub fn request(self, items: &[(Item, u16)]) -> Case {
        self.line(Line::Request(items.to_vec()))
    }

    /// What an account must have now: posted, held, incoming.
    pub fn balances(self, account: u128, posted: i128, held: i128, incoming: i128) -> Case {
        let balances = Balances { posted: posted.into(), held: held.into(), incoming: incoming.into() };
        self.line(Line::Balances(account, balances))
    }

    /// Rounds begin so many nanoseconds after the start of the ledger.
    pub fn at(self, nanoseconds: u64) -> Case {
        self.line(Line::Time(stage::START + nanoseconds))
    }

    /// Brings two accounts to the edge of the range.
    pub fn heave(self, debit: u128, credit: u128, amount: u128) -> Case {
        self.line(Line::Heave(Heave { debit, credit, amount }))
    }

    /// What follows is for this institution.
    pub fn institution(self, institution: u32) -> Case {
        self.line(Line::Institution(institution))
    }

    fn line(mut self, line: Line) -> Case {
        self.lines.push(line);
        self
    }

    /// Outcomes that it expects.
    pub fn outcomes(&self) -> Vec<u16> {
        let of_line = |line: &Line| match line {
            Line::Ask(_, expected) => vec![expected.outcome],
            Line::Request(items) => items.iter().map(|(_, outcome)| *outcome).collect(),
            _ => vec![],
        };
        self.lines.iter().flat_map(of_line).collect()
    }
}

/// All tables.
pub fn all() -> Vec<Case> {
    [
        shape::cases(),
        posts::cases(),
        limits::cases(),
        holds::cases(),
        hold_order::cases(),
        reversals::cases(),
        repeats::cases(),
        openings::cases(),
        changes::cases(),
        control::cases(),
    ]
    .concat()
}

/// Runs cases on a ledger, each from the beginning. Panics where it differs; gives the number of cases that had to be
/// skipped, since the ledger cannot do what they need.
pub fn check(cases: &[Case], ledger: &mut dyn Ledger) -> usize {
    cases.iter().filter(|case| !run(case, ledger)).count()
}

/// Runs a case; false if it had to be given up.
fn run(case: &Case, ledger: &mut dyn Ledger) -> bool {
    ledger.reset();
    stage::set(ledger);
    let mut institution = 1;
    for (number, line) in case.lines.iter().enumerate() {
        let place = format!("{}: line {number}: {line:?}", case.rule);
        match line {
            Line::Ask(act, expected) => {
                let verdict = ask(ledger, institution, act);
                // Of what is posted the detail may be the number of entries; a table need not count them.
                let any = (verdict.outcome, expected.detail) == (POSTED, 0) && act.counts_entries();
                let detail = if any { 0 } else { verdict.detail };
                let got = Expected { outcome: verdict.outcome, detail, repeat: verdict.repeat };
                assert_eq!(got, *expected, "{place}");
            }
            Line::Request(items) => {
                let (items, outcomes): (Vec<Item>, Vec<u16>) = items.iter().cloned().unzip();
                let got: Vec<u16> = ledger.run(institution, &items).iter().map(|v| v.outcome).collect();
                assert_eq!(got, outcomes, "{place}");
            }
            Line::Balances(account, expected) => {
                assert_eq!(ledger.balances(institution, *account), *expected, "{place}");
            }
            Line::Time(now) if !ledger.set_time(*now) => return false,
            Line::Heave(heave) if !ledger.heave(institution, heave) => return false,
            Line::Institution(other) => institution = *other,
            Line::Time(_) | Line::Heave(_) => {}
        }
    }
    true
}

fn ask(ledger: &mut dyn Ledger, institution: u32, act: &Act) -> Verdict {
    match act {
        Act::Item(item) => ledger.run(institution, std::slice::from_ref(item))[0],
        Act::Open(opening) => ledger.open(institution, opening),
        Act::Change(change) => ledger.change(institution, change),
        Act::Control(control) => ledger.control(institution, control),
    }
}
