//! How a round is made: due expiries first, then items of what waits, each with its id and what it names looked up.

use std::sync::Arc;

use florin_planted::{Fault, planted};

use super::answers::{Disposition, Dispositions, Part};
use super::lookups::Ask;
use super::{Command, Coordinator, InFlight, Request, Ticket};
use crate::account::EntryResult;
use crate::dedup::{Hashes, TOUCHED_AT_ONCE};
use crate::entry::RowKind;
use crate::frame::{encoded_bytes, encoded_bytes_named};
use crate::limits::{LOG_ROW_BYTES, ROUND_EXPIRIES_MAX};
use crate::link::{Fact, Facts, Link, NamedPosting, Target, expiry, refusal_of_kind};
use crate::outcome::Outcome;
use crate::request::{ItemKind, ItemView, PostRequest, TransferRow};
use crate::round::{Decision, Head, Results, Round, RoundItem, Source};

/// Rounds that what waits is shared out to while shards have little to do.
const ROUNDS_OF_WAITING: usize = 4;

/// What a round has taken, and how many items it may.
#[derive(Default)]
struct Taken {
    most: usize,
    request_bytes: usize,
    frame_bytes: usize,
}

/// What became of the attempt to take an item.
enum Taking {
    Done(Disposition),
    /// The round is full, or has to be finished before the item can be judged.
    Later,
    /// An original has to be read from the log, or an id looked up in runs.
    Fetch,
}

/// The ids of some items that were touched, which of them is an item's, and what was looked up for its request.
type Touched<'a> = (&'a Hashes, usize, &'a Facts);

/// What a reversal names.
enum Original {
    /// It can be reversed if it was posted; if the second is set, it then cannot for that reason.
    Found(Link, Option<Outcome>),
    Refused(Outcome),
    /// It is in a round that has to be finished first.
    Unfinished,
    /// It is in the durable log, or may be, and was not looked up there.
    InLog,
}

impl Coordinator {
    /// Makes at most one round of what waits, at time `now` (nanoseconds since 1970-01-01 UTC), and says whether it did
    /// anything. With `admit` an error, what waits is refused with it instead, and nothing of it is recorded.
    pub fn close_round(&mut self, now: u64, admit: Result<(), Outcome>) -> bool {
        if self.barrier.is_some() || self.awaiting.is_some() || self.in_flight.len() >= self.limits.open_rounds {
            return false;
        }
        self.retire_ids();
        let most = self.most_items();
        let mut round = Round::with_capacity(self.waiting_items.min(most));
        round.number = self.next_round;
        round.first_sequence = self.next_sequence;
        let least = if planted(Fault::ClockBelieved) { 0 } else { self.last_booked_at + 1 };
        round.booked_at = now.max(least);
        let mut parts = Vec::new();
        let mut reads = Vec::new();
        let mut taken = Taken { most, ..Taken::default() };
        let mut progress = false;
        if admit.is_ok() && self.expiries_allowed && !self.lets_barrier_pass() {
            self.take_expiries(&mut round, &mut taken);
        }
        while let Some(front) = self.waiting.front() {
            let ticket = front.ticket;
            let barrier_up = !round.items.is_empty() || !self.in_flight.is_empty();
            let answers_first = !parts.is_empty() || !reads.is_empty();
            let waits = (barrier_up && admit.is_ok()) || answers_first;
            if matches!(front.request, Request::Change(_) | Request::Control(_)) && !waits && self.fetch_front() {
                return true;
            }
            match &self.waiting[0].request {
                Request::Read => {
                    reads.push(ticket);
                    self.waiting.pop_front();
                    progress = true;
                }
                Request::Post { request, want_postings } => {
                    let (request, want_postings, first_item) = (request.clone(), *want_postings, self.waiting[0].taken);
                    let facts = std::mem::take(&mut self.waiting[0].facts);
                    let dispositions = self.take_items(&mut round, (&request, &facts), ticket, &mut taken, admit);
                    let taken = first_item + dispositions.count();
                    let last = taken == request.count();
                    progress |= dispositions.count() > 0;
                    self.waiting_items -= dispositions.count();
                    parts.push(Part { ticket, first_item: first_item as u32, dispositions, want_postings, last });
                    if !last {
                        let front = self.waiting.front_mut().expect("the front is being taken");
                        (front.taken, front.facts) = (taken, facts);
                        break;
                    }
                    self.waiting.pop_front();
                }
                _ if waits => break,
                Request::Open(request) => {
                    let request = request.clone();
                    self.only_expired = false;
                    self.take_openings(ticket, &request, now, admit);
                    return true;
                }
                Request::Change(request) => {
                    let request = request.clone();
                    self.only_expired = false;
                    self.take_changes(ticket, request, now, admit);
                    return true;
                }
                Request::Control(request) => {
                    let request = request.clone();
                    self.only_expired = false;
                    let facts = self.waiting.pop_front().map(|front| front.facts).unwrap_or_default();
                    self.waiting_items -= 1;
                    self.take_control(ticket, (request, &facts), now, admit);
                    return true;
                }
            }
        }
        if round.items.is_empty() {
            self.attach(parts, reads);
            return progress || self.awaiting.is_some();
        }
        self.launch(round, parts, reads);
        true
    }

