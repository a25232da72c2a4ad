//! What a caller gives to the client, and the request rows it becomes.

use bytes::Bytes;
use florin_core::limits::{LABEL_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::request::{
    AccountRow, HAS_ALARM, HAS_CEILING, JournalRow, NO_FLOOR, PostForm, Posting, PostingRow, Side, TransferRow,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U16, U32, U128};

use super::ClientError;
use crate::limits::OPENINGS_MAX;

/// A transaction to post.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transaction {
    /// Id, chosen by the caller, never 0. The same id never posts twice.
    pub id: u128,
    /// The postings: debits and credits equal per asset.
    pub postings: Vec<Posting>,
    /// Business reference, 0 = none.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Business side of the transaction, at most 4 KiB.
    pub voucher: Vec<u8>,
}

impl Transaction {
    /// A transfer: `amount` minor units of `asset` debited to one account and credited to another.
    pub fn transfer(id: u128, debit: u128, credit: u128, asset: u32, amount: u128) -> Transaction {
        let posting = |account, side| Posting { account, amount, asset, side };
        let postings = vec![posting(debit, Side::Debit), posting(credit, Side::Credit)];
        Transaction { id, postings, ..Transaction::default() }
    }

    /// A journal without postings; add them with [`Transaction::with_posting`].
    pub fn journal(id: u128) -> Transaction {
        Transaction { id, ..Transaction::default() }
    }

    /// With one more posting.
    pub fn with_posting(mut self, side: Side, account: u128, asset: u32, amount: u128) -> Transaction {
        self.postings.push(Posting { account, amount, asset, side });
        self
    }

    /// With a business reference.
    pub fn with_reference(mut self, reference: u128) -> Transaction {
        self.reference = reference;
        self
    }

    /// With a business code.
    pub fn with_code(mut self, code: u16) -> Transaction {
        self.code = code;
        self
    }

    /// With a value date, days since 1970-01-01.
    pub fn with_value_date(mut self, value_date: u16) -> Transaction {
        self.value_date = value_date;
        self
    }

    /// With a voucher.
    pub fn with_voucher(mut self, voucher: impl Into<Vec<u8>>) -> Transaction {
        self.voucher = voucher.into();
        self
    }

    /// Debit and credit, if a transfer row can say all of it.
    fn as_transfer(&self) -> Option<(&Posting, &Posting)> {
        match self.postings.as_slice() {
            [debit, credit]
                if debit.side == Side::Debit
                    && credit.side == Side::Credit
                    && (debit.amount, debit.asset) == (credit.amount, credit.asset) =>
            {
                Some((debit, credit))
            }
            _ => None,
        }
    }
}

/// Rows and vouchers of a post request: transfer rows if every transaction is a transfer, journal rows otherwise.
pub fn encode_transactions(transactions: &[Transaction]) -> Result<(PostForm, Bytes), ClientError> {
    check_count("transactions", transactions.len(), REQUEST_ITEMS_MAX)?;
    let transfers = transactions.iter().all(|t| t.as_transfer().is_some());
    let voucher_bytes: usize = transactions.iter().map(|t| t.voucher.len()).sum();
    let postings: usize = transactions.iter().map(|t| t.postings.len()).sum();
    let bytes = voucher_bytes
        + match transfers {
            true => transactions.len() * size_of::<TransferRow>(),
            false => transactions.len() * size_of::<JournalRow>() + postings * size_of::<PostingRow>(),
        };
    if bytes > REQUEST_BYTES_MAX {
        return Err(ClientError::TooLarge { what: "bytes", got: bytes, max: REQUEST_BYTES_MAX });
    }
    // Below 1 MiB a transaction may still have more postings or voucher bytes than its row can count.
    for transaction in transactions {
        let max = usize::from(u16::MAX);
        for (what, got) in
            [("postings of a transaction", transaction.postings.len()), ("voucher bytes", transaction.voucher.len())]
        {
            if got > max {
                return Err(ClientError::TooLarge { what, got, max });
            }
        }
    }
    let mut payload = Vec::with_capacity(bytes);
    match transfers {
        true => {
            for transaction in transactions {
                payload.extend_from_slice(transfer_row(transaction).as_bytes());
            }
        }
        false => {
            for transaction in transactions {
                payload.extend_from_slice(journal_row(transaction).as_bytes());
            }
            for posting in transactions.iter().flat_map(|t| &t.postings) {
                payload.extend_from_slice(posting_row(posting).as_bytes());
            }
        }
    }
    for transaction in transactions {
        payload.extend_from_slice(&transaction.voucher);
    }
    let form = if transfers { PostForm::Transfers } else { PostForm::Journals };
    Ok((form, Bytes::from(payload)))
}

