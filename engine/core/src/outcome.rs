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

    // Not now, or not you. Nothing is recorded.
    /// The principal may not do this.
    NotPermitted = 20,
    /// Too many requests.
    RateLimited = 21,
    /// No room for the log.
    StorageFull = 22,
    /// The server is shutting down.
    ShuttingDown = 23,

    // Ids.
    /// The id was used before, with other fields.
    IdUsedWithOtherFields = 30,
    /// The account exists, with other fields.
    AccountExistsWithOtherFields = 31,

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

    // Control records.
    /// The asset number or code is registered with other fields.
    AssetExistsWithOtherFields = 70,
    /// No more assets fit.
    TooManyAssets = 71,
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
    info(Outcome::InstitutionUnknown, "institution_unknown", false, "This server serves institution 1."),
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
        Outcome::AssetExistsWithOtherFields,
        "asset_exists_with_other_fields",
        true,
        "The asset number or code is registered with other fields; scales never change.",
    ),
    info(Outcome::TooManyAssets, "too_many_assets", true, "No more assets fit into this ledger."),
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
