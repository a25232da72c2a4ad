//! The codec: random values there and back, damaged frames, random bytes.

mod common;

use bytes::Bytes;
use common::{Random, hello, request, transfers};
use florin_engine::{Command, Reply};
use florin_net::codec::replies::{self, Asked};
use florin_net::codec::requests::{self, Request};
use florin_net::codec::{self, hello::Hello, hello::HelloReply};
use florin_net::header::{Header, OPERATIONS, Operation, REPLY_BIT};
use florin_net::limits::{HEADER_BYTES, REPLY_BYTES_MAX};
use florin_net::{ErrorCode, ProtocolError};

/// Reads a whole frame of a request, as a server does.
fn decode_request(frame: &[u8]) -> Result<(Operation, Header, Request), ProtocolError> {
    let short = || ProtocolError::new(ErrorCode::FrameCut, "cut");
    let header = Header::decode(frame.first_chunk().ok_or_else(short)?)?;
    let operation = requests::check_header(&header)?;
    let payload = frame.get(HEADER_BYTES..HEADER_BYTES + header.length as usize).ok_or_else(short)?;
    header.check_payload(payload)?;
    Ok((operation, header, requests::decode(operation, &header, Bytes::copy_from_slice(payload))?))
}

/// Reads the payload of any reply, as a client does, into something printable.
fn decode_reply(operation: Operation, count: u32, payload: &[u8]) -> Result<String, codec::ReplyError> {
    Ok(match operation {
        Operation::Hello => format!("{:?}", HelloReply::decode(payload)?),
        Operation::Ping | Operation::Stats => String::new(),
        Operation::OpenAccounts | Operation::PostTransfers | Operation::PostJournals | Operation::Control => {
            let reply = codec::posts::decode(count, payload)?;
            format!("{reply:?} {}", reply.items().map(|i| i.sequence & 1).sum::<u64>())
        }
        Operation::LookUpAccounts => format!("{:?}", codec::accounts::decode(count, payload)?),
        Operation::ListAccounts => format!("{:?}", codec::accounts::decode_page(count, payload)?),
        Operation::LookUpTransactions => format!("{:?}", codec::transactions::decode(count, payload)?),
        Operation::Statement => format!("{:?}", codec::statements::decode(count, payload)?),
        Operation::Assets => format!("{:?}", codec::assets::decode(count, payload)?),
    })
}

fn sample_requests() -> Vec<Vec<u8>> {
    let mut journal = vec![0; 64 + 2 * 48 + 3];
    journal[0] = 1;
    journal[38] = 3;
    journal[40] = 2;
    let ids = codec::requests::encode_ids(&[1, 2]);
    let statement = codec::requests::encode_statement(7, None, 10);
    vec![
        hello(),
        request(Operation::Ping, 1, 0, &[]),
        request(Operation::OpenAccounts, 2, 1, &[0; 192]),
        request(Operation::PostTransfers, 3, 2, &transfers(1, 2)),
        request(Operation::PostJournals, 4, 1, &journal),
        request(Operation::Control, 5, 1, &codec::requests::encode_control(9, b"{}")),
        request(Operation::LookUpAccounts, 6, 2, &ids),
        request(Operation::ListAccounts, 7, 0, &codec::requests::encode_list(3, 4)),
        request(Operation::LookUpTransactions, 8, 2, &ids),
        request(Operation::Statement, 9, 0, &statement),
        request(Operation::Assets, 10, 0, &[]),
        request(Operation::Stats, 11, 0, &[]),
    ]
}

fn sample_replies(random: &mut Random) -> Vec<(Operation, Reply)> {
    let accounts = vec![Some(random.account()), None, Some(random.account())];
    let page = vec![random.account(), random.account()];
    let transactions = vec![Some(random.transaction(4, 30)), None, Some(random.transaction(254, 4_096))];
    let entries = random.below(30);
    vec![
        (Operation::PostTransfers, Reply::Posted(random.post_reply())),
        (Operation::LookUpAccounts, Reply::Accounts { accounts, position: random.u64() }),
        (Operation::ListAccounts, Reply::AccountPage { accounts: page, position: random.u64() }),
        (Operation::LookUpTransactions, Reply::Transactions { transactions, position: random.u64() }),
        (Operation::Statement, Reply::Statement(None)),
        (Operation::Statement, Reply::Statement(Some(Box::new(random.page(entries, 50))))),
        (Operation::Assets, Reply::Assets((0..5).map(|_| random.asset()).collect())),
        (Operation::Stats, Reply::Stats(Box::default())),
    ]
}

