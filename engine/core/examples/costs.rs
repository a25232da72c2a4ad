//! What each step of the core costs per transfer, without threads, network and disk:
//! `cargo run --release -p florin-core --example costs -- [ACCOUNTS] [REQUESTS]`. Requests have 8,190 transfers between two
//! accounts at random. The figures are nanoseconds of one core and go into the cost model of docs/performance.md.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use florin_core::account::AccountKey;
use florin_core::asset::Asset;
use florin_core::coordinator::{Command, Coordinator, Request, RoundLimits};
use florin_core::request::{AccountRow, NO_FLOOR, PostForm, PostRequest, TransferRow};
use florin_core::shard::Shard;
use zerocopy::{FromZeros, IntoBytes};

const SEED: u64 = 99;
const EUR: u32 = 978;
const BATCH: usize = 8_190;

/// A small pseudo-random generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn account(index: u64) -> u128 {
    0xb3c4 << 100 | u128::from((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn request(accounts: u64, random: &mut Random) -> Vec<u8> {
    let mut payload = Vec::with_capacity(BATCH * size_of::<TransferRow>());
    for _ in 0..BATCH {
        let debit = random.below(accounts);
        let mut row = TransferRow::new_zeroed();
        row.debit = account(debit).into();
        row.credit = account((debit + 1 + random.below(accounts - 1)) % accounts).into();
        row.amount = (1 + u128::from(random.below(1_000))).into();
        row.asset = EUR.into();
        payload.extend_from_slice(row.as_bytes());
    }
    payload
}

fn main() {
    let argument = |at: usize, or: u64| std::env::args().nth(at).map_or(or, |text| text.parse().expect("a number"));
    let (accounts, requests) = (argument(1, 100_000).max(2), argument(2, 1_000));
    let mut coordinator = Coordinator::new(1, RoundLimits::default(), SEED);
    let mut shard = Shard::new(0, 1, SEED);
    coordinator.replay_asset(Asset { number: EUR, code: "EUR".into(), scale: 2 }).expect("the first asset");
    for index in 0..accounts {
        let mut row = AccountRow::new_zeroed();
        (row.account, row.asset) = (account(index).into(), EUR.into());
        (row.normal_side, row.limit_flags) = (1, NO_FLOOR);
        shard.open_account(AccountKey { institution: 1, account: account(index) }, &row, index + 1, 1);
    }
    coordinator.resume_after(1, accounts, 1);
    shard.resume_after(1);

    let mut random = Random(88_172_645_463_325_252);
    let templates: Vec<Vec<u8>> = (0..8).map(|_| request(accounts, &mut random)).collect();
    let [mut making, mut running, mut finishing, mut laying_out] = [Duration::ZERO; 4];
    let (mut payload, mut vouchers) = (Vec::new(), Vec::new());
    let mut id = 1u128 << 90;
    for number in 1..=requests {
        let mut rows = templates[number as usize % templates.len()].clone();
        for row in rows.chunks_exact_mut(size_of::<TransferRow>()) {
            id += 1;
            row[..16].copy_from_slice(&id.to_le_bytes());
        }
        let post = PostRequest::parse(1, 0, PostForm::Transfers, BATCH as u32, Bytes::from(rows)).expect("whole rows");
        let post = Request::Post { request: Arc::new(post), want_postings: false };
        let begun = Instant::now();
        coordinator.submit(number, post);
        coordinator.close_round(number * 100_000, Ok(()));
        making += begun.elapsed();
        while let Some(command) = coordinator.next_command() {
            let begun = Instant::now();
            match command {
                Command::Run(round) => {
                    let (decisions, results) = shard.run(&round);
                    running += begun.elapsed();
                    let begun = Instant::now();
                    coordinator.on_ran(round.number, decisions, results);
                    finishing += begun.elapsed();
                }
                Command::Frame(draft) => {
                    payload.clear();
                    vouchers.clear();
                    draft.encode(&mut payload, &mut vouchers);
                    laying_out += begun.elapsed();
                    coordinator.on_durable(draft.head().number);
                }
                Command::Answer(answer) => assert!(answer.reply.all_posted(), "every transfer is posted"),
                other => panic!("not expected with one shard: {other:?}"),
            }
        }
    }
    let transfers = (requests * BATCH as u64) as f64;
    let each = |time: Duration| time.as_nanos() as f64 / transfers;
    println!("{transfers:.0} transfers on {accounts} accounts, nanoseconds each:");
    println!(
        "make the round {:.0}, run it {:.0}, answer {:.0}, lay out the frame {:.0}",
        each(making),
        each(running),
        each(finishing),
        each(laying_out)
    );
}
