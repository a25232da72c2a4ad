//! The bytes of a log, written from docs/format-log.md alone: what the walk accepts is compared with this, byte by byte. Samples are
//! made with it, since it takes its salt and keys from the caller, and checksums are made right again with it.

use florin_wal::{ChainKey, Frame, FrameHead, KeyRing, LedgerId, LedgerManifest};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{put, u32_at, u64_at};
use crate::rng::Rng;

/// Bytes of a block.
pub const BLOCK: usize = 4096;
/// Bytes of the segment.
pub const SEGMENT_BYTES: usize = 64 << 10;
/// Name of the segment's file.
pub const SEGMENT_FILE: &str = "log/0000000001.seg";
const GROUP_HEADER: usize = 96;
const FRAME_HEADER: usize = 160;
const MACED: usize = 128;
/// Id of the ledger.
pub const LEDGER: [u8; 16] = [0x1e; 16];
/// Ids and secrets of the chain keys.
const KEYS: [(u32, [u8; 32]); 2] = [(1, [0x0b; 32]), (3, [0x0c; 32])];

/// The ledger of all samples.
pub fn manifest() -> LedgerManifest {
    let segment_bytes = SEGMENT_BYTES as u64;
    LedgerManifest { ledger: LedgerId(LEDGER), format: 1, segment_bytes, created_unix_ns: 1_700_000_000_000_000_000 }
}

/// Its keys.
pub fn keys() -> KeyRing {
    KeyRing::new(KEYS.map(|(id, secret)| ChainKey::from_secret(id, secret)).to_vec())
}

/// A frame as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    head: FrameHead,
    payload: Vec<u8>,
    vouchers: Vec<u8>,
}

impl Seen {
    /// Keeps a frame.
    pub fn of(frame: &Frame<'_>) -> Seen {
        Seen { head: frame.head, payload: frame.payload.to_vec(), vouchers: frame.vouchers.to_vec() }
    }

    /// Bytes of it with its header.
    pub fn bytes(&self) -> u64 {
        (FRAME_HEADER + self.payload.len() + self.vouchers.len()) as u64
    }

    /// The sequence number after its last one.
    pub fn next_sequence(&self) -> u64 {
        self.head.first_sequence + u64::from(self.head.count)
    }
}

fn crc(salt: u64, bytes: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}

/// MAC of a frame; none if there is no such key.
fn mac(key: u32, previous: &[u8; 32], header: &[u8]) -> Option<[u8; 32]> {
    let (_, secret) = KEYS.iter().find(|(id, _)| *id == key)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key length");
    mac.update(previous);
    mac.update(header);
    Some(mac.finalize().into_bytes().into())
}

/// What stands for the MAC in front of the first frame.
pub fn chain_start() -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"florin chain start 1");
    hash.update(LEDGER);
    hash.finalize().into()
}

/// The first block of the only segment.
pub fn first_block(salt: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    put(&mut block, 0, b"FLORSEGM");
    put(&mut block, 8, &1u32.to_le_bytes());
    put(&mut block, 12, &(BLOCK as u32).to_le_bytes());
    put(&mut block, 16, &LEDGER);
    let numbers = [1, SEGMENT_BYTES as u64, salt, 1, 1, 1];
    for (at, number) in numbers.iter().enumerate() {
        put(&mut block, 32 + 8 * at, &number.to_le_bytes());
    }
    put(&mut block, 80, &chain_start());
    seal_block(&mut block);
    block
}

fn seal_block(block: &mut [u8]) {
    let crc = crc32fast::hash(&block[..BLOCK - 4]);
    put(block, BLOCK - 4, &crc.to_le_bytes());
}

/// The watermark file with one good slot: up to this frame everything is durable.
pub fn watermark(frame: u64) -> Vec<u8> {
    let mut file = vec![0; 2 * BLOCK];
    put(&mut file, 0, b"FLORWMRK");
    put(&mut file, 8, &1u32.to_le_bytes());
    put(&mut file, 16, &LEDGER);
    let numbers = [2, frame, frame, u64::from(frame > 0)];
    for (at, number) in numbers.iter().enumerate() {
        put(&mut file, 32 + 8 * at, &number.to_le_bytes());
    }
    seal_block(&mut file[..BLOCK]);
    file
}

/// Groups, one behind the other.
pub struct Writer {
    salt: u64,
    /// The file from its first group on.
    pub groups: Vec<u8>,
    number: u64,
    /// Number of the last frame.
    pub last_frame: u64,
    /// Its MAC.
    pub mac: [u8; 32],
}

impl Writer {
    /// A writer behind the first block.
    pub fn new(salt: u64) -> Writer {
        Writer { salt, groups: Vec::new(), number: 0, last_frame: 0, mac: chain_start() }
    }

