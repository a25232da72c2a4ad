//! What history costs: a ledger of thirteen months in which one account has an entry of every transfer; indexes built in
//! the background; then questions about random days of the past, each asked through the engine and compared with what was
//! posted, with indexes and without.
//!
//! `cargo run --release -p florin-engine --example history -- FOLDER [TRANSFERS] [CUSTOMERS]`

mod ask;
mod make;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ask::Asker;
use florin_engine::{Engine, EngineOptions, start};
use make::{DAYS, make};

/// Questions of each kind.
const REPETITIONS: usize = 200;
/// Questions of each kind without indexes.
const REPETITIONS_WITHOUT: usize = 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().expect("usage: history FOLDER [TRANSFERS] [CUSTOMERS]"));
    let mut number = |unless: u64| arguments.next().map_or(unless, |n| n.parse().expect("a number"));
    let (transfers, customers) = (number(5_000_000), number(100_000));
    assert!(!data.exists(), "{} exists: remove it, or name another folder", data.display());
    let begun = Instant::now();
    let made = make(&data, transfers, customers);
    let seconds = begun.elapsed().as_secs_f64();
    println!("{transfers} transfers of {customers} customers to one shop over {DAYS} days, made in {seconds:.1} s");
    actix_rt::System::new().block_on(async {
        let engine = serve(&data, true).await;
        build(&data, &engine, transfers).await;
        engine.stop().await.expect("a clean stop");
        drop(engine);
        let engine = serve(&data, false).await;
        await_indexes(&engine).await;
        Asker { made: &made, engine: &engine, mixed: 1 }.everything(REPETITIONS, true).await;
        println!("memory after the questions: {}", memory());
        engine.stop().await.expect("a clean stop");
        drop(engine);
        indexes(&data).iter().for_each(|path| std::fs::remove_file(path).expect("a file"));
        println!("without indexes:");
        let engine = serve(&data, false).await;
        Asker { made: &made, engine: &engine, mixed: 2 }.everything(REPETITIONS_WITHOUT, false).await;
        println!("memory after the questions: {}", memory());
        engine.stop().await.expect("a clean stop");
    });
}

async fn serve(data: &Path, build_indexes: bool) -> Engine {
    let begun = Instant::now();
    let options = EngineOptions { build_indexes, accept_clock: true, ..EngineOptions::new(data) };
    let engine = start(options).await.expect("a start").engine;
    println!("recovered in {:.1} s; memory: {}", begun.elapsed().as_secs_f64(), memory());
    engine
}

async fn build(data: &Path, engine: &Engine, transfers: u64) {
    let begun = Instant::now();
    await_indexes(engine).await;
    let stats = ask::stats(engine).await;
    let bytes: u64 = indexes(data).iter().map(|path| path.metadata().expect("a file").len()).sum();
    // A transfer has two entries; the open segment has no index.
    let share = stats.indexes_built as f64 / (stats.indexes_built + 1) as f64;
    println!(
        "{} indexes built in {:.2} s ({:.0} ms each), {bytes} bytes: about {:.1} an entry; memory {}",
        stats.indexes_built,
        begun.elapsed().as_secs_f64(),
        stats.index_build_us as f64 / 1e3 / stats.indexes_built as f64,
        bytes as f64 / (2.0 * transfers as f64 * share),
        memory(),
    );
}

async fn await_indexes(engine: &Engine) {
    loop {
        let stats = ask::stats(engine).await;
        if stats.segments_sealed > 0 && stats.segments_indexed == stats.segments_sealed {
            return;
        }
        // Nothing is measured here; the builder has the lowest priority.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn indexes(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("log")).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "idx")).collect()
}

/// What the process has in memory, and the most that it ever had.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim).to_string();
    format!("{} (peak {})", line("VmRSS:"), line("VmHWM:"))
}
