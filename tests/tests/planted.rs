//! Faults are planted one at a time, each in a process of its own, and the family of tests that is meant for it has to fail
//! with its own verdict, within the seeds of its short version. Without a fault each family passes. What catches what is this
//! table.

use std::process::Output;

use florin_planted::{Fault, VARIABLE};
use florin_tests::faults::server::DEADLINE;
use florin_tests::fuzz::target;
use tokio::process::Command;
use tokio::time::timeout;

/// A family of tests, as its campaign runs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Family {
    Simulator,
    CrashExplorer,
    Derived,
    Damage,
    ChangedFrames,
    /// The fuzz target of this name.
    Fuzzing(&'static str),
    Kills,
    FailedCalls,
    PowerCuts,
}

/// A fault, what has to catch it, within how many seeds or rounds, and words of the verdict; several where the moment decides which
/// of them comes first.
struct Case(Fault, Family, u64, &'static [&'static str]);

use Family::*;

const CASES: &[Case] = &[
    Case(Fault::AckBeforeSync, CrashExplorer, 1, &["acknowledged, "]),
    Case(Fault::GroupNotSynced, CrashExplorer, 2, &["an honest crash is refused"]),
    Case(Fault::SyncTriedAgain, FailedCalls, 10, &["the server goes on"]),
    Case(Fault::EvidenceIgnored, Damage, 2, &["the oracle says Refused"]),
    Case(Fault::MarkBeforeSync, CrashExplorer, 1, &["an honest crash is refused"]),
    Case(Fault::GroupChecksumIgnored, Damage, 2, &["the oracle says Starts"]),
    Case(Fault::ChainMacIgnored, Damage, 2, &["a forged frame was believed"]),
    Case(Fault::SaltIgnored, Damage, 60, &["put a stale group back"]),
    Case(Fault::OpeningGroupMissing, Damage, 20, &["a start had served frames"]),
    Case(Fault::TornTailLeft, CrashExplorer, 4, &["the tail was cleared"]),
    Case(Fault::RecoveredNotSynced, CrashExplorer, 2, &["an honest crash is refused"]),
    Case(Fault::RawRemovedEarly, CrashExplorer, 2, &["an honest crash is refused"]),
    Case(Fault::PackNotReadBack, CrashExplorer, 2, &["an honest crash is refused", "after an end in order"]),
    Case(Fault::PackDigestIgnored, Fuzzing("pack"), 500, &["a pack that no packer writes"]),
    Case(Fault::DoubtTakenForYes, Simulator, 20, &["I2: "]),
    Case(Fault::VoteAtBest, Simulator, 20, &["I9: "]),
    Case(Fault::DoubtPromisedAsCertain, Simulator, 20, &["I3: "]),
    // The shard's own assert, which stays on in release builds, is what sees it first.
    Case(Fault::PromiseNotTakenBack, Simulator, 20, &["a promise outlived its round"]),
    Case(Fault::RefusedHoldStays, Simulator, 20, &["I8: "]),
    Case(Fault::RefusedMakesVersion, Simulator, 20, &["I8: "]),
    Case(Fault::ExpiryIgnored, Simulator, 20, &["it comes after the hold's expiry"]),
    Case(Fault::ReversalsNotAddedUp, Simulator, 40, &["what is left follows from the row before"]),
    Case(Fault::CreditWraps, Simulator, 20, &["I1: "]),
    Case(Fault::VersionSkipped, Simulator, 20, &["versions have no gap"]),
    Case(Fault::PreviousEntryIsItself, Simulator, 20, &["the link to the previous entry"]),
    Case(Fault::ClockBelieved, Simulator, 20, &["is not booked after the one before"]),
    Case(Fault::DurableTooFar, Simulator, 20, &["I4: "]),
    Case(Fault::AnswerWaitsForNothing, Simulator, 20, &["I5: "]),
    Case(Fault::IdForgottenByRun, Simulator, 20, &["I6: "]),
    Case(Fault::FilterMissesId, Simulator, 20, &["I6: "]),
    Case(Fault::RepeatNotCompared, Simulator, 20, &["I9: "]),
    Case(Fault::SnapshotWithoutHolds, Simulator, 20, &["I7: "]),
    Case(Fault::FrameOrderIgnored, ChangedFrames, 10, &["a changed log was accepted and does not add up"]),
    Case(Fault::ReservedIgnored, Fuzzing("frame"), 400_000, &["assertion `left == right` failed: row "]),
    Case(Fault::SnapshotNotSynced, PowerCuts, 20, &["every one that was published is good"]),
    Case(Fault::ManifestNotSynced, Derived, 1, &["an honest snapshot is refused"]),
    Case(Fault::SnapshotFolderNotSynced, Derived, 1, &["a snapshot that was published is lost"]),
    Case(Fault::OlderRemovedFirst, Derived, 1, &["a snapshot that was published is lost"]),
    Case(Fault::RunNotSynced, Derived, 1, &["an honest run of ids is refused", "ids are in no run that can be read"]),
    Case(Fault::FoundNotSynced, Derived, 2, &["that was published is lost", "that were there are lost"]),
    Case(Fault::ReplyBeforeDurable, Kills, 20, &["what was in the log is gone", "what was answered is not there"]),
    Case(Fault::PayloadChecksumIgnored, Fuzzing("connection"), 100, &["assertion `left == right` failed"]),
    Case(Fault::AnswersMixedUp, Fuzzing("connection"), 300, &["assertion `left == right` failed"]),
    Case(Fault::PermitsGivenBackTwice, Fuzzing("connection"), 40, &["permits are missing or too many"]),
];

