//! The payload of frames against published bytes: what is encoded is what the file says, and what the file says is decoded
//! to the same values. `docs/format-log.md` explains the bytes. `FLORIN_WRITE_VECTORS=1` writes the file anew.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use common::{Encoded, drive};
use florin_core::account::AccountKey;
use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::coordinator::{Request, RoundLimits};
use florin_core::entry::{RowKind, Status};
use florin_core::frame::{FrameView, Record};
use florin_core::outcome::Outcome;
use florin_core::replay::Ledger;
use florin_core::request::*;
use florin_core::state_hash::state_hash;
use zerocopy::{FromZeros, IntoBytes};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/frames.txt");
/// 2026-01-02 03:04:05 UTC.
const NOW: u64 = 1_767_323_045_000_000_000;

fn row(account: u128, side: u8, flags: u8) -> AccountRow {
    let mut row = AccountRow::new_zeroed();
    (row.account, row.asset) = (account.into(), 203.into());
    (row.normal_side, row.limit_flags) = (side, flags);
    row
}

fn requests() -> Vec<Request> {
    let record = ControlRecord::register(&Asset { number: 203, code: "CZK".into(), scale: 2 }).canonical();
    let mut cash = row(0xc1, 0, NO_FLOOR | HAS_ALARM);
    (cash.category, cash.alarm, cash.subject) = (2, (-5).into(), 11.into());
    let mut novak = row(0xa1, 1, HAS_CEILING);
    (novak.owner, novak.ceiling) = (0x0e.into(), 100_000.into());
    let label = "Novák".as_bytes();
    novak.label[..label.len()].copy_from_slice(label);
    novak.label_length = label.len() as u8;
    let openings = [cash, novak].as_bytes().to_vec();
    let transfer = |id: u128, debit: u128, credit: u128, amount: u128, voucher: u16| {
        let mut row = TransferRow::new_zeroed();
        (row.id, row.debit, row.credit, row.amount) = (id.into(), debit.into(), credit.into(), amount.into());
        (row.reference, row.asset, row.code) = (0x77.into(), 203.into(), 9.into());
        (row.value_date, row.voucher_length) = (20_455.into(), voucher.into());
        row
    };
    let rows =
        [transfer(0x1001, 0xc1, 0xa1, 345, 5), transfer(0x1002, 0xa1, 0xc1, 346, 4), transfer(0x1003, 1, 2, 1, 0)];
    let transfers = [rows.as_bytes(), b"paperlost"].concat();
    let mut journal = ItemRow::new_zeroed();
    (journal.id, journal.posting_count, journal.voucher_length) = (0x1004.into(), 3.into(), 2.into());
    let posting = |account: u128, amount: u128, side: u8| {
        let mut row = PostingRow::new_zeroed();
        (row.account, row.amount, row.asset, row.side) = (account.into(), amount.into(), 203.into(), side);
        row
    };
    let postings = [posting(0xa1, 45, 0), posting(0xc1, 40, 1), posting(0xc1, 5, 1)];
    let journals = [journal.as_bytes(), postings.as_bytes(), b"ok"].concat();
    let post = |form, count, payload: Vec<u8>| {
        let request = PostRequest::parse(1, 0, form, count, payload.into()).expect("rows");
        Request::Post { request: Arc::new(request), want_postings: false }
    };
    vec![
        Request::Control(ControlRequest { institution: 1, principal: 0, id: 0x5, record: Bytes::from(record) }),
        Request::Open(OpenRequest::parse(1, 0, 2, openings.into()).expect("rows")),
        post(PostForm::Transfers, 3, transfers),
        post(PostForm::Items, 1, journals),
        post(PostForm::Items, 7, held()),
        Request::Change(Arc::new(changes())),
        control(0x3003, &ControlRecord::institution(2, "Shop")),
        control(0x3004, &ControlRecord::open_day(20_456)),
        Request::Read,
    ]
}

fn control(id: u128, record: &ControlRecord) -> Request {
    Request::Control(ControlRequest { institution: 1, principal: 0, id, record: record.canonical().into() })
}