fn transfer_row(transaction: &Transaction) -> TransferRow {
    let (debit, credit) = transaction.as_transfer().expect("only transfers become transfer rows");
    TransferRow {
        id: U128::new(transaction.id),
        debit: U128::new(debit.account),
        credit: U128::new(credit.account),
        amount: U128::new(debit.amount),
        reference: U128::new(transaction.reference),
        asset: U32::new(debit.asset),
        code: U16::new(transaction.code),
        flags: U16::new(0),
        value_date: U16::new(transaction.value_date),
        voucher_length: U16::new(transaction.voucher.len() as u16),
        reserved: [0; 36],
    }
}

fn journal_row(transaction: &Transaction) -> JournalRow {
    JournalRow {
        id: U128::new(transaction.id),
        reference: U128::new(transaction.reference),
        code: U16::new(transaction.code),
        flags: U16::new(0),
        value_date: U16::new(transaction.value_date),
        voucher_length: U16::new(transaction.voucher.len() as u16),
        posting_count: U16::new(transaction.postings.len() as u16),
        reserved: [0; 22],
    }
}

fn posting_row(posting: &Posting) -> PostingRow {
    PostingRow {
        account: U128::new(posting.account),
        amount: U128::new(posting.amount),
        asset: U32::new(posting.asset),
        side: posting.side as u8,
        reserved: [0; 11],
    }
}

/// An account to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// Id, chosen by the caller, never 0.
    pub account: u128,
    /// Asset number.
    pub asset: u32,
    /// The side that raises its balance.
    pub normal_side: Side,
    /// 0 personal, 1 enterprise, 2 platform.
    pub category: u8,
    /// Subject, 0 = none.
    pub subject: u32,
    /// Owner, 0 = none.
    pub owner: u128,
    /// Floor of the available balance, minor units; none = no floor.
    pub floor: Option<i128>,
    /// Ceiling of the balance, minor units.
    pub ceiling: Option<i128>,
    /// Alarm level, minor units.
    pub alarm: Option<i128>,
    /// Label, at most 64 bytes of UTF-8.
    pub label: String,
}

impl NewAccount {
    /// A personal account that may not go below zero.
    pub fn new(account: u128, asset: u32, normal_side: Side) -> NewAccount {
        NewAccount {
            account,
            asset,
            normal_side,
            category: 0,
            subject: 0,
            owner: 0,
            floor: Some(0),
            ceiling: None,
            alarm: None,
            label: String::new(),
        }
    }

    fn row(&self) -> Result<AccountRow, ClientError> {
        let bytes = self.label.as_bytes();
        if bytes.len() > LABEL_BYTES_MAX {
            return Err(ClientError::TooLarge { what: "label bytes", got: bytes.len(), max: LABEL_BYTES_MAX });
        }
        let mut label = [0; LABEL_BYTES_MAX];
        label[..bytes.len()].copy_from_slice(bytes);
        let flag = |limit: Option<i128>, flag: u8| if limit.is_some() { flag } else { 0 };
        Ok(AccountRow {
            account: U128::new(self.account),
            owner: U128::new(self.owner),
            floor: I128::new(self.floor.unwrap_or(0)),
            ceiling: I128::new(self.ceiling.unwrap_or(0)),
            alarm: I128::new(self.alarm.unwrap_or(0)),
            asset: U32::new(self.asset),
            subject: U32::new(self.subject),
            normal_side: self.normal_side as u8,
            category: self.category,
            limit_flags: if self.floor.is_none() { NO_FLOOR } else { 0 }
                | flag(self.ceiling, HAS_CEILING)
                | flag(self.alarm, HAS_ALARM),
            label_length: bytes.len() as u8,
            reserved: [0; 36],
            label,
        })
    }
}

/// Rows of an open request.
pub fn encode_accounts(accounts: &[NewAccount]) -> Result<Bytes, ClientError> {
    check_count("accounts", accounts.len(), OPENINGS_MAX)?;
    let mut payload = Vec::with_capacity(accounts.len() * size_of::<AccountRow>());
    for account in accounts {
        payload.extend_from_slice(account.row()?.as_bytes());
    }
    Ok(Bytes::from(payload))
}

/// Nothing is too few and `max` the most.
pub fn check_count(what: &'static str, got: usize, max: usize) -> Result<(), ClientError> {
    if (1..=max).contains(&got) { Ok(()) } else { Err(ClientError::TooLarge { what, got, max }) }
}
