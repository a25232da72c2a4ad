//! What a run of either side measured, and the signals that end a comparison early.

use florin_bench::Percentiles;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CompareError;

/// One run. The same measures of both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Transfers acknowledged after they were durable.
    pub transfers: u64,
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Transfers a second.
    pub per_second: f64,
    /// Of calls or requests, microseconds, repeats after deadlocks included.
    pub latency_us: Percentiles,
    /// Bytes of log (WAL) per transfer.
    pub log_bytes_per_transfer: f64,
    /// Bytes by which tables and their indexes grew per transfer; none for Florin, whose log is the ledger.
    pub table_bytes_per_transfer: Option<f64>,
    /// CPU time of the server, microseconds per transfer.
    pub server_cpu_us_per_transfer: Option<f64>,
    /// Share of the machine's time that the hypervisor gave to others, percent.
    pub steal_percent: f64,
    /// Calls repeated after a deadlock.
    pub retries: u64,
    /// Calls that took the exact way, transfer by transfer.
    pub one_by_one: u64,
}

/// SIGTERM and Ctrl-C.
#[derive(Debug)]
pub struct Interruption {
    terminate: Signal,
    interrupt: Signal,
}

impl Interruption {
    /// From now on the signals are for this.
    pub fn new() -> Result<Interruption, CompareError> {
        let listen = |kind| signal(kind).map_err(CompareError::Runtime);
        Ok(Interruption { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for `work`; none = a signal came first.
    pub async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        }
    }
}
