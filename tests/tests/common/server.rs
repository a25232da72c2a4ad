//! The server's process, for the tests that kill it: where its binary is, how it is started, killed and stopped.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use florin_net::{Client, ClientOptions};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
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
    /// Whether recovery went on from a snapshot.
    pub from_snapshot: bool,
    /// Kept open, so that the server can go on printing.
    pub _lines: Lines<BufReader<ChildStdout>>,
}

/// Runs a command of the binary on a ledger; it must exit with 0.
pub async fn run(arguments: &[&str], data: &Path) {
    let mut command = Command::new(florin());
    command.args(arguments).arg("--data").arg(data).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await.expect("florin in time").expect("florin runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "florin {arguments:?}: {}\n{text}", output.status);
}

/// Starts to serve a ledger.
pub fn spawn(data: &Path, listen: &str, shards: &str, io: &str) -> Child {
    Command::new(florin())
        .args(["serve", "--listen", listen, "--shards", shards, "--io", io, "--snapshot-every", "1", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("florin serve")
}

impl Server {
    /// Waits until a server that was started listens.
    pub async fn listening(mut process: Child) -> Server {
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut from_snapshot = false;
        loop {
            let line = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text");
            let line = line.expect("the server listens before it ends");
            if let Some(addr) = line.strip_prefix("listening on ") {
                return Server { process, addr: addr.to_string(), from_snapshot, _lines: lines };
            }
            assert!(!line.starts_with("a snapshot was left aside"), "every one that was published is good: {line}");
            from_snapshot |= line.contains("from the snapshot after frame");
        }
    }

    /// A client that ends with its connection.
    pub async fn connect(&self) -> Client {
        let options = ClientOptions { deadline: DEADLINE, reconnect: false, ..ClientOptions::default() };
        Client::connect(&self.addr, options).await.expect("a connection")
    }

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
fn florin() -> PathBuf {
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
