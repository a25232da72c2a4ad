//! The log of a simulation: the frames as bytes, and the folding of them into a ledger.

use florin_core::coordinator::RoundLimits;
use florin_core::frame::{DraftHead, FrameDraft, FrameView, Record};
use florin_core::replay::{Ledger, ReplayError};

use super::{Audit, world};
use crate::model::item::Heave;

/// A frame as it would lie on disk.
#[derive(Clone, Debug)]
pub struct StoredFrame {
    /// Number, sequence, count, time.
    pub head: DraftHead,
    /// Rows and extensions.
    pub payload: Vec<u8>,
    /// Vouchers.
    pub vouchers: Vec<u8>,
}

impl StoredFrame {
    /// Lays a frame out.
    pub fn encode(draft: &FrameDraft) -> StoredFrame {
        let (mut payload, mut vouchers) = (vec![], vec![]);
        draft.encode(&mut payload, &mut vouchers);
        StoredFrame { head: draft.head(), payload, vouchers }
    }

    /// Sequence number of its last row.
    pub fn last_sequence(&self) -> u64 {
        self.head.first_sequence + u64::from(self.head.count) - 1
    }

    /// The frame as a reader sees it.
    pub fn view(&self) -> FrameView<'_> {
        FrameView::new(self.head, &self.payload, &self.vouchers).expect("a frame that was just encoded")
    }

    /// Its rows, decoded.
    pub fn records(&self) -> Vec<Record> {
        let view = self.view();
        (0..self.head.count).map(|i| view.record(i).unwrap_or_else(|e| panic!("cannot decode: {e}"))).collect()
    }
}

/// All frames, and the heaves between them, which no log would hold.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Frames in order.
    pub frames: Vec<StoredFrame>,
    /// After how many frames, in which institution, what.
    heaves: Vec<(usize, u32, Heave)>,
}

impl Log {
    /// Moves money outside the log, in a ledger that has applied all frames. Says whether it could.
    pub fn heave(&mut self, ledger: &mut Ledger, institution: u32, heave: &Heave) -> bool {
        let done = world::heave(ledger, institution, heave);
        if done {
            self.heaves.push((self.frames.len(), institution, heave.clone()));
        }
        done
    }

    /// Last sequence number in the log.
    pub fn last_sequence(&self) -> u64 {
        self.frames.last().map_or(0, StoredFrame::last_sequence)
    }

    /// Sequence number of the last row in the first frames of the log.
    pub fn last_sequence_of(&self, frames: usize) -> u64 {
        self.frames[..frames].last().map_or(0, StoredFrame::last_sequence)
    }

    /// The row of a sequence number.
    pub fn record(&self, sequence: u64) -> Record {
        let frame = &self.frames[self.frames.partition_point(|frame| frame.last_sequence() < sequence)];
        frame.view().record((sequence - frame.head.first_sequence) as u32).expect("a row that can be read")
    }

    /// Loses everything after this many frames.
    pub fn cut(&mut self, frames: usize) {
        self.frames.truncate(frames);
        self.heaves.retain(|(after, ..)| *after <= frames);
    }

    /// The ledger that the log says.
    pub fn replay(&self, shards: usize, seed: u64, limits: RoundLimits) -> Ledger {
        self.try_replay(shards, seed, limits).unwrap_or_else(|e| panic!("the log cannot be replayed: {e}"))
    }

    /// The ledger that the log says, if it can be believed.
    pub fn try_replay(&self, shards: usize, seed: u64, limits: RoundLimits) -> Result<Ledger, ReplayError> {
        let mut ledger = Ledger::new(shards, limits, seed);
        self.heave_after(0, &mut ledger);
        for (i, frame) in self.frames.iter().enumerate() {
            ledger.apply_frame(&FrameView::new(frame.head, &frame.payload, &frame.vouchers)?)?;
            self.heave_after(i + 1, &mut ledger);
        }
        Ok(ledger)
    }

    /// Whether money was moved outside the log.
    pub fn has_heaves(&self) -> bool {
        !self.heaves.is_empty()
    }

    fn heave_after(&self, frames: usize, ledger: &mut Ledger) {
        for (_, institution, heave) in self.heaves.iter().filter(|(after, ..)| *after == frames) {
            assert!(world::heave(ledger, *institution, heave), "it was possible before");
        }
    }

    /// Goes through every row with the auditor.
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::new();
        for i in 0..=self.frames.len() {
            for (_, institution, heave) in self.heaves.iter().filter(|(after, ..)| *after == i) {
                audit.heave(*institution, heave);
            }
            self.frames.get(i).iter().for_each(|frame| audit.frame(frame));
        }
        audit
    }
}
