//! What can be asked of the ledger, as plain values with nothing checked: a malformed item is as easy to say as a good
//! one.

/// Debit.
pub const DEBIT: u8 = 0;
/// Credit.
pub const CREDIT: u8 = 1;

/// Kind of an item: a transaction.
pub const POST: u8 = 0;
/// Kind of an item: places a hold.
pub const HOLD: u8 = 1;
/// Kind of an item: adds to a hold.
pub const INCREASE: u8 = 2;
/// Kind of an item: takes what a hold reserves, or a part of it.
pub const CAPTURE: u8 = 3;
/// Kind of an item: lets a hold go.
pub const RELEASE: u8 = 4;
/// Kind of an item: posts the opposite of an original.
pub const REVERSE: u8 = 5;

/// One posting of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Posting {
    /// The account; 0 in kinds that name a posting by its index.
    pub account: u128,
    /// [`DEBIT`] or [`CREDIT`]; anything else is malformed; 0 in kinds that name a posting by its index.
    pub side: u8,
    /// Minor units.
    pub amount: u128,
    /// Asset number; 0 in kinds that name a posting by its index.
    pub asset: u32,
    /// Which posting of the hold or original; 0 in posts and holds.
    pub index: u16,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

impl Posting {
    /// A posting of a post or hold.
    pub fn new(account: u128, side: u8, amount: u128, asset: u32) -> Posting {
        Posting { account, side, amount, asset, ..Posting::default() }
    }

    /// A posting of an increase, capture or reversal.
    pub fn at(index: u16, amount: u128) -> Posting {
        Posting { index, amount, ..Posting::default() }
    }
}

/// An item of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Item {
    /// Id.
    pub id: u128,
    /// [`POST`] to [`REVERSE`]; anything else is malformed.
    pub kind: u8,
    /// The hold or original; of a post or hold a related transaction, or 0.
    pub link: u128,
    /// Seconds after which a hold expires, 0 = never.
    pub timeout: u32,
    /// Limits and freezes do not stop it.
    pub forced: bool,
    /// A capture that lets the rest go.
    pub is_final: bool,
    /// Flags that do not exist; anything but 0 is malformed.
    pub unknown_flags: u16,
    /// Postings in order.
    pub postings: Vec<Posting>,
    /// Business reference.
    pub reference: u128,
    /// Business code.
    pub code: u16,
    /// Days since 1970-01-01, 0 = none.
    pub value_date: u16,
    /// Voucher.
    pub voucher: Vec<u8>,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

impl Item {
    /// A transaction.
    pub fn post(id: u128, postings: &[Posting]) -> Item {
        Item { id, kind: POST, postings: postings.to_vec(), ..Item::default() }
    }

    /// A debit and a credit of one amount.
    pub fn transfer(id: u128, debit: u128, credit: u128, asset: u32, amount: u128) -> Item {
        Item::post(id, &[Posting::new(debit, DEBIT, amount, asset), Posting::new(credit, CREDIT, amount, asset)])
    }

    /// A hold that expires after so many seconds, or never.
    pub fn hold(id: u128, timeout: u32, postings: &[Posting]) -> Item {
        Item { kind: HOLD, timeout, ..Item::post(id, postings) }
    }

    /// An increase of a hold by (index, amount).
    pub fn increase(id: u128, hold: u128, postings: &[(u16, u128)]) -> Item {
        Item::named(INCREASE, id, hold, postings)
    }

    /// A capture of (index, amount), or of everything.
    pub fn capture(id: u128, hold: u128, postings: &[(u16, u128)]) -> Item {
        Item::named(CAPTURE, id, hold, postings)
    }

    /// A release.
    pub fn release(id: u128, hold: u128) -> Item {
        Item::named(RELEASE, id, hold, &[])
    }

    /// A reversal of (index, amount), or of the whole original.
    pub fn reverse(id: u128, original: u128, postings: &[(u16, u128)]) -> Item {
        Item::named(REVERSE, id, original, postings)
    }

    fn named(kind: u8, id: u128, link: u128, postings: &[(u16, u128)]) -> Item {
        let postings = postings.iter().map(|&(index, amount)| Posting::at(index, amount)).collect();
        Item { id, kind, link, postings, ..Item::default() }
    }

    /// Forced.
    pub fn forced(self) -> Item {
        Item { forced: true, ..self }
    }

    /// Final.
    pub fn finally(self) -> Item {
        Item { is_final: true, ..self }
    }

    /// Whether its postings say account, side and asset themselves.
    pub fn has_own_postings(&self) -> bool {
        self.kind == POST || self.kind == HOLD
    }

