//! A row of a frame laid out from a decoded record, as docs/format-log.md says: the way back, which the program itself does not have,
//! since it lays rows out from a round.

use florin_core::entry::{ChangeRecord, PostingRecord, RowKind, TransactionRecord};
use florin_core::frame::{
    ALL, ControlFrameRecord, FINAL, FORCED, LINKED, LogChange, LogEntry, LogHeld, LogLink, LogPosting, LogRow,
    LogVoucher, OpenRecord, OpenRow, Record, RowTail,
};
use florin_core::outcome::Outcome;
use florin_core::request::{ItemResult, PostingResult};
use zerocopy::{FromZeros, IntoBytes};

use super::u32_at;

const ALARM: u64 = 1 << 63;

/// A row and what stands in the extension area for it.
#[derive(Debug)]
pub struct LaidOut {
    /// 176 bytes.
    pub row: Vec<u8>,
    /// Any number of bytes.
    pub extension: Vec<u8>,
}

/// Offset in the voucher area that a voucher record names: not part of a record, since it is only where the voucher stands.
pub fn voucher_at(payload: &[u8], extension: u32) -> u32 {
    u32_at(payload, extension as usize).unwrap_or(0)
}

/// Lays a record out in a frame of this time, with its extension and its voucher at these places.
pub fn lay_out(record: &Record, frame_time: u64, extension: u32, voucher: u32) -> LaidOut {
    match record {
        Record::Transaction(t) => transaction(t, frame_time, extension, voucher),
        Record::Open(o) => open(o, frame_time, extension),
        Record::Control(c) => control(c, frame_time, extension),
        Record::Change(c) => change(c, frame_time, extension),
    }
}

fn entry(result: &PostingResult, previous: u64) -> LogEntry {
    let version = result.version | if result.alarm { ALARM } else { 0 };
    LogEntry { version: version.into(), balance: result.balance.into(), previous: previous.into() }
}

fn tail(institution: u32, principal: u32, kind: RowKind, result: &ItemResult, frame_time: u64, date: u16) -> RowTail {
    RowTail {
        institution: institution.into(),
        principal: principal.into(),
        kind: kind as u8,
        outcome: result.outcome.number().into(),
        time_offset: u32::try_from(result.booked_at - frame_time).expect("an offset that was decoded").into(),
        accounting_date: date.into(),
        ..RowTail::default()
    }
}

fn transaction(t: &TransactionRecord, frame_time: u64, extension: u32, voucher: u32) -> LaidOut {
    let posted = t.result.outcome == Outcome::Posted;
    let is_post = matches!(t.kind, RowKind::Transfer | RowKind::Journal);
    let is_linked = !is_post || t.link != 0;
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    let mut row = LogRow::new_zeroed();
    row.id = t.id.into();
    row.tail = RowTail {
        code: t.code.into(),
        flags: flag(t.forced, FORCED)
            | flag(t.is_final && t.kind == RowKind::Capture, FINAL)
            | flag(t.takes_all, ALL)
            | flag(is_linked, LINKED),
        value_date: t.value_date.into(),
        reference: t.reference.into(),
        voucher_length: t.voucher_length.into(),
        extension: extension.into(),
        ..tail(t.institution, t.principal, t.kind, &t.result, frame_time, t.accounting_date)
    };
    if !posted {
        row.debit_entry.version = u64::from(t.result.detail).into();
    }
    let mut bytes = Vec::new();
    if t.voucher_length > 0 {
        let offset = if posted { voucher } else { 0 };
        let record = LogVoucher { offset: offset.into(), reserved: 0.into(), digest: t.voucher_digest };
        assert!(!posted || *blake3::hash(&t.voucher).as_bytes() == t.voucher_digest, "a voucher that was exchanged");
        bytes.extend_from_slice(record.as_bytes());
    }
    if is_linked {
        let (id, sequence, timeout) = (t.link.into(), t.link_sequence.into(), t.timeout.into());
        bytes.extend_from_slice(LogLink { id, sequence, timeout, reserved: 0.into() }.as_bytes());
    }
    if let (RowKind::Transfer, [debit, credit]) = (t.kind, &t.postings[..]) {
        (row.debit, row.credit) = (debit.account.into(), credit.account.into());
        (row.amount, row.tail.asset) = (debit.amount.into(), debit.asset.into());
        if posted {
            (row.debit_entry, row.credit_entry) =
                (entry(&debit.result, debit.previous), entry(&credit.result, credit.previous));
        }
    } else {
        row.debit = (t.postings.len() as u128).into();
        for posting in &t.postings {
            match is_post {
                true => bytes.extend_from_slice(journal_posting(posting).as_bytes()),
                false => bytes.extend_from_slice(held_posting(posting).as_bytes()),
            }
        }
    }
    LaidOut { row: row.as_bytes().to_vec(), extension: bytes }
}

