//! The payload of a frame, to the byte: fixed rows, an extension area, a voucher area. docs/format-log.md describes it.
//!
//! Encoding takes a finished round; decoding takes bytes that may be anything and answers with a record or an error. Both
//! work row by row, so that a reader can take one transaction out of a frame without the others.

use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::account::EntryResult;
use crate::entry::{PostingRecord, RowKind, TransactionRecord};
use crate::limits::{LOG_ROW_BYTES, POSTING_RECORD_BYTES, VOUCHER_RECORD_BYTES};
use crate::outcome::Outcome;
use crate::request::{AccountRow, ItemResult, PostingResult, Postings, Side, TransactionView};
use crate::round::{Decision, FinishedRound};
use crate::shard::Opening;

/// What a posting did, inside a row. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogEntry {
    /// Version of the account after it.
    pub version: U64,
    /// Balance after, normal side, minor units.
    pub balance: I128,
    /// Sequence number of the row with the account's previous entry, or of its opening.
    pub previous: U64,
}

/// What all rows end with. 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RowTail {
    /// The tenant.
    pub institution: U32,
    /// Asset number; 0 in journals and control records.
    pub asset: U32,
    /// Who asked.
    pub principal: U32,
    /// Business code.
    pub code: U16,
    /// [`RowKind`].
    pub kind: u8,
    /// No flag is defined yet: 0.
    pub flags: u8,
    /// [`Outcome`].
    pub outcome: U16,
    /// Booked-at, nanoseconds after the frame's time.
    pub time_offset: U32,
    /// Days since 1970-01-01.
    pub accounting_date: U16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: U16,
    /// Business reference, 0 = none.
    pub reference: U128,
    /// Bytes of the voucher.
    pub voucher_length: U16,
    /// Offset of the row's extension from the start of the payload, 0 = none.
    pub extension: U32,
}

/// A transaction or control record in a frame. 176 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogRow {
    /// Id.
    pub id: U128,
    /// Transfer: debit account. Journal: number of postings. Control record: bytes of the record.
    pub debit: U128,
    /// Transfer: credit account. Otherwise 0.
    pub credit: U128,
    /// Transfer: minor units. Otherwise 0.
    pub amount: U128,
    /// Transfer: the debit entry. If refused: `version` is the index of the posting whose account refused.
    pub debit_entry: LogEntry,
    /// Transfer: the credit entry.
    pub credit_entry: LogEntry,
    /// The rest.
    pub tail: RowTail,
}

/// An account opening in a frame. 176 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OpenRow {
    /// The account.
    pub account: U128,
    /// Owner, 0 = none.
    pub owner: U128,
    /// Floor, 0 if there is none.
    pub floor: I128,
    /// Ceiling, 0 unless flagged.
    pub ceiling: I128,
    /// Alarm level, 0 unless flagged.
    pub alarm: I128,
    /// Subject, 0 = none.
    pub subject: U32,
    /// 0 debit, 1 credit.
    pub normal_side: u8,
    /// Category.
    pub category: u8,
    /// As in [`AccountRow`].
    pub limit_flags: u8,
    /// Bytes of the label, which stands at `extension`.
    pub label_length: u8,
    /// Zero.
    pub reserved: [u8; 40],
    /// The rest.
    pub tail: RowTail,
}

/// A posting of a journal, in the extension area. 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogPosting {
    /// The account.
    pub account: U128,
    /// Minor units.
    pub amount: U128,
    /// Asset number.
    pub asset: U32,
    /// 0 debit, 1 credit.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// What it did; zeros if refused.
    pub entry: LogEntry,
}

/// Where the voucher of a row is, in the extension area before any postings. 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LogVoucher {
    /// Offset in the voucher area; 0 if refused, when only the digest is kept.
    pub offset: U32,
    /// Zero.
    pub reserved: U32,
    /// BLAKE3 of the voucher.
    pub digest: [u8; 32],
}

const _: () = assert!(size_of::<LogRow>() == LOG_ROW_BYTES);
const _: () = assert!(size_of::<OpenRow>() == LOG_ROW_BYTES);
const _: () = assert!(size_of::<LogPosting>() == POSTING_RECORD_BYTES);
const _: () = assert!(size_of::<LogVoucher>() == VOUCHER_RECORD_BYTES);

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

/// The UTC date of a time, days since 1970-01-01.
pub fn date_of(time_ns: u64) -> u16 {
    u16::try_from(time_ns / DAY_NS).unwrap_or(u16::MAX)
}

