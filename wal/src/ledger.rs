//! Which ledger a directory holds: its id and `ledger.json`. The manifest is written once, last of all files of a new
//! ledger, so a directory without it never was a ledger.

use crate::error::ManifestError;
use crate::limits::{BLOCK_BYTES, FORMAT_VERSION, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// Name of the manifest in the data directory.
pub(crate) const MANIFEST_FILE: &str = "ledger.json";

/// A random 128-bit name of a ledger; in text 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerId(pub [u8; 16]);

impl LedgerId {
    /// A fresh id from the system's random source.
    pub fn random() -> std::io::Result<LedgerId> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(LedgerId(bytes))
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerId({self})")
    }
}

impl Serialize for LedgerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LedgerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LedgerId, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_hex(&text).map(LedgerId).ok_or_else(|| serde::de::Error::custom("a ledger id is 32 hex digits"))
    }
}

/// Exactly `2 N` hex digits as bytes.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

/// What a new ledger is made with.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// Bytes of each segment: 64 KiB to 256 MiB, a multiple of 4 KiB.
    pub segment_bytes: u64,
    /// When the ledger is made, in nanoseconds since 1970, UTC. An argument, so that nothing here reads a clock.
    pub created_unix_ns: u64,
}

impl Default for LedgerOptions {
    fn default() -> LedgerOptions {
        LedgerOptions { segment_bytes: SEGMENT_BYTES_DEFAULT, created_unix_ns: 0 }
    }
}

/// `ledger.json`: what never changes about a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerManifest {
    /// The ledger's id, in every block, group and frame.
    pub ledger: LedgerId,
    /// Version of the formats ([`FORMAT_VERSION`]).
    pub format: u32,
    /// Bytes of each segment.
    pub segment_bytes: u64,
    /// When the ledger was made, in nanoseconds since 1970, UTC.
    pub created_unix_ns: u64,
}

impl LedgerManifest {
    /// Reads and checks `ledger.json`. An unknown format or an impossible segment size is refused.
    pub fn load(data: &Path) -> Result<LedgerManifest, ManifestError> {
        let file = data.join(MANIFEST_FILE);
        let text = std::fs::read(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ManifestError::NotALedger { data: data.to_path_buf() },
            _ => ManifestError::Io { file: file.clone(), source },
        })?;
        // The version first: a later format may have other fields, and the message should name the version.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(&text)
            .map_err(|source| ManifestError::Text { file: file.clone(), reason: source.to_string() })?;
        if version.format != FORMAT_VERSION {
            return Err(ManifestError::UnknownFormat { file, found: version.format, known: FORMAT_VERSION });
        }
        let manifest: LedgerManifest = serde_json::from_slice(&text)
            .map_err(|source| ManifestError::Text { file: file.clone(), reason: source.to_string() })?;
        if !segment_bytes_allowed(manifest.segment_bytes) {
            return Err(ManifestError::SegmentBytes { file, found: manifest.segment_bytes });
        }
        Ok(manifest)
    }

    /// The text of `ledger.json`.
    pub(crate) fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and a hex string have a JSON form");
        text.push('\n');
        text
    }
}

/// Whether segments may have this size.
pub(crate) fn segment_bytes_allowed(bytes: u64) -> bool {
    (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(BLOCK_BYTES as u64)
}