fn journal_posting(posting: &PostingRecord) -> LogPosting {
    LogPosting {
        account: posting.account.into(),
        amount: posting.amount.into(),
        asset: posting.asset.into(),
        side: posting.side as u8,
        reserved: [0; 3],
        entry: entry(&posting.result, posting.previous),
    }
}

fn held_posting(posting: &PostingRecord) -> LogHeld {
    LogHeld {
        account: posting.account.into(),
        amount: posting.amount.into(),
        freed: posting.held.freed.into(),
        left: posting.held.left.into(),
        held: posting.held.held.into(),
        entry: entry(&posting.result, posting.previous),
        asset: posting.asset.into(),
        side: posting.side as u8,
        index: posting.index,
        reserved: [0; 10],
    }
}

fn open(o: &OpenRecord, frame_time: u64, extension: u32) -> LaidOut {
    let result = ItemResult { outcome: Outcome::Posted, repeat: false, detail: 0, sequence: 0, booked_at: o.booked_at };
    let row = OpenRow {
        account: o.row.account,
        owner: o.row.owner,
        floor: o.row.floor,
        ceiling: o.row.ceiling,
        alarm: o.row.alarm,
        subject: o.row.subject,
        normal_side: o.row.normal_side,
        category: o.row.category,
        limit_flags: o.row.limit_flags,
        label_length: o.row.label_length,
        reserved: [0; 40],
        tail: RowTail {
            asset: o.row.asset,
            extension: extension.into(),
            ..tail(o.institution, o.principal, RowKind::Open, &result, frame_time, o.accounting_date)
        },
    };
    LaidOut { row: row.as_bytes().to_vec(), extension: o.row.label[..usize::from(o.row.label_length)].to_vec() }
}

fn control(c: &ControlFrameRecord, frame_time: u64, extension: u32) -> LaidOut {
    let mut row = LogRow::new_zeroed();
    (row.id, row.debit) = (c.id.into(), (c.record.len() as u128).into());
    let fixed = tail(c.institution, c.principal, RowKind::Control, &c.result, frame_time, c.accounting_date);
    row.tail = RowTail { extension: extension.into(), ..fixed };
    LaidOut { row: row.as_bytes().to_vec(), extension: c.record.clone() }
}

fn change(c: &ChangeRecord, frame_time: u64, extension: u32) -> LaidOut {
    let mut row = LogRow::new_zeroed();
    (row.id, row.debit) = (c.row.id, c.row.account);
    row.debit_entry = entry(&c.entry, c.previous);
    row.tail = RowTail {
        code: c.row.code,
        voucher_length: ((c.reason.len() + c.data.len()) as u16).into(),
        extension: extension.into(),
        ..tail(c.institution, c.principal, RowKind::Change, &c.result, frame_time, c.accounting_date)
    };
    let asked = LogChange {
        floor: c.row.floor,
        ceiling: c.row.ceiling,
        alarm: c.row.alarm,
        action: c.row.action,
        status: c.row.status,
        sets: c.row.sets,
        limit_flags: c.row.limit_flags,
        flags: c.row.flags,
        reason_length: c.row.reason_length,
        data_length: c.row.data_length,
        reserved: [0; 6],
    };
    let extension = [asked.as_bytes(), c.reason.as_bytes(), &c.data].concat();
    LaidOut { row: row.as_bytes().to_vec(), extension }
}
