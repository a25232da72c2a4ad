//! Small requests of one connection that came together, handed to the engine as one.
//!
//! Transfers of a request do not depend on each other beyond their order, so requests in a row can be one for the engine: what
//! is done once per request is then done once for all that a read brought. Each still gets a reply of its own.

use bytes::Bytes;
use florin_core::entry::{PostReply, ResultRun};
use florin_core::limits::{REQUEST_ITEMS_MAX, TRANSFER_ROW_BYTES};
use florin_core::request::{PostForm, PostRequest, TransferRow};
use zerocopy::FromBytes;

use super::ServerOptions;
use super::permits::Cost;
use crate::header::{Header, Operation};
use crate::limits::COPY_BYTES_MAX;

/// Room that a connection keeps for the next requests, bytes.
const SPARE_BYTES_MAX: usize = 2 * COPY_BYTES_MAX;

/// A request among those that were merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its number.
    pub request: u64,
    /// Its transfers.
    pub count: u32,
}

/// Requests that wait to be handed over. They are of one institution.
#[derive(Debug, Default)]
pub struct Merged {
    institution: u32,
    parts: Vec<Part>,
    rows: Vec<u8>,
}

impl Merged {
    /// Whether a request can go with others: a few transfers without vouchers, of which no more is asked than the outcome. Its
    /// header and checksum were found right.
    pub fn suits(operation: Operation, header: &Header, payload: &[u8]) -> bool {
        operation == Operation::PostTransfers
            && header.flags == 0
            && header.count > 0
            && payload.len() <= COPY_BYTES_MAX
            && payload.len() == header.count as usize * TRANSFER_ROW_BYTES
            && <[TransferRow]>::ref_from_bytes(payload)
                .is_ok_and(|rows| rows.iter().all(|row| row.voucher_length.get() == 0))
    }

    /// Whether the next request has to wait until these are handed over: what goes as one keeps to all caps as one.
    pub fn is_full_for(&self, header: &Header, options: &ServerOptions) -> bool {
        let rows = self.rows.len() / TRANSFER_ROW_BYTES + header.count as usize;
        let requests = self.parts.len() as u32 + 1;
        let bytes = Cost::of_merged(rows, requests).bytes;
        let full = rows > REQUEST_ITEMS_MAX.min(options.in_flight_rows_max)
            || requests > options.connection_requests_max
            || bytes > options.connection_bytes_max.min(options.in_flight_bytes_max);
        !self.parts.is_empty() && (full || self.institution != header.institution)
    }

    /// Adds a request that suits and for which there is room.
    pub fn add(&mut self, header: &Header, payload: &[u8]) {
        self.institution = header.institution;
        self.parts.push(Part { request: header.request, count: header.count });
        self.rows.extend_from_slice(payload);
    }

    /// All of them as one request; none if there are none.
    pub fn take(&mut self) -> Option<(PostRequest, Vec<Part>)> {
        if self.parts.is_empty() {
            return None;
        }
        // The next ones are likely to be as many: room for them at once instead of by and by, as far as a connection may keep it.
        let next = self.rows.len().min(SPARE_BYTES_MAX);
        let (parts, rows) = (Vec::with_capacity(next / TRANSFER_ROW_BYTES), Vec::with_capacity(next));
        let (parts, rows) = (std::mem::replace(&mut self.parts, parts), std::mem::replace(&mut self.rows, rows));
        let count = (rows.len() / TRANSFER_ROW_BYTES) as u32;
        let request = PostRequest::parse(self.institution, 0, PostForm::Transfers, count, Bytes::from(rows));
        Some((request.expect("whole rows without vouchers, as many as a request may have"), parts))
    }
}

