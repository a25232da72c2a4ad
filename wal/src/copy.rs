//! A copy of a log in another folder: of a ledger that is being written, for a backup, or of a backup, to restore it. Only what is new
//! is copied, and the copy is checked as a whole before it is said to be good.
//!
//! The copy of a log that is being written ends before its last group: a group is proof that all before it was durable, and of itself
//! nothing is proven. The keys are not copied: who has the backup alone can neither go on with it nor forge it.

use crate::disk::{DiskStorage, IoMode, sync_directory};
use crate::error::{CopyError, RecoverError};
use crate::evidence;
use crate::frame::Frame;
use crate::key::{KEY_FOLDER, KeyRing};
use crate::ledger::{LedgerManifest, MANIFEST_FILE};
use crate::limits::{BLOCK_BYTES, FIRST_SEGMENT};
use crate::lock::LOCK_FILE;
use crate::pack::format::PackHead;
use crate::pack::walk::find_packs;
use crate::point::{POINT_FILE, Point};
use crate::recover::read_watermark;
use crate::report::RecoveryReport;
use crate::segments::{LOG_FOLDER, segment_name, segment_ordinal};
use crate::storage::Access;
use crate::verify::scan_on;
use crate::walk::{Part, Walked, walk};
use crate::watermark::{self, WATERMARK_FILE};
use std::convert::Infallible;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much of a log is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is proven to be durable while a server may be writing.
    Proven,
    /// All of it: nobody is writing.
    Whole,
}

/// What was copied.
#[derive(Clone, Debug)]
pub struct CopyReport {
    /// What the check of the whole copy found.
    pub log: RecoveryReport,
    /// Segments that were copied now; the others were there.
    pub copied: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Where a copy ends.
#[derive(Clone, Copy)]
struct End {
    frame: u64,
    group: u64,
    /// The last segment and how many bytes of it; none if nothing is proven.
    segment: u64,
    bytes: u64,
}

impl End {
    /// The end of a pack. All of it was durable before it was made.
    fn behind(pack: &PackHead, segment_bytes: u64) -> End {
        let (frame, group) = (pack.next_frame - 1, pack.next_group - 1);
        End { frame, group, segment: pack.range().last, bytes: segment_bytes }
    }
}

/// Copies the log in `data` to `to`, a new folder or an earlier copy. Keys are those of the ledger; `snapshot` is the last frame of its
/// newest snapshot, 0 if there is none.
pub fn copy_log(
    data: &Path,
    keys: &KeyRing,
    to: &Path,
    extent: Extent,
    snapshot: u64,
) -> Result<CopyReport, CopyError> {
    let manifest = LedgerManifest::load(data).map_err(RecoverError::Manifest)?;
    if Point::is_in(data) {
        return Err(CopyError::Point { folder: data.to_path_buf() });
    }
    if is_in_a_ledger(to).map_err(CopyError::io(to))? {
        return Err(CopyError::IsLedger { folder: to.to_path_buf() });
    }
    let earlier = match to.join(MANIFEST_FILE).exists() {
        true => Some(read_earlier(to, &manifest, keys)?),
        false => None,
    };
    let (end, packs) = end_of(data, &manifest, keys, extent, snapshot, earlier.as_ref())?;
    if let Some(Earlier { frame: has, .. }) = earlier
        && has > end.frame
    {
        return Err(CopyError::Ahead { folder: to.to_path_buf(), has, frame: end.frame });
    }
    if earlier.is_none() {
        prepare(to)?;
    }
    let mut copying = Copying {
        data,
        to,
        manifest: &manifest,
        // The last segment of an earlier copy was cut: it may have become longer, though it looks the same.
        complete: earlier.as_ref().map_or(0, |earlier| earlier.segment.saturating_sub(1)),
        there: earlier.as_ref().map_or(Ok(Vec::new()), |_| packs_of(to, &manifest))?,
        copied: 0,
        bytes: 0,
    };
    let end = copying.segments(packs, end)?;
    let Copying { copied, bytes, .. } = copying;
    // After the log, as always: it may be behind, never ahead.
    let mark = watermark::file(manifest.ledger, end.frame, end.group, end.segment);
    replace(&to.join(WATERMARK_FILE), mark.bytes())?;
    if earlier.is_none() {
        // At last: before it the folder is no ledger.
        replace(&to.join(MANIFEST_FILE), manifest.to_text().as_bytes())?;
    }
    Ok(CopyReport { log: check(to, &manifest, keys)?, copied, bytes })
}

/// The packs of a ledger or copy, by their headers.
fn packs_of(folder: &Path, manifest: &LedgerManifest) -> Result<Vec<PackHead>, CopyError> {
    let found = find_packs::<Infallible>(&open_storage(folder)?, manifest, Access::Read)?;
    Ok(found.into_iter().map(|pack| pack.head).collect())
}

/// The segments on their way from one folder to the other.
struct Copying<'a> {
    data: &'a Path,
    to: &'a Path,
    manifest: &'a LedgerManifest,
    /// Segments up to this one are whole in the copy, if they are there.
    complete: u64,
    /// Packs that the copy had before, all whole.
    there: Vec<PackHead>,
    copied: u64,
    bytes: u64,
}

