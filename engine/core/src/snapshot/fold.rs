//! What frames changed since a snapshot, and the next snapshot made of the two.
//!
//! Rows say what is after them, so folding keeps the last value of each field and compares nothing: the engine that wrote the rows,
//! recovery and `verify` do that. Memory is taken for accounts and postings that the frames touch, whatever the ledger holds.

use std::collections::{BTreeMap, HashSet};

use florin_planted::{Fault, planted};

use super::{AccountState, Named, SnapshotRecord};
use crate::account::{AccountKey, Limits};
use crate::accounts::FirstTerms;
use crate::asset::Assets;
use crate::control::{Control, ControlRecord};
use crate::entry::{AccountRecord, ChangeRecord, PostingRecord, Status, TransactionRecord};
use crate::frame::{FrameView, OpenRecord, Record, RowError};
use crate::institution::Institutions;
use crate::link::{PostingName, Target};
use crate::outcome::Outcome;
use crate::replay::closes;
use crate::request::{Action, ItemKind, Side};
use crate::state_hash::LogPosition;
use crate::table::Table;

/// Changes since a snapshot, or since the beginning.
pub struct Fold {
    seed: u64,
    position: LogPosition,
    institutions: Institutions,
    assets: Assets,
    /// Opened since, as they were then.
    opened: Vec<AccountState>,
    /// Accounts that changed, old and new ones, by name.
    changed: Vec<(AccountKey, Patch)>,
    places: Table,
    placed: BTreeMap<u64, Target>,
    /// Sequence numbers of holds that were closed.
    closed: HashSet<u64>,
    named: BTreeMap<PostingName, NamedPatch>,
}

/// The last value of what entries changed of an account.
struct Patch {
    posted: i128,
    version: u64,
    last_entry: u64,
    rare: Option<Box<Rare>>,
}

/// What few entries change.
#[derive(Default)]
struct Rare {
    /// Reserved by holds on the debit and on the credit side.
    reserved: [Option<i128>; 2],
    status: Option<Status>,
    floor: Option<Option<i128>>,
    ceiling: Option<Option<i128>>,
    alarm: Option<Option<i128>>,
    label: Option<Box<str>>,
    attributes: Option<Box<[u8]>>,
    /// Whether limits, alarm level or label were set, be it to what they were.
    terms: bool,
}

/// The last value of what is left or was reversed of a posting.
struct NamedPatch {
    institution: u32,
    account: u128,
    /// What is left of a hold's; what was reversed since of an original's.
    amount: i128,
    /// Whether `amount` comes on top of what was before.
    adds: bool,
}

impl Fold {
    /// Nothing yet, of a ledger without a row. The seed should be random.
    pub fn new(seed: u64) -> Fold {
        Fold {
            seed,
            position: LogPosition::default(),
            institutions: Institutions::default(),
            assets: Assets::default(),
            opened: Vec::new(),
            changed: Vec::new(),
            places: Table::default(),
            placed: BTreeMap::new(),
            closed: HashSet::new(),
            named: BTreeMap::new(),
        }
    }

    /// Nothing yet, after a snapshot; its institutions and assets are to come by [`Fold::register`].
    pub fn after(position: LogPosition, seed: u64) -> Fold {
        Fold { position, ..Fold::new(seed) }
    }

    /// Takes over an institution or asset of the snapshot before; false if the record is neither, as are all after it.
    pub fn register(&mut self, record: &SnapshotRecord) -> bool {
        match record {
            SnapshotRecord::Institution { number, open_day, name } => {
                self.institutions.register(*number, name);
                self.institutions.set_open_day(*number, *open_day);
                true
            }
            SnapshotRecord::Asset(asset) => {
                self.assets.register(asset.clone());
                true
            }
            SnapshotRecord::Account(_) | SnapshotRecord::Hold(_) | SnapshotRecord::Named(_) => false,
        }
    }

    /// Nothing yet, after the snapshot that this one makes.
    pub fn next(&self) -> Fold {
        let (institutions, assets) = (self.institutions.clone(), self.assets.clone());
        Fold { institutions, assets, ..Fold::after(self.position, self.seed) }
    }

    /// Where the last frame ended.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// How much is kept: accounts, holds and postings that changed.
    pub fn changes(&self) -> usize {
        self.opened.len() + self.changed.len() + self.placed.len() + self.closed.len() + self.named.len()
    }

