//! Error replies: a numbered code and a sentence.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

use super::rows::ErrorRow;
use super::{ReplyError, take_row};
use crate::error::ProtocolError;
use crate::frame;
use crate::header::{ERROR, Header, REPLY_BIT};
use crate::limits::ERROR_MESSAGE_BYTES_MAX;

/// Appends a whole error reply to the request of number `request` (0 = none) and operation `operation` (0 = none).
pub fn append(out: &mut Vec<u8>, operation: u8, request: u64, error: &ProtocolError) {
    let header = Header { operation: operation | REPLY_BIT, flags: ERROR, request, ..Header::default() };
    frame::append(out, header, |out, _| {
        let row = ErrorRow { code: U16::new(error.code.number()), reserved: [0; 2] };
        out.extend_from_slice(row.as_bytes());
        let mut end = error.message.len().min(ERROR_MESSAGE_BYTES_MAX);
        while !error.message.is_char_boundary(end) {
            end -= 1;
        }
        out.extend_from_slice(&error.message.as_bytes()[..end]);
    });
}

/// Reads the payload of an error reply: the code's number, which may be one that is not known here, and the text.
pub fn decode(mut payload: &[u8]) -> Result<(u16, String), ReplyError> {
    let row: &ErrorRow = take_row(&mut payload, "error")?;
    Ok((row.code.get(), String::from_utf8_lossy(payload).into_owned()))
}