impl Copying<'_> {
    /// Copies all segments up to the end, each as it is found there: raw or in a pack. Gives the end, which is further on if the last
    /// of them were packed since with later ones. Then removes raw segments of an earlier copy whose pack it has now.
    fn segments(&mut self, mut packs: Vec<PackHead>, mut end: End) -> Result<End, CopyError> {
        let mut ordinal = FIRST_SEGMENT;
        while ordinal <= end.segment {
            if let Some(pack) = packs.iter().find(|pack| pack.range().has(ordinal)) {
                self.pack(pack)?;
                if pack.range().last >= end.segment {
                    end = End::behind(pack, self.manifest.segment_bytes);
                }
                ordinal = pack.range().last + 1;
            } else if let Some(pack) = self.there.iter().find(|pack| pack.range().has(ordinal)) {
                // Packed in the copy already, by the ledger's packer of another life.
                ordinal = pack.range().last + 1;
            } else {
                match self.raw(ordinal, &end) {
                    Ok(()) => ordinal += 1,
                    Err(error) => {
                        // Its file goes once it is packed, which is no error if the pack is there: each time one more is.
                        let is_there = self.data.join(segment_name(ordinal)).exists();
                        packs = if is_there { packs } else { packs_of(self.data, self.manifest)? };
                        if !packs.iter().any(|pack| pack.range().has(ordinal)) {
                            return Err(error);
                        }
                    }
                }
            }
        }
        self.sync()?;
        let packed = |ordinal| packs.iter().chain(&self.there).any(|pack| pack.range().has(ordinal));
        let log = self.to.join(LOG_FOLDER);
        let mut removed = false;
        for entry in std::fs::read_dir(&log).map_err(CopyError::io(&log))? {
            let entry = entry.map_err(CopyError::io(&log))?;
            if entry.file_name().to_str().and_then(segment_ordinal).is_some_and(packed) {
                std::fs::remove_file(entry.path()).map_err(CopyError::io(&entry.path()))?;
                removed = true;
            }
        }
        if removed {
            self.sync()?;
        }
        Ok(end)
    }

    fn sync(&self) -> Result<(), CopyError> {
        let log = self.to.join(LOG_FOLDER);
        sync_directory(&log).map_err(CopyError::io(&log))
    }

    fn raw(&mut self, ordinal: u64, end: &End) -> Result<(), CopyError> {
        let name = segment_name(ordinal);
        let (from, into) = (self.data.join(&name), self.to.join(&name));
        let limit = if ordinal == end.segment { Some((end.bytes, self.manifest.segment_bytes)) } else { None };
        // A sealed segment never changes: one that is there whole is not copied again. What it holds is checked at last.
        if ordinal <= self.complete && is_same_segment(&from, &into).map_err(CopyError::io(&into))? {
            return Ok(());
        }
        self.bytes += copy_file(&from, &into, limit)?;
        self.copied += 1;
        Ok(())
    }

    fn pack(&mut self, pack: &PackHead) -> Result<(), CopyError> {
        let (range, name) = (pack.range(), pack.range().name());
        if self.there.contains(pack) {
            return Ok(());
        }
        let overlaps = |other: &&PackHead| other.range().first <= range.last && range.first <= other.range().last;
        if let Some(other) = self.there.iter().find(overlaps) {
            return Err(CopyError::OtherPacks { file: self.to.join(other.range().name()) });
        }
        self.bytes += copy_file(&self.data.join(&name), &self.to.join(&name), None)?;
        self.copied += pack.segments.len() as u64;
        Ok(())
    }
}

