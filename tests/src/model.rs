//! The reference model: what the ledger promises, written down a second time in the plainest way.
//!
//! One transaction after the other, balances of any size, ordered maps, nothing cached. It shares no code with
//! florin-core and knows nothing of rounds beyond the time that one begins with. Every simulation and every run against a
//! real server is judged by it, result by result. What is posted here changes nothing but the accounts of its postings.

mod control;
mod differs;
pub mod item;
pub mod number;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use num_bigint::BigInt;

use item::{CEILING, Control, FLOOR, Heave, Opening, Transaction};
use number::*;

pub use control::Asset;
pub use shape::{AMOUNT_MAX, BALANCE_MAX};

/// Most assets of one ledger.
const ASSETS_MAX: usize = 10_000;

/// What became of an item. Numbers are the published ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Number of the outcome.
    pub outcome: u16,
    /// Whether it is the result of an earlier request with this id.
    pub repeat: bool,
    /// Index of a posting or number of a field.
    pub detail: u16,
    /// Sequence number, 0 if nothing was recorded.
    pub sequence: u64,
    /// Booked at, 0 if nothing was recorded.
    pub booked_at: u64,
}

/// What a posting did to its account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The account.
    pub account: u128,
    /// Number of the entry on the account.
    pub version: u64,
    /// Balance after, on the account's normal side.
    pub balance: BigInt,
    /// Sequence number of the account's previous entry.
    pub previous: u64,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The fields that it was opened with.
    pub opening: Opening,
    /// Sequence number of the opening.
    pub opened: u64,
    /// When it was opened.
    pub booked_at: u64,
    /// Balance on the normal side.
    pub balance: BigInt,
    /// Number of entries.
    pub version: u64,
    /// Sequence number of the last entry, of the opening if there is none.
    pub last_entry: u64,
    /// Of each entry: sequence number and index of the posting.
    pub entries: Vec<(u64, usize)>,
}

/// What an id was spent on.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Spent {
    Transaction(Transaction),
    Control(Asset),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Recorded {
    spent: Spent,
    verdict: Verdict,
    entries: Vec<Entry>,
}

/// The ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    institutions: BTreeSet<u32>,
    now: u64,
    last_sequence: u64,
    last_booked_at: u64,
    assets: BTreeMap<u32, Asset>,
    accounts: BTreeMap<(u32, u128), Account>,
    ids: BTreeMap<(u32, u128), Recorded>,
}

impl Model {
    /// An empty ledger that serves these institutions.
    pub fn serving(institutions: &[u32]) -> Model {
        Model { institutions: institutions.iter().copied().collect(), ..Model::default() }
    }

    /// A round begins at this time; its first row is booked then, or right after the last row if that is later.
    pub fn begin_round(&mut self, now: u64) {
        self.now = now;
    }

    /// Registers an asset.
    pub fn control(&mut self, institution: u32, control: &Control) -> Verdict {
        if control.id == 0 {
            return refused(ID_ZERO, 0);
        }
        let Some(asset) = Asset::parse(&control.record) else { return refused(CONTROL_MALFORMED, 0) };
        if !self.institutions.contains(&institution) {
            return refused(INSTITUTION_UNKNOWN, 0);
        }
        if let Some(known) = self.ids.get(&(institution, control.id)) {
            return match &known.spent {
                Spent::Transaction(_) => refused(ID_USED_WITH_OTHER_FIELDS, field::KIND),
                Spent::Control(first) if *first != asset => refused(ID_USED_WITH_OTHER_FIELDS, field::RECORD),
                Spent::Control(_) => repeated(known.verdict),
            };
        }
        let outcome = match self.assets.get(&asset.number) {
            Some(known) if *known == asset => POSTED,
            Some(_) => ASSET_EXISTS_WITH_OTHER_FIELDS,
            None if self.assets.values().any(|a| a.code == asset.code) => ASSET_EXISTS_WITH_OTHER_FIELDS,
            None if self.assets.len() == ASSETS_MAX => TOO_MANY_ASSETS,
            None => {
                self.assets.insert(asset.number, asset.clone());
                POSTED
            }
        };
        let verdict = self.book(outcome, 0);
        self.ids.insert((institution, control.id), Recorded { spent: Spent::Control(asset), verdict, entries: vec![] });
        verdict
    }

