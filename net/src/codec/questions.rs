//! Payloads of requests that read, and of control records: from a call to bytes. Items, openings and changes become
//! rows in the client.

use florin_core::entry::{Moment, Order, Span, StatementToken};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64, U128};

use super::rows::*;
use crate::limits::CONTROL_ID_BYTES;

/// Payload of a control request.
pub fn encode_control(id: u128, record: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(CONTROL_ID_BYTES + record.len());
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(record);
    payload
}

/// Payload of a look-up.
pub fn encode_ids(ids: &[u128]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// Payload of a listing.
pub fn encode_list(after: u64, limit: u32) -> Vec<u8> {
    ListRow { after: U64::new(after), limit: U32::new(limit), reserved: [0; 4] }.as_bytes().to_vec()
}

/// Payload of a statement request. Without a token, or with one of zeros, the statement begins at its beginning.
pub fn encode_statement(account: u128, span: Span, order: Order, from: Option<StatementToken>, limit: u32) -> Vec<u8> {
    let (span, first, last) = match span {
        Span::All => (SPAN_ALL, 0, 0),
        Span::Versions(first, last) => (SPAN_VERSIONS, first, last),
        Span::Times(first, last) => (SPAN_TIMES, first, last),
        Span::Dates(first, last) => (SPAN_DATES, u64::from(first), u64::from(last)),
    };
    let row = StatementRow {
        account: U128::new(account),
        from_sequence: U64::new(from.map_or(0, |token| token.sequence)),
        from_version: U64::new(from.map_or(0, |token| token.version)),
        first: U64::new(first),
        last: U64::new(last),
        limit: U32::new(limit),
        span,
        order: order as u8,
        reserved: [0; 10],
    };
    row.as_bytes().to_vec()
}

/// Payload of a request for a balance at a moment.
pub fn encode_balance_at(account: u128, moment: Moment) -> Vec<u8> {
    let (kind, moment) = match moment {
        Moment::Time(time) => (MOMENT_TIME, time),
        Moment::Date(date) => (MOMENT_DATE, u64::from(date)),
    };
    let row = BalanceAtRow { account: U128::new(account), moment: U64::new(moment), kind, reserved: [0; 7] };
    row.as_bytes().to_vec()
}

/// Payload of a look-up by reference, or of one of what names a transaction.
pub fn encode_related(id: u128, after: u64, limit: u32) -> Vec<u8> {
    let row = RelatedRow { id: U128::new(id), after: U64::new(after), limit: U32::new(limit), reserved: [0; 4] };
    row.as_bytes().to_vec()
}

/// Payload of a watch.
pub fn encode_watch(after: u64, limit: u32, wait_ms: u32) -> Vec<u8> {
    WatchRow { after: U64::new(after), limit: U32::new(limit), wait_ms: U32::new(wait_ms) }.as_bytes().to_vec()
}
