//! From a finished round to the payload of its frame.

use zerocopy::IntoBytes;

use super::{
    ALL, DraftHead, FINAL, FORCED, LINKED, LogChange, LogEntry, LogHeld, LogLink, LogPosting, LogRow, LogVoucher,
    OpenRow, RowTail,
};
use crate::account::{EntryResult, HeldResult};
use crate::entry::RowKind;
use crate::institution::accounting_date;
use crate::limits::*;
use crate::outcome::Outcome;
use crate::request::{ItemKind, ItemView, Postings};
use crate::round::{Decision, FinishedRound, Round, RoundItem, Source};
use crate::shard::{ChangeResult, Changes, Opening};

/// Most bytes that a post or hold takes in a frame, outside the voucher area and in it.
pub fn encoded_bytes(view: &ItemView<'_>) -> usize {
    if view.kind != Some(ItemKind::Post) {
        return encoded_bytes_named(view.voucher.len(), view.postings.count());
    }
    let postings = match view.postings {
        Postings::Transfer(_) => 0,
        Postings::Rows(rows) => rows.len() * POSTING_RECORD_BYTES,
    };
    let link = if view.link == 0 { 0 } else { LINK_RECORD_BYTES };
    LOG_ROW_BYTES + voucher_bytes(view.voucher.len()) + link + postings
}

/// Most bytes that an item with entries on holds or originals takes in a frame.
pub fn encoded_bytes_named(voucher: usize, postings: usize) -> usize {
    LOG_ROW_BYTES + voucher_bytes(voucher) + LINK_RECORD_BYTES + postings * HELD_RECORD_BYTES
}