    /// Opens an account.
    pub fn open(&mut self, institution: u32, opening: &Opening) -> Verdict {
        if let Some(wrong) = shape::opening(opening) {
            return refused(wrong, 0);
        }
        if !self.institutions.contains(&institution) {
            return refused(INSTITUTION_UNKNOWN, 0);
        }
        if let Some(account) = self.accounts.get(&(institution, opening.account)) {
            return match differs::opening(&account.opening, opening) {
                Some(field) => refused(ACCOUNT_EXISTS_WITH_OTHER_FIELDS, field),
                None => {
                    Verdict { repeat: true, sequence: account.opened, booked_at: account.booked_at, ..POSTED_VERDICT }
                }
            };
        }
        if !self.assets.contains_key(&opening.asset) {
            return refused(ASSET_UNKNOWN, 0);
        }
        let verdict = self.book(POSTED, 0);
        let account = Account {
            opening: opening.clone(),
            opened: verdict.sequence,
            booked_at: verdict.booked_at,
            balance: BigInt::ZERO,
            version: 0,
            last_entry: verdict.sequence,
            entries: vec![],
        };
        self.accounts.insert((institution, opening.account), account);
        verdict
    }

    /// Posts a transaction. The entries are those of its postings, the original ones for a repeat.
    pub fn post(&mut self, institution: u32, transaction: &Transaction) -> (Verdict, Vec<Entry>) {
        if let Some(wrong) = shape::transaction(transaction) {
            return (refused(wrong, 0), vec![]);
        }
        if !self.institutions.contains(&institution) {
            return (refused(INSTITUTION_UNKNOWN, 0), vec![]);
        }
        if let Some(known) = self.ids.get(&(institution, transaction.id)) {
            let differs = match &known.spent {
                Spent::Control(_) => Some(field::KIND),
                Spent::Transaction(first) => differs::transaction(first, transaction),
            };
            return match differs {
                Some(field) => (refused(ID_USED_WITH_OTHER_FIELDS, field), vec![]),
                None => (repeated(known.verdict), known.entries.clone()),
            };
        }
        let refusal = self.refusal(institution, transaction);
        let (outcome, detail) = refusal.unwrap_or((POSTED, 0));
        let verdict = self.book(outcome, detail);
        let mut entries = vec![];
        if outcome == POSTED {
            for (index, posting) in transaction.postings.iter().enumerate() {
                let account = self.accounts.get_mut(&(institution, posting.account)).expect("it was checked");
                let previous = account.last_entry;
                account.balance += effect(account, posting.side, posting.amount);
                account.version += 1;
                account.last_entry = verdict.sequence;
                account.entries.push((verdict.sequence, index));
                entries.push(Entry {
                    account: posting.account,
                    version: account.version,
                    balance: account.balance.clone(),
                    previous,
                });
            }
        }
        let recorded = Recorded { spent: Spent::Transaction(transaction.clone()), verdict, entries: entries.clone() };
        self.ids.insert((institution, transaction.id), recorded);
        (verdict, entries)
    }

    /// Why a well-formed transaction with a new id is refused: the outcome and its detail.
    fn refusal(&self, institution: u32, transaction: &Transaction) -> Option<(u16, u16)> {
        let postings = &transaction.postings;
        let mut sums: BTreeMap<u32, BigInt> = BTreeMap::new();
        for p in postings {
            let amount = BigInt::from(p.amount);
            *sums.entry(p.asset).or_default() += if p.side == item::DEBIT { amount } else { -amount };
        }
        if sums.values().any(|sum| *sum != BigInt::ZERO) {
            return Some((UNBALANCED, 0));
        }
        if sums.keys().any(|asset| !self.assets.contains_key(asset)) {
            return Some((ASSET_UNKNOWN, 0));
        }
        for (index, first) in postings.iter().enumerate() {
            if postings[..index].iter().any(|p| p.account == first.account) {
                continue;
            }
            if let Some(outcome) = self.account_refusal(institution, first.account, transaction) {
                return Some((outcome, index as u16));
            }
        }
        None
    }

