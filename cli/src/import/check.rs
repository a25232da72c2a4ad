//! Compares recorded balances with the ledger's, and explains differences by rows that were refused or posted late.
//!
//! A difference is explained if it equals the sum of what the ledger had not posted of the account's rows so far
//! (and, beside a late row, what it had posted before its turn in the file). Pure.

use super::file::ImportFile;
use florin_core::outcome::Outcome;

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Posted.
    Posted {
        /// Which attempt, from 1; later ones are posted after rows that follow in the file.
        attempt: u32,
        /// Whether an earlier run posted it.
        earlier: bool,
        /// Version of the customer's account.
        version: u64,
        /// Version of the counterparty's account.
        other_version: u64,
        /// Balance of the customer's account after it, minor units.
        balance: i128,
    },
    /// Refused in every attempt.
    Refused {
        /// Attempts so far.
        attempts: u32,
        /// Whether the last attempt was of an earlier run.
        earlier: bool,
        /// Why.
        outcome: Outcome,
        /// Index of the posting or number of the field, as the outcome has it.
        detail: u16,
    },
}

/// A recorded balance that is not the ledger's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Index of the row.
    pub row: usize,
    /// Balance that the file records, minor units.
    pub recorded: i128,
    /// Balance in the ledger after the row, minor units.
    pub ledger: i128,
    /// Whether refused and late rows account for it.
    pub explained: bool,
}

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Rows whose recorded balance is the ledger's.
    pub agreeing: usize,
    /// Posted rows without a recorded balance.
    pub unrecorded: usize,
    /// The differences in the order of the file.
    pub differences: Vec<Difference>,
}

impl Findings {
    /// The first difference that nothing explains.
    pub fn first_unexplained(&self) -> Option<&Difference> {
        self.differences.iter().find(|d| !d.explained)
    }
}

/// One effect on an account, in the order of the file.
struct Event {
    row: usize,
    effect: i128,
    /// None = not posted.
    version: Option<u64>,
    late: bool,
    /// Recorded balance and the ledger's, where this is the row's own account.
    balances: Option<(i128, i128)>,
}

/// Compares every recorded balance. `fates` has one for each row.
pub fn compare(file: &ImportFile, fates: &[Fate]) -> Findings {
    let mut findings = Findings::default();
    let mut events: Vec<Vec<Event>> = file.names.iter().map(|_| Vec::new()).collect();
    for (index, (row, fate)) in file.rows.iter().zip(fates).enumerate() {
        let (versions, late, balances) = match *fate {
            Fate::Posted { attempt, version, other_version, balance, .. } => {
                findings.unrecorded += usize::from(row.recorded.is_none());
                (Some((version, other_version)), attempt > 1, row.recorded.map(|r| (r, balance)))
            }
            // The ledger has an older transaction with other fields under this row's id: it explains nothing.
            Fate::Refused { outcome: Outcome::IdUsedWithOtherFields, .. } => continue,
            Fate::Refused { .. } => (None, false, None),
        };
        let (own, other) = (versions.map(|v| v.0), versions.map(|v| v.1));
        let effect = row.effect();
        events[row.account as usize].push(Event { row: index, effect, version: own, late, balances });
        events[row.counterparty as usize].push(Event {
            row: index,
            effect: -effect,
            version: other,
            late,
            balances: None,
        });
    }
    for account in &events {
        compare_account(account, &mut findings);
    }
    findings.differences.sort_by_key(|d| d.row);
    findings
}

fn compare_account(events: &[Event], findings: &mut Findings) {
    let late: Vec<usize> = (0..events.len()).filter(|&i| events[i].late).collect();
    let mut refused_so_far = 0i128;
    for (place, event) in events.iter().enumerate() {
        let Some(version) = event.version else {
            refused_so_far = refused_so_far.saturating_add(event.effect);
            continue;
        };
        let Some((recorded, ledger)) = event.balances else { continue };
        if recorded == ledger {
            findings.agreeing += 1;
            continue;
        }
        let missing = refused_so_far.saturating_add(out_of_turn(events, &late, place, version));
        let explained = ledger.checked_add(missing) == Some(recorded);
        findings.differences.push(Difference { row: event.row, recorded, ledger, explained });
    }
}

