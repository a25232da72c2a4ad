//! Runs the real binary and reads what it says.
#![allow(dead_code)] // each test file uses a part of it

pub mod proxy;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What a command said.
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// The last JSON object on standard output.
    pub fn json(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_else(|| panic!("no output; stderr: {}", self.err));
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// All JSON objects, one a line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The same, if the exit code is as expected.
    pub fn expect(self, code: i32) -> Said {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// Path of the binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_florin"))
}

/// Runs `florin` with these arguments.
pub fn florin(arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(binary()).args(arguments).output().expect("florin runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Said { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// A new ledger in a folder of its own, with small segments so that tests are quick.
pub fn new_ledger(assets: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = path_text(&folder.path().join("ledger"));
    let mut arguments = vec!["init", "--data", &data, "--segment-bytes", "8388608"];
    assets.iter().for_each(|asset| arguments.extend(["--asset", asset]));
    florin(&arguments).expect(0);
    (folder, data)
}

/// A path as an argument.
pub fn path_text(path: &Path) -> String {
    path.to_str().expect("a path of UTF-8").to_string()
}

/// The invented file that comes with the sources.
pub fn small_bank() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/small-bank.csv")
}

/// The real file, which is not part of the product; says so and gives nothing where it is missing.
pub fn czech_bank() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/czech-bank-1993.csv");
    if !path.exists() {
        eprintln!("SKIPPED: {} is not here", path.display());
        return None;
    }
    Some(path)
}

/// A copy of a CSV file in which `change` rewrites the fields of one line (the header is line 1; no quotes before the field).
/// Line ends stay as they are: the Czech file has CR LF.
pub fn with_changed_line(source: &Path, target: &Path, line: usize, change: impl Fn(&mut Vec<String>)) {
    let text = std::fs::read_to_string(source).expect("the file");
    let mut lines: Vec<String> = text.split('\n').map(str::to_string).collect();
    let mut fields: Vec<String> = lines[line - 1].split(',').map(str::to_string).collect();
    change(&mut fields);
    lines[line - 1] = fields.join(",");
    std::fs::write(target, lines.join("\n")).expect("a copy");
}
