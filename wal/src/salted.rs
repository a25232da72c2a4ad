//! CRC-32 seeded with a segment's salt, so that bytes which a client sends in a voucher can never pass for a group.

use crc32fast::Hasher;
use florin_planted::{Fault, planted};

/// CRC-32 (IEEE 802.3, as in zlib) over the eight bytes of the salt, little-endian, and what is added.
pub(crate) fn salted(salt: u64) -> Hasher {
    let salt = if planted(Fault::SaltIgnored) { 0 } else { salt };
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher
}

/// The salted CRC of one run of bytes.
pub(crate) fn salted_crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = salted(salt);
    hasher.update(bytes);
    hasher.finalize()
}