/// Bytes that a transaction takes in a frame, outside the voucher area and in it.
pub fn encoded_bytes(view: &TransactionView<'_>) -> usize {
    let postings = match view.postings {
        Postings::Transfer(_) => 0,
        Postings::Journal(rows) => rows.len() * POSTING_RECORD_BYTES,
    };
    let voucher = if view.voucher.is_empty() { 0 } else { VOUCHER_RECORD_BYTES + view.voucher.len() };
    LOG_ROW_BYTES + postings + voucher
}

/// One frame of the log, decided and ready to be written.
#[derive(Debug)]
pub enum FrameDraft {
    /// Transactions.
    Posts(FinishedRound),
    /// Account openings.
    Openings {
        /// The openings.
        opening: std::sync::Arc<Opening>,
        /// Sequence number per row, 0 where the account was not opened.
        sequences: std::sync::Arc<Vec<u64>>,
        /// First sequence number.
        first_sequence: u64,
        /// Booked-at of the first one.
        booked_at: u64,
    },
    /// A control record.
    Control(ControlFrame),
}

/// A control record with its outcome.
#[derive(Debug)]
pub struct ControlFrame {
    /// The round.
    pub number: u64,
    /// Sequence number.
    pub sequence: u64,
    /// Booked-at.
    pub booked_at: u64,
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// Id.
    pub id: u128,
    /// Outcome.
    pub outcome: Outcome,
    /// The record, canonical JSON.
    pub record: Vec<u8>,
}

/// The head of a frame, as far as the core decides it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DraftHead {
    /// Number of the round and frame.
    pub number: u64,
    /// First sequence number.
    pub first_sequence: u64,
    /// How many rows.
    pub count: u32,
    /// Booked-at of the first row.
    pub time: u64,
}

impl FrameDraft {
    /// Number, sequence, count and time.
    pub fn head(&self) -> DraftHead {
        match self {
            FrameDraft::Posts(finished) => DraftHead {
                number: finished.round.number,
                first_sequence: finished.round.first_sequence,
                count: finished.round.transactions.len() as u32,
                time: finished.round.booked_at,
            },
            FrameDraft::Openings { opening, sequences, first_sequence, booked_at } => DraftHead {
                number: opening.number,
                first_sequence: *first_sequence,
                count: sequences.iter().filter(|&&s| s != 0).count() as u32,
                time: *booked_at,
            },
            FrameDraft::Control(control) => DraftHead {
                number: control.number,
                first_sequence: control.sequence,
                count: 1,
                time: control.booked_at,
            },
        }
    }

    /// Appends the frame's rows and extensions to `payload`, and its vouchers to `vouchers`; both must be empty.
    pub fn encode(&self, payload: &mut Vec<u8>, vouchers: &mut Vec<u8>) {
        debug_assert!(payload.is_empty() && vouchers.is_empty());
        let rows_bytes = self.head().count as usize * LOG_ROW_BYTES;
        payload.reserve(rows_bytes);
        let mut extension = Vec::new();
        match self {
            FrameDraft::Posts(finished) => encode_posts(finished, rows_bytes, payload, &mut extension, vouchers),
            FrameDraft::Openings { opening, sequences, first_sequence, booked_at } => {
                for (row, &sequence) in opening.rows.iter().zip(sequences.iter()).filter(|(_, s)| **s != 0) {
                    let at = rows_bytes + extension.len();
                    let tail = RowTail {
                        institution: opening.institution.into(),
                        asset: row.asset,
                        principal: opening.principal.into(),
                        kind: RowKind::Open as u8,
                        time_offset: ((sequence - first_sequence) as u32).into(),
                        accounting_date: date_of(*booked_at + (sequence - first_sequence)).into(),
                        extension: (if row.label_length == 0 { 0 } else { at as u32 }).into(),
                        ..RowTail::default()
                    };
                    let open = OpenRow {
                        account: row.account,
                        owner: row.owner,
                        floor: row.floor,
                        ceiling: row.ceiling,
                        alarm: row.alarm,
                        subject: row.subject,
                        normal_side: row.normal_side,
                        category: row.category,
                        limit_flags: row.limit_flags,
                        label_length: row.label_length,
                        reserved: [0; 40],
                        tail,
                    };
                    payload.extend_from_slice(open.as_bytes());
                    extension.extend_from_slice(row.label().as_bytes());
                }
            }
            FrameDraft::Control(control) => {
                let row = LogRow {
                    id: control.id.into(),
                    debit: (control.record.len() as u128).into(),
                    credit: 0.into(),
                    amount: 0.into(),
                    debit_entry: LogEntry::default(),
                    credit_entry: LogEntry::default(),
                    tail: RowTail {
                        institution: control.institution.into(),
                        principal: control.principal.into(),
                        kind: RowKind::Control as u8,
                        outcome: control.outcome.number().into(),
                        accounting_date: date_of(control.booked_at).into(),
                        extension: (rows_bytes as u32).into(),
                        ..RowTail::default()
                    },
                };
                payload.extend_from_slice(row.as_bytes());
                extension.extend_from_slice(&control.record);
            }
        }
        assert_eq!(payload.len(), rows_bytes, "a row per transaction");
        payload.extend_from_slice(&extension);
    }
}

