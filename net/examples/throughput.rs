//! How fast frames go through client and server when the engine costs nothing:
//! `cargo run --release -p florin-net --example throughput`. Client and server have a thread each; a closed loop.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use florin_core::entry::{PostReply, ResultRun};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostForm};
use florin_engine::{Command, OnReply, Reply, Stages};
use florin_net::{Client, ClientOptions, ServerOptions, Submit, serve};

/// Answers a round of requests at a time, as an engine does, without looking at them.
struct Nothing {
    next: Cell<u64>,
}

impl Submit for Nothing {
    fn submit(&self, _: u64, command: Command, on_reply: OnReply) {
        let Command::Post { request, .. } = command else { return };
        let count = request.count() as u32;
        let sequence = self.next.replace(self.next.get() + u64::from(count));
        let first = ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence, booked_at: sequence };
        on_reply(Reply::Posted(PostReply { runs: vec![ResultRun { count, first }], postings: vec![] }));
    }

    fn stages(&self) -> Arc<Stages> {
        Arc::default()
    }
}

fn server() -> std::net::SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let engine = Nothing { next: Cell::new(1) };
            let server = serve(addr, engine, ServerOptions::default()).await.expect("a server");
            tell.send(server.local_addr()).expect("someone listens");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("the server started")
}

fn main() {
    let addr = server().to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let time = Duration::from_secs(2);
    println!("rows/request  connections  in flight each   rows/s");
    for (rows, connections, in_flight) in [(8_190, 4, 2), (100, 32, 1), (100, 32, 8), (1, 32, 1), (1, 64, 64)] {
        // Zeros: no vouchers, and nobody looks at the rest.
        let payload = Bytes::from(vec![0; rows * 128]);
        let done = runtime.block_on(async {
            let until = Instant::now() + time;
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let client = Client::connect(&addr, ClientOptions::default()).await.expect("a connection");
                for _ in 0..in_flight {
                    let (client, payload) = (client.clone(), payload.clone());
                    tasks.push(tokio::spawn(async move {
                        let mut done = 0;
                        while Instant::now() < until {
                            let (form, count) = (PostForm::Transfers, rows as u32);
                            let reply = client.post_payload(form, count, payload.clone(), false).await;
                            done += reply.expect("a reply").count();
                        }
                        done
                    }));
                }
            }
            let mut done = 0;
            for task in tasks {
                done += task.await.expect("no panic");
            }
            done
        });
        let per_second = done as f64 / time.as_secs_f64();
        println!("{rows:12} {connections:12} {in_flight:15} {per_second:10.0}");
    }
}
