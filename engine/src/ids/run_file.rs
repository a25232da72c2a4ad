//! A run as a file: a header, then blocks of entries in the order of their hashes, of the filter, of the ranges, and of the first hash
//! of each block of entries. Every block says which it is and of which file, and has a checksum that is looked at each time it is read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use florin_core::dedup::filter::{Filter, LINE_WORDS, Line};
use florin_core::dedup::old::{Run, RunSummary};
use florin_core::dedup::ranges::{RANGES_MAX, Ranges};
use florin_core::dedup::run::RunEntry;
use florin_planted::{Fault, planted};
use florin_wal::{FrameHead, LedgerId};
use zerocopy::little_endian::{U32, U64, U128};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::files::{Files, NewFile, OldFile};

/// Bytes of a block, the header's too.
pub const BLOCK_BYTES: usize = 4096;
const HEAD_BYTES: usize = 16;
const BODY_BYTES: usize = BLOCK_BYTES - HEAD_BYTES;
/// Entries of a block.
const BLOCK_ENTRIES: usize = BODY_BYTES / 16;
/// Lines of the filter in a block.
const BLOCK_LINES: usize = BODY_BYTES / 64;
/// Ranges of a block.
const BLOCK_RANGES: usize = BODY_BYTES / 32;
/// First hashes of a block.
const BLOCK_FENCES: usize = BODY_BYTES / 8;
/// Blocks that are written and synced, or read, at once: a file that is synced as a whole would keep the log from the disk for as long.
const CHUNK_BLOCKS: usize = 256;
const MAGIC: [u8; 8] = *b"FLORINID";
/// The version that is written and read.
const FORMAT: u32 = 1;

/// Why a run cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// It is not what was written for this ledger.
    #[error("{} at offset {offset}: {reason}", file.display())]
    Damaged { file: PathBuf, offset: u64, reason: &'static str },
    /// Whoever makes it was stopped.
    #[error("stopped")]
    Stopped,
}

impl RunError {
    /// The file that is damaged or cannot be read, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            RunError::Io { file, .. } | RunError::Damaged { file, .. } => Some(file),
            RunError::Stopped => None,
        }
    }

    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> RunError {
        let file = file.to_path_buf();
        move |source| RunError::Io { file, source }
    }
}

/// What a run is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunPlace {
    /// Seed of the hashes, the same in all runs of a ledger.
    pub seed: u64,
    /// Ordinal of the last segment that it covers.
    pub segment: u64,
    /// Number of the last frame that it covers.
    pub frame: u64,
    /// Chain MAC of that frame.
    pub mac: [u8; 32],
}

/// The first block of a file.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    /// BLAKE3 of the rest of the block.
    digest: [u8; 32],
    magic: [u8; 8],
    format: U32,
    ranges: U32,
    ledger: [u8; 16],
    seed: U64,
    first: U64,
    last: U64,
    segment: U64,
    frame: U64,
    ids: U64,
    entries: U64,
    lines: U64,
    mac: [u8; 32],
    reserved: [u8; BLOCK_BYTES - 160],
}

const _: () = assert!(size_of::<Header>() == BLOCK_BYTES);

/// In front of each other block. 16 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BlockHead {
    /// CRC-32 of the rest of the block.
    checksum: U32,
    /// First bytes of the header's digest: blocks of other files do not pass.
    file: [u8; 4],
    /// Number of the block in the file; the header is 0.
    number: U64,
}

const _: () = assert!(size_of::<BlockHead>() == HEAD_BYTES);

/// Where the parts of a file begin and how long they are, in blocks.
#[derive(Clone, Copy)]
struct Layout {
    entries: u64,
    filter: u64,
    ranges: u64,
    fences: u64,
    end: u64,
}

impl Header {
    fn layout(&self) -> Layout {
        let blocks = |count: u64, each: usize| count.div_ceil(each as u64);
        let entry_blocks = blocks(self.entries.get(), BLOCK_ENTRIES);
        let filter = 1 + entry_blocks;
        let ranges = filter + blocks(self.lines.get(), BLOCK_LINES);
        let fences = ranges + blocks(self.ranges.get().into(), BLOCK_RANGES);
        Layout { entries: 1, filter, ranges, fences, end: fences + blocks(entry_blocks, BLOCK_FENCES) }
    }
}

