//! The manifest of a snapshot: of which state it is, and how its file is known again. Sealed with the ledger's key, so that nobody
//! without it can make one.

use std::path::Path;

use florin_planted::{Fault, planted};
use florin_wal::{FrameHead, KeyRing, LedgerId};
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::files::Files;

/// Name of the manifest in the folder of a snapshot.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// Version of the format of manifest and state. Another one is refused.
pub(super) const FORMAT: u32 = 1;
/// Longest manifest, in bytes: a longer file is none.
const MANIFEST_BYTES_MAX: u64 = 4096;

/// What is said of a snapshot. Numbers are decimal, bytes lower-case hex digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotManifest {
    /// Version of the format.
    pub format: u32,
    /// The ledger.
    pub ledger: LedgerId,
    /// Ordinal of the sealed segment at whose end the state is.
    pub segment: u64,
    /// Last frame.
    pub frame: u64,
    /// Last sequence number.
    pub sequence: u64,
    /// Booked-at of the last row, nanoseconds since 1970-01-01 UTC.
    pub booked_at_ns: u64,
    /// Chain MAC of the last frame.
    pub head: String,
    /// Accounts in the state.
    pub accounts: u64,
    /// Records in the state, accounts and all others.
    pub records: u64,
    /// Bytes of the file with the state.
    pub bytes: u64,
    /// BLAKE3 of the digests of the file's chunks.
    pub digest: String,
}

/// The file: the manifest with its seal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    manifest: SnapshotManifest,
    key: u32,
    /// HMAC-SHA256 of the manifest as JSON without spaces, its fields in order.
    mac: String,
}

impl SnapshotManifest {
    /// Whether the state is that after this frame.
    pub(crate) fn is_of(&self, frame: &FrameHead) -> bool {
        let last = frame.next_sequence() - 1;
        (self.frame, self.sequence, &self.head) == (frame.number, last, &hex(&frame.mac))
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts become JSON")
    }

    /// Reads the manifest in a folder and checks that it is this ledger's and for this position.
    pub(super) fn load(
        files: &dyn Files,
        folder: &Path,
        ledger: LedgerId,
        frame: u64,
        keys: &KeyRing,
    ) -> Result<SnapshotManifest, SnapshotError> {
        let file = folder.join(MANIFEST_FILE);
        let opened = files.open(&file).map_err(SnapshotError::io(&file))?;
        let length = opened.length().map_err(SnapshotError::io(&file))?;
        let wrong = |reason: String| SnapshotError::Damaged { file: file.clone(), offset: 0, reason };
        if length > MANIFEST_BYTES_MAX {
            return Err(wrong("it is too long for a manifest".into()));
        }
        let mut text = vec![0; length as usize];
        opened.read_at(&mut text, 0).map_err(SnapshotError::io(&file))?;
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if sealed.text() != text {
            return Err(wrong("it is not written as manifests are".into()));
        }
        let Sealed { manifest, key, mac } = sealed;
        let mac = from_hex(&mac).ok_or_else(|| wrong("its MAC is not 64 hex digits".into()))?;
        if !keys.is_sealed(key, &manifest.bytes(), &mac) {
            return Err(wrong("its MAC does not match: it was changed, or is sealed with another key".into()));
        }
        if manifest.format != FORMAT {
            return Err(wrong(format!("format {} is not known", manifest.format)));
        }
        if manifest.ledger != ledger || manifest.frame != frame {
            return Err(wrong("it is another ledger's, or of another position".into()));
        }
        Ok(manifest)
    }

    /// Writes the manifest into a folder under another name, makes it durable, and renames it. The folder is to be synced.
    pub(super) fn write(&self, files: &dyn Files, folder: &Path, keys: &KeyRing) -> Result<(), SnapshotError> {
        let (key, mac) = keys.seal(&self.bytes());
        let sealed = Sealed { manifest: self.clone(), key, mac: hex(&mac) };
        let (file, new) = (folder.join(MANIFEST_FILE), folder.join("manifest.json.new"));
        let mut written = files.create(&new).map_err(SnapshotError::io(&new))?;
        written.write_all(&sealed.text()).map_err(SnapshotError::io(&new))?;
        if !planted(Fault::ManifestNotSynced) {
            written.sync_all().map_err(SnapshotError::io(&new))?;
        }
        files.rename(&new, &file).map_err(SnapshotError::io(&file))
    }
}

impl Sealed {
    /// The file to the byte.
    fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("numbers and texts become JSON");
        text.push(b'\n');
        text
    }
}

/// Bytes as lower-case hex digits.
pub(super) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits =
        Some(text).filter(|text| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))?;
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