fn encode_reply(operation: Operation, reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    replies::append(&mut out, &Asked { operation, flags: 0, institution: 1, request: 77 }, reply);
    out
}

#[test]
fn every_reply_comes_back_as_the_value_it_was() {
    let mut random = Random(21);
    let mut values = 0;
    for _ in 0..400 {
        for (operation, reply) in sample_replies(&mut random) {
            let frame = encode_reply(operation, &reply);
            let header = Header::decode(frame.first_chunk().unwrap()).unwrap();
            let payload = &frame[HEADER_BYTES..];
            header.check_payload(payload).unwrap();
            assert_eq!((header.operation, header.request), (operation as u8 | REPLY_BIT, 77));
            let count = header.count;
            match reply {
                Reply::Posted(value) => assert_eq!(codec::posts::decode(count, payload).unwrap(), value),
                Reply::Accounts { accounts, position } => {
                    assert_eq!(codec::accounts::decode(count, payload).unwrap(), (accounts, position));
                }
                Reply::AccountPage { accounts, position } => {
                    assert_eq!(codec::accounts::decode_page(count, payload).unwrap(), (accounts, position));
                }
                Reply::Transactions { transactions, position } => {
                    assert_eq!(codec::transactions::decode(count, payload).unwrap(), (transactions, position));
                }
                Reply::Statement(page) => {
                    assert_eq!(codec::statements::decode(count, payload).unwrap(), page.map(|page| *page));
                }
                Reply::Assets(assets) => assert_eq!(codec::assets::decode(count, payload).unwrap(), assets),
                Reply::Stats(stats) => {
                    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
                    assert_eq!(value, serde_json::to_value(*stats).unwrap());
                }
                Reply::ForeignToken | Reply::Failed(_) => unreachable!("not a sample"),
            }
            values += 1;
        }
    }
    println!("{values} values passed, 0 failed");
}

