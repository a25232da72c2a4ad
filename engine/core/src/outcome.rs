//! The numbered outcomes, in the order in which the checks are made. The list is append-only and the same in every client.

/// What became of one transaction, opening or control request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Outcome {
    /// Applied: every posting has its version.
    Posted = 0,

    // Shape: wrong whatever the state of the ledger. Nothing is recorded.
    /// The id is 0.
    IdZero = 1,
    /// Fewer than two postings.
    TooFewPostings = 2,
    /// More than 254 postings.
    TooManyPostings = 3,
    /// A posting names account 0.
    AccountZero = 4,
    /// An amount is 0.
    AmountZero = 5,
    /// An amount is above 2^100 − 1.
    AmountAboveMax = 6,
    /// A side is neither debit (0) nor credit (1).
    SideUnknown = 7,
    /// A reserved byte or flag is set.
    ReservedNotZero = 8,
    /// The voucher is longer than 4 KiB.
    VoucherTooLong = 9,
    /// Floor above ceiling.
    LimitsContradict = 10,
    /// A floor, ceiling or alarm level outside the balance range.
    LimitOutOfRange = 11,
    /// A label that is too long or not UTF-8.
    LabelInvalid = 12,
    /// A category that is not known.
    CategoryUnknown = 13,
    /// A control record that cannot be read.
    ControlMalformed = 14,
    /// The institution is not known.
    InstitutionUnknown = 15,
    /// A kind, action or status that is not known, or not in this form.
    KindUnknown = 16,
    /// Indexes of postings that do not ascend.
    PostingsNotAscending = 17,
    /// A reason that is missing, too long or not UTF-8.
    ReasonInvalid = 18,
    /// Attributes of more than 1 KiB.
    AttributesTooLong = 19,

    // Not now, or not you. Nothing is recorded.
    /// The principal may not do this.
    NotPermitted = 20,
    /// Too many requests.
    RateLimited = 21,
    /// No room for the log.
    StorageFull = 22,
    /// The server is shutting down.
    ShuttingDown = 23,
    /// The ledger is as of a point in the past.
    ReadOnly = 24,

    // Ids.
    /// The id was used before, with other fields.
    IdUsedWithOtherFields = 30,
    /// The account exists, with other fields.
    AccountExistsWithOtherFields = 31,

    // What the item names.
    /// No hold was placed under the id that the item names.
    HoldUnknown = 32,
    /// The hold was captured finally, or released.
    HoldClosed = 33,
    /// The hold's time is over.
    HoldExpired = 34,
    /// No transaction has the id that the item names.
    OriginalUnknown = 35,
    /// The original was refused.
    OriginalNotPosted = 36,
    /// The original is a reversal itself.
    OriginalIsReversal = 37,
    /// The original is not a transaction that can be reversed.
    OriginalNotReversible = 38,
    /// The hold or original has no posting of this index.
    PostingUnknown = 39,

    // The whole transaction.
    /// Debits and credits differ in an asset.
    Unbalanced = 40,
    /// A posting names an asset that is not registered.
    AssetUnknown = 41,

    // Each account in the order of first mention.
    /// The account does not exist.
    AccountUnknown = 50,
    /// The account is kept in another asset.
    AccountAssetDiffers = 51,
    /// The account is closed.
    AccountClosed = 52,
    /// The account refuses debits.
    AccountDebitFrozen = 53,
    /// The account refuses credits.
    AccountCreditFrozen = 54,
    /// The balance would leave ±(2^126 − 1).
    BalanceRange = 55,
    /// The available balance would fall below the floor.
    BelowFloor = 56,
    /// The balance would rise above the ceiling.
    AboveCeiling = 57,
    /// More than what is left of a posting of the hold.
    ExceedsHold = 58,
    /// More than what is left to reverse of a posting of the original.
    ExceedsOriginal = 59,
    /// More would be held by one posting than an amount may be.
    HoldAboveMax = 60,

    // Account changes.
    /// The account has a balance or holds.
    AccountNotEmpty = 61,
    /// The account is not closed.
    AccountNotClosed = 62,
    /// The floor would be above the ceiling.
    LimitsCross = 63,
    /// The account would be outside its limits.
    OutsideLimits = 64,

    // Control records.
    /// The asset number or code is registered with other fields.
    AssetExistsWithOtherFields = 70,
    /// No more assets fit.
    TooManyAssets = 71,
    /// The institution is registered with another name.
    InstitutionExistsWithOtherFields = 72,
    /// No more institutions fit.
    TooManyInstitutions = 73,
    /// The open day would not go forward.
    OpenDayNotForward = 74,
}

