//! The published numbers of outcomes and fields, written down a second time: a renumbered outcome must fail a test.

/// Applied.
pub const POSTED: u16 = 0;
/// Shape: the id is 0.
pub const ID_ZERO: u16 = 1;
/// Shape: fewer than two postings.
pub const TOO_FEW_POSTINGS: u16 = 2;
/// Shape: more than 254 postings.
pub const TOO_MANY_POSTINGS: u16 = 3;
/// Shape: account 0.
pub const ACCOUNT_ZERO: u16 = 4;
/// Shape: amount 0.
pub const AMOUNT_ZERO: u16 = 5;
/// Shape: amount above 2^100 − 1.
pub const AMOUNT_ABOVE_MAX: u16 = 6;
/// Shape: neither debit nor credit.
pub const SIDE_UNKNOWN: u16 = 7;
/// Shape: a reserved byte or flag is set.
pub const RESERVED_NOT_ZERO: u16 = 8;
/// Shape: voucher above 4 KiB.
pub const VOUCHER_TOO_LONG: u16 = 9;
/// Shape: floor above ceiling.
pub const LIMITS_CONTRADICT: u16 = 10;
/// Shape: a limit outside the balance range.
pub const LIMIT_OUT_OF_RANGE: u16 = 11;
/// Shape: label too long, not UTF-8 or not padded with zeros.
pub const LABEL_INVALID: u16 = 12;
/// Shape: category not known.
pub const CATEGORY_UNKNOWN: u16 = 13;
/// Shape: control record that cannot be read.
pub const CONTROL_MALFORMED: u16 = 14;
/// No room for the log at the moment.
pub const STORAGE_FULL: u16 = 22;
/// The server is shutting down.
pub const SHUTTING_DOWN: u16 = 23;
/// The institution is not served.
pub const INSTITUTION_UNKNOWN: u16 = 15;
/// The id was used with other fields.
pub const ID_USED_WITH_OTHER_FIELDS: u16 = 30;
/// The account exists with other fields.
pub const ACCOUNT_EXISTS_WITH_OTHER_FIELDS: u16 = 31;
/// Debits and credits differ.
pub const UNBALANCED: u16 = 40;
/// Asset not registered.
pub const ASSET_UNKNOWN: u16 = 41;
/// No such account.
pub const ACCOUNT_UNKNOWN: u16 = 50;
/// The account is kept in another asset.
pub const ACCOUNT_ASSET_DIFFERS: u16 = 51;
/// The balance would leave ±(2^126 − 1).
pub const BALANCE_RANGE: u16 = 55;
/// The balance would fall below the floor.
pub const BELOW_FLOOR: u16 = 56;
/// The balance would rise above the ceiling.
pub const ABOVE_CEILING: u16 = 57;
/// Asset number or code registered with other fields.
pub const ASSET_EXISTS_WITH_OTHER_FIELDS: u16 = 70;
/// No more assets fit.
pub const TOO_MANY_ASSETS: u16 = 71;

/// Every outcome that a program can bring about, for the report of what was covered.
pub const REACHABLE: [(u16, &str); 26] = [
    (POSTED, "posted"),
    (ID_ZERO, "id_zero"),
    (TOO_FEW_POSTINGS, "too_few_postings"),
    (TOO_MANY_POSTINGS, "too_many_postings"),
    (ACCOUNT_ZERO, "account_zero"),
    (AMOUNT_ZERO, "amount_zero"),
    (AMOUNT_ABOVE_MAX, "amount_above_max"),
    (SIDE_UNKNOWN, "side_unknown"),
    (RESERVED_NOT_ZERO, "reserved_not_zero"),
    (VOUCHER_TOO_LONG, "voucher_too_long"),
    (LIMITS_CONTRADICT, "limits_contradict"),
    (LIMIT_OUT_OF_RANGE, "limit_out_of_range"),
    (LABEL_INVALID, "label_invalid"),
    (CATEGORY_UNKNOWN, "category_unknown"),
    (CONTROL_MALFORMED, "control_malformed"),
    (INSTITUTION_UNKNOWN, "institution_unknown"),
    (ID_USED_WITH_OTHER_FIELDS, "id_used_with_other_fields"),
    (ACCOUNT_EXISTS_WITH_OTHER_FIELDS, "account_exists_with_other_fields"),
    (UNBALANCED, "unbalanced"),
    (ASSET_UNKNOWN, "asset_unknown"),
    (ACCOUNT_UNKNOWN, "account_unknown"),
    (ACCOUNT_ASSET_DIFFERS, "account_asset_differs"),
    (BALANCE_RANGE, "balance_range"),
    (BELOW_FLOOR, "below_floor"),
    (ABOVE_CEILING, "above_ceiling"),
    (ASSET_EXISTS_WITH_OTHER_FIELDS, "asset_exists_with_other_fields"),
];

/// Numbers of the fields that a repeat can differ in.
pub mod field {
    /// Posting or control record.
    pub const KIND: u16 = 1;
    /// Number of postings.
    pub const POSTING_COUNT: u16 = 2;
    /// Account of a posting.
    pub const ACCOUNT: u16 = 3;
    /// Side of a posting.
    pub const SIDE: u16 = 4;
    /// Amount of a posting.
    pub const AMOUNT: u16 = 5;
    /// Asset of a posting or account.
    pub const ASSET: u16 = 6;
    /// Business reference.
    pub const REFERENCE: u16 = 7;
    /// Business code.
    pub const CODE: u16 = 8;
    /// Value date.
    pub const VALUE_DATE: u16 = 9;
    /// Voucher.
    pub const VOUCHER: u16 = 10;
    /// Owner.
    pub const OWNER: u16 = 11;
    /// Subject.
    pub const SUBJECT: u16 = 12;
    /// Normal side.
    pub const NORMAL_SIDE: u16 = 13;
    /// Category.
    pub const CATEGORY: u16 = 14;
    /// Floor.
    pub const FLOOR: u16 = 15;
    /// Ceiling.
    pub const CEILING: u16 = 16;
    /// Alarm level.
    pub const ALARM: u16 = 17;
    /// Label.
    pub const LABEL: u16 = 18;
    /// The control record.
    pub const RECORD: u16 = 19;
}