#[test]
fn every_header_and_every_small_request_comes_back() {
    let mut random = Random(22);
    for _ in 0..2_000 {
        let header = Header {
            length: random.u64() as u32,
            operation: random.u64() as u8,
            flags: random.u64() as u16,
            institution: random.u64() as u32,
            request: random.u64(),
            count: random.u64() as u32,
            payload_checksum: random.u64() as u32,
        };
        assert_eq!(Header::decode(&header.encode()).unwrap(), header);
        let ids: Vec<u128> = (0..1 + random.below(50)).map(|_| random.u128()).collect();
        let payload = codec::requests::encode_ids(&ids);
        let frame = request(Operation::LookUpAccounts, 1, ids.len() as u32, &payload);
        let (_, _, decoded) = decode_request(&frame).unwrap();
        assert!(matches!(decoded, Request::Command(Command::LookUpAccounts { ids: got, .. }) if got == ids));
        let (version_min, version_max) = (random.u64() as u16 >> 1, u16::MAX);
        let hello = Hello { version_min, version_max, name: "jméno".repeat(random.below(9)) };
        let mut payload = Vec::new();
        hello.encode(&mut payload);
        assert_eq!(Hello::decode(&payload).unwrap(), hello);
    }
    for (operation, _) in OPERATIONS {
        assert_eq!(Operation::from_byte(operation as u8), Some(operation));
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_request_is_an_error() {
    let mut flips = 0;
    for frame in sample_requests() {
        decode_request(&frame).unwrap();
        for length in 0..frame.len() {
            assert!(decode_request(&frame[..length]).is_err());
        }
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = decode_request(&damaged).unwrap_err();
            let expected =
                if bit < HEADER_BYTES * 8 { ErrorCode::BadHeaderChecksum } else { ErrorCode::BadPayloadChecksum };
            assert_eq!(error.code, expected, "bit {bit}");
            flips += 1;
        }
    }
    println!("{flips} flips passed, 0 failed");
}

#[test]
fn damage_that_passes_the_checksums_is_an_error_or_another_value_and_never_a_panic() {
    let mut random = Random(23);
    let (mut errors, mut values) = (0, 0);
    for (operation, reply) in sample_replies(&mut random) {
        let frame = encode_reply(operation, &reply);
        let header = Header::decode(frame.first_chunk().unwrap()).unwrap();
        let payload = &frame[HEADER_BYTES..];
        if operation != Operation::Stats {
            let fits = |length: usize| decode_reply(operation, header.count, &payload[..length]).is_ok();
            // Only a post's reply has an end that does not follow from its rows: whole posting results.
            let short: Vec<_> = (0..payload.len()).filter(|&length| fits(length)).collect();
            assert!(
                short
                    .iter()
                    .all(|length| operation == Operation::PostTransfers && (payload.len() - length).is_multiple_of(24))
            );
        }
        for bit in 0..payload.len().min(4_000) * 8 {
            let mut damaged = payload.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match decode_reply(operation, header.count, &damaged) {
                Ok(_) => values += 1,
                Err(_) => errors += 1,
            }
        }
        for count in [0, header.count.wrapping_sub(1), header.count + 1, 1 << 20, u32::MAX] {
            let _ = decode_reply(operation, count, payload);
        }
    }
    for frame in sample_requests() {
        let (operation, header, _) = decode_request(&frame).unwrap();
        for bit in 0..(frame.len() - HEADER_BYTES) * 8 {
            let mut payload = frame[HEADER_BYTES..].to_vec();
            payload[bit / 8] ^= 1 << (bit % 8);
            match requests::decode(operation, &header, payload.into()) {
                Ok(_) => values += 1,
                Err(_) => errors += 1,
            }
        }
    }
    println!("{errors} errors, {values} other values, 0 panics");
}

#[test]
fn random_bytes_never_panic_a_decoder() {
    let mut random = Random(24);
    let cases = 300_000;
    for _ in 0..cases {
        let length = random.below(400);
        let mut bytes = random.bytes(length);
        // Small numbers get further than large ones.
        for byte in &mut bytes {
            if random.u64() & 3 != 0 {
                *byte &= 3;
            }
        }
        let (operation, _) = OPERATIONS[random.below(OPERATIONS.len())];
        let count = random.below(4) as u32;
        let _ = decode_reply(operation, count, &bytes);
        let _ = codec::errors::decode(&bytes);
        let header = Header { operation: operation as u8, count, length: bytes.len() as u32, ..Header::default() };
        if let Ok(operation) = requests::check_header(&header)
            && let Ok(Request::Command(Command::Post { request, .. })) =
                requests::decode(operation, &header, Bytes::from(bytes.clone()))
        {
            for i in 0..request.count() {
                let _ = request.check_shape(i);
            }
        }
        if let Some(bytes) = bytes.first_chunk() {
            let _ = Header::decode(bytes);
        }
    }
    println!("{cases} cases passed, 0 failed");
}

#[test]
fn a_reply_never_exceeds_its_limit() {
    let mut random = Random(25);
    let transactions = (0..1_000).map(|_| Some(random.transaction(254, 4_096))).collect();
    let frame = encode_reply(Operation::LookUpTransactions, &Reply::Transactions { transactions, position: 1 });
    assert!(frame.len() <= HEADER_BYTES + REPLY_BYTES_MAX);
    assert!(frame.len() > REPLY_BYTES_MAX - 30_000, "as many as fit");
    let page = random.page(1_300, 4_096);
    let frame = encode_reply(Operation::Statement, &Reply::Statement(Some(Box::new(page))));
    let (code, _) = codec::errors::decode(&frame[HEADER_BYTES..]).unwrap();
    assert_eq!(ErrorCode::from_number(code), Some(ErrorCode::ReplyTooLarge));
}
