//! From the model's plain items to the bytes that a client would send. The only place where the two vocabularies meet on
//! the way in.

use bytes::Bytes;
use florin_core::limits::LABEL_BYTES_MAX;
use florin_core::request::{
    AccountRow, ControlRequest, JournalRow, OpenRequest, PostForm, PostRequest, PostingRow, Side, TransferRow,
};

use florin_net::NewAccount;

use crate::model::item::{ALARM, CEILING, Control, FLOOR, Opening, Transaction};

/// The payload of a post request.
pub fn post_payload(transfers: bool, transactions: &[Transaction]) -> Vec<u8> {
    let mut payload = vec![];
    for t in transactions {
        if transfers {
            payload.extend_from_slice(bytes_of(&transfer_row(t)));
        } else {
            payload.extend_from_slice(bytes_of(&journal_row(t)));
        }
    }
    if !transfers {
        for posting in transactions.iter().flat_map(|t| &t.postings) {
            let mut row = PostingRow {
                account: posting.account.into(),
                amount: posting.amount.into(),
                asset: posting.asset.into(),
                side: posting.side,
                reserved: [0; 11],
            };
            row.reserved[10] = posting.reserved;
            payload.extend_from_slice(bytes_of(&row));
        }
    }
    transactions.iter().for_each(|t| payload.extend_from_slice(&t.voucher));
    payload
}

/// A post request.
pub fn post_request(institution: u32, transfers: bool, transactions: &[Transaction]) -> PostRequest {
    let form = if transfers { PostForm::Transfers } else { PostForm::Journals };
    let payload = Bytes::from(post_payload(transfers, transactions));
    PostRequest::parse(institution, 0, form, transactions.len() as u32, payload).expect("a payload that adds up")
}

fn transfer_row(t: &Transaction) -> TransferRow {
    assert!(t.is_transfer(), "only a debit and a credit of one amount fit a transfer row");
    let mut row = TransferRow {
        id: t.id.into(),
        debit: t.postings[0].account.into(),
        credit: t.postings[1].account.into(),
        amount: t.postings[0].amount.into(),
        reference: t.reference.into(),
        asset: t.postings[0].asset.into(),
        code: t.code.into(),
        flags: t.flags.into(),
        value_date: t.value_date.into(),
        voucher_length: (t.voucher.len() as u16).into(),
        reserved: [0; 36],
    };
    row.reserved[35] = t.reserved;
    row
}

fn journal_row(t: &Transaction) -> JournalRow {
    let mut row = JournalRow {
        id: t.id.into(),
        reference: t.reference.into(),
        code: t.code.into(),
        flags: t.flags.into(),
        value_date: t.value_date.into(),
        voucher_length: (t.voucher.len() as u16).into(),
        posting_count: (t.postings.len() as u16).into(),
        reserved: [0; 22],
    };
    row.reserved[21] = t.reserved;
    row
}

/// The payload of an open request.
pub fn open_payload(openings: &[Opening]) -> Vec<u8> {
    openings.iter().flat_map(|o| bytes_of(&account_row(o)).to_vec()).collect()
}

/// An open request.
pub fn open_request(institution: u32, openings: &[Opening]) -> OpenRequest {
    OpenRequest::parse(institution, 0, openings.len() as u32, Bytes::from(open_payload(openings)))
        .expect("a payload that adds up")
}

fn account_row(o: &Opening) -> AccountRow {
    let mut label = [0; LABEL_BYTES_MAX];
    label[..o.label.len()].copy_from_slice(&o.label);
    let mut row = AccountRow {
        account: o.account.into(),
        owner: o.owner.into(),
        floor: o.floor.into(),
        ceiling: o.ceiling.into(),
        alarm: o.alarm.into(),
        asset: o.asset.into(),
        subject: o.subject.into(),
        normal_side: o.normal_side,
        category: o.category,
        // In a row the first bit says that there is no floor.
        limit_flags: o.limit_flags ^ FLOOR,
        label_length: o.label_length,
        reserved: [0; 36],
        label,
    };
    row.reserved[0] = o.reserved;
    row
}

/// A control request.
pub fn control_request(institution: u32, control: &Control) -> ControlRequest {
    ControlRequest { institution, principal: 0, id: control.id, record: Bytes::from(control.record.clone()) }
}

fn bytes_of<T: zerocopy::IntoBytes + zerocopy::Immutable>(row: &T) -> &[u8] {
    row.as_bytes()
}

/// An opening as the client library takes it.
pub fn new_account(o: &Opening) -> NewAccount {
    let limit = |flag: u8, value: i128| (o.limit_flags & flag != 0).then_some(value);
    NewAccount {
        account: o.account,
        asset: o.asset,
        normal_side: Side::from_byte(o.normal_side).expect("a side"),
        category: o.category,
        subject: o.subject,
        owner: o.owner,
        floor: limit(FLOOR, o.floor),
        ceiling: limit(CEILING, o.ceiling),
        alarm: limit(ALARM, o.alarm),
        label: String::from_utf8(o.label.clone()).expect("text"),
    }
}
