//! The codec: random values there and back, damaged frames, random bytes.

mod common;

use bytes::Bytes;
use common::{Random, hello, request, transfers};
use florin_core::entry::{AccountRecord, Moment, Order, PostReply, ResultRun, Span, StatementToken};
use florin_engine::{Command, Reply};
use florin_net::codec::replies::{self, Asked};
use florin_net::codec::requests::{self, Request};
use florin_net::codec::{self, hello::Hello, hello::HelloReply};
use florin_net::header::{Header, OPERATIONS, Operation, REPLY_BIT, WANT_POSTINGS};
use florin_net::limits::{HEADER_BYTES, REPLY_BYTES_MAX};
use florin_net::{AccountChange, ErrorCode, ProtocolError, Transaction};

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
        Operation::OpenAccounts
        | Operation::PostTransfers
        | Operation::PostItems
        | Operation::Control
        | Operation::ChangeAccounts => {
            let reply = codec::posts::decode(count, payload)?;
            format!("{reply:?} {}", reply.items().map(|i| i.sequence & 1).sum::<u64>())
        }
        Operation::LookUpAccounts => format!("{:?}", codec::accounts::decode(count, payload)?),
        Operation::ListAccounts => format!("{:?}", codec::accounts::decode_page(count, payload)?),
        Operation::LookUpTransactions => format!("{:?}", codec::transactions::decode(count, payload)?),
        Operation::Statement => format!("{:?}", codec::statements::decode(count, payload)?),
        Operation::BalanceAt => format!("{:?}", codec::balances::decode(count, payload)?),
        Operation::ByReference | Operation::Linked | Operation::Watch => {
            format!("{:?}", codec::transactions::decode_page(count, payload)?)
        }
        Operation::Institutions => format!("{:?}", codec::institutions::decode(count, payload)?),
        Operation::Snapshot => format!("{:?}", codec::snapshots::decode(count, payload)?),
        Operation::Assets => format!("{:?}", codec::assets::decode(count, payload)?),
    })
}

fn sample_requests() -> Vec<Vec<u8>> {
    use codec::questions::*;
    let items = [
        Transaction::transfer(1, 1, 2, 1, 5).held(60).with_voucher("abc"),
        Transaction::capture(2, 1).with_amount(0, 3).with_amount(1, 3),
        Transaction::release(3, 1),
        Transaction::reverse(4, 2).forced(),
    ];
    let (_, items) = florin_net::client::encode_transactions(&items).unwrap();
    let changes = [
        AccountChange::limits(1, 2, "why").with_floor(None).with_ceiling(Some(5)),
        AccountChange::attributes(2, 2, *b"data"),
    ];
    let changes = florin_net::client::encode_changes(&changes).unwrap();
    let ids = encode_ids(&[1, 2]);
    let spans = [Span::All, Span::Versions(1, 9), Span::Times(0, u64::MAX), Span::Dates(1, 2)];
    let token = StatementToken { sequence: 0, version: 3 };
    let statements = spans
        .map(|span| request(Operation::Statement, 9, 0, &encode_statement(7, span, Order::Oldest, Some(token), 9)));
    let mut requests = vec![
        hello(),
        request(Operation::Ping, 1, 0, &[]),
        request(Operation::OpenAccounts, 2, 1, &[0; 192]),
        request(Operation::PostTransfers, 3, 2, &transfers(1, 2)),
        request(Operation::PostItems, 4, 4, &items),
        request(Operation::Control, 5, 1, &encode_control(9, b"{}")),
        request(Operation::LookUpAccounts, 6, 2, &ids),
        request(Operation::ListAccounts, 7, 0, &encode_list(3, 4)),
        request(Operation::LookUpTransactions, 8, 2, &ids),
        request(Operation::Assets, 10, 0, &[]),
        request(Operation::Stats, 11, 0, &[]),
        request(Operation::ChangeAccounts, 12, 2, &changes),
        request(Operation::BalanceAt, 13, 0, &encode_balance_at(7, Moment::Time(u64::MAX))),
        request(Operation::BalanceAt, 14, 0, &encode_balance_at(7, Moment::Date(3))),
        request(Operation::ByReference, 15, 0, &encode_related(9, 8, 1_000)),
        request(Operation::Linked, 16, 0, &encode_related(9, 8, 1)),
        request(Operation::Watch, 17, 0, &encode_watch(9, 1_000, 60_000)),
        request(Operation::Institutions, 18, 0, &[]),
        request(Operation::Snapshot, 19, 0, &[]),
    ];
    requests.extend(statements);
    requests
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
        (Operation::BalanceAt, Reply::BalanceAt(None)),
        (Operation::BalanceAt, Reply::BalanceAt(Some(random.balance_at()))),
        (Operation::Watch, Reply::TransactionPage(random.transaction_page(0, 2, 0))),
        (Operation::Watch, Reply::TransactionPage(random.transaction_page(3, 20, 100))),
        (Operation::Institutions, Reply::Institutions((0..5).map(|_| random.institution()).collect())),
        (Operation::Snapshot, Reply::Snapshot(None)),
        (Operation::Snapshot, Reply::Snapshot(Some(random.snapshot()))),
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
                Reply::BalanceAt(value) => assert_eq!(codec::balances::decode(count, payload).unwrap(), value),
                Reply::TransactionPage(page) => {
                    assert_eq!(codec::transactions::decode_page(count, payload).unwrap(), page);
                }
                Reply::Institutions(value) => {
                    assert_eq!(codec::institutions::decode(count, payload).unwrap(), value);
                }
                Reply::Snapshot(value) => assert_eq!(codec::snapshots::decode(count, payload).unwrap(), value),
                Reply::ForeignToken
                | Reply::SnapshotFailed(_)
                | Reply::InstitutionUnknown
                | Reply::PositionUnknown(_)
                | Reply::Stopping
                | Reply::Failed(_) => unreachable!("not a sample"),
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
        let payload = codec::questions::encode_ids(&ids);
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
                Ok(Request::Command(command)) => {
                    look_at_all(&command);
                    values += 1;
                }
                Ok(_) => values += 1,
                Err(_) => errors += 1,
            }
        }
    }
    println!("{errors} errors, {values} other values, 0 panics");
}

