//! What is recorded: a new ledger, some lives of its log, each with bursts of frames that go through several segments, which are packed
//! in between.

use florin_wal::WriteMode;

use crate::disk::{Event, History, Image, Life, Place, Recorder};
use crate::rng::Rng;

/// A recorded workload.
pub struct Workload {
    pub mode: WriteMode,
    /// The files of the new ledger, durable.
    pub base: Image,
    pub events: Vec<Event>,
    pub history: History,
    /// Packs that were made.
    pub packs: u64,
}

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Up to three lives of up to four bursts, with frames up to almost a segment.
    Large,
    /// One or two lives of one or two bursts, a few segments together.
    Small,
}

/// Records the workload of a seed.
pub fn record(place: &Place, seed: u64, size: Size) -> Workload {
    let (lives, bursts, sizes): (_, _, &[usize]) = match size {
        Size::Large => (3, 4, &[0, 300, 4000, 9000, 50_000]),
        Size::Small => (2, 2, &[0, 300, 4000, 9000]),
    };
    let mut rng = Rng::part(seed, "workload");
    let mode = if seed.is_multiple_of(2) { WriteMode::Direct } else { WriteMode::Buffered };
    let (base, mut events, mut history) = (place.image(), Vec::new(), History::new());
    let (mut live, mut packs) = (base.clone(), 0);
    for _ in 0..rng.between(1, lives) {
        let disk = Recorder::of(live, mode).writing_apart((seed / 2).is_multiple_of(2));
        let (recovered, seen) = place.recover(&disk, &history);
        let recovered = recovered.unwrap_or_else(|error| panic!("seed {seed}: after an end in order: {error}"));
        assert_eq!((seen.frames, seen.wrong), (history.len() as u64, None), "seed {seed}: after an end in order");
        let mut life = Life::start(&disk, recovered, history).expect("the disk does not fail");
        for burst in 0..rng.between(1, bursts) {
            if burst > 0 {
                life.await_seal();
            }
            let bytes_max = rng.pick(sizes);
            let groups: Vec<usize> = (0..rng.between(0, 5)).map(|_| rng.between(1, 3)).collect();
            let hurried = rng.chance(25);
            life.burst(&groups, bytes_max, hurried, &mut rng);
            if rng.chance(60) {
                packs += life.pack();
            }
        }
        let (done, frames) = life.end(&mut rng);
        events.extend(done);
        history = frames;
        live = disk.live();
    }
    Workload { mode, base, events, history, packs }
}
