//! A walk whose frames are applied beside it: one thread reads and checks the log, the caller's applies what was found good. The
//! result is that of a walk which waits for each frame to be applied.

use crate::error::RecoverError;
use crate::frame::{Frame, FrameHead, FramePlace};
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::limits::{AHEAD_BATCHES, AHEAD_BYTES};
use crate::storage::{Access, Storage};
use crate::walk::{Part, Walked, walk};
use crossbeam::channel::{Receiver, Sender, bounded};

/// Frames that were checked, one behind the other.
#[derive(Default)]
struct Batch {
    frames: Vec<(FrameHead, FramePlace)>,
    /// Payload and vouchers of each.
    bytes: Vec<u8>,
}

impl Batch {
    fn push(&mut self, frame: &Frame<'_>) {
        self.frames.push((frame.head, frame.place));
        self.bytes.extend_from_slice(frame.payload);
        self.bytes.extend_from_slice(frame.vouchers);
    }

    /// Whether it is worth handing over. Memory counts for each frame too, however small.
    fn is_full(&self) -> bool {
        self.bytes.len() + self.frames.len() * size_of::<(FrameHead, FramePlace)>() >= AHEAD_BYTES
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
    }

    fn apply<E>(&self, each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>) -> Result<(), RecoverError<E>> {
        let mut rest = &self.bytes[..];
        for &(head, place) in &self.frames {
            let (body, after) = rest.split_at(head.body_bytes());
            let (payload, vouchers) = body.split_at(head.payload_bytes as usize);
            each(Frame { head, payload, vouchers, place })
                .map_err(|error| RecoverError::apply(head.number, &place, error))?;
            rest = after;
        }
        Ok(())
    }
}

/// The checking side: fills batches and hands them over.
struct Checked {
    batch: Batch,
    full: Sender<Batch>,
    empty: Receiver<Batch>,
}

/// The applying side has met an error and takes nothing more.
struct Gone;

impl Checked {
    fn push(&mut self, frame: &Frame<'_>) -> Result<(), Gone> {
        self.batch.push(frame);
        if self.batch.is_full() { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Gone> {
        let next = self.empty.recv().map_err(|_| Gone)?;
        self.full.send(std::mem::replace(&mut self.batch, next)).map_err(|_| Gone)
    }
}

/// Walks the log as [`walk`] does; on one thread if there is no second one to be had.
pub(crate) fn walk_ahead<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    access: Access,
    part: Part,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Walked, RecoverError<E>> {
    let (full, filled) = bounded(AHEAD_BATCHES);
    let (give_back, empty) = bounded(AHEAD_BATCHES);
    for _ in 0..AHEAD_BATCHES {
        give_back.send(Batch::default()).expect("the receiver is here");
    }
    let mut checked = Checked { batch: Batch::default(), full, empty };
    // What the closure owns goes when it ends, after an error too: then the other thread ends as well.
    std::thread::scope(move |scope| {
        let walker = std::thread::Builder::new().name("log-check".into()).spawn_scoped(scope, move || {
            let walked = walk(storage, manifest, keys, access, part, &mut |frame| checked.push(&frame));
            // What stands before the end, or before an error, is applied in any case. If the other side is gone, it has its error.
            let _ = checked.hand_over();
            walked
        });
        let Ok(walker) = walker else { return walk(storage, manifest, keys, access, part, each) };
        for mut batch in filled {
            batch.apply(each)?;
            batch.clear();
            // Nobody needs it if the walk has ended.
            let _ = give_back.send(batch);
        }
        let walked = walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        walked.map_err(|error| error.of_log().expect("all that was handed over was applied"))
    })
}
