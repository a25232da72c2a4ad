//! Walks the log from its first segment and checks everything: first blocks, group headers, bodies, padding, frames,
//! digests, chain, numbering, and packs in place of the segments that are in them. It writes nothing and passes no verdict on where it ends; `evidence` does.

use crate::block::Blocks;
use crate::disk::IoReport;
use crate::error::RecoverError;
use crate::format::{Bad, GroupHead, Reason, SegmentHead, all_zero};
use crate::frame::{Frame, FramePlace};
use crate::group::LogEnd;
use crate::key::{KeyRing, chain_start};
use crate::ledger::LedgerManifest;
use crate::limits::{
    BLOCK_BYTES, FIRST_FRAME, FIRST_GROUP, FIRST_SEGMENT, FIRST_SEQUENCE, FRAME_HEADER_BYTES, GROUP_HEADER_BYTES,
    READ_CHUNK_BYTES,
};
use crate::pack::format::PackHead;
use crate::pack::walk::{FoundPack, PackFault, find_packs, open_pack, walk_pack};
use crate::report::{RecoveryReport, TornTail};
use crate::segments::segment_name;
use crate::storage::{Access, Storage};
use crate::window::{FoundGroup, Window, open_segment, read_group};

/// Why a file is refused that has more bytes than a segment.
pub(crate) const TOO_LONG: Reason = "the file is longer than a segment of this ledger";

/// Where and why the walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The last segment with a good first block; 0 if none.
    pub segment: u64,
    /// Where its next group would begin.
    pub offset: u64,
    /// What is wrong there; `None` if there is nothing but zeros, or no room.
    pub bad: Option<Reason>,
    /// Why the next segment is not part of the log.
    pub next: Reason,
}

/// All that a walk found.
pub(crate) struct Walked {
    pub end: LogEnd,
    pub heads: Vec<SegmentHead>,
    pub stop: Stop,
    /// Frames before the first that was read.
    pub unread_frames: u64,
    pub frames: u64,
    pub groups: u64,
    pub bytes: u64,
    pub stray_blocks: u64,
    /// The packs that were read.
    pub packs: Vec<PackHead>,
    /// Packs behind the end of the walk.
    pub later_packs: Vec<PackHead>,
    /// The last good group; none if the log ends with a pack.
    pub last_group: Option<GroupHead>,
    /// The next segment continues the log but not where it ended here: groups are missing.
    pub gap: Option<SegmentHead>,
}

/// Why the next segment is not part of the log if it has no file.
const FILE_IS_MISSING: Reason = "the file is missing";

/// The part of a log that is read.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// The walk begins with the segment that holds this frame. Of those before it only first blocks and headers of packs are read: whoever
    /// knows the frame by its MAC, and what all up to it did, need not read them again.
    pub known: u64,
    /// It ends with this frame. Of what is behind it only its own group is looked at, whose checksum covers all of it.
    pub upto: u64,
}

impl Part {
    /// The whole log.
    pub(crate) const ALL: Part = Part { known: FIRST_FRAME - 1, upto: u64::MAX };

    /// From the segment on that holds a frame.
    pub(crate) fn behind(known: u64) -> Part {
        Part { known, ..Part::ALL }
    }

    /// Up to a frame.
    pub(crate) fn upto(upto: u64) -> Part {
        Part { upto, ..Part::ALL }
    }
}

