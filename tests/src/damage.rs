//! Damage to the files of a log, and the verdict on it: fine, a torn tail, refused. Recovery and an oracle that knows only
//! what the disk was asked to write, and the offsets in `docs/format-log.md`, have to agree on each damaged copy.
//!
//! What must hold for each: no frame is given out that was not appended, and none is left out in the middle; where the log
//! starts, what it lost is what the oracle knows to be the one honest gap; a refusal changes nothing; a start twice, or a
//! start and another frame, finds the same log.

mod case;
mod check;
mod forge;
mod manifest;
mod mutate;
mod oracle;
mod tally;

pub use tally::Tally;

use crate::disk::Place;
use crate::rng::Rng;

/// Moments of a recorded log whose files are damaged, for each seed.
const MOMENTS: usize = 8;
/// Damaged copies for each moment, and damaged manifests.
const COPIES: usize = 120;
/// See [`COPIES`].
const MANIFESTS: usize = 10;
/// Copies for each moment with a frame that was changed and made to fit again without the key.
const FORGED: usize = 6;

/// Judges the damaged copies of a seed. Panics with what was wrong and where.
pub fn run(seed: u64) -> Tally {
    let place = Place::default();
    let mut tally = Tally { logs: 1, ..Tally::default() };
    let mut rng = Rng::part(seed, "damage");
    let recorded = case::record(&place, seed);
    for _ in 0..MOMENTS {
        let case = recorded.moment(&mut rng);
        tally.moments += 1;
        for copy in 0..COPIES {
            check::damaged(&place, &case, &format!("seed {seed}, copy {copy}"), &mut rng, &mut tally);
        }
        for copy in 0..FORGED {
            forge::forged(&place, &case, &format!("seed {seed}, forged copy {copy}"), &mut rng, &mut tally);
        }
        for copy in 0..MANIFESTS {
            manifest::damaged(&place, &case, &format!("seed {seed}, manifest {copy}"), &mut rng, &mut tally);
        }
    }
    tally
}
