//! Goes through the events of a recording, makes the states that a crash behind each can leave, and judges them.

use std::collections::HashSet;

use florin_wal::WriteMode;

use super::tally::Tally;
use super::workload::Workload;
use crate::disk::{Damage, Event, History, Image, Life, Place, Platter, Recorder};
use crate::rng::Rng;

/// Crashes on top of the first one: of the recovery, and of the recovery after that.
const DEPTH: usize = 2;
/// Power cuts behind one event that leave any part of what is not synced.
const CUTS: usize = 6;
/// How many in a hundred of the lives after a power cut are cut as well. Those after a kill all are.
const NESTED_PERCENT: usize = 12;
/// Events of a life behind which it is crashed, if it is not the recorded one, whose events all are.
const NESTED_EVENTS: usize = 2;

/// How many frames have to be there, and may be.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Bounds {
    obliged: u64,
    allowed: u64,
}

/// A recorded life and what was on the medium before it.
struct Lived<'a> {
    before: Platter,
    bounds: Bounds,
    events: &'a [Event],
    history: &'a History,
}

struct Explorer<'a> {
    place: &'a Place,
    mode: WriteMode,
    rng: Rng,
    tally: Tally,
    seen: HashSet<u64>,
}

/// Explores one workload.
pub fn explore(place: &Place, workload: &Workload, seed: u64) -> Tally {
    let (mode, rng) = (workload.mode, Rng::part(seed, "crashes"));
    let mut explorer = Explorer { place, mode, rng, tally: Tally::default(), seen: HashSet::new() };
    explorer.tally.recordings = 1;
    explorer.tally.packs = workload.packs;
    explorer.tally.events = workload.events.len() as u64;
    explorer.tally.hurried =
        workload.events.iter().filter(|event| matches!(event, Event::Extend { .. })).count() as u64;
    let lived = Lived {
        before: Platter::of(&workload.base),
        bounds: Bounds { obliged: 0, allowed: 0 },
        events: &workload.events,
        history: &workload.history,
    };
    let cuts: Vec<usize> = (0..=workload.events.len()).collect();
    explorer.crash(&lived, &cuts, DEPTH, &format!("seed {seed}"));
    explorer.tally
}

impl Bounds {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Appended(frame) => self.allowed = *frame,
            Event::Acknowledged(frame) | Event::Served(frame) => self.obliged = *frame,
            _ => {}
        }
    }
}

