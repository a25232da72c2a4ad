//! Measures how long a write that is durable takes on a file system: direct against buffered, fresh blocks against
//! blocks that were written before. Prints nothing; its file is removed again.

use crate::block::Blocks;
use crate::disk::file_system_name;
use crate::limits::BLOCK_BYTES;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// Bytes of each write; multiples of 4 KiB.
    pub write_bytes: Vec<usize>,
    /// Writes of each kind.
    pub writes: usize,
}

impl Default for ProbeOptions {
    fn default() -> ProbeOptions {
        ProbeOptions { write_bytes: vec![4 << 10, 64 << 10, 1 << 20], writes: 100 }
    }
}

/// Times of one kind of write, each with its sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRow {
    /// Bytes of a write.
    pub bytes: usize,
    /// O_DIRECT|O_DSYNC, otherwise buffered with fdatasync.
    pub direct: bool,
    /// Blocks never written before, otherwise zeroed and synced ahead.
    pub fresh: bool,
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
    /// All of them together.
    pub total: Duration,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// The file system.
    pub file_system: String,
    /// Why there are no direct rows, if so.
    pub no_direct: Option<String>,
    /// One row for each size, way and state of the blocks.
    pub rows: Vec<ProbeRow>,
}

/// Measures in a directory, with a file of its own.
pub fn probe(dir: &Path, options: &ProbeOptions) -> Result<ProbeReport, io::Error> {
    let path = dir.join(format!("florin-probe-{}.tmp", std::process::id()));
    let done = measure_all(dir, &path, options);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound && done.is_ok() => Err(error),
        _ => done,
    }
}

fn measure_all(dir: &Path, path: &Path, options: &ProbeOptions) -> Result<ProbeReport, io::Error> {
    let mut report = ProbeReport { file_system: file_system_name(dir)?, no_direct: None, rows: Vec::new() };
    for &bytes in &options.write_bytes {
        if bytes == 0 || !bytes.is_multiple_of(BLOCK_BYTES) || options.writes == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "writes are whole blocks of 4096 bytes, at least one",
            ));
        }
        let mut memory = Blocks::new(bytes);
        memory.bytes_mut().fill(0xa5);
        for direct in [true, false] {
            for fresh in [true, false] {
                match measure(path, &memory, options.writes, direct, fresh) {
                    Ok(row) => report.rows.push(row),
                    Err(error) if direct && error.raw_os_error() == Some(libc::EINVAL) => {
                        report.no_direct = Some(error.to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(report)
}

fn measure(path: &Path, memory: &Blocks, writes: usize, direct: bool, fresh: bool) -> io::Result<ProbeRow> {
    let file = File::create(path)?;
    if !fresh {
        let zeros = Blocks::new(memory.len());
        (0..writes).try_for_each(|at| file.write_all_at(zeros.bytes(), (at * zeros.len()) as u64))?;
    }
    file.sync_all()?;
    let flags = if direct { libc::O_DIRECT | libc::O_DSYNC } else { 0 };
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    let mut times = Vec::with_capacity(writes);
    for at in 0..writes {
        let start = Instant::now();
        file.write_all_at(memory.bytes(), (at * memory.len()) as u64)?;
        if !direct {
            file.sync_data()?;
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let total = times.iter().sum();
    Ok(ProbeRow { bytes: memory.len(), direct, fresh, p50: at(0.5), p99: at(0.99), max: at(1.0), total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_write_is_measured_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let options = ProbeOptions { write_bytes: vec![4096, 8192], writes: 3 };
        let report = probe(folder.path(), &options).unwrap();
        let rows = if report.no_direct.is_some() { 4 } else { 8 };
        assert_eq!(report.rows.len(), rows);
        assert!(report.rows.iter().all(|row| row.p50 <= row.p99 && row.p99 <= row.max && row.max <= row.total));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(probe(folder.path(), &ProbeOptions { write_bytes: vec![100], writes: 1 }).is_err());
    }
}
