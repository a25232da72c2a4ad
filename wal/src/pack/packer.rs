//! Packs the sealed segments of a running log, one pack at a time, on whatever thread asks for it. Interrupted anywhere it leaves at
//! most a file that ends in `.new`, and raw files of segments that are packed; both are removed first when it goes on.
//!
//! What it never does: pack a segment that is being written, remove a raw file before the pack is durable under its name, retry a
//! failed sync (a pack that failed is made anew).

use super::make::{Keep, Maker, paced};
use super::plan::plan;
use crate::error::PackError;
use crate::format::{GroupHead, SegmentHead};
use crate::key::KeyRing;
use crate::ledger::LedgerManifest;
use crate::limits::{BLOCK_BYTES, FIRST_SEGMENT, GROUP_HEADER_BYTES};
use crate::segments::{LOG_FOLDER, PackRange, pack_range, segment_name, segment_ordinal};
use crate::storage::{Access, Storage};
use crate::writer::Shared;
use florin_planted::{Fault, planted};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A pack that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its first segment.
    pub first: u64,
    /// Its last segment.
    pub last: u64,
    /// Bytes of the raw files, which are gone.
    pub raw_bytes: u64,
    /// Bytes of the pack.
    pub pack_bytes: u64,
}

/// Makes packs. One at a time for a log.
pub struct Packer {
    storage: Arc<dyn Storage>,
    manifest: LedgerManifest,
    keys: Arc<KeyRing>,
    shared: Arc<Shared>,
    /// Nothing is left of an earlier packing.
    is_clean: bool,
    /// The first segment of which it is not decided whether it is packed.
    next: u64,
    /// Bytes of the frames of the segments from there on, as far as they are known; none for one that is packed.
    frame_bytes: VecDeque<Option<u64>>,
}

impl Packer {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        manifest: LedgerManifest,
        keys: Arc<KeyRing>,
        shared: Arc<Shared>,
    ) -> Packer {
        let frame_bytes = VecDeque::new();
        Packer { storage, manifest, keys, shared, is_clean: false, next: FIRST_SEGMENT, frame_bytes }
    }

    /// Packs the next segments that are worth it; none if there is nothing to do for now. `keep` is called between pieces with the
    /// bytes read or written, and ends the work by a break.
    pub fn pack_next(&mut self, keep: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Option<Packed>, PackError> {
        if !self.is_clean {
            self.clean()?;
            self.is_clean = true;
        }
        let heads = self.shared.segments.from(self.next);
        for at in self.frame_bytes.len()..heads.len().saturating_sub(1) {
            let bytes = match self.shared.packs.of(heads[at].ordinal) {
                Some(_) => None,
                None => Some(self.frame_bytes_of(&heads[at], heads[at + 1].first_group, keep)?),
            };
            self.frame_bytes.push_back(bytes);
        }
        let plan = plan(self.frame_bytes.make_contiguous(), self.manifest.segment_bytes);
        self.settled(plan.skip);
        if plan.take == 0 {
            return Ok(None);
        }
        let (segments, next) = (&heads[plan.skip..plan.skip + plan.take], &heads[plan.skip + plan.take]);
        // Whatever is left of it if it fails.
        self.is_clean = false;
        let packed = self.pack(segments, next, keep)?;
        self.is_clean = true;
        self.settled(plan.take);
        Ok(Some(packed))
    }

    /// Sealed segments that may be packed once there are more, or at the next call.
    pub fn waiting(&self) -> u64 {
        (self.shared.segments.from(self.next).len() as u64).saturating_sub(1)
    }

    fn settled(&mut self, segments: usize) {
        self.frame_bytes.drain(..segments);
        self.next += segments as u64;
    }

    fn pack(&self, segments: &[SegmentHead], next: &SegmentHead, keep: Keep<'_>) -> Result<Packed, PackError> {
        let range = PackRange { first: segments[0].ordinal, last: segments[segments.len() - 1].ordinal };
        let (name, new) = (range.name(), range.new_name());
        let maker = Maker { storage: &*self.storage, manifest: &self.manifest, keys: &self.keys };
        let made = maker.make(&new, segments, next, keep);
        if made.is_err() {
            // On a full disk at once, and not in a minute. What cannot be removed now is removed before the next try.
            let _ = self.storage.remove(&new);
        }
        let pack = made?;
        self.storage.rename(&new, &name).map_err(PackError::io(&name, 0))?;
        if !planted(Fault::RawRemovedEarly) {
            self.sync_directory()?;
        }
        let pack_bytes = pack.file_bytes();
        self.shared.packs.publish(pack);
        for segment in segments {
            let raw = segment_name(segment.ordinal);
            self.storage.remove(&raw).map_err(PackError::io(&raw, 0))?;
        }
        self.sync_directory()?;
        let raw_bytes = segments.len() as u64 * self.manifest.segment_bytes;
        Ok(Packed { first: range.first, last: range.last, raw_bytes, pack_bytes })
    }

    /// Removes what an interrupted packing left. A raw file goes only if its segment is in a pack that was found whole; a pack that
    /// nobody reads, since the sync behind its renaming failed, goes before another one with the same segments is made.
    fn clean(&self) -> Result<(), PackError> {
        let names = self.storage.list(LOG_FOLDER).map_err(PackError::io(LOG_FOLDER, 0))?;
        let is_packed = |ordinal| self.shared.packs.of(ordinal).is_some();
        let is_read = |range: PackRange| self.shared.packs.of(range.first).is_some_and(|pack| pack.range() == range);
        let mut removed = false;
        for name in names {
            let is_unread = pack_range(&name).is_some_and(|range| !is_read(range));
            if PackRange::is_new(&name) || is_unread || segment_ordinal(&name).is_some_and(is_packed) {
                let name = format!("{LOG_FOLDER}/{name}");
                self.storage.remove(&name).map_err(PackError::io(&name, 0))?;
                removed = true;
            }
        }
        if removed { self.sync_directory() } else { Ok(()) }
    }

    fn sync_directory(&self) -> Result<(), PackError> {
        self.storage.sync_directory(LOG_FOLDER).map_err(PackError::io(LOG_FOLDER, 0))
    }

    /// Bytes of a sealed segment's frames, by the headers of its groups.
    fn frame_bytes_of(&self, segment: &SegmentHead, next_group: u64, keep: Keep<'_>) -> Result<u64, PackError> {
        let name = segment_name(segment.ordinal);
        let file = self.storage.open(&name, Access::Read).map_err(PackError::io(&name, 0))?;
        let (mut offset, mut bytes) = (BLOCK_BYTES as u64, 0);
        for number in segment.first_group..next_group {
            let mut header = [0; GROUP_HEADER_BYTES];
            file.read_at(&mut header, offset).map_err(PackError::io(&name, offset))?;
            let group = GroupHead::decode(&header, segment, offset).ok().filter(|group| group.number == number);
            let bad = PackError::Damaged { file: name.clone(), offset, reason: "the next group does not begin here" };
            let group = group.ok_or(bad)?;
            bytes += u64::from(group.body_bytes);
            offset += group.bytes();
            paced(keep, GROUP_HEADER_BYTES)?;
        }
        Ok(bytes)
    }
}
