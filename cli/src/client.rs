//! How a command reaches a ledger: `--server ADDR` connects, `--data DIR` starts a server on loopback inside this process.
//!
//! Either way the command talks through the client library; nothing reaches around it.

use std::future::Future;
use std::path::PathBuf;

use florin_core::institution::FIRST_INSTITUTION;
use florin_net::{Client, ClientError, ClientOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{CliError, CliResult, EXIT_FINE, chain};
use crate::local::{LocalServer, ServeSettings};

/// Where servers listen and clients connect unless told otherwise.
pub const ADDRESS_DEFAULT: &str = "127.0.0.1:7440";

/// Which ledger a command works on.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// Work on the ledger in this folder; no server may be running on it
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data: Option<PathBuf>,
    /// Ask the server at this address [default: 127.0.0.1:7440]
    #[arg(long, value_name = "ADDR")]
    pub server: Option<String>,
    /// With --data: start although this machine's clock is an hour before or 30 days after the log's last entry
    #[arg(long, requires = "data")]
    pub accept_clock: bool,
    /// The institution whose accounts and transactions are meant
    #[arg(long, value_name = "N", default_value_t = FIRST_INSTITUTION,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub institution: u32,
}

impl Default for Target {
    fn default() -> Target {
        Target { data: None, server: None, accept_clock: false, institution: FIRST_INSTITUTION }
    }
}

/// A connection, and the server inside this process that it may need.
pub struct Session {
    /// The client.
    pub client: Client,
    local: Option<LocalServer>,
}

impl Target {
    /// Connects, starting a server first if a folder was given.
    pub async fn open(&self) -> CliResult<Session> {
        let (local, address) = match &self.data {
            None => (None, self.server.clone().unwrap_or_else(|| ADDRESS_DEFAULT.to_string())),
            Some(data) => {
                let server = LocalServer::start(ServeSettings::of(data.clone(), self.accept_clock)).await?;
                let address = server.address().to_string();
                (Some(server), address)
            }
        };
        let session = Session { client: connect(&address).await?.for_institution(self.institution), local };
        if self.institution == FIRST_INSTITUTION {
            return Ok(session);
        }
        // An unknown institution has no accounts and no transactions: without this, a mistyped number would look like that.
        let known = session.client.institutions().await.map_err(client_error);
        match known {
            Ok(known) if known.iter().any(|(number, _)| *number == self.institution) => Ok(session),
            known => {
                session.close().await?;
                Err(known.err().unwrap_or_else(|| {
                    CliError::disagree(
                        format!("there is no institution {}", self.institution),
                        "list them with `florin institution list`, or add it with `florin institution add NUMBER NAME`",
                    )
                }))
            }
        }
    }
}

impl Session {
    /// Ends the connection, and stops the server inside this process so that its log is sealed.
    pub async fn close(self) -> CliResult<()> {
        drop(self.client);
        match self.local {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// Connects to a server.
pub async fn connect(address: &str) -> CliResult<Client> {
    Client::connect(address, ClientOptions::default()).await.map_err(|error| {
        let reason = match error {
            ClientError::Connect { reason, .. } => reason,
            other => chain(&other),
        };
        CliError::cannot(
            format!("no connection to {address}: {reason}"),
            "start a server (`florin serve --data DIR`), give its address with --server ADDR, or use --data DIR without a server",
        )
    })
}

/// Runs `work` on a session and closes it whatever the result; the work's error comes first.
pub fn with_session<T, F>(target: &Target, work: impl FnOnce(Client) -> F) -> CliResult<T>
where
    F: Future<Output = CliResult<T>>,
{
    block_on(async {
        let session = target.open().await?;
        let result = work(session.client.clone()).await;
        let closed = session.close().await;
        let value = result?;
        closed?;
        Ok(value)
    })
}

/// As [`with_session`], until a signal asks to end it; that is fine, and the session is closed all the same.
pub fn with_session_until_interrupted<F>(target: &Target, work: impl FnOnce(Client) -> F) -> CliResult
where
    F: Future<Output = CliResult>,
{
    block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let session = target.open().await?;
        let result = tokio::select! {
            result = work(session.client.clone()) => result,
            _ = terminate.recv() => Ok(EXIT_FINE),
            _ = interrupt.recv() => Ok(EXIT_FINE),
        };
        let closed = session.close().await;
        let value = result?;
        closed?;
        Ok(value)
    })
}

fn no_signals(error: std::io::Error) -> CliError {
    CliError::cannot(format!("no signal handlers: {error}"), "start it again")
}

/// Runs a future on this thread.
pub fn block_on<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::cannot(format!("no runtime: {e}"), "check the limits of this process (ulimit -a)"))?;
    runtime.block_on(future)
}

/// A client's error with what to do next.
pub fn client_error(error: ClientError) -> CliError {
    let next = match &error {
        ClientError::Unknown => {
            "the request may or may not have been applied: repeat it with the same id, which can never apply twice"
        }
        _ => "see that the server runs (its own output says why it stopped), then repeat with the same id",
    };
    CliError::cannot(chain(&error), next)
}

/// Runs a future on this thread until it ends or a signal asks to end it; then what it owns (children, folders) is cleaned up.
pub fn block_on_unless_interrupted<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        tokio::select! {
            result = future => result,
            _ = terminate.recv() => Err(interrupted()),
            _ = interrupt.recv() => Err(interrupted()),
        }
    })
}

fn interrupted() -> CliError {
    CliError::cannot("interrupted", "run it again; its server was stopped and its temporary folder removed")
}