/// Everything that has to do with holds and reversals: two holds of which one expires later, an increase, a part and the rest of a
/// hold captured, a reversal of a part, and one of too much.
fn held() -> Vec<u8> {
    let item = |id: u128, kind: ItemKind, link: u128, postings: u16| {
        let mut row = ItemRow::new_zeroed();
        (row.id, row.kind, row.link, row.posting_count) = (id.into(), kind as u8, link.into(), postings.into());
        row
    };
    let mut placed = item(0x2001, ItemKind::Hold, 0, 2);
    (placed.timeout, placed.reference, placed.voucher_length) = (3600.into(), 0x78.into(), 4.into());
    let mut short = item(0x2002, ItemKind::Hold, 0x1001, 2);
    (short.timeout, short.flags) = (1.into(), FORCED.into());
    let rows = [
        placed,
        short,
        item(0x2003, ItemKind::Increase, 0x2001, 2),
        item(0x2004, ItemKind::Capture, 0x2001, 2),
        item(0x2005, ItemKind::Capture, 0x2001, 0),
        item(0x2006, ItemKind::Reverse, 0x1001, 2),
        item(0x2007, ItemKind::Reverse, 0x1001, 0),
    ];
    let posting = |account: u128, amount: u128, side: u8| {
        let mut row = PostingRow::new_zeroed();
        (row.account, row.amount, row.asset, row.side) = (account.into(), amount.into(), 203.into(), side);
        row
    };
    let part = |index: u8, amount: u128| {
        let mut row = PostingRow::new_zeroed();
        (row.index, row.amount) = (index, amount.into());
        row
    };
    let postings = [
        posting(0xa1, 100, 0),
        posting(0xc1, 100, 1),
        posting(0xa1, 9, 0),
        posting(0xc1, 9, 1),
        part(0, 20),
        part(1, 20),
        part(0, 50),
        part(1, 50),
        part(0, 5),
        part(1, 5),
    ];
    [rows.as_bytes(), postings.as_bytes(), b"hold"].concat()
}

/// New limits that are forced, a freeze, and a label for an account that does not exist.
fn changes() -> ChangeRequest {
    let change = |id: u128, account: u128, action: Action| {
        let mut row = ChangeRow::new_zeroed();
        (row.id, row.account, row.action) = (id.into(), account.into(), action as u8);
        row
    };
    let mut limits = change(0x3001, 0xa1, Action::Limits);
    (limits.sets, limits.limit_flags) = (SETS_FLOOR | SETS_ALARM, HAS_ALARM);
    (limits.floor, limits.alarm, limits.flags, limits.code) = (500.into(), 100.into(), FORCED.into(), 3.into());
    let mut freeze = change(0x3002, 0xa1, Action::Status);
    freeze.status = 1;
    let mut label = change(0x3005, 0xee, Action::Label);
    (limits.reason_length, freeze.reason_length, label.data_length) = (4.into(), 5.into(), 3.into());
    let payload = [[limits, freeze, label].as_bytes(), b"deal", b"court", b"new"].concat();
    ChangeRequest::parse(1, 0, 3, payload.into()).expect("rows")
}

fn run() -> (Ledger, Vec<Encoded>) {
    // The last one comes two seconds later, when a hold is due.
    drive(requests(), |request| if matches!(request, Request::Read) { NOW + 2_000_000_000 } else { NOW })
}

fn published() -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(PATH).expect("the published vectors");
    let mut vectors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        match line.strip_suffix(':') {
            Some(heading) => {
                name = heading.to_string();
                vectors.insert(name.clone(), Vec::new());
            }
            None => {
                let bytes = line.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"));
                vectors.get_mut(&name).expect("a heading first").extend(bytes);
            }
        }
    }
    vectors
}

fn write(frames: &[Encoded], hash: [u8; 32]) {
    let mut text = String::from(
        "# Test vectors of the payload of frames, format version 1, in hexadecimal, 16 bytes a line.\n\
         # docs/format-log.md explains them; tests/frame_format.rs has the values.\n",
    );
    let mut put = |name: String, bytes: &[u8]| {
        writeln!(text, "\n{name}:").expect("a string takes all");
        for line in bytes.chunks(16) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{}", hex.join(" ")).expect("a string takes all");
        }
    };
    for frame in frames {
        put(format!("frame {} payload", frame.head.number), &frame.payload);
        put(format!("frame {} vouchers", frame.head.number), &frame.vouchers);
    }
    put("state hash".into(), &hash);
    std::fs::write(PATH, text).expect("a file that can be written");
}

#[test]
fn frames_have_the_published_bytes() {
    let (ledger, frames) = run();
    let hash = state_hash(&ledger);
    if std::env::var_os("FLORIN_WRITE_VECTORS").is_some() {
        write(&frames, hash);
    }
    let published = published();
    assert_eq!((frames.len(), published.len()), (9, 19));
    for frame in &frames {
        assert_eq!(frame.payload, published[&format!("frame {} payload", frame.head.number)]);
        assert_eq!(frame.vouchers, published[&format!("frame {} vouchers", frame.head.number)]);
    }
    assert_eq!(hash[..], published["state hash"]);
}

