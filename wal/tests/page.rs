//! A reader written from `docs/format-log.md` alone: it shares no code with the log and reads what the log wrote.
#![allow(missing_docs)]

mod common;

use common::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn crc(salt: u64, bytes: &[u8]) -> u32 {
    crc32fast::hash(&[&salt.to_le_bytes(), bytes].concat())
}

/// Frames as they are read, one after the other.
struct Chain {
    id: [u8; 16],
    secret: Vec<u8>,
    mac: Vec<u8>,
    sequence: u64,
    seen: Vec<Seen>,
}

impl Chain {
    fn of(ledger: &Ledger) -> Chain {
        let key = std::fs::read_to_string(ledger.data().join("keys/chain-1.key")).unwrap();
        let hex = key.strip_prefix("florin chain key 1\nid 1\nsecret ").unwrap().trim_end();
        let secret = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        let id = ledger.manifest.ledger.0;
        let mac = Sha256::digest([b"florin chain start 1".as_slice(), &id].concat()).to_vec();
        Chain { id, secret, mac, sequence: 1, seen: Vec::new() }
    }

    /// Reads the frame that these bytes begin with, and gives its length.
    fn frame(&mut self, frame: &[u8]) -> usize {
        assert_eq!((&frame[..4], u32_at(frame, 4), &frame[8..24]), (b"FLFR".as_slice(), 1, &self.id[..]));
        assert_eq!((u64_at(frame, 24), u64_at(frame, 32)), (self.seen.len() as u64 + 1, self.sequence));
        assert_eq!(u32_at(frame, 52), 1);
        let vouchers_at = 160 + u32_at(frame, 56) as usize;
        let frame_end = vouchers_at + u32_at(frame, 60) as usize;
        let (payload, vouchers) = (&frame[160..vouchers_at], &frame[vouchers_at..frame_end]);
        assert_eq!(&frame[64..96], blake3::hash(payload).as_bytes());
        assert_eq!(&frame[96..128], blake3::hash(vouchers).as_bytes());
        let mut chain = Hmac::<Sha256>::new_from_slice(&self.secret).unwrap();
        chain.update(&self.mac);
        chain.update(&frame[..128]);
        self.mac = chain.finalize().into_bytes().to_vec();
        assert_eq!(&frame[128..160], self.mac);
        let (count, time_ns) = (u32_at(frame, 48), u64_at(frame, 40));
        let body = (payload.to_vec(), vouchers.to_vec());
        self.seen.push(Seen { number: u64_at(frame, 24), first_sequence: self.sequence, count, time_ns, body });
        self.sequence += u64::from(count);
        frame_end
    }
}

#[test]
fn the_page_is_enough_to_read_a_log() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, 9000).unwrap();
    log.append_all(30);
    log.writer.shutdown().unwrap();

    let (mut chain, mut groups) = (Chain::of(&ledger), 0);
    let id = chain.id;
    let image = storage.live();
    for ordinal in 1.. {
        let Some(file) = image.get(&format!("log/{ordinal:010}.seg")) else { break };
        if !file.starts_with(b"FLORSEGM") {
            break;
        }
        assert_eq!(file.len(), 65536);
        assert_eq!(u32_at(file, 4092), crc32fast::hash(&file[..4092]));
        assert_eq!((u32_at(file, 8), u32_at(file, 12), &file[16..32]), (1, 4096, &id[..]));
        assert_eq!((u64_at(file, 32), u64_at(file, 40)), (ordinal, 65536));
        let salt = u64_at(file, 48);
        assert_eq!((u64_at(file, 56), u64_at(file, 64)), (groups + 1, chain.seen.len() as u64 + 1));
        assert_eq!((u64_at(file, 72), &file[80..112]), (chain.sequence, &chain.mac[..]));
        assert!(file[112..4092].iter().all(|&byte| byte == 0));
        let mut at = 4096;
        while at < file.len() && file[at..].starts_with(b"FLGR") {
            let group = &file[at..];
            assert_eq!(u32_at(group, 92), crc(salt, &group[..92]));
            assert_eq!((u32_at(group, 4), &group[8..24]), (1, &id[..]));
            groups += 1;
            assert_eq!((u64_at(group, 24), u64_at(group, 32), u64_at(group, 40)), (ordinal, at as u64, groups));
            assert_eq!(u64_at(group, 48), chain.seen.len() as u64);
            let end = 96 + u32_at(group, 56) as usize;
            assert_eq!(u32_at(group, 64), crc(salt, &group[96..end]));
            let whole = end.next_multiple_of(4096);
            assert!(group[68..92].iter().chain(&group[end..whole]).all(|&byte| byte == 0));
            let mut from = 96;
            for _ in 0..u32_at(group, 60) {
                from += chain.frame(&group[from..]);
            }
            assert_eq!(from, end);
            at += whole;
        }
    }
    assert_eq!(chain.seen, expected(30, 9000));
    let mark = &image["watermark"];
    let newest = [0, 4096].into_iter().max_by_key(|&at| u64_at(mark, at + 32)).unwrap();
    assert_eq!((&mark[newest..newest + 8], u64_at(mark, newest + 40)), (b"FLORWMRK".as_slice(), 30));
    assert_eq!(u32_at(mark, newest + 4092), crc32fast::hash(&mark[newest..newest + 4092]));
    assert_eq!(u64_at(mark, newest + 32) % 2, (newest / 4096) as u64);
    assert_eq!(u64_at(mark, newest + 48), groups);
}

