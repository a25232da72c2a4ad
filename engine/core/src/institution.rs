//! The institutions (tenants) of the ledger and the day that each has open.

use std::collections::BTreeMap;

use crate::limits::INSTITUTIONS_MAX;
use crate::outcome::Outcome;

/// The institution that exists from the start and registers what is ledger-wide.
pub const FIRST_INSTITUTION: u32 = 1;

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;

/// The UTC date of a time, days since 1970-01-01.
pub fn date_of(time_ns: u64) -> u16 {
    u16::try_from(time_ns / DAY_NS).unwrap_or(u16::MAX)
}

/// The accounting date of a row: the open day, or, as long as none was set (0), the UTC date of booked-at.
pub fn accounting_date(open_day: u16, booked_at: u64) -> u16 {
    if open_day == 0 { date_of(booked_at) } else { open_day }
}

/// An institution.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Institution {
    /// Name; empty for the first one.
    pub name: String,
    /// The open day as it was set last, days since 1970-01-01; 0 = never set.
    pub open_day: u16,
}

/// All institutions of the ledger.
#[derive(Clone, Debug)]
pub struct Institutions {
    by_number: BTreeMap<u32, Institution>,
}

impl Default for Institutions {
    fn default() -> Institutions {
        Institutions { by_number: BTreeMap::from([(FIRST_INSTITUTION, Institution::default())]) }
    }
}

impl Institutions {
    /// Whether a number is registered.
    pub fn contains(&self, number: u32) -> bool {
        self.by_number.contains_key(&number)
    }

    /// The open day that an institution has set, 0 = none.
    pub fn open_day(&self, number: u32) -> u16 {
        self.by_number.get(&number).map_or(0, |i| i.open_day)
    }

    /// Whether an institution may be registered.
    pub fn check(&self, number: u32, name: &str) -> Result<(), Outcome> {
        match self.by_number.get(&number) {
            Some(known) if known.name == name => Ok(()),
            Some(_) => Err(Outcome::InstitutionExistsWithOtherFields),
            None if self.by_number.len() == INSTITUTIONS_MAX => Err(Outcome::TooManyInstitutions),
            None => Ok(()),
        }
    }

    /// Registers an institution that [`Institutions::check`] found fine.
    pub fn register(&mut self, number: u32, name: &str) {
        self.by_number.entry(number).or_insert(Institution { name: name.to_string(), open_day: 0 });
    }

    /// Whether an institution may set its open day, in a row booked at `time`.
    pub fn check_open_day(&self, number: u32, day: u16, time: u64) -> Result<(), Outcome> {
        match day >= accounting_date(self.open_day(number), time) {
            true => Ok(()),
            false => Err(Outcome::OpenDayNotForward),
        }
    }

    /// Sets the open day.
    pub fn set_open_day(&mut self, number: u32, day: u16) {
        self.by_number.entry(number).or_default().open_day = day;
    }

    /// All institutions, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Institution)> {
        self.by_number.iter().map(|(number, institution)| (*number, institution))
    }
}