    /// Appends the next frame to `body`. Its number and its digests are taken from the bytes and from what was written, not from its head.
    pub fn frame(&mut self, Seen { head, payload, vouchers }: &Seen, body: &mut Vec<u8>) {
        self.last_frame += 1;
        let mut header = [0; FRAME_HEADER];
        put(&mut header, 0, b"FLFR");
        put(&mut header, 4, &1u32.to_le_bytes());
        put(&mut header, 8, &LEDGER);
        put(&mut header, 24, &self.last_frame.to_le_bytes());
        put(&mut header, 32, &head.first_sequence.to_le_bytes());
        put(&mut header, 40, &head.time_ns.to_le_bytes());
        let numbers = [head.count, head.key_id, payload.len() as u32, vouchers.len() as u32];
        for (at, number) in numbers.iter().enumerate() {
            put(&mut header, 48 + 4 * at, &number.to_le_bytes());
        }
        put(&mut header, 64, blake3::hash(payload).as_bytes());
        put(&mut header, 96, blake3::hash(vouchers).as_bytes());
        self.mac = mac(head.key_id, &self.mac, &header[..MACED]).expect("a key of the ring");
        put(&mut header, MACED, &self.mac);
        body.extend_from_slice(&header);
        body.extend_from_slice(payload);
        body.extend_from_slice(vouchers);
    }

    /// Writes a group of frames that follow.
    pub fn group(&mut self, frames: &[Seen]) {
        let mut body = Vec::new();
        let durable_upto = self.last_frame;
        frames.iter().for_each(|frame| self.frame(frame, &mut body));
        self.number += 1;
        let mut header = [0; GROUP_HEADER];
        put(&mut header, 0, b"FLGR");
        put(&mut header, 4, &1u32.to_le_bytes());
        put(&mut header, 8, &LEDGER);
        let offset = (BLOCK + self.groups.len()) as u64;
        for (at, number) in [1, offset, self.number, durable_upto].iter().enumerate() {
            put(&mut header, 24 + 8 * at, &number.to_le_bytes());
        }
        put(&mut header, 56, &(body.len() as u32).to_le_bytes());
        put(&mut header, 60, &(frames.len() as u32).to_le_bytes());
        put(&mut header, 64, &crc(self.salt, &body));
        let crc = crc(self.salt, &header[..GROUP_HEADER - 4]);
        put(&mut header, GROUP_HEADER - 4, &crc);
        self.groups.extend_from_slice(&header);
        self.groups.extend_from_slice(&body);
        self.groups.resize(self.groups.len().next_multiple_of(BLOCK), 0);
    }
}

/// A random frame that goes on behind these numbers, with less than so many bytes of payload.
pub fn random_frame(rng: &mut Rng, (number, first_sequence): (u64, u64), largest: usize) -> Seen {
    let payload: Vec<u8> = (0..rng.below(largest)).map(|_| rng.word() as u8).collect();
    let vouchers: Vec<u8> = (0..rng.pick(&[0, 0, 5, 100])).map(|_| rng.word() as u8).collect();
    let head = FrameHead {
        number,
        first_sequence,
        count: rng.pick(&[0, 1, 1, 5, 8_190]),
        key_id: rng.pick(&[1, 3, 3]),
        time_ns: rng.word(),
        payload_bytes: 0,
        vouchers_bytes: 0,
        digest: [0; 32],
        vouchers_digest: [0; 32],
        mac: [0; 32],
    };
    Seen { head, payload, vouchers }
}

/// Random groups with random frames, as many as fit with blocks to spare; some are empty. Gives the writer and the number of frames.
pub fn random_groups(rng: &mut Rng, salt: u64) -> (Vec<u8>, u64) {
    let mut writer = Writer::new(salt);
    let (groups, largest) = (rng.between(0, 6), rng.pick(&[1, 300, 3_000]));
    let (mut sequence, mut number) = (1, 0);
    for _ in 0..groups {
        let frames: Vec<Seen> = (0..rng.pick(&[0, 1, 1, 2, 3]))
            .map(|_| {
                number += 1;
                let frame = random_frame(rng, (number, sequence), largest);
                sequence = frame.next_sequence();
                frame
            })
            .collect();
        writer.group(&frames);
    }
    (writer.groups, number)
}

/// What the writer would have written of these frames, in groups as the file has them.
pub fn rewrite(file: &[u8], salt: u64, groups: u64, frames: &[Seen]) -> Vec<u8> {
    let mut writer = Writer::new(salt);
    let mut rest = frames;
    for _ in 0..groups {
        let at = BLOCK + writer.groups.len();
        let count = u32_at(file, at + 60).expect("the header of a group that was read") as usize;
        let (here, after) = rest.split_at(count);
        writer.group(here);
        rest = after;
    }
    assert!(rest.is_empty(), "each frame stands in a group");
    writer.groups
}

