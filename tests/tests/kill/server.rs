//! The server's process: where its binary is, how it is killed and stopped.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use tokio::io::{BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// No single thing takes longer than this.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A running server.
pub struct Server {
    /// The process.
    pub process: Child,
    /// Where it listens.
    pub addr: String,
    /// Kept open, so that the server can go on printing.
    pub _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Kills it, and waits until it is gone.
    pub async fn kill(mut self) {
        self.process.start_kill().expect("a process to kill");
        exited(&mut self.process).await;
    }

    /// Ends it in the clean way.
    pub async fn stop(mut self) {
        let pid = self.process.id().expect("a running server").to_string();
        let status = timeout(DEADLINE, Command::new("kill").args(["-TERM", &pid]).status()).await;
        assert!(status.expect("kill in time").expect("kill").success());
        assert!(exited(&mut self.process).await.success(), "a clean stop");
    }
}

/// Waits for the end of a process.
pub async fn exited(process: &mut Child) -> ExitStatus {
    timeout(DEADLINE, process.wait()).await.expect("the process ends in time").expect("its status")
}

/// The server's binary, which cargo puts next to this crate's own ones.
pub fn florin() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_kill_client")).with_file_name("florin");
    let built = binary.metadata().and_then(|m| m.modified());
    let built = built.unwrap_or_else(|_| panic!("{} is missing: {BUILD_IT}", binary.display()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let newest = ["engine", "wal", "net", "cli"].iter().map(|folder| newest_source(&root.join(folder))).max();
    assert!(newest.expect("four folders") <= built, "{} is older than its sources: {BUILD_IT}", binary.display());
    binary
}

const BUILD_IT: &str = "`cargo build -p florin`, or test the whole workspace";

fn newest_source(folder: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(folder).expect("a folder of the workspace").flatten() {
        let path = entry.path();
        let is_tests = ["tests", "examples", "benches"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_tests {
            newest = newest.max(newest_source(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            newest = newest.max(entry.metadata().and_then(|m| m.modified()).expect("its time"));
        }
    }
    newest
}