/// Whether a folder, or one above it, has what only a ledger has that is served, or may be.
pub(crate) fn is_in_a_ledger(to: &Path) -> io::Result<bool> {
    let to = std::path::absolute(to)?;
    let is_ledger = |folder: &Path| {
        folder.join(MANIFEST_FILE).exists() && [LOCK_FILE, KEY_FOLDER].iter().any(|name| folder.join(name).exists())
    };
    Ok(to.ancestors().any(is_ledger))
}

/// What an interrupted copy may leave before it has a manifest.
const LEFT_OVERS: [&str; 7] =
    [LOG_FOLDER, "snapshots", WATERMARK_FILE, "watermark.new", "ledger.json.new", POINT_FILE, "point.json.new"];

pub(crate) fn prepare(to: &Path) -> Result<(), CopyError> {
    DirBuilder::new().recursive(true).mode(0o750).create(to).map_err(CopyError::io(to))?;
    for entry in std::fs::read_dir(to).map_err(CopyError::io(to))? {
        let name = entry.map_err(CopyError::io(to))?.file_name();
        if !LEFT_OVERS.iter().any(|left| name == *left) {
            return Err(CopyError::NotEmpty { folder: to.to_path_buf() });
        }
    }
    let log = to.join(LOG_FOLDER);
    DirBuilder::new().recursive(true).mode(0o750).create(&log).map_err(CopyError::io(&log))?;
    sync_directory(to).map_err(CopyError::io(to))?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_directory(parent).map_err(CopyError::io(parent))
}

pub(crate) fn open_storage(folder: &Path) -> Result<DiskStorage, CopyError> {
    DiskStorage::open(folder, IoMode::Buffered, WATERMARK_FILE).map_err(CopyError::io(folder))
}

/// Walks the log and says up to where it is to be copied. What recovery would call damage is not copied.
fn end_of(
    data: &Path,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    extent: Extent,
    snapshot: u64,
    earlier: Option<&Earlier>,
) -> Result<(End, Vec<PackHead>), CopyError> {
    let storage = open_storage(data)?;
    let watermark = read_watermark::<Infallible>(&storage, manifest)?;
    let mut forked = false;
    let mut walk = || {
        walk::<Infallible>(&storage, manifest, keys, Access::Read, Part::ALL, &mut |frame: Frame<'_>| {
            forked |= earlier.is_some_and(|e| e.frame == frame.head.number && e.mac != frame.head.mac);
            Ok(())
        })
    };
    let walked = walk()?;
    if let Some(damage) = evidence::damage::<Infallible>(&storage, &walked, &watermark, (snapshot, 0), Access::Read)? {
        // Beside a writer the end moves on while it is looked at. Damage does not: then a second walk stops where the first did.
        let place = |walked: &Walked| (walked.stop.segment, walked.stop.offset);
        if extent == Extent::Whole || place(&walk()?) <= place(&walked) {
            return Err(CopyError::Source(RecoverError::Damaged(Box::new(damage))));
        }
    }
    if forked {
        return Err(CopyError::Forked);
    }
    let end = match (extent, &walked.last_group) {
        (Extent::Whole, Some(last)) => {
            let (frame, bytes) = (walked.end.last_frame, last.offset + last.bytes());
            End { frame, group: last.number, segment: last.ordinal, bytes }
        }
        (Extent::Proven, Some(last)) => {
            let (frame, group) = (last.durable_upto, last.number - 1);
            // The first group of a segment was written with the segment's first block.
            match last.offset == BLOCK_BYTES as u64 {
                true => End { frame, group, segment: last.ordinal - 1, bytes: manifest.segment_bytes },
                false => End { frame, group, segment: last.ordinal, bytes: last.offset },
            }
        }
        (_, None) if walked.end.packed => {
            End::behind(walked.packs.last().expect("it was read"), manifest.segment_bytes)
        }
        (_, None) => End { frame: 0, group: 0, segment: 0, bytes: 0 },
    };
    match end.segment {
        0 => Err(CopyError::Nothing),
        _ => Ok((end, walked.packs)),
    }
}

