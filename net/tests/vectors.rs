//! The published test vectors: `vectors/protocol.txt` has the bytes of a request and a reply of each operation.
//!
//! With `FLORIN_WRITE_VECTORS=1` the file is written anew; otherwise it must be what this code encodes and decodes.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;

use florin_core::asset::{Asset, ControlRecord};
use florin_core::entry::{
    AccountRecord, PostReply, PostingRecord, ResultRun, RowKind, StatementEntry, StatementPage, StatementToken, Status,
    TransactionRecord,
};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostForm, PostingResult, Side};
use florin_engine::Reply;
use florin_net::codec::hello::{Hello, HelloReply};
use florin_net::codec::replies::{self, Asked};
use florin_net::codec::{self, requests};
use florin_net::header::{Header, OPERATIONS, Operation, REPLY_BIT, WANT_POSTINGS};
use florin_net::limits::HEADER_BYTES;
use florin_net::{ErrorCode, NewAccount, ProtocolError, Transaction, frame};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/protocol.txt");

fn request(operation: Operation, request: u64, flags: u16, count: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { operation: operation as u8, flags, institution: 1, request, count, ..Header::default() };
    let mut out = Vec::new();
    frame::append(&mut out, header, |out, _| out.extend_from_slice(payload));
    out
}

fn reply(operation: Operation, request: u64, flags: u16, reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    replies::append(&mut out, &Asked { operation, flags, institution: 1, request }, reply);
    out
}

fn account() -> AccountRecord {
    AccountRecord {
        institution: 1,
        account: 0xa1,
        asset: 203,
        subject: 0,
        normal_side: Side::Credit,
        category: 0,
        status: Status::Open,
        owner: 0x0e,
        floor: Some(0),
        ceiling: None,
        alarm: Some(-1),
        posted: 12_345,
        held: 0,
        version: 2,
        opened: 7,
        last_entry: 21,
        label: "Nováková".into(),
    }
}

fn item(outcome: Outcome, repeat: bool, detail: u16, sequence: u64, booked_at: u64) -> ItemResult {
    ItemResult { outcome, repeat, detail, sequence, booked_at }
}

const BOOKED_AT: u64 = 1_700_000_000_000_000_000;

fn posted() -> PostReply {
    PostReply {
        runs: vec![
            ResultRun { count: 1, first: item(Outcome::Posted, false, 0, 21, BOOKED_AT) },
            ResultRun { count: 1, first: item(Outcome::BelowFloor, true, 0, 9, BOOKED_AT - 5) },
        ],
        postings: vec![PostingResult { version: 4, balance: -12_345 }, PostingResult { version: 2, balance: 12_345 }],
    }
}

fn transaction() -> TransactionRecord {
    let posting = |account, side, version, balance, previous| PostingRecord {
        account,
        amount: 345,
        asset: 203,
        side,
        result: PostingResult { version, balance },
        previous,
    };
    TransactionRecord {
        institution: 1,
        principal: 0,
        kind: RowKind::Transfer,
        id: 0x1001,
        result: item(Outcome::Posted, false, 0, 21, BOOKED_AT),
        reference: 0x77,
        code: 12,
        accounting_date: 19_675,
        value_date: 19_676,
        postings: vec![posting(0xb2, Side::Debit, 4, -12_345, 20), posting(0xa1, Side::Credit, 2, 12_345, 15)],
        voucher: b"{}".to_vec(),
        voucher_length: 2,
        voucher_digest: std::array::from_fn(|i| i as u8),
    }
}

fn page() -> StatementPage {
    StatementPage {
        account: account(),
        entries: vec![StatementEntry {
            sequence: 21,
            version: 2,
            kind: RowKind::Transfer,
            id: 0x1001,
            side: Side::Credit,
            amount: 345,
            asset: 203,
            balance: 12_345,
            counterparty: 0xb2,
            previous: 15,
            reference: 0x77,
            code: 12,
            principal: 0,
            booked_at: BOOKED_AT,
            accounting_date: 19_675,
            value_date: 19_676,
            voucher: b"{}".to_vec(),
        }],
        next: Some(StatementToken { sequence: 15, version: 1 }),
        position: 21,
    }
}

fn hello() -> Hello {
    Hello { version_min: 1, version_max: 1, name: "example".into() }
}

fn hello_reply() -> HelloReply {
    HelloReply { name: "florin".into(), ..HelloReply::of_this_build(1, 1_024) }
}

fn payload(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out);
    out
}

