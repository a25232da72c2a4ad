//! What the machine says about itself and about a run: CPU time of processes and threads, memory, steal, and which file
//! system a folder is on. Linux's /proc.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

/// Clock ticks of /proc per second: USER_HZ, 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process so far, user and system, seconds; none if there is no such process.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    Some(cpu_of_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?.1)
}

/// CPU time of this thread so far, user and system, seconds.
pub fn own_thread_cpu_seconds() -> Option<f64> {
    Some(cpu_of_stat(&std::fs::read_to_string("/proc/thread-self/stat").ok()?)?.1)
}

/// Name and CPU seconds of each thread of a process, by thread id.
pub fn threads_cpu_seconds(pid: u32) -> BTreeMap<u32, (String, f64)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return BTreeMap::new() };
    tasks
        .filter_map(|task| {
            let task = task.ok()?;
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, cpu_of_stat(&std::fs::read_to_string(task.path().join("stat")).ok()?)?))
        })
        .collect()
}

/// Name and CPU seconds of a line of stat.
fn cpu_of_stat(text: &str) -> Option<(String, f64)> {
    // The name in parentheses may hold spaces; the fields after it are fixed.
    let (front, rest) = text.rsplit_once(')')?;
    let name = front.split_once('(')?.1.to_string();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((name, (ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND))
}

/// Highest resident memory of a process so far, bytes.
pub fn peak_memory_bytes(pid: u32) -> Option<u64> {
    kilobytes(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Resident memory of a process, bytes.
pub fn memory_bytes(pid: u32) -> Option<u64> {
    kilobytes(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// A value in kB of a file of /proc, bytes.
fn kilobytes(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What the machine is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// System and release of its kernel.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
        let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
        Machine {
            processor: model.map_or("unknown", |(_, model)| model.trim()).to_string(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            memory_bytes: kilobytes("/proc/meminfo", "MemTotal:").unwrap_or(0),
            kernel: kernel.map(|part| part.trim().to_string()).join(" "),
        }
    }
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

/// Lets this process, and those that it starts, have as many open files as the system allows: a thousand connections need
/// more than the usual limit. Where that is refused the limit stays as it is.
pub fn raise_open_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
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
        assert!(memory_bytes(me) <= peak_memory_bytes(me) && own_thread_cpu_seconds() <= cpu_seconds(me));
        assert!(cpu_seconds(u32::MAX).is_none() && threads_cpu_seconds(u32::MAX).is_empty());
        assert!(threads_cpu_seconds(me).contains_key(&me));
        let machine = Machine::this();
        assert!(machine.cores > 0 && machine.memory_bytes > 1 << 20 && machine.kernel.starts_with("Linux "));
    }

    #[test]
    fn names_of_threads_may_hold_anything() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 1 0 10 0 0";
        assert_eq!(cpu_of_stat(line), Some(("a) b".to_string(), 3.0)));
        assert_eq!(cpu_of_stat("7 (a"), None);
    }

    #[test]
    fn mounts_are_read_with_their_kind() {
        let line = "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount_of_line(line), Some(("/mnt/a b".to_string(), "ext3".to_string(), "/dev/root".to_string())));
        assert!(!file_system(Path::new("/")).is_empty());
    }
}
