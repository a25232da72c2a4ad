//! Replay: the state that a log says, folded frame by frame.
//!
//! Recorded outcomes are applied, never decided again. Each version, balance and previous entry that was recorded, and each
//! amount held, left or reversed, is compared with the one that replay gives, so a log that does not add up is found at its
//! first wrong entry.

mod transfers;

use std::sync::Arc;

use florin_planted::{Fault, planted};

use crate::account::{AccountKey, EntryResult, Version};
use crate::control::{Control, ControlRecord};
use crate::coordinator::{Coordinator, RoundLimits};
use crate::entry::{ChangeRecord, PostingRecord, RowKind, TransactionRecord};
use crate::frame::{ControlFrameRecord, FrameView, OpenRecord, Record, RowError};
use crate::institution::{FIRST_INSTITUTION, accounting_date};
use crate::limits::POSTINGS_MIN;
use crate::link::{NamedPosting, PostingName, Target};
use crate::outcome::Outcome;
use crate::request::ItemKind;
use crate::round::is_balanced;
use crate::shard::Shard;
use transfers::{ROWS, Rows, STAGES};

/// Why a frame cannot follow on the state before it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// The bytes of a row are wrong.
    #[error(transparent)]
    Row(#[from] RowError),
    /// Numbering or time does not go on where the last frame ended.
    #[error("{0}")]
    Order(String),
    /// A recorded entry differs from the state.
    #[error("row {row}: {what}")]
    Differs {
        /// Sequence number of the row.
        row: u64,
        /// Which value differs, with both.
        what: String,
    },
}

/// A whole ledger in memory: what recovery builds and the engine takes over.
pub struct Ledger {
    /// The coordinator.
    pub coordinator: Coordinator,
    /// All shards.
    pub shards: Vec<Shard>,
    stages: [Rows; STAGES],
}

/// Rounds of these kinds are not mixed in a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RoundKind {
    Items,
    Openings,
    Changes,
    Control,
}

impl RoundKind {
    fn of(kind: RowKind) -> RoundKind {
        match kind {
            RowKind::Open => RoundKind::Openings,
            RowKind::Change => RoundKind::Changes,
            RowKind::Control => RoundKind::Control,
            _ => RoundKind::Items,
        }
    }
}

impl Ledger {
    /// An empty ledger. The seed should be random.
    pub fn new(shards: usize, limits: RoundLimits, seed: u64) -> Ledger {
        Ledger {
            coordinator: Coordinator::new(shards, limits, seed),
            shards: (0..shards).map(|index| Shard::new(index as u8, shards, seed)).collect(),
            stages: Default::default(),
        }
    }

    /// Applies a recorded frame.
    pub fn apply_frame(&mut self, frame: &FrameView<'_>) -> Result<(), ReplayError> {
        let head = frame.head();
        let (number, sequence) = (self.coordinator.last_round() + 1, self.coordinator.last_sequence() + 1);
        let follows = head.number == number && head.first_sequence == sequence;
        if !follows && !planted(Fault::FrameOrderIgnored) {
            return Err(ReplayError::Order(format!(
                "frame {} begins at row {}, but frame {number} at row {sequence} was to follow",
                head.number, head.first_sequence
            )));
        }
        if head.count == 0 {
            return Err(ReplayError::Order(format!("frame {} has no rows", head.number)));
        }
        let kind = RoundKind::of(frame.row(0).kind()?);
        if kind == RoundKind::Control && head.count > 1 {
            return Err(ReplayError::Order(format!("frame {} has rows beside a control record", head.number)));
        }
        let mut last_time = self.coordinator.last_booked_at();
        let pieces = (head.count as usize).div_ceil(ROWS);
        let mut stages = std::mem::take(&mut self.stages);
        for piece in 0..pieces + STAGES - 1 {
            if piece < pieces {
                let first = (piece * ROWS) as u32;
                let rows = first..head.count.min(first + ROWS as u32);
                self.ask_for_places(frame, rows, &mut stages[piece % STAGES]);
            }
            if (1..=pieces).contains(&piece) {
                self.ask_for_accounts(&mut stages[(piece - 1) % STAGES]);
            }
            if piece >= 2 {
                self.apply_rows(frame, kind, &mut stages[(piece - 2) % STAGES], &mut last_time)?;
            }
        }
        self.stages = stages;
        let last_sequence = head.first_sequence + u64::from(head.count) - 1;
        self.resume_after(head.number, last_sequence, last_time);
        Ok(())
    }

