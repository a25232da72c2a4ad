//! A shard: owns a part of the accounts and is the only place that holds balances, what is left of holds, and what was
//! reversed.
//!
//! It goes through each round in sequence order. Alone, it checks and applies in one pass. With others it votes (`vote`) by the
//! interval of what each balance can be once everything undecided is decided, says `maybe` where that leaves doubt, and
//! applies what the coordinator accepted. It never waits and never asks back.

mod changes;
mod vote;

pub use changes::{ChangeResult, Changes};
pub use vote::{Ballot, DoubtfulAccount, Finished, Vote};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use florin_planted::{Fault, planted};

use crate::account::{AccountKey, Effect, EntryResult, HeldResult};
use crate::accounts::{Account, Accounts};
use crate::check::{check_balances, check_posting};
use crate::entry::{AccountRecord, Status};
use crate::limits::OPEN_ROUNDS_MAX;
use crate::link::{Link, PostingName};
use crate::outcome::Outcome;
use crate::request::{AccountRow, Field, ItemKind, PostRequest, Side, TransferRow};
use crate::round::{Decision, Results, Round, RoundItem, RoundPosting, plain_effect};
use crate::snapshot::AccountState;
use vote::Undecided;

/// Items whose accounts are looked up together, so that the memory accesses of one overlap with the others'.
const BATCH: usize = 64;

/// A shard's word on one opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenVote {
    /// There is no such account.
    New,
    /// There is one with the same fields.
    Same {
        /// Sequence number of its opening.
        opened: u64,
        /// Booked-at of its opening.
        opened_at: u64,
    },
    /// There is one with other fields.
    Differs(Field),
}

/// A round of openings.
#[derive(Debug)]
pub struct Opening {
    /// The round.
    pub number: u64,
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// The accounts, of checked shape. An id may come twice; the coordinator opens it once.
    pub rows: Vec<AccountRow>,
}

/// Owner of a part of the accounts.
pub struct Shard {
    index: u8,
    shards: usize,
    accounts: Accounts,
    /// What is left of each posting of an open hold, and what was reversed of each posting of an original.
    named: HashMap<PostingName, i128>,
    undecided: Undecided,
    /// Decisions of the last rounds that were run in one pass, oldest first: an original may be in one of them.
    ran: VecDeque<(u64, Arc<Vec<Decision>>)>,
    finished: u64,
}

impl Shard {
    /// An empty shard, number `index` of `shards`. The seed should be random.
    pub fn new(index: u8, shards: usize, seed: u64) -> Shard {
        Shard {
            index,
            shards,
            accounts: Accounts::new(seed),
            named: HashMap::new(),
            undecided: Undecided::default(),
            ran: VecDeque::new(),
            finished: 0,
        }
    }

    /// Its number.
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How many accounts it owns.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// Check, apply and emit in one pass: a round when this is the only shard. A hold that is not open here refuses as `hold_unknown`;
    /// the coordinator says more exactly why.
    pub fn run(&mut self, round: &Round) -> (Arc<Vec<Decision>>, Results) {
        assert!(self.shards == 1 && !self.has_open_rounds(), "one pass is for a shard that owns every account");
        let mut decisions: Vec<Decision> = Vec::with_capacity(round.items.len());
        let mut results = Results {
            entries: Vec::with_capacity(round.posting_count()),
            held: vec![HeldResult::default(); round.held as usize],
        };
        let (mut keys, mut slots) = (Vec::with_capacity(BATCH * 2), Vec::with_capacity(BATCH * 2));
        for batch in round.items.chunks(BATCH) {
            let from = round.effects_of(&batch[0]).start;
            keys.clear();
            for item in batch {
                keys.extend((0..usize::from(item.effects)).map(|n| round.key(item, n)));
            }
            self.accounts.find_all(&keys, &mut slots);
            for item in batch {
                let slots = &slots[round.effects_of(item).start - from..];
                let position = decisions.len();
                let sequence = round.first_sequence + position as u64;
                let decision = match round.plain(item) {
                    Some((request, row)) => {
                        let slots = [slots[0], slots[1]];
                        self.run_plain(request, row, item.forced, slots, sequence, &mut results.entries)
                    }
                    None => self.run_item(round, item, &decisions, slots, &mut results),
                };
                if !decision.is_posted() {
                    results.entries.resize(round.entries_of(item).end, EntryResult::default());
                }
                decisions.push(decision);
            }
        }
        assert_eq!(results.entries.len(), round.posting_count(), "a result per posting");
        let decisions = Arc::new(decisions);
        if self.ran.len() == OPEN_ROUNDS_MAX {
            self.ran.pop_front();
        }
        self.ran.push_back((round.number, decisions.clone()));
        self.finished = round.number;
        (decisions, results)
    }

