//! Hello: which versions the client speaks, who it says it is, and what the server allows.
//!
//! Authentication has its place here (a method and a challenge) and does not exist yet: the only method is 0, none.

use florin_core::limits::{
    ATTRIBUTES_BYTES_MAX, CONTROL_BYTES_MAX, POSTINGS_MAX, REASON_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX,
    VOUCHER_BYTES_MAX,
};
use florin_engine::{
    LIST_ACCOUNTS_MAX, LOOK_UP_ACCOUNTS_MAX, LOOK_UP_TRANSACTIONS_MAX, STATEMENT_ENTRIES_MAX, TRANSACTION_PAGE_MAX,
    WATCH_WAIT_MS_MAX,
};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::rows::{HelloReplyRow, HelloRow};
use super::{ReplyError, finish, put_text, take_row, take_text};
use crate::error::{ErrorCode, ProtocolError};
use crate::limits::{OPENINGS_MAX, REPLY_BYTES_MAX, VERSION};

/// The first request of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Lowest version that the client speaks.
    pub version_min: u16,
    /// Highest version that the client speaks.
    pub version_max: u16,
    /// What the client calls itself, for people; at most 64 bytes.
    pub name: String,
}

/// The answer to hello: the version of this connection and the server's limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HelloReply {
    /// The highest version that both speak.
    pub version: u16,
    /// The institution in the header of the hello.
    pub institution: u32,
    /// Most bytes of a request's payload.
    pub request_bytes_max: u32,
    /// Most bytes of a reply's payload.
    pub reply_bytes_max: u32,
    /// Most transactions in one request.
    pub transactions_max: u32,
    /// Most openings in one request.
    pub openings_max: u32,
    /// Most ids in a look-up of accounts.
    pub look_up_accounts_max: u32,
    /// Most accounts on a page of a listing.
    pub list_accounts_max: u32,
    /// Most ids in a look-up of transactions.
    pub look_up_transactions_max: u32,
    /// Most entries on a page of a statement.
    pub statement_entries_max: u32,
    /// Requests of one connection that the server works on at one time; it reads no more until one is answered.
    pub in_flight_requests_max: u32,
    /// Most postings of one transaction.
    pub postings_max: u16,
    /// Longest voucher, bytes.
    pub voucher_bytes_max: u16,
    /// Longest control record, bytes.
    pub control_bytes_max: u32,
    /// Most transactions on a page of a watch, of a look-up by reference or of what is linked.
    pub transaction_page_max: u32,
    /// Longest wait of a watch, milliseconds.
    pub watch_wait_ms_max: u32,
    /// Longest attributes of an account, bytes.
    pub attributes_bytes_max: u16,
    /// Longest reason of an account change, bytes.
    pub reason_bytes_max: u16,
    /// What the server calls itself, with its release, for people.
    pub name: String,
}

impl Hello {
    /// Appends its payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (name, name_length) = put_text(&self.name);
        let row = HelloRow {
            version_min: U16::new(self.version_min),
            version_max: U16::new(self.version_max),
            authentication: 0,
            name_length,
            reserved: [0; 2],
            challenge: [0; 32],
            name,
        };
        out.extend_from_slice(row.as_bytes());
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Hello, ProtocolError> {
        let row = HelloRow::ref_from_bytes(payload).map_err(|_| {
            let message = format!("a hello has {} bytes, this one {}", size_of::<HelloRow>(), payload.len());
            ProtocolError::new(ErrorCode::BadLength, message)
        })?;
        if row.authentication != 0 {
            let message = format!("authentication method {} does not exist; send 0", row.authentication);
            return Err(ProtocolError::new(ErrorCode::UnsupportedAuthentication, message));
        }
        let malformed = |what: &str| ProtocolError::new(ErrorCode::MalformedPayload, what);
        if row.challenge != [0; 32] || row.reserved != [0; 2] {
            return Err(malformed(
                "reserved bytes of the hello must be zero, the challenge too without authentication",
            ));
        }
        let name = take_text(&row.name, row.name_length, "name")
            .map_err(|_| malformed("the client's name is not UTF-8 of at most 64 bytes"))?;
        if row.version_min.get() > row.version_max.get() {
            return Err(malformed("the lowest version is above the highest"));
        }
        Ok(Hello { version_min: row.version_min.get(), version_max: row.version_max.get(), name: name.to_owned() })
    }

