//! Accounts to open, and the rows of a request that they become.

use bytes::Bytes;
use florin_core::limits::LABEL_BYTES_MAX;
use florin_core::request::{AccountRow, HAS_ALARM, HAS_CEILING, NO_FLOOR, Side};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U32, U128};

use super::{ClientError, check_count};
use crate::limits::OPENINGS_MAX;

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