    pub(crate) fn resume_after(&mut self, frame: u64, last_sequence: u64, last_booked_at: u64) {
        self.coordinator.resume_after(frame, last_sequence, last_booked_at);
        for shard in &mut self.shards {
            shard.resume_after(frame);
        }
    }

    fn apply_rows(
        &mut self,
        frame: &FrameView<'_>,
        kind: RoundKind,
        rows: &mut Rows,
        last_time: &mut u64,
    ) -> Result<(), ReplayError> {
        for index in rows.range() {
            let row = frame.row(index);
            let booked_at = row.booked_at()?;
            if booked_at <= *last_time {
                return Err(ReplayError::Order(format!("row {} is not booked after the row before it", row.sequence)));
            }
            *last_time = booked_at;
            if RoundKind::of(row.kind()?) != kind {
                let frame = frame.head().number;
                return Err(ReplayError::Order(format!("frame {frame} mixes rounds of different kinds")));
            }
            if !self.apply_transfer(&row, rows, booked_at)? {
                self.apply_row(frame, index)?;
            }
        }
        Ok(())
    }

    fn apply_row(&mut self, frame: &FrameView<'_>, index: u32) -> Result<(), ReplayError> {
        let record = frame.record(index)?;
        let row = frame.row(index);
        let (sequence, booked_at) = (row.sequence, row.booked_at()?);
        if let Record::Control(control) = &record {
            self.apply_control(control, sequence)?; // An open day counts for the row that sets it.
        }
        let (institution, date) = match &record {
            Record::Transaction(transaction) => (transaction.institution, transaction.accounting_date),
            Record::Open(open) => (open.institution, open.accounting_date),
            Record::Control(control) => (control.institution, control.accounting_date),
            Record::Change(change) => (change.institution, change.accounting_date),
        };
        self.check_day(institution, date, booked_at, sequence)?;
        match &record {
            Record::Transaction(transaction) => self.apply_transaction(transaction, sequence),
            Record::Open(open) => self.apply_opening(open, sequence),
            Record::Change(change) => self.apply_change(change, sequence),
            Record::Control(_) => Ok(()),
        }
    }

    fn check_day(&self, institution: u32, date: u16, booked_at: u64, sequence: u64) -> Result<(), ReplayError> {
        let institutions = self.coordinator.institutions();
        if !institutions.contains(institution) {
            return Err(differs(sequence, "its institution is not registered"));
        }
        match date == accounting_date(institutions.open_day(institution), booked_at) {
            true => Ok(()),
            false => Err(differs(sequence, "its accounting date is not the institution's open day")),
        }
    }

    pub(crate) fn shard(&mut self, key: &AccountKey) -> &mut Shard {
        let shards = self.shards.len();
        &mut self.shards[usize::from(key.home(shards))]
    }

    pub(crate) fn note_id(&mut self, institution: u32, id: u128, sequence: u64) -> Result<(), ReplayError> {
        match self.coordinator.replay_id(institution, id, sequence) {
            true => Ok(()),
            false => Err(differs(sequence, "its id was used before")),
        }
    }

    fn apply_opening(&mut self, open: &OpenRecord, sequence: u64) -> Result<(), ReplayError> {
        let key = AccountKey { institution: open.institution, account: open.row.account.get() };
        if !self.coordinator.assets().contains(open.row.asset.get()) {
            return Err(differs(sequence, "its asset is not registered"));
        }
        let shard = self.shard(&key);
        if shard.look_up(&key).is_some() {
            return Err(differs(sequence, "its account was opened before"));
        }
        shard.open_account(key, &open.row, sequence, open.booked_at);
        Ok(())
    }

