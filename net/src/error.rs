//! What can be wrong with what a peer sent, as numbers that both sides know.
//!
//! These are about the protocol, never about money: a transaction that is refused has an outcome and no error code.
//! The list is append-only.

use std::fmt;

/// Why a server gave an error reply. Below 100 it closes the connection after the reply; from 100 on it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum ErrorCode {
    /// The header's checksum is wrong; nothing of the header was believed.
    BadHeaderChecksum = 1,
    /// The version is not spoken here.
    BadVersion = 2,
    /// A reserved byte or unknown flag is set, or a request has the direction of a reply.
    BadHeader = 3,
    /// No such operation.
    UnknownOperation = 4,
    /// The length is above the limit, or not the one that the operation has.
    BadLength = 5,
    /// The payload's checksum is wrong.
    BadPayloadChecksum = 6,
    /// The payload cannot be taken apart.
    MalformedPayload = 7,
    /// More items asked for than one request may, or none.
    OverLimit = 8,
    /// The first request was not hello.
    HelloExpected = 9,
    /// A second hello.
    HelloRepeated = 10,
    /// The way of authentication does not exist.
    UnsupportedAuthentication = 11,
    /// No hello in time.
    HandshakeTimeout = 12,
    /// A frame that was begun did not end in time.
    SlowSender = 13,
    /// The connection ended within a frame.
    FrameCut = 14,
    /// The server has as many connections as it may.
    TooManyConnections = 15,
    /// The server is stopping. Requests without a reply were not taken.
    ShuttingDown = 16,
    /// The engine gave no answer. Whether the request was applied is not known.
    Internal = 17,
    /// The log could not be read. Only this request failed; the connection goes on.
    HistoryUnreadable = 100,
    /// The answer is larger than a reply may be. Only this request failed; the connection goes on.
    ReplyTooLarge = 101,
    /// The paging token of a statement is not of the account.
    ForeignToken = 102,
    /// As many watches wait as may, on the connection or on the server. Only this request failed.
    TooManyWatches = 103,
    /// A read of an institution that is not registered.
    InstitutionUnknown = 104,
    /// A read of an engine that is stopping.
    Stopping = 105,
    /// A page is to begin after a row that there is not.
    PositionUnknown = 106,
    /// No snapshot could be made.
    SnapshotFailed = 107,
}

/// All error codes with their published names.
pub const ERROR_CODES: &[(ErrorCode, &str)] = &[
    (ErrorCode::BadHeaderChecksum, "bad_header_checksum"),
    (ErrorCode::BadVersion, "bad_version"),
    (ErrorCode::BadHeader, "bad_header"),
    (ErrorCode::UnknownOperation, "unknown_operation"),
    (ErrorCode::BadLength, "bad_length"),
    (ErrorCode::BadPayloadChecksum, "bad_payload_checksum"),
    (ErrorCode::MalformedPayload, "malformed_payload"),
    (ErrorCode::OverLimit, "over_limit"),
    (ErrorCode::HelloExpected, "hello_expected"),
    (ErrorCode::HelloRepeated, "hello_repeated"),
    (ErrorCode::UnsupportedAuthentication, "unsupported_authentication"),
    (ErrorCode::HandshakeTimeout, "handshake_timeout"),
    (ErrorCode::SlowSender, "slow_sender"),
    (ErrorCode::FrameCut, "frame_cut"),
    (ErrorCode::TooManyConnections, "too_many_connections"),
    (ErrorCode::ShuttingDown, "shutting_down"),
    (ErrorCode::Internal, "internal"),
    (ErrorCode::HistoryUnreadable, "history_unreadable"),
    (ErrorCode::ReplyTooLarge, "reply_too_large"),
    (ErrorCode::ForeignToken, "foreign_token"),
    (ErrorCode::TooManyWatches, "too_many_watches"),
    (ErrorCode::InstitutionUnknown, "institution_unknown"),
    (ErrorCode::Stopping, "stopping"),
    (ErrorCode::PositionUnknown, "position_unknown"),
    (ErrorCode::SnapshotFailed, "snapshot_failed"),
];

impl ErrorCode {
    /// The published number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The code of a published number, if there is one.
    pub fn from_number(number: u16) -> Option<ErrorCode> {
        ERROR_CODES.iter().map(|(code, _)| *code).find(|code| code.number() == number)
    }

    /// The published name.
    pub fn name(self) -> &'static str {
        ERROR_CODES.iter().find(|(code, _)| *code == self).map_or("unknown", |(_, name)| name)
    }

    /// Whether the server closes the connection after it.
    pub fn closes(self) -> bool {
        self.number() < 100
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error code with a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ProtocolError {
    /// The code.
    pub code: ErrorCode,
    /// What was found and what was expected.
    pub message: String,
}

impl ProtocolError {
    /// An error with its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ProtocolError {
        ProtocolError { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_in_ascending_order_and_found_by_their_number() {
        for pair in ERROR_CODES.windows(2) {
            assert!(pair[0].0.number() < pair[1].0.number());
        }
        for (code, name) in ERROR_CODES {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert_eq!(code.name(), *name);
        }
    }
}