    /// Why one account refuses a transaction: the whole list of checks on its total effect.
    fn account_refusal(&self, institution: u32, number: u128, transaction: &Transaction) -> Option<u16> {
        let Some(account) = self.accounts.get(&(institution, number)) else { return Some(ACCOUNT_UNKNOWN) };
        let mut total = BigInt::ZERO;
        for posting in transaction.postings.iter().filter(|p| p.account == number) {
            if posting.asset != account.opening.asset {
                return Some(ACCOUNT_ASSET_DIFFERS);
            }
            total += effect(account, posting.side, posting.amount);
        }
        let (lowers, raises) = (total < BigInt::ZERO, total > BigInt::ZERO);
        let after = &account.balance + total;
        let limits = &account.opening;
        if after > BigInt::from(BALANCE_MAX) || after < BigInt::from(-BALANCE_MAX) {
            Some(BALANCE_RANGE)
        } else if lowers && limits.limit_flags & FLOOR != 0 && after < BigInt::from(limits.floor) {
            Some(BELOW_FLOOR)
        } else if raises && limits.limit_flags & CEILING != 0 && after > BigInt::from(limits.ceiling) {
            Some(ABOVE_CEILING)
        } else {
            None
        }
    }

    /// Takes the next sequence number and time.
    fn book(&mut self, outcome: u16, detail: u16) -> Verdict {
        self.last_sequence += 1;
        self.last_booked_at = self.now.max(self.last_booked_at + 1);
        // Within a round every row is one nanosecond after the one before, whatever `now` was.
        self.now = 0;
        Verdict { outcome, repeat: false, detail, sequence: self.last_sequence, booked_at: self.last_booked_at }
    }

    /// An account, if it exists.
    pub fn account(&self, institution: u32, account: u128) -> Option<&Account> {
        self.accounts.get(&(institution, account))
    }

    /// All accounts with institution and number.
    pub fn accounts(&self) -> impl Iterator<Item = (u32, u128, &Account)> {
        self.accounts.iter().map(|(&(institution, number), account)| (institution, number, account))
    }

    /// What was recorded under the id of a transaction: its fields, the original verdict and the entries.
    pub fn transaction(&self, institution: u32, id: u128) -> Option<(&Transaction, Verdict, &[Entry])> {
        match self.ids.get(&(institution, id))? {
            Recorded { spent: Spent::Transaction(t), verdict, entries } => Some((t, *verdict, entries)),
            _ => None,
        }
    }

    /// All recorded transactions with their institution.
    pub fn transactions(&self) -> impl Iterator<Item = (u32, &Transaction, Verdict, &[Entry])> {
        self.ids.iter().filter_map(|(&(institution, _), recorded)| match &recorded.spent {
            Spent::Transaction(t) => Some((institution, t, recorded.verdict, &recorded.entries[..])),
            Spent::Control(_) => None,
        })
    }

    /// All assets by number.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.assets.values()
    }

    /// The last sequence number that was given out.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// The time of the last row.
    pub fn last_booked_at(&self) -> u64 {
        self.last_booked_at
    }

    /// The original verdict under an id, of a transaction or a control record.
    pub fn verdict(&self, institution: u32, id: u128) -> Option<Verdict> {
        self.ids.get(&(institution, id)).map(|recorded| recorded.verdict)
    }

    /// How many ids were used.
    pub fn ids(&self) -> usize {
        self.ids.len()
    }

    /// Moves an amount that it would take millions of postings to move, outside the log: an entry on each account, without
    /// a check and without a row. Nothing happens unless both accounts are open.
    pub fn heave(&mut self, institution: u32, heave: &Heave) {
        if [heave.debit, heave.credit].iter().any(|account| self.account(institution, *account).is_none()) {
            return;
        }
        for (number, side) in [(heave.debit, item::DEBIT), (heave.credit, item::CREDIT)] {
            let account = self.accounts.get_mut(&(institution, number)).expect("an open account");
            account.balance += effect(account, side, heave.amount);
            account.version += 1;
        }
    }
}

const POSTED_VERDICT: Verdict = Verdict { outcome: POSTED, repeat: false, detail: 0, sequence: 0, booked_at: 0 };

/// A refusal that is not recorded.
fn refused(outcome: u16, detail: u16) -> Verdict {
    Verdict { outcome, detail, ..Verdict::default() }
}

fn repeated(original: Verdict) -> Verdict {
    Verdict { repeat: true, ..original }
}

/// What a posting does to the balance on the account's normal side.
fn effect(account: &Account, side: u8, amount: u128) -> BigInt {
    let amount = BigInt::from(amount);
    if side == account.opening.normal_side { amount } else { -amount }
}
