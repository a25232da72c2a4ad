//! What a recovery or a scan of the log found.

use crate::disk::IoReport;

/// An unfinished write that nobody was told of, overwritten with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: String,
    /// Where it began, in bytes.
    pub offset: u64,
    /// Bytes up to its last non-zero block, or to where the file has to be made whole again.
    pub bytes: u64,
}

/// What a recovery or a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Frames before the first that was read: what they did was known.
    pub unread_frames: u64,
    /// Frames read.
    pub frames: u64,
    /// Groups read, empty ones included. Packed segments have none any more.
    pub groups: u64,
    /// Bytes of all groups and first blocks, and of packs.
    pub bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Packs, and how many of the segments are in them.
    pub packs: u64,
    /// See `packs`.
    pub packed_segments: u64,
    /// Number of the last frame; 0 if there is none.
    pub last_frame: u64,
    /// The last sequence number; 0 if there is none.
    pub last_sequence: u64,
    /// Time of the last frame, in nanoseconds since 1970; 0 if there is none.
    pub last_time_ns: u64,
    /// MAC of the last frame: with its number the head of the log, to be signed and kept elsewhere.
    pub head_mac: [u8; 32],
    /// What was behind the last group, if anything.
    pub torn_tail: Option<TornTail>,
    /// Blocks that are not zero behind the last group of a closed segment. Harmless, and a sign of a failing disk.
    pub stray_blocks: u64,
    /// How the log is written.
    pub io: IoReport,
}
