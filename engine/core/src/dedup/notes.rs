//! What the rows of a frame say about ids: which they used, and which holds they closed.

use super::Closed;
use crate::entry::RowKind;
use crate::frame::{FrameView, Record, RowError};
use crate::outcome::Outcome;
use crate::replay::closes;

/// What a row says about an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdNote {
    /// It used it.
    Used,
    /// It closed the hold with this id.
    Closed(Closed),
}

/// Goes through what a row of a frame says: institution, id, sequence number of the row, what.
pub fn notes_of_row<E: From<RowError>>(
    frame: &FrameView<'_>,
    index: u32,
    each: &mut impl FnMut(u32, u128, u64, IdNote) -> Result<(), E>,
) -> Result<(), E> {
    let row = frame.row(index);
    let (sequence, institution, id) = (row.sequence, row.row().tail.institution.get(), row.row().id.get());
    if row.whole_transfer().is_some() {
        return each(institution, id, sequence, IdNote::Used);
    }
    let kind = row.kind()?;
    match kind {
        // An opening is known by its account, an expiry by its hold.
        RowKind::Open => return Ok(()),
        RowKind::Expiry => {}
        _ => each(institution, id, sequence, IdNote::Used)?,
    }
    if !matches!(kind, RowKind::Capture | RowKind::Release | RowKind::Expiry) {
        return Ok(());
    }
    match closing_of(&frame.record(index)?) {
        Some((institution, hold, how)) => each(institution, hold, sequence, IdNote::Closed(how)),
        None => Ok(()),
    }
}

/// Institution and id of the hold that a row closes, and how.
pub fn closing_of(record: &Record) -> Option<(u32, u128, Closed)> {
    let Record::Transaction(transaction) = record else { return None };
    let kind = transaction.kind.item().filter(|kind| kind.names_hold())?;
    (transaction.result.outcome == Outcome::Posted && closes(transaction, kind)).then_some((
        transaction.institution,
        transaction.link,
        Closed::by(kind),
    ))
}

/// Institution and id that a row used; none for those that use none.
pub fn used_by(record: &Record) -> Option<(u32, u128)> {
    match record {
        Record::Transaction(transaction) if transaction.kind == RowKind::Expiry => None,
        Record::Transaction(transaction) => Some((transaction.institution, transaction.id)),
        Record::Control(control) => Some((control.institution, control.id)),
        Record::Change(change) => Some((change.institution, change.row.id.get())),
        Record::Open(_) => None,
    }
}
