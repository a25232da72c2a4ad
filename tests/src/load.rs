//! The load of the kill test: numbered batches of items or account changes that client and rig both know how to make.
//! A third of the items place holds, some of which expire while the server is down.

use bytes::Bytes;
use florin_core::entry::PostReply;
use florin_core::request::PostForm;
use florin_net::{AccountChange, Client, ClientError};

use crate::encode;
use crate::model::item::*;
use crate::program::Step;
use crate::rng::Rng;

/// Assets.
const ASSETS: [(u32, &str); 2] = [(203, "CZK"), (978, "EUR")];
/// Accounts of each asset. The first has no limits, the second is full soon, the others may not go below zero.
const ACCOUNTS: u128 = 12;
/// Bits of an id that number the transaction within its batch.
const ITEM_BITS: u32 = 16;
/// Items of a batch.
const COUNTS: [u64; 6] = [1, 1, 3, 30, 100, 300];
/// One batch of so many changes accounts.
const CHANGES_EVERY: u64 = 8;

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

/// The request with this number: every eighth changes accounts, the others are items.
pub fn batch(seed: u64, number: u64) -> Step {
    let mut rng = batch_rng(seed, number);
    if number % CHANGES_EVERY == CHANGES_EVERY - 1 {
        let changes = (0..rng.between(1, 3) as u64).map(|place| change(&mut rng, id(number, place))).collect();
        return Step::Change { institution: 1, changes };
    }
    let count = rng.pick(&COUNTS);
    let transfers = rng.chance(40);
    let items: Vec<Item> = (0..count)
        .map(|place| {
            let id = id(number, place);
            match place % 3 {
                1 => hold(&mut rng, id),
                2 if !transfers => named(&mut rng, seed, number, id),
                _ if transfers => transfer(&mut rng, id),
                _ => journal(&mut rng, id),
            }
        })
        .collect();
    Step::Run { institution: 1, transfers, items }
}

fn batch_rng(seed: u64, number: u64) -> Rng {
    Rng::part(seed ^ number.rotate_left(32), "batch")
}

fn id(number: u64, place: u64) -> u128 {
    1 << 100 | u128::from(number) << ITEM_BITS | u128::from(place)
}

/// The batch that an id belongs to, and its place there.
pub fn place_of(id: u128) -> (u64, usize) {
    ((id >> ITEM_BITS) as u64, (id & ((1 << ITEM_BITS) - 1)) as usize)
}

/// The ids of a batch.
pub fn ids(step: &Step) -> Vec<u128> {
    match step {
        Step::Run { items, .. } => items.iter().map(|item| item.id).collect(),
        Step::Change { changes, .. } => changes.iter().map(|change| change.id).collect(),
        _ => unreachable!("batches are items or changes"),
    }
}

/// Sends a batch and waits for the reply.
pub async fn ask(client: &Client, batch: &Step) -> Result<PostReply, ClientError> {
    match batch {
        Step::Run { transfers, items, .. } => {
            let form = if *transfers { PostForm::Transfers } else { PostForm::Items };
            let payload = Bytes::from(encode::post_payload(*transfers, items));
            client.post_payload(form, items.len() as u32, payload, true).await
        }
        Step::Change { changes, .. } => {
            let changes: Vec<AccountChange> = changes.iter().map(encode::account_change).collect();
            client.change_accounts(&changes).await
        }
        _ => unreachable!("batches are items or changes"),
    }
}

/// The items of a batch.
pub fn items(step: &Step) -> &[Item] {
    match step {
        Step::Run { items, .. } => items,
        _ => &[],
    }
}

/// Money is reserved for a second or two, for long, or for good.
fn hold(rng: &mut Rng, id: u128) -> Item {
    Item { kind: HOLD, timeout: rng.pick(&[1, 1, 2, 3_600, 0]), ..transfer(rng, id) }
}

/// Something about a hold or transaction of one of the last batches, which may have been refused, closed, or not exist.
fn named(rng: &mut Rng, seed: u64, number: u64, id: u128) -> Item {
    let other = number - rng.below(5).min(number as usize) as u64;
    let count = batch_rng(seed, other).pick(&COUNTS);
    let hold = self::id(other, 1 + 3 * rng.below(count.div_ceil(3) as usize) as u64);
    let amount = rng.between(1, 15) as u128;
    let both = [(0, amount), (1, amount)];
    match rng.below(10) {
        0..=1 => Item::increase(id, hold, &both),
        2..=3 => Item::capture(id, hold, &[]),
        4..=5 => Item { is_final: rng.chance(30), ..Item::capture(id, hold, &both) },
        6 => Item::release(id, hold),
        _ => {
            let original = self::id(other, rng.below(count as usize) as u64);
            Item::reverse(id, original, if rng.chance(40) { &[] } else { &both })
        }
    }
}

/// Mostly such that the load goes on: what is frozen is opened again.
fn change(rng: &mut Rng, id: u128) -> Change {
    let (asset, _) = rng.pick(&ASSETS);
    let account = account(asset, rng.between(1, ACCOUNTS as usize - 1) as u128);
    match rng.below(10) {
        0..=1 => Change::status(id, account, rng.pick(&[DEBIT_FROZEN, CREDIT_FROZEN])),
        2..=4 => Change::status(id, account, OPEN),
        5 => Change::limits(id, account, Limit::To(rng.pick(&[0, -20, 10])), Limit::Keep).forced(),
        6 => Change::limits(id, account, Limit::Keep, rng.pick(&[Limit::Remove, Limit::To(400)])),
        7 => Change::alarm(id, account, Limit::To(rng.pick(&[0, 20, 100]))),
        8 => Change::close(id, account),
        _ => Change::label(id, account, b"load"),
    }
}

fn transfer(rng: &mut Rng, id: u128) -> Item {
    let (asset, _) = rng.pick(&ASSETS);
    let (debit, credit) = (pick(rng, asset), pick(rng, asset));
    let mut t = Item::transfer(id, debit, credit, asset, rng.between(1, 50) as u128);
    if rng.chance(20) {
        t.voucher = vec![id as u8; rng.between(1, 200)];
        t.reference = rng.next_u128();
    }
    t
}

/// Three legs, or the same account several times.
fn journal(rng: &mut Rng, id: u128) -> Item {
    let (asset, _) = rng.pick(&ASSETS);
    let (large, small) = (rng.between(10, 90) as u128, rng.between(1, 9) as u128);
    let posting = |account, side, amount| Posting::new(account, side, amount, asset);
    let (payer, payee, fees) = (pick(rng, asset), pick(rng, asset), pick(rng, asset));
    let postings =
        vec![posting(payer, DEBIT, large + small), posting(payee, CREDIT, large), posting(fees, CREDIT, small)];
    Item { code: 7, ..Item::post(id, &postings) }
}

/// A third of all postings is on the account without limits, so that money keeps coming.
fn pick(rng: &mut Rng, asset: u32) -> u128 {
    let index = if rng.chance(33) { 0 } else { rng.below(ACCOUNTS as usize) as u128 };
    account(asset, index)
}