    /// Checks and applies a plain transfer.
    #[inline]
    fn run_plain(
        &mut self,
        request: &PostRequest,
        row: &TransferRow,
        forced: bool,
        slots: [u32; 2],
        sequence: u64,
        entries: &mut Vec<EntryResult>,
    ) -> Decision {
        for n in [0, 1] {
            let effect = plain_effect(request, row, n);
            let checked = self.accounts.get(slots[n]).ok_or(Outcome::AccountUnknown).and_then(|account| {
                account.check_facts(&effect, forced)?;
                let (balances, limits) = self.accounts.standing(account);
                check_posting(&effect, account.normal_side, &limits, balances, forced)
            });
            if let Err(outcome) = checked {
                if n == 1 && planted(Fault::RefusedMakesVersion) {
                    self.accounts.note_change(slots[0] as usize, sequence);
                }
                return Decision { outcome, detail: n as u16 };
            }
        }
        let amount = row.amount.get() as i128;
        for (slot, side) in [(slots[0], Side::Debit), (slots[1], Side::Credit)] {
            entries.push(self.accounts.apply(slot as usize, side, amount, 0, sequence));
        }
        Decision::POSTED
    }

    /// Checks and applies an item of any kind. `decided`: the decisions of its own round so far.
    fn run_item(
        &mut self,
        round: &Round,
        item: &RoundItem,
        decided: &[Decision],
        slots: &[u32],
        results: &mut Results,
    ) -> Decision {
        let position = decided.len();
        if let Some(outcome) = self.check_link(round, item, position, decided).or(item.refused) {
            return Decision::refused(outcome);
        }
        for (n, &slot) in slots[..usize::from(item.effects)].iter().enumerate() {
            if let Err(outcome) = self.check(round, item, n, slot) {
                return Decision { outcome, detail: u16::from(round.effect(item, n).first_posting) };
            }
        }
        let sequence = round.first_sequence + position as u64;
        let held_from = round.held_of(item).start;
        for (offset, posting) in round.postings(item).enumerate() {
            let slot = slots[usize::from(posting.effect)] as usize;
            if item.kind == ItemKind::Post {
                let amount = posting.amount as i128;
                results.entries.push(self.accounts.apply(slot, posting.side, amount, 0, sequence));
            } else {
                let (entry, held) = self.apply_held(round, item, &posting, slot, sequence);
                results.entries.push(entry);
                results.held[held_from + offset] = held;
            }
        }
        Decision::POSTED
    }

    /// What the item names, as the only shard knows it: whether the hold is open, whether the original was posted.
    fn check_link(&self, round: &Round, item: &RoundItem, position: usize, decided: &[Decision]) -> Option<Outcome> {
        match round.link(item)? {
            Link::Hold(_) if item.kind == ItemKind::Hold => None,
            Link::Hold(hold) => {
                let first = PostingName { target: hold.sequence, index: 0 };
                let late = hold.expires_at != 0 && round.booked_at(position) >= hold.expires_at;
                let late = late && !planted(Fault::ExpiryIgnored);
                match (self.named.contains_key(&first), item.kind) {
                    (false, _) => Some(Outcome::HoldUnknown),
                    (true, ItemKind::Increase | ItemKind::Capture) if late => Some(Outcome::HoldExpired),
                    (true, _) => None,
                }
            }
            Link::Original { undecided: None, .. } => None,
            Link::Original { undecided: Some((number, at)), .. } => {
                let decision = match *number == round.number {
                    true => decided[*at as usize],
                    false => {
                        let ran = self.ran.iter().find(|(n, _)| n == number);
                        ran.expect("an original that was undecided is in one of the last rounds").1[*at as usize]
                    }
                };
                (!decision.is_posted()).then_some(Outcome::OriginalNotPosted)
            }
        }
    }

