//! Books of one kind, one after the other, until the rounds are done; what failed is named with how to repeat it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use super::tally::Tally;
use super::tmpfs::Tmpfs;
use super::{kill, machine, power_cut, strace};

/// What is done to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SIGKILL under load.
    Kill,
    /// Failing system calls.
    Strace,
    /// A disk that fills up.
    Tmpfs,
    /// Power cuts.
    PowerCut,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Kill, Kind::Strace, Kind::Tmpfs, Kind::PowerCut];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Strace => "strace",
            Kind::Tmpfs => "tmpfs",
            Kind::PowerCut => "power-cut",
        }
    }

    /// Rounds of a release.
    pub fn rounds(self) -> u64 {
        match self {
            Kind::Kill => 500,
            Kind::Strace => 2_000,
            Kind::Tmpfs => 50,
            Kind::PowerCut => 200,
        }
    }

    /// Rounds of a book: every one reads the whole log, so a book must not become long.
    fn rounds_of_a_book(self) -> u64 {
        match self {
            Kind::Kill => 50,
            Kind::Strace => 48,
            Kind::Tmpfs => 5,
            Kind::PowerCut => 25,
        }
    }

    /// Why this machine cannot do it, if it cannot.
    fn lacks(self, folder: &Path) -> Result<(), String> {
        match self {
            Kind::Kill => Ok(()),
            Kind::Strace => machine::strace(),
            Kind::Tmpfs => Tmpfs::mount(folder).map(|_| ()),
            Kind::PowerCut => power_cut::Disk::try_it(folder),
        }
    }

    async fn book(self, folder: &Path, seed: u64, rounds: u64, tally: &Tally) {
        match self {
            Kind::Kill => kill::book(folder, seed, rounds, tally).await,
            Kind::Strace => strace::book(folder, seed, rounds, tally).await,
            Kind::Tmpfs => super::tmpfs::book(folder, seed, rounds, tally).await,
            Kind::PowerCut => power_cut::book(folder, seed, rounds, tally).await,
        }
    }
}

/// How a run went.
pub struct Report {
    kind: Kind,
    seed: u64,
    /// Rounds that went well.
    pub passed: u64,
    /// Books that did not.
    pub failed: u64,
    /// Rounds that were not run, and why.
    pub skipped: (u64, String),
    /// What was done.
    pub tally: Tally,
    seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} from seed {}, {:.1} s:\n{}", self.kind.name(), self.seed, self.seconds, self.tally)?;
        let (skipped, why) = &self.skipped;
        if *skipped > 0 {
            writeln!(f, "{skipped} rounds of {} SKIPPED: {why}", self.kind.name())?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs so many rounds, in folders of `base`. A book that fails is left, and the next one begun.
pub fn run(kind: Kind, seed: u64, rounds: u64, base: &Path) -> Report {
    let tally = Tally::default();
    let mut report = Report { kind, seed, passed: 0, failed: 0, skipped: (0, String::new()), tally, seconds: 0.0 };
    let begun = Instant::now();
    let folder = tempfile::tempdir_in(base).expect("a folder");
    if let Err(why) = kind.lacks(folder.path()) {
        report.skipped = (rounds, why);
        return report;
    }
    drop(folder);
    let (mut done, mut seed) = (0, seed);
    while done < rounds {
        let of_book = kind.rounds_of_a_book().min(rounds - done);
        let folder = tempfile::tempdir_in(base).expect("a folder");
        let before = report.tally.count("rounds");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let book = kind.book(folder.path(), seed, of_book, &report.tally);
        // The books' panics are their findings.
        let went = catch_unwind(AssertUnwindSafe(|| runtime.block_on(book)));
        let passed = report.tally.count("rounds") - before;
        report.passed += passed;
        println!("{} seed {seed}: {passed} of {of_book} rounds", kind.name());
        if went.is_err() {
            report.failed += 1;
            report.skipped.0 += (of_book - passed).saturating_sub(1);
            report.skipped.1 = "they came after a failed one in its book".into();
            let name = kind.name();
            eprintln!("{name} seed {seed} FAILED in round {}", passed + 1);
            // Why a planted fault is found is known.
            if std::env::var_os(florin_planted::VARIABLE).is_none() {
                eprintln!("its files are kept in {}", folder.keep().display());
            }
            eprintln!("to repeat it: faults {name} --seed {seed} --rounds {of_book}");
        }
        done += of_book;
        report.seconds = begun.elapsed().as_secs_f64();
        seed += 1;
    }
    report
}