/// All outcomes with number, name, whether a repeat of the id gives it again, and a sentence on cause and remedy.
pub const OUTCOMES: &[OutcomeInfo] = &[
    info(Outcome::Posted, "posted", true, "Applied."),
    info(Outcome::IdZero, "id_zero", false, "The id is 0; choose a random or time-ordered 128-bit id."),
    info(Outcome::TooFewPostings, "too_few_postings", false, "A transaction needs at least two postings."),
    info(Outcome::TooManyPostings, "too_many_postings", false, "A transaction has at most 254 postings; split it."),
    info(Outcome::AccountZero, "account_zero", false, "Account 0 cannot exist; name the account to post to."),
    info(Outcome::AmountZero, "amount_zero", false, "Every posting needs an amount of at least 1 minor unit."),
    info(Outcome::AmountAboveMax, "amount_above_max", false, "An amount is at most 2^100 - 1 minor units."),
    info(Outcome::SideUnknown, "side_unknown", false, "A side is debit (0) or credit (1)."),
    info(Outcome::ReservedNotZero, "reserved_not_zero", false, "A reserved byte or flag is set; send zeros there."),
    info(
        Outcome::VoucherTooLong,
        "voucher_too_long",
        false,
        "A voucher has at most 4096 bytes; keep larger papers elsewhere and refer to them.",
    ),
    info(Outcome::LimitsContradict, "limits_contradict", false, "The floor is above the ceiling."),
    info(
        Outcome::LimitOutOfRange,
        "limit_out_of_range",
        false,
        "Limits lie within plus or minus 2^126 - 1 minor units.",
    ),
    info(Outcome::LabelInvalid, "label_invalid", false, "A label is UTF-8 of at most 64 bytes."),
    info(
        Outcome::CategoryUnknown,
        "category_unknown",
        false,
        "A category is personal (0), enterprise (1) or platform (2).",
    ),
    info(
        Outcome::ControlMalformed,
        "control_malformed",
        false,
        "The control record cannot be read; see docs/protocol.md for its fields.",
    ),
    info(
        Outcome::InstitutionUnknown,
        "institution_unknown",
        false,
        "No institution has this number; register it first.",
    ),
    info(
        Outcome::KindUnknown,
        "kind_unknown",
        false,
        "The kind, action or status is not known, or not in this form; see docs/protocol.md.",
    ),
    info(
        Outcome::PostingsNotAscending,
        "postings_not_ascending",
        false,
        "Postings are named by ascending indexes, each once.",
    ),
    info(Outcome::ReasonInvalid, "reason_invalid", false, "A change needs a reason: 1 to 200 bytes of UTF-8."),
    info(
        Outcome::AttributesTooLong,
        "attributes_too_long",
        false,
        "Attributes have at most 1024 bytes; keep larger papers elsewhere and refer to them.",
    ),
    info(Outcome::NotPermitted, "not_permitted", false, "This principal may not do this."),
    info(Outcome::RateLimited, "rate_limited", false, "Too many requests; repeat later with the same id."),
    info(
        Outcome::StorageFull,
        "storage_full",
        false,
        "The disk has no room for the log; free some, then repeat with the same id.",
    ),
    info(
        Outcome::ShuttingDown,
        "shutting_down",
        false,
        "The server is stopping; repeat with the same id once it is back.",
    ),
    info(
        Outcome::ReadOnly,
        "read_only",
        false,
        "This is the ledger as of a point in the past, restored for reads only; post to the ledger itself.",
    ),
    info(
        Outcome::IdUsedWithOtherFields,
        "id_used_with_other_fields",
        false,
        "The id belongs to an earlier transaction with other fields; use a new id.",
    ),
    info(
        Outcome::AccountExistsWithOtherFields,
        "account_exists_with_other_fields",
        false,
        "The account was opened before with other fields; use a new account id.",
    ),
    info(
        Outcome::HoldUnknown,
        "hold_unknown",
        true,
        "No hold was placed under the id that is named; check the id, then use a new one for the item.",
    ),
    info(
        Outcome::HoldClosed,
        "hold_closed",
        true,
        "The hold was captured finally or released; post a transaction instead.",
    ),
    info(
        Outcome::HoldExpired,
        "hold_expired",
        true,
        "The hold has expired and its money is free again; place a new hold or post a transaction.",
    ),
    info(Outcome::OriginalUnknown, "original_unknown", true, "No transaction has the id that is named; check it."),
    info(
        Outcome::OriginalNotPosted,
        "original_not_posted",
        true,
        "The original was refused, so there is nothing to reverse.",
    ),
    info(
        Outcome::OriginalIsReversal,
        "original_is_reversal",
        true,
        "A reversal is not reversed; post the original again under a new id.",
    ),
    info(
        Outcome::OriginalNotReversible,
        "original_not_reversible",
        true,
        "Only posted transactions and captures are reversed; release a hold instead.",
    ),
    info(
        Outcome::PostingUnknown,
        "posting_unknown",
        true,
        "The hold or original has no posting of this index; look it up.",
    ),
    info(
        Outcome::Unbalanced,
        "unbalanced",
        true,
        "Debits and credits must be equal in each asset; correct the amounts and use a new id.",
    ),
    info(Outcome::AssetUnknown, "asset_unknown", true, "The asset is not registered; register it, then use a new id."),
    info(Outcome::AccountUnknown, "account_unknown", true, "The account does not exist; open it, then use a new id."),
    info(
        Outcome::AccountAssetDiffers,
        "account_asset_differs",
        true,
        "The account is kept in another asset than the posting names.",
    ),
    info(Outcome::AccountClosed, "account_closed", true, "The account is closed."),
    info(Outcome::AccountDebitFrozen, "account_debit_frozen", true, "The account refuses debits while it is frozen."),
    info(
        Outcome::AccountCreditFrozen,
        "account_credit_frozen",
        true,
        "The account refuses credits while it is frozen.",
    ),
    info(Outcome::BalanceRange, "balance_range", true, "The balance would leave plus or minus 2^126 - 1 minor units."),
    info(
        Outcome::BelowFloor,
        "below_floor",
        true,
        "The available balance would fall below the account's floor (insufficient funds).",
    ),
    info(Outcome::AboveCeiling, "above_ceiling", true, "The balance would rise above the account's ceiling."),
    info(
        Outcome::ExceedsHold,
        "exceeds_hold",
        true,
        "More than what is left of the hold; capture what is left and post the rest by itself.",
    ),
    info(
        Outcome::ExceedsOriginal,
        "exceeds_original",
        true,
        "More than what is left to reverse; look the original up for what was reversed before.",
    ),
    info(
        Outcome::HoldAboveMax,
        "hold_above_max",
        true,
        "One posting of a hold has at most 2^100 - 1 minor units left; place another hold.",
    ),
    info(
        Outcome::AccountNotEmpty,
        "account_not_empty",
        true,
        "An account is closed when its balance and holds are zero; move the money first.",
    ),
    info(Outcome::AccountNotClosed, "account_not_closed", true, "Only a closed account is reopened."),
    info(Outcome::LimitsCross, "limits_cross", true, "The floor would be above the ceiling; set both."),
    info(
        Outcome::OutsideLimits,
        "outside_limits",
        true,
        "The account would be outside its new limits; choose others, or force the change.",
    ),
    info(
        Outcome::AssetExistsWithOtherFields,
        "asset_exists_with_other_fields",
        true,
        "The asset number or code is registered with other fields; scales never change.",
    ),
    info(Outcome::TooManyAssets, "too_many_assets", true, "No more assets fit into this ledger."),
    info(
        Outcome::InstitutionExistsWithOtherFields,
        "institution_exists_with_other_fields",
        true,
        "The institution is registered under another name.",
    ),
    info(Outcome::TooManyInstitutions, "too_many_institutions", true, "No more institutions fit into this ledger."),
    info(
        Outcome::OpenDayNotForward,
        "open_day_not_forward",
        true,
        "The open day never goes back; choose the present one or a later date.",
    ),
];

