//! The log of a ledger: bytes in, durable bytes out. It knows nothing of money.
//!
//! A *frame* is one round of the engine: a head, a payload and a voucher area, chained to the frame before it by a MAC.
//! A *group* is one write and sync of one disk and carries any number of frames. Segments are files of one size whose
//! blocks were written before they are used. `docs/format-log.md` gives every byte.
//!
//! What always holds:
//! - at most one group is not yet synced, so a group's `durable_upto` is proof of everything up to that frame;
//! - a block that holds acknowledged data is never written again;
//! - after a failed write or sync nothing more is written, synced or acknowledged;
//! - recovery never drops a frame that anything on the disk says was durable: it refuses to start instead.
//!
//! What it never does: read a clock for what it writes (time is an argument), retry a sync, truncate a file.

mod ahead;
mod block;
mod chain;
mod copy;
mod copy_upto;
mod create;
mod disk;
mod disk_thread;
mod error;
mod evidence;
mod format;
mod frame;
mod group;
mod key;
mod ledger;
pub mod limits;
mod lock;
mod on_disk;
mod pack;
mod past;
mod point;
mod probe;
mod reader;
mod recover;
mod report;
mod room;
mod salted;
mod scrub;
mod segments;
mod spare;
mod stats;
mod storage;
mod table;
mod tail;
mod thread;
#[cfg(test)]
mod vectors;
mod verify;
mod walk;
mod watermark;
mod window;
mod writer;

pub use copy::{CopyReport, Extent, copy_log};
pub use copy_upto::{Found, copy_log_upto, find_frame};
pub use create::create_ledger;
pub use disk::{DiskStorage, IoMode, IoReport, WriteMode};
pub use error::{
    CopyError, CreateError, Damage, KeyError, LockError, LogFailure, ManifestError, PackError, PointError, Proof,
    ReadError, RecoverError, StartError,
};
pub use frame::{Frame, FrameHead, FramePlace};
pub use key::{ChainKey, KeyRing};
pub use ledger::{LedgerId, LedgerManifest, LedgerOptions};
pub use lock::DataLock;
pub use pack::{Packed, Packer};
pub use past::{PastLog, recover_upto};
pub use point::Point;
pub use probe::{ProbeOptions, ProbeReport, ProbeRow, probe};
pub use reader::{FrameRef, LogReader, SealedSegment};
pub use recover::{LogOptions, Recovered, recover, recover_on};
pub use report::{RecoveryReport, TornTail};
pub use room::Room;
pub use scrub::{Rot, SegmentScrub};
pub use segments::PackRange;
pub use stats::LogStats;
pub use storage::{Access, Storage, StorageFile};
pub use thread::GroupTimes;
pub use verify::{ScanReport, scan, scan_on};
pub use writer::{FrameBuffer, LogWriter};
