//! Items of a post request as a caller gives them (posts, holds, and what follows on one), the rows that they become,
//! and their results.

use bytes::Bytes;
use florin_core::compare::counts_entries;
use florin_core::entry::PostReply;
use florin_core::limits::{REQUEST_BYTES_MAX, REQUEST_ITEMS_MAX};
use florin_core::outcome::Outcome;
use florin_core::request::{
    FINAL, FORCED, ItemKind, ItemResult, ItemRow, PostForm, Posting, PostingResult, PostingRow, Side, TransferRow,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U128};

use super::{ClientError, check_count};

/// An item to post: a transaction, a hold, or what follows on one. `docs/rules.md` says what each kind does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Id, chosen by the caller, never 0. The same id never posts twice.
    pub id: u128,
    /// What it asks for.
    pub kind: ItemKind,
    /// The hold or original that it names; of a post or hold any related transaction, or 0.
    pub link: u128,
    /// Timeout of a hold, seconds, 0 = none.
    pub timeout: u32,
    /// Whether limits and freezes are skipped.
    pub forced: bool,
    /// Whether a capture frees what it leaves of its hold.
    pub is_final: bool,
    /// The postings: debits and credits equal per asset. Of an increase, capture or reversal only index and amount
    /// count.
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

impl Default for Transaction {
    fn default() -> Transaction {
        Transaction::of(ItemKind::Post, 0, 0)
    }
}

impl Transaction {
    fn of(kind: ItemKind, id: u128, link: u128) -> Transaction {
        Transaction {
            id,
            kind,
            link,
            timeout: 0,
            forced: false,
            is_final: false,
            postings: Vec::new(),
            reference: 0,
            code: 0,
            value_date: 0,
            voucher: Vec::new(),
        }
    }

    /// A transfer: `amount` minor units of `asset` debited to one account and credited to another.
    pub fn transfer(id: u128, debit: u128, credit: u128, asset: u32, amount: u128) -> Transaction {
        Transaction::journal(id).with_posting(Side::Debit, debit, asset, amount).with_posting(
            Side::Credit,
            credit,
            asset,
            amount,
        )
    }

    /// A journal without postings; add them with [`Transaction::with_posting`].
    pub fn journal(id: u128) -> Transaction {
        Transaction::of(ItemKind::Post, id, 0)
    }

    /// A hold: the transfer or journal is not posted, its amounts are reserved. It expires `timeout` seconds after it
    /// was booked; 0 = never.
    pub fn held(mut self, timeout: u32) -> Transaction {
        (self.kind, self.timeout) = (ItemKind::Hold, timeout);
        self
    }

    /// An increase of a hold; add amounts with [`Transaction::with_amount`].
    pub fn increase(id: u128, hold: u128) -> Transaction {
        Transaction::of(ItemKind::Increase, id, hold)
    }

    /// A capture of all that is left of a hold, which it closes; or of the amounts that [`Transaction::with_amount`]
    /// adds. Then the hold stays open, unless [`Transaction::finally`] closes it.
    pub fn capture(id: u128, hold: u128) -> Transaction {
        Transaction::of(ItemKind::Capture, id, hold)
    }

    /// A release of all that is left of a hold.
    pub fn release(id: u128, hold: u128) -> Transaction {
        Transaction::of(ItemKind::Release, id, hold)
    }

    /// A reversal of a whole transaction or capture, or of the amounts that [`Transaction::with_amount`] adds.
    pub fn reverse(id: u128, original: u128) -> Transaction {
        Transaction::of(ItemKind::Reverse, id, original)
    }

    /// With one more posting.
    pub fn with_posting(mut self, side: Side, account: u128, asset: u32, amount: u128) -> Transaction {
        let index = 0;
        self.postings.push(Posting { account, amount, asset, side, index });
        self
    }

    /// With an amount of the `index`-th posting (from 0) of the hold or original that it names. Indexes must ascend.
    pub fn with_amount(mut self, index: u8, amount: u128) -> Transaction {
        self.postings.push(Posting { account: 0, amount, asset: 0, side: Side::Debit, index });
        self
    }

    /// With the id of a related transaction, for a post or hold.
    pub fn with_link(mut self, link: u128) -> Transaction {
        self.link = link;
        self
    }

    /// Skipping limits and freezes.
    pub fn forced(mut self) -> Transaction {
        self.forced = true;
        self
    }

    /// Freeing what a capture leaves of its hold, and closing it.
    pub fn finally(mut self) -> Transaction {
        self.is_final = true;
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
        let fits = matches!(self.kind, ItemKind::Post | ItemKind::Hold) && !self.is_final;
        match self.postings.as_slice() {
            [debit, credit]
                if fits
                    && (debit.side, credit.side) == (Side::Debit, Side::Credit)
                    && (debit.amount, debit.asset) == (credit.amount, credit.asset)
                    && (debit.index, credit.index) == (0, 0) =>
            {
                Some((debit, credit))
            }
            _ => None,
        }
    }

