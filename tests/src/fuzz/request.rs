//! A request as a server meets it: header, its checks, payload, command. What is decoded is asked for with the same bytes, and every
//! row of it can be looked at.

use bytes::Bytes;
use florin_engine::Command;
use florin_net::codec::questions;
use florin_net::codec::requests::{self, Request};
use florin_net::header::{Header, Operation};
use florin_net::limits::HEADER_BYTES;

use super::{Target, Verdict, put, u32_at, vectors};
use crate::rng::Rng;

/// This target: a whole frame.
pub const TARGET: Target = Target { name: "request", check, sample, repair, seeds: 300_000 };

/// Decodes one frame.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((operation, header, payload)) = frame(bytes) else { return Verdict::Refused };
    let Ok(request) = requests::decode(operation, &header, Bytes::copy_from_slice(payload)) else {
        return Verdict::Refused;
    };
    check_request(&request, payload);
    Verdict::Accepted
}

/// A frame whose header and checksums are right; nothing may stand behind it.
fn frame(bytes: &[u8]) -> Option<(Operation, Header, &[u8])> {
    let (front, payload) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::decode(front).ok()?;
    assert_eq!(header.encode(), *front, "a header has one form");
    let operation = requests::check_header(&header).ok()?;
    header.check_payload(payload).ok().filter(|()| header.length as usize == payload.len())?;
    Some((operation, header, payload))
}

fn check_request(request: &Request, payload: &[u8]) {
    let again = match request {
        Request::Ping => Vec::new(),
        // The name's field may hold anything behind the name: `hello` looks at it.
        Request::Hello(_) => return,
        Request::Command(command) => match command {
            Command::Post { request, .. } => {
                let mut bytes = 0;
                for index in 0..request.count() {
                    let item = request.item(index);
                    let postings = item.postings.iter().count();
                    assert_eq!(postings, item.postings.count());
                    bytes += item.voucher.len();
                    let _ = request.check_shape(index, &item);
                }
                assert!(bytes <= payload.len() && request.payload_bytes() == payload.len());
                return;
            }
            Command::Change(request) => {
                let mut bytes = request.count() * 128;
                for change in (0..request.count()).map(|index| request.change(index)) {
                    bytes += change.reason.len() + change.data.len();
                    let _ = change.check_shape();
                }
                assert_eq!(bytes, payload.len(), "reasons and data fill the payload");
                return;
            }
            Command::Open(request) => {
                for row in request.rows().iter().filter(|row| row.check_shape().is_ok()) {
                    let _ = (row.label(), row.floor(), row.ceiling(), row.alarm());
                }
                assert_eq!(request.rows().len() * 192, payload.len());
                return;
            }
            Command::Control(control) => questions::encode_control(control.id, &control.record),
            Command::LookUpAccounts { ids, .. } | Command::LookUpTransactions { ids, .. } => questions::encode_ids(ids),
            Command::ListAccounts { after, limit, .. } => questions::encode_list(*after, *limit),
            Command::Statement { account, span, order, from, limit, .. } => {
                questions::encode_statement(*account, *span, *order, *from, *limit)
            }
            Command::BalanceAt { account, moment, .. } => questions::encode_balance_at(*account, *moment),
            Command::ByReference { reference: id, after, limit, .. } | Command::Linked { id, after, limit, .. } => {
                questions::encode_related(*id, *after, *limit)
            }
            Command::Watch { after, limit, wait_ms, .. } => questions::encode_watch(*after, *limit, *wait_ms),
            Command::Institutions { .. } | Command::Assets | Command::Stats | Command::Snapshot => Vec::new(),
        },
    };
    assert_eq!(again, payload, "{request:?} is asked with other bytes");
}

/// The published requests.
pub(super) fn requests() -> Vec<Vec<u8>> {
    let vectors = vectors::parse(vectors::PROTOCOL);
    vectors.into_iter().filter(|(name, _)| name.ends_with(".request")).map(|(_, bytes)| bytes).collect()
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    thread_local! { static REQUESTS: Vec<Vec<u8>> = requests(); }
    REQUESTS.with(|requests| requests[rng.below(requests.len())].clone())
}

/// Makes length and checksums of one frame right again.
pub(super) fn repair(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    if let Some(payload) = bytes.len().checked_sub(HEADER_BYTES) {
        if rng.chance(80) {
            put(&mut bytes, 0, &(payload as u32).to_le_bytes());
        }
        seal(&mut bytes);
    }
    bytes
}

/// Makes the checksums of the frame that these bytes are right.
pub(super) fn seal(frame: &mut [u8]) {
    let payload = crc32fast::hash(&frame[HEADER_BYTES..]);
    put(frame, 40, &payload.to_le_bytes());
    put(frame, 4, &[0; 4]);
    let header = crc32fast::hash(&frame[..HEADER_BYTES]);
    put(frame, 4, &header.to_le_bytes());
}

/// Where the frames of a stream end, as far as their lengths lead.
pub(super) fn ends(stream: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0usize);
    while stream.len() >= at + HEADER_BYTES {
        let length = u32_at(stream, at).expect("within the header") as usize;
        at = (at + HEADER_BYTES).saturating_add(length).min(stream.len());
        ends.push(at);
    }
    ends
}
