//! The consumer of the watch test: writes down every transaction that a watch shows, one write a page, and goes on where
//! its file ends. `watch_consumer ADDR FILE LIMIT again|end [AFTER PART]`: whether it connects again when it loses the
//! server, or ends. With AFTER, the next page after so many rows is not written to its end, but to PART thousandths of
//! it; then it waits to be killed. It prints a line per page, so that the rig can choose its moment.

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use florin_net::{Client, ClientError, ClientOptions};
use florin_tests::consumed::{self, Consumed};

/// How long the server is asked to wait for a transaction, before it is noted how far the watch has seen.
const WAIT: Duration = Duration::from_millis(250);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let (addr, file, limit, lost, tear) = match &arguments[..] {
        [_, addr, file, limit, lost] => (addr, file, limit, lost, None),
        [_, addr, file, limit, lost, after, part] => (addr, file, limit, lost, Some((number(after), number(part)))),
        _ => {
            eprintln!("usage: watch_consumer ADDR FILE LIMIT again|end [AFTER PART]");
            return ExitCode::FAILURE;
        }
    };
    let file = File::options().create(true).read(true).append(true).open(file).expect("the file of what was consumed");
    let options = ClientOptions { reconnect: lost == "again", ..ClientOptions::default() };
    let error = match Client::connect(addr, options).await {
        Ok(client) => consume(&client, file, number(limit) as u32, tear).await,
        Err(error) => error,
    };
    println!("ended: {error}");
    match error {
        ClientError::Connect { .. } | ClientError::Timeout(_) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

/// Goes on from the last whole line of the file until there is an error.
async fn consume(client: &Client, mut file: File, limit: u32, tear: Option<(usize, usize)>) -> ClientError {
    let mut bytes = vec![];
    file.read_to_end(&mut bytes).expect("the file can be read");
    let Consumed { position, whole, .. } = Consumed::parse(&bytes);
    file.set_len(whole as u64).expect("the file can be cut");
    println!("from {position} after {} torn bytes", bytes.len() - whole);
    let mut watch = client.watch(position).with_limit(limit).with_wait(WAIT);
    let mut rows = 0;
    loop {
        let seen = watch.seen();
        let page = match watch.poll_page().await {
            Ok(page) => page,
            Err(error) => return error,
        };
        if page.seen > seen {
            let lines = consumed::page(&page);
            if let Some((_, part)) = tear.filter(|(after, _)| rows >= *after && !page.transactions.is_empty()) {
                file.write_all(&lines.as_bytes()[..lines.len() * part / 1_000]).expect("room for a part of a page");
                println!("torn");
                return std::future::pending().await;
            }
            file.write_all(lines.as_bytes()).expect("room for a page");
        }
        rows += page.transactions.len();
        println!("wrote {rows} up to {}", page.seen);
    }
}
