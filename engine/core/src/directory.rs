//! The holds that are open, by id: where their postings are and when they expire, but not what is left of them.
//!
//! An entry is made when the hold gets its sequence number and goes when the hold is refused or closed. Rounds are decided in
//! order and items within them too, so whether a hold is open is exact at the moment that an item naming it is decided.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use florin_planted::{Fault, planted};

use crate::dedup::{Closed, Dedup};
use crate::link::{Link, Target};
use crate::outcome::Outcome;
use crate::request::ItemKind;
use crate::round::{Decision, Round, RoundItem};

/// A hold that is open, or not decided yet.
#[derive(Debug)]
struct Entry {
    hold: Arc<Target>,
    /// Whether its placing was decided.
    placed: bool,
    /// Undecided items that could change it.
    pending: u32,
}

/// When, which institution, which hold.
type Due = (u64, u32, u128);

/// The open holds.
#[derive(Debug, Default)]
pub struct Directory {
    open: HashMap<(u32, u128), Entry>,
    /// Holds that were placed and expire, except those whose expiry is under way.
    due: BTreeSet<Due>,
}

impl Directory {
    /// A hold that is open or undecided.
    pub fn find(&self, institution: u32, id: u128) -> Option<&Arc<Target>> {
        self.open.get(&(institution, id)).map(|entry| &entry.hold)
    }

    /// How many holds are open or undecided.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether no hold is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the next hold expires.
    pub fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(time, _, _)| *time)
    }

    /// Holds that are due at `time` and that no undecided item could change, by (expiry, institution, id).
    pub fn due(&self, time: u64) -> impl Iterator<Item = &Arc<Target>> {
        let due = self.due.iter().take_while(move |(at, _, _)| *at <= time);
        due.map(|(_, institution, id)| &self.open[&(*institution, *id)])
            .filter(|entry| entry.pending == 0)
            .map(|entry| &entry.hold)
    }

    /// All holds, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.open.values().map(|entry| &entry.hold)
    }

    /// Takes note of an item that got its sequence number. Booked at `time`.
    pub fn sequenced(&mut self, round: &Round, item: &RoundItem, time: u64) {
        let Some(Link::Hold(hold)) = round.link(item) else { return };
        let key = (hold.institution, hold.id);
        match item.kind {
            ItemKind::Hold => {
                self.open.insert(key, Entry { hold: hold.clone(), placed: false, pending: 0 });
            }
            ItemKind::Expiry => {
                self.due.remove(&(hold.expires_at, hold.institution, hold.id));
            }
            _ if may_change(item, hold, time) => {
                self.open.get_mut(&key).expect("a hold in the directory").pending += 1;
            }
            _ => {}
        }
    }

    /// Why an item is refused for the hold that it names, now that all before it is decided.
    pub fn refusal(&self, ids: &Dedup, hold: &Target, kind: ItemKind, time: u64) -> Option<Outcome> {
        if kind == ItemKind::Hold {
            return None;
        }
        let late = hold.expires_at != 0 && time >= hold.expires_at;
        match self.open.get(&(hold.institution, hold.id)) {
            None => Some(refusal_of_closed(ids.closed(hold.institution, hold.id))),
            Some(_) if planted(Fault::ExpiryIgnored) => None,
            Some(_) if late && matches!(kind, ItemKind::Increase | ItemKind::Capture) => Some(Outcome::HoldExpired),
            Some(_) => None,
        }
    }

    /// Takes note of a decision on the item at a position.
    pub fn decided(&mut self, ids: &mut Dedup, round: &Round, item: &RoundItem, decision: Decision, position: usize) {
        let Some(Link::Hold(hold)) = round.link(item) else { return };
        let (time, sequence) = (round.booked_at(position), round.first_sequence + position as u64);
        let key = (hold.institution, hold.id);
        if item.kind == ItemKind::Hold {
            match decision.is_posted() {
                true => self.place(hold.clone()),
                false if planted(Fault::RefusedHoldStays) => {}
                false => drop(self.open.remove(&key)),
            }
            return;
        }
        if let Some(entry) = self.open.get_mut(&key)
            && may_change(item, hold, time)
        {
            entry.pending -= 1;
        }
        if decision.is_posted() && item.is_final {
            self.close(ids, hold, item.kind, sequence);
        }
    }

    /// A hold was placed.
    pub fn place(&mut self, hold: Arc<Target>) {
        if hold.expires_at != 0 {
            self.due.insert((hold.expires_at, hold.institution, hold.id));
        }
        let entry = self.open.entry((hold.institution, hold.id));
        entry.or_insert(Entry { hold, placed: true, pending: 0 }).placed = true;
    }

    /// A hold was captured finally, released, or has expired, by the row `sequence`.
    pub fn close(&mut self, ids: &mut Dedup, hold: &Target, kind: ItemKind, sequence: u64) {
        self.due.remove(&(hold.expires_at, hold.institution, hold.id));
        let entry = self.open.remove(&(hold.institution, hold.id)).expect("an open hold");
        assert!(entry.placed, "a hold is placed before it is closed");
        ids.close(hold.institution, hold.id, Closed::by(kind), sequence);
    }
}

/// Whether an undecided item could change the hold that it names, so that the hold's expiry has to wait for it.
fn may_change(item: &RoundItem, hold: &Target, time: u64) -> bool {
    let late = hold.expires_at != 0 && time >= hold.expires_at;
    match item.kind {
        ItemKind::Release => true,
        ItemKind::Increase | ItemKind::Capture => item.refused.is_none() && !late,
        _ => false,
    }
}

/// Why an item is refused that names a hold which ended so, or which is not known.
pub fn refusal_of_closed(closed: Option<Closed>) -> Outcome {
    match closed {
        None => Outcome::HoldUnknown,
        Some(Closed::ByClient) => Outcome::HoldClosed,
        Some(Closed::ByExpiry) => Outcome::HoldExpired,
    }
}