    fn apply_control(&mut self, control: &ControlFrameRecord, sequence: u64) -> Result<(), ReplayError> {
        self.note_id(control.institution, control.id, sequence)?;
        let unreadable = |_| differs(sequence, "its record cannot be read");
        let said = ControlRecord::parse(&control.record).and_then(|record| record.read()).map_err(unreadable)?;
        if control.result.outcome != Outcome::Posted {
            return Ok(());
        }
        if !matches!(said, Control::OpenDay(_)) && control.institution != FIRST_INSTITUTION {
            return Err(differs(sequence, "its institution may not record this"));
        }
        let institutions = self.coordinator.replay_institutions();
        let done = match said {
            Control::Asset(asset) => self.coordinator.replay_asset(asset),
            Control::Institution { number, name } => {
                institutions.check(number, &name).map(|()| institutions.register(number, &name))
            }
            Control::OpenDay(day) => institutions
                .check_open_day(control.institution, day, control.result.booked_at)
                .map(|()| institutions.set_open_day(control.institution, day)),
        };
        done.map_err(|outcome| differs(sequence, &format!("it was accepted, but is {}", outcome.name())))
    }

    fn apply_change(&mut self, change: &ChangeRecord, sequence: u64) -> Result<(), ReplayError> {
        self.note_id(change.institution, change.row.id.get(), sequence)?;
        if change.result.outcome != Outcome::Posted {
            return Ok(());
        }
        let key = AccountKey { institution: change.institution, account: change.row.account.get() };
        let entry = self.shard(&key).replay_change(&key, &change.view(), sequence);
        let recorded = EntryResult {
            version: Version::new(change.entry.version, change.entry.alarm),
            balance: change.entry.balance,
            previous: change.previous,
        };
        compare(key.account, sequence, recorded, entry)
    }

    fn apply_transaction(&mut self, transaction: &TransactionRecord, sequence: u64) -> Result<(), ReplayError> {
        let (institution, kind) = (transaction.institution, transaction.kind.item().expect("a row of an item"));
        if kind != ItemKind::Expiry {
            self.note_id(institution, transaction.id, sequence)?;
        }
        if transaction.result.outcome != Outcome::Posted {
            return Ok(());
        }
        let amounts = transaction.postings.iter().map(|p| (p.asset, p.side, p.amount));
        let freed = transaction.postings.iter().map(|p| (p.asset, p.side, p.held.freed));
        if !is_balanced(amounts) || !is_balanced(freed) {
            return Err(differs(sequence, "its debits and credits differ"));
        }
        let hold = self.named_hold(transaction, kind, sequence)?;
        for posting in &transaction.postings {
            self.apply_posting(transaction, kind, hold.as_deref(), sequence, posting)?;
        }
        match (kind, hold) {
            (ItemKind::Hold, Some(hold)) => self.coordinator.replay_hold(hold),
            (_, Some(hold)) if closes(transaction, kind) => {
                for posting in &hold.postings {
                    let key = AccountKey { institution, account: posting.account };
                    let name = PostingName { target: hold.sequence, index: posting.index };
                    if self.shard(&key).replay_named(name, None).is_none_or(|left| left != 0) {
                        return Err(differs(sequence, "it closes its hold, but leaves an amount held"));
                    }
                }
                self.coordinator.replay_close(&hold, kind, sequence);
            }
            _ => {}
        }
        Ok(())
    }

    /// The hold that a row places or names.
    fn named_hold(
        &self,
        transaction: &TransactionRecord,
        kind: ItemKind,
        sequence: u64,
    ) -> Result<Option<Arc<Target>>, ReplayError> {
        let (institution, booked_at) = (transaction.institution, transaction.result.booked_at);
        if kind == ItemKind::Hold {
            let in_order = transaction.postings.iter().enumerate().all(|(at, p)| usize::from(p.index) == at);
            if !in_order || transaction.postings.len() < POSTINGS_MIN {
                return Err(differs(sequence, "its postings are not those of a hold"));
            }
            return Ok(Some(Arc::new(Target::placed_by(transaction))));
        }
        if !kind.names_hold() {
            return Ok(None);
        }
        let hold = self.coordinator.replay_find_hold(institution, transaction.link);
        let hold = hold.filter(|hold| hold.sequence == transaction.link_sequence);
        let hold = hold.ok_or_else(|| differs(sequence, "the hold that it names is not open"))?;
        if kind == ItemKind::Expiry && (hold.expires_at == 0 || booked_at < hold.expires_at) {
            return Err(differs(sequence, "its hold is not due"));
        }
        let late = hold.expires_at != 0 && booked_at >= hold.expires_at;
        if late && matches!(kind, ItemKind::Increase | ItemKind::Capture) {
            return Err(differs(sequence, "it comes after the expiry of its hold"));
        }
        Ok(Some(hold))
    }

