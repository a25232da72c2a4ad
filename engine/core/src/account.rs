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

    /// Range, floor and ceiling of an account at `available` and `gross`, for what an item does to the two. Limits look only in
    /// the direction of the change; forced items skip floor and ceiling. The lower `available` and the higher `gross`, the
    /// earlier in the list the refusal: so what is refused alike at the best and at the worst corner is refused everywhere
    /// between.
    #[inline]
    pub fn check(&self, available: i128, gross: i128, change: Change, forced: bool) -> Result<(), Outcome> {
        let (after, above) = (available + change.available, gross + change.gross);
        let (lowers, raises) = (change.available < 0, change.gross > 0);
        if (lowers && after < -BALANCE_MAX) || (raises && above > BALANCE_MAX) {
            return Err(Outcome::BalanceRange);
        }
        if forced {
            return Ok(());
        }
        if lowers && after < self.floor {
            return Err(Outcome::BelowFloor);
        }
        if raises && above > self.ceiling {
            return Err(Outcome::AboveCeiling);
        }
        Ok(())
    }
}

/// What an item does to the two balances that limits look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// To posted less what is held.
    pub available: i128,
    /// To posted and incoming.
    pub gross: i128,
}

/// Number of an entry on its account, and whether the entry took the balance across the alarm level: in the top bit, which
/// no number of entries reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Version(u64);

impl Version {
    const ALARM: u64 = 1 << 63;

    /// The `number`-th entry.
    pub fn new(number: u64, alarm: bool) -> Version {
        Version(number | if alarm { Version::ALARM } else { 0 })
    }

    /// The version that these bits say.
    pub fn from_bits(bits: u64) -> Version {
        Version(bits)
    }

    /// As it is stored.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Number of the entry; 0 = there is none.
    pub fn number(self) -> u64 {
        self.0 & !Version::ALARM
    }

    /// Whether the entry crossed the alarm level.
    pub fn alarm(self) -> bool {
        self.0 & Version::ALARM != 0
    }
}

/// What an entry did to its account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EntryResult {
    /// Version of the account after the entry.
    pub version: Version,
    /// Balance after, normal side, minor units.
    pub balance: i128,
    /// Sequence number of the row with the account's previous entry, or of its opening.
    pub previous: u64,
}

/// What an entry of a hold, of what follows on one, or of a reversal did beside that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeldResult {
    /// Amount held, added, captured or reversed.
    pub amount: u128,
    /// Amount freed.
    pub freed: u128,
    /// What is left: of the hold's posting, or to reverse of the original's.
    pub left: u128,
    /// What holds reserve on the posting's side of the account, after the entry.
    pub held: i128,
}

/// The part of an account that a posting touches: two cache lines, in the order in which the fields stand here.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Account {
    account: u128,
    institution: u32,
    /// Asset number.
    pub asset: u32,
    /// The side that raises its balance.
    pub normal_side: Side,
    /// Status.
    pub status: Status,
    /// Whether it has an alarm level, which stands in its details.
    pub has_alarm: bool,
    /// Balance, normal side, minor units.
    pub posted: i128,
    /// Reserved by holds on the side opposite to the normal one: what is to leave.
    pub held: i128,
    /// Reserved by holds on the normal side: what is to come.
    pub incoming: i128,
    /// Floor and ceiling.
    pub limits: Limits,
    /// Number of entries.
    pub version: u64,
    /// Sequence number of the row with the last entry, or of the opening.
    pub last_entry: u64,
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
    /// Label, as it was set last.
    pub label: Box<str>,
    /// The opening, for comparing a repeated one: alarm level and label as they were then.
    pub opening_alarm: Option<i128>,
    /// See `opening_alarm`.
    pub opening_label: Box<str>,
    /// Attributes: bytes that the client gave.
    pub attributes: Box<[u8]>,
}

/// The total effect of an item on one account.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// The account's number.
    pub account: u128,
    /// Sum of its debits, minor units.
    pub debit: i128,
    /// Sum of its credits, minor units.
    pub credit: i128,
    /// The tenant.
    pub institution: u32,
    /// Asset that its postings name.
    pub asset: u32,
    /// Index of the posting that first mentions the account.
    pub first_posting: u8,
    /// Whether its postings name several assets, one of which must be wrong.
    pub assets_differ: bool,
    /// Whether all that happens to it is that something held is freed, which nothing can refuse.
    pub only_freed: bool,
}

