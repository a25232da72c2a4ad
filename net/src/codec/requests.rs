//! Requests: from a frame to a command. How a call becomes a frame's payload is in `questions.rs`.
//!
//! Payloads of posts, openings and changes stay the bytes that came; `florin_core::request` takes them apart. Only what
//! cannot be understood is an error here: whether a request makes sense is the engine's to say.

use bytes::Bytes;
use florin_core::entry::{Moment, Order, Span, StatementToken};
use florin_core::limits::{CONTROL_BYTES_MAX, REQUEST_BYTES_MAX};
use florin_core::request::{ChangeRequest, ControlRequest, OpenRequest, PayloadError, PostForm, PostRequest};
use florin_engine::{
    Command, LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, STATEMENT_ENTRIES_MAX,
    TRANSACTION_PAGE_MAX, WATCH_WAIT_MS_MAX,
};
use zerocopy::little_endian::{U64, U128};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::hello::Hello;
use super::rows::*;
use crate::error::{ErrorCode, ProtocolError};
use crate::header::{ERROR, Header, Operation, REPLY_BIT, WANT_POSTINGS};
use crate::limits::CONTROL_ID_BYTES;

/// What a client asks.
#[derive(Debug)]
pub enum Request {
    /// The first of a connection.
    Hello(Hello),
    /// Whether the server is there.
    Ping,
    /// Something for the engine.
    Command(Command),
}

/// Checks what a header alone can tell, before any byte of the payload is waited for.
pub fn check_header(header: &Header) -> Result<Operation, ProtocolError> {
    let fail = |code, message: String| Err(ProtocolError::new(code, message));
    if header.operation & REPLY_BIT != 0 {
        return fail(ErrorCode::BadHeader, "this is a reply's header; a server takes requests".to_owned());
    }
    let Some(operation) = Operation::from_byte(header.operation) else {
        return fail(ErrorCode::UnknownOperation, format!("operation {} does not exist", header.operation));
    };
    let length = header.length as usize;
    if length > REQUEST_BYTES_MAX {
        let message = format!("a payload of {length} bytes; the limit is {REQUEST_BYTES_MAX}");
        return fail(ErrorCode::BadLength, message);
    }
    let allowed = match operation {
        Operation::PostTransfers | Operation::PostItems => WANT_POSTINGS,
        _ => 0,
    };
    if header.flags & !allowed != 0 || header.flags & ERROR != 0 {
        let message = format!("flags {:#06x} do not exist for {}", header.flags, operation.name());
        return fail(ErrorCode::BadHeader, message);
    }
    let count = header.count as usize;
    let ids_max = match operation {
        Operation::LookUpAccounts => Some(LOOK_UP_ACCOUNTS_MAX),
        Operation::LookUpTransactions => Some(LOOK_UP_TRANSACTIONS_MAX),
        _ => None,
    };
    if let Some(max) = ids_max
        && !(1..=max).contains(&count)
    {
        return fail(ErrorCode::OverLimit, format!("{count} ids; it must be 1 to {max}"));
    }
    let expected = match operation {
        Operation::Hello => Some(size_of::<HelloRow>()),
        Operation::Ping | Operation::Assets | Operation::Stats | Operation::Institutions | Operation::Snapshot => {
            Some(0)
        }
        Operation::ListAccounts => Some(size_of::<ListRow>()),
        Operation::Statement => Some(size_of::<StatementRow>()),
        Operation::BalanceAt => Some(size_of::<BalanceAtRow>()),
        Operation::ByReference | Operation::Linked => Some(size_of::<RelatedRow>()),
        Operation::Watch => Some(size_of::<WatchRow>()),
        Operation::LookUpAccounts | Operation::LookUpTransactions => Some(count * size_of::<U128>()),
        Operation::OpenAccounts
        | Operation::PostTransfers
        | Operation::PostItems
        | Operation::Control
        | Operation::ChangeAccounts => None,
    };
    if let Some(expected) = expected
        && length != expected
    {
        let message = format!("a {} request has {expected} bytes of payload, this one {length}", operation.name());
        return fail(ErrorCode::BadLength, message);
    }
    let control_bytes = CONTROL_ID_BYTES..=CONTROL_ID_BYTES + CONTROL_BYTES_MAX;
    if operation == Operation::Control && !control_bytes.contains(&length) {
        let message = format!("a control request has 16 to {} bytes, this one {length}", control_bytes.end());
        return fail(ErrorCode::BadLength, message);
    }
    Ok(operation)
}