    /// The whole list of one account's checks, at its exact balance.
    #[inline(always)]
    fn check(&self, round: &Round, item: &RoundItem, n: usize, slot: u32) -> Result<(), Outcome> {
        let effect = round.effect(item, n);
        let account = self.check_facts(item, &effect, slot)?;
        let (balances, limits) = self.accounts.standing(account);
        let named = |name: PostingName, _| self.named.get(&name).copied().unwrap_or(0);
        check_balances(round, item, (n, &effect), (account.normal_side, &limits), balances, true, named)
    }

    /// The checks that undecided items cannot change: account changes are barriers between rounds.
    #[inline(always)]
    fn check_facts(&self, item: &RoundItem, effect: &Effect, slot: u32) -> Result<&Account, Outcome> {
        let account = self.accounts.get(slot).ok_or(Outcome::AccountUnknown)?;
        match item.kind {
            ItemKind::Release | ItemKind::Expiry => {}
            ItemKind::Capture => {
                if account.status == Status::Closed && !effect.only_freed {
                    return Err(Outcome::AccountClosed);
                }
            }
            _ => account.check_facts(effect, item.forced)?,
        }
        Ok(account)
    }

    /// Applies a posting of an accepted item that is not a post. No entry (version 0) if it changes nothing.
    fn apply_held(
        &mut self,
        round: &Round,
        item: &RoundItem,
        posting: &RoundPosting,
        slot: usize,
        sequence: u64,
    ) -> (EntryResult, HeldResult) {
        let name = round.name(item, posting);
        let asked = posting.amount as i128;
        let known = self.named.get(&name).copied().unwrap_or(0);
        // Posted, freed, added to what is reserved, and what is left of the hold or reversed of the original.
        let (posted, freed, reserved, now) = match item.kind {
            ItemKind::Hold | ItemKind::Increase => (0, 0, asked, known + asked),
            ItemKind::Capture | ItemKind::Release | ItemKind::Expiry => {
                let captured = if item.takes_all { known } else { asked };
                let freed = if item.is_final { known - captured } else { 0 };
                (captured, freed, -(captured + freed), known - captured - freed)
            }
            ItemKind::Reverse if planted(Fault::ReversalsNotAddedUp) => (asked, 0, 0, asked),
            ItemKind::Reverse => (asked, 0, 0, known + asked),
            ItemKind::Post => unreachable!("posts have a path of their own"),
        };
        let closes = item.is_final && item.kind != ItemKind::Reverse;
        if closes {
            self.named.remove(&name);
        } else {
            self.named.insert(name, now);
        }
        if closes && posted + freed == 0 {
            return (EntryResult::default(), HeldResult::default());
        }
        let left = match item.kind {
            ItemKind::Reverse => {
                let original = round.link(item).and_then(|link| link.target().posting(posting.index));
                original.expect("a posting of the original").amount - now as u128
            }
            _ => now as u128,
        };
        let amount = if posted == 0 { asked } else { posted };
        let entry = self.accounts.apply(slot, posting.side, posted, reserved, sequence);
        let held = self.accounts.reserved(slot, posting.side);
        (entry, HeldResult { amount: amount as u128, freed: freed as u128, left, held })
    }

    /// Votes on this shard's part of a round of openings, a vote per row of its own, in order.
    pub fn prepare_opening(&self, opening: &Opening) -> Vec<OpenVote> {
        assert!(!self.has_open_rounds(), "openings are a barrier between rounds");
        self.own_rows(opening)
            .map(|(_, key, row)| match self.accounts.find(&key) {
                None => OpenVote::New,
                Some(slot) => match self.accounts.first_difference(slot, row) {
                    Some(field) => OpenVote::Differs(field),
                    None => {
                        let (opened, opened_at) = (self.accounts.opened(slot), self.accounts.opened_at(slot));
                        OpenVote::Same { opened, opened_at }
                    }
                },
            })
            .collect()
    }

