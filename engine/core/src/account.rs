//! One account and the rules that look at one account: what it refuses, and how an entry changes it.
//!
//! `Account::apply` is the only function that moves a balance, in live operation and in replay alike.

use crate::entry::{AccountRecord, Status};
use crate::limits::BALANCE_MAX;
use crate::outcome::Outcome;
use crate::request::{AccountRow, Field, Side};

/// Names an account across all institutions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AccountKey {
    /// The tenant.
    pub institution: u32,
    /// The account, unique within the institution.
    pub account: u128,
}

impl AccountKey {
    /// A 64-bit hash under a seed, for tables (a random seed) and for routing to shards (seed 0).
    pub fn hash(&self, seed: u64) -> u64 {
        hash_id(self.institution, self.account, seed)
    }

    /// The shard that owns the account. Not part of any format: a ledger may be opened with any number of shards.
    pub fn home(&self, shards: usize) -> u8 {
        if shards == 1 { 0 } else { (self.hash(0) % shards as u64) as u8 }
    }
}

/// Mixes an institution and a 128-bit id by two folded multiplications.
pub fn hash_id(institution: u32, id: u128, seed: u64) -> u64 {
    fn fold(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ ((product >> 64) as u64)
    }
    // Both factors are seeded: a word that nobody can know, so that nobody can choose ids whose product is constant.
    let low = (id as u64) ^ seed ^ 0x9e37_79b9_7f4a_7c15;
    let high = ((id >> 64) as u64) ^ seed.rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ 0xd1b5_4a32_d192_ed03;
    let once = fold(low, high);
    fold(once ^ u64::from(institution), seed.rotate_left(32) ^ 0xa076_1d64_78bd_642f)
}

/// Floor and ceiling. An absent limit is one that no balance can reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    floor: i128,
    ceiling: i128,
}

impl Limits {
    /// Limits of an account.
    pub fn new(floor: Option<i128>, ceiling: Option<i128>) -> Limits {
        Limits { floor: floor.unwrap_or(i128::MIN), ceiling: ceiling.unwrap_or(i128::MAX) }
    }

    /// The floor, if there is one.
    pub fn floor(&self) -> Option<i128> {
        (self.floor != i128::MIN).then_some(self.floor)
    }

    /// The ceiling, if there is one.
    pub fn ceiling(&self) -> Option<i128> {
        (self.ceiling != i128::MAX).then_some(self.ceiling)
    }

    /// Range, floor and ceiling, for an account at `balance` and a total effect on its normal side. Limits look only in the
    /// direction of the change. Along a rising balance the answer passes through each refusal at most once, so what is
    /// refused alike at both ends of an interval is refused everywhere in it.
    pub fn check(&self, balance: i128, effect: i128) -> Result<(), Outcome> {
        let after = balance + effect;
        if effect < 0 {
            if after < -BALANCE_MAX {
                return Err(Outcome::BalanceRange);
            }
            if after < self.floor {
                return Err(Outcome::BelowFloor);
            }
        } else if effect > 0 {
            if after > BALANCE_MAX {
                return Err(Outcome::BalanceRange);
            }
            if after > self.ceiling {
                return Err(Outcome::AboveCeiling);
            }
        }
        Ok(())
    }
}

/// What an entry did to its account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryResult {
    /// Version of the account after the entry.
    pub version: u64,
    /// Balance after, normal side, minor units.
    pub balance: i128,
    /// Sequence number of the row with the account's previous entry, or of its opening.
    pub previous: u64,
}

/// The part of an account that a posting touches: two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Account {
    account: u128,
    institution: u32,
    /// Asset number.
    pub asset: u32,
    /// The side that raises its balance.
    pub normal_side: Side,
    /// Status.
    pub status: Status,
    /// Balance, normal side, minor units.
    pub posted: i128,
    /// Floor and ceiling.
    pub limits: Limits,
    /// Number of entries.
    pub version: u64,
    /// Sequence number of the row with the last entry, or of the opening.
    pub last_entry: u64,
    /// Sum of what undecided transactions may take away (at most 0): `posted + low` is the lowest balance possible.
    pub low: i128,
    /// Sum of what undecided transactions may add: `posted + high` is the highest balance possible.
    pub high: i128,
}

const _: () = assert!(size_of::<Account>() == 128);

/// The part of an account that postings do not touch.
#[derive(Clone, Debug)]
pub struct AccountDetails {
    /// Sequence number of the opening.
    pub opened: u64,
    /// When it was opened, nanoseconds since 1970-01-01 UTC.
    pub opened_at: u64,
    /// Subject, 0 = none.
    pub subject: u32,
    /// Category.
    pub category: u8,
    /// Owner, 0 = none.
    pub owner: u128,
    /// Alarm level.
    pub alarm: Option<i128>,
    /// The limits as first opened, for comparing a repeated opening.
    pub opening_limits: Limits,
    /// Label.
    pub label: Box<str>,
}

