//! Reads of history: rows of the log by sequence number, on a thread of their own, up to the durable position.
//!
//! What is read here never changes, so nothing here is locked and nobody waits for it but the reader who asked.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use florin_core::compare::{resolve_control, resolve_post};
use florin_core::entry::{AccountRecord, PostReply, StatementEntry, StatementPage, StatementToken, TransactionRecord};
use florin_core::frame::{Record, RowBytes};
use florin_core::limits::LOG_ROW_BYTES;
use florin_core::request::{ControlRequest, PostRequest};
use florin_wal::{FrameRef, LogReader};

use crate::handle::{OnReply, Reply};

/// What the history thread is asked. Everything that a job reads is durable when it is sent.
pub enum Job {
    /// Put the original results of repeats into an answer.
    ResolvePost {
        /// The request.
        request: Arc<PostRequest>,
        /// Whether version and balance of postings are wanted.
        want_postings: bool,
        /// The answer without them.
        reply: PostReply,
    },
    /// The original result of a repeated control record.
    ResolveControl {
        /// The request.
        request: ControlRequest,
        /// Where the original is.
        sequence: u64,
    },
    /// Transactions by their place.
    Transactions {
        /// Sequence numbers, none where the id is not known.
        sequences: Vec<Option<u64>>,
        /// What the answer reflects.
        position: u64,
    },
    /// A page of a statement.
    Statement {
        /// The account.
        account: Box<AccountRecord>,
        /// Where to go on.
        from: Option<StatementToken>,
        /// At most this many entries.
        limit: u32,
        /// What the answer reflects.
        position: u64,
    },
}

/// The history thread.
pub struct History {
    jobs: Option<Sender<(Job, OnReply)>>,
    thread: Option<JoinHandle<()>>,
}

impl History {
    /// Starts the thread.
    pub fn start(reader: LogReader) -> std::io::Result<History> {
        let (jobs, todo) = unbounded(); // bounded by the permits of the connections
        let thread = std::thread::Builder::new().name("florin-history".into()).spawn(move || run(reader, todo))?;
        Ok(History { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a job over.
    pub fn send(&self, job: Job, on_reply: OnReply) {
        let jobs = self.jobs.as_ref().expect("history is stopped last");
        jobs.send((job, on_reply)).expect("the history thread ends after the last job");
    }

    /// Answers what was asked and ends the thread.
    pub fn stop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic aborts the process");
        }
    }
}

fn run(reader: LogReader, todo: Receiver<(Job, OnReply)>) {
    let mut rows = Rows { reader, frame: None };
    for (job, on_reply) in todo {
        on_reply(rows.answer(job).unwrap_or_else(Reply::Failed));
    }
}

/// Rows of the log by sequence number.
pub struct Rows {
    reader: LogReader,
    /// The frame of the last row: the next one is often in it too.
    frame: Option<FrameRef>,
}

impl Rows {
    fn answer(&mut self, job: Job) -> Result<Reply, String> {
        match job {
            Job::ResolvePost { request, want_postings, reply } => {
                resolve_post(&request, want_postings, reply, |sequence| self.read(sequence)).map(Reply::Posted)
            }
            Job::ResolveControl { request, sequence } => {
                let result = resolve_control(&request.record, &self.read(sequence)?);
                let mut reply = PostReply::default();
                reply.push(result);
                Ok(Reply::Posted(reply))
            }
            Job::Transactions { sequences, position } => {
                // In the order of the log: each segment and frame is then looked up once.
                let mut places: Vec<(u64, usize)> =
                    sequences.iter().enumerate().filter_map(|(at, sequence)| Some(((*sequence)?, at))).collect();
                places.sort_unstable();
                let mut transactions = vec![None; sequences.len()];
                for (sequence, at) in places {
                    if let Record::Transaction(transaction) = self.read(sequence)? {
                        transactions[at] = Some(*transaction);
                    }
                }
                Ok(Reply::Transactions { transactions, position })
            }
            Job::Statement { account, from, limit, position } => {
                let page = self.statement(*account, from, limit, position)?;
                Ok(page.map_or(Reply::ForeignToken, |page| Reply::Statement(Some(Box::new(page)))))
            }
        }
    }