/// A run that can be asked.
#[derive(Debug)]
pub(crate) struct RunFile {
    pub path: PathBuf,
    pub place: RunPlace,
    /// What is in memory of it.
    pub run: Arc<Run>,
    pub bytes: u64,
    entries: u64,
    file: Box<dyn OldFile>,
    salt: [u8; 4],
    /// First hash of each block of entries.
    fences: Vec<u64>,
    /// A block of it was found damaged: it is to be made again.
    rotten: AtomicBool,
}

/// Name of the file of a run.
pub(crate) fn file_name(first: u64, last: u64) -> String {
    format!("{first:020}-{last:020}.run")
}

/// First and last row that a file's name says.
pub(crate) fn rows_of(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".run")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (file_name(first, last) == name).then_some((first, last))
}

/// Writes blocks one behind the other.
struct Writer<'a> {
    path: &'a Path,
    file: Box<dyn NewFile>,
    salt: [u8; 4],
    number: u64,
    chunk: Vec<u8>,
    /// Bytes of the body of the last block of the chunk.
    body: usize,
    keep: &'a mut dyn FnMut(usize) -> Result<(), RunError>,
}

impl Writer<'_> {
    /// Adds an item, of a size by which bodies are divided.
    fn push(&mut self, item: &[u8], each: usize) -> Result<(), RunError> {
        if self.body == 0 {
            self.chunk.resize(self.chunk.len() + HEAD_BYTES, 0);
        }
        self.chunk.extend_from_slice(item);
        self.body += item.len();
        if self.body / item.len() == each { self.end_block() } else { Ok(()) }
    }

    /// Ends the block; what comes next begins another.
    fn end_block(&mut self) -> Result<(), RunError> {
        if self.body == 0 {
            return Ok(());
        }
        self.chunk.resize(self.chunk.len().next_multiple_of(BLOCK_BYTES), 0);
        self.number += 1;
        let from = self.chunk.len() - BLOCK_BYTES;
        let block = &mut self.chunk[from..];
        let mut head = BlockHead { checksum: 0.into(), file: self.salt, number: self.number.into() };
        block[..HEAD_BYTES].copy_from_slice(head.as_bytes());
        head.checksum = crc32fast::hash(&block[4..]).into();
        block[..HEAD_BYTES].copy_from_slice(head.as_bytes());
        self.body = 0;
        if self.chunk.len() >= CHUNK_BLOCKS * BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RunError> {
        let written = self.file.write_all(&self.chunk);
        let written = written.and_then(|()| if planted(Fault::RunNotSynced) { Ok(()) } else { self.file.sync_data() });
        written.map_err(RunError::io(self.path))?;
        let bytes = self.chunk.len();
        self.chunk.clear();
        (self.keep)(bytes)
    }
}

impl RunFile {
    /// Writes a run to a new file and makes it durable: `count` entries in order.
    pub fn write(
        (path, file): (&Path, Box<dyn NewFile>),
        ledger: LedgerId,
        place: &RunPlace,
        summary: &RunSummary,
        (count, entries): (u64, impl Iterator<Item = Result<RunEntry, RunError>>),
        keep: &mut dyn FnMut(usize) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let mut filter = Filter::for_ids(count);
        let mut header = Header {
            digest: [0; 32],
            magic: MAGIC,
            format: FORMAT.into(),
            ranges: (summary.ranges.parts().len() as u32).into(),
            ledger: ledger.0,
            seed: place.seed.into(),
            first: summary.first.into(),
            last: summary.last.into(),
            segment: place.segment.into(),
            frame: place.frame.into(),
            ids: summary.ids.into(),
            entries: count.into(),
            lines: (filter.lines().len() as u64).into(),
            mac: place.mac,
            reserved: FromZeros::new_zeroed(),
        };
        header.digest = blake3::hash(&header.as_bytes()[32..]).into();
        let salt = header.salt();
        let chunk = header.as_bytes().to_vec();
        let mut writer = Writer { path, file, salt, number: 0, chunk, body: 0, keep };
        let mut fences = Vec::new();
        let mut written = 0;
        for entry in entries {
            let entry = entry?;
            if written % BLOCK_ENTRIES as u64 == 0 {
                fences.push(entry.hash);
            }
            written += 1;
            filter.add(entry.hash);
            writer.push([U64::new(entry.hash), U64::new(entry.place)].as_bytes(), BLOCK_ENTRIES)?;
        }
        assert_eq!(written, count, "as many entries as were announced");
        writer.end_block()?;
        for line in filter.lines() {
            writer.push(line.0.map(U64::new).as_bytes(), BLOCK_LINES)?;
        }
        writer.end_block()?;
        for (first, last) in summary.ranges.parts() {
            writer.push([U128::new(*first), U128::new(*last)].as_bytes(), BLOCK_RANGES)?;
        }
        writer.end_block()?;
        for fence in fences {
            writer.push(U64::new(fence).as_bytes(), BLOCK_FENCES)?;
        }
        writer.end_block()?;
        writer.flush()
    }

