//! `compare`: the same transfers through Florin and through PostgreSQL, by turns in one run, and a table of both with their
//! ratios. `bench/compare/run` gives it a PostgreSQL cluster of its own.
//!
//! It never changes what is measured to please: each side is durable before it answers, each run is followed by a proof of its
//! books, and the exit code says whether it worked, not who was faster.
#![forbid(unsafe_code)]

mod error;
mod figures;
mod florin;
mod postgres;
mod report;
mod rows;
mod rules;
mod session;
mod transfers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use florin_bench::machine::{default_folder, file_system, is_in_memory};

use crate::error::CompareError;
use crate::figures::Interruption;
use crate::florin::Florin;
use crate::postgres::{Postgres, Settings};
use crate::report::Report;
use crate::rows::{Row, System};

/// Compare Florin with PostgreSQL
///
/// Closed loop over loopback TCP, one call in flight on each connection, every answer after its sync. Rows run by turns;
/// figures are medians. After each run the books are proved.
#[derive(Debug, Parser)]
struct Arguments {
    /// Length of a run
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each row; figures are the medians
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Accounts in play
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    accounts: u32,
    /// Connections, one call or request in flight on each
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=80))]
    connections: u16,
    /// Rows to run, by name or beginning, separated by commas [default: all but those that begin with `tried-`]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rows: Vec<String>,
    /// Length of each short run that chooses PostgreSQL's wal_sync_method and commit_delay for a row; 0 = fdatasync, no delay
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    calibrate: f64,
    /// PostgreSQL posts this long before a run begins to count
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    warm_up: f64,
    /// PostgreSQL's address; a password comes from PGPASSWORD
    #[arg(long, value_name = "ADDR", default_value = "host=127.0.0.1 user=postgres dbname=postgres")]
    postgres: String,
    /// The binary `florin`
    #[arg(long, value_name = "FILE", default_value = "target/release/florin")]
    florin: PathBuf,
    /// Where Florin's temporary folders are made [default: the system's, unless that is kept in memory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// A line for the reports, such as date and commit
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread: with more, the driver takes more of the cores from the server and hands work from one to the other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(CompareError::Runtime).and_then(|runtime| runtime.block_on(compare(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn compare(arguments: &Arguments) -> Result<(), CompareError> {
    check(arguments)?;
    let mut interruption = Interruption::new()?;
    let rows = rows::choose(&arguments.rows)?;
    let florin = Florin {
        binary: arguments.florin.clone(),
        folder: arguments.dir.clone().unwrap_or_else(default_folder),
        accounts: arguments.accounts,
        connections: arguments.connections,
        seconds: arguments.seconds,
    };
    let password = std::env::var("PGPASSWORD").ok();
    let postgres = Postgres::new(&arguments.postgres, password.as_deref(), arguments.accounts, arguments.connections)?;

    let mut report = Report::new(about(arguments, &florin));
    if rows.iter().any(|row| row.system != System::Florin) {
        let told = interruption.or(postgres.about()).await.ok_or(CompareError::Interrupted)??;
        report.postgres(told);
        interruption.or(postgres.write_log_ahead()).await.ok_or(CompareError::Interrupted)??;
    }
    report.print_head();
    let mut settings: Vec<Option<Settings>> = vec![None; rows.len()];
    for turn in 1..=arguments.runs {
        for (row, settings) in rows.iter().zip(&mut settings) {
            let figures = match row.system {
                System::Florin => florin.run(row, &mut interruption).await?,
                System::Postgres { .. } => {
                    let run = run_postgres(arguments, &postgres, row, settings, &mut report);
                    interruption.or(run).await.ok_or(CompareError::Interrupted)??
                }
            };
            report.run(row, turn, figures);
        }
    }
    report.print_tables();
    report.write(arguments.json.as_deref(), arguments.markdown.as_deref())
}

/// A run of PostgreSQL; before the first one of a row, its rules are checked and its settings chosen.
async fn run_postgres(
    arguments: &Arguments,
    postgres: &Postgres,
    row: &Row,
    settings: &mut Option<Settings>,
    report: &mut Report,
) -> Result<figures::Figures, CompareError> {
    let chosen = match settings {
        Some(chosen) => chosen,
        None => {
            let (best, tried) = postgres.calibrate(row, arguments.calibrate).await?;
            report.settings(row, &best, tried);
            settings.insert(best)
        }
    };
    postgres.run(row, chosen, arguments.warm_up, arguments.seconds).await
}

fn check(arguments: &Arguments) -> Result<(), CompareError> {
    let positive = |value: f64| value.is_finite() && value >= 0.1;
    if !positive(arguments.seconds) {
        return Err(CompareError::Argument(
            "--seconds must be at least 0.1\n  next: give for example --seconds 5".into(),
        ));
    }
    for (name, value) in [("--calibrate", arguments.calibrate), ("--warm-up", arguments.warm_up)] {
        if value != 0.0 && !positive(value) {
            return Err(CompareError::Argument(format!("{name} must be 0 or at least 0.1\n  next: leave it out")));
        }
    }
    Ok(())
}

/// What the figures depend on.
fn about(arguments: &Arguments, florin: &Florin) -> Vec<(String, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut folder = file_system(&florin.folder);
    if is_in_memory(&florin.folder) {
        folder.push_str(", kept in memory: nothing is durable, and the figures mean little");
    }
    let mut about = vec![
        ("cores", cores.to_string()),
        ("folder", format!("{} ({folder})", florin.folder.display())),
        ("connections", format!("{}, one call or request in flight on each", arguments.connections)),
        ("accounts", arguments.accounts.to_string()),
        ("runs", format!("{} of {} s, medians", arguments.runs, arguments.seconds)),
    ];
    if let Some(text) = &arguments.about {
        about.insert(0, ("run", text.clone()));
    }
    about.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent_and_checked() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        let parse = |line: &str| Arguments::parse_from(line.split(' '));
        assert!(check(&parse("compare")).is_ok());
        assert!(check(&parse("compare --warm-up 0 --calibrate 0 --seconds 0.5")).is_ok());
        assert!(check(&parse("compare --seconds 0")).unwrap_err().to_string().contains("--seconds"));
        assert!(check(&parse("compare --warm-up 0.01")).unwrap_err().to_string().contains("--warm-up"));
        assert_eq!(parse("compare --rows batched,florin").rows, ["batched", "florin"]);
    }
}
