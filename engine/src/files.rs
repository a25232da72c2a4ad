//! The seam under what is derived from the log (snapshots and runs of ids): everything that it asks of a file system. Two implementations:
//! [`RealFiles`], and the disks of the tests that fail, tear, forget and rot.
//!
//! A name is durable once its folder was synced, and what is in a file once the file was; neither says anything of the other.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// Files and folders by their paths.
pub trait Files: Send + Sync + Debug {
    /// Makes a folder. Its name is durable once the folder that it is in was synced.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a file, or an empty one in the place of what was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;
    /// Opens a file to read it, also once its name is gone.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OldFile>>;
    /// Copies a file to a name that nothing has, and makes its bytes durable.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name in the same folder, in the place of what has it: at once, or not at all.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; whoever has it open still reads it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder that is empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Names of what is in a folder, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Makes the names in a folder durable, and that some are gone.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Whether there is such a file or folder.
    fn exists(&self, path: &Path) -> bool;
}

/// A file that is being written, from its start to its end.
pub trait NewFile: Send {
    /// Writes all of the bytes behind those before.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable, and the length.
    fn sync_data(&mut self) -> io::Result<()>;
    /// As [`NewFile::sync_data`], and all that the system says of the file.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// A file that is read.
pub trait OldFile: Send + Sync + Debug {
    /// Bytes in it.
    fn length(&self) -> io::Result<u64>;
    /// Fills `into` from an offset on; `UnexpectedEof` if the file ends before.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The machine's files: only their owner and group may read them, as the log.
#[derive(Clone, Copy, Debug)]
pub struct RealFiles;

impl RealFiles {
    /// For those who share it.
    pub fn shared() -> Arc<dyn Files> {
        Arc::new(RealFiles)
    }
}

impl Files for RealFiles {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o750).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OldFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::copy(from, to)?;
        File::open(to)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

impl NewFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        File::sync_all(self)
    }
}

impl OldFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(into, offset)
    }
}
