//! From the model's plain items to the bytes that a client would send. The only place where the two vocabularies meet
//! on the way in.

use bytes::Bytes;
use florin_core::entry::Status;
use florin_core::limits::LABEL_BYTES_MAX;
use florin_core::request::{
    AccountRow, Action, ChangeRequest, ChangeRow, ControlRequest, FINAL, FORCED, HAS_ALARM, HAS_CEILING, ItemRow,
    NO_FLOOR, OpenRequest, PostForm, PostRequest, PostingRow, SETS_ALARM, SETS_CEILING, SETS_FLOOR, Side, TransferRow,
};
use florin_net::{AccountChange, NewAccount};

use crate::model::item::{ALARM, CEILING, Change, Control, FLOOR, Item, Limit, Opening};

/// The payload of a request of items.
pub fn post_payload(transfers: bool, items: &[Item]) -> Vec<u8> {
    let mut payload = vec![];
    for item in items {
        match transfers {
            true => payload.extend_from_slice(bytes_of(&transfer_row(item))),
            false => payload.extend_from_slice(bytes_of(&item_row(item))),
        }
    }
    if !transfers {
        for posting in items.iter().flat_map(|item| &item.postings) {
            let mut row = PostingRow {
                account: posting.account.into(),
                amount: posting.amount.into(),
                asset: posting.asset.into(),
                side: posting.side,
                index: u8::try_from(posting.index).expect("an index that fits a byte"),
                reserved: [0; 10],
            };
            row.reserved[9] = posting.reserved;
            payload.extend_from_slice(bytes_of(&row));
        }
    }
    items.iter().for_each(|item| payload.extend_from_slice(&item.voucher));
    payload
}

/// A request of items.
pub fn post_request(institution: u32, transfers: bool, items: &[Item]) -> PostRequest {
    let form = if transfers { PostForm::Transfers } else { PostForm::Items };
    let payload = Bytes::from(post_payload(transfers, items));
    PostRequest::parse(institution, 0, form, items.len() as u32, payload).expect("a payload that adds up")
}

fn flags(item: &Item) -> u16 {
    let flag = |set: bool, bit: u16| if set { bit } else { 0 };
    flag(item.forced, FORCED) | flag(item.is_final, FINAL) | item.unknown_flags
}

fn transfer_row(item: &Item) -> TransferRow {
    assert!(item.is_transfer(), "only a debit and a credit of one amount fit a transfer row");
    let mut row = TransferRow {
        id: item.id.into(),
        debit: item.postings[0].account.into(),
        credit: item.postings[1].account.into(),
        amount: item.postings[0].amount.into(),
        reference: item.reference.into(),
        asset: item.postings[0].asset.into(),
        code: item.code.into(),
        flags: flags(item).into(),
        value_date: item.value_date.into(),
        voucher_length: (item.voucher.len() as u16).into(),
        kind: item.kind,
        reserved_a: [0; 3],
        timeout: item.timeout.into(),
        link: item.link.into(),
        reserved: [0; 12],
    };
    row.reserved[11] = item.reserved;
    row
}

fn item_row(item: &Item) -> ItemRow {
    ItemRow {
        id: item.id.into(),
        reference: item.reference.into(),
        code: item.code.into(),
        flags: flags(item).into(),
        value_date: item.value_date.into(),
        voucher_length: (item.voucher.len() as u16).into(),
        posting_count: (item.postings.len() as u16).into(),
        kind: item.kind,
        reserved: item.reserved,
        timeout: item.timeout.into(),
        link: item.link.into(),
    }
}

/// A request of account changes.
pub fn change_request(institution: u32, changes: &[Change]) -> ChangeRequest {
    let mut payload: Vec<u8> = changes.iter().flat_map(|change| bytes_of(&change_row(change)).to_vec()).collect();
    for change in changes {
        payload.extend_from_slice(&change.reason);
        payload.extend_from_slice(&change.label);
        payload.extend_from_slice(&change.attributes);
    }
    ChangeRequest::parse(institution, 0, changes.len() as u32, payload.into()).expect("a payload that adds up")
}

fn change_row(change: &Change) -> ChangeRow {
    let (mut sets, mut limit_flags) = (0, 0);
    let mut limit = |limit: Limit, set: u8, flag: u8, flag_means_value: bool| {
        sets |= if limit == Limit::Keep { 0 } else { set };
        let has_value = matches!(limit, Limit::To(_));
        limit_flags |= if limit != Limit::Keep && has_value == flag_means_value { flag } else { 0 };
        if let Limit::To(value) = limit { value } else { 0 }
    };
    let floor = limit(change.floor, SETS_FLOOR, NO_FLOOR, false);
    let ceiling = limit(change.ceiling, SETS_CEILING, HAS_CEILING, true);
    let alarm = limit(change.alarm, SETS_ALARM, HAS_ALARM, true);
    let mut row = ChangeRow {
        id: change.id.into(),
        account: change.account.into(),
        floor: floor.into(),
        ceiling: ceiling.into(),
        alarm: alarm.into(),
        action: change.action,
        status: change.status,
        sets,
        limit_flags,
        flags: (if change.forced { FORCED } else { 0 }).into(),
        code: change.code.into(),
        reason_length: (change.reason.len() as u16).into(),
        data_length: ((change.label.len() + change.attributes.len()) as u16).into(),
        reserved: [0; 36],
    };
    row.reserved[35] = change.reserved;
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
    NewAccount {
        account: o.account,
        asset: o.asset,
        normal_side: Side::from_byte(o.normal_side).expect("a side"),
        category: o.category,
        subject: o.subject,
        owner: o.owner,
        floor: o.limit(FLOOR),
        ceiling: o.limit(CEILING),
        alarm: o.limit(ALARM),
        label: String::from_utf8(o.label.clone()).expect("text"),
    }
}

/// A change as the client library takes it.
pub fn account_change(c: &Change) -> AccountChange {
    let limit = |limit: Limit| match limit {
        Limit::Keep => None,
        Limit::Remove => Some(None),
        Limit::To(value) => Some(Some(value)),
    };
    AccountChange {
        id: c.id,
        account: c.account,
        action: Action::from_byte(c.action).expect("an action"),
        status: Status::from_byte(c.status).expect("a status"),
        floor: limit(c.floor),
        ceiling: limit(c.ceiling),
        alarm: limit(c.alarm),
        forced: c.forced,
        code: c.code,
        reason: String::from_utf8(c.reason.clone()).expect("text"),
        data: [&c.label[..], &c.attributes[..]].concat(),
    }
}
