//! Florin's side: `florin bench` as a process of its own, with a server of its own, and its figures.

use std::path::PathBuf;
use std::process::Stdio;

use florin_bench::Percentiles;
use serde_json::Value;
use tokio::process::Command;

use crate::error::CompareError;
use crate::figures::{Figures, Interruption};
use crate::rows::{Row, Shape};

/// What is the same for all of its runs.
#[derive(Clone, Debug)]
pub struct Florin {
    /// The binary `florin`.
    pub binary: PathBuf,
    /// Where its server's temporary folder is made.
    pub folder: PathBuf,
    /// Accounts in play.
    pub accounts: u32,
    /// Connections.
    pub connections: u16,
    /// How long a run takes.
    pub seconds: f64,
}

impl Florin {
    /// Runs once. At a signal the process is told to stop, and waited for: it has a server and a folder to take away.
    pub async fn run(&self, row: &Row, interruption: &mut Interruption) -> Result<Figures, CompareError> {
        let arguments = self.arguments(row);
        let shown = format!("{} {}", self.binary.display(), arguments.join(" "));
        let failed = |what: String| CompareError::Florin { command: shown.clone(), what };
        let child = Command::new(&self.binary)
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let mut output = Box::pin(child.wait_with_output());
        let Some(ended) = interruption.or(&mut output).await else {
            if let Some(pid) = pid {
                // It may have ended by itself meanwhile, or of the same signal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = output.await;
            return Err(CompareError::Interrupted);
        };
        let ended = ended.map_err(|e| failed(e.to_string()))?;
        let text = String::from_utf8_lossy(&ended.stdout);
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            return Err(failed(format!("{}\n{}", ended.status, said.trim())));
        }
        figures_of(&text).map_err(failed)
    }

    fn arguments(&self, row: &Row) -> Vec<String> {
        let mut arguments = vec!["bench".to_string(), "--json".to_string()];
        let mut give = |name: &str, value: String| arguments.extend([name.to_string(), value]);
        give("--batch", row.batch.to_string());
        give("--connections", self.connections.to_string());
        give("--in-flight", "1".to_string());
        give("--accounts", self.accounts.to_string());
        give("--seconds", self.seconds.to_string());
        give("--dir", self.folder.display().to_string());
        if row.shape == Shape::Hot {
            arguments.push("--hot".to_string());
        }
        arguments
    }
}

/// The figures in the output of `florin bench --json`: one object a line, a run's has `figures`.
fn figures_of(output: &str) -> Result<Figures, String> {
    for line in output.lines() {
        let value: Value = serde_json::from_str(line).map_err(|e| format!("'{line}' is no JSON: {e}"))?;
        if let Some(figures) = value.get("figures") {
            return read(figures);
        }
    }
    Err("it gave no figures".to_string())
}

fn read(figures: &Value) -> Result<Figures, String> {
    let missing = |name: &str| format!("its figures have no number '{name}'");
    let real = |name: &str| figures.get(name).and_then(Value::as_f64).ok_or_else(|| missing(name));
    let whole = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).ok_or_else(|| missing(name));
    let latency = figures.get("latency_us").ok_or_else(|| missing("latency_us"))?;
    Ok(Figures {
        transfers: whole(figures, "transfers")?,
        seconds: real("seconds")?,
        per_second: real("per_second")?,
        latency_us: Percentiles {
            p50: whole(latency, "p50")?,
            p90: whole(latency, "p90")?,
            p99: whole(latency, "p99")?,
            p999: whole(latency, "p999")?,
            p9999: whole(latency, "p9999")?,
            max: whole(latency, "max")?,
        },
        log_bytes_per_transfer: real("log_bytes_per_transfer")?,
        table_bytes_per_transfer: None,
        server_cpu_us_per_transfer: real("server_cpu_us_per_transfer").ok(),
        steal_percent: real("steal_percent")?,
        retries: 0,
        one_by_one: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"run":1,"shape":"uniform","figures":{"transfers":900,"requests":9,"seconds":0.5,"per_second":1800.0,
        "latency_us":{"p50":10,"p90":20,"p99":30,"p999":40,"p9999":50,"max":60},"log_bytes_per_transfer":178.5,"groups":3,
        "steal_percent":1.5,"votes":[1,0],"proof":{"accounts":5,"ids":6,"transfers":900}}}"#;

    #[test]
    fn figures_are_read_from_the_line_of_the_run() {
        let output = format!("{}\n{}\n", RUN.replace('\n', ""), r#"{"medians":{"uniform":{}}}"#);
        let figures = figures_of(&output).unwrap();
        assert_eq!((figures.transfers, figures.latency_us.p99, figures.latency_us.max), (900, 30, 60));
        assert_eq!((figures.per_second, figures.log_bytes_per_transfer, figures.steal_percent), (1800.0, 178.5, 1.5));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(figures_of(r#"{"medians":{}}"#).unwrap_err().contains("no figures"));
        assert!(figures_of("error").unwrap_err().contains("'error'"));
        let without = RUN.replace('\n', "").replace("\"p99\"", "\"other\"");
        assert!(figures_of(&without).unwrap_err().contains("'p99'"));
    }
}