fn encode_posts(
    finished: &FinishedRound,
    rows_bytes: usize,
    payload: &mut Vec<u8>,
    extension: &mut Vec<u8>,
    vouchers: &mut Vec<u8>,
) {
    let round = &finished.round;
    for (position, (transaction, decision)) in round.transactions.iter().zip(finished.decisions.iter()).enumerate() {
        let source = &round.requests[transaction.request as usize];
        let view = source.transaction(transaction.item as usize);
        let has_extension = !view.voucher.is_empty() || matches!(view.postings, Postings::Journal(_));
        let mut tail = RowTail {
            institution: source.institution.into(),
            asset: 0.into(),
            principal: source.principal.into(),
            code: view.code.into(),
            kind: RowKind::Transfer as u8,
            flags: 0,
            outcome: decision.outcome.number().into(),
            time_offset: (position as u32).into(),
            accounting_date: date_of(round.booked_at + position as u64).into(),
            value_date: view.value_date.into(),
            reference: view.reference.into(),
            voucher_length: (view.voucher.len() as u16).into(),
            extension: (if has_extension { (rows_bytes + extension.len()) as u32 } else { 0 }).into(),
        };
        if !view.voucher.is_empty() {
            let offset = if decision.is_posted() { vouchers.len() as u32 } else { 0 };
            let digest = blake3::hash(view.voucher).into();
            extension.extend_from_slice(LogVoucher { offset: offset.into(), reserved: 0.into(), digest }.as_bytes());
            if decision.is_posted() {
                vouchers.extend_from_slice(view.voucher);
            }
        }
        let results = &finished.results[round.postings_of(transaction)];
        let refused = refused_entry(*decision);
        let row = match view.postings {
            Postings::Transfer(asked) => {
                tail.asset = asked.asset;
                let (debit_entry, credit_entry) = match decision.is_posted() {
                    true => (log_entry(&results[0]), log_entry(&results[1])),
                    false => (refused, LogEntry::default()),
                };
                let (debit, credit, amount) = (asked.debit, asked.credit, asked.amount);
                LogRow { id: asked.id, debit, credit, amount, debit_entry, credit_entry, tail }
            }
            Postings::Journal(asked) => {
                tail.kind = RowKind::Journal as u8;
                for (index, posting) in asked.iter().enumerate() {
                    let posting = LogPosting {
                        account: posting.account,
                        amount: posting.amount,
                        asset: posting.asset,
                        side: posting.side,
                        reserved: [0; 3],
                        entry: results.get(index).filter(|_| decision.is_posted()).map(log_entry).unwrap_or_default(),
                    };
                    extension.extend_from_slice(posting.as_bytes());
                }
                LogRow {
                    id: view.id.into(),
                    debit: (asked.len() as u128).into(),
                    credit: 0.into(),
                    amount: 0.into(),
                    debit_entry: if decision.is_posted() { LogEntry::default() } else { refused },
                    credit_entry: LogEntry::default(),
                    tail,
                }
            }
        };
        payload.extend_from_slice(row.as_bytes());
    }
}

fn log_entry(result: &EntryResult) -> LogEntry {
    LogEntry { version: result.version.into(), balance: result.balance.into(), previous: result.previous.into() }
}

fn refused_entry(decision: Decision) -> LogEntry {
    LogEntry { version: u64::from(decision.detail).into(), ..LogEntry::default() }
}

/// Why the bytes of a row cannot be what an engine wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("row {row}: {what}")]
pub struct RowError {
    /// Sequence number of the row.
    pub row: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// A row, decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// A transaction, posted or refused.
    Transaction(Box<TransactionRecord>),
    /// An account opening.
    Open(Box<OpenRecord>),
    /// A control record.
    Control(Box<ControlFrameRecord>),
}