/// What a second family has to catch as well.
const ALSO: &[Case] = &[Case(Fault::SnapshotNotSynced, Derived, 1, &["an honest snapshot is refused"])];

impl Family {
    const ALL: [Family; 11] = [
        Simulator,
        CrashExplorer,
        Derived,
        Damage,
        ChangedFrames,
        Fuzzing("frame"),
        Fuzzing("pack"),
        Fuzzing("connection"),
        Kills,
        FailedCalls,
        PowerCuts,
    ];

    /// Seeds or rounds of its short version, which runs with every run of the tests.
    fn short(self) -> u64 {
        match self {
            Simulator => 2_000,
            CrashExplorer => 8,
            Derived => 6,
            Damage => 60,
            ChangedFrames => 100,
            Fuzzing(name) => target(name).expect("a target").seeds,
            Kills => 50,
            FailedCalls => 40,
            PowerCuts => 20,
        }
    }

    /// Seeds or rounds of a run without a fault: its short version is a test of its own.
    fn sound(self) -> u64 {
        match self {
            Simulator => 40,
            CrashExplorer | Derived => 1,
            Fuzzing(_) => self.short() / 20,
            Damage | ChangedFrames | Kills | FailedCalls | PowerCuts => 10,
        }
    }

    fn command(self, budget: u64) -> Command {
        let seeds = format!("0..{budget}");
        let rounds = budget.to_string();
        let (binary, arguments) = match self {
            Simulator => (env!("CARGO_BIN_EXE_sim"), ["--seeds", &seeds].to_vec()),
            CrashExplorer => (env!("CARGO_BIN_EXE_crashes"), ["--seeds", &seeds].to_vec()),
            Derived => (env!("CARGO_BIN_EXE_derived"), ["--seeds", &seeds].to_vec()),
            Damage => (env!("CARGO_BIN_EXE_damage"), ["--seeds", &seeds].to_vec()),
            ChangedFrames => (env!("CARGO_BIN_EXE_mutations"), ["--seeds", &seeds].to_vec()),
            Fuzzing(name) => (env!("CARGO_BIN_EXE_fuzz"), ["--target", name, "--seeds", &seeds].to_vec()),
            Kills => (env!("CARGO_BIN_EXE_faults"), ["kill", "--rounds", &rounds].to_vec()),
            FailedCalls => (env!("CARGO_BIN_EXE_faults"), ["strace", "--rounds", &rounds].to_vec()),
            PowerCuts => (env!("CARGO_BIN_EXE_faults"), ["power-cut", "--rounds", &rounds].to_vec()),
        };
        let mut command = Command::new(binary);
        command.args(arguments).env_remove("RUST_BACKTRACE").kill_on_drop(true);
        command
    }
}

