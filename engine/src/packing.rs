//! The thread that packs sealed segments of the log. Nothing waits for it and nothing but the place of bytes on the disk changes by it;
//! killed at any moment it leaves what the next one removes or goes on with.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use florin_wal::{LogReader, PackError, Packer};

use crate::background::Background;
use crate::pace::{Gait, Pace};

/// How often to look for segments that were sealed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to leave alone what failed, because the disk is full or something is damaged.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Sealed segments waiting from which on it hurries: what packing saves is more than that on the disk by then.
const HURRY_FROM: u64 = 64;

/// What is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PackingStats {
    /// Packs.
    pub packs: u64,
    /// Segments in them.
    pub segments: u64,
    /// Bytes of the disk that packing has freed since the start.
    pub saved: u64,
}

/// The thread, from outside.
pub(crate) struct Packing {
    log: LogReader,
    saved: Arc<AtomicU64>,
    /// None: nothing is packed.
    thread: Option<Background>,
}

impl Packing {
    /// Starts the thread; without `packs` what is packed is only counted.
    pub(crate) fn start(log: LogReader, packs: bool) -> std::io::Result<Packing> {
        let saved = Arc::new(AtomicU64::new(0));
        let (packer, told) = (log.packer(), Arc::clone(&saved));
        let thread = match packs {
            true => Some(Background::start("florin-pack", &log, move |pace| run(packer, pace, &told))?),
            false => None,
        };
        Ok(Packing { log, saved, thread })
    }

    /// How far it is.
    pub(crate) fn stats(&self) -> PackingStats {
        let (packs, segments) = self.log.packs();
        PackingStats { packs, segments, saved: self.saved.load(Relaxed) }
    }

    /// Ends the thread. It looks up between pieces.
    pub(crate) fn stop(&mut self) {
        self.thread.iter_mut().for_each(Background::stop);
    }
}

fn run(mut packer: Packer, mut pace: Pace, saved: &AtomicU64) {
    let mut told = String::new();
    loop {
        pace.go(if packer.waiting() >= HURRY_FROM { Gait::HURRIED } else { Gait::SLOW });
        let rest = match packer.pack_next(&mut |bytes| keep(&mut pace, bytes)) {
            Ok(packed) => {
                told.clear();
                saved.fetch_add(packed.map_or(0, |packed| packed.raw_bytes - packed.pack_bytes), Relaxed);
                if packed.is_some() { Duration::ZERO } else { LOOK_EVERY }
            }
            Err(PackError::Stopped) => return,
            Err(error) => {
                let error = error.to_string();
                if error != told {
                    eprintln!("florin: segments of the log cannot be packed: {error}; it is tried again every minute");
                    told = error;
                }
                RETRY_AFTER
            }
        };
        if pace.rest(rest).is_err() {
            return;
        }
    }
}

fn keep(pace: &mut Pace, bytes: usize) -> ControlFlow<()> {
    match pace.keep(bytes) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_stopped) => ControlFlow::Break(()),
    }
}