/// An opening as recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRecord {
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// Sequence number.
    pub sequence: u64,
    /// Booked-at, nanoseconds since 1970-01-01 UTC.
    pub booked_at: u64,
    /// The fields, in the form of a request.
    pub row: AccountRow,
}

/// A control record as recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlFrameRecord {
    /// The tenant.
    pub institution: u32,
    /// Who asked.
    pub principal: u32,
    /// Id.
    pub id: u128,
    /// Result as first given.
    pub result: ItemResult,
    /// Canonical JSON.
    pub record: Vec<u8>,
}

/// The bytes of one row with the means to find the rest of it.
#[derive(Clone, Copy, Debug)]
pub struct RowBytes<'a> {
    /// Sequence number.
    pub sequence: u64,
    /// Time of its frame.
    pub frame_time: u64,
    bytes: &'a [u8; LOG_ROW_BYTES],
}

impl<'a> RowBytes<'a> {
    /// A row of 176 bytes.
    pub fn new(sequence: u64, frame_time: u64, bytes: &'a [u8; LOG_ROW_BYTES]) -> RowBytes<'a> {
        RowBytes { sequence, frame_time, bytes }
    }

    /// The row as that of a transaction or control record.
    pub fn row(&self) -> &'a LogRow {
        LogRow::ref_from_bytes(self.bytes).expect("a row of its exact size")
    }

