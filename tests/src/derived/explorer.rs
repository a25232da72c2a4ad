//! Goes through the states of a recording, makes those that a kill or a power cut in each can leave, starts on them, goes on, and crashes
//! that as well.

use std::collections::HashSet;

use super::life::{Life, Setting};
use super::log::Log;
use super::medium::{Marks, Medium, Step};
use super::tally::Tally;
use super::tree::{Loss, Tree};
use super::workload::Workload;
use crate::rng::Rng;

/// Crashes on top of the first one.
const DEPTH: usize = 2;
/// Power cuts in one state that leave any part of what is not synced.
const CUTS: usize = 5;
/// How many in a hundred of the lives that follow a crash go on, and are crashed as well if there may be another crash.
const GO_ON_PERCENT: usize = 12;
/// States of a life after a crash in which it is crashed, by how many crashes may still follow.
const NESTED_STEPS: [usize; DEPTH] = [1, 4];
/// Ids that are asked of each state.
const IDS: usize = 12;

/// The explorer.
pub struct Explorer<'a> {
    /// The log of the workload.
    pub log: &'a Log,
    /// Chooses.
    pub rng: Rng,
    /// What was done.
    pub tally: Tally,
    seen: HashSet<(u64, Marks)>,
}

impl<'a> Explorer<'a> {
    /// Of a workload.
    pub fn new(workload: &'a Workload, seed: u64) -> Explorer<'a> {
        let tally = Tally {
            recordings: 1,
            steps: workload.steps.len() as u64,
            snapshots: workload.snapshots,
            runs: workload.runs,
            ..Tally::default()
        };
        Explorer { log: &workload.log, rng: Rng::part(seed, "derived crashes"), tally, seen: HashSet::new() }
    }

    /// Crashes a workload in each of its states.
    pub fn crash_all(&mut self, workload: &Workload, seed: u64) {
        for (number, step) in workload.steps.iter().enumerate() {
            self.crash(step, DEPTH, &format!("seed {seed}, step {number} ({})", step.what));
        }
    }

    /// Crashes in a state.
    fn crash(&mut self, step: &Step, depth: usize, what: &str) {
        let Step { tree, marks, .. } = step;
        let all = [Loss::Everything, Loss::Nothing, Loss::Names, Loss::Contents, Loss::Sector];
        let losses: Vec<Loss> = match tree.is_settled() {
            true => vec![Loss::Nothing],
            false if depth == DEPTH => all.into_iter().chain(std::iter::repeat_n(Loss::Any, CUTS)).collect(),
            false => vec![self.rng.pick(&all), Loss::Any, Loss::Any],
        };
        for loss in losses {
            let left = tree.cut(loss, &mut self.rng);
            if self.is_new(&left, marks) {
                self.tally.cuts[DEPTH - depth] += 1;
                let depth = if self.rng.chance(GO_ON_PERCENT) { depth } else { 0 };
                self.judge(&left, *marks, depth, &format!("{what}, power cut {loss:?}"));
            }
        }
        // The system goes on: what was done stays to be seen, and is as little durable as before.
        if depth > 0 && !tree.is_settled() && self.is_new(tree, marks) {
            self.tally.kills[DEPTH - depth] += 1;
            self.judge(tree, *marks, depth, &format!("{what}, kill"));
        }
    }

    /// Starts on a state and, if more crashes are wanted, does all that there is to do, starts again, and crashes what was done.
    fn judge(&mut self, tree: &Tree, marks: Marks, depth: usize, what: &str) {
        let medium = if depth > 0 { Medium::recorded(tree.clone(), marks) } else { Medium::of(tree.clone(), marks) };
        let setting = Setting::random(self.rng.pick(&[1, 1, 3]), &mut self.rng);
        let mut life = self.start(&medium, setting, what);
        if depth == 0 {
            return;
        }
        // What is in a medium on which all is durable is not lost any more, whoever was told of it.
        if tree.is_settled() && !marks.rotten {
            let (snapshot, rows) = (life.found.snapshot, life.found.rows);
            medium.mark(|marks| (marks.snapshot, marks.rows) = (snapshot, rows));
        }
        self.go_on(&medium, &mut life, what);
        let steps = medium.take_steps();
        for _ in 0..NESTED_STEPS[depth - 1] {
            let number = self.rng.below(steps.len());
            let step = &steps[number];
            self.crash(step, depth - 1, &format!("{what}, then step {number} ({})", step.what));
        }
    }

    /// Starts and checks what was found.
    pub fn start(&mut self, medium: &Medium, setting: Setting, what: &str) -> Life<'a> {
        let marks = medium.marks();
        let life = Life::start(medium, self.log, setting, what);
        life.check_found(&marks, what);
        let (asked, unread) = self.log.ask(&life.ids, Some(IDS), &mut self.rng, what);
        assert!(unread == 0 || marks.rotten, "{what}: {unread} ids are in no run that can be read");
        self.tally.asked += asked;
        life
    }

    /// Does all that there is to do, with the log as it is now, and starts on it. Gives whether a run was found to be rotten on the way.
    pub fn go_on(&mut self, medium: &Medium, life: &mut Life<'a>, what: &str) -> bool {
        medium.mark(|marks| marks.frames = self.log.durable());
        self.tally.went_on += 1;
        life.look(&mut self.rng).unwrap_or_else(|error| panic!("{what}: it does not go on: {error}"));
        let mut is_rotten = !life.found.runs_refused.is_empty();
        // What had rotted is found by those who ask, at the latest, and is made again then.
        if medium.marks().rotten {
            let (_, unread) = self.log.ask(&life.ids, None, &mut self.rng, what);
            let [.., remade] = life.ids.counts();
            is_rotten |= unread > 0 || remade > 0;
            life.look(&mut self.rng).unwrap_or_else(|error| panic!("{what}: it does not go on: {error}"));
            medium.mark(|marks| marks.rotten = false);
        }
        life.check_settled(what);
        let (asked, unread) = self.log.ask(&life.ids, None, &mut self.rng, what);
        assert_eq!(unread, 0, "{what}: ids are in no run that can be read");
        self.tally.asked += asked;
        let setting = Setting::random(1, &mut self.rng);
        self.start(medium, setting, &format!("{what}, it went on"));
        is_rotten
    }

    /// Whether such a state has not been judged yet.
    fn is_new(&mut self, tree: &Tree, marks: &Marks) -> bool {
        let is_new = self.seen.insert((tree.digest(), *marks));
        self.tally.repeated += u64::from(!is_new);
        is_new
    }
}
