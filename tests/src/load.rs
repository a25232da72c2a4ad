//! The load of the kill test: numbered batches of transactions that client and rig both know how to make.

use crate::model::item::{CREDIT, Control, DEBIT, Opening, Posting, Transaction};
use crate::program::Step;
use crate::rng::Rng;

/// Assets.
const ASSETS: [(u32, &str); 2] = [(203, "CZK"), (978, "EUR")];
/// Accounts of each asset. The first has no limits, the second is full soon, the others may not go below zero.
const ACCOUNTS: u128 = 12;
/// Bits of an id that number the transaction within its batch.
const ITEM_BITS: u32 = 16;

/// What a new ledger needs before the first batch.
pub fn preparation() -> Vec<Step> {
    let mut steps: Vec<Step> = ASSETS
        .iter()
        .enumerate()
        .map(|(i, (number, code))| Step::Control {
            institution: 1,
            control: Control::asset(i as u128 + 1, *number, code, 2),
        })
        .collect();
    let openings = ASSETS.iter().flat_map(|(asset, _)| {
        (0..ACCOUNTS).map(|i| {
            let opening = Opening::new(account(*asset, i), *asset, if i % 3 == 0 { DEBIT } else { CREDIT });
            match i {
                0 => opening,
                1 => opening.with_floor(0).with_ceiling(500),
                _ => opening.with_floor(0),
            }
        })
    });
    steps.push(Step::Open { institution: 1, openings: openings.collect() });
    steps
}

/// All accounts.
pub fn accounts() -> Vec<u128> {
    ASSETS.iter().flat_map(|(asset, _)| (0..ACCOUNTS).map(|i| account(*asset, i))).collect()
}

fn account(asset: u32, index: u128) -> u128 {
    u128::from(asset) << 64 | (index + 1)
}

/// The request with this number.
pub fn batch(seed: u64, number: u64) -> Step {
    let mut rng = Rng::part(seed ^ number.rotate_left(32), "batch");
    let (count, journals) = (rng.pick(&[1, 1, 3, 30, 100, 300]), rng.chance(40));
    let transactions: Vec<Transaction> = (0..count)
        .map(|item| {
            let id = 1 << 100 | u128::from(number) << ITEM_BITS | item;
            if journals { journal(&mut rng, id) } else { transfer(&mut rng, id) }
        })
        .collect();
    Step::Post { institution: 1, transfers: !journals, transactions }
}

/// The transactions of a batch.
pub fn transactions(step: &Step) -> &[Transaction] {
    let Step::Post { transactions, .. } = step else { unreachable!("batches are posts") };
    transactions
}

fn transfer(rng: &mut Rng, id: u128) -> Transaction {
    let (asset, _) = rng.pick(&ASSETS);
    let (debit, credit) = (pick(rng, asset), pick(rng, asset));
    let mut t = Transaction::transfer(id, debit, credit, asset, rng.between(1, 50) as u128);
    if rng.chance(20) {
        t.voucher = vec![id as u8; rng.between(1, 200)];
        t.reference = rng.next_u128();
    }
    t
}

/// Three legs, or the same account several times.
fn journal(rng: &mut Rng, id: u128) -> Transaction {
    let (asset, _) = rng.pick(&ASSETS);
    let (large, small) = (rng.between(10, 90) as u128, rng.between(1, 9) as u128);
    let posting = |account, side, amount| Posting { account, side, amount, asset, reserved: 0 };
    let (payer, payee, fees) = (pick(rng, asset), pick(rng, asset), pick(rng, asset));
    let postings =
        vec![posting(payer, DEBIT, large + small), posting(payee, CREDIT, large), posting(fees, CREDIT, small)];
    Transaction { id, postings, code: 7, ..Transaction::default() }
}

/// A third of all postings is on the account without limits, so that money keeps coming.
fn pick(rng: &mut Rng, asset: u32) -> u128 {
    let index = if rng.chance(33) { 0 } else { rng.below(ACCOUNTS as usize) as u128 };
    account(asset, index)
}
