//! A ledger behind its handle: what the tests of the engine share.

use std::path::Path;

use bytes::Bytes;
use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::PostReply;
use florin_core::request::*;
use florin_engine::{Command, Engine, Reply, abort_on_panic};
use florin_wal::{LedgerOptions, create_ledger};
use zerocopy::IntoBytes;

/// The institution that asks.
pub const INSTITUTION: u32 = 1;
/// The asset.
pub const EUR: u32 = 978;

/// Runs on an actix System.
pub fn run<F: Future>(future: F) -> F::Output {
    abort_on_panic();
    actix_rt::System::new().block_on(future)
}

/// A ledger with segments of so many bytes.
pub fn new_ledger(data: &Path, segment_bytes: u64) {
    create_ledger(data, &LedgerOptions { segment_bytes, created_unix_ns: 0 }).expect("a new ledger");
}

/// The results of a reply.
pub fn posted(reply: Reply) -> PostReply {
    match reply {
        Reply::Posted(reply) => reply,
        other => panic!("expected results, got {other:?}"),
    }
}

/// Registers the asset.
pub async fn register(engine: &Engine, id: u128) -> ItemResult {
    let record = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 }).canonical();
    let request = ControlRequest { institution: INSTITUTION, principal: 0, id, record: record.into() };
    posted(engine.call(Command::Control(request)).await).items().next().expect("one result")
}

/// Opens accounts with these floors.
pub async fn open(engine: &Engine, accounts: &[(u128, Option<i128>)]) -> PostReply {
    let mut payload = Vec::new();
    for &(account, floor) in accounts {
        let mut label = [0; 64];
        label[..4].copy_from_slice(b"test");
        let row = AccountRow {
            account: account.into(),
            owner: 0.into(),
            floor: floor.unwrap_or(0).into(),
            ceiling: 0.into(),
            alarm: 0.into(),
            asset: EUR.into(),
            subject: 0.into(),
            normal_side: 1,
            category: 0,
            limit_flags: if floor.is_some() { 0 } else { NO_FLOOR },
            label_length: 4,
            reserved: [0; 36],
            label,
        };
        payload.extend_from_slice(row.as_bytes());
    }
    let request = OpenRequest::parse(INSTITUTION, 0, accounts.len() as u32, payload.into()).expect("rows");
    posted(engine.call(Command::Open(request)).await)
}

/// A transfer with five bytes of voucher.
pub fn transfer(id: u128, debit: u128, credit: u128, amount: u128) -> TransferRow {
    TransferRow {
        id: id.into(),
        debit: debit.into(),
        credit: credit.into(),
        amount: amount.into(),
        reference: (id + 1).into(),
        asset: EUR.into(),
        code: 7.into(),
        flags: 0.into(),
        value_date: 20_000.into(),
        voucher_length: 5.into(),
        kind: 0,
        reserved_a: [0; 3],
        timeout: 0.into(),
        link: 0.into(),
        reserved: [0; 12],
    }
}

/// Posts transfers.
pub async fn post(engine: &Engine, rows: &[TransferRow]) -> PostReply {
    let mut payload = rows.as_bytes().to_vec();
    rows.iter().for_each(|_| payload.extend_from_slice(b"paper"));
    let request = PostRequest::parse(INSTITUTION, 0, PostForm::Transfers, rows.len() as u32, Bytes::from(payload));
    posted(engine.call(Command::Post { request: request.expect("rows"), want_postings: true }).await)
}