    fn open_row(&self) -> &'a OpenRow {
        OpenRow::ref_from_bytes(self.bytes).expect("a row of its exact size")
    }

    fn error(&self, what: &'static str) -> RowError {
        RowError { row: self.sequence, what }
    }

    /// The kind of the row.
    pub fn kind(&self) -> Result<RowKind, RowError> {
        RowKind::from_byte(self.row().tail.kind).ok_or_else(|| self.error("its kind is not known"))
    }

    /// Offset in the payload and length of the row's extension; (0, 0) if it has none.
    pub fn extension(&self) -> Result<(u32, u32), RowError> {
        let tail = &self.row().tail;
        let voucher = if tail.voucher_length.get() == 0 { 0 } else { VOUCHER_RECORD_BYTES as u32 };
        let length = match self.kind()? {
            RowKind::Transfer => voucher,
            RowKind::Journal => {
                let count = u32::try_from(self.row().debit.get()).ok().filter(|c| (2..=254).contains(c));
                let count = count.ok_or_else(|| self.error("its number of postings is out of range"))?;
                voucher + count * POSTING_RECORD_BYTES as u32
            }
            RowKind::Open => u32::from(self.open_row().label_length),
            RowKind::Control => u32::try_from(self.row().debit.get())
                .ok()
                .filter(|&l| l as usize <= crate::limits::CONTROL_BYTES_MAX)
                .ok_or_else(|| self.error("its record is too long"))?,
        };
        if (length == 0) != (tail.extension.get() == 0) {
            return Err(self.error("its extension offset does not fit its kind"));
        }
        Ok((tail.extension.get(), length))
    }

    /// Offset in the voucher area and length of the row's voucher; (0, 0) if it has none or only its digest.
    pub fn voucher(&self, extension: &[u8]) -> Result<(u32, u32), RowError> {
        let tail = &self.row().tail;
        if tail.voucher_length.get() == 0 || tail.outcome.get() != 0 {
            return Ok((0, 0));
        }
        Ok((self.voucher_record(extension)?.offset.get(), u32::from(tail.voucher_length.get())))
    }

    fn voucher_record<'b>(&self, extension: &'b [u8]) -> Result<&'b LogVoucher, RowError> {
        let bytes = extension.get(..VOUCHER_RECORD_BYTES).ok_or_else(|| self.error("its extension is cut"))?;
        Ok(LogVoucher::ref_from_bytes(bytes).expect("a record of its exact size"))
    }

    fn result(&self) -> Result<ItemResult, RowError> {
        let row = self.row();
        let outcome = Outcome::from_number(row.tail.outcome.get()).ok_or_else(|| self.error("unknown outcome"))?;
        if outcome != Outcome::Posted && !outcome.info().recorded {
            return Err(self.error("an outcome that is never recorded"));
        }
        let detail = if outcome == Outcome::Posted { 0 } else { row.debit_entry.version.get() };
        let detail = u16::try_from(detail).map_err(|_| self.error("the index of the refusing posting is too large"))?;
        let booked_at = self.booked_at()?;
        Ok(ItemResult { outcome, repeat: false, detail, sequence: self.sequence, booked_at })
    }

    /// Booked-at of the row.
    pub fn booked_at(&self) -> Result<u64, RowError> {
        let offset = u64::from(self.row().tail.time_offset.get());
        self.frame_time.checked_add(offset).ok_or_else(|| self.error("its time is out of range"))
    }

    /// Decodes the row, given its extension and voucher bytes.
    pub fn decode(&self, extension: &[u8], voucher: &[u8]) -> Result<Record, RowError> {
        let tail = &self.row().tail;
        if tail.flags != 0 {
            return Err(self.error("a flag that is not known"));
        }
        if self.row().id.get() == 0 {
            return Err(self.error("its id is 0"));
        }
        if extension.len() != self.extension()?.1 as usize {
            return Err(self.error("its extension is cut"));
        }
        if tail.accounting_date.get() != date_of(self.booked_at()?) {
            return Err(self.error("its accounting date differs from the date it was booked at"));
        }
        match self.kind()? {
            RowKind::Transfer | RowKind::Journal => {
                Ok(Record::Transaction(Box::new(self.transaction(extension, voucher)?)))
            }
            RowKind::Open => self.open_record(extension).map(|r| Record::Open(Box::new(r))),
            RowKind::Control => {
                let row = self.row();
                let unused = RowTail {
                    asset: 0.into(),
                    code: 0.into(),
                    value_date: 0.into(),
                    reference: 0.into(),
                    voucher_length: 0.into(),
                    ..*tail
                };
                let entries = [row.debit_entry, row.credit_entry];
                if row.credit.get() != 0
                    || row.amount.get() != 0
                    || entries != [LogEntry::default(); 2]
                    || unused != *tail
                {
                    return Err(self.error("a reserved field is set"));
                }
                Ok(Record::Control(Box::new(ControlFrameRecord {
                    institution: tail.institution.get(),
                    principal: tail.principal.get(),
                    id: row.id.get(),
                    result: self.result()?,
                    record: extension.to_vec(),
                })))
            }
        }
    }

    fn transaction(&self, extension: &[u8], voucher: &[u8]) -> Result<TransactionRecord, RowError> {
        let row = self.row();
        let tail = &row.tail;
        let result = self.result()?;
        let posted = result.outcome == Outcome::Posted;
        let kind = self.kind()?;
        let (mut digest, mut rest) = ([0; 32], extension);
        if tail.voucher_length.get() != 0 {
            let record = self.voucher_record(extension)?;
            if record.reserved.get() != 0 {
                return Err(self.error("a reserved field is set"));
            }
            if !posted && record.offset.get() != 0 {
                return Err(self.error("a refused transaction with a voucher"));
            }
            (digest, rest) = (record.digest, &extension[VOUCHER_RECORD_BYTES..]);
            if posted && (voucher.len() != usize::from(tail.voucher_length.get()) || blake3::hash(voucher) != digest) {
                return Err(self.error("its voucher does not have the recorded digest"));
            }
        }
        let postings = if kind == RowKind::Transfer {
            let side = |account: U128, side: Side, entry: &LogEntry| PostingRecord {
                account: account.get(),
                amount: row.amount.get(),
                asset: tail.asset.get(),
                side,
                result: if posted { posting_result(entry) } else { PostingResult::default() },
                previous: if posted { entry.previous.get() } else { 0 },
            };
            if !posted && (row.credit_entry != LogEntry::default() || !is_refusal(&row.debit_entry)) {
                return Err(self.error("a refused transaction with an entry"));
            }
            vec![side(row.debit, Side::Debit, &row.debit_entry), side(row.credit, Side::Credit, &row.credit_entry)]
        } else {
            let postings = <[LogPosting]>::ref_from_bytes(rest).map_err(|_| self.error("its extension is cut"))?;
            let entries = if posted { row.debit_entry == LogEntry::default() } else { is_refusal(&row.debit_entry) };
            let unused = row.credit.get() == 0 && row.amount.get() == 0 && tail.asset.get() == 0;
            if !unused || !entries || row.credit_entry != LogEntry::default() {
                return Err(self.error("a reserved field is set"));
            }
            let decoded = postings.iter().map(|p| {
                let side = Side::from_byte(p.side).filter(|_| p.reserved == [0; 3]);
                if !posted && p.entry != LogEntry::default() {
                    return Err(self.error("a refused transaction with an entry"));
                }
                Ok(PostingRecord {
                    account: p.account.get(),
                    amount: p.amount.get(),
                    asset: p.asset.get(),
                    side: side.ok_or_else(|| self.error("a posting whose side is not known"))?,
                    result: posting_result(&p.entry),
                    previous: p.entry.previous.get(),
                })
            });
            decoded.collect::<Result<Vec<_>, _>>()?
        };
        if postings.iter().any(|p| p.amount == 0 || p.amount > crate::limits::AMOUNT_MAX) {
            return Err(self.error("an amount is out of range"));
        }
        Ok(TransactionRecord {
            institution: tail.institution.get(),
            principal: tail.principal.get(),
            kind,
            id: row.id.get(),
            result,
            reference: tail.reference.get(),
            code: tail.code.get(),
            accounting_date: tail.accounting_date.get(),
            value_date: tail.value_date.get(),
            postings,
            voucher: if posted { voucher.to_vec() } else { Vec::new() },
            voucher_length: tail.voucher_length.get(),
            voucher_digest: digest,
        })
    }

    fn open_record(&self, extension: &[u8]) -> Result<OpenRecord, RowError> {
        let open = self.open_row();
        let tail = &open.tail;
        let words = [tail.outcome.get(), tail.code.get(), tail.value_date.get(), tail.voucher_length.get()];
        if open.reserved != [0; 40] || words != [0; 4] || tail.reference.get() != 0 {
            return Err(self.error("a reserved field is set"));
        }
        let mut label = [0; crate::limits::LABEL_BYTES_MAX];
        label.get_mut(..extension.len()).ok_or_else(|| self.error("its label is too long"))?.copy_from_slice(extension);
        let row = AccountRow {
            account: open.account,
            owner: open.owner,
            floor: open.floor,
            ceiling: open.ceiling,
            alarm: open.alarm,
            asset: open.tail.asset,
            subject: open.subject,
            normal_side: open.normal_side,
            category: open.category,
            limit_flags: open.limit_flags,
            label_length: open.label_length,
            reserved: [0; 36],
            label,
        };
        row.check_shape().map_err(|_| self.error("an opening that no engine accepts"))?;
        Ok(OpenRecord {
            institution: open.tail.institution.get(),
            principal: open.tail.principal.get(),
            sequence: self.sequence,
            booked_at: self.booked_at()?,
            row,
        })
    }
}