    fn flags(&self) -> u16 {
        (if self.forced { FORCED } else { 0 }) | (if self.is_final { FINAL } else { 0 })
    }

    fn transfer_row(&self) -> TransferRow {
        let (debit, credit) = self.as_transfer().expect("only transfers become transfer rows");
        TransferRow {
            id: U128::new(self.id),
            debit: U128::new(debit.account),
            credit: U128::new(credit.account),
            amount: U128::new(debit.amount),
            reference: U128::new(self.reference),
            asset: U32::new(debit.asset),
            code: U16::new(self.code),
            flags: U16::new(self.flags()),
            value_date: U16::new(self.value_date),
            voucher_length: U16::new(self.voucher.len() as u16),
            kind: self.kind as u8,
            reserved_a: [0; 3],
            timeout: U32::new(self.timeout),
            link: U128::new(self.link),
            reserved: [0; 12],
        }
    }

    fn item_row(&self) -> ItemRow {
        ItemRow {
            id: U128::new(self.id),
            reference: U128::new(self.reference),
            code: U16::new(self.code),
            flags: U16::new(self.flags()),
            value_date: U16::new(self.value_date),
            voucher_length: U16::new(self.voucher.len() as u16),
            posting_count: U16::new(self.postings.len() as u16),
            kind: self.kind as u8,
            reserved: 0,
            timeout: U32::new(self.timeout),
            link: U128::new(self.link),
        }
    }
}

fn posting_row(posting: &Posting) -> PostingRow {
    PostingRow {
        account: U128::new(posting.account),
        amount: U128::new(posting.amount),
        asset: U32::new(posting.asset),
        side: posting.side as u8,
        index: posting.index,
        reserved: [0; 10],
    }
}

/// Rows and vouchers of a post request: transfer rows if every item is a transfer or the hold of one, item rows
/// otherwise.
pub fn encode_transactions(transactions: &[Transaction]) -> Result<(PostForm, Bytes), ClientError> {
    check_count("transactions", transactions.len(), REQUEST_ITEMS_MAX)?;
    let transfers = transactions.iter().all(|t| t.as_transfer().is_some());
    let voucher_bytes: usize = transactions.iter().map(|t| t.voucher.len()).sum();
    let postings: usize = transactions.iter().map(|t| t.postings.len()).sum();
    let bytes = voucher_bytes
        + match transfers {
            true => transactions.len() * size_of::<TransferRow>(),
            false => transactions.len() * size_of::<ItemRow>() + postings * size_of::<PostingRow>(),
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
        true => transactions.iter().for_each(|t| payload.extend_from_slice(t.transfer_row().as_bytes())),
        false => {
            transactions.iter().for_each(|t| payload.extend_from_slice(t.item_row().as_bytes()));
            let postings = transactions.iter().flat_map(|t| &t.postings);
            postings.for_each(|posting| payload.extend_from_slice(posting_row(posting).as_bytes()));
        }
    }
    transactions.iter().for_each(|t| payload.extend_from_slice(&t.voucher));
    let form = if transfers { PostForm::Transfers } else { PostForm::Items };
    Ok((form, Bytes::from(payload)))
}

/// The result of one item of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posted<'a> {
    /// What became of it.
    pub result: ItemResult,
    /// Version and balance after each of its entries, in order. Empty if it was refused, if this was not asked for, and
    /// if that of all items together did not fit into a reply.
    pub postings: &'a [PostingResult],
}

/// The reply to a post, item by item.
pub fn results<'a>(transactions: &[Transaction], reply: &'a PostReply) -> Result<Vec<Posted<'a>>, ClientError> {
    let wrong = || ClientError::Protocol("the posting results do not belong to these items".to_owned());
    let mut rest = reply.postings.as_slice();
    let mut results = Vec::with_capacity(transactions.len());
    for (transaction, result) in transactions.iter().zip(reply.items()) {
        let count = match result.outcome {
            Outcome::Posted if reply.postings.is_empty() => 0,
            Outcome::Posted if counts_entries(transaction.kind) => usize::from(result.detail),
            Outcome::Posted => transaction.postings.len(),
            _ => 0,
        };
        let (postings, after) = rest.split_at_checked(count).ok_or_else(wrong)?;
        rest = after;
        results.push(Posted { result, postings });
    }
    let fits = rest.is_empty() && results.len() == transactions.len() && reply.count() == results.len();
    if fits { Ok(results) } else { Err(wrong()) }
}
