//! A recorded log and its files at a moment: everything that the disk was asked to write until then, taken apart at the
//! offsets of `docs/format-log.md`. In some logs a power cut tore a write, and the log went on over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crash::workload::{self, Size};
use crate::disk::{
    BLOCK, Damage, Event, History, Image, Life, Name, Place, Platter, Recorder, WATERMARK, segment_ordinal,
};
use crate::rng::Rng;

/// A log from its first operation to its last.
pub struct Recorded {
    base: Image,
    mode: florin_wal::WriteMode,
    events: Vec<Event>,
    history: History,
    /// After this many events the power went; what it left, and what was done from then on.
    torn: Option<(usize, Image, Vec<Event>, History)>,
}

/// A group that the disk was asked to write.
#[derive(Clone, Debug)]
pub struct Group {
    pub ordinal: u64,
    /// Salt of the segment that it was written into.
    pub salt: u64,
    /// Of its header.
    pub offset: usize,
    pub bytes: Vec<u8>,
    pub number: u64,
    pub durable_upto: u64,
    pub frames: u64,
}

/// A first block that the disk was asked to write.
#[derive(Clone, Debug)]
pub struct FirstBlock {
    pub ordinal: u64,
    pub bytes: Vec<u8>,
    pub salt: u64,
    pub first_group: u64,
    pub first_frame: u64,
}

/// A pack that the disk was asked to write and to give its name.
#[derive(Clone, Debug)]
pub struct Pack {
    pub name: Name,
    pub bytes: Vec<u8>,
    pub first_group: u64,
    pub first_frame: u64,
    pub next_group: u64,
    pub next_frame: u64,
}

/// A slot of the watermark that the disk was asked to write, or that was there from the start.
#[derive(Clone, Debug)]
pub struct Slot {
    pub bytes: Vec<u8>,
    pub counter: u64,
    pub frame: u64,
    pub segment: u64,
}

