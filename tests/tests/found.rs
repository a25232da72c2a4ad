//! What the crash explorer and the damaged copies found in the log, each as the shortest way to it.

use std::sync::Arc;

use florin_tests::disk::{
    BLOCK, Damage, Event, History, Life, Place, Platter, Recorder, SEGMENT, WATERMARK, segment_name,
};
use florin_tests::rng::Rng;
use florin_wal::WriteMode;

/// Recovers what a medium shows, appends `frames` frames, ends in order.
fn live(place: &Place, platter: &Platter, mode: WriteMode, history: History, frames: usize) -> (Vec<Event>, History) {
    let disk = Recorder::of(platter.live(), mode);
    let (recovered, seen) = place.recover(&disk, &history);
    assert_eq!((seen.frames, seen.wrong), (history.len() as u64, None));
    let mut life = Life::start(&disk, recovered.expect("a good log"), history).expect("a good disk");
    if frames > 0 {
        life.burst(&vec![1; frames - 1], 100, false, &mut Rng::new(1));
    }
    life.end(&mut Rng::new(2))
}

/// Does a life up to its last or first write of the watermark, which is then under way.
fn until_watermark(platter: &mut Platter, events: &[Event], last: bool) {
    let marks = |event: &Event| event.bytes().is_some_and(|(file, _)| file == WATERMARK);
    let at = if last { events.iter().rposition(marks) } else { events.iter().position(marks) };
    events[..=at.expect("each life writes the watermark")].iter().for_each(|event| platter.apply(event));
}

/// A kill leaves a slot of the watermark that is not synced; the next start reads it, goes on from it, and writes the other
/// one. If the power goes then, both writes may be torn.
#[test]
fn a_kill_within_a_watermark_and_a_power_cut_within_the_next_one_leave_a_whole_slot() {
    for mode in [WriteMode::Direct, WriteMode::Buffered] {
        let place = Place::default();
        let mut platter = Platter::of(&place.image());
        let (events, history) = live(&place, &platter, mode, History::new(), 1);
        until_watermark(&mut platter, &events, true);
        let (events, _) = live(&place, &platter, mode, history.clone(), 0);
        until_watermark(&mut platter, &events, false);
        for seed in 0..300 {
            let image = platter.cut(Damage::Any, &mut Rng::new(seed));
            let (recovered, seen) = place.recover(&Recorder::of(image, mode), &history);
            assert!(recovered.is_ok(), "{mode:?}, seed {seed}: {}", recovered.err().expect("an error"));
            assert_eq!((seen.frames, seen.wrong), (1, None), "{mode:?}, seed {seed}");
        }
    }
}

/// A seal that is damaged, with only an empty group and the watermark behind it, is no loss: the log starts, and goes on.
#[test]
fn a_log_that_lost_two_empty_groups_starts() {
    let (place, mode) = (Place::default(), WriteMode::Direct);
    let mut platter = Platter::of(&place.image());
    let mut history = History::new();
    for frames in [1, 0] {
        let (events, frames) = live(&place, &platter, mode, history, frames);
        events.iter().for_each(|event| platter.apply(event));
        history = frames;
    }
    let mut image = platter.live();
    // The first block, the opening group, the frame, then the seal.
    let file = Arc::make_mut(image.get_mut(&*segment_name(1)).expect("the first segment"));
    file[3 * BLOCK + 40] ^= 1;
    let (_, frames) = live(&place, &Platter::of(&image), mode, history, 1);
    assert_eq!(frames.len(), 2);
}

/// A spare that is longer than a segment is refused while nothing stands in it: once the log had gone on in it, no start would
/// read it any more.
#[test]
fn a_spare_that_is_too_long_is_refused_before_the_log_goes_on_in_it() {
    let (place, mode) = (Place::default(), WriteMode::Direct);
    let mut platter = Platter::of(&place.image());
    let (events, history) = live(&place, &platter, mode, History::new(), 1);
    events.iter().for_each(|event| platter.apply(event));
    for ordinal in [2, 3] {
        let mut image = platter.live();
        Arc::make_mut(image.get_mut(&*segment_name(ordinal)).expect("a spare")).resize(SEGMENT + 1, 0);
        let disk = Recorder::of(image.clone(), mode);
        let (recovered, seen) = place.recover(&disk, &history);
        let error = recovered.err().expect("a refusal").to_string();
        assert!(error.contains(&segment_name(ordinal)) && error.contains("longer than a segment"), "{error}");
        assert_eq!((seen.frames, disk.live() == image), (1, true), "a refusal changes nothing");
    }
}
