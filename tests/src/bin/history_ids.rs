//! A ledger with very many ids, made through the real engine, then measured and checked in a process of its own:
//! `cargo run -p florin-tests --release --bin history_ids -- --data FOLDER --ids 10000000 [--order random|time|mixed]`.
//!
//! The folder must not exist; it takes some 240 bytes an id and is left for whoever wants to look at it. With `--measure` the ledger that is
//! there is measured and not made, which changes it: a second time the new ids of the first are no longer new.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use florin_tests::history_ids::{History, Order, SAMPLES, make, measure};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((data, history, measured)) = parse(&arguments) else {
        eprintln!("usage: history_ids --data FOLDER --ids N [--order random|time|mixed] [--measure]");
        return ExitCode::FAILURE;
    };
    if measured {
        let tally = measure(&data, &history, &SAMPLES);
        return if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    assert!(!data.exists(), "{} exists: remove it, or name another folder", data.display());
    make(&data, &history, florin_wal::LedgerOptions::default().segment_bytes);
    // What this process has of memory is that of making.
    let again = Command::new(std::env::current_exe().expect("this program")).args(&arguments).arg("--measure").status();
    if again.expect("a process that measures").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Option<(PathBuf, History, bool)> {
    let (mut data, mut ids, mut order, mut measured) = (None, None, Order::Random, false);
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--data" => data = Some(PathBuf::from(rest.next()?)),
            "--ids" => ids = Some(rest.next()?.parse().ok().filter(|ids: &u64| *ids > 0)?),
            "--order" => order = Order::named(rest.next()?)?,
            "--measure" => measured = true,
            _ => return None,
        }
    }
    Some((data?, History { ids: ids?, order }, measured))
}
