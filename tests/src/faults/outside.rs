//! The outside client as a process: posts until the server is gone, and writes down every answer that it receives.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::server::{self, DEADLINE, exited};

/// The outside client.
pub struct Outside {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The last thing that it said.
    last: String,
}

impl Outside {
    /// Starts it. It appends to a file what it hears.
    pub fn start(addr: &str, seed: u64, first_batch: u64, answers: &Path) -> Outside {
        let mut process = Command::new(server::kill_client())
            .args([addr, &seed.to_string(), &first_batch.to_string()])
            .arg(answers)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Outside { process, lines, last: String::new() }
    }

    async fn line(&mut self) -> Option<String> {
        timeout(DEADLINE, self.lines.next_line()).await.expect("a line in time").expect("text")
    }

    /// Waits for an answer.
    pub async fn hear(&mut self) {
        assert!(self.hears().await, "the client goes on until the server is gone");
    }

    /// Waits for an answer, or the end of the server.
    pub async fn hears(&mut self) -> bool {
        self.last = self.line().await.unwrap_or_default();
        self.last.starts_with("answered ")
    }

    /// Waits until it has lost the server.
    pub async fn end(self) {
        let (success, last) = self.ended().await;
        assert!(success, "the client ended with: {last}");
    }

    /// Waits until it has lost the server, or was told that the disk cannot be read.
    pub async fn end_without_a_disk(self) {
        let (success, last) = self.ended().await;
        assert!(success || last.contains("Input/output error"), "the client ended with: {last}");
    }

    async fn ended(mut self) -> (bool, String) {
        while let Some(line) = self.line().await {
            self.last = line;
        }
        (exited(&mut self.process).await.success(), self.last)
    }
}
