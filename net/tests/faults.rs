//! Faulty requests on raw connections: each has its error code, and nothing of it reaches the engine.

mod common;

use common::{Raw, Script, hello, local, options, request, server, transfers};
use florin_core::entry::{Moment, Order, Span};
use florin_engine::{Command, Reply};
use florin_net::ErrorCode;
use florin_net::codec::questions::{encode_balance_at, encode_related, encode_statement, encode_watch};
use florin_net::header::{Operation, REPLY_BIT, WANT_POSTINGS};
use florin_net::limits::HEADER_BYTES;

/// Changes one field of a frame's header and mends the checksum.
fn with(mut frame: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut frame);
    frame[4..8].fill(0);
    let checksum = crc32fast::hash(&frame[..HEADER_BYTES]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

#[test]
fn each_fault_has_its_error_code_and_closes_the_connection() {
    let ping = || request(Operation::Ping, 7, 0, &[]);
    let post = || request(Operation::PostTransfers, 7, 1, &transfers(1, 1));
    let put = |frame: Vec<u8>, at: usize, bytes: &[u8]| {
        with(frame, |frame| frame[at..at + bytes.len()].copy_from_slice(bytes))
    };
    let change = || request(Operation::ChangeAccounts, 7, 1, &[0; 128]);
    let statement = |at: usize, value: u8| {
        let mut payload = encode_statement(1, Span::All, Order::Newest, None, 1);
        payload[at] = value;
        request(Operation::Statement, 7, 0, &payload)
    };
    let balance_at = |at: usize, value: u8, kind: u8| {
        let mut payload = encode_balance_at(1, Moment::Time(0));
        payload[at] = value;
        payload[24] = kind;
        payload
    };
    let related = |operation: Operation, id: u128, limit: u32, reserved: u8| {
        let mut payload = encode_related(id, 0, limit);
        payload[28] = reserved;
        request(operation, 7, 0, &payload)
    };
    let mut broken_header = ping();
    broken_header[12] ^= 1;
    let mut broken_payload = post();
    *broken_payload.last_mut().unwrap() ^= 1;
    let cases: Vec<(&str, Vec<u8>, ErrorCode)> = vec![
        ("header checksum", broken_header, ErrorCode::BadHeaderChecksum),
        ("payload checksum", broken_payload, ErrorCode::BadPayloadChecksum),
        ("version 2", put(ping(), 8, &[2]), ErrorCode::BadVersion),
        ("direction", put(ping(), 9, &[Operation::Ping as u8 | REPLY_BIT]), ErrorCode::BadHeader),
        ("operation 0", put(ping(), 9, &[0]), ErrorCode::UnknownOperation),
        ("operation 20", put(ping(), 9, &[20]), ErrorCode::UnknownOperation),
        ("flag 2", put(post(), 10, &[2]), ErrorCode::BadHeader),
        ("flag of a post on a ping", put(ping(), 10, &[WANT_POSTINGS as u8]), ErrorCode::BadHeader),
        ("reserved", put(ping(), 28, &[1]), ErrorCode::BadHeader),
        ("session sequence", put(ping(), 32, &[1]), ErrorCode::BadHeader),
        ("reserved check", put(ping(), 44, &[1]), ErrorCode::BadHeader),
        ("length 1 MiB + 1", put(post(), 0, &((1 << 20) + 1u32).to_le_bytes()), ErrorCode::BadLength),
        ("length 4 GiB - 1", put(post(), 0, &u32::MAX.to_le_bytes()), ErrorCode::BadLength),
        ("ping with payload", request(Operation::Ping, 7, 0, &[0]), ErrorCode::BadLength),
        ("list of 15 bytes", request(Operation::ListAccounts, 7, 0, &[0; 15]), ErrorCode::BadLength),
        ("ids and count differ", request(Operation::LookUpAccounts, 7, 2, &[1; 16]), ErrorCode::BadLength),
        ("control of 15 bytes", request(Operation::Control, 7, 1, &[1; 15]), ErrorCode::BadLength),
        ("control of 16 KiB + 1", request(Operation::Control, 7, 1, &[1; 16 + 16 * 1024 + 1]), ErrorCode::BadLength),
        ("no transaction", request(Operation::PostTransfers, 7, 0, &[]), ErrorCode::OverLimit),
        ("count over the limit", request(Operation::PostTransfers, 7, 8_191, &transfers(1, 8)), ErrorCode::OverLimit),
        ("rows missing", request(Operation::PostTransfers, 7, 2, &transfers(1, 1)), ErrorCode::MalformedPayload),
        ("rows left over", request(Operation::PostTransfers, 7, 1, &transfers(1, 2)), ErrorCode::MalformedPayload),
        ("half an item", request(Operation::PostItems, 7, 1, &[255; 64]), ErrorCode::MalformedPayload),
        ("half an opening", request(Operation::OpenAccounts, 7, 1, &[0; 100]), ErrorCode::MalformedPayload),
        ("no ids", request(Operation::LookUpAccounts, 7, 0, &[]), ErrorCode::OverLimit),
        ("1,001 ids", request(Operation::LookUpTransactions, 7, 1_001, &[1; 16 * 1_001]), ErrorCode::OverLimit),
        ("limit 0", request(Operation::ListAccounts, 7, 0, &[0; 16]), ErrorCode::OverLimit),
        ("limit over", request(Operation::Statement, 7, 0, &[255; 64]), ErrorCode::OverLimit),
        ("statement of 48 bytes", request(Operation::Statement, 7, 0, &[0; 48]), ErrorCode::BadLength),
        ("span 4", statement(52, 4), ErrorCode::MalformedPayload),
        ("order 2", statement(53, 2), ErrorCode::MalformedPayload),
        ("bounds of all entries", statement(32, 1), ErrorCode::MalformedPayload),
        ("reserved of a statement", statement(63, 1), ErrorCode::MalformedPayload),
        (
            "a date above 65,535",
            request(Operation::BalanceAt, 7, 0, &balance_at(18, 1, 2)),
            ErrorCode::MalformedPayload,
        ),
        ("moment 0", request(Operation::BalanceAt, 7, 0, &balance_at(16, 1, 0)), ErrorCode::MalformedPayload),
        ("moment 3", request(Operation::BalanceAt, 7, 0, &balance_at(16, 1, 3)), ErrorCode::MalformedPayload),
        (
            "reserved of a moment",
            request(Operation::BalanceAt, 7, 0, &balance_at(31, 1, 1)),
            ErrorCode::MalformedPayload,
        ),
        ("reference 0", related(Operation::ByReference, 0, 1, 0), ErrorCode::MalformedPayload),
        ("id 0", related(Operation::Linked, 0, 1, 0), ErrorCode::MalformedPayload),
        ("a page of 0", related(Operation::Linked, 1, 0, 0), ErrorCode::OverLimit),
        ("a page of 1,001", related(Operation::ByReference, 1, 1_001, 0), ErrorCode::OverLimit),
        ("reserved of a look-up", related(Operation::ByReference, 1, 1, 1), ErrorCode::MalformedPayload),
        ("a watch of 0", request(Operation::Watch, 7, 0, &encode_watch(0, 0, 1)), ErrorCode::OverLimit),
        ("a watch of 1,001", request(Operation::Watch, 7, 0, &encode_watch(0, 1_001, 1)), ErrorCode::OverLimit),
        (
            "a wait of a minute and more",
            request(Operation::Watch, 7, 0, &encode_watch(0, 1, 60_001)),
            ErrorCode::OverLimit,
        ),
        ("a watch of 15 bytes", request(Operation::Watch, 7, 0, &[1; 15]), ErrorCode::BadLength),
        ("no change", request(Operation::ChangeAccounts, 7, 0, &[]), ErrorCode::OverLimit),
        ("8,193 changes", request(Operation::ChangeAccounts, 7, 8_193, &[0; 128]), ErrorCode::OverLimit),
        ("half a change", request(Operation::ChangeAccounts, 7, 1, &[0; 100]), ErrorCode::MalformedPayload),
        ("a reason that is missing", request(Operation::ChangeAccounts, 7, 1, &[1; 128]), ErrorCode::MalformedPayload),
        ("postings of a change", put(change(), 10, &[WANT_POSTINGS as u8]), ErrorCode::BadHeader),
        ("institutions with payload", request(Operation::Institutions, 7, 0, &[0]), ErrorCode::BadLength),
        ("a snapshot with payload", request(Operation::Snapshot, 7, 0, &[0]), ErrorCode::BadLength),
        ("second hello", hello(), ErrorCode::HelloRepeated),
    ];
    local(async {
        let engine = Script::new(|command, on_reply| {
            assert!(matches!(command, Command::Assets), "nothing faulty reaches the engine: {command:?}");
            on_reply(Reply::Assets(vec![]));
        });
        let server = server(engine, options()).await;
        for (what, bytes, expected) in cases {
            let mut raw = Raw::greeted(&server).await;
            // A request before it is still answered, and before the error.
            raw.send(&request(Operation::Assets, 6, 0, &[])).await;
            raw.send(&bytes).await;
            assert_eq!(raw.reply().await.unwrap().0.request, 6, "{what}");
            assert_eq!(raw.closing_error().await, expected, "{what}");
        }
    });
}

#[test]
fn a_connection_that_does_not_begin_with_a_good_hello_is_refused() {
    let with_payload = |at: usize, value: u8| {
        let mut payload = hello()[HEADER_BYTES..].to_vec();
        payload[at] = value;
        request(Operation::Hello, 0, 0, &payload)
    };
    let cases = [
        ("ping first", request(Operation::Ping, 1, 0, &[]), ErrorCode::HelloExpected),
        ("post first", request(Operation::PostTransfers, 1, 1, &transfers(1, 1)), ErrorCode::HelloExpected),
        (
            "versions 2 to 3",
            {
                let mut p = hello()[HEADER_BYTES..].to_vec();
                p[0] = 2;
                p[2] = 3;
                request(Operation::Hello, 0, 0, &p)
            },
            ErrorCode::BadVersion,
        ),
        ("versions 1 to 0", with_payload(2, 0), ErrorCode::MalformedPayload),
        ("authentication 1", with_payload(4, 1), ErrorCode::UnsupportedAuthentication),
        ("a name of 65 bytes", with_payload(5, 65), ErrorCode::MalformedPayload),
        ("a challenge", with_payload(8, 1), ErrorCode::MalformedPayload),
        ("a name that is not UTF-8", with_payload(40, 0xff), ErrorCode::MalformedPayload),
        ("a short hello", request(Operation::Hello, 0, 0, &[0; 103]), ErrorCode::BadLength),
    ];
    local(async {
        let server = server(Script::posts(), options()).await;
        for (what, bytes, expected) in cases {
            let mut raw = Raw::connect(&server).await;
            raw.send(&bytes).await;
            assert_eq!(raw.closing_error().await, expected, "{what}");
        }
    });
}
