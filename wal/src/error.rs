//! What can go wrong, per operation. Every message names the file, the offset where there is one, and what to do.

use crate::frame::FramePlace;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Why a ledger could not be made. Whatever was made before the failure stays: remove the directory and try again.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The directory holds something.
    #[error("{} is not empty: a ledger is made in a new or empty directory; nothing was changed", data.display())]
    NotEmpty {
        /// The data directory.
        data: PathBuf,
    },
    /// The segment size is out of range.
    #[error("segments of {segment_bytes} bytes: choose 65536 to 268435456 bytes, a multiple of 4096")]
    SegmentBytes {
        /// What was asked for.
        segment_bytes: u64,
    },
    /// The key file could not be written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file could not be made.
    #[error("{}: {source}; no ledger was made: remove the directory and try again", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why `ledger.json` could not be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// There is none.
    #[error("{} has no ledger.json: it is not a ledger, or its making was interrupted; make one with `florin init`", data.display())]
    NotALedger {
        /// The data directory.
        data: PathBuf,
    },
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The manifest.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{}: {reason}; restore the file from a backup", file.display())]
    Text {
        /// The manifest.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is of another version.
    #[error("{}: format {found} is not known, this program knows format {known}; use the program that wrote it", file.display())]
    UnknownFormat {
        /// The manifest.
        file: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// Its segment size is impossible.
    #[error("{}: segments of {found} bytes cannot be; restore the file from a backup", file.display())]
    SegmentBytes {
        /// The manifest.
        file: PathBuf,
        /// Size in the file.
        found: u64,
    },
}

/// Why `point.json` could not be used.
#[derive(Debug, Error)]
pub enum PointError {
    /// It cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what was written, or not of this log.
    #[error("{}: {reason}; restore the folder from the backup again", file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Why the chain keys could not be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The key file or the folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file is not one.
    #[error("{}: {reason}; restore the key file from a backup", file.display())]
    Text {
        /// The key file.
        file: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no key.
    #[error("{}: there is no chain-ID.key; restore the key files, the log cannot be checked without them", folder.display())]
    NoKey {
        /// The folder.
        folder: PathBuf,
    },
}

/// Why the data directory could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{}: process {pid} ({command}) is using this ledger; stop it first, or use its own directory for another one",
        file.display()
    )]
    Held {
        /// The lock file.
        file: PathBuf,
        /// Process id as the holder wrote it; 0 if unknown.
        pid: u32,
        /// Command line as the holder wrote it.
        command: String,
    },
    /// There is no lock file.
    #[error("{} has no LOCK: it is not a ledger; make one with `florin init`", data.display())]
    NoLedger {
        /// The data directory.
        data: PathBuf,
    },
    /// There is no lock file, but a ledger's description.
    #[error("{} is a backup, which is neither served nor verified; make a ledger of it with `florin restore`", data.display())]
    Backup {
        /// The folder.
        data: PathBuf,
    },
    /// There is no lock file, but a point.
    #[error("{} is a ledger as of a point, restored for reads only", data.display())]
    Point {
        /// The folder.
        data: PathBuf,
    },
    /// The file cannot be opened or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What says that damaged data had been durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A later group's `durable_upto`.
    DurableUpto {
        /// Its segment's file.
        file: String,
        /// Its offset.
        offset: u64,
        /// The last frame that it says was durable.
        frame: u64,
    },
    /// A later group with frames: it was only begun after the sync of all groups before it.
    LaterGroup {
        /// Its segment's file.
        file: String,
        /// Its offset.
        offset: u64,
    },
    /// A later segment was begun: all before it was durable by then.
    LaterSegment {
        /// Its file.
        file: String,
        /// The first frame it could hold.
        first_frame: u64,
    },
    /// The watermark file.
    Watermark {
        /// The last frame that it says was durable.
        frame: u64,
        /// The last group that it says was durable.
        group: u64,
    },
    /// A snapshot: it is made of durable frames.
    Snapshot {
        /// Its last frame.
        frame: u64,
    },
    /// A run of ids: it is made of durable frames.
    Ids {
        /// Its last frame.
        frame: u64,
    },
    /// The point that the folder is as of.
    Point {
        /// Its frame.
        frame: u64,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::DurableUpto { file, offset, frame } => {
                write!(f, "the group at offset {offset} of {file} says that frame {frame} was durable")
            }
            Proof::LaterGroup { file, offset } => {
                write!(f, "a group with frames at offset {offset} of {file} was written after it")
            }
            Proof::LaterSegment { file, first_frame } => {
                write!(f, "{file} was begun after it, at frame {first_frame}")
            }
            Proof::Watermark { frame, group } => {
                write!(f, "the watermark says that frame {frame} and group {group} were durable")
            }
            Proof::Snapshot { frame } => write!(f, "snapshots/{frame:020} is a snapshot of durable frames"),
            Proof::Point { frame } => write!(f, "point.json says that the folder has the ledger as of frame {frame}"),
            Proof::Ids { frame } => write!(f, "a run in ids/ is of durable frames up to {frame}"),
        }
    }
}

