//! Frames that were changed after they were written: replay refuses them or what it accepts still adds up, and no bytes
//! make it panic. Checksums are not looked at here; this is what stands behind them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use florin_core::coordinator::RoundLimits;
use florin_tests::rng::Rng;
use florin_tests::sim::{self, Audit, Log};

/// Logs that are recorded, and changed copies of each.
const LOGS: u64 = 100;
const COPIES: u64 = 200;

#[test]
fn a_changed_log_is_refused_or_still_adds_up() {
    let (mut refused, mut accepted, mut skipped) = (0, 0, 0);
    for seed in 0..LOGS {
        let log = sim::record(seed, 1 + seed as usize % 3);
        if log.has_heaves() {
            skipped += 1;
            continue;
        }
        for copy in 0..COPIES {
            let mut rng = Rng::part(seed << 32 | copy, "mutation");
            let mut changed = log.clone();
            let what = change(&mut changed, &mut rng);
            match catch_unwind(AssertUnwindSafe(|| replay(&changed, 1 + rng.below(3)))) {
                Ok(true) => accepted += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("log {seed}, copy {copy}: {what}"),
            }
        }
    }
    println!("{LOGS} logs ({skipped} skipped), {refused} changed copies refused, {accepted} accepted that add up");
    assert!(refused > accepted, "most changes matter");
}

/// Replays and audits a log; false if it was refused.
fn replay(log: &Log, shards: usize) -> bool {
    let Ok(ledger) = log.try_replay(shards, 7, RoundLimits::default()) else { return false };
    let mut audit = Audit::trusting();
    log.frames.iter().flat_map(|frame| frame.records()).for_each(|record| audit.row(&record));
    assert_eq!(ledger.coordinator.last_sequence(), log.last_sequence());
    true
}

/// Changes one thing and says which.
fn change(log: &mut Log, rng: &mut Rng) -> String {
    let at = rng.below(log.frames.len());
    let other = rng.below(log.frames.len());
    let kind = rng.below(16);
    let frame = &mut log.frames[at];
    match kind {
        0 => frame.payload.truncate(rng.below(frame.payload.len() + 1)),
        1 => frame.payload.push(rng.word() as u8),
        2 => frame.vouchers.truncate(rng.below(frame.vouchers.len() + 1)),
        3 => frame.head.count = rng.pick(&[0, 1, frame.head.count + 1, u32::MAX]),
        4 => frame.head.time = rng.pick(&[0, 1, frame.head.time ^ 1, u64::MAX]),
        5 => frame.head.first_sequence = rng.pick(&[0, frame.head.first_sequence + 1, u64::MAX]),
        6 => frame.head.number = rng.pick(&[0, frame.head.number + 1, u64::MAX]),
        7 => log.frames.swap(at, other),
        8 => drop(log.frames.remove(at)),
        9 => {
            let copy = log.frames[other].clone();
            log.frames.insert(at, copy);
        }
        10 if !frame.vouchers.is_empty() => flip(&mut frame.vouchers, rng),
        11 => overwrite(&mut frame.payload, rng),
        _ => flip(&mut frame.payload, rng),
    }
    format!("change {kind} in frame {at}, other frame {other}")
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = rng.below(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
}

/// Puts an extreme number over a few bytes.
fn overwrite(bytes: &mut [u8], rng: &mut Rng) {
    let length = rng.pick(&[1, 2, 4, 8, 16]).min(bytes.len());
    let at = rng.below(bytes.len() - length + 1);
    let with = rng.pick(&[0, 0xff, 0x7f, 0x80]);
    bytes[at..at + length].fill(with);
}
