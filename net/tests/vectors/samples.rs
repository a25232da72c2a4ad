//! The values in the replies of the published vectors.

use florin_core::account::HeldResult;
use florin_core::entry::{
    AccountRecord, BalanceAt, PostReply, PostingRecord, ResultRun, RowKind, StatementEntry, StatementPage,
    StatementToken, Status, TransactionPage, TransactionRecord,
};
use florin_core::institution::Institution;
use florin_core::outcome::Outcome;
use florin_core::request::{Action, ItemResult, PostingResult, Side};
use florin_engine::SnapshotReport;

pub fn account() -> AccountRecord {
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
        held: 500,
        incoming: 20,
        version: 2,
        opened: 7,
        last_entry: 21,
        label: "Nováková".into(),
        attributes: (*br#"{"tier":1}"#).into(),
    }
}

pub fn item(outcome: Outcome, repeat: bool, detail: u16, sequence: u64, booked_at: u64) -> ItemResult {
    ItemResult { outcome, repeat, detail, sequence, booked_at }
}

pub const BOOKED_AT: u64 = 1_700_000_000_000_000_000;

pub fn posted() -> PostReply {
    PostReply {
        runs: vec![
            ResultRun { count: 1, first: item(Outcome::Posted, false, 0, 21, BOOKED_AT) },
            ResultRun { count: 1, first: item(Outcome::BelowFloor, true, 0, 9, BOOKED_AT - 5) },
        ],
        postings: vec![result(4, -12_345, true), result(2, 12_345, false)],
    }
}

pub fn result(version: u64, balance: i128, alarm: bool) -> PostingResult {
    PostingResult { version, balance, alarm }
}

pub fn transaction() -> TransactionRecord {
    let posting = |account, side, index, result, previous| PostingRecord {
        account,
        amount: 345,
        asset: 203,
        side,
        result,
        previous,
        index,
        held: HeldResult::default(),
    };
    TransactionRecord {
        institution: 1,
        principal: 0,
        kind: RowKind::Transfer,
        id: 0x1001,
        link: 0,
        link_sequence: 0,
        timeout: 0,
        forced: false,
        is_final: false,
        takes_all: false,
        result: item(Outcome::Posted, false, 0, 21, BOOKED_AT),
        reference: 0x77,
        code: 12,
        accounting_date: 19_675,
        value_date: 19_676,
        postings: vec![
            posting(0xb2, Side::Debit, 0, result(4, -12_345, true), 20),
            posting(0xa1, Side::Credit, 1, result(2, 12_345, false), 15),
        ],
        voucher: b"{}".to_vec(),
        voucher_length: 2,
        voucher_digest: std::array::from_fn(|i| i as u8),
    }
}

/// A final capture of 300 of the 345 that a hold of two postings reserved; 45 were freed.
pub fn capture() -> TransactionRecord {
    let held = HeldResult { amount: 300, freed: 45, left: 0, held: 500 };
    let posting = |account, side, index, result, previous| PostingRecord {
        account,
        amount: 300,
        asset: 203,
        side,
        result,
        previous,
        index,
        held,
    };
    TransactionRecord {
        kind: RowKind::Capture,
        id: 0x1006,
        link: 0x1005,
        link_sequence: 23,
        is_final: true,
        result: item(Outcome::Posted, false, 0, 25, BOOKED_AT + 4),
        postings: vec![
            posting(0xb2, Side::Debit, 0, result(6, -12_645, false), 23),
            posting(0xa1, Side::Credit, 1, result(4, 12_645, false), 23),
        ],
        voucher: vec![],
        voucher_length: 0,
        voucher_digest: [0; 32],
        ..transaction()
    }
}

pub fn transaction_page() -> TransactionPage {
    TransactionPage { transactions: vec![capture()], seen: 25, more: true, position: 30 }
}

pub fn entry() -> StatementEntry {
    StatementEntry {
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
        link: 0,
        forced: false,
        alarm: true,
        held: HeldResult::default(),
        change: None,
    }
}

/// A statement of the entries 2 to 5: a transfer, a hold, its capture and a freeze, oldest first.
pub fn page() -> StatementPage {
    let follows = |sequence, version| StatementEntry {
        sequence,
        version,
        booked_at: BOOKED_AT + sequence - 21,
        reference: 0,
        code: 0,
        value_date: 0,
        voucher: vec![],
        alarm: false,
        ..entry()
    };
    let hold = StatementEntry {
        kind: RowKind::Hold,
        id: 0x1005,
        previous: 21,
        held: HeldResult { amount: 345, freed: 0, left: 345, held: 345 },
        ..follows(23, 3)
    };
    let capture = StatementEntry {
        kind: RowKind::Capture,
        id: 0x1006,
        link: 0x1005,
        amount: 300,
        balance: 12_645,
        held: HeldResult { amount: 300, freed: 45, left: 0, held: 0 },
        previous: 23,
        ..follows(25, 4)
    };
    let freeze = StatementEntry {
        kind: RowKind::Change,
        id: 0x100a,
        side: Side::Debit,
        amount: 0,
        balance: 12_645,
        counterparty: 0,
        change: Some((Action::Status, "court order".into())),
        previous: 25,
        ..follows(28, 5)
    };
    StatementPage {
        account: account(),
        entries: vec![entry(), hold, capture, freeze],
        next: Some(StatementToken { sequence: 29, version: 6 }),
        position: 30,
    }
}

pub fn balance_at() -> BalanceAt {
    BalanceAt {
        account: 0xa1,
        asset: 203,
        version: 2,
        sequence: 21,
        booked_at: BOOKED_AT,
        posted: 12_345,
        position: 30,
    }
}

pub fn institutions() -> Vec<(u32, Institution)> {
    let bank = Institution { name: "Banka".into(), open_day: 19_676 };
    vec![(1, Institution::default()), (7, bank)]
}

pub fn snapshot() -> SnapshotReport {
    SnapshotReport {
        frame: 12,
        sequence: 30,
        booked_at: BOOKED_AT,
        accounts: 3,
        records: 7,
        bytes: 880,
        us: 1_500,
        is_new: true,
        folder: "/var/lib/florin/snapshots/00000000000000000012".into(),
    }
}
