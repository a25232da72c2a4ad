//! The published test vectors: `vectors/protocol.txt` has the bytes of a request and a reply of each operation.
//!
//! With `FLORIN_WRITE_VECTORS=1` the file is written anew; otherwise it must be what this code encodes and decodes.

mod common;
#[path = "vectors/samples.rs"]
mod samples;

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::{Moment, Order, PostReply, ResultRun, Span, StatementToken, Status};
use florin_core::outcome::Outcome;
use florin_core::request::{PostForm, Side};
use florin_engine::Reply;
use florin_net::client::{encode_accounts, encode_changes, encode_transactions};
use florin_net::codec::hello::{Hello, HelloReply};
use florin_net::codec::replies::{self, Asked};
use florin_net::codec::{self, questions, requests};
use florin_net::header::{Header, OPERATIONS, Operation, REPLY_BIT, WANT_POSTINGS};
use florin_net::limits::HEADER_BYTES;
use florin_net::{AccountChange, ErrorCode, NewAccount, ProtocolError, Transaction, frame};

use samples::*;

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
    let (form, transfers) = encode_transactions(&[transfer(0x1001, b"{}"), transfer(0x1002, b"")]).unwrap();
    assert_eq!(form, PostForm::Transfers);
    let journal = Transaction::journal(0x1003)
        .with_posting(Side::Debit, 0xb2, 203, 500)
        .with_posting(Side::Credit, 0xa1, 203, 400)
        .with_posting(Side::Credit, 0xc3, 203, 100)
        .with_voucher("fee");
    let items = [
        journal,
        Transaction::transfer(0x1005, 0xb2, 0xa1, 203, 345).held(3_600).with_link(0x1001),
        Transaction::increase(0x1007, 0x1005).with_amount(0, 5).with_amount(1, 5).forced(),
        Transaction::capture(0x1006, 0x1005).with_amount(0, 300).with_amount(1, 300).finally(),
        Transaction::release(0x1008, 0x1005),
        Transaction::reverse(0x1009, 0x1006),
    ];
    let (form, items) = encode_transactions(&items).unwrap();
    assert_eq!(form, PostForm::Items);
    let opening = NewAccount {
        owner: 0x0e,
        alarm: Some(-1),
        label: "Nováková".into(),
        ..NewAccount::new(0xa1, 203, Side::Credit)
    };
    let openings = encode_accounts(&[opening]).unwrap();
    let changes = [
        AccountChange::freeze(0x100a, 0xa1, Status::DebitFrozen, "court order"),
        AccountChange::limits(0x100b, 0xa1, "contract 7")
            .with_floor(Some(-500))
            .with_ceiling(None)
            .forced()
            .with_code(3),
        AccountChange::attributes(0x100c, 0xa1, *br#"{"tier":1}"#),
    ];
    let changes = encode_changes(&changes).unwrap();
    let asset = Asset { number: 203, code: "CZK".into(), scale: 2 };
    let control = questions::encode_control(0x1004, &ControlRecord::register(&asset).canonical());
    let one = |sequence| PostReply {
        runs: vec![ResultRun { count: 1, first: item(Outcome::Posted, false, 0, sequence, BOOKED_AT) }],
        postings: vec![],
    };
    // Journal and hold; an increase by too much; a capture of two entries; a release that comes too late; a reversal of
    // two.
    let posted_items = PostReply {
        runs: vec![
            ResultRun { count: 2, first: item(Outcome::Posted, false, 0, 22, BOOKED_AT + 1) },
            ResultRun { count: 1, first: item(Outcome::HoldAboveMax, false, 1, 24, BOOKED_AT + 3) },
            ResultRun { count: 1, first: item(Outcome::Posted, false, 2, 25, BOOKED_AT + 4) },
            ResultRun { count: 1, first: item(Outcome::HoldClosed, false, 0, 26, BOOKED_AT + 5) },
            ResultRun { count: 1, first: item(Outcome::Posted, false, 2, 27, BOOKED_AT + 6) },
        ],
        postings: (0..9).map(|i| result(5 + i, 100 - i128::from(i), i == 8)).collect(),
    };
    let changed = PostReply {
        runs: vec![ResultRun { count: 3, first: item(Outcome::Posted, false, 0, 28, BOOKED_AT + 7) }],
        postings: vec![],
    };
    let hello_asked = Asked { operation: Op::Hello, flags: 0, institution: 1, request: 0 };
    let ping_asked = Asked { operation: Op::Ping, flags: 0, institution: 1, request: 1 };
    let accounts = Reply::Accounts { accounts: vec![Some(account()), None], position: 21 };
    let transactions = Reply::Transactions { transactions: vec![Some(transaction()), None], position: 21 };
    let list = Reply::AccountPage { accounts: vec![account()], position: 21 };
    let statement = Reply::Statement(Some(Box::new(page())));
    let ids = questions::encode_ids;
    let from = Some(StatementToken { sequence: 0, version: 2 });
    let ask_statement = questions::encode_statement(0xa1, Span::Dates(19_675, 19_676), Order::Oldest, from, 4);
    let ask_balance = questions::encode_balance_at(0xa1, Moment::Date(19_675));
    let page = Reply::TransactionPage(transaction_page());
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
        ("post_items.request", request(Op::PostItems, 4, WANT_POSTINGS, 6, &items)),
        ("post_items.reply", reply(Op::PostItems, 4, WANT_POSTINGS, &Reply::Posted(posted_items))),
        ("control.request", request(Op::Control, 5, 0, 1, &control)),
        ("control.reply", reply(Op::Control, 5, 0, &Reply::Posted(one(1)))),
        ("look_up_accounts.request", request(Op::LookUpAccounts, 6, 0, 2, &ids(&[0xa1, 0xff]))),
        ("look_up_accounts.reply", reply(Op::LookUpAccounts, 6, 0, &accounts)),
        ("list_accounts.request", request(Op::ListAccounts, 7, 0, 0, &questions::encode_list(6, 100))),
        ("list_accounts.reply", reply(Op::ListAccounts, 7, 0, &list)),
        ("look_up_transactions.request", request(Op::LookUpTransactions, 8, 0, 2, &ids(&[0x1001, 0xff]))),
        ("look_up_transactions.reply", reply(Op::LookUpTransactions, 8, 0, &transactions)),
        ("statement.request", request(Op::Statement, 9, 0, 0, &ask_statement)),
        ("statement.reply", reply(Op::Statement, 9, 0, &statement)),
        ("assets.request", request(Op::Assets, 10, 0, 0, &[])),
        ("assets.reply", reply(Op::Assets, 10, 0, &Reply::Assets(vec![asset]))),
        ("stats.request", request(Op::Stats, 11, 0, 0, &[])),
        ("change_accounts.request", request(Op::ChangeAccounts, 12, 0, 3, &changes)),
        ("change_accounts.reply", reply(Op::ChangeAccounts, 12, 0, &Reply::Posted(changed))),
        ("balance_at.request", request(Op::BalanceAt, 13, 0, 0, &ask_balance)),
        ("balance_at.reply", reply(Op::BalanceAt, 13, 0, &Reply::BalanceAt(Some(balance_at())))),
        ("by_reference.request", request(Op::ByReference, 14, 0, 0, &questions::encode_related(0x77, 0, 100))),
        ("by_reference.reply", reply(Op::ByReference, 14, 0, &page)),
        ("linked.request", request(Op::Linked, 15, 0, 0, &questions::encode_related(0x1005, 23, 100))),
        ("linked.reply", reply(Op::Linked, 15, 0, &page)),
        ("watch.request", request(Op::Watch, 16, 0, 0, &questions::encode_watch(23, 1, 10_000))),
        ("watch.reply", reply(Op::Watch, 16, 0, &page)),
        ("institutions.request", request(Op::Institutions, 17, 0, 0, &[])),
        ("institutions.reply", reply(Op::Institutions, 17, 0, &Reply::Institutions(institutions()))),
        ("snapshot.request", request(Op::Snapshot, 18, 0, 0, &[])),
        ("snapshot.reply", reply(Op::Snapshot, 18, 0, &Reply::Snapshot(Some(snapshot())))),
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
            requests::decode(operation, &header, Bytes::copy_from_slice(&bytes[HEADER_BYTES..])).unwrap();
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
    let (count, bytes) = decode("balance_at.reply");
    assert_eq!(codec::balances::decode(count, bytes).unwrap(), Some(balance_at()));
    for name in ["by_reference.reply", "linked.reply", "watch.reply"] {
        let (count, bytes) = decode(name);
        assert_eq!(codec::transactions::decode_page(count, bytes).unwrap(), transaction_page());
    }
    let (count, bytes) = decode("institutions.reply");
    assert_eq!(codec::institutions::decode(count, bytes).unwrap(), institutions());
    let (count, bytes) = decode("snapshot.reply");
    assert_eq!(codec::snapshots::decode(count, bytes).unwrap(), Some(snapshot()));
    let (code, text) = codec::errors::decode(decode("error.reply").1).unwrap();
    assert_eq!((code, text.as_str()), (4, "operation 99 does not exist"));
    // The figures of a server grow with its releases, so they have no vector; they are JSON.
    let stats = reply(Operation::Stats, 11, 0, &Reply::Stats(Box::default()));
    assert!(serde_json::from_slice::<serde_json::Value>(&stats[HEADER_BYTES..]).unwrap().is_object());
}