/// What a family said of a fault, or of none.
struct Run {
    passed: bool,
    /// Why this machine cannot run it.
    skipped: Option<String>,
    /// What its panics said.
    findings: Vec<String>,
}

async fn run(family: Family, budget: u64, fault: Option<Fault>) -> Run {
    let mut command = family.command(budget);
    match fault {
        Some(fault) => command.env(VARIABLE, format!("{fault:?}")),
        None => command.env_remove(VARIABLE),
    };
    let output = timeout(DEADLINE, command.output()).await;
    let Output { status, stdout, stderr } =
        output.unwrap_or_else(|_| panic!("{family:?} with {fault:?} hangs")).expect("a family runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.code().is_some(), "{family:?} with {fault:?}: {status}\n{stderr}");
    let skipped = stdout.lines().find(|line| line.contains("SKIPPED") && stdout.contains("\n0 passed"));
    // A message begins behind the line that says where, and ends where another thread's or the repeat's begins.
    let panics = stderr.split("panicked at ").skip(1);
    let findings = panics.map(|panic| panic.lines().skip(1).take(4).collect::<Vec<_>>().join(" ")).collect();
    Run { passed: status.success(), skipped: skipped.map(str::to_string), findings }
}

#[tokio::test]
async fn every_planted_fault_is_caught_by_the_family_that_is_meant_for_it() {
    assert!(CASES.iter().map(|Case(fault, ..)| fault).eq(Fault::ALL), "each fault once, in their order");
    for invariant in 1..=9 {
        let name = format!("I{invariant}: ");
        assert!(CASES.iter().any(|Case(.., verdict)| *verdict == [name.as_str()]), "no fault is caught by {name}");
    }
    let (mut planted, mut caught, mut missed) = (0, 0, vec![]);
    for Case(fault, family, budget, verdict) in CASES.iter().chain(ALSO) {
        assert!(*budget <= family.short(), "{fault:?} is caught by what runs with every run of the tests");
        let run = run(*family, *budget, Some(*fault)).await;
        if let Some(why) = run.skipped.filter(|_| run.passed) {
            println!("{fault:?} SKIPPED: {why}");
            continue;
        }
        planted += 1;
        let verdicts =
            run.findings.iter().filter(|finding| verdict.iter().any(|words| finding.contains(words))).count();
        if !run.passed && verdicts > 0 {
            caught += 1;
            println!(
                "{fault:?}: {family:?} within {budget}, {verdicts} of {} findings: {verdict:?}",
                run.findings.len()
            );
        } else {
            missed.push(format!("{fault:?} by {family:?} within {budget}: {verdict:?} is none of {:?}", run.findings));
        }
    }
    println!("{planted} planted, {caught} caught");
    assert!(
        missed.is_empty(),
        "not caught (a server without the hooks is built by `cargo build -p florin`; test the whole \
        workspace):\n{}",
        missed.join("\n")
    );
}

#[tokio::test]
async fn without_a_fault_each_family_passes() {
    for family in Family::ALL {
        let run = run(family, family.sound(), None).await;
        assert!(run.passed, "{family:?}: {:?}", run.findings);
        println!("{family:?}: {}", run.skipped.as_deref().unwrap_or("passes"));
    }
}

/// What `cargo build` makes has the crate of the hooks and not its feature: each hook is a constant there.
#[tokio::test]
async fn only_the_tests_own_build_has_the_switch() {
    for (package, has_switch) in [("florin", false), ("florin-tests", true)] {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--offline", "--edges", "normal,features", "--prefix", "none", "--package", package]);
        let output =
            tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().await.expect("cargo tells what it would build");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(
            tree.contains("florin-planted v"),
            "{package} has no hooks: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(tree.contains("florin-planted feature \"planted\""), has_switch, "{package}:\n{tree}");
    }
}
