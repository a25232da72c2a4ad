//! The accounts of a shard: what each is, what it refuses for what it is, and how an entry changes it.
//!
//! `Accounts::apply` is the only function that moves a balance, in live operation and in replay alike.
//!
//! An account is in three parts, so that a posting costs one cache line of each account that it touches and memory is spent on
//! what there is: a line that every posting touches; extras of accounts that have a limit other than a floor of zero, or ever had
//! a hold; and details that postings do not look at.

use florin_planted::{Fault, planted};

use crate::account::{AccountKey, Effect, EntryResult, Limits, Version};
use crate::blocks::Blocks;
use crate::check::Balances;
use crate::entry::{AccountRecord, Status};
use crate::huge_pages;
use crate::outcome::Outcome;
use crate::request::{AccountRow, Field, Side};
use crate::slots::{Slots, UNKNOWN};
use crate::snapshot::AccountState;

/// The part of an account that every posting touches: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Account {
    account: u128,
    /// Balance, normal side, minor units.
    posted: i128,
    /// Number of entries.
    version: u64,
    /// Sequence number of the row with the last entry, or of the opening.
    last_entry: u64,
    institution: u32,
    /// Asset number.
    asset: u32,
    /// Index of its extras, or [`NO_EXTRAS`].
    extras: u32,
    /// The side that raises its balance.
    pub normal_side: Side,
    /// Status.
    pub status: Status,
    /// Without extras: whether its floor is zero; else it has none. With extras, the limits stand there.
    floor_is_zero: bool,
    /// Whether it has an alarm level, which stands in its details.
    has_alarm: bool,
}

const _: () = assert!(size_of::<Account>() == 64);

const NO_EXTRAS: u32 = u32::MAX;

/// What some accounts have beside: another cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Extras {
    /// Reserved by holds on the side opposite to the normal one: what is to leave.
    held: i128,
    /// Reserved by holds on the normal side: what is to come.
    incoming: i128,
    limits: Limits,
}

/// The part of an account that postings do not touch.
#[derive(Clone, Debug)]
struct Details {
    owner: u128,
    opened: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    opened_at: u64,
    /// Label, as it was set last.
    label: Box<str>,
    subject: u32,
    category: u8,
    rare: Option<Box<Rare>>,
}

const _: () = assert!(size_of::<Details>() == 64);

/// What few accounts have.
#[derive(Clone, Debug, Default)]
struct Rare {
    alarm: Option<i128>,
    /// Bytes that the client gave.
    attributes: Box<[u8]>,
    /// Limits, alarm level and label as first opened, once one of them was changed: a repeated opening is compared with them.
    first: Option<FirstTerms>,
}

/// The terms of an opening that may change later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstTerms {
    /// Floor and ceiling.
    pub limits: Limits,
    /// Alarm level.
    pub alarm: Option<i128>,
    /// Label.
    pub label: Box<str>,
}

impl FirstTerms {
    fn of(row: &AccountRow) -> FirstTerms {
        FirstTerms { limits: Limits::new(row.floor(), row.ceiling()), alarm: row.alarm(), label: row.label().into() }
    }
}

/// The terms of an opening: what a repeated one must agree with.
struct Terms {
    asset: u32,
    owner: u128,
    subject: u32,
    normal_side: u8,
    category: u8,
    first: FirstTerms,
}

impl Terms {
    fn of(row: &AccountRow) -> Terms {
        Terms {
            asset: row.asset.get(),
            owner: row.owner.get(),
            subject: row.subject.get(),
            normal_side: row.normal_side,
            category: row.category,
            first: FirstTerms::of(row),
        }
    }

    fn first_difference(&self, other: &Terms) -> Option<Field> {
        let checks = [
            (self.asset == other.asset, Field::Asset),
            (self.owner == other.owner, Field::Owner),
            (self.subject == other.subject, Field::Subject),
            (self.normal_side == other.normal_side, Field::NormalSide),
            (self.category == other.category, Field::Category),
            (self.first.limits.floor() == other.first.limits.floor(), Field::Floor),
            (self.first.limits.ceiling() == other.first.limits.ceiling(), Field::Ceiling),
            (self.first.alarm == other.first.alarm, Field::Alarm),
            (self.first.label == other.first.label, Field::Label),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, field)| field)
    }
}

/// The first field in which two openings of one account differ.
pub fn first_difference(first: &AccountRow, second: &AccountRow) -> Option<Field> {
    Terms::of(first).first_difference(&Terms::of(second))
}

impl Account {
    /// Its name.
    pub fn key(&self) -> AccountKey {
        AccountKey { institution: self.institution, account: self.account }
    }

