//! Replay of many transfers: the same state on any number of shards, and any row that does not follow is found and named.

mod common;

use std::sync::Arc;

use common::{Encoded, drive};
use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::coordinator::{Request, RoundLimits};
use florin_core::frame::{FrameView, LogRow};
use florin_core::replay::{Ledger, ReplayError};
use florin_core::request::*;
use florin_core::state_hash::state_hash;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const NOW: u64 = 1_767_323_045_000_000_000;
const ACCOUNTS: u128 = 20;
/// More than a few pieces of what replay looks at together, and no whole number of them.
const TRANSFERS: usize = 301;
/// Sequence number of the first transfer: behind the asset and the accounts.
const FIRST: u64 = 1 + ACCOUNTS as u64 + 1;

/// What is done to a row.
type Change = fn(&mut LogRow);

/// Transfers between accounts of which half have a floor of zero, so that some are refused. Each seventh has a voucher.
fn ledger() -> (Ledger, Vec<Encoded>) {
    let record = ControlRecord::register(&Asset { number: 203, code: "CZK".into(), scale: 2 }).canonical();
    let openings: Vec<AccountRow> = (1..=ACCOUNTS)
        .map(|account| {
            let mut row = AccountRow::new_zeroed();
            (row.account, row.asset, row.limit_flags) = (account.into(), 203.into(), (account % 2) as u8 * NO_FLOOR);
            row
        })
        .collect();
    let mut rows = Vec::new();
    let mut vouchers = Vec::new();
    for number in 0..TRANSFERS as u128 {
        let mut row = TransferRow::new_zeroed();
        let (debit, credit) = (1 + number * 7 % ACCOUNTS, 1 + (number * 3 + 1) % ACCOUNTS);
        let credit = if credit == debit { 1 + credit % ACCOUNTS } else { credit };
        (row.id, row.debit, row.credit) = ((1000 + number).into(), debit.into(), credit.into());
        (row.amount, row.asset) = ((1 + number % 50).into(), 203.into());
        if number % 7 == 0 {
            row.voucher_length = 5.into();
            vouchers.extend_from_slice(b"paper");
        }
        rows.push(row);
    }
    let payload = [rows.as_bytes(), &vouchers].concat();
    let post = PostRequest::parse(1, 0, PostForm::Transfers, TRANSFERS as u32, payload.into()).expect("rows");
    let requests = vec![
        Request::Control(ControlRequest { institution: 1, principal: 0, id: 5, record: record.into() }),
        Request::Open(OpenRequest::parse(1, 0, ACCOUNTS as u32, openings.as_bytes().to_vec().into()).expect("rows")),
        Request::Post { request: Arc::new(post), want_postings: false },
    ];
    drive(requests, |_| NOW)
}

fn replay(shards: usize, frames: &[Encoded]) -> Result<Ledger, ReplayError> {
    let mut ledger = Ledger::new(shards, RoundLimits::default(), 9);
    for Encoded { head, payload, vouchers } in frames {
        ledger.apply_frame(&FrameView::new(*head, payload, vouchers)?)?;
    }
    Ok(ledger)
}

#[test]
fn replay_gives_the_same_state_on_any_number_of_shards() {
    let (live, frames) = ledger();
    let refused = (0..TRANSFERS).filter(|&at| row_of(&frames, at).tail.outcome.get() != 0).count();
    assert!((20..TRANSFERS - 20).contains(&refused), "some are refused and some are not: {refused}");
    for shards in [1, 2, 3, 64] {
        assert_eq!(state_hash(&replay(shards, &frames).expect("a log that follows")), state_hash(&live), "{shards}");
    }
}

fn row_of(frames: &[Encoded], at: usize) -> LogRow {
    let payload = &frames.last().expect("the transfers").payload;
    LogRow::read_from_bytes(&payload[at * size_of::<LogRow>()..][..size_of::<LogRow>()]).expect("a row")
}

#[test]
fn a_transfer_that_does_not_follow_is_found_and_named_wherever_it_stands() {
    let (_, frames) = ledger();
    let changes: [(&str, Change); 19] = [
        ("id 0", |row| row.id = 0.into()),
        ("an id used before", |row| row.id = 5.into()),
        ("an unknown debit account", |row| row.debit = 99.into()),
        ("an unknown credit account", |row| row.credit = 99.into()),
        ("another credit account", |row| row.credit = (row.credit.get() % ACCOUNTS + 1).into()),
        ("amount 0", |row| row.amount = 0.into()),
        ("another amount", |row| row.amount = (row.amount.get() + 1).into()),
        ("another debit version", |row| row.debit_entry.version = (row.debit_entry.version.get() + 1).into()),
        ("an alarm", |row| row.credit_entry.version = (row.credit_entry.version.get() | 1 << 63).into()),
        ("another credit balance", |row| row.credit_entry.balance = (row.credit_entry.balance.get() - 1).into()),
        ("a balance 2^64 away", |row| row.debit_entry.balance = (row.debit_entry.balance.get() + (1 << 64)).into()),
        ("another previous entry", |row| row.debit_entry.previous = (row.debit_entry.previous.get() - 1).into()),
        ("another asset", |row| row.tail.asset = 978.into()),
        ("an unknown institution", |row| row.tail.institution = 2.into()),
        ("an unknown flag", |row| row.tail.flags = 128),
        ("an unknown outcome", |row| row.tail.outcome = 9999.into()),
        ("refused with entries", |row| row.tail.outcome = 75.into()),
        ("another day", |row| row.tail.accounting_date = (row.tail.accounting_date.get() + 1).into()),
        ("a time before the row before it", |row| row.tail.time_offset = 0.into()),
    ];
    let posted = |at: &usize| row_of(&frames, *at).tail.outcome.get() == 0;
    // With a voucher and without one; in the first and the last of the pieces.
    for at in [1, 7, 70, 150, 294, 300]
        .map(|from| (from..).step_by(if from % 7 == 0 { 7 } else { 1 }).find(posted).unwrap_or(1))
    {
        for (what, change) in changes {
            let mut row = row_of(&frames, at);
            change(&mut row);
            let mut changed: Vec<Encoded> = frames.clone();
            let bytes = &mut changed.last_mut().expect("the transfers").payload[at * size_of::<LogRow>()..];
            bytes[..size_of::<LogRow>()].copy_from_slice(row.as_bytes());
            for shards in [1, 3] {
                let error = replay(shards, &changed).err().unwrap_or_else(|| panic!("{what} in row {at} is taken"));
                let named = format!("row {}", FIRST + at as u64);
                assert!(error.to_string().contains(&named), "{what} in row {at}: {error}");
            }
        }
    }
}
