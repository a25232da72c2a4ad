//! A server inside this process: engine and network on an actix System of their own thread.
//!
//! `florin serve` runs the same future on the main thread.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use florin_engine::{
    EngineOptions, Placement, SCRUB_BYTES_PER_SECOND_DEFAULT, SNAPSHOT_SEGMENTS_DEFAULT, ScrubOptions, StartError,
    StartReport,
};
use florin_net::{ServeError, Server, ServerOptions};
use florin_wal::{IoMode, LockError, RecoverError};
use tokio::sync::oneshot;

use crate::error::{CliError, CliResult, chain};

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The ledger's folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Actors that own accounts.
    pub shards: usize,
    /// Where they run.
    pub placement: Placement,
    /// How the log is written.
    pub io: IoMode,
    /// Segments of a snapshot; 0 = none is made.
    pub snapshot_segments: u64,
    /// Bytes a second that are read again to find what has rotted; 0 = none.
    pub scrub_bytes_per_second: u64,
    /// Whether sealed segments of the log are packed.
    pub pack_segments: bool,
    /// Whether the whole log is read and checked at the start.
    pub check_all: bool,
    /// Whether to serve although the machine's clock is not believed.
    pub accept_clock: bool,
}

impl ServeSettings {
    /// One shard on a free loopback port.
    pub fn of(data: PathBuf, accept_clock: bool) -> ServeSettings {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let placement = Placement::Auto;
        let snapshot_segments = SNAPSHOT_SEGMENTS_DEFAULT;
        let scrub_bytes_per_second = SCRUB_BYTES_PER_SECOND_DEFAULT;
        let io = IoMode::Auto;
        ServeSettings {
            data,
            listen,
            shards: 1,
            placement,
            io,
            snapshot_segments,
            scrub_bytes_per_second,
            pack_segments: true,
            check_all: false,
            accept_clock,
        }
    }
}

/// A running engine with its network.
pub struct Running {
    engine: florin_engine::Engine,
    server: Server,
    /// What recovery found.
    pub report: StartReport,
}

impl Running {
    /// Recovers the ledger and listens. Must run inside an actix System.
    pub async fn start(settings: &ServeSettings) -> CliResult<Running> {
        // Before anything is recovered; the network checks it again.
        if !settings.listen.ip().to_canonical().is_loopback() {
            return Err(listen_error(settings.listen, &ServeError::NotLoopback(settings.listen)));
        }
        let options = EngineOptions {
            shards: settings.shards,
            placement: settings.placement,
            io: settings.io,
            snapshot_segments: settings.snapshot_segments,
            pack_segments: settings.pack_segments,
            check_all: settings.check_all,
            accept_clock: settings.accept_clock,
            scrub: ScrubOptions { bytes_per_second: settings.scrub_bytes_per_second, ..ScrubOptions::default() },
            ..EngineOptions::new(&settings.data)
        };
        let started = florin_engine::start(options).await.map_err(|e| start_error(&settings.data, &e))?;
        let options = ServerOptions { listen: settings.listen, ..ServerOptions::default() };
        match florin_net::serve(settings.listen, started.engine.clone(), options).await {
            Ok(server) => Ok(Running { engine: started.engine, server, report: started.report }),
            Err(error) => {
                let _ = started.engine.stop().await;
                Err(listen_error(settings.listen, &error))
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Takes no new requests, answers those under way, seals the log.
    pub async fn stop(self) -> CliResult<()> {
        self.server.stop().await;
        self.engine.stop().await.map_err(|error| {
            CliError::cannot(
                format!("the engine did not stop cleanly: {}", chain(&error)),
                "what was acknowledged is in the log; the next start recovers it",
            )
        })
    }
}

fn listen_error(address: SocketAddr, error: &ServeError) -> CliError {
    CliError::cannot(
        format!("cannot listen on {address}: {}", chain(error)),
        "use a free loopback port, for example --listen 127.0.0.1:7441 (port 0 takes any free one)",
    )
}

/// A start's error with what to do next; damage is exit code 1.
fn start_error(data: &Path, error: &StartError) -> CliError {
    let what = format!("cannot start on {}: {}", data.display(), chain(error));
    let folder = data.display();
    match error {
        StartError::Lock(LockError::Held { .. }) => {
            CliError::cannot(what, "ask that server instead (--server ADDR), or stop it first")
        }
        StartError::Lock(LockError::NoLedger { .. }) | StartError::Recover(RecoverError::Manifest(_)) => {
            CliError::cannot(what, format!("check the path, or make a ledger there: florin init --data {folder}"))
        }
        StartError::Lock(LockError::Backup { .. }) => {
            CliError::cannot(what, format!("florin restore --from {folder} --keys KEYS --to NEWDIR, then serve NEWDIR"))
        }
        StartError::Recover(RecoverError::Point(_)) => CliError::disagree(
            what,
            "restore to the point again; without its point.json the folder is a backup, which ends a little behind it",
        ),
        StartError::Ids(_) => {
            CliError::cannot(what, format!("mend the disk, or remove {folder}/ids: it is made again from the log"))
        }
        StartError::Recover(
            RecoverError::Damaged(_)
            | RecoverError::Segment { .. }
            | RecoverError::Frame { .. }
            | RecoverError::Pack { .. }
            | RecoverError::Apply { .. },
        ) => CliError::disagree(
            what,
            "keep the folder as it is and restore it from a backup or another copy; see docs/operations.md, 'Damage'",
        ),
        StartError::Lock(LockError::Io { .. } | LockError::Point { .. })
        | StartError::Recover(_)
        | StartError::Log(_)
        | StartError::Snapshots(_) => CliError::cannot(
            what,
            "mend what the message names (disk, space, permissions), then start again; nothing was served",
        ),
        StartError::Clock(_) => {
            CliError::cannot(what, "set this machine's clock; only if it is right, repeat with --accept-clock")
        }
        StartError::Option(_) | StartError::System { .. } => CliError::cannot(what, "correct it and start again"),
    }
}

/// A server on a thread of this process.
pub struct LocalServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<CliResult<()>>,
}

impl LocalServer {
    /// Starts it and waits until it listens.
    pub async fn start(settings: ServeSettings) -> CliResult<LocalServer> {
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("florin-server".to_string())
            .spawn(move || {
                actix_rt::System::new().block_on(async move {
                    match Running::start(&settings).await {
                        Err(error) => {
                            let _ = ready.send(Err(error));
                            Ok(())
                        }
                        Ok(running) => {
                            let _ = ready.send(Ok(running.address()));
                            // A dropped sender stops the server as well.
                            let _ = stopped.await;
                            running.stop().await
                        }
                    }
                })
            })
            .map_err(|e| CliError::cannot(format!("no thread: {e}"), "check the limits of this process (ulimit -u)"))?;
        let lost = || CliError::cannot("the server in this process ended early", "run the command again");
        let address = started.await.map_err(|_| lost())??;
        Ok(LocalServer { address, stop, thread })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it and waits until its log is sealed.
    pub async fn stop(self) -> CliResult<()> {
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(result)) => result,
            _ => Err(CliError::cannot("the server in this process did not stop", "run the command again")),
        }
    }
}