    /// Whether it has this name.
    #[inline]
    pub fn is(&self, key: &AccountKey) -> bool {
        self.account == key.account && self.institution == key.institution
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
}

/// Accounts for which address space is taken at once, 1 GiB: their lines must stand together, since postings find them by slot.
const LINES_AHEAD: usize = 1 << 24;

/// Accounts by slot, in the order in which they were opened, and by name.
pub struct Accounts {
    slots: Slots,
    lines: Vec<Account>,
    extras: Blocks<Extras, { 1 << 16 }>,
    details: Blocks<Details, { 1 << 16 }>,
}

impl Accounts {
    /// None yet. The seed should be random.
    pub fn new(seed: u64) -> Accounts {
        Accounts { slots: Slots::new(seed), lines: Vec::new(), extras: Blocks::default(), details: Blocks::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The slot of an account.
    pub fn find(&self, key: &AccountKey) -> Option<usize> {
        Some(self.slots.find(key, &self.lines)).filter(|&slot| slot != UNKNOWN).map(|slot| slot as usize)
    }

    /// The slots of many accounts, in order, into `slots`: [`UNKNOWN`] where there is none. Their lines are in the cache then.
    #[inline]
    pub fn find_all(&self, keys: &[AccountKey], slots: &mut Vec<u32>) {
        self.slots.find_all(keys, &self.lines, slots);
    }

    /// Asks for where an account is. Gives the hash by which to go on.
    #[inline(always)]
    pub fn touch(&self, key: &AccountKey) -> u64 {
        self.slots.touch(key)
    }

    /// The slot that most probably is that of a touched account; asks for its line. [`UNKNOWN`]: probably none.
    #[inline(always)]
    pub fn guess(&self, hash: u64) -> u32 {
        self.slots.guess(hash, &self.lines)
    }

    /// The slot of an account, given the guess: [`UNKNOWN`] if there is none.
    #[inline(always)]
    pub fn find_guessed(&self, guess: u32, hash: u64, key: &AccountKey) -> u32 {
        self.slots.find_guessed(guess, hash, key, &self.lines)
    }

    /// The first line of an account.
    #[inline(always)]
    pub fn get(&self, slot: u32) -> Option<&Account> {
        self.lines.get(slot as usize)
    }

    /// The balances that limits look at, and the limits.
    #[inline(always)]
    pub fn standing(&self, account: &Account) -> (Balances, Limits) {
        if account.extras == NO_EXTRAS {
            let limits = Limits::new(account.floor_is_zero.then_some(0), None);
            return (Balances { available: account.posted, gross: account.posted }, limits);
        }
        let extras = &self.extras[account.extras as usize];
        let (available, gross) = (account.posted - extras.held, account.posted + extras.incoming);
        (Balances { available, gross }, extras.limits)
    }

    /// Whether nothing is posted and nothing held.
    pub fn is_void(&self, slot: usize) -> bool {
        let account = &self.lines[slot];
        let extras = self.extras.get(account.extras as usize);
        account.posted == 0 && extras.is_none_or(|extras| (extras.held, extras.incoming) == (0, 0))
    }

    /// Opens an account that does not exist yet.
    pub fn open(&mut self, key: AccountKey, row: &AccountRow, sequence: u64, booked_at: u64) {
        assert!(self.find(&key).is_none(), "an account is opened once");
        let account = Account {
            account: key.account,
            posted: 0,
            version: 0,
            last_entry: sequence,
            institution: key.institution,
            asset: row.asset.get(),
            extras: NO_EXTRAS,
            normal_side: Side::from_byte(row.normal_side).expect("an opening whose shape was checked"),
            status: Status::Open,
            floor_is_zero: false,
            has_alarm: row.alarm().is_some(),
        };
        let rare = row.alarm().map(|level| Box::new(Rare { alarm: Some(level), ..Rare::default() }));
        let details = Details {
            owner: row.owner.get(),
            opened: sequence,
            opened_at: booked_at,
            label: row.label().into(),
            subject: row.subject.get(),
            category: row.category,
            rare,
        };
        self.add(account, details, Limits::new(row.floor(), row.ceiling()));
    }

    /// Takes over an account of a snapshot; false if it is there already or an account that was opened later.
    pub fn restore(&mut self, state: &AccountState) -> bool {
        let AccountState { record, opened_at, first } = state;
        let key = AccountKey { institution: record.institution, account: record.account };
        let last_opened = self.lines.len().checked_sub(1).map_or(0, |last| self.opened(last));
        if record.opened <= last_opened || self.find(&key).is_some() {
            return false;
        }
        let slot = self.lines.len();
        self.add(
            Account {
                account: record.account,
                posted: record.posted,
                version: record.version,
                last_entry: record.last_entry,
                institution: record.institution,
                asset: record.asset,
                extras: NO_EXTRAS,
                normal_side: record.normal_side,
                status: record.status,
                floor_is_zero: false,
                has_alarm: record.alarm.is_some(),
            },
            Details {
                owner: record.owner,
                opened: record.opened,
                opened_at: *opened_at,
                label: record.label.clone(),
                subject: record.subject,
                category: record.category,
                rare: (record.alarm.is_some() || !record.attributes.is_empty() || first.is_some()).then(|| {
                    let attributes = record.attributes.clone();
                    Box::new(Rare { alarm: record.alarm, attributes, first: first.clone() })
                }),
            },
            Limits::new(record.floor, record.ceiling),
        );
        if (record.held, record.incoming) != (0, 0) {
            let extras = self.extras_of(slot);
            (extras.held, extras.incoming) = (record.held, record.incoming);
        }
        true
    }

    fn add(&mut self, account: Account, details: Details, limits: Limits) {
        let slot = u32::try_from(self.lines.len()).expect("fewer than 2^32 accounts in a shard");
        assert_ne!(slot, UNKNOWN, "a shard is full");
        huge_pages::push(&mut self.lines, account, LINES_AHEAD);
        self.details.push(details);
        self.set_limits(slot as usize, limits);
        self.slots.insert(slot, &self.lines);
    }

    /// Makes an entry that posts `amount` on `side` and changes what is held there by `reserved`: the one place where a
    /// balance changes.
    #[inline]
    pub fn apply(&mut self, slot: usize, side: Side, amount: i128, reserved: i128, sequence: u64) -> EntryResult {
        if reserved != 0 {
            *self.reserve(slot, side) += reserved;
        }
        let wraps = side == Side::Credit && planted(Fault::CreditWraps);
        let amount = if wraps { i128::from(amount as u32) } else { amount };
        let account = &mut self.lines[slot];
        let before = account.posted;
        account.posted += if side == account.normal_side { amount } else { -amount };
        let (balance, previous) = (account.posted, account.last_entry);
        let previous = if planted(Fault::PreviousEntryIsItself) { sequence } else { previous };
        account.version += 1 + u64::from(account.version == 5 && planted(Fault::VersionSkipped));
        account.last_entry = sequence;
        let version = account.version;
        let alarm = account.has_alarm && self.crosses_alarm(slot, before, balance);
        EntryResult { version: Version::new(version, alarm), balance, previous }
    }

    /// Whether a balance that goes from `before` to `after` crosses the alarm level. Not inlined: the optimizer would then load the
    /// level before it is known whether there is one, which is a cache miss a posting.
    #[cold]
    #[inline(never)]
    fn crosses_alarm(&self, slot: usize, before: i128, after: i128) -> bool {
        self.alarm(slot).is_some_and(|level| (before < level) != (after < level))
    }

    /// What holds reserve on a side.
    pub fn reserved(&self, slot: usize, side: Side) -> i128 {
        let account = &self.lines[slot];
        let Some(extras) = self.extras.get(account.extras as usize) else { return 0 };
        if side == account.normal_side { extras.incoming } else { extras.held }
    }

    fn reserve(&mut self, slot: usize, side: Side) -> &mut i128 {
        let with = side == self.lines[slot].normal_side;
        let extras = self.extras_of(slot);
        if with { &mut extras.incoming } else { &mut extras.held }
    }

    /// The extras of an account, which gets them now if it had none. Not inlined into `apply`: posts never come here.
    #[inline(never)]
    fn extras_of(&mut self, slot: usize) -> &mut Extras {
        if self.lines[slot].extras == NO_EXTRAS {
            let (_, limits) = self.standing(&self.lines[slot]);
            self.lines[slot].extras = u32::try_from(self.extras.len()).expect("no more than there are accounts");
            self.extras.push(Extras { held: 0, incoming: 0, limits });
        }
        &mut self.extras[self.lines[slot].extras as usize]
    }

    fn set_limits(&mut self, slot: usize, limits: Limits) {
        let account = &mut self.lines[slot];
        let short = matches!((limits.floor(), limits.ceiling()), (None | Some(0), None));
        if short && account.extras == NO_EXTRAS {
            account.floor_is_zero = limits.floor().is_some();
        } else {
            self.extras_of(slot).limits = limits;
        }
    }

    fn alarm(&self, slot: usize) -> Option<i128> {
        self.details[slot].rare.as_ref().and_then(|rare| rare.alarm)
    }

    /// Notes the terms of the opening before one of them changes for the first time.
    fn rare_with_first_terms(&mut self, slot: usize) -> &mut Rare {
        let (_, limits) = self.standing(&self.lines[slot]);
        let details = &mut self.details[slot];
        let rare = details.rare.get_or_insert_default();
        rare.first.get_or_insert_with(|| FirstTerms { limits, alarm: rare.alarm, label: details.label.clone() });
        rare
    }

    /// Changes limits, and the alarm level if one is given.
    pub fn change_limits(&mut self, slot: usize, limits: Limits, alarm: Option<Option<i128>>) {
        let rare = self.rare_with_first_terms(slot);
        if let Some(alarm) = alarm {
            rare.alarm = alarm;
            self.lines[slot].has_alarm = alarm.is_some();
        }
        self.set_limits(slot, limits);
    }

    /// Changes the label.
    pub fn change_label(&mut self, slot: usize, label: &str) {
        self.rare_with_first_terms(slot);
        self.details[slot].label = label.into();
    }

    /// Changes the attributes.
    pub fn change_attributes(&mut self, slot: usize, attributes: &[u8]) {
        self.details[slot].rare.get_or_insert_default().attributes = attributes.into();
    }

    /// Changes the status.
    pub fn change_status(&mut self, slot: usize, status: Status) {
        self.lines[slot].status = status;
    }

    /// Makes the entry of a change, which moves nothing.
    pub fn note_change(&mut self, slot: usize, sequence: u64) -> EntryResult {
        let account = &mut self.lines[slot];
        let previous = std::mem::replace(&mut account.last_entry, sequence);
        account.version += 1;
        EntryResult { version: Version::new(account.version, false), balance: account.posted, previous }
    }

    /// The first field in which a repeated opening differs from the first one.
    pub fn first_difference(&self, slot: usize, row: &AccountRow) -> Option<Field> {
        let (account, details) = (&self.lines[slot], &self.details[slot]);
        let first = details.rare.as_ref().and_then(|rare| rare.first.clone());
        let unchanged =
            || FirstTerms { limits: self.standing(account).1, alarm: self.alarm(slot), label: details.label.clone() };
        let terms = Terms {
            asset: account.asset,
            owner: details.owner,
            subject: details.subject,
            normal_side: account.normal_side as u8,
            category: details.category,
            first: first.unwrap_or_else(unchanged),
        };
        terms.first_difference(&Terms::of(row))
    }

    /// Name of an account.
    pub fn key(&self, slot: usize) -> AccountKey {
        self.lines[slot].key()
    }

    /// Asset number of an account.
    pub fn asset(&self, slot: usize) -> u32 {
        self.lines[slot].asset
    }

    /// Sequence number of an account's opening.
    pub fn opened(&self, slot: usize) -> u64 {
        self.details[slot].opened
    }

    /// When an account was opened, nanoseconds since 1970-01-01 UTC.
    pub fn opened_at(&self, slot: usize) -> u64 {
        self.details[slot].opened_at
    }

    /// The first slot whose account was opened after a row.
    pub fn opened_after(&self, sequence: u64) -> usize {
        self.details.partition_point(|details| details.opened <= sequence)
    }

    /// All that is known of an account.
    pub fn state(&self, slot: usize) -> AccountState {
        let first = self.details[slot].rare.as_ref().and_then(|rare| rare.first.clone());
        AccountState { record: self.record(slot), opened_at: self.opened_at(slot), first }
    }

    /// An account as a reader sees it.
    pub fn record(&self, slot: usize) -> AccountRecord {
        let (account, details) = (&self.lines[slot], &self.details[slot]);
        let (_, limits) = self.standing(account);
        let against = if account.normal_side == Side::Debit { Side::Credit } else { Side::Debit };
        AccountRecord {
            institution: account.institution,
            account: account.account,
            asset: account.asset,
            subject: details.subject,
            normal_side: account.normal_side,
            category: details.category,
            status: account.status,
            owner: details.owner,
            floor: limits.floor(),
            ceiling: limits.ceiling(),
            alarm: self.alarm(slot),
            posted: account.posted,
            held: self.reserved(slot, against),
            incoming: self.reserved(slot, account.normal_side),
            version: account.version,
            opened: details.opened,
            last_entry: account.last_entry,
            label: details.label.clone(),
            attributes: details.rare.as_ref().map(|rare| rare.attributes.clone()).unwrap_or_default(),
        }
    }
}
