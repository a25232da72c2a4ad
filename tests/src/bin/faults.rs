//! Real faults on the real binary:
//! `cargo run -p florin-tests --release --bin faults -- <kill|strace|tmpfs|power-cut|all> [--rounds N] [--seed S]`, after
//! `cargo build --release -p florin` and, in a build of its own, `cargo build --release -p florin-tests`.

use std::process::ExitCode;

use florin_tests::faults::campaign::{Kind, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((kinds, rounds, seed)) = parse(&arguments) else {
        eprintln!("usage: faults <kill|strace|tmpfs|power-cut|all> [--rounds N] [--seed S]");
        return ExitCode::FAILURE;
    };
    // Next to the binaries: /tmp may be a file system that lacks what a ledger wants.
    let here = std::env::current_exe().expect("a program knows where it is");
    let base = here.parent().expect("a program lies in a folder");
    let (mut passed, mut failed) = (0, 0);
    for kind in kinds {
        let report = run(kind, seed, rounds.unwrap_or(kind.rounds()), base);
        println!("{report}\n");
        passed += report.passed;
        failed += report.failed;
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Kinds, rounds of each, first seed.
fn parse(arguments: &[String]) -> Option<(Vec<Kind>, Option<u64>, u64)> {
    let (kind, options) = arguments.split_first()?;
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|k| kind == "all" || kind == k.name()).collect();
    let (mut rounds, mut seed) = (None, 1);
    for pair in options.chunks(2) {
        match pair {
            [flag, number] if flag == "--rounds" => rounds = Some(number.parse().ok()?),
            [flag, number] if flag == "--seed" => seed = number.parse().ok()?,
            _ => return None,
        }
    }
    (!kinds.is_empty()).then_some((kinds, rounds, seed))
}
