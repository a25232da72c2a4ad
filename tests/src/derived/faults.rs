//! Calls that fail, each one of a look for what there is to do, and bits that rot.

use std::path::PathBuf;

use super::explorer::Explorer;
use super::life::Setting;
use super::medium::{Failure, Marks, Medium};
use super::tree::{Loss, Tree};
use super::workload::Workload;

/// Stages of a workload in which calls fail, one after the other.
const STAGES: usize = 2;
/// How many in a hundred of the calls fail.
const FAIL_PERCENT: usize = 60;
/// Bits that rot, one at a time, in each file.
const BITS: usize = 3;

impl<'a> Explorer<'a> {
    /// Fails calls, one at a time, of those that are made from a stage of the workload to its end.
    pub fn fail_calls(&mut self, workload: &'a Workload, seed: u64) {
        for _ in 0..STAGES {
            let number = self.rng.below(workload.stages.len());
            let stage = &workload.stages[number];
            let setting = Setting::random(1, &mut self.rng);
            let medium = Medium::of(stage.0.clone(), stage.1);
            let mut life = self.start(&medium, setting, &format!("seed {seed}, stage {number}"));
            let before = medium.calls();
            self.go_on(&medium, &mut life, &format!("seed {seed}, stage {number}"));
            let calls = medium.calls() - before;
            for nth in 1..=calls {
                if self.rng.chance(FAIL_PERCENT) {
                    self.fail_call(stage, setting, nth, &format!("seed {seed}, stage {number}, call {nth}"));
                }
            }
        }
    }

    fn fail_call(&mut self, (tree, marks): &(Tree, Marks), setting: Setting, nth: u64, what: &str) {
        let medium = Medium::of(tree.clone(), *marks);
        let mut life = self.start(&medium, setting, what);
        medium.mark(|marks| marks.frames = self.log.durable());
        let failure = self.rng.pick(&[Failure::Broken, Failure::Full]);
        medium.fail(nth, failure);
        let done = life.look(&mut self.rng);
        // The makers may have needed fewer calls than when they were counted.
        let Some(failed) = medium.end_failing() else { return };
        self.tally.failed += 1;
        let what = format!("{what} ({}, {failure:?})", failed.what);
        assert!(!failed.changes || done.is_err(), "{what}: it was not told");
        // Room may be what was missing, and it is tried again in a minute only.
        if failed.what.starts_with("write") {
            let files: Vec<_> = medium.tree().files().into_iter().map(|(path, _)| path).collect();
            let lacks =
                |path: &PathBuf| path.ends_with("state") && !files.contains(&path.with_file_name("manifest.json"));
            let is_part = |path: &&PathBuf| path.extension().is_some_and(|end| end == "new") || lacks(path);
            assert_eq!(files.iter().find(is_part), None, "{what}: what was not finished was left there");
        }
        // What it left is as good as what was there before, if the process ends here or the power goes.
        self.start(&medium, setting, &format!("{what}, kill"));
        let cut = medium.tree().cut(self.rng.pick(&[Loss::Everything, Loss::Any]), &mut self.rng);
        self.start(&Medium::of(cut, medium.marks()), setting, &format!("{what}, power cut"));
        self.go_on(&medium, &mut life, &what);
    }

    /// Changes bits of all files that are there in the end, one at a time.
    pub fn rot(&mut self, workload: &'a Workload, seed: u64) {
        let last = workload.steps.last().expect("something was done");
        for (path, bytes) in last.tree.files() {
            for _ in 0..BITS {
                let (at, bit) = (self.rng.below(bytes), self.rng.below(8) as u8);
                let what = format!("seed {seed}, bit {bit} of byte {at} of {} rotted", path.display());
                let medium = Medium::of(last.tree.clone(), last.marks);
                medium.rot(&path, at, bit);
                self.tally.rotten += 1;
                let setting = Setting::random(1, &mut self.rng);
                let mut life = self.start(&medium, setting, &what);
                let newest = path.starts_with(format!("/data/snapshots/{:020}", last.marks.snapshot));
                let is_older = life.found.snapshot < last.marks.snapshot;
                assert_eq!(newest, is_older, "{what}: {} is found of {}", life.found.snapshot, last.marks.snapshot);
                assert_eq!(newest, !life.found.snapshots_refused.is_empty(), "{what}: {:?}", life.found);
                let run = self.go_on(&medium, &mut life, &what);
                assert_eq!(run, path.starts_with("/data/ids"), "{what}: whether a rotten run was found");
            }
        }
    }
}
