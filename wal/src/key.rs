//! The secret keys of the chain MAC, kept in `keys/chain-ID.key`. A secret is never printed: not by `Debug`, not in an
//! error.

use crate::error::KeyError;
use crate::ledger::parse_hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Folder of the key files in the data directory.
pub(crate) const KEY_FOLDER: &str = "keys";
/// First line of a key file.
const KEY_TITLE: &str = "florin chain key 1";
/// What the MAC of frame 0 is made from, before the ledger id.
const CHAIN_START: &[u8] = b"florin chain start 1";

/// One key of the chain.
#[derive(Clone)]
pub struct ChainKey {
    /// The number a frame names its key by; from 1.
    pub id: u32,
    secret: [u8; 32],
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainKey {{ id: {}, secret: not shown }}", self.id)
    }
}

impl ChainKey {
    /// A fresh key from the system's random source.
    pub fn generate(id: u32) -> io::Result<ChainKey> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        Ok(ChainKey { id, secret })
    }

    /// A key from its bytes, for test vectors and key providers.
    pub fn from_secret(id: u32, secret: [u8; 32]) -> ChainKey {
        ChainKey { id, secret }
    }

    /// Writes the key to a new file that only its owner may read (0600), and syncs the file. An existing file is left
    /// alone.
    pub fn create_file(&self, file: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::Io { file: file.to_path_buf(), source };
        let mut text = format!("{KEY_TITLE}\nid {}\nsecret ", self.id);
        self.secret.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
        out.write_all(text.as_bytes()).map_err(failed)?;
        out.sync_all().map_err(failed)
    }

    /// Reads a key file.
    pub fn from_file(file: &Path) -> Result<ChainKey, KeyError> {
        let text = std::fs::read_to_string(file).map_err(|source| KeyError::Io { file: file.to_path_buf(), source })?;
        let malformed = |reason| KeyError::Text { file: file.to_path_buf(), reason };
        let mut lines = text.lines();
        if lines.next() != Some(KEY_TITLE) {
            return Err(malformed("the first line is not \"florin chain key 1\""));
        }
        let id = lines.next().and_then(|line| line.strip_prefix("id ")).and_then(|id| id.parse().ok());
        let id = id.filter(|&id| id != 0).ok_or(malformed("the second line is not \"id NUMBER\""))?;
        let secret = lines.next().and_then(|line| line.strip_prefix("secret ")).and_then(parse_hex::<32>);
        let secret = secret.ok_or(malformed("the third line is not \"secret\" and 64 hex digits"))?;
        if lines.next().is_some() {
            return Err(malformed("there are more than three lines"));
        }
        Ok(ChainKey { id, secret })
    }
}

/// The keys of a ledger, ready to compute MACs. The one with the highest id writes.
#[derive(Clone)]
pub struct KeyRing {
    /// By ascending id, keyed once so that a frame costs three compressions of SHA-256 and no key schedule.
    keys: Vec<(u32, Hmac<Sha256>)>,
}

impl KeyRing {
    /// A ring of these keys; at least one.
    pub fn new(mut keys: Vec<ChainKey>) -> KeyRing {
        assert!(!keys.is_empty(), "a chain needs a key");
        keys.sort_by_key(|key| key.id);
        let ready = |key: &ChainKey| Hmac::<Sha256>::new_from_slice(&key.secret).expect("HMAC takes any key length");
        KeyRing { keys: keys.iter().map(|key| (key.id, ready(key))).collect() }
    }

    /// Reads all `keys/chain-ID.key` of a data directory.
    pub fn load(data: &Path) -> Result<KeyRing, KeyError> {
        KeyRing::load_folder(&data.join(KEY_FOLDER))
    }

