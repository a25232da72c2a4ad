//! The published numbers of outcomes and fields, written down a second time: a renumbered outcome must fail a test.

/// Applied.
pub const POSTED: u16 = 0;
/// Shape: the id, or the id of the hold or original, is 0.
pub const ID_ZERO: u16 = 1;
/// Shape: fewer than two postings, or none in an increase.
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
/// Shape: a reserved byte or flag is set, or a field that the kind does not have.
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
/// The institution is not registered.
pub const INSTITUTION_UNKNOWN: u16 = 15;
/// Shape: kind of item, action or status not known.
pub const KIND_UNKNOWN: u16 = 16;
/// Shape: indexes are not ascending.
pub const POSTINGS_NOT_ASCENDING: u16 = 17;
/// Shape: reason missing, too long or not UTF-8.
pub const REASON_INVALID: u16 = 18;
/// Shape: attributes above 1,024 bytes.
pub const ATTRIBUTES_TOO_LONG: u16 = 19;
/// The record belongs to another institution.
pub const NOT_PERMITTED: u16 = 20;
/// Too many requests at the moment.
pub const RATE_LIMITED: u16 = 21;
/// No room for the log at the moment.
pub const STORAGE_FULL: u16 = 22;
/// The server is shutting down.
pub const SHUTTING_DOWN: u16 = 23;
/// The id was used with other fields.
pub const ID_USED_WITH_OTHER_FIELDS: u16 = 30;
/// The account exists with other fields.
pub const ACCOUNT_EXISTS_WITH_OTHER_FIELDS: u16 = 31;
/// No hold was placed under this id.
pub const HOLD_UNKNOWN: u16 = 32;
/// The hold was captured finally or released.
pub const HOLD_CLOSED: u16 = 33;
/// The hold has expired.
pub const HOLD_EXPIRED: u16 = 34;
/// No item had this id.
pub const ORIGINAL_UNKNOWN: u16 = 35;
/// The original was refused.
pub const ORIGINAL_NOT_POSTED: u16 = 36;
/// A reversal is not reversed.
pub const ORIGINAL_IS_REVERSAL: u16 = 37;
/// The original is a hold, an increase or a release.
pub const ORIGINAL_NOT_REVERSIBLE: u16 = 38;
/// The hold or original has no posting or amount at an index.
pub const POSTING_UNKNOWN: u16 = 39;
/// Debits and credits differ.
pub const UNBALANCED: u16 = 40;
/// Asset not registered.
pub const ASSET_UNKNOWN: u16 = 41;
/// No such account.
pub const ACCOUNT_UNKNOWN: u16 = 50;
/// The account is kept in another asset.
pub const ACCOUNT_ASSET_DIFFERS: u16 = 51;
/// The account is closed.
pub const ACCOUNT_CLOSED: u16 = 52;
/// The account refuses debits.
pub const ACCOUNT_DEBIT_FROZEN: u16 = 53;
/// The account refuses credits.
pub const ACCOUNT_CREDIT_FROZEN: u16 = 54;
/// A balance would leave ±(2^126 − 1).
pub const BALANCE_RANGE: u16 = 55;
/// Available would fall below the floor.
pub const BELOW_FLOOR: u16 = 56;
/// Posted plus incoming would rise above the ceiling.
pub const ABOVE_CEILING: u16 = 57;
/// More is captured than is left of a posting.
pub const EXCEEDS_HOLD: u16 = 58;
/// More is reversed than is left of a posting.
pub const EXCEEDS_ORIGINAL: u16 = 59;
/// More than 2^100 − 1 would be held by a posting.
pub const HOLD_ABOVE_MAX: u16 = 60;
/// The account to be closed has a balance or holds.
pub const ACCOUNT_NOT_EMPTY: u16 = 61;
/// The account to be reopened is not closed.
pub const ACCOUNT_NOT_CLOSED: u16 = 62;
/// The floor would be above the ceiling.
pub const LIMITS_CROSS: u16 = 63;
/// The account would be outside its new limits.
pub const OUTSIDE_LIMITS: u16 = 64;
/// Asset number or code registered with other fields.
pub const ASSET_EXISTS_WITH_OTHER_FIELDS: u16 = 70;
/// No more assets fit.
pub const TOO_MANY_ASSETS: u16 = 71;
/// Institution registered with another name.
pub const INSTITUTION_EXISTS_WITH_OTHER_FIELDS: u16 = 72;
/// No more institutions fit.
pub const TOO_MANY_INSTITUTIONS: u16 = 73;
/// The date is not after the accounting date.
pub const OPEN_DAY_NOT_FORWARD: u16 = 74;

