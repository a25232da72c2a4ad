//! Replies to whatever changes the ledger: runs of results, and on request a row for each entry of a posted item.

use florin_core::entry::{PostReply, ResultRun};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostingResult};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U16, U32, U64};

use super::rows::{PostingResultRow, REPEAT, RESULT_ALARM, RunRow};
use super::{ReplyError, take_rows};
use crate::limits::{REPLY_BYTES_MAX, RESULTS_MAX};

/// Whether the posting results fit into a reply beside the runs, which always do.
pub fn postings_fit(reply: &PostReply) -> bool {
    let bytes = reply.runs.len() * size_of::<RunRow>() + reply.postings.len() * size_of::<PostingResultRow>();
    bytes <= REPLY_BYTES_MAX
}

/// Appends the payload: the runs, then the posting results. The header's count is the number of runs.
pub fn encode(reply: &PostReply, out: &mut Vec<u8>) {
    let postings = if postings_fit(reply) { reply.postings.as_slice() } else { &[] };
    out.reserve(reply.runs.len() * size_of::<RunRow>() + postings.len() * size_of::<PostingResultRow>());
    for run in &reply.runs {
        let row = RunRow {
            count: U32::new(run.count),
            outcome: U16::new(run.first.outcome.number()),
            flags: if run.first.repeat { REPEAT } else { 0 },
            reserved: 0,
            detail: U16::new(run.first.detail),
            reserved_detail: [0; 6],
            sequence: U64::new(run.first.sequence),
            booked_at: U64::new(run.first.booked_at),
        };
        out.extend_from_slice(row.as_bytes());
    }
    for posting in postings {
        let version = posting.version | if posting.alarm { RESULT_ALARM } else { 0 };
        let row = PostingResultRow { version: U64::new(version), balance: I128::new(posting.balance) };
        out.extend_from_slice(row.as_bytes());
    }
}

/// Reads a payload of `count` runs; what follows them is posting results.
pub fn decode(count: u32, payload: &[u8]) -> Result<PostReply, ReplyError> {
    let mut reply = PostReply::default();
    decode_into(count, payload, &mut reply)?;
    Ok(reply)
}

/// The same into a reply that was used before, whose memory is kept. What is in it after an error means nothing.
pub fn decode_into(count: u32, mut payload: &[u8], reply: &mut PostReply) -> Result<(), ReplyError> {
    const WHAT: &str = "post";
    let runs: &[RunRow] = take_rows(&mut payload, count as usize, WHAT)?;
    if !payload.len().is_multiple_of(size_of::<PostingResultRow>()) {
        return Err(ReplyError::Length { what: WHAT, bytes: payload.len() });
    }
    let rows = payload.len() / size_of::<PostingResultRow>();
    let postings: &[PostingResultRow] = take_rows(&mut payload, rows, WHAT)?;
    let mut items = 0u64;
    reply.runs.clear();
    reply.runs.reserve(runs.len());
    reply.postings.clear();
    for row in runs {
        items += u64::from(row.count.get());
        // A run's last sequence number and time must exist too: `ResultRun::item` counts up to them.
        let last = u64::from(row.count.get());
        if row.count.get() == 0 || items > RESULTS_MAX as u64 {
            return Err(ReplyError::Value { field: "run length" });
        }
        if row.sequence.get().checked_add(last).is_none() || row.booked_at.get().checked_add(last).is_none() {
            return Err(ReplyError::Value { field: "sequence" });
        }
        let first = ItemResult {
            outcome: Outcome::from_number(row.outcome.get()).ok_or(ReplyError::Value { field: "outcome" })?,
            repeat: row.flags & REPEAT != 0,
            detail: row.detail.get(),
            sequence: row.sequence.get(),
            booked_at: row.booked_at.get(),
        };
        reply.runs.push(ResultRun { count: row.count.get(), first });
    }
    reply.postings.extend(postings.iter().map(|row| PostingResult {
        version: row.version.get() & !RESULT_ALARM,
        balance: row.balance.get(),
        alarm: row.version.get() & RESULT_ALARM != 0,
    }));
    Ok(())
}