/// Acknowledged data that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file with the damage.
    pub file: String,
    /// Offset of the group that cannot be read, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub reason: &'static str,
    /// The last frame before the damage; 0 if none.
    pub last_good_frame: u64,
    /// The highest frame that is known to have been acknowledged and is behind the damage, if the proof names one.
    pub acknowledged_upto: Option<u64>,
    /// What says so.
    pub proof: Proof,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged data is damaged: {} at offset {}: {}; the log is whole up to frame {}, ",
            self.file, self.offset, self.reason, self.last_good_frame
        )?;
        match self.acknowledged_upto {
            Some(last) => write!(f, "frames {} to {last} were acknowledged", self.last_good_frame + 1)?,
            None => write!(f, "frames after it may have been acknowledged")?,
        }
        write!(
            f,
            " ({}). Nothing was changed. Restore this file from a backup or a copy of the log and check it with \
             `florin verify`; do not delete or cut any segment",
            self.proof
        )
    }
}

/// Why a log was not recovered, or did not pass a scan. Nothing was changed.
#[derive(Debug, Error)]
pub enum RecoverError<E> {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The point.
    #[error(transparent)]
    Point(#[from] PointError),
    /// A file cannot be read, or the torn tail not be cleared.
    #[error("{file} at offset {offset}: {source}; nothing was served: mend the disk or restore the file from a backup")]
    Io {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Both slots of the watermark are bad, or it is another ledger's.
    #[error("watermark: {reason}; restore the file from a backup: without it a log that lost its end looks whole")]
    Watermark {
        /// What is wrong.
        reason: &'static str,
    },
    /// Acknowledged data is damaged.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// A segment that was written whole is not of this log or not of a known format.
    #[error(
        "{file} at offset {offset}: {reason}; nothing was changed: use the program and the files that belong to this log"
    )]
    Segment {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A frame in an undamaged group is not the next of the chain: a wrong key, or a changed file.
    #[error(
        "{file} at offset {offset}: frame {frame}: {reason}; this is not a torn write: the key file is the wrong one or \
         the log was changed; restore them from a backup"
    )]
    Frame {
        /// The file.
        file: String,
        /// Offset of the frame's header.
        offset: u64,
        /// The frame that was expected here.
        frame: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A pack is not what was written, or does not belong where it is.
    #[error("{file} at offset {offset}: {reason}; nothing was changed: {}", pack_remedy(.raw_there))]
    Pack {
        /// The pack.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
        /// Whether all the raw segments that it was made of are still there.
        raw_there: bool,
    },
    /// The caller did not accept a frame.
    #[error("{file} at offset {offset}: frame {frame}: {error}")]
    Apply {
        /// The file.
        file: String,
        /// Offset of the frame's header.
        offset: u64,
        /// The frame.
        frame: u64,
        /// What the caller said.
        error: E,
    },
}

impl<E> RecoverError<E> {
    /// What the caller said of a frame.
    pub(crate) fn apply(frame: u64, place: &FramePlace, error: E) -> RecoverError<E> {
        RecoverError::Apply { file: place.file(), offset: place.offset, frame, error }
    }

    /// The same error for another caller; none if it is what the caller said of a frame.
    pub(crate) fn of_log<F>(self) -> Option<RecoverError<F>> {
        Some(match self {
            RecoverError::Manifest(error) => RecoverError::Manifest(error),
            RecoverError::Key(error) => RecoverError::Key(error),
            RecoverError::Point(error) => RecoverError::Point(error),
            RecoverError::Io { file, offset, source } => RecoverError::Io { file, offset, source },
            RecoverError::Watermark { reason } => RecoverError::Watermark { reason },
            RecoverError::Damaged(damage) => RecoverError::Damaged(damage),
            RecoverError::Segment { file, offset, reason } => RecoverError::Segment { file, offset, reason },
            RecoverError::Frame { file, offset, frame, reason } => RecoverError::Frame { file, offset, frame, reason },
            RecoverError::Pack { file, offset, reason, raw_there } => {
                RecoverError::Pack { file, offset, reason, raw_there }
            }
            RecoverError::Apply { .. } => return None,
        })
    }
}

