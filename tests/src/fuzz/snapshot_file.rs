//! The two files of a snapshot: a state under the manifest that suits it, or a manifest beside a good state. What is accepted is, as
//! far as it can be said from the page, what would have been written: chunks that follow each other, and a manifest to the byte.

use std::path::PathBuf;
use std::sync::OnceLock;

use florin_core::coordinator::RoundLimits;
use florin_core::replay::Ledger;
use florin_core::snapshot::SnapshotRecord;
use florin_engine::{SnapshotFolder, SnapshotManifest};
use florin_wal::{ChainKey, KeyRing};

use super::state_file::{self, FRAME, KEY, LEDGER, chunks};
use super::{Target, Verdict, snapshot};
use crate::rng::Rng;

/// This target: a byte, then a state if it is even, else a manifest.
pub const TARGET: Target = Target { name: "snapshot_file", check, sample, repair, seeds: 16_000 };

/// Longest sample of a state, bytes.
const SAMPLE_BYTES_MAX: usize = 6_000;

/// Writes the files and reads them as recovery does.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((which, rest)) = bytes.split_first() else { return Verdict::Refused };
    match which % 2 {
        0 => check_state(rest),
        _ => check_manifest(rest),
    }
}

fn check_state(state: &[u8]) -> Verdict {
    let manifest = state_file::manifest(state);
    let folder = write(state_file::manifest_text(&manifest).as_bytes(), state);
    let read = folder.manifest(FRAME, &keys()).expect("a manifest as the page says");
    assert_eq!(read, manifest);
    let restored = folder.restore(&read, Ledger::new(2, RoundLimits::default(), 7));
    let Some(records) = records(&folder, &read) else {
        assert!(restored.is_err(), "nothing is restored of a state that cannot be read");
        return Verdict::Refused;
    };
    let mut expected = records.iter();
    let mut last = 1;
    for (number, chunk) in chunks(state).iter().enumerate() {
        assert_eq!(chunk.number as usize, number, "chunks follow each other");
        assert!(last <= chunk.section && state[chunk.at + 45..chunk.at + 48] == [0; 3], "sections come in order");
        last = chunk.section;
        for _ in 0..chunk.count {
            let record = expected.next().expect("as many records as the chunks say");
            assert_eq!(record.section() as u8, chunk.section);
        }
    }
    assert!(expected.next().is_none(), "as many records as the chunks say");
    if restored.is_ok() { Verdict::Accepted } else { Verdict::Refused }
}

fn check_manifest(text: &[u8]) -> Verdict {
    let folder = write(text, good_state());
    let Ok(manifest) = folder.manifest(FRAME, &keys()) else { return Verdict::Refused };
    let written = state_file::manifest_text(&manifest);
    assert!(*text == *written.as_bytes(), "a manifest that nobody writes");
    assert_eq!((manifest.format, manifest.ledger, manifest.frame), (1, LEDGER, FRAME));
    match records(&folder, &manifest) {
        None => Verdict::Refused,
        Some(records) => {
            let suits = state_file::manifest(good_state());
            let said = (manifest.records, manifest.bytes, &manifest.digest);
            assert_eq!(said, (suits.records, suits.bytes, &suits.digest), "a state under the manifest of another");
            assert_eq!(records.len() as u64, manifest.records);
            Verdict::Accepted
        }
    }
}

/// All records; none if the state is refused anywhere.
fn records(folder: &SnapshotFolder, manifest: &SnapshotManifest) -> Option<Vec<SnapshotRecord>> {
    let mut records = folder.records(manifest).ok()?;
    let read: Result<Vec<SnapshotRecord>, _> = records.by_ref().collect();
    assert!(read.is_ok() || records.next().is_none(), "after an error there is nothing more");
    read.ok()
}

fn keys() -> KeyRing {
    KeyRing::new(vec![ChainKey::from_secret(KEY.0, KEY.1)])
}

/// Writes the files of the only snapshot in this thread's folder.
fn write(manifest: &[u8], state: &[u8]) -> SnapshotFolder {
    thread_local! {
        static DATA: (tempfile::TempDir, PathBuf) = {
            let data = super::folder();
            let folder = data.path().join(format!("snapshots/{FRAME:020}"));
            std::fs::create_dir_all(&folder).expect("a folder");
            (data, folder)
        };
    }
    DATA.with(|(data, folder)| {
        super::write_over(&folder.join("manifest.json"), manifest);
        super::write_over(&folder.join("state"), state);
        SnapshotFolder::new(data.path(), LEDGER)
    })
}

fn good_state() -> &'static [u8] {
    static STATE: OnceLock<Vec<u8>> = OnceLock::new();
    STATE.get_or_init(|| random_state(&mut Rng::new(1)))
}

fn random_state(rng: &mut Rng) -> Vec<u8> {
    let snapshots = snapshot::snapshots();
    let mut left = SAMPLE_BYTES_MAX;
    let parts = snapshots[rng.below(snapshots.len())].parts().iter();
    let records: Vec<(u8, &[u8])> = parts
        .filter(|(_, record)| {
            let fits = record.len() <= left;
            left -= if fits { record.len() } else { 0 };
            fits
        })
        .map(|(section, record)| (*section as u8, &record[..]))
        .collect();
    state_file::state(&records, rng.pick(&[1, 3, 100]))
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![rng.below(4) as u8];
    match bytes[0] % 2 {
        0 => bytes.extend_from_slice(&random_state(rng)),
        _ => bytes.extend_from_slice(state_file::manifest_text(&state_file::manifest(good_state())).as_bytes()),
    }
    bytes
}

/// Digests of chunks, or the seal of a manifest that can be read.
fn repair(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let Some((which, rest)) = bytes.split_first_mut() else { return bytes };
    if *which % 2 == 0 {
        state_file::repair(rest, rng.chance(50));
        return bytes;
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(rest) else { return bytes };
    let Ok(manifest) = serde_json::from_value::<SnapshotManifest>(value["manifest"].clone()) else { return bytes };
    bytes.truncate(1);
    bytes.extend_from_slice(state_file::manifest_text(&manifest).as_bytes());
    bytes
}
