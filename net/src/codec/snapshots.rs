//! A snapshot that was asked for. No payload = the log is empty, so there is none.

use std::path::{Path, PathBuf};

use florin_engine::SnapshotReport;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U64};

use super::rows::SnapshotReplyRow;
use super::{ReplyError, finish, take_bytes, take_row};
use crate::limits::FOLDER_BYTES_MAX;

/// Appends the payload. The header's count is 1.
pub fn encode(report: &SnapshotReport, out: &mut Vec<u8>) {
    let folder = text(&report.folder);
    let row = SnapshotReplyRow {
        frame: U64::new(report.frame),
        sequence: U64::new(report.sequence),
        booked_at: U64::new(report.booked_at),
        accounts: U64::new(report.accounts),
        records: U64::new(report.records),
        bytes: U64::new(report.bytes),
        us: U64::new(report.us),
        is_new: u8::from(report.is_new),
        reserved: [0; 5],
        folder_length: U16::new(folder.len() as u16),
    };
    out.extend_from_slice(row.as_bytes());
    out.extend_from_slice(folder.as_bytes());
}

/// The path as text; none of one that is no text, or longer than Linux lets a path be.
fn text(folder: &Path) -> &str {
    folder.to_str().filter(|text| text.len() <= FOLDER_BYTES_MAX).unwrap_or_default()
}

/// Reads a payload.
pub fn decode(count: u32, mut payload: &[u8]) -> Result<Option<SnapshotReport>, ReplyError> {
    const WHAT: &str = "snapshot";
    match count {
        0 => return finish(payload, WHAT).map(|()| None),
        1 => {}
        _ => return Err(ReplyError::Value { field: "count" }),
    }
    let row: &SnapshotReplyRow = take_row(&mut payload, WHAT)?;
    let folder = take_bytes(&mut payload, usize::from(row.folder_length.get()), WHAT)?;
    finish(payload, WHAT)?;
    let folder = str::from_utf8(folder).ok().filter(|folder| folder.len() <= FOLDER_BYTES_MAX);
    let folder = folder.ok_or(ReplyError::Value { field: "folder" })?;
    let is_new = match row.is_new {
        0 => false,
        1 => true,
        _ => return Err(ReplyError::Value { field: "is new" }),
    };
    Ok(Some(SnapshotReport {
        frame: row.frame.get(),
        sequence: row.sequence.get(),
        booked_at: row.booked_at.get(),
        accounts: row.accounts.get(),
        records: row.records.get(),
        bytes: row.bytes.get(),
        us: row.us.get(),
        is_new,
        folder: PathBuf::from(folder),
    }))
}
