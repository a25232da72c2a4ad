//! Control records: assets, institutions, open days.

use super::item::Control;
use super::number::*;
use super::{Deed, Model, Record, Verdict, refused};

/// Most assets of one ledger.
const ASSETS_MAX: usize = 10_000;
/// Most institutions of one ledger.
const INSTITUTIONS_MAX: usize = 10_000;
/// Whose records register assets and institutions.
const HOUSE: u32 = 1;

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Institution {
    name: String,
    /// Days since 1970-01-01; none until the first one is set.
    pub open_day: Option<u16>,
}

impl Institution {
    pub(super) fn named(name: &str) -> Institution {
        Institution { name: name.to_string(), open_day: None }
    }
}

impl Model {
    /// Applies a control record.
    pub fn control(&mut self, institution: u32, control: &Control) -> Verdict {
        if control.id == 0 {
            return refused(ID_ZERO, 0);
        }
        let Some(record) = Record::parse(&control.record) else { return refused(CONTROL_MALFORMED, 0) };
        if !self.serves(institution) {
            return refused(INSTITUTION_UNKNOWN, 0);
        }
        if institution != HOUSE && !matches!(record, Record::OpenDay { .. }) {
            return refused(NOT_PERMITTED, 0);
        }
        if let Some(row) = self.recorded(institution, control.id) {
            let differs = match &row.deed {
                Deed::Control { record: first, .. } => (*first != record).then_some(field::RECORD),
                _ => Some(field::KIND),
            };
            return row.repeated(differs).0;
        }
        let outcome = self.apply(institution, &record);
        let verdict = self.book(outcome, 0);
        self.record(institution, Deed::Control { id: control.id, record }, verdict, vec![]);
        verdict
    }

    /// Applies a record with a new id, unless something refuses it.
    fn apply(&mut self, institution: u32, record: &Record) -> u16 {
        match record {
            Record::Asset(asset) => match self.assets.get(&asset.number) {
                Some(known) if known == asset => POSTED,
                Some(_) => ASSET_EXISTS_WITH_OTHER_FIELDS,
                None if self.assets.values().any(|a| a.code == asset.code) => ASSET_EXISTS_WITH_OTHER_FIELDS,
                None if self.assets.len() == ASSETS_MAX => TOO_MANY_ASSETS,
                None => {
                    self.assets.insert(asset.number, asset.clone());
                    POSTED
                }
            },
            Record::Institution { number, name } => match self.institutions.get(number) {
                Some(known) if known.name == *name => POSTED,
                Some(_) => INSTITUTION_EXISTS_WITH_OTHER_FIELDS,
                None if self.institutions.len() == INSTITUTIONS_MAX => TOO_MANY_INSTITUTIONS,
                None => {
                    self.institutions.insert(*number, Institution::named(name));
                    POSTED
                }
            },
            Record::OpenDay { date } => {
                if *date < self.accounting_date(institution, self.next_booked_at()) {
                    return OPEN_DAY_NOT_FORWARD;
                }
                self.institutions.get_mut(&institution).expect("it is served").open_day = Some(*date);
                POSTED
            }
        }
    }
}