    /// Most items of the next round. While shards have less than two rounds before them, a large request goes in several, so that one is
    /// made while another is run and a third is written; but none is cut so that little is left, which would wait for a sync of its own.
    fn most_items(&self) -> usize {
        let few = self.limits.transactions_few;
        let share = few.max(self.waiting_items / ROUNDS_OF_WAITING);
        let cut = self.in_flight.len() < 2 && self.waiting_items >= share + few / 2;
        if cut { self.limits.transactions.min(share) } else { self.limits.transactions }
    }

    /// Whether what is due has to let a barrier pass that waits at the front: else a stream of holds that fall due would keep
    /// it, and all behind it, from its turn.
    fn lets_barrier_pass(&self) -> bool {
        let front = self.waiting.front().map(|front| &front.request);
        let barrier = matches!(front, Some(Request::Open(_) | Request::Change(_) | Request::Control(_)));
        barrier && self.only_expired
    }

    /// Lets holds expire that are due when the round is booked. They leave half of the round to items that wait.
    fn take_expiries(&mut self, round: &mut Round, taken: &mut Taken) {
        let share = if self.waiting.is_empty() { 1 } else { 2 };
        let most = ROUND_EXPIRIES_MAX.min(self.limits.transactions.div_ceil(share));
        let (postings, bytes) = (self.limits.postings / share, self.limits.frame_bytes / share);
        let due: Vec<Arc<Target>> = self.holds.due(round.booked_at).take(most).cloned().collect();
        for hold in due {
            let encoded = encoded_bytes_named(0, hold.postings.len());
            let fits = round.posting_count() + hold.postings.len() <= postings && taken.frame_bytes + encoded <= bytes;
            if !fits && !round.items.is_empty() {
                return;
            }
            let open_day = self.institutions.open_day(hold.institution);
            let head = Head { source: Source::Expiry, institution: hold.institution, open_day };
            round.push_named(&head, None, Link::Hold(hold), None, self.shards);
            taken.frame_bytes += encoded;
            self.note_sequenced(round);
        }
    }