    /// The record at a sequence number.
    fn read(&mut self, sequence: u64) -> Result<Record, String> {
        let frame = match &self.frame {
            Some(f) if (f.head.first_sequence..f.head.next_sequence()).contains(&sequence) => *f,
            _ => {
                let found = self.reader.frame_of_sequence(sequence).map_err(|e| e.to_string())?;
                found.ok_or_else(|| format!("row {sequence} is not in the log"))?
            }
        };
        self.frame = Some(frame);
        let mut bytes = [0; LOG_ROW_BYTES];
        let index = (sequence - frame.head.first_sequence) as u32;
        let place =
            |what: &dyn std::fmt::Display| format!("{} at offset {}: {what}", frame.place.file(), frame.place.offset);
        self.reader.read_payload(&frame, index * LOG_ROW_BYTES as u32, &mut bytes).map_err(|e| e.to_string())?;
        let row = RowBytes::new(sequence, frame.head.time_ns, &bytes);
        let (at, length) = row.extension().map_err(|e| place(&e))?;
        within(at, length, frame.head.payload_bytes).map_err(|e| place(&e))?;
        let mut extension = vec![0; length as usize];
        if length > 0 {
            self.reader.read_payload(&frame, at, &mut extension).map_err(|e| e.to_string())?;
        }
        let (at, length) = match row.kind().map_err(|e| place(&e))? {
            florin_core::entry::RowKind::Transfer | florin_core::entry::RowKind::Journal => {
                row.voucher(&extension).map_err(|e| place(&e))?
            }
            _ => (0, 0),
        };
        within(at, length, frame.head.vouchers_bytes).map_err(|e| place(&e))?;
        let mut voucher = vec![0; length as usize];
        if length > 0 {
            self.reader.read_vouchers(&frame, at, &mut voucher).map_err(|e| e.to_string())?;
        }
        row.decode(&extension, &voucher).map_err(|e| place(&e))
    }

    /// Walks an account's entries back from the newest or from a token; none if the token is not of this account.
    /// Each entry must lead to the balance before the one after it.
    fn statement(
        &mut self,
        account: AccountRecord,
        from: Option<StatementToken>,
        limit: u32,
        position: u64,
    ) -> Result<Option<StatementPage>, String> {
        let newest = StatementToken { sequence: account.last_entry, version: account.version };
        let mut next = from.unwrap_or(newest);
        if next.version > account.version || next.sequence > account.last_entry || next.sequence < account.opened {
            return Ok(None);
        }
        let mut entries: Vec<StatementEntry> = Vec::new();
        let mut last: Option<(u64, TransactionRecord)> = None;
        while next.version > 0 && entries.len() < limit as usize {
            let record = match last.take() {
                Some((sequence, record)) if sequence == next.sequence => record,
                _ => match self.read(next.sequence)? {
                    Record::Transaction(transaction) => *transaction,
                    Record::Open(_) | Record::Control(_) => return Ok(None),
                },
            };
            let Some(entry) = entry_of(&account, next, &record) else { return Ok(None) };
            let leads_on = entries.last().is_none_or(|after| {
                let change =
                    if after.side == account.normal_side { after.amount as i128 } else { -(after.amount as i128) };
                after.balance.checked_sub(change) == Some(entry.balance)
            });
            if !leads_on {
                let (row, version) = (next.sequence, next.version);
                return Err(format!("row {row}: version {version} of the account does not lead to the one after it"));
            }
            next = StatementToken { sequence: entry.previous, version: entry.version - 1 };
            entries.push(entry);
            last = Some((record.result.sequence, record));
        }
        let next = (next.version > 0).then_some(next);
        Ok(Some(StatementPage { account, entries, next, position }))
    }
}

/// Bytes that were checked when they were written may have rotted since: an offset is believed only within its area.
fn within(at: u32, length: u32, area: u32) -> Result<(), &'static str> {
    match at.checked_add(length) {
        Some(end) if end <= area => Ok(()),
        _ => Err("a row points outside its frame"),
    }
}

/// The entry of an account with a given version, out of the transaction that made it.
fn entry_of(account: &AccountRecord, at: StatementToken, record: &TransactionRecord) -> Option<StatementEntry> {
    if record.institution != account.institution {
        return None;
    }
    let posting = record.postings.iter().find(|p| p.account == account.account && p.result.version == at.version)?;
    let mut others = record.postings.iter().map(|p| p.account).filter(|&a| a != account.account);
    let first = others.next().unwrap_or(account.account);
    let counterparty = if others.all(|a| a == first) { first } else { 0 };
    Some(StatementEntry {
        sequence: record.result.sequence,
        version: posting.result.version,
        kind: record.kind,
        id: record.id,
        side: posting.side,
        amount: posting.amount,
        asset: posting.asset,
        balance: posting.result.balance,
        counterparty,
        previous: posting.previous,
        reference: record.reference,
        code: record.code,
        principal: record.principal,
        booked_at: record.result.booked_at,
        accounting_date: record.accounting_date,
        value_date: record.value_date,
        voucher: record.voucher.clone(),
    })
}
