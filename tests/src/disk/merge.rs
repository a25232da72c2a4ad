//! Two threads work on a log's files, and a machine runs them in any order. From what each of them did, in its own order,
//! this makes one order that could have been, drawn from a seed: the allocator works on a segment only once the writer came
//! near it, and is done with it before the writer writes there.

use std::collections::VecDeque;

use super::event::Event;
use super::recorder::Origin;
use super::segment_ordinal;
use crate::rng::Rng;

/// An operation of the allocator and between which of the writer's it may stand.
struct Placed {
    event: Event,
    not_before: usize,
    before: usize,
}

/// One order of one life. `first` is the segment in use when the threads were started.
pub(super) fn merge(events: Vec<(Origin, Event)>, first: u64, rng: &mut Rng) -> Vec<Event> {
    let (spares, log): (Vec<_>, Vec<_>) = events.into_iter().partition(|(origin, _)| *origin == Origin::Spares);
    let log: Vec<Event> = log.into_iter().map(|(_, event)| event).collect();
    let mut queue = place(spares.into_iter().map(|(_, event)| event).collect(), &log, first);
    let mut out = Vec::with_capacity(log.len() + queue.len());
    for (at, event) in log.into_iter().enumerate() {
        while queue.front().is_some_and(|next| next.before <= at || (next.not_before <= at && rng.chance(40))) {
            out.extend(queue.pop_front().map(|next| next.event));
        }
        out.push(event);
    }
    out.extend(queue.into_iter().map(|next| next.event));
    out
}

fn place(spares: Vec<Event>, log: &[Event], first: u64) -> VecDeque<Placed> {
    let mut placed = VecDeque::new();
    let mut events = spares.into_iter().peekable();
    while events.peek().is_some() {
        // One segment's work ends with the sync of the folder.
        let mut job: Vec<Event> = Vec::new();
        while let Some(event) = events.next_if(|_| !matches!(job.last(), Some(Event::SyncDirectory))) {
            job.push(event);
        }
        let ordinal = job.iter().find_map(|event| segment_ordinal(event.file()?)).expect("work on a segment");
        let fills = job.iter().any(|event| matches!(event, Event::Write { .. } | Event::Extend { .. }));
        let not_before = settled(log, first, ordinal - if fills { 1 } else { 2 });
        let before = if fills { begun(log, ordinal).unwrap_or(usize::MAX) } else { usize::MAX };
        placed.extend(job.into_iter().map(|event| Placed { event, not_before, before }));
    }
    // What must be done by then takes all in front of it along.
    let mut before = usize::MAX;
    for one in placed.iter_mut().rev() {
        before = before.min(one.before);
        one.before = before;
        assert!(one.not_before <= one.before, "nothing is needed before it could begin");
    }
    placed
}

/// Where the writer writes the first block of a segment.
fn begun(log: &[Event], ordinal: u64) -> Option<usize> {
    log.iter().position(|event| event.begins() == Some(ordinal))
}

/// Behind what event the allocator can know that the writer came to this segment.
fn settled(log: &[Event], first: u64, ordinal: u64) -> usize {
    let from = if ordinal > first { begun(log, ordinal).expect("the allocator is ahead by so much") } else { 0 };
    let tells = |event: &Event| matches!(event, Event::Acknowledged(_) | Event::Served(_));
    from + log[from..].iter().position(tells).expect("a segment's first group is acknowledged") + 1
}
