//! The second copy of the durable position, in a file of its own: two checksummed slots written in turn, so that a torn
//! write leaves the other one. Written after the log's sync, never before: it may be behind the log, never ahead.

use crate::block::Blocks;
use crate::error::LogFailure;
use crate::format::WatermarkSlot;
use crate::ledger::LedgerId;
use crate::limits::{BLOCK_BYTES, WATERMARK_BYTES};
use crate::storage::{Access, Storage, StorageFile};
use std::io;
use std::sync::Arc;

/// Name of the file in the data directory.
pub(crate) const WATERMARK_FILE: &str = "watermark";

/// The watermark, open for writing.
pub(crate) struct Watermark {
    file: Box<dyn StorageFile>,
    slot: WatermarkSlot,
    block: Blocks,
}

impl Watermark {
    /// Goes on from the slot that [`read`] found.
    pub(crate) fn open(storage: &dyn Storage, slot: WatermarkSlot) -> Result<Watermark, LogFailure> {
        let file = storage
            .open(WATERMARK_FILE, Access::Blocks)
            .map_err(|source| LogFailure::Open { file: WATERMARK_FILE.into(), source: Arc::new(source) })?;
        Ok(Watermark { file, slot, block: Blocks::new(BLOCK_BYTES) })
    }

    /// Writes the next slot and syncs it.
    pub(crate) fn advance(&mut self, frame: u64, group: u64, segment: u64) -> Result<(), LogFailure> {
        // The number of the group may: empty groups that nothing was behind are no loss, and are numbered again.
        assert!(frame >= self.slot.frame, "the durable position never goes back");
        self.slot = WatermarkSlot { ledger: self.slot.ledger, counter: self.slot.counter + 1, frame, group, segment };
        self.slot.encode(self.block.bytes_mut());
        let offset = slot_offset(self.slot.counter);
        self.file.write_at(self.block.bytes(), offset).map_err(|source| LogFailure::Write {
            file: WATERMARK_FILE.into(),
            offset,
            bytes: BLOCK_BYTES,
            source: Arc::new(source),
        })?;
        self.file.sync().map_err(|source| LogFailure::Sync { file: WATERMARK_FILE.into(), source: Arc::new(source) })
    }
}

fn slot_offset(counter: u64) -> u64 {
    (counter % 2) * BLOCK_BYTES as u64
}

/// The bytes of the file of a new ledger: both slots good, at frame 0.
pub(crate) fn initial(ledger: LedgerId) -> Blocks {
    file(ledger, 0, 0, 0)
}

/// The bytes of a file with both slots good, at this position.
pub(crate) fn file(ledger: LedgerId, frame: u64, group: u64, segment: u64) -> Blocks {
    let mut blocks = Blocks::new(WATERMARK_BYTES);
    for counter in [1, 2] {
        let at = slot_offset(counter) as usize;
        let slot = WatermarkSlot { ledger, counter, frame, group, segment };
        slot.encode(&mut blocks.bytes_mut()[at..at + BLOCK_BYTES]);
    }
    blocks
}

/// What reading the watermark may say.
pub(crate) enum WatermarkError {
    Io(io::Error),
    Bad(&'static str),
}

/// The newer good slot. One bad slot is normal: a write of it was interrupted. Two are not.
pub(crate) fn read(storage: &dyn Storage, ledger: LedgerId) -> Result<WatermarkSlot, WatermarkError> {
    let file = storage.open(WATERMARK_FILE, Access::Read).map_err(WatermarkError::Io)?;
    let size = file.size().map_err(WatermarkError::Io)?;
    let mut newest: Option<WatermarkSlot> = None;
    let mut foreign = false;
    for parity in [0, 1] {
        let mut block = [0; BLOCK_BYTES];
        if size < slot_offset(parity) + BLOCK_BYTES as u64 {
            continue;
        }
        file.read_at(&mut block, slot_offset(parity)).map_err(WatermarkError::Io)?;
        let Ok(slot) = WatermarkSlot::decode(&block) else { continue };
        if slot.ledger != ledger {
            foreign = true;
        } else if slot.counter % 2 == parity && newest.is_none_or(|best| slot.counter > best.counter) {
            newest = Some(slot);
        }
    }
    newest.ok_or(WatermarkError::Bad(match foreign {
        true => "it belongs to another ledger",
        false => "both slots are damaged",
    }))
}
