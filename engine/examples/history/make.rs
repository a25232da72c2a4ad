//! Makes a ledger of thirteen months in seconds: the core's coordinator and shard with a clock of our own, and their frames
//! straight into the log.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::coordinator::{Command, Request, RoundLimits};
use florin_core::replay::Ledger;
use florin_core::request::*;
use florin_wal::{DataLock, LedgerOptions, LogOptions, LogWriter, create_ledger, recover};
use zerocopy::{FromZeros, IntoBytes};

/// Number of the asset.
pub const EUR: u32 = 978;
/// The account that every transfer pays.
pub const SHOP: u128 = 1;
/// An account that was paid once, in the first request.
pub const QUIET: u128 = 2;
/// A smaller shop, paid once in each frame.
pub const KIOSK: u128 = 3;
/// Nanoseconds of a day.
pub const DAY_NS: u64 = 86_400_000_000_000;
/// Days that the ledger spans.
pub const DAYS: u64 = 396;
/// Transfers in a frame: an hour or two of the ledger's time.
pub const FRAME_TRANSFERS: u64 = 1_000;

/// Nanoseconds since 1970-01-01 UTC.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64
}

/// What is known of the ledger without reading it.
pub struct Made {
    /// How many transfers there are.
    pub transfers: u64,
    /// When the first transfer was booked.
    pub begin: u64,
    /// Frames that they are in.
    pub frames: u64,
    /// Nanoseconds between frames.
    pub step: u64,
}

struct Maker {
    ledger: Ledger,
    writer: LogWriter,
    ticket: u64,
}

/// Makes a ledger of `transfers` from as many `customers` to one shop, evenly spread over the days up to now.
pub fn make(data: &Path, transfers: u64, customers: u64) -> Made {
    create_ledger(data, &LedgerOptions::default()).expect("a new ledger");
    let lock = DataLock::acquire(data).expect("a lock");
    let recovered = recover(data, lock, LogOptions::default(), &mut |_| Ok::<(), String>(())).expect("an empty log");
    let failed = |failure| panic!("{failure}");
    let (writer, _) = recovered.start(Box::new(|_, _| ()), Box::new(failed)).expect("a log");
    let mut maker = Maker { ledger: Ledger::new(1, RoundLimits::default(), 7), writer, ticket: 0 };
    let begin = now_ns() - DAYS * DAY_NS;
    let record = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 }).canonical();
    let control = ControlRequest { institution: 1, principal: 0, id: 1 << 90, record: record.into() };
    maker.run(begin, Request::Control(control));
    let accounts: Vec<u128> = [SHOP, QUIET, KIOSK].into_iter().chain((0..customers).map(customer)).collect();
    for chunk in accounts.chunks(5_000) {
        maker.run(begin, Request::Open(opening(chunk)));
    }
    assert!(transfers >= FRAME_TRANSFERS && transfers.is_multiple_of(FRAME_TRANSFERS), "whole frames of transfers");
    let frames = transfers / FRAME_TRANSFERS;
    let step = DAYS * DAY_NS / frames;
    let mut payload = Vec::new();
    let mut mixed = 1u64;
    for frame in 0..frames {
        payload.clear();
        for number in frame * FRAME_TRANSFERS..(frame + 1) * FRAME_TRANSFERS {
            mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut row = TransferRow::new_zeroed();
            (row.id, row.reference, row.asset) = (id(number).into(), (id(number) ^ 1).into(), EUR.into());
            let from = if customers > transfers / 2 { number % customers } else { (mixed >> 20) % customers };
            (row.debit, row.credit, row.amount) = (customer(from).into(), SHOP.into(), 1.into());
            match number % FRAME_TRANSFERS {
                0 if frame == 0 => row.credit = QUIET.into(),
                500 => row.credit = KIOSK.into(),
                _ => {}
            }
            payload.extend_from_slice(row.as_bytes());
        }
        let count = FRAME_TRANSFERS as u32;
        let request = PostRequest::parse(1, 0, PostForm::Transfers, count, payload.clone().into()).expect("rows");
        let request = Request::Post { request: Arc::new(request), want_postings: false };
        maker.run(begin + frame * step, request);
    }
    maker.writer.shutdown().expect("a sealed log");
    Made { transfers, begin, frames, step }
}

/// Id of a transfer, as random as clients' ids are. Its reference differs in the last bit.
pub fn id(number: u64) -> u128 {
    (u128::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834)
}

fn customer(number: u64) -> u128 {
    (u128::from(number) + 1).wrapping_mul(0xd1b5_4a32_d192_ed03_a076_1d64_78bd_642f)
}

fn opening(accounts: &[u128]) -> OpenRequest {
    let mut payload = Vec::new();
    for &account in accounts {
        let mut row = AccountRow::new_zeroed();
        (row.account, row.asset, row.normal_side, row.limit_flags) = (account.into(), EUR.into(), 1, NO_FLOOR);
        payload.extend_from_slice(row.as_bytes());
    }
    OpenRequest::parse(1, 0, accounts.len() as u32, payload.into()).expect("rows")
}

impl Maker {
    fn run(&mut self, now: u64, request: Request) {
        self.ticket += 1;
        let Maker { ledger: Ledger { coordinator, shards, .. }, writer, .. } = self;
        coordinator.submit(self.ticket, request);
        while coordinator.has_waiting() {
            assert!(writer.has_room(writer.frame_bytes_max() as u64), "the disk is full");
            coordinator.close_round(now, Ok(()));
            while let Some(command) = coordinator.next_command() {
                match command {
                    Command::Run(round) => {
                        let (decisions, results) = shards[0].run(&round);
                        coordinator.on_ran(round.number, decisions, results);
                    }
                    Command::PrepareOpening(opening) => {
                        coordinator.on_opening_ballot(0, shards[0].prepare_opening(&opening));
                    }
                    Command::FinishOpening { opening, sequences, times } => {
                        shards[0].finish_opening(&opening, &sequences, &times);
                    }
                    Command::Pass(number) => shards[0].pass(number),
                    Command::Frame(draft) => {
                        let head = draft.head();
                        let mut buffer = writer.buffer();
                        let (payload, vouchers) = buffer.parts();
                        draft.encode(payload, vouchers);
                        writer.append(head.number, head.first_sequence, head.count, head.time, buffer);
                        coordinator.on_durable(head.number);
                    }
                    Command::Answer(answer) => assert!(answer.reply.all_posted(), "{:?}", answer.reply.runs),
                    other => unreachable!("no such command comes of this: {other:?}"),
                }
            }
        }
    }
}
