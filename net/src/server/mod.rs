//! The server: accepts connections on loopback and moves requests and replies between them and the engine.
//!
//! It never decides about money, never touches a file, and takes no request without permits. All of its tasks are local
//! to the thread that called [`serve`], next to the engine's actors if they are there too.

mod chunks;
mod connection;
mod merged;
mod options;
mod outgoing;
mod permits;
mod watch;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use florin_engine::{Command, OnReply, Stages};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use options::ServerOptions;

use crate::error::{ErrorCode, ProtocolError};
use crate::limits::REFUSED_LINGERING_MAX;
use connection::Context;
use outgoing::{End, Outgoing};
use permits::Budget;

/// Where requests go: the engine, or a script in a test.
pub trait Submit: 'static {
    /// Takes a command and calls back when the answer may leave the process. Commands of one origin, that is of one
    /// connection, are sequenced in call order. Connections are numbered from 1, each number once in a process.
    fn submit(&self, origin: u64, command: Command, on_reply: OnReply);

    /// Where the times of the server's own stages go.
    fn stages(&self) -> Arc<Stages>;
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can be reached from other machines.
    #[error(
        "{0} is not a loopback address; there is no authentication yet, so whoever reaches the port could move money; \
         listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The listener cannot be used.
    #[error("cannot use the listener: {0}")]
    Listener(#[from] io::Error),
}

/// Where to listen.
#[derive(Debug)]
pub enum Listen {
    /// An address; port 0 = any.
    Addr(SocketAddr),
    /// A listener of the standard library.
    Std(std::net::TcpListener),
    /// A listener of tokio.
    Tokio(TcpListener),
}

impl From<SocketAddr> for Listen {
    fn from(addr: SocketAddr) -> Listen {
        Listen::Addr(addr)
    }
}

impl From<std::net::TcpListener> for Listen {
    fn from(listener: std::net::TcpListener) -> Listen {
        Listen::Std(listener)
    }
}

impl From<TcpListener> for Listen {
    fn from(listener: TcpListener) -> Listen {
        Listen::Tokio(listener)
    }
}

/// A server that runs. Dropping it stops accepting; connections that are there go on until they end.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    accept: JoinHandle<()>,
    connections: Rc<Connections>,
    budget: Arc<Budget>,
}

/// The connections that are open.
#[derive(Debug, Default)]
struct Connections {
    open: RefCell<HashMap<u64, Arc<Outgoing>>>,
    refused_lingering: Cell<usize>,
    closed: Notify,
}

/// Starts a server. Must be called inside a tokio `LocalSet` or on an actix arbiter, and runs there.
pub async fn serve<S: Submit>(
    listen: impl Into<Listen>,
    engine: S,
    options: ServerOptions,
) -> Result<Server, ServeError> {
    let listener = match listen.into() {
        Listen::Addr(addr) => {
            check_loopback(addr)?;
            TcpListener::bind(addr).await.map_err(|source| ServeError::Listen { addr, source })?
        }
        Listen::Std(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)?
        }
        Listen::Tokio(listener) => listener,
    };
    let local_addr = listener.local_addr()?;
    check_loopback(local_addr)?;
    let connections = Rc::new(Connections::default());
    let budget = Arc::new(Budget::new(&options));
    let stages = engine.stages();
    let context = Rc::new(Context { engine, options, budget: budget.clone(), stages, chunks: Default::default() });
    let accept = tokio::task::spawn_local(accept(listener, context, connections.clone()));
    Ok(Server { local_addr, accept, connections, budget })
}

fn check_loopback(addr: SocketAddr) -> Result<(), ServeError> {
    if addr.ip().to_canonical().is_loopback() { Ok(()) } else { Err(ServeError::NotLoopback(addr)) }
}

impl Server {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.open.borrow().len()
    }

    /// Whether nothing is under way: no connection is open, and of each budget over all connections everything is there, neither less nor
    /// more.
    pub fn is_idle(&self) -> bool {
        self.connections() == 0 && self.budget.is_whole()
    }

    /// Accepts and takes nothing more, waits until all that was taken is answered and every connection is closed.
    pub async fn stop(self) {
        self.accept.abort();
        for outgoing in self.connections.open.borrow().values() {
            outgoing
                .end(End::error(ErrorCode::ShuttingDown, "the server is stopping; what has no reply was not taken"));
        }
        while self.connections() > 0 {
            self.connections.closed.notified().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// The number of the next connection. Servers of one process may share an engine, so they share the numbers.
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// How long to wait when the system has no sockets or memory for a connection; they become free as others close.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);

async fn accept<S: Submit>(listener: TcpListener, context: Rc<Context<S>>, connections: Rc<Connections>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => begin(stream, &context, &connections),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(ACCEPT_BACK_OFF).await,
        }
    }
}

fn begin<S: Submit>(stream: TcpStream, context: &Rc<Context<S>>, connections: &Rc<Connections>) {
    let (context, connections) = (context.clone(), connections.clone());
    let options = &context.options;
    // Without it a small reply may wait 40 ms for an acknowledgement. A socket that refuses it still works.
    let _ = stream.set_nodelay(true);
    if connections.open.borrow().len() >= options.connections_max {
        let message = format!("the server has {} connections already", options.connections_max);
        let error = ProtocolError::new(ErrorCode::TooManyConnections, message);
        let lingering = connections.refused_lingering.get();
        let wait = lingering < REFUSED_LINGERING_MAX;
        connections.refused_lingering.set(lingering + 1);
        tokio::task::spawn_local(async move {
            connection::refuse(stream, error, &context.options, wait).await;
            connections.refused_lingering.set(connections.refused_lingering.get() - 1);
        });
        return;
    }
    let outgoing = Arc::new(Outgoing::new(context.budget.clone(), context.stages.clone(), options));
    let number = NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed);
    connections.open.borrow_mut().insert(number, outgoing.clone());
    tokio::task::spawn_local(async move {
        connection::serve(context, stream, number, outgoing).await;
        connections.open.borrow_mut().remove(&number);
        connections.closed.notify_one();
    });
}

impl Submit for florin_engine::Engine {
    fn submit(&self, origin: u64, command: Command, on_reply: OnReply) {
        florin_engine::Engine::submit(self, origin, command, on_reply);
    }

    fn stages(&self) -> Arc<Stages> {
        florin_engine::Engine::stages(self)
    }
}
