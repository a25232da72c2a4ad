//! The bytes that `docs/format-log.md` shows, compared with what is written: the page stays true, and a change of the
//! format does not go unseen.

use crate::format::{FRAME_MACED, GroupHead, SegmentHead, WatermarkSlot, decode_frame, encode_frame, put_mac};
use crate::frame::FrameHead;
use crate::key::{ChainKey, KeyRing, chain_start};
use crate::ledger::LedgerId;
use crate::limits::{BLOCK_BYTES, FRAME_HEADER_BYTES, GROUP_HEADER_BYTES};
use crate::pack::format::{PackHead, PackedSegment, header_bytes};
use crate::salted::salted_crc;

const PAGE: &str = include_str!("../../docs/format-log.md");
const LEDGER: LedgerId = LedgerId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
const SALT: u64 = 0x1122_3344_5566_7788;

/// Compares bytes with the block of hex digits under this name on the page; zeros at the end are left out there.
#[track_caller]
fn check(name: &str, bytes: &[u8]) {
    let start = format!("```hex {name}\n");
    let text = PAGE.split_once(&start).and_then(|(_, rest)| rest.split_once("```")).map_or("", |(text, _)| text);
    let shown: String = text.split_whitespace().collect();
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = written.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    assert_eq!(shown, written, "{name} on the page should be:\n{}", lines.join("\n"));
}

fn keys() -> KeyRing {
    KeyRing::new(vec![ChainKey::from_secret(1, [0x0b; 32])])
}

fn segment() -> SegmentHead {
    SegmentHead {
        ledger: LEDGER,
        ordinal: 1,
        segment_bytes: 65536,
        salt: SALT,
        first_group: 1,
        first_frame: 1,
        first_sequence: 1,
        previous_mac: chain_start(&LEDGER),
    }
}

fn frame() -> Vec<u8> {
    let (payload, vouchers) = (b"payload".as_slice(), b"voucher!".as_slice());
    let head = FrameHead {
        number: 1,
        first_sequence: 1,
        count: 2,
        key_id: 1,
        time_ns: 1_700_000_000_000_000_000,
        payload_bytes: payload.len() as u32,
        vouchers_bytes: vouchers.len() as u32,
        digest: blake3::hash(payload).into(),
        vouchers_digest: blake3::hash(vouchers).into(),
        mac: [0; 32],
    };
    let mut bytes = vec![0; FRAME_HEADER_BYTES];
    encode_frame(&LEDGER, &head, &mut bytes);
    let mac = keys().mac(1, &chain_start(&LEDGER), &bytes[..FRAME_MACED]).unwrap();
    put_mac(&mac, &mut bytes);
    assert_eq!(decode_frame(&bytes, &LEDGER), Ok(FrameHead { mac, ..head }));
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(vouchers);
    bytes
}

#[test]
fn the_first_block_of_a_segment_is_as_on_the_page() {
    let mut block = vec![0; BLOCK_BYTES];
    segment().encode(&mut block);
    assert_eq!(SegmentHead::decode(&block), Ok(segment()));
    check("segment", &block[..116]);
    check("segment-crc", &block[BLOCK_BYTES - 4..]);
    assert!(block[116..BLOCK_BYTES - 4].iter().all(|&byte| byte == 0));
}

#[test]
fn the_start_of_the_chain_is_as_on_the_page() {
    check("chain-start", &chain_start(&LEDGER));
}

#[test]
fn a_frame_is_as_on_the_page() {
    check("frame", &frame());
}

#[test]
fn a_group_header_is_as_on_the_page() {
    let body = frame();
    let head = GroupHead {
        ledger: LEDGER,
        ordinal: 1,
        offset: 8192,
        number: 2,
        durable_upto: 0,
        body_bytes: body.len() as u32,
        frames: 1,
        body_crc: salted_crc(SALT, &body),
    };
    let mut bytes = vec![0; GROUP_HEADER_BYTES];
    head.encode(SALT, &mut bytes);
    assert_eq!(GroupHead::decode(&bytes, &segment(), 8192), Ok(head));
    check("group", &bytes);
}

#[test]
fn a_watermark_slot_is_as_on_the_page() {
    let slot = WatermarkSlot { ledger: LEDGER, counter: 5, frame: 1, group: 3, segment: 1 };
    let mut block = vec![0; BLOCK_BYTES];
    slot.encode(&mut block);
    assert_eq!(WatermarkSlot::decode(&block), Ok(slot));
    check("watermark", &block[..64]);
    check("watermark-crc", &block[BLOCK_BYTES - 4..]);
}

#[test]
fn the_header_of_a_pack_is_as_on_the_page() {
    let offset = header_bytes(2);
    let first = PackedSegment { head: segment(), offset, bytes: 175 };
    let second =
        SegmentHead { ordinal: 2, salt: SALT + 1, first_group: 14, first_frame: 2, first_sequence: 3, ..segment() };
    let second =
        PackedSegment { head: SegmentHead { previous_mac: [7; 32], ..second }, offset: offset + 175, bytes: 1000 };
    let head =
        PackHead { segments: vec![first, second], next_group: 29, next_frame: 8, next_sequence: 9, last_mac: [8; 32] };
    let mut blocks = vec![0; BLOCK_BYTES];
    head.encode(&mut blocks);
    assert_eq!(PackHead::decode(&blocks, &LEDGER, 65536), Ok(head));
    check("pack", &blocks[..320]);
    check("pack-digest", &blocks[BLOCK_BYTES - 32..]);
    assert!(blocks[320..BLOCK_BYTES - 32].iter().all(|&byte| byte == 0));
}