#[test]
fn the_page_is_enough_to_read_a_pack() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, 300).unwrap();
    let mut packer = log.reader.packer();
    let packed = loop {
        log.append_all(1);
        if let Some(packed) = packer.pack_next(&mut |_| std::ops::ControlFlow::Continue(())).unwrap() {
            break packed;
        }
    };
    let sealed = log.reader.sealed(0);
    log.writer.shutdown().unwrap();
    let mut chain = Chain::of(&ledger);
    let file = &storage.live()[&format!("log/0000000001-{:010}.pack", packed.last)];
    assert_eq!((&file[..8], u32_at(file, 8), u32_at(file, 12)), (b"FLORPACK".as_slice(), 1, 4096));
    assert_eq!(&file[16..32], chain.id);
    assert_eq!((u64_at(file, 32), u64_at(file, 40), u64_at(file, 48)), (1, packed.last, 65536));
    let segments = u32_at(file, 56) as usize;
    assert_eq!(segments as u64, packed.last);
    let header = (160 + 80 * segments + 32).next_multiple_of(4096);
    let (digested, digest) = file[..header].split_at(header - 32);
    assert_eq!(blake3::hash(digested).as_bytes(), digest);
    assert!(file[60..64].iter().chain(&file[136..160]).chain(&digested[160 + 80 * segments..]).all(|&byte| byte == 0));
    assert_eq!(u64_at(file, 120), header as u64);
    let (mut at, mut group) = (header, 1);
    for segment in 0..segments {
        let row = &file[160 + 80 * segment..];
        assert_eq!(u64_at(row, 0), sealed[segment].salt);
        assert!(u64_at(row, 8) == 1 && segment == 0 || u64_at(row, 8) > group);
        group = u64_at(row, 8);
        assert_eq!((u64_at(row, 16), u64_at(row, 24)), (chain.seen.len() as u64 + 1, chain.sequence));
        assert_eq!((&row[32..64], u64_at(row, 64)), (&chain.mac[..], at as u64));
        let end = at + u64_at(row, 72) as usize;
        while at < end {
            at += chain.frame(&file[at..]);
        }
        assert_eq!(at, end);
    }
    assert!(u64_at(file, 64) > group);
    assert_eq!((u64_at(file, 72), u64_at(file, 80)), (chain.seen.len() as u64 + 1, chain.sequence));
    assert_eq!((&file[88..120], u64_at(file, 128)), (&chain.mac[..], (at - header) as u64));
    assert_eq!(file.len(), at.next_multiple_of(4096));
    assert!(file[at..].iter().all(|&byte| byte == 0));
    assert_eq!(chain.seen, expected(chain.seen.len() as u64, 300));
}