impl Explorer<'_> {
    /// Crashes a life behind each of these numbers of events, ascending.
    fn crash(&mut self, lived: &Lived, cuts: &[usize], depth: usize, what: &str) {
        let (mut platter, mut bounds, mut at) = (lived.before.clone(), lived.bounds, 0);
        for &cut in cuts {
            for event in &lived.events[at..cut] {
                platter.apply(event);
                bounds.note(event);
            }
            at = cut;
            let history = lived.history[..bounds.allowed as usize].to_vec();
            let last = cut.checked_sub(1).map(|last| lived.events[last].to_string());
            let what = format!("{what}, {cut} ({})", last.as_deref().unwrap_or("start"));
            self.cut_power(&platter, bounds, &history, depth, &what);
            if depth > 0 {
                self.kill(&platter, lived.events.get(cut), bounds, &history, depth, &what);
            }
        }
    }

    fn cut_power(&mut self, platter: &Platter, bounds: Bounds, history: &History, depth: usize, what: &str) {
        let all = [Damage::Nothing, Damage::All, Damage::Nameless, Damage::AllButOne, Damage::One];
        let damages = match platter.is_settled() {
            true => vec![Damage::All],
            false if depth == DEPTH => all.into_iter().chain(std::iter::repeat_n(Damage::Any, CUTS)).collect(),
            false => vec![self.rng.pick(&all), Damage::Any],
        };
        for damage in damages {
            let image = platter.cut(damage, &mut self.rng);
            if !self.is_new(&image, bounds, 0) {
                self.tally.repeated += 1;
                continue;
            }
            self.tally.cuts[DEPTH - depth] += 1;
            let nested = if depth > 0 && self.rng.chance(NESTED_PERCENT) { depth } else { 0 };
            let what = format!("{what}, power cut {damage:?}");
            self.judge(Platter::of(&image), true, bounds, history, nested, &what);
        }
    }

    /// The process ends, the system goes on: what was written stays to be seen, and is as little durable as before. Of a
    /// write under way the first pages are there.
    fn kill(
        &mut self,
        platter: &Platter,
        next: Option<&Event>,
        bounds: Bounds,
        history: &History,
        depth: usize,
        what: &str,
    ) {
        let mut states = vec![(platter.clone(), format!("{what}, kill"))];
        if let Some(write @ Event::Write { bytes, .. }) = next {
            let blocks = bytes.len() / crate::disk::BLOCK;
            if blocks > 1 {
                let done = self.rng.between(1, blocks - 1);
                let mut part = platter.clone();
                part.apply_part(write, done);
                states.push((part, format!("{what}, kill within a write, {done} of {blocks} blocks written")));
            }
        }
        for (platter, what) in states {
            let kind = 1 + u64::from(platter.is_settled());
            if !self.is_new(&platter.live(), bounds, kind) {
                self.tally.repeated += 1;
                continue;
            }
            self.tally.kills[DEPTH - depth] += 1;
            self.judge(platter, false, bounds, history, depth, &what);
        }
    }

    /// Recovers a state, lets the log go on, recovers again. Then crashes that, if more crashes are wanted.
    fn judge(
        &mut self,
        platter: Platter,
        after_cut: bool,
        bounds: Bounds,
        history: &History,
        depth: usize,
        what: &str,
    ) {
        let disk = Recorder::of(platter.live(), self.mode);
        let (recovered, seen) = self.place.recover(&disk, history);
        let recovered = recovered.unwrap_or_else(|error| panic!("{what}: an honest crash is refused: {error}"));
        assert_eq!(seen.wrong, None, "{what}: a frame is not the one that was appended");
        let found = seen.frames;
        assert!(found >= bounds.obliged, "{what}: frames up to {} acknowledged, {found} found", bounds.obliged);
        assert!(found <= bounds.allowed, "{what}: {found} frames found, {} appended", bounds.allowed);
        self.tally.frames += found;
        self.tally.found_more += u64::from(found > bounds.obliged);
        self.tally.packed += u64::from(recovered.report().packs > 0);
        self.tally.torn_tails += u64::from(recovered.report().torn_tail.is_some());

        let history: History = history[..found as usize].to_vec();
        let started = Life::start(&disk, recovered, history);
        let mut life = started.unwrap_or_else(|error| panic!("{what}: the log does not start: {error}"));
        let bytes_max = self.rng.pick(&[0, 500, 500, 9000]);
        let groups: &[usize] = self.rng.pick(&[&[], &[], &[1], &[2]]);
        life.burst(groups, bytes_max, false, &mut self.rng);
        if self.rng.chance(25) {
            self.tally.packs_after += life.pack();
            let left = disk.live().into_keys().find(|name| name.ends_with(".new"));
            assert_eq!(left, None, "{what}: what an interrupted packing left is removed by the next one");
        }
        let (events, history) = life.end(&mut self.rng);
        let (again, seen) = self.place.recover(&Recorder::of(disk.live(), self.mode), &history);
        let again = again.unwrap_or_else(|error| panic!("{what}: refused after the log went on: {error}"));
        assert_eq!((seen.frames, seen.wrong), (history.len() as u64, None), "{what}: the log went on");
        assert_eq!(again.report().torn_tail, None, "{what}: the tail was cleared");
        drop(again);

        if depth > 0 {
            // After a power cut all that was found is durable already: a crash of the recovery changes nothing.
            let obliged = if after_cut { found } else { bounds.obliged };
            let bounds = Bounds { obliged, allowed: found };
            let lived = Lived { before: platter, bounds, events: &events, history: &history };
            let mut cuts: Vec<usize> = (0..NESTED_EVENTS).map(|_| self.rng.between(1, events.len())).collect();
            cuts.sort_unstable();
            cuts.dedup();
            self.crash(&lived, &cuts, depth - 1, what);
        }
    }

    /// Whether such a state has not been judged yet.
    fn is_new(&mut self, image: &Image, bounds: Bounds, kind: u64) -> bool {
        let mut hash = kind ^ bounds.obliged << 8 ^ bounds.allowed << 32;
        let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        for (name, bytes) in image {
            name.bytes().for_each(|byte| add(u64::from(byte)));
            add(bytes.len() as u64);
            let (words, rest) = bytes.as_chunks::<8>();
            words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
            rest.iter().for_each(|byte| add(u64::from(*byte)));
        }
        self.seen.insert(hash)
    }
}