    /// Opens a run of this ledger and takes filter, ranges and first hashes into memory. Entries are checked when they are read.
    pub fn open(files: &dyn Files, path: &Path, ledger: LedgerId) -> Result<RunFile, RunError> {
        let file = files.open(path).map_err(RunError::io(path))?;
        let bytes = file.length().map_err(RunError::io(path))?;
        let at_start = |reason| RunError::Damaged { file: path.to_path_buf(), offset: 0, reason };
        let mut header = Header::new_zeroed();
        file.read_at(header.as_mut_bytes(), 0).map_err(RunError::io(path))?;
        header.check(ledger, bytes).map_err(at_start)?;
        let layout = header.layout();
        let mut reader = Blocks { path, file: &*file, salt: header.salt(), chunk: Vec::new(), from: 0 };
        let mut lines = Vec::with_capacity(header.lines.get() as usize);
        reader.items(layout.filter..layout.ranges, header.lines.get(), |words: &[U64; LINE_WORDS]| {
            lines.push(Line(words.map(U64::get)));
        })?;
        let mut parts = Vec::new();
        reader.items(layout.ranges..layout.fences, header.ranges.get().into(), |range: &[U128; 2]| {
            parts.push((range[0].get(), range[1].get()));
        })?;
        let mut fences = Vec::new();
        let entry_blocks = layout.filter - layout.entries;
        reader.items(layout.fences..layout.end, entry_blocks, |fence: &U64| fences.push(fence.get()))?;
        let ranges = Ranges::of_parts(parts).ok_or_else(|| at_start("its ranges are in no order"))?;
        if !fences.is_sorted() {
            return Err(at_start("its first hashes are in no order"));
        }
        let summary = RunSummary { first: header.first.get(), last: header.last.get(), ids: header.ids.get(), ranges };
        let place = RunPlace {
            seed: header.seed.get(),
            segment: header.segment.get(),
            frame: header.frame.get(),
            mac: header.mac,
        };
        Ok(RunFile {
            path: path.to_path_buf(),
            place,
            run: Arc::new(Run { summary, filter: Filter::of_lines(lines) }),
            bytes,
            entries: header.entries.get(),
            salt: header.salt(),
            file,
            fences,
            rotten: AtomicBool::new(false),
        })
    }

    /// Whether it does not end with the frame of its last frame's number: then it is of another log.
    pub fn is_of_another_log(&self, frame: &FrameHead) -> bool {
        self.place.mac != frame.mac || self.run.summary.last + 1 != frame.next_sequence()
    }

    /// Notes that a block is damaged, and says so the first time: then true.
    pub fn reject(&self, error: &RunError) -> bool {
        let is_first = !self.rotten.swap(true, Relaxed);
        if is_first {
            eprintln!(
                "florin: {error}; what it would say is read from the log until it was made again, which happens now. If this comes again, \
                 look after the disk"
            );
        }
        is_first
    }

    /// Whether a block was found damaged.
    pub fn is_rotten(&self) -> bool {
        self.rotten.load(Relaxed)
    }

    /// Reads all of it and checks each block. `keep` is told how many bytes were read since it was told last; its error ends the reading.
    pub fn check<E>(&self, keep: &mut dyn FnMut(usize) -> Result<(), E>) -> Result<Result<(), RunError>, E> {
        let mut chunk = vec![0; CHUNK_BLOCKS * BLOCK_BYTES];
        let blocks = self.bytes / BLOCK_BYTES as u64;
        for from in (0..blocks).step_by(CHUNK_BLOCKS) {
            let upto = blocks.min(from + CHUNK_BLOCKS as u64);
            let bytes = &mut chunk[..(upto - from) as usize * BLOCK_BYTES];
            if let Err(error) = self.check_chunk(bytes, from) {
                return Ok(Err(error));
            }
            keep(bytes.len())?;
        }
        Ok(Ok(()))
    }

