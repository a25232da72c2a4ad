//! What happened, in order: operations on files, and what was said about frames in between.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::segment_ordinal;

/// Name of a file in the data directory.
pub type Name = Arc<str>;

/// Files by name. Copying one copies no bytes.
pub type Image = BTreeMap<Name, Arc<Vec<u8>>>;

/// One step of a log's life.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Event {
    /// A file was made, if it was not there.
    Create { file: Name },
    /// Whole blocks were handed to the disk.
    Write { file: Name, handle: u64, offset: u64, bytes: Arc<[u8]> },
    /// A file was made longer.
    Extend { file: Name, handle: u64, bytes: u64 },
    /// What was written through a handle is durable: a sync returned, or a write that is durable when it returns.
    Sync { file: Name, handle: u64 },
    /// All of a file is durable.
    SyncAll { file: Name },
    /// A file got another name.
    Rename { file: Name, to: Name },
    /// A file was removed.
    Remove { file: Name },
    /// All names in the folder of the log are durable.
    SyncDirectory,
    /// A frame was handed to the log.
    Appended(u64),
    /// The log said that the frames up to this one are durable.
    Acknowledged(u64),
    /// The log started: whoever asks is told of the frames up to this one.
    Served(u64),
}

impl Event {
    /// The segment that a write begins. What is zeros begins nothing.
    pub fn begins(&self) -> Option<u64> {
        match self {
            Event::Write { file, offset: 0, bytes, .. } if bytes[0] != 0 => segment_ordinal(file),
            _ => None,
        }
    }

    /// What is written, and to which file.
    pub fn bytes(&self) -> Option<(&str, &[u8])> {
        match self {
            Event::Write { file, bytes, .. } => Some((file, bytes)),
            _ => None,
        }
    }

    /// The file of a step that has one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Event::Create { file }
            | Event::Write { file, .. }
            | Event::Extend { file, .. }
            | Event::Sync { file, .. }
            | Event::Rename { file, .. }
            | Event::Remove { file }
            | Event::SyncAll { file } => Some(file),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Create { file } => write!(f, "create {file}"),
            Event::Write { file, offset, bytes, .. } => write!(f, "write {} bytes to {file} at {offset}", bytes.len()),
            Event::Extend { file, bytes, .. } => write!(f, "extend {file} to {bytes} bytes"),
            Event::Sync { file, .. } => write!(f, "synced {file}"),
            Event::SyncAll { file } => write!(f, "all of {file} synced"),
            Event::Rename { file, to } => write!(f, "rename {file} to {to}"),
            Event::Remove { file } => write!(f, "remove {file}"),
            Event::SyncDirectory => write!(f, "directory synced"),
            Event::Appended(frame) => write!(f, "frame {frame} appended"),
            Event::Acknowledged(frame) => write!(f, "frame {frame} acknowledged"),
            Event::Served(frame) => write!(f, "started with frame {frame}"),
        }
    }
}
