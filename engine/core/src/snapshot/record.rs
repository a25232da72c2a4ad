//! The bytes of a snapshot's records: a fixed head, and behind it what the head says is there. From bytes that may be anything to a
//! record or an error.

use zerocopy::little_endian::{I128, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{AccountState, Named, Section, SnapshotRecord};
use crate::account::Limits;
use crate::accounts::FirstTerms;
use crate::asset::Asset;
use crate::entry::{AccountRecord, Status};
use crate::limits::{
    ASSET_CODE_BYTES_MAX, ATTRIBUTES_BYTES_MAX, INSTITUTION_NAME_BYTES_MAX, LABEL_BYTES_MAX, POSTINGS_MAX,
};
use crate::link::{NamedPosting, PostingName, Target};
use crate::request::Side;

/// An institution; its name follows. 8 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct InstitutionHead {
    number: U32,
    open_day: U16,
    name_length: u8,
    reserved: u8,
}

/// An asset; its code follows. 8 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AssetHead {
    number: U32,
    scale: u8,
    code_length: u8,
    reserved: U16,
}

/// An account; what `parts` says follows in the order of the bits, then label and attributes. 80 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AccountHead {
    account: U128,
    posted: I128,
    version: U64,
    last_entry: U64,
    opened: U64,
    opened_at: U64,
    institution: U32,
    asset: U32,
    parts: U16,
    attributes_length: U16,
    normal_side: u8,
    category: u8,
    status: u8,
    label_length: u8,
}

/// The owner, 16 bytes.
const OWNER: u16 = 1;
/// The subject, 4 bytes.
const SUBJECT: u16 = 2;
/// The floor, 16 bytes; none without it.
const FLOOR: u16 = 4;
/// The ceiling, 16 bytes.
const CEILING: u16 = 8;
/// The alarm level, 16 bytes.
const ALARM: u16 = 16;
/// What holds reserve, to leave and to come, 16 bytes each.
const HOLDS: u16 = 32;
/// First terms: a byte of [`FLOOR`], [`CEILING`], [`ALARM`] and one of the label's length, those values, the label.
const FIRST: u16 = 64;
const PARTS: u16 = 127;

/// An open hold; its postings follow. 48 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HoldHead {
    id: U128,
    sequence: U64,
    expires_at: U64,
    institution: U32,
    postings: U32,
    reserved: U64,
}

/// A posting of a hold. 40 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct HoldPosting {
    account: U128,
    amount: U128,
    asset: U32,
    side: u8,
    index: u8,
    reserved: U16,
}

/// What is left or was reversed. 48 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct NamedHead {
    account: U128,
    amount: I128,
    target: U64,
    institution: U32,
    index: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<InstitutionHead>() == 8 && size_of::<AssetHead>() == 8);
const _: () = assert!(size_of::<AccountHead>() == 80);
const _: () = assert!(size_of::<HoldHead>() == 48 && size_of::<HoldPosting>() == 40 && size_of::<NamedHead>() == 48);

impl SnapshotRecord {
    /// Appends its bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            SnapshotRecord::Institution { number, open_day, name } => {
                let (number, open_day) = ((*number).into(), (*open_day).into());
                let head = InstitutionHead { number, open_day, name_length: name.len() as u8, reserved: 0 };
                into.extend_from_slice(head.as_bytes());
                into.extend_from_slice(name.as_bytes());
            }
            SnapshotRecord::Asset(Asset { number, code, scale }) => {
                let code_length = code.len() as u8;
                let head = AssetHead { number: (*number).into(), scale: *scale, code_length, reserved: 0.into() };
                into.extend_from_slice(head.as_bytes());
                into.extend_from_slice(code.as_bytes());
            }
            SnapshotRecord::Account(account) => encode_account(account, into),
            SnapshotRecord::Hold(hold) => encode_hold(hold, into),
            SnapshotRecord::Named(named) => {
                let head = NamedHead {
                    account: named.account.into(),
                    amount: named.amount.into(),
                    target: named.name.target.into(),
                    institution: named.institution.into(),
                    index: named.name.index,
                    reserved: [0; 3],
                };
                into.extend_from_slice(head.as_bytes());
            }
        }
    }
}