/// Takes the answer to merged requests apart: what of it belongs to each, in order.
pub fn pieces(reply: &PostReply, parts: &[Part], mut each: impl FnMut(&Part, &PostReply)) {
    let mut runs = reply.runs.iter().copied();
    let mut rest = runs.next();
    let mut piece = PostReply::default();
    for part in parts {
        piece.runs.clear();
        let mut wanted = part.count;
        while let Some(run) = rest.filter(|_| wanted > 0) {
            let count = run.count.min(wanted);
            piece.runs.push(ResultRun { count, ..run });
            wanted -= count;
            rest = match run.count - count {
                0 => runs.next(),
                left => Some(ResultRun { count: left, first: run.item(count) }),
            };
        }
        assert_eq!(wanted, 0, "the engine answers each transfer");
        each(part, &piece);
    }
    assert!(rest.is_none(), "the engine answers no more than was asked");
}

#[cfg(test)]
mod tests {
    use florin_core::outcome::Outcome;
    use florin_core::request::ItemResult;
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    fn header(request: u64, count: u32) -> Header {
        Header { operation: Operation::PostTransfers as u8, institution: 1, request, count, ..Header::default() }
    }

    #[test]
    fn only_a_few_transfers_of_which_no_more_is_asked_go_with_others() {
        let rows = |count: usize| vec![TransferRow::new_zeroed(); count];
        let suits =
            |header: Header, rows: &[TransferRow]| Merged::suits(Operation::PostTransfers, &header, rows.as_bytes());
        assert!(suits(header(1, 1), &rows(1)) && suits(header(1, 32), &rows(32)));
        assert!(!suits(header(1, 33), &rows(33)), "that many are worth a request of their own");
        assert!(!suits(header(1, 0), &rows(0)) && !suits(header(1, 2), &rows(1)));
        assert!(!suits(Header { flags: 1, ..header(1, 1) }, &rows(1)));
        assert!(!Merged::suits(Operation::PostItems, &header(1, 1), rows(1).as_bytes()));
        let mut voucher = rows(2);
        voucher[1].voucher_length = 5.into();
        assert!(!suits(header(1, 2), &voucher));
    }

    #[test]
    fn requests_are_merged_up_to_the_bounds_and_within_an_institution() {
        let row = TransferRow::new_zeroed();
        let mut merged = Merged::default();
        let most = |requests| ServerOptions { connection_requests_max: requests, ..ServerOptions::default() };
        assert!(merged.take().is_none() && !merged.is_full_for(&header(1, 1), &most(1)), "one always fits");
        merged.add(&header(7, 1), row.as_bytes());
        assert!(merged.is_full_for(&header(8, 1), &most(1)) && !merged.is_full_for(&header(8, 1), &most(2)));
        assert!(merged.is_full_for(&header(8, REQUEST_ITEMS_MAX as u32), &most(2)));
        assert!(merged.is_full_for(&header(8, 2), &ServerOptions { in_flight_rows_max: 2, ..most(2) }));
        assert!(merged.is_full_for(&header(8, 1), &ServerOptions { connection_bytes_max: 500, ..most(2) }));
        assert!(merged.is_full_for(&Header { institution: 2, ..header(8, 1) }, &most(2)));
        merged.add(&header(8, 2), [row, row].as_bytes());
        let (request, parts) = merged.take().expect("two requests");
        assert_eq!((request.count(), request.institution), (3, 1));
        assert_eq!(parts, [Part { request: 7, count: 1 }, Part { request: 8, count: 2 }]);
        assert!(merged.take().is_none());
    }

    #[test]
    fn each_request_gets_its_part_of_the_answer() {
        let result =
            |outcome, sequence| ItemResult { outcome, repeat: false, detail: 0, sequence, booked_at: sequence };
        let mut reply = PostReply::default();
        (5..=9).for_each(|sequence| reply.push(result(Outcome::Posted, sequence)));
        reply.push(result(Outcome::BelowFloor, 10));
        reply.push(result(Outcome::IdZero, 0));
        let parts = [1, 3, 2, 1].map(|count| Part { request: u64::from(count), count });
        let mut all = Vec::new();
        pieces(&reply, &parts, |part, piece| {
            assert_eq!(piece.count(), part.count as usize);
            all.extend(piece.items());
        });
        assert!(all.iter().copied().eq(reply.items()));
    }
}