/// Looks at everything in a request, as an engine does.
fn look_at_all(command: &Command) {
    match command {
        Command::Post { request, .. } => {
            for i in 0..request.count() {
                let item = request.item(i);
                if request.check_shape(i, &item).is_ok() {
                    item.postings.iter().for_each(drop);
                }
            }
        }
        Command::Change(request) => {
            let _ = (0..request.count()).all(|i| request.change(i).check_shape().is_ok());
        }
        Command::Open(request) => {
            let _ = request.rows().iter().all(|row| row.check_shape().is_ok());
        }
        _ => {}
    }
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
            && let Ok(Request::Command(command)) = requests::decode(operation, &header, Bytes::from(bytes.clone()))
        {
            look_at_all(&command);
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
    let page = random.transaction_page(1_000, 254, 4_096);
    let frame = encode_reply(Operation::Watch, &Reply::TransactionPage(page.clone()));
    assert!((REPLY_BYTES_MAX - 40_000..=HEADER_BYTES + REPLY_BYTES_MAX).contains(&frame.len()), "as many as fit");
    let count = Header::decode(frame.first_chunk().unwrap()).unwrap().count as usize;
    let cut = codec::transactions::decode_page(count as u32, &frame[HEADER_BYTES..]).unwrap();
    assert!(count < 1_000 && cut.more && cut.transactions == page.transactions[..count]);
    assert_eq!(cut.seen, page.transactions[count].result.sequence - 1, "the next page begins with what did not fit");
    let accounts: Vec<_> = (0..8_190)
        .map(|_| Some(AccountRecord { attributes: random.bytes(1_024).into(), ..random.account() }))
        .collect();
    let frame = encode_reply(Operation::LookUpAccounts, &Reply::Accounts { accounts: accounts.clone(), position: 1 });
    assert!(frame.len() <= HEADER_BYTES + REPLY_BYTES_MAX && frame.len() > REPLY_BYTES_MAX - 2_000);
    let page: Vec<_> = accounts.iter().take(4_000).flatten().cloned().collect();
    let frame = encode_reply(Operation::ListAccounts, &Reply::AccountPage { accounts: page.clone(), position: 1 });
    assert!(codec::accounts::decode_page(4_000, &frame[HEADER_BYTES..]).unwrap().0 == page, "a page is never cut");
    let page = random.page(2_000, 4_096);
    let frame = encode_reply(Operation::Statement, &Reply::Statement(Some(Box::new(page))));
    let (code, _) = codec::errors::decode(&frame[HEADER_BYTES..]).unwrap();
    assert_eq!(ErrorCode::from_number(code), Some(ErrorCode::ReplyTooLarge));
}

#[test]
fn posting_results_that_do_not_fit_are_left_out_and_the_reply_says_so() {
    let mut random = Random(26);
    let runs: Vec<_> = (0..8_190).map(|_| ResultRun { count: 1, first: random.item() }).collect();
    for (postings, fit) in [(207_533, true), (207_534, false)] {
        let reply = PostReply { runs: runs.clone(), postings: vec![random.posting_result(); postings] };
        let mut frame = Vec::new();
        let asked = Asked { operation: Operation::PostItems, flags: WANT_POSTINGS, institution: 1, request: 1 };
        replies::append(&mut frame, &asked, &Reply::Posted(reply));
        let header = Header::decode(frame.first_chunk().unwrap()).unwrap();
        assert_eq!((header.flags == WANT_POSTINGS, header.flags & !WANT_POSTINGS), (fit, 0));
        let decoded = codec::posts::decode(header.count, &frame[HEADER_BYTES..]).unwrap();
        assert_eq!((decoded.runs.len(), decoded.postings.len()), (8_190, if fit { postings } else { 0 }));
    }
}