/// The files at one moment, and what was written until then.
pub struct Case {
    pub mode: florin_wal::WriteMode,
    pub image: Image,
    /// The files at earlier moments.
    pub older: Vec<Image>,
    pub history: History,
    pub groups: Vec<Group>,
    pub first_blocks: Vec<FirstBlock>,
    pub slots: Vec<Slot>,
    pub packs: Vec<Pack>,
    /// Packs that have no name yet, by the one they have until then.
    unnamed: BTreeMap<Name, Vec<u8>>,
    /// The last frame that somebody was told of.
    pub acknowledged: u64,
    /// The last frame that a start had recovered when it began to serve.
    pub served: u64,
    pub what: String,
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Records the log of a seed.
pub fn record(place: &Place, seed: u64) -> Recorded {
    let workload = workload::record(place, seed, Size::Small);
    let (base, mode, events, history) = (workload.base, workload.mode, workload.events, workload.history);
    let mut rng = Rng::part(seed, "torn");
    let groups = |(_, event): &(usize, &Event)| {
        event.bytes().is_some_and(|(file, bytes)| segment_ordinal(file).is_some() && bytes[0] != 0)
    };
    let writes: Vec<usize> = events.iter().enumerate().filter(groups).map(|(at, _)| at + 1).collect();
    let torn = (!seed.is_multiple_of(3)).then(|| {
        // A first write that is torn is the one that leaves something of another salt.
        let begins = |at: &&usize| events[**at - 1].begins().is_some();
        let first: Vec<usize> = writes.iter().filter(begins).copied().collect();
        let cut = if rng.chance(40) { rng.pick(&first) } else { rng.pick(&writes) };
        let mut platter = Platter::of(&base);
        events[..cut].iter().for_each(|event| platter.apply(event));
        let left = platter.cut(Damage::Any, &mut rng);
        let disk = Recorder::of(left.clone(), mode).writing_apart(seed / 2 % 2 == 1);
        let (recovered, seen) = place.recover(&disk, &history);
        let recovered = recovered.unwrap_or_else(|error| panic!("seed {seed}: an honest crash: {error}"));
        let mut life = Life::start(&disk, recovered, history[..seen.frames as usize].to_vec()).expect("a good disk");
        let groups: Vec<usize> = (0..rng.between(0, 5)).map(|_| rng.between(1, 3)).collect();
        let bytes_max = rng.pick(&[300, 4000, 9000]);
        life.burst(&groups, bytes_max, false, &mut rng);
        let (after, frames) = life.end(&mut rng);
        (cut, left, after, frames)
    });
    Recorded { base, mode, events, history, torn }
}

impl Recorded {
    /// The files at a moment that is drawn: mostly one at which something had just become durable.
    pub fn moment(&self, rng: &mut Rng) -> Case {
        let (events, history, torn) = match &self.torn {
            Some((cut, left, after, history)) => {
                let events: Vec<&Event> = self.events[..*cut].iter().chain(after).collect();
                (events, history, Some((*cut, left)))
            }
            None => (self.events.iter().collect(), &self.history, None),
        };
        let first = torn.map_or(0, |(cut, _)| cut);
        let told = |at: &usize| matches!(events[*at - 1], Event::Acknowledged(_) | Event::Served(_));
        let moments: Vec<usize> = (first + 1..=events.len()).filter(told).collect();
        let at = match rng.below(10) {
            0..5 => rng.pick(&moments),
            5..7 => events.len(),
            _ => rng.between(first + 1, events.len()),
        };
        let mut case = Case {
            mode: self.mode,
            image: Image::new(),
            older: Vec::new(),
            history: history.clone(),
            groups: Vec::new(),
            first_blocks: Vec::new(),
            slots: Vec::new(),
            packs: Vec::new(),
            unnamed: BTreeMap::new(),
            acknowledged: 0,
            served: 0,
            what: format!("after {at} of {} events", events.len()),
        };
        self.base[WATERMARK].chunks(BLOCK).for_each(|slot| case.slots.push(Slot::of(slot)));
        let mut platter = Platter::of(&self.base);
        let keep = rng.between(1, 30);
        for (number, event) in events[..at].iter().enumerate() {
            if let Some((_, left)) = torn.filter(|(cut, _)| *cut == number) {
                platter = Platter::of(left);
                case.older.push(left.clone());
            } else if number % keep == 0 && case.older.len() < 6 {
                case.older.push(platter.live());
            }
            platter.apply(event);
            case.note(event);
        }
        case.image = platter.live();
        case
    }
}

impl Case {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Acknowledged(frame) => self.acknowledged = *frame,
            Event::Served(frame) => (self.acknowledged, self.served) = (*frame, *frame),
            Event::Write { file, offset, bytes, .. } if &**file == WATERMARK => {
                assert!(offset.is_multiple_of(BLOCK as u64) && bytes.len() == BLOCK, "one slot at a time");
                self.slots.push(Slot::of(bytes));
            }
            Event::Create { file } if file.ends_with(".new") => drop(self.unnamed.insert(Arc::clone(file), Vec::new())),
            Event::Write { file, offset, bytes, .. } if file.ends_with(".new") => {
                let pack = self.unnamed.get_mut(file).expect("a file is made before it is written");
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                pack.resize(pack.len().max(to), 0);
                pack[from..to].copy_from_slice(bytes);
            }
            Event::Rename { file, to } => {
                let bytes = self.unnamed.remove(file).expect("a pack that was written");
                self.packs.push(Pack::of(Arc::clone(to), bytes));
            }
            // Zeros are nothing that anybody wants back.
            Event::Write { file, offset, bytes, .. } if bytes[0] != 0 => {
                let ordinal = segment_ordinal(file).expect("a segment");
                let mut offset = *offset as usize;
                let mut group = &bytes[..];
                if offset == 0 {
                    self.first_blocks.push(FirstBlock::of(ordinal, &group[..BLOCK]));
                    group = &group[BLOCK..];
                    offset = BLOCK;
                }
                let begun = self.first_blocks.iter().rev().find(|first| first.ordinal == ordinal);
                let salt = begun.expect("a segment is begun before it goes on").salt;
                self.groups.push(Group {
                    ordinal,
                    salt,
                    offset,
                    number: u64_at(group, 40),
                    durable_upto: u64_at(group, 48),
                    frames: u64::from(u32_at(group, 60)),
                    bytes: group.to_vec(),
                });
            }
            _ => {}
        }
    }

    /// Whether the watermark covers all that was acknowledged.
    pub fn is_sealed(&self) -> bool {
        self.slots.iter().map(|slot| slot.frame).max() == Some(self.acknowledged)
    }
}

impl Pack {
    fn of(name: Name, bytes: Vec<u8>) -> Pack {
        let [next_group, next_frame] = [64, 72].map(|at| u64_at(&bytes, at));
        let [first_group, first_frame] = [168, 176].map(|at| u64_at(&bytes, at));
        Pack { name, bytes, first_group, first_frame, next_group, next_frame }
    }

    /// Bytes of its header.
    pub fn header(&self) -> usize {
        u64_at(&self.bytes, 120) as usize
    }
}

impl Slot {
    fn of(bytes: &[u8]) -> Slot {
        let (counter, frame, segment) = (u64_at(bytes, 32), u64_at(bytes, 40), u64_at(bytes, 56));
        Slot { bytes: bytes.to_vec(), counter, frame, segment }
    }
}

impl FirstBlock {
    fn of(ordinal: u64, bytes: &[u8]) -> FirstBlock {
        let (salt, first_group, first_frame) = (u64_at(bytes, 48), u64_at(bytes, 56), u64_at(bytes, 64));
        FirstBlock { ordinal, bytes: bytes.to_vec(), salt, first_group, first_frame }
    }
}