/// What the file counts at `place` and the ledger did not yet (positive), less what it had counted early.
fn out_of_turn(events: &[Event], late: &[usize], place: usize, version: u64) -> i128 {
    let contribution = |other: usize| match events[other].version {
        Some(v) if other < place && v > version => events[other].effect,
        Some(v) if other > place && v < version => -events[other].effect,
        _ => 0,
    };
    if events[place].late {
        (0..events.len()).map(contribution).sum()
    } else {
        late.iter().copied().map(contribution).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::file::read;

    /// Rows on account `a`: effect and recorded balance.
    fn file(rows: &[(i128, i128)]) -> ImportFile {
        let mut text = "id,date,account,counterparty,direction,amount_minor,balance_after_minor\n".to_string();
        for (i, (effect, recorded)) in rows.iter().enumerate() {
            let direction = if *effect > 0 { "credit" } else { "debit" };
            text.push_str(&format!("{i},1993-01-01,a,cash,{direction},{},{recorded}\n", effect.abs()));
        }
        read(text.as_bytes(), "f.csv", 2).unwrap()
    }

    fn posted(version: u64, balance: i128) -> Fate {
        Fate::Posted { attempt: 1, earlier: false, version, other_version: version, balance }
    }

    fn late(version: u64, balance: i128) -> Fate {
        Fate::Posted { attempt: 2, earlier: false, version, other_version: version, balance }
    }

    const REFUSED: Fate = Fate::Refused { attempts: 1, earlier: false, outcome: Outcome::BelowFloor, detail: 0 };

    fn check(rows: &[(i128, i128)], fates: &[Fate], differing: &[(usize, bool)]) {
        let findings = compare(&file(rows), fates);
        let found: Vec<_> = findings.differences.iter().map(|d| (d.row, d.explained)).collect();
        assert_eq!(found, differing);
    }

    #[test]
    fn equal_balances_agree() {
        let rows = [(100, 100), (-30, 70)];
        check(&rows, &[posted(1, 100), posted(2, 70)], &[]);
        let findings = compare(&file(&rows), &[posted(1, 100), posted(2, 70)]);
        assert_eq!(findings.agreeing, 2);
    }

    #[test]
    fn differences_equal_to_the_refused_rows_so_far_are_explained() {
        let rows = [(100, 100), (-130, -30), (50, 20), (-60, -40), (10, -30)];
        check(
            &rows,
            &[posted(1, 100), REFUSED, posted(2, 150), posted(3, 90), posted(4, 100)],
            &[(2, true), (3, true), (4, true)],
        );
    }

    #[test]
    fn any_other_difference_is_unexplained() {
        let rows = [(100, 100), (-130, -30), (50, 21), (10, 30)];
        let fates = [posted(1, 100), REFUSED, posted(2, 150), posted(3, 160)];
        check(&rows, &fates, &[(2, false), (3, true)]);
        let findings = compare(&file(&rows), &fates);
        assert_eq!(findings.first_unexplained().map(|d| (d.row, d.recorded, d.ledger)), Some((2, 21, 150)));
    }

    #[test]
    fn a_row_posted_late_explains_itself_and_the_rows_between() {
        // The second row was refused, the others posted, then it was posted as the second attempt.
        let rows = [(100, 100), (-130, -30), (50, 20), (40, 60)];
        check(
            &rows,
            &[posted(1, 100), late(4, 60), posted(2, 150), posted(3, 190)],
            &[(1, true), (2, true), (3, true)],
        );
        // A file that goes on afterwards agrees again.
        let rows = [(100, 100), (-130, -30), (50, 20), (40, 60), (5, 65)];
        check(
            &rows,
            &[posted(1, 100), late(4, 60), posted(2, 150), posted(3, 190), posted(5, 65)],
            &[(1, true), (2, true), (3, true)],
        );
        check(
            &rows,
            &[posted(1, 100), late(4, 61), posted(2, 150), posted(3, 190), posted(5, 65)],
            &[(1, false), (2, true), (3, true)],
        );
    }

    #[test]
    fn an_id_with_other_fields_explains_nothing() {
        let other = Fate::Refused { attempts: 1, earlier: true, outcome: Outcome::IdUsedWithOtherFields, detail: 5 };
        check(&[(100, 100), (-30, 70), (5, 75)], &[posted(1, 100), other, posted(3, 105)], &[(2, false)]);
    }
}
