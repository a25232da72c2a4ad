//! `point.json`: that a folder holds a ledger as of one frame, for reads only. Written once, before the folder is a ledger, and sealed
//! with the ledger's key, so that nobody without it can move the point.
//!
//! What always holds: a folder with a point has no `LOCK`, so that without its point it is what a backup is, and never served.

use crate::error::PointError;
use crate::key::KeyRing;
use crate::ledger::{LedgerId, parse_hex};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Name of the file in the data directory.
pub(crate) const POINT_FILE: &str = "point.json";
/// Version of its format. Another one is refused.
const FORMAT: u32 = 1;
/// Longest such file, in bytes: a longer one is none.
const POINT_BYTES_MAX: u64 = 4096;

/// The frame that a ledger is as of. Numbers are decimal, bytes lower-case hex digits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Version of the format.
    pub format: u32,
    /// The ledger.
    pub ledger: LedgerId,
    /// Its last frame.
    pub frame: u64,
    /// Its last sequence number.
    pub sequence: u64,
    /// Booked-at of that row, nanoseconds since 1970-01-01 UTC.
    pub booked_at_ns: u64,
    /// Chain MAC of the frame.
    pub head: String,
}

/// The file: the point with its seal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    point: Point,
    key: u32,
    /// HMAC-SHA256 of the point as JSON without spaces, its fields in order.
    mac: String,
}

impl Point {
    /// The point at a frame.
    pub(crate) fn at(ledger: LedgerId, frame: u64, sequence: u64, booked_at_ns: u64, head: &[u8; 32]) -> Point {
        Point { format: FORMAT, ledger, frame, sequence, booked_at_ns, head: hex(head) }
    }

    /// Whether it is the frame with this MAC.
    pub(crate) fn is_at(&self, mac: &[u8; 32]) -> bool {
        self.head == hex(mac)
    }

    /// The file in a data directory.
    pub(crate) fn file(data: &Path) -> PathBuf {
        data.join(POINT_FILE)
    }

    /// Whether a data directory has a point, good or not.
    pub fn is_in(data: &Path) -> bool {
        // A link that leads nowhere is something that stands there, too.
        Point::file(data).symlink_metadata().is_ok()
    }

    /// The point of a data directory, checked; none if it has none.
    pub fn load(data: &Path, ledger: LedgerId, keys: &KeyRing) -> Result<Option<Point>, PointError> {
        if !Point::is_in(data) {
            return Ok(None);
        }
        let file = Point::file(data);
        let io = |source| PointError::Io { file: file.clone(), source };
        let wrong = |reason: String| PointError::Text { file: file.clone(), reason };
        if file.metadata().map_err(io)?.len() > POINT_BYTES_MAX {
            return Err(wrong("it is too long".into()));
        }
        let text = std::fs::read(&file).map_err(io)?;
        let sealed: Sealed = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if sealed.text() != text {
            return Err(wrong("it is not written as points are".into()));
        }
        let Sealed { point, key, mac } = sealed;
        // One form only: upper-case digits are not what was written.
        let digits = parse_hex::<32>(&mac).filter(|bytes| hex(bytes) == mac);
        let mac = digits.ok_or_else(|| wrong("its MAC is not 64 lower-case hex digits".into()))?;
        if !keys.is_sealed(key, &point.bytes(), &mac) {
            return Err(wrong("its MAC does not match: it was changed, or is sealed with another key".into()));
        }
        if point.format != FORMAT {
            return Err(wrong(format!("format {} is not known", point.format)));
        }
        if point.ledger != ledger {
            return Err(wrong("it is another ledger's".into()));
        }
        Ok(Some(point))
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts become JSON")
    }

    /// The text of the file, sealed.
    pub(crate) fn to_text(&self, keys: &KeyRing) -> Vec<u8> {
        let (key, mac) = keys.seal(&self.bytes());
        Sealed { point: self.clone(), key, mac: hex(&mac) }.text()
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

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::ChainKey;

    #[test]
    fn a_point_reads_back_and_any_changed_byte_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let (ledger, keys) = (LedgerId([7; 16]), KeyRing::new(vec![ChainKey::from_secret(1, [1; 32])]));
        assert_eq!(Point::load(data.path(), ledger, &keys).unwrap(), None);
        let point = Point::at(ledger, 12, 345, 6_789, &[0xab; 32]);
        let file = Point::file(data.path());
        let text = point.to_text(&keys);
        std::fs::write(&file, &text).unwrap();
        assert_eq!(Point::load(data.path(), ledger, &keys).unwrap(), Some(point.clone()));
        assert!(point.is_at(&[0xab; 32]) && !point.is_at(&[0xaa; 32]));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                std::fs::write(&file, changed).unwrap();
                assert!(Point::load(data.path(), ledger, &keys).is_err(), "bit {bit} of byte {at}");
            }
        }
        for other in [&text[..text.len() - 1], &[&text[..], b" "].concat(), b""] {
            std::fs::write(&file, other).unwrap();
            assert!(Point::load(data.path(), ledger, &keys).is_err());
        }
        std::fs::write(&file, &text).unwrap();
        assert!(Point::load(data.path(), LedgerId([8; 16]), &keys).is_err());
        let others = KeyRing::new(vec![ChainKey::from_secret(1, [2; 32])]);
        assert!(Point::load(data.path(), ledger, &others).is_err());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        assert!(Point::load(data.path(), ledger, &keys).is_err(), "what is there and cannot be read is not left out");
    }
}
