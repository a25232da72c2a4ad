//! From a finished round to the payload of its frame.

use zerocopy::IntoBytes;

use super::{DraftHead, LogEntry, LogPosting, LogRow, LogVoucher, OpenRow, RowTail, date_of};
use crate::account::EntryResult;
use crate::entry::RowKind;
use crate::limits::{LOG_ROW_BYTES, POSTING_RECORD_BYTES, VOUCHER_RECORD_BYTES};
use crate::outcome::Outcome;
use crate::request::{Postings, TransactionView};
use crate::round::{Decision, FinishedRound};
use crate::shard::Opening;

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