    /// Takes the next frame in.
    pub fn frame(&mut self, frame: &FrameView<'_>) -> Result<(), RowError> {
        let head = frame.head();
        if head.first_sequence != self.position.last_sequence + 1 {
            return Err(RowError { row: head.first_sequence, what: "the frame is not the next one to fold" });
        }
        for index in 0..head.count {
            let row = frame.row(index);
            let (sequence, booked_at) = (row.sequence, row.booked_at()?);
            if let Some(transfer) = row.whole_transfer() {
                if row.check_whole_transfer()? == Outcome::Posted {
                    let key = |account: u128| AccountKey { institution: transfer.tail.institution.get(), account };
                    for (account, entry) in
                        [(transfer.debit, &transfer.debit_entry), (transfer.credit, &transfer.credit_entry)]
                    {
                        let patch = self.patch(key(account.get()));
                        let version = crate::account::Version::from_bits(entry.version.get()).number();
                        (patch.posted, patch.version, patch.last_entry) = (entry.balance.get(), version, sequence);
                    }
                }
            } else {
                match frame.record(index)? {
                    Record::Transaction(transaction) => self.transaction(&transaction, sequence),
                    Record::Open(open) => self.opening(&open),
                    Record::Change(change) => self.change(&change, sequence),
                    Record::Control(control) => {
                        self.control(control.institution, &control.record, control.result.outcome)
                    }
                }
            }
            self.position = LogPosition { last_round: head.number, last_sequence: sequence, last_booked_at: booked_at };
        }
        Ok(())
    }

    fn patch(&mut self, key: AccountKey) -> &mut Patch {
        let next = self.changed.len() as u32;
        let changed = &self.changed;
        let found = self.places.insert(key.hash(self.seed), next, |number| changed[number as usize].0 == key, |_| true);
        let at = match found {
            Ok(()) => {
                self.changed.push((key, Patch { posted: 0, version: 0, last_entry: 0, rare: None }));
                next
            }
            Err(at) => at,
        };
        &mut self.changed[at as usize].1
    }

    fn opening(&mut self, open: &OpenRecord) {
        let row = &open.row;
        self.opened.push(AccountState {
            record: AccountRecord {
                institution: open.institution,
                account: row.account.get(),
                asset: row.asset.get(),
                subject: row.subject.get(),
                normal_side: Side::from_byte(row.normal_side).expect("an opening whose shape was checked"),
                category: row.category,
                status: Status::Open,
                owner: row.owner.get(),
                floor: row.floor(),
                ceiling: row.ceiling(),
                alarm: row.alarm(),
                posted: 0,
                held: 0,
                incoming: 0,
                version: 0,
                opened: open.sequence,
                last_entry: open.sequence,
                label: row.label().into(),
                attributes: Box::default(),
            },
            opened_at: open.booked_at,
            first: None,
        });
    }

    fn control(&mut self, institution: u32, record: &[u8], outcome: Outcome) {
        let said = ControlRecord::parse(record).and_then(|record| record.read());
        match said.ok().filter(|_| outcome == Outcome::Posted) {
            Some(Control::Asset(asset)) => self.assets.register(asset),
            Some(Control::Institution { number, name }) => self.institutions.register(number, &name),
            Some(Control::OpenDay(day)) => self.institutions.set_open_day(institution, day),
            None => {}
        }
    }

    fn change(&mut self, change: &ChangeRecord, sequence: u64) {
        if change.result.outcome != Outcome::Posted {
            return;
        }
        let view = change.view();
        let key = AccountKey { institution: change.institution, account: change.row.account.get() };
        let patch = self.patch(key);
        (patch.posted, patch.version, patch.last_entry) = (change.entry.balance, change.entry.version, sequence);
        let rare = patch.rare.get_or_insert_default();
        match view.row.action() {
            Action::Status => rare.status = Status::from_byte(view.row.status),
            Action::Close => rare.status = Some(Status::Closed),
            Action::Reopen => rare.status = Some(Status::Open),
            Action::Limits => {
                rare.terms = true;
                rare.floor = view.row.new_floor().or(rare.floor);
                rare.ceiling = view.row.new_ceiling().or(rare.ceiling);
                rare.alarm = view.row.new_alarm().or(rare.alarm);
            }
            Action::Label => {
                rare.terms = true;
                rare.label = Some(str::from_utf8(view.data).expect("a change whose shape was checked").into());
            }
            Action::Attributes => rare.attributes = Some(view.data.into()),
        }
    }

    fn transaction(&mut self, transaction: &TransactionRecord, sequence: u64) {
        if transaction.result.outcome != Outcome::Posted {
            return;
        }
        let institution = transaction.institution;
        let kind = transaction.kind.item().expect("a row of an item");
        if kind == ItemKind::Hold {
            self.placed.insert(sequence, Target::placed_by(transaction));
        }
        let target = if kind == ItemKind::Hold { sequence } else { transaction.link_sequence };
        for posting in &transaction.postings {
            let patch = self.patch(AccountKey { institution, account: posting.account });
            let result = posting.result;
            (patch.posted, patch.version, patch.last_entry) = (result.balance, result.version, sequence);
            if kind != ItemKind::Post {
                if kind != ItemKind::Reverse {
                    let reserved = &mut patch.rare.get_or_insert_default().reserved;
                    reserved[usize::from(posting.side == Side::Credit)] = Some(posting.held.held);
                }
                self.note_named(institution, kind, PostingName { target, index: posting.index }, posting);
            }
        }
        if closes(transaction, kind) {
            self.closed.insert(target);
        }
    }

