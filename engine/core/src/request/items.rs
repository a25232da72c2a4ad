//! Items of a request (posts, holds, captures, reversals, …), viewed in place, and the checks of their shape.

use bytes::Bytes;
use zerocopy::FromBytes;

use super::{FINAL, FORCED, ItemKind, ItemRow, PayloadError, PostingRow, Side, TransferRow};
use crate::limits::*;
use crate::outcome::Outcome;

/// The two forms of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostForm {
    /// `count` transfer rows (two postings of one amount), then the vouchers in order.
    Transfers,
    /// `count` item rows, then all posting rows in order, then the vouchers in order.
    Items,
}

/// A request of `count` items, all of one form.
#[derive(Clone, Debug)]
pub struct PostRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    form: PostForm,
    count: u32,
    has_reversals: bool,
    has_links: bool,
    payload: Bytes,
    /// Where each item's posting rows begin, in rows; empty for transfers.
    postings_at: Vec<u32>,
    /// Where each voucher begins in the payload; empty if there is none.
    vouchers_at: Vec<u32>,
}

/// One item of a request, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct ItemView<'a> {
    /// Id.
    pub id: u128,
    /// Kind; none if the byte is not known.
    pub kind: Option<ItemKind>,
    /// Hold or original that it names, or a related transaction; 0 = none.
    pub link: u128,
    /// Timeout of a hold, seconds, 0 = none.
    pub timeout: u32,
    /// Business reference.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Flags.
    pub flags: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Voucher bytes.
    pub voucher: &'a [u8],
    /// The postings.
    pub postings: Postings<'a>,
}

/// The postings of a transaction.
#[derive(Clone, Copy, Debug)]
pub enum Postings<'a> {
    /// Debit first, then credit.
    Transfer(&'a TransferRow),
    /// In the order given.
    Rows(&'a [PostingRow]),
}

/// One posting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Posting {
    /// The account.
    pub account: u128,
    /// Minor units.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Debit or credit.
    pub side: Side,
    /// Index of the posting in the hold or original that the item names.
    pub index: u8,
}

impl<'a> ItemView<'a> {
    /// Whether limits and freezes are skipped.
    pub fn forced(&self) -> bool {
        self.flags & FORCED != 0
    }

    /// Whether a capture frees what it leaves.
    pub fn is_final(&self) -> bool {
        self.flags & FINAL != 0 || self.takes_all()
    }

    /// Whether it stands for all that is left of a hold, or for a whole original.
    pub fn takes_all(&self) -> bool {
        matches!(self.kind, Some(ItemKind::Capture | ItemKind::Reverse)) && self.postings.count() == 0
    }
}

impl<'a> Postings<'a> {
    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Postings::Transfer(_) => 2,
            Postings::Rows(rows) => rows.len(),
        }
    }

    /// The `index`-th; the shape must have been checked.
    pub fn get(&self, index: usize) -> Posting {
        match self {
            Postings::Transfer(row) => Posting {
                account: if index == 0 { row.debit.get() } else { row.credit.get() },
                amount: row.amount.get(),
                asset: row.asset.get(),
                side: if index == 0 { Side::Debit } else { Side::Credit },
                index: 0,
            },
            Postings::Rows(rows) => Posting {
                account: rows[index].account.get(),
                amount: rows[index].amount.get(),
                asset: rows[index].asset.get(),
                side: if rows[index].side == 0 { Side::Debit } else { Side::Credit },
                index: rows[index].index,
            },
        }
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Posting> + 'a {
        (0..self.count()).map(move |i| self.get(i))
    }
}

