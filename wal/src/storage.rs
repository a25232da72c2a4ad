//! The seam under the log: everything that it asks of a disk. Two implementations: [`crate::DiskStorage`], the real
//! one, and the disks of the tests that fail, tear and forget.
//!
//! Names are relative to the data directory and use `/`. Nothing here knows what the bytes mean.

use std::io;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read while others may write; positions and lengths of any size.
    Read,
    /// To read and write whole blocks from aligned memory, past the cache where the storage can.
    Blocks,
}

/// The files of one ledger.
pub trait Storage: Send + Sync {
    /// Opens an existing file.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>>;
    /// Makes an empty file, or opens the one that is there, for [`Access::Blocks`].
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;
    /// Gives a file another name in the same directory, where there is none of it. Durable only after `sync_directory`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; whoever has it open still reads it. Durable only after `sync_directory`.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Names (without the directory) in a directory, in any order.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &str) -> io::Result<()>;
}

/// One file.
pub trait StorageFile: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `into` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes`. Durable only after `sync`. With [`Access::Blocks`] offset, length and memory are aligned.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written to this file through this handle durable. Costs nothing where each write already was.
    fn sync(&self) -> io::Result<()>;
    /// Makes everything in the file durable, whoever wrote it, including its length.
    fn sync_all(&self) -> io::Result<()>;
    /// Extends the file to `bytes`; what is new reads as zeros. Durable only after `sync_all`.
    fn extend(&self, bytes: u64) -> io::Result<()>;
    /// Sets space aside for the first `bytes` bytes and extends the file to them. `Ok(false)`: this storage cannot
    /// promise space ahead of writing.
    fn reserve(&self, bytes: u64) -> io::Result<bool>;
}
