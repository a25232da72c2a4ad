//! `florin`: the one binary. Reads the command line, runs one command, and turns its result into text and an exit code.
//!
//! It decides nothing about money: every command but `init`, `log`, `verify` and `probe-disk` asks a server through the
//! client library.

mod account;
mod amount;
mod args;
mod assets;
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
mod statement;
mod stats;
mod transaction;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::error::CliError;
use crate::output::Output;

fn main() -> ExitCode {
    abort_on_panic();
    let arguments = args::Arguments::parse();
    let output = Output { json: arguments.json };
    match arguments.command.run(arguments.institution, output) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&output, &error);
            ExitCode::from(error.exit)
        }
    }
}

fn report(output: &Output, error: &CliError) {
    eprintln!("error: {error}");
    output.object(&serde_json::json!({ "error": error.what, "next": error.next, "exit": error.exit }));
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
        eprintln!("error: florin has a bug{place}: {message}");
        eprintln!(
            "  next: what was acknowledged is in the log; start again, run `florin verify`, and report this line"
        );
        std::process::abort();
    }));
}
