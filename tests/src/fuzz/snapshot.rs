//! Records of a snapshot, from bytes into a ledger. A record that is decoded says the same once it is encoded again; what a ledger
//! takes over is what it then holds.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use florin_core::account::AccountKey;
use florin_core::coordinator::RoundLimits;
use florin_core::replay::Ledger;
use florin_core::snapshot::{Section, SnapshotRecord, decode};
use florin_core::state_hash::{LogPosition, state_hash};

use super::{Target, Verdict};
use crate::rng::Rng;
use crate::sim::invariants::i7_same_state::{holds, states};
use crate::sim::snapshots::Snapshot;
use crate::sim::{self, SHARDS};

/// This target: records, each with its section in front (1 byte).
pub const TARGET: Target = Target { name: "snapshot", check, sample, repair, seeds: 30_000 };

/// Simulated ledgers that snapshots are taken of.
const LEDGERS: u64 = 16;
/// Longest sample, bytes.
const SAMPLE_BYTES_MAX: usize = 8_000;

/// Decodes the records and restores them.
pub fn check(bytes: &[u8]) -> Verdict {
    let shards = SHARDS[bytes.len() % SHARDS.len()];
    let mut ledger = Ledger::new(shards, RoundLimits::default(), 7);
    let mut taken = Vec::new();
    let mut rest = bytes;
    while let Some((section, after)) = rest.split_first() {
        let Some(section) = Section::from_byte(*section) else { return Verdict::Refused };
        rest = after;
        let Ok(record) = decode(section, &mut rest) else { return Verdict::Refused };
        check_encoding(section, &record, &after[..after.len() - rest.len()]);
        if ledger.restore(record.clone()).is_err() {
            return Verdict::Refused;
        }
        taken.push(record);
    }
    ledger.restored(&LogPosition { last_round: 1, last_sequence: u64::MAX >> 1, last_booked_at: 1 });
    check_ledger(&ledger, &taken);
    Verdict::Accepted
}

/// What was decoded from these bytes is encoded to the same ones.
fn check_encoding(section: Section, record: &SnapshotRecord, bytes: &[u8]) {
    assert_eq!(record.section(), section);
    let mut encoded = Vec::new();
    record.encode(&mut encoded);
    let expected = if section == Section::Accounts { without_empty_parts(bytes) } else { bytes.to_vec() };
    assert_eq!(encoded, expected, "{record:?}");
}

/// An account as it is written: a part that is there and says nothing, such as owner 0, is read but left out.
fn without_empty_parts(bytes: &[u8]) -> Vec<u8> {
    const HEAD: usize = 80;
    const PARTS_AT: usize = 72;
    let (mut head, mut rest) = (bytes[..HEAD].to_vec(), &bytes[HEAD..]);
    let mut kept = Vec::new();
    // Owner, subject, floor, ceiling, alarm level, what is held; of these the limits mean something when they are 0.
    for (bit, length, may_be_zero) in
        [(1, 16, false), (2, 4, false), (4, 16, true), (8, 16, true), (16, 16, true), (32, 32, false)]
    {
        if head[PARTS_AT] & bit == 0 {
            continue;
        }
        let (part, after) = rest.split_at(length);
        rest = after;
        match may_be_zero || part.iter().any(|byte| *byte != 0) {
            true => kept.extend_from_slice(part),
            false => head[PARTS_AT] &= !bit,
        }
    }
    [&head[..], &kept, rest].concat()
}

/// The ledger holds the records that it took, and no others.
fn check_ledger(ledger: &Ledger, taken: &[SnapshotRecord]) {
    let (mut accounts, mut open) = (BTreeMap::new(), BTreeMap::new());
    for record in taken {
        match record {
            SnapshotRecord::Account(state) => {
                let key = AccountKey { institution: state.record.institution, account: state.record.account };
                accounts.insert(key, (**state).clone());
            }
            SnapshotRecord::Hold(hold) => drop(open.insert(hold.sequence, hold.clone())),
            SnapshotRecord::Institution { number, name, open_day } => {
                let mut institutions = ledger.coordinator.institutions().iter();
                let (_, institution) = institutions.find(|(known, _)| known == number).expect("it was restored");
                assert_eq!((&*institution.name, institution.open_day), (name.as_str(), *open_day));
            }
            SnapshotRecord::Asset(asset) => {
                assert!(ledger.coordinator.assets().iter().any(|known| known == asset), "{asset:?} was restored");
            }
            SnapshotRecord::Named(_) => {}
        }
    }
    assert!(states(ledger).into_iter().eq(accounts), "the accounts are those of the snapshot");
    assert_eq!(holds(ledger), open, "the holds are those of the snapshot");
    state_hash(ledger);
}

/// Snapshots of simulated ledgers.
pub(super) fn snapshots() -> &'static [Snapshot] {
    static SNAPSHOTS: OnceLock<Vec<Snapshot>> = OnceLock::new();
    SNAPSHOTS.get_or_init(|| {
        let logs = (0..LEDGERS).map(|seed| sim::record(seed, 1)).filter(|log| !log.has_heaves());
        logs.map(|log| Snapshot::default().next(&log, log.frames.len())).collect()
    })
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let snapshots = snapshots();
    let mut bytes = Vec::new();
    for (section, record) in snapshots[rng.below(snapshots.len())].parts() {
        if bytes.len() + record.len() < SAMPLE_BYTES_MAX {
            bytes.push(*section as u8);
            bytes.extend_from_slice(record);
        }
    }
    bytes
}

/// Records have no checksums; their file has.
fn repair(bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    bytes
}
