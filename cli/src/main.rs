//! `florin`: the one binary. Reads the command line, runs one command, and turns its result into text and an exit code.
//!
//! It decides nothing about money: every command but `init`, `log`, `verify`, `backup`, `restore` and `probe-disk` asks a server through the
//! client library.

mod account;
mod amount;
mod args;
mod assets;
mod backup;
mod balance;
mod bench;
mod client;
mod dates;
mod error;
mod find;
mod ids;
mod import;
mod init;
mod institution;
mod items;
mod local;
mod log;
mod money;
mod output;
mod probe_disk;
mod progress;
mod quickstart;
mod serve;
mod show;
mod snapshot;
mod statement;
mod stats;
mod transaction;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::error::EXIT_CANNOT;
use crate::output::{Output, note};

fn main() -> ExitCode {
    abort_on_panic();
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return wrong_arguments(&error),
    };
    let output = Output { json: arguments.json, listing: arguments.command.is_listing() };
    match arguments.command.run(arguments.institution, output) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            note(format!("error: {error}"));
            // The exit code is the error's, whether anybody reads or not.
            Output { listing: false, ..output }.object(&error.json());
            ExitCode::from(error.exit)
        }
    }
}

/// Help and version go to stdout with exit code 0; what is wrong goes to stderr, and with --json to stdout as well.
fn wrong_arguments(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let json = std::env::args_os().take_while(|a| a != "--").any(|a| a == "--json");
    if error.use_stderr() {
        Output { json, listing: false }.object(&args::error_of(error).json());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_CANNOT))
}

fn payload_text(payload: &dyn std::any::Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// A panic anywhere is a bug: the process ends at once, before another thread can acknowledge anything, and says so.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let message = payload_text(info.payload());
        note(format!("error: florin has a bug{place}: {message}"));
        note("  next: what was acknowledged is in the log; start again, run `florin verify`, and report this line");
        std::process::abort();
    }));
}