    /// Takes items of a request into the round until it is full.
    fn take_items(
        &mut self,
        round: &mut Round,
        (request, facts): (&Arc<PostRequest>, &Facts),
        ticket: Ticket,
        taken: &mut Taken,
        admit: Result<(), Outcome>,
    ) -> Dispositions {
        let first_item = self.waiting.front().expect("the front is being taken").taken;
        let mut dispositions = Dispositions::default();
        let bytes = request.payload_bytes() / request.count();
        let source = round.requests.len() as u32;
        round.requests.push(request.clone());
        let known = self.institutions.contains(request.institution);
        let open_day = self.institutions.open_day(request.institution);
        let head = |item: usize| Head {
            source: Source::Request { request: source, item: item as u32 },
            institution: request.institution,
            open_day,
        };
        let simple = request.transfers().filter(|_| known && admit.is_ok());
        // What was looked at when the request came need not be again: with ids at random each look at the runs is a miss of the cache.
        let looked_at = facts.looked_at.as_deref().filter(|_| facts.state == self.dedup.state());
        let mut hashes = Hashes::default();
        for item in first_item..request.count() {
            let ahead = (item - first_item) % TOUCHED_AT_ONCE;
            if ahead == 0 {
                let ids = (item..request.count().min(item + TOUCHED_AT_ONCE)).map(|at| request.id(at));
                hashes = match looked_at {
                    Some(perhaps) => self.dedup.touch_looked_at(request.institution, ids, item as u32, perhaps),
                    None => self.dedup.touch(request.institution, ids),
                };
            }
            if let Some(row) = simple.map(|rows| &rows[item])
                && row.is_simple()
            {
                match self.take_simple(round, bytes, &head(item), row, (&hashes, ahead, facts), taken) {
                    Taking::Done(disposition) => dispositions.push(disposition),
                    Taking::Later => break,
                    Taking::Fetch => {
                        self.fetch(request, item, facts, ticket);
                        break;
                    }
                }
                continue;
            }
            let view = request.item(item);
            let checked = request.check_shape(item, &view);
            let checked = checked.and(if known { Ok(()) } else { Err(Outcome::InstitutionUnknown) });
            if let Err(outcome) = checked {
                dispositions.push(Disposition::Refused(outcome));
                continue;
            }
            if let Err(outcome) = admit {
                // What was recorded before is still answered: the client may be asking whether it was.
                dispositions.push(match self.used_by(facts, request.institution, view.id) {
                    Ok(Some(original)) => Disposition::Repeat(original),
                    Ok(None) => Disposition::Refused(outcome),
                    Err(Ask) => {
                        self.fetch(request, item, facts, ticket);
                        break;
                    }
                });
                continue;
            }
            match self.take_item(round, bytes, &head(item), &view, (&hashes, ahead, facts), taken) {
                Taking::Done(disposition) => dispositions.push(disposition),
                Taking::Later => break,
                Taking::Fetch => {
                    self.fetch(request, item, facts, ticket);
                    break;
                }
            }
        }
        dispositions
    }

    /// Takes one simple transfer. `bytes`: its share of the request's. `at`: its id among those that were touched.
    #[inline]
    fn take_simple(
        &mut self,
        round: &mut Round,
        bytes: usize,
        head: &Head,
        row: &TransferRow,
        touched: Touched<'_>,
        taken: &mut Taken,
    ) -> Taking {
        if !self.fits(round, taken, bytes, 2, LOG_ROW_BYTES) {
            return Taking::Later;
        }
        let position = round.items.len() as u32;
        let sequence = round.first_sequence + u64::from(position);
        if let Err(other) = self.note_id(touched, head.institution, row.id.get(), sequence) {
            return other;
        }
        round.push_simple(head, row, &self.assets, self.shards);
        taken.request_bytes += bytes;
        taken.frame_bytes += LOG_ROW_BYTES;
        Taking::Done(Disposition::Sequenced(position))
    }

    /// Whether a round has room for an item of so many bytes in its request, postings, and bytes in its frame.
    fn fits(&self, round: &Round, taken: &Taken, bytes: usize, postings: usize, encoded: usize) -> bool {
        round.items.len() < taken.most
            && round.posting_count() + postings <= self.limits.postings
            && taken.frame_bytes + encoded <= self.limits.frame_bytes
            && (taken.request_bytes + bytes <= self.limits.request_bytes || round.items.is_empty())
    }

    /// Notes the id of an item that gets a sequence number, or says what becomes of the item instead.
    #[inline]
    fn note_id(
        &mut self,
        (hashes, at, facts): Touched<'_>,
        institution: u32,
        id: u128,
        sequence: u64,
    ) -> Result<(), Taking> {
        if self.dedup.may_be_old_touched(hashes, at) {
            match self.used_by(facts, institution, id) {
                Ok(Some(original)) => return Err(Taking::Done(Disposition::Repeat(original))),
                Ok(None) => {}
                Err(Ask) => return Err(Taking::Fetch),
            }
        }
        let noted = self.dedup.insert_touched(hashes, at, institution, id, sequence);
        noted.map_err(|original| Taking::Done(Disposition::Repeat(original)))
    }

