//! An ext4 in a file, mounted through a loop device.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::shutdown::shut_down;
use crate::faults::machine;

/// Bytes of the file; a hole as far as nothing is written.
const IMAGE_BYTES: u64 = 256 << 20;
/// Ways to mount it: ordered, as usual; without order between data and names; with data in the journal too, where ext4 writes
/// through the cache whatever is asked for; and with blocks chosen at once.
const OPTIONS: [&str; 5] = ["loop", "loop", "loop,data=writeback", "loop,data=journal", "loop,nodelalloc"];

/// A disk, mounted as long as it lives.
pub struct Disk {
    image: PathBuf,
    at: PathBuf,
    options: &'static str,
}

impl Disk {
    /// Makes and mounts one. The error is a reason why this machine cannot.
    pub fn make(folder: &Path, seed: u64) -> Result<Disk, String> {
        machine::root()?;
        let (image, at) = (folder.join("image"), folder.join("disk"));
        let disk = Disk { image, at, options: OPTIONS[seed as usize % OPTIONS.len()] };
        let made = File::create(&disk.image).and_then(|file| file.set_len(IMAGE_BYTES));
        made.and_then(|()| std::fs::create_dir(&disk.at)).map_err(|error| error.to_string())?;
        let image = machine::text(&disk.image);
        machine::run("mkfs.ext4", &["-q", "-F", "-N", "4096", "-E", "lazy_itable_init=0,nodiscard", image])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Makes one, and cuts it once.
    pub fn try_it(folder: &Path) -> Result<(), String> {
        let disk = Disk::make(folder, 0)?;
        shut_down(&disk.root()).map_err(|error| format!("ext4 cannot be shut down by ioctl: {error}"))
    }

    /// Where it is mounted.
    pub fn at(&self) -> &Path {
        &self.at
    }

    fn mount(&self) -> Result<(), String> {
        machine::run("mount", &["-o", self.options, machine::text(&self.image), machine::text(&self.at)])
    }

    fn root(&self) -> File {
        File::open(&self.at).expect("a file system has a root")
    }

    /// Cuts the power.
    pub fn cut(&self) {
        shut_down(&self.root()).expect("it was tried before");
    }

    /// Mounts it again. Nobody may use it.
    pub fn again(&self) {
        machine::run("umount", &[machine::text(&self.at)]).expect("nobody uses it");
        self.mount().expect("what ext4 wrote can be mounted");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that was left behind by a panic may still have files there.
        let _ = machine::run("umount", &["-l", machine::text(&self.at)]);
    }
}