    /// Whether it can be said as a transfer row: debit first, then a credit of the same amount and asset, and nothing
    /// that such a row has no place for.
    pub fn is_transfer(&self) -> bool {
        let [a, b] = &self.postings[..] else { return false };
        let legs = Item::transfer(self.id, a.account, b.account, a.asset, a.amount).postings;
        !self.is_final && self.kind <= HOLD && self.postings == legs
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

    /// The value of a limit, if there is one.
    pub fn limit(&self, flag: u8) -> Option<i128> {
        let value = match flag {
            FLOOR => self.floor,
            CEILING => self.ceiling,
            _ => self.alarm,
        };
        (self.limit_flags & flag != 0).then_some(value)
    }
}

/// Status: takes debits and credits.
pub const OPEN: u8 = 0;
/// Status: refuses debits.
pub const DEBIT_FROZEN: u8 = 1;
/// Status: refuses credits.
pub const CREDIT_FROZEN: u8 = 2;
/// Status: refuses debits and credits.
pub const FROZEN: u8 = 3;
/// Status: refuses everything until it is reopened.
pub const CLOSED: u8 = 4;

/// Action of a change: sets the status to open or to one of the frozen ones.
pub const SET_STATUS: u8 = 1;
/// Action of a change: sets some of floor, ceiling and alarm level.
pub const SET_LIMITS: u8 = 2;
/// Action of a change: closes the account.
pub const CLOSE: u8 = 3;
/// Action of a change: opens a closed account again.
pub const REOPEN: u8 = 4;
/// Action of a change: sets the label.
pub const SET_LABEL: u8 = 5;
/// Action of a change: sets the attributes.
pub const SET_ATTRIBUTES: u8 = 6;

/// What a change does to a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Limit {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// Takes it away.
    Remove,
    /// Sets it to this value.
    To(i128),
}

/// A change of an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Id, in one space with the ids of items.
    pub id: u128,
    /// The account.
    pub account: u128,
    /// [`SET_STATUS`] to [`SET_ATTRIBUTES`]; anything else is malformed.
    pub action: u8,
    /// The status to be set, [`OPEN`] to [`FROZEN`]; 0 in other actions.
    pub status: u8,
    /// The floor.
    pub floor: Limit,
    /// The ceiling.
    pub ceiling: Limit,
    /// The alarm level.
    pub alarm: Limit,
    /// The account may be outside the new limits.
    pub forced: bool,
    /// Business code.
    pub code: u16,
    /// The label to be set; empty in other actions.
    pub label: Vec<u8>,
    /// The attributes to be set; empty in other actions.
    pub attributes: Vec<u8>,
    /// Why.
    pub reason: Vec<u8>,
    /// Put into a reserved byte; anything but 0 is malformed.
    pub reserved: u8,
}

impl Change {
    /// A change with a reason and nothing else.
    fn new(action: u8, id: u128, account: u128) -> Change {
        Change { id, account, action, reason: b"because".to_vec(), ..Change::default() }
    }

    /// Sets the status.
    pub fn status(id: u128, account: u128, status: u8) -> Change {
        Change { status, ..Change::new(SET_STATUS, id, account) }
    }

    /// Sets floor and ceiling.
    pub fn limits(id: u128, account: u128, floor: Limit, ceiling: Limit) -> Change {
        Change { floor, ceiling, ..Change::new(SET_LIMITS, id, account) }
    }

    /// Sets the alarm level.
    pub fn alarm(id: u128, account: u128, alarm: Limit) -> Change {
        Change { alarm, ..Change::new(SET_LIMITS, id, account) }
    }

    /// Closes the account.
    pub fn close(id: u128, account: u128) -> Change {
        Change::new(CLOSE, id, account)
    }

    /// Reopens the account.
    pub fn reopen(id: u128, account: u128) -> Change {
        Change::new(REOPEN, id, account)
    }

    /// Sets the label.
    pub fn label(id: u128, account: u128, label: &[u8]) -> Change {
        Change { label: label.to_vec(), ..Change::new(SET_LABEL, id, account) }
    }

    /// Sets the attributes.
    pub fn attributes(id: u128, account: u128, attributes: &[u8]) -> Change {
        Change { attributes: attributes.to_vec(), ..Change::new(SET_ATTRIBUTES, id, account) }
    }

    /// Forced.
    pub fn forced(self) -> Change {
        Change { forced: true, ..self }
    }
}

/// A control record with its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// Id, in one space with the ids of items.
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

    /// Registers an institution.
    pub fn institution(id: u128, number: u32, name: &str) -> Control {
        let record = format!(r#"{{"name":"{name}","number":"{number}","record":"institution"}}"#);
        Control { id, record: record.into_bytes() }
    }

    /// Sets the open day, in days since 1970-01-01.
    pub fn open_day(id: u128, date: u16) -> Control {
        let date = super::dates::text(date);
        let record = format!(r#"{{"date":"{date}","record":"open_day"}}"#);
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
