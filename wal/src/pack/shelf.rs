//! The packs of a running log, by segment. The packer adds; readers look up where a segment's frames are. Grows with the number of
//! packs and their segments, not of frames.

use super::format::PackHead;
use crate::table::Tables;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

/// All packs that were found whole, in order.
pub(crate) struct Packs {
    packs: RwLock<Vec<Arc<PackHead>>>,
    /// The tables of all readers: those of raw files keep the files, and their space, until they are dropped.
    readers: Mutex<Vec<Weak<Tables>>>,
}

impl Packs {
    pub(crate) fn new(packs: Vec<PackHead>) -> Packs {
        let packs = packs.into_iter().map(Arc::new).collect();
        Packs { packs: RwLock::new(packs), readers: Mutex::default() }
    }

    /// The pack that a segment is in.
    pub(crate) fn of(&self, ordinal: u64) -> Option<Arc<PackHead>> {
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        let at = packs.partition_point(|pack| pack.range().last < ordinal);
        packs.get(at).filter(|pack| pack.range().first <= ordinal).map(Arc::clone)
    }

    /// How many packs there are and how many segments are in them.
    pub(crate) fn count(&self) -> (u64, u64) {
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        (packs.len() as u64, packs.iter().map(|pack| pack.segments.len() as u64).sum())
    }

    /// Tables that are to be told of new packs.
    pub(crate) fn tell(&self, tables: &Arc<Tables>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|tables| tables.strong_count() > 0);
        readers.push(Arc::downgrade(tables));
    }

    /// A pack that is durable under its name. From here on readers find the frames of its segments in it.
    pub(crate) fn publish(&self, pack: PackHead) {
        let range = pack.range();
        let mut packs = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        let at = packs.partition_point(|other| other.range().last < range.first);
        assert!(packs.get(at).is_none_or(|other| other.range().first > range.last), "a segment is packed once");
        packs.insert(at, Arc::new(pack));
        drop(packs);
        // Only now: a reader that opened a raw file before has put its table where it is found here.
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        readers.iter().filter_map(Weak::upgrade).for_each(|tables| tables.forget_raw(range));
    }
}