    /// Takes one item of good shape. `bytes`: its share of the request's.
    fn take_item(
        &mut self,
        round: &mut Round,
        bytes: usize,
        head: &Head,
        view: &ItemView<'_>,
        touched: Touched<'_>,
        taken: &mut Taken,
    ) -> Taking {
        let kind = view.kind.expect("an item whose shape was checked");
        let sequence = round.first_sequence + round.items.len() as u64;
        let (.., facts) = touched;
        let encoded;
        if matches!(kind, ItemKind::Post | ItemKind::Hold) {
            encoded = encoded_bytes(view);
            if !self.fits(round, taken, bytes, view.postings.count(), encoded) {
                return Taking::Later;
            }
            if let Err(other) = self.note_id(touched, head.institution, view.id, sequence) {
                return other;
            }
            let link = (kind == ItemKind::Hold).then(|| Link::Hold(hold_of(round, head, view)));
            round.push(head, view, link, &self.assets, self.shards);
        } else {
            match self.used_by(facts, head.institution, view.id) {
                Ok(Some(original)) => return Taking::Done(Disposition::Repeat(original)),
                Ok(None) => {}
                Err(Ask) => return Taking::Fetch,
            }
            let named = match kind {
                ItemKind::Reverse => self.find_original(round, head.institution, view.link, facts),
                _ => match self.holds.find(head.institution, view.link) {
                    Some(hold) => Original::Found(Link::Hold(hold.clone()), None),
                    None => match self.closed_hold(facts, head.institution, view.link) {
                        Ok(outcome) => Original::Refused(outcome),
                        Err(Ask) => Original::InLog,
                    },
                },
            };
            let postings = match &named {
                Original::Found(link, _) => link.target().postings.len().max(view.postings.count()),
                Original::Refused(_) => view.postings.count(),
                Original::Unfinished => return Taking::Later,
                Original::InLog => return Taking::Fetch,
            };
            encoded = encoded_bytes_named(view.voucher.len(), postings);
            if !self.fits(round, taken, bytes, postings, encoded) {
                return Taking::Later;
            }
            self.dedup.insert(head.institution, view.id, sequence).expect("an id that was not found");
            match named {
                Original::Found(link, refused) => round.push_named(head, Some(view), link, refused, self.shards),
                Original::Refused(outcome) => round.push_refused(head, view, outcome),
                Original::Unfinished | Original::InLog => unreachable!("returned above"),
            }
        }
        taken.request_bytes += bytes;
        taken.frame_bytes += encoded;
        self.note_sequenced(round);
        Taking::Done(Disposition::Sequenced(round.items.len() as u32 - 1))
    }

    /// Takes note of the last item of a round that is being made.
    fn note_sequenced(&mut self, round: &Round) {
        let position = round.items.len() - 1;
        let item = &round.items[position];
        if round.link(item).is_some() {
            self.holds.sequenced(round, item, round.booked_at(position));
        }
    }

    /// What a reversal names: in the round that is being made, in one under way, in one that is not durable yet, or in what
    /// history said.
    fn find_original(&self, building: &Round, institution: u32, id: u128, facts: &Facts) -> Original {
        let sequence = match self.used_by(facts, institution, id) {
            Ok(Some(sequence)) => sequence,
            Ok(None) => return Original::Refused(Outcome::OriginalUnknown),
            Err(Ask) => return Original::InLog,
        };
        if let Some(position) = position_in(building, sequence) {
            return undecided_original(building, position, id);
        }
        for flight in &self.in_flight {
            if let Some(position) = position_in(&flight.round, sequence) {
                return match &flight.decisions {
                    None => undecided_original(&flight.round, position, id),
                    Some(decisions) => decided_original(&flight.round, position, id, decisions, None),
                };
            }
        }
        for finished in &self.recent {
            if let Some(position) = position_in(&finished.round, sequence) {
                let results = Some(&*finished.results);
                return decided_original(&finished.round, position, id, &finished.decisions, results);
            }
        }
        match facts.originals.get(&id) {
            Some(Fact::Original(target)) => {
                Original::Found(Link::Original { target: target.clone(), undecided: None }, None)
            }
            Some(Fact::Refused(outcome)) => Original::Refused(*outcome),
            None => Original::InLog,
        }
    }

    /// Whether a row is in a round that is kept: one under way, or not known to be durable.
    pub(super) fn in_memory(&self, sequence: u64) -> bool {
        self.in_flight.iter().any(|flight| position_in(&flight.round, sequence).is_some())
            || self.recent.iter().any(|finished| position_in(&finished.round, sequence).is_some())
    }

