//! A server as a child process: `florin serve` on a free loopback port, killed when its value is dropped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::error::BenchError;

/// How long a server may take to recover and listen.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server may take to stop after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Which server to start.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The binary `florin`.
    pub binary: PathBuf,
    /// Further arguments of `serve`, such as `--shards 2`.
    pub arguments: Vec<String>,
}

/// A running server.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
    /// What it said before it listened.
    pub said: Vec<String>,
    // Kept open: a server that writes to a closed pipe would end.
    _stdout: BufReader<ChildStdout>,
}

impl ServerProcess {
    /// Makes a new ledger in `data`.
    pub async fn make_ledger(settings: &ServerSettings, data: &Path, assets: &[&str]) -> Result<(), BenchError> {
        let mut command = Command::new(&settings.binary);
        command.arg("init").arg("--data").arg(data);
        for asset in assets {
            command.args(["--asset", asset]);
        }
        let output = command.stdin(Stdio::null()).output().await.map_err(|e| BenchError::Server(e.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(BenchError::Server(String::from_utf8_lossy(&output.stderr).trim().to_string()))
    }

    /// Starts a server on `data` and waits until it listens.
    pub async fn start(settings: &ServerSettings, data: &Path) -> Result<ServerProcess, BenchError> {
        let mut child = Command::new(&settings.binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .args(&settings.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| BenchError::Server(format!("{}: {e}", settings.binary.display())))?;
        let stdout = child.stdout.take().ok_or_else(|| BenchError::Server("it has no stdout".to_string()))?;
        let mut stdout = BufReader::new(stdout);
        let mut said = Vec::new();
        let listening = async {
            loop {
                let mut line = String::new();
                match stdout.read_line(&mut line).await {
                    Ok(0) => {
                        return Err(BenchError::Server(format!("it ended before it listened\n{}", said.join("\n"))));
                    }
                    Err(e) => return Err(BenchError::Server(e.to_string())),
                    Ok(_) => {}
                }
                let line = line.trim_end().to_string();
                if let Some(address) = line.strip_prefix("listening on ") {
                    return address.parse().map_err(|_| BenchError::Server(format!("it said '{line}'")));
                }
                said.push(line);
            }
        };
        let address = tokio::time::timeout(START_TIMEOUT, listening)
            .await
            .map_err(|_| BenchError::Server(format!("it did not listen within {} s", START_TIMEOUT.as_secs())))??;
        Ok(ServerProcess { child, address, said, _stdout: stdout })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id; none once it ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(|e| BenchError::Server(e.to_string()))
    }

    /// Stops it with SIGTERM and waits for its end; an exit code other than 0 is an error.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        let failed = |what: String| BenchError::Server(what);
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let Some(pid) = pid else { return Err(failed("it had ended already".to_string())) };
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(|e| failed(e.to_string()))?;
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Err(_) => Err(failed(format!("it did not stop within {} s", STOP_TIMEOUT.as_secs()))),
            Ok(Err(e)) => Err(failed(e.to_string())),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(format!("it ended with {status}"))),
        }
    }
}
