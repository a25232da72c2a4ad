//! The server's process, for the tests that kill it: where its binary is, how it is started, killed and stopped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use florin_net::{Client, ClientOptions};
use rustix::process::{Pid, Signal, kill_process};
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
    command(&[], data, listen, shards, io).spawn().expect("florin serve")
}

/// The command that serves a ledger, behind others (a tracer with its arguments) if there are any.
pub fn command(before: &[&OsStr], data: &Path, listen: &str, shards: &str, io: &str) -> Command {
    let florin = florin();
    let mut words = before.iter().copied().chain([florin.as_os_str()]);
    let mut command = Command::new(words.next().expect("at least florin"));
    command.args(words);
    command.args(["serve", "--listen", listen, "--shards", shards, "--io", io, "--snapshot-every", "1", "--data"]);
    command.arg(data).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

impl Server {
    /// Waits until a server that was started listens.
    pub async fn listening(process: Child) -> Server {
        match Server::listening_or_ended(process).await {
            Ok(server) => server,
            Err(mut process) => panic!("the server ended before it listened: {}", exited(&mut process).await),
        }
    }

    /// Waits until a server listens. The process comes back if it closes its output before, as one does that ends.
    pub async fn listening_or_ended(mut process: Child) -> Result<Server, Child> {
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut from_snapshot = false;
        while let Some(line) = timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("text") {
            if let Some(addr) = line.strip_prefix("listening on ") {
                return Ok(Server { process, addr: addr.to_string(), from_snapshot, _lines: lines });
            }
            assert!(!line.starts_with("a snapshot was left aside"), "every one that was published is good: {line}");
            from_snapshot |= line.contains("from the snapshot after frame");
        }
        Err(process)
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
        let pid = self.process.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a running server");
        kill_process(pid, Signal::TERM).expect("a process to end");
        assert!(exited(&mut self.process).await.success(), "a clean stop");
    }
}

/// Waits for the end of a process.
pub async fn exited(process: &mut Child) -> ExitStatus {
    timeout(DEADLINE, process.wait()).await.expect("the process ends in time").expect("its status")
}

/// The server's binary.
fn florin() -> PathBuf {
    binary("florin", &["engine", "wal", "net", "cli", "planted"])
}

/// The binary of the client that posts and writes down what it hears.
pub fn kill_client() -> PathBuf {
    binary("kill_client", &["tests/src"])
}

/// A binary that cargo puts next to this program, or one folder above a test. It must not be older than its sources.
fn binary(name: &str, sources: &[&str]) -> PathBuf {
    let here = std::env::current_exe().expect("a program knows where it is");
    let folder = here.parent().expect("a program lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("the folder of binaries") } else { folder };
    let binary = folder.join(name);
    let built = binary.metadata().and_then(|m| m.modified());
    let built = built.unwrap_or_else(|_| panic!("{} is missing: {BUILD_IT}", binary.display()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let newest = sources.iter().map(|folder| newest_source(&root.join(folder))).max().expect("some folder");
    assert!(newest <= built, "{} is older than its sources: {BUILD_IT}", binary.display());
    binary
}

const BUILD_IT: &str =
    "`cargo build -p florin`, then `cargo build -p florin-tests`, in the same profile, or test the whole workspace";

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
