//! How a command reaches a ledger: `--server ADDR` connects, `--data DIR` starts a server on loopback inside this process.
//!
//! Either way the command talks through the client library; nothing reaches around it.

use std::future::Future;
use std::path::PathBuf;

use florin_core::institution::FIRST_INSTITUTION;
use florin_net::{Client, ClientError, ClientOptions, ErrorCode};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, CliResult, EXIT_CANNOT, EXIT_DISAGREE, EXIT_FINE, chain};
use crate::ids::show_id;
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
        // Asked first, so that a mistyped number is named whatever the command is about.
        match session.client.institutions().await {
            Ok(_) => Ok(session),
            Err(error) => {
                session.close().await?;
                Err(match error.server_code() {
                    Some(ErrorCode::InstitutionUnknown) => CliError::disagree(
                        format!("there is no institution {}", self.institution),
                        "list them with `florin institution list`, or add it with `florin institution add NUMBER NAME`",
                    ),
                    _ => client_error(error),
                })
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
    Client::connect(address, ClientOptions::default()).await.map_err(|error| match error {
        ClientError::Connect { reason, .. } => CliError::cannot(
            format!("no connection to {address}: {reason}"),
            "start a server (`florin serve --data DIR`), give its address with --server ADDR, or use --data DIR without a server",
        ),
        other => {
            let error = client_error(other);
            CliError { what: format!("no connection to {address}: {}", error.what), ..error }
        }
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
        let mut interruption = Interruption::new()?;
        let session = target.open().await?;
        let result = interruption.or(work(session.client.clone())).await.unwrap_or(Ok(EXIT_FINE));
        let closed = session.close().await;
        let value = result?;
        closed?;
        Ok(value)
    })
}

/// SIGTERM and Ctrl-C. As long as none was made, either ends the process at once.
pub struct Interruption {
    terminate: Signal,
    interrupt: Signal,
}

impl Interruption {
    /// From now on the signals are for this.
    pub fn new() -> CliResult<Interruption> {
        let listen =
            |kind| signal(kind).map_err(|e| CliError::cannot(format!("no signal handlers: {e}"), "start it again"));
        Ok(Interruption { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for `work`; none = a signal came first.
    pub async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = work => Some(result),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        }
    }
}

/// A change under way, which has an id: if no answer comes, whoever asked must learn which one.
pub struct UnderWay {
    id: u128,
    interruption: Interruption,
}

impl UnderWay {
    /// The change with this id.
    pub fn new(id: u128) -> CliResult<UnderWay> {
        Ok(UnderWay { id, interruption: Interruption::new()? })
    }

    /// Waits for the answer to it. No answer, and a signal before it came, are errors that name the id.
    pub async fn answer<T>(&mut self, call: impl Future<Output = Result<T, ClientError>>) -> CliResult<T> {
        match self.interruption.or(call).await {
            Some(answered) => answered.map_err(|error| self.error(error)),
            None => Err(CliError {
                what: "interrupted before the answer came: the request may or may not have been applied".to_string(),
                ..self.error(ClientError::Unknown)
            }),
        }
    }

    /// Waits for what is told of it once it is answered; `became` is for whoever does not wait for that.
    pub async fn tell<T>(&mut self, became: &str, telling: impl Future<Output = CliResult<T>>) -> CliResult<T> {
        self.interruption.or(telling).await.unwrap_or_else(|| {
            let next = format!("repeat it with the same id, which never applies twice: --id {}", show_id(self.id));
            Err(CliError::cannot(format!("interrupted; what became of it is known: {became}"), next))
        })
    }

    /// An error of the client, with the id.
    pub fn error(&self, error: ClientError) -> CliError {
        let error = client_error(error);
        CliError { next: format!("{} (this one was --id {})", error.next, show_id(self.id)), ..error }
    }

    /// That the answer has no result.
    pub fn unanswered(&self) -> CliError {
        self.error(ClientError::Protocol("an answer without a result".to_string()))
    }
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
        ClientError::Timeout(_) | ClientError::Connect { .. } => {
            "see that the server runs (its own output says why it stopped), then repeat with the same id"
        }
        ClientError::TooLarge { .. } => "nothing was sent: shorten it",
        ClientError::Protocol(_) => {
            "client and server differ in version: use the florin that the server runs; a change repeats with the same id"
        }
        ClientError::Server { .. } => error.server_code().map_or(DIFFERENT_VERSION, server_advice),
    };
    // What the ledger does not have is a disagreement, here as everywhere.
    let disagrees = error.server_code() == Some(ErrorCode::InstitutionUnknown);
    let exit = if disagrees { EXIT_DISAGREE } else { EXIT_CANNOT };
    CliError { exit, ..CliError::cannot(chain(&error), next) }
}

const DIFFERENT_VERSION: &str = "client and server differ in version: use the florin that the server runs";

/// What to do about an error reply.
fn server_advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::HistoryUnreadable => "run `florin verify` on the server's folder once it is stopped",
        ErrorCode::ReplyTooLarge | ErrorCode::OverLimit => "ask for less, with a smaller --limit",
        ErrorCode::ForeignToken => "begin without --resume",
        ErrorCode::TooManyWatches => "wait until a watch ends",
        ErrorCode::InstitutionUnknown => {
            "register it with `florin institution add`, or ask as another with --institution N"
        }
        ErrorCode::Stopping | ErrorCode::ShuttingDown => "ask again once the server is back",
        ErrorCode::TooManyConnections => "wait until another client's connection ends",
        ErrorCode::Internal => "repeat it with the same id, which can never apply twice",
        ErrorCode::HandshakeTimeout | ErrorCode::SlowSender | ErrorCode::FrameCut => {
            "see that the network and the server are not overloaded, then repeat with the same id"
        }
        ErrorCode::SnapshotFailed => {
            "mend what the message names (disk, space, permissions), then ask again; payments go on"
        }
        ErrorCode::PositionUnknown => "begin with an --after of this ledger, or find out what became of its rows",
        // The rest are of bytes that the server does not understand.
        _ => DIFFERENT_VERSION,
    }
}

/// Runs a future on this thread until it ends or a signal asks to end it; then what it owns (children, folders) is cleaned up.
pub fn block_on_unless_interrupted<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    block_on(async {
        let ended = Interruption::new()?.or(future).await;
        ended.unwrap_or_else(|| Err(interrupted()))
    })
}

fn interrupted() -> CliError {
    CliError::cannot("interrupted", "run it again; its server was stopped and its temporary folder removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_the_client_has_its_own_advice() {
        let server = |code: ErrorCode| ClientError::Server { code: code.number(), message: String::new() };
        let table = [
            (ClientError::Unknown, "repeat it with the same id"),
            (ClientError::TooLarge { what: "bytes", got: 2, max: 1 }, "shorten it"),
            (ClientError::Protocol(String::new()), "differ in version"),
            (server(ErrorCode::HistoryUnreadable), "florin verify"),
            (server(ErrorCode::ForeignToken), "begin without --resume"),
            (server(ErrorCode::TooManyWatches), "wait until a watch ends"),
            (server(ErrorCode::InstitutionUnknown), "florin institution add"),
            (server(ErrorCode::Stopping), "once the server is back"),
            (server(ErrorCode::SnapshotFailed), "then ask again"),
            (server(ErrorCode::BadVersion), "differ in version"),
            (ClientError::Server { code: 999, message: String::new() }, "differ in version"),
        ];
        for (error, advice) in table {
            let shown = client_error(error);
            assert!(shown.next.contains(advice), "{}: {}", shown.what, shown.next);
        }
    }
}
