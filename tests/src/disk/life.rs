//! One process on a ledger: it starts after a recovery, appends frames, waits for what it wants to wait for, and ends. The
//! order of what it did is drawn from a seed.

use std::sync::Arc;

use std::ops::ControlFlow;

use florin_wal::{Frame, LogWriter, Packer, Recovered, StartError};

use super::event::Event;
use super::merge::merge;
use super::recorder::{Recorder, State};
use super::{SEGMENT, WATERMARK, segment_name};
use crate::rng::Rng;

/// Frames that may wait at the writer, and frames of a burst at most.
pub(super) const BUFFERS: usize = 16;

/// A frame that was appended. Two lives may append different ones with the same number.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct FrameBody {
    pub number: u64,
    pub first_sequence: u64,
    pub count: u32,
    pub time_ns: u64,
    pub payload: Vec<u8>,
    pub vouchers: Vec<u8>,
}

/// The frames of a log, from the first one.
pub type History = Vec<Arc<FrameBody>>;

/// What a recovery gave to its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Seen {
    pub frames: u64,
    /// The first frame that is not the one that was appended.
    pub wrong: Option<u64>,
}

impl FrameBody {
    /// A frame that goes on behind a history.
    pub fn after(history: &History, bytes_max: usize, rng: &mut Rng) -> FrameBody {
        let number = history.len() as u64 + 1;
        let first_sequence = history.last().map_or(1, |last| last.first_sequence + u64::from(last.count));
        let payload = (0..rng.below(bytes_max + 1)).map(|_| rng.word() as u8).collect();
        let vouchers = (0..rng.below(200) * rng.below(2)).map(|_| rng.word() as u8).collect();
        FrameBody { number, first_sequence, count: rng.below(5) as u32, time_ns: rng.word() >> 2, payload, vouchers }
    }
}

impl Seen {
    pub(super) fn take(&mut self, frame: &Frame<'_>, history: &History) {
        self.frames += 1;
        let head = &frame.head;
        let same = history.get(self.frames as usize - 1).is_some_and(|body| {
            let heads = (body.number, body.first_sequence, body.count, body.time_ns);
            heads == (head.number, head.first_sequence, head.count, head.time_ns)
                && body.payload == frame.payload
                && body.vouchers == frame.vouchers
        });
        if !same && self.wrong.is_none() {
            self.wrong = Some(self.frames);
        }
    }
}

/// A running log.
pub struct Life {
    disk: Recorder,
    /// `None` once it was ended.
    writer: Option<LogWriter>,
    packer: Packer,
    history: History,
}

impl Life {
    /// Starts the log that was recovered, whose frames are those of the history.
    pub fn start(disk: &Recorder, recovered: Recovered, history: History) -> Result<Life, StartError> {
        let report = recovered.report();
        assert_eq!(report.last_frame, history.len() as u64, "the history was cut to what was recovered");
        let (last_frame, segments) = (report.last_frame, report.segments);
        let live = disk.live();
        let whole = |ordinal: &u64| live.get(&*segment_name(*ordinal)).is_some_and(|file| file.len() == SEGMENT);
        let ready = segments + (segments + 1..).take_while(whole).count() as u64;
        let (durable, failed) = (disk.clone(), disk.clone());
        let (writer, reader) = recovered.start(
            Box::new(move |frame, _| durable.acknowledge(frame)),
            Box::new(move |failure| failed.change(|state| state.failed = Some(failure.to_string()))),
        )?;
        disk.note(Event::Served(last_frame));
        disk.change(|state| {
            let first = state.position().unwrap_or(segments).max(segments);
            (state.acknowledged, state.started_at) = (last_frame, (first, ready.max(first)));
        });
        Ok(Life { disk: disk.clone(), writer: Some(writer), packer: reader.packer(), history })
    }

    fn writer(&self) -> &LogWriter {
        self.writer.as_ref().expect("it was not ended")
    }

