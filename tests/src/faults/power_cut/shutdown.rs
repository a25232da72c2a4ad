//! EXT4_IOC_SHUTDOWN: from now on the file system takes and gives nothing, and writes nothing back.

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `_IOR('X', 125, __u32)`; the number says "read", but the kernel reads it from us.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// EXT4_GOING_FLAGS_NOLOGFLUSH: not even the journal is written.
const WITHOUT_JOURNAL: u32 = 2;

/// Shuts down the file system of an open file.
#[allow(unsafe_code)]
pub fn shut_down(root: &File) -> io::Result<()> {
    // SAFETY: the kernel copies 32 bits from the pointer that `Setter` passes, which points at a u32, and writes nothing there.
    // Another file system than ext4 knows the number too (XFS, f2fs: the same contract) or refuses it.
    unsafe { ioctl(root, Setter::<SHUTDOWN, u32>::new(WITHOUT_JOURNAL)) }.map_err(io::Error::from)
}