/// Where an earlier copy ends.
struct Earlier {
    frame: u64,
    mac: [u8; 32],
    segment: u64,
}

/// An earlier copy, which must be of this ledger and good.
fn read_earlier(to: &Path, manifest: &LedgerManifest, keys: &KeyRing) -> Result<Earlier, CopyError> {
    let copy = |error| CopyError::Copy(Box::new(error));
    let earlier = LedgerManifest::load(to).map_err(|error| copy(RecoverError::Manifest(error)))?;
    if earlier != *manifest {
        return Err(CopyError::OtherLedger { folder: to.to_path_buf() });
    }
    let mark = read_watermark::<Infallible>(&open_storage(to)?, manifest).map_err(copy)?;
    let log = check(to, manifest, keys)?;
    Ok(Earlier { frame: log.last_frame, mac: log.head_mac, segment: mark.segment })
}

fn is_same_segment(from: &Path, into: &Path) -> io::Result<bool> {
    let first_block = |path: &Path| -> io::Result<(u64, [u8; BLOCK_BYTES])> {
        let (mut file, mut block) = (File::open(path)?, [0; BLOCK_BYTES]);
        file.read_exact(&mut block)?;
        Ok((file.metadata()?.len(), block))
    };
    match first_block(into) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => Ok(false),
        there => Ok(there? == first_block(from)?),
    }
}

/// Copies a file under another name, makes it durable and renames it. With a limit: so many bytes, and zeros up to a length.
pub(crate) fn copy_file(from: &Path, into: &Path, limit: Option<(u64, u64)>) -> Result<u64, CopyError> {
    let new = new_name(into);
    let source = File::open(from).map_err(CopyError::io(from))?;
    let mut target = create(&new)?;
    let failed = CopyError::io(&new);
    let copied = match limit {
        None => io::copy(&mut &source, &mut target),
        Some((bytes, length)) => io::copy(&mut (&source).take(bytes), &mut target).and_then(|copied| {
            // Written, not left out: a log is written into blocks that are there.
            io::copy(&mut io::repeat(0).take(length - copied), &mut target).map(|_| copied)
        }),
    };
    let copied = copied.and_then(|copied| target.sync_all().map(|()| copied)).map_err(failed)?;
    std::fs::rename(&new, into).map_err(CopyError::io(into))?;
    Ok(copied)
}

/// Writes a small file under another name, makes it durable and renames it.
pub(crate) fn replace(file: &Path, bytes: &[u8]) -> Result<(), CopyError> {
    let new = new_name(file);
    let mut written = create(&new)?;
    written.write_all(bytes).and_then(|()| written.sync_all()).map_err(CopyError::io(&new))?;
    std::fs::rename(&new, file).map_err(CopyError::io(file))?;
    let folder = file.parent().expect("it is in the copy");
    sync_directory(folder).map_err(CopyError::io(folder))
}

fn create(path: &Path) -> Result<File, CopyError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640).open(path).map_err(CopyError::io(path))
}

fn new_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Checks the copy as a recovery would.
fn check(to: &Path, manifest: &LedgerManifest, keys: &KeyRing) -> Result<RecoveryReport, CopyError> {
    let storage = open_storage(to)?;
    let io = storage.report().clone();
    let scanned = scan_on::<Infallible>(&storage, io, manifest, keys, &mut |_| Ok(()));
    scanned.map_err(|error| CopyError::Copy(Box::new(error)))
}
