//! Account changes as they come in: status, limits, label, attributes.

use bytes::Bytes;
use zerocopy::FromBytes;
use zerocopy::little_endian::I128;

use super::{ChangeRow, FORCED, HAS_ALARM, HAS_CEILING, NO_FLOOR, PayloadError, SETS_ALARM, SETS_CEILING, SETS_FLOOR};
use crate::entry::Status;
use crate::limits::*;
use crate::outcome::Outcome;

/// What a change does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// Sets the status to anything but closed.
    Status = 1,
    /// Sets limits.
    Limits = 2,
    /// Closes the account.
    Close = 3,
    /// Opens a closed account again.
    Reopen = 4,
    /// Sets the label.
    Label = 5,
    /// Sets the attributes.
    Attributes = 6,
}

impl Action {
    /// All of them, with their names.
    pub const ALL: [(Action, &'static str); 6] = [
        (Action::Status, "status"),
        (Action::Limits, "limits"),
        (Action::Close, "close"),
        (Action::Reopen, "reopen"),
        (Action::Label, "label"),
        (Action::Attributes, "attributes"),
    ];

    /// The action of a byte.
    pub fn from_byte(byte: u8) -> Option<Action> {
        Action::ALL.iter().map(|(action, _)| *action).find(|action| *action as u8 == byte)
    }

    /// Its name in output.
    pub fn name(self) -> &'static str {
        Action::ALL.iter().find(|(action, _)| *action == self).map_or("", |(_, name)| name)
    }
}

/// A request to change `count` accounts, one after the other.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    count: usize,
    payload: Bytes,
    /// Where the texts of each row begin in the payload.
    texts_at: Vec<u32>,
}

/// One change, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct ChangeView<'a> {
    /// The row.
    pub row: &'a ChangeRow,
    /// The reason.
    pub reason: &'a [u8],
    /// The new label or attributes.
    pub data: &'a [u8],
}

impl ChangeRequest {
    /// Takes a payload of change rows, then the reason and data of each in order.
    pub fn parse(institution: u32, principal: u32, count: u32, payload: Bytes) -> Result<ChangeRequest, PayloadError> {
        let count = count as usize;
        let max = REQUEST_BYTES_MAX / size_of::<ChangeRow>();
        if count == 0 || count > max {
            return Err(PayloadError::Count { count, max });
        }
        let mut at = count * size_of::<ChangeRow>();
        let got = payload.len();
        if got < at {
            return Err(PayloadError::Length { expected: at, got });
        }
        let mut request = ChangeRequest { institution, principal, count, payload, texts_at: Vec::with_capacity(count) };
        for index in 0..count {
            request.texts_at.push(at as u32);
            let row = request.row(index);
            at += usize::from(row.reason_length.get()) + usize::from(row.data_length.get());
        }
        if at != got {
            return Err(PayloadError::Length { expected: at, got });
        }
        Ok(request)
    }

    /// How many changes.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    fn row(&self, index: usize) -> &ChangeRow {
        let at = index * size_of::<ChangeRow>();
        ChangeRow::ref_from_bytes(&self.payload[at..at + size_of::<ChangeRow>()]).expect("a row of its exact size")
    }

    /// The `index`-th change.
    pub fn change(&self, index: usize) -> ChangeView<'_> {
        let row = self.row(index);
        let at = self.texts_at[index] as usize;
        let middle = at + usize::from(row.reason_length.get());
        let end = middle + usize::from(row.data_length.get());
        ChangeView { row, reason: &self.payload[at..middle], data: &self.payload[middle..end] }
    }
}

impl ChangeRow {
    /// Its action; the shape must have been checked.
    pub fn action(&self) -> Action {
        Action::from_byte(self.action).expect("a change whose shape was checked")
    }

    /// Whether limits may be left by the change.
    pub fn forced(&self) -> bool {
        self.flags.get() & FORCED != 0
    }