#[test]
fn the_published_bytes_are_decoded_to_what_was_asked_for_and_to_the_same_state() {
    let (live, frames) = run();
    let published = published();
    let mut ledger = Ledger::new(3, RoundLimits::default(), 2);
    let mut records = Vec::new();
    for Encoded { head, .. } in &frames {
        let payload = &published[&format!("frame {} payload", head.number)];
        let vouchers = &published[&format!("frame {} vouchers", head.number)];
        let view = FrameView::new(*head, payload, vouchers).expect("a frame that holds its rows");
        records.extend((0..head.count).map(|index| view.record(index).expect("a row")));
        ledger.apply_frame(&view).expect("a frame that follows");
    }
    assert_eq!(state_hash(&ledger), state_hash(&live));
    let [Record::Control(control), Record::Open(cash), Record::Open(novak), rest @ ..] = records.as_slice() else {
        panic!("not the kinds that were asked for: {records:?}");
    };
    let (transactions, rest) = rest.split_at(4);
    assert_eq!((control.id, control.result.booked_at), (5, NOW));
    assert_eq!((cash.row.floor(), cash.row.alarm(), novak.row.label()), (None, Some(-5), "Novák"));
    let transactions: Vec<_> = transactions
        .iter()
        .map(|record| match record {
            Record::Transaction(transaction) => transaction,
            other => panic!("not a transaction: {other:?}"),
        })
        .collect();
    let outcomes: Vec<_> = transactions.iter().map(|t| (t.result.outcome, t.result.detail)).collect();
    let refused = [(Outcome::BelowFloor, 0), (Outcome::AccountUnknown, 0)];
    assert_eq!(outcomes, [(Outcome::Posted, 0), refused[0], refused[1], (Outcome::Posted, 0)]);
    assert_eq!((transactions[0].voucher.as_slice(), transactions[1].voucher_length), (&b"paper"[..], 4));
    assert_eq!(transactions[1].voucher_digest, *blake3::hash(b"lost").as_bytes());
    let entries: Vec<_> =
        transactions[3].postings.iter().map(|p| (p.result.version, p.result.balance, p.previous)).collect();
    assert_eq!(transactions[3].kind, RowKind::Journal);
    assert_eq!(entries, [(2, 300, 4), (2, 305, 4), (3, 300, 7)]);
    check_held(rest);
    let key = AccountKey { institution: 1, account: 0xa1 };
    let found = ledger.shards.iter().find_map(|shard| shard.look_up(&key)).expect("an account that was opened");
    assert_eq!((found.posted, found.held, found.version, found.ceiling), (175, 0, 11, Some(100_000)));
    assert_eq!((found.floor, found.alarm, found.status), (Some(500), Some(100), Status::DebitFrozen));
}

fn check_held(records: &[Record]) {
    let seen: Vec<_> = records
        .iter()
        .map(|record| match record {
            Record::Transaction(t) => {
                (t.kind, t.result.outcome, t.postings.len(), t.postings.first().map(|p| p.held.left))
            }
            Record::Change(c) => (RowKind::Change, c.result.outcome, 0, None),
            Record::Control(c) => (RowKind::Control, c.result.outcome, 0, None),
            Record::Open(_) => panic!("no account was opened here"),
        })
        .collect();
    let posted = Outcome::Posted;
    assert_eq!(
        seen,
        [
            (RowKind::Hold, posted, 2, Some(100)),
            (RowKind::Hold, posted, 2, Some(9)),
            (RowKind::Increase, posted, 2, Some(120)),
            (RowKind::Capture, posted, 2, Some(70)),
            (RowKind::Capture, posted, 2, Some(0)),
            (RowKind::Reversal, posted, 2, Some(340)),
            (RowKind::Reversal, Outcome::ExceedsOriginal, 0, None),
            (RowKind::Change, posted, 0, None),
            (RowKind::Change, posted, 0, None),
            (RowKind::Change, Outcome::AccountUnknown, 0, None),
            (RowKind::Control, posted, 0, None),
            (RowKind::Control, posted, 0, None),
            (RowKind::Expiry, posted, 2, Some(0)),
        ]
    );
    let Some(Record::Transaction(expiry)) = records.last() else { panic!("an expiry is the last") };
    assert_eq!((expiry.id, expiry.link, expiry.accounting_date), (0x2002, 0x2002, 20_456));
}
