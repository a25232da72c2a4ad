//! One account: its balances, what it refuses, and how an entry changes it.

use num_bigint::BigInt;

use super::item::*;
use super::number::*;
use super::{BALANCE_MAX, Deed, Entry, Model, POSTED_VERDICT, Verdict, differs, refused, shape};

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The fields that it was opened with.
    pub opening: Opening,
    /// Sequence number of the opening.
    pub opened: u64,
    /// When it was opened.
    pub booked_at: u64,
    /// Status.
    pub status: u8,
    /// Floor of available.
    pub floor: Option<i128>,
    /// Ceiling of gross.
    pub ceiling: Option<i128>,
    /// Alarm level of posted.
    pub alarm: Option<i128>,
    /// Label.
    pub label: Vec<u8>,
    /// Attributes.
    pub attributes: Vec<u8>,
    /// What the log says, on the normal side.
    pub posted: BigInt,
    /// Reserved by holds on the side opposite to the normal side.
    pub held: BigInt,
    /// Reserved by holds on the normal side.
    pub incoming: BigInt,
    /// Number of entries.
    pub version: u64,
    /// Sequence number of the last entry, of the opening if there is none.
    pub last_entry: u64,
    /// Of each entry: sequence number, and its place among the entries of the row.
    pub entries: Vec<(u64, usize)>,
}

/// What a posting of an item does to its account.
#[derive(Clone, Debug, Default)]
pub(super) struct Movement {
    pub account: u128,
    pub index: usize,
    pub side: u8,
    /// Put on the side of the posting.
    pub posts: BigInt,
    /// Added to what holds reserve on the side of the posting.
    pub reserves: BigInt,
    /// The amount that the entry names.
    pub amount: BigInt,
    pub freed: BigInt,
    pub left: BigInt,
}

impl Account {
    fn open(opening: &Opening, verdict: Verdict) -> Account {
        let mut label = opening.label.clone();
        label.resize(usize::from(opening.label_length), 0);
        Account {
            opening: opening.clone(),
            opened: verdict.sequence,
            booked_at: verdict.booked_at,
            status: OPEN,
            floor: opening.limit(FLOOR),
            ceiling: opening.limit(CEILING),
            alarm: opening.limit(ALARM),
            label,
            attributes: vec![],
            posted: BigInt::ZERO,
            held: BigInt::ZERO,
            incoming: BigInt::ZERO,
            version: 0,
            last_entry: verdict.sequence,
            entries: vec![],
        }
    }

    /// What the floor looks at.
    pub fn available(&self) -> BigInt {
        &self.posted - &self.held
    }

    /// What the ceiling looks at.
    pub fn gross(&self) -> BigInt {
        &self.posted + &self.incoming
    }

    /// An amount on a side, as seen from the normal side.
    pub(super) fn on_normal_side(&self, side: u8, amount: &BigInt) -> BigInt {
        if side == self.opening.normal_side { amount.clone() } else { -amount }
    }

    /// What holds reserve on a side: incoming on the normal side, held on the other.
    fn reserved(&mut self, side: u8) -> &mut BigInt {
        if side == self.opening.normal_side { &mut self.incoming } else { &mut self.held }
    }

    /// Why its status refuses debits or credits.
    pub(super) fn frozen(&self, debits: bool, credits: bool) -> Option<u16> {
        let refuses_debits = self.status == DEBIT_FROZEN || self.status == FROZEN;
        let refuses_credits = self.status == CREDIT_FROZEN || self.status == FROZEN;
        if refuses_debits && debits {
            Some(ACCOUNT_DEBIT_FROZEN)
        } else if refuses_credits && credits {
            Some(ACCOUNT_CREDIT_FROZEN)
        } else {
            None
        }
    }

    /// Why the range refuses these changes of available and gross. It looks in the direction of the change only.
    pub(super) fn out_of_range(&self, available: &BigInt, gross: &BigInt) -> Option<u16> {
        let under = *available < BigInt::ZERO && self.available() + available < BigInt::from(-BALANCE_MAX);
        let over = *gross > BigInt::ZERO && self.gross() + gross > BigInt::from(BALANCE_MAX);
        (under || over).then_some(BALANCE_RANGE)
    }

    /// Why the limits refuse these changes of available and gross. They look in the direction of the change only.
    pub(super) fn past_a_limit(&self, available: &BigInt, gross: &BigInt) -> Option<u16> {
        let past = |limit: Option<i128>, passes: fn(&BigInt, &BigInt) -> bool, after: BigInt| {
            limit.is_some_and(|limit| passes(&after, &BigInt::from(limit)))
        };
        if *available < BigInt::ZERO && past(self.floor, |a, b| a < b, self.available() + available) {
            Some(BELOW_FLOOR)
        } else if *gross > BigInt::ZERO && past(self.ceiling, |a, b| a > b, self.gross() + gross) {
            Some(ABOVE_CEILING)
        } else {
            None
        }
    }

    /// Makes an entry: the one place where balances change. `place`: where it stands among the entries of its row.
    pub(super) fn enter(&mut self, sequence: u64, place: usize, movement: Movement) -> Entry {
        let above = |account: &Account| account.alarm.is_some_and(|level| account.posted >= BigInt::from(level));
        let was_above = above(self);
        self.posted += self.on_normal_side(movement.side, &movement.posts);
        *self.reserved(movement.side) += &movement.reserves;
        let mut entry = self.enter_unchanged(sequence, place);
        entry.alarm = above(self) != was_above;
        entry.held = self.reserved(movement.side).clone();
        entry.side = movement.side;
        entry.index = movement.index;
        entry.amount = movement.amount;
        entry.freed = movement.freed;
        entry.left = movement.left;
        entry
    }

    /// Makes an entry that leaves the balances as they are.
    pub(super) fn enter_unchanged(&mut self, sequence: u64, place: usize) -> Entry {
        let previous = self.last_entry;
        self.version += 1;
        self.last_entry = sequence;
        self.entries.push((sequence, place));
        Entry {
            account: self.opening.account,
            version: self.version,
            balance: self.posted.clone(),
            previous,
            ..Entry::default()
        }
    }
}

impl Model {
    /// Opens an account.
    pub fn open(&mut self, institution: u32, opening: &Opening) -> Verdict {
        if let Some(wrong) = shape::opening(opening) {
            return refused(wrong, 0);
        }
        if !self.serves(institution) {
            return refused(INSTITUTION_UNKNOWN, 0);
        }
        if let Some(account) = self.account(institution, opening.account) {
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
        self.record(institution, Deed::Opening(opening.clone()), verdict, vec![]);
        self.accounts.insert((institution, opening.account), Account::open(opening, verdict));
        verdict
    }
}