    /// The frames of the log, also those that are not durable yet.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Hands a frame over.
    pub fn append(&mut self, body: FrameBody) {
        let mut buffer = self.writer().buffer();
        buffer.payload().extend_from_slice(&body.payload);
        buffer.vouchers().extend_from_slice(&body.vouchers);
        self.disk.note(Event::Appended(body.number));
        self.writer().append(body.number, body.first_sequence, body.count, body.time_ns, buffer);
        self.history.push(Arc::new(body));
    }

    /// Appends frames in groups of these numbers of frames, each group written while the next one is handed over, so that
    /// no time of the machine decides what is written together. Waits until all are acknowledged; before another burst the
    /// caller waits for the seal. `hurried`: the allocator stands still until the writer has to wait for it.
    pub fn burst(&mut self, groups: &[usize], bytes_max: usize, hurried: bool, rng: &mut Rng) {
        self.await_quiet();
        self.disk.hold_writer();
        self.disk.hold_spares(hurried);
        let waits = self.writer().stats().segment_waits;
        assert!(groups.iter().sum::<usize>() < BUFFERS, "an append would wait for the writer, which is held");
        // The first frame of a burst is alone: the writer waits for nothing once it has one.
        let groups = std::iter::once(1).chain(groups.iter().copied());
        let mut held = hurried;
        for (number, frames) in groups.enumerate() {
            if number > 0 {
                self.step(&mut held, waits);
            }
            for _ in 0..frames {
                self.append(FrameBody::after(&self.history, bytes_max, rng));
            }
            if number > 0 {
                self.disk.permit_one();
            }
        }
        while self.step(&mut held, waits) {
            self.disk.permit_one();
        }
        self.disk.hold_spares(false);
        self.disk.release_writer();
    }

    /// Waits until the writer stands in front of a group. False once all is durable.
    fn step(&mut self, held: &mut bool, waits: u64) -> bool {
        let last = self.history.len() as u64;
        while *held {
            let state = self.disk.lock();
            if state.blocked || state.acknowledged == last || state.failed.is_some() {
                break;
            }
            drop(state);
            if self.writer().stats().segment_waits > waits {
                *held = false;
                self.disk.hold_spares(false);
            }
            std::thread::yield_now();
        }
        self.disk.wait_until("a group", |state| state.blocked || state.acknowledged == last);
        let state = self.disk.lock();
        state.acknowledged != last
    }

    /// Waits until the frames that were acknowledged are sealed: by an empty group or only the watermark.
    pub fn await_seal(&self) {
        self.disk.wait_until("a seal", |state| {
            let behind = |event: &Event| !matches!(event, Event::Acknowledged(_));
            let mut since = state.events.iter().rev().map(|(_, event)| event).take_while(|event| behind(event));
            let synced = |event: &Event| matches!(event, Event::Sync { file, .. } if &**file == WATERMARK);
            since.any(synced)
        });
    }

    fn await_quiet(&self) {
        self.disk.wait_until("the allocator", State::is_quiet);
    }

    /// Packs what there is to pack, while nothing else is done, and gives how many packs that made.
    pub fn pack(&mut self) -> u64 {
        self.await_quiet();
        let mut packs = 0;
        while let Some(_packed) =
            self.packer.pack_next(&mut |_| ControlFlow::Continue(())).expect("the disk does not fail")
        {
            packs += 1;
        }
        packs
    }

    /// Ends the log in order, and gives all that was done since the disk was made, and the frames.
    pub fn end(mut self, rng: &mut Rng) -> (Vec<Event>, History) {
        self.await_quiet();
        let writer = self.writer.take().expect("it was not ended");
        writer.shutdown().expect("the disk does not fail");
        let (events, first) = self.disk.change(|state| (std::mem::take(&mut state.events), state.started_at.0));
        (merge(events, first, rng), std::mem::take(&mut self.history))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // Its threads end before it does, whatever they wait for.
        self.disk.hold_spares(false);
        self.disk.release_writer();
    }
}