    /// Reads all `chain-ID.key` of a folder.
    pub fn load_folder(folder: &Path) -> Result<KeyRing, KeyError> {
        let failed = |source| KeyError::Io { file: folder.to_path_buf(), source };
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix("chain-")?.strip_suffix(".key"));
            let Some(id) = id else { continue };
            let file = folder.join(&name);
            let key = ChainKey::from_file(&file)?;
            if id != key.id.to_string() {
                return Err(KeyError::Text { file, reason: "the id in the file is not the one in its name" });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyError::NoKey { folder: folder.to_path_buf() });
        }
        Ok(KeyRing::new(keys))
    }

    /// Id of the key that new frames are made with.
    pub fn newest(&self) -> u32 {
        self.keys[self.keys.len() - 1].0
    }

    /// HMAC-SHA256(key, previous MAC ‖ header), or `None` without such a key.
    pub(crate) fn mac(&self, key: u32, previous: &[u8; 32], header: &[u8]) -> Option<[u8; 32]> {
        let at = self.keys.binary_search_by_key(&key, |(id, _)| *id).ok()?;
        let mut mac = self.keys[at].1.clone();
        mac.update(previous);
        mac.update(header);
        Some(mac.finalize().into_bytes().into())
    }
}

/// What is sealed begins with this, in place of the MAC of a previous frame.
const SEAL_START: &[u8; 32] = b"florin: derived from the log, v1";

impl KeyRing {
    /// HMAC-SHA256 with the newest key of bytes that were derived from the log, and the key's id. No frame can have this MAC.
    pub fn seal(&self, bytes: &[u8]) -> (u32, [u8; 32]) {
        let key = self.newest();
        (key, self.mac(key, SEAL_START, bytes).expect("the newest key is there"))
    }

    /// Whether bytes were sealed with a key of this ring.
    pub fn is_sealed(&self, key: u32, bytes: &[u8], mac: &[u8; 32]) -> bool {
        // All bytes are compared, so that the time says nothing about how many are right.
        let differing = |sealed: [u8; 32]| sealed.iter().zip(mac).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.mac(key, SEAL_START, bytes).is_some_and(|sealed| differing(sealed) == 0)
    }
}

/// The "MAC" before the first frame: SHA-256 of a fixed text and the ledger id.
pub(crate) fn chain_start(ledger: &crate::LedgerId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(CHAIN_START);
    hash.update(ledger.0);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_and_debug_hides_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chain-7.key");
        let key = ChainKey::from_secret(7, [0xab; 32]);
        key.create_file(&file).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let read = ChainKey::from_file(&file).unwrap();
        assert_eq!((read.id, read.secret), (7, [0xab; 32]));
        assert!(!format!("{read:?}").contains("ab"));
        assert!(key.create_file(&file).is_err(), "an existing key is never replaced");
        for text in ["", "florin chain key 1\nid 0\nsecret 00\n", "florin chain key 1\nid 1\nsecret 00\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(matches!(ChainKey::from_file(&file), Err(KeyError::Text { .. })));
        }
    }

    #[test]
    fn what_is_sealed_is_known_by_its_key_alone() {
        let ring = KeyRing::new(vec![ChainKey::from_secret(1, [1; 32]), ChainKey::from_secret(2, [2; 32])]);
        let (key, mac) = ring.seal(b"state");
        assert_eq!(key, 2);
        assert!(ring.is_sealed(2, b"state", &mac));
        let mut other = mac;
        other[31] ^= 1;
        assert!(!ring.is_sealed(2, b"stale", &mac) && !ring.is_sealed(2, b"state", &other));
        assert!(!ring.is_sealed(1, b"state", &mac) && !ring.is_sealed(3, b"state", &mac));
    }

    #[test]
    fn a_ring_needs_a_key_and_the_name_must_agree() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        assert!(matches!(KeyRing::load(folder.path()), Err(KeyError::NoKey { .. })));
        for id in [2, 11] {
            let key = ChainKey::generate(id).unwrap();
            key.create_file(&folder.path().join(format!("keys/chain-{id}.key"))).unwrap();
        }
        assert_eq!(KeyRing::load(folder.path()).unwrap().newest(), 11);
        let other = ChainKey::generate(4).unwrap();
        other.create_file(&folder.path().join("keys/chain-5.key")).unwrap();
        assert!(matches!(KeyRing::load(folder.path()), Err(KeyError::Text { .. })));
    }
}
