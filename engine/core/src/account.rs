//! The terms in which everything speaks of accounts: their names, limits, and what an item and an entry do to them.
//!
//! Accounts themselves are in [`crate::accounts`].

use crate::limits::BALANCE_MAX;
use crate::outcome::Outcome;
use crate::request::Side;

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