fn payload_error(error: PayloadError) -> ProtocolError {
    let code = match error {
        PayloadError::Length { .. } => ErrorCode::MalformedPayload,
        PayloadError::Count { .. } => ErrorCode::OverLimit,
    };
    ProtocolError::new(code, error.to_string())
}

/// Decodes a request whose header passed [`check_header`] and whose checksum is right.
pub fn decode(operation: Operation, header: &Header, payload: Bytes) -> Result<Request, ProtocolError> {
    let institution = header.institution;
    let principal = 0;
    let command = match operation {
        Operation::Hello => return Ok(Request::Hello(Hello::decode(&payload)?)),
        Operation::Ping => return Ok(Request::Ping),
        Operation::PostTransfers | Operation::PostItems => {
            let form = if operation == Operation::PostTransfers { PostForm::Transfers } else { PostForm::Items };
            let request = PostRequest::parse(institution, principal, form, header.count, payload);
            let want_postings = header.flags & WANT_POSTINGS != 0;
            Command::Post { request: request.map_err(payload_error)?, want_postings }
        }
        Operation::OpenAccounts => {
            let request = OpenRequest::parse(institution, principal, header.count, payload);
            Command::Open(request.map_err(payload_error)?)
        }
        Operation::ChangeAccounts => {
            let request = ChangeRequest::parse(institution, principal, header.count, payload);
            Command::Change(request.map_err(payload_error)?)
        }
        Operation::Control => {
            let (id, _) = U128::read_from_prefix(&payload).map_err(|_| wrong_length(operation, &payload))?;
            let record = payload.slice(CONTROL_ID_BYTES..);
            Command::Control(ControlRequest { institution, principal, id: id.get(), record })
        }
        Operation::LookUpAccounts => Command::LookUpAccounts { institution, ids: ids(operation, &payload)? },
        Operation::LookUpTransactions => Command::LookUpTransactions { institution, ids: ids(operation, &payload)? },
        Operation::ListAccounts => {
            let row: &ListRow = row(operation, &payload)?;
            check_limit(row.limit.get(), LIST_ACCOUNTS_MAX)?;
            check_reserved(&row.reserved)?;
            Command::ListAccounts { institution, after: row.after.get(), limit: row.limit.get() }
        }
        Operation::Statement => statement(institution, row(operation, &payload)?)?,
        Operation::BalanceAt => {
            let row: &BalanceAtRow = row(operation, &payload)?;
            check_reserved(&row.reserved)?;
            let moment = match row.kind {
                MOMENT_TIME => Moment::Time(row.moment.get()),
                MOMENT_DATE => Moment::Date(date(row.moment)?),
                kind => return Err(malformed(format!("a moment of kind {kind} does not exist"))),
            };
            Command::BalanceAt { institution, account: row.account.get(), moment }
        }
        Operation::ByReference => {
            let (reference, after, limit) = related(row(operation, &payload)?)?;
            Command::ByReference { institution, reference, after, limit }
        }
        Operation::Linked => {
            let (id, after, limit) = related(row(operation, &payload)?)?;
            Command::Linked { institution, id, after, limit }
        }
        Operation::Watch => {
            let row: &WatchRow = row(operation, &payload)?;
            let (after, limit, wait_ms) = (row.after.get(), row.limit.get(), row.wait_ms.get());
            check_limit(limit, TRANSACTION_PAGE_MAX)?;
            if wait_ms > WATCH_WAIT_MS_MAX {
                let message = format!("a wait of {wait_ms} ms; the limit is {WATCH_WAIT_MS_MAX}");
                return Err(ProtocolError::new(ErrorCode::OverLimit, message));
            }
            Command::Watch { institution, after, limit, wait_ms }
        }
        Operation::Institutions => Command::Institutions { institution },
        Operation::Assets => Command::Assets,
        Operation::Stats => Command::Stats,
        Operation::Snapshot => Command::Snapshot,
    };
    Ok(Request::Command(command))
}

