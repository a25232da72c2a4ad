//! The files of a snapshot, written from docs/format-snapshot.md alone.

use florin_engine::SnapshotManifest;
use florin_wal::LedgerId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{put, u32_at};

const HEAD: usize = 48;
/// The ledger of all samples.
pub const LEDGER: LedgerId = LedgerId([0x1e; 16]);
/// Id and secret of the chain key.
pub const KEY: (u32, [u8; 32]) = (3, [0x0c; 32]);
/// Last frame of the snapshot.
pub const FRAME: u64 = 70;

/// A chunk of a state as its head describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Where it begins.
    pub at: usize,
    /// Where its body ends, at most where the file does.
    pub end: usize,
    /// Number that it says it has.
    pub number: u32,
    /// Records that it says it holds.
    pub count: u32,
    /// Section.
    pub section: u8,
}

/// The chunks of a file, as far as their lengths lead.
pub fn chunks(state: &[u8]) -> Vec<Chunk> {
    let (mut chunks, mut at) = (Vec::new(), 0);
    while at + HEAD <= state.len() {
        let [number, count, length] = [32, 36, 40].map(|field| u32_at(state, at + field).expect("within the head"));
        let end = (at + HEAD).saturating_add(length as usize).min(state.len());
        chunks.push(Chunk { at, end, number, count, section: state[at + 44] });
        at = end;
    }
    chunks
}

/// Chunks with these records, at most so many in each.
pub fn state(records: &[(u8, &[u8])], most: usize) -> Vec<u8> {
    let mut state = Vec::new();
    let mut number = 0u32;
    for of_section in records.chunk_by(|one, other| one.0 == other.0) {
        for part in of_section.chunks(most) {
            let body = part.iter().flat_map(|(_, record)| record.iter().copied());
            let at = state.len();
            state.resize(at + HEAD, 0);
            state.extend(body);
            let length = (state.len() - at - HEAD) as u32;
            for (field, value) in [(32, number), (36, part.len() as u32), (40, length)] {
                put(&mut state, at + field, &value.to_le_bytes());
            }
            state[at + 44] = part[0].0;
            seal(&mut state, at);
            number += 1;
        }
    }
    state
}

/// Makes the digest of the chunk that ends the file right.
fn seal(state: &mut [u8], at: usize) {
    let digest = blake3::hash(&state[at + 32..]);
    put(state, at, digest.as_bytes());
}

/// Makes the digests of all chunks right again.
pub fn repair(state: &mut [u8], numbers: bool) {
    for (number, chunk) in chunks(state).into_iter().enumerate() {
        if numbers {
            put(state, chunk.at + 32, &(number as u32).to_le_bytes());
        }
        seal(&mut state[..chunk.end], chunk.at);
    }
}

/// A manifest that suits a state.
pub fn manifest(state: &[u8]) -> SnapshotManifest {
    let chunks = chunks(state);
    let count = |counts: &dyn Fn(&Chunk) -> bool| chunks.iter().filter(|c| counts(c)).map(|c| u64::from(c.count)).sum();
    let mut digests = blake3::Hasher::new();
    for chunk in &chunks {
        digests.update(&state[chunk.at..chunk.at + 32]);
    }
    SnapshotManifest {
        format: 1,
        ledger: LEDGER,
        segment: 2,
        frame: FRAME,
        sequence: 900_000,
        booked_at_ns: 1_700_000_000_000_000_000,
        head: hex(&[7; 32]),
        accounts: count(&|chunk| chunk.section == 3),
        records: count(&|_| true),
        bytes: state.len() as u64,
        digest: hex(digests.finalize().as_bytes()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Members and values of a manifest, in the order of the page.
fn members(m: &SnapshotManifest) -> [(&'static str, String); 11] {
    let text = |text: &str| serde_json::to_string(text).expect("a text");
    [
        ("format", m.format.to_string()),
        ("ledger", text(&m.ledger.to_string())),
        ("segment", m.segment.to_string()),
        ("frame", m.frame.to_string()),
        ("sequence", m.sequence.to_string()),
        ("booked_at_ns", m.booked_at_ns.to_string()),
        ("head", text(&m.head)),
        ("accounts", m.accounts.to_string()),
        ("records", m.records.to_string()),
        ("bytes", m.bytes.to_string()),
        ("digest", text(&m.digest)),
    ]
}

/// The file with a manifest, sealed.
pub fn manifest_text(manifest: &SnapshotManifest) -> String {
    let members = members(manifest);
    let plain: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY.1).expect("HMAC takes any key length");
    mac.update(b"florin: derived from the log, v1");
    mac.update(format!("{{{}}}", plain.join(",")).as_bytes());
    let mac = hex(&mac.finalize().into_bytes());
    let lines: Vec<String> = members.iter().map(|(name, value)| format!("    \"{name}\": {value}")).collect();
    format!("{{\n  \"manifest\": {{\n{}\n  }},\n  \"key\": {},\n  \"mac\": \"{mac}\"\n}}\n", lines.join(",\n"), KEY.0)
}
