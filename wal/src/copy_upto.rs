//! A copy of a log up to a frame, for reads only. Whole groups are copied, so that every checksum stays what it was: the copy ends
//! behind the group that holds the frame, and `point.json` says which frame it is.

use crate::copy::{CopyReport, copy_file, is_in_a_ledger, open_storage, prepare, replace};
use crate::disk::sync_directory;
use crate::error::{CopyError, RecoverError};
use crate::evidence;
use crate::frame::{Frame, FrameHead};
use crate::key::KeyRing;
use crate::ledger::{LedgerManifest, MANIFEST_FILE};
use crate::past::scan_upto;
use crate::point::{POINT_FILE, Point};
use crate::recover::read_watermark;
use crate::segments::{LOG_FOLDER, segment_name};
use crate::storage::Access;
use crate::walk::{Part, walk};
use crate::watermark::{self, WATERMARK_FILE};
use std::convert::Infallible;
use std::path::Path;

/// The frame that was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What its header says.
    pub head: FrameHead,
    /// Booked-at of its last row, nanoseconds since 1970.
    pub booked_at_ns: u64,
    /// Whether the log ends with it.
    pub is_last: bool,
}

/// The frame behind the one that is looked for was met.
struct Beyond;

/// Looks for the last of the frames that `within` knows, which says of each, in order, when its last row was booked, and of the first
/// that is beyond nothing. What lies behind that is not looked at, so a log may be damaged there. None: not even the first is within.
pub fn find_frame(
    data: &Path,
    keys: &KeyRing,
    within: &mut dyn FnMut(&Frame<'_>) -> Option<u64>,
) -> Result<Option<Found>, CopyError> {
    let manifest = LedgerManifest::load(data).map_err(RecoverError::Manifest)?;
    if Point::is_in(data) {
        return Err(CopyError::Point { folder: data.to_path_buf() });
    }
    let storage = open_storage(data)?;
    let mut last = None;
    let walked = walk(&storage, &manifest, keys, Access::Read, Part::ALL, &mut |frame: Frame<'_>| {
        last = Some((frame.head, within(&frame).ok_or(Beyond)?)).or(last);
        Ok(())
    });
    let is_last = match walked {
        Err(RecoverError::Apply { error: Beyond, .. }) => false,
        Err(error) => return Err(CopyError::Source(error.of_log().expect("all other errors are the log's"))),
        Ok(walked) => {
            let watermark = read_watermark::<Infallible>(&storage, &manifest)?;
            if let Some(damage) = evidence::damage::<Infallible>(&storage, &walked, &watermark, (0, 0), Access::Read)? {
                return Err(CopyError::Source(RecoverError::Damaged(Box::new(damage))));
            }
            true
        }
    };
    Ok(last.map(|(head, booked_at_ns)| Found { head, booked_at_ns, is_last }))
}

/// Copies the log in `data` up to a frame that was found in it to `to`, a new or empty folder, and checks the copy.
pub fn copy_log_upto(data: &Path, keys: &KeyRing, to: &Path, found: &Found) -> Result<(CopyReport, Point), CopyError> {
    let manifest = LedgerManifest::load(data).map_err(RecoverError::Manifest)?;
    if is_in_a_ledger(to).map_err(CopyError::io(to))? {
        return Err(CopyError::IsLedger { folder: to.to_path_buf() });
    }
    let Found { head, booked_at_ns, .. } = found;
    let source = open_storage(data)?;
    let part = Part::upto(head.number);
    let walked = walk::<Infallible>(&source, &manifest, keys, Access::Read, part, &mut |_: Frame<'_>| Ok(()))?;
    if walked.end.mac != head.mac {
        return Err(CopyError::Forked);
    }
    prepare(to)?;
    let (mut copied, mut bytes) = (0, 0);
    let mut copy = |name: &str, limit| -> Result<(), CopyError> {
        bytes += copy_file(&data.join(name), &to.join(name), limit)?;
        copied += 1;
        Ok(())
    };
    // A pack as a whole, as a group is: what lies behind the frame is behind the point.
    for pack in &walked.packs {
        copy(&pack.range().name(), None)?;
    }
    let is_raw = |ordinal: &u64| !walked.packs.iter().any(|pack| pack.range().has(*ordinal));
    for ordinal in walked.heads.iter().map(|head| head.ordinal).filter(is_raw) {
        let last = walked.last_group.as_ref().filter(|group| group.ordinal == ordinal);
        copy(&segment_name(ordinal), last.map(|group| (group.offset + group.bytes(), manifest.segment_bytes)))?;
    }
    sync_directory(&to.join(LOG_FOLDER)).map_err(CopyError::io(&to.join(LOG_FOLDER)))?;
    // The log as such ends with the group, or with the pack.
    let mark = match (&walked.last_group, walked.packs.last()) {
        (Some(group), _) => {
            let last = group.durable_upto + u64::from(group.frames);
            watermark::file(manifest.ledger, last, group.number, group.ordinal)
        }
        (None, Some(pack)) => {
            watermark::file(manifest.ledger, pack.next_frame - 1, pack.next_group - 1, pack.range().last)
        }
        (None, None) => return Err(CopyError::Nothing),
    };
    replace(&to.join(WATERMARK_FILE), mark.bytes())?;
    let point = Point::at(manifest.ledger, head.number, head.next_sequence() - 1, *booked_at_ns, &head.mac);
    replace(&to.join(POINT_FILE), &point.to_text(keys))?;
    // At last: before it the folder is no ledger, and it never is one without its point.
    replace(&to.join(MANIFEST_FILE), manifest.to_text().as_bytes())?;
    let copy = open_storage(to)?;
    let io = copy.report().clone();
    let scanned = scan_upto::<Infallible>(&copy, io, (&manifest, keys), (to, &point), &mut |_| Ok(()));
    let log = scanned.map_err(|error| CopyError::Copy(Box::new(error)))?;
    Ok((CopyReport { log, copied, bytes }, point))
}