fn statement(institution: u32, row: &StatementRow) -> Result<Command, ProtocolError> {
    check_limit(row.limit.get(), STATEMENT_ENTRIES_MAX)?;
    check_reserved(&row.reserved)?;
    let span = match row.span {
        SPAN_ALL if row.first.get() == 0 && row.last.get() == 0 => Span::All,
        SPAN_ALL => return Err(malformed("a statement of all entries has no bounds")),
        SPAN_VERSIONS => Span::Versions(row.first.get(), row.last.get()),
        SPAN_TIMES => Span::Times(row.first.get(), row.last.get()),
        SPAN_DATES => Span::Dates(date(row.first)?, date(row.last)?),
        span => return Err(malformed(format!("a span of kind {span} does not exist"))),
    };
    let order = [Order::Newest, Order::Oldest].into_iter().find(|order| *order as u8 == row.order);
    let order = order.ok_or_else(|| malformed(format!("an order of kind {} does not exist", row.order)))?;
    let token = StatementToken { sequence: row.from_sequence.get(), version: row.from_version.get() };
    let from = (token != StatementToken { sequence: 0, version: 0 }).then_some(token);
    Ok(Command::Statement { institution, account: row.account.get(), span, order, from, limit: row.limit.get() })
}

/// What is looked for, where to go on, and how many at most.
fn related(row: &RelatedRow) -> Result<(u128, u64, u32), ProtocolError> {
    check_limit(row.limit.get(), TRANSACTION_PAGE_MAX)?;
    check_reserved(&row.reserved)?;
    if row.id.get() == 0 {
        return Err(malformed("0 is no reference and no id"));
    }
    Ok((row.id.get(), row.after.get(), row.limit.get()))
}

fn row<T: FromBytes + KnownLayout + Immutable>(operation: Operation, payload: &Bytes) -> Result<&T, ProtocolError> {
    T::ref_from_bytes(payload).map_err(|_| wrong_length(operation, payload))
}

fn ids(operation: Operation, payload: &Bytes) -> Result<Vec<u128>, ProtocolError> {
    let ids = <[U128]>::ref_from_bytes(payload).map_err(|_| wrong_length(operation, payload))?;
    Ok(ids.iter().map(|id| id.get()).collect())
}

fn date(day: U64) -> Result<u16, ProtocolError> {
    u16::try_from(day.get()).map_err(|_| malformed(format!("a date is at most {}, not {day}", u16::MAX)))
}

fn wrong_length(operation: Operation, payload: &Bytes) -> ProtocolError {
    let message = format!("{} bytes are not a {} request", payload.len(), operation.name());
    ProtocolError::new(ErrorCode::BadLength, message)
}

fn malformed(message: impl Into<String>) -> ProtocolError {
    ProtocolError::new(ErrorCode::MalformedPayload, message)
}

fn check_limit(limit: u32, max: u32) -> Result<(), ProtocolError> {
    if (1..=max).contains(&limit) {
        return Ok(());
    }
    Err(ProtocolError::new(ErrorCode::OverLimit, format!("a limit of {limit}; it must be 1 to {max}")))
}

fn check_reserved(bytes: &[u8]) -> Result<(), ProtocolError> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    Err(malformed("reserved bytes of the payload must be zero"))
}
