//! From bytes that may be anything to a record or an error.

use florin_planted::{Fault, planted};
use zerocopy::FromBytes;
use zerocopy::little_endian::U128;

use super::{
    ALL, DraftHead, FINAL, FORCED, LINKED, LogChange, LogEntry, LogHeld, LogLink, LogPosting, LogRow, LogVoucher,
    OpenRow, RowTail,
};
use crate::account::{HeldResult, Version};
use crate::entry::{ChangeRecord, PostingRecord, RowKind, TransactionRecord};
use crate::limits::*;
use crate::outcome::Outcome;
use crate::request::{AccountRow, ChangeRow, ChangeView, ItemResult, PostingResult, Side};

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
    /// An account change.
    Change(Box<ChangeRecord>),
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
    /// Accounting date, days since 1970-01-01.
    pub accounting_date: u16,
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
    /// Accounting date, days since 1970-01-01.
    pub accounting_date: u16,
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

    /// The row of a transfer, posted or refused, that has no link: all that is to be found by then stands in the row itself.
    pub fn plain_transfer(&self) -> Option<&'a LogRow> {
        let row = self.row();
        (row.tail.kind == RowKind::Transfer as u8 && row.tail.flags & LINKED == 0).then_some(row)
    }

    /// The row of a transfer, posted or refused, if all of it stands in the row: no voucher, no link, no extension. Its bytes may
    /// still be wrong: see [`RowBytes::check_whole_transfer`].
    #[inline]
    pub fn whole_transfer(&self) -> Option<&'a LogRow> {
        let row = self.row();
        let RowTail { kind, flags, voucher_length, extension, .. } = &row.tail;
        let is = *kind == RowKind::Transfer as u8 && flags & !FORCED == 0;
        (is && voucher_length.get() == 0 && extension.get() == 0).then_some(row)
    }

    /// What [`RowBytes::decode`] checks of such a row. Gives its outcome.
    #[inline]
    pub fn check_whole_transfer(&self) -> Result<Outcome, RowError> {
        self.check_id()?;
        let outcome = self.result()?.outcome;
        self.check_transfer(outcome == Outcome::Posted)?;
        Ok(outcome)
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
        let kind = self.kind()?;
        let voucher = if tail.voucher_length.get() == 0 { 0 } else { VOUCHER_RECORD_BYTES as u32 };
        let link = if tail.flags & LINKED == 0 { 0 } else { LINK_RECORD_BYTES as u32 };
        let length = match kind {
            RowKind::Transfer => voucher + link,
            RowKind::Journal => voucher + link + self.posting_count(POSTINGS_MIN)? * POSTING_RECORD_BYTES as u32,
            RowKind::Open => u32::from(self.open_row().label_length),
            RowKind::Control => u32::try_from(self.row().debit.get())
                .ok()
                .filter(|&l| l as usize <= CONTROL_BYTES_MAX)
                .ok_or_else(|| self.error("its record is too long"))?,
            RowKind::Change => CHANGE_RECORD_BYTES as u32 + u32::from(tail.voucher_length.get()),
            _ => voucher + link + self.posting_count(0)? * HELD_RECORD_BYTES as u32,
        };
        if (length == 0) != (tail.extension.get() == 0) {
            return Err(self.error("its extension offset does not fit its kind"));
        }
        Ok((tail.extension.get(), length))
    }

    fn posting_count(&self, least: usize) -> Result<u32, RowError> {
        let count = u32::try_from(self.row().debit.get()).ok();
        let count = count.filter(|&count| (least..=POSTINGS_MAX).contains(&(count as usize)));
        count.ok_or_else(|| self.error("its number of postings is out of range"))
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
        self.result_with_detail(if row.tail.outcome.get() == 0 { 0 } else { row.debit_entry.version.get() })
    }

    fn result_with_detail(&self, detail: u64) -> Result<ItemResult, RowError> {
        let row = self.row();
        let outcome = Outcome::from_number(row.tail.outcome.get()).ok_or_else(|| self.error("unknown outcome"))?;
        if outcome != Outcome::Posted && !outcome.info().recorded {
            return Err(self.error("an outcome that is never recorded"));
        }
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
        let kind = self.kind()?;
        let flags = match kind {
            RowKind::Transfer | RowKind::Journal | RowKind::Hold | RowKind::Increase => FORCED | LINKED,
            RowKind::Reversal => FORCED | ALL | LINKED,
            RowKind::Capture => FINAL | ALL | LINKED,
            RowKind::Release | RowKind::Expiry => LINKED,
            RowKind::Open | RowKind::Control | RowKind::Change => 0,
        };
        if tail.flags & !flags != 0 {
            return Err(self.error("a flag that is not known"));
        }
        if kind == RowKind::Capture && tail.flags & (ALL | FINAL) == ALL {
            return Err(self.error("a capture of all that is left which is not final"));
        }
        self.check_id()?;
        if extension.len() != self.extension()?.1 as usize {
            return Err(self.error("its extension is cut"));
        }
        match kind {
            RowKind::Open => self.open_record(extension).map(|r| Record::Open(Box::new(r))),
            RowKind::Change => self.change_record(extension).map(|r| Record::Change(Box::new(r))),
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
                    accounting_date: tail.accounting_date.get(),
                    record: extension.to_vec(),
                })))
            }
            _ => Ok(Record::Transaction(Box::new(self.transaction(extension, voucher)?))),
        }
    }

    fn check_id(&self) -> Result<(), RowError> {
        match self.row().id.get() {
            0 => Err(self.error("its id is 0")),
            _ => Ok(()),
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
            if record.reserved.get() != 0 && !planted(Fault::ReservedIgnored) {
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
        let mut link = LogLink::default();
        if tail.flags & LINKED != 0 {
            let (bytes, after) =
                rest.split_at_checked(LINK_RECORD_BYTES).ok_or_else(|| self.error("its extension is cut"))?;
            (link, rest) = (*LogLink::ref_from_bytes(bytes).expect("a record of its exact size"), after);
        }
        self.check_link(kind, &link)?;
        let entries = if posted { row.debit_entry == LogEntry::default() } else { is_refusal(&row.debit_entry) };
        let unused = row.credit.get() == 0 && row.amount.get() == 0 && tail.asset.get() == 0;
        if kind != RowKind::Transfer && (!unused || !entries || row.credit_entry != LogEntry::default()) {
            return Err(self.error("a reserved field is set"));
        }
        let postings = match kind {
            RowKind::Transfer => self.transfer_postings(posted)?,
            RowKind::Journal => self.journal_postings(rest, posted)?,
            _ => self.held_postings(rest, posted, kind)?,
        };
        Ok(TransactionRecord {
            institution: tail.institution.get(),
            principal: tail.principal.get(),
            kind,
            id: row.id.get(),
            link: link.id.get(),
            link_sequence: link.sequence.get(),
            timeout: link.timeout.get(),
            forced: tail.flags & FORCED != 0,
            is_final: tail.flags & FINAL != 0 || matches!(kind, RowKind::Release | RowKind::Expiry),
            takes_all: tail.flags & ALL != 0,
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

    fn check_link(&self, kind: RowKind, link: &LogLink) -> Result<(), RowError> {
        let tail = &self.row().tail;
        let linked = tail.flags & LINKED != 0;
        let posted = tail.outcome.get() == 0;
        let fits = match kind {
            RowKind::Transfer | RowKind::Journal => {
                linked == (link.id.get() != 0) && link.sequence.get() == 0 && link.timeout.get() == 0
            }
            RowKind::Hold => linked && link.sequence.get() == 0,
            _ => linked && link.id.get() != 0 && link.timeout.get() == 0 && posted == (link.sequence.get() != 0),
        };
        let own = kind != RowKind::Expiry || (link.id.get() == self.row().id.get() && posted);
        match fits && own && link.reserved.get() == 0 && link.sequence.get() < self.sequence {
            true => Ok(()),
            false => Err(self.error("its link does not fit its kind")),
        }
    }

    fn check_transfer(&self, posted: bool) -> Result<(), RowError> {
        let row = self.row();
        self.check_amount(row.amount.get())?;
        match !posted && (row.credit_entry != LogEntry::default() || !is_refusal(&row.debit_entry)) {
            true => Err(self.error("a refused transaction with an entry")),
            false => Ok(()),
        }
    }

    fn transfer_postings(&self, posted: bool) -> Result<Vec<PostingRecord>, RowError> {
        let row = self.row();
        self.check_transfer(posted)?;
        let posting = |account: U128, side: Side, entry: &LogEntry, index: u8| PostingRecord {
            account: account.get(),
            amount: row.amount.get(),
            asset: row.tail.asset.get(),
            side,
            result: if posted { posting_result(entry) } else { PostingResult::default() },
            previous: if posted { entry.previous.get() } else { 0 },
            index,
            held: HeldResult::default(),
        };
        let (debit, credit) = (&row.debit_entry, &row.credit_entry);
        Ok(vec![posting(row.debit, Side::Debit, debit, 0), posting(row.credit, Side::Credit, credit, 1)])
    }

    fn journal_postings(&self, bytes: &[u8], posted: bool) -> Result<Vec<PostingRecord>, RowError> {
        let postings = <[LogPosting]>::ref_from_bytes(bytes).map_err(|_| self.error("its extension is cut"))?;
        let decoded = postings.iter().enumerate().map(|(at, p)| {
            let side = Side::from_byte(p.side).filter(|_| p.reserved == [0; 3]);
            self.check_amount(p.amount.get())?;
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
                index: at as u8,
                held: HeldResult::default(),
            })
        });
        decoded.collect()
    }

    fn held_postings(&self, bytes: &[u8], posted: bool, kind: RowKind) -> Result<Vec<PostingRecord>, RowError> {
        let postings = <[LogHeld]>::ref_from_bytes(bytes).map_err(|_| self.error("its extension is cut"))?;
        let freeing = matches!(kind, RowKind::Capture | RowKind::Release | RowKind::Expiry);
        let decoded = postings.iter().map(|p| {
            let side = Side::from_byte(p.side).filter(|_| p.reserved == [0; 10]);
            if !freeing || !posted {
                self.check_amount(p.amount.get())?;
            }
            let held =
                HeldResult { amount: p.amount.get(), freed: p.freed.get(), left: p.left.get(), held: p.held.get() };
            let fits = match kind {
                RowKind::Capture => true,
                RowKind::Release | RowKind::Expiry => held.amount == 0,
                _ => held.freed == 0,
            };
            if !fits {
                return Err(self.error("an amount that its kind does not have"));
            }
            let nothing = HeldResult { amount: held.amount, ..HeldResult::default() };
            if !posted && (p.entry != LogEntry::default() || held != nothing) {
                return Err(self.error("a refused transaction with an entry"));
            }
            if [held.amount, held.freed, held.left].iter().any(|&amount| amount > AMOUNT_MAX) {
                return Err(self.error("an amount is out of range"));
            }
            Ok(PostingRecord {
                account: p.account.get(),
                amount: held.amount,
                asset: p.asset.get(),
                side: side.ok_or_else(|| self.error("a posting whose side is not known"))?,
                result: posting_result(&p.entry),
                previous: p.entry.previous.get(),
                index: p.index,
                held,
            })
        });
        let decoded = decoded.collect::<Result<Vec<PostingRecord>, RowError>>()?;
        match decoded.is_sorted_by(|a, b| a.index < b.index) {
            true => Ok(decoded),
            false => Err(self.error("its postings are not in the order of their indexes")),
        }
    }

    fn check_amount(&self, amount: u128) -> Result<(), RowError> {
        match (1..=AMOUNT_MAX).contains(&amount) {
            true => Ok(()),
            false => Err(self.error("an amount is out of range")),
        }
    }

    fn change_record(&self, extension: &[u8]) -> Result<ChangeRecord, RowError> {
        let row = self.row();
        let (bytes, texts) =
            extension.split_at_checked(CHANGE_RECORD_BYTES).ok_or_else(|| self.error("its extension is cut"))?;
        let asked = LogChange::ref_from_bytes(bytes).expect("a record of its exact size");
        let (reason, data) = (usize::from(asked.reason_length.get()), usize::from(asked.data_length.get()));
        let unused = RowTail { asset: 0.into(), value_date: 0.into(), reference: 0.into(), ..row.tail };
        let zeros = row.credit.get() == 0 && row.amount.get() == 0 && row.credit_entry == LogEntry::default();
        if !zeros || unused != row.tail || asked.reserved != [0; 6] {
            return Err(self.error("a reserved field is set"));
        }
        if reason + data != texts.len() {
            return Err(self.error("its reason and data do not add up"));
        }
        let (reason, data) = texts.split_at(reason);
        let change = ChangeRow {
            id: row.id,
            account: row.debit,
            floor: asked.floor,
            ceiling: asked.ceiling,
            alarm: asked.alarm,
            action: asked.action,
            status: asked.status,
            sets: asked.sets,
            limit_flags: asked.limit_flags,
            flags: asked.flags,
            code: row.tail.code,
            reason_length: asked.reason_length,
            data_length: asked.data_length,
            reserved: [0; 36],
        };
        let view = ChangeView { row: &change, reason, data };
        view.check_shape().map_err(|_| self.error("a change that no engine accepts"))?;
        let result = self.result_with_detail(0)?;
        if result.outcome != Outcome::Posted && row.debit_entry != LogEntry::default() {
            return Err(self.error("a refused change with an entry"));
        }
        Ok(ChangeRecord {
            institution: row.tail.institution.get(),
            principal: row.tail.principal.get(),
            row: change,
            result,
            reason: str::from_utf8(reason).map_err(|_| self.error("its reason is not text"))?.into(),
            data: data.into(),
            entry: posting_result(&row.debit_entry),
            previous: row.debit_entry.previous.get(),
            accounting_date: row.tail.accounting_date.get(),
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
            accounting_date: open.tail.accounting_date.get(),
            row,
        })
    }
}

/// Whether an entry holds the index of a refusing posting and nothing else.
fn is_refusal(entry: &LogEntry) -> bool {
    entry.balance.get() == 0 && entry.previous.get() == 0
}

fn posting_result(entry: &LogEntry) -> PostingResult {
    let version = Version::from_bits(entry.version.get());
    PostingResult { version: version.number(), balance: entry.balance.get(), alarm: version.alarm() }
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
            RowKind::Open | RowKind::Control | RowKind::Change => (0, 0),
            _ => row.voucher(extension)?,
        };
        let voucher = part(self.vouchers, at, length).ok_or_else(|| row.error("its voucher is cut"))?;
        row.decode(extension, voucher)
    }
}

fn part(bytes: &[u8], at: u32, length: u32) -> Option<&[u8]> {
    bytes.get(at as usize..)?.get(..length as usize)
}