    /// The new floor, if it is set: a value or none.
    pub fn new_floor(&self) -> Option<Option<i128>> {
        let has = self.limit_flags & NO_FLOOR == 0;
        (self.sets & SETS_FLOOR != 0).then(|| has.then(|| self.floor.get()))
    }

    /// The new ceiling, if it is set: a value or none.
    pub fn new_ceiling(&self) -> Option<Option<i128>> {
        let has = self.limit_flags & HAS_CEILING != 0;
        (self.sets & SETS_CEILING != 0).then(|| has.then(|| self.ceiling.get()))
    }

    /// The new alarm level, if it is set: a value or none.
    pub fn new_alarm(&self) -> Option<Option<i128>> {
        let has = self.limit_flags & HAS_ALARM != 0;
        (self.sets & SETS_ALARM != 0).then(|| has.then(|| self.alarm.get()))
    }
}

impl ChangeView<'_> {
    /// The checks of shape, in the published order.
    pub fn check_shape(&self) -> Result<(), Outcome> {
        let row = self.row;
        if row.id.get() == 0 {
            return Err(Outcome::IdZero);
        }
        if row.account.get() == 0 {
            return Err(Outcome::AccountZero);
        }
        let Some(action) = Action::from_byte(row.action) else { return Err(Outcome::KindUnknown) };
        let status = Status::from_byte(row.status).filter(|s| *s != Status::Closed);
        if action == Action::Status && status.is_none() {
            return Err(Outcome::KindUnknown);
        }
        if !self.only_fields_of(action) {
            return Err(Outcome::ReservedNotZero);
        }
        if let (Some(Some(floor)), Some(Some(ceiling))) = (row.new_floor(), row.new_ceiling())
            && floor > ceiling
        {
            return Err(Outcome::LimitsContradict);
        }
        if [row.floor, row.ceiling, row.alarm].iter().any(|l| !(-BALANCE_MAX..=BALANCE_MAX).contains(&l.get())) {
            return Err(Outcome::LimitOutOfRange);
        }
        let text = str::from_utf8(self.data).is_ok();
        if action == Action::Label && (self.data.len() > LABEL_BYTES_MAX || !text) {
            return Err(Outcome::LabelInvalid);
        }
        let may_be_silent = matches!(action, Action::Label | Action::Attributes);
        if self.reason.len() > REASON_BYTES_MAX
            || (self.reason.is_empty() && !may_be_silent)
            || str::from_utf8(self.reason).is_err()
        {
            return Err(Outcome::ReasonInvalid);
        }
        if action == Action::Attributes && self.data.len() > ATTRIBUTES_BYTES_MAX {
            return Err(Outcome::AttributesTooLong);
        }
        Ok(())
    }

    /// Whether every field that does not belong to the action is 0.
    fn only_fields_of(&self, action: Action) -> bool {
        let row = self.row;
        let limits = action == Action::Limits;
        let unset = |set: u8, flag: u8, value: I128, flag_means_value: bool| {
            let has = (row.limit_flags & flag != 0) == flag_means_value;
            match row.sets & set != 0 {
                true => has || value.get() == 0,
                false => row.limit_flags & flag == 0 && value.get() == 0,
            }
        };
        row.reserved == [0; 36]
            && (action == Action::Status || row.status == 0)
            && (matches!(action, Action::Label | Action::Attributes) || self.data.is_empty())
            && row.flags.get() & !(if limits { FORCED } else { 0 }) == 0
            && row.sets <= (if limits { SETS_FLOOR | SETS_CEILING | SETS_ALARM } else { 0 })
            && row.limit_flags & !(NO_FLOOR | HAS_CEILING | HAS_ALARM) == 0
            && unset(SETS_FLOOR, NO_FLOOR, row.floor, false)
            && unset(SETS_CEILING, HAS_CEILING, row.ceiling, true)
            && unset(SETS_ALARM, HAS_ALARM, row.alarm, true)
    }
}
