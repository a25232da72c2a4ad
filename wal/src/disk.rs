//! The real disk: O_DIRECT|O_DSYNC where the file system has it, buffered writes with fdatasync otherwise. Knows
//! nothing of the log's formats.

use crate::block::Blocks;
use crate::limits::BLOCK_BYTES;
use crate::storage::{Access, Storage, StorageFile};
use rustix::fs::FallocateFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Which way to write is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoMode {
    /// Direct if the file system has it.
    #[default]
    Auto,
    /// Direct, or fail.
    Direct,
    /// Buffered.
    Buffered,
}

/// Which way is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// O_DIRECT|O_DSYNC: past the cache, durable when the write returns.
    Direct,
    /// Through the page cache, then fdatasync. 3–4 times slower, and after a failed sync the cache may lie.
    Buffered,
}

/// How the log is written and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoReport {
    /// Which way is used.
    pub mode: WriteMode,
    /// Name of the file system, or its magic number.
    pub file_system: String,
    /// Why writes are buffered, if not because it was asked for.
    pub fallback: Option<String>,
}

/// A data directory on a real file system.
#[derive(Debug)]
pub struct DiskStorage {
    data: PathBuf,
    report: IoReport,
}

impl DiskStorage {
    /// Finds out how files in `data` can be written, by reading a block of `sample` (a name in it) directly.
    pub fn open(data: &Path, wanted: IoMode, sample: &str) -> io::Result<DiskStorage> {
        let file_system = file_system_name(data)?;
        let (mode, fallback) = match wanted {
            IoMode::Buffered => (WriteMode::Buffered, None),
            IoMode::Direct => {
                try_direct(&data.join(sample))?;
                (WriteMode::Direct, None)
            }
            IoMode::Auto => match try_direct(&data.join(sample)) {
                Ok(()) => (WriteMode::Direct, None),
                Err(error)
                    if error.raw_os_error() == Some(libc::EINVAL) || error.raw_os_error() == Some(libc::EOPNOTSUPP) =>
                {
                    (WriteMode::Buffered, Some(format!("{file_system} refuses O_DIRECT: {error}")))
                }
                Err(error) => return Err(error),
            },
        };
        Ok(DiskStorage { data: data.to_path_buf(), report: IoReport { mode, file_system, fallback } })
    }

    /// How files are written.
    pub fn report(&self) -> &IoReport {
        &self.report
    }

    fn block_options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o640);
        if self.report.mode == WriteMode::Direct {
            options.custom_flags(libc::O_DIRECT | libc::O_DSYNC);
        }
        options
    }
}

fn try_direct(file: &Path) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(file)?;
    let mut block = Blocks::new(BLOCK_BYTES);
    // Some file systems take the flag and refuse the transfer. An end of file says that the transfer is possible.
    file.read_at(block.bytes_mut(), 0).map(|_| ())
}

impl Storage for DiskStorage {
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let path = self.data.join(name);
        let file = match access {
            Access::Read => {
                let file = File::open(path)?;
                // Read-ahead would load blocks that the writer has not written yet.
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random)?;
                DiskFile { file, durable_writes: false }
            }
            Access::Blocks => DiskFile {
                file: self.block_options().open(path)?,
                durable_writes: self.report.mode == WriteMode::Direct,
            },
        };
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = self.block_options().create(true).truncate(false).open(self.data.join(name))?;
        Ok(Box::new(DiskFile { file, durable_writes: self.report.mode == WriteMode::Direct }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.data.join(from), self.data.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.data.join(name))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.data.join(directory))? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        sync_directory(&self.data.join(directory))
    }
}

struct DiskFile {
    file: File,
    durable_writes: bool,
}

impl StorageFile for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // A short direct write leaves an unaligned rest, which the kernel refuses: an error, as it should be.
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.durable_writes { Ok(()) } else { self.file.sync_data() }
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn extend(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<bool> {
        // The size stays: it says how much of a spare has been written.
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Name of the file system that holds `path`.
pub(crate) fn file_system_name(path: &Path) -> io::Result<String> {
    let magic = rustix::fs::statfs(path)?.f_type;
    Ok(match magic as u64 & 0xffff_ffff {
        0xef53 => "ext4".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x0102_1994 => "tmpfs".into(),
        0x794c_7630 => "overlayfs".into(),
        0x2fc1_2fc1 => "zfs".into(),
        0x6969 => "nfs".into(),
        0x6573_5546 => "fuse".into(),
        0xf2f5_2010 => "f2fs".into(),
        other => format!("file system {other:#x}"),
    })
}