impl PostRequest {
    /// Takes a payload apart without copying it. Its lengths must add up exactly.
    pub fn parse(
        institution: u32,
        principal: u32,
        form: PostForm,
        count: u32,
        payload: Bytes,
    ) -> Result<PostRequest, PayloadError> {
        let n = count as usize;
        if n == 0 || n > REQUEST_ITEMS_MAX {
            return Err(PayloadError::Count { count: n, max: REQUEST_ITEMS_MAX });
        }
        let row_bytes = match form {
            PostForm::Transfers => size_of::<TransferRow>(),
            PostForm::Items => size_of::<ItemRow>(),
        };
        let got = payload.len();
        if got < n * row_bytes {
            return Err(PayloadError::Length { expected: n * row_bytes, got });
        }
        let mut request = PostRequest {
            institution,
            principal,
            form,
            count,
            has_reversals: false,
            has_links: false,
            payload,
            postings_at: vec![],
            vouchers_at: vec![],
        };
        let mut at = n * row_bytes;
        if form == PostForm::Items {
            let mut rows = 0u32;
            request.postings_at.reserve_exact(n + 1);
            for i in 0..n {
                request.postings_at.push(rows);
                rows += u32::from(request.item_row(i).posting_count.get());
                let kind = request.item_row(i).kind;
                request.has_reversals |= kind == ItemKind::Reverse as u8;
                request.has_links |= kind != ItemKind::Post as u8 && kind != ItemKind::Hold as u8;
            }
            request.postings_at.push(rows);
            at += rows as usize * size_of::<PostingRow>();
        }
        let voucher_bytes: usize = (0..n).map(|i| request.voucher_length(i)).sum();
        if at + voucher_bytes != got {
            return Err(PayloadError::Length { expected: at + voucher_bytes, got });
        }
        if voucher_bytes > 0 {
            request.vouchers_at.reserve_exact(n);
            for i in 0..n {
                request.vouchers_at.push(at as u32);
                at += request.voucher_length(i);
            }
        }
        Ok(request)
    }

    /// How many items.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The two forms of a request.
    pub fn form(&self) -> PostForm {
        self.form
    }

    /// Whether any item is a reversal, whose original may have to be read from the log.
    pub fn has_reversals(&self) -> bool {
        self.has_reversals
    }

    /// Whether any item names a hold or an original.
    pub fn has_links(&self) -> bool {
        self.has_links
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The rows of all items, if the form is that of transfers.
    pub fn transfers(&self) -> Option<&[TransferRow]> {
        let bytes = self.count() * size_of::<TransferRow>();
        let rows = || <[TransferRow]>::ref_from_bytes(&self.payload[..bytes]).expect("whole rows");
        (self.form == PostForm::Transfers).then(rows)
    }

    /// The row of the `index`-th transfer; the form must be that of transfers.
    #[inline]
    pub fn transfer(&self, index: usize) -> &TransferRow {
        debug_assert_eq!(self.form, PostForm::Transfers);
        let at = index * size_of::<TransferRow>();
        TransferRow::ref_from_bytes(&self.payload[at..at + size_of::<TransferRow>()]).expect("a row of its exact size")
    }

    fn item_row(&self, index: usize) -> &ItemRow {
        let at = index * size_of::<ItemRow>();
        ItemRow::ref_from_bytes(&self.payload[at..at + size_of::<ItemRow>()]).expect("a row of its exact size")
    }

    fn voucher_length(&self, index: usize) -> usize {
        usize::from(match self.form {
            PostForm::Transfers => self.transfer(index).voucher_length.get(),
            PostForm::Items => self.item_row(index).voucher_length.get(),
        })
    }

    /// The `index`-th item.
    pub fn item(&self, index: usize) -> ItemView<'_> {
        let voucher = match self.vouchers_at.get(index) {
            None => &[][..],
            Some(&at) => &self.payload[at as usize..at as usize + self.voucher_length(index)],
        };
        match self.form {
            PostForm::Transfers => {
                let row = self.transfer(index);
                ItemView {
                    id: row.id.get(),
                    kind: ItemKind::from_byte(row.kind),
                    link: row.link.get(),
                    timeout: row.timeout.get(),
                    reference: row.reference.get(),
                    code: row.code.get(),
                    flags: row.flags.get(),
                    value_date: row.value_date.get(),
                    voucher,
                    postings: Postings::Transfer(row),
                }
            }
            PostForm::Items => {
                let row = self.item_row(index);
                ItemView {
                    id: row.id.get(),
                    kind: ItemKind::from_byte(row.kind),
                    link: row.link.get(),
                    timeout: row.timeout.get(),
                    reference: row.reference.get(),
                    code: row.code.get(),
                    flags: row.flags.get(),
                    value_date: row.value_date.get(),
                    voucher,
                    postings: Postings::Rows(self.postings_of(index)),
                }
            }
        }
    }

    /// The posting rows of the `index`-th item.
    fn postings_of(&self, index: usize) -> &[PostingRow] {
        let base = self.count as usize * size_of::<ItemRow>();
        let from = base + self.postings_at[index] as usize * size_of::<PostingRow>();
        let to = base + self.postings_at[index + 1] as usize * size_of::<PostingRow>();
        <[PostingRow]>::ref_from_bytes(&self.payload[from..to]).expect("a whole number of posting rows")
    }