/// All vectors, in the order of the operations.
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    use Operation as Op;
    let transfer = |id, voucher: &[u8]| {
        Transaction::transfer(id, 0xb2, 0xa1, 203, 345)
            .with_reference(0x77)
            .with_code(12)
            .with_value_date(19_676)
            .with_voucher(voucher)
    };
    let (form, transfers) =
        florin_net::client::encode_transactions(&[transfer(0x1001, b"{}"), transfer(0x1002, b"")]).unwrap();
    assert_eq!(form, PostForm::Transfers);
    let journal = Transaction::journal(0x1003)
        .with_posting(Side::Debit, 0xb2, 203, 500)
        .with_posting(Side::Credit, 0xa1, 203, 400)
        .with_posting(Side::Credit, 0xc3, 203, 100)
        .with_voucher("fee");
    let (form, journals) = florin_net::client::encode_transactions(&[journal]).unwrap();
    assert_eq!(form, PostForm::Journals);
    let opening = NewAccount {
        owner: 0x0e,
        alarm: Some(-1),
        label: "Nováková".into(),
        ..NewAccount::new(0xa1, 203, Side::Credit)
    };
    let openings = florin_net::client::encode_accounts(&[opening]).unwrap();
    let asset = Asset { number: 203, code: "CZK".into(), scale: 2 };
    let control = requests::encode_control(0x1004, &ControlRecord::register(&asset).canonical());
    let one = |sequence| PostReply {
        runs: vec![ResultRun { count: 1, first: item(Outcome::Posted, false, 0, sequence, BOOKED_AT) }],
        postings: vec![],
    };
    let hello_asked = Asked { operation: Op::Hello, flags: 0, institution: 1, request: 0 };
    let ping_asked = Asked { operation: Op::Ping, flags: 0, institution: 1, request: 1 };
    let accounts = Reply::Accounts { accounts: vec![Some(account()), None], position: 21 };
    let transactions = Reply::Transactions { transactions: vec![Some(transaction()), None], position: 21 };
    let ids = requests::encode_ids;
    let from = Some(StatementToken { sequence: 21, version: 2 });
    let unknown = ProtocolError::new(ErrorCode::UnknownOperation, "operation 99 does not exist");
    vec![
        ("hello.request", request(Op::Hello, 0, 0, 0, &payload(|out| hello().encode(out)))),
        ("hello.reply", payload(|out| frame::append(out, hello_asked.header(), |out, _| hello_reply().encode(out)))),
        ("ping.request", request(Op::Ping, 1, 0, 0, &[])),
        ("ping.reply", payload(|out| frame::append(out, ping_asked.header(), |_, _| {}))),
        ("open_accounts.request", request(Op::OpenAccounts, 2, 0, 1, &openings)),
        ("open_accounts.reply", reply(Op::OpenAccounts, 2, 0, &Reply::Posted(one(7)))),
        ("post_transfers.request", request(Op::PostTransfers, 3, WANT_POSTINGS, 2, &transfers)),
        ("post_transfers.reply", reply(Op::PostTransfers, 3, WANT_POSTINGS, &Reply::Posted(posted()))),
        ("post_journals.request", request(Op::PostJournals, 4, 0, 1, &journals)),
        ("post_journals.reply", reply(Op::PostJournals, 4, 0, &Reply::Posted(one(22)))),
        ("control.request", request(Op::Control, 5, 0, 1, &control)),
        ("control.reply", reply(Op::Control, 5, 0, &Reply::Posted(one(1)))),
        ("look_up_accounts.request", request(Op::LookUpAccounts, 6, 0, 2, &ids(&[0xa1, 0xff]))),
        ("look_up_accounts.reply", reply(Op::LookUpAccounts, 6, 0, &accounts)),
        ("list_accounts.request", request(Op::ListAccounts, 7, 0, 0, &requests::encode_list(6, 100))),
        (
            "list_accounts.reply",
            reply(Op::ListAccounts, 7, 0, &Reply::AccountPage { accounts: vec![account()], position: 21 }),
        ),
        ("look_up_transactions.request", request(Op::LookUpTransactions, 8, 0, 2, &ids(&[0x1001, 0xff]))),
        ("look_up_transactions.reply", reply(Op::LookUpTransactions, 8, 0, &transactions)),
        ("statement.request", request(Op::Statement, 9, 0, 0, &requests::encode_statement(0xa1, from, 1))),
        ("statement.reply", reply(Op::Statement, 9, 0, &Reply::Statement(Some(Box::new(page()))))),
        ("assets.request", request(Op::Assets, 10, 0, 0, &[])),
        ("assets.reply", reply(Op::Assets, 10, 0, &Reply::Assets(vec![asset]))),
        ("stats.request", request(Op::Stats, 11, 0, 0, &[])),
        ("error.reply", payload(|out| codec::errors::append(out, 0, 12, &unknown))),
    ]
}

