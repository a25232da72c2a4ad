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

#[test]
fn the_page_is_enough_to_read_a_log() {
    let ledger = Ledger::new(64 << 10);
    let storage = MemStorage::of(ledger.image());
    let mut log = start(ledger.recover_on(&storage).unwrap().0, 9000).unwrap();
    log.append_all(30);
    log.writer.shutdown().unwrap();

    let key = std::fs::read_to_string(ledger.data().join("keys/chain-1.key")).unwrap();
    let hex = key.strip_prefix("florin chain key 1\nid 1\nsecret ").unwrap().trim_end();
    let secret: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let id = ledger.manifest.ledger.0;
    let mut mac: Vec<u8> = Sha256::digest([b"florin chain start 1".as_slice(), &id].concat()).to_vec();
    let (mut seen, mut groups, mut sequence) = (Vec::new(), 0, 1);
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
        assert_eq!((u64_at(file, 56), u64_at(file, 64)), (groups + 1, seen.len() as u64 + 1));
        assert_eq!((u64_at(file, 72), &file[80..112]), (sequence, &mac[..]));
        assert!(file[112..4092].iter().all(|&byte| byte == 0));
        let mut at = 4096;
        while at < file.len() && file[at..].starts_with(b"FLGR") {
            let group = &file[at..];
            assert_eq!(u32_at(group, 92), crc(salt, &group[..92]));
            assert_eq!((u32_at(group, 4), &group[8..24]), (1, &id[..]));
            groups += 1;
            assert_eq!((u64_at(group, 24), u64_at(group, 32), u64_at(group, 40)), (ordinal, at as u64, groups));
            assert_eq!(u64_at(group, 48), seen.len() as u64);
            let end = 96 + u32_at(group, 56) as usize;
            assert_eq!(u32_at(group, 64), crc(salt, &group[96..end]));
            let whole = end.next_multiple_of(4096);
            assert!(group[68..92].iter().chain(&group[end..whole]).all(|&byte| byte == 0));
            let mut from = 96;
            for _ in 0..u32_at(group, 60) {
                let frame = &group[from..];
                assert_eq!((&frame[..4], u32_at(frame, 4), &frame[8..24]), (b"FLFR".as_slice(), 1, &id[..]));
                assert_eq!((u64_at(frame, 24), u64_at(frame, 32)), (seen.len() as u64 + 1, sequence));
                assert_eq!(u32_at(frame, 52), 1);
                let vouchers_at = 160 + u32_at(frame, 56) as usize;
                let frame_end = vouchers_at + u32_at(frame, 60) as usize;
                let (payload, vouchers) = (&frame[160..vouchers_at], &frame[vouchers_at..frame_end]);
                assert_eq!(&frame[64..96], blake3::hash(payload).as_bytes());
                assert_eq!(&frame[96..128], blake3::hash(vouchers).as_bytes());
                let mut chain = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
                chain.update(&mac);
                chain.update(&frame[..128]);
                mac = chain.finalize().into_bytes().to_vec();
                assert_eq!(&frame[128..160], mac);
                let (count, time_ns) = (u32_at(frame, 48), u64_at(frame, 40));
                let body = (payload.to_vec(), vouchers.to_vec());
                seen.push(Seen { number: u64_at(frame, 24), first_sequence: sequence, count, time_ns, body });
                sequence += u64::from(count);
                from += frame_end;
            }
            assert_eq!(from, end);
            at += whole;
        }
    }
    assert_eq!(seen, expected(30, 9000));
    let mark = &image["watermark"];
    let newest = [0, 4096].into_iter().max_by_key(|&at| u64_at(mark, at + 32)).unwrap();
    assert_eq!((&mark[newest..newest + 8], u64_at(mark, newest + 40)), (b"FLORWMRK".as_slice(), 30));
    assert_eq!(u32_at(mark, newest + 4092), crc32fast::hash(&mark[newest..newest + 4092]));
    assert_eq!(u64_at(mark, newest + 32) % 2, (newest / 4096) as u64);
    assert_eq!(u64_at(mark, newest + 48), groups);
}
