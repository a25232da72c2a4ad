//! What is recorded: a log that grows by stages, snapshots and runs of it that are made, merged and, where one has rotted, made again;
//! now and then by another process than before.

use super::life::{Life, Setting};
use super::log::Log;
use super::medium::{Marks, Medium, Step};
use super::tree::{DATA, Tree};
use crate::rng::Rng;

/// A recorded workload.
pub struct Workload {
    /// The log, which is complete.
    pub log: Log,
    /// The states, one after the other.
    pub steps: Vec<Step>,
    /// Those in which there was something to do, and nothing was being done.
    pub stages: Vec<(Tree, Marks)>,
    /// Runs that were made, merged and made again.
    pub runs: [u64; 3],
    /// Snapshots that were made.
    pub snapshots: u64,
}

/// Records the workload of a seed.
pub fn record(seed: u64) -> Workload {
    let mut rng = Rng::part(seed, "derived");
    let mut log = Log::new(&mut rng);
    let medium = Medium::recorded(Tree::default(), Marks::default());
    let (mut stages, mut runs, mut snapshots) = (Vec::new(), [0; 3], 0);
    // Of those that end with more than four runs the runs are merged.
    let setting = Setting { every: rng.pick(&[1, 1, 2]), ..Setting::random(1, &mut rng) };
    while log.grow() {
        let what = format!("seed {seed}, {} frames", log.durable());
        medium.mark(|marks| marks.frames = log.durable());
        if rng.chance(15) {
            rot_run(&medium, &mut rng);
        }
        stages.push((medium.tree(), medium.marks()));
        let before = medium.marks();
        let mut life = Life::start(&medium, &log, setting, &what);
        life.check_found(&before, &what);
        log.ask(&life.ids, None, &mut rng, &what);
        life.look(&mut rng).unwrap_or_else(|error| panic!("{what}: {error}"));
        life.check_settled(&what);
        snapshots += u64::from(medium.marks().snapshot > before.snapshot);
        runs.iter_mut().zip(life.ids.counts()).for_each(|(sum, count)| *sum += count);
        let (_, unread) = log.ask(&life.ids, None, &mut rng, &what);
        assert_eq!(unread, 0, "{what}: a run that is damaged was not made again");
        // Nothing that rotted is left, unless it is an entry that nobody looked up.
        medium.mark(|marks| marks.rotten = false);
    }
    Workload { log, steps: medium.take_steps(), stages, runs, snapshots }
}

/// Changes a bit of a run, if there is one.
fn rot_run(medium: &Medium, rng: &mut Rng) {
    let ids = std::path::Path::new(DATA).join("ids");
    let files = medium.tree().files();
    let runs: Vec<_> = files.iter().filter(|(path, _)| path.starts_with(&ids)).collect();
    if !runs.is_empty() {
        let (path, bytes) = runs[rng.below(runs.len())];
        medium.rot(path, rng.below(*bytes), rng.below(8) as u8);
    }
}