    fn note_named(&mut self, institution: u32, kind: ItemKind, name: PostingName, posting: &PostingRecord) {
        let (left, adds) = (posting.held.left as i128, kind == ItemKind::Reverse);
        let new = NamedPatch { institution, account: posting.account, amount: 0, adds };
        let named = self.named.entry(name).or_insert(new);
        named.amount = if adds { named.amount + posting.amount as i128 } else { left };
    }

    /// The next snapshot, record by record: of the records of the one before, in their order, and of what changed. Errors are those
    /// of the two sides, or say that the snapshot is not the one before.
    pub fn merge<E>(
        self,
        before: impl Iterator<Item = Result<SnapshotRecord, E>>,
        mut sink: impl FnMut(SnapshotRecord) -> Result<(), E>,
        other: impl Fn(&'static str) -> E,
    ) -> Result<(), E> {
        let Fold { seed, institutions, assets, opened, mut changed, places, placed, closed, named, .. } = self;
        for (number, institution) in institutions.iter() {
            let (open_day, name) = (institution.open_day, institution.name.clone());
            sink(SnapshotRecord::Institution { number, open_day, name })?;
        }
        for asset in assets.iter() {
            sink(SnapshotRecord::Asset(asset.clone()))?;
        }
        let mut patched = 0;
        let mut patch = |mut account: Box<AccountState>| {
            let key = AccountKey { institution: account.record.institution, account: account.record.account };
            let is = |number: u32| changed[number as usize].0 == key;
            if let Some(number) = places.find(key.hash(seed), is) {
                changed[number as usize].1.apply(&mut account);
                patched += 1;
            }
            SnapshotRecord::Account(account)
        };
        // What is after the accounts waits for those that were opened since.
        let mut before = before.peekable();
        while let Some(record) = before.next_if(|next| !matches!(next, Ok(r) if r.section() > super::Section::Accounts))
        {
            if let SnapshotRecord::Account(account) = record? {
                sink(patch(account))?;
            }
        }
        for account in opened {
            sink(patch(Box::new(account)))?;
        }
        if patched != changed.len() {
            return Err(other("an account that changed is not in the snapshot before"));
        }
        while let Some(record) = before.next_if(|next| !matches!(next, Ok(SnapshotRecord::Named(_)))) {
            match record? {
                SnapshotRecord::Hold(hold) if !closed.contains(&hold.sequence) => sink(SnapshotRecord::Hold(hold))?,
                _ => {}
            }
        }
        let is_open = |hold: &Target| !closed.contains(&hold.sequence) && !planted(Fault::SnapshotWithoutHolds);
        for hold in placed.into_values().filter(is_open) {
            sink(SnapshotRecord::Hold(hold))?;
        }
        let mut named = named.into_iter().filter(|(name, _)| !closed.contains(&name.target)).peekable();
        for record in before {
            let SnapshotRecord::Named(mut old) = record? else { return Err(other("records that are out of order")) };
            while let Some((name, new)) = named.next_if(|(name, _)| *name < old.name) {
                sink(new.record(name, 0))?;
            }
            if let Some((name, new)) = named.next_if(|(name, _)| *name == old.name) {
                let SnapshotRecord::Named(now) = new.record(name, old.amount) else { unreachable!("it is made so") };
                old = now;
            }
            if !closed.contains(&old.name.target) {
                sink(SnapshotRecord::Named(old))?;
            }
        }
        named.try_for_each(|(name, new)| sink(new.record(name, 0)))
    }
}

impl Patch {
    fn apply(&mut self, account: &mut AccountState) {
        let AccountState { record, first, .. } = account;
        (record.posted, record.version, record.last_entry) = (self.posted, self.version, self.last_entry);
        let Some(rare) = self.rare.take() else { return };
        if rare.terms && first.is_none() {
            let (limits, alarm) = (Limits::new(record.floor, record.ceiling), record.alarm);
            *first = Some(FirstTerms { limits, alarm, label: record.label.clone() });
        }
        let [debit, credit] = rare.reserved;
        let (incoming, held) = if record.normal_side == Side::Debit { (debit, credit) } else { (credit, debit) };
        record.incoming = incoming.unwrap_or(record.incoming);
        record.held = held.unwrap_or(record.held);
        record.status = rare.status.unwrap_or(record.status);
        record.floor = rare.floor.unwrap_or(record.floor);
        record.ceiling = rare.ceiling.unwrap_or(record.ceiling);
        record.alarm = rare.alarm.unwrap_or(record.alarm);
        record.label = rare.label.unwrap_or_else(|| std::mem::take(&mut record.label));
        record.attributes = rare.attributes.unwrap_or_else(|| std::mem::take(&mut record.attributes));
    }
}

impl NamedPatch {
    fn record(self, name: PostingName, before: i128) -> SnapshotRecord {
        let NamedPatch { institution, account, amount, adds } = self;
        let amount = if adds { before + amount } else { amount };
        SnapshotRecord::Named(Named { name, institution, account, amount })
    }
}