/// Whether anything behind `end` says that frames were durable that were not read: then the log must not have been accepted.
pub fn proof_behind(file: &[u8], salt: u64, end: usize, next_group: u64, last_frame: u64) -> bool {
    (end..file.len().min(SEGMENT_BYTES).saturating_sub(BLOCK - 1)).step_by(BLOCK).any(|at| {
        let header = &file[at..at + GROUP_HEADER];
        let number = |at: usize| u64_at(header, at).expect("within the header");
        let is_good = header.starts_with(b"FLGR\x01\0\0\0")
            && header[92..] == crc(salt, &header[..92])
            && header[8..24] == LEDGER
            && number(24) == 1
            && number(32) == at as u64;
        let (group, durable, frames) = (number(40), number(48), u32_at(header, 60).expect("within the header"));
        is_good && group >= next_group && (durable > last_frame || (group > next_group && frames > 0))
    })
}

/// What is made right again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repair {
    /// The checksums of groups.
    Checksums,
    /// Digests and chain of frames as well: what only the owner of the key can do.
    Chain,
    /// The places and numbers of groups and frames too.
    Numbers,
}

/// Makes the checksum of a first block right again.
pub fn repair_first_block(block: &mut [u8]) {
    if block.len() == BLOCK {
        seal_block(block);
    }
}

/// Makes groups right again as far as their lengths lead, from the first on. `groups` begins behind the first block.
pub fn repair_groups(groups: &mut [u8], salt: u64, repair: Repair) {
    let (mut at, mut chain, mut number, mut last_frame, mut sequence) = (0, chain_start(), 0u64, 0u64, 1u64);
    while let Some(body_bytes) = u32_at(groups, at + 56)
        && at + GROUP_HEADER <= groups.len()
        && groups[at..at + 4] != [0; 4]
    {
        number += 1;
        if repair == Repair::Numbers {
            put(groups, at + 32, &((BLOCK + at) as u64).to_le_bytes());
            put(groups, at + 40, &number.to_le_bytes());
            put(groups, at + 48, &last_frame.to_le_bytes());
        }
        let start = at + GROUP_HEADER;
        let end = start.saturating_add(body_bytes as usize).min(groups.len());
        if repair != Repair::Checksums {
            let numbers = (repair == Repair::Numbers).then_some((&mut last_frame, &mut sequence));
            repair_frames(&mut groups[start..end], &mut chain, numbers);
        }
        let body_crc = crc(salt, &groups[start..end]);
        put(groups, at + 64, &body_crc);
        let header_crc = crc(salt, &groups[at..at + GROUP_HEADER - 4]);
        put(groups, at + GROUP_HEADER - 4, &header_crc);
        at = end.next_multiple_of(BLOCK);
    }
}

/// Makes digests and chain of frames right again as far as their lengths lead, and their numbers, if the last ones are given.
pub fn repair_frames(frames: &mut [u8], chain: &mut [u8; 32], mut numbers: Option<(&mut u64, &mut u64)>) {
    let mut at = 0;
    while at + FRAME_HEADER <= frames.len() {
        let [payload, vouchers] = [56, 60].map(|field| u32_at(frames, at + field).expect("within the header") as usize);
        let payload_end = (at + FRAME_HEADER).saturating_add(payload).min(frames.len());
        let vouchers_end = payload_end.saturating_add(vouchers).min(frames.len());
        if let Some((last_frame, sequence)) = &mut numbers {
            **last_frame += 1;
            put(frames, at + 24, &last_frame.to_le_bytes());
            put(frames, at + 32, &sequence.to_le_bytes());
            **sequence = sequence.wrapping_add(u64::from(u32_at(frames, at + 48).expect("within the header")));
        }
        let digests =
            [blake3::hash(&frames[at + FRAME_HEADER..payload_end]), blake3::hash(&frames[payload_end..vouchers_end])];
        put(frames, at + 64, digests[0].as_bytes());
        put(frames, at + 96, digests[1].as_bytes());
        let key = u32_at(frames, at + 52).expect("within the header");
        if let Some(mac) = mac(key, chain, &frames[at..at + MACED]) {
            put(frames, at + MACED, &mac);
            *chain = mac;
        }
        at = vouchers_end;
    }
}

/// A random depth of repair.
pub fn any_repair(rng: &mut Rng) -> Repair {
    rng.pick(&[Repair::Checksums, Repair::Chain, Repair::Chain, Repair::Numbers])
}
