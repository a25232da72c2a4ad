//! One damaged copy: the oracle's verdict and recovery's.

use std::sync::Arc;

use florin_wal::RecoverError;

use super::case::Case;
use super::mutate;
use super::oracle::{self, Verdict};
use super::tally::Tally;
use crate::disk::{BLOCK, History, Image, Life, Name, Place, Recorder, pack_range, segment_name, segment_ordinal};
use crate::rng::Rng;

/// One copy in this many is scanned too; one that starts is recovered again; one goes on with more frames.
const SCANNED: usize = 8;
const AGAIN: usize = 4;
const WENT_ON: usize = 16;

/// Damages a copy of the files and judges it.
pub fn damaged(place: &Place, case: &Case, what: &str, rng: &mut Rng, tally: &mut Tally) {
    let mut image = case.image.clone();
    let kind = mutate::change(case, &mut image, rng);
    let changed = changed(&case.image, &image);
    if changed.is_empty() {
        tally.skipped += 1;
        return;
    }
    let what = format!("{what}, {}, {kind} in {changed:?}", case.what);
    let wanted = oracle::judge(case, &image);
    let disk = Recorder::of(image.clone(), case.mode);
    if rng.below(SCANNED) == 0 {
        scan(place, case, &disk, wanted, &what);
        assert!(is_same(&image, &disk.live()), "{what}: a scan writes nothing");
    }
    let (recovered, seen) = place.recover(&disk, &case.history);
    tally.frames += seen.frames;
    assert_eq!(seen.wrong, None, "{what}: a frame that was never appended there");
    tally.packs += u64::from(changed.iter().any(|name| pack_range(name).is_some()));
    let verdicts = tally.kinds.entry(kind).or_default();
    match (wanted, recovered) {
        (Verdict::Refused { last_good }, Err(error)) => {
            verdicts.refused += 1;
            assert!(is_same(&image, &disk.live()), "{what}: a refusal changes nothing");
            if let RecoverError::Damaged(damage) = error {
                assert_eq!(damage.last_good_frame, last_good, "{what}: {damage}");
            }
        }
        (Verdict::Starts { last, torn, stray_blocks }, Ok(recovered)) => {
            *(if torn { &mut verdicts.torn } else { &mut verdicts.fine }) += 1;
            let report = recovered.report().clone();
            assert_eq!(seen.frames, last, "{what}: frames up to {last} are whole");
            assert_eq!((report.torn_tail.is_some(), report.stray_blocks), (torn, stray_blocks), "{what}");
            drop(recovered);
            gap(case, &image, &changed, last, &what, tally);
            let history = case.history[..last as usize].to_vec();
            if rng.below(AGAIN) == 0 {
                again(place, &disk, &history, &what);
                tally.again += 1;
            }
            if rng.below(WENT_ON) == 0 {
                go_on(place, &disk, history, &what, rng);
                tally.went_on += 1;
            }
        }
        (wanted, recovered) => {
            let found = recovered.map(|recovered| recovered.report().clone()).map_err(|error| error.to_string());
            panic!("{what}: the oracle says {wanted:?}, recovery {found:?}");
        }
    }
}

fn scan(place: &Place, case: &Case, disk: &Recorder, wanted: Verdict, what: &str) {
    let (scanned, seen) = place.scan(disk, &case.history);
    match (wanted, scanned) {
        (Verdict::Refused { .. }, Err(_)) => {}
        (Verdict::Starts { last, torn, stray_blocks }, Ok(report)) => {
            let found = (seen.frames, report.torn_tail.is_some(), report.stray_blocks);
            assert_eq!(found, (last, torn, stray_blocks), "{what}: by a scan");
        }
        (wanted, scanned) => panic!("{what}: the oracle says {wanted:?}, a scan {scanned:?}"),
    }
}

/// Acknowledged frames may be lost without a word in one case alone: nothing that was written behind them is left, and no
/// watermark speaks of them.
fn gap(case: &Case, image: &Image, changed: &[Name], last: u64, what: &str, tally: &mut Tally) {
    if last >= case.acknowledged {
        return;
    }
    let segments_only = changed.iter().all(|name| segment_ordinal(name).is_some() || pack_range(name).is_some());
    if segments_only {
        assert!(last >= case.served, "{what}: a start had served frames up to {}, {last} found", case.served);
        assert!(!case.is_sealed(), "{what}: frames up to {} were sealed, {last} found", case.acknowledged);
    }
    let lost: u64 = case.acknowledged - last;
    let newest = case.groups.last().expect("what was acknowledged was written");
    let name = segment_name(newest.ordinal);
    // Of a block that was cut nothing is read, and nothing of a segment whose first block is gone: its salt stands there.
    let block =
        |image: &Image, at: usize| image.get(&*name).and_then(|file| file.get(at..at + BLOCK)).map(<[u8]>::to_vec);
    let is_headed = block(image, 0) == block(&case.image, 0);
    let left = is_headed && block(image, newest.offset).is_some_and(|block| block[..96] == newest.bytes[..96]);
    if !segments_only {
        tally.gap_several += 1;
    } else if newest.frames == lost {
        tally.gap_last += 1;
    } else {
        assert!(!left, "{what}: {lost} frames lost, and the newest group of {} frames is there", newest.frames);
        tally.gap_rest += 1;
    }
}

fn again(place: &Place, disk: &Recorder, history: &History, what: &str) {
    let (recovered, seen) = place.recover(disk, history);
    let recovered = recovered.unwrap_or_else(|error| panic!("{what}: refused the second time: {error}"));
    assert_eq!((seen.frames, seen.wrong), (history.len() as u64, None), "{what}: the same again");
    assert_eq!(recovered.report().torn_tail, None, "{what}: the tail was cleared");
}

fn go_on(place: &Place, disk: &Recorder, history: History, what: &str, rng: &mut Rng) {
    let disk = Recorder::of(disk.live(), disk.mode());
    let (recovered, _) = place.recover(&disk, &history);
    let recovered = recovered.unwrap_or_else(|error| panic!("{what}: refused the second time: {error}"));
    let mut life = Life::start(&disk, recovered, history).unwrap_or_else(|error| panic!("{what}: no start: {error}"));
    life.burst(&[2], 3000, false, rng);
    let (_, history) = life.end(rng);
    again(place, &disk, &history, &format!("{what}: after the log went on"));
}

/// Names of the files that differ.
fn changed(before: &Image, after: &Image) -> Vec<Name> {
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let differs = |name: &&Name| match (before.get(*name), after.get(*name)) {
        (Some(one), Some(two)) => !Arc::ptr_eq(one, two) && one != two,
        _ => true,
    };
    names.filter(differs).cloned().collect()
}

/// Whether no file was written to.
pub fn is_same(before: &Image, after: &Image) -> bool {
    // A write to a file that is shared makes a copy of it.
    before.len() == after.len()
        && before.iter().zip(after).all(|(one, two)| one.0 == two.0 && Arc::ptr_eq(one.1, two.1))
}