/// Every published outcome with its name.
pub const OUTCOMES: [(u16, &str); 56] = [
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
    (KIND_UNKNOWN, "kind_unknown"),
    (POSTINGS_NOT_ASCENDING, "postings_not_ascending"),
    (REASON_INVALID, "reason_invalid"),
    (ATTRIBUTES_TOO_LONG, "attributes_too_long"),
    (NOT_PERMITTED, "not_permitted"),
    (RATE_LIMITED, "rate_limited"),
    (STORAGE_FULL, "storage_full"),
    (SHUTTING_DOWN, "shutting_down"),
    (ID_USED_WITH_OTHER_FIELDS, "id_used_with_other_fields"),
    (ACCOUNT_EXISTS_WITH_OTHER_FIELDS, "account_exists_with_other_fields"),
    (HOLD_UNKNOWN, "hold_unknown"),
    (HOLD_CLOSED, "hold_closed"),
    (HOLD_EXPIRED, "hold_expired"),
    (ORIGINAL_UNKNOWN, "original_unknown"),
    (ORIGINAL_NOT_POSTED, "original_not_posted"),
    (ORIGINAL_IS_REVERSAL, "original_is_reversal"),
    (ORIGINAL_NOT_REVERSIBLE, "original_not_reversible"),
    (POSTING_UNKNOWN, "posting_unknown"),
    (UNBALANCED, "unbalanced"),
    (ASSET_UNKNOWN, "asset_unknown"),
    (ACCOUNT_UNKNOWN, "account_unknown"),
    (ACCOUNT_ASSET_DIFFERS, "account_asset_differs"),
    (ACCOUNT_CLOSED, "account_closed"),
    (ACCOUNT_DEBIT_FROZEN, "account_debit_frozen"),
    (ACCOUNT_CREDIT_FROZEN, "account_credit_frozen"),
    (BALANCE_RANGE, "balance_range"),
    (BELOW_FLOOR, "below_floor"),
    (ABOVE_CEILING, "above_ceiling"),
    (EXCEEDS_HOLD, "exceeds_hold"),
    (EXCEEDS_ORIGINAL, "exceeds_original"),
    (HOLD_ABOVE_MAX, "hold_above_max"),
    (ACCOUNT_NOT_EMPTY, "account_not_empty"),
    (ACCOUNT_NOT_CLOSED, "account_not_closed"),
    (LIMITS_CROSS, "limits_cross"),
    (OUTSIDE_LIMITS, "outside_limits"),
    (ASSET_EXISTS_WITH_OTHER_FIELDS, "asset_exists_with_other_fields"),
    (TOO_MANY_ASSETS, "too_many_assets"),
    (INSTITUTION_EXISTS_WITH_OTHER_FIELDS, "institution_exists_with_other_fields"),
    (TOO_MANY_INSTITUTIONS, "too_many_institutions"),
    (OPEN_DAY_NOT_FORWARD, "open_day_not_forward"),
];

/// Outcomes that the model never gives: they depend on how the server is doing.
pub const OF_THE_SERVER: [u16; 3] = [RATE_LIMITED, STORAGE_FULL, SHUTTING_DOWN];

/// Outcomes that no program brings about: they take ten thousand control records.
pub const OF_MANY_RECORDS: [u16; 2] = [TOO_MANY_ASSETS, TOO_MANY_INSTITUTIONS];

/// Every outcome that a program can bring about, for the report of what was covered.
pub fn reachable() -> impl Iterator<Item = (u16, &'static str)> {
    OUTCOMES.into_iter().filter(|(number, _)| ![&OF_THE_SERVER[..], &OF_MANY_RECORDS].concat().contains(number))
}

/// Numbers of the fields that a repeat can differ in.
pub mod field {
    /// Kind: of an item, or whether it is an item, a change or a control record.
    pub const KIND: u16 = 1;
    /// Number of postings.
    pub const POSTING_COUNT: u16 = 2;
    /// Account of a posting or change.
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
    /// Hold, original or related transaction.
    pub const LINK: u16 = 20;
    /// Timeout of a hold.
    pub const TIMEOUT: u16 = 21;
    /// Flag *forced*.
    pub const FORCED: u16 = 22;
    /// Flag *final*.
    pub const FINAL: u16 = 23;
    /// Index of a posting.
    pub const INDEX: u16 = 24;
    /// Action of a change.
    pub const ACTION: u16 = 25;
    /// Reason of a change.
    pub const REASON: u16 = 26;
    /// Attributes.
    pub const ATTRIBUTES: u16 = 27;
    /// Status.
    pub const STATUS: u16 = 28;
}