    fn check_chunk(&self, chunk: &mut [u8], from: u64) -> Result<(), RunError> {
        self.read_at(chunk, from)?;
        if from > 0 {
            return check_blocks(&self.path, self.salt, chunk, from);
        }
        let (header, blocks) = chunk.split_at(BLOCK_BYTES);
        let header = Header::ref_from_bytes(header).expect("bytes of a header");
        // The other blocks were found by what it said when it was opened: another one, whole as it may be, is not this run's.
        if blake3::hash(&header.as_bytes()[32..]) != header.digest || header.salt() != self.salt {
            return Err(self.damaged(0, "the digest of its header does not match"));
        }
        check_blocks(&self.path, self.salt, blocks, 1)
    }

    fn damaged(&self, offset: u64, reason: &'static str) -> RunError {
        RunError::Damaged { file: self.path.clone(), offset, reason }
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> u64 {
        let Run { summary, filter } = &*self.run;
        (size_of_val(filter.lines()) + size_of_val(summary.ranges.parts()) + size_of_val(&*self.fences)) as u64
    }

    /// The entries with a hash.
    pub fn look_up(&self, hash: u64) -> Result<Vec<RunEntry>, RunError> {
        let mut found = Vec::new();
        if !self.run.filter.may_have(hash) {
            return Ok(found);
        }
        // Entries of one hash may go on over a block's end.
        let first = self.fences.partition_point(|fence| *fence < hash).saturating_sub(1);
        let behind = self.fences.partition_point(|fence| *fence <= hash);
        let mut block = [0; BLOCK_BYTES];
        for number in first..behind {
            self.read(&mut block, 1 + number as u64)?;
            let count = (self.entries - (number * BLOCK_ENTRIES) as u64).min(BLOCK_ENTRIES as u64);
            found.extend(entries_of(&block, count as usize).filter(|entry| entry.hash == hash));
        }
        Ok(found)
    }

    fn read(&self, block: &mut [u8], number: u64) -> Result<(), RunError> {
        self.read_at(block, number)?;
        check_blocks(&self.path, self.salt, block, number)
    }

    fn read_at(&self, blocks: &mut [u8], number: u64) -> Result<(), RunError> {
        let offset = number * BLOCK_BYTES as u64;
        match self.file.read_at(blocks, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(offset, "the file is cut short"))
            }
            read => read.map_err(RunError::io(&self.path)),
        }
    }

    /// Gives all entries to `each`, and says where they are not in order, or not where the first hashes lead.
    pub fn entries_in_order(&self, mut each: impl FnMut(RunEntry)) -> Result<(), RunError> {
        let mut before: Option<RunEntry> = None;
        for (at, entry) in self.all().enumerate() {
            let entry = entry?;
            let wrong = |reason| self.damaged(((1 + at / BLOCK_ENTRIES) * BLOCK_BYTES) as u64, reason);
            if before.is_some_and(|before| before >= entry) {
                return Err(wrong("its entries are not in order"));
            }
            if at % BLOCK_ENTRIES == 0 && self.fences[at / BLOCK_ENTRIES] != entry.hash {
                return Err(wrong("its first hashes are not those of its blocks"));
            }
            before = Some(entry);
            each(entry);
        }
        Ok(())
    }

    /// All entries in order, for a merge.
    pub fn all(&self) -> impl Iterator<Item = Result<RunEntry, RunError>> + '_ {
        let blocks = self.entries.div_ceil(BLOCK_ENTRIES as u64);
        let mut chunk = vec![0; CHUNK_BLOCKS * BLOCK_BYTES];
        let mut chunks = (0..blocks).step_by(CHUNK_BLOCKS);
        let mut ready: std::vec::IntoIter<RunEntry> = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(entry) = ready.next() {
                    return Some(Ok(entry));
                }
                let from = chunks.next()?;
                let count = (blocks - from).min(CHUNK_BLOCKS as u64) as usize;
                let bytes = &mut chunk[..count * BLOCK_BYTES];
                if let Err(error) = self.read(bytes, 1 + from) {
                    return Some(Err(error));
                }
                let left = self.entries - from * BLOCK_ENTRIES as u64;
                let of_block = |(at, block): (usize, &[u8])| {
                    let count = (left - (at * BLOCK_ENTRIES) as u64).min(BLOCK_ENTRIES as u64);
                    entries_of(block, count as usize).collect::<Vec<_>>()
                };
                ready = bytes.chunks(BLOCK_BYTES).enumerate().flat_map(of_block).collect::<Vec<_>>().into_iter();
            }
        })
    }
}

