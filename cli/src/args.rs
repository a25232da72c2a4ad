//! The command line: which commands there are. Each command has its arguments in its own file.

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use florin_core::institution::FIRST_INSTITUTION;

use crate::error::{CliError, CliResult};
use crate::items::{follow, post};
use crate::output::Output;
use crate::{
    account, backup, balance, bench, find, import, init, institution, log, probe_disk, quickstart, serve, show,
    snapshot, statement, stats, verify, watch,
};

/// An account engine for payments: double-entry balances, durable and exact
///
/// New here? Run `florin quickstart`.
#[derive(Debug, Parser)]
#[command(name = "florin", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Write JSON to stdout: one object, or one a line; integers that may exceed 2^53 are strings
    #[arg(long, global = true)]
    pub json: bool,
    /// The institution whose accounts and transactions are meant, in commands that ask a server
    #[arg(long, global = true, value_name = "N", default_value_t = FIRST_INSTITUTION,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub institution: u32,
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
    Hold(post::HoldArguments),
    Capture(follow::CaptureArguments),
    Increase(follow::IncreaseArguments),
    Release(follow::ReleaseArguments),
    Reverse(follow::ReverseArguments),
    Show(show::ShowArguments),
    Find(find::FindArguments),
    Balance(balance::BalanceArguments),
    Statement(statement::StatementArguments),
    Watch(watch::WatchArguments),
    Import(import::ImportArguments),
    Institution(institution::InstitutionArguments),
    Day(institution::DayArguments),
    Verify(verify::VerifyArguments),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Snapshot(snapshot::SnapshotArguments),
    Log(log::LogArguments),
    Bench(bench::BenchArguments),
    Stats(stats::StatsArguments),
    ProbeDisk(probe_disk::ProbeDiskArguments),
}

impl Command {
    /// Whether it asks for accounts and transactions, which are those of one institution.
    fn asks_an_institution(&self) -> bool {
        use Command::*;
        !matches!(
            self,
            Quickstart(_)
                | Init(_)
                | Serve(_)
                | Verify(_)
                | Backup(_)
                | Restore(_)
                | Snapshot(_)
                | Log(_)
                | Bench(_)
                | Stats(_)
                | ProbeDisk(_)
        )
    }

    /// Whether all that it does is to list what there is, so that it ends when nobody reads on.
    pub fn is_listing(&self) -> bool {
        use Command::*;
        match self {
            Show(_) | Find(_) | Balance(_) | Statement(_) | Watch(_) | Log(_) | Stats(_) | ProbeDisk(_) => true,
            Account(arguments) => arguments.is_listing(),
            Institution(arguments) => arguments.is_listing(),
            _ => false,
        }
    }

    /// Runs the command; gives its exit code.
    pub fn run(&self, institution: u32, output: Output) -> CliResult {
        if institution != FIRST_INSTITUTION && !self.asks_an_institution() {
            return Err(CliError::cannot(
                "this command is about the whole ledger, not one institution",
                "run it without --institution",
            ));
        }
        match self {
            Command::Quickstart(arguments) => quickstart::run(arguments, output),
            Command::Init(arguments) => init::run(arguments, output),
            Command::Serve(arguments) => serve::run(arguments, output),
            Command::Account(arguments) => account::run(arguments, output),
            Command::Post(arguments) => post::run_post(arguments, output),
            Command::Hold(arguments) => post::run_hold(arguments, output),
            Command::Capture(arguments) => follow::run_capture(arguments, output),
            Command::Increase(arguments) => follow::run_increase(arguments, output),
            Command::Release(arguments) => follow::run_release(arguments, output),
            Command::Reverse(arguments) => follow::run_reverse(arguments, output),
            Command::Show(arguments) => show::run(arguments, output),
            Command::Find(arguments) => find::run(arguments, output),
            Command::Balance(arguments) => balance::run(arguments, output),
            Command::Statement(arguments) => statement::run(arguments, output),
            Command::Watch(arguments) => watch::run(arguments, output),
            Command::Institution(arguments) => institution::run(arguments, output),
            Command::Day(arguments) => institution::run_day(arguments, output),
            Command::Import(arguments) => import::run(arguments, output),
            Command::Verify(arguments) => verify::run(arguments, output),
            Command::Backup(arguments) => backup::run(arguments, output),
            Command::Restore(arguments) => backup::run_restore(arguments, output),
            Command::Snapshot(arguments) => snapshot::run(arguments, output),
            Command::Log(arguments) => log::run(arguments, output),
            Command::Bench(arguments) => bench::run(arguments, output),
            Command::Stats(arguments) => stats::run(arguments, output),
            Command::ProbeDisk(arguments) => probe_disk::run(arguments, output),
        }
    }
}

/// An error of the command line as the other commands' errors are: one sentence and what to do next.
pub fn error_of(error: &clap::Error) -> CliError {
    let what = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no command is given".to_string(),
        _ => {
            let text = error.render().to_string();
            let sentence = text.split("\n\n").next().unwrap_or_default();
            let words = sentence.strip_prefix("error: ").unwrap_or(sentence).split_whitespace();
            words.collect::<Vec<_>>().join(" ")
        }
    };
    CliError::cannot(what, "see `florin --help`, or `florin COMMAND --help` for the arguments of one command")
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
