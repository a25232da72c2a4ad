//! An engine within this process, and a link to it without sockets: what is left of a transfer's cost when nobody speaks
//! TCP. A server for accounts and proofs runs beside it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use florin_core::entry::PostReply;
use florin_core::institution::FIRST_INSTITUTION;
use florin_core::request::{PostForm, PostRequest};
use florin_engine::{Command, Engine, EngineOptions, Reply};
use florin_net::ServerOptions;
use florin_wal::{IoMode, LedgerOptions, create_ledger};
use tokio::sync::{Notify, oneshot};

use crate::error::BenchError;
use crate::figures::RunFigures;
use crate::ground::Prepared;
use crate::link::{Link, Told};
use crate::run::{Plan, run_on};

/// Requests of an open loop that may be under way on one link.
const REQUESTS_MAX: usize = 1_024;
/// Origins of the links; the server numbers its connections from 1.
const FIRST_ORIGIN: u64 = 1 << 48;

/// An engine that runs on a thread of this process.
pub struct Inside {
    engine: Engine,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), BenchError>>,
}

fn failed(what: impl ToString) -> BenchError {
    BenchError::Server(what.to_string())
}

impl Inside {
    /// Makes a ledger in `data` and starts an engine on it, with a server on a free loopback port.
    pub async fn start(data: &Path, shards: usize, io: IoMode) -> Result<Inside, BenchError> {
        create_ledger(data, &LedgerOptions::default()).map_err(failed)?;
        let options = EngineOptions { shards, io, ..EngineOptions::new(data) };
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("bench-engine".to_string())
            .spawn(move || {
                actix_rt::System::new().block_on(async move {
                    let engine = florin_engine::start(options).await.map_err(failed)?.engine;
                    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                    let server = florin_net::serve(listen, engine.clone(), ServerOptions::default());
                    let server = server.await.map_err(failed)?;
                    // Nobody may wait for it any more; then it stops below.
                    let _ = ready.send((engine.clone(), server.local_addr()));
                    // A sender that was dropped stops it as well.
                    let _ = stopped.await;
                    server.stop().await;
                    engine.stop().await.map_err(failed)
                })
            })
            .map_err(failed)?;
        match started.await {
            Ok((engine, address)) => Ok(Inside { engine, address, stop, thread }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => Err(failed("the engine's thread ended early")),
            },
        }
    }

    /// Where its server listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Runs once, straight to the engine. The plan's address is [`Inside::address`].
    pub async fn run_once(
        &self,
        plan: &Plan,
        prepared: &mut Prepared,
        progress: Box<dyn Fn(u64)>,
    ) -> Result<RunFigures, BenchError> {
        let origins = FIRST_ORIGIN..FIRST_ORIGIN + plan.connections as u64;
        let links = origins.map(|origin| InsideLink::new(self.engine.clone(), origin)).collect();
        run_on(plan, prepared, links, REQUESTS_MAX, progress).await
    }

    /// Stops it and waits until its log is sealed.
    pub async fn stop(self) -> Result<(), BenchError> {
        // It may have ended before.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(result)) => result,
            _ => Err(failed("the engine's thread ended early")),
        }
    }
}

/// A link to an engine of this process. One origin, as a connection is.
struct InsideLink {
    engine: Engine,
    origin: u64,
    queued: Vec<(u32, Command)>,
    answers: Arc<Answers>,
}

/// What the engine's threads hand over.
#[derive(Default)]
struct Answers {
    told: Mutex<VecDeque<(u32, Reply)>>,
    more: Notify,
}

impl Answers {
    fn told(&self) -> MutexGuard<'_, VecDeque<(u32, Reply)>> {
        // Whoever panicked while it pushed has ended the process.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InsideLink {
    fn new(engine: Engine, origin: u64) -> InsideLink {
        InsideLink { engine, origin, queued: Vec::new(), answers: Arc::default() }
    }
}

impl Link for InsideLink {
    fn post(
        &mut self,
        form: PostForm,
        rows: u32,
        slot: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BenchError> {
        let mut payload = Vec::new();
        fill(&mut payload);
        let request = PostRequest::parse(FIRST_INSTITUTION, 0, form, rows, Bytes::from(payload));
        let request = request.map_err(|e| BenchError::Refused(e.to_string()))?;
        self.queued.push((slot, Command::Post { request, want_postings: false }));
        Ok(())
    }

    fn look_up(&mut self, ids: &[u128], slot: u32) -> Result<(), BenchError> {
        let ids = ids.to_vec();
        self.queued.push((slot, Command::LookUpAccounts { institution: FIRST_INSTITUTION, ids }));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BenchError> {
        for (slot, command) in self.queued.drain(..) {
            let answers = self.answers.clone();
            let on_reply = move |reply| {
                let mut told = answers.told();
                told.push_back((slot, reply));
                // The one who waits takes all that is there.
                if told.len() == 1 {
                    answers.more.notify_one();
                }
            };
            self.engine.submit(self.origin, command, Box::new(on_reply));
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), BenchError> {
        while self.answers.told().is_empty() {
            self.answers.more.notified().await;
        }
        tokio::task::consume_budget().await;
        Ok(())
    }

    fn next(&mut self, reply: &mut PostReply) -> Result<Option<Told>, BenchError> {
        let Some((slot, answer)) = self.answers.told().pop_front() else { return Ok(None) };
        match answer {
            Reply::Posted(posted) => {
                *reply = posted;
                Ok(Some(Told { slot, found: None }))
            }
            Reply::Accounts { accounts, .. } => Ok(Some(Told { slot, found: Some(accounts.iter().flatten().count()) })),
            other => Err(BenchError::Refused(format!("the engine answered {other:?}"))),
        }
    }

    fn bytes(&self) -> (u64, u64) {
        (0, 0)
    }
}