fn pack_remedy(raw_there: &bool) -> &'static str {
    match raw_there {
        true => "the segments that it was made of are still there, so move this pack out of the folder and start again",
        false => "restore this file from a backup or a copy of the log and check it with `florin verify`",
    }
}

/// Why a pack was not made. The raw segments are there as before, unless the pack is too.
#[derive(Debug, Error)]
pub enum PackError {
    /// A file cannot be read, written or removed.
    #[error("{file} at offset {offset}: {source}")]
    Io {
        /// Which.
        file: String,
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    #[error(
        "{file} at offset {offset}: {reason}; nothing was removed. Check the log with `florin verify`, and restore the file from a backup if it is a segment's"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// Whoever asked for it told it to stop.
    #[error("stopped")]
    Stopped,
}

impl PackError {
    pub(crate) fn io(file: &str, offset: u64) -> impl FnOnce(io::Error) -> PackError {
        let file = file.to_owned();
        move |source| PackError::Io { file, offset, source }
    }
}

/// Why a log was not copied. The log itself was not touched.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The log that was to be copied is not good.
    #[error(transparent)]
    Source(#[from] RecoverError<Infallible>),
    /// The copy is not good.
    #[error("the copy is not good: {0}")]
    Copy(Box<RecoverError<Infallible>>),
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is neither empty nor a copy.
    #[error("{} has other files in it", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has a copy of another ledger.
    #[error("{} has a copy of another ledger", folder.display())]
    OtherLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder, or one above it, has a lock or keys, so it is no place for a copy.
    #[error("{} is, or lies in, the folder of a ledger", folder.display())]
    IsLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The copy and the log have gone on from the same point in two ways.
    #[error(
        "the earlier backup has frames that are not those of this log: the two went on from the same point in different ways"
    )]
    Forked,
    /// The copy goes further than the log.
    #[error("{} goes on to frame {has}, but the log to be copied ends at frame {frame}", folder.display())]
    Ahead {
        /// The folder.
        folder: PathBuf,
        /// Its last frame.
        has: u64,
        /// Last frame of the log.
        frame: u64,
    },
    /// The copy has segments packed together in another way than the log.
    #[error("{}: the earlier backup has other segments packed together than the log; make a backup in a new folder", file.display())]
    OtherPacks {
        /// The pack of the copy.
        file: PathBuf,
    },
    /// Nothing is durable yet.
    #[error("there is nothing in the log yet")]
    Nothing,
    /// The folder to copy is a ledger as of a point: its log may be longer, and is not the whole ledger's.
    #[error("{} is a ledger as of a point, not a whole one", folder.display())]
    Point {
        /// The folder.
        folder: PathBuf,
    },
}

impl CopyError {
    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> CopyError {
        let file = file.to_path_buf();
        move |source| CopyError::Io { file, source }
    }
}

/// Why the writer could not be started. Nothing was served.
#[derive(Debug, Error)]
pub enum StartError {
    /// The opening group, its segment or the watermark could not be written.
    #[error("the log could not be opened for writing: {0}")]
    Write(#[from] LogFailure),
    /// A thread could not be started.
    #[error("the thread {name} could not be started: {source}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A write or sync of the log failed. Nothing further is written or acknowledged: end the process and start it again,
/// recovery finds out what the disk has.
#[derive(Clone, Debug, Error)]
pub enum LogFailure {
    /// A file of the log could not be opened or made.
    #[error("{file}: cannot be opened: {source}")]
    Open {
        /// The file.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A write failed.
    #[error("{file} at offset {offset}: writing {bytes} bytes failed: {source}")]
    Write {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// How much.
        bytes: usize,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A sync failed. What the disk has is unknown until recovery reads it.
    #[error("{file}: sync failed: {source}")]
    Sync {
        /// The file.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A frame was appended without asking for room, and no segment can be allocated.
    #[error("{file}: no segment could be allocated for a frame that was already applied: {source}")]
    NoRoom {
        /// The segment that is missing.
        file: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A thread of the log met a bug.
    #[error("the log's writer thread stopped: a bug; its message is on standard error")]
    Bug,
}

/// Why a frame could not be read back.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{file} at offset {offset}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    #[error("{file} at offset {offset}: {reason}; restore the file from a backup and check it with `florin verify`")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The frame is not durable yet or does not exist.
    #[error("frame {frame} is not in the log, which is durable up to frame {durable}")]
    NoFrame {
        /// What was asked for.
        frame: u64,
        /// The last durable frame.
        durable: u64,
    },
}