fn encode_account(account: &AccountState, into: &mut Vec<u8>) {
    let record = &account.record;
    let part = |is: bool, bit: u16| if is { bit } else { 0 };
    let parts = part(record.owner != 0, OWNER)
        | part(record.subject != 0, SUBJECT)
        | part(record.floor.is_some(), FLOOR)
        | part(record.ceiling.is_some(), CEILING)
        | part(record.alarm.is_some(), ALARM)
        | part((record.held, record.incoming) != (0, 0), HOLDS)
        | part(account.first.is_some(), FIRST);
    let head = AccountHead {
        account: record.account.into(),
        posted: record.posted.into(),
        version: record.version.into(),
        last_entry: record.last_entry.into(),
        opened: record.opened.into(),
        opened_at: account.opened_at.into(),
        institution: record.institution.into(),
        asset: record.asset.into(),
        parts: parts.into(),
        attributes_length: (record.attributes.len() as u16).into(),
        normal_side: record.normal_side as u8,
        category: record.category,
        status: record.status as u8,
        label_length: record.label.len() as u8,
    };
    into.extend_from_slice(head.as_bytes());
    if record.owner != 0 {
        into.extend_from_slice(&record.owner.to_le_bytes());
    }
    if record.subject != 0 {
        into.extend_from_slice(&record.subject.to_le_bytes());
    }
    let values = [record.floor, record.ceiling, record.alarm];
    values.into_iter().flatten().for_each(|value| into.extend_from_slice(&value.to_le_bytes()));
    if parts & HOLDS != 0 {
        into.extend_from_slice(&record.held.to_le_bytes());
        into.extend_from_slice(&record.incoming.to_le_bytes());
    }
    if let Some(first) = &account.first {
        let values = [first.limits.floor(), first.limits.ceiling(), first.alarm];
        let bits = [FLOOR, CEILING, ALARM];
        let parts: u16 = values.iter().zip(bits).map(|(value, bit)| part(value.is_some(), bit)).sum();
        into.extend_from_slice(&[parts as u8, first.label.len() as u8]);
        values.into_iter().flatten().for_each(|value| into.extend_from_slice(&value.to_le_bytes()));
        into.extend_from_slice(first.label.as_bytes());
    }
    into.extend_from_slice(record.label.as_bytes());
    into.extend_from_slice(&record.attributes);
}

fn encode_hold(hold: &Target, into: &mut Vec<u8>) {
    let head = HoldHead {
        id: hold.id.into(),
        sequence: hold.sequence.into(),
        expires_at: hold.expires_at.into(),
        institution: hold.institution.into(),
        postings: (hold.postings.len() as u32).into(),
        reserved: 0.into(),
    };
    into.extend_from_slice(head.as_bytes());
    for posting in &hold.postings {
        let posting = HoldPosting {
            account: posting.account.into(),
            amount: posting.amount.into(),
            asset: posting.asset.into(),
            side: posting.side as u8,
            index: posting.index,
            reserved: 0.into(),
        };
        into.extend_from_slice(posting.as_bytes());
    }
}

/// Takes the next record of a section off `bytes`. Says what is wrong if there is none.
pub fn decode(section: Section, bytes: &mut &[u8]) -> Result<SnapshotRecord, &'static str> {
    match section {
        Section::Institutions => {
            let InstitutionHead { number, open_day, name_length, reserved } = take(bytes)?;
            let name = text(bytes, name_length.into(), INSTITUTION_NAME_BYTES_MAX)?.into();
            zero(reserved == 0)?;
            Ok(SnapshotRecord::Institution { number: number.get(), open_day: open_day.get(), name })
        }
        Section::Assets => {
            let AssetHead { number, scale, code_length, reserved } = take(bytes)?;
            let code = text(bytes, code_length.into(), ASSET_CODE_BYTES_MAX)?.into();
            zero(reserved.get() == 0)?;
            Ok(SnapshotRecord::Asset(Asset { number: number.get(), code, scale }))
        }
        Section::Accounts => decode_account(bytes).map(|account| SnapshotRecord::Account(Box::new(account))),
        Section::Holds => decode_hold(bytes).map(SnapshotRecord::Hold),
        Section::Named => {
            let NamedHead { account, amount, target, institution, index, reserved } = take(bytes)?;
            zero(reserved == [0; 3])?;
            let name = PostingName { target: target.get(), index };
            let (institution, account) = (institution.get(), account.get());
            Ok(SnapshotRecord::Named(Named { name, institution, account, amount: amount.get() }))
        }
    }
}

