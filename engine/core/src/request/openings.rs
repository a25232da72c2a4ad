//! Account openings as they come in.

use bytes::Bytes;
use zerocopy::FromBytes;
use zerocopy::little_endian::I128;

use super::{AccountRow, HAS_ALARM, HAS_CEILING, NO_FLOOR, PayloadError, Side};
use crate::limits::{BALANCE_MAX, LABEL_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::outcome::Outcome;

/// A request to open `count` accounts.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// The tenant.
    pub institution: u32,
    /// Who asks; 0 until there is authentication.
    pub principal: u32,
    payload: Bytes,
}

impl OpenRequest {
    /// Takes a payload of account rows.
    pub fn parse(institution: u32, principal: u32, count: u32, payload: Bytes) -> Result<OpenRequest, PayloadError> {
        let n = count as usize;
        let max = REQUEST_BYTES_MAX / size_of::<AccountRow>();
        if n == 0 || n > max {
            return Err(PayloadError::Count { count: n, max });
        }
        if payload.len() != n * size_of::<AccountRow>() {
            return Err(PayloadError::Length { expected: n * size_of::<AccountRow>(), got: payload.len() });
        }
        Ok(OpenRequest { institution, principal, payload })
    }

    /// The openings.
    pub fn rows(&self) -> &[AccountRow] {
        <[AccountRow]>::ref_from_bytes(&self.payload).expect("a whole number of account rows")
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }
}

impl AccountRow {
    /// The checks of shape, in the published order.
    pub fn check_shape(&self) -> Result<(), Outcome> {
        if self.account.get() == 0 {
            return Err(Outcome::AccountZero);
        }
        if Side::from_byte(self.normal_side).is_none() {
            return Err(Outcome::SideUnknown);
        }
        let known = NO_FLOOR | HAS_CEILING | HAS_ALARM;
        let unset = |flag: u8, value: I128| self.limit_flags & flag == 0 && value.get() != 0;
        let floor_and_none = self.limit_flags & NO_FLOOR != 0 && self.floor.get() != 0;
        if self.limit_flags & !known != 0
            || self.reserved != [0; 36]
            || floor_and_none
            || unset(HAS_CEILING, self.ceiling)
            || unset(HAS_ALARM, self.alarm)
        {
            return Err(Outcome::ReservedNotZero);
        }
        if let (Some(floor), Some(ceiling)) = (self.floor(), self.ceiling())
            && floor > ceiling
        {
            return Err(Outcome::LimitsContradict);
        }
        for limit in [self.floor.get(), self.ceiling.get(), self.alarm.get()] {
            if !(-BALANCE_MAX..=BALANCE_MAX).contains(&limit) {
                return Err(Outcome::LimitOutOfRange);
            }
        }
        let length = usize::from(self.label_length);
        if length > LABEL_BYTES_MAX
            || self.label[length..].iter().any(|&b| b != 0)
            || str::from_utf8(&self.label[..length]).is_err()
        {
            return Err(Outcome::LabelInvalid);
        }
        if self.category > 2 {
            return Err(Outcome::CategoryUnknown);
        }
        Ok(())
    }

    /// The floor, if it has one.
    pub fn floor(&self) -> Option<i128> {
        (self.limit_flags & NO_FLOOR == 0).then(|| self.floor.get())
    }

    /// The ceiling, if it has one.
    pub fn ceiling(&self) -> Option<i128> {
        (self.limit_flags & HAS_CEILING != 0).then(|| self.ceiling.get())
    }

    /// The alarm level, if it has one.
    pub fn alarm(&self) -> Option<i128> {
        (self.limit_flags & HAS_ALARM != 0).then(|| self.alarm.get())
    }

    /// The label; the shape must have been checked.
    pub fn label(&self) -> &str {
        str::from_utf8(&self.label[..usize::from(self.label_length)]).expect("a label whose shape was checked")
    }
}
