//! One process per data directory: an flock on `LOCK`, held as long as the value lives. The kernel frees it with the
//! process, so a kill leaves nothing to clean up.

use crate::error::LockError;
use crate::ledger::MANIFEST_FILE;
use crate::point::Point;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Name of the lock file in the data directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

/// Name of the lock file in a data directory that is as of a point. Another one, so that without its point it is never served.
pub(crate) const POINT_LOCK_FILE: &str = "point.lock";

/// The right to write to a data directory.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock, or says who has it. The file then holds this process's id and command line.
    pub fn acquire(data: &Path) -> Result<DataLock, LockError> {
        match Point::is_in(data) {
            true => Err(LockError::Point { data: data.to_path_buf() }),
            false => DataLock::acquire_file(data, LOCK_FILE),
        }
    }

    /// As [`DataLock::acquire`], of a directory that is a ledger as of a point.
    pub fn acquire_for_reads(data: &Path) -> Result<DataLock, LockError> {
        DataLock::acquire_file(data, POINT_LOCK_FILE)
    }

    fn acquire_file(data: &Path, name: &str) -> Result<DataLock, LockError> {
        let path = data.join(name);
        let failed = |source| LockError::Io { file: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(|source| match source.kind() {
            // A backup has all but what belongs to the place where a ledger is served.
            std::io::ErrorKind::NotFound if data.join(MANIFEST_FILE).exists() => {
                LockError::Backup { data: data.to_path_buf() }
            }
            std::io::ErrorKind::NotFound => LockError::NoLedger { data: data.to_path_buf() },
            _ => failed(source),
        })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The holder may be writing its line at this moment; what cannot be read is said to be unknown.
                let _ = file.read_to_string(&mut text);
                let mut lines = text.lines();
                let pid = lines.next().and_then(|line| line.strip_prefix("pid ")?.parse().ok()).unwrap_or(0);
                let command = lines.next().and_then(|line| line.strip_prefix("command ")).unwrap_or("unknown");
                return Err(LockError::Held { file: path, pid, command: command.to_owned() });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        let command = std::env::args().collect::<Vec<_>>().join(" ").replace(['\n', '\r'], " ");
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.write_all(format!("pid {}\ncommand {command}\n", std::process::id()).as_bytes()).map_err(failed)?;
        Ok(DataLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let data = tempfile::tempdir().unwrap();
        assert!(matches!(DataLock::acquire(data.path()), Err(LockError::NoLedger { .. })));
        std::fs::write(data.path().join(MANIFEST_FILE), "{}").unwrap();
        assert!(matches!(DataLock::acquire(data.path()), Err(LockError::Backup { .. })));
        std::fs::write(data.path().join(LOCK_FILE), "").unwrap();
        let lock = DataLock::acquire(data.path()).unwrap();
        let refused = DataLock::acquire(data.path()).unwrap_err();
        let LockError::Held { pid, command, .. } = &refused else { panic!("{refused}") };
        assert_eq!(*pid, std::process::id());
        assert!(!command.is_empty() && refused.to_string().contains(command));
        drop(lock);
        DataLock::acquire(data.path()).unwrap();
    }
}
