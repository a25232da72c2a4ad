//! Holds: placed, increased, captured, released, expired.

use num_bigint::BigInt;

use super::account::Movement;
use super::item::*;
use super::number::*;
use super::posting::{Part, Refusal};
use super::{AMOUNT_MAX, Deed, Entry, Model, Verdict};

/// Most holds that expire before the items of one round.
const EXPIRIES_MAX: usize = 1_024;

/// A hold that was placed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hold {
    /// Its postings; the amount of each is what is left of it.
    left: Vec<Part>,
    expires_at: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// Captured finally or released.
    Closed,
    Expired,
}

impl Model {
    /// The postings that an increase, capture or release means, if the hold is there to be named. Those of a release
    /// are none, since nothing can refuse them.
    pub(super) fn parts_of_hold(&self, institution: u32, item: &Item) -> Result<Vec<Part>, Refusal> {
        let Some(hold) = self.holds.get(&(institution, item.link)) else { return Err((HOLD_UNKNOWN, 0)) };
        let is_late = hold.expires_at.is_some_and(|at| self.next_booked_at() >= at);
        match hold.state {
            State::Closed => return Err((HOLD_CLOSED, 0)),
            State::Expired => return Err((HOLD_EXPIRED, 0)),
            State::Open if is_late && item.kind != RELEASE => return Err((HOLD_EXPIRED, 0)),
            State::Open => {}
        }
        if item.kind == CAPTURE && item.postings.is_empty() {
            return Ok(hold.left.clone());
        }
        let part = |p: &Posting| {
            let part = hold.left.get(usize::from(p.index)).ok_or((POSTING_UNKNOWN, 0))?;
            Ok(Part { amount: p.amount.into(), ..part.clone() })
        };
        item.postings.iter().map(part).collect()
    }

    /// Whether more is captured than is left of a posting.
    pub(super) fn exceeds_hold(&self, institution: u32, item: &Item, parts: &[&Part]) -> Option<u16> {
        let left = &self.holds[&(institution, item.link)].left;
        parts.iter().any(|part| part.amount > left[part.index].amount).then_some(EXCEEDS_HOLD)
    }

    /// Whether more would be held by a posting than an amount may be.
    pub(super) fn above_hold_max(&self, institution: u32, item: &Item, parts: &[&Part]) -> Option<u16> {
        let left = &self.holds[&(institution, item.link)].left;
        let above = |part: &&Part| &left[part.index].amount + &part.amount > BigInt::from(AMOUNT_MAX);
        parts.iter().any(above).then_some(HOLD_ABOVE_MAX)
    }

    /// Places a hold.
    pub(super) fn place(&mut self, institution: u32, item: &Item, parts: &[Part], verdict: Verdict) -> Vec<Movement> {
        let timeout = u64::from(item.timeout) * 1_000_000_000;
        let expires_at = (item.timeout != 0).then(|| verdict.booked_at + timeout);
        let hold = Hold { left: parts.to_vec(), expires_at, state: State::Open };
        self.holds.insert((institution, item.id), hold);
        parts.iter().map(|part| reserve(part, &part.amount)).collect()
    }

    /// Adds to a hold.
    pub(super) fn increase(&mut self, institution: u32, hold: u128, parts: &[Part]) -> Vec<Movement> {
        let hold = self.holds.get_mut(&(institution, hold)).expect("it was checked");
        let mut movements = vec![];
        for part in parts {
            let left = &mut hold.left[part.index].amount;
            *left += &part.amount;
            movements.push(reserve(part, left));
        }
        movements
    }

    /// Takes the captured amounts out of a hold, and finally frees what is left of every posting.
    pub(super) fn take(&mut self, institution: u32, hold: u128, parts: &[Part], is_final: bool) -> Vec<Movement> {
        let hold = self.holds.get_mut(&(institution, hold)).expect("it was checked");
        let mut movements = vec![];
        for (index, posting) in hold.left.iter_mut().enumerate() {
            let captured: BigInt = parts.iter().filter(|part| part.index == index).map(|part| &part.amount).sum();
            let freed = if is_final { &posting.amount - &captured } else { BigInt::ZERO };
            let taken = &captured + &freed;
            if taken == BigInt::ZERO {
                continue;
            }
            posting.amount -= &taken;
            movements.push(Movement {
                account: posting.account,
                index,
                side: posting.side,
                posts: captured.clone(),
                reserves: -taken,
                amount: captured,
                freed,
                left: posting.amount.clone(),
            });
        }
        if is_final {
            hold.state = State::Closed;
        }
        movements
    }

    /// Whether a hold was placed under this id and was not closed since.
    pub fn has_open_hold(&self, institution: u32, id: u128) -> bool {
        self.holds.get(&(institution, id)).is_some_and(|hold| hold.state == State::Open)
    }

    /// Holds that are due in the present round, in the order in which they expire: expiry, institution, id.
    pub fn due(&self) -> Vec<(u64, u32, u128)> {
        let open = self.holds.iter().filter(|(_, hold)| hold.state == State::Open);
        let expiring = open.filter_map(|(key, hold)| Some((hold.expires_at?, key.0, key.1)));
        let mut due: Vec<(u64, u32, u128)> = expiring.filter(|(at, ..)| *at <= self.round.time).collect();
        due.sort_unstable();
        due
    }

    /// A hold expires, as the log says. Panics unless it may: it is due in the present round, comes after those that
    /// expired in it before, no item of the round came before it and the round may have one more. A hold that is due may
    /// be passed over for a while, until what was asked of it is decided.
    pub fn expire(&mut self, institution: u32, hold: u128) -> (Verdict, Vec<Entry>) {
        let due = self.due().into_iter().find(|(_, i, h)| (*i, *h) == (institution, hold));
        let due = due.unwrap_or_else(|| panic!("hold {hold:#x} expires before it is due"));
        assert!(self.round.last_expired.is_none_or(|last| last < due), "holds expire in another order");
        self.round.last_expired = Some(due);
        assert!(!self.round.has_items, "hold {hold:#x} expires after an item of its round");
        assert!(self.round.expiries < EXPIRIES_MAX, "too many holds expire in one round");
        self.round.expiries += 1;
        let verdict = self.book(POSTED, 0);
        let movements = self.take(institution, hold, &[], true);
        self.holds.get_mut(&(institution, hold)).expect("it is due").state = State::Expired;
        let entries = self.enter_all(institution, verdict.sequence, movements);
        self.record(institution, Deed::Expiry(hold), verdict, entries.clone());
        (verdict, entries)
    }

    /// Lets all holds expire that must before the items of the present round, for runs that have no log to follow.
    pub fn expire_due(&mut self) {
        for (_, institution, hold) in self.due().into_iter().take(EXPIRIES_MAX) {
            self.expire(institution, hold);
        }
    }
}

/// A posting that reserves its amount, after which so much is left of it.
fn reserve(part: &Part, left: &BigInt) -> Movement {
    Movement {
        account: part.account,
        index: part.index,
        side: part.side,
        reserves: part.amount.clone(),
        amount: part.amount.clone(),
        left: left.clone(),
        ..Movement::default()
    }
}