fn decode_account(bytes: &mut &[u8]) -> Result<AccountState, &'static str> {
    let head: AccountHead = take(bytes)?;
    let parts = head.parts.get();
    zero(parts & !PARTS == 0)?;
    let has = |bit: u16| parts & bit != 0;
    let owner = if has(OWNER) { take::<U128>(bytes)?.get() } else { 0 };
    let subject = if has(SUBJECT) { take::<U32>(bytes)?.get() } else { 0 };
    let [floor, ceiling, alarm] = values(bytes, parts)?;
    let (held, incoming) = match has(HOLDS) {
        true => (take::<I128>(bytes)?.get(), take::<I128>(bytes)?.get()),
        false => (0, 0),
    };
    let mut first = None;
    if has(FIRST) {
        let [parts, label_length] = take::<[u8; 2]>(bytes)?;
        let [floor, ceiling, alarm] = values(bytes, parts.into())?;
        zero(u16::from(parts) & !(FLOOR | CEILING | ALARM) == 0)?;
        let label = text(bytes, label_length.into(), LABEL_BYTES_MAX)?.into();
        first = Some(FirstTerms { limits: Limits::new(floor, ceiling), alarm, label });
    }
    let label = text(bytes, head.label_length.into(), LABEL_BYTES_MAX)?.into();
    let attributes = part(bytes, head.attributes_length.get().into(), ATTRIBUTES_BYTES_MAX)?.into();
    let record = AccountRecord {
        institution: head.institution.get(),
        account: head.account.get(),
        asset: head.asset.get(),
        subject,
        normal_side: Side::from_byte(head.normal_side).ok_or("a side that is not known")?,
        category: head.category,
        status: Status::from_byte(head.status).ok_or("a status that is not known")?,
        owner,
        floor,
        ceiling,
        alarm,
        posted: head.posted.get(),
        held,
        incoming,
        version: head.version.get(),
        opened: head.opened.get(),
        last_entry: head.last_entry.get(),
        label,
        attributes,
    };
    Ok(AccountState { record, opened_at: head.opened_at.get(), first })
}

/// Floor, ceiling and alarm level, as far as there are such parts.
fn values(bytes: &mut &[u8], parts: u16) -> Result<[Option<i128>; 3], &'static str> {
    let mut values = [None; 3];
    for (value, bit) in values.iter_mut().zip([FLOOR, CEILING, ALARM]) {
        if parts & bit != 0 {
            *value = Some(take::<I128>(bytes)?.get());
        }
    }
    Ok(values)
}

fn decode_hold(bytes: &mut &[u8]) -> Result<Target, &'static str> {
    let head: HoldHead = take(bytes)?;
    zero(head.reserved.get() == 0)?;
    let count = head.postings.get() as usize;
    if count > POSTINGS_MAX {
        return Err("a hold of more postings than there may be");
    }
    let mut postings = Vec::with_capacity(count);
    for _ in 0..count {
        let posting: HoldPosting = take(bytes)?;
        zero(posting.reserved.get() == 0)?;
        postings.push(NamedPosting {
            account: posting.account.get(),
            amount: posting.amount.get(),
            asset: posting.asset.get(),
            side: Side::from_byte(posting.side).ok_or("a side that is not known")?,
            index: posting.index,
        });
    }
    if !postings.is_sorted_by(|a, b| a.index < b.index) {
        return Err("postings of a hold that are not in the order of their indexes");
    }
    Ok(Target {
        institution: head.institution.get(),
        id: head.id.get(),
        sequence: head.sequence.get(),
        expires_at: head.expires_at.get(),
        postings,
    })
}

fn take<T: FromBytes>(bytes: &mut &[u8]) -> Result<T, &'static str> {
    let (value, rest) = T::read_from_prefix(bytes).map_err(|_| "a record that is cut")?;
    *bytes = rest;
    Ok(value)
}

fn part<'a>(bytes: &mut &'a [u8], length: usize, most: usize) -> Result<&'a [u8], &'static str> {
    if length > most {
        return Err("a text that is too long");
    }
    let (part, rest) = bytes.split_at_checked(length).ok_or("a record that is cut")?;
    *bytes = rest;
    Ok(part)
}

fn text<'a>(bytes: &mut &'a [u8], length: usize, most: usize) -> Result<&'a str, &'static str> {
    str::from_utf8(part(bytes, length, most)?).map_err(|_| "a text that is not UTF-8")
}

fn zero(is: bool) -> Result<(), &'static str> {
    if is { Ok(()) } else { Err("a reserved field is set") }
}