fn read() -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(PATH).expect("the vectors are part of the repository");
    let mut vectors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_suffix(':') {
            Some(next) => {
                name = next.to_owned();
                vectors.insert(name.clone(), Vec::new());
            }
            None => vectors
                .get_mut(&name)
                .expect("a name comes first")
                .extend(line.split_whitespace().map(|hex| u8::from_str_radix(hex, 16).expect("bytes in hexadecimal"))),
        }
    }
    vectors
}

fn write() {
    let mut text = String::from(
        "# Test vectors of the Florin protocol, version 1: whole frames in hexadecimal, 16 bytes a line.\n\
         # docs/protocol.md explains them; tests/vectors.rs has the values.\n",
    );
    for (name, bytes) in vectors() {
        writeln!(text, "\n{name}:").unwrap();
        for line in bytes.chunks(16) {
            let hex: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{}", hex.join(" ")).unwrap();
        }
    }
    std::fs::write(PATH, text).unwrap();
}

#[test]
fn encoding_gives_the_published_bytes_and_they_decode_to_the_values() {
    if std::env::var_os("FLORIN_WRITE_VECTORS").is_some() {
        write();
    }
    let published = read();
    let vectors = vectors();
    assert_eq!(published.len(), vectors.len());
    for (name, bytes) in &vectors {
        assert_eq!(&published[*name], bytes, "{name}");
        let header = Header::decode(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(HEADER_BYTES + header.length as usize, bytes.len());
        header.check_payload(&bytes[HEADER_BYTES..]).unwrap();
        if name.ends_with(".request") {
            let operation = requests::check_header(&header).unwrap();
            assert_eq!(name.strip_suffix(".request"), Some(operation.name()));
            requests::decode(operation, &header, bytes[HEADER_BYTES..].to_vec().into()).unwrap();
        } else {
            assert_ne!(header.operation & REPLY_BIT, 0);
        }
    }
    for (operation, name) in OPERATIONS {
        assert!(published.contains_key(&format!("{name}.request")), "{operation:?}");
    }
    let decode = |name: &str| {
        let bytes = &published[name];
        (Header::decode(bytes.first_chunk().unwrap()).unwrap().count, &bytes[HEADER_BYTES..])
    };
    assert_eq!(HelloReply::decode(decode("hello.reply").1).unwrap(), hello_reply());
    assert_eq!(Hello::decode(decode("hello.request").1).unwrap(), hello());
    let (count, bytes) = decode("post_transfers.reply");
    assert_eq!(codec::posts::decode(count, bytes).unwrap(), posted());
    let (count, bytes) = decode("look_up_accounts.reply");
    assert_eq!(codec::accounts::decode(count, bytes).unwrap(), (vec![Some(account()), None], 21));
    let (count, bytes) = decode("list_accounts.reply");
    assert_eq!(codec::accounts::decode_page(count, bytes).unwrap(), (vec![account()], 21));
    let (count, bytes) = decode("look_up_transactions.reply");
    assert_eq!(codec::transactions::decode(count, bytes).unwrap(), (vec![Some(transaction()), None], 21));
    let (count, bytes) = decode("statement.reply");
    assert_eq!(codec::statements::decode(count, bytes).unwrap(), Some(page()));
    let (count, bytes) = decode("assets.reply");
    assert_eq!(codec::assets::decode(count, bytes).unwrap().len(), 1);
    let (code, text) = codec::errors::decode(decode("error.reply").1).unwrap();
    assert_eq!((code, text.as_str()), (4, "operation 99 does not exist"));
    // The figures of a server grow with its releases, so they have no vector; they are JSON.
    let stats = reply(Operation::Stats, 11, 0, &Reply::Stats(Box::default()));
    assert!(serde_json::from_slice::<serde_json::Value>(&stats[HEADER_BYTES..]).unwrap().is_object());
}

#[test]
fn the_manual_shows_the_published_bytes() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md")).unwrap();
    let published = read();
    let mut shown = 0;
    for block in manual.split("```").skip(1).step_by(2) {
        let Some((name, hex)) = block.strip_prefix("vector ").and_then(|block| block.split_once('\n')) else {
            continue;
        };
        let bytes: Vec<u8> = hex
            .lines()
            .flat_map(|line| line.split('|').next().unwrap_or("").split_whitespace())
            .map(|hex| u8::from_str_radix(hex, 16).expect("bytes in hexadecimal"))
            .collect();
        assert_eq!(bytes, published[name.trim()], "{name}");
        shown += 1;
    }
    assert_eq!(shown, 2, "the worked example has a request and a reply");
}