    fn launch(&mut self, round: Round, parts: Vec<Part>, reads: Vec<Ticket>) {
        let count = round.items.len() as u64;
        assert!(count < u64::from(u32::MAX) && self.next_sequence < (1 << 63), "sequence numbers are used up");
        self.next_round += 1;
        self.next_sequence += count;
        self.last_booked_at = round.booked_at + count - 1;
        self.counters.rounds += 1;
        self.only_expired = round.items.iter().all(|item| item.source() == Source::Expiry);
        let round = Arc::new(round);
        let mut flight = InFlight {
            round: round.clone(),
            ballots: Vec::with_capacity(self.shards),
            decisions: None,
            results: Results::default(),
            finished: 0,
            parts,
            reads,
        };
        if self.shards == 1 {
            let (after, position) = (round.number, flight.last_sequence());
            self.commands.push_back(Command::Run(round));
            let reads = std::mem::take(&mut flight.reads);
            self.commands.extend(reads.into_iter().map(|ticket| Command::Read { ticket, after, position }));
        } else {
            flight.results = Results::for_round(&round);
            self.commands.push_back(Command::Prepare(round));
        }
        self.in_flight.push_back(flight);
    }
}

/// The place of a row in a round.
fn position_in(round: &Round, sequence: u64) -> Option<usize> {
    let at = sequence.checked_sub(round.first_sequence)? as usize;
    (at < round.items.len()).then_some(at)
}

/// The hold that the next item of a round places.
fn hold_of(round: &Round, head: &Head, view: &ItemView<'_>) -> Arc<Target> {
    let position = round.items.len();
    let expires_at = expiry(round.booked_at(position), view.timeout);
    Arc::new(Target {
        institution: head.institution,
        id: view.id,
        sequence: round.first_sequence + position as u64,
        expires_at,
        postings: postings_of(view),
    })
}

fn postings_of(view: &ItemView<'_>) -> Vec<NamedPosting> {
    let named = view.postings.iter().enumerate().map(|(at, p)| NamedPosting {
        account: p.account,
        amount: p.amount,
        asset: p.asset,
        side: p.side,
        index: at as u8,
    });
    named.collect()
}

fn original_of(round: &Round, item: &RoundItem, position: usize, id: u128, postings: Vec<NamedPosting>) -> Arc<Target> {
    let institution = match item.source() {
        Source::Request { request, .. } => round.requests[request as usize].institution,
        Source::Expiry => unreachable!("an expiry has no id of its own"),
    };
    let sequence = round.first_sequence + position as u64;
    Arc::new(Target { institution, id, sequence, expires_at: 0, postings })
}

/// An original in a round that is not decided.
fn undecided_original(round: &Round, position: usize, id: u128) -> Original {
    let item = &round.items[position];
    if item.kind == ItemKind::Capture {
        return Original::Unfinished; // What it captures is known once it is finished.
    }
    let view = round.view(item).expect("an expiry has no id of its own");
    let target = original_of(round, item, position, id, postings_of(&view));
    let undecided = Some((round.number, position as u32));
    Original::Found(Link::Original { target, undecided }, refusal_of_kind(RowKind::of(item.kind, true)))
}

/// An original in a round that is decided. `results`: once it is finished too.
fn decided_original(
    round: &Round,
    position: usize,
    id: u128,
    decisions: &[Decision],
    results: Option<&Results>,
) -> Original {
    let item = &round.items[position];
    if !decisions[position].is_posted() {
        return Original::Refused(Outcome::OriginalNotPosted);
    }
    if let Some(outcome) = refusal_of_kind(RowKind::of(item.kind, true)) {
        return Original::Refused(outcome);
    }
    let view = round.view(item).expect("an expiry has no id of its own");
    let postings = match (item.kind, results) {
        (ItemKind::Capture, None) => return Original::Unfinished,
        (ItemKind::Capture, Some(results)) => captured(round, item, results),
        _ => postings_of(&view),
    };
    Original::Found(Link::Original { target: original_of(round, item, position, id, postings), undecided: None }, None)
}

/// What a capture captured, where it did.
fn captured(round: &Round, item: &RoundItem, results: &Results) -> Vec<NamedPosting> {
    let entries: &[EntryResult] = &results.entries[round.entries_of(item)];
    let made = round.postings(item).zip(entries).zip(&results.held[round.held_of(item)]);
    made.filter(|((_, entry), held)| entry.version.number() != 0 && held.amount > 0)
        .map(|((posting, _), held)| {
            let effect = round.effect(item, usize::from(posting.effect));
            NamedPosting {
                account: effect.account,
                amount: held.amount,
                asset: effect.asset,
                side: posting.side,
                index: posting.index,
            }
        })
        .collect()
}