fn voucher_bytes(length: usize) -> usize {
    if length == 0 { 0 } else { VOUCHER_RECORD_BYTES + length }
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
        /// The institution's open day, 0 = none set.
        open_day: u16,
    },
    /// Account changes.
    Changes {
        /// The changes.
        changes: std::sync::Arc<Changes>,
        /// What became of each.
        results: Vec<ChangeResult>,
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
    /// Accounting date, days since 1970-01-01.
    pub accounting_date: u16,
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
                count: finished.round.items.len() as u32,
                time: finished.round.booked_at,
            },
            FrameDraft::Openings { opening, sequences, first_sequence, booked_at, .. } => DraftHead {
                number: opening.number,
                first_sequence: *first_sequence,
                count: sequences.iter().filter(|&&s| s != 0).count() as u32,
                time: *booked_at,
            },
            FrameDraft::Changes { changes, results } => DraftHead {
                number: changes.number,
                first_sequence: changes.first_sequence,
                count: results.len() as u32,
                time: changes.booked_at,
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
            FrameDraft::Openings { opening, sequences, first_sequence, booked_at, open_day } => {
                for (row, &sequence) in opening.rows.iter().zip(sequences.iter()).filter(|(_, s)| **s != 0) {
                    let at = rows_bytes + extension.len();
                    let tail = RowTail {
                        institution: opening.institution.into(),
                        asset: row.asset,
                        principal: opening.principal.into(),
                        kind: RowKind::Open as u8,
                        time_offset: ((sequence - first_sequence) as u32).into(),
                        accounting_date: accounting_date(*open_day, *booked_at + (sequence - first_sequence)).into(),
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
            FrameDraft::Changes { changes, results } => {
                for (position, result) in results.iter().enumerate() {
                    encode_change(changes, position, result, rows_bytes, payload, &mut extension);
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
                        accounting_date: control.accounting_date.into(),
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
    for (position, (item, decision)) in finished.round.items.iter().zip(finished.decisions.iter()).enumerate() {
        if let Some(row) = encode_plain(finished, item, *decision, position) {
            payload.extend_from_slice(row.as_bytes());
            continue;
        }
        let place = Place { item, decision: *decision, position, rows_bytes };
        payload.extend_from_slice(encode_item(finished, &place, extension, vouchers).as_bytes());
    }
}

/// The row of a plain transfer that needs no extension: most rows are of this kind.
#[inline]
fn encode_plain(finished: &FinishedRound, item: &RoundItem, decision: Decision, position: usize) -> Option<LogRow> {
    let round = &finished.round;
    let (request, asked) = round.plain(item).filter(|(_, row)| row.voucher_length == 0 && row.link == 0)?;
    let results = &finished.results.entries[round.entries_of(item)];
    let (debit_entry, credit_entry) = match decision.is_posted() {
        true => (log_entry(&results[0]), log_entry(&results[1])),
        false => (refused_entry(decision), LogEntry::default()),
    };
    Some(LogRow {
        id: asked.id,
        debit: asked.debit,
        credit: asked.credit,
        amount: asked.amount,
        debit_entry,
        credit_entry,
        tail: RowTail {
            institution: request.institution.into(),
            asset: asked.asset,
            principal: request.principal.into(),
            code: asked.code,
            kind: RowKind::Transfer as u8,
            flags: if item.forced { FORCED } else { 0 },
            outcome: decision.outcome.number().into(),
            time_offset: (position as u32).into(),
            accounting_date: accounting_date(item.open_day, round.booked_at(position)).into(),
            value_date: asked.value_date,
            reference: asked.reference,
            ..RowTail::default()
        },
    })
}

/// An item and where it stands.
struct Place<'a> {
    item: &'a RoundItem,
    decision: Decision,
    position: usize,
    rows_bytes: usize,
}

/// One row; what does not fit it goes into the extension area: voucher record, link record, postings.
fn encode_item(finished: &FinishedRound, place: &Place<'_>, extension: &mut Vec<u8>, vouchers: &mut Vec<u8>) -> LogRow {
    let round = &finished.round;
    let Place { item, decision, position, rows_bytes } = *place;
    let view = round.view(item);
    let voucher = view.map_or(&[][..], |v| v.voucher);
    let is_transfer = item.kind == ItemKind::Post && matches!(view.map(|v| v.postings), Some(Postings::Transfer(_)));
    let link = link_of(round, item, decision, view.as_ref());
    let has_extension = !voucher.is_empty() || link.is_some() || !is_transfer;
    let (institution, principal) = match item.source() {
        Source::Request { request, .. } => {
            let source = &round.requests[request as usize];
            (source.institution, source.principal)
        }
        Source::Expiry => (round.link(item).expect("an expiry names its hold").target().institution, 0),
    };
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    let mut tail = RowTail {
        institution: institution.into(),
        asset: 0.into(),
        principal: principal.into(),
        code: view.map_or(0, |v| v.code).into(),
        kind: RowKind::of(item.kind, is_transfer) as u8,
        flags: flag(item.forced, FORCED)
            | flag(item.is_final && item.kind == ItemKind::Capture, FINAL)
            | flag(item.takes_all, ALL)
            | flag(link.is_some(), LINKED),
        outcome: decision.outcome.number().into(),
        time_offset: (position as u32).into(),
        accounting_date: accounting_date(item.open_day, round.booked_at(position)).into(),
        value_date: view.map_or(0, |v| v.value_date).into(),
        reference: view.map_or(0, |v| v.reference).into(),
        voucher_length: (voucher.len() as u16).into(),
        extension: (if has_extension { (rows_bytes + extension.len()) as u32 } else { 0 }).into(),
    };
    if !voucher.is_empty() {
        let offset = if decision.is_posted() { vouchers.len() as u32 } else { 0 };
        let digest = blake3::hash(voucher).into();
        extension.extend_from_slice(LogVoucher { offset: offset.into(), reserved: 0.into(), digest }.as_bytes());
        if decision.is_posted() {
            vouchers.extend_from_slice(voucher);
        }
    }
    if let Some(link) = link {
        extension.extend_from_slice(link.as_bytes());
    }
    let results = &finished.results.entries[round.entries_of(item)];
    let refused = refused_entry(decision);
    if let Some(Postings::Transfer(asked)) = view.map(|v| v.postings).filter(|_| is_transfer) {
        tail.asset = asked.asset;
        let (debit_entry, credit_entry) = match decision.is_posted() {
            true => (log_entry(&results[0]), log_entry(&results[1])),
            false => (refused, LogEntry::default()),
        };
        let (debit, credit, amount) = (asked.debit, asked.credit, asked.amount);
        return LogRow { id: asked.id, debit, credit, amount, debit_entry, credit_entry, tail };
    }
    let count = match (item.kind, view.map(|v| v.postings)) {
        (ItemKind::Post, Some(Postings::Rows(asked))) => {
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
            asked.len()
        }
        (_, asked) if !decision.is_posted() => encode_asked(item.kind, asked, extension),
        _ => encode_held(finished, item, extension),
    };
    let hold = |item: &RoundItem| round.link(item).map_or(0, |link| link.target().id);
    LogRow {
        id: view.map_or_else(|| hold(item), |v| v.id).into(),
        debit: (count as u128).into(),
        credit: 0.into(),
        amount: 0.into(),
        debit_entry: if decision.is_posted() { LogEntry::default() } else { refused },
        credit_entry: LogEntry::default(),
        tail,
    }
}

/// The link record of an item: all but posts have one, and posts with a related transaction.
fn link_of(round: &Round, item: &RoundItem, decision: Decision, view: Option<&ItemView<'_>>) -> Option<LogLink> {
    let target = round.link(item).map(|link| link.target());
    let own = item.kind == ItemKind::Hold;
    let id = view.map_or_else(|| target.map_or(0, |t| t.id), |v| v.link);
    let sequence = target.filter(|_| decision.is_posted() && !own).map_or(0, |t| t.sequence);
    let timeout = view.map_or(0, |v| v.timeout);
    let link = LogLink { id: id.into(), sequence: sequence.into(), timeout: timeout.into(), reserved: 0.into() };
    (item.kind != ItemKind::Post || id != 0).then_some(link)
}

/// The postings that a refused item asked for. Gives how many.
fn encode_asked(kind: ItemKind, asked: Option<Postings<'_>>, extension: &mut Vec<u8>) -> usize {
    let Some(asked) = asked else { return 0 };
    let by_index = kind.names_postings();
    for (at, posting) in asked.iter().enumerate() {
        let held = LogHeld {
            account: posting.account.into(),
            amount: posting.amount.into(),
            freed: 0.into(),
            left: 0.into(),
            held: 0.into(),
            entry: LogEntry::default(),
            asset: posting.asset.into(),
            side: posting.side as u8,
            index: if by_index { posting.index } else { at as u8 },
            reserved: [0; 10],
        };
        extension.extend_from_slice(held.as_bytes());
    }
    asked.count()
}

/// The entries of a posted item that is not a post. Gives how many.
fn encode_held(finished: &FinishedRound, item: &RoundItem, extension: &mut Vec<u8>) -> usize {
    let (round, results) = (&finished.round, &finished.results);
    let entries = results.entries[round.entries_of(item)].iter();
    let made = round.postings(item).zip(entries).zip(&results.held[round.held_of(item)]);
    let mut count = 0;
    for ((posting, entry), held) in made.filter(|((_, entry), _)| entry.version.number() != 0) {
        let effect = round.effect(item, usize::from(posting.effect));
        let HeldResult { amount, freed, left, held } = *held;
        let held = LogHeld {
            account: effect.account.into(),
            amount: amount.into(),
            freed: freed.into(),
            left: left.into(),
            held: held.into(),
            entry: log_entry(entry),
            asset: effect.asset.into(),
            side: posting.side as u8,
            index: posting.index,
            reserved: [0; 10],
        };
        extension.extend_from_slice(held.as_bytes());
        count += 1;
    }
    count
}

fn encode_change(
    changes: &Changes,
    position: usize,
    result: &ChangeResult,
    rows_bytes: usize,
    payload: &mut Vec<u8>,
    extension: &mut Vec<u8>,
) {
    let view = changes.request.change(changes.items[position] as usize);
    let asked = view.row;
    let row = LogRow {
        id: asked.id,
        debit: asked.account,
        credit: 0.into(),
        amount: 0.into(),
        debit_entry: log_entry(&result.entry),
        credit_entry: LogEntry::default(),
        tail: RowTail {
            institution: changes.request.institution.into(),
            principal: changes.request.principal.into(),
            code: asked.code,
            kind: RowKind::Change as u8,
            outcome: result.outcome.number().into(),
            time_offset: (position as u32).into(),
            accounting_date: accounting_date(changes.open_day, changes.booked_at + position as u64).into(),
            voucher_length: ((view.reason.len() + view.data.len()) as u16).into(),
            extension: ((rows_bytes + extension.len()) as u32).into(),
            ..RowTail::default()
        },
    };
    let change = LogChange {
        floor: asked.floor,
        ceiling: asked.ceiling,
        alarm: asked.alarm,
        action: asked.action,
        status: asked.status,
        sets: asked.sets,
        limit_flags: asked.limit_flags,
        flags: asked.flags,
        reason_length: asked.reason_length,
        data_length: asked.data_length,
        reserved: [0; 6],
    };
    payload.extend_from_slice(row.as_bytes());
    extension.extend_from_slice(change.as_bytes());
    extension.extend_from_slice(view.reason);
    extension.extend_from_slice(view.data);
}

fn log_entry(result: &EntryResult) -> LogEntry {
    LogEntry { version: result.version.bits().into(), balance: result.balance.into(), previous: result.previous.into() }
}

fn refused_entry(decision: Decision) -> LogEntry {
    LogEntry { version: u64::from(decision.detail).into(), ..LogEntry::default() }
}
