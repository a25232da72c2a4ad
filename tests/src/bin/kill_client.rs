//! The client of the kill test: sends batches under load and writes down every answer that it receives, until the
//! server is gone. `kill_client ADDR SEED FIRST_BATCH FILE`; prints a line per answer, so that the rig can choose its
//! moment.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use florin_net::{Client, ClientError, ClientOptions};
use florin_tests::{heard, load};

struct Shared {
    seed: u64,
    next_batch: AtomicU64,
    file: Mutex<File>,
}

impl Shared {
    fn note(&self, lines: &str) {
        let mut file = self.file.lock().expect("no panic while it is held");
        file.write_all(lines.as_bytes()).expect("room for the answers");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, addr, seed, first, file] = &arguments[..] else {
        eprintln!("usage: kill_client ADDR SEED FIRST_BATCH FILE");
        return ExitCode::FAILURE;
    };
    let file = File::options().create(true).append(true).open(file).expect("the file for the answers");
    let seed = seed.parse().expect("a seed");
    let next_batch = AtomicU64::new(first.parse().expect("the number of a batch"));
    let shared = Shared { seed, next_batch, file: Mutex::new(file) };
    let error = tokio::select! {
        error = connection(addr, &shared) => error,
        error = connection(addr, &shared) => error,
    };
    println!("the server is gone: {error}");
    match error {
        ClientError::Unknown | ClientError::Connect { .. } | ClientError::Timeout(_) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Keeps four requests under way on a connection; ends with the first error.
async fn connection(addr: &str, shared: &Shared) -> ClientError {
    let options = ClientOptions { reconnect: false, ..ClientOptions::default() };
    let client = match Client::connect(addr, options).await {
        Ok(client) => client,
        Err(error) => return error,
    };
    tokio::select! {
        error = post_batches(&client, shared) => error,
        error = post_batches(&client, shared) => error,
        error = post_batches(&client, shared) => error,
        error = post_batches(&client, shared) => error,
    }
}

async fn post_batches(client: &Client, shared: &Shared) -> ClientError {
    let accounts = load::accounts();
    loop {
        let number = shared.next_batch.fetch_add(1, Ordering::Relaxed);
        let batch = load::batch(shared.seed, number);
        shared.note(&heard::asked(number));
        match load::ask(client, &batch).await {
            Ok(reply) => shared.note(&heard::answered(number, &batch, &reply)),
            Err(error) => return error,
        }
        println!("answered {number}");
        if number.is_multiple_of(5) {
            match client.accounts(&accounts).await {
                Ok(records) => records.iter().flatten().for_each(|record| shared.note(&heard::read(record))),
                Err(error) => return error,
            }
        }
    }
}
