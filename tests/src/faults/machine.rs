//! What this machine lets a test do. Each question is answered by trying it once, in a folder of its own; the answer is a
//! reason that can be printed.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command to its end. What it said on standard error comes back if it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let said = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => error.to_string(),
    };
    Err(format!("{program} {}: {said}", arguments.join(" ")))
}

/// Whether strace is here and may trace.
pub fn strace() -> Result<(), String> {
    run(
        "strace",
        &["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "true"],
    )
}

/// Whether file systems can be mounted.
pub fn root() -> Result<(), String> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err("only root can mount a file system".into()) }
}

/// A path as an argument of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("folders of tests have names in UTF-8")
}
