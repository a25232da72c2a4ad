//! A frame is a header and its payload. Frames are built at the end of a buffer, so that many leave in one write.

use crate::header::Header;
use crate::limits::HEADER_BYTES;

/// Appends a frame whose payload `fill` writes; length and checksums are set afterwards.
pub fn append<R>(out: &mut Vec<u8>, mut header: Header, fill: impl FnOnce(&mut Vec<u8>, &mut Header) -> R) -> R {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    let result = fill(out, &mut header);
    let payload = &out[start + HEADER_BYTES..];
    header.length = u32::try_from(payload.len()).expect("payloads stay below the limits of limits.rs");
    header.payload_checksum = crc32fast::hash(payload);
    let bytes = header.encode();
    out[start..start + HEADER_BYTES].copy_from_slice(&bytes);
    result
}

/// The header of a payload that is already there.
pub fn seal(mut header: Header, payload: &[u8]) -> [u8; HEADER_BYTES] {
    header.length = u32::try_from(payload.len()).expect("payloads stay below the limits of limits.rs");
    header.payload_checksum = crc32fast::hash(payload);
    header.encode()
}
