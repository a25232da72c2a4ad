//! What the machine says about a run: CPU time of processes, steal, and which file system a folder is on. Linux's /proc.

use std::path::Path;

/// Clock ticks of /proc per second: USER_HZ, 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process so far, user and system, seconds; none if there is no such process.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the fields after it are fixed.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

/// Highest resident memory of a process so far, bytes.
pub fn peak_memory_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Time since boot of all CPUs and the part of it that the hypervisor gave to others, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTicks {
    total: u64,
    steal: u64,
}

impl CpuTicks {
    /// Reads them.
    pub fn now() -> CpuTicks {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let numbers: Vec<u64> =
            text.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; the guest times after them are counted in user already.
        CpuTicks { total: numbers.iter().take(8).sum(), steal: numbers.get(7).copied().unwrap_or(0) }
    }

    /// Share of the time since `earlier` that was stolen, percent.
    pub fn steal_percent_since(&self, earlier: &CpuTicks) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        if total == 0 { 0.0 } else { self.steal.saturating_sub(earlier.steal) as f64 * 100.0 / total as f64 }
    }
}

/// The file system that holds a folder, like `ext4 on /dev/vda`.
pub fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(mount_of_line)
        .filter(|(point, _, _)| folder.starts_with(point))
        // Of two mounts on one point the later hides the earlier.
        .max_by_key(|(point, _, _)| point.len())
        .map_or_else(|| "an unknown file system".to_string(), |(_, kind, source)| format!("{kind} on {source}"))
}

/// Whether a folder is kept in memory, so that nothing on it is durable.
pub fn is_in_memory(folder: &Path) -> bool {
    let kind = file_system(folder);
    kind.starts_with("tmpfs") || kind.starts_with("ramfs")
}

/// Mount point, kind and source of a line of mountinfo.
fn mount_of_line(line: &str) -> Option<(String, String, String)> {
    let (left, right) = line.split_once(" - ")?;
    let point = left.split(' ').nth(4)?.replace("\\040", " ");
    let mut right = right.split(' ');
    Some((point, right.next()?.to_string(), right.next()?.to_string()))
}

/// A folder for measuring: the system's temporary one, or the current one where that is kept in memory.
pub fn default_folder() -> std::path::PathBuf {
    let temporary = std::env::temp_dir();
    if !is_in_memory(&temporary) {
        return temporary;
    }
    std::env::current_dir().unwrap_or(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let me = std::process::id();
        assert!(cpu_seconds(me).is_some_and(|s| s >= 0.0));
        assert!(peak_memory_bytes(me).is_some_and(|b| b > 100_000));
        assert!(cpu_seconds(u32::MAX).is_none());
    }

    #[test]
    fn mounts_are_read_with_their_kind() {
        let line = "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount_of_line(line), Some(("/mnt/a b".to_string(), "ext3".to_string(), "/dev/root".to_string())));
        assert!(!file_system(Path::new("/")).is_empty());
    }
}
