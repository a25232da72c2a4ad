//! `florin account`: opens, shows, lists and changes accounts.

mod change;
mod open;
mod show;

use clap::{Args, Subcommand};

use crate::client::with_session;
use crate::error::CliResult;
use crate::output::Output;

pub use change::change_json;
pub use show::{json, unknown};

/// Open, show, list and change accounts.
#[derive(Debug, Args)]
pub struct AccountArguments {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    Open(open::OpenArguments),
    Show(show::ShowArguments),
    List(show::ListArguments),
    Freeze(change::FreezeArguments),
    Unfreeze(change::UnfreezeArguments),
    Limits(change::LimitsArguments),
    Close(change::CloseArguments),
    Reopen(change::ReopenArguments),
    Label(change::LabelArguments),
    Attributes(change::AttributesArguments),
}

impl AccountArguments {
    /// Whether it shows accounts and does nothing else.
    pub fn is_listing(&self) -> bool {
        matches!(self.command, AccountCommand::Show(_) | AccountCommand::List(_))
    }
}

/// Runs the command.
pub fn run(arguments: &AccountArguments, output: Output) -> CliResult {
    use AccountCommand::*;
    match &arguments.command {
        Open(a) => with_session(&a.target, async |client| open::open(a, &client, output).await),
        Show(a) => with_session(&a.target, async |client| show::show(a, &client, output).await),
        List(a) => with_session(&a.target, async |client| show::list(a, &client, output).await),
        Freeze(a) => change::freeze(a, output),
        Unfreeze(a) => change::unfreeze(a, output),
        Limits(a) => change::limits(a, output),
        Close(a) => change::close(a, output),
        Reopen(a) => change::reopen(a, output),
        Label(a) => change::label(a, output),
        Attributes(a) => change::attributes(a, output),
    }
}