impl Header {
    fn salt(&self) -> [u8; 4] {
        [self.digest[0], self.digest[1], self.digest[2], self.digest[3]]
    }

    fn check(&self, ledger: LedgerId, bytes: u64) -> Result<(), &'static str> {
        if self.magic != MAGIC {
            return Err("it is not a run of ids");
        }
        if blake3::hash(&self.as_bytes()[32..]) != self.digest {
            return Err("the digest of its header does not match");
        }
        if self.format.get() != FORMAT {
            return Err("its format version is not known");
        }
        if self.ledger != ledger.0 {
            return Err("it is of another ledger");
        }
        let in_order =
            self.first.get() >= 1 && self.first.get() <= self.last.get() && self.ids.get() <= self.entries.get();
        let sizes = self.lines.get() == Filter::lines_for(self.entries.get()) as u64
            && self.ranges.get() as usize <= RANGES_MAX
            && self.reserved.iter().all(|byte| *byte == 0);
        // A file's length bounds what its header can make anybody read or allocate.
        let fits = self.entries.get() <= bytes / 16 && self.layout().end.checked_mul(BLOCK_BYTES as u64) == Some(bytes);
        if in_order && sizes && fits { Ok(()) } else { Err("its header does not fit the file") }
    }
}

/// Reads blocks one behind the other.
struct Blocks<'a> {
    path: &'a Path,
    file: &'a dyn OldFile,
    salt: [u8; 4],
    chunk: Vec<u8>,
    from: u64,
}

impl Blocks<'_> {
    /// The items in some blocks, so many.
    fn items<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
        blocks: std::ops::Range<u64>,
        count: u64,
        mut each: impl FnMut(&T),
    ) -> Result<(), RunError> {
        let per_block = BODY_BYTES / size_of::<T>();
        let mut left = count as usize;
        for from in blocks.clone().step_by(CHUNK_BLOCKS) {
            let upto = blocks.end.min(from + CHUNK_BLOCKS as u64);
            self.from = from;
            self.chunk.resize((upto - from) as usize * BLOCK_BYTES, 0);
            let offset = from * BLOCK_BYTES as u64;
            self.file.read_at(&mut self.chunk, offset).map_err(RunError::io(self.path))?;
            check_blocks(self.path, self.salt, &self.chunk, from)?;
            for block in self.chunk.chunks(BLOCK_BYTES) {
                let items = block[HEAD_BYTES..].chunks_exact(size_of::<T>()).take(per_block.min(left));
                items.for_each(|item| each(T::ref_from_bytes(item).expect("bytes of an item")));
                left -= per_block.min(left);
            }
        }
        Ok(())
    }
}

/// Checks whole blocks, of which the first has this number.
fn check_blocks(path: &Path, salt: [u8; 4], blocks: &[u8], first: u64) -> Result<(), RunError> {
    for (number, block) in (first..).zip(blocks.chunks(BLOCK_BYTES)) {
        let head = BlockHead::ref_from_bytes(&block[..HEAD_BYTES]).expect("bytes of a head");
        let reason = match () {
            () if head.checksum.get() != crc32fast::hash(&block[4..]) => "the checksum of the block does not match",
            () if head.file != salt || head.number.get() != number => "the block belongs elsewhere",
            () => continue,
        };
        let offset = number * BLOCK_BYTES as u64;
        return Err(RunError::Damaged { file: path.to_path_buf(), offset, reason });
    }
    Ok(())
}

fn entries_of(block: &[u8], count: usize) -> impl Iterator<Item = RunEntry> + '_ {
    block[HEAD_BYTES..].chunks_exact(16).take(count).map(|bytes| {
        let [hash, place] = <[U64; 2]>::ref_from_bytes(bytes).expect("bytes of an entry").map(U64::get);
        RunEntry { hash, place }
    })
}
