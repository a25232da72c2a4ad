//! Requests: from a frame to a command, and from a call to a frame's payload.
//!
//! Payloads of posts and openings stay the bytes that came; `florin_core::request` takes them apart.

use bytes::Bytes;
use florin_core::entry::StatementToken;
use florin_core::limits::{CONTROL_BYTES_MAX, REQUEST_BYTES_MAX};
use florin_core::request::{ControlRequest, OpenRequest, PayloadError, PostForm, PostRequest};
use florin_engine::{
    Command, LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, STATEMENT_ENTRIES_MAX,
};
use zerocopy::little_endian::{U32, U64, U128};
use zerocopy::{FromBytes, IntoBytes};

use super::hello::Hello;
use super::rows::{HelloRow, ListRow, StatementRow};
use crate::error::{ErrorCode, ProtocolError};
use crate::header::{ERROR, Header, Operation, REPLY_BIT, WANT_POSTINGS};

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

const CONTROL_ID_BYTES: usize = 16;

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
        Operation::PostTransfers | Operation::PostJournals => WANT_POSTINGS,
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
        Operation::Ping | Operation::Assets | Operation::Stats => Some(0),
        Operation::ListAccounts => Some(size_of::<ListRow>()),
        Operation::Statement => Some(size_of::<StatementRow>()),
        Operation::LookUpAccounts | Operation::LookUpTransactions => Some(count * size_of::<U128>()),
        Operation::OpenAccounts | Operation::PostTransfers | Operation::PostJournals | Operation::Control => None,
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
    let length = || {
        let message = format!("{} bytes are not a {} request", payload.len(), operation.name());
        ProtocolError::new(ErrorCode::BadLength, message)
    };
    let command = match operation {
        Operation::Hello => return Ok(Request::Hello(Hello::decode(&payload)?)),
        Operation::Ping => return Ok(Request::Ping),
        Operation::PostTransfers | Operation::PostJournals => {
            let form = if operation == Operation::PostTransfers { PostForm::Transfers } else { PostForm::Journals };
            let request = PostRequest::parse(institution, principal, form, header.count, payload);
            let want_postings = header.flags & WANT_POSTINGS != 0;
            Command::Post { request: request.map_err(payload_error)?, want_postings }
        }
        Operation::OpenAccounts => {
            let request = OpenRequest::parse(institution, principal, header.count, payload);
            Command::Open(request.map_err(payload_error)?)
        }
        Operation::Control => {
            let (id, _) = U128::read_from_prefix(&payload).map_err(|_| length())?;
            let record = payload.slice(CONTROL_ID_BYTES..);
            Command::Control(ControlRequest { institution, principal, id: id.get(), record })
        }
        Operation::LookUpAccounts => {
            let ids = <[U128]>::ref_from_bytes(&payload).map_err(|_| length())?;
            Command::LookUpAccounts { institution, ids: ids.iter().map(|id| id.get()).collect() }
        }
        Operation::LookUpTransactions => {
            let ids = <[U128]>::ref_from_bytes(&payload).map_err(|_| length())?;
            Command::LookUpTransactions { institution, ids: ids.iter().map(|id| id.get()).collect() }
        }
        Operation::ListAccounts => {
            let row = ListRow::ref_from_bytes(&payload).map_err(|_| length())?;
            check_limit(row.limit.get(), LIST_ACCOUNTS_MAX)?;
            check_reserved(&row.reserved)?;
            Command::ListAccounts { institution, after: row.after.get(), limit: row.limit.get() }
        }
        Operation::Statement => {
            let row = StatementRow::ref_from_bytes(&payload).map_err(|_| length())?;
            check_limit(row.limit.get(), STATEMENT_ENTRIES_MAX)?;
            check_reserved(&row.reserved)?;
            let token = StatementToken { sequence: row.from_sequence.get(), version: row.from_version.get() };
            let from = (token != StatementToken { sequence: 0, version: 0 }).then_some(token);
            Command::Statement { institution, account: row.account.get(), from, limit: row.limit.get() }
        }
        Operation::Assets => Command::Assets,
        Operation::Stats => Command::Stats,
    };
    Ok(Request::Command(command))
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
    Err(ProtocolError::new(ErrorCode::MalformedPayload, "reserved bytes of the payload must be zero"))
}

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

/// Payload of a statement request.
pub fn encode_statement(account: u128, from: Option<StatementToken>, limit: u32) -> Vec<u8> {
    let row = StatementRow {
        account: U128::new(account),
        from_sequence: U64::new(from.map_or(0, |token| token.sequence)),
        from_version: U64::new(from.map_or(0, |token| token.version)),
        limit: U32::new(limit),
        reserved: [0; 12],
    };
    row.as_bytes().to_vec()
}