    /// Opens the accounts of this shard among those that got a sequence number (0 = did not).
    pub fn finish_opening(&mut self, opening: &Opening, sequences: &[u64], booked_at: &[u64]) {
        let own: Vec<(usize, AccountKey)> = self.own_rows(opening).map(|(at, key, _)| (at, key)).collect();
        for (at, key) in own {
            if sequences[at] != 0 {
                self.open_account(key, &opening.rows[at], sequences[at], booked_at[at]);
            }
        }
        self.finished = opening.number;
    }

    /// Takes note of a round that has nothing for a shard to do.
    pub fn pass(&mut self, number: u64) {
        assert!(!self.has_open_rounds(), "control records are a barrier between rounds");
        self.finished = number;
    }

    fn own_rows<'a>(&'a self, opening: &'a Opening) -> impl Iterator<Item = (usize, AccountKey, &'a AccountRow)> + 'a {
        opening.rows.iter().enumerate().filter_map(move |(at, row)| {
            let key = AccountKey { institution: opening.institution, account: row.account.get() };
            (key.home(self.shards) == self.index).then_some((at, key, row))
        })
    }

    /// Opens an account that does not exist yet.
    pub fn open_account(&mut self, key: AccountKey, row: &AccountRow, sequence: u64, booked_at: u64) {
        self.accounts.open(key, row, sequence, booked_at);
        self.undecided.grow(self.accounts.len(), self.shards);
    }

    /// Takes over an account of a snapshot; false if it is there already or an account that was opened later.
    pub fn restore_account(&mut self, account: &AccountState) -> bool {
        let is_new = self.accounts.restore(account);
        self.undecided.grow(self.accounts.len(), self.shards);
        is_new
    }

    /// Makes a recorded entry again, whatever the limits say now: the log has decided. `amount` is posted, `reserved` added to
    /// what holds reserve on that side.
    pub fn replay(
        &mut self,
        key: &AccountKey,
        asset: u32,
        (side, amount, reserved): (Side, i128, i128),
        sequence: u64,
    ) -> Option<(EntryResult, i128)> {
        let slot = self.accounts.find(key)?;
        let entry = self.replay_at(slot as u32, asset, (side, amount, reserved), sequence)?;
        Some((entry, self.accounts.reserved(slot, side)))
    }

    /// The same for the account at a slot that [`Accounts::find_all`] gave.
    #[inline]
    pub fn replay_at(
        &mut self,
        slot: u32,
        asset: u32,
        (side, amount, reserved): (Side, i128, i128),
        sequence: u64,
    ) -> Option<EntryResult> {
        self.accounts.get(slot)?;
        if self.accounts.asset(slot as usize) != asset {
            return None;
        }
        Some(self.accounts.apply(slot as usize, side, amount, reserved, sequence))
    }

    /// Sets what is left of a posting of a hold, or was reversed of one of an original, as the log says; none: the hold is
    /// closed. Gives what it was.
    pub fn replay_named(&mut self, name: PostingName, now: Option<i128>) -> Option<i128> {
        match now {
            Some(now) => self.named.insert(name, now),
            None => self.named.remove(&name),
        }
    }

    /// What is left of a posting of an open hold, or was reversed of one of an original.
    pub fn named(&self, name: PostingName) -> Option<i128> {
        self.named.get(&name).copied()
    }

    /// All that is left of holds or was reversed of originals, in no order.
    pub fn all_named(&self) -> impl Iterator<Item = (PostingName, i128)> + '_ {
        self.named.iter().map(|(name, now)| (*name, *now))
    }

    /// Sets the last finished round after a replay.
    pub fn resume_after(&mut self, number: u64) {
        self.finished = number;
    }

    /// An account by its name.
    pub fn look_up(&self, key: &AccountKey) -> Option<AccountRecord> {
        Some(self.accounts.record(self.accounts.find(key)?))
    }

    /// Accounts of an institution opened after the row `after`, oldest first.
    pub fn list(&self, institution: u32, after: u64, limit: usize) -> Vec<AccountRecord> {
        (self.accounts.opened_after(after)..self.accounts.len())
            .filter(|&slot| self.accounts.key(slot).institution == institution)
            .take(limit)
            .map(|slot| self.accounts.record(slot))
            .collect()
    }

    /// Its accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}