/// Walks a part of the log.
pub(crate) fn walk<E>(
    storage: &dyn Storage,
    manifest: &LedgerManifest,
    keys: &KeyRing,
    access: Access,
    Part { known, upto }: Part,
    each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<Walked, RecoverError<E>> {
    let mut walked = Walked::at_the_beginning(manifest);
    let mut packs = find_packs(storage, manifest, access)?;
    let mut memory = Window::memory(manifest.segment_bytes);
    walked.go_to(known, storage, access, &packs, &mut memory)?;
    while walked.end.last_frame < upto {
        let ordinal = walked.stop.segment + 1;
        if let Some(pack) = packs.iter().find(|pack| pack.head.range().has(ordinal)) {
            walked.pack(storage, pack, (ordinal, upto), keys, access, &mut memory, each)?;
            continue;
        }
        let Some((file, size)) = open_segment(storage, ordinal, access)? else {
            // Beside a running packer it may have been packed since the packs were looked at, with segments that were read before.
            packs = find_packs(storage, manifest, access)?;
            if let Some(pack) = packs.iter().find(|pack| pack.head.range().has(ordinal)) {
                walked.pack(storage, pack, (ordinal, upto), keys, access, &mut memory, each)?;
                continue;
            }
            return Ok(walked.ends(FILE_IS_MISSING, packs));
        };
        let mut window = Window::new(&mut memory, file, size.min(manifest.segment_bytes));
        let head = match walked.first_block(&mut window, ordinal)? {
            Ok(head) => head,
            Err(reason) => return Ok(walked.ends(reason, packs)),
        };
        let at_start = |reason| RecoverError::Segment { file: segment_name(ordinal), offset: 0, reason };
        if size > manifest.segment_bytes {
            return Err(at_start(TOO_LONG));
        }
        if head.first_group > walked.end.next_group || head.first_frame > walked.end.last_frame + 1 {
            walked.gap = Some(head);
            return Ok(walked.ends("it begins with a later group", packs));
        }
        if !walked.end.continues_with(&head) {
            return Err(at_start("the segment does not continue the log before it"));
        }
        walked.count_stray_blocks(storage, access)?;
        walked.heads.push(head);
        walked.end.segment = Some(head);
        walked.end.packed = false;
        walked.bytes += BLOCK_BYTES as u64;
        // The first blocks were read: the window still has them.
        walked.segment(keys, head, &mut window, upto, each)?;
    }
    Ok(walked)
}

impl Walked {
    /// A walk that has read nothing yet.
    fn at_the_beginning(manifest: &LedgerManifest) -> Walked {
        let end = LogEnd {
            ledger: manifest.ledger,
            segment_bytes: manifest.segment_bytes,
            segment: None,
            packed: false,
            offset: manifest.segment_bytes,
            next_group: FIRST_GROUP,
            last_frame: FIRST_FRAME - 1,
            next_sequence: FIRST_SEQUENCE,
            last_time_ns: 0,
            mac: chain_start(&manifest.ledger),
        };
        Walked::at(end, FIRST_SEGMENT - 1)
    }

    /// A walk that begins in front of the groups of a segment.
    pub(crate) fn in_front_of(head: &SegmentHead) -> Walked {
        Walked { heads: vec![*head], ..Walked::at(LogEnd::in_front_of(head), head.ordinal) }
    }

    /// A walk that begins where a log stands whose last segment has this ordinal.
    fn at(end: LogEnd, segment: u64) -> Walked {
        Walked {
            unread_frames: end.last_frame,
            end,
            heads: Vec::new(),
            stop: Stop { segment, offset: 0, bad: None, next: "" },
            frames: 0,
            groups: 0,
            bytes: 0,
            stray_blocks: 0,
            packs: Vec::new(),
            later_packs: Vec::new(),
            last_group: None,
            gap: None,
        }
    }

    /// Goes to the segment that holds a frame, or to the last before something is missing, by first blocks and headers of packs that fit
    /// together. Where they do not the walk stays at the beginning, and finds out why.
    fn go_to<E>(
        &mut self,
        frame: u64,
        storage: &dyn Storage,
        access: Access,
        packs: &[FoundPack],
        memory: &mut Blocks,
    ) -> Result<(), RecoverError<E>> {
        if frame < FIRST_FRAME {
            return Ok(());
        }
        let mut heads: Vec<SegmentHead> = Vec::new();
        let mut ahead = packs.iter().peekable();
        for ordinal in FIRST_SEGMENT.. {
            while ahead.next_if(|pack| pack.head.range().last < ordinal).is_some() {}
            let packed = ahead.peek().and_then(|pack| pack.head.segment(ordinal));
            let head = match packed {
                Some(segment) => Some(segment.head),
                None => match open_segment(storage, ordinal, access)? {
                    Some((file, size)) => {
                        self.first_block(&mut Window::new(memory, file, size.min(BLOCK_BYTES as u64)), ordinal)?.ok()
                    }
                    None => None,
                },
            };
            let Some(head) = head.filter(|head| head.first_frame <= frame) else { break };
            let follows = match heads.last() {
                Some(before) => {
                    before.first_group < head.first_group
                        && before.first_frame <= head.first_frame
                        && before.first_sequence <= head.first_sequence
                }
                None => self.end.continues_with(&head),
            };
            if !follows {
                return Ok(());
            }
            heads.push(head);
        }
        // A pack is read before raw files of its segments may go.
        let unread = packs.iter().find(|pack| pack.raw_left).map_or(u64::MAX, |pack| pack.head.range().first);
        heads.retain(|head| head.ordinal <= unread);
        let Some(first) = heads.pop() else { return Ok(()) };
        let is_before = |pack: &&PackHead| pack.range().last < first.ordinal;
        let packs = packs.iter().map(|pack| &pack.head).filter(is_before).cloned().collect();
        let end = LogEnd { segment: None, ..LogEnd::in_front_of(&first) };
        *self = Walked { heads, packs, ..Walked::at(end, first.ordinal - 1) };
        Ok(())
    }

    /// The walk ends here, for what is wrong with the next segment.
    fn ends(mut self, reason: Reason, packs: Vec<FoundPack>) -> Walked {
        self.stop.next = reason;
        let behind = packs.into_iter().map(|pack| pack.head).filter(|pack| pack.range().first > self.stop.segment);
        self.later_packs = behind.collect();
        self
    }

    /// Whether there is no first segment at all.
    pub(crate) fn has_no_beginning(&self) -> bool {
        self.heads.is_empty() && self.stop.next == FILE_IS_MISSING
    }

    /// The first block, if it was written for this segment; otherwise why it is not part of the log.
    pub(crate) fn first_block<E>(
        &self,
        window: &mut Window<'_>,
        ordinal: u64,
    ) -> Result<Result<SegmentHead, Reason>, RecoverError<E>> {
        let file = || segment_name(ordinal);
        let block =
            window.fetch(0, BLOCK_BYTES).map_err(|source| RecoverError::Io { file: file(), offset: 0, source })?;
        let Some(block) = block else { return Ok(Err("the file is cut short")) };
        if all_zero(block) {
            return Ok(Err("its first block is zeros"));
        }
        match SegmentHead::decode(block) {
            Err(Bad::Broken(reason)) => Ok(Err(reason)),
            Err(Bad::Unknown(reason)) => Err(RecoverError::Segment { file: file(), offset: 0, reason }),
            Ok(head) if head.ledger != self.end.ledger => Ok(Err("its first block is another ledger's")),
            Ok(head) if head.ordinal != ordinal => Ok(Err("its first block is another segment's")),
            Ok(head) if head.segment_bytes != self.end.segment_bytes => Err(RecoverError::Segment {
                file: file(),
                offset: 0,
                reason: "the segment is of another size than ledger.json says",
            }),
            Ok(head) => Ok(Ok(head)),
        }
    }

    /// Reads the groups of one segment up to the first that is none.
    pub(crate) fn segment<E>(
        &mut self,
        keys: &KeyRing,
        segment: SegmentHead,
        window: &mut Window<'_>,
        upto: u64,
        each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        self.end.offset = BLOCK_BYTES as u64;
        let bad = loop {
            let offset = self.end.offset;
            let found = read_group(window, &segment, offset, self.end.next_group, self.end.last_frame);
            let file = || segment_name(segment.ordinal);
            let (head, body) = match found.map_err(|source| RecoverError::Io { file: file(), offset, source })? {
                FoundGroup::Whole(head, body) => (head, body),
                FoundGroup::Nothing => break None,
                FoundGroup::Broken(reason) => break Some(reason),
                FoundGroup::Unknown(reason) => return Err(RecoverError::Segment { file: file(), offset, reason }),
            };
            self.frames_of(keys, &head, body, upto, each)?;
            self.groups += 1;
            self.last_group = Some(head);
            self.bytes += head.bytes();
            self.end.next_group += 1;
            self.end.offset += head.bytes();
            if self.end.last_frame >= upto {
                break None;
            }
        };
        self.stop = Stop { segment: segment.ordinal, offset: self.end.offset, bad, next: "" };
        Ok(())
    }

    /// Checks the frames of a group whose checksum holds. What is wrong now is no torn write.
    fn frames_of<E>(
        &mut self,
        keys: &KeyRing,
        group: &GroupHead,
        body: &[u8],
        upto: u64,
        each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        let mut rest = body;
        for _ in 0..group.frames {
            let at = GROUP_HEADER_BYTES + body.len() - rest.len();
            let place = FramePlace::raw(group.ordinal, group.offset + at as u64);
            let expected = self.end.last_frame + 1;
            let wrong =
                |reason| RecoverError::Frame { file: place.file(), offset: place.offset, frame: expected, reason };
            let (head, payload, vouchers) = self.end.next_frame(keys, rest).map_err(wrong)?;
            each(Frame { head, payload, vouchers, place })
                .map_err(|error| RecoverError::apply(head.number, &place, error))?;
            rest = &rest[FRAME_HEADER_BYTES + head.body_bytes()..];
            self.frames += 1;
            self.end.pass(&head);
            if head.number >= upto {
                return Ok(());
            }
        }
        if !rest.is_empty() {
            let (file, offset) = (segment_name(group.ordinal), group.offset);
            return Err(RecoverError::Segment { file, offset, reason: "the group has bytes behind its last frame" });
        }
        Ok(())
    }

    /// Checks a pack and goes on behind it. `from` is the segment in front of which the log stands, `upto` the last frame to be read.
    #[allow(clippy::too_many_arguments)]
    fn pack<E>(
        &mut self,
        storage: &dyn Storage,
        found: &FoundPack,
        (from, upto): (u64, u64),
        keys: &KeyRing,
        access: Access,
        memory: &mut Blocks,
        each: &mut dyn FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), RecoverError<E>> {
        self.count_stray_blocks(storage, access)?;
        let pack = &found.head;
        let file = || pack.range().name();
        let io = |offset| move |source| RecoverError::Io { file: pack.range().name(), offset, source };
        let (open, size) = open_pack(storage, &file(), access).map_err(io(0))?;
        let mut window = Window::new(memory, open, size);
        let first_frame = self.end.last_frame;
        walk_pack(pack, (from, upto), &mut window, keys, &mut self.end, each).map_err(|fault| match fault {
            PackFault::Io { offset, source } => io(offset)(source),
            PackFault::Bad { offset, reason } => {
                RecoverError::Pack { file: file(), offset, reason, raw_there: found.raw_there }
            }
            PackFault::Apply { frame, place, error } => RecoverError::apply(frame, &place, error),
        })?;
        self.frames += self.end.last_frame - first_frame;
        self.bytes += pack.file_bytes();
        let last = self.end.segment.map_or(from, |segment| segment.ordinal);
        let read =
            pack.segments.iter().map(|segment| segment.head).filter(|head| (from..=last).contains(&head.ordinal));
        self.heads.extend(read);
        self.last_group = None;
        self.stop = Stop { segment: last, offset: self.end.offset, bad: None, next: "" };
        self.packs.push(pack.clone());
        Ok(())
    }

    /// Counts what the segment that was read last has behind its groups, now that another one or a pack follows it.
    fn count_stray_blocks<E>(&mut self, storage: &dyn Storage, access: Access) -> Result<(), RecoverError<E>> {
        if self.end.segment.is_some() && !self.end.packed {
            self.stray_blocks += stray_blocks(storage, &self.stop, access)?;
        }
        Ok(())
    }

    /// The report; what the tail looked like is the caller's to say.
    pub(crate) fn report(&self, torn_tail: Option<TornTail>, io: IoReport) -> RecoveryReport {
        RecoveryReport {
            unread_frames: self.unread_frames,
            frames: self.frames,
            groups: self.groups,
            bytes: self.bytes,
            segments: self.heads.len() as u64,
            packs: self.packs.len() as u64,
            packed_segments: self.packs.iter().map(|pack| pack.segments.len() as u64).sum(),
            last_frame: self.end.last_frame,
            last_sequence: self.end.next_sequence - 1,
            last_time_ns: self.end.last_time_ns,
            head_mac: self.end.mac,
            torn_tail,
            stray_blocks: self.stray_blocks,
            io,
        }
    }
}

/// Blocks that are not zero behind the last group of a closed segment.
pub(crate) fn stray_blocks<E>(storage: &dyn Storage, stop: &Stop, access: Access) -> Result<u64, RecoverError<E>> {
    let Some((file, size)) = open_segment(storage, stop.segment, access)? else { return Ok(0) };
    let mut memory = Blocks::new(READ_CHUNK_BYTES);
    let mut window = Window::new(&mut memory, file, size);
    let mut stray = 0;
    let mut offset = stop.offset;
    while let Some(block) = window.fetch(offset, BLOCK_BYTES).map_err(|source| RecoverError::Io {
        file: segment_name(stop.segment),
        offset,
        source,
    })? {
        stray += u64::from(!all_zero(block));
        offset += BLOCK_BYTES as u64;
    }
    Ok(stray)
}
