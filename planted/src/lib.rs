//! Deliberate faults for the tests of the tests: each is one line in the code that it breaks, and each has to be caught by
//! the family of tests that is meant for it (`tests/tests/planted.rs`).
//!
//! Without the feature `planted`, which only florin-tests turns on, [`planted`] is a constant `false`: the hooks are compiled
//! away, and nothing in the binary can bring them back. With it a process has at most one fault, named by [`VARIABLE`] when it
//! is asked for the first time. `docs/decisions/0012-planted-faults.md`.
#![forbid(unsafe_code)]

/// Declares the faults, so that their names are written once.
macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What can be planted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];
        }
    };
}

faults! {
    // The log.
    /// Frames are acknowledged before the write and sync of their group.
    AckBeforeSync,
    /// A group is written and not synced.
    GroupNotSynced,
    /// A sync that failed is tried again.
    SyncTriedAgain,
    /// The log is cut at the first bad group, whatever says that it was durable.
    EvidenceIgnored,
    /// The watermark is written before the group that it speaks of.
    MarkBeforeSync,
    /// The checksum of a group's body is not compared.
    GroupChecksumIgnored,
    /// The chain MAC is not compared.
    ChainMacIgnored,
    /// Checksums of groups are not seeded with the segment's salt.
    SaltIgnored,
    /// A start writes no opening group.
    OpeningGroupMissing,
    /// A torn tail is left where it is.
    TornTailLeft,
    /// What a start recovered is not synced before it is served.
    RecoveredNotSynced,
    /// Raw segments are removed before the name of their pack is durable.
    RawRemovedEarly,
    /// A pack is written wrong and not read back.
    PackNotReadBack,
    /// The digest of a pack's header is not compared.
    PackDigestIgnored,

    // The rules.
    /// A vote in doubt is taken for a yes.
    DoubtTakenForYes,
    /// Votes look at the best that a balance can be instead of the worst.
    VoteAtBest,
    /// What is in doubt is promised as if it were certain.
    DoubtPromisedAsCertain,
    /// Promises on postings are not taken back when their round is finished.
    PromiseNotTakenBack,
    /// A refused hold stays in the directory.
    RefusedHoldStays,
    /// A refused transfer makes a version of its debit account.
    RefusedMakesVersion,
    /// Nobody looks at a hold's expiry when it is captured or increased.
    ExpiryIgnored,
    /// What was reversed before is forgotten with each reversal.
    ReversalsNotAddedUp,
    /// Credits lose all but their low 32 bits.
    CreditWraps,
    /// The fifth entry of an account skips a version.
    VersionSkipped,
    /// An entry names itself as the previous one.
    PreviousEntryIsItself,
    /// A round is booked at the clock's time, be it before the last row's.
    ClockBelieved,
    /// The coordinator takes one frame more for durable than is.
    DurableTooFar,
    /// An answer waits for no frame.
    AnswerWaitsForNothing,

    // Ids, repeats, replay, snapshots.
    /// A run does not get some of the ids of the rows that it covers.
    IdForgottenByRun,
    /// The filter of a run misses some of its ids.
    FilterMissesId,
    /// A repeat with other fields is answered with the first result.
    RepeatNotCompared,
    /// A snapshot is made without holds that were placed since the one before.
    SnapshotWithoutHolds,
    /// Replay takes frames in any order.
    FrameOrderIgnored,
    /// A reserved field of a row's voucher is not looked at.
    ReservedIgnored,

    // The engine.
    /// A snapshot's state is not synced before its manifest is published.
    SnapshotNotSynced,
    /// A snapshot's manifest is not synced before it gets its name.
    ManifestNotSynced,
    /// The names of a snapshot that is published are not synced.
    SnapshotFolderNotSynced,
    /// Older snapshots are removed before the newer one is published.
    OlderRemovedFirst,
    /// A run of ids is not synced before it gets its name.
    RunNotSynced,
    /// Snapshots and runs that a start found are not made durable before anything builds on them.
    FoundNotSynced,
    /// Replies leave before their frame is durable.
    ReplyBeforeDurable,

    // The server.
    /// The checksum of a payload is not compared.
    PayloadChecksumIgnored,
    /// Requests that were handed over together are all answered under the number of the first.
    AnswersMixedUp,
    /// Permits are given back twice.
    PermitsGivenBackTwice,
}

/// The variable that names the fault of a process.
#[cfg(feature = "planted")]
pub const VARIABLE: &str = "FLORIN_PLANTED";

/// Whether this process has the fault.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Fault) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use switch::planted;

#[cfg(feature = "planted")]
mod switch {
    use super::{Fault, VARIABLE};
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    /// No fault in this process.
    const NONE: u8 = u8::MAX;
    /// Nobody has asked yet.
    const UNKNOWN: u8 = u8::MAX - 1;

    /// The fault of this process. Set once.
    static ACTIVE: AtomicU8 = AtomicU8::new(UNKNOWN);

    /// Whether this process has the fault.
    #[inline]
    pub fn planted(fault: Fault) -> bool {
        match ACTIVE.load(Relaxed) {
            NONE => false,
            UNKNOWN => read() == fault as u8,
            active => active == fault as u8,
        }
    }

    #[cold]
    fn read() -> u8 {
        let active = match std::env::var_os(VARIABLE) {
            None => NONE,
            Some(name) => {
                let fault = Fault::ALL.iter().find(|fault| name == *format!("{fault:?}"));
                let fault = fault.unwrap_or_else(|| panic!("{VARIABLE} names no fault: {name:?}"));
                *fault as u8
            }
        };
        ACTIVE.store(active, Relaxed);
        active
    }
}
