//! Changes of accounts as a caller gives them, and the rows that they become.

use bytes::Bytes;
use florin_core::entry::Status;
use florin_core::limits::REQUEST_BYTES_MAX;
use florin_core::request::{
    Action, ChangeRow, FORCED, HAS_ALARM, HAS_CEILING, NO_FLOOR, SETS_ALARM, SETS_CEILING, SETS_FLOOR,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{I128, U16, U128};

use super::{ClientError, check_count};
use crate::limits::CHANGES_MAX;

/// A change of an account: what is done and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountChange {
    /// Id, chosen by the caller, never 0, in one space with the ids of transactions.
    pub id: u128,
    /// The account.
    pub account: u128,
    /// What is done.
    pub action: Action,
    /// The new status, if that is set.
    pub status: Status,
    /// The new floor, or none; if it is set.
    pub floor: Option<Option<i128>>,
    /// The new ceiling, or none; if it is set.
    pub ceiling: Option<Option<i128>>,
    /// The new alarm level, or none; if it is set.
    pub alarm: Option<Option<i128>>,
    /// Whether the account may be outside its new limits.
    pub forced: bool,
    /// Business code.
    pub code: u16,
    /// Why, 1 to 200 bytes of UTF-8; may be empty for label and attributes.
    pub reason: String,
    /// The new label or attributes.
    pub data: Vec<u8>,
}

impl AccountChange {
    fn new(id: u128, account: u128, action: Action, reason: impl Into<String>) -> AccountChange {
        AccountChange {
            id,
            account,
            action,
            status: Status::Open,
            floor: None,
            ceiling: None,
            alarm: None,
            forced: false,
            code: 0,
            reason: reason.into(),
            data: Vec::new(),
        }
    }

    /// Refuses debits, credits or both from now on.
    pub fn freeze(id: u128, account: u128, status: Status, reason: impl Into<String>) -> AccountChange {
        AccountChange { status, ..AccountChange::new(id, account, Action::Status, reason) }
    }

    /// Takes debits and credits again.
    pub fn unfreeze(id: u128, account: u128, reason: impl Into<String>) -> AccountChange {
        AccountChange::new(id, account, Action::Status, reason)
    }

    /// Sets the limits that [`AccountChange::with_floor`] and its like add.
    pub fn limits(id: u128, account: u128, reason: impl Into<String>) -> AccountChange {
        AccountChange::new(id, account, Action::Limits, reason)
    }

    /// Closes an account without balance and holds.
    pub fn close(id: u128, account: u128, reason: impl Into<String>) -> AccountChange {
        AccountChange::new(id, account, Action::Close, reason)
    }

    /// Opens a closed account again.
    pub fn reopen(id: u128, account: u128, reason: impl Into<String>) -> AccountChange {
        AccountChange::new(id, account, Action::Reopen, reason)
    }

    /// Sets the label, at most 64 bytes of UTF-8.
    pub fn label(id: u128, account: u128, label: &str) -> AccountChange {
        AccountChange { data: label.into(), ..AccountChange::new(id, account, Action::Label, "") }
    }

    /// Sets the attributes, at most 1,024 bytes.
    pub fn attributes(id: u128, account: u128, attributes: impl Into<Vec<u8>>) -> AccountChange {
        AccountChange { data: attributes.into(), ..AccountChange::new(id, account, Action::Attributes, "") }
    }

    /// Sets the floor; none = the account may go as low as the balance range.
    pub fn with_floor(mut self, floor: Option<i128>) -> AccountChange {
        self.floor = Some(floor);
        self
    }

    /// Sets the ceiling, or takes it away.
    pub fn with_ceiling(mut self, ceiling: Option<i128>) -> AccountChange {
        self.ceiling = Some(ceiling);
        self
    }

    /// Sets the alarm level, or takes it away.
    pub fn with_alarm(mut self, alarm: Option<i128>) -> AccountChange {
        self.alarm = Some(alarm);
        self
    }

    /// Also if the account is then outside its new limits.
    pub fn forced(mut self) -> AccountChange {
        self.forced = true;
        self
    }

    /// With a business code.
    pub fn with_code(mut self, code: u16) -> AccountChange {
        self.code = code;
        self
    }

    /// With a reason.
    pub fn with_reason(mut self, reason: impl Into<String>) -> AccountChange {
        self.reason = reason.into();
        self
    }

    fn row(&self) -> ChangeRow {
        let sets = |limit: Option<Option<i128>>, bit: u8| if limit.is_some() { bit } else { 0 };
        let has = |limit: Option<Option<i128>>, bit: u8| if limit.flatten().is_some() { bit } else { 0 };
        let value = |limit: Option<Option<i128>>| I128::new(limit.flatten().unwrap_or(0));
        ChangeRow {
            id: U128::new(self.id),
            account: U128::new(self.account),
            floor: value(self.floor),
            ceiling: value(self.ceiling),
            alarm: value(self.alarm),
            action: self.action as u8,
            status: self.status as u8,
            sets: sets(self.floor, SETS_FLOOR) | sets(self.ceiling, SETS_CEILING) | sets(self.alarm, SETS_ALARM),
            limit_flags: (if self.floor == Some(None) { NO_FLOOR } else { 0 })
                | has(self.ceiling, HAS_CEILING)
                | has(self.alarm, HAS_ALARM),
            flags: U16::new(if self.forced { FORCED } else { 0 }),
            code: U16::new(self.code),
            reason_length: U16::new(self.reason.len() as u16),
            data_length: U16::new(self.data.len() as u16),
            reserved: [0; 36],
        }
    }
}

/// Rows and texts of a request to change accounts.
pub fn encode_changes(changes: &[AccountChange]) -> Result<Bytes, ClientError> {
    check_count("account changes", changes.len(), CHANGES_MAX)?;
    let texts: usize = changes.iter().map(|change| change.reason.len() + change.data.len()).sum();
    let bytes = changes.len() * size_of::<ChangeRow>() + texts;
    if bytes > REQUEST_BYTES_MAX {
        return Err(ClientError::TooLarge { what: "bytes", got: bytes, max: REQUEST_BYTES_MAX });
    }
    // Below 1 MiB a text may still have more bytes than its row can count.
    for change in changes {
        let max = usize::from(u16::MAX);
        for (what, got) in [("bytes of a reason", change.reason.len()), ("bytes of a value", change.data.len())] {
            if got > max {
                return Err(ClientError::TooLarge { what, got, max });
            }
        }
    }
    let mut payload = Vec::with_capacity(bytes);
    for change in changes {
        payload.extend_from_slice(change.row().as_bytes());
    }
    for change in changes {
        payload.extend_from_slice(change.reason.as_bytes());
        payload.extend_from_slice(&change.data);
    }
    Ok(Bytes::from(payload))
}
