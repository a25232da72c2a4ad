//! The reference model: what the ledger promises, written down a second time in the plainest way.
//!
//! One item after the other, balances of any size, ordered maps, nothing cached. It shares no code with florin-core and
//! knows nothing of rounds beyond the time that one begins with. Every simulation and every run against a real server
//! is judged by it, result by result. docs/rules.md is the contract; each file here has one topic of it.

mod account;
mod changes;
mod control;
pub mod dates;
mod differs;
mod holds;
pub mod item;
pub mod number;
mod posting;
mod registry;
mod reversals;
mod row;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;

use holds::Hold;
use item::Heave;
use number::POSTED;
use registry::Institution;
use reversals::Original;

pub use account::Account;
pub use control::{Asset, Record};
pub use row::{Deed, Entry, Row, Verdict};
pub use shape::{AMOUNT_MAX, BALANCE_MAX};

/// Institution and id or account: what most things are known by.
type Key = (u32, u128);

/// The ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    institutions: BTreeMap<u32, Institution>,
    assets: BTreeMap<u32, Asset>,
    accounts: BTreeMap<Key, Account>,
    /// Holds that were placed, open or not.
    holds: BTreeMap<Key, Hold>,
    /// What can be reversed.
    originals: BTreeMap<Key, Original>,
    /// The log: the row of sequence number 1 first.
    rows: Vec<Row>,
    /// The sequence number of the row that an id was spent on.
    ids: BTreeMap<Key, u64>,
    last_booked_at: u64,
    round: Round,
}

/// Where the present round stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Round {
    /// Booked-at of its first row.
    time: u64,
    /// Holds that expired in it.
    expiries: usize,
    /// The last of them: expiry, institution, id.
    last_expired: Option<(u64, u32, u128)>,
    /// Whether it has a row that is no expiry.
    has_items: bool,
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// An empty ledger. Institution 1 exists from the start; nobody has given it a name.
    pub fn new() -> Model {
        Model {
            institutions: BTreeMap::from([(1, Institution::named(""))]),
            assets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            holds: BTreeMap::new(),
            originals: BTreeMap::new(),
            rows: vec![],
            ids: BTreeMap::new(),
            last_booked_at: 0,
            round: Round::default(),
        }
    }

    /// A round begins at this time; its first row is booked then, or right after the last row if that is later.
    pub fn begin_round(&mut self, now: u64) {
        self.round = Round { time: now.max(self.last_booked_at + 1), ..Round::default() };
    }

    /// When the next row is booked: within a round every row is one nanosecond after the one before.
    fn next_booked_at(&self) -> u64 {
        self.round.time.max(self.last_booked_at + 1)
    }

    /// Takes the next sequence number and time.
    fn book(&mut self, outcome: u16, detail: u16) -> Verdict {
        self.last_booked_at = self.next_booked_at();
        let sequence = self.last_sequence() + 1;
        Verdict { outcome, repeat: false, detail, sequence, booked_at: self.last_booked_at }
    }

    /// Writes a booked row. The date is the one that holds now, so that of an open day is the new one.
    fn record(&mut self, institution: u32, deed: Deed, verdict: Verdict, entries: Vec<Entry>) {
        if let Some(id) = deed.id() {
            self.ids.insert((institution, id), verdict.sequence);
        }
        self.round.has_items |= !matches!(deed, Deed::Expiry(_));
        let accounting_date = self.accounting_date(institution, verdict.booked_at);
        self.rows.push(Row { institution, deed, verdict, accounting_date, entries });
    }

    /// The row that an id was spent on.
    pub fn recorded(&self, institution: u32, id: u128) -> Option<&Row> {
        self.ids.get(&(institution, id)).map(|sequence| self.row(*sequence))
    }

    /// The row of a sequence number.
    pub fn row(&self, sequence: u64) -> &Row {
        &self.rows[sequence as usize - 1]
    }

    /// All rows, in the order of the log.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// An account, if it exists.
    pub fn account(&self, institution: u32, account: u128) -> Option<&Account> {
        self.accounts.get(&(institution, account))
    }

    /// All accounts with institution and number.
    pub fn accounts(&self) -> impl Iterator<Item = (u32, u128, &Account)> {
        self.accounts.iter().map(|(&(institution, number), account)| (institution, number, account))
    }

    /// All assets by number.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// All institutions by number.
    pub fn institutions(&self) -> impl Iterator<Item = u32> {
        self.institutions.keys().copied()
    }

    /// The holds that are open: institution and id.
    pub fn open_holds(&self) -> BTreeSet<(u32, u128)> {
        self.holds.keys().copied().filter(|(institution, id)| self.has_open_hold(*institution, *id)).collect()
    }

    /// Whether an institution is registered.
    pub fn serves(&self, institution: u32) -> bool {
        self.institutions.contains_key(&institution)
    }

    /// The last sequence number that was given out.
    pub fn last_sequence(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The time of the last row.
    pub fn last_booked_at(&self) -> u64 {
        self.last_booked_at
    }

    /// How many ids were used.
    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    /// Moves an amount that it would take millions of postings to move, outside the log: an entry on each account,
    /// without a check and without a row. Nothing happens unless both accounts are open.
    pub fn heave(&mut self, institution: u32, heave: &Heave) {
        if [heave.debit, heave.credit].iter().any(|account| self.account(institution, *account).is_none()) {
            return;
        }
        for (number, side) in [(heave.debit, item::DEBIT), (heave.credit, item::CREDIT)] {
            let account = self.accounts.get_mut(&(institution, number)).expect("an open account");
            account.posted += account.on_normal_side(side, &BigInt::from(heave.amount));
            account.version += 1;
        }
    }
}

/// A refusal that is not recorded.
fn refused(outcome: u16, detail: u16) -> Verdict {
    Verdict { outcome, detail, ..Verdict::default() }
}

const POSTED_VERDICT: Verdict = Verdict { outcome: POSTED, repeat: false, detail: 0, sequence: 0, booked_at: 0 };