    /// The highest version that both sides speak.
    pub fn negotiate(&self) -> Result<u16, ProtocolError> {
        let version = u16::from(VERSION);
        if (self.version_min..=self.version_max).contains(&version) {
            return Ok(version);
        }
        let message = format!(
            "the client speaks versions {} to {}, this server version {version}",
            self.version_min, self.version_max
        );
        Err(ProtocolError::new(ErrorCode::BadVersion, message))
    }
}

impl HelloReply {
    /// The reply to a hello of `institution` by a server that takes so many requests of a connection at one time.
    pub fn of_this_build(institution: u32, in_flight_requests_max: u32) -> HelloReply {
        HelloReply {
            version: u16::from(VERSION),
            institution,
            request_bytes_max: REQUEST_BYTES_MAX as u32,
            reply_bytes_max: REPLY_BYTES_MAX as u32,
            transactions_max: REQUEST_ITEMS_MAX as u32,
            openings_max: OPENINGS_MAX as u32,
            look_up_accounts_max: LOOK_UP_ACCOUNTS_MAX as u32,
            list_accounts_max: LIST_ACCOUNTS_MAX,
            look_up_transactions_max: LOOK_UP_TRANSACTIONS_MAX as u32,
            statement_entries_max: STATEMENT_ENTRIES_MAX,
            in_flight_requests_max,
            postings_max: POSTINGS_MAX as u16,
            voucher_bytes_max: VOUCHER_BYTES_MAX as u16,
            control_bytes_max: CONTROL_BYTES_MAX as u32,
            transaction_page_max: TRANSACTION_PAGE_MAX,
            watch_wait_ms_max: WATCH_WAIT_MS_MAX,
            attributes_bytes_max: ATTRIBUTES_BYTES_MAX as u16,
            reason_bytes_max: REASON_BYTES_MAX as u16,
            name: concat!("florin ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Appends its payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (name, name_length) = put_text(&self.name);
        let row = HelloReplyRow {
            version: U16::new(self.version),
            authentication: 0,
            name_length,
            institution: U32::new(self.institution),
            request_bytes_max: U32::new(self.request_bytes_max),
            reply_bytes_max: U32::new(self.reply_bytes_max),
            transactions_max: U32::new(self.transactions_max),
            openings_max: U32::new(self.openings_max),
            look_up_accounts_max: U32::new(self.look_up_accounts_max),
            list_accounts_max: U32::new(self.list_accounts_max),
            look_up_transactions_max: U32::new(self.look_up_transactions_max),
            statement_entries_max: U32::new(self.statement_entries_max),
            in_flight_requests_max: U32::new(self.in_flight_requests_max),
            postings_max: U16::new(self.postings_max),
            voucher_bytes_max: U16::new(self.voucher_bytes_max),
            control_bytes_max: U32::new(self.control_bytes_max),
            transaction_page_max: U32::new(self.transaction_page_max),
            watch_wait_ms_max: U32::new(self.watch_wait_ms_max),
            attributes_bytes_max: U16::new(self.attributes_bytes_max),
            reason_bytes_max: U16::new(self.reason_bytes_max),
            challenge: [0; 32],
            name,
        };
        out.extend_from_slice(row.as_bytes());
    }

    /// Reads a payload.
    pub fn decode(mut payload: &[u8]) -> Result<HelloReply, ReplyError> {
        let row: &HelloReplyRow = take_row(&mut payload, "hello")?;
        finish(payload, "hello")?;
        Ok(HelloReply {
            version: row.version.get(),
            institution: row.institution.get(),
            request_bytes_max: row.request_bytes_max.get(),
            reply_bytes_max: row.reply_bytes_max.get(),
            transactions_max: row.transactions_max.get(),
            openings_max: row.openings_max.get(),
            look_up_accounts_max: row.look_up_accounts_max.get(),
            list_accounts_max: row.list_accounts_max.get(),
            look_up_transactions_max: row.look_up_transactions_max.get(),
            statement_entries_max: row.statement_entries_max.get(),
            in_flight_requests_max: row.in_flight_requests_max.get(),
            postings_max: row.postings_max.get(),
            voucher_bytes_max: row.voucher_bytes_max.get(),
            control_bytes_max: row.control_bytes_max.get(),
            transaction_page_max: row.transaction_page_max.get(),
            watch_wait_ms_max: row.watch_wait_ms_max.get(),
            attributes_bytes_max: row.attributes_bytes_max.get(),
            reason_bytes_max: row.reason_bytes_max.get(),
            name: take_text(&row.name, row.name_length, "name")?.to_owned(),
        })
    }
}