/// Whether an entry holds the index of a refusing posting and nothing else.
fn is_refusal(entry: &LogEntry) -> bool {
    entry.balance.get() == 0 && entry.previous.get() == 0
}

fn posting_result(entry: &LogEntry) -> PostingResult {
    PostingResult { version: entry.version.get(), balance: entry.balance.get() }
}

/// A whole frame in memory.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    head: DraftHead,
    payload: &'a [u8],
    vouchers: &'a [u8],
}

impl<'a> FrameView<'a> {
    /// A frame; the payload must hold its rows.
    pub fn new(head: DraftHead, payload: &'a [u8], vouchers: &'a [u8]) -> Result<FrameView<'a>, RowError> {
        if (head.count as usize).checked_mul(LOG_ROW_BYTES).is_none_or(|bytes| bytes > payload.len()) {
            return Err(RowError { row: head.first_sequence, what: "the frame is too short for its rows" });
        }
        Ok(FrameView { head, payload, vouchers })
    }

    /// Head of the frame.
    pub fn head(&self) -> DraftHead {
        self.head
    }

    /// The `index`-th row.
    pub fn row(&self, index: u32) -> RowBytes<'a> {
        let at = index as usize * LOG_ROW_BYTES;
        let bytes = self.payload[at..at + LOG_ROW_BYTES].try_into().expect("a row of its exact size");
        RowBytes::new(self.head.first_sequence + u64::from(index), self.head.time, bytes)
    }

    /// The `index`-th row, decoded.
    pub fn record(&self, index: u32) -> Result<Record, RowError> {
        let row = self.row(index);
        let (at, length) = row.extension()?;
        let extension = part(self.payload, at, length).ok_or_else(|| row.error("its extension is cut"))?;
        let (at, length) = match row.kind()? {
            RowKind::Transfer | RowKind::Journal => row.voucher(extension)?,
            RowKind::Open | RowKind::Control => (0, 0),
        };
        let voucher = part(self.vouchers, at, length).ok_or_else(|| row.error("its voucher is cut"))?;
        row.decode(extension, voucher)
    }
}

fn part(bytes: &[u8], at: u32, length: u32) -> Option<&[u8]> {
    bytes.get(at as usize..)?.get(..length as usize)
}