const _: () = assert!(size_of::<Effect>() == 64);

impl Effect {
    /// Name of the account.
    pub fn key(&self) -> AccountKey {
        AccountKey { institution: self.institution, account: self.account }
    }

    /// Sum on the account's normal side, and on the other one.
    pub fn sums(&self, normal_side: Side) -> (i128, i128) {
        match normal_side {
            Side::Debit => (self.debit, self.credit),
            Side::Credit => (self.credit, self.debit),
        }
    }

    /// What posting it does to an account with this normal side.
    pub fn posted_on(&self, normal_side: Side) -> Change {
        let (with, against) = self.sums(normal_side);
        Change { available: with - against, gross: with - against }
    }

    /// What holding it does to an account with this normal side.
    pub fn held_on(&self, normal_side: Side) -> Change {
        let (with, against) = self.sums(normal_side);
        Change { available: -against, gross: with }
    }
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
            has_alarm: row.alarm().is_some(),
            posted: 0,
            held: 0,
            incoming: 0,
            limits: Limits::new(row.floor(), row.ceiling()),
            version: 0,
            last_entry: sequence,
        }
    }

    /// Its name.
    pub fn key(&self) -> AccountKey {
        AccountKey { institution: self.institution, account: self.account }
    }

    /// Reads one field of each of its cache lines, to bring them near.
    #[inline]
    pub fn touch(&self) -> u64 {
        (self.account as u64).wrapping_add(self.last_entry)
    }

    /// Whether it has this name.
    pub fn is(&self, key: &AccountKey) -> bool {
        self.account == key.account && self.institution == key.institution
    }

    /// Posted less what is held: what the floor looks at.
    pub fn available(&self) -> i128 {
        self.posted - self.held
    }

    /// Posted and incoming: what the ceiling looks at.
    pub fn gross(&self) -> i128 {
        self.posted + self.incoming
    }

    /// The checks that do not depend on balances: asset and status. Forced items skip freezes.
    #[inline]
    pub fn check_facts(&self, effect: &Effect, forced: bool) -> Result<(), Outcome> {
        if effect.assets_differ || effect.asset != self.asset {
            return Err(Outcome::AccountAssetDiffers);
        }
        match self.status {
            Status::Open => Ok(()),
            Status::Closed => Err(Outcome::AccountClosed),
            _ if forced => Ok(()),
            Status::DebitFrozen | Status::Frozen if effect.debit > 0 => Err(Outcome::AccountDebitFrozen),
            Status::CreditFrozen | Status::Frozen if effect.credit > 0 => Err(Outcome::AccountCreditFrozen),
            _ => Ok(()),
        }
    }

    /// Makes an entry that posts `amount` on `side` and changes what is held there by `reserved`: the one place where a
    /// balance changes. `details` has the alarm level.
    #[inline]
    pub fn apply(
        &mut self,
        side: Side,
        amount: i128,
        reserved: i128,
        sequence: u64,
        details: &AccountDetails,
    ) -> EntryResult {
        let with = side == self.normal_side;
        let before = self.posted;
        self.posted += if with { amount } else { -amount };
        if reserved != 0 {
            *self.reserve(side) += reserved;
        }
        let alarm = self.has_alarm && details.crosses_alarm(before, self.posted);
        let previous = self.last_entry;
        self.version += 1;
        self.last_entry = sequence;
        EntryResult { version: Version::new(self.version, alarm), balance: self.posted, previous }
    }

    /// What holds reserve on a side.
    pub fn reserve(&mut self, side: Side) -> &mut i128 {
        if side == self.normal_side { &mut self.incoming } else { &mut self.held }
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
            held: self.held,
            incoming: self.incoming,
            version: self.version,
            opened: details.opened,
            last_entry: self.last_entry,
            label: details.label.clone(),
            attributes: details.attributes.clone(),
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
            opening_alarm: row.alarm(),
            opening_label: row.label().into(),
            attributes: Box::default(),
        }
    }

    /// Whether a balance that goes from `before` to `after` crosses the alarm level. Not inlined: the optimizer would then load the
    /// level before it is known whether there is one, which is a cache miss a posting.
    #[cold]
    #[inline(never)]
    fn crosses_alarm(&self, before: i128, after: i128) -> bool {
        self.alarm.is_some_and(|level| (before < level) != (after < level))
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
            (self.opening_alarm == row.alarm(), Field::Alarm),
            (&*self.opening_label == row.label(), Field::Label),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
    }
}
