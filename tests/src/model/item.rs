//! What can be asked of the ledger, as plain values with nothing checked: a malformed item is as easy to say as a good one.

/// Debit.
pub const DEBIT: u8 = 0;
/// Credit.
pub const CREDIT: u8 = 1;

/// One posting of a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Posting {
    /// The account.
    pub account: u128,
    /// [`DEBIT`] or [`CREDIT`]; anything else is malformed.
    pub side: u8,
    /// Minor units.
    pub amount: u128,
    /// Asset number.
    pub asset: u32,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

/// A transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transaction {
    /// Id.
    pub id: u128,
    /// Postings in order.
    pub postings: Vec<Posting>,
    /// Business reference.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Flags; anything but 0 is malformed.
    pub flags: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Voucher.
    pub voucher: Vec<u8>,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

impl Transaction {
    /// A debit and a credit of one amount.
    pub fn transfer(id: u128, debit: u128, credit: u128, asset: u32, amount: u128) -> Transaction {
        let posting = |account, side| Posting { account, side, amount, asset, reserved: 0 };
        Transaction { id, postings: vec![posting(debit, DEBIT), posting(credit, CREDIT)], ..Transaction::default() }
    }

    /// Whether it can be said as a transfer: debit first, then a credit of the same amount and asset.
    pub fn is_transfer(&self) -> bool {
        match &self.postings[..] {
            [a, b] => {
                a.side == DEBIT
                    && b.side == CREDIT
                    && a.amount == b.amount
                    && a.asset == b.asset
                    && a.reserved == 0
                    && b.reserved == 0
            }
            _ => false,
        }
    }
}

/// Bit of [`Opening::limit_flags`]: there is a floor.
pub const FLOOR: u8 = 1;
/// Bit of [`Opening::limit_flags`]: there is a ceiling.
pub const CEILING: u8 = 2;
/// Bit of [`Opening::limit_flags`]: there is an alarm level.
pub const ALARM: u8 = 4;

/// An account opening.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Opening {
    /// The account.
    pub account: u128,
    /// Asset number.
    pub asset: u32,
    /// Owner, 0 = none.
    pub owner: u128,
    /// Subject, 0 = none.
    pub subject: u32,
    /// The side that raises the balance.
    pub normal_side: u8,
    /// 0, 1 or 2.
    pub category: u8,
    /// Which limits there are.
    pub limit_flags: u8,
    /// Floor, 0 if there is none.
    pub floor: i128,
    /// Ceiling, 0 if there is none.
    pub ceiling: i128,
    /// Alarm level, 0 if there is none.
    pub alarm: i128,
    /// Length that is claimed for the label.
    pub label_length: u8,
    /// Label bytes, at most 64.
    pub label: Vec<u8>,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

impl Opening {
    /// An account without limits.
    pub fn new(account: u128, asset: u32, normal_side: u8) -> Opening {
        Opening { account, asset, normal_side, ..Opening::default() }
    }

    /// With a floor.
    pub fn with_floor(self, floor: i128) -> Opening {
        Opening { floor, limit_flags: self.limit_flags | FLOOR, ..self }
    }

    /// With a ceiling.
    pub fn with_ceiling(self, ceiling: i128) -> Opening {
        Opening { ceiling, limit_flags: self.limit_flags | CEILING, ..self }
    }

    /// With an alarm level.
    pub fn with_alarm(self, alarm: i128) -> Opening {
        Opening { alarm, limit_flags: self.limit_flags | ALARM, ..self }
    }

    /// With a label.
    pub fn with_label(self, label: &str) -> Opening {
        Opening { label: label.as_bytes().to_vec(), label_length: label.len() as u8, ..self }
    }
}

/// A control record with its id. The only one so far registers an asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// Id, in one space with the ids of transactions.
    pub id: u128,
    /// JSON.
    pub record: Vec<u8>,
}

impl Control {
    /// Registers an asset.
    pub fn asset(id: u128, number: u32, code: &str, scale: u8) -> Control {
        let record = format!(r#"{{"code":"{code}","number":"{number}","record":"asset","scale":"{scale}"}}"#);
        Control { id, record: record.into_bytes() }
    }
}

/// A transfer of more than a transaction may move, to bring balances to the edge of the range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heave {
    /// Account on the debit side.
    pub debit: u128,
    /// Account on the credit side.
    pub credit: u128,
    /// Minor units, up to the edge of the range.
    pub amount: u128,
}
