//! What memory does not know of a request's ids: whether runs have them, how the holds that they name ended, which originals they
//! name. It is looked up elsewhere and comes back as [`Facts`].
//!
//! Most of it is asked for when a request arrives, so that nobody waits but those behind it on its connection. What has become
//! necessary since, because other runs were taken over, is asked for when the request's turn comes.

use super::{Command, Coordinator, Request, Ticket};
use crate::dedup::TOUCHED_AT_ONCE;
use crate::directory::refusal_of_closed;
use crate::link::{Facts, OldId, Wanted};
use crate::outcome::Outcome;
use crate::request::{ItemKind, PostRequest};

/// It has to be looked up first.
pub(super) struct Ask;

impl Coordinator {
    /// What has to be looked up for a request that arrives, and, if all its ids were looked at, for which of its items.
    pub fn wanted_by(&self, request: &PostRequest) -> (Wanted, Option<Vec<u32>>) {
        // Ids in the order of time are new: where the first and the last are, the others are believed to be until their turn.
        let ends = [0, request.count() - 1].map(|at| self.dedup.old().is_in_range(request.id(at)));
        if !ends.contains(&true) && !request.has_links() {
            return (Wanted::default(), None);
        }
        let (wanted, items) = self.wanted(request, 0, &Facts::default());
        (wanted, (self.covered() > 0).then_some(items))
    }

    /// What has to be looked up for a request's items from one on, and those whose own ids are among it.
    fn wanted(&self, request: &PostRequest, from: usize, facts: &Facts) -> (Wanted, Vec<u32>) {
        let institution = request.institution;
        let mut wanted = Wanted { institution, state: self.dedup.state(), ..Wanted::default() };
        let has_runs = self.covered() > 0;
        let mut items = Vec::new();
        for first in (from..request.count()).step_by(TOUCHED_AT_ONCE).filter(|_| has_runs) {
            let ids: Vec<u128> =
                (first..request.count().min(first + TOUCHED_AT_ONCE)).map(|at| request.id(at)).collect();
            let hashes = self.dedup.touch(institution, ids.iter().copied());
            let unknown = |(at, id): &(usize, &u128)| {
                self.dedup.may_be_old_touched(&hashes, *at) && self.used_by(facts, institution, **id).is_err()
            };
            for (at, id) in ids.iter().enumerate().filter(unknown) {
                items.push((first + at) as u32);
                wanted.ids.push(*id);
            }
        }
        if request.has_links() {
            for view in (from..request.count()).map(|at| request.item(at)) {
                match view.kind {
                    Some(ItemKind::Reverse) => self.want_original(&mut wanted, view.link, facts),
                    Some(kind)
                        if has_runs && kind.names_hold() && self.holds.find(institution, view.link).is_none() =>
                    {
                        wanted
                            .ids
                            .extend(self.closed_hold(facts, institution, view.link).is_err().then_some(view.link));
                    }
                    _ => {}
                }
            }
        }
        wanted.ids.sort_unstable();
        wanted.ids.dedup();
        wanted.originals.sort_unstable();
        wanted.originals.dedup();
        (wanted, items)
    }

    fn want_original(&self, wanted: &mut Wanted, id: u128, facts: &Facts) {
        match self.used_by(facts, wanted.institution, id) {
            Ok(Some(sequence)) if sequence < self.next_sequence && !self.in_memory(sequence) => {
                wanted.originals.extend((!facts.originals.contains_key(&id)).then_some((id, Some(sequence))));
            }
            Ok(_) => {}
            Err(Ask) => wanted.originals.push((id, None)),
        }
    }

    /// Asks for what the rest of a request needs that only runs and the log know.
    pub(super) fn fetch(&mut self, request: &PostRequest, from: usize, facts: &Facts, ticket: Ticket) {
        let (wanted, _) = self.wanted(request, from, facts);
        self.ask(ticket, wanted);
    }

    /// The same for account changes or a control record at the front; false if nothing is needed.
    pub(super) fn fetch_front(&mut self) -> bool {
        let Some(front) = self.waiting.front() else { return false };
        let (institution, ids): (u32, Vec<u128>) = match &front.request {
            Request::Change(request) => {
                let ids = (front.taken..request.count()).map(|item| request.change(item).row.id.get());
                (request.institution, ids.collect())
            }
            Request::Control(request) => (request.institution, vec![request.id]),
            _ => return false,
        };
        let unknown = |id: &u128| self.used_by(&front.facts, institution, *id).is_err();
        let ids: Vec<u128> = ids.into_iter().filter(unknown).collect();
        if ids.is_empty() {
            return false;
        }
        let (ticket, state) = (front.ticket, self.dedup.state());
        self.ask(ticket, Wanted { institution, ids, originals: Vec::new(), state });
        true
    }

    fn ask(&mut self, ticket: Ticket, wanted: Wanted) {
        assert!(!wanted.is_empty(), "something is asked for");
        self.awaiting = Some(ticket);
        self.commands.push_back(Command::Fetch { ticket, wanted });
    }

    /// The row that used an id, if one did.
    pub(super) fn used_by(&self, facts: &Facts, institution: u32, id: u128) -> Result<Option<u64>, Ask> {
        if let Some(sequence) = self.dedup.find(institution, id) {
            return Ok(Some(sequence));
        }
        self.old_id(facts, institution, id).map(|found| found.map(|old| old.sequence))
    }

    /// Why an item is refused that names a hold which is not open.
    pub(super) fn closed_hold(&self, facts: &Facts, institution: u32, id: u128) -> Result<Outcome, Ask> {
        let here = refusal_of_closed(self.dedup.closed(institution, id));
        if here != Outcome::HoldUnknown {
            return Ok(here);
        }
        self.old_id(facts, institution, id).map(|found| refusal_of_closed(found.and_then(|old| old.closed)))
    }

    /// What runs know of an id.
    fn old_id(&self, facts: &Facts, institution: u32, id: u128) -> Result<Option<OldId>, Ask> {
        if facts.state == self.dedup.state() {
            if let Some(found) = facts.old.get(&id) {
                return Ok(*found);
            }
            if facts.looked_at.is_some() {
                return Ok(None);
            }
        }
        if self.dedup.may_be_old(institution, id) { Err(Ask) } else { Ok(None) }
    }

    /// Lets ids go that runs cover, once the rounds that were under way when the runs came are finished: an item of theirs may ask how
    /// a hold ended.
    pub(super) fn retire_ids(&mut self) {
        let Some((upto, round)) = self.retiring else { return };
        if self.barrier.is_none() && self.in_flight.front().is_none_or(|oldest| oldest.round.number >= round) {
            self.dedup.retire(upto);
            self.retiring = None;
        }
    }
}
