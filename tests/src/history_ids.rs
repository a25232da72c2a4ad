//! Very many old ids: a ledger with a long history is made through the real engine; then it is measured what its ids cost in memory, on
//! disk, at a start and in each request, and each sampled answer is compared with what must come of it: an old id gives its original
//! result again, with other fields it is told apart, and a new one is new.

mod history;
mod make;
mod measure;
mod times;

pub use history::{History, Order};
pub use make::make;
pub use measure::{SAMPLES, Samples, measure};

use std::path::Path;

use florin_engine::{Command, Engine, EngineOptions, EngineStats, Reply, ScrubOptions};

/// Answers that were compared.
#[allow(missing_docs)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// Counts an answer; of those that are wrong the first are shown.
    fn check(&mut self, right: bool, wrong: impl FnOnce() -> String) {
        const SHOWN: u64 = 10;
        if right {
            self.passed += 1;
            return;
        }
        self.failed += 1;
        if self.failed <= SHOWN {
            eprintln!("{}", wrong());
        }
    }
}

/// As a server runs, but for the scrub, which would read beside what is measured.
fn options(data: &Path) -> EngineOptions {
    EngineOptions { scrub: ScrubOptions { bytes_per_second: 0, ..ScrubOptions::default() }, ..EngineOptions::new(data) }
}

async fn stats(engine: &Engine) -> EngineStats {
    match engine.call(Command::Stats).await {
        Reply::Stats(stats) => *stats,
        other => panic!("expected figures, got {other:?}"),
    }
}