    /// The id of the `index`-th item.
    pub fn id(&self, index: usize) -> u128 {
        match self.form {
            PostForm::Transfers => self.transfer(index).id.get(),
            PostForm::Items => self.item_row(index).id.get(),
        }
    }

    /// The checks of shape of the `index`-th item, in the published order, given its view.
    pub fn check_shape(&self, index: usize, item: &ItemView<'_>) -> Result<(), Outcome> {
        if item.id == 0 {
            return Err(Outcome::IdZero);
        }
        let Some(kind) = item.kind else { return Err(Outcome::KindUnknown) };
        match item.postings {
            Postings::Transfer(row) => {
                if !matches!(kind, ItemKind::Post | ItemKind::Hold) {
                    return Err(Outcome::KindUnknown);
                }
                if row.debit.get() == 0 || row.credit.get() == 0 {
                    return Err(Outcome::AccountZero);
                }
                check_amount(row.amount.get())?;
                let timeout = kind == ItemKind::Post && row.timeout.get() != 0;
                if row.flags.get() & !FORCED != 0 || timeout || row.reserved_a != [0; 3] || row.reserved != [0; 12] {
                    return Err(Outcome::ReservedNotZero);
                }
            }
            Postings::Rows(rows) => {
                check_postings(kind, item, rows)?;
                if self.item_row(index).reserved != 0 {
                    return Err(Outcome::ReservedNotZero);
                }
            }
        }
        if item.voucher.len() > VOUCHER_BYTES_MAX {
            return Err(Outcome::VoucherTooLong);
        }
        if kind.names_postings() && !(1..item.postings.count()).all(|i| index_at(item, i - 1) < index_at(item, i)) {
            return Err(Outcome::PostingsNotAscending);
        }
        Ok(())
    }
}

fn index_at(item: &ItemView<'_>, at: usize) -> u8 {
    match item.postings {
        Postings::Transfer(_) => 0,
        Postings::Rows(rows) => rows[at].index,
    }
}

fn check_postings(kind: ItemKind, item: &ItemView<'_>, rows: &[PostingRow]) -> Result<(), Outcome> {
    if item.link == 0 && (kind.names_hold() || kind == ItemKind::Reverse) {
        return Err(Outcome::IdZero);
    }
    let least = match kind {
        ItemKind::Post | ItemKind::Hold => POSTINGS_MIN,
        ItemKind::Increase => 1,
        _ => 0,
    };
    if rows.len() < least {
        return Err(Outcome::TooFewPostings);
    }
    if rows.len() > POSTINGS_MAX {
        return Err(Outcome::TooManyPostings);
    }
    let by_index = kind.names_postings();
    if least == POSTINGS_MIN && rows.iter().any(|r| r.account.get() == 0) {
        return Err(Outcome::AccountZero);
    }
    rows.iter().try_for_each(|r| if r.amount.get() == 0 { Err(Outcome::AmountZero) } else { Ok(()) })?;
    rows.iter().try_for_each(|r| check_amount(r.amount.get()))?;
    if least == POSTINGS_MIN && rows.iter().any(|r| Side::from_byte(r.side).is_none()) {
        return Err(Outcome::SideUnknown);
    }
    let flags = match kind {
        ItemKind::Capture => FINAL,
        ItemKind::Release => 0,
        _ => FORCED,
    };
    let reserved = |r: &PostingRow| {
        let unused = match by_index {
            true => r.account.get() != 0 || r.asset.get() != 0 || r.side != 0,
            false => r.index != 0,
        };
        unused || r.reserved != [0; 10]
    };
    if item.flags & !flags != 0
        || (item.timeout != 0 && kind != ItemKind::Hold)
        || (kind == ItemKind::Release && !rows.is_empty())
        || rows.iter().any(reserved)
    {
        return Err(Outcome::ReservedNotZero);
    }
    Ok(())
}

fn check_amount(amount: u128) -> Result<(), Outcome> {
    match amount {
        0 => Err(Outcome::AmountZero),
        1..=AMOUNT_MAX => Ok(()),
        _ => Err(Outcome::AmountAboveMax),
    }
}
