//! The command line: which commands there are. Each command has its arguments in its own file.

use clap::{Parser, Subcommand};

use crate::error::CliResult;
use crate::output::Output;
use crate::{account, bench, import, init, log, post, probe_disk, quickstart, serve, statement, stats, verify};

/// An account engine for payments: double-entry balances, durable and exact
///
/// New here? Run `florin quickstart`.
#[derive(Debug, Parser)]
#[command(name = "florin", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Write JSON to stdout: one object, or one a line; integers that may exceed 2^53 are strings
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 fine, 1 the books or the input disagree, 2 the command could not run.";

/// One command; its help is the documentation of its arguments.
#[derive(Debug, Subcommand)]
pub enum Command {
    Quickstart(quickstart::QuickstartArguments),
    Init(init::InitArguments),
    Serve(serve::ServeArguments),
    Account(account::AccountArguments),
    Post(post::PostArguments),
    Statement(statement::StatementArguments),
    Import(import::ImportArguments),
    Verify(verify::VerifyArguments),
    Log(log::LogArguments),
    Bench(bench::BenchArguments),
    Stats(stats::StatsArguments),
    ProbeDisk(probe_disk::ProbeDiskArguments),
}

impl Command {
    /// Runs the command; gives its exit code.
    pub fn run(&self, output: Output) -> CliResult {
        match self {
            Command::Quickstart(arguments) => quickstart::run(arguments, output),
            Command::Init(arguments) => init::run(arguments, output),
            Command::Serve(arguments) => serve::run(arguments, output),
            Command::Account(arguments) => account::run(arguments, output),
            Command::Post(arguments) => post::run(arguments, output),
            Command::Statement(arguments) => statement::run(arguments, output),
            Command::Import(arguments) => import::run(arguments, output),
            Command::Verify(arguments) => verify::run(arguments, output),
            Command::Log(arguments) => log::run(arguments, output),
            Command::Bench(arguments) => bench::run(arguments, output),
            Command::Stats(arguments) => stats::run(arguments, output),
            Command::ProbeDisk(arguments) => probe_disk::run(arguments, output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