    fn apply_posting(
        &mut self,
        transaction: &TransactionRecord,
        kind: ItemKind,
        hold: Option<&Target>,
        sequence: u64,
        posting: &PostingRecord,
    ) -> Result<(), ReplayError> {
        let key = AccountKey { institution: transaction.institution, account: posting.account };
        let (amount, freed) = (posting.amount as i128, posting.held.freed as i128);
        let (posted, reserved) = match kind {
            ItemKind::Post | ItemKind::Reverse => (amount, 0),
            ItemKind::Hold | ItemKind::Increase => (0, amount),
            ItemKind::Capture => (amount, -(amount + freed)),
            ItemKind::Release | ItemKind::Expiry => (0, -freed),
        };
        let own =
            |p: &&NamedPosting| p.account == posting.account && p.asset == posting.asset && p.side == posting.side;
        if let Some(hold) = hold
            && hold.posting(posting.index).filter(own).is_none()
        {
            return Err(differs(sequence, "a posting differs from the hold's"));
        }
        let shard = self.shard(&key);
        let found = shard.replay(&key, posting.asset, (posting.side, posted, reserved), sequence);
        let recorded = EntryResult {
            version: Version::new(posting.result.version, posting.result.alarm),
            balance: posting.result.balance,
            previous: posting.previous,
        };
        compare(posting.account, sequence, recorded, found.map(|(entry, _)| entry))?;
        if kind == ItemKind::Post {
            return Ok(());
        }
        let target = hold.map_or(transaction.link_sequence, |hold| hold.sequence);
        let name = PostingName { target, index: posting.index };
        let before = shard.named(name);
        let (known, left) = (before.unwrap_or(0), posting.held.left as i128);
        // What an original has left to reverse says how much it was, as long as nothing else is known of it.
        let (now, fits) = match kind {
            ItemKind::Reverse => (known + amount, true),
            ItemKind::Hold => (amount, before.is_none() && left == amount),
            ItemKind::Increase => (known + amount, before.is_some() && left == known + amount),
            _ => (known - amount - freed, before.is_some() && left == known - amount - freed && left >= 0),
        };
        shard.replay_named(name, Some(now));
        if !fits || found.is_some_and(|(_, held)| held != posting.held.held) {
            let what =
                format!("account {:#x} has amounts recorded that the rows before it do not give", posting.account);
            return Err(differs(sequence, &what));
        }
        Ok(())
    }
}

/// Whether a posted row closes the hold that it names.
pub(crate) fn closes(transaction: &TransactionRecord, kind: ItemKind) -> bool {
    match kind {
        ItemKind::Capture => transaction.is_final || transaction.takes_all,
        ItemKind::Release | ItemKind::Expiry => true,
        _ => false,
    }
}

#[cold]
pub(crate) fn differs(row: u64, what: &str) -> ReplayError {
    ReplayError::Differs { row, what: what.to_string() }
}

/// A recorded entry against the one that replay gives; none: there is no such account.
#[inline(always)]
fn compare(account: u128, row: u64, recorded: EntryResult, found: Option<EntryResult>) -> Result<(), ReplayError> {
    // By their bits, in registers: an entry that was just made is slow to read as one piece of memory.
    let same = found.is_some_and(|found| {
        let words = [recorded.version.bits() ^ found.version.bits(), recorded.previous ^ found.previous];
        let balance = recorded.balance ^ found.balance;
        words[0] | words[1] | balance as u64 | (balance >> 64) as u64 == 0
    });
    if same { Ok(()) } else { Err(unlike(account, row, recorded, found)) }
}

#[cold]
#[inline(never)]
fn unlike(account: u128, row: u64, recorded: EntryResult, found: Option<EntryResult>) -> ReplayError {
    let Some(found) = found else {
        return differs(row, &format!("its account {account:#x} does not exist or is kept in another asset"));
    };
    let text = |e: EntryResult| {
        format!("version {}, balance {}, previous entry {}", e.version.number(), e.balance, e.previous)
    };
    let alarm = if recorded.version.alarm() == found.version.alarm() { "" } else { " (the alarm flags differ)" };
    let what = format!(
        "account {account:#x} has {} recorded, but the rows before it give {}{alarm}",
        text(recorded),
        text(found)
    );
    differs(row, &what)
}