/// One line of [`OUTCOMES`].
#[derive(Clone, Copy, Debug)]
pub struct OutcomeInfo {
    /// The outcome.
    pub outcome: Outcome,
    /// Its published name.
    pub name: &'static str,
    /// Whether it is recorded: the id is spent and a repeat returns the same. Otherwise nothing was recorded.
    pub recorded: bool,
    /// One sentence on cause and remedy.
    pub help: &'static str,
}

const fn info(outcome: Outcome, name: &'static str, recorded: bool, help: &'static str) -> OutcomeInfo {
    OutcomeInfo { outcome, name, recorded, help }
}

impl Outcome {
    /// The published number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The outcome of a published number, if there is one.
    pub fn from_number(number: u16) -> Option<Outcome> {
        OUTCOMES.iter().map(|i| i.outcome).find(|o| o.number() == number)
    }

    /// Name, help and whether it is recorded.
    pub fn info(self) -> &'static OutcomeInfo {
        OUTCOMES.iter().find(|i| i.outcome == self).expect("every outcome has its line in OUTCOMES")
    }

    /// The published name.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_in_ascending_order_and_have_distinct_names() {
        for pair in OUTCOMES.windows(2) {
            assert!(pair[0].outcome.number() < pair[1].outcome.number());
        }
        let mut names: Vec<_> = OUTCOMES.iter().map(|i| i.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OUTCOMES.len());
    }
}