/// The total effect of a transaction on one account.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// The account.
    pub key: AccountKey,
    /// Debits less credits, minor units.
    pub net_debit: i128,
    /// Asset that its postings name.
    pub asset: u32,
    /// Index of the posting that first mentions the account.
    pub first_posting: u8,
    /// Whether a posting debits it.
    pub debits: bool,
    /// Whether a posting credits it.
    pub credits: bool,
    /// Whether its postings name several assets, one of which must be wrong.
    pub assets_differ: bool,
}

impl Account {
    /// The account that an opening makes.
    pub fn open(key: AccountKey, row: &AccountRow, sequence: u64) -> Account {
        Account {
            account: key.account,
            institution: key.institution,
            asset: row.asset.get(),
            normal_side: Side::from_byte(row.normal_side).expect("an opening whose shape was checked"),
            status: Status::Open,
            posted: 0,
            limits: Limits::new(row.floor(), row.ceiling()),
            version: 0,
            last_entry: sequence,
            low: 0,
            high: 0,
        }
    }

    /// Its name.
    pub fn key(&self) -> AccountKey {
        AccountKey { institution: self.institution, account: self.account }
    }

    /// Whether it has this name.
    pub fn is(&self, key: &AccountKey) -> bool {
        self.account == key.account && self.institution == key.institution
    }

    /// A net debit as seen from the account's normal side.
    pub fn on_normal_side(&self, net_debit: i128) -> i128 {
        match self.normal_side {
            Side::Debit => net_debit,
            Side::Credit => -net_debit,
        }
    }

    /// The checks that do not depend on the balance: asset and status.
    pub fn check_facts(&self, effect: &Effect) -> Result<(), Outcome> {
        if effect.assets_differ || effect.asset != self.asset {
            return Err(Outcome::AccountAssetDiffers);
        }
        match self.status {
            Status::Open => Ok(()),
            Status::Closed => Err(Outcome::AccountClosed),
            Status::DebitFrozen | Status::Frozen if effect.debits => Err(Outcome::AccountDebitFrozen),
            Status::CreditFrozen | Status::Frozen if effect.credits => Err(Outcome::AccountCreditFrozen),
            _ => Ok(()),
        }
    }

    /// Makes an entry: the one place where a balance changes.
    pub fn apply(&mut self, side: Side, amount: u128, sequence: u64) -> EntryResult {
        let debit = if side == Side::Debit { amount as i128 } else { -(amount as i128) };
        let previous = self.last_entry;
        self.posted += self.on_normal_side(debit);
        self.version += 1;
        self.last_entry = sequence;
        EntryResult { version: self.version, balance: self.posted, previous }
    }

    /// The account as a reader sees it.
    pub fn record(&self, details: &AccountDetails) -> AccountRecord {
        AccountRecord {
            institution: self.institution,
            account: self.account,
            asset: self.asset,
            subject: details.subject,
            normal_side: self.normal_side,
            category: details.category,
            status: self.status,
            owner: details.owner,
            floor: self.limits.floor(),
            ceiling: self.limits.ceiling(),
            alarm: details.alarm,
            posted: self.posted,
            held: 0,
            version: self.version,
            opened: details.opened,
            last_entry: self.last_entry,
            label: details.label.clone(),
        }
    }
}

impl AccountDetails {
    /// The details that an opening makes.
    pub fn open(row: &AccountRow, sequence: u64, booked_at: u64) -> AccountDetails {
        AccountDetails {
            opened: sequence,
            opened_at: booked_at,
            subject: row.subject.get(),
            category: row.category,
            owner: row.owner.get(),
            alarm: row.alarm(),
            opening_limits: Limits::new(row.floor(), row.ceiling()),
            label: row.label().into(),
        }
    }

    /// The first field in which a repeated opening differs from the first one.
    pub fn first_difference(&self, account: &Account, row: &AccountRow) -> Option<Field> {
        let limits = Limits::new(row.floor(), row.ceiling());
        let checks = [
            (account.asset == row.asset.get(), Field::Asset),
            (self.owner == row.owner.get(), Field::Owner),
            (self.subject == row.subject.get(), Field::Subject),
            (account.normal_side as u8 == row.normal_side, Field::NormalSide),
            (self.category == row.category, Field::Category),
            (self.opening_limits.floor == limits.floor, Field::Floor),
            (self.opening_limits.ceiling == limits.ceiling, Field::Ceiling),
            (self.alarm == row.alarm(), Field::Alarm),
            (&*self.label == row.label(), Field::Label),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
    }
}
