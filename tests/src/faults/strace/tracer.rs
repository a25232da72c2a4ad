//! strace as a process: attached to a thread of a running server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::trace::Trace;
use crate::faults::server::{DEADLINE, Server, exited};

/// A strace that is attached.
pub struct Tracer {
    process: Child,
    _lines: Lines<BufReader<ChildStderr>>,
    trace: PathBuf,
}

impl Tracer {
    /// Traces and meddles with calls of a thread. Returns once it is attached.
    pub async fn attach(thread: u32, calls: &str, inject: &str, trace: &Path) -> Tracer {
        let mut process = Command::new("strace")
            .args(["-p", &thread.to_string(), "-y", "-s0", "-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={inject}"), "-o"])
            .arg(trace)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("strace");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let line = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
        let line = line.expect("strace says that it is attached");
        assert!(line.ends_with(" attached"), "{line}");
        Tracer { process, _lines: lines, trace: trace.to_path_buf() }
    }

    /// Waits until so many calls have failed.
    pub async fn hits(&self, many: usize) {
        let failed = async {
            while std::fs::read_to_string(&self.trace).unwrap_or_default().matches("(INJECTED)").count() < many {
                tokio::time::sleep(Duration::from_millis(10)).await; // Nobody tells of it.
            }
        };
        timeout(DEADLINE, failed).await.expect("failures in time");
    }

    /// Waits until the thread has ended, and gives its calls.
    pub async fn ended(mut self) -> Trace {
        exited(&mut self.process).await;
        Trace::parse(&std::fs::read_to_string(&self.trace).expect("what strace wrote"))
    }

    /// Lets the thread go on alone.
    pub async fn detach(self) -> Trace {
        let pid = i32::try_from(self.process.id().expect("a running strace")).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id"), Signal::TERM).expect("a process to end");
        self.ended().await
    }
}

/// A thread of a server by its name, which it has from soon after it was started.
pub fn thread(server: &Server, name: &str) -> u32 {
    let folder = format!("/proc/{}/task", server.process.id().expect("a running server"));
    let begun = Instant::now();
    loop {
        let threads: Vec<u32> = std::fs::read_dir(&folder)
            .expect("the threads of a process")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        let is_named = |thread: &u32| {
            let comm = std::fs::read_to_string(format!("{folder}/{thread}/comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        match threads.into_iter().find(is_named) {
            Some(thread) => return thread,
            None => assert!(begun.elapsed() < DEADLINE, "the server has no thread {name}"),
        }
    }
}
