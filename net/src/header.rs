//! The 48 bytes before every request and every reply.
//!
//! A header is believed only once its checksum is right: until then not even its length counts. What an operation's
//! payload holds is not known here.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::{ErrorCode, ProtocolError};
use crate::limits::{HEADER_BYTES, VERSION};

/// What is asked for. A reply repeats the number with [`REPLY_BIT`] set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Operation {
    /// First request of a connection: versions and name.
    Hello = 1,
    /// Nothing: says that the peer is there.
    Ping = 2,
    /// Open accounts.
    OpenAccounts = 3,
    /// Post or hold transfers.
    PostTransfers = 4,
    /// Post items of any kind.
    PostItems = 5,
    /// Apply a control record.
    Control = 6,
    /// Accounts by id.
    LookUpAccounts = 7,
    /// Accounts in the order of their opening.
    ListAccounts = 8,
    /// Transactions by id.
    LookUpTransactions = 9,
    /// A page of an account's statement.
    Statement = 10,
    /// The registered assets.
    Assets = 11,
    /// Figures about the engine.
    Stats = 12,
    /// Change accounts: status, limits, label, attributes.
    ChangeAccounts = 13,
    /// An account's balance at a moment.
    BalanceAt = 14,
    /// Transactions with a business reference.
    ByReference = 15,
    /// Transactions that name a transaction.
    Linked = 16,
    /// The next transactions, once there is one.
    Watch = 17,
    /// The institutions.
    Institutions = 18,
    /// Make a snapshot now.
    Snapshot = 19,
}

/// All operations with their names, in the order of their numbers.
pub const OPERATIONS: [(Operation, &str); 19] = [
    (Operation::Hello, "hello"),
    (Operation::Ping, "ping"),
    (Operation::OpenAccounts, "open_accounts"),
    (Operation::PostTransfers, "post_transfers"),
    (Operation::PostItems, "post_items"),
    (Operation::Control, "control"),
    (Operation::LookUpAccounts, "look_up_accounts"),
    (Operation::ListAccounts, "list_accounts"),
    (Operation::LookUpTransactions, "look_up_transactions"),
    (Operation::Statement, "statement"),
    (Operation::Assets, "assets"),
    (Operation::Stats, "stats"),
    (Operation::ChangeAccounts, "change_accounts"),
    (Operation::BalanceAt, "balance_at"),
    (Operation::ByReference, "by_reference"),
    (Operation::Linked, "linked"),
    (Operation::Watch, "watch"),
    (Operation::Institutions, "institutions"),
    (Operation::Snapshot, "snapshot"),
];

impl Operation {
    /// The operation of a byte without its direction.
    pub fn from_byte(byte: u8) -> Option<Operation> {
        OPERATIONS.get(usize::from(byte).wrapping_sub(1)).map(|(operation, _)| *operation)
    }

    /// The published name.
    pub fn name(self) -> &'static str {
        OPERATIONS[self as usize - 1].1
    }

    /// Whether it changes the ledger, so that it must not be repeated with another id.
    pub fn changes(self) -> bool {
        matches!(
            self,
            Operation::OpenAccounts
                | Operation::PostTransfers
                | Operation::PostItems
                | Operation::Control
                | Operation::ChangeAccounts
        )
    }
}

/// Direction: set in the operation byte of a reply.
pub const REPLY_BIT: u8 = 0x80;
/// Request flag of the post operations: version and balance after of each posting are wanted. Set in the reply too.
pub const WANT_POSTINGS: u16 = 1;
/// Reply flag: the payload is an error.
pub const ERROR: u16 = 1 << 15;

/// A header as it lies on the wire. 48 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HeaderRow {
    length: U32,
    header_checksum: U32,
    version: u8,
    operation: u8,
    flags: U16,
    institution: U32,
    request: U64,
    count: U32,
    reserved: U32,
    session_sequence: U64,
    payload_checksum: U32,
    reserved_check: U32,
}

const _: () = assert!(size_of::<HeaderRow>() == HEADER_BYTES);

/// A header's fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Bytes of the payload that follows.
    pub length: u32,
    /// Operation and [`REPLY_BIT`].
    pub operation: u8,
    /// [`WANT_POSTINGS`], [`ERROR`].
    pub flags: u16,
    /// The tenant.
    pub institution: u32,
    /// Number of the request, chosen by the client; the reply has the same.
    pub request: u64,
    /// Items, see each operation.
    pub count: u32,
    /// CRC-32 of the payload.
    pub payload_checksum: u32,
}

impl Header {
    /// Its bytes, with the header checksum.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let row = HeaderRow {
            length: U32::new(self.length),
            header_checksum: U32::new(0),
            version: VERSION,
            operation: self.operation,
            flags: U16::new(self.flags),
            institution: U32::new(self.institution),
            request: U64::new(self.request),
            count: U32::new(self.count),
            reserved: U32::new(0),
            session_sequence: U64::new(0),
            payload_checksum: U32::new(self.payload_checksum),
            reserved_check: U32::new(0),
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(row.as_bytes());
        let checksum = crc32fast::hash(&bytes);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header: checksum first, then version, then what must be zero.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, ProtocolError> {
        let mut plain = *bytes;
        plain[4..8].fill(0);
        let row = HeaderRow::read_from_bytes(bytes).expect("48 bytes are a header row");
        let computed = crc32fast::hash(&plain);
        if row.header_checksum.get() != computed {
            let got = row.header_checksum.get();
            let message = format!("the header's checksum is {got:#010x}, its bytes give {computed:#010x}");
            return Err(ProtocolError::new(ErrorCode::BadHeaderChecksum, message));
        }
        if row.version != VERSION {
            let message = format!("version {} is not spoken here; this is version {VERSION}", row.version);
            return Err(ProtocolError::new(ErrorCode::BadVersion, message));
        }
        if row.reserved.get() != 0 || row.session_sequence.get() != 0 || row.reserved_check.get() != 0 {
            let message = "reserved bytes of the header and the session sequence must be zero";
            return Err(ProtocolError::new(ErrorCode::BadHeader, message));
        }
        Ok(Header {
            length: row.length.get(),
            operation: row.operation,
            flags: row.flags.get(),
            institution: row.institution.get(),
            request: row.request.get(),
            count: row.count.get(),
            payload_checksum: row.payload_checksum.get(),
        })
    }

    /// Checks a payload against its checksum.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), ProtocolError> {
        let computed = crc32fast::hash(payload);
        if computed == self.payload_checksum {
            return Ok(());
        }
        let got = self.payload_checksum;
        let message = format!("the payload's checksum is {got:#010x}, its bytes give {computed:#010x}");
        Err(ProtocolError::new(ErrorCode::BadPayloadChecksum, message))
    }
}
